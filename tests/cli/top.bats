#!/usr/bin/env bats
# top.bats - rmigrate top on a terminal: what it shows, what its keys do

load common

# A terminal of 80 columns and 24 lines, or others, in which top runs; what it prints at its end stays in $OUT.err.
# A server that was told to end is still at its socket for a moment: each start has one of its own.
N_TMUX=0
TMUX_AT() { tmux -S "$BATS_TEST_TMPDIR/tmux$N_TMUX" -f /dev/null "$@"; }
top() { # [ARGUMENT...]
    OUT=$BATS_TEST_TMPDIR/top
    rm -f "$OUT.code" "$OUT.pid"
    N_TMUX=$((N_TMUX + 1))
    TMUX_AT new-session -d -x "${COLUMNS_OF:-80}" -y "${LINES_OF:-24}" \
        "exec 3>&- 4>&-; ${TOP_BEFORE:-}
         sh -c 'echo \$\$ >\"\$0.pid\"; exec env ${TOP_ENV:-} \"\$@\"' '$OUT' '$BIN/rmigrate' top $* 2>'$OUT.err'
         echo \$? >'$OUT.code'; sleep 1000"
    until_true 10 test -s "$OUT.pid"
}
top_pid() { cat "$OUT.pid"; }
keys() { TMUX_AT send-keys "$@"; }
screen() { TMUX_AT capture-pane -p; }
screen_has() { [[ $(screen) == *"$1"* ]]; }
screen_matches() { [[ $(screen) =~ $1 ]]; }
shows() { until_true 30 screen_has "$1" || { screen >&2; return 1; }; }
shows_like() { until_true 30 screen_matches "$1" || { screen >&2; return 1; }; }
shows_not() { ! screen_has "$1" || { screen >&2; return 1; }; }
gone() { ! screen_has "$1"; }
hides() { until_true 30 gone "$1" || { screen >&2; return 1; }; }
# The question is answered with y, which must not come at once: what is typed ahead answers nothing.
confirms() {
    shows "[y/N]"
    for _ in 1 2 3 4 5; do
        sleep 0.3
        keys y
        ! until_true 5 gone "[y/N]" || return 0
    done
    screen >&2
    return 1
}
ends_with() { # CODE
    until_true 30 test -s "$OUT.code" || { screen >&2; return 1; }
    [ "$(cat "$OUT.code")" = "$1" ] || { cat "$OUT.code" "$OUT.err" >&2; return 1; }
    stderr=$(cat "$OUT.err")
}

setup_file() {
    site_new 'limits: { source = 2; destination = 4; };'
    broker_up
    worker_up worker hyp01:8GiB hyp02:8GiB hyp03:16GiB
}
teardown_file() { site_down; }
teardown() {
    ! TMUX_AT has-session 2>/dev/null || TMUX_AT kill-server
    ask cancel --all >/dev/null 2>&1 || :
    ask resume --host 'hyp[01-03]' >/dev/null 2>&1 || :
    until_true 10 nothing_live
    own_site_down
}

# Guests that are moved for as long as the test wants.
moving() { # GUEST...
    local name
    for name; do
        guest "$name" hyp01
        plan "$name" "hang 60000"
    done
    until_true 5 guest_is_seen "${!#}"
}

@test "hypervisors and jobs are on one screen of 80 by 24, and the next one's wait is explained" {
    moving one1 one2 one3
    ask submit one1,one2,one3 hyp02 --detach >/dev/null
    until_true 5 is_running one2
    top
    shows "3 hypervisors: 3 open"
    shows_like 'jobs: 2 running, 1 queued'
    shows_like 'hyp01 +open +[█░]+ +[0-9]+ %'
    shows_like 'one1 +hyp01 +hyp02 +running'
    shows_like 'one3 +hyp01 +hyp02 +queued +2 of 2 migrations from hyp01 are running'
    [ "$(screen | wc -l)" -eq 24 ]
    keys q
    ends_with 0
    [ -z "$stderr" ]
}

