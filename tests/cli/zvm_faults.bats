#!/usr/bin/env bats
# zvm_faults.bats - guests on z/VM when something breaks: daemons killed, SMAPI at its worst, logins, members, certificates
# bats file_tags=slow

setup() {
    load common
    load zvm
    needs_zvm
}
teardown() { zvm_down; }

# ---- death

@test "kill -9 of the worker during a move: the job goes on to its truth, and is not sent again" {
    zvm_site
    sim duration 4 LNX3
    begin moving gpok3 pokdev62
    until_true 10 sim_moves LNX3 POKDEV61 POKDEV62
    end_it zvm KILL
    zvm_worker zvm pokdev61 pokdev62
    comes_to 0
    is "$(moved gpok3 LNX3)"
    sim_on LNX3 POKDEV62
    sim_moved LNX3 1 1 0
    relocations_are "POKDEV61 LNX3 destination=POKDEV62 action=MOVE"
    tables_say gpok3 pokdev62
}

@test "kill -9 of the worker, and the move ends while it is away" {
    zvm_site
    sim duration 60 LNX3
    begin moving gpok3 pokdev62
    until_true 10 sim_moves LNX3 POKDEV61 POKDEV62
    end_it zvm KILL
    sim finish LNX3
    zvm_worker zvm pokdev61 pokdev62
    comes_to 0
    is "$(moved gpok3 LNX3)"
    sim_moved LNX3 1 1 0
    tables_say gpok3 pokdev62
}

@test "kill -9 of the broker during a move" {
    zvm_site
    sim duration 4 LNX3
    begin moving gpok3 pokdev62
    until_true 10 sim_moves LNX3 POKDEV61 POKDEV62
    broker_down KILL
    broker_up
    comes_to 0
    is "$(moved gpok3 LNX3)"
    sim_on LNX3 POKDEV62
    sim_moved LNX3 1 1 0
    tables_say gpok3 pokdev62
}

@test "kill -9 of both, and the move ends while they are away" {
    zvm_site
    sim duration 60 LNX3
    begin moving gpok3 pokdev62
    until_true 10 sim_moves LNX3 POKDEV61 POKDEV62
    end_it zvm KILL
    broker_down KILL
    sim finish LNX3
    broker_up
    zvm_worker zvm pokdev61 pokdev62
    comes_to 0
    is "$(moved gpok3 LNX3)"
    sim_on LNX3 POKDEV62
    sim_moved LNX3 1 1 0
    relocations_are "POKDEV61 LNX3 destination=POKDEV62 action=MOVE"
    tables_say gpok3 pokdev62
}

@test "kill -9 of both during a move that is cancelled by z/VM meanwhile" {
    zvm_site
    sim duration 60 LNX3
    begin moving gpok3 pokdev62 max_total=3
    until_true 10 sim_moves LNX3 POKDEV61 POKDEV62
    end_it zvm KILL
    broker_down KILL
    until_true 10 sim_is_still LNX3
    broker_up
    zvm_worker zvm pokdev61 pokdev62
    comes_to 1
    err_has "gpok3: Error: "
    sim_on LNX3 POKDEV61
    err_has max_total
    nothing_live
    [ "$(sim moves LNX3 | cut -d' ' -f4)" = 0 ] # it may have been tried again, but only after the end of the one before
}

# ---- SMAPI at its worst

# A move under a fault of VMRELOCATE's reply comes to its end, whatever is said.
moves_under() { # FAULT...
    zvm_site
    sim fault MOVE "$@"
    ok gpok3 pokdev62
    is "$(moved gpok3 LNX3)"
    quiet
    sim_on LNX3 POKDEV62
    sim_moved LNX3 1 1 0
    [ "$(relocations | grep -c action=MOVE)" = "${SENT:-1}" ] || { echo "sent more than once: $(relocations)" >&2; return 1; }
    tables_say gpok3 pokdev62
    [ -z "$(sim faults)" ] || { echo "the fault was not met: $(sim faults)" >&2; return 1; }
}

@test "the connection closes before the request id, nothing was done: it is not sent again on a guess" {
    zvm_site
    sim fault MOVE close-before-id
    ends 1 gpok3 pokdev62
    is ''
    err_has "gpok3: Error: Running VMRELOCATE action=MOVE against LNX3... Failed: "
    err_has "nobody said that it was taken"
    sim_on LNX3 POKDEV61
    sim_moved LNX3 0 0 0
    [ "$(relocations | grep -c action=MOVE)" = 1 ]
    nothing_live
    ok gpok3 pokdev62
}

