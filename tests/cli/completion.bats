#!/usr/bin/env bats
# completion.bats - completion for bash: commands, options, and what the broker knows

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
    . "$TREE/conf/completion/rmigrate.bash"
    until_true 5 guest_is_seen web1
}

# What is offered for the last word; the word eq is readline's =.
offers() { # WORD... = WANTED...
    COMP_WORDS=("$BIN/rmigrate")
    while [ "$1" != = ]; do COMP_WORDS+=("${1/#eq/=}") && shift; done
    shift
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _rmigrate_complete
    [ "$(printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd' ' -)" = "$*" ] || wrong "offered for '${COMP_WORDS[*]}'" "$* (not ${COMPREPLY[*]})"
}

@test "the function is bound to rmigrate" {
    complete -p rmigrate | grep -q _rmigrate_complete
}

@test "commands and guests, at first" {
    offers ev = evacuate events
    offers node = nodech nodels
    offers kvm = kvm1 kvm2
    offers w = wait watch web1 workers
}

@test "options of the command" {
    offers submit --d = --detach --downtime --dry-run
    offers nodels --b = --blame
    offers nodels -b --s = --secrets
    offers --he = --help
    offers kvm1 --detach --un = --unsafe
}

# bats test_tags=slow
@test "guests, hosts, jobs" {
    offers kvm1 h = hyp01 hyp02
    offers submit kvm1,k = kvm1,kvm1 kvm1,kvm2
    offers submit kvm1 '' = hyp01 hyp02
    offers evacuate hyp01,hyp = hyp01,hyp01 hyp01,hyp02
    offers evacuate hyp01 --to hyp0 = hyp01 hyp02
    offers jobs --host hyp0 = hyp01 hyp02
    offers cancel --guests web = web1
    offers history kv = kvm1 kvm2
    plan kvm1 'hang'
    local batch
    batch=$(detach kvm1 hyp02)
    offers cancel '' = $((batch + 1))
    offers show $((batch + 1)) = $((batch + 1))
    ask cancel $((batch + 1)) >/dev/null
    until_true 5 nothing_live
    offers cancel '' =
}

# bats test_tags=slow
@test "operands of z/VM, also where readline divides them" {
    offers submit kvm1 m = max_quiesce= max_total=
    offers submit kvm1 hyp02 '' = action= destination= force= immediate= max_quiesce= max_total=
    offers evacuate hyp01 im = immediate=
    offers evacuate hyp01 ac =
    offers kvm1 action= = action=CANCEL action=MOVE action=TEST
    offers kvm1 action eq T = TEST
    offers kvm1 action eq = CANCEL MOVE TEST
    offers kvm1 action=t = action=test
    offers kvm1 force=DOMAIN,S = force=DOMAIN,STORAGE
    offers kvm1 destination=hyp0 = destination=hyp01 destination=hyp02
    offers kvm1 destination eq hyp02 immediate eq Y = YES
    offers kvm1 --to=hyp0 = --to=hyp01 --to=hyp02
    offers kvm1 --fence eq a = always auto
    offers modify ma = max_quiesce= max_total=
    offers modify b = bandwidth=
    offers modify max_total=N = max_total=NOLIMIT
}

# bats test_tags=slow
@test "tables, columns, words, files" {
    offers tabdump v = vm
    offers tabedit node = nodegroup nodehm nodelist
    offers nodels kvm1 vm.ho = vm.host
    offers nodels kv = kvm1 kvm2
    offers nodech kvm1 nodelist.gr = nodelist.groups
    offers nodels kvm1 gr = groups
    offers submit kvm1 --fence a = always auto
    offers keygen x --role w = worker
    offers jobs --state running,wa = running,waiting
    offers tabrestore "$TREE/tests/site/nodeh" = "$TREE/tests/site/nodehm.csv"
    offers kvm1 -c "$TREE/conf/rmigrate.co" = "$TREE/conf/rmigrate.conf"
}

@test "the options that take a value are those of --help" {
    local command
    for command in $(ask --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'); do
        ask "$command" --help | sed -n 's/^ *\(-.\), \(--[a-z-]*\)=.*/\1\n\2/p; s/^ *\(--[a-z-]*\)=.*/\1/p'
    done | sort -u >"$BATS_TEST_TMPDIR/help"
    diff "$BATS_TEST_TMPDIR/help" <(tr -s '[:space:]' '\n' <<<"$_rmigrate_valued" | sort -u)
}

# bats test_tags=slow
@test "a broker that is not there completes what needs none" {
    printf 'client: { broker = "ipc:///nowhere/broker"; timeout = "30 s"; };\n' >"$BATS_TEST_TMPDIR/conf"
    offers -c "$BATS_TEST_TMPDIR/conf" evacuate hyp =
    offers -c "$BATS_TEST_TMPDIR/conf" evac = evacuate
}
