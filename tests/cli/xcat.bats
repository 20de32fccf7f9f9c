#!/usr/bin/env bats
# xcat.bats - nodels, nodech, gettab, chtab on the small site of tests/site: what xCAT makes of it, and what is refused
#
# Each test that changes tables puts them back first (fresh), so that they stand in any order.

setup_file() {
    load common
    site_new
    broker_up
}
teardown_file() { load common; site_down; }
setup() { load common; unset RMIGRATE_NODE_PREFIX RMIGRATE_NODE_SUFFIX XCAT_NODE_PREFIX XCAT_NODE_SUFFIX; }

fresh() {
    local table
    for table in zvm nodehm nodelist hypervisor nodegroup vm; do
        [ -e "$TREE/tests/site/$table.csv" ] || printf '#%s\n' node >"$BATS_TEST_TMPDIR/$table.csv"
    done
    ask tabrestore "$TREE/tests/site" ${1:-} "$BATS_TEST_TMPDIR/zvm.csv"
}
changes_nothing() { # COMMAND...: the tables are as before
    local table
    for table in $(ask tabdump); do ask tabdump --secrets "$table"; done >"$BATS_TEST_TMPDIR/was"
    "$@"
    for table in $(ask tabdump); do ask tabdump --secrets "$table"; done | diff "$BATS_TEST_TMPDIR/was" - >&2
}
comma() { paste -sd, -; }

# One expression: what nodels says of it is what is wanted.
range() { # EXPRESSION WANT
    local want=${2#* }
    case $2 in
    OK*)
        run -0 --separate-stderr rmigrate nodels -- "$1"
        [ "$(comma <<<"$output")" = "$want" ]
        ;;
    EMPTY)
        run -1 --separate-stderr rmigrate nodels "$1"
        [ -z "$output" ] && [ "$stderr" = "Error: no nodes match '$1'" ]
        ;;
    MISS*)
        run -1 --separate-stderr rmigrate nodels "$1"
        [ -z "$output" ] && [ "$stderr" = "Error: Invalid nodes and/or groups in noderange: $want" ]
        ;;
    FATAL*)
        run -1 --separate-stderr rmigrate nodels "$1"
        [ -z "$output" ] && [[ $stderr == "Error: $want"* ]]
        ;;
    *) false ;;
    esac
}

# A file of expressions: each wrong one is told.
ranges() { # FILE
    local expression want wrong=0 n=0
    while IFS=$'\t' read -r expression want; do
        [[ $expression != '#'* ]] || continue
        n=$((n + 1))
        if ! range "$expression" "$want"; then
            printf '%s\n  wanted: %s\n  got:    %s %s\n' "$expression" "$want" "$(comma <<<"$output")" "$stderr" >&2
            wrong=1
        fi
    done <"$1"
    [ $n -gt 0 ] && [ $wrong = 0 ]
}

# bats test_tags=slow
@test "every line of noderange.tsv" {
    fresh
    ranges "$TREE/tests/site/noderange.tsv"
}

@test "expressions like them" {
    fresh
    ranges /dev/stdin <<'END'
n2	OK n2
n12-n9	FATAL the range 'n12-n9' runs backwards
n[9-12]	OK n10,n11,n12,n9
n09	MISS n09
node[98-102]	OK node100,node101,node102,node98,node99
node[098-100]	MISS node098,node099
98-102	OK node100,node101,node102,node98,node99
node5+1	MISS node6
kvm1+2	OK kvm1,kvm2,kvm3
f[1-2]n[1-2],-f1n1	OK f1n2,f2n1,f2n2
f[1-3]n1	MISS f3n1
rack1-rack3,-rack2	OK n1,n10,n11,n12,n2,n3,n4,n9
rack3@n9-n10	OK n10,n9
kvm@vm.host==hyp02	OK kvm2
kvm,@vm.host!=hyp02	OK kvm1,kvm3
vm.host=~hyp0[12]	OK kvm1,kvm2,kvm3
vm.host!~hyp@kvm	EMPTY
vm.host=~^hyp01$,-kvm3	OK kvm1
tags=~rack[12]$@n1-n9	OK n1,n2,n3,n4,n5,n6,n7,n8
groups==all@web,n1	OK n1,web
/f\dn1	OK f1n1,f2n1
/f[12]n2,kvm1	OK f1n2,f2n2,kvm1
-kvm1,kvm	OK kvm2,kvm3
kvm,-kvm[1-2]	OK kvm3
((kvm)@(kvm1,kvm2)),web	OK kvm1,kvm2,web
kvm@n1	EMPTY
kvm1,nosuch,kvm2,other	MISS nosuch,other
kvm1,-nosuch	MISS nosuch
emptygrp	EMPTY
END
}

