#!/usr/bin/env bats
# hold.bats - pause --site and pause --host: nothing begins, also of what comes later, until each who asked for it is answered

setup_file() {
    load common
    RETRY='50 ms' site_new 'limits: { source = 4; destination = 8; }; unreachable = "1 s";'
    key boss operator
    key other operator
    curve_up
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03}
    local i
    for i in 1 2 3 4 5 6 7 8 9; do guest "k$i" hyp01; done
    for i in 1 2 3; do guest "m$i" hyp03; done
    WORKER_SLOTS=4 worker_up all hyp01 hyp02 hyp03
    until_true 5 guest_is_seen m3
}
teardown_file() { load common; site_down; }
setup() { load common; }
teardown() {
    ask resume --site >/dev/null 2>&1 || ask resume --site >/dev/null 2>&1 || :
    ask resume --host hyp01,hyp02,hyp03 >/dev/null 2>&1 || ask resume --host hyp01,hyp02,hyp03 >/dev/null 2>&1 || :
    ask cancel --all >/dev/null 2>&1 || :
}
as() {
    TCP=$(sed -n 's/.*listens on \(tcp:.*\)/\1/p' "$SITE/log/broker" | tail -n 1) # another port after each start
    RMIGRATE_CONF=$(client_conf "$1")
    export RMIGRATE_CONF
}
is_held() { told '.held and .state == "queued"' show "$1"; }
me() { id -un; }

# bats test_tags=slow
@test "a site that is paused holds what is there and what comes, over a restart of the broker, and says why" {
    local job batch
    ok pause --site --reason 'a new switch'
    is 'site: paused: no migration begins before `rmigrate resume --site`'
    ok submit k1 hyp02 --detach
    err_has "Warning: all migrations are paused by $(me): a new switch: none begins before \`rmigrate resume --site\`"
    job=$(last_job k1)
    is_held "$job"
    ok jobs
    has "held: all migrations are paused by $(me): a new switch"
    ok jobs --state paused --json
    json ".jobs | map(.job) == [$job]"
    ok hosts hyp02
    matches 'hyp02 +held .*held: all migrations are paused by .*: a new switch'
    ok workers
    has "held: all migrations are paused by $(me): a new switch"
    ok queue --json
    json '.queue | all(.held)'
    broker_down KILL
    broker_up
    log_has broker "all migrations are paused by $(me): a new switch"
    until_true 10 host_is_seen hyp01
    until_true 10 host_is_seen hyp02
    sleep 1
    is_held "$job"
    runs_on k1 hyp01
    ok resume --site --reason 'it is there'
    is "site: resumed, it was paused by $(me): a new switch"
    ok wait "$job"
    runs_on k1 hyp02
    ok events --json
    json ".events | any(.event == \"pause\" and .by == \"$(me)\" and .text == \"all migrations are paused: a new switch\")"
    json ".events | any(.event == \"resume\" and (.text | startswith(\"resumed: it is there\")))"
    ok show "$job" --json
    json ".events | any(.by == \"$(me)\" and (.text // \"\" | contains(\"all migrations were paused by $(me): a new switch\")))"
}

@test "a hypervisor that is paused holds what leaves it, and nothing else; what runs goes on" {
    plan k2 'hang 0'
    local running job
    running=$(($(detach k2 hyp02) + 1))
    until_true 5 phase_is "$running" copying
    ok pause --host hyp01
    is 'hyp01: paused: no migration from hyp01 begins before `rmigrate resume --host hyp01`; 1 that runs goes on'
    job=$(($(detach k3 hyp02) + 1))
    ok m1 hyp01
    runs_on m1 hyp01
    is_held "$job"
    state_is "$running" running
    ok hosts hyp02
    has_not held
    ok queue hyp01
    has "held: all migrations from hyp01 are paused by $(me)"
    ok resume --host hyp01
    ok wait "$job"
    ok cancel "$running"
}

