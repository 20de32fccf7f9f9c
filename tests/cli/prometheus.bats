#!/usr/bin/env bats
# prometheus.bats - a real Prometheus over a real rmigrate-watch, and what contrib/ has for both

# bats file_tags=friends

setup_file() {
    load common
    load watch
    site_new
    mkdir -p "$WORLD"/{hyp01,hyp02}
    guest kvm1 hyp01
    guest kvm2 hyp01
    broker_up
    worker_up all hyp01 hyp02
    watch_up
}
teardown_file() { load common; site_down; }
setup() {
    load common
    load watch
    RULES=$TREE/contrib/prometheus/rmigrate.rules.yml
    DASHBOARD=$TREE/contrib/grafana/rmigrate.json
}

# What the dashboard asks for, with its variables filled in.
questions() { jq -r '.panels[].targets[].expr' "$DASHBOARD" | sed 's/\$job/.*/g; s/\$__rate_interval/1m/g'; }
names_in() { grep -o 'rmigrate_[a-z_]*[a-z]' | sort -u; }

@test "promtool: the rules are sound, and each alert begins when it should" {
    run -0 promtool check rules "$RULES"
    run -0 promtool test rules "$TREE/tests/cli/metrics_rules.yml"
    # each is tested to begin, and not to
    grep -o 'alert: .*' "$RULES" | while read -r _ alert; do
        grep -qx " *alertname: $alert" "$TREE/tests/cli/metrics_rules.yml"
        grep -q "alertname: $alert, exp_alerts: \[\]" "$TREE/tests/cli/metrics_rules.yml"
    done
}

@test "promtool: what is shown is what it should look like" {
    get "$WATCH/metrics" >"$BATS_TEST_TMPDIR/shown"
    run -0 promtool check metrics <"$BATS_TEST_TMPDIR/shown"
    [ -z "$output" ] || wrong output ''
}

@test "every metric that dashboard and rules name is shown" {
    ok kvm1 hyp02
    until_true 10 metric_is 'rmigrate_jobs_finished_total{result="done"}' 1
    get "$WATCH/metrics" | sed -n 's/^\(rmigrate_[a-z_]*\).*/\1/p' | sort -u >"$BATS_TEST_TMPDIR/shown"
    { questions; grep -v '^ *#' "$RULES" | sed 's/runbook: .*//'; } | names_in >"$BATS_TEST_TMPDIR/named"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/named")" -gt 20 ]
    run -0 comm -13 "$BATS_TEST_TMPDIR/shown" "$BATS_TEST_TMPDIR/named"
    is ''
}

@test "every alert has its section in the runbooks, whose commands there are" {
    local alert command option help
    grep -o 'alert: .*' "$RULES" | while read -r _ alert; do
        grep -qx "## $alert" "$TREE/docs/runbooks.md"
        grep -q "runbook: docs/runbooks.md#${alert,,}\$" "$RULES"
    done
    grep -oE 'rmigrate [a-z]+[^`#|]*' "$TREE/docs/runbooks.md" | grep -v '^rmigrate rmigrate' | sed "s/'[^']*'//g" | sort -u >"$BATS_TEST_TMPDIR/typed"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/typed")" -gt 10 ]
    while read -r _ command rest; do
        run -0 ask "$command" --help
        help=$output
        for option in $(grep -oE '(^| )--?[a-z-]+' <<<"$rest"); do
            [[ $help == *"$option"[,=\ $'\n']* ]] || { echo "rmigrate $command has no $option" >&2; return 1; }
        done
    done <"$BATS_TEST_TMPDIR/typed"
}

# ---- the real one

prometheus_up() {
    mkdir -p "$SITE/prometheus"
    cat >"$SITE/prometheus/prometheus.yml" <<END
global: { scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }
rule_files: [ "$RULES" ]
scrape_configs:
  - job_name: rmigrate
    static_configs: [ { targets: [ "${WATCH#http://}" ] } ]
END
    launch prometheus prometheus --config.file="$SITE/prometheus/prometheus.yml" --storage.tsdb.path="$SITE/prometheus/data" \
        --web.listen-address=127.0.0.1:0
    until_true 30 log_has prometheus 'msg="Listening on"'
    PROMETHEUS=http://$(sed -n 's/.*msg="Listening on" address=//p' "$SITE/log/prometheus")
}
# Its answer to a question, as text: a value for each series.
prometheus_says() { get -G --data-urlencode "query=$1" "$PROMETHEUS/api/v1/query" | jq -r '.data.result[].value[1]'; }
says() { [ "$(prometheus_says "$1")" = "$2" ] || { echo "$1 is '$(prometheus_says "$1")', not $2" >&2; return 1; }; }

@test "a real Prometheus scrapes it: jobs that were run are counted, and every question of the dashboard is understood" {
    local question
    prometheus_up
    until_true 20 says 'rmigrate_up{job="rmigrate"}' 1
    get "$PROMETHEUS/api/v1/targets" | jq -e '[.data.activeTargets[] | select(.lastError != "")] | length == 0'
    ok kvm2 hyp02
    ends 1 nobody hyp02
    until_true 20 says 'rmigrate_host_guests{host="hyp02"}' 2
    says 'sum(rmigrate_jobs_finished_total)' "$(ask jobs -a --json | jq '.jobs | length')"
    says 'rmigrate_host_migrations_total{host="hyp01",result="done"}' "$(ask queue hyp01 --json | jq '.[][0].done')"
    says 'rmigrate_migration_duration_seconds_count' "$(ask jobs -a --json | jq '[.jobs[] | select(.state == "done")] | length')"
    says 'histogram_quantile(1, rmigrate_migration_downtime_seconds_bucket)' 0.1
    # units and types have come over
    get "$PROMETHEUS/api/v1/metadata?metric=rmigrate_store_used_bytes" | jq -e '.data.rmigrate_store_used_bytes[0].type == "gauge"'
    get "$PROMETHEUS/api/v1/metadata?metric=rmigrate_migration_sent_bytes" |
        jq -e '.data.rmigrate_migration_sent_bytes[0] | .type == "histogram" and .unit == "bytes"'
    # its rules are carried out, the dashboard's questions understood
    get "$PROMETHEUS/api/v1/rules" | jq -e '[.data.groups[].rules[]] | length > 5 and all(.health == "ok")'
    questions >"$BATS_TEST_TMPDIR/questions"
    while read -r question; do
        get -G --data-urlencode "query=$question" "$PROMETHEUS/api/v1/query" | jq -e '.status == "success"' >/dev/null ||
            { echo "not understood: $question" >&2; return 1; }
    done <"$BATS_TEST_TMPDIR/questions"
    says 'count(ALERTS) or vector(0)' 0
    # and without the broker the alert begins to count
    broker_down
    until_true 20 says 'ALERTS{alertname="RmigrateBrokerAway",alertstate="pending"}' 1
    broker_up
    end_it prometheus
}
