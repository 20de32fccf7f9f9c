#!/usr/bin/env bats
# elsewhere.bats - a job that may choose and fails goes elsewhere; a host where guests cannot come is suspect

setup_file() {
    load common
    RETRY='50 ms' site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{from,big,small}
    local i
    for i in 1 2 3 4 5 6 7 8 9; do guest "e$i" from; done
    WORKER_SLOTS=8 worker_up all from big:'640 GiB':640 small
    until_true 5 guest_is_seen e9
}
teardown_file() { load common; site_down; }
setup() { load common; }

# Where the tries of its last job went.
tries() { ask show "$(last_job "$1")" --json | jq -r '[.events[] | select(.state == "assigned") | .text] | join(" ")'; }

@test "a try that failed for whatever reason is followed by one elsewhere, the failed one comes last" {
    plan e1 'fail 0 retry 38 Cannot get interface MTU on br7: No such device'
    ok e1 big,small
    is 'e1: migrated to small'
    plan e2 'fail 0 retry 1 one' 'fail 0 retry 1 two'
    ok e2 big,small
    is 'e2: migrated to big'
    [ "$(tries e2)" = 'big small big' ]
    plan e3 'refuse 0 retry 38 unable to connect to server'
    ok e3 big,small
    is 'e3: migrated to small'
}

@test "a job that may not choose stays with its destination" {
    plan e4 'fail 0 retry 1 one'
    ok e4 big
    is 'e4: migrated to big'
}

@test "a host where several guests could not come is suspect, and comes last, for a while" {
    local i
    for i in 5 6 7; do plan "e$i" 'fail 0 retry 38 Cannot get interface MTU on br7'; done
    ok e5,e6,e7 big,small
    lines_are 'e5: migrated to small' 'e6: migrated to small' 'e7: migrated to small'
    ok hosts big --json
    json '.hosts[0].why | startswith("suspect for 10 minutes: 3 guests in turn could not come: Cannot get interface MTU on br7")'
    ok hosts big
    has suspect
    ok events
    has "suspect for 10 minutes"
    ok e8 big,small
    is 'e8: migrated to small'
    ok e9 big # by name
    is 'e9: migrated to big'
    ok hosts big
    has_not suspect
}
