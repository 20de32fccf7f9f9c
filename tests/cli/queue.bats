#!/usr/bin/env bats
# queue.bats - jobs that wait: order, limits, pause, resume, cancel, retry, and how they are shown

setup_file() {
    load common
    RETRY='5 min' site_new 'limits: { source = 1; destination = 8; }; attempts = 2;'
    broker_up
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03}
    local i
    for i in $(seq -w 1 40); do guest "kvm$i" hyp01; done
    worker_up all hyp01 hyp02 hyp03
}
teardown_file() { load common; site_down; }
setup() {
    load common
    ask cancel --all >/dev/null 2>&1 || :
    until_true 5 nothing_live
}

me() { id -un; }

# A guest whose migration lasts until it is cancelled takes the one slot; the number of its job is in BLOCK.
block() { # GUEST
    plan "$1" 'hang 0'
    BLOCK=$(($(detach "$1" hyp02) + 1))
    until_true 5 state_is "$BLOCK" running
}
unblock() { ask cancel "$BLOCK" >/dev/null; }

# ---- order

@test "a job that has to wait says why" {
    block kvm01
    local job=$(($(detach kvm02 hyp02) + 1))
    ok jobs
    matches "kvm02 +queued"
    has "1 of 1 migrations from hyp01 are running"
    ok queue hyp01
    matches "hyp01 +open +[0-9]+ +1 +1"
    has "1 of 1 migrations from hyp01 are running"
    ok show "$job" --json
    json '.state == "queued" and (.why | test("1 of 1"))'
    unblock
    ok wait "$job"
    is "kvm02: migrated to hyp02"
}

@test "lower priorities come first, then the older ones" {
    block kvm03
    detach kvm04 hyp02 --priority 200
    detach kvm05 hyp02
    detach kvm06 hyp02 --priority 1
    detach kvm07 hyp02
    unblock
    until_true 10 nothing_live
    ok jobs 'kvm[04-07]' -a --json
    json '.jobs | sort_by(.started_at) | map(.guest) == ["kvm06", "kvm05", "kvm07", "kvm04"]'
    json '.jobs | map(select(.guest == "kvm04"))[0].priority == 200'
}

@test "a job that is there already when its turn comes is done" {
    block kvm08
    local job=$(($(detach kvm09 hyp02) + 1))
    mv "$WORLD/hyp01/kvm09" "$WORLD/hyp02/kvm09"
    unblock
    ok wait "$job"
    is "kvm09: Guest is already on host hyp02"
    ok show "$job" --json
    json '.state == "done" and .already'
}

# ---- cancel

@test "a queued job is cancelled at once" {
    block kvm10
    local job=$(($(detach kvm11 hyp02) + 1))
    ok cancel "$job"
    is "job $job: cancelled; kvm11 stays on hyp01"
    quiet
    ends 1 wait "$job"
    err_is "kvm11: Error: cancelled by $(me), the guest stays on hyp01"
    runs_on kvm11 hyp01
}

@test "a running job is stopped; the guest stays" {
    block kvm12
    ok cancel "$BLOCK" --reason 'too slow'
    is "job $BLOCK: is being stopped (kvm12)"
    ends 1 wait "$BLOCK"
    err_is "kvm12: Error: cancelled by $(me), the guest stays on hyp01"
    ok show "$BLOCK" --json
    json '.state == "cancelled"'
    json '.events | map(.event) | index("cancel") < index("stopped")'
    runs_on kvm12 hyp01
}

@test "a migration that ends before it could be stopped is done" {
    plan kvm13 'ok 150'
    local job=$(($(detach kvm13 hyp02) + 1))
    ok wait "$job"
    ends 1 cancel "$job"
    err_is "job $job: Error: is already done"
}

@test "cancel: a batch, guests, the jobs of a host, all" {
    block kvm14
    local batch
    batch=$(detach 'kvm[15-17]' hyp02)
    detach 'kvm[18-20]' hyp03
    ok cancel --batch "$batch"
    lines_are "job $((batch + 1)): cancelled; kvm15 stays on hyp01" "job $((batch + 2)): cancelled; kvm16 stays on hyp01" \
        "job $((batch + 3)): cancelled; kvm17 stays on hyp01"
    ok cancel --guests 'kvm[18,21]'
    matches '^job [0-9]+: cancelled; kvm18 stays on hyp01$'
    ok cancel --host hyp01
    has "kvm19 stays on hyp01"
    has "kvm20 stays on hyp01"
    has "job $BLOCK: is being stopped (kvm14)"
    until_true 5 nothing_live
    ends 1 cancel --all
    is ""
    err_is "Error: no unfinished job matches"
}

@test "cancel refuses what there is not, and wants to know what" {
    ends 1 cancel 999999
    is ""
    err_is "job 999999: Error: no such job"
    ends 2 cancel
    err_has "specify job numbers, --batch, --guests, --host or --all"
    ends 2 cancel kvm01
    err_is "Error: 'kvm01' is not the number of a job (--guests takes names)"
    ends 1 cancel --guests nobody
    err_is "Error: Invalid nodes and/or groups in noderange: nobody"
    ends 1 cancel --batch 999999
    err_is "Error: no unfinished job matches"
    ends 1 cancel --host hyp99
    err_is "Error: no unfinished job matches"
}

