#!/usr/bin/env bats
# times.bats - how long evacuations are expected to take, and in which order their guests leave

setup_file() {
    load common
    site_new 'limits: { source = 2; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{a1,b1}
    WORKER_SLOTS=8 worker_up all a1 b1
    local one
    for one in "x1 1024" "x2 1024" "x3 2048"; do
        guest "${one% *}" a1 running "${one#* }"
        until_true 10 guest_is_on "${one% *}" a1
    done
}
teardown_file() { load common; site_down; }
setup() { load common; }

@test "a plan says when each step starts and how long all takes; before anything was learned it is a guess" {
    ok evacuate a1 --plan
    matches '^STEP AFTER GUEST +FROM +TO +STARTS +TAKES +PAUSE +NOTE'
    err_has "it is expected to take "
    err_has ", a guess: nothing is known yet of some guests or hypervisors"
    ok evacuate a1 --plan --json
    json '.takes_low < .takes and .takes < .takes_high'
    json '.plan | all(.takes_low < .takes and .takes < .takes_high and .pause == null)'
}

@test "guests leave in the order in which all is over the earliest" {
    # Two at once: the largest with the two others one after the other.
    ok evacuate a1 --plan --json
    json '.plan | map({(.guest): .starts_in}) | add | .x3 == null and ([.x1, .x2] | map(select(. == null)) | length == 1)'
    json '(.plan | map(select(.guest == "x3"))[0].takes) as $longest | .takes - $longest | . >= 0 and . < 1'
}

@test "what migrations took is learned, and known after a restart of the broker" {
    ok evacuate a1
    ask open a1 >/dev/null
    ok evacuate b1
    ask open b1 >/dev/null
    until_true 10 guest_is_on x3 a1
    ok evacuate a1 --plan --json
    json '.plan | all(.pause > 0 and .takes > 0)'
    local learned
    learned=$(jq -S 'del(.number)' <<<"$output")
    ok evacuate a1 --plan
    [[ $stderr != *guess* ]]
    broker_down KILL
    broker_up
    until_true 10 guest_is_on x3 a1
    until_true 10 host_is_seen b1
    ok evacuate a1 --plan --json
    [ "$(jq -S 'del(.number)' <<<"$output")" = "$learned" ]
}
