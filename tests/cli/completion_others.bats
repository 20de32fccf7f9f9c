#!/usr/bin/env bats
# completion_others.bats - completion for zsh and fish: both offer the same, in the real shells

# bats file_tags=friends

setup_file() {
    load common
    site_new
    broker_up
    mkdir -p "$WORLD"/{hyp01,hyp02}
    guest kvm1 hyp01
    guest kvm2 hyp01
    guest web1 hyp02
    worker_up all hyp01 hyp02
    ask chtab node=kvm1 nodelist.groups=all
}
teardown_file() { load common; site_down; }
setup() {
    load common
    PATH=$BIN:$PATH
    until_true 5 guest_is_seen web1
}

in_zsh() { timeout 300 zsh -f "$TREE/tests/cli/completion.zsh" "$TREE/conf/completion" "$@" </dev/null; }
in_fish() { timeout 300 fish --no-config "$TREE/tests/cli/completion.fish" "$TREE/conf/completion/rmigrate.fish" "$@" </dev/null; }

# For each line that is given as "LINE: WORDS" these words are offered, in order.
both_offer() {
    local shell lines=("${@%%: *}")
    for shell in zsh fish; do
        diff <(printf '%s\n' "$@") <("in_$shell" "${lines[@]/%:/}") || { echo "in $shell" >&2; return 1; }
    done
}

@test "commands and guests, at first" {
    both_offer "rmigrate ev: evacuate events" \
        "rmigrate node: nodech nodels" \
        "rmigrate kvm: kvm1 kvm2" \
        "rmigrate w: wait watch web1 workers"
}

@test "options of the command" {
    both_offer "rmigrate submit --d: --detach --downtime --dry-run" \
        "rmigrate nodels --b: --blame" \
        "rmigrate nodels -b --s: --secrets" \
        "rmigrate --he: --help" \
        "rmigrate kvm1 --detach --un: --unsafe" \
        "rmigrate jobs -: --batch --config --finished --help --host --json --limit --noheadings --state --to --verbose --version -V -a -c -h -v" \
        "rmigrate jobs -- --b: "
}

# bats test_tags=slow
@test "guests and hosts, where --help says so" {
    both_offer "rmigrate kvm1 h: hyp01 hyp02" \
        "rmigrate submit kvm1,k: kvm1,kvm1 kvm1,kvm2" \
        "rmigrate submit kvm1 : hyp01 hyp02" \
        "rmigrate evacuate hyp01,hyp: hyp01,hyp01 hyp01,hyp02" \
        "rmigrate evacuate hyp01 --to hyp0: hyp01 hyp02" \
        "rmigrate kvm1 --to=hyp0: --to=hyp01 --to=hyp02" \
        "rmigrate kvm1 --reason h: " \
        "rmigrate jobs --host hyp0: hyp01 hyp02" \
        "rmigrate --host hyp01 jobs k: kvm1 kvm2" \
        "rmigrate cancel --guests web: web1" \
        "rmigrate history kv: kvm1 kvm2" \
        "rmigrate hosts hyp01 h: "
}

# bats test_tags=slow
@test "jobs and batches" {
    plan kvm1 'hang'
    local batch
    batch=$(detach kvm1 hyp02)
    both_offer "rmigrate cancel : $((batch + 1))" \
        "rmigrate show $((batch + 1)): $((batch + 1))" \
        "rmigrate jobs --batch : $batch" \
        "rmigrate wait : $batch $((batch + 1))"
    ask cancel $((batch + 1)) >/dev/null
    until_true 5 nothing_live
    both_offer "rmigrate cancel : "
}

