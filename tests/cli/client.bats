#!/usr/bin/env bats
# client.bats - the command rmigrate itself: help, usage, settings, no broker, keys, streams, each command once
#
# Also run under valgrind.

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{hyp01,hyp02}
    local i
    for i in 1 2 3 4 5 6 7 8 9; do guest "kvm$i" hyp01; done
    worker_up all hyp01 hyp02
}
teardown_file() { load common; site_down; }
setup() { load common; }

# All commands; under valgrind, which is slow, where one is as good as the other, these alone.
FEW=${RMIGRATE_WRAP:+submit show keygen}
COMMANDS="submit evacuate restore watch wait jobs show history queue hosts guests workers events cancel retry pause resume release
    open close reconcile nodels nodech gettab chtab tabdump tabrestore tabedit ping keygen version"

# ---- help and version

@test "--help names every command, on stdout" {
    ok --help
    quiet
    local command
    for command in $COMMANDS; do matches "
  $command "; done
    has "Exit status: 0 success, 1 some guests failed, 2 wrong usage, 3 broker not reached"
    ok -h
    quiet
}

@test "each command's --help tells its options, on stdout" {
    local command
    for command in ${FEW:-$COMMANDS}; do
        ok "$command" --help
        quiet
        has "Usage: rmigrate $command"
        has "--config=FILE"
        has "--help"
    done
}

@test "every option of a command stands in its help" {
    options() { # COMMAND OPTION...
        run -0 --separate-stderr "$BIN/rmigrate" "$1" --help
        shift
        local option
        for option in "$@"; do has "--$option"; done
    }
    local move="to=HOSTS detach reason=TEXT priority=N anywhere ignore-rules attempts=N bandwidth=RATE downtime=TIME timeout=TIME stall=TIME
        auto-converge fence=MODE unsafe cancel-on-interrupt json"
    options submit $move dry-run
    options evacuate $move plan noheadings
    options restore $move plan noheadings all no-room
    options wait cancel-on-interrupt json
    options watch cancel-on-interrupt json
    options jobs batch=NUMBER state=STATE host=HOST finished limit=N json noheadings
    options cancel batch=NUMBER guests=NODERANGE host=HOST all reason=TEXT json
    options retry batch=NUMBER guests=NODERANGE host=HOST all
    options pause batch=NUMBER guests=NODERANGE host=HOST all
    options resume batch=NUMBER guests=NODERANGE host=HOST all
    options release reason=TEXT
    options open reason=TEXT
    options close reason=TEXT
    options reconcile repair
    options tabrestore addrows
    options tabdump json noheadings where=COLUMN file=FILE describe secrets
    options nodels json with-fieldname blame hidden secrets
    options gettab with-fieldname secrets
    options chtab delete
    options nodech delete
    options guests host=HOST
    options history limit=N
    has "[OPTION...] NODERANGE"
    options events limit=N
    options keygen dir=DIRECTORY role=ROLE broker owner=USER
    options ping json
}

@test "the version, three ways" {
    ok version
    matches '^Version [0-9]+\.[0-9]+\.[0-9]+ \(git commit [0-9a-z]+, built [0-9]{4}-[0-9]{2}-[0-9]{2}\)$'
    quiet
    local version=$output
    ok --version
    is "$version"
    ok jobs -v
    is "$version"
}

@test "the daemons and the store tool have help and version too" {
    local program
    for program in rmigrate-broker rmigrate-worker rmigrate-store; do
        run -0 --separate-stderr "$BIN/$program" --help
        has "Usage: $program"
        has "--config=FILE"
        quiet
        run -0 --separate-stderr "$BIN/$program" --version
        has "$(ask version | sed 's/Version \(.*\), built.*/\1/')"
        run -2 --separate-stderr "$BIN/$program" --nonsense
        is ''
    done
    run -2 --separate-stderr "$BIN/rmigrate-broker" extra
    run -2 --separate-stderr "$BIN/rmigrate-worker" extra
    run -2 --separate-stderr "$BIN/rmigrate-broker" -l loud
    err_has "unknown log level 'loud'"
}

# ---- usage errors: exit code 2, nothing on stdout

usage() { # TEXT ARGUMENT...
    local text=$1
    shift
    ends 2 "$@"
    is ''
    err_has "$text"
}

@test "no command at all" {
    usage "Usage: rmigrate NODERANGE [TARGET]"
}

