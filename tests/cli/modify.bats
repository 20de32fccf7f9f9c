#!/usr/bin/env bats
# modify.bats - other limits for jobs, those that run included, and another priority

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
teardown() {
    rm -f "$WORLD"/*/.old "$WORLD"/plan/*
    ask cancel --all >/dev/null 2>&1 || :
    until_true 10 nothing_runs
}
nothing_runs() { [ -z "$(ask jobs --noheadings)" ]; }

# Begins a move that lasts, and says its job.
running() { # GUEST PLAN [OPTION...]
    local job
    plan "$1" "$2"
    job=$(($(detach "$1" hyp02 "${@:3}") + 1))
    until_true 5 phase_is "$job" copying
    echo "$job"
}

# bats test_tags=slow
@test "a migration that runs is sped up and arrives; who, from what, to what and why is in the history" {
    local job me
    me=$(id -un)
    job=$(running k1 'crawl 0' --bandwidth 1MiB/s)
    until_true 5 told '.rate == 1048576' show "$job"
    ok modify "$job" bandwidth=100MiB/s --reason 'the link is free'
    is "job $job: bandwidth from 1.00 MiB/s to 100 MiB/s (k1)"
    ok wait "$job"
    has 'k1: migrated to hyp02'
    ok show "$job" --json
    json ".bandwidth_limit == 104857600 and .attempt == 1"
    json ".events | any(.by == \"$me\" and .text == \"bandwidth from 1.00 MiB/s to 100 MiB/s: the link is free\")"
}

@test "timeout and stall of a migration that runs change, measured from its beginning; its options are shown" {
    local job
    job=$(running k2 'hang 0' --attempts 1)
    ok modify --guests k2 TIMEOUT=2h stall=90s downtime=1s
    is "job $job: downtime from unset to 1 s, timeout from 1 h to 2 h, stall from 3 min to 1 min 30 s (k2)"
    ok show "$job" --json
    json '.timeout == 7200 and .stall == 90 and .downtime_limit == 1 and .state == "running"'
    sleep 0.3
    ok modify "$job" --timeout 200ms
    ends 1 wait "$job"
    err_has 'k2 from hyp01 to hyp02: not finished after 200 ms (setting timeout), stopped'
}

@test "a later try, and a job that tries again, have what was changed, also after a restart of the broker" {
    local job
    plan k3 'hang 0' 'hang 0'
    job=$(($(detach k3 hyp02) + 1))
    until_true 5 phase_is "$job" copying
    ok modify "$job" bandwidth=3MiB/s priority=7
    has "; it runs, and its priority counts for a later try"
    broker_down KILL
    broker_up
    until_true 15 told '.state == "running" and .bandwidth_limit == 3145728 and .priority == 7' show "$job"
    until_true 5 told '.rate == 3145728' show "$job"
    ok cancel "$job"
    ends 1 wait "$job"
    ok retry "$job" --json
    job=$(printf '%s' "$output" | jq -r '.results[0].job')
    until_true 5 told '.state == "running" and .bandwidth_limit == 3145728 and .rate == 3145728 and .priority == 7' show "$job"
}

@test "jobs that wait change: their options, and the order of the queue; a set says each its own" {
    local batch
    plan k1 'hang 0'
    plan k4 'hang 0'
    plan k5 'hang 0'
    batch=$(detach k4,k5,k6,k7 hyp02)
    until_true 5 phase_is $((batch + 1)) copying
    until_true 5 phase_is $((batch + 2)) copying
    ok pause $((batch + 3))
    ok modify --batch "$batch" priority=50 timeout=10min
    has "job $((batch + 1)): timeout from 1 h to 10 min, priority from 100 to 50 (k4); it runs, and its priority counts for a later try"
    has "job $((batch + 3)): timeout from 1 h to 10 min, priority from 100 to 50 (k6)"
    ok modify $((batch + 4)) priority=60
    ok resume $((batch + 3))
    ok modify $((batch + 4)) priority=1
    ok modify $((batch + 4)) priority=1
    is "job $((batch + 4)): is so already (k7)"
    plan k6 'hang 0'
    plan k7 'hang 0'
    ok cancel $((batch + 1))
    until_true 5 phase_is $((batch + 4)) copying
    ok show $((batch + 3)) --json
    json '.state == "queued" and .priority == 50 and .timeout == 600'
    ok modify --host hyp01 priority=20 --json
    json '.results | length == 3 and all(.ok)'
}

@test "a worker that cannot do it is told of: the record is changed, the try that runs is not" {
    local job
    job=$(running k8 'hang 0')
    touch "$WORLD/hyp01/.old"
    ends 1 modify "$job" bandwidth=5MiB/s
    err_is "job $job: Error: bandwidth from unset to 5.00 MiB/s for a later try (k8), not confirmed for the one that runs. Failed: this hypervisor cannot do that"
    ok show "$job" --json
    json '.bandwidth_limit == 5242880 and .rate != 5242880'
    json '.events | any(.text == "the new limits are not confirmed for this try: this hypervisor cannot do that")'
    rm "$WORLD/hyp01/.old"
    ok modify "$job" bandwidth=5MiB/s
    is "job $job: is so already (k8)"
    until_true 5 told '.rate == 5242880' show "$job"
}

# bats test_tags=slow
@test "what cannot be changed is said, with what to do" {
    local job
    job=$(running k6 'hang 0')
    ends 1 modify "$job" max_total=5
    err_has "which is no guest of z/VM"
    kill -STOP "$(pid_of all)"
    local next=$(($(detach k7 hyp02) + 1))
    until_true 5 state_is "$next" assigned
    ends 1 modify "$next" timeout=5min
    err_is "job $next: Error: is about to be begun by its worker: try again in a moment"
    ok cancel "$job"
    ends 1 modify "$job" timeout=5min
    err_is "job $job: Error: is being stopped: then retry submits it again, and that job can be changed"
    until_true 10 state_is "$job" doubt
    ends 1 modify "$job" timeout=5min
    err_is "job $job: Error: is in doubt: try again when it is known where the guest is"
    kill -CONT "$(pid_of all)"
    ends 1 wait "$job"
    ends 1 modify "$job" timeout=5min
    err_has "is already cancelled"
    ends 1 modify --batch $((job - 1)) timeout=5min
    err_is "Error: no unfinished job matches"
    ends 2 modify "$job" timeout=5
    err_has "--timeout: "
    ends 2 modify "$job" timeout=0
    err_has "must be more than 0"
    ends 2 modify "$job" foo=1
    err_has "known operands are bandwidth, downtime, timeout, stall, priority, max_total and max_quiesce"
    ends 2 modify "$job" max_total=5 timeout=5min
    err_has "give them alone"
    ends 2 modify "$job"
    err_has "specify bandwidth="
}
