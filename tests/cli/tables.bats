#!/usr/bin/env bats
# tables.bats - the site tables: dumped, restored, refused, and held against what runs where

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{hyp01,hyp02}
    guest kvm1 hyp01
    guest kvm2 hyp01
    guest kvm3 hyp02
    guest kvm4 hyp01
    guest off1 hyp01 shutoff
    guest off2 hyp02 shutoff
    worker_up all hyp01 hyp02
}
teardown_file() { load common; site_down; }
teardown() { own_site_down; }
setup() {
    load common
    CSV=$BATS_TEST_TMPDIR
}

HYPERVISOR='#node,type,mgr,interface,netmap,defaultnet,cluster,datacenter,preferdirect,comments,disable'

# A file of this table with these lines.
csv() { # TABLE LINE...
    local file=$CSV/$1.csv
    shift
    printf '%s\n' "$@" >"$file"
}
keep() { ask tabdump "$1" >"$CSV/before"; }
is_kept() { ask tabdump "$1" | diff - "$CSV/before" >&2; }

# A file that is refused with this text; the table stays as it was.
refused() { # TEXT
    ok tabrestore "$CSV/good/hypervisor.csv"
    keep hypervisor
    ends 4 tabrestore "$CSV/hypervisor.csv"
    is ""
    err_is "Error: $1"
    is_kept hypervisor
}
good() {
    mkdir -p "$CSV/good"
    printf '#node,type\nhyp01,kvm\n' >"$CSV/good/hypervisor.csv"
}

@test "an empty table is its header" {
    ok tabdump zvm
    is '#node,hcp,userid,nodetype,parent,comments,disable,discovered,status'
    quiet
    ok tabdump zvm --noheadings
    is ''
    ok tabdump zvm --json
    json '.zvm == []'
}

@test "what was restored is dumped: quotes, commas, newlines, empty and undefined values" {
    csv hypervisor '#node,type,comments,mgr' 'hyp01,kvm,"a, ""b""",' 'hyp02,"","two' 'lines",m1' '' '  ' 'hyp03'
    ok tabrestore "$CSV/hypervisor.csv"
    is ''
    quiet
    ok tabdump hypervisor
    is "$HYPERVISOR
\"hyp01\",\"kvm\",,,,,,,,\"a, \"\"b\"\"\",
\"hyp02\",\"\",\"m1\",,,,,,,\"two
lines\",
\"hyp03\",,,,,,,,,,"
    printf '%s\n' "$output" >"$CSV/again"
    mkdir "$CSV/x" && cp "$CSV/again" "$CSV/x/hypervisor.csv.bak"
    ok tabrestore "$CSV/x/hypervisor.csv.bak"
    ok tabdump hypervisor
    is "$(cat "$CSV/again")"
    ok tabdump hypervisor --json
    json '.hypervisor | length == 3 and (.[0].comments == "a, \"b\"")'
    ok tabdump hypervisor --noheadings
    has_not '#node'
}

@test "tabrestore replaces; with -a the rows that are there stay" {
    csv nodehm '#node,mgt' 'n1,kvm' 'n2,kvm'
    ok tabrestore "$CSV/nodehm.csv"
    csv nodehm '#node,mgt' 'n3,kvm'
    ok tabrestore -a "$CSV/nodehm.csv"
    ok tabdump nodehm --json
    json '.nodehm | map(.node) == ["n1", "n2", "n3"]'
    ok tabrestore "$CSV/nodehm.csv"
    ok tabdump nodehm --json
    json '.nodehm | map(.node) == ["n3"]'
    csv nodehm '#node,mgt'
    ok tabrestore "$CSV/nodehm.csv"
    ok tabdump nodehm --json
    json '.nodehm == []'
}

@test "-a refuses a row that is there already, with the line" {
    csv nodehm '#node,mgt' 'n1,kvm'
    ok tabrestore "$CSV/nodehm.csv"
    keep nodehm
    csv nodehm '#node,mgt' 'n2,kvm' 'n1,kvm'
    ends 4 tabrestore -a "$CSV/nodehm.csv"
    err_is "Error: table 'nodehm' has a row 'n1' already, line 3, character 1"
    is_kept nodehm
}

@test "a change of a table is an event with who" {
    csv nodelist '#node,groups' 'kvm1,web' 'kvm2,web'
    ok tabrestore "$CSV/nodelist.csv"
    ok events --json
    json ".events | map(select(.event == \"table changed\")) | last | .by == \"$(id -un)\" and .text == \"table nodelist: 2 rows restored\""
}

@test "a table of many rows comes back whole" {
    { echo '#node,comments'; seq 12000 | sed 's/.*/row&,"number &"/'; } >"$CSV/nodehm.csv"
    ok tabrestore "$CSV/nodehm.csv"
    ask tabdump nodehm >"$CSV/out"
    [ "$(wc -l <"$CSV/out")" = 12001 ]
    [ "$(tail -n 1 "$CSV/out")" = '"row12000",,,,,,,,,,,,,,"number 12000",' ]
    csv nodehm '#node'
    ok tabrestore "$CSV/nodehm.csv"
}