# bats test_tags=slow
@test "operands of z/VM" {
    both_offer "rmigrate submit kvm1 m: max_quiesce= max_total=" \
        "rmigrate submit kvm1 hyp02 : action= destination= force= immediate= max_quiesce= max_total=" \
        "rmigrate evacuate hyp01 : destination= force= immediate= max_quiesce= max_total=" \
        "rmigrate restore hyp01 : force= immediate= max_quiesce= max_total=" \
        "rmigrate kvm1 action=: action=CANCEL action=MOVE action=TEST" \
        "rmigrate kvm1 action=t: action=test" \
        "rmigrate kvm1 force=DOMAIN,S: force=DOMAIN,STORAGE" \
        "rmigrate kvm1 destination=hyp0: destination=hyp01 destination=hyp02" \
        "rmigrate evacuate hyp01 action=: " \
        "rmigrate modify ma: max_quiesce= max_total=" \
        "rmigrate modify b: bandwidth=" \
        "rmigrate modify bandwidth=: " \
        "rmigrate modify max_total=N: max_total=NOLIMIT"
}

# bats test_tags=slow
@test "tables and columns" {
    both_offer "rmigrate tabdump v: vm" \
        "rmigrate tabedit node: nodegroup nodehm nodelist" \
        "rmigrate nodels kvm1 vm.ho: vm.host" \
        "rmigrate nodels kv: kvm1 kvm2" \
        "rmigrate nodels kvm1 gr: groups" \
        "rmigrate nodech kvm1 nodelist.gr: nodelist.groups=" \
        "rmigrate nodech -d kvm1 nodel: nodelist" \
        "rmigrate gettab node=kvm1 vm.ho: vm.host" \
        "rmigrate gettab n: "
}

# What the program says to a wrong value, as a list of words.
values_of() { # TEXT-BEFORE ARGUMENT...
    local before=$1
    shift
    ends 2 "$@"
    sed -n "s/.*$before //p" <<<"$stderr" | head -n 1 | tr -s ', ' '\n' | grep -vx or | LC_ALL=C sort | paste -sd' ' -
}

@test "words for a value are those that the program takes" {
    both_offer "rmigrate keygen x --role : $(values_of 'must be' keygen x --role nobody)" \
        "rmigrate kvm1 --fence : $(values_of 'must be' submit x --fence perhaps)" \
        "rmigrate jobs --state : $(values_of 'a state is one of' jobs --state new)" \
        "rmigrate jobs --state running,wa: running,waiting"
}

# The name of a file is offered behind the directories that stand on the line, which only fish repeats.
@test "files, directories, users" {
    mkdir "$BATS_TEST_TMPDIR/settings"
    touch "$BATS_TEST_TMPDIR/site.csv"
    cd "$BATS_TEST_TMPDIR"
    both_offer "rmigrate tabrestore si: site.csv" \
        "rmigrate keygen x --owner roo: root" \
        "rmigrate kvm1 -c si: site.csv"
    [ "$(in_zsh 'rmigrate keygen x --dir s')" = 'rmigrate keygen x --dir s: settings' ]
    [ "$(in_fish 'rmigrate keygen x --dir s')" = 'rmigrate keygen x --dir s: settings/' ]
}

# bats test_tags=slow
@test "a broker that is not there completes what needs none, and -c says which one is asked" {
    printf 'client: { broker = "ipc:///nowhere/broker"; timeout = "30 s"; };\n' >"$BATS_TEST_TMPDIR/conf"
    both_offer "rmigrate -c $BATS_TEST_TMPDIR/conf evacuate hyp: " \
        "rmigrate -c $BATS_TEST_TMPDIR/conf evac: evacuate"
    export RMIGRATE_CONF=$BATS_TEST_TMPDIR/conf
    both_offer "rmigrate evacuate hyp: " \
        "rmigrate -c $SITE/rmigrate.conf evacuate hyp: hyp01 hyp02" \
        "rmigrate --config=$SITE/rmigrate.conf evacuate hyp: hyp01 hyp02"
}

# What is offered beside a command is its line of --help, also where that is a line of its own.
@test "what a command does is shown" {
    in_fish_raw() { fish --no-config -c "source $TREE/conf/completion/rmigrate.fish; complete -C '$1'" </dev/null; }
    [ "$(in_fish_raw 'rmigrate evac')" = $'evacuate\tClose hypervisors, move all their guests elsewhere and wait' ]
    [ "$(in_fish_raw 'rmigrate pi')" = $'ping\tCheck the broker and show my identity and role' ]
    [ "$(in_fish_raw 'rmigrate jobs --noh')" = $'--noheadings\tLeave out the headings' ]
}
