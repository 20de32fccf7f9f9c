#!/usr/bin/env bats
# again.bats - jobs that failed are tried again: together, and as what was wished

setup_file() {
    load common
    RETRY='50 ms' site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{a1,a2,b1,d1,e1,g1,k1,room}
    local i
    for i in 1 2 3; do guest "a$i-vm" a1; done
    for i in 1 2 3; do guest "b$i-vm" b1; done
    WORKER_SLOTS=8 worker_up all a1 a2 b1 d1 e1 g1 k1 room
    until_true 5 guest_is_seen b3-vm
}
teardown_file() { load common; site_down; }
setup() { load common; }

failing() { guest "$1" "$2"; until_true 5 guest_is_seen "$1"; plan "$1" 'fail 0 fatal 9 no'; }
state_is_failed() { told '.jobs | map(select(.guest == "'"$1"'")) | last.state == "failed"' jobs -a; }
nothing_of() { told '.jobs | map(select(.guest == "'"$1"'")) | length == 0' jobs; }
last() { ask jobs -a --json | jq ".jobs | last.$1"; }
job_of() { ask jobs -a --json | jq ".jobs | map(select(.guest == \"$1\")) | last.job"; }

@test "a job of an evacuation is a wish about that host" {
    local i batch
    for i in 1 2; do plan "a$i-vm" 'fail 0 fatal 9 no'; done
    ends 1 evacuate a1 --to room
    batch=$(ask jobs -a --json | jq '.jobs[0].batch')
    ok a1-vm a2
    ok retry --batch "$batch"
    lines_are "a1-vm: is not on a1 any more: nothing to do" \
        "a2-vm: job $((batch + 7)) of batch $((batch + 6)) tries again"
    ok wait $((batch + 6))
    lines_are "a2-vm: migrated to room" "a1: is empty: 1 moved"
    runs_on a1-vm a2
}

# bats test_tags=slow
@test "the tries again are one batch, and whoever waits for the old one waits for them" {
    local batch
    plan b1-vm 'fail 0 fatal 9 no' 'ok 1500'
    plan b2-vm 'fail 0 fatal 9 no' 'fail 100 fatal 9 never'
    ends 1 b1-vm,b2-vm,b3-vm room
    batch=$(ask jobs -a --json | jq '.jobs | last.batch')
    ok retry --batch "$batch"
    lines_are "b1-vm: job $((batch + 5)) of batch $((batch + 4)) tries again" \
        "b2-vm: job $((batch + 6)) of batch $((batch + 4)) tries again"
    ok jobs --batch "$batch"
    has "job $((batch + 5)) of batch $((batch + 4)) tries again"
    ok show $((batch + 5)) --json
    json ".again_of == $((batch + 1))"
    ends 1 wait "$batch"
    lines_are "b1-vm: migrated to room" "b3-vm: migrated to room"
    err_is "b2-vm: Error: Failed migration of b2-vm from b1 to room: never"
    ends 1 wait $((batch + 4))
    is "b1-vm: migrated to room"
    ends 1 retry $((batch + 1))
    err_is "job $((batch + 1)): Error: job $((batch + 5)) of batch $((batch + 4)) tries again"
    ok retry $((batch + 6))
    ok wait "$batch"
    lines_are "b1-vm: migrated to room" "b3-vm: migrated to room" "b2-vm: migrated to room"
}

# bats test_tags=slow
@test "what is tried again empties the hypervisor: the old batch and the new one, hosts and the exit status tell" {
    local batch again
    for i in 1 2 3; do guest "c$i" a2; plan "c$i" 'fail 0 fatal 9 no' 'fail 0 fatal 9 no'; done
    until_true 5 guest_is_seen c3
    ok a1-vm room
    ends 1 evacuate a2 --to room
    err_has 'a2: Error: is not empty: '
    batch=$(ask jobs -a --json | jq '.jobs | last.batch')
    ok hosts a2
    has 'guests are left from its evacuation'
    plan c1 'ok 1000'
    plan c2 'ok 0'
    ok retry --batch "$batch"
    again=$(ask jobs --json | jq '.jobs[0].batch')
    ok hosts a2
    has 'emptying'
    ends 1 wait "$batch"
    has_not 'a2: is empty'
    err_has 'a2: Error: is not empty: 2 moved, 1 left, because: c3 ('
    [[ $account == "rmigrate: batch $batch: 2 moved, 1 left; a2 is not empty: 2 moved, 1 left, because: "* ]] || wrong account "1 left"
    ends 1 wait "$again"
    err_has 'a2: Error: is not empty: 2 moved, 1 left'
    ok hosts a2
    has 'guests are left from its evacuation'
    plan c3 'fail 0 fatal 9 never' 'ok 0'
    ok retry --batch "$again"
    ends 1 wait "$again"
    err_has 'c3 (never)'
    ok retry --batch "$(ask jobs -a --json | jq '.jobs | last.batch')"
    ok wait "$batch"
    has 'a2: is empty: 1 moved'
    err_is ''
    ok wait "$again" --json
    jq -se 'last | .ok and .left == 0' <<<"$output" >/dev/null || wrong JSON 'nothing is left'
    ok hosts a2
    has 'evacuated'
    has_not 'guests are left'
}

