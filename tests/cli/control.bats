#!/usr/bin/env bats
# control.bats - what changes jobs and hosts leaves who and why in the history; sets of jobs; names that are no guests

setup_file() {
    load common
    RETRY='50 ms' site_new 'limits: { source = 2; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{hyp01,hyp02}
    local i
    for i in 1 2 3 4 5 6 7 8; do guest "k$i" hyp01; done
    WORKER_SLOTS=2 worker_up all hyp01 hyp02
    until_true 5 guest_is_seen k8
}
teardown_file() { load common; site_down; }
setup() { load common; }

@test "the reason of cancel, pause, resume and retry is in the history, with who" {
    local batch me
    me=$(id -un)
    plan k1 'hang 0'
    plan k2 'hang 0'
    batch=$(detach k[1-3] hyp02)
    until_true 5 phase_is $((batch + 1)) copying
    until_true 5 phase_is $((batch + 2)) copying
    ok pause $((batch + 3)) --reason lunch
    ok show $((batch + 3)) --json
    json ".state == \"waiting\" and .why == \"paused by $me: lunch\""
    ok jobs --state paused --json
    json '.jobs | map(.guest) == ["k3"]'
    ok jobs --state paused,running --json
    json '.jobs | map(.guest) | sort == ["k1", "k2", "k3"]'
    # of a set, those that run are no failure
    ok pause --batch "$batch"
    has "job $((batch + 1)): is running: only a job that waits can be paused"
    ends 1 pause $((batch + 1))
    ok resume --batch "$batch" --reason 'back again'
    has "job $((batch + 1)): is not paused but running"
    ok show $((batch + 3)) --json
    json ".events | any(.by == \"$me\" and .text == \"resumed: back again\")"
    ok cancel --batch "$batch" --reason 'wrong rack'
    ends 1 wait "$batch"
    err_has "k3: Error: cancelled by $me, the guest stays on hyp01"
    ok show $((batch + 1)) --json
    json ".events | any(.by == \"$me\" and .text == \"to be cancelled: wrong rack\")"
    ok show $((batch + 3)) --json
    json ".events | any(.by == \"$me\" and .text == \"to be cancelled: wrong rack\")"
    ok retry --batch "$batch" --reason 'right rack'
    ok wait "$batch"
    ok history k3 --json
    json '.history[0].reason == "right rack"'
}

@test "the reason of close on a closed host replaces the old one, and is in the history" {
    ok close hyp02 --reason one
    ok close hyp02 --reason two
    is "hyp02: is already closed; the reason is another one now"
    ok hosts hyp02
    has "closed by $(id -un): two"
    ok events
    has "closed: two"
    ok close hyp02
    is "hyp02: is already closed"
    ok open hyp02
}

@test "a hypervisor where a guest is meant" {
    ends 1 hyp01 hyp02
    err_is "Error: hyp01 is a hypervisor: rmigrate evacuate hyp01"
    ends 1 k4,hyp01 hyp02
    err_has "hyp01 is a hypervisor: rmigrate evacuate hyp01"
    ask chtab node=hyp01 nodelist.groups=all
    ends 1 hyp01 hyp02
    err_has "hyp01 is a hypervisor: rmigrate evacuate hyp01"
}

@test "a broker on this machine that is not running is told of, however patient the client is" {
    local conf=$BATS_TEST_TMPDIR/conf
    echo "client: { broker = \"ipc://$BATS_TEST_TMPDIR/nobody\"; timeout = \"1 h\"; };" >"$conf"
    ends 3 -c "$conf" ping
    err_is "Error: Unable to reach the broker at ipc://$BATS_TEST_TMPDIR/nobody: nobody listens there; is rmigrate-broker running?"
}

@test "the reason of a second cancel is in the history too" {
    plan k4 'hang 0'
    local job
    job=$(($(detach k4 hyp02) + 1))
    until_true 5 phase_is "$job" copying
    kill -STOP "$(pid_of all)" # it does not answer: the job is being cancelled until it does
    ok cancel "$job" --reason first
    ok cancel "$job" --reason second
    kill -CONT "$(pid_of all)"
    ends 1 wait "$job"
    ok show "$job" --json
    json '[.events[] | .text // ""] | any(. == "to be cancelled: first") and any(. == "to be cancelled: second")'
}

# bats test_tags=slow
@test "show says with what a job runs, how long all tries took, and nothing expected as if it were measured" {
    local job
    plan k5 'fail 200 retry 38 the wire broke' 'hang 0'
    job=$(($(detach k5 hyp02 --bandwidth 100MiB/s --downtime 300ms --timeout 20min --attempts 4 --auto-converge --unsafe --anywhere --ignore-rules) + 1))
    until_true 5 told '.state == "running" and .attempt == 2 and .elapsed > 0' show "$job"
    ok show "$job"
    matches 'Options +bandwidth 100 MiB/s, downtime 300 ms, timeout 20 min, stall [0-9a-z ]+, attempts 4, fence always, auto-converge, unsafe, anywhere, ignore-rules'
    matches "Submitted +.* by $(id -un)"
    matches 'Priority +100'
    matches 'Attempts +2, [0-9.]+ m?s in all'
    ok show "$job" --json
    json '.bandwidth_limit == 104857600 and .timeout == 1200 and .downtime_limit == 0.3 and .attempts == 4'
    json '.auto_converge and .unsafe and .anywhere and .ignore_rules and .fence_mode == "always"'
    json '.downtime == null and .downtime_expected == 0.038 and .elapsed_all > 0.2'
    ok history k5
    has_not '38 ms'
    ok show "$job"
    matches 'Slowed down +by up to 20 % \(auto-converge\)'
    broker_down KILL
    broker_up
    until_true 15 told '.state == "running"' show "$job"
    ok show "$job" --json
    json '.elapsed_all > 0.2 and .bandwidth_limit == 104857600'
    ok cancel "$job"
    ends 1 wait "$job" --json
    json 'first | .elapsed_all > 0.2 and .downtime == null and .downtime_expected == null and .unsafe and .stall == null' -s
}