# bats test_tags=slow
@test "a job is cancelled after a question that was answered with y, and not otherwise" {
    moving two1
    local job
    ask submit two1 hyp02 --detach >/dev/null
    until_true 5 is_running two1
    job=$(last_job two1)
    top
    shows_like 'two1 .*running'
    keys c
    shows "Cancel job $job, which moves two1 from hyp01? [y/N]"
    keys n
    shows "? help"
    is_running two1
    keys c
    shows "[y/N]"
    keys Enter
    shows "? help"
    is_running two1
    keys c
    confirms
    shows_like 'two1 .*cancelled'
    until_true 5 state_is "$job" cancelled
    shows "jobs: none; ended: 1 cancelled"
    runs_on two1 hyp01
}

# bats test_tags=slow
@test "keys that come all at once are meant for the row that the keys before them selected" {
    moving thr1 thr2 thr3
    ask pause --site >/dev/null
    ask submit thr1,thr2,thr3 hyp02 --detach >/dev/null
    top
    shows_like 'thr3 .*paused'
    keys Down Down c
    shows_like 'Cancel job [0-9]+, which moves thr3 from'
    confirms
    until_true 5 state_is "$(last_job thr3)" cancelled
    run ! state_is "$(last_job thr1)" cancelled
    ask resume --site >/dev/null
}

# bats test_tags=slow
@test "pause, resume, priority and the whole batch" {
    moving fou1 fou2 fou3 fou4
    ask submit fou1,fou2 hyp02 --detach >/dev/null
    until_true 5 is_running fou2
    ask submit fou3,fou4 hyp02 --detach >/dev/null
    top
    shows_like 'fou4 .*queued'
    keys End p
    confirms
    shows_like 'fou4 .*paused'
    keys r
    confirms
    shows_like 'fou4 .*queued'
    keys +
    shows "priority 90 instead of 100?"
    confirms
    until_true 5 told '.priority == 90' show "$(last_job fou4)"
    keys P
    confirms
    shows '2 were changed; job'
    shows_like 'fou3 .*paused'
    shows_like 'fou4 .*paused'
    keys C
    confirms
    until_true 5 state_is "$(last_job fou3)" cancelled
    until_true 5 state_is "$(last_job fou4)" cancelled
    is_running fou1
}

# bats test_tags=slow
@test "a hypervisor is closed, opened, held and let go" {
    top
    shows_like 'hyp01 +open'
    keys Tab Home x
    shows "Close hyp01:"
    confirms
    shows_like 'hyp01 +closed'
    keys o
    confirms
    shows_like 'hyp01 +open'
    keys Down p
    confirms
    shows_like 'hyp02 +held'
    shows "hyp02: paused: no migration from hyp02 begins before"
    keys r
    confirms
    shows_like 'hyp02 +open'
}

# bats test_tags=slow
@test "all of a job, of a hypervisor, and the help; they are left by Esc" {
    moving fiv1
    ask submit fiv1 hyp02 --detach --reason 'new memory' >/dev/null
    until_true 5 is_running fiv1
    top
    shows_like 'fiv1 .*running'
    keys Enter
    shows "Reason      new memory"
    shows "State       running"
    shows_like "submitted +queued"
    keys Escape
    shows "STATE"
    keys Tab Enter
    shows "Hypervisor  hyp01"
    keys Escape
    shows "STATE"
    keys '?'
    shows "Changing jobs"
    keys Escape
    shows "STATE"
}

# bats test_tags=slow
@test "rows are narrowed to a text, a host and a batch, and sorted" {
    moving six1 six2
    guest sixb hyp02
    plan sixb "hang 60000"
    until_true 5 guest_is_seen sixb
    ask submit six1,six2 hyp03 --detach >/dev/null
    ask submit sixb hyp03 --detach >/dev/null
    until_true 5 is_running sixb
    top
    shows_like 'sixb .*running'
    keys / s i x b Enter
    hides six1
    shows "with 'sixb'"
    keys Escape
    shows six1
    keys Tab Home h
    shows "of hyp01"
    hides sixb
    keys h
    shows sixb
    keys Tab Home b
    shows "of batch"
    hides sixb
    keys b s
    shows "by guest"
    keys S
    shows "by guest, reversed"
    shows_like $'sixb[^\n]*\n[^\n]*six2[^\n]*\n[^\n]*six1'
}

