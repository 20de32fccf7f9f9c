#!/usr/bin/env bats
# reload.bats - SIGHUP: the broker reads its settings again, all or nothing, and loses nothing by it

setup_file() {
    load common
    site_new 'limits: { source = 1; destination = 8; }; attempts = 1; keep_jobs = 1000;'
    key watcher viewer
    key mover operator
    key boss admin
    key rack worker 'hosts = [ "hyp01", "hyp02" ];'
    curve_up
    cp "$RMIGRATE_CONF" "$SITE/first.conf"
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03}
    local i
    for i in $(seq 1 9); do guest "kvm$i" hyp01; done
    rack_up hyp01 hyp02
    for i in watcher mover boss; do client_conf "$i" >/dev/null; done
}
rack_up() { # HOST...
    WORKER_BROKER=$TCP WORKER_SETTINGS="key = \"$SITE/keys/rack.key\"; server = \"$(public_of broker)\";" worker_up rack "$@"
}
teardown_file() { load common; site_down; }
setup() { load common; }
teardown() { # the settings and jobs are as at the beginning
    cp "$SITE/first.conf" "$RMIGRATE_CONF"
    reload
    ask cancel --all >/dev/null 2>&1 || :
    until_true 10 nothing_live
    until_true 10 host_is_seen hyp01
    until_true 10 host_is_seen hyp02
}

as() { # CODE WHO ARGUMENT...
    local code=$1 who=$2
    shift 2
    RMIGRATE_CONF=$SITE/$who.conf ends "$code" "$@"
}
answered() { grep -c 'settings read again\|settings are not read again' "$SITE/log/broker" || :; }
more_answered() { [ "$(answered)" -gt "$1" ]; }
# Tells the broker, and waits for what it says of it.
reload() {
    local before
    before=$(answered)
    kill -HUP "$(pid_of broker)"
    until_true 10 more_answered "$before"
}
change() { # SED-EXPRESSION...
    sed -i "$@" "$RMIGRATE_CONF"
}
last_event() { # FILTER
    ok events --json
    json ".events | last | $1"
}

@test "a limit that is raised lets a job begin that waits, and the log and an event say by whom" {
    plan kvm1 'hang 0'
    local job
    job=$(detach kvm1 hyp02)
    until_true 5 is_running kvm1
    job=$(detach kvm2 hyp02)
    until_true 5 state_is $((job + 1)) queued
    change 's/source = 1/source = 2/'
    reload
    ok wait "$job"
    is "kvm2: migrated to hyp02"
    log_has broker "settings: broker.limits.source: 1 -> 2"
    log_has broker "user=$(id -un): settings read again from $RMIGRATE_CONF, 1 changed"
    ok events --json
    json ".events | map(select(.event == \"note\")) | last | .by == \"$(id -un)\"
        and .text == \"settings read again: broker.limits.source: 1 -> 2\""
}

@test "policies count from now on, and each change is told" {
    plan kvm3 'fail 0 retry 1 once more' 'ok 0'
    as 1 boss kvm3 hyp02
    change 's/attempts = 1/attempts = 2; reserve = "10 %"; vcpus_per_cpu = 8; migration: { stall = "7 min"; fence = "never"; }/'
    reload
    log_has broker "settings: broker.attempts: 1 -> 2"
    log_has broker "settings: broker.reserve: 0 B -> 10 %"
    log_has broker "settings: broker.vcpus_per_cpu: 4 -> 8"
    log_has broker "settings: broker.migration.stall: 3 min -> 7 min"
    log_has broker "settings: broker.migration.fence: always -> never"
    plan kvm3 'fail 0 retry 1 once more' 'ok 0'
    as 0 boss kvm3 hyp02
    ok show "$(last_job kvm3)" --json
    json '.attempt == 2 and .fence == "none"'
}

