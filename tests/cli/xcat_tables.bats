#!/usr/bin/env bats
# xcat_tables.bats - tabdump, tabrestore and tabedit as xCAT's people know them: bytes, errors, directories, secrets

setup_file() {
    load common
    site_new
    broker_up
}
teardown_file() { load common; site_down; }
setup() {
    load common
    CSV=$BATS_TEST_TMPDIR
    SITE_CSV=$TREE/tests/site
    unset TABEDITOR EDITOR
    export TMPDIR=$BATS_TEST_TMPDIR
}

fresh() { ask tabrestore "$SITE_CSV"; }
all_tables() {
    local table
    for table in $(ask tabdump); do ask tabdump --secrets "$table"; done
}
changes_nothing() { # COMMAND...
    all_tables >"$CSV/was"
    "$@"
    all_tables | diff "$CSV/was" - >&2
}
table() { # TABLE LINE...: a file of it
    local file=$CSV/$1.csv
    shift
    printf '%s\n' "$@" >"$file"
}

# ---- out

@test "tabdump: without a table the sorted list" {
    ok tabdump
    is $'hypervisor\nnodegroup\nnodehm\nnodelist\nvm\nzvm'
    quiet
    ok tabdump --json
    json '.tables | map(.table) == ["hypervisor", "nodegroup", "nodehm", "nodelist", "vm", "zvm"]'
}

@test "a dump restores byte for byte: the site, and what is odd" {
    fresh
    local name
    for name in hypervisor nodegroup nodehm nodelist vm; do
        ask tabdump $name >"$CSV/$name.csv"
        cmp "$CSV/$name.csv" "$SITE_CSV/$name.csv"
    done
    table vm '#disable,node,comments,host,storage' \
        ',odd1," blank, ""quote"" and' '' 'newline ",hyp 01,"|kvm(\d+)|(($1-1)/8+1)|"' \
        '1,odd2,"","",' 'no,odd3,ümlaut … 漢字,,|(.*)|nfs://srv/$1|' ',"|a|",NULL,,'
    ok tabrestore "$CSV/vm.csv"
    ask tabdump vm >"$CSV/first"
    cp "$CSV/first" "$CSV/vm.csv"
    ok tabrestore "$CSV/vm.csv"
    ask tabdump vm | cmp - "$CSV/first"
    ok tabdump vm -f "$CSV/second"
    is ''
    cmp "$CSV/second" "$CSV/first"
    has_not x
    grep -qF '"odd2",,"",' "$CSV/first"
    grep -qF '"NULL"' "$CSV/first"
    [ "$(tail -n 1 "$CSV/first" | tr -cd , | wc -c)" = 30 ]
}

@test "tabdump -w: each operator, several together" {
    fresh
    names() { # WHERE... = NAMES
        local where=()
        while [ "$1" != = ]; do where+=(-w "$1") && shift; done
        ok tabdump nodelist "${where[@]}" --json
        [ "$(jq -r '.nodelist[].node' <<<"$output" | xargs)" = "${*:2}" ] || wrong names "${*:2}"
    }
    names groups==all,kvm = kvm1 kvm2 kvm3
    names 'groups=~%rack1' = n1 n2 n3 n4
    names 'groups=~ALL,R_CK1' =
    names 'groups=~ALL,%R_CK1' 'node!=n2' = n1 n3 n4
    names 'node=~f_n1' = f1n1 f2n1
    names 'groups!~%al%' =
    names 'groups=~%hyp' 'node>hyp01' = hyp02 hyp03
    names 'groups=~%hyp' 'node>=hyp02' = hyp02 hyp03
    names 'groups=~%hyp' 'node<hyp02' = hyp01
    names 'groups=~%hyp' 'node<=hyp02' = hyp01 hyp02
    names 'node==web' 'status==' = web
    names 'node==web' 'status!=x' = web
    ok tabdump nodelist -w node==web --noheadings
    is '"web","all",,,,,,,,,,,'
    ends 1 tabdump nodelist -w colour==red
    err_has "colour not a valid table.column description"
    ends 2 tabdump nodelist -w node
    err_has "Malformed argument 'node'"
    ends 2 tabdump -w node==web
    err_has "TABLE is missing"
}

@test "tabdump -f: a file that cannot be written" {
    fresh
    ends 4 tabdump vm -f "$CSV/nowhere/vm.csv"
    err_has "Error: Unable to open $CSV/nowhere/vm.csv for writing"
    if [ -e /dev/full ]; then
        ends 4 tabdump nodelist -f /dev/full
        err_has "Error: Unable to write /dev/full"
    fi
    ends 1 tabdump nosuch -f "$CSV/nosuch.csv"
    [ ! -e "$CSV/nosuch.csv" ]
    ok tabdump vm -f "$CSV/vm.csv" --secrets
    [ "$(stat -c %a "$CSV/vm.csv")" = 600 ]
    chmod 644 "$CSV/vm.csv"
    seq 10000 >>"$CSV/vm.csv"
    ok tabdump vm -f "$CSV/vm.csv" --secrets
    [ "$(stat -c %a "$CSV/vm.csv")" = 600 ]
    ask tabdump vm --secrets | cmp - "$CSV/vm.csv"
    ends 2 tabdump vm -f "$CSV/vm.csv" --json
}

