# watch.bash - rmigrate-watch beside the site of common.bash, on a port of its own

# Starts it; more settings of its section may be given. WATCH is where it is served.
watch_up() { # [SETTINGS]
    printf 'watch: { broker = "%s"; listen = "127.0.0.1:0"; %s };\n' \
        "${WATCH_BROKER:-ipc://$SITE/broker}" "${1:-}" >"$SITE/watch.conf"
    local before
    before=$(times_listened)
    launch watch "$BIN/rmigrate-watch" -c "$SITE/watch.conf"
    until_true 10 has_listened_since "$before"
    WATCH=$(sed -n 's/.*listen=\(http.*\)/\1/p' "$SITE/log/watch" | tail -n 1)
    export WATCH
}

times_listened() { cat "$SITE/log/watch" 2>/dev/null | grep -c ' listen=' || :; }
has_listened_since() { [ "$(times_listened)" -gt "$1" ]; }

get() { curl -sS --max-time 20 "$@"; }

# What /metrics says of a series; nothing where it is not there.
metric() { get "$WATCH/metrics" | sed -n "s/^$(sed 's/[][\.*^$]/\\&/g' <<<"$1") //p"; }
metric_is() { [ "$(metric "$1")" = "$2" ] || { echo "$1 is '$(metric "$1")', not $2" >&2; return 1; }; }
