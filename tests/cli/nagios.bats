#!/usr/bin/env bats
# nagios.bats - the check of contrib/nagios against the real broker: each status with what makes it so

# bats file_tags=friends

setup_file() {
    load common
    site_new 'limits: { source = 1; destination = 8; };'
    key nagios viewer
    key hyp09 worker
    curve_up
    ask keygen stranger --dir "$SITE/keys" >/dev/null 2>&1
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03}
    guest kvm1 hyp01
    guest kvm2 hyp01
    worker_up all hyp01 hyp02
    worker_up other hyp03
    until_true 5 guest_is_seen kvm2
    client_conf nagios >/dev/null
    client_conf stranger >/dev/null
}
teardown_file() { load common; site_down; }
teardown() { own_site_down; }
setup() {
    load common
    PATH=$BIN:$PATH
}

# The check ends with this status, one line, and figures in the form that Nagios reads.
check() { # STATUS [ARGUMENT...]
    local status_wanted=$1 words=(OK WARNING CRITICAL UNKNOWN)
    shift
    run "-$status_wanted" --separate-stderr "$TREE/contrib/nagios/check_rmigrate" "$@"
    [ "${#lines[@]}" = 1 ] || wrong lines 1
    [ -z "$stderr" ] || wrong stderr ''
    matches "^RMIGRATE ${words[status_wanted]} - [^|]+( \| ([a-z_]+=[0-9.]+s?;[0-9.]*;[0-9.]*;0 ?)+)?\$"
}
figure() { [[ " $output " == *" $1;"* ]] || wrong figure "$1"; }

@test "all is well" {
    check 0
    has '3 hypervisors, 2 guests, 0 unfinished jobs'
    figure hosts=3
    figure hosts_away=0
    figure guests=2
    figure oldest=0s
}

@test "a viewer's key over tcp is enough; one that is not let in is unknown" {
    check 0 --config "$SITE/nagios.conf"
    check 3 --config "$SITE/stranger.conf"
    has 'does not know this key'
}

@test "a client or options that are not there are unknown" {
    check 3 --command /nowhere/rmigrate
    check 3 --config /nowhere/rmigrate.conf
    check 3 --warning soon
    check 3 -w -5
    check 3 --what
    run -0 "$TREE/contrib/nagios/check_rmigrate" --help
    has 'critical:'
}

@test "what the client cannot have said is unknown" {
    printf '#!/bin/sh\necho "{}"\n' >"$BATS_TEST_TMPDIR/rmigrate"
    chmod +x "$BATS_TEST_TMPDIR/rmigrate"
    check 3 --command "$BATS_TEST_TMPDIR/rmigrate"
}

@test "a job that waits too long: a warning, then critical; a paused one does not" {
    plan kvm1 hang
    ask submit --detach kvm1,kvm2 hyp02 >/dev/null # one at a time leaves hyp01
    until_true 5 is_running kvm1
    sleep 1.1
    check 0
    figure jobs=2
    figure jobs_running=1
    figure jobs_waiting=1
    check 1 -w 1
    matches 'job [0-9]+ has waited for [1-9][0-9]* s: kvm2'
    matches ' oldest=[1-9][0-9]*s;1;;0'
    check 2 -w 0.5 -c 1
    check 0 -w 1m -c 1h
    matches ' oldest=[1-9][0-9]*s;60;3600;0'
    ask pause --guests kvm2 >/dev/null
    check 0 -w 1
    figure jobs_waiting=0
    figure jobs_paused=1
    ask cancel --all >/dev/null
    until_true 5 nothing_live
}

@test "a hypervisor that does not answer, and one without worker, are warnings" {
    down hyp02 'Connection reset by peer'
    until_true 10 host_is_away hyp02
    check 1
    has '1 hypervisor is away: hyp02 does not answer ('
    has 'Connection reset by peer'
    end_it other KILL
    until_true 10 host_has_no_worker hyp03
    check 1
    has '2 hypervisors are away: '
    has 'hyp03 has no worker'
    figure hosts_away=2
    ask close hyp02,hyp03 >/dev/null
    check 1
    check 0 --ignore-closed
    ask open hyp02,hyp03 >/dev/null
    up hyp02
    worker_up other hyp03
    until_true 10 host_is_seen hyp02
    check 0
}

# bats test_tags=slow
@test "a guest that is locked is critical, and stands before what is not" {
    SITE_AT=$BATS_TEST_TMPDIR/site
    site_new
    broker_up
    mkdir -p "$WORLD"/{hyp01,hyp02}
    guest kvm1 hyp01
    worker_up all hyp01 hyp02
    until_true 5 guest_is_seen kvm1
    plan kvm1 vanish
    ask submit --detach kvm1 hyp02 >/dev/null
    until_true 20 told '.guests[0].locked' guests kvm1
    check 2
    matches '^RMIGRATE CRITICAL - 1 guest is locked: kvm1 \('
    figure guests_locked=1
    end_it all KILL
    until_true 10 host_has_no_worker hyp01
    check 2
    matches '^RMIGRATE CRITICAL - 1 guest is locked: kvm1 .*; 2 hypervisors are away: '
}

# bats test_tags=slow
@test "a guest in doubt is critical" {
    SITE_AT=$BATS_TEST_TMPDIR/site
    site_new
    broker_up
    mkdir -p "$WORLD"/{hyp01,hyp02}
    guest kvm1 hyp01
    worker_up all hyp01 hyp02
    until_true 5 guest_is_seen kvm1
    plan kvm1 hang
    ask submit --detach kvm1 hyp02 >/dev/null
    until_true 5 is_running kvm1
    end_it all KILL
    until_true 10 told 'any(.jobs[]; .state == "doubt")' jobs
    check 2
    has '1 guest is in doubt: kvm1'
    figure jobs_doubt=1
}

# bats test_tags=slow
@test "a broker that is not there, or does not answer in time, is critical" {
    SITE_AT=$BATS_TEST_TMPDIR/site
    site_new
    broker_up
    kill -STOP "$(pid_of broker)"
    check 2 -t 1
    has 'did not answer hosts within 1 s'
    kill -CONT "$(pid_of broker)"
    check 0
    broker_down
    check 2
    has 'Unable to reach the broker'
}