@test "the connection closes before the request id, and it was done" {
    zvm_site
    sim duration 3 LNX3
    sim fault MOVE close-before-id-taken
    ok gpok3 pokdev62
    is "$(moved gpok3 LNX3)"
    sim_on LNX3 POKDEV62
    [ "$(sim moves LNX3 | cut -d' ' -f4)" = 1 ]
    tables_say gpok3 pokdev62
}

@test "the connection closes after the request id" { moves_under close-after-id; }
@test "the reply comes byte by byte" { moves_under bytewise; }
@test "the reply comes late" { moves_under late 4; }
@test "the request id comes late" { moves_under late-id 1; }
@test "the reply's length is garbage" { moves_under garbage-length; }
@test "the reply's length is too short" { moves_under short-length; }
@test "the reply bears another request's id" { moves_under wrong-id; }
@test "the reply is dropped" { moves_under drop-reply; }
@test "the reply is dropped and cannot be recovered" { moves_under no-recovery; }
@test "the move goes on in the background: 592 with an id in the data" { moves_under 592; }
@test "the move goes on in the background: 592 with the id as reason" { moves_under 592-rs; }
@test "the system has changed: 900/99, and it is asked again" { SENT=2 moves_under rc 900 99; }

@test "the same faults in what is asked before and after" {
    zvm_site
    local f
    for f in Image_Status_Query VMRELOCATE_Status SSI_Query; do
        sim fault "$f" close-before-id
        sim fault "$f" close-after-id
        sim fault "$f" bytewise
        sim fault "$f" garbage-length
        sim fault "$f" rc 396 1234
    done
    ok 'gpok[1-3]' pokdev62 --attempts 20
    lines_are "$(moved gpok1 LNX1)" "$(moved gpok2 LNX2)" "$(moved gpok3 LNX3)"
    for f in 1 2 3; do sim_moved "LNX$f" 1 1 0; done
}

@test "numbers that nobody knows are printed, not guessed" {
    zvm_site
    sim fault MOVE rc 396 4711
    ends 1 gpok3 pokdev62
    err_has 396
    err_has 4711
    sim_on LNX3 POKDEV61
    sim_moved LNX3 0 0 0
}

# ---- who may

wrong_passwords_are() { [ "$(wrong_passwords)" = "$1" ]; }
wrong_passwords() { sim state | sed -n 's/^user RMIG wrong \([0-9]*\).*/\1/p'; }

@test "a wrong password is sent once, until the file has changed" {
    export SITE_AT=$BATS_TEST_TMPDIR/site
    site_new
    login falsch
    sim_up POKDEV61 POKDEV62 LNX3@POKDEV61
    broker_up
    zvm_tables
    zvm_worker zvm pokdev61 pokdev62
    until_true 15 told '.hosts[0] | .connected and (.reachable | not) and (.why | length > 0)' hosts pokdev61
    sleep 3
    [ "$(wrong_passwords)" = 1 ] # the members of a cluster count together
    ok hosts pokdev61 --json
    json '.hosts[0].why | contains("120")'
    ends 1 gpok3 pokdev62
    err_has "gpok3: Error: "
    err_has "Cannot communicate via SMAPI to pokdev61"
    [ "$(wrong_passwords)" = 1 ]
    login auch-falsch
    until_true 15 wrong_passwords_are 2
    sleep 3
    wrong_passwords_are 2
    login
    zvm_seen pokdev61 pokdev62
    until_true 10 guest_is_seen gpok3
    ok gpok3 pokdev62
    is "$(moved gpok3 LNX3)"
}

@test "a password that has changed meanwhile" {
    zvm_site
    sim password RMIG neu-und-anders
    until_true 15 host_is_away pokdev61
    sleep 2
    [ "$(wrong_passwords)" -le 2 ]
    ok hosts pokdev61
    has 120
    login neu-und-anders
    zvm_seen pokdev61
    ZVM_SECRET=neu-und-anders
}

@test "a password that has expired" {
    zvm_site
    sim expire RMIG
    until_true 15 host_is_away pokdev61
    ok hosts pokdev61
    has "128"
    has expired
    sim password RMIG "$ZVM_PASSWORD"
    login
    zvm_seen pokdev61
}

@test "what the user is not authorised for is said, and not asked again and again" {
    zvm_site
    sim deny RMIG VMRELOCATE
    ends 1 gpok3 destination=pokdev62
    is ''
    err_has "gpok3: Error: Running VMRELOCATE action=MOVE against LNX3... Failed: "
    err_has 100
    err_has "not authorised"
    sim_on LNX3 POKDEV61
    [ "$(relocations | grep -vc action=TEST)" -le 1 ]
    ends 1 gpok3 destination=pokdev62 action=TEST
    err_has "not authorised"
    sim authorise RMIG VMRELOCATE
    ok gpok3 destination=pokdev62
}

