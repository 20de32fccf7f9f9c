#!/usr/bin/env bats
# zvm.bats - guests on z/VM: rmigrate, broker and worker against a simulator of SMAPI; what breaks is in zvm_faults.bats

setup() {
    load common
    load zvm
    needs_zvm
}
teardown() { zvm_down; }

# No line of what xCAT's scripts take for good may hold these words.
is_good_to_xcat() { [[ ! $output =~ [Ff][Aa][Ii][Ll][Ee][Dd]|[Ee][Rr][Rr][Oo][Rr] ]] || wrong "output without failed or error" ""; }

# ---- moves

# bats test_tags=slow
@test "the man page's example: a destination alone moves the guest, and the tables follow" {
    zvm_site
    ok ihost123 destination=pokdev62
    is "$(moved ihost123 LNX123)"
    is_good_to_xcat
    quiet
    sim_on LNX123 POKDEV62
    sim_moved LNX123 1 1 0
    relocations_are "POKDEV61 LNX123 destination=POKDEV62 action=MOVE"
    tables_say ihost123 pokdev62
    ok guests ihost123 --json
    json '.guests[0] | .host == "pokdev62" and .kind == "zvm" and .domain == "LNX123" and .uuid == "LNX123/SSI1"'
    ok ihost123 destination=pokdev62
    is "ihost123: Guest is already on host pokdev62"
    ok ihost123 destination=pokdev61
    is "$(moved ihost123 LNX123)"
    tables_say ihost123 pokdev61
    sim_moved LNX123 2 2 0
}

# bats test_tags=slow
@test "a positional target, options, and the destination in any case" {
    zvm_site
    ok gpok1 pokdev62 --reason upgrade
    is "$(moved gpok1 LNX1)"
    ok gpok2 DESTINATION=POKDEV62
    is "$(moved gpok2 LNX2)"
    ok --to PokDev62 gpok3
    is "$(moved gpok3 LNX3)"
    quiet
    sim_on LNX1 POKDEV62
    sim_on LNX2 POKDEV62
    sim_on LNX3 POKDEV62
    tables_say gpok2 pokdev62
    ok gpok3 POKDEV62
    is "gpok3: Guest is already on host pokdev62"
    ok history gpok1 --json
    json '.history[0] | .reason == "upgrade" and .state == "done"'
}

# bats test_tags=slow
@test "every operand is sent as it is typed, and only those that are given" {
    zvm_site
    ok gpok3 max_quiesce=0020 Force=architecture,Domain ACTION=move immediate=yes MAX_TOTAL=nolimit destination=pokdev62
    is "$(moved gpok3 LNX3 move)"
    quiet
    relocations_are "POKDEV61 LNX3 destination=POKDEV62 action=MOVE force=ARCHITECTURE DOMAIN immediate=YES max_total=NOLIMIT max_quiesce=20"
    run last_operands LNX3
    is $'destination=pokdev62\naction=move\nforce=architecture Domain\nimmediate=yes\nmax_total=nolimit\nmax_quiesce=20'
    ok gpok1 pokdev62 max_total=300
    ok gpok2 pokdev62 "force=STORAGE DOMAIN" force=ARCHITECTURE immediate=NO
    relocations_are "POKDEV61 LNX3 destination=POKDEV62 action=MOVE force=ARCHITECTURE DOMAIN immediate=YES max_total=NOLIMIT max_quiesce=20" \
        "POKDEV61 LNX1 destination=POKDEV62 action=MOVE max_total=300" \
        "POKDEV61 LNX2 destination=POKDEV62 action=MOVE force=STORAGE DOMAIN ARCHITECTURE immediate=NO"
}

# bats test_tags=slow
@test "values that are wrong never reach the broker" {
    zvm_site
    local wrong
    for wrong in action=GO force=YES force= immediate=MAYBE max_total=0 max_total=-1 max_quiesce=100000000 dest=x \
        'max_total=5 max_total=6' 'action=CANCEL --dry-run' 'action=TEST --detach'; do
        # shellcheck disable=SC2086
        ends 2 gpok3 pokdev62 $wrong
        is ''
    done
    relocations_are
    ok jobs -a
    is ''
}

