# facts.bash - what record keeps of an older version's answers, and the test compares: values, under names of our own

# What a broker says of its site. Older clients call some things by other names (the right side of each //).
facts() {
    ask jobs -a --json --limit 1000 | jq -S '{jobs: [.jobs[] | {job, batch, guest, state, source, destination, priority, attempt, locked,
        by: (.by // .submitter), reason, result: (.why // .text)}] | sort_by(.job)}'
    ask guests --json | jq -S '{guests: [.guests[] | {guest: (.guest // .name), locked}] | sort_by(.guest)}'
    ask hosts --json | jq -S '{hosts: [.hosts[] | {host: (.host // .name), state, why: (.why // .text)}] | sort_by(.host)}'
    ask events --json --limit 1000 | jq -S '{events: [.events[] | {at, event, by: (.by // .who), host, text}]}'
    local table plan
    # Whether a plan is too old to be applied is a matter of today.
    for plan in $(ask plans --json | jq '.plans[].number'); do ask plans "$plan" --json; done |
        jq -S -s '{plans: [.[] | {number, made_at, made_by, command, hosts, to, moves, room, left, batch, applied_at, applied_by,
            overtaken_by, steps: [.plan[] | {guest, source, destination, step, after, room_for, rule, ok, result}]}]}'
    for table in nodelist vm; do ask tabdump "$table" | jq -RS --slurp "{tables: {$table: .}}"; done
}

# A tape as text, by the description of messages that lies in a directory.
as_text() { # TAPE-PROGRAM TAPE PROTO-DIRECTORY
    "$1" unroll "$2" | protoc --decode=Tape --proto_path="$3" --proto_path="$TREE/tests/compat" tape.proto
}
# The same of the file of rmigrate-watch, which has a head of 24 bytes.
ledger_as_text() { # LEDGER PROTO-DIRECTORY
    tail -c +25 "$1" | protoc --decode=RmLedger --proto_path="$2" rmigrate.proto
}

# A command for rmigrate-watch that notes what it is told.
note_up() { # COMMAND FILE
    printf '#!/bin/sh\necho "$(cat)" >>"%s"\n' "$2" >"$1"
    chmod 755 "$1"
}
# A line for each news in that file; the broker's own lie at paths of the day.
news_told() { # FILE
    [ ! -e "$1" ] || jq -cS '.items[] | if .kind == "broker" then del(.host, .why) else . end' "$1"
}
