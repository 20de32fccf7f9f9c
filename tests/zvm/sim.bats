#!/usr/bin/env bats
# sim.bats - the simulator of SMAPI against bytes made by hand: what is recorded of a real z/VM, and what is damaged
# bats file_tags=slow

bats_require_minimum_version 1.5.0
: "${BIN:?run by tests/run, or set BIN to a build directory}"

setup() {
    export LC_ALL=C.UTF-8
    ! grep -q '^RMIGRATE_ZVM:BOOL=OFF' "$BIN/CMakeCache.txt" || skip "built without RMIGRATE_ZVM"
    SIM=$BATS_TEST_TMPDIR
}
teardown() {
    [ -n "${SIM_PID:-}" ] || return 0
    kill -TERM "$SIM_PID"
    local r=0
    wait "$SIM_PID" || r=$?
    cat "$SIM/err" >&2
    [ $r = 0 ]
    [ ! -s "$SIM/err" ] && [ ! -e "$SIM/ctl" ]
}

# Two members and the guest of the recordings; moves take no time unless it is said.
sim_up() { # [OPTION...]
    "$BIN/smapisim" --ssi SSI --member VM1=127.0.0.1:0 --member VM2=127.0.0.1:0 --user maint:maint \
        --guest gt@pong@VM1 --duration 0 --control "$SIM/ctl" --log "$SIM/log" "$@" >"$SIM/out" 2>"$SIM/err" 3>&- &
    SIM_PID=$!
    local i
    for ((i = 0; i < 500; i++)); do
        ! grep -q ready "$SIM/out" || break
        sleep 0.02
    done
    VM1=$(sed -n 's/^member VM1 .*://p' "$SIM/out")
    VM2=$(sed -n 's/^member VM2 .*://p' "$SIM/out")
    [ -n "$VM1" ]
    [ -n "$VM2" ]
}
ctl() { "$BIN/smapisim" ctl "$SIM/ctl" "$@"; }
says() { # LINE COMMAND...
    local wanted=$1 got
    shift
    got=$(ctl "$@")
    [ "$got" = "$wanted" ] || { echo "$*: '$got', not '$wanted'" >&2; return 1; }
}
clean() { says '' violations && says '' check; }
# The last violation is like this one, and is taken away.
violated() { # PATTERN
    local got
    got=$(ctl violations)
    # shellcheck disable=SC2053
    [[ $got == $1 ]] || { echo "violations: '$got', not like '$1'" >&2; return 1; }
    says '' violations clear
}
until_says() { # LINE COMMAND...
    local i
    for ((i = 0; i < 500; i++)); do
        [ "$(ctl "${@:2}")" != "$1" ] || return 0
        sleep 0.02
    done
    says "$@"
}

until_violated() {
    local i
    for ((i = 0; i < 500; i++)); do
        [ -z "$(ctl violations)" ] || return 0
        sleep 0.02
    done
    return 1
}

# ---- bytes, as hex