@test "what a change did, as JSON" {
    block kvm14
    local job=$(($(detach kvm15 hyp02) + 1))
    ends 1 cancel "$job" 999999 --json
    json '.results | length == 2'
    json ".results | map(select(.job == $job))[0].ok"
    json '.results | map(select(.job == 999999))[0] | (.ok | not) and .guest == null and .result == "no such job"'
    quiet
}

# ---- pause and resume

@test "a paused job waits until it is resumed" {
    block kvm21
    local job=$(($(detach kvm22 hyp02) + 1))
    ok pause "$job"
    is "job $job: paused (kvm22)"
    unblock
    ends 1 wait "$BLOCK"
    ok show "$job" --json
    json '.state == "waiting"'
    ok resume "$job"
    is "job $job: queued again (kvm22)"
    ok wait "$job"
    is "kvm22: migrated to hyp02"
}

@test "what runs cannot be paused, what is queued cannot be resumed" {
    block kvm23
    local job=$(($(detach kvm24 hyp02) + 1))
    ends 1 pause "$BLOCK"
    err_is "job $BLOCK: Error: is running: only a job that waits can be paused"
    ends 1 resume "$job"
    err_is "job $job: Error: is not paused but queued"
    ends 1 pause 999999
    err_is "job 999999: Error: no such job"
    ends 1 resume 999999
    err_is "job 999999: Error: no such job"
    ends 2 pause
    ends 2 resume
}

@test "a pause of all jobs of a batch or of guests, and back" {
    block kvm23
    local batch
    batch=$(detach 'kvm[24-25]' hyp02)
    ok pause --batch "$batch" --host hyp01
    has "paused (kvm24)"
    has "paused (kvm25)"
    ok pause --all
    has "is running: only a job that waits can be paused"
    ok resume --guests 'kvm[24-25]'
    has "queued again (kvm24)"
}

# ---- retry

@test "retry lets a job that waits for its next try go on now" {
    plan kvm26 'fail 0 retry 38 the wire broke'
    local job=$(($(detach kvm26 hyp02) + 1))
    until_true 5 state_is "$job" waiting
    ok jobs kvm26
    has "the wire broke"
    ok retry "$job"
    is "job $job: queued again (kvm26)"
    ok wait "$job"
    is "kvm26: migrated to hyp02"
}

@test "retry makes a new job of one that failed or was cancelled" {
    plan kvm27 'fail 0 fatal 1 no way'
    ends 1 kvm27 hyp02 --reason rack
    local job
    job=$(last_job kvm27)
    ok retry "$job"
    matches '^kvm27: job [0-9]+ of batch [0-9]+ tries again$'
    ok wait "$(last_job kvm27)"
    is "kvm27: migrated to hyp02"
    ok history kvm27 --json
    json '.history | length == 2 and .[0].reason == "rack"'
}

@test "retry of a batch takes up those that failed, and leaves the others" {
    plan kvm28 'fail 0 fatal 1 no way'
    local batch
    batch=$(detach 'kvm[28-29]' hyp02)
    ends 1 wait "$batch"
    ok retry --batch "$batch"
    matches '^kvm28: job [0-9]+ of batch [0-9]+ tries again$'
    ok wait "$(last_job kvm28)"
    is "kvm28: migrated to hyp02"
}

@test "retry refuses what is done, and what there is not" {
    ok kvm30 hyp02
    local job
    job=$(last_job kvm30)
    ends 1 retry "$job"
    err_is "job $job: Error: is done"
    ends 1 retry 999999
    err_is "job 999999: Error: no such job"
    ends 1 retry --batch 999999
    err_is "Error: no such batch: 999999"
    ends 2 retry
    block kvm31
    job=$(($(detach kvm32 hyp02) + 1))
    ends 1 retry "$job"
    err_is "job $job: Error: is not paused but queued"
}

@test "retry of a guest that another job moves meanwhile is refused" {
    plan kvm33 'fail 0 fatal 1 no way' 'hang 0'
    ends 1 kvm33 hyp02
    local job
    job=$(last_job kvm33)
    detach kvm33 hyp02
    ends 1 retry "$job"
    err_has "kvm33: Error: job "
    err_has "already moves it to hyp02"
}

# ---- looking

