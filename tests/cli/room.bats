#!/usr/bin/env bats
# room.bats - guests of an evacuation wait for room that is promised to others

setup_file() {
    load common
    RETRY='100 ms' site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{a1,b1,small,full}
    guest r1 a1 running 20000
    guest r2 a1 running 20000
    guest r3 a1 running 16000
    guest u1 b1 running 20000
    guest u2 b1 running 12000
    guest f1 full running 63000
    WORKER_SLOTS=8 worker_up all a1 b1:'64 GiB':64 small:'40 GiB':64 full
    until_true 30 guest_is_seen u2
    until_true 30 guest_is_seen f1
}
teardown_file() { load common; site_down; }
setup() { load common; }

# bats test_tags=slow
@test "a guest without a place waits for room that others do not come to, and those that failed go last" {
    ask close b1 >/dev/null
    plan r1 'fail 900 retry 9 one' 'fail 0 retry 9 two' 'fail 0 retry 9 three'
    plan r2 'fail 900 retry 9 one' 'fail 0 retry 9 two' 'fail 0 retry 9 three'
    ok evacuate a1 --plan
    matches 'r3 +a1 .*waits for room on small'
    begin waits evacuate a1
    until_true 30 told '.jobs | any(.guest == "r3" and (.why | startswith("waits for room on small")))' jobs
    comes_to 1
    has 'r3: migrated to small'
    err_has 'a1: Error: is not empty: '
    runs_on r3 small
    ok open a1
}

# bats test_tags=slow
@test "a guest for which no room becomes free is left, and a refusal speaks of every host" {
    ask open b1,small,full >/dev/null
    ask close a1 >/dev/null
    rm "$WORLD/small/"*
    guest s1 small running 22000
    until_true 30 guest_is_on s1 small
    until_true 30 told '.guests | map(select(.guest == "r3")) | length == 0' guests
    ends 1 evacuate b1
    has 'u2: migrated to small'
    err_has 'u1: Error: Unable to identify a suitable target host for guest u1: '
    err_has 'small has too little memory'
    err_has 'full has too little memory'
    err_has 'a1 is closed'
    err_has 'b1: Error: is not empty: 1 moved, 1 left, because: u1 ('
}
