#!/usr/bin/env bats
# short.bats - real hypervisors in half a minute: a move, there already, an evacuation

setup_file() { load common; site_up; }
teardown_file() { load common; site_down; }
setup() { load common; }

@test "a guest is moved live, runs there alone, and has noticed nothing" {
    "$LAB" guest q1 hyp01 mem=32 fill=8
    until_true 20 rmigrate guests q1
    run -0 --separate-stderr rmigrate q1 hyp02
    [ "$output" = "q1: migrated to hyp02" ]
    runs_only_on q1 hyp02
    run -0 --separate-stderr rmigrate q1 hyp02
    [ "$output" = "q1: Guest is already on host hyp02" ]
}

@test "a hypervisor is emptied" {
    "$LAB" guest q2 hyp02 mem=32 &
    "$LAB" guest q3 hyp02 mem=32 &
    wait
    until_true 20 rmigrate guests q2,q3
    run -0 rmigrate evacuate hyp02
    [ -z "$(virsh_on hyp02 list --name)" ]
}