@test "tabdump -d tells every table and every column" {
    fresh
    ok tabdump -d
    [ "$(cut -d: -f1 <<<"$output")" = "$(ask tabdump)" ]
    local name
    for name in $(ask tabdump); do
        ok tabdump -d "$name"
        [ "$(cut -d: -f1 <<<"$output" | paste -sd,)" = "$(ask tabdump "$name" | head -n 1 | tr -d '#')" ]
    done
    ends 1 tabdump -d nosuch
    err_is "Error: No such table: nosuch"
}

# ---- in: the reader of xCAT, record by record

reads() { # RECORD(S) JSON
    printf '#node,host,comments\n%s\n' "$1" >"$CSV/vm.csv"
    ok tabrestore "$CSV/vm.csv"
    ok tabdump vm --json
    json "[.vm[] | {node, host, comments}] == $2"
}

@test "what xCAT's reader takes" {
    reads '"kvm1","hyp01",' '[{"node": "kvm1", "host": "hyp01", "comments": null}]'
    reads 'kvm1,hyp01' '[{"node": "kvm1", "host": "hyp01", "comments": null}]'
    reads '"kvm1",hyp 01,"a ""b"", c"' '[{"node": "kvm1", "host": "hyp 01", "comments": "a \"b\", c"}]'
    reads $'"kvm1","hyp01","two\nlines"' '[{"node": "kvm1", "host": "hyp01", "comments": "two\nlines"}]'
    reads 'kvm1 , hyp01 ,x ' '[{"node": "kvm1 ", "host": " hyp01 ", "comments": "x"}]'
    reads '"kvm1","",' '[{"node": "kvm1", "host": null, "comments": null}]'
    reads '#c' '[{"node": "#c", "host": null, "comments": null}]'
    reads '"kvms","|\D+(\d+)|hyp($1)|",' '[{"node": "kvms", "host": "|\\D+(\\d+)|hyp($1)|", "comments": null}]'
    reads $'kvm1,hyp01,\r\nkvm2,hyp02,x\r' '[{"node": "kvm1", "host": "hyp01", "comments": null}, {"node": "kvm2", "host": "hyp02", "comments": "x"}]'
    reads $'\nkvm1\n   \nkvm2\n' '[{"node": "kvm1", "host": null, "comments": null}, {"node": "kvm2", "host": null, "comments": null}]'
    printf '#"node","host"\nkvm1,h\n' >"$CSV/vm.csv"
    ok tabrestore "$CSV/vm.csv"
    printf '#comments,node\nx,kvm1' >"$CSV/vm.csv"
    ok tabrestore "$CSV/vm.csv"
    ok gettab node=kvm1 vm.comments
    is x
}

# bats test_tags=slow
@test "what it does not: the line, the column, exit 4, and the table as before" {
    fresh
    refused() { # CONTENT TEXT
        printf '%s\n' "$1" >"$CSV/vm.csv"
        wrong_one() { ends 4 tabrestore "$CSV/vm.csv"; }
        changes_nothing wrong_one
        is ''
        err_is "Error: $2"
        wrong_one() { ends 4 tabrestore -a "$CSV/vm.csv"; }
        changes_nothing wrong_one
        err_is "Error: $2"
    }
    local head='#node,host,comments' nl=$'\n'
    refused 'kvm1,hyp01' 'Data missing header line starting with # on line 1, character 1: kvm1,hyp01'
    refused '"#node",host' 'Data missing header line starting with # on line 1, character 1: "#node",host'
    refused "#node,colour" "The header line indicates that column 'colour' should exist, which is not defined in the schema for 'vm', line 1, character 7"
    refused "$head${nl}x1,a${nl}x2,h\"01," 'CSV missing opening " for record with " characters on line 3, character 5: x2,h"01,'
    refused "$head${nl}\"x1\"x,hyp01" 'CSV unescaped " in record on line 2, character 5: "x1"x,hyp01'
    refused "$head${nl}x1,a${nl}x2,\"b${nl}x3,c" 'CSV unmatched " in record on line 3, character 4: x2,"b'
    refused "$head${nl}x1,a,c,d" 'Too many fields on line 2, character 8: x1,a,c,d'
    refused "$head${nl},a" "the key column 'node' has no value, line 2, character 1"
    refused "$head${nl}x1,a${nl}${nl}x1,b" "the row 'x1' stands on line 2 and again on line 4, character 1"
    refused "$head${nl}x1,\"|x(\d)|(\$1+)|\"" "vm.host of 'x1', line 2, character 4: the pattern '|x(\d)|(\$1+)|' cannot be evaluated: a value is missing at the end of a sum"
}

