#!/usr/bin/env bats
# nodes.bats - the tables with xCAT's words: nodels, nodech, gettab, chtab, tabedit, and what tabdump and tabrestore can besides

setup_file() {
    load common
    site_new
    broker_up
}
teardown_file() { load common; site_down; }
setup() {
    load common
    export TMPDIR=$BATS_TEST_TMPDIR
    CSV=$BATS_TEST_TMPDIR
    cat >"$CSV/nodelist.csv" <<END
#node,groups,status,hidden
kvm1,"web,all",up,
kvm2,"web,rack1,all",up,
kvm3,"db,all",down,
ghost1,"all",,1
END
    cat >"$CSV/vm.csv" <<END
#node,host,migrationdest,vidpassword,cpus
kvm1,hyp01,,geheim,
web,,hyp02,,4
kvm3,hyp01,,,
END
    printf '#groupname,grouptype,members,wherevals\n' >"$CSV/nodegroup.csv"
    ask tabrestore "$CSV/nodelist.csv" "$CSV/vm.csv" "$CSV/nodegroup.csv"
}

keep() { ask tabdump "$1" --secrets >"$CSV/before"; }
is_kept() { ask tabdump "$1" --secrets | diff - "$CSV/before" >&2; }
# Refused, with nothing changed in this table.
refused() { # TABLE CODE TEXT ARGUMENT...
    local table=$1 code=$2 text=$3
    shift 3
    keep "$table"
    ends "$code" "$@"
    is ''
    err_is "Error: $text"
    is_kept "$table"
}

# ---- nodels

@test "nodels: the nodes; hidden ones with -S or by name" {
    ok nodels
    is $'kvm1\nkvm2\nkvm3'
    quiet
    ok nodels -S
    is $'ghost1\nkvm1\nkvm2\nkvm3'
    ok nodels ghost1
    is ghost1
    ok nodels web --json
    json '.nodes | map(.node) == ["kvm1", "kvm2"]'
}

@test "nodels: attributes come through groups, and -b says from which" {
    ok nodels 'kvm[1-3]' vm.migrationdest
    is $'kvm1: hyp02\nkvm2: hyp02\nkvm3: '
    ok nodels 'kvm[1-2]' vm.migrationdest -b
    is $'kvm1: hyp02 (inherited from group web)\nkvm2: hyp02 (inherited from group web)'
    ok nodels kvm1 vm.host vm.cpus
    is $'kvm1: vm.host: hyp01\nkvm1: vm.cpus: 4'
    ok nodels kvm1 groups
    is "kvm1: web,all"
    ok nodels kvm1 groups -H
    is "kvm1: groups: web,all"
    ok nodels kvm1 nodelist
    has "kvm1: nodelist.status: up"
    ok nodels 'kvm[1-2]' vm.host vm.cpus --json
    json '.nodes[0] == {"node": "kvm1", "vm.host": "hyp01", "vm.cpus": "4"} and .nodes[1]["vm.host"] == null'
}

@test "nodels: conditions" {
    ok nodels all vm.cpus==4
    is $'kvm1\nkvm2'
    ok nodels all 'nodelist.status!=up' nodelist.status
    has "kvm3: nodelist.status: down"
    ok nodels all 'vm.host=~^hyp' 'vm.cpus!~4'
    is kvm3
    ends 1 nodels kvm1 vm.cpus==9
    err_is "Error: no nodes of 'kvm1' match these conditions"
    ends 1 nodels kvm1 'vm.cpus=~['
    err_has "Error: vm.cpus=~[: wrong regular expression '[', at character 2: "
    ends 1 nodels kvm1 vm.vidpassword==geheim
    err_is "Error: vm.vidpassword: a password cannot select nodes"
}

@test "nodels: passwords are shown to those who ask for them" {
    ok nodels kvm1 vm.vidpassword
    is "kvm1: ********"
    ok nodels kvm1 vm.vidpassword --secrets
    is "kvm1: geheim"
}