# bats test_tags=slow
@test "--host and --batch narrow it from the beginning" {
    moving sev1 sev2
    local batch
    batch=$(detach sev1 hyp02)
    ask submit sev2 hyp03 --detach >/dev/null
    until_true 5 is_running sev2
    top --batch "$batch"
    shows_like 'sev1 .*running'
    shows_not sev2
    keys q
    ends_with 0
    TMUX_AT kill-server
    top --host hyp03
    shows_like 'sev2 .*running'
    shows_not sev1
}

# bats test_tags=slow
@test "a broker that is killed is away, keys go on, and what is shown goes on when it is back" {
    moving eig1
    ask submit eig1 hyp02 --detach >/dev/null
    until_true 5 is_running eig1
    top
    shows_like 'eig1 .*running'
    broker_down KILL
    shows "the broker is away"
    shows eig1
    keys '?'
    shows "Changing jobs"
    keys Escape
    broker_up
    hides "the broker is away"
    until_true 30 host_is_seen hyp01
    shows_like 'eig1 .*running'
    keys Home c
    confirms
    shows_like 'eig1 .*cancelled'
}

# bats test_tags=slow
@test "the window may change its size, and be too small" {
    moving nin1
    ask submit nin1 hyp02 --detach >/dev/null
    until_true 5 is_running nin1
    top
    shows_like 'nin1 .*running'
    TMUX_AT resize-window -x 132 -y 40
    shows "DONE FAILED"
    shows_like 'nin1 .*running'
    TMUX_AT resize-window -x 30 -y 5
    shows "the terminal is too small"
    TMUX_AT resize-window -x 60 -y 12
    shows_like 'nin1 .*running'
    hides "too small"
}

# bats test_tags=slow
@test "without UTF-8 and without colours it says the same" {
    moving ten1
    ask submit ten1 hyp02 --detach >/dev/null
    until_true 5 is_running ten1
    TOP_ENV='LC_ALL=C NO_COLOR=1' top
    shows_like 'hyp01 +open +[#.]{8} +[0-9]+ %'
    shows_like 'ten1 .*running'
    [[ $(TMUX_AT capture-pane -p -e) != *$'\e['*3[1-6]m* ]]
    LC_ALL=C run screen
    [[ $output != *█* ]]
}

# bats test_tags=slow
@test "a viewer sees it and is told that changes take an operator" {
    SITE_AT=$BATS_TEST_TMPDIR/site
    site_new
    key watcher viewer
    curve_up
    worker_up worker hyp11 hyp12
    moving_on() { guest ele1 hyp11 && plan ele1 "hang 60000"; }
    moving_on
    until_true 5 guest_is_seen ele1
    ask submit ele1 hyp12 --detach >/dev/null
    until_true 5 is_running ele1
    top -c "$(client_conf watcher)"
    shows "you are watcher, viewer"
    shows_like 'ele1 .*running'
    keys c
    shows "you are watcher, viewer: that takes an operator"
    shows_not "[y/N]"
}

@test "without a terminal, or on one that cannot be drawn on, it says what helps" {
    ends 2 top
    err_has "top needs a terminal; queue, jobs and workers list the same"
    TOP_ENV='TERM=nonsense' top
    ends_with 2
    [[ $stderr == *"cannot be drawn on (TERM is nonsense)"* ]]
    TMUX_AT kill-server
    TOP_ENV='TERM=dumb' top
    ends_with 2
    [[ $stderr == *"cannot be drawn on (TERM is dumb)"* ]]
    TMUX_AT kill-server
    TOP_ENV='-u TERM' top
    ends_with 2
    [[ $stderr == *"cannot be drawn on (TERM is not set)"* ]]
}

@test "Ctrl-C is a way to quit, and the terminal is as before" {
    top
    shows "3 hypervisors"
    keys C-c
    ends_with 0
    hides "3 hypervisors"
}

