# site.sh - rmigrate on the lab's hypervisors: a broker, a worker on each, keys for all; to be sourced
#
# The demo and the lab's tests share it. Set before: TREE (the checkout), BIN (where the programs are),
# LAB_STATE (of the lab; exported). Everything that it writes lies below the lab's shared directory, $SITE.
# Settings can be added: SITE_BROKER, SITE_WORKER (text for those groups), SITE_MEMORY (of each
# hypervisor, for guests).

LAB=$TREE/tests/lab/lab
ENDPOINT=tcp://10.77.0.1:9749
export PATH=$PATH:/usr/sbin:/sbin

site_key() { # NAME: makes a key, once
    [ -f "$SITE/keys/$1.key" ] || "$BIN/rmigrate" keygen "$1" --dir "$SITE/keys" >/dev/null 2>&1
}

site_public() { # NAME: the public half
    sed -n 's/^ *public *= *"\(.*\)";.*/\1/p' "$SITE/keys/$1.key"
}

site_hosts() { # N: their names as a list of settings
    local i
    for ((i = 1; i <= $1; i++)); do printf '%s"hyp%02d"' "$([ $i = 1 ] || echo ', ')" "$i"; done
}

# Keys and settings for N hypervisors: a worker on each, and one on the lab's own host that could serve them all.
site_make() {
    local i h n=$1
    SITE=$("$LAB" dir)/site
    mkdir -p "$SITE/keys" "$SITE/store" "$SITE/log"
    site_key broker
    site_key admin
    site_key far
    for ((i = 1; i <= n; i++)); do
        site_key "$(printf 'hyp%02d' "$i")"
    done
    {
        echo "broker: { listen = [ \"ipc://$SITE/broker.sock\", \"$ENDPOINT\" ];"
        echo "  store = \"$SITE/store\"; store_size = \"256 MiB\"; key = \"$SITE/keys/broker.key\";"
        echo "  ${SITE_BROKER:-}"
        echo "  allow = ( { name = \"admin\"; role = \"admin\"; public = \"$(site_public admin)\"; }"
        for ((i = 1; i <= n; i++)); do
            h=$(printf 'hyp%02d' "$i")
            echo "    , { name = \"$h\"; role = \"worker\"; public = \"$(site_public "$h")\"; }"
        done
        echo "    , { name = \"far\"; role = \"worker\"; public = \"$(site_public far)\"; hosts = [ $(site_hosts "$n") ]; }"
        echo "  ); };"
    } >"$SITE/broker.conf"
    for ((i = 1; i <= n; i++)); do
        h=$(printf 'hyp%02d' "$i")
        cat >"$SITE/$h.conf" <<EOF
worker: { broker = "$ENDPOINT"; key = "$SITE/keys/$h.key"; server = "$(site_public broker)";
  ${SITE_WORKER:-}
  hypervisors = ( { name = "$h"; connect = "qemu:///system"; peer = "qemu+tcp://$h/system";
    migration = "tcp://10.77.0.$((10 + i))"; memory = "${SITE_MEMORY:-2 GiB}"; vcpus = 16; } ); };
EOF
    done
    {
        echo "worker: { broker = \"$ENDPOINT\"; key = \"$SITE/keys/far.key\"; server = \"$(site_public broker)\";"
        echo "  ${SITE_WORKER:-} hypervisors = ("
        for ((i = 1; i <= n; i++)); do
            h=$(printf 'hyp%02d' "$i")
            echo "    $([ $i = 1 ] || echo ,) { name = \"$h\"; connect = \"qemu+tcp://$h/system\"; peer = \"qemu+tcp://$h/system\";"
            echo "      memory = \"${SITE_MEMORY:-2 GiB}\"; vcpus = 16; }"
        done
        echo "  ); };"
    } >"$SITE/far.conf"
    cat >"$SITE/client.conf" <<EOF
client: { broker = "$ENDPOINT"; key = "$SITE/keys/admin.key"; server = "$(site_public broker)"; };
EOF
}

# Starts a program on a host of the lab, in the background; it dies with the lab. Its pid there is written down.
site_spawn() { # HOST NAME COMMAND...
    local host=$1 name=$2
    shift 2
    "$LAB" exec "$host" setsid sh -c 'echo $$ >"$1"; log=$2; shift 2; exec "$@" >>"$log" 2>&1 </dev/null' \
        sh "$SITE/$name.pid" "$SITE/log/$name" "$@" 3>&- 4>&- &
    disown
}

site_broker() { site_spawn lab broker "$BIN/rmigrate-broker" -c "$SITE/broker.conf" --log-level "${SITE_LOG:-info}"; }
site_far_worker() { site_spawn lab far "$BIN/rmigrate-worker" -c "$SITE/far.conf" --log-level "${SITE_LOG:-info}"; }
site_worker() { site_spawn "$1" "$1" "$BIN/rmigrate-worker" -c "$SITE/$1.conf" --log-level "${SITE_LOG:-info}"; }

# Sends a signal to the broker or to a host's worker.
site_kill() { # broker|far|hypNN [SIGNAL]
    local host=$1
    [[ $1 == hyp* ]] || host=lab
    "$LAB" exec "$host" kill "-${2:-KILL}" "$(cat "$SITE/$1.pid")"
}

# The command, as the lab's own host runs it.
rmigrate() { "$LAB" exec lab env RMIGRATE_CONF="$SITE/client.conf" "$BIN/rmigrate" "$@"; }

# Waits until N hypervisors answer their workers.
site_wait() { # N
    local i
    for ((i = 0; i < 300; i++)); do
        [ "$(rmigrate hosts --json 2>/dev/null | grep -c '"reachable": *true')" -lt "$1" ] || return 0
        sleep 0.1
    done
    echo "site: not all of $1 hypervisors answer:" >&2
    rmigrate hosts >&2
    tail -n 5 "$SITE"/log/* >&2
    return 1
}
