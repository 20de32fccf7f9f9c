#!/usr/bin/env bats
# ansible.bats - the module of contrib/ansible, its playbook, and the script of contrib/examples, against the real broker
#
# The module is run as Ansible runs it, with its arguments in a file; only the playbook needs all of Ansible, which takes its time.

# bats file_tags=friends

PYTHON=/usr/bin/python3 # for which Debian's modules are

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    broker_up
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03,full}
    guest kvm1 hyp01
    guest kvm2 hyp01
    guest big1 full running 70000
    guest small1 full
    worker_up all hyp03 full:'128 GiB':64
    worker_up one hyp01
    worker_up two hyp02
    until_true 5 guest_is_seen small1
    until_true 5 guest_is_seen kvm2
}
teardown_file() { load common; site_down; }
setup() {
    load common
    PATH=$BIN:$PATH
    export PYTHONDONTWRITEBYTECODE=1
}

# The module ends with this code; $output is its JSON.
module() { # CODE JSON [check]
    jq -n --argjson args "$2" --argjson check "${3:-false}" '{ANSIBLE_MODULE_ARGS: ($args + {_ansible_check_mode: $check})}' \
        >"$BATS_TEST_TMPDIR/args"
    run "-$1" --separate-stderr timeout 300 "$PYTHON" "$TREE/contrib/ansible/library/rmigrate_evacuate.py" "$BATS_TEST_TMPDIR/args"
}
host_is() { told ".hosts[0].state == \"$2\"" hosts "$1"; }
n_jobs() { # of kvm1
    ask history kvm1 --json | jq '.history | length'
}

@test "a hypervisor is emptied; called again nothing is changed" {
    module 0 '{"host": "hyp01", "to": "hyp02", "reason": "kernel"}'
    json '.changed and .moved == 2 and .left == 0 and .batch > 0 and (.account | test("hyp01 is empty"))'
    runs_on kvm1 hyp02
    told '.hosts[0] | .state == "closed" and .reason == "kernel"' hosts hyp01
    local before
    before=$(n_jobs)
    module 0 '{"host": "hyp01"}'
    json '(.changed | not) and .batch == null and .moved == 0'
    [ "$(n_jobs)" = "$before" ]
}

@test "its guests come back; called again nothing is changed" {
    module 0 '{"host": "hyp01", "state": "restored"}' true
    json '.changed and (.plan | map(.guest) | sort == ["kvm1", "kvm2"])'
    runs_on kvm1 hyp02
    module 0 '{"host": "hyp01", "state": "restored"}'
    json '.changed and .moved == 2'
    runs_on kvm1 hyp01
    host_is hyp01 open
    module 0 '{"host": "hyp01", "state": "restored"}'
    json '.changed | not'
}

@test "check mode makes the plan and changes nothing" {
    module 0 '{"host": "hyp01", "to": "hyp02"}' true
    json '.changed and .batch == null and (.plan | map([.guest, .destination]) | sort == [["kvm1", "hyp02"], ["kvm2", "hyp02"]])'
    host_is hyp01 open
    runs_on kvm1 hyp01
    module 1 '{"host": "full"}' true
    json '.failed and .left == 1 and (.msg | test("big1"))'
    host_is full open
}

@test "a guest that is left fails with the account" {
    module 1 '{"host": "full"}'
    json '.failed and .changed and .moved == 1 and .left == 1 and (.msg | test("full is not empty.*big1")) and .msg == .account'
    host_is full closed
    module 1 '{"host": "full"}'
    json '.failed and .left == 1'
}

@test "open" {
    ask close hyp02 >/dev/null
    module 0 '{"host": "hyp02", "state": "open"}' true
    json '.changed'
    host_is hyp02 closed
    module 0 '{"host": "hyp02", "state": "open", "reason": "done"}'
    json '.changed'
    host_is hyp02 open
    module 0 '{"host": "hyp02", "state": "open"}'
    json '.changed | not'
}

@test "what cannot be: no such host, no broker, no command, not in time" {
    module 1 '{"host": "hyp99"}'
    json '.failed and (.changed | not) and (.msg | test("hyp99"))'
    printf 'client: { broker = "ipc:///nowhere/broker"; };\n' >"$BATS_TEST_TMPDIR/conf"
    module 1 "{\"host\": \"hyp01\", \"config\": \"$BATS_TEST_TMPDIR/conf\"}"
    json '.failed and (.msg | test("Unable to reach the broker"))'
    module 1 '{"host": "hyp01", "command": "/nowhere/rmigrate"}'
    json '.failed and (.msg | test("/nowhere/rmigrate"))'
    module 1 '{"host": "hyp01", "state": "open", "to": "hyp02"}'
    json '.msg | test("only for")'
}

