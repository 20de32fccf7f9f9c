#!/usr/bin/env bats
# twins.bats - two guests of one name on two hypervisors

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{h1,h2,h3,h4}
    guest web h1
    WORKER_SLOTS=8 worker_up all h1 h2 h3 h4
    until_true 5 guest_is_seen web
    twin web h2
    until_true 5 guest_is_seen web@h2
}
teardown_file() { load common; site_down; }
setup() { load common; }

# Released, and it could be moved.
comes_free() { ask release "$1" >/dev/null; ask "$1" h4 --dry-run; }

# Another guest of that name: another uuid.
twin() { # NAME HOST
    printf '%s running 256 1 user\n' "$(uuid_of "$1 on $2")" >"$WORLD/$2/.$1.new"
    mv "$WORLD/$2/.$1.new" "$WORLD/$2/$1"
}

@test "both are listed, and neither is guessed to be meant" {
    ok guests --json
    json '.guests | map([.guest, .host, .domain]) == [["web", "h1", "web"], ["web@h2", "h2", "web"]]'
    ok guests 'web@h1,web@h2' --json
    json '.guests | length == 2'
    ends 1 web h3
    err_is "web: Error: two guests have this name: say web@h1 or web@h2, or let vm.host say which is meant"
    ends 1 web@h3 h4
    ok events
    has_not "a guest must be in one place"
}

@test "each moves by NAME@HOST, and keeps its own history" {
    ok web@h2 h3
    is 'web@h2: migrated to h3'
    until_true 5 guest_is_seen web@h3
    ok web@h1 h4
    is 'web: migrated to h4'
    [ "$(where web)" = "h3
h4" ]
    ok history web@h3 --json
    json '.history | length == 1 and .[0].source == "h2"'
    ok history web@h4 --json
    json '.history | length == 1 and .[0].source == "h1"'
    ok web@h3 h2
    ok web@h4 h1
    until_true 5 guest_is_seen web@h2
}

# bats test_tags=slow
@test "vm.host says which is meant by the name" {
    ask chtab node=web vm.host=h2
    until_true 8 told '.guests | map([.guest, .host]) == [["web", "h2"], ["web@h1", "h1"]]' guests
    ok web h3
    is 'web: migrated to h3'
    until_true 5 guest_is_on web h3
    ok web h2
    ask chtab -d node=web vm
}

# bats test_tags=slow
@test "an evacuation takes it where the name is free" {
    until_true 5 guest_is_on web@h1 h1
    ask close h4 >/dev/null
    ok evacuate h1
    has 'web@h1: migrated to h3'
    has 'h1: is empty: 1 moved'
    ask open h1,h4 >/dev/null
}

# bats test_tags=slow
@test "when one has gone, the other has the name for itself" {
    rm "$WORLD/h3/web"
    until_true 8 told '.guests | length == 1' guests
    ok guests --json
    json '.guests[0] | .guest == "web" and .host == "h2"'
    ok web h3
    is 'web: migrated to h3'
}

# bats test_tags=slow
@test "one guest twice stays one guest twice" {
    until_true 5 guest_is_on web h3
    cp "$WORLD/h3/web" "$WORLD/h1/.web.new"
    mv "$WORLD/h1/.web.new" "$WORLD/h1/web"
    until_true 12 told '.events | any(.text | contains("THE GUEST RUNS ON BOTH"))' events
    ok guests web --json
    json '.guests[0] | .locked'
    ok guests web
    has "stop the copy on one of them by hand"
    ends 1 web h2
    err_has "is locked"
    # Released while it is still so, it is locked again; when one is gone it is not.
    ok release web
    until_true 12 told '.guests[0].locked' guests web
    rm "$WORLD/h1/web"
    until_true 8 comes_free web
    ok web h2
    is 'web: migrated to h2'
}

# bats test_tags=slow
@test "another guest that takes the place of one under way is another guest" {
    guest solo h4
    until_true 8 guest_is_seen solo
    plan solo 'ok 2500'
    ok solo h3 --detach
    until_true 8 told 'any(.jobs[]; .guest == "solo" and .state == "running")' jobs
    twin solo h4 # on the hypervisor that solo is known to be on
    until_true 8 told '.guests | map(.guest) | index("solo") and index("solo@h4")' guests
    until_true 30 told '.jobs == []' jobs
}
