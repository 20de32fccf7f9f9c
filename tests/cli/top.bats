#!/usr/bin/env bats
# top.bats - rmigrate top on a terminal: what it shows, what its keys do

load common

# A terminal of 80 columns and 24 lines, or others, in which top runs; what it prints at its end stays in $OUT.err.
TMUX_AT() { tmux -S "$BATS_TEST_TMPDIR/tmux" -f /dev/null "$@"; }
top() { # [ARGUMENT...]
    OUT=$BATS_TEST_TMPDIR/top
    rm -f "$OUT.code"
    TMUX_AT new-session -d -x "${COLUMNS_OF:-80}" -y "${LINES_OF:-24}" \
        "exec 3>&- 4>&-; ${TOP_ENV:-} '$BIN/rmigrate' top $* 2>'$OUT.err'; echo \$? >'$OUT.code'; sleep 1000"
}
keys() { TMUX_AT send-keys "$@"; }
screen() { TMUX_AT capture-pane -p; }
screen_has() { [[ $(screen) == *"$1"* ]]; }
screen_matches() { [[ $(screen) =~ $1 ]]; }
shows() { until_true 10 screen_has "$1" || { screen >&2; return 1; }; }
shows_like() { until_true 10 screen_matches "$1" || { screen >&2; return 1; }; }
shows_not() { ! screen_has "$1" || { screen >&2; return 1; }; }
gone() { ! screen_has "$1"; }
hides() { until_true 10 gone "$1" || { screen >&2; return 1; }; }
ends_with() { # CODE
    until_true 10 test -s "$OUT.code" || { screen >&2; return 1; }
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
    keys c y
    shows_like 'two1 .*cancelled'
    until_true 5 state_is "$job" cancelled
    shows "jobs: none; ended: 1 cancelled"
    runs_on two1 hyp01
}

@test "keys that come all at once are meant for the row that the keys before them selected" {
    moving thr1 thr2 thr3
    ask pause --site >/dev/null
    ask submit thr1,thr2,thr3 hyp02 --detach >/dev/null
    top
    shows_like 'thr3 .*paused'
    keys Down Down c
    shows_like 'Cancel job [0-9]+, which moves thr3 from'
    keys y
    until_true 5 state_is "$(last_job thr3)" cancelled
    ! state_is "$(last_job thr1)" cancelled
    ask resume --site >/dev/null
}

@test "pause, resume, priority and the whole batch" {
    moving fou1 fou2 fou3 fou4
    ask submit fou1,fou2 hyp02 --detach >/dev/null
    until_true 5 is_running fou2
    ask submit fou3,fou4 hyp02 --detach >/dev/null
    top
    shows_like 'fou4 .*queued'
    keys End p y
    shows_like 'fou4 .*paused'
    keys r y
    shows_like 'fou4 .*queued'
    keys +
    shows "priority 90 instead of 100?"
    keys y
    until_true 5 told '.priority == 90' show "$(last_job fou4)"
    keys P y
    shows_like 'fou3 .*paused'
    shows_like 'fou4 .*paused'
    keys C y
    until_true 5 state_is "$(last_job fou3)" cancelled
    until_true 5 state_is "$(last_job fou4)" cancelled
    is_running fou1
}

@test "a hypervisor is closed, opened, held and let go" {
    top
    shows_like 'hyp01 +open'
    keys Tab Home x
    shows "Close hyp01:"
    keys y
    shows_like 'hyp01 +closed'
    keys o y
    shows_like 'hyp01 +open'
    keys Down p y
    shows_like 'hyp02 +held'
    shows "hyp02: held"
    keys r y
    shows_like 'hyp02 +open'
}

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
    until_true 10 host_is_seen hyp01
    shows_like 'eig1 .*running'
    keys Home c y
    shows_like 'eig1 .*cancelled'
}

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
}

@test "Ctrl-C is a way to quit, and the terminal is as before" {
    top
    shows "3 hypervisors"
    keys C-c
    ends_with 0
    hides "3 hypervisors"
}

@test "where no broker was ever there, it is waited for and q works" {
    TOP_ENV="RMIGRATE_BROKER=ipc://$BATS_TEST_TMPDIR/nobody" top
    shows "the broker is away"
    shows "nobody listens there"
    keys q
    ends_with 0
}
