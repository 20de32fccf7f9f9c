# page.bats - the web page of rmigrate-watch, in a real browser
#
# Each test is a function of page.py, which has a browser and asks the site through the functions of common.bash.
# bats file_tags=friends

setup_file() {
    load common
    load watch
    site_new
    broker_up
    worker_up w1 hyp01 hyp02 hyp03
    watch_up
}
setup() { load common; }
teardown_file() {
    load common
    ask cancel --all >/dev/null 2>&1 || : # what crawls still, where a test has failed
    until_true 20 nothing_live
    site_down
}

page() { timeout 240 python3 "$TREE/tests/cli/page.py" "$@"; }

@test "it loads everything from here, and nothing complains" { page loads; }
@test "a guest under way is seen with its progress, and is gone when it has arrived" { page moves; }
@test "a click tells the story of a job, and the keyboard opens and closes it" { page story; }
@test "arrow keys go from hypervisor to hypervisor, and the filter narrows what is shown" { page keys; }
@test "what people wrote is text, whatever they wrote" { page text; }
@test "a hypervisor that is being emptied is shown until it is empty, and both is said" { page emptied; }
@test "on a phone nothing is wider than it" { page phone; }
@test "by night it is dark, and can be read; nothing moves for who wants nothing to move" { page looks; }
@test "a broker that is away is told, with the age of what is shown, and so is its return" { page away; }
# bats test_tags=slow
@test "500 hypervisors" {
    page many >"$BATS_TEST_TMPDIR/said"
    sed 's/^/# /' "$BATS_TEST_TMPDIR/said" >&3
}
