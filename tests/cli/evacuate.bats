#!/usr/bin/env bats
# evacuate.bats - whole hypervisors are emptied; hosts and guests, opened and closed, listed

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; }; exclude_nodes = "holy1";'
    broker_up
    mkdir -p "$WORLD"/{a1,a2,b1,b2,c1,c2,d1,e1,f1,g1,h1,spare1,spare2,mute}
    local i
    for i in 1 2 3 4; do
        guest "a$i-vm" a1
        guest "b$i-vm" b1
        guest "d$i-vm" d1
        guest "f$i-vm" f1
    done
    guest a-off1 a1 shutoff
    guest a-off2 a1 shutoff
    guest big1 c1 running 70000
    guest c-vm c1
    guest holy1 c2
    guest e-vm e1
    guest g-vm g1
    guest h-vm h1
    guest mute-vm mute
    WORKER_SLOTS=8 worker_up all a1 a2 b1 b2 c1:'128 GiB':64 c2 d1 e1 f1 g1 h1 spare1 spare2
    worker_up silent mute
    until_true 5 guest_is_seen mute-vm
    down mute 'Connection reset by peer'
    until_true 10 host_is_away mute
    ask close a2,b2,c2,d1,e1,f1,g1,h1 >/dev/null
}
teardown_file() { load common; site_down; }
setup() { load common; }

only_open() { ask close a1,a2,b1,b2,c1,c2,d1,e1,f1,g1,h1,spare1,spare2 >/dev/null; ask open "$1" >/dev/null; }
host_is() { told ".hosts[0].state == \"$2\"" hosts "$1"; }

@test "--plan prints who would go where, and changes nothing" {
    only_open a1,spare1
    ok evacuate a1 --plan
    matches '^STEP AFTER GUEST +FROM +TO'
    matches 'a1-vm +a1 +spare1'
    has "2 guests are shut off and stay defined there"
    err_has "this is plan "
    host_is a1 open
    runs_on a1-vm a1
    ok jobs
    is ""
    ok evacuate a1 --plan --noheadings
    has_not GUEST
    ok evacuate a1 --plan --json
    json '.plan | map(select(.guest == "a1-vm"))[0] | .source == "a1" and .destination == "spare1" and .ok'
}

@test "a hypervisor is emptied and stays closed; shut off guests are told of" {
    only_open a1,spare1,spare2
    ok evacuate a1 --reason kernel
    has "a1: 2 guests are shut off and stay defined there"
    has "a1: is empty: 4 moved"
    matches 'a1-vm: migrated to spare[12]'
    matches 'a4-vm: migrated to spare[12]'
    quiet
    host_is a1 closed
    ok hosts a1 --json
    json '.hosts[0] | .reason == "kernel" and .guests == 0'
    [ "$(cd "$WORLD/a1" && echo *)" = "a-off1 a-off2" ]
    ok evacuate a1
    lines_are "a1: 2 guests are shut off and stay defined there" "a1: is empty: 0 moved"
}

@test "--to: only there" {
    only_open b1,spare1,spare2
    ok evacuate b1 --to spare2
    lines_are "b1-vm: migrated to spare2" "b2-vm: migrated to spare2" "b3-vm: migrated to spare2" "b4-vm: migrated to spare2" \
        "b1: is empty: 4 moved"
}

@test "a guest that has no place stays, the others go, and the exit code says so" {
    only_open c1,spare1
    ends 1 evacuate c1
    is "c-vm: migrated to spare1"
    err_has "big1: Error: Unable to identify a suitable target host for guest big1: spare1 has too little memory"
    err_has "c1: Error: is not empty: 1 moved, 1 left, because: big1 (Unable to identify"
    runs_on big1 c1
    host_is c1 closed
    ends 1 evacuate c1 --plan
    err_has "big1: Error: Unable to identify a suitable target host for guest big1"
    ends 1 evacuate c1 --json
    jq -se 'any(.guest == "big1" and (.ok | not)) and any(.host == "c1" and (.ok | not))' <<<"$output" >/dev/null
}

@test "nowhere to go: no other host is open" {
    only_open d1
    ends 1 evacuate d1 --detach
    err_has "d1-vm: Error: Unable to identify a suitable target host for guest d1-vm: "
    err_has "d4-vm: Error: "
    err_has "d1: Error: is not closed, and nothing is moved: no guest has anywhere to go"
    host_is d1 open
    runs_on d1-vm d1
}

@test "excluded guests stay, and are told of" {
    only_open c2,spare1
    ends 1 evacuate c2
    err_has "holy1: Error: stays on c2: it is excluded (exclude_nodes)"
    err_has "c2: Error: is not empty: 0 moved, 1 left, because: holy1 (stays on c2: it is excluded (exclude_nodes))"
    runs_on holy1 c2
}

