#!/usr/bin/env bats
# compat.bats - what older versions have stored and said (tests/compat): is it still read as it was meant?

setup() { load common; . "$TREE/tests/compat/facts.bash"; }
teardown() { [ ! -e "${SITE:-}/rmigrate.conf" ] || site_down; }

# Calls a test for each version that is kept.
each() { # FUNCTION
    local kept n=0
    for kept in "$TREE"/tests/compat/*/; do
        KEPT=${kept%/}
        echo "# ${KEPT##*/}" >&2
        mkdir -p "$BATS_TEST_TMPDIR/${KEPT##*/}"
        TEMPORARY=$BATS_TEST_TMPDIR/${KEPT##*/} "$1"
        n=$((n + 1))
    done
    [ $n -gt 0 ]
}
old_store() { # DIRECTORY
    mkdir -p "$1"
    zcat "$KEPT/store.mdb.gz" >"$1/data.mdb"
}
same() { # OLD NEW: two files
    diff -u "$1" "$2" >&2
}

@test "each record of an old store is read as the old version read it" {
    each records
}
records() {
    old_store "$TEMPORARY/store"
    "$BIN/rmigrate-store" -s "$TEMPORARY/store" check | grep -qx 'nothing wrong'
    zcat "$KEPT/dump.txt.gz" >"$TEMPORARY/old"
    "$BIN/rmigrate-store" -s "$TEMPORARY/store" dump >"$TEMPORARY/new"
    same "$TEMPORARY/old" "$TEMPORARY/new"
}

@test "each message of an old version is read as the old version meant it" {
    command -v protoc >/dev/null || skip "no protoc"
    each messages
}
messages() {
    zcat "$KEPT/messages.tape.gz" >"$TEMPORARY/tape"
    zcat "$KEPT/messages.txt.gz" >"$TEMPORARY/old"
    as_text "$BIN/tape" "$TEMPORARY/tape" "$TREE/wire" >"$TEMPORARY/new"
    same "$TEMPORARY/old" "$TEMPORARY/new"
}

# What does not change by a restart, of all that the old one could tell: of a job that is not finished how it was asked for.
lasting() {
    jq -S 'if .jobs then .jobs |= map(if .state | IN("done", "failed", "cancelled") then . else {job, batch, guest, source, priority, by, reason} end)
        elif .guests then .guests |= map(select(.locked))
        elif .hosts then .hosts |= map({host, state}) else . end'
}
# bats test_tags=slow
@test "a broker goes on with an old store: it tells of it what the old one told, and its jobs end" {
    each goes_on
}
goes_on() {
    local job
    SESSION='1 s' SITE_AT=$TEMPORARY/site site_new 'attempts = 3; limits: { source = 1; }; keep = "0";'
    old_store "$SITE/store"
    broker_up
    facts >"$TEMPORARY/facts"
    lasting <"$KEPT/facts.json" >"$TEMPORARY/old"
    # What the new broker has added itself is behind it.
    jq -s '.[0] as $old | .[1] | .events |= .[:$old | length]' <(jq '.events | select(.)' "$KEPT/facts.json") \
        <(jq 'select(.events)' "$TEMPORARY/facts") >"$TEMPORARY/events"
    jq -s '.[]' <(jq 'select(.events | not)' "$TEMPORARY/facts") "$TEMPORARY/events" | lasting >"$TEMPORARY/new"
    same <(jq -S -s 'sort_by(keys)' "$TEMPORARY/old") \
        <(jq -S -s --slurpfile old "$TEMPORARY/old" 'map(select(keys | IN($old[] | keys))) | sort_by(keys)' "$TEMPORARY/new")

    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03}
    for job in kvm5 kvm6 kvm7 kvm8; do guest "$job" hyp01; done
    worker_up all hyp01 hyp02 hyp03
    until_true 20 nothing_live
    for job in $(jq '.jobs | select(.) | .[] | select(.state | IN("done", "failed", "cancelled") | not) | .job' "$KEPT/facts.json"); do
        state_is "$job" done
    done
    for job in kvm6 kvm7 kvm8; do [ "$(where $job)" != hyp01 ]; done
    ends 1 kvm5 hyp02
    err_has "is locked since an earlier job"
    ok release kvm5
    ok kvm5 hyp02
    site_down
}

# bats test_tags=slow
@test "a worker, clients and a watch of an old version are served: the jobs that they had are done" {
    each served
}
served() {
    # From before turns: the broker welcomes it, and gives it no jobs.
    zcat "$KEPT/messages.txt.gz" | grep -q 'turns: true' || return 0
    SITE_AT=$TEMPORARY/site site_new 'attempts = 3;'
    broker_up
    zcat "$KEPT/messages.tape.gz" >"$TEMPORARY/tape"
    run "$BIN/tape" replay "$TEMPORARY/tape" "ipc://$SITE/broker"
    [ "$status" = 0 ] || wrong "exit code" 0
    has replayed
    ok history kvm1 --json
    json '.history[0] | .state == "done" and .source == "hyp01" and .destination == "hyp02" and .attempt == 1 and .total > 0'
    ok guests kvm1 --json
    json '.guests[0].host == "hyp02"'
    ok gettab node=kvm1 nodelist.groups
    has web
    if zcat "$KEPT/messages.txt.gz" | grep -q '^ *apply {'; then
        ok plans --json
        json '.plans | length == 1 and .[0].state == "applied"'
        ok history kvm2 --json
        json '.history[0] | .state == "done" and .source == "hyp03"'
    fi
    site_down
}