hex() { printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'; }
len() { printf '%08x' "$1"; }
field() { printf '%s' "$(len ${#1})$(hex "$1")"; }
whole() { printf '%s%s' "$(len $((${#1} / 2)))" "$1"; }
keys() {
    local key
    for key; do printf '%s00' "$(hex "$key")"; done
}
head_of() { printf '%s' "$(field "$1")$(field "${USERID-maint}")$(field "${PASSWORD-maint}")"; } # FUNCTION
request() { # FUNCTION TARGET KEY...
    whole "$(head_of "$1")$(field "$2")$(keys "${@:3}")"
}
write_hex() { # shellcheck disable=SC2059
    printf "$(sed 's/../\\x&/g' <<<"$1")"
}
read_hex() { timeout "${WAIT:-10}" od -An -v -tx1 | tr -d ' \n'; }
# Sends bytes and reads to the end: the id goes to $ID, what comes after it to $REPLY; the id in there is shown as "ID".
send() { # PORT HEX
    local fd all
    exec {fd}<>"/dev/tcp/127.0.0.1/$1"
    write_hex "$2" >&"$fd"
    all=$(read_hex <&"$fd")
    exec {fd}>&-
    ID=${all:0:8}
    REPLY=${all:8}
    [ -z "$REPLY" ] || [ "${REPLY:8:8}" != "$ID" ] || REPLY="${REPLY:0:8} ID ${REPLY:16}"
}
reply_is() { [ "$REPLY" = "$1" ] || { echo "reply '$REPLY', not '$1'" >&2; return 1; }; }
# A reply without data, or with one error record.
codes() { # RC RS [TEXT]
    local data=
    [ -z "${3:-}" ] || data=$(keys "$3")
    reply_is "$(len $((12 + ${#data} / 2))) ID $(len "$1")$(len "$2")$data"
}
ask() { send "$1" "$(request "${@:2}")"; } # PORT FUNCTION TARGET KEY...
move() { ask "$VM1" VMRELOCATE GT@PONG destination=VM2 action=MOVE "$@"; }

# ---- what is recorded of a real z/VM

@test "recorded: TEST is refused with the numbers of the messages" {
    sim_up
    ctl ineligible GT@PONG VM2 1940 1996 1996 1981
    local bytes
    bytes=0000005c0000000a$(hex VMRELOCATE)00000005$(hex maint)00000005$(hex maint)00000007$(hex gt@pong)
    bytes+=$(keys destination=vm2 action=test 'force=domain storage')
    [ ${#bytes} = 192 ]
    send "$VM1" "$bytes"
    reply_is "00000020 ID 0000000400000bb8$(keys '1940 1996 1996 1981')"
    clean
}

@test "recorded: MOVE with all its operands, and back at once" {
    sim_up
    local bytes
    bytes=$(request VMRELOCATE gt@pong destination=vm2 action=move 'force=domain storage' immediate=no \
        max_total=nolimit max_quiesce=nolimit)
    [ "${bytes:0:8}" = 0000008f ]
    [ ${#bytes} = 294 ]
    send "$VM1" "$bytes"
    reply_is '0000000c ID 0000000000000000'
    says 'VM2 on' where GT@PONG
    bytes=$(request VMRELOCATE gt@pong destination=vm1 action=move 'force=domain storage' immediate=yes)
    [ "${bytes:0:8}" = 0000006a ]
    [ ${#bytes} = 220 ]
    send "$VM2" "$bytes"
    reply_is '0000000c ID 0000000000000000'
    says 'VM1 on' where GT@PONG
    says 'begun 2 completed 2 cancelled 0' moves GT@PONG
    clean
}

@test "recorded: Modify, Status, Image_Attributes and Image_Status_Query" {
    sim_up
    local bytes
    bytes=$(request VMRELOCATE_Modify gt@pong max_total=500 max_quiesce=400)
    [ "${bytes:0:8}" = 00000050 ]
    send "$VM1" "$bytes"
    reply_is "00000011 ID 0000000800000bc2$(keys 1926)"
    bytes=$(request VMRELOCATE_Status gt@pong status_target=ALL)
    [ "${bytes:0:8}" = 00000044 ]
    send "$VM1" "$bytes"
    reply_is '0000000c ID 0000000400000bb9'
    bytes=$(request VMRELOCATE_Image_Attributes gt@pong relocation_setting=ON domain_name=SSI archforce=NO)
    [ "${bytes:0:8}" = 0000006f ]
    send "$VM1" "$bytes"
    reply_is '0000000c ID 0000000000000000'
    bytes=$(request Image_Status_Query gt@pong)
    [ "${bytes:0:8}" = 00000033 ]
    send "$VM1" "$bytes"
    reply_is "0000001b ID 00000000000000000000000b00000007$(hex GT@PONG)"
    clean
}

@test "recorded: Event_Subscribe gets its id, and the socket stays open and streams events" {
    sim_up
    local fd one two bytes
    bytes=$(request Event_Subscribe maint)
    [ "${bytes:0:8}" = 0000002e ]
    exec {one}<>"/dev/tcp/127.0.0.1/$VM1" {two}<>"/dev/tcp/127.0.0.1/$VM2"
    write_hex "$bytes" >&"$one"
    write_hex "$bytes" >&"$two"
    for fd in $one $two; do [ "$(head -c 4 <&"$fd" | od -An -v -tx1 | tr -d ' \n' | wc -c)" = 8 ]; done
    move
    # length, type 0, class 0, type, GT@PONG and the other system in EBCDIC
    local guest=c7e37cd7d6d5c740 on_one on_two
    on_one=$(head -c 56 <&"$one" | od -An -v -tx1 | tr -d ' \n')
    on_two=$(head -c 56 <&"$two" | od -An -v -tx1 | tr -d ' \n')
    [ "$on_one" = "000000180000000000000009${guest}e5d4f24040404040""00000018000000000000000b${guest}e5d4f24040404040" ]
    [ "$on_two" = "00000018000000000000000a${guest}e5d4f14040404040""00000018000000000000000c${guest}e5d4f14040404040" ]
    ctl duration 100
    ask "$VM2" VMRELOCATE GT@PONG destination=VM1 action=MOVE &
    until_says 'VM2 moving VM1' where GT@PONG
    ctl logoff GT@PONG
    wait $!
    [ "$(head -c 49 <&"$two" | od -An -v -tx1 | tr -d ' \n' | tail -c 42)" = "00000011000000000000000d${guest}01" ]
    clean
    write_hex 00 >&"$one"
    until_violated
    violated '*VM1 #*: 1 bytes on a connection that is subscribed to events'
    exec {one}>&- {two}>&-
}

# ---- what is built from the description

@test "SSI_Query says what each member's state is" {
    sim_up
    ctl member VM2 down
    ask "$VM1" SSI_Query ALL
    local text
    text=$(write_hex "${REPLY:28}" | tr '\0' '|')
    local beat='../../...._..:..:..'
    [[ $text =~ ^SSI\|Stable\|Enabled\|VMCOM1\ on\ 01F0\|1\ VM1\ Joined\ $beat\ $beat\|2\ VM2\ Down\|3\ -------- ]]
    [[ $text == *'|3 -------- Available|4 -------- Available|' ]]
    clean
}

@test "a running move is listed on both members, and nowhere else" {
    sim_up --member VM3=127.0.0.1:0 --duration 100
    local vm3 out
    vm3=$(sed -n 's/^member VM3 .*://p' "$SIM/out")
    move &
    out=$!
    until_says 'VM1 moving VM2' where GT@PONG
    local port line
    line=$(hex 'GT@PONG VM1 VM2 MAINT 00:00:0')
    for port in "$VM1" "$VM2"; do
        ask "$port" VMRELOCATE_Status GT@PONG 'status_target=USER GT@PONG'
        [[ $REPLY == '00000039 ID 0000000000000000'"$line"*"$(hex ' MOVING_MEMORY')00" ]]
        ask "$port" VMRELOCATE_Status GT@PONG
        [[ $REPLY == *"$line"* ]]
    done
    ask "$VM1" VMRELOCATE_Status GT@PONG status_target=OUTGOING
    [[ $REPLY == *"$line"* ]]
    ask "$VM2" VMRELOCATE_Status GT@PONG status_target=incoming
    [[ $REPLY == *"$line"* ]]
    ask "$VM1" VMRELOCATE_Status GT@PONG status_target=INCOMING
    codes 4 3001
    ask "$VM2" VMRELOCATE_Status GT@PONG status_target=OUTGOING
    codes 4 3001
    ask "$vm3" VMRELOCATE_Status GT@PONG
    codes 4 3001
    ask "$VM1" VMRELOCATE_Status GT@PONG 'status_target=USER OTHER'
    codes 4 3001
    ask "$VM1" VMRELOCATE_Status GT@PONG status_target=GT@PONG
    codes 8 3003
    ctl status-word
    ask "$VM1" VMRELOCATE_Status GT@PONG
    [[ $REPLY == '0000002b ID 0000000000000000'"$line"*00 ]]
    ctl finish GT@PONG
    wait $out
    clean
}

@test "the id comes at once and the rest when the move is over; the guest is active on one member all the time" {
    sim_up --duration 100
    local fd
    exec {fd}<>"/dev/tcp/127.0.0.1/$VM1"
    write_hex "$(request VMRELOCATE GT@PONG destination=VM2 action=MOVE)" >&"$fd"
    [ "$(head -c 4 <&"$fd" | wc -c)" = 4 ]
    ask "$VM1" Image_Status_Query GT@PONG
    [[ $REPLY == '0000001b ID '* ]]
    ask "$VM2" Image_Status_Query GT@PONG
    codes 0 12
    says 'VM1 moving VM2' where GT@PONG
    ctl finish GT@PONG
    [[ $(read_hex <&"$fd") == 0000000c????????0000000000000000 ]]
    exec {fd}>&-
    ask "$VM1" Image_Status_Query GT@PONG
    codes 0 12
    ask "$VM2" Image_Status_Query GT@PONG
    [[ $REPLY == '0000001b ID '* ]]
    ask "$VM2" Image_Status_Query '*'
    [[ $REPLY == *"00000005$(hex TCPIP)"*"00000007$(hex GT@PONG)" ]]
    ask "$VM1" Image_Status_Query '*'
    [[ $REPLY == *"00000005$(hex TCPIP)"* && $REPLY != *"$(hex GT@PONG)"* ]]
    clean
}

@test "what stands against a move is said with a number" {
    sim_up --member VM3=127.0.0.1:0 --guest OFF1@VM1
    ctl logoff OFF1
    ask "$VM1" VMRELOCATE OFF1 destination=VM2 action=MOVE
    codes 8 3000 0045
    ask "$VM2" VMRELOCATE GT@PONG destination=VM1 action=MOVE
    codes 8 3000 0045
    ask "$VM2" VMRELOCATE GT@PONG destination=VM1
    codes 4 3000 0045
    ask "$VM1" VMRELOCATE GT@PONG destination=VM1 action=MOVE
    codes 8 3000 9902
    ask "$VM1" VMRELOCATE GT@PONG destination=VM9 action=MOVE
    codes 8 3000 9903
    ctl member VM3 down
    ask "$VM1" VMRELOCATE GT@PONG destination=VM3 action=MOVE
    codes 8 3000 9904
    ask "$VM1" VMRELOCATE TCPIP destination=VM2 action=MOVE
    codes 8 3000 9908
    ask "$VM1" VMRELOCATE GT@PONG action=CANCEL
    codes 8 3000 1926
    ask "$VM1" VMRELOCATE_Image_Attributes GT@PONG relocation_setting=OFF
    codes 0 0
    move
    codes 8 3000 9911
    ask "$VM1" VMRELOCATE_Image_Attributes OFF1 relocation_setting=OFF
    codes 8 12
    ask "$VM1" VMRELOCATE_Image_Attributes GT@PONG domain_name=NONE
    codes 8 1821
    says 'begun 0 completed 0 cancelled 0' moves GT@PONG
    clean
}

@test "a force word lifts what it can lift, and nothing else" {
    sim_up
    ctl ineligible GT@PONG VM2 1940 unless domain
    ctl ineligible GT@PONG '*' 1981 unless storage
    ctl ineligible GT@PONG VM3 1996
    move
    codes 8 3000 '1940 1981'
    move force=DOMAIN
    codes 8 3000 1981
    move force=ARCHITECTURE
    codes 8 3000 '1940 1981'
    ask "$VM1" VMRELOCATE GT@PONG destination=VM2 'force=STORAGE DOMAIN'
    codes 0 0
    says 'VM1 on' where GT@PONG
    ctl eligible GT@PONG
    move
    codes 0 0
    clean
}

@test "a moving guest is not moved again; CANCEL and the limits leave it where it was" {
    sim_up --duration 100
    local fd
    for how in cancel max_total modify down logoff; do
        exec {fd}<>"/dev/tcp/127.0.0.1/$VM1"
        local limit=
        [ $how != max_total ] || limit=max_total=1
        write_hex "$(request VMRELOCATE GT@PONG destination=VM2 action=MOVE $limit)" >&"$fd"
        until_says 'VM1 moving VM2' where GT@PONG
        move
        codes 8 3000 9901
        local number=9906
        case $how in
        cancel)
            ask "$VM2" VMRELOCATE GT@PONG action=CANCEL
            codes 8 3000 1926
            ask "$VM1" VMRELOCATE GT@PONG action=CANCEL destination=any_thing max_total=x
            codes 0 0
            number=9905
            ;;
        modify)
            ask "$VM1" VMRELOCATE_Modify GT@PONG max_total=1
            codes 0 0
            ;;
        down) ctl member VM2 down; number=9910 ;;
        logoff) ctl logoff GT@PONG; number=9909 ;;
        esac
        REPLY=$(read_hex <&"$fd")
        [ "${REPLY:8}" = "00000011${REPLY:0:8}0000000800000bb8$(keys $number)" ]
        exec {fd}>&-
        [ $how != down ] || ctl member VM2 joined
    done
    says '- off' where GT@PONG
    says 'begun 5 completed 0 cancelled 5' moves GT@PONG
    clean
}

@test "a guest that must stop for too long stays where it was" {
    sim_up
    ctl quiesce GT@PONG 11
    move
    codes 8 3000 9907
    move max_quiesce=10 immediate=YES
    codes 8 3000 9907
    says 'VM1 on' where GT@PONG
    move max_quiesce=11
    codes 0 0
    ask "$VM2" VMRELOCATE GT@PONG destination=VM1 action=MOVE immediate=YES
    codes 0 0
    says 'begun 4 completed 2 cancelled 2' moves GT@PONG
    clean
}

@test "a client that goes away does not end the move" {
    sim_up --duration 0.3
    local fd
    exec {fd}<>"/dev/tcp/127.0.0.1/$VM1"
    write_hex "$(request VMRELOCATE GT@PONG destination=VM2 action=MOVE)" >&"$fd"
    local id
    id=$(head -c 4 <&"$fd" | od -An -v -tx1 | tr -d ' \n')
    exec {fd}>&-
    until_says 'VM2 on' where GT@PONG
    send "$VM1" "$(whole "$(head_of Response_Recovery)$(field GT@PONG)$id")"
    reply_is "00000018 ID 0000000000000000${id}0000000000000000"
    clean
}

# ---- who may

@test "credentials: wrong, locked, expired, not authorised, and right again" {
    sim_up --user other:x
    ask "$VM1" Check_Authentication x || :
    violated '*24/425: *'
    send "$VM1" "$(whole "$(head_of Check_Authentication)")"
    codes 0 0
    local i
    for i in 1 2 3; do
        PASSWORD=wrong send "$VM1" "$(whole "$(PASSWORD=wrong head_of Check_Authentication)")"
        codes 120 0
    done
    grep -q 'wrong password, 3 in a row, 3 in all' "$SIM/log"
    send "$VM1" "$(whole "$(head_of Check_Authentication)")"
    codes 120 0
    says "$(printf '%s\n' 'member VM1 joined' 'member VM2 joined' 'user OTHER wrong 0' 'user MAINT wrong 3 locked' \
        'guest GT@PONG VM1 on')" state
    ctl password maint new
    PASSWORD=new ask "$VM1" Image_Status_Query GT@PONG
    [[ $REPLY == 0000001b* ]]
    ctl expire maint
    PASSWORD=new ask "$VM1" Image_Status_Query GT@PONG
    codes 128 0
    PASSWORD=old ask "$VM1" Image_Status_Query GT@PONG
    codes 120 0
    USERID=nobody ask "$VM1" Image_Status_Query GT@PONG
    codes 120 0
    USERID='' PASSWORD='' ask "$VM1" Image_Status_Query GT@PONG
    codes 120 0
    ctl deny other VMRELOCATE
    USERID=OTHER PASSWORD=x move
    codes 100 16
    USERID=OTHER PASSWORD=x ask "$VM1" VMRELOCATE_Status GT@PONG
    codes 4 3001
    ctl authorise other '*'
    USERID=other PASSWORD=x move
    codes 0 0
    run ! grep -r 'wrong\b.*maint\|new' <(ctl requests) <(ctl bytes 64)
    clean
}

# ---- operands

@test "operands: unknown names, bad values, missing ones" {
    sim_up
    ask "$VM1" VMRELOCATE GT@PONG destination=VM2 speed=HIGH
    codes 8 3002
    ask "$VM1" VMRELOCATE GT@PONG Destination=VM2
    codes 8 3002
    ask "$VM1" VMRELOCATE GT@PONG destination
    codes 8 3002
    ask "$VM1" VMRELOCATE GT@PONG action=MOVE
    codes 8 3004
    ask "$VM1" VMRELOCATE GT@PONG action=MOVE destination=
    codes 8 3004
    local bad
    for bad in action=MOVES force=ALL 'force=DOMAIN,STORAGE' immediate=MAYBE max_total=0 max_total=1.5 max_total=-1 \
        max_quiesce=0 max_quiesce=100000000; do
        ask "$VM1" VMRELOCATE GT@PONG destination=VM2 "$bad"
        codes 8 3003
    done
    ask "$VM1" VMRELOCATE GT@PONG destination=TOOLONGER
    codes 8 3003
    ask "$VM1" VMRELOCATE GT@PONG destination=VM_2
    codes 8 3003
    ask "$VM1" VMRELOCATE_Modify GT@PONG
    codes 8 3004
    ask "$VM1" VMRELOCATE_Modify GT@PONG max_total=many
    codes 8 3003
    clean
    says 'begun 0 completed 0 cancelled 0' moves GT@PONG
}

@test "a member that is in no SSI, was IPLed with REPAIR, or whose SSI is not stable" {
    sim_up
    ctl member VM1 nossi
    move
    codes 8 3008
    ask "$VM1" SSI_Query ALL
    codes 4 3008
    ask "$VM2" VMRELOCATE GT@PONG destination=VM1
    codes 4 3000 0045
    ctl member VM1 repair
    ask "$VM1" SSI_Query ALL
    codes 4 3009
    move
    codes 8 3008
    ctl member VM1 unstable
    move
    codes 8 3006
    ask "$VM1" SSI_Query ALL
    [[ $REPLY == *"$(keys SSI Influx)"* ]]
    ctl member VM1 joined
    move
    codes 0 0
    clean
}

# ---- damage

@test "damage: each kind is refused with its code, and is a violation" {
    sim_up
    local h
    h=$(head_of VMRELOCATE)
    # the total length
    send "$VM1" 0000000f000000000000000000000000000000
    codes 900 20
    violated '*VM1 #1: 900/20: total length'
    send "$VM1" 00010001
    codes 900 36
    violated '*900/36: total length'
    send "$VM1" 160301020001000001fc0303 # TLS on a port without it
    codes 900 36
    violated '*900/36: total length'
    # fields that say that they are longer than they can be, or than the request
    send "$VM1" "$(whole "$(len 44)$(hex VMRELOCATEVMRELOCATEVMRELOCATEVMRELOCATEVMRE)")"
    codes 900 36
    violated '*900/36: the function *'
    send "$VM1" "$(whole "$(field VMRELOCATE)$(field maintenance)$(field maint)$(field GT@PONG)")"
    codes 900 36
    violated '*900/36: the user id *'
    send "$VM1" "$(whole "$(field VMRELOCATE)$(field maint)ffffffff$(hex maint)$(field GT@PONG)")"
    codes 900 36
    violated '*900/36: the password *'
    send "$VM1" "$(whole "${h}00000008$(hex GT@PONG)")"
    codes 900 36
    violated '*900/36: the target says it has 8 bytes, and 7 are left'
    send "$VM1" "$(whole "${h}00000000")"
    codes 900 36
    violated '*900/36: the target *'
    # functions
    ask "$VM1" VMRELOKATE GT@PONG
    codes 900 12
    violated '*900/12: there is no such function'
    ask "$VM1" vmrelocate GT@PONG
    codes 900 12
    violated '*900/12: *'
    # syntax: 24 and the position of the parameter
    send "$VM1" "$(whole "$h")"
    codes 24 424
    violated '*24/424: the target is missing'
    send "$VM1" "$(whole "${h}0000")"
    codes 24 488
    violated '*24/488: *'
    ask "$VM1" VMRELOCATE GT_PONG destination=VM2
    codes 24 442
    violated '*24/442: *char42'
    ask "$VM1" VMRELOCATE '*' destination=VM2
    codes 24 442
    violated '*24/442: *char42'
    send "$VM1" "$(whole "$h$(field GT@PONG)$(keys destination=VM2)$(hex action=MOVE)")"
    codes 24 688
    violated '*24/688: the last parameter is not ended by a NUL'
    ask "$VM1" VMRELOCATE GT@PONG destination=VM2 destination=VM1
    codes 24 623
    violated '*24/623: destination comes twice'
    ask "$VM1" Image_Status_Query GT@PONG x=y
    codes 24 525
    violated '*24/525: 4 bytes after the last parameter'
    send "$VM1" "$(whole "$(head_of Response_Recovery)$(field GT@PONG)0000")"
    codes 24 588
    violated '*24: 2 bytes where a number of 4 is expected'
    says 'begun 0 completed 0 cancelled 0' moves GT@PONG
    clean
}

@test "damage: bytes after the request, a second request, and one that is cut off" {
    sim_up
    local bytes
    bytes=$(request VMRELOCATE_Status GT@PONG)
    send "$VM1" "${bytes}6162636465"
    codes 4 3001
    violated '*VM1 #1: 5 bytes of garbage after the request'
    send "$VM1" "$bytes$bytes"
    codes 4 3001
    violated '*VM1 #2: a second request on one connection'
    local fd
    exec {fd}<>"/dev/tcp/127.0.0.1/$VM1"
    write_hex "$bytes" >&"$fd"
    [ "$(head -c 20 <&"$fd" | wc -c)" = 20 ]
    write_hex "$bytes" >&"$fd"
    until_violated
    exec {fd}>&-
    violated '*VM1 #3: a second request on one connection'
    exec {fd}<>"/dev/tcp/127.0.0.1/$VM1"
    write_hex "${bytes:0:30}" >&"$fd"
    exec {fd}>&-
    until_violated
    violated '*VM1 #4: the request is cut off after 15 bytes'
    # a connection that asks nothing is none
    exec {fd}<>"/dev/tcp/127.0.0.1/$VM1"
    exec {fd}>&-
    clean
}

@test "the password is shown nowhere" {
    sim_up --user op:GeHeim77
    USERID=op PASSWORD=GeHeim77 move
    codes 0 0
    send "$VM1" "$(whole "$(field VMRELOCATE)$(field op)000000ff$(hex GeHeim77)")"
    codes 900 36
    send "$VM1" "$(USERID=op PASSWORD=GeHeim77 request VMRELOCATE_Status GT@PONG)$(hex GeHeim77)"
    local all
    all=$(ctl requests; ctl bytes; ctl violations; ctl state; cat "$SIM/log")
    [[ $all != *GeHeim77* && $all != *"$(hex GeHeim77)"* ]]
    [[ $(ctl bytes 1) == *"$(field op)00000008xxxxxxxxxxxxxxxx$(field GT@PONG)" ]]
    [[ $(ctl requests) == *' VM1 VMRELOCATE OP GT@PONG destination=VM2 action=MOVE'* ]]
}

# ---- faults

recover() { send "$VM1" "$(whole "$(head_of Response_Recovery)$(field GT@PONG)$1")"; }

@test "faults before the id: the request is lost, or it is carried out" {
    sim_up --guest TWO@VM1
    ctl fault MOVE close-before-id
    move
    [ -z "$ID$REPLY" ]
    says 'begun 0 completed 0 cancelled 0' moves GT@PONG
    ctl fault VMRELOCATE close-before-id-taken
    move
    [ -z "$ID$REPLY" ]
    says 'VM2 on' where GT@PONG
    ask "$VM1" VMRELOCATE TWO destination=VM2 action=MOVE
    codes 0 0
    clean
}

@test "faults after the id: the reply is lost, and can be recovered or not" {
    sim_up
    local first
    ctl fault 'VMRELOCATE@VM1' close-after-id
    move
    [ -n "$ID" ]
    [ -z "$REPLY" ]
    first=$ID
    recover "$first"
    reply_is "00000018 ID 0000000000000000${first}0000000000000000"
    move
    codes 8 3000 0045
    recover "$ID"
    [[ $REPLY == "0000001d ID 0000000000000000"*"0000000800000bb8$(keys 0045)" ]]
    ctl fault VMRELOCATE drop-reply
    move
    [ -n "$ID" ]
    [ -z "$REPLY" ]
    recover "$ID"
    [[ $REPLY == '0000001d ID 0000000000000000'* ]]
    ctl fault VMRELOCATE no-recovery
    move
    [ -n "$ID" ]
    [ -z "$REPLY" ]
    recover "$ID"
    codes 4 4
    recover 00000000
    codes 4 4
    # another user's, another member's
    ctl fault TEST close-after-id
    ask "$VM2" VMRELOCATE GT@PONG destination=VM1
    recover "$ID"
    codes 4 4
    clean
}

@test "a reply that is not there yet cannot be recovered yet" {
    sim_up --duration 100
    ctl fault MOVE close-after-id
    move
    recover "$ID"
    codes 4 28
    clean
}

@test "faults of the reply: byte by byte, late, wrong lengths, wrong ids, other codes" {
    sim_up
    ctl fault Image_Status_Query bytewise 2
    ask "$VM1" Image_Status_Query GT@PONG
    reply_is "0000001b ID 00000000000000000000000b00000007$(hex GT@PONG)"
    ask "$VM1" Image_Status_Query GT@PONG
    ctl fault '*' garbage-length
    ask "$VM1" Image_Status_Query GT@PONG
    [[ $REPLY == 'deadbeef ID '* ]]
    ctl fault '*' short-length
    ask "$VM1" Image_Status_Query GT@PONG
    [[ $REPLY == '00000008 ID '* ]]
    ctl fault '*' wrong-id
    ask "$VM1" Image_Status_Query GT@PONG
    [[ -n $ID && $REPLY == 0000001b* && $REPLY != *ID* ]]
    ctl fault MOVE rc 8 3000 1234 5678
    move
    codes 8 3000 '1234 5678'
    says 'begun 0 completed 0 cancelled 0' moves GT@PONG
    ctl fault MOVE rc 396 7
    move
    codes 396 7
    local began=$EPOCHREALTIME
    ctl fault Image_Status_Query late 0.3
    ask "$VM1" Image_Status_Query GT@PONG
    [ $((${EPOCHREALTIME/./} - ${began/./})) -ge 300000 ]
    [[ $REPLY == '0000001b ID '* ]]
    began=$EPOCHREALTIME
    ctl fault Image_Status_Query late-id 0.3
    ask "$VM1" Image_Status_Query GT@PONG
    [ $((${EPOCHREALTIME/./} - ${began/./})) -ge 300000 ]
    [[ $REPLY == '0000001b ID '* ]]
    ctl fault MOVE rc-taken 8 3000 9999 times 1
    move
    codes 8 3000 9999
    says 'VM2 on' where GT@PONG
    says '' faults
    clean
}

@test "an asynchronous operation is asked for until it is over" {
    sim_up --duration 100
    local kind id
    for kind in 592 592-rs; do
        ctl fault MOVE $kind
        move
        if [ $kind = 592 ]; then
            [[ $REPLY == '00000010 ID 0000025000000000'???????? ]]
            id=${REPLY: -8}
        else
            [[ $REPLY == '0000000c ID 00000250'???????? ]]
            id=${REPLY: -8}
        fi
        send "$VM1" "$(whole "$(head_of Query_Asynchronous_Operation_DM)$(field GT@PONG)$id")"
        codes 0 104
        says 'VM1 moving VM2' where GT@PONG
        if [ $kind = 592 ]; then
            ask "$VM1" VMRELOCATE GT@PONG action=CANCEL
            codes 0 0
        else
            ctl finish GT@PONG
        fi
        send "$VM1" "$(whole "$(head_of Query_Asynchronous_Operation_DM)$(field GT@PONG)$id")"
        if [ $kind = 592 ]; then codes 0 108; else codes 0 100; fi
    done
    says 'VM2 on' where GT@PONG
    clean
}

@test "a member that is down, refuses, or is silent; its port is the same afterwards" {
    sim_up
    local mode
    for mode in down refuse; do
        ctl member VM1 $mode
        run ! bash -c "exec 3<>/dev/tcp/127.0.0.1/$VM1"
        ctl member VM1 joined
        ask "$VM1" Image_Status_Query GT@PONG
        [[ $REPLY == 0000001b* ]]
    done
    ctl member VM1 silent
    WAIT=0.3 ask "$VM1" VMRELOCATE GT@PONG destination=VM2 action=MOVE
    [ -z "$ID$REPLY" ]
    ask "$VM2" Image_Status_Query GT@PONG
    codes 0 12
    ctl member VM1 joined
    says 'VM1 on' where GT@PONG
    says 'begun 0 completed 0 cancelled 0' moves GT@PONG
    clean
}

# ---- many and slow

@test "a hundred connections at once, and slow ones that hold nobody up" {
    local i fd slow fds=() guests=()
    for ((i = 0; i < 100; i++)); do guests+=(--guest "G$i@VM1"); done
    sim_up --duration 0.3 "${guests[@]}"
    exec {slow}<>"/dev/tcp/127.0.0.1/$VM1"
    write_hex 000000 >&"$slow"
    for ((i = 0; i < 100; i++)); do
        exec {fd}<>"/dev/tcp/127.0.0.1/$VM1"
        fds+=("$fd")
    done
    for ((i = 0; i < 100; i++)); do
        write_hex "$(request VMRELOCATE "G$i" destination=VM2 action=MOVE)" >&"${fds[i]}"
    done
    for fd in "${fds[@]}"; do
        [[ $(read_hex <&"$fd") == ????????0000000c????????0000000000000000 ]]
        exec {fd}>&-
    done
    [ "$(ctl state | grep -c ' VM2 on$')" = 100 ]
    local bytes
    bytes=$(request VMRELOCATE_Status GT@PONG)
    bytes=${bytes:6}
    for ((i = 0; i < ${#bytes}; i += 2)); do write_hex "${bytes:i:2}" >&"$slow"; done
    [[ $(read_hex <&"$slow") == ????????0000000c????????0000000400000bb9 ]]
    exec {slow}>&-
    # ids are all different
    sed -n 's/.* \([0-9a-f]*\) VM. [A-Za-z_]*: reply.*/\1/p' "$SIM/log" | sort >"$SIM/ids"
    [ "$(wc -l <"$SIM/ids")" = 101 ]
    [ "$(uniq "$SIM/ids" | wc -l)" = 101 ]
    clean
}

# ---- TLS

@test "TLS: the same bytes, and plain bytes are a violation" {
    "$BIN/smapisim" cert "$SIM/cert" "$SIM/key"
    sim_up --tls VM1=127.0.0.1:0 --cert "$SIM/cert" --key "$SIM/key"
    local port all
    port=$(sed -n 's/^tls VM1 .*://p' "$SIM/out")
    all=$(write_hex "$(request VMRELOCATE GT@PONG destination=VM2 action=MOVE)" |
        "$BIN/smapisim" tls "127.0.0.1:$port" "$SIM/cert" | od -An -v -tx1 | tr -d ' \n')
    [ "$all" = "${all:0:8}0000000c${all:0:8}0000000000000000" ]
    says 'VM2 on' where GT@PONG
    ctl fault '*' bytewise
    all=$(write_hex "$(request VMRELOCATE_Status GT@PONG)" |
        "$BIN/smapisim" tls "127.0.0.1:$port" "$SIM/cert" | od -An -v -tx1 | tr -d ' \n')
    [ "$all" = "${all:0:8}0000000c${all:0:8}0000000400000bb9" ]
    clean
    send "$port" "$(request VMRELOCATE_Status GT@PONG)"
    violated '*VM1 #*: TLS: *'
}

# ---- the program itself

@test "it listens on the loopback only, and says what is wrong with its options" {
    run -2 "$BIN/smapisim" --member VM1=0.0.0.0:0 --user a:b --control "$SIM/c"
    [[ $output == *'not a HOST:PORT of the loopback'* ]]
    run -2 "$BIN/smapisim" --member VM1=127.0.0.1:0 --control "$SIM/c"
    [[ $output == usage:* ]]
    run -2 "$BIN/smapisim" --guest A@VM1 --member VM1=127.0.0.1:0 --user a:b --control "$SIM/c"
    sim_up
    run -1 "$BIN/smapisim" ctl "$SIM/ctl" where NOBODY
    [ "$output" = 'error no such guest' ]
    run -1 "$BIN/smapisim" ctl "$SIM/ctl" dance
    run -1 "$BIN/smapisim" ctl "$SIM/ctl" guest MAINT@VM1
    run -1 "$BIN/smapisim" ctl "$SIM/ctl" fault NOTHING rc 1 2
    run -2 "$BIN/smapisim" ctl "$SIM/nothing" state
}

@test "with --with-stdin it ends when its input is closed" {
    local r=0
    sleep 0.3 | timeout 10 "$BIN/smapisim" --member VM1=127.0.0.1:0 --user a:b --control "$SIM/c" --with-stdin || r=$?
    [ $r = 0 ]
    [ ! -e "$SIM/c" ]
}
