#!/usr/bin/env bats
# emptied.bats - a hypervisor is said to be empty when it is, and else it is said what is left on it, and why

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{n1,n2,n3,room,w1,x1,y1,z1,full}
    guest 'Web Server 1' n1 running 60000
    guest bücher n1
    guest vm:01 n1
    guest "it's" n1
    guest 'a; b' n1
    guest plain n1
    guest bücher-2 n2
    guest -lead n3
    guest -both n3
    guest both n3
    WORKER_SLOTS=8 worker_up all n1:'64 GiB':64 n2 n3 room w1 x1 y1 z1 full
    until_true 5 guest_is_seen plain
    ask close n1,n2,n3,room >/dev/null
}
teardown_file() { load common; site_down; }
setup() { load common; }

# Prints the number of the batch.
detach_evacuate() { # CODE HOSTS
    ends "$1" evacuate "$2" --detach --json
    jq 'select(.batch) | .batch' <<<"$output"
}

only_open() { ask close n1,n2,n3,room,w1,x1,y1,z1,full >/dev/null; ask open "$1" >/dev/null; }

@test "a domain whose name no node can have counts, is listed, and stays with the remedy that works" {
    only_open room
    ok guests --host n1
    has '%Web Server 1'
    has '%bücher'
    has '%vm:01'
    ok guests --json
    json '.guests | map(select(.guest == "%Web Server 1"))[0] | .domain == "Web Server 1" and .host == "n1" and .memory == 62914560000'
    ok hosts n1 --json
    json '.hosts[0] | .guests == 6 and .memory_free < 6000000000'
    ends 1 evacuate n1
    is 'plain: migrated to room'
    err_has "%Web Server 1: Error: stays on n1: no node can be called like its domain 'Web Server 1'; give it a node: rmigrate chtab node=NODE 'vm.othersettings=domain:Web Server 1'"
    err_has "%bücher: Error: stays on n1: "
    err_has "%it's: Error: stays on n1: no node can be called like its domain 'it's'; give it a node: rmigrate chtab node=NODE 'vm.othersettings=domain:it'\\''s'"
    err_has "%a; b: Error: stays on n1: no node can be called like its domain 'a; b', and the tables cannot hold that name: move it by hand"
    ends 1 evacuate n1 --plan
    err_has "%vm:01: Error: stays on n1: "
    ends 1 '/%bü.*' room
    err_has "%bücher: Error: stays on n1: no node can be called like its domain 'bücher'"
    ask chtab node=books vm.othersettings=domain:bücher-2
    until_true 5 guest_is_seen books
    ok evacuate n2
    lines_are 'books: migrated to room' 'n2: is empty: 1 moved'
    account_is "batch $(ask jobs -a --limit 1 --json | jq '.jobs[0].batch'): 1 moved; n2 is empty"
    runs_on bücher-2 room
}

@test "a host is not overfilled because of a domain whose name no node can have" {
    only_open n1
    guest wide room running 8000
    until_true 5 guest_is_seen wide
    ends 1 wide n1
    err_has "n1 has too little memory"
    rm "$WORLD/room/wide"
}

@test "a guest whose name begins with a sign of noderanges can be named" {
    only_open room
    ok guests --json -- -lead
    json '.guests | map(.guest) == ["-lead"]'
    ok --to room -- -lead
    is '-lead: migrated to room'
    ok guests '/-lead,both,-both' --json # with a node behind it, it is a sign
    json '.guests | map(.guest) == ["-lead"]'
    ok guests '/-both' --json
    json '.guests | map(.guest) == ["-both"]'
}

# ---- the end of an evacuation

# bats test_tags=slow
@test "evacuate again while it runs waits for the same jobs, and says the same" {
    guest w1 w1
    guest w2 w1
    until_true 5 guest_is_seen w2
    only_open room
    plan w1 'ok 1500'
    begin first evacuate w1
    until_true 5 told '.jobs | any(.guest == "w1" and .phase == "copying")' jobs
    ok evacuate w1
    has "w1: job "
    has "w1: migrated to room"
    has "w1: is empty: 2 moved"
    [ "$(where w1)" = room ]
    comes_to 0
    has "w1: is empty: 2 moved"
    has "w2: migrated to room"
}

# bats test_tags=slow
@test "a guest that comes after the plan is taken along, whoever brings it" {
    guest x1 x1
    until_true 5 guest_is_seen x1
    only_open room
    plan x1 'ok 1000'
    begin late evacuate x1
    until_true 5 told '.jobs | any(.guest == "x1" and .phase == "copying")' jobs
    guest x2 x1
    comes_to 0
    lines_are "x1: migrated to room" "x2: migrated to room" "x1: is empty: 2 moved"
    runs_on x2 room
    ok hosts x1
    matches 'x1 +closed .*: evacuated'
    ok events
    has "is empty: 2 moved"
}

