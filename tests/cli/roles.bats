#!/usr/bin/env bats
# roles.bats - who may what: keys over tcp, users of this machine, workers and their hypervisors

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    key watcher viewer
    key chatty viewer
    key mover operator
    key boss admin
    key rack worker 'hosts = [ "hyp01", "hyp02" ];'
    key hyp09 worker
    curve_up
    ask keygen stranger --dir "$SITE/keys" >/dev/null 2>&1
    local i
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03}
    for i in 1 2 3 4 5 6; do guest "kvm$i" hyp01; done
    WORKER_BROKER=$TCP WORKER_SETTINGS="key = \"$SITE/keys/rack.key\"; server = \"$(public_of broker)\";" \
        worker_up rack hyp01 hyp02
    for i in watcher chatty mover boss rack; do client_conf "$i" >/dev/null; done
}
teardown_file() { load common; site_down; }
teardown() { own_site_down; }
setup() { load common; }

# The command of somebody.
as() { # CODE WHO ARGUMENT...
    local code=$1 who=$2
    shift 2
    RMIGRATE_CONF=$SITE/$who.conf ends "$code" "$@"
}
denied() { # WHO ROLE NEEDED ARGUMENT...
    local who=$1 role=$2 needed=$3
    shift 3
    as 5 "$who" "$@"
    is ''
    err_is "Error: Permission denied for request: $who has the role $role, this needs $needed"
}
fake() { run --separate-stderr "$BIN/fakeclient" "$@"; }
fake_as() { # WHO WHAT...
    local who=$1
    shift
    fake -k "$SITE/keys/$who.key" -s "$(public_of broker)" "$TCP" "$@"
}

@test "a key says who one is" {
    as 0 watcher ping
    has "you are watcher, viewer"
    as 0 mover ping
    has "you are mover, operator"
    as 0 boss ping --json
    json '.user == "boss" and .role == "admin"'
}

@test "a viewer may look at everything" {
    ok kvm1 hyp02
    local command
    for command in ping jobs queue hosts workers guests events "tabdump vm" "history kvm1" watch "show $(last_job kvm1)" \
        "wait $(last_job kvm1)" "nodels kvm1 groups" "gettab node=kvm1 vm.host" "tabdump" snapshot; do
        as 0 watcher $command
    done
    as 0 watcher kvm2 hyp02 --dry-run
    is 'kvm2: can move from hyp01 to hyp02'
    as 0 watcher evacuate hyp02 --plan
    matches 'kvm1 +hyp02 +hyp01'
    as 0 watcher plans
    is '' # his own are not kept
    as 0 watcher restore hyp02 --plan
    runs_on kvm2 hyp01
    ok hosts hyp02 --json
    json '.hosts[0].state == "open"'
}

@test "a viewer may change nothing, and that he tried is an event" {
    printf '#node\n' >"$BATS_TEST_TMPDIR/zvm.csv"
    denied watcher viewer operator submit kvm2 hyp02
    ok events --json
    json '.events | map(select(.event == "denied" and .by == "watcher")) | last | .text == "denied: rmigrate submit kvm2 hyp02"'
    denied watcher viewer operator evacuate hyp01
    denied watcher viewer operator evacuate --apply 1
    denied watcher viewer operator restore hyp01
    denied watcher viewer operator cancel --all
    denied watcher viewer operator modify --all max_total=5
    denied watcher viewer operator modify --all priority=5
    denied watcher viewer operator kvm2 action=CANCEL
    denied watcher viewer operator pause --all
    denied watcher viewer operator resume --all
    denied watcher viewer operator retry --all
    denied watcher viewer operator open hyp01
    denied watcher viewer operator close hyp01
    denied watcher viewer operator reconcile
    denied watcher viewer admin release kvm2
    denied watcher viewer admin tabrestore "$BATS_TEST_TMPDIR/zvm.csv"
    denied watcher viewer admin nodech kvm2 vm.cpus=1
    denied watcher viewer admin chtab node=kvm2 vm.cpus=1
    denied watcher viewer admin chtab -d node=kvm2 vm
    runs_on kvm2 hyp01
    told '.hosts[0].state == "open"' hosts hyp01
}

