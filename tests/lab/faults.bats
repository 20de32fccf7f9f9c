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
    until_true 20 usable hyp02 # a test, or a try of it, may have stopped its daemon just before
    begin_move "$1" hyp02 "${@:2}"
    until_true 30 migrates "$1" hyp01 || { cat "$OUT/$1"; rmigrate jobs; return 1; }
}
usable() { rmigrate hosts "$1" --json | grep -q '"reachable": *true'; }
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

@test "the source's own libvirtd stands still for longer than the keepalive while it copies: the worker lives, and the guest is moved" {
    # With the default time-outs: several questions are under way then when the connection is given up.
    local pid
    site_kill hyp01 TERM
    until_true 20 worker_is_gone hyp01
    sed 's/[a-z_]*_timeout = "[^"]*";//g' "$SITE/hyp01.conf" >"$SITE/slow01.conf"
    site_spawn hyp01 hyp01 "$BIN/rmigrate-worker" -c "$SITE/slow01.conf"
    site_wait 3
    pid=$(cat "$SITE/hyp01.pid")
    into_copy r3s
    "$LAB" kill hyp01 libvirtd STOP
    sleep 35
    "$LAB" kill hyp01 libvirtd CONT
    fast_again
    ended r3s 0 'r3s: migrated to hyp02' 120
    runs_only_on r3s hyp02
    "$LAB" exec hyp01 kill -0 "$pid"
    site_kill hyp01 TERM
    site_worker hyp01
    site_wait 3
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

# Row 9 for a guest that runs already.
stalls_at_handover() { # GUEST [OPTION...]
    "$LAB" shape hyp01 100mbit
    until_true 20 rmigrate guests "$1"
    begin_move "$1" hyp02 "${@:2}"
    until_true 30 migrates "$1" hyp01
    sleep 2
    virsh_on hyp01 migrate-setmaxdowntime "$1" 2500
    until_true 60 is_paused_migrating "$1" hyp01
    "$LAB" kill hyp02 libvirtd STOP
    sleep 6
    fast_again
    "$LAB" kill hyp02 libvirtd CONT
}

# A guest as others have them: with an image, and nothing changed by hand in QEMU's command line. (The lab's own do not lose writes under TCG; this
# one may, so its memory is not looked at.)
with_image() { # GUEST [IMAGE]
    "$LAB" guest "$1" hyp01 mem=64 fill=40 ws=16 rate=24576 disk
    virsh_on hyp01 destroy "$1"
    virsh_on hyp01 dumpxml --inactive "$1" |
        sed -e '/<qemu:commandline>/,/<\/qemu:commandline>/d' ${2:+-e "s|<source file='[^']*.img'/>|<source file='$2'/>|"} >"$SITE/$1.xml"
    virsh_on hyp01 define "$SITE/$1.xml"
    virsh_on hyp01 start "$1"
}

@test "the same with an image on storage whose locks do not reach from host to host: the fence is there as well" {
    with_image r9d
    stalls_at_handover r9d
    ended r9d 0 'r9d: migrated to hyp02'
    [ "$(where r9d)" = "hyp02 running" ]
    told r9d 'paused'
}

@test "the same with an image whose lock does reach: the fence lets go before the other side takes the lock" {
    truncate -s 16M "$SITE/r9l.img"
    with_image r9l "$SITE/r9l.img"
    stalls_at_handover r9l --unsafe
    ended r9l 0 'r9l: migrated to hyp02'
    [ "$(where r9l)" = "hyp02 running" ]
    told r9l 'paused'
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
        ! until_true 5 left_a_copy $g || { hit=1; break; }
    done
    [ -n "$hit" ]
    ended $g 1 'Failed migration'
    told $g 'a paused copy .* may be left'
    until_true 20 usable hyp02
    moves $g hyp02
    runs_only_on $g hyp02
    told $g 'removed the copy left on hyp02' || grep -q "guest=$g .*removed the copy left on hyp02" "$SITE"/log/hyp01
}
# It is there, or was removed as soon as its host answered.
left_a_copy() {
    [ "$(where "$1")" = $'hyp01 running\nhyp02 paused' ] || grep -q "guest=$1 .*removed the copy left on hyp02" "$SITE"/log/hyp01
}

@test "the same, and the source's worker falls silent: who looks meanwhile is called off, and an old copy that wakes up when the guest has moved on stays paused" {
    # The daemon must be stopped within the second or so of the hand-over: four tries to hit it.
    local try g is hit=
    for try in 1 2 3 4; do
        g=r9t$try
        into_handover $g --attempts 1
        "$LAB" kill hyp02 libvirtd STOP
        until_true 20 runs_on $g hyp01
        fast_again
        # It looks for 20 s, as does who is asked when it is given up: the other one shall still be at it when this one's result comes.
        sleep 12
        site_kill hyp01 STOP
        until_true 20 is_looked_for $g hyp02
        site_kill hyp01 CONT
        until_true 60 has_ended $g
        moves $g hyp03
        # Nobody can remove the copy when it wakes up, until the guest's own worker is back.
        site_kill hyp03 STOP
        "$LAB" kill hyp02 libvirtd CONT
        sleep 8
        is=$(where $g)
        site_kill hyp03 CONT
        ! grep -q 'hyp02 [pr]' <<<"$is" || { hit=1; break; }
    done
    [ -n "$hit" ]
    ended $g 1 'Failed migration'
    [ "$is" = $'hyp02 paused\nhyp03 running' ] || { echo "$g: $is" >&2; rmigrate show "$(last_job $g)" >&2; false; }
    # What it came with may stay there: nobody knows whose definition that is.
    until_true 30 stands_nowhere_paused $g
    [ "$(where $g | grep -v '^hyp02 shut off$')" = "hyp03 running" ]
    "$LAB" check -w $g
}
runs_on() { [ "$(virsh_on "$2" domstate "$1" 2>/dev/null)" = running ]; }
is_looked_for() { grep -q "guest=$1 .*: settling" "$SITE/log/$2"; }
stands_nowhere_paused() { ! where "$1" | grep -q ' paused$'; }

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
    moves $g hyp03
    [ "$(where $g)" = "hyp03 running" ]
    # Two copies wrote to one serial line: this is what the fence prevents.
    run ! "$LAB" check $g
}

