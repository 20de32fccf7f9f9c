#!/usr/bin/env bats
# move.bats - submit: what it does, how it ends, and each reason for which a guest is not moved

setup_file() {
    load common
    site_new 'limits: { source = 32; destination = 32; }; attempts = 3; exclude_nodes = "holy1";'
    broker_up
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03,tiny,few,nopeer1,shut,dead,mute}
    local i
    for i in $(seq -w 1 60); do guest "kvm$i" hyp01; done
    guest off1 hyp01 shutoff
    guest twin1 hyp02
    guest twin1 hyp03
    guest holy1 hyp01
    guest big1 hyp01 running 2048
    guest wide1 hyp01 running 128 5
    guest lost1 dead
    guest mute1 mute
    WORKER_SLOTS=32 worker_up all hyp01 hyp02 hyp03 tiny:'1 GiB':16 few:'64 GiB':1 nopeer1 shut
    worker_up gone dead
    worker_up silent mute
    end_it gone
    ask close shut --reason 'new memory' >/dev/null
    down mute 'Connection reset by peer'
    until_true 10 host_has_no_worker dead
    until_true 10 host_is_away mute
}
teardown_file() { load common; site_down; }
setup() { load common; }

nothing_submitted() { [ "$(last_batch)" = "$BEFORE" ] || { echo "something was submitted" >&2; return 1; }; }
last_batch() { ask jobs -a --limit 1 --json | jq '[.jobs[].batch] | max // 0'; }

# ---- it works

@test "a guest is moved: one line on stdout, and the account on stderr" {
    ok kvm01 hyp02
    is "kvm01: migrated to hyp02"
    quiet
    account_is "batch $(last_batch): 1 moved"
    runs_on kvm01 hyp02
    ok guests kvm01 --json
    json '.guests[0] | .host == "hyp02" and .state == "running"'
}

@test "a guest that is there already: success, and nothing is done" {
    ok kvm02 hyp02
    ok kvm02 hyp02
    is "kvm02: Guest is already on host hyp02"
    quiet
}

@test "a noderange is moved: a line for each guest" {
    ok submit 'kvm[03-06]' hyp02
    lines_are "kvm03: migrated to hyp02" "kvm04: migrated to hyp02" "kvm05: migrated to hyp02" "kvm06: migrated to hyp02"
    quiet
    runs_on kvm05 hyp02
}

@test "options stand before, between or behind the operands; the target may be --to or destination=" {
    ok --reason rack submit kvm07 --to hyp02
    is "kvm07: migrated to hyp02"
    ok kvm08 destination=hyp02 --reason rack
    is "kvm08: migrated to hyp02"
    ok kvm08 hyp02 --to hyp02
    is "kvm08: Guest is already on host hyp02"
    ok history kvm07 --json
    json '.history[0].reason == "rack"'
}

@test "without a target vm.migrationdest chooses, else any open host" {
    printf '#node,migrationdest\nkvm09,hyp03\n' >"$BATS_TEST_TMPDIR/vm.csv"
    ok tabrestore "$BATS_TEST_TMPDIR/vm.csv"
    ok kvm09
    is "kvm09: migrated to hyp03"
    ok kvm10
    matches '^kvm10: migrated to hyp0[23]$'
}

@test "of several targets one is chosen" {
    ok kvm11 --to hyp02,hyp03
    matches '^kvm11: migrated to hyp0[23]$'
}

@test "figures are shown when asked for" {
    plan kvm12 'ok 30'
    ok kvm12 hyp02 --verbose
    matches '^kvm12: \[[^]]+\]: migrated to hyp02 \([0-9.]+ ms, downtime 38(\.0)? ms, 256 MiB sent\)$'
    err_has "batch "
}

@test "--json prints an object for each guest" {
    ok 'kvm13,kvm02' hyp02 --json
    json 'length == 3 and all(.ok)' -s
    json 'last | .batch > 0 and .moved == 1 and .left == 0 and .result == "1 moved"' -s
    json 'map(select(.guest == "kvm13"))[0] | .result == "migrated to hyp02" and .state == "done" and .source == "hyp01"' -s
    json 'map(select(.guest == "kvm02"))[0].result == "Guest is already on host hyp02"' -s
    quiet
}

