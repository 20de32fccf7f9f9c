# watch_api.bats - the JSON of rmigrate-watch is what docs/openapi.json says

setup_file() {
    load common
    load watch
    site_new
    broker_up
    worker_up w1 hyp01 hyp02 hyp03
    guest a1 hyp01
    guest a2 hyp01
    guest a3 hyp02
    plan a1 'crawl 100'
    plan a2 'fail 0 fatal 7 it went wrong'
    for g in a1 a2 a3; do until_true 10 guest_is_seen $g; done
    watch_up
    detach a1 --to hyp02 --reason '"quoted" <b>' >/dev/null
    detach a2 --to hyp03 >/dev/null
    until_true 10 is_running a1
    until_true 10 state_is "$(last_job a2)" failed
    shown() { get "$WATCH/api/v1/site" | jq -e '.running == 1 and .failed == 1' >/dev/null; }
    until_true 10 shown
    FAILED=$(last_job a2) RUNS=$(last_job a1)
    export FAILED RUNS
}
setup() { load common && load watch; }
teardown_file() {
    load common
    ask cancel --all >/dev/null 2>&1 || : # what crawls still
    until_true 20 nothing_live
    site_down
}

# What a path answers, which is as it is described, with this status.
asked() { # STATUS DESCRIBED [QUERY OR END]
    local path=${2%\{*}${3:-}
    output=$(get -w '\n%{http_code}' "$WATCH$path")
    [ "${output##*$'\n'}" = "$1" ] || { echo "$path: $output" >&2; return 1; }
    output=${output%$'\n'*}
    "$TREE/tests/cli/openapi" "$2" "$1" <<<"$output" || { echo "$path: $output" >&2; return 1; }
}

@test "every path that is served is described, and every other way round" {
    served=$(sed -n 's/.*{\.path = "\(\/api\/[^"]*\|\/events\)".*/\1/p' "$TREE/submit/watch/main.c" | sed 's|^/api/v1/jobs/$|&{job}|' | sort)
    [ "$(wc -l <<<"$served")" -ge 10 ]
    [ "$served" = "$("$TREE/tests/cli/openapi" --paths | sort)" ] || { echo "served: $served" >&2; false; }
}

@test "the site, with its sums" {
    asked 200 /api/v1/site
    json '.hosts == 3 and .guests == 3 and .running == 1 and .failed == 1 and .trouble == null'
    json '.broker != null and .user != null and .now >= .at'
}

@test "hypervisors and queues, all of them or one" {
    asked 200 /api/v1/hosts
    json '[.hosts[].host] == ["hyp01", "hyp02", "hyp03"]'
    asked 200 /api/v1/queue '?host=hyp01'
    json '[.queue[] | .host, .running] == ["hyp01", 1]'
    asked 404 /api/v1/hosts '?host=hyp'
    json '.error | contains("hyp")'
}

@test "rows are those that the command prints" {
    for what in hosts queue guests; do
        asked 200 "/api/v1/$what"
        there=$(jq -S "[.$what[] | del(.seen_at)]" <<<"$output")
        [ "$there" = "$(ask "$what" --json | jq -S "[.$what[] | del(.seen_at)]")" ] || { echo "$what: $there" >&2; false; }
    done
    asked 200 '/api/v1/jobs/{job}' "$FAILED"
    [ "$(jq -S . <<<"$output")" = "$(ask show "$FAILED" --json | jq -S .)" ]
}

# bats test_tags=slow
@test "jobs under way, and others by what is asked for" {
    asked 200 /api/v1/jobs
    json '[.jobs[].job] == [$runs]' --argjson runs "$RUNS"
    json '.jobs[0].reason == "\"quoted\" <b>"'
    asked 200 /api/v1/jobs '?state=failed'
    json '[.jobs[].job] == [$failed] and .next == null' --argjson failed "$FAILED"
    asked 200 /api/v1/jobs '?state=failed,running&limit=1'
    json '(.jobs | length) == 1 and .next != null'
    first=$(jq '.jobs[0].job' <<<"$output")
    asked 200 /api/v1/jobs "?state=failed,running&limit=1&before=$(jq .next <<<"$output")"
    json '(.jobs | length) == 1 and .jobs[0].job < $first' --argjson first "$first"
    asked 200 /api/v1/jobs '?host=hyp03'
    json '.jobs == []'
    asked 200 /api/v1/jobs '?guest=a1'
    json '[.jobs[].guest] == ["a1"]'
    for wrong in '?state=nonsense' '?limit=0' '?limit=1001' '?limit=x' '?before=x' '?state=running,'"$(printf 'running,%.0s' {1..40})"; do
        asked 400 /api/v1/jobs "$wrong"
    done
}

@test "a job that is not there, and what is no number" {
    asked 404 '/api/v1/jobs/{job}' 999999
    for wrong in x '' 1x -1; do asked 400 '/api/v1/jobs/{job}' "$wrong"; done
}

@test "guests page by page" {
    asked 200 /api/v1/guests '?limit=2'
    json '[.guests[].guest] == ["a1", "a2"] and .next == "a2"'
    asked 200 /api/v1/guests '?limit=2&after=a2'
    json '[.guests[].guest] == ["a3"] and .next == null'
    asked 200 /api/v1/guests '?host=hyp02'
    json '[.guests[].guest] == ["a3"]'
}

@test "events and the last hour" {
    asked 200 /api/v1/events '?limit=1'
    json '.events | length == 1'
    asked 200 /api/v1/events
    json '.events | length > 1 and all(.at > 0)'
    asked 200 /api/v1/history
    json '.every == 10 and (.samples | length > 0)'
}

@test "a stream tells all, then what differs" {
    curl -sSN --max-time 20 "$WATCH/events" >"$BATS_TEST_TMPDIR/stream" &
    reader=$!
    stream_has() { sed -n 's/^data: //p' "$BATS_TEST_TMPDIR/stream" | jq -se "$1" >/dev/null 2>&1; }
    until_true 10 stream_has 'length > 0'
    stream_has '.[0].whole and (.[0].hosts | length == 3) and (.[0].jobs | length == 1)'
    ask close hyp03 --reason 'for a test' >/dev/null
    until_true 10 stream_has 'any(.[1:][].hosts[]; .host == "hyp03" and .word == "closed" and (.why | contains("for a test")))'
    stream_has 'all(.[1:][]; .whole | not)'
    stream_has 'all(.[1:][].hosts[]; .host != "hyp02" or .incoming != 0)'
    kill $reader
    wait $reader || :
    "$TREE/tests/cli/openapi" --event <"$BATS_TEST_TMPDIR/stream"
    ask open hyp03 >/dev/null
}

# bats test_tags=slow
@test "an evacuation, its end when three guests are gone, and the guest that stays" {
    for g in b1 b2 b3 b4; do
        guest $g hyp03
        plan $g 'crawl 0'
    done
    for g in b1 b2 b3 b4; do until_true 10 guest_is_on $g hyp03; done
    ask evacuate hyp03 --detach >/dev/null
    evacuation_is() { asked 200 /api/v1/evacuations && json ".evacuations[0] | $1"; }
    goes() { ask modify --guests "$1" bandwidth=1GiB/s >/dev/null 2>&1; } # one that runs already
    until_true 20 evacuation_is '.host == "hyp03" and .moved == 0 and .left == 4 and .expected_at == null'
    expected() { get "$WATCH/metrics" | grep '^rmigrate_host_expected_empty_timestamp_seconds{host="hyp03"} [1-9]'; }
    run ! expected
    for g in b1 b2 b3; do
        until_true 20 is_running $g
        until_true 20 goes $g
    done
    until_true 20 evacuation_is '.moved == 3 and .left == 1 and .running == 1 and .expected_at != null'
    until_true 20 expected
    until_true 20 goes b4
    over() { asked 200 /api/v1/evacuations && json '.evacuations == []'; }
    until_true 20 over
    ask open hyp03 >/dev/null
}

# bats test_tags=slow
@test "a broker that is away: what was known, and why it is not new" {
    ask modify --guests a1 bandwidth=1GiB/s >/dev/null 2>&1 || :
    until_true 20 nothing_live
    asked 200 /api/v1/hosts
    broker_down
    troubled() { asked 200 /api/v1/site && json '.trouble != null and .hosts == 3'; }
    until_true 20 troubled
    asked 503 '/api/v1/jobs/{job}' "$FAILED"
    broker_up
    again() { asked 200 /api/v1/site && json '.trouble == null'; }
    until_true 20 again
}