# bats test_tags=slow
@test "a time-out names the batch, and the same task waits for it again" {
    plan kvm1 'crawl 0'
    module 1 '{"host": "hyp01", "to": "hyp02", "timeout": 5}'
    json '.failed and .batch > 0 and (.msg | test("batch [0-9]+ goes on"))'
    local before
    before=$(n_jobs)
    module 1 '{"host": "hyp01", "to": "hyp02", "timeout": 5}'
    json '.failed and (.msg | test("goes on"))'
    [ "$(n_jobs)" = "$before" ]
    ask modify --guests kvm1 bandwidth=1GiB/s >/dev/null
    until_true 10 told '.hosts[0] | .guests == 0 and (.evacuating | not)' hosts hyp01
    module 0 '{"host": "hyp01", "state": "restored"}'
    runs_on kvm1 hyp01
}

# A hypervisor that is rebooted: its worker ends and another process serves it.
reboot_script() {
    cat >"$BATS_TEST_TMPDIR/reboot" <<END
#!/bin/bash
BATS_TEST_DIRNAME=$BATS_TEST_DIRNAME
bats_require_minimum_version() { :; }
. "$BATS_TEST_DIRNAME/common.bash"
case \$1 in
hyp01) name=one ;;
hyp02) name=two ;;
esac
ls "$WORLD/\$1" >>"$BATS_TEST_TMPDIR/rebooted"
echo "\$1" >>"$BATS_TEST_TMPDIR/rebooted"
end_it \$name KILL
launch \$name "\$BIN/fakeworker" -c "\$SITE/\$name.conf"
END
    chmod +x "$BATS_TEST_TMPDIR/reboot"
}

# bats test_tags=slow
@test "the script reboots one after another, each empty, and ends at the first that cannot be emptied" {
    reboot_script
    ask open full >/dev/null
    until_true 5 guest_is_on kvm1 hyp01
    REBOOT=$BATS_TEST_TMPDIR/reboot run --separate-stderr timeout 300 "$TREE/contrib/examples/reboot-rack" hyp01 hyp02 full hyp03
    [ "$status" = 1 ] || wrong status 1
    [ "$(cat "$BATS_TEST_TMPDIR/rebooted")" = $'hyp01\nhyp02' ]
    runs_on kvm1 hyp01
    host_is hyp01 open
    host_is hyp02 open
    host_is full closed
    host_is hyp03 open
    ! REBOOT=true REBOOT_MOST=2 timeout 60 "$TREE/contrib/examples/reboot-rack" hyp02
    host_is hyp02 closed
    ask open hyp02 >/dev/null
    run -2 "$TREE/contrib/examples/reboot-rack"
}

# Rebooting alone is left out.
# bats test_tags=slow
@test "the playbook, with Ansible: one host after another; the first that cannot be emptied ends it" {
    until_true 5 guest_is_on kvm1 hyp01
    ask open full >/dev/null
    cat >"$BATS_TEST_TMPDIR/inventory" <<END
[rack7]
hyp01
full
hyp02
[rack8]
hyp01
[all:vars]
ansible_connection=local
ansible_python_interpreter=$PYTHON
END
    export ANSIBLE_LIBRARY=$TREE/contrib/ansible/library ANSIBLE_LOCAL_TEMP=$BATS_TEST_TMPDIR/a ANSIBLE_REMOTE_TEMP=$BATS_TEST_TMPDIR/b
    export ANSIBLE_HOME=$BATS_TEST_TMPDIR/home ANSIBLE_NOCOLOR=1 ANSIBLE_NOCOWS=1
    run -0 ansible-playbook -i "$BATS_TEST_TMPDIR/inventory" --skip-tags reboot -e rack=rack8 "$TREE/contrib/ansible/reboot-rack.yml"
    matches 'hyp01 +: ok=2 +changed=2 '
    runs_on kvm1 hyp01
    host_is hyp01 open
    run -2 ansible-playbook -i "$BATS_TEST_TMPDIR/inventory" --skip-tags reboot -e rack=rack7 "$TREE/contrib/ansible/reboot-rack.yml"
    has 'full is not empty'
    matches 'hyp01 +: ok=2 '
    [ -z "$(sed -n '/^PLAY RECAP/,$s/^hyp02 /&/p' <<<"$output")" ]
    host_is full closed
    host_is hyp02 open
}
