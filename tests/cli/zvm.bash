# zvm.bash - what the tests of z/VM share: the real programs, and a simulator of the members' SMAPI servers
#
# smapisim (tests/zvm) plays the SSI cluster; a test tells it with `sim` what to do wrong and looks at what it was asked. Each
# test has a site of its own, see zvm_site, and ends with zvm_down, which fails when the simulator has heard one wrong byte, when
# a guest ever was on two members or was moved twice at once, or when the password is to be found in a log or in the store.

ZVM_PASSWORD=Geheim42

sim() { "$BIN/smapisim" ctl "$SITE/sim.ctl" "$@"; }

# Starts the simulator for members and guests.
sim_up() { # MEMBER... GUEST@MEMBER... [--OPTION VALUE...]
    local words=() word
    for word in "$@"; do
        case $word in
        --*) break ;;
        *@*) words+=(--guest "$word") ;;
        *) words+=("${ZVM_LISTEN:---member}" "$word=127.0.0.1:0") ;;
        esac
        shift
    done
    launch sim "$BIN/smapisim" "${words[@]}" --user "RMIG:$ZVM_PASSWORD" --user OTHER:other --ssi SSI1 --duration 0.3 \
        --control "$SITE/sim.ctl" --log "$SITE/log/smapi" "$@"
    until_true 5 log_has sim ready || { cat "$SITE/log/sim" >&2; return 1; }
}
address_of() { sed -n "s/^\(member\|tls\) $1 //p" "$SITE/log/sim"; }

login() { # [PASSWORD]
    (umask 077 && printf 'RMIG\n%s\n' "${1:-$ZVM_PASSWORD}" >"$SITE/login.new" && mv "$SITE/login.new" "$SITE/login")
}

# A worker for members, named as in the tables: "pokdev61" is the simulator's POKDEV61.
zvm_worker_conf() { # WORKER MEMBER...
    local worker=$1 member scheme=tcp
    shift
    [ "${ZVM_LISTEN:-}" != --tls ] || scheme=tls
    echo "worker: { broker = \"${WORKER_BROKER:-ipc://$SITE/broker}\"; slots = ${WORKER_SLOTS:-2};"
    echo "    connect_timeout = \"2 s\"; call_timeout = \"${CALL_TIMEOUT:-2 s}\"; ${WORKER_SETTINGS:-}"
    echo "    hypervisors = ("
    for member in "$@"; do
        echo "        { name = \"$member\"; smapi = \"$scheme://$(address_of "${member^^}")\"; login = \"$SITE/login\"; ${ZVM_CA:-} },"
    done | sed '$s/,$//'
    echo "    ); };"
}
zvm_worker() { # WORKER MEMBER...
    zvm_worker_conf "$@" >"$SITE/$1.conf"
    launch "$1" "$BIN/rmigrate-worker" -c "$SITE/$1.conf"
}

# The tables: members with their hcp, guests gpok1... through a group row with a pattern, and ihost123 with a row of its own.
zvm_tables() {
    local dir=$SITE/tables i
    mkdir -p "$dir"
    {
        echo '#node,groups,status,statustime,appstatus,appstatustime,primarysn,hidden,updatestatus,updatestatustime,zonename,comments,disable'
        for i in pokdev61 pokdev62 pokdev63; do echo "\"$i\",\"members,all\",,,,,,,,,,,"; done
        for i in 1 2 3 4 5 6 7 8 9; do echo "\"gpok$i\",\"gpok,all\",,,,,,,,,,,"; done
        echo '"ihost123","all",,,,,,,,,,,'
        echo '"nobody1","all",,,,,,,,,,,'
        for i in 1 2; do echo "\"kvm$i\",\"kvm,all\",,,,,,,,,,,"; done
    } >"$dir/nodelist.csv"
    {
        echo '#node,hcp,userid,nodetype,parent,comments,disable,discovered,status'
        for i in 1 2 3; do echo "\"pokdev6$i\",\"hcp6$i.example\",\"HCP6$i\",\"zvm\",,,,,"; done
        echo '"gpok","hcp61.example","|gpok(\d+)|LNX($1)|","vm","pokdev61",,,,'
        echo '"ihost123","hcp61.example","lnx123","vm","pokdev61",,,,'
        echo '"nobody1","hcp61.example","NOBODY1","vm","pokdev61",,,,'
    } >"$dir/zvm.csv"
    ask tabrestore "$dir" >/dev/null
}

# Two members with guests LNX1, LNX2, LNX3 (nodes gpok1...) and LNX123 (ihost123) on POKDEV61, everything running and seen.
zvm_site() { # [SIMULATOR-OPTION...]
    export SITE_AT=$BATS_TEST_TMPDIR/site
    site_new 'limits: { source = 4; destination = 4; };'
    login
    sim_up POKDEV61 POKDEV62 LNX1@POKDEV61 LNX2@POKDEV61 LNX3@POKDEV61 LNX123@POKDEV61 "$@"
    broker_up
    zvm_tables
    zvm_worker zvm pokdev61 pokdev62
    zvm_seen pokdev61 pokdev62
    until_true 10 guest_is_seen ihost123
}
zvm_seen() { # MEMBER...
    local member
    for member in "$@"; do until_true 15 host_is_seen "$member"; done
}

