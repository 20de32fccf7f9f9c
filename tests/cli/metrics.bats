#!/usr/bin/env bats
# metrics.bats - what rmigrate-watch shows at /metrics of the real broker, and to whom

setup_file() {
    load common
    load watch
    site_new
    mkdir -p "$WORLD"/{hyp01,hyp02}
    guest kvm1 hyp01
    guest kvm2 hyp01
    guest kvm3 hyp01
    broker_up
    worker_up all hyp01:8GiB:16:1GiB hyp02
    watch_up
}
teardown_file() { load common; site_down; }
setup() { load common; load watch; }

@test "jobs are counted by how they ended, and hosts show what is on them" {
    plan kvm2 'fail 0 fatal 9 no'
    ok kvm1 hyp02
    ends 1 kvm2 hyp02
    plan kvm3 hang
    detach kvm3 hyp02 >/dev/null
    until_true 5 is_running kvm3
    ask cancel --all >/dev/null
    until_true 10 metric_is 'rmigrate_jobs_finished_total{result="cancelled"}' 1
    metric_is rmigrate_jobs_submitted_total 3
    metric_is 'rmigrate_jobs_finished_total{result="done"}' 1
    metric_is 'rmigrate_jobs_finished_total{result="failed"}' 1
    metric_is 'rmigrate_host_migrations_total{host="hyp01",result="done"}' 1
    metric_is 'rmigrate_host_migrations_total{host="hyp02",result="done"}' 0
    metric_is 'rmigrate_host_memory_bytes{host="hyp01"}' $((8 << 30))
    metric_is 'rmigrate_host_memory_reserve_bytes{host="hyp01"}' $((1 << 30))
    metric_is 'rmigrate_host_vcpus{host="hyp01"}' 16
    metric_is rmigrate_guests 3
    metric_is rmigrate_workers 1
    metric_is rmigrate_store_size_bytes $((256 << 20))
    # one migration ended well; fakeworker says of each that its guest stood still for 38 ms
    metric_is rmigrate_migration_duration_seconds_count 1
    metric_is rmigrate_migration_downtime_seconds_sum 0.038000
    metric_is 'rmigrate_migration_downtime_seconds_bucket{le="0.03"}' 0
    metric_is 'rmigrate_migration_downtime_seconds_bucket{le="0.1"}' 1
    metric_is 'rmigrate_migration_downtime_seconds_bucket{le="+Inf"}' 1
}

# bats test_tags=slow
@test "an evacuation is seen, with the guests that are left, and that it has closed the host" {
    plan kvm2 hang
    plan kvm3 hang
    begin evacuation evacuate hyp01
    until_true 10 metric_is 'rmigrate_host_evacuating{host="hyp01"}' 1
    metric_is 'rmigrate_host_evacuated{host="hyp01"}' 1
    metric_is 'rmigrate_host_open{host="hyp01"}' 0
    metric_is 'rmigrate_host_guests{host="hyp01"}' 2
    until_true 10 metric_is 'rmigrate_host_jobs_running{host="hyp01"}' 2
    metric_is 'rmigrate_host_jobs_incoming{host="hyp02"}' 2
    metric_is rmigrate_jobs_unfinished 2
    ask cancel --all >/dev/null
    comes_to 1
    until_true 10 metric_is 'rmigrate_host_evacuating{host="hyp01"}' 0
    ask open hyp01 >/dev/null
    until_true 10 metric_is 'rmigrate_host_open{host="hyp01"}' 1
    metric_is 'rmigrate_host_evacuated{host="hyp01"}' 0
}

# bats test_tags=slow
@test "a queued job: for how long the oldest of a host waits" {
    metric_is 'rmigrate_host_oldest_job_seconds{host="hyp01"}' 0.000000
    ask pause --host hyp01 >/dev/null
    detach kvm2 hyp02 >/dev/null
    until_true 10 waits_for_long
    metric_is 'rmigrate_host_held{host="hyp01"}' 1
    ask cancel --all >/dev/null
    ask resume --host hyp01 >/dev/null
    until_true 10 metric_is 'rmigrate_host_oldest_job_seconds{host="hyp01"}' 0.000000
}
waits_for_long() { [[ $(metric 'rmigrate_host_oldest_job_seconds{host="hyp01"}') =~ ^[1-9][0-9]*\.[0-9]{6}$ ]]; }

@test "OpenMetrics for whom accepts it, else the older text of Prometheus; HEAD has no body" {
    run -0 get -D "$BATS_TEST_TMPDIR/head" -H 'Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5' "$WATCH/metrics"
    grep -qi '^content-type: application/openmetrics-text; version=1.0.0; charset=utf-8' "$BATS_TEST_TMPDIR/head"
    [ "${lines[-1]}" = '# EOF' ]
    has '# TYPE rmigrate_jobs_submitted counter'
    has '# UNIT rmigrate_store_used_bytes bytes'
    has '# TYPE rmigrate_broker info'
    run -0 get -D "$BATS_TEST_TMPDIR/head" "$WATCH/metrics"
    grep -qi '^content-type: text/plain; version=0.0.4; charset=utf-8' "$BATS_TEST_TMPDIR/head"
    has '# TYPE rmigrate_jobs_submitted_total counter'
    has_not '# EOF'
    has_not '# UNIT'
    run -0 get -I "$WATCH/metrics"
    matches '^HTTP/1.1 200'
}

