#!/usr/bin/env bats
# client.bats - the command rmigrate by itself: help, usage, settings, no broker, keys, streams, listings

setup_file() {
    load common
    site_new
    broker_up

}
teardown_file() { load common; site_down; }
setup() { load common; }

@test "ping says who answers and who one is" {
    ok ping
    matches '^broker .* at ipc://'
    has "you are $(id -un), admin"
    quiet
}