# bats test_tags=slow
@test "retries of two batches that are tried again together: all three get the account" {
    local one two
    failing d1-vm d1
    failing d2-vm d1
    ends 1 evacuate d1 --to room
    plan d1-vm 'fail 0 fatal 9 no'
    plan d2-vm 'fail 0 fatal 9 no'
    ok retry "$(job_of d1-vm)"
    one=$(last batch)
    ends 1 wait "$one"
    ok retry "$(job_of d2-vm)"
    two=$(last batch)
    ends 1 wait "$two"
    ok retry "$(job_of d1-vm)" "$(job_of d2-vm)"
    ok wait "$(last batch)" "$one" "$two"
}

# bats test_tags=slow
@test "who waits hears also of what somebody else tries again meanwhile, and a batch is tried again as a whole" {
    local batch
    failing k1-vm k1
    guest k2-vm k1
    plan k2-vm 'ok 4000'
    until_true 5 guest_is_seen k2-vm
    begin empty evacuate k1 --to room
    until_true 5 state_is_failed k1-vm
    batch=$(last batch)
    plan k1-vm 'fail 0 fatal 9 no'
    ok retry --batch "$batch"
    until_true 5 nothing_of k1-vm
    ok retry --batch "$batch"
    lines_are "k1-vm: job $((batch + 6)) of batch $((batch + 5)) tries again"
    comes_to 0
    has "k1-vm: migrated to room"
    has "k2-vm: migrated to room"
    [[ $account == *"batch $batch: 2 moved; k1 is empty" ]] || wrong account "2 moved; k1 is empty"
    ok retry --batch "$batch"
    err_is "rmigrate: nothing to retry"
}

# bats test_tags=slow
@test "who is left has gone: retry, wait and hosts say that it is empty" {
    local batch
    failing e1-vm e1
    ends 1 evacuate e1 --to room
    batch=$(last batch)
    mv "$WORLD/e1/e1-vm" "$WORLD/room/e1-vm"
    until_true 8 guest_is_on e1-vm room
    ok retry --batch "$batch"
    is 'e1-vm: is not on e1 any more: nothing to do'
    ok wait "$batch" # its job has failed, and nothing is left to do
    is 'e1: is empty: 0 moved'
    [[ $account == *': 0 moved; e1 is empty' ]] || wrong account 'e1 is empty'
    ok retry --batch "$batch"
    err_is 'rmigrate: nothing to retry'
    ok hosts e1
    has_not 'guests are left'
}

# bats test_tags=slow
@test "a hypervisor that was opened, and closed by somebody for a reason of his, is not emptied by a retry" {
    local batch
    failing g1-vm g1
    ends 1 evacuate g1 --to room
    batch=$(last batch)
    ok open g1
    guest g2-vm g1
    until_true 5 guest_is_seen g2-vm
    ok close g1 --reason 'no new guests for now'
    ok retry --batch "$batch"
    until_true 5 nothing_live
    ok hosts g1
    has 'no new guests for now'
    has_not emptying
    runs_on g1-vm room
    runs_on g2-vm g1
}

# bats test_tags=slow
@test "what was to make room is tried again: its own hypervisor is not emptied" {
    export SITE_AT=$BATS_TEST_TMPDIR/room
    site_new
    broker_up
    mkdir -p "$WORLD"/{h1,h2,h3}
    guest big h1 running 6000
    guest mid h2 running 4000
    guest keep h2 running 1000
    WORKER_SLOTS=8 worker_up all h1 h2:'8 GiB':64 h3:'5 GiB':64
    until_true 5 guest_is_seen keep
    plan mid 'fail 0 fatal 9 no'
    ends 1 evacuate h1
    ok close h2 --reason 'new disk tomorrow'
    ask retry --batch 1 || :
    until_true 20 nothing_live
    ok hosts h2
    has 'new disk tomorrow'
    has_not emptying
    runs_on mid h3
    runs_on keep h2
    site_down
}