@test "what xCAT silently takes for nothing is an error that says why" {
    fresh
    said() { # EXPRESSION TEXT
        ends 1 nodels "$1"
        is ''
        err_is "Error: $2"
    }
    said '/nomatch.*' "no nodes match '/nomatch.*'"
    said 'vm.host==nobody' "no nodes match 'vm.host==nobody'"
    ends 1 nodels n3-n1
    err_has n3-n1
    ends 1 nodels 'n[3-1]'
    err_is "Error: the range '3-1' runs backwards"
    ends 1 nodels vm.colour==red
    err_has "the table 'vm' has no column 'colour'"
    ends 1 nodels nosuch.host==hyp01
    err_has "No such table: 'nosuch'"
    local cut="parentheses part a noderange, also here; put (), in front of it all, and they belong to the expression"
    said '/n1(0|1)' "'/n1(0|1)': $cut"
    said 'kvm,-/kvm(1|2)' "'kvm,-/kvm(1|2)': $cut"
    said 'groups=~(rack1|rack2)' "'groups=~(rack1|rack2)': $cut"
    ok nodels '(),/n1(0|1)'
    is $'n10\nn11'
    ok nodels '(),kvm,-/kvm(1|2)'
    is kvm3
    ok nodels '/n.*@(n1,n2),vm.host==x@(n3)'
    is $'n1\nn2'
    said 'n1@' "a '@' with no nodes behind it in the noderange"
    ends 1 nodels 'kvm1=~['
    ends 1 nodels '/n['
    err_has "'/n['"
    ends 1 nodels vm.vidpassword==x
    err_has "a password cannot select nodes"
}

@test "a bad name refuses the whole command, before anything is changed" {
    fresh
    refused() { ends 1 nodech kvm1,nosuch,other vm.memory=1; }
    changes_nothing refused
    err_is "Error: Invalid nodes and/or groups in noderange: nosuch,other"
    ends 1 kvm1,nosuch hyp02
    err_is "Error: Invalid nodes and/or groups in noderange: nosuch"
    ok jobs --json
    json '.jobs == []'
}

@test "digits have a prefix and a suffix, ours before xCAT's" {
    fresh
    ok nodels 1-3
    is $'node1\nnode2\nnode3'
    RMIGRATE_NODE_PREFIX=kvm ok nodels 1-2
    is $'kvm1\nkvm2'
    XCAT_NODE_PREFIX=f1n ok nodels '[2-3]'
    RMIGRATE_NODE_PREFIX=kvm XCAT_NODE_PREFIX=f1n ok nodels 3
    is kvm3
    XCAT_NODE_PREFIX=n XCAT_NODE_SUFFIX=.cluster ok nodels 2-3
    is $'n2.cluster\nn3.cluster'
    RMIGRATE_NODE_PREFIX=n RMIGRATE_NODE_SUFFIX=.cluster ok nodels 1+1
    is $'n1.cluster\nn2.cluster'
    RMIGRATE_NODE_PREFIX= ends 1 nodels 7
    err_is "Error: Invalid nodes and/or groups in noderange: 7"
}

@test "files are read by the client: nested, with exclusions, taken away, and an error when they cannot be" {
    fresh
    cd "$BATS_TEST_TMPDIR"
    printf '# a list\nn1-n4\n\n-n2\n^more\nn6: a remark\nn7\tanother\n' >list
    printf 'kvm1,kvm2 rest\n' >more
    ok nodels ^list
    is $'kvm1\nkvm2\nn1\nn3\nn4\nn6\nn7'
    ok nodels "n1-n9,-^$BATS_TEST_TMPDIR/list"
    is $'n2\nn5\nn8\nn9'
    ok nodels rack1@^list
    is $'n1\nn3\nn4'
    ok nodech ^more vm.memory=77
    ok nodels kvm vm.memory
    is $'kvm1: 77\nkvm2: 77\nkvm3: '
    ends 1 nodels ^nowhere
    is ''
    err_has nowhere
    err_has "No such file"
    printf '^loop\n' >loop
    ends 1 nodels ^loop
    ends 1 ^nowhere hyp02
    err_has nowhere
    ends 1 jobs --batch 1 --to ^nowhere || ends 2 jobs --to ^nowhere
}

# ---- patterns

