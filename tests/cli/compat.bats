#!/usr/bin/env bats
# compat.bats - what older versions have stored and said (tests/compat): is it still read as it was meant?

setup() { load common; load watch; . "$TREE/tests/compat/facts.bash"; }
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
    [ -e "$KEPT/ledger.gz" ] || return 0
    zcat "$KEPT/ledger.gz" >"$TEMPORARY/ledger"
    zcat "$KEPT/ledger.txt.gz" >"$TEMPORARY/old"
    ledger_as_text "$TEMPORARY/ledger" "$TREE/wire" >"$TEMPORARY/new"
    same "$TEMPORARY/old" "$TEMPORARY/new"
}

# The jobs that are not over, a line each: job, guest, source, and where the guest is now: one in doubt has arrived.
unfinished() {
    jq -r '.jobs | select(.) | .[] | select(.state | IN("done", "failed", "cancelled") | not) |
        "\(.job) \(.guest) \(.source) \(if .state == "doubt" then .destination else .source end)"' "$KEPT/facts.json"
}
# These guests are there, and so is the locked one; there is a worker for all hosts.
old_world() {
    local job guest source now hosts
    mapfile -t hosts < <(jq -r '.hosts | select(.) | .[].host' "$KEPT/facts.json")
    for source in "${hosts[@]}"; do mkdir -p "$WORLD/$source"; done
    guest kvm5 hyp01
    while read -r job guest source now; do guest "$guest" "$now"; done < <(unfinished)
    worker_up all "${hosts[@]}"
    until_true 20 nothing_live
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
    local job guest source now
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

    old_world
    while read -r job guest source now; do
        state_is "$job" done
        [ "$(where "$guest")" != "$source" ]
    done < <(unfinished)
    ends 1 kvm5 hyp02
    err_has "is locked since an earlier job"
    ok release kvm5
    ok kvm5 hyp02
    site_down
}

# bats test_tags=slow
@test "rmigrate-watch goes on with an old ledger: nothing is told twice, what was not told is" {
    each tells
}
tells() {
    [ -e "$KEPT/ledger.gz" ] || return 0
    SESSION='1 s' SITE_AT=$TEMPORARY/watched site_new 'attempts = 3; keep = "0";'
    old_store "$SITE/store"
    broker_up
    mkdir "$SITE/state"
    zcat "$KEPT/ledger.gz" >"$SITE/state/ledger"
    note_up "$SITE/note1" "$SITE/told"
    note_up "$SITE/note2" "$SITE/later"
    watch_up "state = \"$SITE/state\"; away = \"1 h\"; notify = ( { name = \"told\"; command = \"$SITE/note1\"; wait = \"0\"; },
        { name = \"later\"; command = \"$SITE/note2\"; wait = \"0\"; } );"
    until_true 10 brief_has told 'broker - over'
    old_world
    until_true 20 brief_has told 'evacuation hyp05 over'
    until_true 20 brief_has told 'worker hyp05 over'
    until_true 20 brief_has told 'doubt kvm11 over'
    until_true 10 brief_has later 'evacuation hyp05 over'
    # What was not told is told as it was; then this is all that is new.
    local n
    n=$(wc -l <"$KEPT/news.json")
    same "$KEPT/news.json" <(heard later | head -n "$n")
    same <(printf '%s\n' 'broker - over' 'doubt kvm11 over' 'evacuation hyp05 over' 'worker hyp05 over') <(brief told | sort)
    same <(heard told) <(heard later | tail -n +$((n + 1)))
    site_down
}
# kvm6 was on its way: whether it is in doubt for long enough to be told depends on when its worker is back.
heard() { news_told "$SITE/$1" | grep -v '"guest":"kvm6"'; }
brief() {
    heard "$1" | jq -r '"\(.kind) \(.guest // .host // "-") \(if .over then "over" else "begins" end)"'
}
brief_has() { brief "$1" | grep -qx "$2"; }

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
        json '.plans | map(.state) == ["applied", "overtaken"]'
        ok history kvm2 --json
        json '.history[0] | .state == "done" and .source == "hyp03"'
    fi
    site_down
}
