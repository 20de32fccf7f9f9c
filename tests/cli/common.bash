# common.bash - what the tests of the command line share: a site of broker, worker and hypervisors that are directories
#
# BIN (programs) and TREE come from tests/run. Each file of tests has sites of its own, in its own directory, on sockets of
# its own. The worker is the real one over hypervisors that are directories (fakeworker.c): a test puts a guest somewhere by
# writing a file, and looks where it is by looking for the file.
#
# RMIGRATE_WRAP stands before the client in all that is tested; what only helps the tests (ask) runs without it.

bats_require_minimum_version 1.5.0

: "${BIN:?run by tests/run, or set BIN to a build directory}"
TREE=${TREE:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
export TREE BIN
export LC_ALL=C.UTF-8 TZ=UTC
unset RMIGRATE_BROKER NO_COLOR

# Were the programs built with z/VM? A test that needs it says so first.
with_zvm() { ! grep -q '^RMIGRATE_ZVM:BOOL=OFF' "$BIN/CMakeCache.txt"; }
needs_zvm() { with_zvm || skip "built without RMIGRATE_ZVM"; }

TRIES=${RMIGRATE_WRAP:+10} # everything takes longer under valgrind
TRIES=${TRIES:-1}

# ---- what is tested, and what is said of it

rmigrate() { ${RMIGRATE_WRAP:-} "$BIN/rmigrate" "$@"; }
ask() { "$BIN/rmigrate" "$@"; }

# The command ends with this code; $output and $stderr are what it printed, but for the last line of a command
# that waits, which is $account.
ends() { # CODE [ARGUMENT...]
    local code=$1
    shift
    run "-$code" --separate-stderr rmigrate "$@"
    take_account
}
take_account() {
    account=
    [[ $stderr =~ (^|$'\n')("rmigrate: "("batch "[0-9]+": ")?[0-9]+" moved"[^$'\n']*)$ ]] || return 0
    account=${BASH_REMATCH[2]}
    stderr=${stderr%"${BASH_REMATCH[0]}"}
}
ok() { ends 0 "$@"; }

show() { printf '%s\n' "--- $1" "$2" >&2; }
wrong() {
    show "expected $1" "$2"
    show output "$output"
    show stderr "${stderr:-}"
    show account "${account:-}"
    return 1
}
is() { [ "$output" = "$1" ] || wrong output "$1"; }
has() { [[ $output == *"$1"* ]] || wrong "in output" "$1"; }
has_not() { [[ $output != *"$1"* ]] || wrong "not in output" "$1"; }
matches() { [[ $output =~ $1 ]] || wrong "output like" "$1"; }
err_is() { [ "$stderr" = "$1" ] || wrong stderr "$1"; }
err_has() { [[ $stderr == *"$1"* ]] || wrong "in stderr" "$1"; }
err_has_not() { [[ $stderr != *"$1"* ]] || wrong "not in stderr" "$1"; }
quiet() { err_is ''; }
account_is() { [ "$account" = "rmigrate: $1" ] || wrong account "rmigrate: $1"; }

# The output, sorted, is these lines.
lines_are() {
    local got
    got=$(printf '%s\n' "$output" | sort)
    [ "$got" = "$(printf '%s\n' "$@" | sort)" ] || wrong "the lines" "$(printf '%s\n' "$@")"
}

# The output is JSON, and this question about it has the answer "true".
json() { # FILTER [OPTION...]
    local filter=$1
    shift
    printf '%s' "$output" | jq -e "$@" "$filter" >/dev/null || wrong "JSON of which is true" "$filter"
}

# Waits until a command succeeds.
until_true() { # SECONDS COMMAND...
    local end=$((SECONDS + $1 * TRIES + 1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "not within the time: $*" >&2; return 1; }
        sleep 0.05
    done
}

# ---- programs in the background

# Starts a program with its output in $SITE/log/NAME and its number in $SITE/NAME.pid.
launch() { # NAME COMMAND...
    local name=$1
    shift
    "$@" >>"$SITE/log/$name" 2>&1 </dev/null 3>&- 4>&- &
    echo $! >"$SITE/$name.pid"
}
pid_of() { cat "$SITE/$1.pid"; }
is_alive() { [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
has_ended() { ! is_alive "$1"; }
log_has() { grep -qF -e "$2" "$SITE/log/$1"; }

# Sends a signal and waits for the end.
end_it() { # NAME [SIGNAL]
    local pid
    [ -s "$SITE/$1.pid" ] || return 0
    pid=$(pid_of "$1")
    kill -CONT "$pid" 2>/dev/null || : # it may have been stopped by the test
    kill "-${2:-TERM}" "$pid" 2>/dev/null || :
    rm -f "$SITE/$1.pid"
    # A sanitizer looks for leaks at the end, which takes long on a busy machine.
    until_true 60 has_ended "$pid" || { tail -n 20 "$SITE/log/$1" >&2; kill -KILL "$pid"; echo "$1 did not end" >&2; return 1; }
}

# ---- sites

# A new site that is ready to be started: settings of the broker's group may be given, and of the client's.
site_new() { # [BROKER-SETTINGS [CLIENT-SETTINGS]]
    export SITE=${SITE_AT:-$BATS_FILE_TMPDIR/site}
    export WORLD=$SITE/world
    export RMIGRATE_CONF=$SITE/rmigrate.conf
    local client=${2:-'timeout = "10 s";'}
    mkdir -p "$WORLD/plan" "$SITE/log" "$SITE/keys"
    cat >"$RMIGRATE_CONF" <<END
broker: {
    listen = [ "ipc://$SITE/broker" ];
    store = "$SITE/store"; store_size = "256 MiB";
    heartbeat = "200 ms"; session_timeout = "${SESSION:-2 s}"; retry_wait = "${RETRY:-100 ms}";
    $1
};
client: { broker = "ipc://$SITE/broker"; $client };
END
}

broker_up() {
    launch broker "$BIN/rmigrate-broker" -c "$RMIGRATE_CONF"
    until_true 10 answers || { cat "$SITE/log/broker" >&2; return 1; }
}
answers() { is_alive "$(pid_of broker)" && [ -S "$SITE/broker" ] && ask ping >/dev/null 2>&1; }
broker_down() { end_it broker "$@"; }

# A worker for these hypervisors: "NAME" or "NAME:MEMORY:VCPUS[:RESERVE]"; one whose name begins with "nopeer" has no peer.
worker_conf() { # WORKER HOST...
    local worker=$1 host name memory vcpus reserve peer
    shift
    echo "worker: { broker = \"${WORKER_BROKER:-ipc://$SITE/broker}\"; slots = ${WORKER_SLOTS:-2}; ${WORKER_SETTINGS:-}"
    echo "    hypervisors = ("
    for host in "$@"; do
        IFS=: read -r name memory vcpus reserve <<<"$host"
        mkdir -p "$WORLD/$name"
        peer="peer = \"fake://$WORLD/$name\";"
        [[ $name == nopeer* ]] && peer=
        echo "        { name = \"$name\"; connect = \"fake://$WORLD/$name\"; $peer"
        echo "          memory = \"${memory:-64 GiB}\"; vcpus = ${vcpus:-64}; ${reserve:+reserve = \"$reserve\";} },"
    done | sed '$s/,$//'
    echo "    );"
    echo "};"
}
worker_up() { # WORKER HOST...
    worker_conf "$@" >"$SITE/$1.conf"
    launch "$1" "$BIN/fakeworker" -c "$SITE/$1.conf"
    shift
    local host
    for host in "$@"; do until_true 10 host_is_seen "${host%%:*}"; done
}
# What a listing says as JSON: is this true of it? A command that fails says nothing.
told() { # FILTER ARGUMENT...
    local filter=$1 said
    shift
    said=$(ask "$@" --json 2>/dev/null) && [ -n "$said" ] && jq -e "$filter" <<<"$said" >/dev/null
}
host_is_seen() { told '.hosts[0] | .connected and .reachable' hosts "$1"; }
host_has_worker() { told '.hosts[0].connected' hosts "$1"; }
host_has_no_worker() { told '.hosts[0].connected | not' hosts "$1"; }
host_is_away() { told '.hosts[0].reachable | not' hosts "$1"; }

# Everything ends as it should, the store is whole, and no sanitizer has complained.
site_down() {
    local pid bad=0
    for pid in "$SITE"/*.pid; do
        [ -e "$pid" ] || continue
        pid=${pid##*/}
        end_it "${pid%.pid}" TERM || bad=1
    done
    if grep -nE -A20 'AddressSanitizer|LeakSanitizer|runtime error:|UndefinedBehavior|Assertion' "$SITE"/log/* >&2; then bad=1; fi
    if [ -d "$SITE/store" ] && ! "$BIN/rmigrate-store" -s "$SITE/store" check >"$SITE/log/check" 2>&1; then
        cat "$SITE/log/check" >&2
        bad=1
    fi
    return $bad
}

# The same for a site that a single test made for itself.
own_site_down() { [[ $SITE != "$BATS_TEST_TMPDIR"/* ]] || site_down; }

# All guests are gone, and the broker starts anew: it does not wait for what could still be said of its last jobs.
site_emptied() { # HOST...
    local host
    broker_down
    for host; do rm -f "$WORLD/$host"/*; done
    rm -f "$WORLD"/plan/*
    broker_up
    for host; do until_true 10 host_is_seen "$host"; done
    ask open "$(IFS=,; echo "$*")" >/dev/null
    until_true 10 told '.guests | length == 0' guests
}

# ---- hypervisors and guests

uuid_of() { printf '%08x-0000-4000-8000-0000%08x' $(printf '%s' "$1" | cksum); }
# Puts a guest on a hypervisor.
guest() { # NAME HOST [STATE [MIB [VCPUS]]]
    printf '%s %s %s %s user\n' "$(uuid_of "$1")" "${3:-running}" "${4:-256}" "${5:-1}" >"$WORLD/$2/.$1.new"
    mv "$WORLD/$2/.$1.new" "$WORLD/$2/$1"
}
# How the tries of its next migrations end, a line for each (fakeworker.c).
plan() { # GUEST LINE...
    local name=$1
    shift
    printf '%s\n' "$@" >"$WORLD/plan/$name"
}
# The hypervisors that have it.
where() {
    local host
    for host in "$WORLD"/*/"$1"; do
        host=${host%/*}
        [ "${host##*/}" = plan ] || [ "${host##*/}" = '*' ] || echo "${host##*/}"
    done
}
runs_on() { [ "$(where "$1")" = "$2" ] || { echo "$1 is on '$(where "$1")', not on $2" >&2; return 1; }; }
down() { printf '%s\n' "${2:-Failed to connect socket: Connection refused}" >"$WORLD/$1/.down"; }
up() { rm -f "$WORLD/$1/.down"; }

guest_is_seen() { told '.guests | length > 0' guests "$1"; }
guest_is() { told ".guests[0].state == \"$2\"" guests "$1"; }
guest_is_on() { told ".guests[0].host == \"$2\"" guests "$1"; }

# ---- jobs

# Submits without waiting; prints the number of the batch. With one guest its job is the next number.
detach() { ask submit --detach --json "$@" | jq 'select(.batch) | .batch'; }
state_is() { told ".state == \"$2\"" show "$1"; }
phase_is() { told ".phase == \"$2\"" show "$1"; }
last_job() { ask history "$1" --json | jq '.history[0].job'; }
is_running() { told "any(.jobs[]; .guest == \"$1\" and .state == \"running\")" jobs; }
nothing_live() { told '.jobs | length == 0' jobs; }

# Runs the client in the background: output in $OUT.out and $OUT.err, exit code in $OUT.code.
begin() { # NAME ARGUMENT...
    OUT=$BATS_TEST_TMPDIR/$1
    shift
    {
        r=0
        ${RMIGRATE_WRAP:-} "$BIN/rmigrate" "$@" >"$OUT.out" 2>"$OUT.err" &
        echo $! >"$OUT.pid"
        wait $! || r=$?
        echo $r >"$OUT.code"
    } </dev/null >/dev/null 2>&1 3>&- 4>&- &
    until_true 5 test -s "$OUT.pid"
}
# Its end: sets output and stderr, checks the code.
comes_to() { # CODE
    until_true 20 test -s "$OUT.code"
    output=$(cat "$OUT.out")
    stderr=$(cat "$OUT.err")
    take_account
    [ "$(cat "$OUT.code")" = "$1" ] || wrong "exit code" "$1, not $(cat "$OUT.code")"
}

# ---- keys and tcp

# Makes a key in $SITE/keys; its row for broker.allow, with more settings of the row, goes to $SITE/keys/allow.
key() { # NAME ROLE [SETTINGS]
    local row
    row=$(ask keygen "$1" --role "$2" --dir "$SITE/keys" 2>/dev/null)
    printf '%s %s },\n' "${row% \}*}" "${3:-}" >>"$SITE/keys/allow"
    public_of "$1" >"$SITE/keys/$1.public"
}
public_of() { sed -n 's/^ *public *= *"\(.*\)";.*/\1/p' "$SITE/keys/$1.key"; }

# A site whose broker listens on tcp too, with the keys that key() has made and one of its own.
curve_up() { # [BROKER-SETTINGS]
    ask keygen broker --dir "$SITE/keys" >/dev/null 2>&1
    {
        sed '/^client:/,$d; /^};$/,$d' "$RMIGRATE_CONF" | sed "s|listen = \[ |listen = [ \"tcp://127.0.0.1:*\", |"
        echo "    key = \"$SITE/keys/broker.key\"; ${1:-}"
        echo "    allow = ("
        sed '$s/},$/}/' "$SITE/keys/allow"
        echo "    );"
        echo "};"
        sed -n '/^client:/,$p' "$RMIGRATE_CONF"
    } >"$SITE/curve.conf"
    mv "$SITE/curve.conf" "$RMIGRATE_CONF"
    broker_up
    TCP=$(sed -n 's/.*listens on \(tcp:.*\)/\1/p' "$SITE/log/broker" | tail -n 1)
    export TCP
}

# Settings of a client with that key, and perhaps another server's.
client_conf() { # NAME [SERVER]
    printf 'client: { broker = "%s"; timeout = "%s"; key = "%s"; server = "%s"; };\n' "$TCP" "${TIMEOUT:-10 s}" \
        "$SITE/keys/$1.key" "${2:-$(public_of broker)}" >"$SITE/$1.conf"
    echo "$SITE/$1.conf"
}