@test "no header" {
    good
    csv hypervisor 'hyp01,kvm'
    refused "Data missing header line starting with # on line 1, character 1: hyp01,kvm"
    : >"$CSV/hypervisor.csv"
    ends 4 tabrestore "$CSV/hypervisor.csv"
    err_has "Error: Data missing header line starting with # on line 1, character 1:"
}

@test "a column that there is not, one twice, or no key" {
    good
    csv hypervisor '#node,type,colour' 'hyp01,kvm,red'
    refused "The header line indicates that column 'colour' should exist, which is not defined in the schema for 'hypervisor', line 1, character 12"
    csv hypervisor '#node,type,type' 'hyp01,kvm,red'
    refused "The header line names column 'type' twice, line 1, character 12"
    csv hypervisor '#type,mgr' 'kvm,m1'
    refused "The header line lacks column 'node', which is the key of 'hypervisor'"
}

@test "too many fields" {
    good
    csv hypervisor '#node,type' 'hyp01,kvm' 'hyp02,kvm,extra'
    refused "Too many fields on line 3, character 11: hyp02,kvm,extra"
}

@test "quotes that do not fit" {
    good
    csv hypervisor '#node,type' 'hyp01,"kvm' 'hyp02,kvm'
    refused 'CSV unmatched " in record on line 2, character 7: hyp01,"kvm'
    csv hypervisor '#node,type' 'hyp01,k"vm'
    refused 'CSV missing opening " for record with " characters on line 2, character 8: hyp01,k"vm'
    csv hypervisor '#node,type' 'hyp01,"k"vm'
    refused 'CSV unescaped " in record on line 2, character 10: hyp01,"k"vm'
}

@test "a key that is missing, or there twice" {
    good
    csv hypervisor '#node,type' 'hyp01,kvm' ',kvm'
    refused "the key column 'node' has no value, line 3, character 1"
    csv hypervisor '#node,type' 'hyp01,kvm' 'hyp02,kvm' 'hyp01,kvm'
    refused "the row 'hyp01' stands on line 2 and again on line 4, character 1"
    csv hypervisor '#node,type' "$(printf 'x%.0s' {1..256}),kvm"
    refused "the key column 'node' has a value of more than 255 bytes, line 2, character 1"
}

@test "what no message can carry: bytes that are not UTF-8, control characters" {
    good
    printf '#node,type\nhyp01,k\xff\n' >"$CSV/hypervisor.csv"
    ends 4 tabrestore "$CSV/hypervisor.csv"
    err_has "Error: CSV value that is not UTF-8 on line 2, character 8"
    printf '#node,type\nhyp01,k\033[1m\n' >"$CSV/hypervisor.csv"
    ends 4 tabrestore "$CSV/hypervisor.csv"
    err_has "Error: CSV value with a control character on line 2, character 8"
    err_has_not $'\033'
}

@test "tables and files that there are not" {
    ends 1 tabdump nosuch
    is ''
    err_is "Error: No such table: nosuch"
    csv nosuch '#node'
    ends 4 tabrestore "$CSV/nosuch.csv"
    err_is "Error: No such table: nosuch"
    ends 4 tabrestore "$CSV/vm.csv"
    err_is "Error: Unable to open $CSV/vm.csv for reading: No such file or directory"
    mkdir "$CSV/vm.dir"
    ends 4 tabrestore "$CSV/vm.dir"
    err_is "Error: $CSV/vm.dir contains no TABLE.csv of an existing table"
    mkfifo "$CSV/vm.fifo"
    run -4 --separate-stderr timeout -s KILL 5 "$BIN/rmigrate" tabrestore "$CSV/vm.fifo"
    ends 2 tabrestore "$CSV/.csv"
    err_has "the file name up to its first dot must be the name of a table"
    ends 2 tabrestore
    ends 2 tabdump vm nodelist
}

@test "a table for which the store has no room is refused, and the broker goes on" {
    SITE_AT=$BATS_TEST_TMPDIR/small site_new
    sed -i 's/store_size = "256 MiB"/store_size = "1 MiB"/' "$RMIGRATE_CONF"
    broker_up
    csv nodehm '#node,mgt' 'n1,kvm'
    ok tabrestore "$CSV/nodehm.csv"
    keep nodehm
    local n refused=
    for n in 300 500 1000 1500 2000 4000 20000; do
        { echo '#node,comments'; seq "$n" | sed 's/.*/row&,"number & of many"/'; } >"$CSV/nodehm.csv"
        run --separate-stderr rmigrate tabrestore "$CSV/nodehm.csv"
        if [ "$status" = 4 ]; then
            err_has "Error: table 'nodehm' may take "
            err_has "raise store_size and restart the broker"
            is_kept nodehm
            refused=yes
        else
            [ "$status" = 0 ]
            keep nodehm
        fi
    done
    [ "$refused" = yes ]
    ok ping
    site_down
}