# bats test_tags=slow
@test "force lifts what stands in the way, and only that" {
    zvm_site
    sim ineligible LNX3 POKDEV62 1996 unless DOMAIN
    sim ineligible LNX3 '*' 1981 unless ARCHITECTURE
    ends 1 gpok3 destination=pokdev62
    is ''
    err_has "gpok3: Error: Running VMRELOCATE action=MOVE against LNX3... Failed: "
    err_has HCP1996
    err_has HCP1981
    ends 1 gpok3 destination=pokdev62 force=DOMAIN
    err_has HCP1981
    err_has_not HCP1996
    sim_on LNX3 POKDEV61
    ok gpok3 destination=pokdev62 force=DOMAIN force=ARCHITECTURE
    is "$(moved gpok3 LNX3)"
    sim_moved LNX3 1 1 0
}

# bats test_tags=slow
@test "-V tells how long it took, and no bytes" {
    zvm_site
    ok -V gpok3 pokdev62
    matches '^gpok3: \[[^]]*\]: Running VMRELOCATE action=MOVE against LNX3... Done \([0-9.]+ m?s\)$'
}

# bats test_tags=slow
@test "a noderange is moved: a line for each guest, as finished" {
    zvm_site
    ok 'gpok[1-3],ihost123' destination=pokdev62
    lines_are "$(moved gpok1 LNX1)" "$(moved gpok2 LNX2)" "$(moved gpok3 LNX3)" "$(moved ihost123 LNX123)"
    for i in 1 2 3; do
        sim_on "LNX$i" POKDEV62
        sim_moved "LNX$i" 1 1 0
        tables_say "gpok$i" pokdev62
    done
}

# bats test_tags=slow
@test "without a destination any other member of the cluster will do" {
    zvm_site
    ok gpok1
    is "$(moved gpok1 LNX1)"
    sim_on LNX1 POKDEV62
}

# ---- TEST, and dry runs

# bats test_tags=slow
@test "action=TEST: allowed, and refused with z/VM's numbers; nothing moves" {
    zvm_site
    sim ineligible LNX2 POKDEV62 1940 1996 1996 1981
    ok gpok3 destination=pokdev62 action=TEST
    is "$(moved gpok3 LNX3 TEST)"
    is_good_to_xcat
    quiet
    ends 1 gpok2 destination=pokdev62 action=test
    is ''
    err_has "gpok2: Error: "
    err_has HCP1940
    err_has HCP1981
    ends 1 'gpok[2-3]' destination=pokdev62 action=TEST
    is "$(moved gpok3 LNX3 TEST)"
    err_has HCP1996
    relocations_are
    sim_on LNX3 POKDEV61
    sim_moved LNX3 0 0 0
    ok jobs -a
    is ''
}

# bats test_tags=slow
@test "--dry-run on guests of both kinds: each is asked of its own hypervisor" {
    zvm_site
    mkdir -p "$WORLD"/{hyp01,hyp02}
    guest kvm1 hyp01
    guest kvm2 hyp01
    worker_up kvm hyp01 hyp02
    until_true 10 guest_is_seen kvm2
    plan kvm2 'refuse 0 unfit 27 the disk is not shared'
    sim ineligible LNX2 '*' 1940
    ends 1 'gpok[2-3],kvm[1-2]' --dry-run
    has "$(moved gpok3 LNX3 TEST)"
    has "kvm1: "
    has_not "kvm2: "
    has_not "gpok2: "
    err_has HCP1940
    err_has "kvm2: Error: "
    err_has "the disk is not shared"
    runs_on kvm1 hyp01
    sim_on LNX3 POKDEV61
    ok jobs -a
    is ''
}

