#!/usr/bin/env bats
# journal.bats - what systemd's journal makes of the log: fields to search for, and the catalog of what has to be done

setup() { load common; }

@test "systemd reads the catalog, and knows each of its entries" {
    local root=$BATS_TEST_TMPDIR/root
    mkdir -p "$root/usr/lib/systemd/catalog" "$root/var/lib/systemd/catalog"
    # As it is installed: by the packages of broker and worker, which may be on one machine.
    cp "$TREE/conf/rmigrate.catalog" "$root/usr/lib/systemd/catalog/rmigrate-broker.catalog"
    cp "$TREE/conf/rmigrate.catalog" "$root/usr/lib/systemd/catalog/rmigrate-worker.catalog"
    run journalctl --root="$root" --update-catalog
    [ "$status" = 0 ] || wrong "exit code" 0
    has_not rmigrate-
    run journalctl --root="$root" --list-catalog
    [ "$(grep -c ' rmigrate: ' <<<"$output")" = "$(grep -c '^-- ' "$TREE/conf/rmigrate.catalog")" ] || wrong "all entries" ''
}

# bats test_tags=slow
@test "a journal of systemd has the fields of a guest, and says what has to be done" {
    local namespaces=(unshare --mount --pid --fork --kill-child --mount-proc)
    [ "$(id -u)" = 0 ] || namespaces+=(--map-root-user)
    "${namespaces[@]}" true 2>/dev/null || skip "this user may not make namespaces"
    run "${namespaces[@]}" bash "$TREE/tests/cli/journal.bash" "$BATS_TEST_TMPDIR/site" 3>&- 4>&-
    [ "$status" = 0 ] || wrong "exit code" 0
    has "journal: all is there"
}
