#!/usr/bin/env bats
# shutdown.bats - a hypervisor that goes down is emptied before: what rmigrate-evacuate-on-shutdown.service does
#
# The lines are the unit's own, as cmake has configured it, with the programs of the tree instead of the installed ones.
# systemctl is a file that says which jobs systemd has.

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{hyp01,room}
    WORKER_SLOTS=8 worker_up all hyp01 room
}
teardown_file() { load common; site_down; }
setup() {
    load common
    UNIT=$BIN/rmigrate-evacuate-on-shutdown.service
    PATH=$BATS_TEST_TMPDIR:$PATH
    site_emptied hyp01 room
}

setting() { sed -n "s/^$1=//p" "$UNIT"; }
# systemd's jobs; without one it says nothing, as `systemctl list-jobs --no-legend` does.
jobs_are() { # [LINE]
    cat >"$BATS_TEST_TMPDIR/systemctl" <<END
#!/bin/sh
[ "\$*" = "list-jobs --no-legend shutdown.target" ] || { echo "systemctl \$*" >&2; exit 1; }
${1:+echo '$1'}
END
    chmod +x "$BATS_TEST_TMPDIR/systemctl"
}
goes_down() { jobs_are '1234 shutdown.target start waiting'; }
goes_on() { jobs_are; }

