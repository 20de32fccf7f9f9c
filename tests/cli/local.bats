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
    [ ! -e "$LOCAL" ]
}

@test "a hypervisor that does not answer is named, with what it says" {
    down h2 "Failed to connect socket: Connection refused"
    guest na1 h1
    ends 1 --local na1 "$H2" --from "$H1"
    err_has "Error: h2: "
    err_has "Connection refused"
    runs_on na1 h1
}

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
