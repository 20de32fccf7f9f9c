# common.bash - what the tests on real hypervisors share: a site of three hypervisors for each file, and questions to it
#
# BIN (programs) and TREE come from tests/run. A test uses guest names of its own, so that the history of one does not matter
# to another. The site's time-outs are short: these tests wait for them.

bats_require_minimum_version 1.5.0

: "${BIN:?run by tests/run, or set BIN to a build directory}"
TREE=${TREE:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
export TREE BIN
. "$TREE/tests/lab/site.sh"

HYPS=3
export SITE_BROKER='heartbeat = "300 ms"; session_timeout = "3 s"; retry_wait = "1 s"; attempts = 4;
    limits: { source = 2; destination = 2; };'
export SITE_WORKER='connect_timeout = "4 s"; call_timeout = "6 s";'
export SITE_MEMORY="${SITE_MEMORY:-1 GiB}"

site_up() {
    "$LAB" up $HYPS
    site_make $HYPS
    export SITE
    local i
    site_broker
    for ((i = 1; i <= HYPS; i++)); do site_worker "$(printf 'hyp%02d' $i)"; done
    site_wait $HYPS
}

site_down() { "$LAB" down; }

hyps() { local i; for ((i = 1; i <= HYPS; i++)); do printf 'hyp%02d\n' $i; done; }

virsh_on() { local host=$1; shift; "$LAB" exec "$host" virsh -q "$@"; }

# Where a guest is, a line for each hypervisor that knows it: "hyp02 running".
where() {
    local h state
    for h in $(hyps); do
        state=$(virsh_on "$h" domstate "$1" 2>/dev/null) || continue
        echo "$h $state"
    done
}

# The guest is defined and runs on this host, is unknown on all others, and has noticed nothing.
runs_only_on() { # GUEST HOST
    local is
    is=$(where "$1")
    [ "$is" = "$2 running" ] || { echo "$1 should run on $2 alone, but: $is" >&2; rmigrate show "$(last_job "$1")" >&2; return 1; }
    virsh_on "$2" list --persistent --name | grep -qx "$1" || { echo "$1 is not defined on $2" >&2; return 1; }
    "$LAB" check -w "$1"
}

last_job() { rmigrate history "$1" --json | sed -n 's/.*"job": *\([0-9]*\).*/\1/p' | head -n 1; }

# What the broker says of the newest job of a guest: its state.
job_state() { rmigrate history "$1" --json | sed -n 's/.*"state": *"\([a-z]*\)".*/\1/p' | head -n 1; }

# Waits until a command succeeds: until_true SECONDS COMMAND...
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "not within the time: $*" >&2; return 1; }
        sleep 0.1
    done
}

migrates() { virsh_on "$2" domjobinfo "$1" 2>/dev/null | grep -q 'Data processed'; }
is_paused_migrating() { [ "$(virsh_on "$2" domstate --reason "$1" 2>/dev/null)" = "paused (migrating)" ]; }
state_is() { [ "$(job_state "$1")" = "$2" ]; }
worker_is_gone() { rmigrate hosts "$1" --json | grep -q '"connected": *false'; }

# Moves a guest, which is asked for again where the answer is that both hosts are looked at just now.
moves() { # GUEST TARGET
    local end=$((SECONDS + 20))
    until rmigrate "$@" >"$BATS_TEST_TMPDIR/said" 2>&1; do
        grep -q 'try again in a moment' "$BATS_TEST_TMPDIR/said" && [ $SECONDS -lt $end ] || { cat "$BATS_TEST_TMPDIR/said" >&2; return 1; }
        sleep 0.2
    done
}

# Begins a move in the background; its output is in $OUT/GUEST, its exit code in $OUT/GUEST.code.
begin_move() { # GUEST TARGET [OPTION...]
    OUT=$BATS_TEST_TMPDIR
    local guest=$1
    { r=0; rmigrate "$@" >"$OUT/$guest" 2>&1 || r=$?; echo $r >"$OUT/$guest.code"; } 3>&- 4>&- &
}
has_ended() { [ -s "$BATS_TEST_TMPDIR/$1.code" ]; }
ended() { # GUEST CODE TEXT [SECONDS]
    until_true "${4:-60}" has_ended "$1" || { cat "$BATS_TEST_TMPDIR/$1"; rmigrate jobs; tail -n 40 "$SITE"/log/*; return 1; }
    cat "$BATS_TEST_TMPDIR/$1"
    [ "$(cat "$BATS_TEST_TMPDIR/$1.code")" = "$2" ] && grep -q -e "$3" "$BATS_TEST_TMPDIR/$1"
}

# A guest that never stops writing faster than the link carries: a move of it runs until something is changed.
endless() { # GUEST HOST [WORD...]
    "$LAB" guest "$1" "$2" mem=64 fill=40 ws=16 rate=24576 "${@:3}"
    "$LAB" shape "$2" 100mbit
}

# All guests gone, all hypervisors whole and open again.
sweep() {
    local h name
    for h in $(hyps); do
        "$LAB" shape "$h" off 2>/dev/null || :
        "$LAB" link "$h" up 2>/dev/null || :
        "$LAB" kill "$h" libvirtd CONT 2>/dev/null || :
        virsh_on "$h" list --name >/dev/null 2>&1 || "$LAB" start "$h" libvirtd || :
    done
    rmigrate cancel --all >/dev/null 2>&1 || :
    for h in $(hyps); do
        for name in $(virsh_on "$h" list --all --name); do
            virsh_on "$h" destroy "$name" >/dev/null 2>&1 || :
            virsh_on "$h" undefine "$name" >/dev/null 2>&1 || :
        done
    done
    rmigrate open 'hyp[01-03]' >/dev/null 2>&1 || :
    until_true 30 nothing_live || rmigrate jobs
}
nothing_live() { ! rmigrate jobs --json --noheadings 2>/dev/null | grep -q '"state"'; }