# bats test_tags=slow
@test "a noderange of guests of both kinds is moved, KVM ignores what is not for it" {
    zvm_site
    mkdir -p "$WORLD"/{hyp01,hyp02}
    guest kvm1 hyp01
    worker_up kvm hyp01 hyp02
    until_true 10 guest_is_seen kvm1
    ok gpok1,kvm1 force=DOMAIN max_total=60
    lines_are "$(moved gpok1 LNX1)" "kvm1: migrated to hyp02"
    relocations_are "POKDEV61 LNX1 destination=POKDEV62 action=MOVE force=DOMAIN max_total=60"
    ok hosts --json
    json '.hosts | map(.host + " " + .kind + " " + (.cluster // "-")) == ["hyp01 kvm -", "hyp02 kvm -", "pokdev61 zvm SSI1", "pokdev62 zvm SSI1"]'
}

# bats test_tags=slow
@test "a test that lasts outlives the broker; without one it ends soon" {
    CALL_TIMEOUT='90 s' zvm_site
    sim fault TEST late 3 2
    begin testing gpok3 pokdev62 action=TEST
    until_true 10 test_was_asked 1
    broker_down KILL
    broker_up
    comes_to 0
    is "$(moved gpok3 LNX3 TEST)"
    sim fault clear
    sim fault TEST late 60
    local began=$SECONDS
    begin again gpok3 pokdev62 action=TEST
    until_true 10 test_was_asked 3
    broker_down KILL
    comes_to 3
    err_has "Unable to reach the broker"
    [ $((SECONDS - began)) -lt $((30 * TRIES)) ]
}
test_was_asked() { [ "$(sim requests | grep -c action=TEST)" -ge "$1" ]; }

# ---- refused before anything is sent

# bats test_tags=slow
@test "a destination of another kind, of another cluster, or unknown" {
    zvm_site
    mkdir -p "$WORLD"/hyp01
    guest kvm1 hyp01
    worker_up kvm hyp01
    until_true 10 guest_is_seen kvm1
    ends 1 gpok1 destination=hyp01
    is ''
    err_has "gpok1: Error: "
    err_has "hyp01 is no member of z/VM"
    ends 1 kvm1 pokdev61
    err_has "pokdev61 is a member of z/VM"
    ends 1 gpok1 destination=nosuch
    err_has nosuch
    relocations_are
}

# bats test_tags=slow
@test "a member of another SSI cluster" {
    zvm_site
    launch sim2 "$BIN/smapisim" --member POKDEV63=127.0.0.1:0 --user "RMIG:$ZVM_PASSWORD" --ssi SSI2 --guest LNX9@POKDEV63 \
        --control "$SITE/sim2.ctl"
    until_true 5 log_has sim2 ready
    sed -n '/^member/p' "$SITE/log/sim2" >>"$SITE/log/sim"
    zvm_worker zvm63 pokdev63
    zvm_seen pokdev63
    ends 1 gpok1 destination=pokdev63
    is ''
    err_has "pokdev63 is in the SSI cluster SSI2"
    relocations_are
    ok hosts pokdev63 --json
    json '.hosts[0].cluster == "SSI2"'
    [ -z "$("$BIN/smapisim" ctl "$SITE/sim2.ctl" violations)" ]
}

# bats test_tags=slow
@test "rules hold guests on z/VM too, a member's name in any case" {
    zvm_site
    ok chtab node=gpok1 vm.othersettings='separate:web'
    ok chtab node=gpok2 vm.othersettings='separate:web;avoid:POKDEV62'
    ok gpok1 pokdev62
    ends 1 gpok2 pokdev62
    err_has 'separate:web keeps it from pokdev62, where gpok1 is'
    ok chtab node=gpok2 vm.othersettings='avoid:POKDEV62'
    ends 1 gpok2 pokdev62
    err_has 'avoid:pokdev62 keeps it from there; --ignore-rules lets no rule hold it'
    ok gpok2 pokdev62 --ignore-rules
    sim_on LNX2 POKDEV62
}