@test "-a adds rows, and refuses one that is there" {
    fresh
    table vm '#node,host' 'kvm9,hyp03'
    ok tabrestore -a "$CSV/vm.csv"
    ok nodels kvm1,kvm9 vm.host
    is $'kvm1: hyp01\nkvm9: hyp03'
    again() { ends 4 tabrestore --addrows "$CSV/vm.csv"; }
    changes_nothing again
    err_is "Error: table 'vm' has a row 'kvm9' already, line 2, character 1"
}

# ---- several at once

@test "a site starts from a directory of dumps with one command" {
    local name
    for name in $(ask tabdump); do
        printf '%s\n' "$(ask tabdump "$name" | head -n 1)" >"$CSV/$name.csv"
    done
    ok tabrestore "$CSV"
    ok nodels
    is ''
    mkdir "$CSV/dump"
    cp "$SITE_CSV"/*.csv "$CSV/dump"
    printf '#key,value,comments,disable\n"domain","x",,\n' >"$CSV/dump/site.csv"
    printf 'not a table' >"$CSV/dump/README"
    ok tabrestore "$CSV/dump"
    is ''
    err_is "Warning: $CSV/dump/site.csv: No such table: site, skipped"
    ok nodels kvm vm.host
    is $'kvm1: hyp01\nkvm2: hyp02\nkvm3: hyp01'
    ok tabrestore -V "$CSV/dump"
    err_has "rmigrate: table nodelist: 57 rows restored"
    err_has "rmigrate: table nodegroup: 1 row restored"
    ok events --json
    json '.events | map(select(.event == "table changed") | .text) | index("table vm: 3 rows restored") != null'
}

@test "of several tables one is wrong: none is restored" {
    fresh
    mkdir "$CSV/dump"
    cp "$SITE_CSV"/*.csv "$CSV/dump"
    printf '#node,comments\nn1,"changed"\n' >"$CSV/dump/nodehm.csv"
    printf '#node,host\nkvm1,a,b,c\n' >"$CSV/dump/vm.csv"
    wrong_one() { ends 4 tabrestore "$CSV/dump"; }
    changes_nothing wrong_one
    is ''
    err_is "Error: vm: Too many fields on line 2, character 8: kvm1,a,b,c"
    wrong_one() { ends 4 tabrestore "$CSV/dump/nodehm.csv" "$CSV/dump/vm.csv"; }
    changes_nothing wrong_one
    wrong_one() { ends 4 tabrestore "$CSV/dump/nodehm.csv" "$CSV/dump/nosuch.csv"; }
    changes_nothing wrong_one
    err_has "Unable to open $CSV/dump/nosuch.csv for reading"
    ok tabrestore "$CSV/dump/nodehm.csv" "$SITE_CSV/vm.csv"
    ok gettab node=n1 nodehm.comments
    is changed
}

@test "several tables for which the store may have no room are refused, one of them is not" {
    mkdir "$CSV/big"
    { echo '#node,comments'; seq 6500 | sed 's/.*/row&,"number & of many"/'; } >"$CSV/big/nodehm.csv"
    { echo '#node,host'; seq 3000 | sed 's/.*/row&,h1/'; } >"$CSV/big/vm.csv"
    (
        SITE_AT=$CSV/small site_new
        sed -i 's/store_size = "256 MiB"/store_size = "6 MiB"/' "$RMIGRATE_CONF"
        broker_up
        ends 4 tabrestore "$CSV/big"
        err_has "Error: the tables may take "
        err_has "; restore them one by one, or raise store_size and restart the broker"
        ok tabdump vm --noheadings
        is ''
        ok tabrestore "$CSV/big/nodehm.csv"
        ok tabrestore "$CSV/big/vm.csv"
        site_down
    )
}

@test "one table twice, a directory without tables, a file that is none" {
    fresh
    cp "$SITE_CSV/vm.csv" "$CSV/vm.csv.bak"
    ends 2 tabrestore "$SITE_CSV/vm.csv" "$CSV/vm.csv.bak"
    err_is "Error: $CSV/vm.csv.bak: the table vm has another file"
    mkdir "$CSV/empty"
    ends 4 tabrestore "$CSV/empty"
    err_is "Error: $CSV/empty contains no TABLE.csv of an existing table"
    table nosuch '#node'
    ends 4 tabrestore "$CSV/nosuch.csv"
    err_is "Error: No such table: nosuch"
}