@test "a file with a mistake is refused whole, with its line, and the old settings stay" {
    local line
    change -e 's/source = 1/source = 7/' -e '/keep_jobs/a\    atempts = 3;'
    line=$(grep -n atempts "$RMIGRATE_CONF" | cut -d: -f1)
    reload
    log_has broker "settings are not read again, all stay as they were: $RMIGRATE_CONF:$line: unknown setting 'broker.atempts'"
    plan kvm4 'hang 0'
    detach kvm4 hyp02
    until_true 5 is_running kvm4
    local job
    job=$(detach kvm5 hyp02)
    until_true 5 state_is $((job + 1)) queued
    ok queue hyp01
    has "1 of 1 migrations from hyp01 are running"
    # What only the core can tell is a mistake as well.
    cp "$SITE/first.conf" "$RMIGRATE_CONF"
    change 's/attempts = 1/attempts = 9; exclude_nodes = "a(("/'
    reload
    log_has broker "all stay as they were: exclude_nodes: "
    ! log_has broker "attempts: 1 -> 9"
    rm "$RMIGRATE_CONF"
    reload
    log_has broker "all stay as they were: $RMIGRATE_CONF: No such file"
    is_alive "$(pid_of broker)"
}

@test "what cannot change while it runs is told, and stays" {
    change -e "s|ipc://$SITE/broker\" ];|ipc://$SITE/other\" ];|" -e 's/"256 MiB"/"512 MiB"/' -e 's/heartbeat = "200 ms"/heartbeat = "300 ms"/' \
        -e 's/attempts = 1/attempts = 3/'
    reload
    log_has broker "needs a restart: broker.listen: tcp://127.0.0.1:*, ipc://$SITE/broker -> tcp://127.0.0.1:*, ipc://$SITE/other"
    log_has broker "needs a restart: broker.store_size: 256 MiB -> 512 MiB"
    log_has broker "needs a restart: broker.heartbeat: 200 ms -> 300 ms"
    log_has broker "settings: broker.attempts: 1 -> 3"
    [ ! -e "$SITE/other" ]
    RMIGRATE_BROKER=ipc://$SITE/broker ok ping
    # It is told again until it is so: the broker compares with what it goes by.
    local before
    before=$(grep -c 'needs a restart: broker.listen' "$SITE/log/broker")
    reload
    [ "$(grep -c 'needs a restart: broker.listen' "$SITE/log/broker")" = $((before + 1)) ]
}

@test "a key that is new may come, one that is gone may not, and a lesser role counts at once" {
    ask keygen late --dir "$SITE/keys" >/dev/null 2>&1
    TIMEOUT='1 s' client_conf late >/dev/null
    as 5 late ping
    as 0 boss ping
    # Somebody who waits is cut off, and then refused.
    plan kvm6 'hang 0'
    local job
    job=$(detach kvm6 hyp02)
    until_true 5 is_running kvm6
    RMIGRATE_CONF=$SITE/mover.conf begin waits wait "$job"
    until_true 5 told '.jobs[0].state == "running"' jobs
    change -e '/name = "mover"/d' -e '/name = "boss"/s/admin/viewer/' \
        -e "s|^    allow = (|    allow = (\n{ name = \"late\"; role = \"admin\"; public = \"$(public_of late | sed 's/[&|\\]/\\&/g')\"; },|"
    reload
    log_has broker "settings: broker.allow: late is new"
    log_has broker "settings: broker.allow: mover is gone"
    log_has broker "settings: broker.allow.boss.role: admin -> viewer"
    as 0 late ping
    has "you are late, admin"
    as 5 boss close hyp02
    err_has "boss has the role viewer, this needs operator"
    as 0 boss ping
    has "you are boss, viewer"
    comes_to 5
    [[ $stderr == *"the broker does not know this key"* ]]
    TIMEOUT='1 s' client_conf mover >/dev/null
    as 5 mover ping
    client_conf mover >/dev/null
    # The worker's key is what it was: its session has not ended.
    log_has_not_ended rack
}
log_has_not_ended() { ! log_has broker "worker=$1 machine=$(uname -n): session ended"; }