# bats test_tags=slow
@test "every line of pattern.tsv" {
    local node value want wrong=0 n=0
    fresh
    while IFS=$'\t' read -r node value want; do
        [[ $node != '#'* ]] || continue
        n=$((n + 1))
        if [ "$want" = UNSET ]; then # what cannot be evaluated is not taken
            printf '#node,storage\n"other",\n"%s","%s"\n' "$node" "$value" >"$BATS_TEST_TMPDIR/vm.csv"
            run -4 --separate-stderr rmigrate tabrestore "$BATS_TEST_TMPDIR/vm.csv"
            [[ $stderr == "Error: vm.storage of '$node', line 3, character "* ]] || wrong=1
            run -4 --separate-stderr rmigrate chtab node="$node" vm.storage="$value"
            [[ $stderr == "Error: vm.storage of '$node': "* ]] || wrong=1
            continue
        fi
        run -0 --separate-stderr rmigrate chtab node="$node" vm.storage="$value"
        run -0 --separate-stderr rmigrate nodels "$node" vm.storage
        if [ "$output" != "$node: $want" ]; then
            printf '%s %s\n  wanted: %s\n  got:    %s %s\n' "$node" "$value" "$want" "$output" "$stderr" >&2
            wrong=1
        fi
        run -0 --separate-stderr rmigrate gettab node="$node" vm.storage
        [ "$output" = "$value" ] || wrong=1
    done <"$TREE/tests/site/pattern.tsv"
    [ $n -gt 0 ] && [ $wrong = 0 ]
}

@test "patterns like them, in the row of a group" {
    fresh
    reads() { # VALUE NODE WANT
        ask chtab node=kvm vm.storage="$1"
        ok nodels "$2" vm.storage
        is "$2: $3"
        quiet
    }
    reads '|kvm(\d+)|nfs://srv($1%2)/vms|' kvm3 nfs://srv1/vms
    reads '|kvm(\d+)|hyp(sprintf("%03d",$1*10))|' kvm2 'hyp020'
    reads "|kvm(\\d+)|(sprintf('%x',\$1+254))|" kvm1 ff
    reads '/kvm/disk/' kvm2 disk2
    reads '|(($1-1)*2+1)|' kvm3 5
    reads '|^.*$||' kvm1 ''
    reads 'a|b' kvm1 'a|b'
    ask chtab node=kvm vm.storage='|kvm(\d+)|(10/($1-2))|'
    ends 1 nodels kvm vm.storage
    lines_are 'kvm1: -10' 'kvm3: 10'
    err_has "kvm2: Error: vm.storage of kvm2: "
}

@test "what cannot be evaluated on any node is refused, with the row and the column" {
    fresh
    refused() { # VALUE
        wrong_one() { ends 4 chtab node=kvm vm.storage="$1"; }
        changes_nothing wrong_one "$1"
        err_has "Error: vm.storage of 'kvm': "
    }
    refused '|kvm(\d+)|(open($1))|'
    refused '|kvm(\d+)|($1+)|'
    refused '|kvm(|($1)|'
    refused '|kvm(\d+)|($1;1)|'
    printf '#node,memory,storage\nkvm1,1,\n"kvm","2","|kvm(\\d+)|(system($1))|"\n' >"$BATS_TEST_TMPDIR/vm.csv"
    ends 4 tabrestore "$BATS_TEST_TMPDIR/vm.csv"
    err_has "Error: vm.storage of 'kvm', line 3, character 11: "
}

# ---- nodels

@test "nodels: names, one column, several, all of a table, headings" {
    fresh
    ok nodels kvm
    is $'kvm1\nkvm2\nkvm3'
    quiet
    ok nodels kvm1 vm.host
    is 'kvm1: hyp01'
    ok nodels kvm1 vm.host -H
    is 'kvm1: vm.host: hyp01'
    ok nodels -H kvm1 vm.host
    is 'kvm1: vm.host: hyp01'
    ok nodels kvm1-kvm2 vm.host nodehm.mgt
    is $'kvm1: vm.host: hyp01\nkvm1: nodehm.mgt: kvm\nkvm2: vm.host: hyp02\nkvm2: nodehm.mgt: kvm'
    ok nodels kvm1 mgt groups tags
    is $'kvm1: mgt: kvm\nkvm1: groups: all,kvm\nkvm1: tags: all,kvm'
    ok nodels kvm1 vm
    [ "$(wc -l <<<"$output")" = 31 ]
    has 'kvm1: vm.node: kvm1'
    has $'\nkvm1: vm.host: hyp01\n'
    has $'\nkvm1: vm.memory: \n'
    ok nodels web vm.host
    is 'web: '
    ok nodels kvm3,kvm1 --json vm.host vm.memory
    json '.nodes == [{"node": "kvm1", "vm.host": "hyp01", "vm.memory": null}, {"node": "kvm3", "vm.host": "hyp01", "vm.memory": null}]'
}