@test "--detach prints the batch; the host shows that it is being emptied" {
    only_open d1,spare1
    plan d1-vm 'hang 0'
    ok evacuate d1 --detach
    matches '^batch [0-9]+: 4 jobs$'
    local batch=${output#batch }
    batch=${batch%%:*}
    ok hosts d1
    matches 'd1 +emptying'
    ok jobs --batch "$batch" --json
    json '.jobs | all(.evacuation != false)'
    ok evacuate d1 --detach
    matches 'd1-vm: job [0-9]+ takes it to spare1'
    until_true 5 told ".phase == \"copying\"" show $((batch + 1))
    ok cancel $((batch + 1))
    ends 1 wait "$batch"
    err_has "d1-vm: Error: cancelled by $(id -un), the guest stays on d1"
    has "d4-vm: migrated to spare1"
}

# bats test_tags=slow
@test "a guest that comes to a host that is being emptied is waited for, and moved on" {
    only_open e1,f1,spare1
    plan f1-vm 'ok 1500'
    local batch
    batch=$(detach f1-vm e1)
    until_true 5 state_is $((batch + 1)) running
    ok evacuate e1
    has "f1-vm: job $((batch + 1)) brings it to e1 (running); it is moved on then"
    has "e-vm: migrated to "
    has "f1-vm: migrated to "
    has "e1: is empty: 2 moved"
}

@test "a host where nothing runs" {
    ask open spare2 >/dev/null
    ok evacuate a2
    is "a2: is empty: 0 moved"
    quiet
    ok evacuate a2 --plan
    err_is "rmigrate: no guest runs on a2"
}

@test "several at once: nothing goes from one to the other" {
    only_open g1,h1,spare1
    ok evacuate g1,h1
    lines_are "g-vm: migrated to spare1" "h-vm: migrated to spare1" \
        "g1: is empty: 1 moved" "h1: is empty: 1 moved"
}

@test "a hypervisor that does not answer cannot be emptied" {
    ask open spare1 >/dev/null
    ends 1 evacuate mute
    is ""
    err_has "mute: Error: Cannot communicate via libvirt to mute: "
    err_has "Connection reset by peer"
}

@test "unknown hosts are refused, and nothing is closed" {
    only_open spare1,spare2
    ends 1 evacuate spare1,hyp99
    is ""
    err_has "Error: Invalid nodes and/or groups in noderange: hyp99; the known hypervisors are: "
    host_is spare1 open
    ends 1 evacuate spare1 --to hyp98
    err_has "hyp98"
    ends 2 evacuate
    ends 2 evacuate spare1 spare2
    ends 2 evacuate spare1 --plan --detach
    err_has "--detach and --plan exclude each other"
}

# ---- open and close

@test "close and open, with who and why" {
    only_open spare1
    ok close spare1 --reason 'a new disk'
    is "spare1: closed"
    quiet
    ok close spare1
    is "spare1: is already closed"
    ok hosts spare1
    matches 'spare1 +closed'
    has "closed by $(id -un): a new disk"
    ok events --json
    json ".events | map(select(.event == \"host changed\" and .host == \"spare1\")) | last | .text == \"closed: a new disk\" and .by == \"$(id -un)\""
    ok open spare1
    is "spare1: open"
    ok open spare1
    is "spare1: is already open"
    ok close spare1,spare2 --json
    json '.results | length == 2 and all(.ok)'
    ok open 'spare[1-2]'
    lines_are "spare1: open" "spare2: open"
}

@test "open and close refuse unknown hosts whole" {
    ends 1 close spare1,hyp99
    is ""
    err_has "Error: Invalid nodes and/or groups in noderange: hyp99; the known hypervisors are: "
    host_is spare1 open
    ends 1 open hyp99
    err_has "hyp99"
    ends 2 open
    ends 2 close
}

# ---- looking

@test "hosts: a row for each hypervisor, with what is wrong with it" {
    ok hosts
    matches '^HOST +STATE +GUESTS +MEMORY +FREE +CPUS +VCPUS'
    matches 'spare2 +open +[0-9-]+ +64.0 GiB'
    matches 'mute +unreachable.*Connection reset by peer'
    quiet
    ok hosts --noheadings
    has_not HOST
    ok hosts mute --json
    json '.hosts | length == 1 and (.[0] | .connected and (.reachable | not))'
    ok hosts 'spare[1-2]' --json
    json '.hosts | map(.memory) == [68719476736, 68719476736]'
    json '.hosts[0] | .vcpus == 64 and (.peer | startswith("fake://")) and .memory_free < .memory'
    ends 1 hosts hyp99
    err_has "Error: Invalid nodes and/or groups in noderange: hyp99"
}

@test "guests: where they are, and how" {
    guest seen1 spare2 paused 512 2
    until_true 5 guest_is_seen seen1
    ok guests
    matches '^GUEST +HOST +STATE +MEMORY +VCPUS'
    matches 'seen1 +spare2 +paused +512 MiB +2'
    matches 'a-off1 +a1 +shutoff'
    ok guests --noheadings
    has_not GUEST
    ok guests seen1 --json
    json ".guests[0] | .host == \"spare2\" and .uuid == \"$(uuid_of seen1)\" and .memory == 536870912 and .vcpus == 2"
    ok guests --host a1 --json
    json '.guests | map(.guest) | sort == ["a-off1", "a-off2"]'
    ok guests --host nowhere
    is ""
    err_is "rmigrate: no guests"
    ends 1 guests nobody
    err_is "Error: Invalid nodes and/or groups in noderange: nobody"
    rm "$WORLD/spare2/seen1"
}

@test "workers: who is connected" {
    ok workers
    matches '^WORKER +MACHINE +PID'
    quiet
    ok workers --noheadings
    has_not WORKER
    ok workers --json
    json '.workers | length == 2'
    json ".workers | map(select(.pid == $(pid_of silent)))[0] | .hosts == [\"mute\"] and .machine == \"$(uname -n)\""
}

@test "events: what happened on the site" {
    ok events
    matches '^TIME +EVENT +BY +HOST +GUEST +TEXT'
    has "worker connected"
    quiet
    ok events --noheadings
    has_not TIME
    ok events --limit 3 --json
    json '.events | length == 3'
    ends 2 events --limit many
}
