#!/usr/bin/env bats
# move.bats - what people do: move guests, ask again, empty hypervisors, cancel; on real hypervisors

setup_file() { load common; site_up; }
teardown_file() { load common; site_down; }
setup() { load common; }
teardown() { sweep; }

@test "a guest is moved: it runs there alone, defined, its memory whole, and everything is remembered" {
    "$LAB" guest m1 hyp01 mem=64 fill=24 ws=4 rate=1024
    until_true 20 rmigrate guests m1
    run -0 --separate-stderr rmigrate m1 hyp02
    [ "$output" = "m1: migrated to hyp02" ]
    runs_only_on m1 hyp02
    run -0 rmigrate tabdump vm
    [[ $output == *'"m1",,"hyp02",'* ]]
    run -0 rmigrate history m1 --json
    for key in by finished_at source destination processed elapsed downtime; do [[ $output == *"\"$key\""* ]]; done
    run -0 rmigrate history m1
    [[ $output == *admin* && $output == *hyp01* && $output == *hyp02* ]]
}

@test "a guest that starts with its hypervisor does so with the next one; also when its worker dies on the way" {
    "$LAB" guest a1 hyp01 mem=32
    virsh_on hyp01 autostart a1
    endless a2 hyp01
    virsh_on hyp01 autostart a2
    until_true 20 rmigrate guests a1,a2
    begin_move a2 hyp02
    until_true 30 migrates a2 hyp01
    site_kill hyp01 KILL
    site_worker hyp01
    until_true 30 sh -c "$(declare -f rmigrate); LAB='$LAB' SITE='$SITE' BIN='$BIN'; rmigrate show $(last_job a2) | grep -q 'still migrating'"
    "$LAB" shape hyp01 off
    ended a2 0 'a2: migrated to hyp02'
    run -0 rmigrate a1 hyp02
    [ "$(virsh_on hyp02 list --all --autostart --name | grep . | sort)" = $'a1\na2' ]
}

@test "a guest that writes faster than the link carries is tried once, and it is said what may help" {
    endless o1 hyp01
    until_true 20 rmigrate guests o1
    begin_move o1 hyp02 --stall 12s
    ended o1 1 'o1: Error: .*no progress for 12 s: .* stopped; what may help: --auto-converge, a longer --downtime' 120
    [ "$(rmigrate history o1 --json | grep -o '"attempt": *[0-9]*' | grep -o '[0-9]*$')" = 1 ]
    [ "$(where o1)" = "hyp01 running" ]
    "$LAB" check -w o1
}

@test "a migration that crawls is sped up on its way and arrives; one that is stopped leaves nothing of that behind" {
    "$LAB" guest s1 hyp01 mem=128 fill=96
    "$LAB" shape hyp01 200mbit
    until_true 20 rmigrate guests s1
    before=$(virsh_on hyp01 migrate-getspeed s1)
    begin_move s1 hyp02 --bandwidth 1MiB/s
    until_true 30 migrates s1 hyp01
    until_true 10 rmigrate modify "$(last_job s1)" bandwidth=1500KiB/s downtime=1s
    [ "$(virsh_on hyp01 migrate-getspeed s1)" = 2 ]
    run -0 rmigrate cancel "$(last_job s1)"
    ended s1 1 'the guest stays on hyp01'
    [ "$(virsh_on hyp01 migrate-getspeed s1)" = "$before" ]
    rm "$OUT/s1.code"
    begin_move s1 hyp02 --bandwidth 1MiB/s
    until_true 30 migrates s1 hyp01
    until_true 10 rmigrate modify "$(last_job s1)" bandwidth=16MiB/s timeout=10min --reason 'the link is free'
    [ "$(virsh_on hyp01 migrate-getspeed s1)" = 16 ]
    ended s1 0 's1: migrated to hyp02'
    runs_only_on s1 hyp02
    run -0 rmigrate show "$(last_job s1)" --json
    [[ $output == *'bandwidth from 1.00 MiB/s to 16.0 MiB/s, timeout from 1 h to 10 min: the link is free'* ]]
    grep -q '"bandwidth_limit": *16777216' <<<"$output"
    grep -q '"timeout": *600' <<<"$output"
}