@test "nodels: conditions" {
    fresh
    ok nodels kvm vm.host==hyp01
    is $'kvm1\nkvm3'
    ok nodels kvm vm.host!=hyp01
    is kvm2
    ok nodels all 'vm.host=~^hyp'
    is $'kvm1\nkvm2\nkvm3'
    ok nodels kvm 'vm.host!~/1$/'
    is kvm2
    ok nodels kvm vm.host==hyp01 mgt
    is $'kvm1: mgt: kvm\nkvm3: mgt: kvm'
    ok nodels rack1,kvm vm.host== groups==all,compute,rack1
    is $'n1\nn2\nn3\nn4'
    ends 1 nodels kvm vm.host==nobody
    is ''
    err_is "Error: no nodes of 'kvm' match these conditions"
    ends 1 nodels kvm vm.colour==red
    err_has "vm.colour not a valid table.column description"
    ends 1 nodels kvm 'vm.host=~('
    err_has "vm.host=~("
    ends 1 nodels kvm vm.vidpassword==x
    err_has "a password cannot select nodes"
    ends 1 nodels kvm ==x
    err_has "Malformed argument '==x'"
}

@test "nodels: which group a value is inherited from" {
    fresh
    ask chtab node=kvm vm.memory=4096 vm.storage='|kvm(\d+)|s($1)|'
    ask chtab node=all vm.memory=1 vm.cpus=2
    ask chtab node=kvm2 vm.memory=8192
    ok nodels kvm1-kvm2 vm.memory -b
    is $'kvm1: 1 (inherited from group all)\nkvm2: 8192'
    ask nodech kvm groups=kvm,all
    ok nodels kvm1-kvm2 vm.memory vm.cpus vm.storage --blame
    is 'kvm1: vm.memory: 4096 (inherited from group kvm)
kvm1: vm.cpus: 2 (inherited from group all)
kvm1: vm.storage: s1 (inherited from group kvm)
kvm2: vm.memory: 8192
kvm2: vm.cpus: 2 (inherited from group all)
kvm2: vm.storage: s2 (inherited from group kvm)'
    ok nodels kvm1 vm.memory --blame --json
    json '.nodes[0].inherited == {"vm.memory": "kvm"}'
    ask chtab node=kvm1 vm.disable=1 vm.memory=7
    ok nodels kvm1 vm.memory
    is 'kvm1: 4096'
    ask chtab node=kvm1 vm.memory='7+=NEXTRECORD' vm.disable=no
    ok nodels kvm1 vm.memory -b
    has 'kvm1: 74096 (inherited from group '
}

@test "nodels without a noderange: all nodes, but hidden ones" {
    fresh
    ok nodels
    [ "$(wc -l <<<"$output")" = 57 ]
    ask chtab node=web nodelist.hidden=1
    ok nodels
    has_not web
    ok nodels -S
    has web
    ok nodels web
    is web
    ok nodels --json
    json '.nodes | length == 56'
}

@test "nodels: columns that there are not" {
    fresh
    ends 1 nodels kvm1 vm.xx
    is ''
    err_is "Error: vm.xx not a valid table.column description: the table 'vm' has no column 'xx'"
    ends 1 nodels kvm1 nosuch
    err_has "nosuch not a valid table.column description"
    ends 1 nodels kvm1 nodegroup
    err_has "nodegroup not a valid table.column description: that table is not about nodes"
    ends 1 nodels nosuch vm.host
    err_is "Error: Invalid nodes and/or groups in noderange: nosuch"
}

@test "-V adds the server to every line, and keeps what xdshbak splits at" {
    fresh
    local me
    me=$(hostname -s)
    ok nodels kvm1 vm.host -V
    is "kvm1: [$me]: hyp01"
    ends 1 nodels nosuch -V
    err_is "Error: [$me]: Invalid nodes and/or groups in noderange: nosuch"
    ask chtab node=kvm2 vm.storage='|kvm(\d+)|(1/($1-2))|'
    ends 1 nodels kvm2 vm.storage -V
    err_has "kvm2: [$me]: Error: vm.storage of kvm2: "
}

@test "a value of several lines has its node on each" {
    fresh
    ask chtab node=kvm1 vm.comments=$'one\ntwo: three'
    ok nodels kvm1 vm.comments
    is $'kvm1: one\nkvm1: two: three'
}

