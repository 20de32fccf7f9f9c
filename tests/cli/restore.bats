#!/usr/bin/env bats
# restore.bats - hypervisors are opened again, and get back what an evacuation has taken from them

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{a1,b1,c1}
    WORKER_SLOTS=8 worker_up all a1:'32 GiB':64 b1:'32 GiB':64 c1:'32 GiB':64
}
teardown_file() { load common; site_down; }
setup() {
    load common
    site_emptied a1 b1 c1
}

# Guests of 4 GiB.
start() { # HOST GUEST...
    local host=$1 one
    shift
    for one; do guest "$one" "$host" running 4096; done
    for one; do until_true 10 guest_is_on "$one" "$host"; done
}
host_is_closed() { told '.hosts[0].state == "closed"' hosts "$1"; }
home_of() { ask guests "$1" --json | jq -r '.guests[0].home'; }

# bats test_tags=slow
@test "what was evacuated comes home, and nothing else" {
    start a1 one1 one2 one3
    start b1 stays1
    ok evacuate a1
    [ "$(home_of one1)" = a1 ]
    [ "$(home_of stays1)" = null ]
    ok restore a1 --plan
    matches 'one2 +[bc]1 +a1 .*can move from [bc]1 to a1'
    has_not stays1
    host_is_closed a1
    runs_on stays1 b1
    ok restore a1
    has "one1: migrated to a1"
    has "a1: open"
    for one in one1 one2 one3; do runs_on "$one" a1; done
    runs_on stays1 b1
    [ "$(home_of one1)" = null ]
    ok hosts a1 --json
    json '.hosts[0].state == "open"'
    ok restore a1
    is "a1: is already open, and no guest is away from it"
}

# bats test_tags=slow
@test "a guest that a job, or somebody, has moved since stays and is named; --all brings it" {
    start a1 two1 two2 two3
    ok evacuate a1 --to b1
    ok two1 c1
    mv "$WORLD/b1/two2" "$WORLD/c1/two2"
    until_true 10 guest_is_on two2 c1
    ok restore a1
    has "two1: was moved from b1 to c1 since, and stays there (--all brings it back too)"
    has "two2: was moved from b1 to c1 since, and stays there (--all brings it back too)"
    runs_on two3 a1
    runs_on two1 c1
    ok restore a1 --all
    runs_on two1 a1
    runs_on two2 a1
}

# bats test_tags=slow
@test "who was evacuated twice comes home to where he was first" {
    start a1 three1
    ok evacuate a1 --to b1
    ok evacuate b1 --to c1
    [ "$(home_of three1)" = a1 ]
    ok restore b1
    is "b1: open, and no guest is away from it"
    ok restore a1
    runs_on three1 a1
}

# bats test_tags=slow
@test "a stranger leaves when his room is needed, and only then" {
    start a1 four1 four2 four3 four4
    start b1 stranger1 stranger2
    ok evacuate a1 --to c1
    ok open a1
    ok 'stranger[1-2]' a1
    guest fat a1 running 16384
    until_true 10 guest_is_on fat a1
    ok restore a1 --plan
    matches 'fat|stranger'
    has "makes room on a1 for four"
    ok restore a1
    for one in four1 four2 four3 four4; do runs_on "$one" a1; done
}

@test "--no-room: no stranger is moved, and whoever has no room is told" {
    start a1 five1
    ok evacuate a1 --to c1
    ok open a1
    guest fat2 a1 running 30720
    until_true 10 guest_is_on fat2 a1
    ends 1 restore a1 --no-room
    err_has "five1: Error: Unable to identify a suitable target host for guest five1: a1 has too little memory"
    runs_on five1 c1
    runs_on fat2 a1
}

# bats test_tags=slow
@test "the way home is known after a restart of the broker; who is gone is not waited for" {
    start a1 six1 six2
    ok evacuate a1 --to b1
    broker_down
    broker_up
    rm "$WORLD/b1/six2"
    until_true 10 told 'any(.guests[]; .guest == "six1")' guests
    until_true 10 told 'all(.guests[]; .guest != "six2")' guests
    ok restore a1
    has "six2: is on no hypervisor any more, and is not waited for at a1"
    runs_on six1 a1
    ok restore a1
    is "a1: is already open, and no guest is away from it"
}

# bats test_tags=slow
@test "a hypervisor that is being emptied, or that nobody reaches, is not opened" {
    start a1 seven1
    plan seven1 'hang 0'
    ask evacuate a1 --detach >/dev/null
    ends 1 restore a1
    err_has "a1: Error: is being emptied: rmigrate cancel --host a1, then rmigrate open a1"
    ask cancel --all >/dev/null
    until_true 10 nothing_live
    until_true 20 told '.hosts | all(.evacuating | not)' hosts
    rm -f "$WORLD/plan/seven1"
    down b1 'Connection refused'
    until_true 10 told '.hosts[] | select(.host == "b1") | .reachable | not' hosts
    ask close b1 >/dev/null
    ends 1 restore b1
    err_has "b1: Error: is not opened: Cannot communicate via libvirt to b1: "
    host_is_closed b1
    up b1
    until_true 10 told '.hosts[] | select(.host == "b1") | .reachable' hosts
}

@test "usage" {
    ends 2 restore
    ends 2 restore a1 --to b1
    err_has "--to has no meaning"
    ends 1 restore nosuch1
}