@test "both daemons speak Japanese: a migration that comes in is known by its code, and is adopted" {
    local h
    for h in hyp01 hyp02; do
        "$LAB" kill $h libvirtd KILL
        LC_ALL=C.UTF-8 LANGUAGE=ja "$LAB" start $h libvirtd
    done
    site_wait 3
    "$LAB" exec hyp02 env LC_ALL=C.UTF-8 LANGUAGE=en virsh define /dev/null 2>&1 | grep -q 'ドメイン'
    into_copy r10j
    # The worker dies; its successor has to look at a destination where the guest comes in.
    site_kill hyp01 KILL
    until_true 30 told r10j 'lost'
    site_worker hyp01
    fast_again
    ended r10j 0 'r10j: migrated to hyp02'
    runs_only_on r10j hyp02
    for h in hyp01 hyp02; do
        "$LAB" kill $h libvirtd KILL
        "$LAB" start $h libvirtd
    done
    site_wait 3
}

@test "a guest that is dumped stands for a moment: it is moved when that is over, and runs" {
    local g
    for g in r2d r2l; do
        "$LAB" guest $g hyp01 mem=64 fill=40
        until_true 20 rmigrate guests $g
        # Also a live dump of memory stops it: QEMU does that, and libvirt does not know why.
        if [ $g = r2d ]; then dump_begin $g hyp01 --memory-only; else dump_begin $g hyp01 --memory-only --live; fi
        begin_move $g hyp02
        until_true 20 told $g 'paused for a moment'
        dump_end hyp01
        ended $g 0 "$g: migrated to hyp02"
        [ "$(where $g)" = "hyp02 running" ]
    done
}
@test "a paused guest that came back from a hand-over moves only after it has run: said so, and then it moves" {
    # The daemon must be stopped in the last three seconds of the copy: four tries to hit it.
    local try g hit=
    for try in 1 2 3 4; do
        g=r8p$try
        until_true 20 usable hyp02
        "$LAB" guest $g hyp01 mem=64 fill=40
        "$LAB" check -w $g # its memory is filled
        virsh_on hyp01 suspend $g
        "$LAB" shape hyp01 100mbit
        until_true 20 rmigrate guests $g
        begin_move $g hyp02
        until_true 30 migrates $g hyp01
        sleep 0.$((try * 2))
        "$LAB" kill hyp02 libvirtd STOP
        sleep 7
        "$LAB" kill hyp02 libvirtd CONT
        fast_again
        until_true 60 has_ended $g
        cat "$BATS_TEST_TMPDIR/$g"
        ! grep -q 'virsh resume, virsh suspend' "$BATS_TEST_TMPDIR/$g" || { hit=1; break; }
    done
    [ -n "$hit" ]
    [ "$(where $g)" = "hyp01 paused" ]
    virsh_on hyp01 resume $g
    virsh_on hyp01 suspend $g
    run -0 rmigrate $g hyp02
    [ "$(where $g)" = "hyp02 paused" ]
}

