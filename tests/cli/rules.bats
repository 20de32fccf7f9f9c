#!/usr/bin/env bats
# rules.bats - guests that are kept apart or together, and hosts that they avoid or prefer

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{a1,b1,c1}
    WORKER_SLOTS=8 worker_up all a1 b1:'32 GiB':64 c1:'32 GiB':64
}
teardown_file() { load common; site_down; }
setup() { load common; }

# The guests are where these lines say, GUEST:HOST[:MIB], and have these words.
fill() {
    local place words name host mib n=0
    site_emptied a1 b1 c1
    while read -r place words; do
        IFS=: read -r name host mib <<<"$place"
        guest "$name" "$host" running "${mib:-1024}"
        ask chtab node="$name" vm.othersettings="$words"
        until_true 10 guest_is_on "$name" "$host"
        n=$((n + 1))
    done
    until_true 10 told ".guests | map(select(.state == \"running\")) | length == $n" guests
}

# bats test_tags=slow
@test "separate: they go to different hosts; a third one has none, and every reason is told" {
    fill <<'END'
x1:a1 separate:web
x2:a1 separate:web
x3:a1 other:word; separate:web
END
    ends 1 evacuate a1 --plan
    matches 'x1 +a1 +b1'
    matches 'x2 +a1 +c1'
    err_has 'x3: Error: Unable to identify a suitable target host for guest x3: separate:web keeps it from b1, where x1 comes; separate:web keeps it from c1, where x2 comes; --ignore-rules lets no rule hold it'
    err_has 'x1: separate:web is broken: it is on a1 with x2 and 1 more'
    ok evacuate a1 --plan --ignore-rules
    matches 'x3 +a1 +[bc]1'
    ends 1 evacuate a1
    runs_on x1 b1
    runs_on x2 c1
    runs_on x3 a1
}

# bats test_tags=slow
@test "separate: who is there, or on his way there, counts; one that is named is refused" {
    fill <<'END'
x1:a1 separate:web
x2:b1 separate:web
END
    ends 1 x1 b1
    err_has 'x1: Error: Unable to identify a suitable target host for guest x1: separate:web keeps it from b1, where x2 is; --ignore-rules lets no rule hold it'
    ok x1 --to b1,c1 --dry-run
    has 'can move from a1 to c1'
    plan x2 'ok 4000'
    begin move x2 c1
    until_true 10 told '.jobs | any(.guest == "x2" and .state == "running")' jobs
    ends 1 x1 --to b1,c1
    err_has 'separate:web keeps it from b1, where x2 still is'
    err_has 'separate:web keeps it from c1, where x2 comes'
    comes_to 0
    ok x1 b1
    ok x1 c1 --ignore-rules
    runs_on x1 c1
    ends 1 reconcile x1
    err_has 'x1: Error: separate:web is broken: it is on c1 with x2'
}

# bats test_tags=slow
@test "separate: one of its rule makes way, and is waited for" {
    fill <<'END'
big:a1:20480 separate:web
x1:b1 separate:web
x2:c1:20480
END
    ok evacuate a1 --plan
    matches 'x1 +b1 +c1 .*leaves b1 to big: separate:web keeps them apart'
    plan x1 'ok 1000'
    begin room evacuate a1
    comes_to 0
    has 'x1: leaves b1 to big: separate:web keeps them apart'
    runs_on x1 c1
    runs_on big b1
}

# bats test_tags=slow
@test "together: as a whole or not at all" {
    fill <<'END'
x1:a1:12288 together:db
x2:a1:12288 together:db
x3:b1:12288
big:c1:10240
END
    ends 1 evacuate a1 --plan --no-room
    err_has 'x1: Error: Unable to identify a suitable target host for guest x1: b1 has too little memory: 20.0 GiB free, 24.0 GiB needed; c1 has too little memory: 22.0 GiB free, 24.0 GiB needed'
    err_has 'x2: Error: Unable'
    ok evacuate a1 --plan
    matches 'big +c1 +b1 .*makes room on c1 for x[12]'
    ends 1 x1 --to b1,c1
    err_has 'together:db keeps it with x2, which stays on a1'
    ok evacuate a1
    runs_on x1 c1
    runs_on x2 c1
    runs_on big b1
}