@test "nodels refuses what there is not" {
    ends 1 nodels nosuch
    is ''
    err_is "Error: Invalid nodes and/or groups in noderange: nosuch"
    ends 1 nodels kvm1 vm.colour
    err_is "Error: vm.colour not a valid table.column description: the table 'vm' has no column 'colour'"
    ends 1 nodels kvm1 colour
    err_is "Error: colour not a valid table.column description: 'colour' is no attribute: write TABLE.COLUMN, groups or mgt"
    ends 1 nodels kvm1 nodegroup
    err_is "Error: nodegroup not a valid table.column description: that table is not about nodes"
}

# ---- nodech

@test "nodech: attributes of nodes, in their own rows" {
    ok nodech kvm3 vm.cpus=2 nodelist.status=up
    is ''
    quiet
    ok nodels kvm3 vm.cpus nodelist.status
    is $'kvm3: vm.cpus: 2\nkvm3: nodelist.status: up'
    ok events --json
    json ".events | last | .event == \"table changed\" and .by == \"$(id -un)\" and (.text | test(\"of 1 node changed: kvm3\"))"
}

@test "nodech: lists get longer and shorter" {
    ok nodech kvm3 groups,=new
    ok nodels kvm3 groups
    is "kvm3: new,db,all"
    ok nodels new
    is kvm3
    ok nodech kvm3 groups^=db
    ok nodels kvm3 groups
    is "kvm3: new,all"
}

@test "nodech: only nodes that meet a condition; and nothing, whatever the groups say" {
    ok nodech all vm.cpus==4 vm.cpus=5
    ok nodels 'kvm[1-3]' vm.cpus
    is $'kvm1: 5\nkvm2: 5\nkvm3: '
    ok nodech kvm1 vm.migrationdest=
    ok nodels 'kvm[1-2]' vm.migrationdest
    is $'kvm1: \nkvm2: hyp02'
    refused vm 1 "no nodes of 'kvm3' match these conditions" nodech kvm3 vm.cpus==9 vm.cpus=1
}

@test "nodech -d: rows of nodes" {
    ok nodech -d kvm1 vm
    ok nodels kvm1 vm.host
    is "kvm1: "
    ok nodels kvm1 vm.cpus
    is "kvm1: 4"
    ok nodech -d kvm3 vm nodelist
    ends 1 nodels kvm3
}

@test "nodech refuses what cannot be, and then nothing is changed" {
    refused vm 4 "vm.node is the key of its row: it cannot be changed" nodech kvm3 vm.cpus=1 vm.node=x
    refused vm 1 "vm.colour not a valid table.column description: the table 'vm' has no column 'colour'" \
        nodech kvm3 vm.cpus=1 vm.colour=x
    refused vm 2 "Malformed argument 'vm.cpus': it must be TABLE.COLUMN=VALUE, or ,= += ^= =@ == != =~ !~ instead of =" \
        nodech kvm3 vm.cpus
    refused vm 1 "Invalid nodes and/or groups in noderange: nosuch" nodech kvm3,nosuch vm.cpus=1
    refused vm 4 "vm.vidpassword of 'kvm3': ******** is what is shown instead of a password" \
        nodech kvm3 'vm.vidpassword=********'
    refused vm 1 "No such table: nosuch" nodech -d kvm3 vm nosuch
    refused vm 1 "the table 'nodegroup' is not about nodes" nodech -d kvm3 vm nodegroup
    refused vm 1 "'vm.cpus': -d takes only the names of tables" nodech -d kvm3 vm.cpus
    ends 2 nodech kvm3
    ends 2 nodech
}

# ---- gettab and chtab