# bats test_tags=slow
@test "an operator may move guests and open hosts, and stands in the history" {
    as 0 mover kvm2 hyp02 --reason disk
    is "kvm2: migrated to hyp02"
    ok show "$(last_job kvm2)" --json
    json '.by == "mover" and .reason == "disk" and .events[0].by == "mover" and .events[1].by == "broker" and .events[2].by == "rack"'
    as 0 mover close hyp02
    ok hosts hyp02 --json
    json '.hosts[0].by == "mover"'
    as 0 mover open hyp02
    as 0 mover evacuate hyp02 --to hyp01
    as 0 mover open hyp02
    as 0 mover reconcile
    plan kvm3 'hang 0'
    local batch
    batch=$(detach kvm3 hyp02)
    until_true 5 state_is $((batch + 1)) running
    as 1 mover pause $((batch + 1))
    as 1 mover resume $((batch + 1))
    as 0 mover cancel $((batch + 1))
    as 1 mover wait "$batch"
    as 0 mover retry $((batch + 1))
}

@test "an operator may not unlock guests or change tables" {
    printf '#node\n' >"$BATS_TEST_TMPDIR/zvm.csv"
    denied mover operator admin release kvm1
    denied mover operator admin tabrestore "$BATS_TEST_TMPDIR/zvm.csv"
    denied mover operator admin nodech kvm2 vm.cpus=1
    denied mover operator admin chtab node=kvm2 vm.cpus=1
}

@test "only an admin sees passwords" {
    ok chtab node=kvm1 vm.vidpassword=geheim
    local command who
    for command in "gettab node=kvm1 vm.vidpassword" "nodels kvm1 vm.vidpassword" "tabdump vm"; do
        for who in watcher mover; do
            as 0 "$who" $command
            has '********'
            has_not geheim
            as 5 "$who" $command --secrets
            is ''
            err_has "Error: Permission denied for request: $who has the role "
            err_has ", to see passwords needs admin"
        done
        as 0 boss $command --secrets
        has geheim
    done
    TABEDITOR=true as 5 mover tabedit vm
    err_has ", to see passwords needs admin"
}

@test "an admin may do that too" {
    printf '#node\n' >"$BATS_TEST_TMPDIR/zvm.csv"
    as 0 boss tabrestore "$BATS_TEST_TMPDIR/zvm.csv"
    as 0 boss release kvm1
    as 0 boss kvm4 hyp02
}

@test "a worker's key asks for nothing, not even whether somebody is there" {
    as 5 rack ping
    is ''
    err_has "Permission denied for request: rack has the role worker"
    as 5 rack kvm5 hyp02
    as 5 rack watch
    err_has "rack (role worker) may not look at jobs"
    runs_on kvm5 hyp01
}

# ---- keys that do not fit

@test "a key that the broker does not know" {
    TIMEOUT='1 s' client_conf stranger >/dev/null
    as 5 stranger ping
    is ''
    err_has "the broker does not know this key"
    log_has broker "$(public_of stranger)"
}

@test "a server key that is not the broker's" {
    TIMEOUT='1 s' client_conf watcher "$(public_of stranger)" >/dev/null
    as 3 watcher ping
    client_conf watcher >/dev/null
    is ''
    err_has "Error: Unable to reach the broker at $TCP"
}

@test "a client without a key" {
    printf 'client: { timeout = "1 s"; broker = "%s"; };\n' "$TCP" >"$BATS_TEST_TMPDIR/conf"
    ends 3 -c "$BATS_TEST_TMPDIR/conf" ping
    is ''
    err_has "Error: Unable to reach the broker at $TCP"
}

@test "key files that others may read, that are not there, or that are none" {
    cp "$SITE/keys/boss.key" "$SITE/keys/loose.key"
    chmod 644 "$SITE/keys/loose.key"
    client_conf loose >/dev/null
    as 5 loose ping
    err_has "$SITE/keys/loose.key"
    printf 'public = "x";\n' >"$SITE/keys/none.key"
    chmod 600 "$SITE/keys/none.key"
    client_conf none >/dev/null
    as 2 none ping
    err_has "$SITE/keys/none.key"
    TIMEOUT='1 s' client_conf missing >/dev/null
    as 2 missing ping
    err_has "$SITE/keys/missing.key"
}

# ---- workers

