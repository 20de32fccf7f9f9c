#!/usr/bin/env bats
# broker.bats - the broker that starts, ends, dies, comes back, is told nonsense; workers and hypervisors that fall silent

setup_file() { load common; }
setup() {
    load common
    SITE_AT=$BATS_TEST_TMPDIR/site
}
teardown() { site_down; }

site() { # [BROKER-SETTINGS]
    site_new "limits: { source = 8; destination = 8; }; $1"
    mkdir -p "$WORLD"/{hyp01,hyp02}
    local i
    for i in 1 2 3 4; do guest "kvm$i" hyp01; done
    broker_up
    WORKER_SLOTS=8 worker_up all hyp01 hyp02
}
fake() { run --separate-stderr "$BIN/fakeclient" "ipc://$SITE/broker" "$@"; }
is_running() { told "any(.jobs[]; .guest == \"$1\" and .state == \"running\")" jobs; }

# A daemon that refuses to start: code, text, and that the code came at once.
refuses() { # CODE TEXT PROGRAM [ARGUMENT...]
    local code=$1 text=$2
    shift 2
    run "-$code" timeout 5 "$@"
    has "$text"
}

# ---- start and end

@test "SIGTERM and SIGINT end the broker cleanly, and what it knew is there again" {
    site
    ok kvm1 hyp02
    ok close hyp02 --reason disk
    local pid signal
    for signal in TERM INT; do
        "$BIN/rmigrate-broker" --version >/dev/null
        broker_down "$signal"
        log_has broker "ends; workers go on with what they have in hand"
        broker_up
    done
    ok history kvm1 --json
    json '.history[0] | .state == "done" and .destination == "hyp02"'
    ok hosts hyp02 --json
    json '.hosts[0] | .state == "closed" and .reason == "disk"'
    until_true 5 host_is_seen hyp02
}

@test "the broker's exit code says that all was well" {
    site_new
    "$BIN/rmigrate-broker" -c "$RMIGRATE_CONF" >"$SITE/log/broker" 2>&1 3>&- 4>&- &
    local pid=$!
    echo "$pid" >"$SITE/broker.pid"
    until_true 5 answers
    kill -TERM "$pid"
    wait "$pid"
    rm "$SITE/broker.pid"
}

@test "a second broker on the same store refuses, and the first one goes on" {
    site_new
    broker_up
    sed "s|ipc://$SITE/broker\"|ipc://$SITE/other\"|" "$RMIGRATE_CONF" >"$SITE/second.conf"
    refuses 1 "$SITE/store" "$BIN/rmigrate-broker" -c "$SITE/second.conf"
    ok ping
}

@test "a second broker on the same socket refuses, and the first one goes on" {
    site_new
    broker_up
    sed "s|\"$SITE/store\"|\"$SITE/store2\"|" "$RMIGRATE_CONF" >"$SITE/second.conf"
    refuses 1 "$SITE/broker" "$BIN/rmigrate-broker" -c "$SITE/second.conf"
    ok ping
}

@test "a socket that a killed broker left behind is no hindrance" {
    site_new
    broker_up
    broker_down KILL
    [ -S "$SITE/broker" ]
    broker_up
    ok ping
}

@test "tcp beyond loopback without keys: the broker does not start" {
    site_new
    sed -i 's|listen = \[ |listen = [ "tcp://*:*", |' "$RMIGRATE_CONF"
    refuses 2 "$RMIGRATE_CONF:2: " "$BIN/rmigrate-broker" -c "$RMIGRATE_CONF"
    has key
}

@test "tcp on loopback without keys: whoever is on this machine is admin" {
    site_new
    sed -i 's|listen = \[ |listen = [ "tcp://127.0.0.1:*", |' "$RMIGRATE_CONF"
    broker_up
    local tcp
    tcp=$(sed -n 's/.*listens on \(tcp:.*\)/\1/p' "$SITE/log/broker")
    RMIGRATE_BROKER=$tcp ok ping
    has "you are local, admin"
}

@test "a port that is taken: the broker does not start" {
    site_new
    sed -i 's|listen = \[ |listen = [ "tcp://127.0.0.1:*", |' "$RMIGRATE_CONF"
    broker_up
    local tcp
    tcp=$(sed -n 's/.*listens on \(tcp:.*\)/\1/p' "$SITE/log/broker")
    sed "s|tcp://127.0.0.1:\*|$tcp|; s|\"$SITE/store\"|\"$SITE/store2\"|; s|ipc://$SITE/broker\"|ipc://$SITE/other\"|" \
        "$RMIGRATE_CONF" >"$SITE/second.conf"
    refuses 1 "$tcp" "$BIN/rmigrate-broker" -c "$SITE/second.conf"
}

