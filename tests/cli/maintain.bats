#!/usr/bin/env bats
# maintain.bats - hypervisors one after the other: emptied, worked on by a command, opened, and their guests home

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{m1,m2,m3}
    for host in m1 m2 m3; do WORKER_SLOTS=8 worker_up $host $host:'16 GiB':64; done
}
teardown_file() { load common; site_down; }
setup() {
    load common
    site_emptied m1 m2 m3
    DONE=$BATS_TEST_TMPDIR/done
    : >"$DONE"
    local host
    for host in m1 m2 m3; do
        guest on-$host $host running 2048
        until_true 10 guest_is_on on-$host $host
    done
}
# Writes which hypervisor it is, and how many guests are there.
COMMAND='echo "$RMIGRATE_HOST $(ls "$WORLD/$RMIGRATE_HOST" | wc -l)" >>"$DONE"'
maintain() { # CODE ARGUMENT...
    export WORLD DONE
    ends "$1" maintain "${@:2}"
}
all_home() { for host in m1 m2 m3; do runs_on on-$host $host; done; }
is_closed() { told '.hosts[0].state == "closed"' hosts "$1"; }

# bats test_tags=slow
@test "each is empty while its command runs, and has its guests again before the next one" {
    maintain 0 m1,m2 --run "$COMMAND; [ \$RMIGRATE_HOST != m2 ] || [ -e \"\$WORLD/m1/on-m1\" ]" --reason kernel
    [ "$(cat "$DONE")" = $'m1 0\nm2 0' ] || wrong "the commands" "$(cat "$DONE")"
    all_home
    has 'm1: maintained'
    has 'm2: maintained'
    ok hosts --json
    json 'all(.hosts[]; .state == "open")'
    ok history on-m1 --json
    json '.history[0].reason == "kernel"'
}

# bats test_tags=slow
@test "several at once are empty together" {
    maintain 0 m1,m2 --at-once 2 --run "$COMMAND; sleep 0.2; sort \"\$DONE\" | tr '\n' ' ' >\"\$DONE.\$RMIGRATE_HOST\""
    [ "$(cat "$DONE.m1")" = 'm1 0 m2 0 ' ] || wrong "both" "$(cat "$DONE.m1")"
}

# bats test_tags=slow
@test "a command that fails ends it: its hypervisor stays closed and empty, the others as they were" {
    maintain 1 m1,m2,m3 --run "$COMMAND; [ \$RMIGRATE_HOST != m2 ]"
    err_has 'm2: Error: the command ended with 1'
    err_has 'rmigrate: stopped at m2, 1 of 3 are done; to go on: rmigrate maintain m2,m3 --run ...; to leave it: rmigrate restore m2'
    is_closed m2
    [ -z "$(ls "$WORLD/m2")" ]
    runs_on on-m3 m3
    runs_on on-m1 m1
    maintain 0 m2,m3 --run "$COMMAND" # what it says is true
    all_home
    ok hosts --json
    json 'all(.hosts[]; .state == "open")'
}

@test "one that cannot be emptied is left as it is, before anything has moved" {
    guest huge m2 running 20000
    until_true 10 guest_is_on huge m2
    maintain 1 m2 --run "$COMMAND"
    err_has 'huge: Error: '
    err_has 'stopped at m2, 0 of 1 are done'
    runs_on on-m2 m2
    ok hosts m2 --json
    json '.hosts[0].state == "open"'
    [ ! -s "$DONE" ]
}

# bats test_tags=slow
@test "one that does not come back ends it, and --reboots waits for another process of its worker" {
    maintain 1 m1,m2 --back-within 2s --run 'echo away >"$WORLD/$RMIGRATE_HOST/.down"; sleep 1'
    err_has 'm1: Error: is not back within 2 s; it stays closed'
    up m1
    until_true 15 host_is_seen m1
    is_closed m1
    export DONE
    maintain 1 m1 --back-within 2s --reboots --run true
    err_has 'm1: Error: is not back within 2 s; it stays closed'
    begin work maintain m1 --reboots --run "$COMMAND; until [ -e \"\$DONE.up\" ]; do sleep 0.1; done"
    until_true 10 test -s "$DONE"
    end_it m1
    WORKER_SLOTS=8 worker_up m1 m1:'16 GiB':64
    touch "$DONE.up"
    comes_to 0
    has 'm1: maintained'
    all_home
}

# bats test_tags=slow
@test "it goes on over a restart of the broker, and waits where somebody has paused the next one" {
    export WORLD DONE
    ask pause --host m2 --reason lunch >/dev/null
    begin work maintain m1,m2 --to m3 --run "$COMMAND; [ \$RMIGRATE_HOST != m1 ] || kill -KILL $(pid_of broker); sleep 1"
    until_true 10 test -s "$DONE"
    until_true 5 has_ended "$(pid_of broker)"
    broker_up
    until_true 30 grep -q 'before m2: .*lunch.*; waiting for that' "$BATS_TEST_TMPDIR/work.err"
    [ "$(cat "$DONE")" = 'm1 0' ]
    ask resume --host m2 >/dev/null
    comes_to 0
    [ "$(cat "$DONE")" = $'m1 0\nm2 0' ] || wrong "both" "$(cat "$DONE")"
    all_home
}

@test "a plan names the order and changes nothing; what is wrong with a line is said" {
    maintain 0 m1,m2 --plan
    matches '^1\. m1: empty, run the command'
    matches 'on-m1 +m1 +m[23]'
    matches '2\. m2: empty, run the command'
    all_home
    maintain 2 m1
    err_has '--run says what is done'
    maintain 2 m1 --run true --detach
    err_has 'cannot be detached'
    ask close m3 --reason broken >/dev/null
    maintain 1 m3 --run true
    err_has 'm3: Error: is closed ('
    err_has 'broken), and would be opened at the end: rmigrate open m3, or leave it out'
    maintain 1 nowhere --run true
    err_has 'nowhere'
}