# bats test_tags=slow
@test "a guest that an older job of somebody else does not take, and the evacuation does, is moved: nothing is left" {
    guest older1 w1
    until_true 5 guest_is_seen older1
    only_open room
    plan older1 'fail 1500 fatal 38 boom'
    ask submit older1 room --detach >/dev/null
    until_true 5 is_running older1
    ok evacuate w1
    matches '^older1: job [0-9]+ takes it to room'
    has "older1: migrated to room"
    has "w1: is empty: 1 moved"
    err_has "boom"
    [[ $account == "rmigrate: batch "*": 1 moved; w1 is empty" ]] || wrong account "1 moved; w1 is empty"
    runs_on older1 room
    rm "$WORLD/room/older1"
}

# bats test_tags=slow
@test "what is left is said with why: on the terminal, in JSON, in the history, by wait" {
    guest y1 y1
    guest 'y 2' y1
    until_true 5 guest_is_seen y1
    only_open room
    plan y1 'fail 0 fatal 9 no such thing'
    ends 1 evacuate y1 --json
    local left='is not empty: 0 moved, 2 left, because: %y 2 (stays on y1: no node can be called like its domain'
    jq -se --arg left "$left" 'map(select(.host == "y1"))[0] | (.ok | not) and (.result | startswith($left) and contains("y1 ("))' <<<"$output" >/dev/null || wrong JSON "$left"
    ok events
    has "$left"
    ok hosts y1
    matches 'y1 +closed .*guests are left from its evacuation'
    local batch
    batch=$(ask jobs -a --json | jq '.jobs | map(select(.guest == "y1"))[0].batch')
    ends 1 wait "$batch"
    err_has "y1: Error: $left"
    [[ $account == "rmigrate: batch $batch: 0 moved, 2 left; y1 $left"* ]] || wrong account "2 left"
    rm "$WORLD/y1/y 2"
    until_true 5 told '.hosts[0].guests == 1' hosts y1
    ok evacuate y1
    has "y1: is empty: 1 moved"
}