@test "a change of many nodes for which the store has no room is refused before it is begun" {
    SITE_AT=$BATS_TEST_TMPDIR/small site_new
    sed -i 's/store_size = "256 MiB"/store_size = "1 MiB"/' "$RMIGRATE_CONF"
    broker_up
    { echo '#node,groups'; seq 200 | sed 's/.*/n&,all/'; } >"$CSV/nodelist.csv"
    ok tabrestore "$CSV/nodelist.csv"
    ok nodech n[1-20] vm.comments=short
    keep vm
    ends 3 nodech all "vm.comments=$(printf '%04000d' 0)"
    err_has "Error: this may take "
    err_has "raise store_size and restart the broker"
    is_kept vm
    [ "$(grep -c "the store is full" "$SITE/log/broker")" = 0 ] # it was not tried
    ok nodech n[1-20] vm.comments=shorter
    site_down
}

# ---- the table against the hypervisors

@test "reconcile: a table that agrees, or says nothing" {
    csv vm '#node,host' 'kvm1,hyp01' 'kvm3,hyp02' 'off1,hyp01' 'kvm2'
    ok tabrestore "$CSV/vm.csv"
    ok reconcile
    is ''
    err_is "rmigrate: the table matches the hypervisors"
    ok reconcile kvm1
    is ''
    ok reconcile --json
    json '.results == []'
}

@test "reconcile reports what is wrong, and --repair repairs it" {
    csv vm '#node,host' 'kvm1,hyp02' 'kvm2,hyp01' 'ghost1,hyp01' 'off1,hyp02'
    ok tabrestore "$CSV/vm.csv"
    keep vm
    ends 1 reconcile
    is ''
    err_has "kvm1: Error: vm.host says hyp02, it runs on hyp01"
    err_has "ghost1: Error: vm.host says hyp01, but no hypervisor that a worker serves has it"
    err_has "off1: Error: vm.host says hyp02, but it is shutoff on hyp01"
    err_has_not kvm2
    is_kept vm
    ends 1 reconcile kvm1
    err_is "kvm1: Error: vm.host says hyp02, it runs on hyp01"
    ends 1 reconcile --json
    json '.results | map(.guest) | sort == ["ghost1", "kvm1", "off1"]'
    ends 1 reconcile --repair
    is "kvm1: vm.host said hyp02, it runs on hyp01: repaired"
    err_has_not kvm1
    ok reconcile 'kvm[1-2]'
    is ''
    ok events --json
    json '.events | map(select(.event == "table mended")) | last | .guest == "kvm1" and .text == "vm.host said hyp02, the guest runs on hyp01"'
}

@test "a submit mends the table on its way" {
    csv vm '#node,host' 'kvm4,hyp02'
    ok tabrestore "$CSV/vm.csv"
    ok kvm4 hyp01
    is "kvm4: Guest is already on host hyp01"
    ok tabdump vm
    has '"kvm4",,"hyp01"'
}

@test "a dry run does not" {
    csv vm '#node,host' 'kvm4,hyp02'
    ok tabrestore "$CSV/vm.csv"
    ok submit --dry-run kvm4 hyp01
    ok tabdump vm
    has '"kvm4",,"hyp02"'
}

@test "reconcile refuses names that nobody knows" {
    ends 1 reconcile nobody
    err_is "Error: Invalid nodes and/or groups in noderange: nobody"
    ends 2 reconcile kvm1 kvm2
}

# ---- the store by hand

@test "rmigrate-store: dump, check and backup while the broker runs" {
    local store="$BIN/rmigrate-store"
    csv nodelist '#node,groups' 'kvm1,web'
    ok tabrestore "$CSV/nodelist.csv"
    run -0 --separate-stderr "$store" -c "$RMIGRATE_CONF" dump nodelist
    is "$(ask tabdump nodelist)"
    run -0 "$store" -s "$SITE/store" dump
    has kvm1
    run -0 "$store" -s "$SITE/store" check
    has "nothing wrong"
    run -0 "$store" -s "$SITE/store" backup "$CSV/copy"
    run -0 "$store" -s "$CSV/copy" check
    has "nothing wrong"
    run -0 --separate-stderr "$store" -s "$CSV/copy" dump nodelist
    is "$(ask tabdump nodelist)"
    run -4 --separate-stderr "$store" -s "$SITE/store" dump nosuch
    err_is "Error: No such table: nosuch"
    run -1 "$store" -s "$SITE/store" backup "$CSV/copy"
    run -1 "$store" -s "$CSV/nowhere" check
    run -2 "$store"
    run -2 "$store" frobnicate
}