# bats test_tags=slow
@test "a member without zvm.hcp is no destination for a guest whose row needs one" {
    zvm_site
    ask chtab node=pokdev62 zvm.hcp=
    ends 1 gpok1 destination=pokdev62
    is ''
    err_has "gpok1: Error: "
    err_has "Failed to find zHCP of pokdev62"
    relocations_are
    ask chtab node=pokdev62 zvm.hcp=zhcp62
    ok gpok1 destination=pokdev62
    ok nodels gpok1 zvm.hcp
    is "gpok1: zhcp62"
}

# bats test_tags=slow
@test "a user id that z/VM does not know, and one that is not logged on" {
    zvm_site
    ends 1 nobody1 destination=pokdev62
    is ''
    err_has "nobody1: Error: "
    err_has "its z/VM user NOBODY1 is not logged on"
    sim logoff LNX3
    until_true 10 guest_is_gone gpok3
    ends 1 gpok3 destination=pokdev62
    err_has "gpok3: Error: "
    err_has "not logged on"
    relocations_are
}
guest_is_gone() { told '.guests | length == 0 or .[0].state != "running"' guests "$1"; }

# ---- an end before the end

@test "action=CANCEL stops a move: the job ends as cancelled, the guest stays" {
    zvm_site
    local job
    job=$(slow_move gpok3 LNX3 pokdev62)
    ok gpok3 action=cancel
    is "$(moved gpok3 LNX3 CANCEL)"
    quiet
    state_is "$job" cancelled
    sim_on LNX3 POKDEV61
    sim_moved LNX3 1 0 1
    ends 1 gpok3 action=CANCEL destination=pokdev62 -V
    err_has "action=CANCEL needs no destination, 'pokdev62' is ignored"
}

# bats test_tags=slow
@test "rmigrate cancel stops a move" {
    zvm_site
    local job
    job=$(slow_move gpok3 LNX3 pokdev62)
    begin waiting wait "$job"
    ok cancel "$job"
    comes_to 1
    err_has "gpok3: Error: cancelled by"
    err_has "the guest stays on pokdev61"
    sim_on LNX3 POKDEV61
    sim_moved LNX3 1 0 1
    relocations_are "POKDEV61 LNX3 destination=POKDEV62 action=MOVE" "POKDEV61 LNX3 action=CANCEL"
}

# bats test_tags=slow
@test "action=CANCEL stops a move that somebody else began, and says when there is none" {
    zvm_site
    sim duration 60 LNX3
    other_asks POKDEV61 VMRELOCATE LNX3 destination=POKDEV62 action=MOVE
    until_true 5 sim_moves LNX3 POKDEV61 POKDEV62
    ok gpok3 destination=pokdev62 action=CANCEL --reason 'not today'
    is "$(moved gpok3 LNX3 CANCEL)"
    ok events
    has "a relocation that no job began is to be stopped: not today"
    sim_on LNX3 POKDEV61
    sim_moved LNX3 1 0 1
    ends 1 gpok3 action=CANCEL
    err_has "gpok3: Error: "
    relocations_are "POKDEV61 LNX3 action=CANCEL"
}

# bats test_tags=slow
@test "Ctrl-C with --cancel-on-interrupt" {
    zvm_site
    sim duration 60 LNX3
    begin moving gpok3 pokdev62 --cancel-on-interrupt
    until_true 10 sim_moves LNX3 POKDEV61 POKDEV62
    kill -INT "$(cat "$OUT.pid")"
    comes_to 130
    err_has "the guest stays on pokdev61"
    sim_on LNX3 POKDEV61
}

