#!/usr/bin/env bats
# init.bats - rmigrate init: what it writes makes a site, and nothing of a site that is there is lost
#
# That all of it works on machines of their own, as README.md says, is readme.bats.

load common

setup() {
    export SITE=$BATS_TEST_TMPDIR/site
    mkdir -p "$SITE"
    D=$SITE/etc
    ME=$(id -un)
    unset RMIGRATE_CONF
}
init() { ends "$1" init --dir "$D" --owner "$ME" "${@:2}"; }
allowed() { sed -n 's/.*name = "\([^"]*\)"; role = "\([^"]*\)".*/\1 \2/p' "$D/allow.conf" | tr '\n' ,; }
mode() { stat -c %a "$D/$1"; }

@test "a broker takes what init wrote, and workers and operators come with the keys that it made" {
    local port=$((20000 + RANDOM % 20000))
    init 0 hyp01,hyp02 --operators alice --address "127.0.0.1:$port"
    [ "$(allowed)" = "hyp01 worker,hyp02 worker,alice operator," ]
    [ "$(mode broker.key) $(mode hypervisors) $(mode hypervisors/hyp01/worker.key)" = "600 700 600" ]
    run "$BIN/rmigrate-broker" -c "$D/rmigrate.conf" --check
    [ "$status" -eq 0 ] || wrong "exit code" 0
    # Another socket and store than the system's; and hypervisors that are directories.
    sed -i "s|ipc:///run/rmigrate/broker|ipc://$SITE/broker|; s|^broker: {|&\n    store = \"$SITE/store\"; store_size = \"64 MiB\";|" \
        "$D/rmigrate.conf"
    mkdir -p "$SITE/world/hyp01" "$SITE/world/plan" "$SITE/log"
    sed -i "s|qemu:///system|fake://$SITE/world/hyp01|; s|/etc/rmigrate/worker.key|$D/hypervisors/hyp01/worker.key|" \
        "$D/hypervisors/hyp01/rmigrate.conf"
    sed -i "s|key = \".*\"|key = \"$D/operators/alice/rmigrate.key\"|" "$D/operators/alice/rmigrate.conf"
    launch broker "$BIN/rmigrate-broker" -c "$D/rmigrate.conf"
    launch hyp01 "$BIN/fakeworker" -c "$D/hypervisors/hyp01/rmigrate.conf"
    export RMIGRATE_CONF=$D/operators/alice/rmigrate.conf
    until_true 10 told '.role == "operator" and .user == "alice"' ping
    until_true 10 host_is_seen hyp01
    site_down
}

@test "what it prints can be run: shell takes it, and each file that it names is there" {
    init 0 hyp01 --operators "$ME,nobody-here" --address mgmt
    printf '%s\n' "$output" >"$SITE/next"
    bash -n "$SITE/next"
    has "systemctl enable --now rmigrate-broker"
    has "scp $D/hypervisors/hyp01/* root@hyp01:/etc/rmigrate/ && rm -r $D/hypervisors/hyp01"
    has "install -b -o $ME -m 600 -t "
    has "# $D/operators/nobody-here: for nobody-here, who is not known here"
    has "#   systemctl enable --now rmigrate-worker"
    [ -f "$D/hypervisors/hyp01/worker.key" ] && [ -f "$D/hypervisors/hyp01/rmigrate.conf" ]
    [ -f "$D/operators/$ME/rmigrate.key" ] && [ -f "$D/operators/$ME/rmigrate.conf" ]
}

@test "run again it adds, with the same address, and names that are taken are refused before anything is written" {
    init 0 hyp01 --address mgmt.example:9999
    local before
    before=$(cat "$D/rmigrate.conf" "$D/broker.key")
    init 0 hyp02 --operators bob
    has "systemctl reload-or-restart rmigrate-broker"
    [ "$(allowed)" = "hyp01 worker,hyp02 worker,bob operator," ]
    [ "$(cat "$D/rmigrate.conf" "$D/broker.key")" = "$before" ]
    grep -qF 'broker = "tcp://mgmt.example:9999"' "$D/hypervisors/hyp02/rmigrate.conf"
    [ "$(grep server "$D/hypervisors/hyp01/rmigrate.conf")" = "$(grep server "$D/hypervisors/hyp02/rmigrate.conf")" ]
    "$BIN/rmigrate-broker" -c "$D/rmigrate.conf" --check
    init 1 hyp03,bob
    err_is "Error: bob has a key already: $D/operators/bob has it, which nobody has taken there yet"
    [ ! -e "$D/hypervisors/hyp03" ]
    [ "$(allowed)" = "hyp01 worker,hyp02 worker,bob operator," ]
}