@test "a node that has a group's name is warned of when it is restored" {
    fresh
    table nodelist '#node,groups' 'a,b' 'b,c'
    ok tabrestore "$CSV/nodelist.csv"
    err_is "Warning: b is a node and a group; a noderange takes it for the node"
}

# ---- tabedit

editor() { # LINE...: a program that does this to the file "$1"
    printf '#!/bin/bash\n' >"$CSV/editor"
    printf '%s\n' "$@" >>"$CSV/editor"
    chmod +x "$CSV/editor"
    export TABEDITOR=$CSV/editor
}
nothing_left() { ! compgen -G "$TMPDIR/rmigrate-tabedit.*" >/dev/null; }

@test "tabedit: the table in an editor, and back" {
    fresh
    editor 'echo "$1" >"$0.path"; stat -c %a "$1" >"$0.mode"; sed -i "s/hyp01/hyp03/" "$1"'
    ok tabedit vm
    is ''
    [[ $(cat "$CSV/editor.path") == "$TMPDIR"/rmigrate-tabedit.*/vm.csv ]]
    [ "$(cat "$CSV/editor.mode")" = 600 ]
    ok nodels kvm vm.host
    is $'kvm1: hyp03\nkvm2: hyp02\nkvm3: hyp03'
    nothing_left
    unset TABEDITOR
    EDITOR='sed -i s/hyp03/hyp01/' ok tabedit vm
    ok nodels kvm3 vm.host
    is 'kvm3: hyp01'
    ask nodech kvm1 vm.vidpassword=geheim
    editor 'grep -q geheim "$1" || exit 9; echo "\"new1\",,,,,,,,,,,,,,,,,,,,,,,,,,,,,," >>"$1"'
    ok tabedit vm
    ok gettab node=kvm1 vm.vidpassword --secrets
    is geheim
    ok nodels new1
    nothing_left
}

# bats test_tags=slow
@test "tabedit: nothing changed, no such table, an editor that fails" {
    fresh
    editor 'touch "$1"'
    unchanged() { ok tabedit vm; }
    changes_nothing unchanged
    is 'No file modifications detected, not restoring.'
    nothing_left
    ends 1 tabedit nosuch
    err_is "Error: No such table: nosuch"
    ends 2 tabedit
    editor 'sed -i s/hyp01/hyp03/ "$1"; exit 3'
    failing() { ends 1 tabedit vm; }
    changes_nothing failing
    err_has "exited with status 3"
    err_has "is kept in"
    rm -r "$TMPDIR"/rmigrate-tabedit.*
    TABEDITOR=/nowhere/editor
    changes_nothing failing
    err_has "exited with status 127"
    err_has_not "is kept in"
    nothing_left # there may be passwords in it
    editor 'cp "$1" "$1~"; rm "$1"'
    removing() { ends 4 tabedit vm; }
    changes_nothing removing
    err_has "Unable to open"
    err_has_not "is kept in"
    nothing_left
    editor 'kill -TERM $$'
    changes_nothing failing
    err_has "exited with status 143"
    nothing_left
}

@test "tabedit without a terminal ends at the first error and keeps what was edited" {
    fresh
    editor 'echo "x,y,\"" >>"$1"'
    failing() { ends 4 tabedit nodegroup; }
    changes_nothing failing
    err_has 'CSV unmatched " in record on line 3'
    err_has "rmigrate: the edited table is kept in $TMPDIR/rmigrate-tabedit."
    grep -q '^x,y,"' "$TMPDIR"/rmigrate-tabedit.*/nodegroup.csv
}

@test "tabedit on a terminal loops until it is right, or is interrupted" {
    command -v script >/dev/null || skip "no script(1)"
    fresh
    editor 'if [ -e "$0.once" ]; then sed -i "/^x,y/d; s/hyp02/hyp03/" "$1"; else echo "x,y,\"" >>"$1"; : >"$0.once"; fi'
    printf '\n' | script -qec "$BIN/rmigrate tabedit vm" /dev/null >"$CSV/said" 2>&1
    grep -q 'CSV unmatched' "$CSV/said"
    grep -q 'hit enter to edit, or ctrl-c to abort' "$CSV/said"
    ok nodels kvm2 vm.host
    is 'kvm2: hyp03'
    nothing_left
}

@test "tabedit does not undo what others did meanwhile" {
    fresh
    editor "'$BIN/rmigrate' -c '$RMIGRATE_CONF' chtab node=kvm2 vm.host=hyp09; sed -i s/hyp01/hyp03/ \"\$1\""
    ends 1 tabedit vm
    err_has "the table vm was changed by others in the meantime, not restoring"
    err_has "is kept in"
    ok nodels kvm vm.host
    is $'kvm1: hyp01\nkvm2: hyp09\nkvm3: hyp01'
}