@test "settings that are wrong end broker and worker with file and line" {
    site_new
    local conf=$BATS_TEST_TMPDIR/wrong.conf
    printf 'broker: {\n    heartbeat = "2 s";\n    session_timeout = "3 s";\n};\n' >"$conf"
    refuses 2 "$conf:3: " "$BIN/rmigrate-broker" -c "$conf"
    printf 'broker: {\n    hartbeat = "2 s";\n};\n' >"$conf"
    refuses 2 "$conf:2: " "$BIN/rmigrate-broker" -c "$conf"
    has heartbeat
    printf 'worker: {\n    slots = 1000;\n};\n' >"$conf"
    refuses 2 "$conf:2: " "$BIN/rmigrate-worker" -c "$conf"
    printf 'worker: {\n    broker = "tcp://mgmt:9749";\n};\n' >"$conf"
    refuses 2 "$conf:2: " "$BIN/rmigrate-worker" -c "$conf"
    refuses 2 "none.conf" "$BIN/rmigrate-broker" -c "$BATS_TEST_TMPDIR/none.conf"
    refuses 2 "none.conf" "$BIN/rmigrate-worker" -c "$BATS_TEST_TMPDIR/none.conf"
}

@test "a store that cannot be opened" {
    site_new
    : >"$SITE/file"
    sed -i "s|\"$SITE/store\"|\"$SITE/file\"|" "$RMIGRATE_CONF"
    refuses 1 "$SITE/file" "$BIN/rmigrate-broker" -c "$RMIGRATE_CONF"
}

@test "a broker key that others may read: the broker does not start" {
    site_new
    ask keygen broker --dir "$SITE/keys" >/dev/null 2>&1
    chmod 640 "$SITE/keys/broker.key"
    sed -i "s|^broker: {|broker: { key = \"$SITE/keys/broker.key\";|" "$RMIGRATE_CONF"
    refuses 1 "$SITE/keys/broker.key" "$BIN/rmigrate-broker" -c "$RMIGRATE_CONF"
}

# ---- death and return

# bats test_tags=slow
@test "the broker is killed while a client waits: each result is printed once" {
    site
    plan kvm1 'ok 50'
    plan kvm2 'ok 2500'
    plan kvm3 'fail 2500 fatal 1 no way'
    begin move 'kvm[1-4]' hyp02
    until_true 5 grep -q kvm1 "$OUT.out"
    broker_down KILL
    broker_up
    comes_to 1
    lines_are "kvm1: migrated to hyp02" "kvm2: migrated to hyp02" "kvm4: migrated to hyp02"
    [ "$(grep -c 'kvm3: Error' <<<"$stderr")" = 1 ]
    runs_on kvm2 hyp02
    runs_on kvm3 hyp01
    until_true 5 nothing_live
    ok history kvm2 --json
    json '.history | length == 1'
}

# bats test_tags=slow
@test "the broker does not come back: the client waits, says so once, and can be left" {
    site
    plan kvm1 'ok 500'
    begin move kvm1 hyp02
    until_true 5 is_running kvm1
    broker_down TERM
    until_true 20 grep -q 'the broker does not answer, waiting for it; the jobs go on' "$OUT.err"
    kill -INT "$(cat "$OUT.pid")"
    comes_to 130
    is ''
    err_has "rmigrate: interrupted; the jobs go on: rmigrate wait "
    end_it all KILL # asked to end it would wait for the broker, to tell how the job ended
}

@test "right after a start of the broker a closed host is closed, and one whose worker is on its way is waited for" {
    site
    worker_up other hyp03
    worker_up third hyp04
    ok close hyp03
    end_it other
    kill -STOP "$(pid_of third)"
    broker_down
    broker_up
    until_true 5 guest_is_seen kvm1
    ends 1 kvm1 hyp03
    err_is "kvm1: Error: Unable to reach hyp03 to perform operation of kvm1, destination unusable: hyp03 is closed"
    begin move kvm1 hyp04
    until_true 5 told 'any(.jobs[]; .state == "queued" and (.text | test("hyp04 has no worker")))' jobs
    kill -CONT "$(pid_of third)"
    comes_to 0
    is "kvm1: migrated to hyp04"
}

# bats test_tags=slow
@test "a request that was sent again because nobody answered is carried out once" {
    SESSION='10 s' site
    kill -STOP "$(pid_of broker)"
    begin move kvm1 hyp02
    sleep 2.3 # the client sends again after 2 s
    kill -CONT "$(pid_of broker)"
    comes_to 0
    is "kvm1: migrated to hyp02"
    ok jobs -a --json
    json '.jobs | length == 1'
}