# ---- gettab

@test "gettab: the row as it is stored" {
    fresh
    ask chtab node=kvm vm.memory=4096 vm.storage='|kvm(\d+)|s($1)|'
    ok gettab node=kvm vm.storage
    is '|kvm(\d+)|s($1)|'
    ok gettab -H node=kvm vm.memory
    is 'vm.memory: 4096'
    ok gettab node=kvm1 vm.host nodehm.mgt
    is $'vm.host: hyp01\nnodehm.mgt: kvm'
    ok gettab node=kvm1 vm.memory
    is ''
    ok gettab host=hyp02 vm.node
    is kvm2
    ok gettab host=hyp01,node=kvm3 vm.node
    is kvm3
    ok gettab groupname=emptygrp nodegroup.grouptype
    is static
}

@test "gettab: what there is not" {
    fresh
    ends 1 gettab node=kvm9 vm.host
    is ''
    err_is "Error: no row of the table vm has node=kvm9"
    ends 1 gettab node=kvm1 vm.host zvm.hcp
    is 'vm.host: hyp01'
    err_is "Error: no row of the table zvm has node=kvm1"
    ends 1 gettab node=kvm1 vm.xx
    err_has "vm.xx not a valid table.column description"
    ends 1 gettab colour=red vm.host
    err_has "vm.colour not a valid table.column description"
    ends 2 gettab kvm1 vm.host
    err_has "Malformed argument 'kvm1'"
    ends 2 gettab node=kvm1
    ends 1 gettab vidpassword=x vm.node
    err_has "a password cannot select rows"
}

# ---- chtab

@test "chtab: a row changed, made, with a list" {
    fresh
    ok chtab node=kvm1 vm.host=hyp02 vm.memory=1024
    is ''
    quiet
    ok gettab node=kvm1 vm.host vm.memory
    is $'vm.host: hyp02\nvm.memory: 1024'
    ok chtab node=new1 nodelist.groups=kvm,all vm.host=hyp03
    ok nodels new1 groups vm.host
    is $'new1: groups: kvm,all\nnew1: vm.host: hyp03'
    ok chtab node=new1 nodelist.groups+=web,all
    ok gettab node=new1 nodelist.groups
    is kvm,all,web
    ok chtab node=new1 vm.storage+=a vm.storage+=b vm.storage+=a
    ok gettab node=new1 vm.storage
    is a,b
    ok chtab node=new1 vm.host=
    ok tabdump vm -w node==new1 --noheadings
    has '"new1",,,,"a,b",'
    ok chtab groupname=dyn nodegroup.grouptype=dynamic nodegroup.wherevals=mgt==kvm
    ok nodels dyn
    is $'kvm1\nkvm2\nkvm3'
    ok chtab host=hyp01 vm.comments=both
    ok gettab node=kvm3 vm.comments
    is both
    ok chtab node=new2,mgr=boss vm.memory=5
    ok gettab node=new2 vm.mgr vm.memory
    is $'vm.mgr: boss\nvm.memory: 5'
    ok events --json
    json ".events | map(select(.event == \"table changed\")) | last | .text == \"vm.memory of 1 row changed: node=new2,mgr=boss\" and .by == \"$(id -un)\""
}

@test "lists: each item once, and not without end" {
    fresh
    local long
    long=$(seq -s, 4000)
    ok chtab node=kvm1 vm.storage=a,b,a,c,
    ok nodech kvm1 vm.storage^=a
    ok gettab node=kvm1 vm.storage
    is b,c
    ok chtab node=kvm1 vm.storage+=c,,d,d
    ok gettab node=kvm1 vm.storage
    is b,c,d
    ok nodech kvm1 vm.storage,=d vm.storage,=e vm.storage^=nosuch
    ok gettab node=kvm1 vm.storage
    is e,b,c,d
    ok nodech kvm1 vm.storage+=b,f vm.storage^=c,e
    ok gettab node=kvm1 vm.storage
    is b,d,f
    ends 4 chtab node=kvm1 vm.storage+="$long"
    err_is "Error: a list of more than 16384 bytes"
    ok chtab node=kvm1 vm.storage="$long"
    ends 4 nodech kvm1 vm.storage^=7
    err_is "Error: a list of more than 16384 bytes"
}

@test "chtab -d deletes rows" {
    fresh
    ok chtab -d node=kvm1 vm nodehm
    ends 1 gettab node=kvm1 vm.host
    ends 1 gettab node=kvm1 nodehm.mgt
    ok nodels kvm1
    ok chtab --delete host=hyp01 vm
    ok tabdump vm -w host==hyp01 --noheadings
    is ''
}