@test "options that there are not, or without their value" {
    usage "unrecognized option '--frobnicate'" jobs --frobnicate
    usage "invalid option -- 'x'" jobs -x
    usage "requires an argument" kvm1 --to
    usage "unrecognized option '--plan'" submit kvm1 --plan
    usage "unrecognized option '--dry-run'" evacuate hyp01 --dry-run
}

@test "values that make no sense" {
    usage "--priority: 'high' is not a number from 1 to 1000000" kvm1 hyp02 --priority high
    usage "--priority: '0' is not a number from 1 to 1000000" kvm1 hyp02 --priority 0
    usage "--attempts: '-1' is not a number" kvm1 hyp02 --attempts -1
    usage "--bandwidth: " kvm1 hyp02 --bandwidth 200
    usage "--downtime: " kvm1 hyp02 --downtime 300
    usage "--timeout: 0: must be more than 0" kvm1 hyp02 --timeout 0
    usage "--stall: " kvm1 hyp02 --stall soon
    usage "--fence: maybe: must be auto, always or never" kvm1 hyp02 --fence maybe
    usage "--role: king: must be viewer, operator, admin or worker" keygen k --role king
    usage "--reason: needs a value" kvm1 hyp02 --reason ''
    usage "--batch: 'x' is not a number" cancel --batch x
}

@test "operands that are missing, empty, or too many" {
    usage "one operand too many" jobs a b
    usage "two destinations: 'hyp01' and 'hyp02'" kvm1 hyp02 --to hyp01
    usage "the destination is empty" kvm1 ''
    usage "an operand is empty" jobs ''
    usage "--detach and --dry-run exclude each other" submit kvm1 hyp02 --detach --dry-run
    usage "action='WALK': must be MOVE, TEST or CANCEL" kvm1 hyp02 action=WALK
    usage "'speed=9': unknown operand; known operands are destination, action, force" kvm1 hyp02 speed=9
    usage "--detach and action=test exclude each other" kvm1 hyp02 --detach action=test
    local command need="history release open close nodech gettab chtab tabrestore tabedit keygen wait"
    for command in show ${FEW:-$need}; do usage "rmigrate $command" "$command"; done
    for command in workers ping version; do usage "one operand too many" "$command" extra; done
}

@test "behind -- nothing is a command or an option" {
    ends 1 -- jobs hyp02
    err_is "Error: Invalid nodes and/or groups in noderange: jobs"
}

# ---- settings

@test "settings that are wrong are named with file and line" {
    local conf=$BATS_TEST_TMPDIR/wrong.conf
    printf 'client: {\n    broker = "ipc:///tmp/x";\n    colour = "red";\n};\n' >"$conf"
    ends 2 -c "$conf" ping
    is ''
    err_has "Error: $conf:3: "
    err_has colour
    printf 'client: {\n    timeout = "soon";\n};\n' >"$conf"
    ends 2 ping -c "$conf"
    err_has "Error: $conf:2: "
    printf 'client: {\n    broker = "ipc:///tmp/x"\n    timeout = ;\n};\n' >"$conf"
    RMIGRATE_CONF=$conf ends 2 ping
    err_has "Error: $conf:3: syntax error"
    ends 2 -c "$BATS_TEST_TMPDIR/none.conf" ping
    err_has "$BATS_TEST_TMPDIR/none.conf: No such file or directory"
    printf 'client: { broker = "tcp://192.0.2.1:9749"; };\n' >"$conf"
    ends 2 -c "$conf" ping
    err_has "$conf:1: "
}

@test "RMIGRATE_BROKER stands above the settings" {
    printf 'client: { broker = "ipc:///nowhere"; };\n' >"$BATS_TEST_TMPDIR/conf"
    RMIGRATE_BROKER=ipc://$SITE/broker ok -c "$BATS_TEST_TMPDIR/conf" ping
    RMIGRATE_BROKER=nonsense ends 2 ping
    err_has nonsense
}

# ---- no broker

@test "no broker: exit code 3, within the time-out, and one is told why" {
    local conf=$BATS_TEST_TMPDIR/away.conf began=$SECONDS
    printf 'client: { broker = "ipc://%s/nobody"; timeout = "300 ms"; };\n' "$BATS_TEST_TMPDIR" >"$conf"
    ends 3 -c "$conf" ping
    is ''
    err_has "Error: Unable to reach the broker at ipc://$BATS_TEST_TMPDIR/nobody"
    ends 3 -c "$conf" kvm1 hyp02
    err_has "Error: Unable to reach the broker at "
    ends 3 -c "$conf" wait 1
    printf 'client: { broker = "tcp://127.0.0.1:1"; timeout = "300 ms"; };\n' >"$conf"
    ends 3 -c "$conf" jobs
    err_has "Error: Unable to reach the broker at tcp://127.0.0.1:1"
    [ $((SECONDS - began)) -lt $((5 * TRIES)) ]
}

