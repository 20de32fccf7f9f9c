#!/bin/bash
# journal.bash - a broker and a worker whose log goes to a journald of their own, and what journalctl finds of it
#
# usage: journal.bash DIRECTORY      as root, in mount and process namespaces of its own; BIN and TREE are set
set -euo pipefail
bats_require_minimum_version() { :; }
. "$TREE/tests/cli/common.bash"
SITE_AT=$1
die() {
    echo "journal: $*" >&2
    tail -n 20 "$SITE"/log/* >&2
    exit 1
}

# ---- the machine: systemd's sockets and its journal are new, and nothing of the kernel's log is in it

mount -t tmpfs none /run
mount -t tmpfs none /var/lib/systemd
[ ! -d /var/log/journal ] || mount -t tmpfs none /var/log/journal
mkdir -p /run/systemd/journald.conf.d /var/lib/systemd/catalog
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nRateLimitBurst=0\n' >/run/systemd/journald.conf.d/test.conf
echo 0123456789abcdef0123456789abcdef >/run/machine-id
mount --bind /run/machine-id /etc/machine-id
mkdir -p "$SITE_AT/root/usr/lib/systemd/catalog" "$SITE_AT/root/var/lib/systemd/catalog"
cp "$TREE/conf/rmigrate.catalog" "$SITE_AT/root/usr/lib/systemd/catalog/"
journalctl --root="$SITE_AT/root" --update-catalog
cp "$SITE_AT/root/var/lib/systemd/catalog/database" /var/lib/systemd/catalog/

site_new 'attempts = 1;'
launch journald /lib/systemd/systemd-journald
until_true 10 test -S /run/systemd/journal/socket

# As systemd starts a service: stderr is a stream that JOURNAL_STREAM names, and the log takes the journal's socket instead.
# What stands in that stream nevertheless is a fault.
in_service() { # NAME COMMAND...
    : >"$SITE/log/$1"
    JOURNAL_STREAM=$(stat -c %d:%i "$SITE/log/$1") launch "$@"
}
journal() { journalctl --directory=/run/log/journal --quiet --no-pager "$@"; }
# Is this true of one of the entries that are found?
entry() { # FILTER MATCH...
    local filter=$1
    shift
    journal -o json "$@" | jq -es "any(.[]; $filter)" >/dev/null
}

in_service broker "$BIN/rmigrate-broker" -c "$RMIGRATE_CONF"
until_true 10 answers
worker_conf rack hyp01 hyp02 >"$SITE/rack.conf"
in_service rack "$BIN/fakeworker" -c "$SITE/rack.conf"
until_true 10 host_is_seen hyp01
until_true 10 host_is_seen hyp02

# ---- a job that fails: found by its guest, by its number, and by what has to be done

guest kvm1 hyp01
until_true 10 guest_is_seen kvm1
plan kvm1 'fail 0 fatal 1 the disk is gone'
ask submit kvm1 hyp02 >/dev/null 2>&1 && die "the job has not failed"
job=$(last_job kvm1)
failed='.SYSLOG_IDENTIFIER == "rmigrate-broker" and .PRIORITY == "4" and .RMIGRATE_GUEST == "kvm1"
    and .RMIGRATE_HOST == "hyp01" and .RMIGRATE_STATE == "failed" and .RMIGRATE_ATTEMPT == "1"
    and .MESSAGE_ID == "1978c11287d049fab04860c6223fd270" and (.MESSAGE | endswith("the disk is gone"))'
until_true 10 entry "$failed" RMIGRATE_GUEST=kvm1
entry "$failed" RMIGRATE_JOB="$job" || die "not found by its job"
entry "$failed" RMIGRATE_NOTICE=job-failed || die "not found by its notice"
entry '.SYSLOG_IDENTIFIER == "rmigrate-worker"' RMIGRATE_GUEST=kvm1 || die "nothing of the worker's"
entry '.RMIGRATE_BATCH != null' RMIGRATE_BATCH=$((job - 1)) || die "not found by its batch"
journal -x RMIGRATE_NOTICE=job-failed | grep -qF "rmigrate retry $job" || die "no entry of the catalog"

# ---- a hypervisor that goes is told by worker and broker, and a worker that goes by the broker

down hyp02
for who in rmigrate-broker rmigrate-worker; do
    until_true 10 entry ".SYSLOG_IDENTIFIER == \"$who\" and .RMIGRATE_HOST == \"hyp02\"" RMIGRATE_NOTICE=hypervisor-lost
done
kill -KILL "$(pid_of rack)"
user=$(id -un)
until_true 20 entry ".RMIGRATE_WORKER == \"$user\"" RMIGRATE_NOTICE=worker-lost
journal -x RMIGRATE_NOTICE=worker-lost | grep -qF "The worker $user is lost" || die "no entry of the catalog"

rm "$SITE/rack.pid"
broker_down
[ ! -s "$SITE/log/broker" ] && [ ! -s "$SITE/log/rack" ] || die "lines that the journal did not get"
echo "journal: all is there"