@test "chtab -d of a row that is not there: it is as it should be, and said" {
    fresh
    ok chtab -d node=kvm9 vm nodehm
    is ''
    err_is $'Warning: no row of the table vm has node=kvm9\nWarning: no row of the table nodehm has node=kvm9'
    ends 1 chtab -d colour=red vm
}

# bats test_tags=slow
@test "chtab: all of it, or nothing" {
    fresh
    try() { ends "${@:2}"; }
    refused() { # CODE TEXT ARGUMENT...
        local text=$2
        changes_nothing try x "$1" chtab "${@:3}"
        is ''
        err_has "$text"
    }
    refused 1 "vm.xx not a valid table.column description" node=kvm1 vm.memory=1 vm.xx=2
    refused 1 "No such table: 'nosuch'" node=kvm1 vm.memory=1 nosuch.x=2
    refused 4 "vm.storage of 'kvm1': " node=kvm1 vm.memory=1 vm.storage='|x|(1+)|'
    refused 4 "vm.node is the key of its row" node=kvm1 vm.memory=1 vm.node=kvm2
    refused 1 "no row of the table vm has host=nobody" host=nobody vm.memory=1
    refused 1 "the table vm has a row 'kvm1', but not with node=kvm1,host=hyp02" node=kvm1,host=hyp02 vm.memory=1
    refused 4 "cannot be the key of a row" node= vm.memory=1
    refused 4 "cannot be the key of a row" node="$(printf 'x%.0s' {1..256})" vm.memory=1
    refused 2 "is not UTF-8 or contains a control character" node=kvm1 vm.comments=$'a\001b'
    refused 2 "is not UTF-8 or contains a control character" node=$'kvm\xff' vm.comments=a
    refused 2 "Malformed argument 'vm.memory'" node=kvm1 vm.memory
    refused 2 "Malformed argument 'kvm1'" kvm1 vm.memory=1
    refused 2 "is missing" node=kvm1
    refused 1 "No such table: nosuch" -d node=kvm1 vm nosuch
    refused 1 "-d takes only the names of tables" -d node=kvm1 vm.host
    refused 1 "not a valid table.column description" -d node=kvm1 vm nodegroup
}

# ---- nodech

@test "nodech: set, lists, conditions" {
    fresh
    ok nodech kvm vm.memory=2048 vm.cpus=2
    is ''
    quiet
    ok nodels kvm vm.memory
    is $'kvm1: 2048\nkvm2: 2048\nkvm3: 2048'
    ok nodech kvm vm.host==hyp01 vm.memory=4096
    ok nodels kvm vm.memory
    is $'kvm1: 4096\nkvm2: 2048\nkvm3: 4096'
    ok nodech kvm1 groups,=web
    ok gettab node=kvm1 nodelist.groups
    is web,all,kvm
    ok nodech kvm1 groups,=kvm
    ok gettab node=kvm1 nodelist.groups
    is web,all,kvm
    ok nodech kvm1 groups^=web groups,=db
    ok gettab node=kvm1 nodelist.groups
    is db,all,kvm
    ok nodech kvm1 vm.comments=@=begins nodelist.comments=@@so
    ok gettab node=kvm1 vm.comments nodelist.comments
    is $'vm.comments: =begins\nnodelist.comments: @so'
    ok nodech 'kvm' 'vm.host=~2$' vm.memory!=9 vm.cpus=7
    ok nodels kvm vm.cpus
    is $'kvm1: 2\nkvm2: 7\nkvm3: 2'
    ok nodech kvm 'vm.host!~2$' mgt=other
    ok nodels kvm mgt
    is $'kvm1: other\nkvm2: kvm\nkvm3: other'
}

@test "nodech: an empty value ends what groups say" {
    fresh
    ask chtab node=kvm vm.memory=4096 vm.storage=a,b
    ok nodech kvm1 vm.memory=
    ok gettab node=kvm1 vm.memory
    is '|^.*$||'
    ok nodels kvm vm.memory
    is $'kvm1: \nkvm2: 4096\nkvm3: 4096'
    ok nodech kvm1 vm.storage^=a
    ok nodels kvm vm.storage -b
    is $'kvm1: b\nkvm2: a,b (inherited from group kvm)\nkvm3: a,b (inherited from group kvm)'
    ok nodech kvm1 vm.storage^=b
    ok nodels kvm1 vm.storage
    is 'kvm1: '
    ok nodech kvm1 vm.storage,=c
    ok nodels kvm1 vm.storage
    is 'kvm1: c'
    ok nodech kvm1 vm.comments=x groups=
    ok nodech kvm1 vm.comments=
    ok gettab node=kvm1 vm.comments nodelist.groups
    is $'vm.comments: \nnodelist.groups: '
}

