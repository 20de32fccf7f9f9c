#!/usr/bin/env bats
# json.bats - every answer with --json is what docs/rmigrate.schema.json says: a field more or less, or another word in it, is
# a failure here

setup_file() {
    load common
    RETRY='50 ms' site_new 'limits: { source = 4; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03}
    local i
    for i in 1 2 3 4 5 6 7 8; do guest "k$i" hyp01; done
    guest off1 hyp01 shutoff
    guest p1 hyp03
    guest p2 hyp03 paused
    WORKER_SLOTS=4 worker_up all hyp01 hyp02
    WORKER_SLOTS=4 worker_up third hyp03
    until_true 5 guest_is_seen k8
    until_true 5 guest_is_seen p2
}
teardown_file() { load common; site_down; }
setup() { load common; }

# What the command prints with --json is as the definition says; the command may end with 0 or 1.
valid() { # DEFINITION ARGUMENT...
    local name=$1
    shift
    run --separate-stderr rmigrate "$@" --json
    [ "$status" -le 1 ] || wrong 'exit code' '0 or 1'
    printf '%s' "$output" | "$TREE/tests/cli/schema" "$name" || wrong "JSON as $name" "$*"
}
# And it is not only an empty list.
filled() { json '[.[] | arrays] | add | length > 0'; }

# bats test_tags=slow
@test "moves and their jobs: one job is the same in every answer" {
    local batch keys
    ok chtab node=hyp02 nodelist.groups=all # a name that is a node's, so that the noderange has it
    valid submit 'k[1-2],off1,hyp02' hyp02
    json 'map(select(.host == "hyp02" and .guest == null)) | length == 1' -s
    valid submit k3 hyp02 --detach
    batch=$(jq .batch <<<"$output")
    valid wait wait "$batch"
    valid watch watch $((batch + 1))
    keys=$(jq -sc 'first | del(.ok, .result) | keys' <<<"$output")
    valid show show $((batch + 1))
    [ "$(jq -c 'del(.events, .to_all) | keys' <<<"$output")" = "$keys" ]
    valid jobs jobs -a
    filled
    [ "$(jq -c '.jobs[0] | keys' <<<"$output")" = "$keys" ]
    valid history history k3
    filled
    [ "$(jq -c '.history[0] | keys' <<<"$output")" = "$keys" ]
    valid 'submit --dry-run' submit --dry-run k4,off1,hyp02 hyp02
    json '.results | map(select(.host == "hyp02"))[0] | .guest == null'
}

# bats test_tags=slow
@test "what runs, what failed" {
    plan k4 'hang 0'
    plan k5 'refuse 0 fatal 55 cannot be moved'
    local batch
    batch=$(detach k[4-5] hyp02)
    until_true 5 phase_is $((batch + 1)) copying
    until_true 5 state_is $((batch + 2)) failed
    valid jobs jobs
    json '.jobs[0].state == "running" and .jobs[0].total > 0'
    valid show show $((batch + 1))
    valid show show $((batch + 2))
    json '.state == "failed" and (.why | contains("cannot be moved"))'
    valid guests guests
    filled
    json '.guests | any(.job > 0) and any(.job == null)'
    valid queue queue
    valid pause pause $((batch + 1))
    valid modify modify $((batch + 1)) max_total=5
    valid resume resume --batch "$batch"
    valid cancel cancel --batch "$batch" --reason why
    json ".results[0] | .job == $((batch + 1)) and .guest == \"k4\" and .host == null"
    until_true 5 state_is $((batch + 1)) cancelled
    valid retry retry --batch "$batch"
    filled
    valid wait wait "$(jq .results[0].job <<<"$output")"
}