@test "a login file that others may read is refused with what to do" {
    zvm_site
    chmod 644 "$SITE/login"
    until_true 15 host_is_away pokdev61
    ok hosts pokdev61
    has "chmod"
    [ "$(wrong_passwords)" = 0 ]
    chmod 600 "$SITE/login"
    zvm_seen pokdev61
}

# ---- members

@test "a member that is no member of an SSI cluster" {
    zvm_site
    sim member POKDEV61 nossi
    ends 1 gpok3 destination=pokdev62
    err_has "gpok3: Error: "
    err_has "SSI"
    sim_on LNX3 POKDEV61
    sim_moved LNX3 0 0 0
    sim member POKDEV61 joined
    zvm_seen pokdev61
    ok gpok3 destination=pokdev62
}

@test "a member that was started with REPAIR, and a cluster that is not stable" {
    zvm_site
    sim member POKDEV61 repair
    ends 1 gpok3 destination=pokdev62
    err_has "gpok3: Error: "
    sim member POKDEV61 unstable
    zvm_seen pokdev61
    begin moving gpok3 pokdev62
    until_true 10 move_was_asked
    sim member POKDEV61 joined
    comes_to 0
    is "$(moved gpok3 LNX3)"
    sim_moved LNX3 1 1 0
}
move_was_asked() { [ -n "$(relocations | grep action=MOVE)" ]; }

@test "a destination that is down, refuses, or is silent" {
    zvm_site
    local mode
    for mode in down refuse silent; do
        sim member POKDEV62 "$mode"
        until_true 20 host_is_away pokdev62
        ends 1 gpok3 destination=pokdev62
        is ''
        err_has "gpok3: Error: "
        err_has pokdev62
        sim_on LNX3 POKDEV61
        sim member POKDEV62 joined
        zvm_seen pokdev62
    done
    sim_moved LNX3 0 0 0
    ok gpok3 destination=pokdev62
}

@test "the source falls silent during a move, and comes back" {
    zvm_site
    sim duration 3 LNX3
    begin moving gpok3 pokdev62
    until_true 10 sim_moves LNX3 POKDEV61 POKDEV62
    sim member POKDEV61 silent
    until_true 10 sim_on LNX3 POKDEV62
    sleep 1
    sim member POKDEV61 joined
    comes_to 0
    is "$(moved gpok3 LNX3)"
    sim_moved LNX3 1 1 0
    tables_say gpok3 pokdev62
}

# ---- TLS

certificate() { "$BIN/smapisim" cert "$SITE/$1.pem" "$SITE/$1.key"; } # NAME
tls_site() { # CERTIFICATE-THAT-IS-TRUSTED
    export SITE_AT=$BATS_TEST_TMPDIR/site ZVM_LISTEN=--tls
    site_new
    login
    certificate server
    certificate other
    ZVM_CA="ca = \"$SITE/$1.pem\";"
    sim_up POKDEV61 POKDEV62 LNX3@POKDEV61 --cert "$SITE/server.pem" --key "$SITE/server.key"
    broker_up
    zvm_tables
    zvm_worker zvm pokdev61 pokdev62
}

@test "over TLS, with the server's own certificate" {
    tls_site server
    zvm_seen pokdev61 pokdev62
    until_true 10 guest_is_seen gpok3
    ok gpok3 pokdev62
    is "$(moved gpok3 LNX3)"
    tables_say gpok3 pokdev62
}

@test "a certificate that is not trusted: no password is sent" {
    tls_site other
    until_true 15 told '.hosts[0] | .connected and (.why | length > 0)' hosts pokdev61
    host_is_away pokdev61
    ok hosts pokdev61
    has certificate
    [ -z "$(sim requests)" ]
    [ -z "$(sim violations | grep -v 'TLS: .*unknown ca')" ]
    sim violations clear
}

# ---- workers

@test "a worker for each member: the source's looks at the destination itself" {
    export SITE_AT=$BATS_TEST_TMPDIR/site
    site_new
    login
    sim_up POKDEV61 POKDEV62 LNX3@POKDEV61
    broker_up
    zvm_tables
    zvm_worker zvm61 pokdev61
    zvm_worker zvm62 pokdev62
    zvm_seen pokdev61 pokdev62
    until_true 10 guest_is_seen gpok3
    ok gpok3 pokdev62
    is "$(moved gpok3 LNX3)"
    ok gpok3 pokdev61
    tables_say gpok3 pokdev61
    sim_moved LNX3 2 2 0
}