@test "nodech -d deletes the nodes' rows" {
    fresh
    ok nodech -d kvm1-kvm2 vm nodehm
    ok tabdump vm --noheadings
    has '"kvm3"'
    has_not '"kvm1"'
    ok tabdump nodehm --noheadings
    has_not '"kvm2"'
    ok nodech -d kvm1 vm
}

# bats test_tags=slow
@test "nodech: all of it, or nothing" {
    fresh
    try() { ends "${@:2}"; }
    refused() { # CODE TEXT ARGUMENT...
        local text=$2
        changes_nothing try x "$1" nodech "${@:3}"
        is ''
        err_has "$text"
    }
    refused 1 "vm.xx not a valid table.column description" kvm vm.memory=1 vm.xx=2
    refused 1 "Invalid nodes and/or groups in noderange: nosuch" kvm,nosuch vm.memory=1
    refused 1 "no nodes of 'kvm' match these conditions" kvm vm.host==nobody vm.memory=1
    refused 4 "vm.storage of 'kvm1': " kvm vm.memory=1 vm.storage='|x|(1+)|'
    refused 4 "vm.node is the key of its row" kvm vm.node=x
    refused 2 "Malformed argument 'vm.memory'" kvm vm.memory
    refused 2 "nothing to be changed" kvm vm.host==hyp01
    refused 1 "No such table: nosuch" -d kvm vm nosuch
    refused 1 "the table 'nodegroup' is not about nodes" -d kvm vm nodegroup
    refused 1 "-d takes only the names of tables" -d kvm vm.host
    refused 1 "a password cannot select nodes" kvm vm.vidpassword==x vm.memory=1
}

@test "nodech into a dynamic group is warned of" {
    fresh
    ask chtab groupname=dyn nodegroup.grouptype=dynamic nodegroup.wherevals=mgt==kvm
    ok nodech kvm1 groups,=dyn
    err_is "Warning: nodegroup dyn is a dynamic node group, should not add a node into a dynamic node group statically"
}

@test "a name that is a node and a group is warned of, and is the node" {
    fresh
    ok nodech kvm1 groups,=web
    err_is "Warning: web is a node and a group; a noderange takes it for the node"
    ok nodels web
    is web
}

# ---- secrets

@test "a password is shown to who asks for it, and is never kept in its masked form" {
    fresh
    ok nodech kvm1 vm.vidpassword=geheim
    ok nodels kvm1 vm.vidpassword
    is 'kvm1: ********'
    ok nodels kvm1 vm.vidpassword --secrets
    is 'kvm1: geheim'
    ok nodels kvm1 vm
    has 'kvm1: vm.vidpassword: ********'
    ok nodels kvm2 vm.vidpassword
    is 'kvm2: '
    ok gettab node=kvm1 vm.vidpassword
    is '********'
    ok gettab node=kvm1 vm.vidpassword --secrets
    is geheim
    ok tabdump vm
    has '"********"'
    has_not geheim
    ok tabdump vm --secrets
    has geheim
    ok tabdump vm --json
    has_not geheim
    ends 1 tabdump vm -w vidpassword==geheim
    err_has "a password cannot select rows"
    ok tabdump vm --secrets -w vidpassword==geheim --noheadings
    has '"kvm1"'
    local way
    masked() { ends 4 "$@"; }
    changes_nothing masked nodech kvm1 'vm.vidpassword=********'
    err_has "is what is shown instead of a password"
    changes_nothing masked chtab node=kvm1 'vm.vidpassword=********'
    ask tabdump vm >"$BATS_TEST_TMPDIR/vm.csv"
    changes_nothing masked tabrestore "$BATS_TEST_TMPDIR/vm.csv"
    err_is "Error: line 2, character 42: ******** is what is shown instead of a password; dump the table with --secrets, or leave the field empty"
    ask tabdump vm --secrets >"$BATS_TEST_TMPDIR/vm.csv"
    changes_nothing ok tabrestore "$BATS_TEST_TMPDIR/vm.csv"
    ok events --json
    has_not geheim
    ! grep -r geheim "$SITE/log" >&2
}