interrupted() { [ -s "$OUT.code" ] || { kill -INT "$(cat "$OUT.pid")" 2>/dev/null && false; }; }

@test "Ctrl-C ends the wait for a broker that is away" {
    printf 'client: { broker = "ipc://%s/nobody"; timeout = "60 s"; };\n' "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/conf"
    begin away -c "$BATS_TEST_TMPDIR/conf" ping
    until_true 20 interrupted # at first it is not yet ready to hear it
    comes_to 130
    is ''
}

# ---- streams

@test "output that cannot be written is a failure, and is told once" {
    local command
    for command in "ping" "queue" "hosts" "events" "tabdump vm" "version" "kvm1 hyp01" "guests --json"; do
        echo "$command"
        run -1 bash -c "${RMIGRATE_WRAP:-} '$BIN/rmigrate' $command 2>&1 >/dev/full"
        matches "^Error: cannot write to standard output: [^:]*$"
    done
}

@test "closed streams do no harm" {
    # Not under valgrind, which takes such descriptors for itself.
    run -0 bash -c "'$BIN/rmigrate' ping <&- 2>&-"
    has "you are"
    run -1 bash -c "'$BIN/rmigrate' ping >&-"
    has "Error: cannot write to standard output"
}

@test "a listing into a pipe that closes does not hang" {
    run bash -c "${RMIGRATE_WRAP:-} '$BIN/rmigrate' guests --json 2>/dev/null | head -c 1"
    is '{'
}

@test "--json does not depend on the locale or the width of the terminal" {
    LC_ALL=C COLUMNS=20 ok hosts --json
    json '.hosts | length == 2'
}

# ---- keys

@test "keygen writes a key that only its owner may read, and prints the row for the broker" {
    ok keygen night --dir "$BATS_TEST_TMPDIR" --role viewer
    matches '^\{ name = "night"; role = "viewer"; public = ".{40}"; \}$'
    [ "$(stat -c %a "$BATS_TEST_TMPDIR/night.key")" = 600 ]
    grep -q secret "$BATS_TEST_TMPDIR/night.key"
    local public
    public=$(sed 's/.*public = "\(.*\)"; }/\1/' <<<"$output")
    grep -qF -e "$public" "$BATS_TEST_TMPDIR/night.key"
    has_not "$(sed -n 's/^ *secret *= *"\(.*\)";.*/\1/p' "$BATS_TEST_TMPDIR/night.key")"
}

@test "keygen: operator if no role is given, into the working directory" {
    cd "$BATS_TEST_TMPDIR"
    ok keygen here
    has 'role = "operator"'
    [ -s here.key ]
}

@test "keygen: the broker's own key has no role; what is printed is everyone else's setting" {
    ok keygen main --broker --owner "$(id -un)" --dir "$BATS_TEST_TMPDIR"
    is "server = \"$(sed -n 's/^public = "\(.*\)";/\1/p' "$BATS_TEST_TMPDIR/main.key")\";"
    quiet
    [ "$(stat -c '%a %U' "$BATS_TEST_TMPDIR/main.key")" = "600 $(id -un)" ]
}

@test "keygen: the file belongs to the user who needs it" {
    ends 2 keygen k --dir "$BATS_TEST_TMPDIR" --owner no-such-user
    is ''
    err_is "Error: There is no user 'no-such-user' on this machine"
    [ ! -e "$BATS_TEST_TMPDIR/k.key" ]
    if [ "$(id -u)" = 0 ]; then
        ok keygen k --dir "$BATS_TEST_TMPDIR" --owner nobody
        [ "$(stat -c '%a %U' "$BATS_TEST_TMPDIR/k.key")" = "600 nobody" ]
        if ! getent passwd rmigrate; then
            ends 2 keygen main --broker --dir "$BATS_TEST_TMPDIR"
            err_is "Error: There is no user 'rmigrate' on this machine: run systemd-sysusers, or name another with --owner"
        fi
    else
        ends 1 keygen k --dir "$BATS_TEST_TMPDIR" --owner nobody
        is ''
        err_is "Error: $BATS_TEST_TMPDIR/k.key: cannot write the key: Operation not permitted"
        [ ! -e "$BATS_TEST_TMPDIR/k.key" ]
    fi
}