zvm_down() {
    [ -n "${SITE:-}" ] || return 0 # skipped
    local bad=0 word=${ZVM_SECRET:-$ZVM_PASSWORD} one
    if [ -s "$SITE/sim.pid" ]; then
        sim check >"$SITE/log/sim-check" 2>&1 || { cat "$SITE/log/sim-check" >&2; bad=1; }
        sim violations >"$SITE/log/sim-violations" 2>&1 || bad=1
        if [ -s "$SITE/log/sim-violations" ]; then
            show "what the simulator complains of" "$(cat "$SITE/log/sim-violations")"
            bad=1
        fi
    fi
    if [ "${BATS_TEST_COMPLETED:-}" != 1 ]; then
        show requests "$(sim requests 2>&1 | tail -n 30)"
        show worker "$(tail -n 20 "$SITE"/log/zvm* 2>&1)"
    fi
    # A worker ends when what it has in hand has ended, and needs the simulator for that.
    for one in $(sim state 2>/dev/null | sed -n 's/^guest \([^ ]*\) .* moving .*/\1/p'); do sim finish "$one"; done
    for one in "$SITE"/zvm*.pid; do
        one=${one##*/}
        end_it "${one%.pid}" || bad=1
    done
    site_down || bad=1
    if grep -rlF "$word" "$SITE/log" "$SITE/store" >&2; then echo "the password is written there" >&2; bad=1; fi
    return $bad
}

# ---- what became of it

# The line of a guest that was moved, or tested, or stopped.
moved() { # NODE USERID [ACTION]
    printf '%s: Running VMRELOCATE action=%s against %s... Done' "$1" "${3:-MOVE}" "$2"
}

# The guest is there, and nowhere else, and does not move.
sim_on() { # USERID MEMBER
    [ "$(sim where "$1")" = "$2 on" ] || { echo "$1: $(sim where "$1"), not on $2" >&2; return 1; }
}
sim_moves() { [ "$(sim where "$1")" = "$2 moving $3" ]; } # USERID FROM TO
sim_is_still() { [[ $(sim where "$1") != *moving* ]]; }
sim_moved() { # USERID BEGUN COMPLETED CANCELLED
    [ "$(sim moves "$1")" = "begun $2 completed $3 cancelled $4" ] || { echo "$1: $(sim moves "$1")" >&2; return 1; }
}
# What the tables say of a node: zvm.parent, zvm.hcp and vm.host name that member.
tables_say() { # NODE MEMBER
    local said
    said=$(ask nodels "$1" zvm.parent zvm.hcp vm.host)
    [ "$said" = "$1: zvm.parent: $2
$1: zvm.hcp: hcp${2#pokdev}.example
$1: vm.host: $2" ] || { echo "$said" >&2; return 1; }
}

# The relocations that were asked for, without time, one a line: MEMBER USER TARGET OPERANDS. The simulator writes values in
# upper case.
relocations() { sim requests | sed -n 's/^[0-9.]* \([^ ]*\) VMRELOCATE RMIG \(.*\)/\1 \2/p'; }
relocations_are() {
    [ "$(relocations | grep -v 'action=TEST' | sort)" = "$(printf '%s\n' "$@" | sort)" ] || { echo "relocations: $(relocations)" >&2; return 1; }
}
# The operands of the last VMRELOCATE, a line each, as the bytes had them.
last_operands() { # TARGET
    local line target
    line=$(sim bytes 64 | grep '^........0000000a564d52454c4f43415445' | tail -n 1)
    target=$(printf %s "$1" | od -An -tx1 -v | tr -d ' \n')
    printf %b "$(sed "s/.*$target//; s/../\\\\x&/g" <<<"$line")" | tr '\0' '\n'
}

# A request of another client, user OTHER; returns when it is accepted.
other_asks() { # MEMBER FUNCTION TARGET KEY=VALUE...
    local address text='' n=0 word fd
    address=$(address_of "$1")
    for word in "$2" OTHER other "$3"; do
        printf -v text '%s\\x%02x\\x%02x\\x%02x\\x%02x%s' "$text" 0 0 0 ${#word} "$word"
        n=$((n + 4 + ${#word}))
    done
    shift 3
    for word in "$@"; do
        text+="$word\\x00"
        n=$((n + ${#word} + 1))
    done
    exec {fd}<>"/dev/tcp/${address%:*}/${address#*:}"
    printf "\\x00\\x00\\x00\\x$(printf %02x $n)$text" >&"$fd"
    head -c 4 <&"$fd" >/dev/null
    exec {fd}>&-
}

# A job of a move that lasts: prints its number when the guest moves.
slow_move() { # NODE USERID DESTINATION [OPERAND...]
    local node=$1 userid=$2 to=$3
    shift 3
    sim duration 60 "$userid"
    ask submit --detach --json "$node" "$to" "$@" >/dev/null
    until_true 10 sim_moves "$userid" POKDEV61 "${to^^}" || return 1
    last_job "$node"
}
