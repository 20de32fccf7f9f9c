#!/usr/bin/env bats
# faults.bats - daemons, links, guests and our own programs die in the middle of a migration: the guest runs exactly
# once afterwards, and the job says what happened. The rows are those of the table in docs/faults.md.

setup_file() { load common; site_up; }
teardown_file() { load common; site_down; }
setup() { load common; }
teardown() { sweep; }

# Brings a move of an endless guest from hyp01 to hyp02 into its copy phase.
into_copy() { # GUEST [OPTION...]
    endless "$1" hyp01
    until_true 20 rmigrate guests "$1"
    begin_move "$1" hyp02 "${@:2}"
    until_true 30 migrates "$1" hyp01
}
# And on into the hand-over, which then takes about 1.5 s. It must end before the keepalive of 3 s does, or the source
# stops the migration before there is anything to hand over.
into_handover() {
    into_copy "$@"
    sleep 2
    virsh_on hyp01 migrate-setmaxdowntime "$1" 2500
    until_true 60 is_paused_migrating "$1" hyp01
}
fast_again() { "$LAB" shape hyp01 off; }
told() { rmigrate show "$(last_job "$1")" | grep -q -e "$2"; }

@test "the destination's libvirtd is killed while it copies (row 1): the guest stays, the next try moves it" {
    into_copy r1
    "$LAB" kill hyp02 libvirtd KILL
    sleep 1
    [ "$(virsh_on hyp01 domstate r1)" = running ]
    "$LAB" start hyp02 libvirtd
    fast_again
    ended r1 0 'r1: migrated to hyp02'
    runs_only_on r1 hyp02
    told r1 'retry\|at source'
}

@test "the source's libvirtd is killed while it copies (row 3): looked at when it is back, then moved" {
    into_copy r3
    "$LAB" kill hyp01 libvirtd KILL
    sleep 1
    "$LAB" start hyp01 libvirtd
    fast_again
    ended r3 0 'r3: migrated to hyp02'
    runs_only_on r3 hyp02
}

@test "the worker is killed while it migrates (row 5) and comes back: the migration is adopted, not begun anew" {
    into_copy r5
    site_kill hyp01 KILL
    site_worker hyp01
    until_true 30 told r5 'still migrating'
    fast_again
    ended r5 0 'r5: migrated to hyp02'
    runs_only_on r5 hyp02
    [ "$(rmigrate history r5 --json | grep -o '"attempt": *[0-9]*' | grep -o '[0-9]*$')" = 1 ]
}

@test "the worker is killed and does not come back: the destination's worker finds out and ends the job" {
    into_copy r5b
    site_kill hyp01 KILL
    until_true 30 told r5b 'lost'
    fast_again
    ended r5b 0 'r5b: migrated to hyp02'
    runs_only_on r5b hyp02
    site_worker hyp01
    site_wait 3
}

@test "the source's libvirtd is killed between hand-over and confirmation (row 8): mended, the guest runs once" {
    into_handover r8
    "$LAB" kill hyp02 libvirtd STOP
    sleep 1.7
    "$LAB" kill hyp01 libvirtd KILL
    "$LAB" kill hyp02 libvirtd CONT
    sleep 1
    "$LAB" start hyp01 libvirtd
    fast_again
    ended r8 0 'r8: migrated to hyp02'
    runs_only_on r8 hyp02
}

@test "the destination's libvirtd stalls at the hand-over (row 9): with the fence the guest runs once" {
    into_handover r9
    "$LAB" kill hyp02 libvirtd STOP
    sleep 6
    fast_again
    "$LAB" kill hyp02 libvirtd CONT
    ended r9 0 'r9: migrated to hyp02'
    runs_only_on r9 hyp02
    told r9 'paused'
}

@test "a destination that stays silent keeps a paused copy: it does not stand in the way of the next move" {
    # The daemon must be stopped within the second or so of the hand-over: four tries to hit it.
    local try g hit=
    for try in 1 2 3 4; do
        g=r9s$try
        into_handover $g --attempts 1
        "$LAB" kill hyp02 libvirtd STOP
        until_true 60 has_ended $g
        fast_again
        "$LAB" kill hyp02 libvirtd CONT
        [ "$(where $g)" != $'hyp01 running\nhyp02 paused' ] || { hit=1; break; }
    done
    [ -n "$hit" ]
    ended $g 1 'Failed migration'
    told $g 'a paused copy .* may be left'
    until_true 20 usable hyp02
    run -0 rmigrate $g hyp02
    runs_only_on $g hyp02
    told $g 'removed the copy left on hyp02' || grep -q "guest=$g .*removed the copy left on hyp02" "$SITE"/log/hyp01
}
usable() { rmigrate hosts "$1" --json | grep -q '"reachable": *true'; }

