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
    until_true 20 guest_is_seen b3-vm
}
teardown_file() { load common; site_down; }
setup() { load common; }

failing() { guest "$1" "$2"; until_true 20 guest_is_seen "$1"; plan "$1" 'fail 0 fatal 9 no'; }
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
    until_true 20 guest_is_seen c3
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
    until_true 20 guest_is_seen k2-vm
    begin empty evacuate k1 --to room
    until_true 20 state_is_failed k1-vm
    batch=$(last batch)
    plan k1-vm 'fail 0 fatal 9 no'
    ok retry --batch "$batch"
    until_true 20 nothing_of k1-vm
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
    until_true 20 guest_is_seen g2-vm
    ok close g1 --reason 'no new guests for now'
    ok retry --batch "$batch"
    until_true 20 nothing_live
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
    until_true 20 guest_is_seen keep
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

# ---- histories that an attacker found; each site is its own, so that its numbers are known

site_of() { # HOST...
    export SITE_AT=$BATS_TEST_TMPDIR/site
    RETRY='50 ms' site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    local host
    for host; do mkdir -p "$WORLD/$host"; done
    WORKER_SLOTS=8 worker_up all "$@"
}
guests() { # HOST GUEST...
    local host=$1 name
    shift
    for name; do guest "$name" "$host"; done
    until_true 20 guest_is_seen "$name"
}
fails() { plan "$1" 'fail 0 fatal 9 no' "${@:2}"; } # GUEST [NEXT...]
printed() { grep -q -- "$1" "$OUT.out"; }

# bats test_tags=slow
@test "jobs of two evacuations are tried again at once: two batches, and each guest goes where its own was to go" {
    site_of a b c d
    guests a ga
    guests b gb
    fails ga 'ok 1000'
    fails gb 'ok 1000'
    ends 1 evacuate a --to c
    ends 1 evacuate b --to d
    ok retry 2 4
    lines_are "ga: job 6 of batch 5 tries again" "gb: job 8 of batch 7 tries again"
    guests a na1 na2 na3
    guests b nb1
    ok wait 5
    has 'a: is empty: 4 moved'
    has_not gb
    ok wait 1
    ok wait 3
    has 'b: is empty: 2 moved'
    runs_on na3 c
    runs_on nb1 d
    site_down
}

# bats test_tags=slow
@test "groups change while what they meant is emptied" {
    site_of a b c
    ok chtab node=a nodelist.groups=rack1
    ok chtab node=c nodelist.groups=spare
    guests a g1
    plan g1 'ok 2000'
    begin empty evacuate rack1 --to spare
    until_true 20 is_running g1
    ok chtab node=a nodelist.groups=rack2
    ok chtab node=b nodelist.groups=rack1,spare
    ok chtab node=c nodelist.groups=rack1
    guests a n1 n2 n3
    comes_to 0
    has 'a: is empty: 4 moved'
    runs_on n3 c
    site_down
}

# bats test_tags=slow
@test "a guest comes to a host that was empty already, before the last of the batch is, and later" {
    site_of a b c
    guests a g1
    guests b g2
    plan g2 'ok 3000'
    begin empty evacuate a,b --to c
    until_true 20 printed 'a: is empty: 1 moved'
    guests a late
    comes_to 1
    err_has 'a: Error: is not empty any more: late is there now; it was, with 1 moved'
    [[ $account == *'1 left; b is empty; a is not empty any more'* ]] || wrong account 'a is not empty any more'
    mv "$WORLD/a/late" "$WORLD/c/late"
    until_true 20 guest_is_on late c
    ok wait 1
    ok open a
    ok wait 1
    has "a: is empty: 1 moved; $(id -un) has opened it since"
    ok restore b
    until_true 20 nothing_live
    ends 1 wait 1
    err_has 'b: Error: is not empty any more: g2 is there now'
    site_down
}

# bats test_tags=slow
@test "however often it was in vain, who tries again in a loop comes to an end" {
    local i
    site_of a b
    guests a g1
    plan g1 $(for i in {1..19}; do echo 'fail-0-fatal-9-no'; done)
    sed -i 's/-/ /g' "$WORLD/plan/g1"
    ends 1 evacuate a --to b --reason 'kernel update'
    ends 1 evacuate a
    for i in {1..17}; do
        ok retry --batch 1
        ends 1 wait 1
    done
    ok retry --batch 1
    ok wait 1
    is_last 'a: is empty: 1 moved'
    ok retry --batch 1
    err_is 'rmigrate: nothing to retry'
    ok hosts a
    has 'kernel update'
    site_down
}
is_last() { [ "$(tail -n 1 <<<"$output")" = "$1" ] || wrong "last line" "$1"; }

# bats test_tags=slow
@test "a second administrator hears of the retry of a job that he found there" {
    site_of a b
    guests a g1 g2
    plan g1 'fail 1000 fatal 9 no' 'ok 0'
    plan g2 'ok 4000'
    begin first evacuate a --to b
    until_true 20 is_running g1
    first=$OUT
    begin second evacuate a --to b
    until_true 20 state_is_failed g1
    ok retry --batch 1
    comes_to 0
    has 'g1: migrated to b'
    OUT=$first
    comes_to 0
    site_down
}