@test "the same token twice: one batch, the same answer, also from a new broker" {
    site
    fake token 0123456789abcdef kvm1 hyp02
    matches '^reply code 0 batch [0-9]+$'
    local first=$output
    fake token 0123456789abcdef kvm1 hyp02
    is "$first"
    broker_down KILL
    broker_up
    fake token 0123456789abcdef kvm1 hyp02
    is "$first"
    until_true 5 nothing_live
    ok history kvm1 --json
    json '.history | length == 1'
    fake token 0123456789abcdeX kvm1 hyp01
    [ "$output" != "$first" ]
}

@test "a worker that is killed in the middle: its jobs are looked into, and go on" {
    site
    plan kvm1 'hang 0'
    local job
    job=$(($(detach kvm1 hyp02) + 1))
    until_true 5 state_is "$job" running
    end_it all KILL
    WORKER_SLOTS=8 worker_up all hyp01 hyp02
    until_true 15 told '.state == "done"' show "$job"
    runs_on kvm1 hyp02
    ok show "$job" --json
    json '.events | map(.event) | index("lost") < index("at source")'
}

# bats test_tags=slow
@test "a worker that falls silent is missed; queued jobs say so, and go on when it is back" {
    site
    kill -STOP "$(pid_of all)"
    until_true 10 host_has_no_worker hyp01
    ok hosts hyp01
    matches 'hyp01 +no worker'
    ends 1 kvm1 hyp02
    err_has "kvm1: Error: Cannot communicate via libvirt to hyp01"
    kill -CONT "$(pid_of all)"
    until_true 10 host_is_seen hyp01
    ok kvm1 hyp02
    is "kvm1: migrated to hyp02"
}

@test "a job in doubt: it is cancelled as soon as it is known where the guest is, or released by hand" {
    SESSION='1 s' site
    plan kvm1 'hang 0'
    plan kvm2 'hang 0'
    local first second
    first=$(($(detach kvm1 hyp02) + 1))
    second=$(($(detach kvm2 hyp02) + 1))
    until_true 5 state_is "$first" running
    until_true 5 state_is "$second" running
    kill -STOP "$(pid_of all)"
    until_true 10 state_is "$first" doubt
    until_true 10 state_is "$second" doubt
    ok jobs kvm1
    has "nobody can look: neither hyp01 nor hyp02 has a worker"
    ends 1 pause "$first"
    err_is "job $first: Error: is doubt: only a job that waits can be paused"
    ok cancel "$first"
    is "job $first: is being stopped (kvm1)"
    state_is "$first" doubt
    ok release kvm2 --reason 'looked myself'
    is "kvm2: released"
    ends 1 wait "$second"
    err_has "released by hand while it was in doubt"
    kill -CONT "$(pid_of all)"
    ends 1 wait "$first"
    err_is "kvm1: Error: cancelled by $(id -un), the guest stays on hyp01"
    runs_on kvm1 hyp01
}

@test "a hypervisor that does not answer its worker keeps its jobs waiting" {
    site
    down hyp02 'Cannot recv data: Connection reset by peer'
    until_true 10 host_is_away hyp02
    ends 1 kvm1 hyp02
    err_has "Cannot recv data: Connection reset by peer"
    up hyp02
    until_true 10 host_is_seen hyp02
    ok kvm1 hyp02
}

@test "a worker that ends on purpose finishes what it has in hand first" {
    site
    plan kvm1 'ok 600'
    local batch
    batch=$(detach kvm1 hyp02)
    until_true 5 is_running kvm1
    end_it all TERM
    ok wait "$batch"
    is "kvm1: migrated to hyp02"
    host_has_no_worker hyp01
}

# ---- nonsense

@test "damaged frames do no harm" {
    site
    fake raw '' 00 524d47 524d4702080110 524d4701ffffffffffffffff "$(printf '41%.0s' {1..5000})"
    is silence
    fake noise 300
    fake cut 5
    ok kvm1 hyp02
    is "kvm1: migrated to hyp02"
    log_has broker "damaged message"
    # Many at once are not many lines.
    [ "$(grep -c 'damaged message' "$SITE/log/broker")" -lt 40 ]
}

@test "messages that make no sense are answered, or passed over" {
    site
    fake ping
    is "reply code 0"
    fake nothing
    is "reply code 2: this broker does not know that request; is it older than the client?"
    fake token short kvm1 hyp02
    is "reply code 2: a request that changes something needs a token of 16 bytes"
    fake token '' kvm1 hyp02
    is "reply code 2: a request that changes something needs a token of 16 bytes"
    fake pull
    is "orders 4"
    fake raw 524d4701
    is "orders 4"
    fake reply
    ok jobs -a --json
    json '.jobs == []'
    ok ping
}