@test "gettab: columns of a row as they are stored" {
    ok gettab node=kvm1 vm.host
    is hyp01
    quiet
    ok gettab node=kvm1 vm.host -H
    is "vm.host: hyp01"
    ok gettab node=web vm.migrationdest vm.cpus
    is $'vm.migrationdest: hyp02\nvm.cpus: 4'
    ok gettab node=kvm1 vm.vidpassword
    is '********'
    ok gettab node=kvm1 vm.vidpassword --secrets
    is geheim
    ok gettab host=hyp01,node=kvm3 vm.node
    is kvm3
}

@test "gettab refuses what there is not" {
    ends 1 gettab node=nosuch vm.host
    is ''
    err_is "Error: no row of the table vm has node=nosuch"
    ends 1 gettab node=kvm1,host=hyp99 vm.host
    err_is "Error: no row of the table vm has node=kvm1,host=hyp99"
    ends 1 gettab colour=x vm.host
    err_is "Error: vm.colour not a valid table.column description: the table has no such column"
    ends 1 gettab node=kvm1 vm.colour
    err_is "Error: vm.colour not a valid table.column description: the table 'vm' has no column 'colour'"
    ends 1 gettab vidpassword=geheim vm.host
    err_is "Error: vidpassword: a password cannot select rows"
    ends 2 gettab kvm1 vm.host
    err_is "Error: Malformed argument 'kvm1': it must be COLUMN=VALUE[,COLUMN=VALUE...], which says which row"
    ends 2 gettab node=kvm1
}

@test "chtab: rows are changed, made, and deleted" {
    ok chtab node=kvm1 vm.cpus=8
    is ''
    quiet
    ok gettab node=kvm1 vm.cpus
    is 8
    ok chtab node=kvm9 vm.host=hyp03 nodelist.groups=far
    ok nodels far vm.host
    is "kvm9: hyp03"
    ok chtab node=kvm9 nodelist.groups+=all
    ok gettab node=kvm9 nodelist.groups
    is far,all
    ok chtab -d node=kvm9 vm nodelist
    ends 1 nodels kvm9
    ok chtab groupname=sick nodegroup.grouptype=dynamic nodegroup.wherevals=nodelist.status==down
    ok nodels sick
    is kvm3
}

@test "chtab refuses what cannot be" {
    refused vm 4 "vm.node is the key of its row: it cannot be changed" chtab node=kvm1 vm.node=4
    refused vm 1 "vm.colour not a valid table.column description: the table 'vm' has no column 'colour'" \
        chtab node=kvm1 vm.cpus=1 vm.colour=4
    refused vm 2 "Malformed argument 'vm.cpus': it must be TABLE.COLUMN=VALUE or TABLE.COLUMN+=VALUE" chtab node=kvm1 vm.cpus
    refused vm 2 "Malformed argument 'kvm1': it must be COLUMN=VALUE[,COLUMN=VALUE...], which says which row" \
        chtab kvm1 vm.cpus=1
    refused vm 1 "No such table: nosuch" chtab -d node=kvm1 vm nosuch
    ends 2 chtab node=kvm1
}

# ---- tabdump and tabrestore

@test "tabdump: the tables, what their columns mean, rows by condition, into a file" {
    ok tabdump
    is $'hypervisor\nnodegroup\nnodehm\nnodelist\nvm\nzvm'
    ok tabdump --json
    json '.tables | map(.table) | index("vm") != null'
    ok tabdump -d
    has "vm: "
    ok tabdump -d vm
    has "migrationdest: "
    ends 1 tabdump -d nosuch
    ok tabdump vm --noheadings -w host==hyp01
    has '"kvm3",,"hyp01"'
    has_not '"web"'
    ok tabdump vm --json -w 'host=~hyp%' -w 'node!=kvm1'
    json '.vm | map(.node) == ["kvm3"]'
    ok tabdump vm -f "$CSV/out.csv"
    is ''
    grep -qF '"********"' "$CSV/out.csv"
    ok tabdump vm -f "$CSV/secret.csv" --secrets
    grep -q geheim "$CSV/secret.csv"
    [ "$(stat -c %a "$CSV/secret.csv")" = 600 ]
}