# bats test_tags=slow
@test "jobs: unfinished ones, with -a all, by state, host, batch and guest; table, JSON" {
    block kvm34
    local batch
    batch=$(detach 'kvm[35-36]' hyp03)
    ok jobs
    matches '^ *JOB +BATCH +GUEST +STATE +FROM +TO'
    matches "kvm34 +running +hyp01 +hyp02"
    matches "kvm35 +queued +hyp01 +hyp03"
    quiet
    ok jobs --noheadings
    has_not GUEST
    has kvm36
    ok jobs --json
    json '.jobs | map(.guest) == ["kvm34", "kvm35", "kvm36"]'
    json '.jobs[0] | .state == "running" and .phase == "copying" and .total == 268435456 and .source == "hyp01"'
    ok jobs --state queued --json
    json '.jobs | length == 2 and all(.state == "queued")'
    ok jobs --state running,doubt --json
    json '.jobs | map(.guest) == ["kvm34"]'
    ok jobs --batch "$batch" --json
    json '.jobs | length == 2'
    ok jobs kvm36 --json
    json '.jobs | map(.guest) == ["kvm36"]'
    ok jobs --host hyp01 --json
    json '.jobs | length == 3'
    ok jobs --host hyp03 --json
    json '.jobs == []'
    ok jobs --to hyp03 --json
    json '.jobs | map(.guest) == ["kvm35", "kvm36"]'
    ok jobs --host hyp01 --to hyp02 --json
    json '.jobs | map(.guest) == ["kvm34"]'
    ok jobs -a --limit 2 --json
    json '.jobs | length == 2'
    unblock
    until_true 5 nothing_live
    ok jobs
    is ""
    ok jobs --json
    json '.jobs == []'
    ok jobs -a --state done 'kvm[34-36]' --json
    json '.jobs | map(.guest) == ["kvm35", "kvm36"]'
    ok jobs -a --host hyp03 'kvm[34-36]' --json
    json '.jobs == []'
    ok jobs -a --to hyp03 'kvm[34-36]' --json
    json '.jobs | map(.guest) == ["kvm35", "kvm36"]'
    ok jobs --state cancelled kvm34 --json
    json '.jobs | length == 1'
}

@test "jobs refuses what there is not" {
    ends 1 jobs nobody
    err_is "Error: Invalid nodes and/or groups in noderange: nobody"
    ends 1 jobs --batch 999999
    err_is "Error: no such batch: 999999"
    ends 2 jobs --state sleeping
    err_has "--state: sleeping: a state is one of queued"
    ends 2 jobs --limit 0
    err_has "'0' is not a number from 1 to"
}

@test "show: one job and its history" {
    ok kvm37 hyp02 --reason 'rack 7'
    local job
    job=$(last_job kvm37)
    ok show "$job"
    matches "Job +$job of batch $((job - 1))"
    matches "Guest +kvm37, uuid $(uuid_of kvm37)"
    matches "State +done"
    matches "From +hyp01"
    matches "To +hyp02"
    matches "Reason +rack 7"
    matches "Submitted +.* by $(me)"
    matches "Memory +256 MiB"
    matches "TIME +EVENT +STATE +BY +TEXT"
    matches "submitted +queued +$(me)"
    matches "finished +done"
    ok show "$job" --noheadings
    has_not "EVENT"
    ok show "$job" --json
    json '.events | map(.event) == ["submitted", "assign", "accepted", "note", "finished"]'
    json '.events | map(.state) == ["queued", "assigned", "running", "running", "done"]'
    json '.uuid and .guest == "kvm37" and .elapsed > 0 and .downtime == 0.038 and .downtime_expected == null'
}

@test "show refuses what there is not" {
    ends 1 show 999999
    is ""
    err_is "Error: no such job: 999999"
    ends 2 show kvm37
    err_is "Error: 'kvm37' is not the number of a job"
    ends 2 show
    ends 2 show 1 2
}

@test "history: the moves of a guest, the newest first" {
    ok kvm38 hyp02
    ok kvm38 hyp03
    ok history kvm38
    matches '^ *JOB +GUEST +STATE +FROM +TO'
    matches 'kvm38 +done +hyp02 +hyp03.*
.*kvm38 +done +hyp01 +hyp02'
    ok history kvm38 --json
    json '.history | map(.destination) == ["hyp03", "hyp02"]'
    ok history kvm38 --limit 1 --json
    json '.history | map(.destination) == ["hyp03"]'
    ok history kvm38 --noheadings
    has_not GUEST
    ok history kvm39
    is ""
    err_is "rmigrate: kvm39 was never moved"
    ends 1 history nobody
    err_is "Error: Invalid nodes and/or groups in noderange: nobody"
    ends 2 history
}

@test "queue: a row for each hypervisor" {
    ok queue
    matches '^HOST +STATE +GUESTS +QUEUED +RUNNING +INCOMING +WAITING +DOUBT +DONE +FAILED'
    matches '
hyp02 +open'
    ok queue --noheadings
    has_not HOST
    ok queue --json
    json '.queue | map(.host) == ["hyp01", "hyp02", "hyp03"]'
    json '.queue[0] | .connected and .reachable and .slots == 2 and .credit >= 1 and .done > 10'
    ok queue hyp02,hyp03 --json
    json '.queue | length == 2'
    ends 1 queue hyp99
    err_has "Error: Invalid nodes and/or groups in noderange: hyp99; the known hypervisors are: hyp01,hyp02,hyp03"
}