# bats test_tags=slow
@test "max_total is exceeded: the guest stays, and the job says so" {
    zvm_site
    sim duration 30 LNX3
    ends 1 gpok3 destination=pokdev62 max_total=1
    is ''
    err_has "gpok3: Error: Running VMRELOCATE action=MOVE against LNX3... Failed: "
    err_has max_total
    sim_on LNX3 POKDEV61
    sim_moved LNX3 1 0 1
    ok jobs -a --json
    json '.jobs[0] | .state == "failed" and (.why | contains("max_total"))'
}

# bats test_tags=slow
@test "max_quiesce is exceeded, unless it has no limit" {
    zvm_site
    sim quiesce LNX3 20
    ends 1 gpok3 destination=pokdev62
    is ''
    err_has "gpok3: Error: Running VMRELOCATE action=MOVE against LNX3... Failed: "
    sim_on LNX3 POKDEV61
    ends 1 gpok3 destination=pokdev62 max_quiesce=15
    ok gpok3 destination=pokdev62 max_quiesce=25
    ok gpok3 destination=pokdev61 immediate=YES
    sim_on LNX3 POKDEV61
    ends 1 gpok3 destination=pokdev62 immediate=NO
    ok gpok3 destination=pokdev62 max_quiesce=NOLIMIT
}

# bats test_tags=slow
@test "modify gives a running move other limits" {
    zvm_site
    local job
    job=$(slow_move gpok3 LNX3 pokdev62)
    ok modify "$job" max_quiesce=NOLIMIT --reason 'no hurry'
    has "gpok3: "
    ok show "$job"
    has "new limits: max_quiesce=NOLIMIT: no hurry"
    ends 1 modify "$job" timeout=5min
    err_has "job $job: Error: moves gpok3, which is a guest of z/VM: it has max_total and max_quiesce instead of bandwidth,"
    ok modify "$job" priority=5
    is "job $job: priority from 100 to 5 (gpok3); it runs, and its priority counts for a later try"
    ok modify --guests gpok3 max_total=2 --json
    json '.results[0] | .guest == "gpok3" and .ok'
    until_true 10 state_is "$job" failed
    sim requests | grep -q 'VMRELOCATE_Modify RMIG LNX3 max_quiesce=NOLIMIT$'
    sim requests | grep -q 'VMRELOCATE_Modify RMIG LNX3 max_total=2$'
    sim_on LNX3 POKDEV61
    sim_moved LNX3 1 0 1
    ends 1 modify "$job" max_total=5
    err_has "is already failed"
    job=$(slow_move gpok2 LNX2 pokdev62)
    sim finish LNX2
    until_true 10 state_is "$job" done
    sim fault VMRELOCATE_Modify rc 8 3010 1926
    job=$(slow_move gpok1 LNX1 pokdev62)
    ends 1 modify "$job" max_total=5
    err_has "gpok1: Error: Running VMRELOCATE_Modify against LNX1... Failed: "
    err_has HCP1926
    sim finish LNX1
    until_true 10 state_is "$job" done
}

# bats test_tags=slow
@test "a guest that moves is not moved a second time" {
    zvm_site
    local job
    job=$(slow_move gpok3 LNX3 pokdev62)
    ends 1 gpok3 destination=pokdev62
    is ''
    err_has "gpok3: Error: "
    err_has "job $job"
    sim finish LNX3
    until_true 10 state_is "$job" done
    sim_moved LNX3 1 1 0
}

# ---- evacuation, and a table that is wrong

# bats test_tags=slow
@test "--plan, and a member that is emptied to where it may" {
    zvm_site
    ok evacuate pokdev61 --plan
    matches 'gpok3 +pokdev61 +pokdev62'
    matches 'ihost123 +pokdev61 +pokdev62'
    relocations_are
    ends 1 evacuate pokdev61 --to pokdev61
    relocations_are
}