@test "--detach prints the batch and does not wait" {
    plan kvm14 'ok 300'
    ok kvm14 hyp02 --detach
    matches '^batch [0-9]+: 1 job$'
    local batch=${output#batch }
    runs_on kvm14 hyp01
    ok wait "${batch%%:*}"
    is "kvm14: migrated to hyp02"
    ok 'kvm14' hyp02 --detach
    is "kvm14: Guest is already on host hyp02"
}

@test "--detach --json prints the batch as JSON" {
    ok kvm15 hyp02 --detach --json
    json '.batch > 0 and .jobs == 1'
    ok wait "$(jq .batch <<<"$output")"
}

@test "a paused guest is moved and stays paused" {
    guest sleepy1 hyp01 paused
    until_true 5 guest_is_seen sleepy1
    ok sleepy1 hyp02
    is "sleepy1: migrated to hyp02"
    runs_on sleepy1 hyp02
    grep -q ' paused ' "$WORLD/hyp02/sleepy1"
}

@test "the fence that was used stands in the history" {
    ok kvm16 hyp02 --fence always
    ok kvm17 hyp02 --fence never
    ok history kvm16 --json
    json '.history[0].fence == "paused"'
    ok history kvm17 --json
    json '.history[0].fence == "none"'
}

@test "a guest that arrives although the call says that it failed is a success" {
    plan kvm18 'arrive 10 ambiguous 38 Cannot recv data: Connection reset by peer'
    ok kvm18 hyp02
    is "kvm18: migrated to hyp02"
    quiet
    runs_on kvm18 hyp02
    ok show "$(last_job kvm18)"
    has "Cannot recv data: Connection reset by peer"
}

@test "what fails for the moment is tried again" {
    plan kvm19 'fail 10 retry 38 unable to connect' 'refuse 0 retry 38 unable to connect'
    ok kvm19 hyp02
    is "kvm19: migrated to hyp02"
    quiet
    ok history kvm19 --json
    json '.history[0].attempt == 3'
}

@test "the vm table follows the guest" {
    printf '#node,host\nkvm21,hyp01\n' >"$BATS_TEST_TMPDIR/vm.csv"
    ok tabrestore -a "$BATS_TEST_TMPDIR/vm.csv"
    ok kvm21 hyp02
    ok tabdump vm
    has '"kvm21",,"hyp02"'
}

@test "standard input is never read" {
    local all
    all=$(printf 'kvm22\nkvm23\nkvm24\n' | while read -r name; do rmigrate "$name" hyp02; done)
    [ "$all" = "$(printf 'kvm2%s: migrated to hyp02\n' 2 3 4)" ]
}

# ---- it does not work

@test "a try that cannot work: the whole text, every line prefixed, on stderr" {
    plan kvm25 'fail 10 fatal 9 operation failed: guest CPU does not match\nMissing features: avx512\nask hyp02'
    ends 1 kvm25 hyp02
    is ""
    err_is "kvm25: Error: Failed migration of kvm25 from hyp01 to hyp02: operation failed: guest CPU does not match
kvm25: Error: Missing features: avx512
kvm25: Error: ask hyp02"
    runs_on kvm25 hyp01
    ok jobs kvm25 -a --json
    json '.jobs[0] | .state == "failed" and .attempt == 1'
}

@test "the check beforehand refuses: nothing was begun" {
    plan kvm26 'refuse 0 fatal 55 Requested operation is not valid: domain has assigned host devices'
    ends 1 kvm26 hyp02
    err_is "kvm26: Error: Failed migration of kvm26 from hyp01 to hyp02: Requested operation is not valid: domain has assigned host devices"
    ok history kvm26 --json
    json '.history[0].attempt == 1'
}

@test "tries come to an end: as often as the settings say, or --attempts" {
    plan kvm27 'fail 5 retry 38 one' 'fail 5 retry 38 two' 'fail 5 retry 38 three' 'fail 5 retry 38 four'
    ends 1 kvm27 hyp02
    err_has "three"
    plan kvm27 'fail 5 retry 38 only one'
    ends 1 kvm27 hyp02 --attempts 1
    err_is "kvm27: Error: Failed migration of kvm27 from hyp01 to hyp02: only one"
}

@test "a destination that turns out unfit: the job fails, with --anywhere another host does" {
    plan kvm28 'fail 5 unfit 27 the CPU is incompatible'
    ends 1 kvm28 hyp02
    err_has "the CPU is incompatible"
    runs_on kvm28 hyp01
    plan kvm28 'fail 5 unfit 27 the CPU is incompatible'
    ok kvm28 hyp02 --anywhere
    matches '^kvm28: migrated to '
    has_not hyp02
    ok history kvm28 --json
    json '.history[0].attempt == 2 and .history[1].state == "failed"'
}

@test "one bad guest never stops the others" {
    plan kvm29 'fail 5 fatal 1 no way'
    ends 1 'kvm[29-31]' hyp02
    lines_are "kvm30: migrated to hyp02" "kvm31: migrated to hyp02"
    err_is "kvm29: Error: Failed migration of kvm29 from hyp01 to hyp02: no way"
    account_is "batch $(last_batch): 2 moved, 1 left, because: kvm29 (no way)"
}

@test "failures as JSON" {
    plan kvm32 'fail 5 fatal 1 no way'
    ends 1 'kvm[32-33],off1' hyp02 --json
    json 'length == 4' -s
    json '.[:-1] | map(select(.ok | not) | .guest) | sort == ["kvm32", "off1"]' -s
    json 'last | (.ok | not) and .moved == 1 and .left == 2 and (.result | startswith("1 moved, 2 left, because: kvm32 (no way); off1 (is shutoff on hyp01"))' -s
    quiet
}

# bats test_tags=slow
@test "a guest that is nowhere afterwards is locked until it is released" {
    plan kvm34 'vanish 5 ambiguous 38 the wire broke'
    ends 1 kvm34 hyp02
    err_has "kvm34: Error: Failed migration of kvm34 from hyp01 to hyp02: the guest runs neither on hyp01 nor on hyp02"
    err_has "kvm34: Error: it is not certain where it runs, and it is locked: check, then run rmigrate release kvm34"
    guest kvm34 hyp01
    ends 1 kvm34 hyp02
    err_has "kvm34: Error: is locked since an earlier job; look where it runs, then \`rmigrate release kvm34\`"
    ok guests kvm34 --json
    json '.guests[0].locked'
    ok release kvm34 --reason 'started it again'
    is "kvm34: released"
    ok events --json
    json '.events | map(select(.event == "released" and .guest == "kvm34")) | .[0].text == "released: started it again"'
    ok release kvm34
    is "kvm34: is not locked"
    until_true 15 rmigrate submit kvm34 hyp02 --dry-run
    ok kvm34 hyp02
    is "kvm34: migrated to hyp02"
}

@test "a guest that runs on both sides is locked, and loudly told" {
    plan kvm35 'double 5 ambiguous 38 the wire broke'
    ends 1 kvm35 hyp02
    err_has "kvm35: Error: Failed migration of kvm35 from hyp01 to hyp02: THE GUEST RUNS ON BOTH hyp01 AND hyp02"
    ends 1 kvm35 hyp03
    err_has "is locked since an earlier job"
    ends 1 reconcile kvm35
    err_has "kvm35: Error: is locked: THE GUEST RUNS ON BOTH"
}

@test "a guest that ends on its way fails and is not locked" {
    plan kvm36 'end 5 ambiguous 55 domain is not running'
    ends 1 kvm36 hyp02
    err_has "kvm36: Error: Failed migration of kvm36 from hyp01 to hyp02: "
    err_has "shut"
    ok guests kvm36 --json
    json '.guests[0].locked | not'
}

# ---- it is not even begun

@test "unknown guests: all bad names in one line, and nothing is submitted" {
    BEFORE=$(last_batch)
    ends 1 'kvm37,foo,kvm38,bar[1-2]' hyp02
    is ""
    err_is "Error: Invalid nodes and/or groups in noderange: foo,bar1,bar2"
    nothing_submitted
    runs_on kvm37 hyp01
}

@test "a noderange that cannot be read" {
    BEFORE=$(last_batch)
    ends 1 'kvm[1-' hyp02
    is ""
    matches '' && err_has "Error: "
    nothing_submitted
}

@test "an unknown target: the known ones are named" {
    BEFORE=$(last_batch)
    ends 1 kvm37 hyp99
    is ""
    err_has "Error: Invalid nodes and/or groups in noderange: hyp99; the known hypervisors are: "
    err_has "hyp02"
    nothing_submitted
}

@test "a target that is closed" {
    ends 1 kvm37 shut
    is ""
    err_is "kvm37: Error: Unable to reach shut to perform operation of kvm37, destination unusable: shut is closed: new memory"
}

@test "a target that has no worker" {
    ends 1 kvm37 dead
    err_is "kvm37: Error: Unable to reach dead to perform operation of kvm37, destination unusable: dead has no worker"
}

@test "a target whose hypervisor does not answer" {
    ends 1 kvm37 mute
    err_has "kvm37: Error: Unable to reach mute to perform operation of kvm37, destination unusable: mute"
    err_has "Connection reset by peer"
}

@test "a target to which nobody can send" {
    ends 1 kvm37 nopeer1
    err_has "kvm37: Error: Unable to reach nopeer1 to perform operation of kvm37, destination unusable: nopeer1 has no \`peer\`"
}

@test "no room: memory, and vCPUs" {
    ends 1 big1 tiny
    err_is "big1: Error: Unable to identify a suitable target host for guest big1: tiny has too little memory: 1.00 GiB free, 2.00 GiB needed"
    ends 1 wide1 few
    err_has "wide1: Error: Unable to identify a suitable target host for guest wide1: few has too few vCPUs: "
    err_has " free (1 CPUs, 4 vCPUs for each), 5 needed"
}

@test "room that is promised to a guest on its way is taken" {
    plan kvm39 'hang 0'
    guest fat1 hyp01 running 900
    until_true 5 guest_is_seen fat1
    local batch
    batch=$(detach kvm39 tiny)
    ends 1 fat1 tiny
    err_has "tiny has too little memory: 768 MiB free, 900 MiB needed"
    ok cancel $((batch + 1))
    ends 1 wait "$batch"
    ok fat1 tiny
    ok fat1 hyp01
}

@test "no open host at all" {
    ends 1 kvm37 --to shut,dead
    err_has "kvm37: Error: Unable to identify a suitable target host for guest kvm37: "
}

@test "a guest that is shut off, or runs twice" {
    ends 1 off1 hyp02
    err_is "off1: Error: is shutoff on hyp01; only a guest that is active can be moved live"
    until_true 8 told '.guests[0].locked' guests twin1
    ends 1 twin1 hyp01
    err_has "twin1: Error: "
    err_has "RUNS ON BOTH"
}

@test "a guest whose hypervisor has no worker, or does not answer" {
    ends 1 lost1 hyp02
    err_has "lost1: Error: Cannot communicate via libvirt to dead"
    ends 1 mute1 hyp02
    err_has "mute1: Error: Cannot communicate via libvirt to mute: "
    err_has "Connection reset by peer"
}

@test "a guest that a job moves already" {
    plan kvm40 'hang 0'
    local batch
    batch=$(detach kvm40 hyp02)
    ends 1 kvm40 hyp03
    err_has "kvm40: Error: job $((batch + 1)) already moves it to hyp02 ("
    ok cancel $((batch + 1))
    ends 1 wait $((batch + 1))
    err_is "kvm40: Error: cancelled by $(id -un), the guest stays on hyp01"
}

@test "excluded nodes are not moved" {
    ends 1 holy1 hyp02
    err_is "Error: no nodes match 'holy1' but excluded ones (exclude_nodes)"
    ok 'holy1,kvm41' hyp02
    is "kvm41: migrated to hyp02"
    runs_on holy1 hyp01
}

@test "--dry-run says what would happen, and what stands in the way, and does nothing" {
    BEFORE=$(last_batch)
    ok submit --dry-run 'kvm[42-43]' hyp02
    lines_are "kvm42: can move from hyp01 to hyp02" "kvm43: can move from hyp01 to hyp02"
    ends 1 submit --dry-run 'kvm42,off1,big1' tiny
    is "kvm42: can move from hyp01 to tiny"
    err_has "off1: Error: is shutoff on hyp01"
    err_has "big1: Error: Unable to identify a suitable target host for guest big1: tiny has too little memory"
    nothing_submitted
    runs_on kvm42 hyp01
}

@test "--dry-run --json" {
    ends 1 submit --dry-run --json 'kvm42,off1' hyp02
    json '.results | length == 2'
    json '.results | map(select(.guest == "kvm42"))[0] | .ok and .source == "hyp01" and .destination == "hyp02"'
    json '.results | map(select(.guest == "off1"))[0].ok | not'
}

@test "a reason is no novel" {
    BEFORE=$(last_batch)
    local novel
    novel=$(printf 'x%.0s' {1..4097})
    ends 2 kvm42 hyp02 --reason "$novel"
    is ''
    err_is "Error: reason: more than 4096 bytes"
    ends 2 evacuate hyp03 --reason "$novel"
    ends 2 close hyp03 --reason "$novel"
    ends 2 release kvm42 --reason "$novel"
    nothing_submitted
    ok submit kvm52 hyp02 --reason "${novel:1}"
}

# ---- waiting

@test "wait takes a batch, jobs, or both, and prints how each ended, also long after" {
    local batch
    batch=$(detach 'kvm[44-45]' hyp02)
    ok wait "$batch"
    lines_are "kvm44: migrated to hyp02" "kvm45: migrated to hyp02"
    account_is "batch $batch: 2 moved"
    ok wait $((batch + 1)) $((batch + 2))
    lines_are "kvm44: migrated to hyp02" "kvm45: migrated to hyp02"
    ok wait $((batch + 2)) --json
    json 'length == 2 and (.[0] | .guest == "kvm45" and .state == "done")' -s
    local other
    other=$(detach kvm44 hyp01)
    ok wait $((batch + 1)) $((other + 1)) --json
    json 'last | .ok and .batch == null and .moved == 2 and .left == 0' -s
}

@test "wait says when one failed, and when there is no such job" {
    plan kvm46 'fail 5 fatal 1 no way'
    local batch
    batch=$(detach 'kvm[46-47]' hyp02)
    ends 1 wait "$batch"
    is "kvm47: migrated to hyp02"
    err_has "kvm46: Error: "
    ends 1 wait 999999
    err_has 999999
    ends 2 wait abc
    err_is "Error: 'abc' is not the number of a job or a batch"
}

# bats test_tags=slow
@test "watch without a number follows all that is unfinished" {
    plan kvm48 'ok 2000'
    detach kvm48 hyp02 >/dev/null
    ok watch
    is "kvm48: migrated to hyp02"
    ok watch
    is ""
}

@test "Ctrl-C: the jobs continue, and a note says how to follow them" {
    plan kvm49 'ok 700'
    begin move kvm49 hyp02
    until_true 5 is_running kvm49
    kill -INT "$(cat "$OUT.pid")"
    comes_to 130
    is ""
    [[ $stderr =~ ^rmigrate:\ interrupted\;\ the\ jobs\ continue:\ rmigrate\ wait\ ([0-9]+)$ ]]
    ok wait "${BASH_REMATCH[1]}"
    is "kvm49: migrated to hyp02"
}

@test "--cancel-on-interrupt: the jobs are cancelled" {
    plan kvm50 'hang 0'
    begin move kvm50 hyp02 --cancel-on-interrupt
    until_true 5 is_running kvm50
    kill -INT "$(cat "$OUT.pid")"
    comes_to 130
    err_has "rmigrate: interrupted: cancelling the jobs; interrupt again to exit at once"
    err_has "kvm50: Error: cancelled by $(id -un), the guest stays on hyp01"
    runs_on kvm50 hyp01
}

@test "a client that is told to end says so too" {
    plan kvm51 'ok 700'
    begin move kvm51 hyp02
    until_true 5 is_running kvm51
    kill -TERM "$(cat "$OUT.pid")"
    comes_to 143
    err_has "the jobs continue: rmigrate wait "
    ok watch
}