# bats test_tags=slow
@test "a job that may go to many hosts names them where it is alone" {
    local batch many=hyp[10-29] # more than VIEW_TO_MAX of submit/job_view.h
    mkdir "$WORLD"/hyp{10..29}
    worker_up many hyp{10..29}
    until_true 5 told '.hosts | length == 23' hosts
    plan k7 'hang 0'
    batch=$(detach k7 "$many")
    valid jobs jobs --batch "$batch"
    json '.jobs[0] | .to == null and .to_count == 20'
    valid show show $((batch + 1))
    json '.to == null and .to_count == 20 and (.to_all | length == 20 and .[0] == "hyp10")'
    valid cancel cancel --batch "$batch"
    valid wait wait "$batch"
    json 'first | .to == null and .to_count == 20' -s
    end_it many
}

# bats test_tags=slow
@test "hypervisors: a host is never called a guest" {
    valid 'evacuate --plan' evacuate hyp03 --plan
    filled
    valid 'plans NUMBER' plans "$(jq .number <<<"$output")"
    filled
    valid plans plans
    filled
    valid evacuate evacuate hyp03
    json 'map(select(.host)) | length > 0 and all(.guest == null)' -s
    json 'map(select(.guest)) | map(.guest) | sort == ["p1", "p2"]' -s
    valid evacuate evacuate hyp03 --detach
    valid 'restore --plan' restore hyp03 --plan
    valid restore restore hyp03
    valid maintain maintain hyp03 --run true
    valid close close hyp01 --reason 'a disk'
    json '.results[0] | .host == "hyp01" and .guest == null and .result == "closed"'
    valid hosts hosts
    json '.hosts | any(.by and .reason == "a disk" and (.why | contains("a disk")))'
    valid open open hyp01,hyp03
    valid queue queue
    valid workers workers
    json '.workers | map(.hosts) | add | sort == ["hyp01", "hyp02", "hyp03"]'
    end_it third
    until_true 10 host_has_no_worker hyp03
    valid hosts hosts hyp03
    valid queue queue hyp03
    valid guests guests
    valid events events
    filled
    json '.events | all(has("by"))'
}

# bats test_tags=slow
@test "a guest that is locked, and its release" {
    plan k6 'vanish 0'
    ends 1 k6 hyp02
    valid guests guests k6
    json '.guests[0] | .locked and (.why | length > 0)'
    guest k6 hyp01
    valid release release k6 --reason seen
    json '.results[0] | .guest == "k6" and .host == null'
}

@test "tables and the rest" {
    ok chtab node=k1 vm.host=hyp09 vm.comments=rack
    valid reconcile reconcile
    filled
    valid nodels nodels k1 vm.host vm.comments
    filled
    valid nodels nodels k1 vm.host --blame
    valid tabdump tabdump
    valid tabdump tabdump vm
    valid ping ping
}

# bats test_tags=slow
@test "every command that prints JSON has a definition, and is tried here" {
    local command n=0
    while read -r command; do
        ask "$command" --help | grep -q -e '--json' || continue
        n=$((n + 1))
        "$TREE/tests/cli/schema" --names | grep -qx "$command" || wrong "a definition of" "$command"
        grep -qE "^ *valid $command " "$BATS_TEST_FILENAME" || wrong "a test of the JSON of" "$command"
    done < <(ask --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')
    [ $n -gt 15 ]
}

# The names of an enum of rmigrate.proto as people read them, without its value 0.
names_of() { # ENUM [PREFIX]
    sed -n "/^enum $1 {/,/^}/s/^ *\([A-Z_]*\) = [1-9].*/\1/p" "$TREE/wire/rmigrate.proto" |
        sed "s/^${2:-}//" | tr 'A-Z_' 'a-z ' | sort
}
schema_enum() { "$TREE/tests/cli/schema" --enum "$1" | sort; }

@test "every state, and every event, is in the schema" {
    diff <(names_of RmState) <(schema_enum job_state)
    diff <(names_of RmEventKind) <(schema_enum event_kind)
    diff <(names_of RmGuestState GUEST_) <(schema_enum guest_state | grep -vx unknown)
}