@test "the destination cannot let the guest run: an alarm after a minute, and what has to be done; it never runs twice" {
    local image pid
    "$LAB" guest r22 hyp01 mem=32 fill=8 disk
    image=$(virsh_on hyp01 domblklist r22 | awk '{ print $2 }')
    # Somebody over there writes to the image: QEMU does not get its lock when it shall go on.
    { "$LAB" exec hyp02 sh -c 'echo $$ >/run/holder.pid; exec qemu-system-x86_64 -S -nodefaults -display none -m 8 -drive "if=ide,format=raw,file=$1"' \
        sh "$image" || :; } 3>&- 4>&- &
    until_true 20 "$LAB" exec hyp02 test -s /run/holder.pid
    until_true 20 rmigrate guests r22
    begin_move r22 hyp02
    ended r22 1 'cannot resume the guest on hyp02' 120
    [ "$(where r22)" = "hyp02 paused" ]
    told r22 '^Took'
    told r22 '^Downtime'
    rmigrate guests r22 --json | grep -q '"locked": *true'
    "$LAB" exec hyp02 sh -c 'kill $(cat /run/holder.pid)'
    virsh_on hyp02 resume r22
    run -0 rmigrate release r22
    runs_only_on r22 hyp02
}

# A dump of the guest into a pipe that nobody reads from yet.
dump_begin() { # GUEST HOST OPTION...
    "$LAB" check -w "$1" # its memory is filled: a dump of zeros would come to its end, where the guest is stopped
    "$LAB" exec "$2" sh -c 'rm -f /run/dump /run/dump.read; mkfifo /run/dump'
    { "$LAB" exec "$2" sh -c 'exec </run/dump; until [ -e /run/dump.read ]; do sleep 0.1; done; exec cat >/dev/null' || :; } 3>&- 4>&- &
    { "$LAB" exec "$2" virsh dump "${@:3}" "$1" /run/dump >/dev/null 2>&1 || :; } 3>&- 4>&- &
    until_true 20 is_dumped "$1" "$2"
}
dump_end() { "$LAB" exec "$1" touch /run/dump.read; }
is_dumped() { LC_ALL=C virsh_on "$2" domjobinfo "$1" | grep -q 'Operation: *Dump'; }

@test "the destination's libvirtd is killed when it has just begun to start the guest: decided at the source, not in doubt for ever" {
    "$LAB" guest r7 hyp01 mem=32
    until_true 20 rmigrate guests r7
    # The very first thing that a start leaves, before there is a process.
    { "$LAB" exec hyp02 sh -c 'p=$(cat /run/libvirtd.pid); until [ -e /run/libvirt/qemu/r7.xml ]; do :; done; kill -9 $p' || :; } 3>&- 4>&- &
    sleep 0.5
    begin_move r7 hyp02 --attempts 1
    until_true 20 "$LAB" exec hyp02 test -e /run/libvirt/qemu/r7.xml
    sleep 1
    "$LAB" start hyp02 libvirtd
    ended r7 1 'r7: Error' 60
    state_is r7 failed
    told r7 'at source\|stayed on the source\|runs on the source'
    [ "$(virsh_on hyp01 domstate r7)" = running ]
    # What docs/faults.md says then.
    "$LAB" kill hyp02 libvirtd KILL
    "$LAB" exec hyp02 rm /run/libvirt/qemu/r7.xml
    "$LAB" start hyp02 libvirtd
    until_true 20 stands_nowhere_else r7
}
stands_nowhere_else() { [ "$(where "$1")" = "hyp01 running" ]; }

@test "a request that outlives its worker: the job is not at its source before it is over, and what begins then is followed" {
    # A dump holds the guest's lock: the migration waits for it in the source's libvirtd, and begins when the worker is long dead.
    "$LAB" guest r5w hyp01 mem=64 fill=40
    until_true 20 rmigrate guests r5w
    dump_begin r5w hyp01 --live
    begin_move r5w hyp02 --attempts 1
    until_true 20 state_is r5w running
    sleep 1
    site_kill hyp01 KILL
    until_true 30 told r5w 'lost'
    sleep 8
    dump_end hyp01
    ended r5w 0 'r5w: migrated to hyp02' 120
    runs_only_on r5w hyp02
    site_worker hyp01
    site_wait 3
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
