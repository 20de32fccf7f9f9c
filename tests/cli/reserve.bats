#!/usr/bin/env bats
# reserve.bats - memory that is kept free on hypervisors

setup_file() {
    load common
    site_new 'reserve = "25 %";'
    broker_up
    mkdir -p "$WORLD"/{a1,b1,c1}
    guest big a1 running 7168
    guest less a1 running 6144
    worker_up all a1 b1:'8 GiB':64 c1:'8 GiB':64:'512 MiB'
    until_true 30 guest_is_seen less
}
teardown_file() { load common; site_down; }
setup() { load common; }

@test "hosts shows the reserve: the site's, or the hypervisor's own" {
    ok hosts b1,c1 --json
    json '.hosts | map([.host, .reserve, .memory_free]) == [["b1", 2147483648, 6442450944], ["c1", 536870912, 8053063680]]'
}

@test "a destination keeps it free, also one that is named" {
    ends 1 big b1
    err_has 'b1 has too little memory: 6.00 GiB free besides a reserve of 2.00 GiB, 7.00 GiB needed'
    ok evacuate a1 --plan
    matches 'big +a1 +c1'
    matches 'less +a1 +b1'
    ask close c1
    ends 1 evacuate a1 --plan
    err_has 'big: Error: Unable to identify a suitable target host for guest big: b1 has too little memory: 0'
    ask open c1
}