@test "a worker speaks for its own hypervisors only" {
    fake_as hyp09 hello hyp09 hyp01
    is "welcome refused hyp01"
    ok events --json
    json '.events | map(select(.event == "denied" and .by == "hyp09")) | last | .host == "hyp01"'
    fake_as rack hello hyp02x
    is "welcome refused hyp02x"
    run -1 --separate-stderr rmigrate hosts hyp02x
    told '.hosts[0].connected' hosts hyp01
}

@test "a real worker that claims a foreign hypervisor gets nothing of it" {
    WORKER_BROKER=$TCP WORKER_SETTINGS="key = \"$SITE/keys/hyp09.key\"; server = \"$(public_of broker)\";" \
        worker_conf thief hyp09 hyp03 >"$SITE/thief.conf"
    launch thief "$BIN/fakeworker" -c "$SITE/thief.conf"
    until_true 5 host_is_seen hyp09
    until_true 5 log_has thief "host=hyp03: the broker does not let this worker serve it"
    log_has broker "host=hyp03: the key 'hyp09' may not speak for this hypervisor"
    ok workers
    has "hyp09; refused (events): hyp03"
    ok workers --json
    json '.workers | map(select(.worker == "hyp09"))[0] | .hosts == ["hyp09"] and .refused == "hyp03"'
    ends 1 hosts hyp03
    err_has "Invalid nodes and/or groups in noderange: hyp03"
    end_it thief
}

# bats test_tags=slow
@test "of two workers for one hypervisor the newer is refused, both are told, and it takes over when the older is gone" {
    export SITE_AT=$BATS_TEST_TMPDIR/two
    site_new
    broker_up
    mkdir -p "$WORLD"/{h1,h2,h3}
    guest t1 h1
    guest t2 h2
    worker_up first h1
    worker_conf second h1 h2 >"$SITE/second.conf"
    launch second "$BIN/fakeworker" -c "$SITE/second.conf"
    until_true 10 host_is_seen h2
    local who="is refused: worker $(id -un) of $(uname -n), pid $(pid_of first), serves it"
    until_true 5 log_has second "host=h1: the broker does not let this worker serve it: worker $(id -un) of $(uname -n), pid $(pid_of second), $who"
    until_true 5 log_has first "host=h1: worker $(id -un) of $(uname -n), pid $(pid_of second), $who"
    ok events
    has "$who"
    ok workers --json
    json ".workers | map([.pid, .hosts, .refused]) | sort == ([[$(pid_of first), [\"h1\"], null], [$(pid_of second), [\"h2\"], \"h1\"]] | sort)"
    sleep 2.5 # longer than the time-out of a session: it stays so
    ok workers --json
    json ".workers | length == 2 and any(.pid == $(pid_of first) and .hosts == [\"h1\"])"
    [ "$(grep -c 'does not let' "$SITE/log/second")" = 1 ]
    end_it first KILL
    until_true 10 told ".workers[0] | .pid == $(pid_of second) and (.hosts | sort == [\"h1\", \"h2\"]) and .refused == null" workers
    ok t1 h2
    worker_conf first h3 h1 >"$SITE/first.conf"
    launch first "$BIN/fakeworker" -c "$SITE/first.conf"
    until_true 10 host_is_seen h3
    until_true 5 log_has first "host=h1: the broker does not let"
    kill -STOP "$(pid_of second)"
    until_true 20 told '.workers | length == 1 and (.[0].hosts | sort == ["h1", "h3"])' workers
    kill -CONT "$(pid_of second)"
    until_true 10 told '.workers | any(.refused == "h1" and .hosts == ["h2"])' workers
    site_down
}

# bats test_tags=slow
@test "the older of two workers is told of each hypervisor; one that was killed and started again is no second worker" {
    export SITE_AT=$BATS_TEST_TMPDIR/two
    site_new
    broker_up
    local all i
    mapfile -t all < <(seq -f 'h%.0f' 80)
    worker_up first "${all[@]}"
    worker_conf second "${all[@]}" >"$SITE/second.conf"
    launch second "$BIN/fakeworker" -c "$SITE/second.conf"
    until_true 10 log_has first 'host=h80: worker'
    [ "$(grep -c 'host=h[0-9]*: worker .* is refused: worker .* serves it' "$SITE/log/first")" = 80 ]
    end_it second KILL
    ok events --limit=1000 --json
    local before
    before=$(grep -o 'is refused' <<<"$output" | wc -l)
    for i in 1 2 3; do
        end_it first KILL
        launch first "$BIN/fakeworker" -c "$SITE/first.conf"
        until_true 10 told ".workers | length == 1 and .[0].pid == $(pid_of first) and (.[0].hosts | length == 80)" workers
    done
    ok events --limit=1000 --json
    [ "$(grep -o 'is refused' <<<"$output" | wc -l)" = "$before" ]
    site_down
}