# bats test_tags=slow
@test "settings that init has not written are left as they are" {
    mkdir "$D"
    echo 'broker: { };' >"$D/rmigrate.conf"
    init 1 hyp01
    err_has "$D/rmigrate.conf is there, and init has not written it: rmigrate keygen NAME --role worker"
    [ "$(find "$D" -type f)" = "$D/rmigrate.conf" ]
}

# bats test_tags=slow
@test "a list whose head was changed is not added to" {
    init 0 hyp01
    sed -i 1,3d "$D/allow.conf"
    init 1 hyp02
    err_has "$D/allow.conf: its first lines, which init needs, have been changed"
    [ ! -e "$D/hypervisors/hyp02" ]
}

# bats test_tags=slow
@test "this machine as a hypervisor needs no key, and is not sent the settings of one" {
    local here
    here=$(hostname) here=${here%%.*}
    init 0 "$here" hyp02
    has "systemctl enable --now rmigrate-worker"
    has_not "root@$here:"
    [ "$(allowed)" = "hyp02 worker," ]
    D=$SITE/other
    init 2 "$here"
    err_is "Error: guests move between two: name hypervisors besides this machine"
}

# bats test_tags=slow
@test "what belongs to another user is not added to, and what to do about it is said" {
    [ "$(id -u)" = 0 ] || skip "only root can give a directory away"
    init 0 hyp01
    chown nobody "$D/hypervisors"
    init 1 hyp02
    err_is "Error: $D/hypervisors: belongs to another user (uid $(id -u nobody)); run it as that user, or name another directory with --dir"
    [ "$(allowed)" = "hyp01 worker," ]
}

# bats test_tags=slow
@test "a worker that has never had an answer says so: the broker's name may be unknown where it is" {
    init 0 hyp01 --address mgmt.invalid
    mkdir -p "$SITE/world/hyp01" "$SITE/world/plan" "$SITE/log"
    sed -i "s|qemu:///system|fake://$SITE/world/hyp01|; s|/etc/rmigrate/worker.key|$D/hypervisors/hyp01/worker.key|" \
        "$D/hypervisors/hyp01/rmigrate.conf"
    launch hyp01 "$BIN/fakeworker" -c "$D/hypervisors/hyp01/rmigrate.conf"
    until_true 30 log_has hyp01 "broker=tcp://mgmt.invalid:9749: nothing answers there, or its name is not known here, will retry"
    site_down
}

# bats test_tags=slow
@test "names and places that cannot be written are refused" {
    init 2 'hyp 01' 'a/b'
    err_has "Error: 'a/b' is not a valid name for a key"
    local name
    for name in 'a;b' '$(id)' '..' '-x' 'a\\b' 'h*' 'fe80::1'; do
        init 2 -- "$name"
        err_has "'$name' is not a valid name for a key"
    done
    init 2 hyp01,HYP01
    err_has "'HYP01' is named twice"
    init 2 hyp01 hyp01
    err_has "'hyp01' is named twice"
    init 2 hyp01 --operators hyp01
    err_has "'hyp01' is named twice"
    init 2 broker
    err_has "'broker' is named twice"
    init 2 hyp01 --address 'mg"mt'
    err_has "is neither HOST nor HOST:PORT"
    for name in mgmt/x fe80::1 '[fe80::1' mgmt: mgmt:0 mgmt:99999 mgmt:x tcp://mgmt 'a;b' -x; do
        init 2 hyp01 --address="$name"
        err_has "'$name' is neither HOST nor HOST:PORT"
    done
    D="$SITE/a b"
    init 2 hyp01
    err_has "has more than letters, digits and /._+-"
    [ ! -e "$D" ]
    ends 2 init --dir "$SITE/x" --owner no-such-user hyp01
    err_has "There is no user 'no-such-user'"
    D=$SITE/missing/deep
    init 1 hyp01
    err_has "No such file or directory"
}

# bats test_tags=slow
@test "a list that somebody has edited is added to, whatever stands at its end, and nothing of it is lost" {
    init 0 hyp01 --address mgmt
    cp -r "$D" "$SITE/first"
    local edit old
    for edit in 'printf "# the end"' 'printf "// {"' 'printf "/* , */"' "sed -i '/name/d'" "sed -i 's/^  {/# {/'" \
        "truncate -s -1"; do
        rm -r "$D"
        cp -r "$SITE/first" "$D"
        case $edit in
        printf*) eval "$edit" >>"$D/allow.conf" ;;
        *) eval "$edit" '"$D/allow.conf"' ;;
        esac
        chmod 640 "$D/allow.conf"
        old=$(cat "$D/allow.conf")
        init 0 hyp02
        [[ $(cat "$D/allow.conf") == "$old"$'\n'*'name = "hyp02"'* ]]
        [ "$(mode allow.conf)" = 640 ]
        "$BIN/rmigrate-broker" -c "$D/rmigrate.conf" --check
        init 1 hyp02
        err_has "Error: hyp02 has a key already"
    done
}