@test "moving it again says that it is there, also when the vm table was wrong, which is mended" {
    "$LAB" guest m2 hyp02 mem=32
    until_true 20 rmigrate guests m2
    run -0 --separate-stderr rmigrate m2 hyp02
    [ "$output" = "m2: Guest is already on host hyp02" ]
    printf '#node,host\n"m2","hyp03"\n' >"$SITE/vm.csv"
    run -0 rmigrate tabrestore "$SITE/vm.csv"
    run -0 --separate-stderr rmigrate m2 hyp02
    [ "$output" = "m2: Guest is already on host hyp02" ]
    run -0 rmigrate tabdump vm
    [[ $output == *'"m2",,"hyp02",'* ]]
    run -0 rmigrate events
    [[ $output == *"vm.host said hyp03"* ]]
}

@test "a site begins with a directory of tables; who was moved by hand is told by reconcile, and mended" {
    mkdir -p "$SITE/tables"
    printf '#node,groups\n"r1","kvm"\n"r2","kvm"\n' >"$SITE/tables/nodelist.csv"
    printf '#node,host\n"kvm","hyp01"\n"r2","hyp02"\n' >"$SITE/tables/vm.csv"
    run -0 rmigrate tabrestore "$SITE/tables"
    "$LAB" guest r1 hyp01 mem=32
    "$LAB" guest r2 hyp01 mem=32
    until_true 20 rmigrate guests r1,r2
    run -1 --separate-stderr rmigrate reconcile kvm
    [ "$output" = "" ] && [ "$stderr" = "r2: Error: vm.host says hyp02, it runs on hyp01" ]
    virsh_on hyp01 migrate --live --p2p --persistent --undefinesource r1 qemu+tcp://hyp02/system
    until_true 20 at_host r1 hyp02
    run -0 rmigrate reconcile kvm --repair
    [ "$(sort <<<"$output")" = "$(printf 'r1: vm.host said hyp01, it runs on hyp02: repaired\nr2: vm.host said hyp02, it runs on hyp01: repaired')" ]
    run -0 rmigrate reconcile kvm
    run -0 rmigrate nodels kvm vm.host
    [ "$output" = $'r1: hyp02\nr2: hyp01' ]
}
at_host() { rmigrate guests "$1" --noheadings | grep -q " $2 "; }

@test "a dry run asks the hypervisors: it says yes, says all that is in the way, and moves nothing" {
    "$LAB" guest d1 hyp01 mem=32
    until_true 20 rmigrate guests d1
    run -0 rmigrate d1 hyp02 --dry-run
    [ "$output" = "d1: can move from hyp01 to hyp02" ]
    echo "<shmem name='d2-shared' role='peer'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>" >"$BATS_TEST_TMPDIR/shmem"
    "$LAB" guest d2 hyp01 mem=32 xml="$BATS_TEST_TMPDIR/shmem"
    "$LAB" exec hyp02 virsh define /dev/stdin <<'X'
<domain type='qemu'><name>d2</name><memory unit='MiB'>16</memory><os><type arch='x86_64'>hvm</type></os></domain>
X
    until_true 20 rmigrate guests d2
    run -1 --separate-stderr rmigrate d1,d2 hyp02 --dry-run
    "$LAB" exec hyp02 virsh undefine d2
    [ "$output" = "d1: can move from hyp01 to hyp02" ]
    [[ $stderr == "d2: Error: its shared memory 'd2-shared' (role peer) cannot be taken along; domain 'd2' already exists on hyp02 with uuid "* ]]
    runs_only_on d1 hyp01
    run -0 rmigrate history d1
    [[ $output == *'was never moved'* ]]
}

@test "of six guests one cannot move: five move, its reason is libvirt's own, exit code 1" {
    local i
    for i in 1 2 3 4 5 6; do "$LAB" guest "s$i" hyp01 mem=32 fill=8 & done
    wait
    "$LAB" exec hyp02 virsh define /dev/stdin <<'X'
<domain type='qemu'><name>s4</name><memory unit='MiB'>16</memory><os><type arch='x86_64'>hvm</type></os></domain>
X
    until_true 20 rmigrate guests 's[1-6]'
    run -1 --separate-stderr rmigrate 's[1-6]' hyp02
    [ "$(grep -c ': migrated to hyp02$' <<<"$output")" = 5 ]
    echo "$stderr"
    [ "$(wc -l <<<"$stderr")" = 2 ] # with the account
    [[ $stderr == "s4: Error: "*"domain 's4' already exists with uuid"* ]]
    [ "$(where s4)" = $'hyp01 running\nhyp02 shut off' ]
    for i in 1 2 3 5 6; do runs_only_on "s$i" hyp02; done
}