@test "whoever is no worker cannot act as one" {
    local who
    for who in watcher mover; do
        fake_as "$who" hello hyp01
        is silence
    done
    ok events --json
    json '.events | map(select(.event == "denied" and .by == "mover")) | last | .text == "mover may not act as a worker (hello)"'
    told '.hosts[0].connected' hosts hyp01
}

@test "a report about a job of a foreign hypervisor changes nothing" {
    plan kvm6 'hang 0'
    local job
    job=$(($(detach kvm6 hyp02) + 1))
    until_true 5 state_is "$job" running
    fake_as hyp09 stray hyp09 "$job"
    has "orders 1"
    state_is "$job" running
    ok cancel "$job"
    ends 1 wait "$job"
}

# ---- users of this machine

@test "users of this machine: viewers and operators as the settings say, else admins" {
    local me
    me=$(id -un)
    SITE_AT=$BATS_TEST_TMPDIR/local site_new "viewers = [ \"$me\" ];"
    broker_up
    ok ping
    has "you are $me, viewer"
    ends 5 close hyp01
    err_is "Error: Permission denied for request: $me has the role viewer, this needs operator"
    site_down
    sed -i 's/viewers/operators/' "$RMIGRATE_CONF"
    broker_up
    ok ping
    has "you are $me, operator"
    ends 5 release kvm1
    site_down
}

# The broker sees us under another name.
named_broker_up() { # NAME
    echo "$1:x:0:0::/:/bin/sh" >"$SITE/passwd"
    launch broker unshare --map-root-user --mount sh -c 'mount --bind "$0" /etc/passwd && exec "$@"' "$SITE/passwd" \
        "$BIN/rmigrate-broker" -c "$RMIGRATE_CONF"
    until_true 10 answers || { cat "$SITE/log/broker" >&2; return 1; }
}

@test "the user of rmigrate-watch only looks, although the settings name no viewer" {
    SITE_AT=$BATS_TEST_TMPDIR/local site_new 'operators = [ "somebody" ];'
    named_broker_up rmigrate-watch
    ok ping
    has 'you are rmigrate-watch, viewer'
    ends 5 close hyp01
    site_down
    named_broker_up rmigrate-watcher
    ok ping
    has 'you are rmigrate-watcher, admin'
    site_down
}

@test "the socket of this machine may be opened by whom the settings say" {
    local mode
    SITE_AT=$BATS_TEST_TMPDIR/local site_new 'socket_mode = "0600";'
    broker_up
    [ "$(stat -c %a "$SITE/broker")" = 600 ]
    site_down
    sed -i 's/0600/0666/' "$RMIGRATE_CONF"
    broker_up
    [ "$(stat -c %a "$SITE/broker")" = 666 ]
    site_down
}

# bats test_tags=slow
@test "what is refused is recorded a bounded number of times, in bounded size" {
    local i long
    long=$(printf '%04000d' 7)
    for i in {1..30}; do as 5 chatty cancel --all --reason "$long"; done
    ok events --limit 1000 --json
    json '[.events[] | select(.event == "denied" and .by == "chatty")] | length == 21'
    json '[.events[] | select(.event == "denied" and .by == "chatty") | .text | length] | max <= 1000'
    json '[.events[] | select(.event == "denied" and .by == "chatty")] | last | .text == "20 refusals within an hour: no more of them are recorded in it"'
    # A worker's key, with hypervisors that are not its own.
    for i in {1..10}; do fake_as hyp09 hello a b c d e; done
    ok events --limit 1000 --json
    json '[.events[] | select(.event == "denied" and .by == "hyp09")] | length == 21'
    # Others are heard as before.
    as 5 mover release kvm2
    ok events --json
    json '.events | last | .event == "denied" and .by == "mover"'
}
