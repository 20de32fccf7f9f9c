#!/usr/bin/env bats
# xcat_guests.bats - the tables and what runs where: guests whose names differ from their nodes', vm.host through groups and
# patterns, reconcile, and who may do what

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; }; hierarchical_attrs = "virtflags,vm.nics:;";'
    key watcher viewer
    key mover operator
    key boss admin
    curve_up
    local who i
    for who in watcher mover boss; do client_conf "$who" >/dev/null; done
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03}
    for i in 1 2 3 4 5 6; do guest "dom$i" hyp01; done
    for i in 1 2 3 4 5 6 7 8; do guest "web$i" hyp01; done
    worker_up all hyp01 hyp02 hyp03
}
teardown_file() { load common; site_down; }
setup() {
    load common
    CSV=$BATS_TEST_TMPDIR
}

# Tables of these lines; the others are empty.
tables() { # TABLE LINE... [-- TABLE LINE...]
    local dir=$CSV/tables name
    rm -rf "$dir"
    mkdir -p "$dir"
    for name in $(ask tabdump); do ask tabdump "$name" | head -n 1 >"$dir/$name.csv"; done
    while [ $# -gt 0 ]; do
        name=$1
        shift
        : >"$dir/$name.csv"
        while [ $# -gt 0 ] && [ "$1" != -- ]; do printf '%s\n' "$1" >>"$dir/$name.csv" && shift; done
        [ $# = 0 ] || shift
    done
    ask tabrestore "$dir"
}
own_host() { ask gettab node="$1" vm.host 2>/dev/null || echo none; }
calls_it() { told ".guests | map(select(.guest == \"$1\")) | length == 1" guests; }
nobody_calls_it() { told ".guests | map(select(.guest == \"$1\")) | length == 0" guests; }

DOMAINS=(nodelist '#node,groups' 'kvm1,vms' 'kvm2,vms' 'kvm3,vms' 'kvm4,vms' 'kvm5,vms' 'kvm6,vms' -- vm
    '#node,othersettings' 'vms,"|kvm(\d+)|cpumode:host; domain:dom($1) ;x:y|"')

@test "a node whose domain has another name: moved, told, kept under the node's name" {
    tables "${DOMAINS[@]}"
    ok guests 'kvm[1-2]' --json
    json '.guests | map(.guest) == ["kvm1", "kvm2"] and map(.domain) == ["dom1", "dom2"]'
    ok kvm1 hyp02
    is 'kvm1: migrated to hyp02'
    runs_on dom1 hyp02
    [ "$(own_host kvm1)" = hyp02 ]
    ends 1 gettab node=dom1 vm.host
    ok history kvm1 --json
    json '.history[0].guest == "kvm1"'
    ok kvm1 hyp02
    is 'kvm1: Guest is already on host hyp02'
    ends 1 dom1 hyp02
    err_is "Error: Invalid nodes and/or groups in noderange: dom1"
    ok guests
    has kvm1
    has_not dom1
}

# bats test_tags=slow
@test "an evacuation takes them under their nodes' names" {
    tables "${DOMAINS[@]}"
    guest dom9 hyp03
    until_true 5 calls_it dom9
    ok 'kvm[2-3]' hyp03
    ok evacuate hyp03 --to hyp01
    lines_are 'kvm2: migrated to hyp01' 'kvm3: migrated to hyp01' 'dom9: migrated to hyp01' 'hyp03: is empty: 3 moved'
    ok open hyp03
    ask dom9 hyp03 && rm -f "$WORLD/hyp03/dom9"
}

# bats test_tags=slow
@test "the tables change, and the guests are called otherwise, with their history" {
    tables "${DOMAINS[@]}"
    ok kvm4 hyp02
    local job
    job=$(last_job kvm4)
    ok chtab node=kvm4 vm.othersettings=cpumode:host
    calls_it dom4
    nobody_calls_it kvm4
    ok history dom4 --json
    json ".history[0].job == $job and .history[0].guest == \"kvm4\""
    ends 1 kvm4 hyp01
    err_has "kvm4: Error: Can't find kvm4"
    ok chtab node=kvm4 vm.othersettings=domain:dom5 # kvm5's by the pattern, and kvm4 comes first
    calls_it kvm4
    calls_it dom4
    nobody_calls_it kvm5
    ends 1 reconcile
    err_has "kvm5: Error: vm.othersettings says domain:dom5, which is the guest of kvm4"
    ok chtab node=kvm5 vm.othersettings=domain:dom4 # the two have changed places
    calls_it kvm4
    calls_it kvm5
    ok guests kvm5 --json
    json '.guests[0].domain == "dom4" and .guests[0].host == "hyp02"'
    ok kvm5 hyp01
    is 'kvm5: migrated to hyp01'
    runs_on dom4 hyp01
    ok chtab -d node=kvm5 vm
    ok chtab -d node=kvm4 vm
}

# bats test_tags=slow
@test "a domain that has a node's name, whose guest is another one, is no node's" {
    tables nodelist '#node' 'web1' 'web2' -- vm '#node,othersettings' 'web1,domain:web2'
    calls_it web1
    calls_it %web1
    nobody_calls_it web2
    ends 1 web2 hyp02
    err_is "web2: Error: Can't find web2: no hypervisor that a worker serves has it (the domain of that name is the guest of web1)"
    ok web1 hyp02
    is 'web1: migrated to hyp02'
    runs_on web2 hyp02
    ok %web1 hyp02
    is '%web1: migrated to hyp02'
    runs_on web1 hyp02
    ends 1 gettab node=%web1 vm.host
    tables vm '#node'
    calls_it web1
    calls_it web2
    ok web1,web2 hyp01
}

# bats test_tags=slow
@test "a job keeps the name that it began with" {
    tables nodelist '#node' 'web3'
    plan web3 'ok 4000'
    begin slow submit web3 hyp02
    until_true 5 told '.jobs | map(select(.guest == "web3" and .state == "running")) | length == 1' jobs
    ok chtab node=db3 nodelist.groups=db vm.othersettings=domain:web3
    calls_it web3
    nobody_calls_it db3
    ends 1 db3 hyp03
    comes_to 0
    is 'web3: migrated to hyp02'
    until_true 5 calls_it db3
    nobody_calls_it web3
    [ "$(own_host web3)" = hyp02 ]
    ok db3 hyp01
    is 'db3: migrated to hyp01'
    runs_on web3 hyp01
    tables vm '#node'
}

# bats test_tags=slow
@test "a lock goes with the guest, whatever it is called" {
    tables "${DOMAINS[@]}"
    calls_it kvm6
    plan dom6 'vanish 0'
    plan kvm6 'vanish 0'
    ends 1 kvm6 hyp02
    err_has "kvm6: Error: it is not certain where it runs, and it is locked"
    ok chtab node=kvm6 vm.othersettings=x:y
    guest dom6 hyp01
    until_true 5 calls_it dom6
    ends 1 dom6 hyp02
    err_has "dom6: Error: is locked since an earlier job"
    runs_on dom6 hyp01
    ok release dom6
    rm -f "$WORLD/plan/dom6" "$WORLD/plan/kvm6"
    until_true 10 ask dom6 hyp02 2>/dev/null # as soon as it is seen again
    runs_on dom6 hyp02
    tables vm '#node'
}

# ---- vm.host

HOSTS=(nodelist '#node,groups' 'web4,w' 'web5,w' 'web6,w' -- vm '#node,host' 'w,"|web(\d+)|hyp0(($1-4)%2+1)|"')

@test "vm.host through a group and a pattern: held against what runs, mended where it is wrong" {
    tables "${HOSTS[@]}" # web4 hyp01, web5 hyp02, web6 hyp01
    ends 1 reconcile
    is ''
    err_is "web5: Error: vm.host says hyp02, it runs on hyp01"
    ends 1 reconcile web4,web5
    err_is "web5: Error: vm.host says hyp02, it runs on hyp01"
    ok reconcile w,-web5
    ok reconcile --repair
    is 'web5: vm.host said hyp02, it runs on hyp01: repaired'
    [ "$(own_host web5)" = hyp01 ]
    [ "$(own_host web4)" = none ]
    ok reconcile
    err_is "rmigrate: the table matches the hypervisors"
}

@test "a move writes the node's own row, unless the group says it already" {
    tables "${HOSTS[@]}"
    ok web4,web6 hyp01
    [ "$(own_host web4)" = none ]
    ok web4 hyp03
    [ "$(own_host web4)" = hyp03 ]
    ok web5 hyp02
    ok nodels w vm.host -b
    is $'web4: hyp03\nweb5: hyp02\nweb6: hyp01 (inherited from group w)'
    ok web4,web5 hyp01
    ok nodels w vm.host
    is $'web4: hyp01\nweb5: hyp01\nweb6: hyp01'
}

@test "reconcile tells of nodes that no hypervisor has, and of what cannot be evaluated" {
    tables nodelist '#node,groups' 'web7,x' 'ghost1,x' 'plain,' 'hyp01,' -- vm '#node,host,othersettings' \
        'ghost1,hyp01,' 'ghost2,hyp02,domain:casper' 'web7,"|(\D+)(\d+)|(1/($2-7))|",'
    ends 1 reconcile
    lines_are ''
    err_has "ghost1: Error: vm.host says hyp01, but no hypervisor that a worker serves has it"
    err_has "ghost2: Error: vm.host says hyp02, but no hypervisor that a worker serves has it (its domain is casper)"
    err_has "web7: Error: vm.host of web7: "
    err_has_not plain
    ends 1 reconcile plain
    err_is "plain: Error: no hypervisor that a worker serves has it"
    ok reconcile hyp01
    tables vm '#node'
}

# bats test_tags=slow
@test "an evacuation keeps to vm.migrationdest" {
    tables nodelist '#node,groups' 'web8,far' -- vm '#node,migrationdest' 'far,"hyp[02-03],-hyp02"'
    ok web8 hyp02
    ok evacuate hyp02
    has 'web8: migrated to hyp03'
    ok open hyp02
    ok chtab node=far vm.migrationdest=nowhere
    ends 1 evacuate hyp03
    err_has "web8: Error: Unable to identify a suitable target host for guest web8: vm.migrationdest is 'nowhere', and no such hypervisor is known"
    ok evacuate hyp03 --to hyp01
    has 'web8: migrated to hyp01'
    ok open hyp03
    tables vm '#node'
}

@test "hierarchical attributes are put together" {
    tables nodelist '#node,groups' 'a1,"g1,g2"' -- vm '#node,virtflags,nics,memory' 'a1,"x,y",n1,' 'g1,"y,z","n2;n1",1' 'g2,w,,2'
    ok nodels a1 vm.virtflags vm.nics vm.memory
    is $'a1: vm.virtflags: x,y,z,w\na1: vm.nics: n1;n2\na1: vm.memory: 1'
    tables vm '#node'
}

# ---- who may

as() { # CODE WHO ARGUMENT...
    local code=$1 who=$2
    shift 2
    RMIGRATE_CONF=$SITE/$who.conf ends "$code" "$@"
}

# bats test_tags=slow
@test "roles: a viewer reads the tables but for passwords, an administrator changes them" {
    tables nodelist '#node,groups' 'a1,g' -- vm '#node,vidpassword' 'a1,geheim'
    local who command
    as 5 watcher chtab node=a1 vm.vidpassword=verborgen
    ok events --json
    json '.events | map(select(.event == "denied")) | last | .text == "denied: rmigrate chtab node=a1 vm.vidpassword=********"'
    has_not verborgen
    for who in watcher mover; do
        for command in "nodels a1 vm" "gettab node=a1 vm.vidpassword" "tabdump vm" tabdump; do
            as 0 $who $command
            has_not geheim
        done
        for command in "nodels a1 vm --secrets" "gettab node=a1 vm.vidpassword --secrets" "tabdump vm --secrets" "tabedit vm"; do
            as 5 $who $command
            is ''
            err_has "Error: Permission denied for request: $who has the role"
            err_has "to see passwords needs admin"
        done
        for command in "chtab node=a1 vm.host=x" "nodech a1 vm.host=x" "nodech -d a1 vm" "tabrestore $CSV/tables"; do
            as 5 $who $command
            err_has "this needs admin"
        done
    done
    as 0 boss nodels a1 vm.vidpassword --secrets
    is 'a1: geheim'
    as 0 boss nodech a1 vm.host=hyp02
    ok events --json
    json '.events | map(select(.event == "table changed")) | last | .by == "boss" and .text == "vm.host of 1 node changed: a1"'
    tables vm '#node'
}