# bats test_tags=slow
@test "where no broker was ever there, it is waited for and q works" {
    TOP_ENV="RMIGRATE_BROKER=ipc://$BATS_TEST_TMPDIR/nobody" top
    shows "the broker is away"
    shows "nobody listens there"
    shows_not "no unfinished jobs"
    shows_not "jobs: none"
    keys q
    ends_with 0
}

# bats test_tags=slow
@test "what is typed ahead, pasted or repeats answers no question" {
    moving adv1
    local job i
    ask submit adv1 hyp02 --detach >/dev/null
    until_true 5 is_running adv1
    job=$(last_job adv1)
    top
    shows_like 'adv1 .*running'
    for i in 1 2 3; do
        keys c y
        shows "Cancel job $job, which moves adv1 from hyp01? [y/N]"
        keys n
        hides "[y/N]"
    done
    printf 'cy%.0s' {1..5000} >"$BATS_TEST_TMPDIR/paste"
    TMUX_AT load-buffer "$BATS_TEST_TMPDIR/paste"
    TMUX_AT paste-buffer
    until_true 60 helps
    keys Escape
    shows "STATE"
    is_running adv1
    keys c
    confirms
    until_true 10 state_is "$job" cancelled
}

helps() { keys '?' && screen_has "Changing jobs"; }

# bats test_tags=slow
@test "a job that ended between the question and the answer is told of, and no other job is touched" {
    moving bet1 bet2
    local job
    ask submit bet1,bet2 hyp02 --detach >/dev/null
    until_true 5 is_running bet2
    job=$(last_job bet1)
    top
    shows_like 'bet2 .*running'
    keys Home c
    shows "Cancel job $job, which moves bet1"
    ask cancel "$job" >/dev/null
    until_true 10 state_is "$job" cancelled
    confirms
    shows "job $job: is already cancelled"
    is_running bet2
}

# bats test_tags=slow
@test "a question stands there as a whole, and where it cannot nobody can say yes" {
    COLUMNS_OF=40 LINES_OF=10 top
    shows "3 hypervisors"
    keys Tab Home p
    shows $'Hold everything that moves guests away f\nrom hyp01, also jobs to come? [y/N]'
    keys n
    hides "[y/N]"
    TMUX_AT resize-window -x 39 -y 10
    shows "the terminal is too small"
    keys p
    sleep 0.3 # as before a y that counts
    keys y
    TMUX_AT resize-window -x 80 -y 24
    shows "Hold everything that moves guests away from hyp01, also jobs to come? [y/N]"
    shows_like 'hyp01 +open'
    keys n
    hides "[y/N]"
}

@test "sequences of keys that the terminal does not have do nothing" {
    moving esc1
    ask submit esc1 hyp02 --detach >/dev/null
    until_true 5 is_running esc1
    TOP_ENV='TERM=vt100' top
    shows_like 'esc1 .*running'
    keys -l $'\e[C\e[1;5C\e[99~\eOw\e[P'
    keys s
    shows "by guest"
    shows_not "[y/N]"
}

# bats test_tags=slow
@test "the terminal is given back by Ctrl-\\, and by SIGTERM while Ctrl-S has stopped it" {
    top
    shows "3 hypervisors"
    keys 'C-\'
    ends_with 0
    hides "3 hypervisors"
    TMUX_AT kill-server
    top
    shows "3 hypervisors"
    keys C-s
    kill -TERM "$(top_pid)"
    ends_with 143
    hides "3 hypervisors"
}

# bats test_tags=slow
@test "where the terminal is closed it ends, also where SIGHUP is ignored" {
    TOP_BEFORE="trap '' HUP;" top
    shows "3 hypervisors"
    TMUX_AT kill-server
    until_true 30 has_ended "$(top_pid)"
}