@test "evacuate leaves nothing behind, keeps the limits, and overfills no destination" {
    local i
    for i in 1 2 3 4 5 6 7 8; do "$LAB" guest "e$i" hyp01 mem=$((24 + 8 * (i % 3))) fill=8 & done
    wait
    until_true 20 rmigrate guests 'e[1-8]'
    run -0 rmigrate evacuate hyp01 --plan
    [ "$(grep -c ' hyp0[23]' <<<"$output")" -ge 8 ]
    # While it runs, libvirt is asked how many leave the source and how many arrive at each destination.
    begin_evacuation
    local most=0 n
    until has_ended evacuation; do
        n=$(rmigrate queue hyp01 --json | sed -n 's/.*"running": *\([0-9]*\).*/\1/p')
        [ "${n:-0}" -le "$most" ] || most=$n
    done
    ended evacuation 0 'migrated to'
    [ "$most" -ge 1 ] && [ "$most" -le 2 ]
    [ -z "$(virsh_on hyp01 list --all --name)" ]
    for i in 1 2 3 4 5 6 7 8; do "$LAB" check "e$i"; done
    [ "$(rmigrate hosts hyp01 --json | grep -c '"closed"')" = 1 ]
    run -1 rmigrate e1 hyp01
    [[ $output == *"hyp01 is closed"* ]]
    # The way home. Somebody has started a guest there meanwhile, and with it there is no room for all.
    "$LAB" guest stranger hyp01 mem=850 fill=4
    until_true 20 rmigrate guests stranger
    run -1 rmigrate restore hyp01 --no-room
    run -0 rmigrate restore hyp01
    for i in 1 2 3 4 5 6 7 8; do runs_only_on "e$i" hyp01; done
    [ "$(where stranger)" != "hyp01 running" ]
    "$LAB" check stranger
    [ "$(rmigrate hosts hyp01 --json | grep -c '"open"')" = 1 ]
}
begin_evacuation() {
    { r=0; rmigrate evacuate hyp01 >"$BATS_TEST_TMPDIR/evacuation" 2>&1 || r=$?
      echo $r >"$BATS_TEST_TMPDIR/evacuation.code"; } 3>&- 4>&- &
}

@test "two hypervisors are maintained, one after the other: libvirtd is started anew on each, and all guests are home again" {
    local i
    for i in 1 2 3 4; do "$LAB" guest "t$i" "hyp0$((1 + i % 2))" mem=32 fill=8 & done
    wait
    until_true 20 rmigrate guests 't[1-4]'
    local OUT=$BATS_TEST_TMPDIR
    # The client is in the lab: its command asks for what only the machine can do.
    { r=0; rmigrate maintain hyp01,hyp02 --to hyp03 --run "touch '$OUT/'\$RMIGRATE_HOST.go; until [ -e '$OUT/'\$RMIGRATE_HOST.done ]; do sleep 0.1; done" \
          >"$OUT/maintenance" 2>&1 || r=$?
      echo $r >"$OUT/maintenance.code"; } 3>&- 4>&- &
    for i in hyp01 hyp02; do
        until_true 60 test -e "$OUT/$i.go"
        [ -z "$(virsh_on "$i" list --name)" ]
        "$LAB" kill "$i" libvirtd KILL
        "$LAB" start "$i" libvirtd
        touch "$OUT/$i.done"
    done
    ended maintenance 0 'hyp02: maintained' 60
    for i in 1 2 3 4; do
        runs_only_on "t$i" "hyp0$((1 + i % 2))"
        "$LAB" check "t$i"
    done
    [ "$(rmigrate hosts --json | grep -c '"open"')" = 3 ]
}

@test "no room: the guests that fit go, the other is told why, and nothing is overfilled" {
    local i
    for i in 1 2 3; do "$LAB" guest "n$i" hyp01 mem=400 fill=4 & done
    wait
    until_true 20 rmigrate guests 'n[1-3]'
    run -1 rmigrate 'n[1-3]' hyp02
    [ "$(grep -c ': migrated to hyp02$' <<<"$output")" = 2 ]
    [[ $output == *"Unable to identify a suitable target host for guest n"*"hyp02 has too little memory"* ]]
}

@test "cancel stops a running and a queued job; the guests stay where they were, running" {
    endless c1 hyp01
    "$LAB" guest c2 hyp01 mem=32 &
    "$LAB" guest c3 hyp01 mem=32 &
    wait
    until_true 20 rmigrate guests 'c[1-3]'
    begin_move c1 hyp02
    until_true 30 migrates c1 hyp01
    run -0 rmigrate close hyp03
    run -0 rmigrate submit c2 hyp02 --detach
    # With the link full of c1 nothing else gets through: c2 runs or waits, and is stopped as well.
    run -0 rmigrate cancel --guests c1
    ended c1 1 'c1: Error: cancelled by admin'
    rmigrate cancel --guests c2 || :
    until_true 30 nothing_live
    runs_only_on c1 hyp01
    [ "$(where c1)" = "hyp01 running" ]
    # A job that waits is stopped at once.
    run -0 rmigrate submit c3 hyp02 --detach
    rmigrate pause --guests c3 && rmigrate cancel --guests c3
    until_true 30 nothing_live
    [ "$(where c3 | grep -c running)" = 1 ]
}