@test "a password that is a pattern is not shown either, when it cannot be evaluated" {
    fresh
    ok chtab node=kvm 'vm.vidpassword=|kvm(\d+)|geheim(6/($1-1))|'
    ends 1 nodels kvm vm.vidpassword
    is $'kvm2: ********\nkvm3: ********'
    err_is 'kvm1: Error: vm.vidpassword of kvm1: it cannot be evaluated'
    ok nodels kvm2 vm.vidpassword --secrets
    is 'kvm2: geheim6'
    ends 4 nodech kvm1 'vm.vidpassword=|geheim(|'
    err_is "Error: vm.vidpassword of 'kvm1': its shape makes it a pattern, and that cannot be evaluated"
}

@test "what a request asks for has a bound" {
    fresh
    local many
    mapfile -t many < <(for _ in {1..257}; do echo vm.comments=a; done)
    ends 2 gettab node=kvm1 "${many[@]%=a}"
    err_is "Error: more than 256 columns at once"
    ends 2 chtab node=kvm1 "${many[@]}"
    err_is "Error: more than 256 changes at once"
    ends 2 nodech kvm1 "${many[@]}"
    err_is "Error: more than 256 changes at once"
    ends 2 nodech -d kvm1 vm vm vm vm vm vm vm
    err_is "Error: more than 6 tables at once"
    ends 2 chtab -d node=kvm1 vm vm vm vm vm vm vm
    err_is "Error: more than 6 tables at once"
    ok gettab node=kvm1 vm.host vm.host nodehm.mgt
    is $'vm.host: hyp01\nvm.host: hyp01\nnodehm.mgt: kvm'
}

# The broker has to answer within the client's time, 10 s, also where everything takes five times as long (sanitizers).
@test "a node in very many groups, lists of very many rows" {
    fresh
    local n=40000
    printf '#node,groups\nmany,"%s"\n' "$(seq -f g%.0f -s, $n)" >"$BATS_TEST_TMPDIR/nodelist.csv"
    ok tabrestore "$BATS_TEST_TMPDIR/nodelist.csv"
    ok nodels "g$n@g1"
    is many
    { echo '#node,memory'; seq -f row%.0f,1 $n; } >"$BATS_TEST_TMPDIR/vm.csv"
    ok tabrestore "$BATS_TEST_TMPDIR/vm.csv"
    ok chtab memory=1 vm.comments+=a vm.comments+=b,a
    ok gettab node=row$n vm.comments
    is a,b
}

# bats test_tags=slow
@test "a pattern that takes very many steps is an error, and others are served meanwhile" {
    { echo '#node,groups'; seq -f 'gggg%05.0f,slow' 4000; } >"$BATS_TEST_TMPDIR/nodelist.csv"
    ask tabrestore "$BATS_TEST_TMPDIR/nodelist.csv"
    ask chtab node=slow 'vm.host=|(\w+\w*\w*\w*)+\W|x|' 'vm.mgr=|(\w+\w+)+\W|x|'
    begin listing nodels slow vm.host
    ok ping
    comes_to 1
    [ "$(grep -c '^gggg.*: Error: .* the regular expression takes too many steps$' <<<"$stderr")" = 4000 ]
    ends 1 nodels vm.host==x
    err_has "takes too many steps"
    ok nodels slow vm.mgr
    [ "$(wc -l <<<"$output")" = 4000 ]
    ends 1 nodels slow vm.mgr==x
    is ''
    err_is "Error: no nodes of 'slow' match these conditions"
    ends 1 nodech slow vm.host==x vm.comments=a
    fresh
}

# ---- what all programs share

@test "-h and -v of every program, in the same words; what cannot be written is an error" {
    local program option
    for program in rmigrate rmigrate-broker rmigrate-worker rmigrate-store; do
        run -0 --separate-stderr "$BIN/$program" -h
        has "Usage: $program"
        quiet
        for option in -v --version; do
            run -0 --separate-stderr "$BIN/$program" $option
            is "$(ask version)"
            quiet
        done
        [ -e /dev/full ] || continue
        for option in -h --help --usage --version; do
            run -1 --separate-stderr sh -c "exec '$BIN/$program' $option >/dev/full"
            err_is "Error: cannot write to standard output: No space left on device"
        done
    done
}

@test "who reads no further is not told" {
    fresh
    run -0 --separate-stderr bash -c "'$BIN/rmigrate' nodels all vm | head -n 1"
    is 'a-b-c: vm.node: '
    quiet
    run -1 --separate-stderr bash -c "exec 9> >(:); wait \$!; exec '$BIN/rmigrate' nodels all vm >&9"
    quiet
}