# bats test_tags=slow
@test "the size is the terminal's, not that of LINES and COLUMNS; Ctrl-L and SIGCONT draw it anew" {
    TOP_ENV='LINES=50 COLUMNS=132' top
    shows "3 hypervisors"
    shows_not "DONE FAILED"
    printf '\e[2J' >"$(TMUX_AT display-message -p '#{pane_tty}')"
    hides "3 hypervisors"
    keys C-l
    shows "3 hypervisors"
    kill -STOP "$(top_pid)"
    printf '\e[2J' >"$(TMUX_AT display-message -p '#{pane_tty}')"
    hides "3 hypervisors"
    kill -CONT "$(top_pid)"
    shows "3 hypervisors"
}

# bats test_tags=slow
@test "q does not wait for the answer to an order, and says that nobody knows what became of it" {
    moving wai1
    ask submit wai1 hyp02 --detach >/dev/null
    until_true 5 is_running wai1
    top
    shows_like 'wai1 .*running'
    keys c
    shows "[y/N]"
    kill -STOP "$(pid_of broker)"
    confirms
    shows "asking the broker ..."
    keys q
    ends_with 3
    kill -CONT "$(pid_of broker)"
    [[ $stderr == *"it is not known whether the last order was carried out"* ]]
    until_true 30 answers
}

# A broker that answers as none of ours would (fakeclient.c).
odd_broker() { # KIND [HOSTS JOBS]
    launch odd "$BIN/fakeclient" "ipc://$SITE/odd" broker "$@"
    until_true 10 test -S "$SITE/odd"
}

# bats test_tags=slow
@test "answers with missing parts, numbers at their limits and names of any kind are borne" {
    odd_broker odd 3 3
    COLUMNS_OF=132 TOP_ENV="RMIGRATE_BROKER=ipc://$SITE/odd" top
    shows "you are somebody, admin"
    shows_like $' 1 +hyp0 any +running +[█░]+ +60 % *\n'
    shows_like 'state +hyp0 any [?]'
    keys End c
    shows "Cancel job 18446744073709551615"
    keys n
    hides "[y/N]"
    keys Enter
    shows "there is no such job"
    keys q
    ends_with 0
    end_it odd
}

# bats test_tags=slow
@test "a broker that answers the same page again is told of, and that is the end" {
    odd_broker same
    TOP_ENV="RMIGRATE_BROKER=ipc://$SITE/odd" top
    ends_with 3
    [[ $stderr == *"the broker answers the same page again"* ]]
    end_it odd
}

# bats test_tags=slow
@test "a job whose end nobody tells of any more does not stay" {
    odd_broker behind 1 3
    TOP_ENV="RMIGRATE_BROKER=ipc://$SITE/odd" top
    shows "jobs: 2 queued"
    hides guest0
    shows guest2
    end_it odd
}

# bats test_tags=slow
@test "keys are obeyed while there are many rows, and a paste of keys is no work for minutes" {
    odd_broker plain 3000 3000
    TOP_ENV="RMIGRATE_BROKER=ipc://$SITE/odd" top
    shows_like 'guest0 .*queued'
    printf 'j%.0s' {1..10000} >"$BATS_TEST_TMPDIR/paste"
    TMUX_AT load-buffer "$BATS_TEST_TMPDIR/paste"
    TMUX_AT paste-buffer
    shows_like ' of 3000'
    until_true 30 presses_q
    end_it odd
}
presses_q() { keys q && test -s "$OUT.code"; }

# bats test_tags=slow
@test "all of a job is shown as long as somebody looks, also after its row has gone" {
    moving sta1 sta2
    local job
    ask submit sta1,sta2 hyp02 --detach >/dev/null
    until_true 5 is_running sta2
    job=$(last_job sta1)
    top
    shows_like 'sta1 .*running'
    keys Home Enter
    shows "Guest       sta1"
    TMUX_AT new-window "exec 3>&- 4>&-; '$BIN/rmigrate' top; sleep 1000"
    shows_like 'sta1 .*running'
    ask cancel "$job" >/dev/null
    shows_like 'sta1 .*cancelled'
    hides sta1
    TMUX_AT select-window -t :0
    shows "Guest       sta1"
    keys Escape
    shows "STATE"
    hides sta1
    shows_like 'sta2 .*running'
}