@test "what cannot be done is said clearly and at once, with the right exit code" {
    "$LAB" guest x1 hyp01 mem=32
    "$LAB" guest x2 hyp01 mem=32
    until_true 20 rmigrate guests 'x[1-2]'
    run -1 rmigrate x1,nosuch,other hyp02
    [ "$output" = "Error: Invalid nodes and/or groups in noderange: nosuch,other" ]
    [ "$(where x1)" = "hyp01 running" ]
    run -1 rmigrate x1 hyp77
    [[ $output == "Error: Invalid nodes and/or groups in noderange: hyp77"* ]]
    virsh_on hyp01 destroy x2
    until_true 20 sh -c "$(declare -f rmigrate); LAB='$LAB' SITE='$SITE' BIN='$BIN'; rmigrate guests x2 | grep -q shutoff"
    run -1 rmigrate x2 hyp02
    [[ $output == "x2: Error: is shutoff on hyp01"* ]]
    # A target whose worker is gone.
    site_kill hyp03 TERM
    until_true 20 worker_is_gone hyp03
    run -1 rmigrate x1 hyp03
    [[ $output == "x1: Error: Unable to reach hyp03 to perform operation of x1, destination unusable"* ]]
    site_worker hyp03
    site_wait 3
    # No broker, wrong settings.
    site_kill broker TERM
    sed 's/};$/timeout = "3 s"; };/' "$SITE/client.conf" >"$SITE/quick.conf"
    run -3 timeout 20 "$LAB" exec lab env RMIGRATE_CONF="$SITE/quick.conf" "$BIN/rmigrate" x1 hyp02
    site_broker
    site_wait 3
    echo 'client: { brokr = "tcp://10.77.0.1:9749"; };' >"$SITE/wrong.conf"
    run -2 "$LAB" exec lab "$BIN/rmigrate" -c "$SITE/wrong.conf" x1 hyp02
    [[ $output == *"wrong.conf:1"*brokr* ]]
}

@test "a daemon with few workers gives few slots, whatever the settings say" {
    local h
    for h in hyp01 hyp02; do
        "$LAB" exec $h sed -i '$ a max_workers = 4' /etc/libvirt/libvirtd.conf
        "$LAB" kill $h libvirtd KILL
        "$LAB" start $h libvirtd
        sed 's/^worker: {/worker: { slots = 4;/' "$SITE/$h.conf" >"$SITE/$h.many.conf"
        site_kill $h TERM
        until_true 20 worker_is_gone $h
        site_spawn $h $h "$BIN/rmigrate-worker" -c "$SITE/$h.many.conf"
    done
    site_wait 3
    rmigrate queue hyp01,hyp02 --json
    [ "$(rmigrate queue hyp01,hyp02 --json | grep -c '"slots": *2')" = 2 ]
    for h in hyp01 hyp02; do
        "$LAB" exec $h sed -i '/^max_workers = 4$/d' /etc/libvirt/libvirtd.conf
        "$LAB" kill $h libvirtd KILL
        "$LAB" start $h libvirtd
        site_kill $h TERM
        until_true 20 worker_is_gone $h
        site_worker $h
    done
    site_wait 3
}

@test "one worker serves three hypervisors from elsewhere, by their URIs" {
    local h
    for h in $(hyps); do site_kill "$h" TERM; done
    for h in $(hyps); do until_true 20 worker_is_gone "$h"; done
    site_far_worker
    site_wait 3
    [ "$(rmigrate workers --noheadings | wc -l)" = 1 ]
    "$LAB" guest f1 hyp01 mem=32 fill=8
    "$LAB" guest f2 hyp02 mem=32 fill=8
    until_true 20 rmigrate guests f1,f2
    run -0 rmigrate f1,f2 hyp03
    runs_only_on f1 hyp03
    runs_only_on f2 hyp03
    # Nothing of the guest's source is local to this worker, so the fence waits for the call.
    rmigrate show "$(last_job f1)" | grep -q 'call returned'
    site_kill far TERM
    for h in $(hyps); do site_worker "$h"; done
    site_wait 3
}