@test "--detach: the account is given to whoever waits for the batch" {
    guest z1 z1
    until_true 5 guest_is_seen z1
    only_open room
    ok evacuate z1 --detach
    local batch=${output#batch }
    ok wait "${batch%%:*}"
    has "z1: is empty: 1 moved"
    ok evacuate z1 --detach
    is "batch $((${batch%%:*} + 2)): 0 jobs"
    ok wait $((${batch%%:*} + 2))
    is "z1: is empty: 0 moved"
}

@test "nothing is closed when no guest has anywhere to go" {
    ask open n1,n2,n3,room,w1,x1,y1,z1,full >/dev/null
    guest f1 full
    until_true 5 guest_is_seen f1
    ends 1 evacuate n1,n2,n3,room,w1,x1,y1,z1,full
    err_has "full: Error: is not closed, and nothing is moved: no guest has anywhere to go"
    ends 1 evacuate full --to full
    err_has "f1: Error: Unable to identify a suitable target host for guest f1"
    ok hosts --json
    json '.hosts | all(.state == "open")'
    runs_on f1 full
    rm "$WORLD/full/f1"
}

@test "a host that is opened meanwhile is not called empty" {
    guest o1 full
    until_true 5 guest_is_seen o1
    only_open room
    plan o1 'ok 1000'
    begin opened evacuate full
    until_true 5 told '.jobs | any(.guest == "o1" and .phase == "copying")' jobs
    ask open full >/dev/null
    comes_to 1
    err_has "full: Error: was opened by $(id -un) while it was being emptied"
    ok hosts full
    has_not emptying
}

# bats test_tags=slow
@test "an evacuation outlives the broker" {
    rm -f "$WORLD/full/"*
    guest q1 full
    until_true 5 guest_is_seen q1
    only_open room
    plan q1 'ok 1500'
    begin outlives evacuate full
    until_true 5 told '.jobs | any(.guest == "q1" and .phase == "copying")' jobs
    broker_down KILL
    guest q2 full
    broker_up
    comes_to 0
    has "q1: migrated to room"
    has "q2: migrated to room"
    has "full: is empty: 2 moved"
}

@test "the account is the last line, also where both outputs go to one file" {
    guest both1 w1
    until_true 5 guest_is_seen both1
    only_open room
    ask open w1 >/dev/null
    "$BIN/rmigrate" evacuate w1 >"$BATS_TEST_TMPDIR/both" 2>&1
    [ "$(sed -n '$s/: .*//p' "$BATS_TEST_TMPDIR/both")" = rmigrate ] || { cat "$BATS_TEST_TMPDIR/both" >&2; false; }
    rm "$WORLD"/*/both1
}

@test "several batches that are waited for: of each it is said what is left" {
    only_open room
    guest v1 w1
    guest v2 x1
    guest 'v 3' x1
    until_true 5 guest_is_seen v2
    local first second
    first=$(detach_evacuate 0 w1)
    second=$(detach_evacuate 1 x1)
    ends 1 wait "$first" "$second"
    lines_are 'v1: migrated to room' 'w1: is empty: 1 moved' 'v2: migrated to room'
    err_has "rmigrate: batch $first: 1 moved; w1 is empty"
    err_has 'x1: Error: is not empty: 1 moved, 1 left, because: %v 3 ('
    [[ $account == "rmigrate: batch $second: 1 moved, 1 left; x1 is not empty: "* ]] || wrong account "batch $second"
    ends 1 wait "$second" --json
    jq -se 'last | (.ok | not) and .moved == 1 and .left == 1' <<<"$output" >/dev/null || wrong JSON '1 left'
    ends 1 wait "$first" 999999
    is ''
    err_is 'Error: no such batch: 999999'
    rm "$WORLD/x1/v 3"
}

# bats test_tags=slow
@test "a hypervisor that does not answer is in the account, whoever waits for it" {
    only_open room
    guest u1 w1
    until_true 5 guest_is_seen u1
    down x1
    until_true 5 host_is_away x1
    local batch why='may not be empty: 0 moved, but what is left nobody can see: Failed to connect socket: Connection refused'
    batch=$(detach_evacuate 1 w1,x1)
    ends 1 wait "$batch"
    lines_are 'u1: migrated to room' 'w1: is empty: 1 moved'
    err_is "x1: Error: $why"
    account_is "batch $batch: 1 moved; w1 is empty; x1 $why"
    ends 1 evacuate x1
    err_has 'x1: Error: Cannot communicate via libvirt to x1: '
    [[ $account == "rmigrate: batch "*": 0 moved; x1 $why" ]] || wrong account "x1 $why"
    ok hosts x1
    matches 'x1 +unreachable .*: Connection refused; closed by .*: to be evacuated, but its hypervisor does not answer'
    up x1
    until_true 5 host_is_seen x1
}

# bats test_tags=slow
@test "a guest that is refused at first and moved later is no failure" {
    only_open room
    guest block room running 40000
    guest wide w1 running 40000
    guest t1 w1
    until_true 5 guest_is_seen t1
    until_true 5 guest_is_seen block
    plan t1 'ok 1500'
    begin later evacuate w1
    until_true 5 told '.jobs | any(.guest == "t1" and .phase == "copying")' jobs
    rm "$WORLD/room/block"
    until_true 5 told '.guests | all(.guest != "block")' guests
    comes_to 0
    err_has 'wide: Error: Unable to identify a suitable target host for guest wide: '
    has 'w1: is empty: 2 moved'
    [[ $account == *': 2 moved; w1 is empty' ]] || wrong account '2 moved'
    rm "$WORLD/room/"*
}

# bats test_tags=slow
@test "a job that failed, of a guest that has ended meanwhile: the host is empty, and nothing is left there" {
    only_open room
    guest s1 w1
    guest s2 w1
    until_true 5 guest_is_seen s2
    plan s1 'fail 0 fatal 9 no'
    plan s2 'ok 1500'
    begin ended evacuate w1
    until_true 5 told '.jobs | any(.guest == "s2" and .phase == "copying")' jobs
    guest s1 w1 shutoff
    comes_to 1
    [[ $account == *': 1 moved, 1 not moved, because: s1 (no); w1 is empty' ]] || wrong account '1 not moved'
    rm "$WORLD/w1/s1"
}

@test "the account of many: a long reason is cut at a whole character, and all are counted" {
    only_open room
    local long i
    long=$(printf 'ü%.0s' {1..150})
    for i in {10..21}; do
        guest "much-$i" w1
        plan "much-$i" "fail 0 fatal 9 x$long"
    done
    until_true 5 guest_is_seen much-21
    ends 1 evacuate w1 --json
    jq -se 'last | (.result | endswith("ü...); and 4 more")) and .left == 12' <<<"$output" >/dev/null || wrong JSON 'and 4 more'
    has_not '?'
    rm "$WORLD/w1/"*
}

@test "nothing became a job: the last line says so as well" {
    guest r1 w1
    until_true 5 guest_is_seen r1
    ask close room >/dev/null
    ends 1 evacuate w1
    account_is '0 moved, 1 left; w1 is not closed, and nothing is moved: no guest has anywhere to go'
    ends 1 r1
    [[ $account == "rmigrate: 0 moved, 1 left, because: r1 (Unable to identify a suitable target host for guest r1: "* ]] || wrong account "r1"
    ends 1 r1 --json
    jq -se 'last | (.ok | not) and .batch == null and .moved == 0 and .left == 1' <<<"$output" >/dev/null || wrong JSON '1 left'
    ask open room >/dev/null
    rm "$WORLD/w1/r1"
}

# ---- what hosts and reconcile say

# bats test_tags=slow
@test "hosts: emptying is said of a host that is being emptied, and of no other" {
    rm -f "$WORLD/full/"*
    guest p1 full
    guest p2 full
    until_true 5 guest_is_seen p2
    only_open room
    plan p1 'fail 0 fatal 9 no'
    ends 1 evacuate full
    ok open full
    guest p3 full
    until_true 5 guest_is_seen p3
    plan p3 'hang 0'
    detach p3 room
    until_true 5 told '.jobs[0].phase == "copying"' jobs
    ok hosts full
    matches 'full +open'
    ok cancel --all
    until_true 5 nothing_live
}

@test "hosts: SEEN is the time of the last word, not of connecting" {
    local at
    at=$(ask hosts n2 --json | jq '.hosts[0].seen_at')
    guest later n2
    until_true 8 told ".hosts[0].seen_at > $at" hosts n2
    rm "$WORLD/n2/later"
}

@test "reconcile: a guest that nobody shows any more" {
    guest gone n2
    until_true 5 guest_is_seen gone
    ask chtab node=gone vm.host=n2
    rm "$WORLD/n2/gone"
    until_true 8 told '.guests | map(select(.guest == "gone")) | length == 0' guests
    ends 1 reconcile gone
    err_is "gone: Error: vm.host says n2, but no hypervisor that a worker serves has it"
}

@test "a guest that sleeps counts, is named, and is never taken for gone" {
    SITE_AT=$BATS_TEST_TMPDIR/asleep RETRY='50 ms' site_new ''
    mkdir -p "$WORLD"/{s1,s2}
    guest sleeper s1 suspended
    plan sleeper 'refuse 0 fatal 0 guest is suspended to its memory (pmsuspended)'
    broker_up
    worker_up all s1 s2
    until_true 5 guest_is sleeper suspended
    ok hosts s1 --json
    json '.hosts[0].guests == 1'
    ends 1 evacuate s1
    err_has 's1: Error: is not empty: 0 moved, 1 left, because: sleeper ('
    err_has 'pmsuspended'
    runs_on sleeper s1
    site_down
}

# bats test_tags=slow
@test "a guest that has crashed, and is kept, is left" {
    mkdir -p "$WORLD/f1"
    worker_up f1 f1
    guest broken f1 crashed
    until_true 10 guest_is broken crashed
    only_open room
    ask open f1 >/dev/null
    ends 1 evacuate f1
    err_has "broken: Error: has crashed on f1"
    err_has "f1: Error: is not empty: 0 moved, 1 left, because: broken (has crashed on f1"
    rm "$WORLD/f1/broken"
    until_true 10 told '.guests | all(.guest != "broken")' guests
    ok evacuate f1
    end_it f1
}

# bats test_tags=slow
@test "a guest in shutdown has its own word, is not moved, and its end is waited for" {
    SITE_AT=$BATS_TEST_TMPDIR/ending RETRY='50 ms' site_new ''
    mkdir -p "$WORLD"/{e1,e2}
    guest ending e1 in_shutdown
    broker_up
    worker_up all e1 e2
    until_true 5 guest_is ending 'in shutdown'
    ok guests
    matches 'ending +e1 +in shutdown'
    ok evacuate e1 --plan
    matches 'ending +- +- +is in shutdown: its end is waited for'
    begin first evacuate e1
    until_true 5 told '.hosts[0].evacuating' hosts e1
    guest ending e1 shutoff
    comes_to 0
    lines_are 'ending: is in shutdown: its end is waited for' 'e1: is empty: 0 moved'
    told '.jobs | length == 0' jobs -a
    site_down
}

# bats test_tags=slow
@test "a worker that died just before is named to whoever waits without a terminal" {
    only_open room
    ask open w1 >/dev/null
    guest dead1 w1
    until_true 5 guest_is_seen dead1
    end_it all KILL
    begin dead evacuate w1
    until_true 20 grep -q '^rmigrate: waiting for 1 job, none of which runs: dead1: .*w1.* has .*worker' "$OUT.err"
    launch all "$BIN/fakeworker" -c "$SITE/all.conf"
    until_true 60 nothing_live # a request of the one that died may still wait in its daemon for 30 s
    comes_to 0
    has 'w1: is empty: 1 moved'
    [ "$(grep -c 'waiting for' "$OUT.err")" = 1 ]
}
