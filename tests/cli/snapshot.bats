#!/usr/bin/env bats
# snapshot.bats - plans without a broker are those that the broker makes

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{a1,a2,b1,c1}
    WORKER_SLOTS=8 worker_up all a1 a2 b1:'32 GiB':64 c1:'32 GiB':64
    # b1 and c1 have room for `big` only together; `huge` has none; w1 and w2 are kept apart, t1 and t2 together.
    guest big a1 running 20480
    guest light a1 running 1024
    guest still a1 paused 512
    guest huge a2 running 40000
    guest t1 a2 running 256
    guest t2 a2 running 512
    guest w1 a2 running 256
    guest w2 c1 running 256
    guest b-large b1 running 12288
    guest b-small b1 running 6144
    guest c-only c1 running 18432
    until_true 10 told '.guests | length == 11' guests
    ask chtab node=w1 vm.othersettings=separate:web
    ask chtab node=w2 vm.othersettings=separate:web
    ask chtab node=t1 vm.othersettings=together:pair
    ask chtab node=t2 vm.othersettings='together:pair;prefer:c1'
    ask chtab node=light vm.migrationdest=b1,c1
    ask chtab node=still vm.othersettings=avoid:b1
    rmigrate snapshot >"$SITE/site.json"
}
teardown_file() { load common; site_down; }
setup() { load common; }

# What is planned, by step; why guests have no place is said in other words.
moves() { jq -c '[.plan[] | select(.destination) | {step, guest, source, destination, after, room_for, rule, result}], [.plan[] | select(.ok | not).guest]'; }
same() { # ARGUMENT...
    local with without
    with=$(ask evacuate "$@" --plan --json | moves)
    without=$(RMIGRATE_CONF=/dev/null ask evacuate "$@" --plan --snapshot "$SITE/site.json" --json | moves)
    [ -n "$with" ] && [ "$with" = "$without" ] || { printf '%s\n' "$with" "$without" >&2; return 1; }
}

@test "the same plan as the broker's: one host, several, --to, without making room" {
    same a1
    same a2
    same a1,a2
    same a2,a1
    same c1
    same a1 --to c1
    same a1 --no-room
    same a2 --ignore-rules
    same b1,c1
    ends 1 evacuate a1,a2 --plan --snapshot "$SITE/site.json"
    matches '1 +- +b-large +b1 +c1 +makes room on b1 for big'
    err_has 'huge: Error: no host of the snapshot that it may go to has a place for it'
    err_has_not 'this is plan'
}

@test "it is asked what would be: a snapshot that was changed, from standard input" {
    jq '(.hosts[] | select(.host == "c1").memory) |= . + 68719476736' "$SITE/site.json" >"$BATS_TEST_TMPDIR/more.json"
    run --separate-stderr "$BIN/rmigrate" evacuate a1,a2 --plan --snapshot - --json <"$BATS_TEST_TMPDIR/more.json"
    [ "$status" -eq 0 ]
    json '(.plan | map(select(.guest == "huge"))[0].destination == "c1") and .number == null'
    printf '%s' "$output" | "$TREE/tests/cli/schema" 'evacuate --plan'
    "$TREE/tests/cli/schema" snapshot <"$SITE/site.json"
}

# Changes the snapshot so that it is wrong; the error says TEXT.
wrong_is() { # TEXT JQ-FILTER
    jq "$2" "$SITE/site.json" >"$BATS_TEST_TMPDIR/wrong.json"
    ends 2 evacuate a1 --plan --snapshot "$BATS_TEST_TMPDIR/wrong.json"
    err_has "wrong.json: $1"
}
@test "a file that is wrong is refused, and it is said where" {
    wrong_is 'is not what rmigrate snapshot writes (snapshot: 1)' '.snapshot = 2'
    wrong_is 'is not what rmigrate snapshot writes' '[]'
    wrong_is 'guests is no list of 200000 at most' '.guests = {}'
    wrong_is 'hosts[0].host: is missing' 'del(.hosts[0].host)'
    wrong_is 'hosts[1].memory: is no number from 0 on, or too great' '.hosts[1].memory = -1'
    wrong_is 'hosts[1].memory: is no number' '.hosts[1].memory = "much"'
    wrong_is 'hosts[1].memory: is no number from 0 on, or too great' '.hosts[1].memory = 9e18'
    wrong_is 'guests[0].leaves: is neither true nor false' '.guests[0].leaves = 1'
    wrong_is 'guests[0].to: is no list' '.guests[0].to = "b1"'
    wrong_is 'guests[0].to: is no text' '.guests[0].to = [1]'
    wrong_is 'guests[0] names nowhere, which is no host of it' '.guests[0].host = "nowhere"'
    wrong_is 'guests[0] names separate:x, which is no rule of it' '.guests[0].rules = ["separate:x"]'
    wrong_is 'guests[0].guest: is no text, or one that is too long or has control characters' '.guests[0].guest = "a\u001b[2J"'
    wrong_is 'host a1 is there twice' '.hosts[1].host = "a1"'
    wrong_is 'guests[2].: is no object' '.guests[2] = null'
    printf '{"snapshot": 1, "snapshot": 1}' >"$BATS_TEST_TMPDIR/twice.json"
    ends 2 evacuate a1 --plan --snapshot "$BATS_TEST_TMPDIR/twice.json"
    err_has 'duplicate object key'
    head -c 300 "$SITE/site.json" >"$BATS_TEST_TMPDIR/cut.json"
    ends 2 evacuate a1 --plan --snapshot "$BATS_TEST_TMPDIR/cut.json"
    err_has 'cut.json: line '
    ends 2 evacuate a1 --plan --snapshot "$BATS_TEST_TMPDIR/none.json"
    err_has 'none.json: No such file or directory'
    head -c 67108865 /dev/zero | tr '\0' ' ' >"$BATS_TEST_TMPDIR/huge.json"
    ends 2 evacuate a1 --plan --snapshot "$BATS_TEST_TMPDIR/huge.json"
    err_has 'huge.json: File too large'
    printf '%0100000d' 0 | tr 0 '[' >"$BATS_TEST_TMPDIR/deep.json"
    ends 2 evacuate a1 --plan --snapshot "$BATS_TEST_TMPDIR/deep.json"
    err_has 'maximum parsing depth reached'
    ends 1 evacuate z9 --plan --snapshot "$SITE/site.json"
    err_has 'the snapshot has no host z9'
    ends 2 evacuate a1 --snapshot "$SITE/site.json"
    err_has '--snapshot is for --plan alone'
}
