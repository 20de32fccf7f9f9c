#!/usr/bin/env bats
# pages.bats - answers of more rows than one page holds: the client puts them together, and each row is there once

GUESTS=5300 # more than PAGE_ROWS of broker/page.h
LAST=guest5300

setup_file() {
    load common
    site_new 'limits: { source = 1; destination = 8; }; vcpus_per_cpu = 100;'
    broker_up
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03}
    local i
    for ((i = 1; i <= GUESTS; i++)); do
        printf '%08x-0000-4000-8000-000000000000 running 1 1 user\n' "$i" >"$WORLD/hyp01/$(printf 'guest%04d' "$i")"
    done
    worker_up all hyp01 hyp02 hyp03
    until_true 10 told ".guests | length == $GUESTS" guests
    plan guest0001 'hang 0'
}
teardown_file() { load common; site_down; }
setup() { load common; }

all_of() { # FIELD: every guest is in this column of the output once
    [ "$(jq -r "$1" <<<"$output" | sort -u | wc -l)" = "$GUESTS" ]
    [ "$(jq -r "$1" <<<"$output" | wc -l)" = "$GUESTS" ]
}

@test "guests" {
    ok guests --json
    all_of '.guests[].guest'
    ok guests "guest[0001-$GUESTS]" --json
    all_of '.guests[].guest'
    json ".guests[$((GUESTS - 1))].guest == \"$LAST\""
}

@test "why each guest of a request is refused" {
    ask close hyp02 >/dev/null
    ends 1 submit --json "guest[0001-$GUESTS]" hyp02
    all_of 'select(.guest).guest'
    ok evacuate --plan --json hyp01
    all_of '.plan[].guest'
    ask open hyp02 >/dev/null
}

# bats test_tags=slow
@test "a batch: its jobs, what becomes of them, and how they ended" {
    local batch
    batch=$(detach "guest[0001-$GUESTS]" hyp02,hyp03)
    begin wait wait "$batch" --json
    ok jobs --batch "$batch" --json
    all_of '.jobs[].guest'
    json "[.jobs[] | select(.batch == $batch)] | length == $GUESTS"
    ok show "$((batch + GUESTS))" --json
    json '.to == ["hyp02", "hyp03"] and .to_count == 2 and .to_all == .to'
    ok cancel --batch "$batch" --json
    json ".results | length == $GUESTS"
    until_true 30 test -s "$OUT.code"
    [ "$(cat "$OUT.code")" = 1 ]
    output=$(cat "$OUT.out")
    all_of 'select(.guest).guest'
    ends 1 wait "$batch" --json
    all_of 'select(.guest).guest'
}
