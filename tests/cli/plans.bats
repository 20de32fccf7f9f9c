#!/usr/bin/env bats
# plans.bats - plans of evacuations are kept under a number, and carried out as they are or not at all

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{a1,b1,c1}
    WORKER_SLOTS=8 worker_up all a1 b1:'32 GiB':64 c1:'32 GiB':64
}
teardown_file() { load common; site_down; }
setup() { load common; }

# a1 has a big guest; b1 and c1 have room for it only together: 14 GiB and 12 GiB are free.
fill() {
    site_emptied a1 b1 c1
    guest big a1 running 20480
    guest light a1 running 1024
    guest b-large b1 running 12288
    guest b-small b1 running 6144
    guest c-only c1 running 20480
    local one
    for one in big:a1 light:a1 b-large:b1 b-small:b1 c-only:c1; do
        until_true 10 guest_is_on "${one%:*}" "${one#*:}"
    done
}
# Makes a plan; its number is in $plan.
make() { # ARGUMENT...
    ok evacuate "$@" --plan --json
    plan=$(jq .number <<<"$output")
    [ "$plan" != null ]
}
plan_is() { told ".state == \"$2\"" plans "$1"; }

@test "a plan has a number, its steps in order with their reasons; it is listed and shown" {
    fill
    ok evacuate a1 --plan
    matches '1 +- +b-small +b1 +c1 .*makes room on b1 for big'
    matches '[23] +1 +big +a1 +b1 .*can move from a1 to b1 when b-small has left that'
    [[ $stderr =~ "this is plan "([0-9]+)": rmigrate evacuate --apply "[0-9]+ ]]
    local number=${BASH_REMATCH[1]}
    ok plans
    matches "$number .* 3 +1 .*made +a1"
    ok plans "$number"
    matches '1 +- +b-small +b1 +c1 .*makes room on b1 for big'
    ok plans "$number" --json
    json '.hosts == ["a1"] and .moves == 3 and .room == 1 and .left == 0 and .state == "made" and .batch == null'
    json '.plan | map(.step) == [1, 2, 3]'
    json '.plan | map(select(.guest == "big"))[0].after == [1]'
    ok jobs
    is ""
}

# bats test_tags=slow
@test "--apply does that plan, also after the death of the broker, and only once" {
    fill
    make a1
    local light
    light=$(jq -r '.plan[] | select(.guest == "light").destination' <<<"$output")
    broker_down KILL
    broker_up
    until_true 10 guest_is_on c-only c1
    guest other c1 running 512 # what the plan does not touch
    until_true 10 guest_is_on other c1
    ok evacuate --apply "$plan"
    has 'b-small: makes room on b1 for big'
    has 'a1: is empty: 2 moved, 1 guest of other hosts moved to make room'
    runs_on b-small c1
    runs_on big b1
    runs_on light "$light"
    local batch
    batch=$(ask plans "$plan" --json | jq .batch)
    ok plans "$plan"
    has "applied as batch $batch"
    ends 6 evacuate --apply "$plan"
    err_has "plan $plan was applied already"
    err_has "rmigrate watch $batch"
}

# bats test_tags=slow
@test "whatever has changed is named, and nothing is moved" {
    fill
    make a1
    guest fresh a1 running 256
    rm "$WORLD/a1/light"
    ok close b1 --reason 'a fan is broken'
    until_true 10 guest_is_on fresh a1
    until_true 10 told '.guests | all(.host != "a1")' guests light
    ends 6 evacuate --apply "$plan" --detach
    err_has "plan $plan is not applied, and nothing is moved: things have changed"
    err_has 'fresh: Error: is on a1, and the plan does not know it'
    err_has 'light: Error: '
    err_has 'b1: Error: guests cannot go there: '
    err_has 'a fan is broken'
    ok hosts a1
    has open
    ok jobs
    is ""
    ends 6 evacuate --apply "$plan" --json
    json '.changes | map(.guest // .host) | sort == ["b1", "fresh", "light"]'
    json '.plan == [] and .number == null'
}

# bats test_tags=slow
@test "a destination that is full, and a rule that is new, are named" {
    fill
    make a1
    guest thief c1 running 11264
    until_true 10 guest_is_on thief c1
    ends 6 evacuate --apply "$plan" --detach
    err_has 'b-small: Error: c1 has too little memory'
    rm "$WORLD/c1/thief"
    until_true 10 told '.guests | all(.host != "c1")' guests thief
    ok chtab node=big vm.othersettings=avoid:b1
    ends 6 evacuate --apply "$plan" --detach
    err_has 'big: Error: '
    err_has 'avoid:b1'
    ok chtab node=big vm.othersettings=
    ok chtab node=big vm.migrationdest=c1
    ends 6 evacuate --apply "$plan" --detach
    err_has 'big: Error: may not go to b1 (vm.migrationdest)'
    ok chtab -d node=big vm
    ok evacuate --apply "$plan"
    has 'a1: is empty'
}

# bats test_tags=slow
@test "--replan makes a new plan of what was asked, and says what is different" {
    fill
    make a1
    local first=$plan
    guest fresh a1 running 256
    until_true 10 guest_is_on fresh a1
    ends 6 evacuate --apply "$first" --replan --json
    json '.changes | map(.guest) == ["fresh"]'
    json '.plan | map(.guest) | sort == ["b-small", "big", "fresh", "light"]'
    plan=$(jq .number <<<"$output")
    [ "$plan" -gt "$first" ]
    err_has "plan $first is not applied, things have changed; plan $plan is made instead"
    runs_on fresh a1
    ok evacuate --apply "$plan" --replan
    has 'a1: is empty: 3 moved'
    until_true 5 plan_is "$first" overtaken
    ends 6 evacuate --apply "$first"
    err_has "plan $first is overtaken: plan $plan was applied to the same hosts since"
}

# bats test_tags=slow
@test "a guest without a place is left as the plan said" {
    fill
    guest huge a1 running 40000
    until_true 10 guest_is_on huge a1
    ends 1 evacuate a1 --plan --json
    plan=$(jq .number <<<"$output")
    ends 1 evacuate --apply "$plan"
    err_has 'huge: Error: Unable to identify a suitable target host for guest huge'
    err_has 'a1: Error: is not empty: 2 moved'
    runs_on huge a1
    runs_on big b1
}

@test "what is wrong is said: no such plan, no number, options beside --apply" {
    ends 1 evacuate --apply 999999
    err_has 'there is no plan 999999: rmigrate plans lists those that are kept'
    ends 1 plans 999999
    ends 2 plans x
    err_has "'x' is not the number of a plan"
    ends 2 evacuate a1 --apply 1
    ends 2 evacuate a1 --replan
    ends 2 evacuate --apply 1 --bandwidth 1MiB/s
    err_has 'give them with --plan'
}
