#!/usr/bin/env bats
# local.bats - rmigrate --local on real hypervisors, where nothing of rmigrate runs

load common

setup_file() {
    "$LAB" up 2
    HYPS=2
    export HOME_THERE
    HOME_THERE=$("$LAB" dir)/local
    mkdir -p "$HOME_THERE"
}
teardown_file() { "$LAB" down; }

there() { "$LAB" exec hyp01 env -u RMIGRATE_CONF HOME="$HOME_THERE" XDG_STATE_HOME="$HOME_THERE" "$BIN/rmigrate" "$@"; }

@test "a running guest is moved by nothing but two URIs, its hypervisor emptied, and it is unharmed" {
    HYPS=2
    "$LAB" guest lo1 hyp01 fill=8 ws=2 rate=512
    "$LAB" guest lo2 hyp01 fill=8
    run --separate-stderr there --local lo1 qemu+tcp://hyp02/system
    echo "$output" "$stderr"
    [ "$status" -eq 0 ]
    [ "$output" = "lo1: migrated to hyp02" ]
    runs_only_on lo1 hyp02
    run --separate-stderr there evacuate --local qemu+tcp://hyp01/system --to qemu+tcp://hyp02/system
    echo "$output" "$stderr"
    [ "$status" -eq 0 ]
    [[ $output == *"hyp01: is empty: 1 moved"* ]]
    runs_only_on lo2 hyp02
    run --separate-stderr there --local lo1 qemu+tcp://hyp01/system --from qemu+tcp://hyp02/system
    [ "$status" -eq 0 ]
    runs_only_on lo1 hyp01
    ! pgrep -f "rmigrate-(broker|worker) -c $HOME_THERE/"
}

# bats test_tags=slow
@test "worker and command killed in the middle: the next command finds out, and the guest runs once, unharmed" {
    HYPS=2
    "$LAB" guest lo3 hyp01 fill=64 ws=8 rate=1024
    "$LAB" shape hyp01 100mbit
    rm -f "$HOME_THERE/rmigrate/rmigrate-worker.log"
    there --local lo3 qemu+tcp://hyp02/system >"$BATS_TEST_TMPDIR/said" 2>&1 3>&- 4>&- &
    until_true 60 grep -qs begun "$HOME_THERE/rmigrate/rmigrate-worker.log" || { cat "$BATS_TEST_TMPDIR/said"; false; }
    sleep 1
    pgrep -f "^$BIN/rmigrate --local lo3" | xargs kill -KILL
    pgrep -f "^rmigrate-(broker|worker) -c $HOME_THERE/" | xargs -r kill -KILL
    "$LAB" shape hyp01 off
    run --separate-stderr there --local lo3 qemu+tcp://hyp02/system
    echo "$output" "$stderr"
    [ "$status" -eq 0 ]
    runs_only_on lo3 hyp02
    "$LAB" check -w lo3
}
