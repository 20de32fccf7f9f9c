#!/usr/bin/env bats
# readme.bats - what README.md tells people to type, typed

setup() { load common; }

# bats test_tags=slow
@test "README's first site: keys that root makes, a broker that is not root, workers and a client over tcp" {
    local namespaces=(unshare --mount --net --pid --fork --kill-child --mount-proc)
    [ "$(id -u)" = 0 ] || namespaces+=(--map-root-user --map-auto)
    command -v ip setpriv >/dev/null || skip "no ip or no setpriv"
    "${namespaces[@]}" setpriv --reuid 60001 --regid 60001 --clear-groups true 2>/dev/null ||
        skip "this user may not make namespaces with users in them"
    run "${namespaces[@]}" bash -c 'ip link set lo up && exec bash "$TREE/tests/cli/first_site.bash" "$1"' \
        bash "$BATS_TEST_TMPDIR" 3>&- 4>&-
    [ "$status" = 0 ] || wrong "exit code" 0
    has "first site: all is as README.md says"
}