# bats test_tags=slow
@test "avoid and prefer; words that mean nothing, and rules that contradict each other, are named" {
    fill <<'END'
x1:a1 avoid:b1; prefer:b1
x2:a1 prefer:c1
x3:a1 prefer:c1;separate: ;separate:Web;avoid:nosuch
big:a1 together:T;separate:S
END
    ask chtab node=x2 vm.othersettings='prefer:c1;together:T;separate:S'
    ends 1 x1 b1
    err_has 'avoid:b1 keeps it from there; --ignore-rules lets no rule hold it'
    ok evacuate a1 --plan
    matches 'x1 +a1 +c1'
    matches 'x2 +a1 +c1'
    matches 'x3 +a1 +c1'
    matches 'big +a1 +c1'
    err_has 'x3: vm.othersettings says separate:: that is not the name of a rule'
    ends 1 reconcile
    err_has 'x3: Error: vm.othersettings says avoid:nosuch: no such hypervisor is known'
    err_has 'big: Error: separate:S and together:T contradict each other for it and x2'
}

@test "two that wait, for one host, before the rule came: one begins, and the other one goes elsewhere" {
    fill <<'END'
x1:a1
x2:a1
END
    ask close c1
    ok pause --site
    begin move x1,x2 --to b1,c1
    until_true 10 told '.jobs | length == 2 and all(.destination == "b1")' jobs
    ask nodech x1,x2 vm.othersettings=separate:web
    ask open c1
    ok resume --site
    comes_to 0
    [ "$(where x1)" != "$(where x2)" ]
}

# bats test_tags=slow
@test "a named bundle goes to a named host; a member of it is on its way: the other one follows" {
    fill <<'END'
x1:a1 together:db
x2:a1 together:db
END
    ok x1,x2 b1
    runs_on x1 b1
    runs_on x2 b1
    plan x1 'ok 1500'
    begin move x1 a1 --ignore-rules
    until_true 10 told '.jobs | any(.guest == "x1" and .state == "running")' jobs
    ok x2 --to a1,c1 --dry-run
    has 'can move from b1 to a1'
    comes_to 0
}

# bats test_tags=slow
@test "a bundle waits as a whole for room that is promised to others, and goes as a whole" {
    fill <<'END'
x1:a1:12288 together:db
x2:a1:12288 together:db
x3:c1:16384
END
    plan x3 'hang 0'
    begin other x3 b1
    until_true 10 told '.jobs | any(.guest == "x3" and .state == "running")' jobs
    begin room evacuate a1
    until_true 10 told '.jobs | map(select(.guest == "x1" or .guest == "x2")) | length == 2 and all(.why == "waits for room on b1")' jobs
    ok cancel --guests x3
    comes_to 0
    runs_on x1 b1
    runs_on x2 b1
}

# bats test_tags=slow
@test "rules come through groups and patterns" {
    fill <<'END'
x1:a1
x2:a1
END
    ask nodech x1,x2 groups=pair
    ask chtab node=pair vm.othersettings='|x(\d)|x:y; separate:$1-$1; prefer:c($1)|'
    ok evacuate a1 --plan
    matches 'x1 +a1 +c1'
    ask chtab node=pair vm.othersettings='separate:pair'
    ok evacuate a1 --plan
    matches 'x[12] +a1 +b1'
    matches 'x[12] +a1 +c1'
    ask chtab node=pair vm.othersettings=
}

# bats test_tags=slow
@test "a rule that comes while a job waits is kept when that begins" {
    fill <<'END'
x1:a1
x2:b1
END
    ok pause --site
    begin move x1 --to b1,c1
    until_true 10 told '.jobs | length == 1' jobs
    local to
    to=$(ask jobs --json | jq -r '.jobs[0].destination')
    ask chtab node=x1 vm.othersettings="avoid:$to"
    ok resume --site
    comes_to 0
    has_not "migrated to $to"
    runs_on x2 b1
}

# bats test_tags=slow
@test "a job that a rule keeps from its only destination, because of a guest that nobody takes away, ends after a while" {
    export SITE_AT=$BATS_TEST_TMPDIR/vain
    site_new 'limits: { source = 1; destination = 8; }; unreachable = "2 s";'
    broker_up
    mkdir -p "$WORLD"/{a1,b1,c1}
    guest y1 a1
    guest y2 a1
    guest y3 c1
    worker_up all a1 b1 c1
    until_true 5 guest_is_seen y3
    ask chtab node=y1 vm.othersettings=separate:web
    ask chtab node=y3 vm.othersettings=separate:web
    plan y2 'ok 12000'
    ask y2 b1 --detach >/dev/null
    begin vain y1 b1
    until_true 5 told '.jobs | any(.guest == "y1" and .state == "queued")' jobs
    mv "$WORLD/c1/y3" "$WORLD/b1/y3"
    comes_to 1
    err_has 'y1: Error: Failed migration of y1 from a1 to b1: Unable to reach b1 to perform operation of y1, destination unusable: separate:web keeps it from b1, where y3 is'
    site_down
}
