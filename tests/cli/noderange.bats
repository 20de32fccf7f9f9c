#!/usr/bin/env bats
# noderange.bats - groups, selections and attributes of the site tables in what one types

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; }; exclude_nodes = "holy";'
    broker_up
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03}
    local i
    for i in 1 2 3 4 5 6 7 8 9; do guest "kvm$i" hyp01; done
    guest saint1 hyp01
    worker_up all hyp01 hyp02 hyp03
    cat >"$SITE/nodelist.csv" <<END
#node,groups,status
kvm1,"web,all",up
kvm2,"web,rack1,all",up
kvm3,"db,rack1,all",down
kvm4,"db,all",up
kvm9,far,up
saint1,holy,up
hyp01,"hyps,old",up
hyp02,"hyps,new",up
ghost1,"web2,all",up
END
    cat >"$SITE/vm.csv" <<END
#node,host,migrationdest,comments
kvm1,hyp01,,
far,,hyp03,
db,,"|kvm(\d+)|hyp0(\$1-1)|",
kvm5,hyp01,nowhere,
END
    printf '#groupname,grouptype,members,wherevals\nsick,dynamic,dynamic,"nodelist.status==down"\n' >"$SITE/nodegroup.csv"
    local table
    for table in nodelist vm nodegroup; do ask tabrestore "$SITE/$table.csv"; done
}
teardown_file() { load common; site_down; }
setup() { load common; }

# The guests of a noderange, by a dry run that changes nothing.
guests_are() { # NODERANGE NAME...
    ok guests "$1" --json
    shift
    [ "$(jq -r '.guests[].guest' <<<"$output" | sort | xargs)" = "$*" ] || wrong "the guests" "$*"
}

@test "groups, what is taken away, what two have in common, selections, regular expressions" {
    guests_are web kvm1 kvm2
    guests_are web,db kvm1 kvm2 kvm3 kvm4
    guests_are web,-rack1 kvm1
    guests_are rack1@db kvm3
    guests_are web,db,@rack1 kvm2 kvm3
    guests_are sick kvm3
    guests_are 'nodelist.status==down' kvm3
    guests_are '/kvm[1-2]$' kvm1 kvm2
    guests_are 'kvm[1-3],-kvm2' kvm1 kvm3
    guests_are '(web,db)@rack1' kvm2 kvm3
}

@test "a group is moved, and is not a guest's name" {
    ok web hyp02 --reason group
    lines_are "kvm1: migrated to hyp02" "kvm2: migrated to hyp02"
    ok tabdump vm
    has '"kvm1",,"hyp02"'
    has '"far",,,"hyp03"'
}

@test "names in a file" {
    printf '# from the ticket\nkvm3\nkvm4,kvm5\n' >"$BATS_TEST_TMPDIR/list"
    guests_are "^$BATS_TEST_TMPDIR/list" kvm3 kvm4 kvm5
    ends 1 guests "^$BATS_TEST_TMPDIR/nofile"
    err_has "$BATS_TEST_TMPDIR/nofile"
}

@test "vm.migrationdest of a group, and as a pattern" {
    ok kvm9
    is "kvm9: migrated to hyp03"
    ok kvm3,kvm4
    lines_are "kvm3: migrated to hyp02" "kvm4: migrated to hyp03"
}

@test "a vm.migrationdest that names no hypervisor is not any other one" {
    ends 1 kvm5
    is ''
    err_is "kvm5: Error: Unable to identify a suitable target host for guest kvm5: vm.migrationdest is 'nowhere', and no such hypervisor is known"
    ok kvm5 hyp02
    is "kvm5: migrated to hyp02"
}

@test "hypervisors by group" {
    ok hosts hyps --json
    json '.hosts | map(.host) == ["hyp01", "hyp02"]'
    ok kvm6 --to new
    is "kvm6: migrated to hyp02"
    ok close old
    is "hyp01: closed"
    ok open old
    ends 1 evacuate hyps --plan --json # saint1 stays
    json '.plan | map(select(.ok)) | all(.destination == "hyp03")'
}

@test "an excluded group is in no noderange" {
    ends 1 saint1 hyp02
    err_has "Error: "
    runs_on saint1 hyp01
    ok 'kvm7,saint1' hyp02
    is "kvm7: migrated to hyp02"
}

@test "a node of the tables that no hypervisor has" {
    ends 1 ghost1 hyp02
    err_has "ghost1: Error: Can't find ghost1: no hypervisor that a worker serves has it"
    ends 1 all hyp02
    has "kvm1: "
    err_has "ghost1: Error: "
}

@test "what matches nothing, or cannot be understood, is an error" {
    ends 1 'web,-web' hyp02
    err_is "Error: no nodes match 'web,-web'"
    ends 1 'nodelist.colour==red' hyp02
    err_has "Error: "
    err_has colour
    ends 1 '/kvm[' hyp02
    err_has "Error: "
    ends 1 'kvm[9-1]' hyp02
    err_has "Error: "
    ends 1 '(web' hyp02
    err_has "Error: "
    ends 1 'web,nosuch,neither' hyp02
    is ''
    err_is "Error: Invalid nodes and/or groups in noderange: nosuch,neither"
}
