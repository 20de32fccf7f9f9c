#!/usr/bin/env bats
# poweroff.bats - an administrator trusts the exit code: rmigrate evacuate HOST && poweroff
# bats file_tags=slow
#
# A row for each way in which guests may be left on a hypervisor. Whether the power may go is never asked of rmigrate: the
# hypervisor's directory says what runs there at that moment.

setup_file() {
    load common
    RETRY='50 ms' site_new 'limits: { source = 8; destination = 8; }; exclude_nodes = "holy";'
    broker_up
    mkdir -p "$WORLD"/{room,other,p1,mine}
    WORKER_SLOTS=8 worker_up all room other p1
    WORKER_SLOTS=8 worker_up own mine
}
teardown_file() { load common; site_down; }
setup() {
    load common
    local host
    is_alive "$(pid_of broker)" || broker_up
    is_alive "$(pid_of own)" || again own mine
    for host in room other p1 mine; do rm -rf "${WORLD:?}/$host"/* "$WORLD/$host/.down"; done
    rm -f "$WORLD/plan/"*
    ask cancel --all >/dev/null 2>&1 || :
    until_true 10 nothing_live
    ask close other,mine,p1 >/dev/null
    ask open room >/dev/null
    until_true 10 host_is_seen mine
    until_true 10 knows_nobody
}
knows_nobody() { [ -z "$(ask guests --noheadings 2>/dev/null)" ]; }
again() { launch "$1" "$BIN/fakeworker" -c "$SITE/$1.conf"; }

# ---- the line, and what is asked of it

# Whoever runs here now is lost when the power goes.
running() { grep -lE '^[^ ]+ (running|paused|incoming) ' "$WORLD/$1"/* 2>/dev/null || :; }
poweroff() {
    running "$1" >"$BATS_TEST_TMPDIR/lost"
    touch "$BATS_TEST_TMPDIR/POWERED_OFF"
}
# In the background; the name tells administrators apart.
administrator() { # NAME HOST [OPTION...]
    OUT=$BATS_TEST_TMPDIR/$1
    {
        r=0
        ${RMIGRATE_WRAP:-} "$BIN/rmigrate" evacuate "${@:2}" >"$OUT.out" 2>"$OUT.err" &
        echo $! >"$OUT.pid"
        wait $! || r=$?
        [ $r != 0 ] || poweroff "$2"
        echo $r >"$OUT.code"
    } </dev/null 3>&- 4>&- &
    until_true 5 test -s "$OUT.pid"
}
is_done() { until_true "${2:-20}" test -s "$BATS_TEST_TMPDIR/$1.code"; }
said() { # NAME TEXT
    grep -qF -e "$2" "$BATS_TEST_TMPDIR/$1.out" "$BATS_TEST_TMPDIR/$1.err" || {
        show "expected of $1" "$2"
        tail -n +1 "$BATS_TEST_TMPDIR/$1".* >&2
        return 1
    }
}
# The power went, nobody was lost, and nobody comes afterwards.
went_off() { # HOST
    [ -e "$BATS_TEST_TMPDIR/POWERED_OFF" ] || { tail -n +1 "$BATS_TEST_TMPDIR"/*.{code,out,err} >&2; return 1; }
    [ ! -s "$BATS_TEST_TMPDIR/lost" ] || { show "lost when $1 was powered off" "$(cat "$BATS_TEST_TMPDIR/lost")"; return 1; }
    until_true 10 nothing_live
    [ -z "$(running "$1")" ] || { show "came to $1 when it was off" "$(running "$1")"; return 1; }
}
# It stays on: this guest runs there.
stays_on() { # HOST GUEST
    [ ! -e "$BATS_TEST_TMPDIR/POWERED_OFF" ] || { show "powered off, though there ran" "$(running "$1")"; return 1; }
    running "$1" | grep -qxF "$WORLD/$1/$2" || { show "not on $1" "$2"; return 1; }
}
on() { # HOST GUEST...: puts them there and waits until they are known
    local name
    for name in "${@:2}"; do guest "$name" "$1"; done
    until_true 10 guest_is_seen "$name"
}
# Its guest has gone, and the broker has not heard it yet: it stands still until the test lets it go on.
at_the_end() { # GUEST
    copies "$1"
    kill -STOP "$(pid_of broker)"
    until_true 10 test -e "$WORLD/room/$1"
}
copies() { until_true 10 told ".jobs | any(.guest == \"$1\" and .phase == \"copying\")" jobs; }

# ---- nothing in the way

@test "guests that go: off" {
    on p1 g1 g2 g3
    administrator one p1
    is_done one
    went_off p1
}

@test "guests that are shut off stay defined: off" {
    guest off1 p1 shutoff
    on p1 g1
    administrator one p1
    is_done one
    went_off p1
}

# ---- guests that cannot go, or have odd names

@test "names that no node can have: on" {
    guest 'Web Server 1' p1
    guest bücher p1
    guest vm:01 p1
    guest -lead p1
    on p1 g1
    administrator one p1
    is_done one
    stays_on p1 'Web Server 1'
    stays_on p1 bücher
    stays_on p1 vm:01
    said one '3 left'
    runs_on -lead room
}

@test "a name that another guest elsewhere has: it goes where the name is free, or the host stays on" {
    guest web other
    on p1 g1
    printf '%s running 256 1 user\n' "$(uuid_of 'web on p1')" >"$WORLD/p1/web"
    until_true 10 told '.guests | map(.guest) | any(startswith("web@"))' guests
    administrator one p1
    is_done one
    went_off p1
}

@test "an excluded guest: on" {
    on p1 holy g1
    administrator one p1
    is_done one
    stays_on p1 holy
}

@test "a guest that fails at each try: on" {
    on p1 g1 g2
    plan g1 'fail 0 fatal 9 no'
    administrator one p1
    is_done one
    stays_on p1 g1
    said one 'g1 ('
}

@test "a destination that is unfit, and another that would do: off" {
    ask open other >/dev/null
    on p1 g1
    plan g1 'fail 0 retry 38 Cannot get interface MTU on br7: No such device'
    administrator one p1
    is_done one
    went_off p1
}

@test "a guest for which there is no room: on" {
    guest full room running 60000
    guest wide p1 running 30000
    on p1 g1
    administrator one p1
    is_done one
    stays_on p1 wide
    runs_on g1 room
}

@test "a guest that waits for room, which becomes free: off when it has gone as well" {
    guest full room running 40000
    until_true 10 guest_is_seen full
    guest r1 mine running 21000
    guest r2 mine running 20000
    on mine g1
    plan r1 'ok 300'
    administrator one mine
    copies r1
    kill -STOP "$(pid_of own)" # r1 does not arrive before the room is free
    until_true 10 told '.jobs | any(.guest == "r2" and (.why | startswith("waits for room on room")))' jobs
    rm "$WORLD/room/full"
    until_true 10 told '.guests | all(.guest != "full")' guests
    kill -CONT "$(pid_of own)"
    is_done one
    went_off mine
    runs_on r2 room
}

@test "the only hypervisor that is open, or the host itself as destination: on, and open" {
    ask open p1 >/dev/null
    ask close room >/dev/null
    on p1 g1
    administrator one p1
    is_done one
    administrator two p1 --to p1
    is_done two
    stays_on p1 g1
    told '.hosts[0].state == "open"' hosts p1
}

@test "a hypervisor that does not answer: on" {
    on p1 g1
    down p1
    until_true 10 host_is_away p1
    administrator one p1
    is_done one
    stays_on p1 g1
}

# ---- what comes meanwhile

@test "a guest that is started, and one that is brought by hand, after the plan: they are taken along, off" {
    on p1 g1
    plan g1 'ok 800'
    administrator one p1
    copies g1
    guest late1 p1
    guest late2 room
    mv "$WORLD/room/late2" "$WORLD/p1/late2"
    is_done one
    went_off p1
    runs_on late1 room
    runs_on late2 room
}

@test "a job of somebody else that brings a guest: it is moved on, off" {
    on other o1
    on p1 g1
    plan o1 'ok 800'
    plan g1 'ok 300'
    ask open p1 >/dev/null
    ask o1 p1 --detach >/dev/null
    copies o1
    administrator one p1
    is_done one
    went_off p1
}

@test "the host is opened by somebody meanwhile: on" {
    on p1 g1
    plan g1 'ok 800'
    administrator one p1
    copies g1
    ask open p1 >/dev/null
    is_done one
    [ ! -e "$BATS_TEST_TMPDIR/POWERED_OFF" ]
    said one 'was opened by'
}

@test "a job of it is cancelled by somebody: on" {
    on p1 g1 g2
    plan g1 'hang 0'
    administrator one p1
    copies g1
    ask cancel --guests=g1 >/dev/null
    is_done one
    stays_on p1 g1
}

# ---- twice

@test "Ctrl-C, and the same again: the first is no success, the second waits for all, off" {
    on p1 g1 g2
    plan g1 'ok 1500'
    administrator one p1
    copies g1
    kill -INT "$(cat "$OUT.pid")"
    is_done one
    [ "$(cat "$BATS_TEST_TMPDIR/one.code")" = 130 ]
    stays_on p1 g1
    administrator two p1
    is_done two
    went_off p1
    runs_on g1 room
}

@test "Ctrl-C with --cancel-on-interrupt: on" {
    on p1 g1
    plan g1 'hang 0'
    administrator one p1 --cancel-on-interrupt
    copies g1
    kill -INT "$(cat "$OUT.pid")"
    is_done one
    stays_on p1 g1
}

@test "a second administrator while the first waits: off when the last guest has gone, for both" {
    on p1 g1 g2
    plan g1 'ok 1500'
    administrator one p1
    copies g1
    administrator two p1
    is_done two
    went_off p1
    is_done one
    went_off p1
}

@test "retry of what failed is not yet an empty host: each evacuate tells for itself" {
    local batch
    on p1 g1
    plan g1 'fail 0 fatal 9 no' 'ok 1500'
    administrator one p1
    is_done one
    stays_on p1 g1
    batch=$(ask jobs -a --json | jq '.jobs | map(select(.guest == "g1")) | last.batch')
    ask retry --batch "$batch" >/dev/null
    copies g1
    administrator two p1
    is_done two
    went_off p1
}

# ---- programs that end

@test "the broker is killed in the middle: off when the last guest has gone" {
    on p1 g1
    plan g1 'ok 1500'
    administrator one p1
    copies g1
    broker_down KILL
    guest late p1
    broker_up
    is_done one
    went_off p1
    runs_on late room
}

# What it had asked of the hypervisors may wait there for 30 s.
# bats test_tags=slow
@test "the host's worker is killed in the middle and comes back: off when the last guest has gone" {
    on mine g1 g2
    plan g1 'ok 1500'
    administrator one mine
    copies g1
    end_it own KILL
    again own mine
    is_done one 80
    went_off mine
}

# bats test_tags=slow
@test "the host's worker is lost at the very end, and a guest is started: on" {
    on mine end1
    plan end1 'ok 1500'
    administrator one mine
    at_the_end end1
    kill -STOP "$(pid_of own)"
    guest late3 mine
    kill -CONT "$(pid_of broker)"
    is_done one 120
    kill -CONT "$(pid_of own)"
    stays_on mine late3
    said one 'mine: Error: may not be empty: '
}

@test "the same, and it comes back: the guest is taken along, off" {
    on mine end2
    plan end2 'ok 1500'
    administrator one mine
    at_the_end end2
    end_it own KILL
    guest late4 mine
    kill -CONT "$(pid_of broker)"
    again own mine
    is_done one 80
    went_off mine
    runs_on late4 room
}

@test "the hypervisor itself is lost at the very end: on" {
    on mine end3
    plan end3 'ok 1500'
    administrator one mine
    at_the_end end3
    down mine
    guest late5 mine
    kill -CONT "$(pid_of broker)"
    sleep 3
    [ ! -e "$BATS_TEST_TMPDIR/POWERED_OFF" ]
    up mine
    is_done one 80
    went_off mine
    runs_on late5 room
}