@test "keygen says at a terminal who can read the key and what to do next" {
    noted() { script -qec "$BIN/rmigrate keygen $* --dir $BATS_TEST_TMPDIR" /dev/null | tr -d '\r'; }
    output=$(noted main --broker --owner "$(id -un)")
    has "
rmigrate: $BATS_TEST_TMPDIR/main.key is the new key; only $(id -un) can read it
rmigrate: broker.key names this file in the broker's rmigrate.conf
rmigrate: the line above goes into the groups worker and client of all others, beside \`key'"
    output=$(noted hyp01 --role worker)
    has "the row above goes into broker.allow of the broker's rmigrate.conf; then \`systemctl reload rmigrate-broker'"
    has "to the user root; worker.key names it there"
    output=$(noted alice)
    has "to the user whose key it is; client.key names it there"
}

@test "keygen never writes over a key" {
    ok keygen once --dir "$BATS_TEST_TMPDIR"
    cp "$BATS_TEST_TMPDIR/once.key" "$BATS_TEST_TMPDIR/copy"
    ends 1 keygen once --dir "$BATS_TEST_TMPDIR"
    is ''
    err_has "Error: $BATS_TEST_TMPDIR/once.key"
    cmp "$BATS_TEST_TMPDIR/once.key" "$BATS_TEST_TMPDIR/copy"
}

@test "keygen refuses names and places that cannot be" {
    ends 2 keygen 'a b'
    err_is "Error: 'a b' is not a valid name for a key"
    ends 2 keygen ../up
    ends 1 keygen k --dir "$BATS_TEST_TMPDIR/nowhere"
    is ''
    err_has "Error: "
}

# ---- each command once

@test "ping: who answers, and who one is to it" {
    ok ping
    matches '^broker [0-9]+\.[0-9]+\.[0-9]+.* at ipc://.*, up .*, answered in '
    has "
you are $(id -un), admin"
    quiet
    ok ping --json
    json ".user == \"$(id -un)\" and .role == \"admin\" and (.broker | length > 0) and .started_at > 0 and (.endpoint | startswith(\"ipc://\"))"
}

# bats test_tags=slow
@test "a move, followed, shown, and all that can be listed" {
    ok kvm1 hyp02
    is "kvm1: migrated to hyp02"
    ends 1 kvm1,nobody hyp02
    plan kvm2 'fail 0 fatal 1 no\nway'
    ends 1 kvm2 hyp02 --json
    ok evacuate hyp02 --plan
    local listing
    for listing in "jobs -a" "hosts" "queue" "guests" "workers" "events" "history kvm1" "show $(last_job kvm1)" "tabdump vm"; do
        ok $listing
        [ -n "$output" ]
        ok $listing --json
        json .
    done
}

@test "changes of each kind" {
    plan kvm3 'hang 0'
    local job
    job=$(($(detach kvm3 hyp02) + 1))
    until_true 5 state_is "$job" running
    ends 1 pause "$job"
    ends 1 resume "$job"
    ok cancel "$job"
    ends 1 wait "$job"
    ok retry "$job"
    ok wait "$(last_job kvm3)"
    ok release kvm3
    ok close hyp02
    ok evacuate hyp02 --to hyp01
    ok open hyp02
    printf '#node,host\nkvm4,hyp02\n' >"$BATS_TEST_TMPDIR/vm.csv"
    ok tabrestore "$BATS_TEST_TMPDIR/vm.csv"
    ends 1 reconcile
    ok reconcile kvm4 --mend # the old name of --repair
}

@test "a terminal gets progress on stderr, and results on stdout" {
    command -v script >/dev/null || skip "no script(1)"
    plan kvm5 'ok 400'
    run -0 script -qec "$BIN/rmigrate kvm5 hyp02 2>$BATS_TEST_TMPDIR/err" /dev/null </dev/null
    has "kvm5: migrated to hyp02"
    plan kvm6 'ok 400'
    run -0 script -qec "TERM=xterm ${RMIGRATE_WRAP:-} $BIN/rmigrate kvm6 hyp02 >$BATS_TEST_TMPDIR/out" /dev/null </dev/null
    has kvm6
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = "kvm6: migrated to hyp02" ]
}