@test "an evacuation waits, and whoever waits is told why" {
    ok pause --site --reason lunch
    begin evacuation evacuate hyp03
    until_true 10 grep -q 'waiting for [0-9]* paused jobs*, until somebody resumes .*: held: all migrations are paused by .*: lunch' "$OUT.err"
    sleep 0.5
    runs_on m2 hyp03
    ok resume --site
    comes_to 0
    [ "$(grep -c 'waiting for' "$OUT.err")" = 1 ]
    has 'hyp03: is empty'
    ok open hyp03
}

@test "each lifts his own; who has none lifts all, and reads whose they were" {
    local job
    ok pause --site --reason mine
    as boss
    ok pause --site --reason his
    has "it is paused by $(me): mine too"
    ok pause --site --reason his
    is "site: is already paused by $(me): mine, and by boss: his"
    job=$(($(detach k4 hyp02) + 1))
    ends 1 resume --site
    err_has "is still paused by $(me): mine; only your own pause is over"
    is_held "$job"
    as other
    ok resume --site
    is "site: resumed, it was paused by $(me): mine"
    ok wait "$job"
    ok resume --site
    is 'site: is not paused as a whole'
}

@test "two holds at once, and the resume of the wrong one" {
    local job
    ok pause --site --reason network
    ok pause --host hyp01 --reason disk
    job=$(($(detach k5 hyp02) + 1))
    ok resume --host hyp02
    is "hyp02: is not paused as a whole; paused are: the site by $(me), hyp01 by $(me)"
    ok resume --all
    has "job $job: is held: all migrations are paused by $(me): network; all migrations from hyp01 are paused by $(me): disk"
    ok resume --host hyp01
    is "hyp01: resumed, it was paused by $(me): disk; but held: all migrations are paused by $(me): network"
    is_held "$job"
    ok resume --site
    ok wait "$job"
}

@test "what somebody has paused by itself stays paused when the host is resumed" {
    local job
    ok pause --host hyp01
    job=$(($(detach k6 hyp02) + 1))
    ok pause "$job" --reason alone
    ok resume --host hyp01
    state_is "$job" waiting
    ok resume "$job"
    ok wait "$job"
}

# bats test_tags=slow
@test "held jobs are not given up while their hypervisor is away" {
    local job
    ok pause --site
    job=$(($(detach k7 hyp02) + 1))
    down hyp01
    until_true 10 host_is_away hyp01
    sleep 7
    is_held "$job"
    up hyp01
    until_true 10 host_is_seen hyp01
    ok resume --site
    ok wait "$job"
}

@test "a job is paused, cancelled and shown under a hold as without; nonsense is refused" {
    local job
    ok pause --site
    job=$(($(detach k8 hyp02) + 1))
    ok cancel "$job"
    ends 2 pause --site --host hyp01
    ends 2 resume --site --all
    ends 2 cancel --site
    ends 1 pause --host nowhere
    err_has nowhere
    ends 1 cancel --all
}

@test "a hold that was forgotten is seen by whoever pings, plans or tries; a reason of two lines is one" {
    ok pause --site --reason $'one\ntwo'
    local what
    for what in ping "m3 hyp02 --dry-run" "evacuate hyp02 --plan"; do
        ok $what
        err_has "Warning: all migrations are paused by $(me): one two: none begins before \`rmigrate resume --site\`"
    done
    ok resume --site
    is "site: resumed, it was paused by $(me): one two"
    ok ping
    quiet
}

# bats test_tags=slow
@test "what holds say as JSON" {
    ok pause --site --json
    "$TREE/tests/cli/schema" pause <<<"$output"
    json '.results[0] | .guest == null and .host == null'
    ok pause --host hyp01 --json
    "$TREE/tests/cli/schema" pause <<<"$output"
    json '.results[0] | .guest == null and .host == "hyp01"'
    ok submit k9 hyp02 --detach --json
    local listing
    for listing in hosts queue workers jobs events; do
        ok $listing --json
        "$TREE/tests/cli/schema" "$listing" <<<"$output"
    done
    ok resume --host hyp01 --json
    "$TREE/tests/cli/schema" resume <<<"$output"
}
