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
fake() { run --separate-stderr "$BIN/fakeclient" -t "${SPAN:-500}" "ipc://$SITE/broker" "$@"; }

# A daemon that refuses to start: code, text, and that the code came at once.
refuses() { # CODE TEXT PROGRAM [ARGUMENT...]
    local code=$1 text=$2
    shift 2
    run "-$code" timeout 5 "$@"
    has "$text"
}

# ---- start and end

# bats test_tags=slow
@test "SIGTERM and SIGINT end the broker cleanly, and what it knew is there again" {
    site
    ok kvm1 hyp02
    ok close hyp02 --reason disk
    local pid signal
    for signal in TERM INT; do
        "$BIN/rmigrate-broker" --version >/dev/null
        broker_down "$signal"
        log_has broker "ends; workers continue what is in progress"
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

# ---- --check

# What a daemon that only looks says: code, its output, what its log has (none: nothing).
checks() { # CODE OUTPUT LOG-TEXT PROGRAM [ARGUMENT...]
    local code=$1 said=$2 log=$3
    shift 3
    run "-$code" --separate-stderr timeout 5 "$@" --check
    is "$said"
    if [ -n "$log" ]; then err_has "$log"; else quiet; fi
}
# Without root's power over files.
powerless() { [ "$(id -u)" != 0 ] || echo setpriv --bounding-set=-all; }

@test "--check: nothing is wrong, says one line with the file, and nothing was made" {
    site_new
    checks 0 "rmigrate-broker: $RMIGRATE_CONF: nothing is wrong" "store=$SITE/store: there is none" \
        "$BIN/rmigrate-broker"
    mkdir "$SITE/store"
    checks 0 "rmigrate-broker: $RMIGRATE_CONF: nothing is wrong" "there is none" "$BIN/rmigrate-broker" -l info
    checks 0 "rmigrate-broker: $RMIGRATE_CONF: nothing is wrong" '' "$BIN/rmigrate-broker" -l warning
    [ -z "$(ls -A "$SITE/store")" ] && [ ! -e "$SITE/broker" ]
    rmdir "$SITE/store"
    worker_conf all hyp01 >"$SITE/all.conf"
    checks 0 "rmigrate-worker: $SITE/all.conf: nothing is wrong" '' "$BIN/rmigrate-worker" -c "$SITE/all.conf"
}

@test "--check: a setting that is wrong is told as at a start" {
    site_new
    local conf=$BATS_TEST_TMPDIR/wrong.conf
    printf 'broker: {\n    hartbeat = "2 s";\n};\nworker: {\n    slots = 1000;\n};\n' >"$conf"
    checks 1 '' "$conf:2: " "$BIN/rmigrate-broker" -c "$conf"
    RMIGRATE_CONF=$conf checks 1 '' "$conf:5: " "$BIN/rmigrate-worker"
    checks 1 '' none.conf "$BIN/rmigrate-broker" -c "$BATS_TEST_TMPDIR/none.conf"
    checks 2 '' "takes no arguments: 'extra'" "$BIN/rmigrate-broker" extra
}

@test "--check: all that is wrong with the broker's files and names is told at once" {
    site_new 'hierarchical_attrs = "nonsense"; socket_group = "no-such-group";'
    ask keygen broker --dir "$SITE/keys" >/dev/null 2>&1
    chmod 640 "$SITE/keys/broker.key"
    : >"$SITE/file"
    sed -i "s|^broker: {|broker: { key = \"$SITE/keys/broker.key\";|
        s|\"$SITE/store\"|\"$SITE/no/where\"|; s|listen = \[ |listen = [ \"ipc://$SITE/file\", |" "$RMIGRATE_CONF"
    checks 1 '' "cannot make the directory $SITE/no/where: No such file or directory" "$BIN/rmigrate-broker"
    err_has "hierarchical_attrs: "
    err_has "$SITE/keys/broker.key: others may read or change it (mode 0640)"
    err_has "$SITE/file: is there and is not a socket"
    err_has "socket_group: no group 'no-such-group' on this machine"
    [ "$(wc -l <<<"$stderr")" = 5 ]
    [ ! -e "$SITE/no" ]
}

@test "--check: a key that cannot be read, a store that cannot be written" {
    site_new
    ask keygen broker --dir "$SITE/keys" >/dev/null 2>&1
    chmod 0 "$SITE/keys/broker.key"
    mkdir -m 500 "$SITE/store"
    sed -i "s|^broker: {|broker: { key = \"$SITE/keys/broker.key\";|" "$RMIGRATE_CONF"
    checks 1 '' "$SITE/keys/broker.key: Permission denied" $(powerless) "$BIN/rmigrate-broker"
    err_has "cannot write to the directory $SITE/store: Permission denied"
    chmod 700 "$SITE/store"
    : >"$SITE/store/precious"
    checks 1 '' "$SITE/store holds no store but other files" $(powerless) "$BIN/rmigrate-broker"
    rm "$SITE/store/precious"
    echo x | tee "$SITE/store/data.mdb" >"$SITE/store/lock.mdb"
    chmod 400 "$SITE/store/lock.mdb"
    checks 1 '' "cannot open $SITE/store/lock.mdb: Permission denied" $(powerless) "$BIN/rmigrate-broker"
    rm -r "$SITE/store"
}

# bats test_tags=zvm
@test "--check: of the worker its key, and the files of each hypervisor" {
    needs_zvm
    site_new
    ask keygen hyp01 --dir "$SITE/keys" >/dev/null 2>&1
    cat >"$SITE/all.conf" <<END
worker: {
    broker = "tcp://mgmt:9749"; key = "$SITE/keys/none.key"; server = "$(public_of hyp01)";
    hypervisors = (
        { name = "hyp01"; connect = "qemu:///system"; },
        { name = "pok1"; smapi = "tcp://192.0.2.1:44444"; login = "$SITE/login"; },
        { name = "pok2"; smapi = "tls://192.0.2.2:44444"; login = "$SITE/login"; ca = "$SITE/ca.pem"; }
    );
};
END
    checks 1 '' "$SITE/keys/none.key: No such file or directory" "$BIN/rmigrate-worker" -c "$SITE/all.conf"
    err_has "hypervisor pok1: $SITE/login: No such file or directory"
    err_has "hypervisor pok2: $SITE/login: No such file or directory"
    (umask 077 && printf 'RMIG\nsecret\n' >"$SITE/login")
    sed -i 's/none\.key/hyp01.key/' "$SITE/all.conf"
    checks 1 '' "hypervisor pok2: " "$BIN/rmigrate-worker" -c "$SITE/all.conf"
    err_has "$SITE/ca.pem"
    [ "$(wc -l <<<"$stderr")" = 1 ]
}

@test "--check beside a broker that runs: it is right, and the broker does not notice" {
    site_new
    broker_up
    # What is there, with the times of what a look would not leave alone.
    there() { stat -c '%n %i %s %a %z' "$SITE/broker" "$SITE"/store/*; cat "$SITE/store/writer.lock" "$SITE/log/broker"; }
    local before
    before=$(there)
    checks 0 "rmigrate-broker: $RMIGRATE_CONF: nothing is wrong" '' "$BIN/rmigrate-broker"
    [ "$(there)" = "$before" ]
    ok ping
}

# ---- stores

@test "a store that cannot be opened" {
    site_new
    : >"$SITE/file"
    sed -i "s|\"$SITE/store\"|\"$SITE/file\"|" "$RMIGRATE_CONF"
    refuses 1 "$SITE/file" "$BIN/rmigrate-broker" -c "$RMIGRATE_CONF"
}

# bats test_tags=slow
@test "a store that was cut off, or is empty, is refused with what to do, and a backup put in its place works" {
    site
    local i
    { echo '#node,comments'; for i in {1..400}; do echo "node$i,$(printf '%0500d' "$i")"; done; } >"$SITE/vm.csv"
    ok tabrestore "$SITE/vm.csv"
    "$BIN/rmigrate-store" -s "$SITE/store" backup "$SITE/backup"
    broker_down
    truncate -s 60000 "$SITE/store/data.mdb"
    refuses 1 "data.mdb is cut off: it has 60000 of " "$BIN/rmigrate-store" -s "$SITE/store" check
    refuses 1 "data.mdb is cut off: it has 60000 of " "$BIN/rmigrate-broker" -c "$RMIGRATE_CONF"
    has "Put a backup in its place; see rmigrate-store(8)"
    : >"$SITE/store/data.mdb"
    refuses 1 "data.mdb is empty: what the store held is gone" "$BIN/rmigrate-broker" -c "$RMIGRATE_CONF"
    # As rmigrate-store(8) says:
    mv "$SITE/store" "$SITE/store.bad"
    "$BIN/rmigrate-store" -s "$SITE/backup" backup "$SITE/store"
    broker_up
    ok tabdump vm
    has node400
}

# bats test_tags=slow
@test "what the store has no room for is refused before it is begun, and less of it is carried out" {
    site_new 'limits: { source = 8; destination = 8; };'
    sed -i 's/store_size = "256 MiB"/store_size = "1 MiB"/' "$RMIGRATE_CONF"
    mkdir -p "$WORLD"/{hyp01,hyp02}
    local i
    for i in {1..900}; do guest "g$i" hyp01 running 16; done
    broker_up
    WORKER_SLOTS=8 worker_up all hyp01 hyp02
    until_true 10 guest_is_seen g900
    ends 3 --detach 'g[1-900]' hyp02 --reason "$(printf 'x%.0s' {1..3000})"
    err_has "in the store, which has room for "
    err_has "ask for less at once, or raise store_size and restart the broker"
    ends 3 evacuate hyp01
    err_has "in the store, which has room for "
    ok hosts hyp01 --json
    json '.hosts[0].state == "open"'
    ok jobs -a --json
    json '.jobs == []'
    ok 'g[1-3]' hyp02
    [ "$(wc -l <<<"$output")" = 3 ]
    is_alive "$(pid_of broker)"
}

# bats test_tags=slow
@test "beyond keep_jobs the oldest jobs are forgotten, with their batches and events, and the newest are there" {
    site
    guest kvm1 hyp01
    local i
    for i in 1 2 3; do
        ok kvm1 hyp02
        ok kvm1 hyp01
    done
    local last first
    last=$(last_job kvm1)
    first=$(ask history kvm1 --json | jq "[.history[].job] | min")
    broker_down
    sed -i 's/^broker: {/&\n    keep_jobs = 2;/' "$RMIGRATE_CONF"
    broker_up
    until_true 10 told ".jobs | length == 2" jobs -a
    ends 1 show "$first"
    err_is "Error: no such job: $first"
    ends 1 wait "$((first - 1))"
    ok show "$last"
    ok history kvm1
    ok history kvm1 --json
    json ".history | length == 2"
    ok kvm1 hyp02
    "$BIN/rmigrate-store" -s "$SITE/store" check
}

# bats test_tags=slow
@test "of a batch that is half forgotten nobody is told that all is well" {
    site
    plan kvm1 'fail 0 fatal 1 no'
    local batch
    batch=$(detach 'kvm[1-3]' hyp02)
    ends 1 wait "$batch"
    account_is "batch $batch: 2 moved, 1 left, because: kvm1 (no)"
    broker_down
    sed -i 's/^broker: {/&\n    keep_jobs = 2;/' "$RMIGRATE_CONF"
    broker_up
    until_true 10 told ".jobs | length == 2" jobs -a
    ends 1 wait "$batch"
    account_is "batch $batch: 2 moved, 1 forgotten (keep, keep_jobs)"
    ends 1 wait "$batch" --json
    json '.[-1] | (.ok | not) and .moved == 2 and .left == 1' -s
}

# bats test_tags=slow
@test "whoever reads the store and sleeps meanwhile does not make it grow" {
    site
    local i
    { echo '#node,comments'; for i in {1..2000}; do echo "node$i,$(printf '%0200d' "$i")"; done; } >"$SITE/vm.csv"
    ok tabrestore "$SITE/vm.csv"
    mkfifo "$SITE/pipe"
    launch reader sh -c 'exec "$1" -s "$2" dump >"$3"' sh "$BIN/rmigrate-store" "$SITE/store" "$SITE/pipe"
    exec 9<"$SITE/pipe" # opened, and not read
    until_true 10 grep -q '^State:.S' "/proc/$(pid_of reader)/status" # the pipe is full
    for i in {1..30}; do ask chtab node=node1 vm.comments="$i"; done
    run -0 "$BIN/rmigrate-store" -s "$SITE/store" check
    has_not "reads an old state"
    is_alive "$(pid_of reader)"
    exec 9<&-
    end_it reader
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
    until_true 20 grep -q 'the broker does not answer, waiting for it; the jobs continue' "$OUT.err"
    kill -INT "$(cat "$OUT.pid")"
    comes_to 130
    is ''
    err_has "rmigrate: interrupted; the jobs continue: rmigrate wait "
    end_it all KILL # asked to end it would wait for the broker, to tell how the job ended
}

# bats test_tags=slow
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
    until_true 5 told 'any(.jobs[]; .state == "queued" and (.why | test("hyp04 has no worker")))' jobs
    kill -CONT "$(pid_of third)"
    comes_to 0
    is "kvm1: migrated to hyp04"
}

# bats test_tags=slow
@test "a request right after a start waits for the workers that are on their way, and is answered when they do not come" {
    site
    until_true 5 guest_is_seen kvm1
    kill -STOP "$(pid_of all)"
    broker_down KILL
    broker_up
    begin move kvm1 hyp02
    sleep 0.5 # the worker is on its way
    kill -CONT "$(pid_of all)"
    comes_to 0
    is "kvm1: migrated to hyp02"
    kill -STOP "$(pid_of all)"
    broker_down KILL
    broker_up
    begin empty evacuate hyp01
    sleep 0.5
    kill -CONT "$(pid_of all)"
    comes_to 0
    kill -STOP "$(pid_of all)"
    broker_down KILL
    broker_up
    ends 1 kvm1 hyp01
    err_has "kvm1: Error: Cannot communicate via libvirt to hyp02, where it was last seen"
    kill -CONT "$(pid_of all)"
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

# bats test_tags=slow
@test "a worker that is killed in the middle: its jobs are looked into, and go on" {
    site
    plan kvm1 'hang 0'
    local job
    job=$(($(detach kvm1 hyp02) + 1))
    until_true 5 state_is "$job" running
    end_it all KILL
    WORKER_SLOTS=8 worker_up all hyp01 hyp02
    # What the killed one may have asked of hyp02 is waited for.
    until_true 60 told '.state == "done"' show "$job"
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

# bats test_tags=slow
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

# bats test_tags=slow
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

@test "a hypervisor of a kind that the broker cannot serve is refused, and the others are served" {
    site_new
    broker_up
    fake hello hyp01 odd=99
    is "welcome refused odd"
    ok events --json
    json '.events | map(select(.event == "denied")) | last | .host == "odd" and .text == "this broker does not know hypervisors of its kind"'
    ok hosts hyp01
    ends 1 hosts odd
    with_zvm && return
    fake hello hyp02 pokdev61=1
    is "welcome refused pokdev61"
    ok events --json
    json '.events | map(select(.event == "denied")) | last | .text == "this broker was built without z/VM (RMIGRATE_ZVM)"'
}

# bats test_tags=slow
@test "a worker that makes up guests and hypervisors fills neither memory nor store" {
    site_new
    broker_up
    fake hello h{1..300}
    is silence
    log_has broker "hello: hosts: more than 256 items"
    SPAN=300 fake crowd hyp01 5000 12
    [ "$("$BIN/rmigrate-store" -s "$SITE/store" dump guest | grep -c "^guest ")" -lt 30000 ] # of 60,000
    ok hosts hyp01 --json
    json '.hosts[0].guests == 5000'
    ok jobs
    ends 2 close hyp01 --reason "$(printf 'x%.0s' {1..5000})"
    err_has "Error: reason: more than 4096 bytes"
}

# bats test_tags=slow
@test "a peer that asks for much and never reads costs the broker little, and others are served" {
    site
    local i
    { echo '#node,comments'; for i in {1..2000}; do echo "node$i,$(printf '%0200d' "$i")"; done; } >"$SITE/vm.csv"
    ok tabrestore "$SITE/vm.csv" # an answer of 500 KiB
    launch flood "$BIN/fakeclient" "ipc://$SITE/broker" flood 900 vm
    until_true 10 grep -q '^State:.T' "/proc/$(pid_of flood)/status"
    for i in {1..20}; do ok ping; done
    ok kvm1 hyp02
    until_true 60 log_has broker "does not read what it is sent: more than 64 messages wait"
    ok ping
    # AddressSanitizer keeps what was freed.
    grep -q __asan_init "$BIN/rmigrate-broker" ||
        [ "$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB$/\1/p' "/proc/$(pid_of broker)/status")" -lt 300000 ]
    end_it flood KILL
}

# bats test_tags=slow
@test "more connections than there are files for: the broker lives, says so, and serves again" {
    site_new '' 'timeout = "60 s";'
    launch broker bash -c 'ulimit -n 80; exec "$@"' bash "$BIN/rmigrate-broker" -c "$RMIGRATE_CONF"
    until_true 10 answers
    log_has broker "only 60 connections may be open at once, and 0 keys and hypervisors may need 64"
    launch idle "$BIN/fakeclient" "ipc://$SITE/broker" idle 300
    until_true 10 log_has broker "60 connections are open, as many as there may be: refused "
    is_alive "$(pid_of broker)"
    end_it idle KILL
    ok ping
    launch idle "$BIN/fakeclient" "ipc://$SITE/broker" idle 300
    sleep 0.5
    # Whoever says nothing is disconnected after a while.
    ok ping
    end_it idle KILL
    broker_down # cleanly
}

# bats test_tags=slow
@test "one address that holds all connections open keeps nobody else out" {
    site_new '' 'timeout = "60 s";'
    sed -i 's|listen = \[ \(.*\) \]|listen = [ \1, "tcp://127.0.0.1:*" ]|' "$RMIGRATE_CONF"
    launch broker bash -c 'ulimit -n 120; exec "$@"' bash "$BIN/rmigrate-broker" -c "$RMIGRATE_CONF"
    until_true 10 answers
    local tcp
    tcp=$(sed -n 's/.*listens on \(tcp:.*\)/\1/p' "$SITE/log/broker")
    launch idle "$BIN/fakeclient" "$tcp" idle 300
    until_true 10 log_has broker "address 127.0.0.2: has 25 % of all connections, which is the most for one user or address: refused "
    for i in {1..20}; do ok ping; done
    RMIGRATE_BROKER=$tcp ok ping # from 127.0.0.1
    end_it idle KILL
    broker_down
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

@test "a guest that is seen twice ends its job that waits, and whoever waits hears why" {
    RETRY='60 s' site
    plan kvm1 'fail 0 retry 1 later'
    local job
    job=$(($(detach kvm1 hyp02) + 1))
    until_true 5 state_is "$job" waiting
    cp "$WORLD/hyp01/kvm1" "$WORLD/hyp02/.kvm1.new"
    mv "$WORLD/hyp02/.kvm1.new" "$WORLD/hyp02/kvm1"
    ends 1 wait "$job"
    err_has "THE GUEST RUNS ON BOTH"
    ok show "$job" --json
    json '.locked'
    ends 1 kvm1 hyp02
    err_has "is locked"
}

# bats test_tags=slow
@test "however many guests wait for one hypervisor, one for another starts, and each says why it waits" {
    local i
    site_new 'limits: { source = 8; destination = 1; };'
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03}
    for i in {1..202}; do guest "g$i" hyp01 running 16; done
    broker_up
    WORKER_SLOTS=8 worker_up all hyp01 hyp02 hyp03
    until_true 10 guest_is_seen g202
    plan g1 hang
    detach g1 hyp02
    until_true 10 is_running g1
    detach g[2-201] hyp02
    ok g202 hyp03
    is "g202: migrated to hyp03"
    told '[.jobs[] | select(.state == "queued" and .why == "1 of 1 migrations to hyp02 are running")] | length == 200' jobs
    end_it all KILL # g1 is never there
}

# bats test_tags=slow
@test "a job whose destination is closed, or gone, for too long fails; one that may choose goes elsewhere" {
    local i
    site_new 'limits: { source = 8; destination = 1; }; unreachable = "1 s";'
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03,hyp04}
    for i in 1 2 3 4 5; do guest "kvm$i" hyp01; done
    broker_up
    WORKER_SLOTS=8 worker_up all hyp01 hyp02
    worker_up other hyp03
    worker_up third hyp04
    ask close hyp04 >/dev/null # as yet nobody chooses it
    until_true 10 guest_is_seen kvm5
    plan kvm1 hang
    plan kvm2 hang
    detach kvm1 hyp02
    detach kvm2 hyp03
    until_true 10 is_running kvm1
    until_true 10 is_running kvm2
    begin closed kvm3 hyp02
    until_true 10 told 'any(.jobs[]; .guest == "kvm3" and .state == "queued")' jobs
    ok close hyp02 --reason memory
    comes_to 1
    err_has "destination unusable: hyp02 is closed: memory"
    begin gone kvm4 hyp03
    until_true 10 told 'any(.jobs[]; .guest == "kvm4" and .state == "queued")' jobs
    end_it other KILL
    comes_to 1
    err_has "destination unusable: hyp03 has no worker"
    ok open hyp02
    begin both kvm5 --to hyp02,hyp03
    until_true 10 told 'any(.jobs[]; .guest == "kvm5" and .state == "queued" and .destination == "hyp02")' jobs
    ok close hyp02
    comes_to 1
    err_has "destination unusable: none of the 2 hosts that it may go to is open and answers"
    end_it all KILL # kvm1 is never there
}

# bats test_tags=slow
@test "guests of a hypervisor that does not answer are marked as old, with since when" {
    SITE_AT=$BATS_TEST_TMPDIR/old SESSION='1 s' site_new ''
    mkdir -p "$WORLD"/{old1,old2}
    guest g1 old1
    guest g2 old2
    broker_up
    worker_up first old1
    worker_up second old2
    until_true 5 guest_is_seen g1
    until_true 5 guest_is_seen g2
    ok guests --json
    json '.guests | all((.stale | not) and .stale_since == null and .why == null)'
    end_it first KILL
    until_true 10 host_has_no_worker old1
    down old2 'the switch is off'
    until_true 10 host_is_away old2
    ok guests
    matches 'g1 +old1 +running.* last seen [0-9: -]+, old1: it has no worker'
    matches 'g2 +old2 +running.* last seen [0-9: -]+, old2: .*the switch is off'
    quiet
    ok guests g1 --json
    json '.guests[0] | .stale and .stale_since > 0 and (.why | contains("it has no worker"))'
    "$TREE/tests/cli/schema" guests <<<"$output"
    broker_down KILL
    broker_up
    ok guests
    err_has 'Warning: what runs on old1, old2 is not known'
    up old2
    until_true 10 host_is_seen old2
    ok guests --host old2
    matches 'g2 +old2 +running'
    quiet
    site_down
}

@test "a disk that is smaller than the store is warned of, and said to be full when it is" {
    [ "$(id -u)" = 0 ] || skip "only root makes a small disk"
    local disk=$BATS_TEST_TMPDIR/disk conf=$BATS_TEST_TMPDIR/conf log=$BATS_TEST_TMPDIR/log i
    mkdir "$disk"
    cat >"$conf" <<END
broker: { listen = [ "ipc://$BATS_TEST_TMPDIR/socket" ]; store = "$disk/store"; store_size = "64 MiB"; };
client: { broker = "ipc://$BATS_TEST_TMPDIR/socket"; timeout = "2 s"; };
END
    unshare --mount sh -c 'mount -t tmpfs -o size=3m tmpfs "$1" && "$2" -c "$3" --check 2>&1 && exec "$2" -c "$3"' \
        sh "$disk" "$BIN/rmigrate-broker" "$conf" >"$log" 2>&1 </dev/null 3>&- 4>&- &
    local broker=$!
    until_true 10 ask -c "$conf" ping
    [ "$(grep -c 'its disk has 6[0-9.]* MiB less than store_size needs' "$log")" = 2 ] # --check, and the start
    { echo '#node,groups,status,statustime,appstatus,appstatustime,primarysn,hidden,updatestatus,updatestatustime,zonename,comments,disable'
      for i in {1..8}; do printf '"n%d",,,,,,,,,,,"%0900000d",\n' $i 0; done; } >"$BATS_TEST_TMPDIR/nodelist.csv"
    run ask -c "$conf" tabrestore "$BATS_TEST_TMPDIR/nodelist.csv"
    until_true 10 has_ended "$broker"
    grep -q 'its disk is full: make room there' "$log" || { cat "$log" >&2; false; }
}