# bats test_tags=slow
@test "retries of two moves in one command: each batch answers for its own guests" {
    site_of a b c
    guests a g1 g2
    fails g1
    fails g2 'fail 0 fatal 9 never'
    ends 1 g1 b
    ends 1 g2 c
    ok retry 2 4
    ends 1 wait 3
    ok wait 1
    is 'g1: migrated to b'
    fails g2
    guests a g3
    fails g3
    ends 1 g3 b
    mv "$WORLD/a/g3" "$WORLD/b/g3"
    until_true 20 guest_is_on g3 b
    ok retry "$(job_of g3)"
    is 'g3: Guest is already on host b'
    ok wait "$(last batch)" # there was nothing left to do
    mv "$WORLD/b/g3" "$WORLD/a/g3"
    until_true 20 guest_is_on g3 a
    ok retry "$(job_of g3)" # somebody brought it back
    ok wait "$(last batch)"
    site_down
}

# bats test_tags=slow
@test "cancel of a batch is for what tries it again too; a hypervisor that is opened and closed again is left alone" {
    site_of a b
    guests a g1 g2
    fails g1 'hang 0'
    plan g2 'hang 0'
    begin empty evacuate a --to b --cancel-on-interrupt
    until_true 20 state_is_failed g1
    ok retry --batch 1
    until_true 20 is_running g1
    ends 1 restore a
    err_has 'rmigrate cancel --host a, then rmigrate open a'
    ok open a
    ok close a --reason 'new disk'
    guests a late
    kill -INT "$(cat "$OUT.pid")"
    until_true 10 nothing_live
    until_true 20 test -s "$OUT.code"
    runs_on g1 a
    runs_on late a
    ok hosts a
    has 'new disk'
    has_not emptying
    site_down
}

# bats test_tags=slow
@test "a batch that is large for its store is tried again whole" {
    local i
    export SITE_AT=$BATS_TEST_TMPDIR/site
    site_new
    sed -i 's/store_size = "[^"]*"/store_size = "48 MiB"/' "$RMIGRATE_CONF"
    grep -q '48 MiB' "$RMIGRATE_CONF"
    broker_up
    mkdir -p "$WORLD"/{a,b}
    for i in {1..1000}; do guest "g$i" a; done
    worker_up all a:'2 TiB':4096 b:'2 TiB':4096
    until_true 10 guest_is_seen g1000
    ok pause --site
    detach 'g[1-1000]' b
    ok cancel --batch 1
    ok retry --batch 1
    [ "$(grep -c 'of batch 1002 tries again' <<<"$output")" = 1000 ]
    site_down
}

tells_of_new() { # the account of batch 1
    run -1 --separate-stderr rmigrate wait 1 && err_has 'a: Error: is not empty any more: new is there now'
} 2>/dev/null

# bats test_tags=slow
@test "guests of one evacuation are tried again one by one: each batch tells of the hypervisor, and of what was found there" {
    site_of a b
    guests a g1 g2
    fails g1 'ok 1500'
    fails g2 'fail 0 fatal 9 never'
    ends 1 evacuate a --to b
    ok retry 2
    ok retry 3
    ends 1 wait 4
    err_has 'a: Error: is not empty: 1 moved, 1 left, because: g2 (never)'
    ends 1 wait 6
    plan g2 'ok 1000'
    ok retry --batch 1
    fails late
    guests a late
    ends 1 wait 1
    err_has 'because: late (no)'
    ok retry --batch 1
    has 'late: job '
    ok wait 1
    ok wait 4
    broker_down KILL
    guest new a
    broker_up
    until_true 20 tells_of_new # the worker is on its way, and looks every five seconds
    site_down
}

# bats test_tags=slow
@test "nothing is left to do for a guest: while somebody waits, shut off, crashed, and after a cancel" {
    site_of a b c
    guests a g1 g2 g3
    fails g1
    plan g2 'ok 3000'
    fails g3
    begin empty evacuate a --to b
    until_true 20 state_is_failed g1
    mv "$WORLD/a/g1" "$WORLD/c/g1"
    guest g3 a shutoff
    until_true 20 guest_is_on g1 c
    until_true 20 guest_is g3 shutoff
    ok retry --batch 1
    lines_are 'g1: is not on a any more: nothing to do' 'g3: is shut off on a, and stays there: nothing to do'
    comes_to 0
    has 'a: is empty: 1 moved'
    guest g3 a crashed
    until_true 20 guest_is g3 crashed
    ends 1 wait 1
    err_has 'a: Error: is not empty any more: g3 is there now'
    rm "$WORLD/a/g3"
    ok open a
    guests a g4
    plan g4 'hang 0'
    begin anew evacuate a --to b
    until_true 20 is_running g4
    guests a late # it would be found by the look at the end
    ok cancel --batch "$(last batch)"
    comes_to 1
    err_has "late (is not moved: $(id -un) has cancelled the evacuation)"
    runs_on late a
    site_down
}