@test "the same without the fence: libvirt lets the guest run twice; the job says so and the guest is locked" {
    # The daemon must be stopped within the second or so of the hand-over: four tries to hit it.
    local try g hit=
    for try in 1 2 3 4; do
        g=r9n$try
        into_handover $g --fence never
        "$LAB" kill hyp02 libvirtd STOP
        sleep 6
        fast_again
        "$LAB" kill hyp02 libvirtd CONT
        if ended $g 1 'RUNS ON BOTH'; then
            hit=1
            break
        fi
    done
    [ -n "$hit" ]
    [ "$(where $g)" = $'hyp01 running\nhyp02 running' ]
    run -1 rmigrate $g hyp03
    [[ $output == *"is locked"* ]]
    virsh_on hyp02 destroy $g
    virsh_on hyp02 undefine $g
    run -0 rmigrate release $g
    until_true 10 rmigrate $g hyp03 --dry-run
    run -0 rmigrate $g hyp03
    [ "$(where $g)" = "hyp03 running" ]
    # Two copies wrote to one serial line: this is what the fence prevents.
    run ! "$LAB" check $g
}

@test "the link is cut while it copies (row 10): the guest stays, and moves when the link is back" {
    into_copy r10
    "$LAB" link hyp02 down
    sleep 5
    [ "$(virsh_on hyp01 domstate r10)" = running ]
    "$LAB" link hyp02 up
    fast_again
    ended r10 0 'r10: migrated to hyp02'
    runs_only_on r10 hyp02
}

@test "the name is taken on the destination (row 14): said in full, nothing is touched" {
    "$LAB" guest r14 hyp01 mem=32
    "$LAB" exec hyp02 virsh define /dev/stdin <<'X'
<domain type='qemu'><name>r14</name><memory unit='MiB'>16</memory><os><type arch='x86_64'>hvm</type></os></domain>
X
    until_true 20 rmigrate guests r14
    begin_move r14 hyp02
    ended r14 1 "domain 'r14' already exists with uuid"
    [ "$(where r14)" = $'hyp01 running\nhyp02 shut off' ]
    "$LAB" check -w r14
}

@test "the guest powers itself off while it is copied (row 18): not a success, and it runs nowhere" {
    "$LAB" guest r18 hyp01 mem=64 fill=40 ws=16 rate=24576 off=8
    "$LAB" shape hyp01 100mbit
    until_true 20 rmigrate guests r18
    begin_move r18 hyp02
    ended r18 1 'r18: Error: '
    [ "$(where r18)" = "hyp01 shut off" ]
    state_is r18 failed
}

@test "the destination's QEMU is killed while it copies (row 21): the guest stays, the next try moves it" {
    into_copy r21
    "$LAB" kill hyp02 qemu-system-x86_64 KILL
    fast_again
    ended r21 0 'r21: migrated to hyp02'
    runs_only_on r21 hyp02
}

@test "the broker is killed again and again while a batch runs: nothing is lost, nothing runs twice" {
    local i n
    for i in 1 2 3 4 5 6; do "$LAB" guest "b$i" hyp01 mem=32 fill=8 & done
    wait
    until_true 20 rmigrate guests 'b[1-6]'
    { r=0; rmigrate 'b[1-6]' hyp02 >"$BATS_TEST_TMPDIR/b" 2>&1 || r=$?; echo $r >"$BATS_TEST_TMPDIR/b.code"; } 3>&- 4>&- &
    until_true 10 state_is b1 running
    for n in 0.1 0.7 0.4 1.1 0.9; do
        sleep $n
        site_kill broker KILL
        sleep 0.3
        site_broker
    done
    ended b 0 'b6: migrated to hyp02' 120
    for i in 1 2 3 4 5 6; do
        [ "$(grep -c "^b$i: migrated to hyp02$" "$BATS_TEST_TMPDIR/b")" = 1 ]
        runs_only_on "b$i" hyp02
        [ "$(rmigrate history "b$i" --json | grep -c '"state"')" = 1 ]
    done
    "$BIN/rmigrate-store" --store "$SITE/store" check
}