# bats test_tags=slow
@test "a list that the broker does not take, with the rows or without them, stays as it was" {
    init 0 hyp01
    cp -r "$D" "$SITE/first"
    echo '} {' >>"$D/allow.conf"
    cp "$D/allow.conf" "$SITE/old"
    init 1 hyp02
    err_has "syntax error"
    cmp "$D/allow.conf" "$SITE/old"
    cp "$SITE/first/allow.conf" "$D/other.conf"
    cp "$SITE/first/allow.conf" "$D/allow.conf"
    sed -i s/allow.conf/other.conf/ "$D/rmigrate.conf"
    init 1 hyp02
    err_is "Error: $D/rmigrate.conf: does not include the rows of allow.conf"
    cmp "$D/allow.conf" "$SITE/first/allow.conf"
    mv "$D/allow.conf" "$D/real.conf"
    ln -s real.conf "$D/allow.conf"
    cp "$SITE/first/rmigrate.conf" "$D/"
    init 0 hyp02
    [ -L "$D/allow.conf" ]
    grep -q hyp02 "$D/real.conf"
}

# bats test_tags=slow
@test "what was broken off is repeated: a key, settings, folders without rows" {
    init 0 hyp01,hyp02
    local before
    before=$(cat "$D/broker.key")
    rm "$D/allow.conf" "$D/hypervisors/hyp02/worker.key"
    touch "$D/allow.conf.new"
    sed -i 's/^broker: {/&\n    attempts = 7;/' "$D/rmigrate.conf"
    init 1 hyp01,hyp02 --address mgmt:99
    err_is "Error: $D/rmigrate.conf: broker.listen has not the port 99 of --address"
    init 0 hyp01,hyp02
    grep -q 'attempts = 7;' "$D/rmigrate.conf"
    has "systemctl enable --now rmigrate-broker"
    [ "$(cat "$D/broker.key")" = "$before" ]
    [ "$(allowed)" = "hyp01 worker,hyp02 worker," ]
    "$BIN/rmigrate-broker" -c "$D/rmigrate.conf" --check
    grep -qF "$(sed -n 's/^public = //p' "$D/hypervisors/hyp02/worker.key")" "$D/allow.conf"
    rm "$D/allow.conf" "$D/rmigrate.conf"
    : >"$D/broker.key"
    init 0 hyp01
    "$BIN/rmigrate-broker" -c "$D/rmigrate.conf" --check
    rm "$D/rmigrate.conf" # by somebody: the rows may be somebody's too
    init 1 hyp02
    err_is "Error: $D/rmigrate.conf is missing, but $D/allow.conf is there"
}

# bats test_tags=slow
@test "two at a time lose nothing of each other" {
    init 0 hyp00
    local i pids=()
    for i in 1 2 3 4 5 6; do
        "$BIN/rmigrate" init --dir "$D" --owner "$ME" "hyp0$i" >/dev/null &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i"; done
    [ "$(grep -c 'name = ' "$D/allow.conf")" = 7 ]
    "$BIN/rmigrate-broker" -c "$D/rmigrate.conf" --check
}

# bats test_tags=slow
@test "modes do not depend on the umask, and what others could write to is not used" {
    umask 077
    init 0 hyp01
    [ "$(mode .) $(mode allow.conf) $(mode rmigrate.conf)" = "755 644 644" ]
    umask 000
    D=$SITE/open
    init 0 hyp01 --operators bob
    [ "$(mode .) $(mode broker.key) $(mode operators) $(mode operators/bob/rmigrate.conf)" = "755 600 700 600" ]
    chmod 777 "$D"
    init 1 hyp02
    err_has "$D: others may write to it (mode 0777); chmod 755 $D"
    chmod 755 "$D"
    chmod 755 "$D/hypervisors"
    init 1 hyp02
    err_has "$D/hypervisors: others may enter it (mode 0755); chmod 700"
    D=$SITE/planted
    mkdir -m 755 "$D" "$SITE/elsewhere"
    ln -s "$SITE/elsewhere" "$D/hypervisors"
    init 1 hyp01
    err_has "$D/hypervisors: is not a directory"
    [ -z "$(ls "$SITE/elsewhere")" ]
}