@test "users of this machine: a list counts at once, for who is connected as well" {
    change "s/attempts = 1/attempts = 1; viewers = [ \"$(id -un)\" ]/"
    reload
    ends 5 close hyp02
    err_has "has the role viewer, this needs operator"
    cp "$SITE/first.conf" "$RMIGRATE_CONF"
    reload
    ok close hyp02
    ok open hyp02
}

@test "a worker that may speak for one more hypervisor serves it, and its jobs run on" {
    end_it rack
    rack_conf() { WORKER_BROKER=$TCP WORKER_SETTINGS="key = \"$SITE/keys/rack.key\"; server = \"$(public_of broker)\";" worker_conf rack "$@"; }
    rack_conf hyp01 hyp02 hyp03 >"$SITE/rack.conf"
    launch rack "$BIN/fakeworker" -c "$SITE/rack.conf"
    until_true 10 host_is_seen hyp01
    until_true 10 host_is_seen hyp02
    plan kvm7 'hang 0'
    local job
    job=$(($(detach kvm7 hyp02) + 1))
    until_true 5 state_is "$job" running
    change 's/"hyp01", "hyp02" \]/"hyp01", "hyp02", "hyp03" ]/'
    reload
    log_has broker "settings: broker.allow.rack.hosts: hyp01, hyp02 -> hyp01, hyp02, hyp03"
    until_true 10 host_is_seen hyp03
    state_is "$job" running
    ok show "$job" --json
    json '.events | map(.event) | index("accepted") != null and index("lost") == null'
    # The other way round it is lost with all that it serves, comes again for the rest, and goes on with its job.
    cp "$SITE/first.conf" "$RMIGRATE_CONF"
    reload
    log_has broker "session ended: its key may not speak for hyp03 any more"
    until_true 10 host_is_seen hyp01
    until_true 10 state_is "$job" running
    host_has_no_worker hyp03
}

# bats test_tags=slow
@test "a worker whose key is gone is lost: its session ends, and its job is in doubt until somebody may look" {
    plan kvm8 'hang 0'
    local job
    job=$(($(detach kvm8 hyp02) + 1))
    until_true 5 state_is "$job" running
    change '/name = "rack"/d'
    change ':a;N;$!ba;s/},\n    );/}\n    );/' # the last of a list has no comma
    reload
    log_has broker "worker=rack machine=$(uname -n): session ended: its key is not that of a worker any more"
    host_has_no_worker hyp01
    state_is "$job" doubt
    until_true 10 log_has rack "the broker does not know this key"
    runs_on kvm8 hyp01
    cp "$SITE/first.conf" "$RMIGRATE_CONF"
    reload
    until_true 15 host_is_seen hyp01 # it tries again after five to ten seconds
    until_true 15 state_is "$job" running
    ask cancel "$job" >/dev/null
    ends 1 wait "$job"
    runs_on kvm8 hyp01
}

# bats test_tags=slow
@test "a batch that runs while settings are read again and again loses nothing" {
    local i n batch
    for i in $(seq 10 49); do
        guest "kvm$i" hyp01
        plan "kvm$i" 'ok 50'
    done
    until_true 10 told '.guests | length == 40' guests 'kvm[10-49]'
    batch=$(ask submit --detach --json 'kvm[10-49]' hyp02 | jq 'select(.batch) | .batch')
    n=0
    while ! ask jobs --json | jq -e '.jobs | length == 0' >/dev/null; do
        n=$((n + 1))
        change "s/source = [0-9]*/source = $((1 + n % 4))/"
        if [ $((n % 2)) = 0 ]; then change '/name = "watcher"/s/viewer/operator/'; else change '/name = "watcher"/s/operator/viewer/'; fi
        reload
    done
    [ "$n" -gt 3 ]
    ok wait "$batch"
    for i in $(seq 10 49); do runs_on "kvm$i" hyp02; done
    ok jobs -a --json --limit 1000
    json "[.jobs[] | select(.batch == $batch)] | length == 40 and all(.state == \"done\" and .attempt == 1)"
}
