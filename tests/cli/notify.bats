#!/usr/bin/env bats
# notify.bats - rmigrate-watch tells: each kind of news, once, whatever is killed and restarted meanwhile

setup_file() {
    load common
    site_new 'attempts = 1; limits: { source = 50; destination = 50; };'
    mkdir -p "$WORLD"/{n1,n2,n3}
    broker_up
    WORKER_SLOTS=50 worker_up all n1 n2
    worker_up other n3
    mkdir -p "$SITE/hooks" "$SITE/bin"
    hooks_up
    # What it is given on its standard input becomes a line of a file, with a variable and its arguments.
    cat >"$SITE/bin/note" <<END
#!/bin/sh
printf '%s\t%s\t%s\n' "\$*" "\$RMIGRATE_TEXT" "\$(cat)" >>"$SITE/\$1"
echo "noted in \$1"
END
    printf '#!/bin/sh\nsleep 3600 & echo $! >"%s/sleeper"\nwait\n' "$SITE" >"$SITE/bin/hang"
    chmod 755 "$SITE"/bin/*
}
teardown_file() { load common; site_down; }
setup() {
    load common
    rm -f "$SITE"/hooks/{got,refused,answers}
}
teardown() {
    [ "${BATS_TEST_COMPLETED-}" = 1 ] || cat "$SITE/log/watch" >&2
    watch_down
    [ ! -e "$SITE/log/watch" ] || run ! grep -nE -A20 'Sanitizer|runtime error:|Assertion' "$SITE/log/watch"
    rm -rf "$SITE/state" "$SITE/log/watch"
    for host in n1 n2 n3; do rm -f "$WORLD/$host"/*; up "$host"; done
    rm -f "$WORLD"/plan/*
    ask open n1,n2,n3 >/dev/null 2>&1 || :
}

hooks_up() {
    launch hooks "$TREE/tests/cli/hooks.py" "$SITE/hooks"
    until_true 10 test -s "$SITE/hooks/port"
}
url() { echo "http://127.0.0.1:$(cat "$SITE/hooks/port")/${1:-hook}"; }

# Settings with these rows of `notify`, and others of the section.
watch_conf() { # ROWS [SETTINGS]
    mkdir -p "$SITE/state"
    cat >"$SITE/watch.conf" <<END
watch: { broker = "ipc://$SITE/broker"; listen = ""; state = "$SITE/state"; ${2:-}
    notify = ( $1 ); };
END
}
# It runs, and has looked at the site once.
watch_up() { # [ROWS [SETTINGS]]
    [ $# = 0 ] || watch_conf "$@"
    launch watch "$BIN/rmigrate-watch" -c "$SITE/watch.conf"
    until_true 10 test -s "$SITE/state/ledger"
}
watch_down() { end_it watch "$@"; }
hook() { echo "{ name = \"hook\"; url = \"$(url)\"; wait = \"100 ms\"; ${1:-} }"; }

# Everything that was posted, or that the command was given, as one list of news.
news() { cut -f "${2:-4}" "$SITE/${1:-hooks/got}" 2>/dev/null | jq -s '[.[].items[]]'; }
# Is this true of it?
got() { news "${2:-}" "${3:-}" | jq -e "$1" >/dev/null; }
messages() { cat "$SITE/hooks/got" 2>/dev/null | wc -l; }
fails_to_move() { # GUEST [WHY]
    guest "$1" n1
    until_true 5 guest_is_seen "$1"
    plan "$1" "fail 0 fatal 9 ${2:-no}"
    ask submit "$1" --to n2 >/dev/null 2>&1 || :
}

# bats test_tags=slow
@test "what was before the first start is not told, what is locked then is" {
    fails_to_move past1
    guest past2 n1
    until_true 5 guest_is_seen past2
    plan past2 'vanish 0 ambiguous 38 gone'
    ask submit past2 --to n2 >/dev/null 2>&1 || :
    until_true 10 told '.guests[0].locked' guests past2
    ask evacuate n3 >/dev/null 2>&1
    watch_up "$(hook)"
    until_true 20 got 'length == 1 and .[0].kind == "locked" and .[0].guest == "past2" and (.[0].over | not)'
    ask release past2 >/dev/null
    until_true 20 got 'length == 2 and .[1].kind == "locked" and .[1].over and .[1].good and .[1].guest == "past2"'
}

# bats test_tags=slow
@test "a guest whose job fails for good: who, where, which job, why" {
    watch_up "$(hook)"
    fails_to_move kvm1 'no space left'
    until_true 20 got 'length == 1'
    got '.[0] | .kind == "failed" and .guest == "kvm1" and .host == "n1" and (.why | contains("no space left"))'
    got ".[0].job == $(last_job kvm1)"
    got '.[0].batch > 0 and .[0].at > 1700000000'
    run cut -f 4 "$SITE/hooks/got"
    json '.version == 1 and .more == 0 and (.site | length > 0) and .at > 1700000000'
    json '.text | test("^kvm1 could not be moved: .*no space left")'
    run cut -f 1,3 "$SITE/hooks/got"
    is $'/hook\tapplication/json'
}

# bats test_tags=slow
@test "forty failures are one message" {
    local guests
    guests=$(printf 'f%s,' {1..40})
    watch_up "{ name = \"hook\"; url = \"$(url)\"; wait = \"3 s\"; on = [ \"failed\" ]; }"
    for i in {1..40}; do guest "f$i" n1; plan "f$i" 'fail 0 fatal 9 no'; done
    until_true 5 told '.guests | length == 40' guests "${guests%,}"
    ask submit "${guests%,}" --to n2 >/dev/null 2>&1 || :
    until_true 20 got 'length == 40 and all(.[]; .kind == "failed")'
    [ "$(messages)" = 1 ]
    run cut -f 4 "$SITE/hooks/got"
    json '.text | test("^40 guests could not be moved: f[0-9]+, .* and 35 more$")'
}

# bats test_tags=slow
@test "an evacuation that ended: the host is empty, or what is left" {
    watch_up "$(hook)"
    guest e1 n1
    until_true 5 guest_is_seen e1
    ask evacuate n1 --to n2 >/dev/null 2>&1
    until_true 20 got 'length == 1'
    got '.[0] | .kind == "evacuation" and .host == "n1" and .over and .good and (.why | startswith("is empty: 1 moved")) and .batch > 0'
    plan e1 'fail 0 fatal 9 stays'
    ask evacuate n2 --to n3 >/dev/null 2>&1 || :
    until_true 20 got 'any(.[]; .kind == "evacuation" and .host == "n2" and .over and (.good | not) and (.why | startswith("is not empty: ")))'
}

# bats test_tags=slow
@test "an evacuation of which nothing moves is told once, and its end" {
    watch_up "$(hook 'on = [ "evacuation" ];')" 'stuck = "1 s";'
    guest s1 n1
    until_true 5 guest_is_seen s1
    ask pause --host n1 >/dev/null
    ask evacuate n1 --to n2 --detach >/dev/null 2>&1
    until_true 30 got 'length == 1'
    got '.[0] | .kind == "evacuation" and .host == "n1" and (.over | not) and (.good | not) and (.why | length > 0)'
    ask resume --host n1 >/dev/null
    until_true 20 got 'length == 2 and .[1].over and .[1].good'
}

# bats test_tags=slow
@test "a guest in doubt, and that it is so no more" {
    watch_up "$(hook 'on = [ "doubt" ];')"
    guest d1 n3
    until_true 5 guest_is_seen d1
    plan d1 'hang 0'
    detach d1 --to n2 >/dev/null
    until_true 5 phase_is "$(last_job d1)" copying
    end_it other KILL
    down n3 # else the other worker finds out at once where it is
    until_true 30 got 'length == 1'
    got '.[0] | .kind == "doubt" and .guest == "d1" and .host == "n3" and (.over | not) and (.why | length > 0)'
    up n3
    worker_up other n3
    until_true 20 got 'length == 2 and .[1].over and .[1].guest == "d1"'
    ask cancel d1 >/dev/null 2>&1 || :
    until_true 10 nothing_live
}

# bats test_tags=slow
@test "a worker that is lost, and is back" {
    watch_up "$(hook 'on = [ "worker" ];')" 'away = "1 s";'
    end_it other
    until_true 30 got 'length == 1'
    got '.[0] | .kind == "worker" and .host == "n3" and (.over | not) and (.why | length > 0)'
    worker_up other n3
    until_true 30 got 'length == 2 and .[1].over and .[1].good and .[1].host == "n3"'
}

# bats test_tags=slow
@test "the broker is away for longer than it may be, and is back; its workers are not told as lost" {
    watch_up "$(hook)" 'timeout = "1 s"; away = "1 s";'
    broker_down
    until_true 30 got 'length == 1'
    got '.[0] | .kind == "broker" and (.over | not) and (.why | contains("Unable to reach the broker"))'
    broker_up
    until_true 30 got 'length == 2 and .[1].kind == "broker" and .[1].over'
}

# bats test_tags=slow
@test "a broker that is restarted: nothing is lost, nothing is told twice" {
    watch_up "$(hook 'on = [ "failed", "evacuation" ];')"
    fails_to_move r1
    until_true 20 got 'length == 1'
    end_it broker KILL
    broker_up
    until_true 10 host_is_seen n1
    fails_to_move r2
    ask evacuate n3 >/dev/null 2>&1
    until_true 20 got 'length == 3'
    got '[.[] | select(.kind == "failed") | .guest] == ["r1", "r2"]'
    got '[.[] | select(.kind == "evacuation") | .host] == ["n3"]'
}

# bats test_tags=slow
@test "what happens while it is killed is told at its next start, and what was told is not" {
    watch_up "$(hook 'on = [ "failed", "evacuation", "locked" ];')"
    fails_to_move k1
    until_true 20 got 'length == 1'
    guest k2 n1
    until_true 5 guest_is_seen k2
    plan k2 'fail 5000 fatal 9 late'
    detach k2 --to n2 >/dev/null
    until_true 10 phase_is "$(last_job k2)" copying
    until_true 20 got 'length == 1'
    watch_down KILL
    fails_to_move k3
    ask evacuate n3 >/dev/null 2>&1
    until_true 20 nothing_live
    end_it broker KILL
    broker_up
    until_true 10 host_is_seen n1
    watch_up
    until_true 20 got 'length == 4'
    got '[.[] | select(.kind == "failed") | .guest] | sort == ["k1", "k2", "k3"]'
    watch_down
    watch_up
    fails_to_move k4
    until_true 20 got 'length == 5 and .[4].guest == "k4"'
}

# bats test_tags=slow
@test "a server that fails twice is asked again, and is told once" {
    printf '500\n503\n' >"$SITE/hooks/answers"
    watch_up "$(hook)"
    fails_to_move t1
    until_true 30 got 'length == 1 and .[0].guest == "t1"'
    [ "$(wc -l <"$SITE/hooks/refused")" = 2 ]
    until_true 10 log_has watch 'notify=hook: not told, try 2 of 20: the server answers 503'
    fails_to_move t2
    until_true 20 got 'length == 2 and .[1].guest == "t2"'
}

# bats test_tags=slow
@test "what was not told when it is killed is told after its next start" {
    printf '500\n500\n500\n500\n' >"$SITE/hooks/answers"
    watch_up "$(hook)"
    fails_to_move u1
    until_true 10 test -s "$SITE/hooks/refused"
    watch_down KILL
    rm "$SITE/hooks/answers"
    watch_up
    until_true 20 got 'length == 1 and .[0].guest == "u1"'
}

# bats test_tags=slow
@test "after so many tries it is given up, and the log says what was not told" {
    printf '404\n404\n' >"$SITE/hooks/answers"
    watch_up "$(hook 'tries = 2;')"
    fails_to_move v1
    until_true 10 log_has watch 'notify=hook: given up after 2 tries (the server answers 404), not told: v1 could not be moved: '
    fails_to_move v2
    until_true 20 got 'length == 1 and .[0].guest == "v2"'
}

# bats test_tags=slow
@test "a server that is not there, or a command that hangs, does not delay another; the command is killed with its group" {
    watch_up "{ name = \"nowhere\"; url = \"http://127.0.0.1:1/\"; wait = \"0\"; },
        { name = \"hang\"; command = \"$SITE/bin/hang\"; wait = \"0\"; timeout = \"2 s\"; tries = 1; }, $(hook)"
    fails_to_move w1
    until_true 20 got 'length == 1 and .[0].guest == "w1"'
    until_true 10 test -s "$SITE/sleeper"
    until_true 10 log_has watch 'notify=nowhere: not told, try 1 of 20: '
    until_true 10 log_has watch 'notify=hang: given up after 1 tries (the command was killed: its time was over), not told: w1'
    until_true 5 has_ended "$(cat "$SITE/sleeper")"
}

# bats test_tags=slow
@test "a command is given words, the text in its environment, JSON on its standard input; its output is logged" {
    watch_up "{ name = \"note\"; command = \"$SITE/bin/note noted \$HOME *\"; wait = \"0\"; on = [ \"failed\" ]; }"
    fails_to_move x1 'full'
    until_true 20 got 'length == 1 and .[0].guest == "x1"' noted 3
    run cut -f 1,2 "$SITE/noted"
    matches '^noted \$HOME \*'$'\t''x1 could not be moved: .*full'
    until_true 10 log_has watch 'notify=note: the command says: noted in noted'
}

# bats test_tags=slow
@test "hostile texts arrive as data" {
    local why='it is "$(touch '"$SITE"'/owned)" `touch '"$SITE"'/owned`; $HOME \ '"'"' & <b>'
    rm -f "$SITE/noted"
    watch_up "$(hook 'on = [ "failed" ];'), { name = \"note\"; command = \"$SITE/bin/note noted\"; wait = \"0\"; on = [ \"failed\" ]; }"
    fails_to_move y1 "$why"
    until_true 20 got 'length == 1'
    until_true 20 got 'length == 1' noted 3
    news | jq -e --arg why "$why" '.[0].why | contains($why)' || wrong why "$(news)"
    news noted 3 | jq -e --arg why "$why" '.[0].why | contains($why)'
    [ ! -e "$SITE/owned" ]
    # a control character is none when it arrives
    fails_to_move y2 $'tab\there'
    until_true 20 got 'length == 2'
    [ "$(messages)" = 2 ]
    got '.[1].why | contains("tab")'
}

# bats test_tags=slow
@test "headers come from a file that nobody else may read" {
    printf '# secret\nAuthorization: Bearer s3cret\n' >"$SITE/headers"
    chmod 600 "$SITE/headers"
    watch_up "$(hook "headers = \"$SITE/headers\";")"
    fails_to_move h1
    until_true 20 got 'length == 1'
    run cut -f 2 "$SITE/hooks/got"
    is 'Bearer s3cret'
    run ! grep -r s3cret "$SITE/log" "$SITE/state"
    run ! grep -a s3cret "/proc/$(pid_of watch)/cmdline" "/proc/$(pid_of watch)/environ"
}

# bats test_tags=slow
@test "a damaged ledger is set aside, and everything from then on is told" {
    watch_up "$(hook)"
    fails_to_move z1
    until_true 20 got 'length == 1'
    watch_down
    printf 'x' >>"$SITE/state/ledger"
    watch_up
    until_true 10 log_has watch "$SITE/state/ledger is damaged, and is $SITE/state/ledger.damaged now"
    until_true 10 test -s "$SITE/state/ledger"
    [ -s "$SITE/state/ledger.damaged" ]
    fails_to_move z2
    until_true 20 got 'length == 2 and .[1].guest == "z2"'
}

@test "a 2xx is an answer, also when the rest of it does not come" {
    echo cut >"$SITE/hooks/answers"
    watch_up "$(hook)"
    fails_to_move cut1
    until_true 20 log_has watch 'notify=hook: told: '
    log_has_not() { ! log_has "$@"; }
    log_has_not watch 'not told'
    [ "$(messages)" = 1 ]
}

ticks() { awk '{ print $14 + $15 }' "/proc/$(pid_of watch)/stat"; }

@test "where the ledger cannot be written, it is tried again in peace, and written when it can be" {
    watch_up "$(hook), { name = \"other\"; url = \"$(url)\"; wait = \"100 ms\"; }"
    mkdir "$SITE/state/ledger.new"
    fails_to_move full1
    until_true 20 got 'length == 2'
    log_has watch 'ledger: Is a directory; what is told may be told again after a restart'
    local before=$(ticks)
    sleep 2
    [ $(($(ticks) - before)) -lt 20 ] # of 200
    before=$(stat -c %i "$SITE/state/ledger")
    rmdir "$SITE/state/ledger.new"
    is_replaced() { [ "$(stat -c %i "$SITE/state/ledger")" != "$before" ]; }
    until_true 10 is_replaced
}

@test "two do not share a directory" {
    watch_up "$(hook)"
    run -1 --separate-stderr "$BIN/rmigrate-watch" -c "$SITE/watch.conf"
    err_has "watch.state: another rmigrate-watch uses $SITE/state"
}

check() { run "-$1" --separate-stderr "$BIN/rmigrate-watch" -c "$SITE/watch.conf" --check; }

@test "--check says what is wrong" {
    watch_conf "$(hook)"
    check 0
    has 'nothing is wrong'
    watch_conf '{ name = "a"; command = "/nowhere/mail"; }'
    check 1
    err_has 'watch.notify a: /nowhere/mail: No such file or directory'
    touch "$SITE/plain"
    watch_conf "{ name = \"a\"; command = \"$SITE/plain x\"; }"
    check 1
    err_has "watch.notify a: $SITE/plain is not a program that this user may run"
    printf '#!/bin/sh\n' >"$SITE/open"
    chmod 777 "$SITE/open"
    watch_conf "{ name = \"a\"; command = \"$SITE/open\"; }"
    check 1
    err_has "watch.notify a: $SITE/open may be written by everybody"
    printf 'X: y\n' >"$SITE/headers"
    chmod 644 "$SITE/headers"
    watch_conf "$(hook "headers = \"$SITE/headers\";")"
    check 1
    err_has "watch.notify hook: $SITE/headers may be read by others: chmod 600 $SITE/headers"
    printf 'no header\n' >"$SITE/headers"
    chmod 600 "$SITE/headers"
    check 1
    err_has "watch.notify hook: $SITE/headers: a line is not NAME: VALUE"
    watch_conf "$(hook)" "token = \"$SITE/nowhere\";"
    sed -i 's/listen = ""/listen = "127.0.0.1:0"/' "$SITE/watch.conf"
    check 1
    err_has "watch.token: $SITE/nowhere: No such file or directory"
    watch_conf "$(hook)" "key = \"$SITE/nowhere\"; server = \"$(printf '0%.0s' {1..40})\";"
    sed -i 's|broker = "[^"]*"|broker = "tcp://127.0.0.1:9749"|' "$SITE/watch.conf"
    check 1
    err_has "$SITE/nowhere: No such file or directory"
    watch_conf "$(hook)"
    sed -i "s|$SITE/state|$SITE/nowhere|" "$SITE/watch.conf"
    check 1
    err_has "watch.state: $SITE/nowhere: No such file or directory"
    watch_conf '{ name = "a"; url = "https://x/"; on = [ "failure" ]; }'
    check 1
    err_has "$SITE/watch.conf:2: watch.notify[0].on[0]: 'failure' is not evacuation, failed, doubt"
}

# What the examples are given.
example() { # NAME ARGUMENT...
    local name=$1
    shift
    RMIGRATE_SITE=mgmt RMIGRATE_TEXT=$(jq -r .text <<<"$MESSAGE") "$TREE/conf/examples/$name" "$@" <<<"$MESSAGE"
}
MESSAGE='{"version": 1, "site": "mgmt", "at": 1767225600.5, "text": "kvm1 could not be moved: \"$(id)\" <b> & ü",
  "items": [{"kind": "failed", "over": false, "good": false, "at": 1767225590.25, "guest": "kvm1", "host": "hyp01", "job": 7,
  "batch": 6, "why": "\"$(id)\"\n.\n<b> & ü"}, {"kind": "broker", "over": true, "good": true, "at": 1767225590, "guest": null,
  "host": "ipc:///b", "job": null, "batch": null, "why": null}], "more": 312}'

@test "the example notify-mail gives sendmail a mail" {
    printf '#!/bin/sh\necho "$@" >"%s/mail.to"\ncat >"%s/mail"\n' "$SITE" "$SITE" >"$SITE/bin/sendmail"
    chmod 755 "$SITE/bin/sendmail"
    SENDMAIL=$SITE/bin/sendmail run -0 example notify-mail ops@example.org 'o b@example.org'
    [ "$(cat "$SITE/mail.to")" = '-i -- ops@example.org o b@example.org' ]
    run cat "$SITE/mail"
    is 'To: ops@example.org, o b@example.org
Subject: rmigrate: kvm1 could not be moved: "$(id)" <b> & 
Auto-Submitted: auto-generated
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

kvm1 could not be moved: "$(id)" <b> & ü

2025-12-31T23:59:50Z  failed: kvm1 on hyp01, job 7
    "$(id)" . <b> & ü
2025-12-31T23:59:50Z  broker, over: ipc:///b
and 312 more

from rmigrate at mgmt'
    printf '#!/bin/sh\nexit 75\n' >"$SITE/bin/sendmail"
    SENDMAIL=$SITE/bin/sendmail run -75 example notify-mail ops@example.org
    MESSAGE='no JSON' SENDMAIL=/bin/true run ! example notify-mail ops@example.org
    run -2 example notify-mail
}

@test "the example notify-chat posts a text" {
    printf 'url = "%s"\n' "$(url chat)" >"$SITE/chat"
    run -0 example notify-chat "$SITE/chat"
    run cut -f 1,3 "$SITE/hooks/got"
    is $'/chat\tapplication/json'
    run cut -f 4 "$SITE/hooks/got"
    json '. == {text: "rmigrate at mgmt: kvm1 could not be moved: \"$(id)\" &lt;b&gt; &amp; ü"}'
    printf '500\n' >"$SITE/hooks/answers"
    run ! example notify-chat "$SITE/chat"
    run -2 example notify-chat
}
