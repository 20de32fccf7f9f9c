#!/usr/bin/env bats
# local.bats - rmigrate --local: moves without a broker, on hypervisors that are directories
#
# With real libvirtd and QEMU: tests/lab/local.bats.

load common

# The programs beside each other, the worker being the real one over directories.
setup() {
    export XDG_STATE_HOME=$BATS_TEST_TMPDIR WORLD=$BATS_TEST_TMPDIR/w SITE=$BATS_TEST_TMPDIR/site
    LOCAL=$XDG_STATE_HOME/rmigrate
    unset RMIGRATE_CONF
    mkdir -p "$WORLD/h1" "$WORLD/h2" "$WORLD/h3" "$WORLD/plan" "$BATS_TEST_TMPDIR/bin" "$SITE/log"
    ln "$BIN/rmigrate" "$BIN/rmigrate-broker" "$BATS_TEST_TMPDIR/bin/" 2>/dev/null ||
        cp "$BIN/rmigrate" "$BIN/rmigrate-broker" "$BATS_TEST_TMPDIR/bin/"
    cp "$BIN/fakeworker" "$BATS_TEST_TMPDIR/bin/rmigrate-worker"
    BIN=$BATS_TEST_TMPDIR/bin
    H1=h1=fake://$WORLD/h1 H2=h2=fake://$WORLD/h2 H3=h3=fake://$WORLD/h3
}
# Whatever was started has ended, and no sanitizer has complained.
teardown() {
    until_true 10 nothing_runs
    ! grep -nE 'AddressSanitizer|LeakSanitizer|runtime error:' "$LOCAL"/*.log >&2
}
nothing_runs() { ! pgrep -f "^rmigrate-(broker|worker) -c $LOCAL/" >/dev/null; }
settled() { [ -n "$(where "$1")" ] && [ "$(where "$1")" = "$2" ]; }

@test "a guest is moved without a broker, and nothing stays but the store" {
    guest vm1 h1
    ok --local vm1 "$H2" --from "$H1"
    is "vm1: migrated to h2"
    account_is "batch 1: 1 moved"
    runs_on vm1 h2
    nothing_runs
    run "$BATS_TEST_TMPDIR/bin/rmigrate" ping
    [ "$status" -eq 3 ]
    ok --local vm1 "$H1" --from "$H2" # and back, by the same store
    runs_on vm1 h1
}

# bats test_tags=slow
@test "a hypervisor is emptied, its guests spread over several, and it is a destination again afterwards" {
    local i
    for i in 1 2 3 4; do guest "ev$i" h1; done
    ok evacuate --local "$H1" --to "$H2,$H3"
    has "h1: is empty: 4 moved"
    account_is "batch 1: 4 moved; h1 is empty"
    [ -z "$(ls "$WORLD/h1")" ] && [ -n "$(ls "$WORLD/h2")" ] && [ -n "$(ls "$WORLD/h3")" ]
    ok --local "$(ls "$WORLD/h2" | head -n 1)" "$H1" --from "$H2"
    [ "$(ls "$WORLD/h1" | wc -l)" -eq 1 ]
}

@test "what is left makes exit status 1, as with a broker" {
    guest st1 h1
    guest st2 h1 paused
    plan st1 "fail 10 fatal 38 cannot be moved"
    ends 1 evacuate --local "$H1" --to "$H2"
    err_has "cannot be moved"
    runs_on st1 h1
    runs_on st2 h2
    [[ $account == *"1 moved, 1 left; h1 is not empty"* ]]
}

# bats test_tags=slow
@test "names: of addresses, and of letters alone" {
    ends 1 --local vm1 'qemu+tcp://127.0.0.1:1/system,qemu+tcp://127.0.0.2:1/system,qemu+tcp://root@[::1]:1/system' --from "$H1"
    err_has "Error: 127.0.0.1: "
    grep -qF 'name = "127.0.0.2"' "$LOCAL/rmigrate.conf"
    grep -qF 'name = "__1"' "$LOCAL/rmigrate.conf"
    guest le1 h1
    ok --local le1 "other=fake://$WORLD/h2" --from "$H1"
    is "le1: migrated to other"
}

# bats test_tags=slow
@test "what an earlier command has not done is not done now, and what it has begun is waited for" {
    local i
    for i in 1 2 3 4; do
        guest "ea$i" h1
        plan "ea$i" "ok 2000"
    done
    begin it --local 'ea[1-4]' "$H2" --from "$H1"
    until_true 10 grep -q "begun" "$LOCAL/rmigrate-worker.log"
    kill -KILL "$(cat "$OUT.pid")"
    until_true 20 nothing_runs
    runs_on ea3 h1
    guest ea5 h1
    ok --local ea5 "$H2" --from "$H1"
    err_has "of an earlier command: job 4 cancelled; ea3 stays on h1"
    runs_on ea5 h2
    runs_on ea3 h1
    runs_on ea4 h1
    # Both programs killed, and nobody to start them again: it is found out where the guest is.
    plan ea3 "hang 60000"
    rm "$LOCAL/rmigrate-worker.log"
    begin it --local ea3 "$H2" --from "$H1"
    until_true 10 grep -q "begun" "$LOCAL/rmigrate-worker.log"
    killed
    ok --local ea3 "$H2" --from "$H1"
    err_has "waiting for what an earlier command has begun: ea3: "
    runs_on ea3 h2
}
killed() {
    # One of them may end meanwhile.
    pgrep -f "^$BIN/rmigrate .*--local" | xargs kill -KILL || :
    pgrep -f "^rmigrate-(broker|worker) -c $LOCAL/" | xargs -r kill -KILL || :
    until_true 10 nothing_runs
}

# bats test_tags=slow
@test "hypervisors of earlier commands are no destinations, and their guests are told at once" {
    guest he1 h1
    guest he2 h3
    ok --local he1 "$H3" --from "$H1"
    ok --local he1 "$H1" --from "$H3" --anywhere
    # The first of them fits only where it went before.
    plan he1 "fail 10 unfit 38 has no room"
    ends 1 --local he1 "$H2" --from "$H1" --anywhere
    runs_on he1 h1
    ends 1 --local he2 "$H2" --from "$H1"
    err_has "Cannot communicate via libvirt to h3, where it was last seen"
    ok --local he1 "$H3" --from "$H1" # which is open again
    runs_on he1 h3
}

# bats test_tags=slow
@test "a broker or a worker that is killed is started again, and the guest is moved" {
    local name
    for name in broker worker; do
        guest "ks$name" h1
        plan "ks$name" "ok 2000"
        rm -f "$LOCAL/rmigrate-worker.log"
        begin "$name" --local "ks$name" "$H2" --from "$H1"
        until_true 10 grep -q "begun" "$LOCAL/rmigrate-worker.log"
        pkill -KILL -f "^rmigrate-$name -c $LOCAL/"
        until_true 90 test -s "$OUT.code"
        comes_to 0
        runs_on "ks$name" h2
    done
}

# bats test_tags=slow
@test "a signal to all that is called rmigrate is an interruption, and nothing stays behind" {
    guest sa1 h1
    plan sa1 "hang 60000"
    begin it --local sa1 "$H2" --from "$H1"
    until_true 10 grep -q "begun" "$LOCAL/rmigrate-worker.log"
    pkill -TERM -f "^$BIN/rmigrate .*--local"
    comes_to 143
    [[ $stderr == *"sa1: Error: cancelled"* ]] || wrong stderr cancelled
    runs_on sa1 h1
    nothing_runs
}

# bats test_tags=slow
@test "a broker that does not come again ends the command, which says so" {
    guest gb1 h1
    plan gb1 "hang 60000"
    begin it --local gb1 "$H2" --from "$H1"
    until_true 10 grep -q "begun" "$LOCAL/rmigrate-worker.log"
    rm "$BIN/rmigrate-broker"
    pkill -KILL -f "^rmigrate-broker -c $LOCAL/"
    comes_to 3
    [[ $stderr == *"Error: the broker of --local has ended: whether guests have moved is to be looked at there"* ]] ||
        wrong stderr "its end"
    pkill -f "^rmigrate-worker -c $LOCAL/" || :
}

# bats test_tags=slow
@test "what others could have put there is not followed, and what is set for others is not used" {
    mkdir -m 777 "$LOCAL"
    ends 1 --local po1 "$H2" --from "$H1"
    err_has "$LOCAL: others may write to it (mode 0777); chmod 700"
    rmdir "$LOCAL"
    mkdir "$BATS_TEST_TMPDIR/elsewhere"
    ln -s elsewhere "$LOCAL"
    ends 1 --local po1 "$H2" --from "$H1"
    err_is "Error: $LOCAL: is not a directory"
    [ -z "$(ls "$BATS_TEST_TMPDIR/elsewhere")" ]
    rm "$LOCAL"
    XDG_STATE_HOME="$BATS_TEST_TMPDIR/a b" ends 1 --local po1 "$H2" --from "$H1"
    err_has "a b/rmigrate: no socket can be there; set XDG_STATE_HOME to a path of less than "
    guest po1 h1
    export RMIGRATE_BROKER=ipc://$BATS_TEST_TMPDIR/none RMIGRATE_CONF=/nonexistent NOTIFY_SOCKET=/nonexistent
    ok --local po1 "$H2" --from "$H1"
    runs_on po1 h2
}

# bats test_tags=slow
@test "a plan and a dry run change nothing" {
    guest pl1 h1
    ok evacuate --local "$H1" --to "$H2" --plan
    has "pl1"
    ok --local pl1 "$H2" --from "$H1" --dry-run
    runs_on pl1 h1
}

@test "what is not a URI, no destination and what nobody could find are refused before anything starts" {
    ends 2 --local vm1
    err_is "Error: with --local a destination is needed, as qemu+ssh://hyp02/system"
    ends 2 --local vm1 hyp02
    err_has "with --local a hypervisor is a URI of libvirt, or NAME=URI"
    ends 2 --local vm1 qemu:///system
    err_has "the source's libvirtd cannot find this machine by it"
    ends 2 --local vm1 "$H2,h2=fake://$WORLD/h3" --from "$H1"
    err_has "two hypervisors are called h2; NAME=URI gives one another name"
    ends 2 --local vm1 "$H2" --detach
    err_has "--detach and --local exclude each other"
    ends 2 --local vm1 'qemu+ssh://a"b/system'
    err_has "not a name and a URI"
    local uri
    for uri in qemu+unix:///system 'qemu:///system?socket=/x' qemu+ssh:///session; do
        ends 2 --local vm1 "$uri"
        err_has "the source's libvirtd cannot find this machine by it"
    done
    for uri in '12=qemu+ssh://a/system' 'x[1-2]=qemu+ssh://a/system' 'qemu+ssh://a b/system'; do
        ends 2 --local vm1 "$uri"
        err_has "not a name and a URI"
    done
    ends 2 --local vm1 'a=qemu+ssh://hyp/system,b=qemu+tls://root@HYP/system'
    err_is "Error: a and b are the same hypervisor: qemu+tls://root@HYP/system"
    ends 2 --local vm1 "qemu+ssh://hyp/system,h2=fake://$WORLD/h2,H2=fake://$WORLD/h3"
    err_has "two hypervisors are called H2"
    [ ! -e "$LOCAL" ]
}

# bats test_tags=slow
@test "a hypervisor that does not answer is named, with what it says" {
    down h2 "Failed to connect socket: Connection refused"
    guest na1 h1
    ends 1 --local na1 "$H2" --from "$H1"
    err_has "Error: h2: "
    err_has "Connection refused"
    runs_on na1 h1
}

# bats test_tags=slow
@test "Ctrl-C cancels what runs, and the guest stays" {
    guest cc1 h1
    plan cc1 "hang 60000"
    begin it --local cc1 "$H2" --from "$H1"
    until_true 10 grep -q "begun" "$LOCAL/rmigrate-worker.log"
    kill -INT "$(cat "$OUT.pid")"
    comes_to 130
    [[ $stderr == *"cc1: Error: cancelled"* ]] || wrong stderr cancelled
    runs_on cc1 h1
}

# bats test_tags=slow
@test "of a command that is killed the migration is seen to its end, and then nothing runs" {
    guest ki1 h1
    guest ki2 h1
    plan ki1 "ok 3000"
    begin it --local ki1 "$H2" --from "$H1"
    until_true 10 grep -q "begun" "$LOCAL/rmigrate-worker.log"
    ends 1 --local ki2 "$H2" --from "$H1"
    err_has "another rmigrate --local is at work"
    kill -KILL "$(cat "$OUT.pid")"
    ends 1 --local ki2 "$H2" --from "$H1"
    until_true 20 nothing_runs
    settled ki1 h2
    ok --local ki2 "$H2" --from "$H1"
    runs_on ki2 h2
    ok --local ki1 "$H1" --from "$H2"
    runs_on ki1 h1
}

# bats test_tags=slow
@test "a program that is not installed, and a broker that does not start, are told" {
    guest no1 h1
    mkdir "$LOCAL"
    echo nonsense >"$LOCAL/store" # a store that is none
    ends 1 --local no1 "$H2" --from "$H1"
    err_has "the broker of --local does not start"
    err_has "$LOCAL/store"
    rm "$LOCAL/store" "$BIN/rmigrate-worker"
    [ ! -x /usr/sbin/rmigrate-worker ] || skip "rmigrate is installed on this system"
    ends 1 --local no1 "$H2" --from "$H1"
    err_is "Error: rmigrate-worker is not installed, which --local needs"
}