@test "tabdump refuses conditions and files that cannot be" {
    ends 1 tabdump vm -w colour==hyp01
    is ''
    err_is "Error: colour not a valid table.column description: the table has no such column"
    ends 1 tabdump vm -w vidpassword==geheim
    err_is "Error: vidpassword: a password cannot select rows"
    ends 2 tabdump vm -w host
    ends 2 tabdump -w host==hyp01
    err_is "Error: TABLE is missing"
    ends 2 tabdump vm -f "$CSV/x" --json
    ends 4 tabdump vm -f "$CSV/nowhere/x"
    err_is "Error: Unable to open $CSV/nowhere/x for writing: No such file or directory"
    run -4 --separate-stderr rmigrate tabdump vm -f /dev/full
    err_has "Error: Unable to write /dev/full: "
}

@test "tabrestore: several files are one change; one bad line, and nothing is changed" {
    printf '#node,groups\nkvm7,new\n' >"$CSV/nodelist.csv"
    printf '#node,cpus\nkvm7,"2\n' >"$CSV/vm.csv"
    keep nodelist
    ends 4 tabrestore "$CSV/nodelist.csv" "$CSV/vm.csv"
    err_has 'CSV unmatched " in record on line 2, character 6: kvm7,"2'
    is_kept nodelist
    printf '#node,cpus\nkvm7,2\n' >"$CSV/vm.csv"
    ok tabrestore "$CSV/nodelist.csv" "$CSV/vm.csv"
    ok nodels new vm.cpus
    is "kvm7: 2"
}

@test "tabrestore: a directory" {
    mkdir "$CSV/all"
    local table
    for table in $(ask tabdump); do ask tabdump "$table" --secrets -f "$CSV/all/$table.csv"; done
    echo text >"$CSV/all/README"
    printf '#node\n' >"$CSV/vm.csv"
    ok tabrestore "$CSV/vm.csv"
    ok tabrestore "$CSV/all"
    ok gettab node=kvm1 vm.vidpassword --secrets
    is geheim
    mkdir "$CSV/empty"
    keep vm
    run --separate-stderr rmigrate tabrestore "$CSV/empty"
    [ "$status" != 0 ]
    is_kept vm
}

@test "tabrestore: a dump without its passwords is not taken for one with" {
    ask tabdump vm >"$CSV/vm.csv"
    keep vm
    ends 4 tabrestore "$CSV/vm.csv"
    err_has "******** is what is shown instead of a password"
    is_kept vm
}

# ---- tabedit

@test "tabedit: a table in an editor" {
    printf '#!/bin/sh\necho "kvm8,,hyp03" >>"$1"\n' >"$CSV/editor"
    chmod +x "$CSV/editor"
    TABEDITOR=$CSV/editor ok tabedit vm
    ok gettab node=kvm8 vm.host
    is hyp03
    ok gettab node=kvm1 vm.vidpassword --secrets
    is geheim
    TABEDITOR=true ok tabedit vm
    is "No file modifications detected, not restoring."
}

@test "tabedit keeps what was edited when it cannot be taken" {
    local kept
    printf '#!/bin/sh\necho "kvm8,\\"" >>"$1"\n' >"$CSV/editor"
    chmod +x "$CSV/editor"
    keep vm
    TABEDITOR=$CSV/editor ends 4 tabedit vm
    err_has 'CSV unmatched " in record on line '
    kept=$(sed -n 's/^rmigrate: the edited table is kept in //p' <<<"$stderr")
    grep -qF 'kvm8,"' "$kept"
    [ "$(stat -c %a "$kept")" = 600 ]
    is_kept vm
    TABEDITOR=false ends 1 tabedit vm
    err_has "Error: the editor 'false' exited with status 1"
    is_kept vm
    ends 1 tabedit nosuch
    err_is "Error: No such table: nosuch"
    ends 2 tabedit
}