# The unit is stopped: the line ExecStop= with these settings. CODE "late": what it is where the time was over, that of a
# client that was interrupted or has just heard the end.
stopped() { # CODE [BOUND [HOST]]
    local line bound=${2:-20} host=${3:-hyp01} code=$1
    line=$(setting ExecStop)
    [[ $line == /*/rmigrate/evacuate-on-shutdown\ /*/bin/rmigrate\ * ]] || wrong "a line of these programs" "$line"
    line=${line//'${HOST}'/$host}
    line=${line//'${BOUND}'/$bound}
    read -ra words <<<"$line"
    words[0]=$TREE/conf/evacuate-on-shutdown
    words[1]=$BIN/rmigrate
    [ "$code" = late ] || code=-$code
    run "${code/late/!}" --separate-stderr timeout 60 "${words[@]}"
    last=${stderr##*$'\n'} # the script's own; before it is the client's account
    [[ $last != *"may not be empty"* ]] || stderr=${stderr%$'\n'*}
    take_account
    [[ $code != late || $status =~ ^(1|143)$ ]] || wrong "1 or 143" "$status"
}
says_last() { [[ $last == "$1"* ]] || wrong "the last line" "$1"; }
on() { # HOST GUEST...
    local name
    for name in "${@:2}"; do guest "$name" "$1"; done
    until_true 10 guest_is_seen "$name"
}
is_closed() { told '.hosts[0].state == "closed"' hosts hyp01; }

@test "the unit is what systemd understands" {
    command -v systemd-analyze >/dev/null || skip "NOT CHECKED: no systemd-analyze on this machine"
    local root=$BATS_TEST_TMPDIR/root program
    mkdir -p "$root/etc/systemd/system" "$root/usr/lib/systemd"
    cp "$BIN"/rmigrate-*.service "$root/etc/systemd/system/"
    cp -a /lib/systemd/system "$root/usr/lib/systemd/"
    sed -n 's/^Exec[A-Za-z]*=\([^ ]*\).*/\1/p' "$root"/etc/systemd/system/rmigrate-*.service | while read -r program; do
        [[ $program == /* ]] || program=/usr/bin/$program
        install -D -m 755 /dev/null "$root$program"
    done
    run -0 systemd-analyze verify --man=no --root="$root" "$root"/etc/systemd/system/rmigrate-evacuate-on-shutdown.service
    has_not rmigrate
}

@test "its bound is one that timeout reads, and shorter than systemd's for it; that is shorter than systemd's for all" {
    local bound stop
    bound=$(setting Environment | sed -n 's/^BOUND=\([0-9]*\)m$/\1/p')
    stop=$(setting TimeoutStopSec | sed -n 's/^\([0-9]*\)min$/\1/p')
    [ "$bound" -lt "$stop" ]
    [ "$stop" -lt 30 ]
    # shellcheck disable=SC2016
    [ "$(setting ExecStart)" = 'timeout ${BOUND} true' ]
    timeout "${bound}m" true
}

# bats test_tags=slow
@test "the machine goes down: the hypervisor is emptied, and stays closed" {
    on hyp01 g1 g2
    goes_down
    stopped 0
    has "hyp01 is emptied before this machine goes down; that takes 20 at most"
    has "g1: migrated to room"
    has "g2: migrated to room"
    has "hyp01: is empty: 2 moved"
    [[ $account == *": 2 moved; hyp01 is empty" ]]
    runs_on g1 room
    runs_on g2 room
    is_closed
    ok hosts hyp01 --json
    json '.hosts[0].why | contains("hyp01 shuts down")'
}

# bats test_tags=slow
@test "a hypervisor without guests: closed, so that nobody comes" {
    goes_down
    stopped 0
    has "hyp01: is empty"
    is_closed
}

@test "stopped by hand, or by a package: nothing is moved" {
    on hyp01 g1
    goes_on
    stopped 0
    is "hyp01 keeps its guests: this machine does not shut down"
    quiet
    runs_on g1 hyp01
    told '.hosts[0].state == "open"' hosts hyp01
    jobs_are '1234 shutdown.target stop waiting'
    stopped 0
    is "hyp01 keeps its guests: this machine does not shut down"
}

# bats test_tags=slow
@test "systemd does not say: nothing is moved, and that is no success" {
    on hyp01 g1
    printf '#!/bin/sh\necho "Failed to connect to bus: Connection refused" >&2\nexit 1\n' >"$BATS_TEST_TMPDIR/systemctl"
    chmod +x "$BATS_TEST_TMPDIR/systemctl"
    stopped 1
    err_is "Error: hyp01 keeps its guests: cannot find out whether this machine shuts down: Failed to connect to bus: Connection refused"
    runs_on g1 hyp01
}

# bats test_tags=slow
@test "a guest that cannot go: said at once, not at the end of the time" {
    on hyp01 g1
    guest 'Web Server 1' hyp01
    until_true 10 told '.guests | length == 2' guests
    goes_down
    stopped 1 1000
    has "g1: migrated to room"
    err_has "%Web Server 1: Error: stays on hyp01: "
    [[ $account == *"1 left, because: %Web Server 1"* ]]
    says_last "Error: hyp01 goes down and may not be empty: rmigrate evacuate ended with 1"
}

# bats test_tags=slow
@test "nowhere to go, as when all hypervisors go down together: it ends at once, and nothing is closed" {
    on hyp01 g1
    ask close room >/dev/null
    goes_down
    stopped 1 1000
    err_has "g1: Error: "
    says_last "Error: hyp01 goes down and may not be empty: "
    told '.hosts[0].state == "open"' hosts hyp01
}

# bats test_tags=slow
@test "the time is over: what moves is stopped, its guest runs on, what has gone has gone, and what is left is said" {
    on hyp01 g1 g2
    plan g2 'hang 0'
    goes_down
    stopped late 2
    has "g1: migrated to room"
    err_has "Error: hyp01 is not empty after 2: what still moves is stopped"
    err_has "g2: Error: cancelled by "
    err_has "the guest stays on hyp01"
    account_is "batch $(ask jobs -a --limit 1 --json | jq '.jobs[0].batch'): 1 moved, 1 left; hyp01 is not empty: 1 moved, 1 left, because: g2 (cancelled by $(id -un))"
    says_last "Error: hyp01 goes down and may not be empty: "
    runs_on g1 room
    runs_on g2 hyp01
    nothing_live
    is_closed
}

# bats test_tags=slow
@test "cancelled elsewhere: it ends before its time" {
    on hyp01 g1
    plan g1 'hang 0'
    goes_down
    (
        until_true 10 told '.jobs | any(.guest == "g1" and .phase == "copying")' jobs
        ask cancel --host hyp01 >/dev/null
    ) 3>&- 4>&- &
    stopped 1 1000
    err_has "the guest stays on hyp01"
    says_last "Error: hyp01 goes down and may not be empty: rmigrate evacuate ended with 1"
    runs_on g1 hyp01
}

# bats test_tags=slow
@test "the time is over, and a guest was taken away by somebody else's evacuation: that is stopped too" {
    on hyp01 g1
    plan g1 'hang 0'
    ask evacuate hyp01 --detach >/dev/null
    until_true 10 told '.jobs | any(.guest == "g1" and .phase == "copying")' jobs
    goes_down
    stopped late 2
    err_has "the guest stays on hyp01"
    runs_on g1 hyp01
    nothing_live
}

# bats test_tags=slow
@test "the broker does not answer: the shutdown goes on" {
    on hyp01 g1
    goes_down
    kill -STOP "$(pid_of broker)"
    stopped 3 1000
    kill -CONT "$(pid_of broker)"
    says_last "Error: hyp01 goes down and may not be empty: rmigrate evacuate ended with 3"
}

# bats test_tags=slow
@test "the broker goes away meanwhile: the time ends it" {
    on hyp01 g1
    plan g1 'hang 0'
    goes_down
    (
        until_true 10 told '.jobs | any(.guest == "g1" and .phase == "copying")' jobs
        kill -STOP "$(pid_of broker)"
    ) 3>&- 4>&- &
    stopped late 4
    kill -CONT "$(pid_of broker)"
    says_last "Error: hyp01 goes down and may not be empty: "
    ask cancel --all >/dev/null || :
    until_true 10 nothing_live
}

# bats test_tags=slow
@test "a name that no hypervisor has is an error, not silence" {
    goes_down
    stopped 1 20 hyp99
    err_has hyp99
    says_last "Error: hyp99 goes down and may not be empty: "
}