@test "another name, another method, a header too long, another path" {
    [ "$(get -o /dev/null -w '%{http_code}' -H 'Host: evil.example' "$WATCH/metrics")" = 403 ]
    [ "$(get -o /dev/null -w '%{http_code}' -H 'Host: localhost:9750' "$WATCH/metrics")" = 200 ]
    [ "$(get -o /dev/null -w '%{http_code}' -H 'Host: [::1]:9750' "$WATCH/metrics")" = 200 ]
    [ "$(get -o /dev/null -w '%{http_code}' -H 'Host: [::1].evil.example' "$WATCH/metrics")" = 403 ]
    [ "$(get -o /dev/null -w '%{http_code}' -H 'Host: [::1' "$WATCH/metrics")" = 403 ]
    [ "$(get -o /dev/null -w '%{http_code}' -d body "$WATCH/metrics")" = 405 ]
    [ "$(get -o /dev/null -w '%{http_code}' -H "X-Long: $(printf '%0100000d' 0)" "$WATCH/metrics")" = 431 ]
    [ "$(get -o /dev/null -w '%{http_code}' "$WATCH/metrics/more")" = 404 ]
    [ "$(get -o /dev/null -w '%{http_code}' "$WATCH/%6detrics")" = 200 ]
}

# bats test_tags=slow
@test "without a broker only that is told, and all again when it is back" {
    broker_down
    until_true 10 metric_is rmigrate_up 0
    run -0 get "$WATCH/metrics"
    [ "${#lines[@]}" = 3 ] || wrong lines 3
    broker_up
    until_true 10 metric_is rmigrate_up 1
    until_true 10 metric_is 'rmigrate_host_up{host="hyp01"}' 1
    metric_is rmigrate_jobs_submitted_total 0 # counts begin with the broker's process
}

# Connections that say nothing, and one that does not read what it has asked for.
hold_open() {
    exec python3 /dev/fd/3 "${WATCH##*:}" 3<<'END'
import signal, socket, sys
held = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(99)]
slow = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
slow.setblocking(False)
request = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100
try:
    while True:
        slow.send(request)
except BlockingIOError:
    print("held", flush=True)
signal.pause()
END
}

# bats test_tags=slow
@test "a hundred connections, one of which reads nothing: no more are let in, and it ends at once all the same" {
    launch holder hold_open
    until_true 20 log_has holder held
    run ! get "$WATCH/metrics"
    end_it watch
    end_it holder
    watch_up
    metric_is rmigrate_up 1
}

@test "a token is asked for, of others' names too; its file is nobody else's" {
    end_it watch
    (umask 077 && echo 'a token of sixteen characters' >"$SITE/token")
    watch_up "token = \"$SITE/token\";"
    [ "$(get -o /dev/null -w '%{http_code}' "$WATCH/metrics")" = 401 ]
    [ "$(get -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer a token of sixteen characterX' "$WATCH/metrics")" = 401 ]
    [ "$(get -o /dev/null -w '%{http_code}' -H 'Host: watch.example' -H 'Authorization: Bearer a token of sixteen characters' "$WATCH/metrics")" = 200 ]
    [ "$(get -o /dev/null -w '%{http_code}' -u 'me:a token of sixteen characters' "$WATCH/metrics")" = 200 ]
    end_it watch
    chmod g+r "$SITE/token"
    run -1 --separate-stderr "$BIN/rmigrate-watch" -c "$SITE/watch.conf"
    err_has "$SITE/token may be read by others: chmod 600"
    if [ "$(id -u)" = 0 ]; then
        chmod 600 "$SITE/token"
        chown nobody "$SITE/token"
        run -1 --separate-stderr "$BIN/rmigrate-watch" -c "$SITE/watch.conf"
        err_has "watch.token: $SITE/token belongs to another user"
    fi
    sed 's/listen = "[^"]*"/listen = "0.0.0.0:0"/; s/token = "[^"]*";//' "$SITE/watch.conf" >"$SITE/open.conf"
    run -2 --separate-stderr "$BIN/rmigrate-watch" -c "$SITE/open.conf"
    err_has 'can be reached from other machines, so watch.token is needed'
    watch_up
}

@test "a UNIX socket: open to whom its directory lets in; one that was left is replaced, one that is served is not" {
    local settings="$SITE/socket.conf"
    sed "s|listen = \"[^\"]*\"|listen = \"$SITE/http\"|" "$SITE/watch.conf" >"$settings"
    (umask 077 && launch socket "$BIN/rmigrate-watch" -c "$settings")
    until_true 10 log_has socket listen=
    [ "$(stat -c %a "$SITE/http")" = 666 ]
    get --unix-socket "$SITE/http" http://any.name/metrics | grep -qx 'rmigrate_up 1'
    run -1 --separate-stderr "$BIN/rmigrate-watch" -c "$settings"
    err_has "somebody serves $SITE/http already"
    end_it socket KILL
    [ -S "$SITE/http" ]
    launch again "$BIN/rmigrate-watch" -c "$settings"
    until_true 10 log_has again listen=
    get --unix-socket "$SITE/http" http://any.name/metrics | grep -qx 'rmigrate_up 1'
    end_it again
    [ ! -e "$SITE/http" ]
}

@test "a UNIX socket of something else that is served stays what it is" {
    local settings="$SITE/socket.conf"
    sed "s|listen = \"[^\"]*\"|listen = \"$SITE/log.socket\"|" "$SITE/watch.conf" >"$settings"
    launch datagrams python3 -c "
import signal, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('$SITE/log.socket')
signal.pause()"
    until_true 10 test -S "$SITE/log.socket"
    run -1 --separate-stderr timeout 5 "$BIN/rmigrate-watch" -c "$settings"
    err_has "somebody serves $SITE/log.socket already"
    [ -S "$SITE/log.socket" ]
    end_it datagrams
}
