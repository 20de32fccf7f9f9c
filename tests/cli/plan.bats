#!/usr/bin/env bats
# plan.bats - room is made for guests of an evacuation that fit nowhere

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{a1,b1,c1}
    WORKER_SLOTS=8 worker_up all a1 b1:'32 GiB':64 c1:'32 GiB':64
}
teardown_file() { load common; site_down; }
setup() { load common; }

# a1 has a big guest; b1 and c1 have room for it only together: 14 GiB and 12 GiB are free.
fill() {
    site_emptied a1 b1 c1
    guest big a1 running 20480
    guest light a1 running 1024
    guest b-large b1 running 12288
    guest b-small b1 running 6144
    guest c-only c1 running 20480
    local one
    for one in big:a1 light:a1 b-large:b1 b-small:b1 c-only:c1; do
        until_true 10 guest_is_on "${one%:*}" "${one#*:}"
    done
}
@test "--plan: who makes room, for whom, and who waits for that" {
    fill
    ok evacuate a1 --plan
    matches 'b-small +b1 +c1 .*makes room on b1 for big'
    matches 'big +a1 +b1 .*can move from a1 to b1 when b-small has left that'
    has_not b-large
    ok evacuate a1 --plan --json
    json '.plan | map(select(.guest == "b-small"))[0] | .room_for == "big" and .source == "b1" and .destination == "c1"'
    json '.plan | map(select(.guest != "b-small")) | all(.room_for == null)'
    ok jobs
    is ""
}

# bats test_tags=slow
@test "--no-room: guests of other hosts stay where they are" {
    fill
    ends 1 evacuate a1 --plan --no-room
    has_not b-small
    err_has 'big: Error: Unable to identify a suitable target host for guest big: b1 has too little memory'
    ends 1 evacuate a1 --no-room
    err_has 'a1: Error: is not empty: 1 moved, 1 left, because: big ('
    runs_on b-small b1
    runs_on big a1
}


# Two jobs of the last batch: when the first was over, and when the second began.
began_after() { # LATER EARLIER
    local end start
    end=$(ask history "$2" --json | jq -r '.history[0].finished_at')
    start=$(ask history "$1" --json | jq -r '.history[0].started_at')
    [[ ! $start < $end ]] || { echo "$1 began at $start, $2 was over at $end" >&2; return 1; }
}
big_waits() { told '.jobs | any(.guest == "big" and .why == "waits for room on b1, which b-small leaves")' jobs; }

# bats test_tags=slow
@test "the guest goes when its room is free, not before; the account tells of both" {
    fill
    plan b-small 'ok 1500'
    begin room evacuate a1
    until_true 10 big_waits
    until_true 10 runs_on light c1
    runs_on big a1
    local job
    job=$(ask jobs --json | jq '.jobs[] | select(.guest == "b-small").job')
    ok show "$job" --json
    json '.room_for == "big" and .evacuation'
    ok show "$job"
    matches 'Room for +big'
    comes_to 0
    has 'b-small: makes room on b1 for big'
    has 'b-small: migrated to c1'
    has 'big: migrated to b1'
    has 'a1: is empty: 2 moved, 1 guest of other hosts moved to make room'
    began_after big b-small
}

# bats test_tags=slow
@test "the order outlives the broker" {
    fill
    plan b-small 'ok 3000'
    begin room evacuate a1
    until_true 10 big_waits
    broker_down KILL
    broker_up
    until_true 10 big_waits
    comes_to 0
    has 'a1: is empty: 2 moved, 1 guest of other hosts moved to make room'
    began_after big b-small
}

# bats test_tags=slow
@test "whoever was to make room stays: there is no room, and that is said" {
    fill
    plan b-small 'fail 300 fatal 1 it does not want to'
    ends 1 evacuate a1
    err_has 'b-small: Error: Failed migration of b-small from b1 to c1: it does not want to'
    err_has 'big: Error: Unable to identify a suitable target host for guest big: '
    has 'light: migrated to c1'
    err_has 'a1: Error: is not empty: 1 moved, 1 left, because: big (Unable to identify'
    runs_on b-small b1
    runs_on big a1
}

# bats test_tags=slow
@test "guests that are paused, or have nowhere else to go, do not make room" {
    fill
    ok chtab node=b-small vm.migrationdest=b1
    guest b-large b1 paused 12288
    until_true 10 guest_is b-large paused
    ends 1 evacuate a1 --plan
    has_not b-small
    has_not b-large
    err_has 'big: Error: Unable to identify a suitable target host for guest big'
    ok chtab node=b-small vm.migrationdest=
    ok evacuate a1 --plan
    matches 'b-small +b1 +c1 .*makes room on b1 for big'
}