# bats test_tags=slow
@test "two members are emptied, one after the other" {
    zvm_site
    local i
    for i in 4 5 6 7; do sim guest "LNX$i@POKDEV62"; done
    until_true 10 guest_is_seen gpok7
    until_true 10 guest_is_on gpok7 pokdev62
    ok evacuate pokdev62
    has "pokdev62: 20 user ids that the table zvm does not name stay logged on there"
    for i in 4 5 6 7; do
        has "$(moved "gpok$i" "LNX$i")"
        sim_on "LNX$i" POKDEV61
        tables_say "gpok$i" pokdev61
    done
    ok hosts pokdev62 --json
    json '.hosts[0] | .state == "closed" and .guests == 0'
    ok open pokdev62
    ok evacuate pokdev61 immediate=YES
    for i in 1 2 3 4 5 6 7; do
        has "$(moved "gpok$i" "LNX$i")"
        sim_on "LNX$i" POKDEV62
        tables_say "gpok$i" pokdev62
    done
    has "$(moved ihost123 LNX123)"
    tables_say ihost123 pokdev62
    [ "$(relocations | grep -c 'immediate=YES')" = 8 ]
    [ "$(relocations | grep -vc 'immediate=YES')" = 4 ]
}

# bats test_tags=slow
@test "a guest that was moved by hand: reconcile mends zvm.parent, zvm.hcp and vm.host" {
    zvm_site
    ask chtab node=gpok3 vm.host=pokdev61
    ok reconcile
    sim logoff LNX3
    sim logon LNX3 POKDEV62
    until_true 15 guest_is_on gpok3 pokdev62
    ends 1 reconcile gpok3
    err_has pokdev61
    ok reconcile gpok3 --repair
    tables_say gpok3 pokdev62
    ok reconcile gpok3
    ok gpok3 pokdev62
    is "gpok3: Guest is already on host pokdev62"
    relocations_are
}

# bats test_tags=slow
@test "one that is moved by somebody else while its job waits" {
    zvm_site
    sim duration 1 LNX3
    other_asks POKDEV61 VMRELOCATE LNX3 destination=POKDEV62 action=MOVE
    until_true 5 sim_moves LNX3 POKDEV61 POKDEV62
    run rmigrate gpok3 pokdev62
    until_true 10 sim_on LNX3 POKDEV62
    until_true 10 nothing_live
    sim_moved LNX3 1 1 0
}

# ---- which guest is which node

# bats test_tags=slow
@test "a user id becomes a node's guest as soon as the table says so, and another node's when it changes" {
    zvm_site
    sim guest SOMEBODY@POKDEV61
    sim duration 0.1
    ask chtab node=web1 nodelist.groups=all
    ends 1 web1 destination=pokdev62
    err_has "Can't find web1"
    ask chtab node=web1 zvm.userid=somebody zvm.parent=POKDEV61 zvm.hcp=hcp61.example
    until_true 15 guest_is_seen web1
    ok web1 destination=pokdev62
    is "$(moved web1 SOMEBODY)"
    tables_say web1 pokdev62
    ask chtab node=web2 nodelist.groups=all
    ask chtab -d node=web1 zvm
    ask chtab node=web2 zvm.userid=SOMEBODY
    until_true 15 guest_is_seen web2
    ok web2 destination=pokdev61
    is "$(moved web2 SOMEBODY)"
    ok guests --json
    json '.guests | map(select(.domain == "SOMEBODY") | .guest) == ["web2"]'
}

# ---- looking

# bats test_tags=slow
@test "show, jobs and guests tell what a guest is on z/VM" {
    zvm_site
    local job
    job=$(slow_move gpok3 LNX3 pokdev62 force=DOMAIN max_total=500)
    ok show "$job"
    has "gpok3, z/VM user LNX3 in SSI cluster SSI1"
    has "force=DOMAIN, max_total=500"
    ok show "$job" --json
    json '.kind == "zvm" and .total == 0'
    ok jobs --json
    json '.jobs[0].kind == "zvm"'
    ok guests --json
    json '.guests | map(.guest) == ["gpok1", "gpok2", "gpok3", "ihost123"]'
    sim finish LNX3
    until_true 10 state_is "$job" done
}
