#!/bin/bash
# first_site.bash - runs the lines of README.md's section "A first site" as they stand, each on a machine of its own
#
# usage: first_site.bash DIRECTORY      as root, in mount, network and process namespaces of its own; BIN and TREE are set
#
# A machine is a root directory with this system's programs, and with its own /etc, /run, /var and host name; all share one
# network. What a machine has of its own is in /opt:
#
#   rmigrate        the client, run as the user alice; with sudo before it as root
#   systemctl       starts a program as its unit in conf/ says: user, directories, umask, no capabilities, no new ones
#   systemd-sysusers, scp
#
# Workers are the real one over hypervisors that are directories (fakeworker.c): qemu:///system is /system, and a guest
# that moves to qemu+tls://hyp02/system goes to /world/hyp02/system.
set -euo pipefail
D=$1
MACHINES=(mgmt hyp01 hyp02)
die() {
    echo "first_site: $*" >&2
    tail -n 20 "$D"/opt/log/* >&2
    exit 1
}
until_true() { # COMMAND...
    local i
    for ((i = 0; i < 1500; i++)); do
        "$@" >/dev/null 2>&1 && return
        [ ! -e "$D/opt/turn/failed" ] || die "a line of README.md failed"
        sleep 0.02
    done
    die "not within the time: $*"
}

# ---- the machines

mkdir -p "$D"/opt/log "$D"/opt/turn "$D"/world/{hyp01,hyp02}/system
cp "$BIN/rmigrate" "$D/opt/rmigrate.bin"
cp "$BIN/rmigrate-broker" "$D/opt/rmigrate-broker"
cp "$BIN/fakeworker" "$D/opt/rmigrate-worker"
cp "$TREE"/conf/rmigrate-{broker,worker}.service.in "$D/opt/"
echo "49b11404-55d3-41e9-97d4-4943d94ce2e9 running 256 1 user" >"$D/world/hyp01/system/kvm1"

cat >"$D/opt/rmigrate" <<'END'
#!/bin/sh
exec setpriv --reuid alice --regid alice --clear-groups /opt/rmigrate.bin "$@"
END
cat >"$D/opt/sudo" <<'END'
#!/bin/sh
[ "$1" != rmigrate ] || { shift; exec /opt/rmigrate.bin "$@"; }
exec "$@"
END
cat >"$D/opt/systemd-sysusers" <<'END'
#!/bin/sh
# u NAME - "WORDS" HOME
while read -r kind name id words; do
    [ "$kind" = u ] || continue
    echo "$name:x:60000:" >>/etc/group
    echo "$name:x:60000:60000:$words:/:/usr/sbin/nologin" >>/etc/passwd
done </etc/sysusers.d/rmigrate.conf
END
cat >"$D/opt/scp" <<'END'
#!/bin/sh
# scp FILE... root@HOST:DIRECTORY/, onto the other machine's disk
for to; do :; done
to=${to#*@}
while [ $# -gt 1 ]; do
    cp --preserve=mode "$1" "/opt/../machines/${to%%:*}${to#*:}"
    shift
done
END
cat >"$D/opt/systemctl" <<'END'
#!/bin/bash
# systemctl enable --now UNIT
set -eu
[ "$1 $2" = "enable --now" ]
unit=$3
setting() { sed -n "s/^$1=//p" "/opt/$unit.service.in"; }
user=$(setting User) user=${user:-root}
group=$(setting Group) group=${group:-root}
for kind in Runtime:/run State:/var/lib; do
    name=$(setting "${kind%%:*}Directory")
    [ -z "$name" ] || install -d -o "$user" -g "$group" -m "$(setting "${kind%%:*}DirectoryMode")" "${kind#*:}/$name"
done
program=$(setting ExecStart)
umask "$(setting UMask)"
[ -z "$(setting CapabilityBoundingSet)" ] && [ "$(setting NoNewPrivileges)" = yes ]
cd /world
setsid setpriv --reuid "$user" --regid "$group" --clear-groups --bounding-set=-all --no-new-privs \
    "/opt/${program##*/}" >>"/opt/log/$(hostname)-$unit" 2>&1 </dev/null &
pid=$!
if [ "$unit" = rmigrate-broker ]; then
    until [ -S /run/rmigrate/broker ]; do
        kill -0 $pid
        sleep 0.02
    done
fi
END
# Blocks take turns: this one waits for its own, and says when it has ended.
cat >"$D/opt/await" <<'END'
#!/bin/sh
until [ -e "/opt/turn/$1" ]; do sleep 0.02; done
END
chmod +x "$D"/opt/{rmigrate,sudo,systemd-sysusers,scp,systemctl,await}

shared=() # directories that the machines have in common with this system
for path in /*; do
    case $path in
    /etc | /run | /var | /home | /root | /opt | /proc | /world | /machines | /system | /lost+found) ;;
    *) shared+=("$path") ;;
    esac
done
for machine in "${MACHINES[@]}"; do
    root=$D/machines/$machine
    mkdir -p "$root"/{etc/sysusers.d,run,var/lib,root,opt,proc,world,machines}
    for path in "${shared[@]}"; do
        if [ -L "$path" ]; then cp -P "$path" "$root$path"; elif [ -d "$path" ]; then mkdir "$root$path"; fi
    done
    for path in ld.so.cache ld.so.conf ld.so.conf.d alternatives; do
        [ ! -e "/etc/$path" ] || cp -a "/etc/$path" "$root/etc/"
    done
    printf 'passwd: files\ngroup: files\nhosts: files\n' >"$root/etc/nsswitch.conf"
    printf 'root:x:0:0:root:/root:/bin/sh\nalice:x:60001:60001:alice:/home/alice:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\nalice:x:60001:\n' >"$root/etc/group"
    printf '127.0.0.1 localhost %s\n' "${MACHINES[*]}" >"$root/etc/hosts"
    cp "$TREE/conf/rmigrate.sysusers" "$root/etc/sysusers.d/rmigrate.conf"
    install -d -o 60001 -g 60001 "$root/home/alice"
done
for machine in hyp01 hyp02; do
    mkdir "$D/machines/$machine/etc/rmigrate" # as the README says that it is there
    ln -s "/world/$machine/system" "$D/machines/$machine/system"
done

# Runs a command there.
on() { # MACHINE COMMAND...
    local machine=$1
    shift
    unshare --mount --uts bash -euc '
        D=$1 machine=$2 shared=$3
        shift 3
        root=$D/machines/$machine
        for path in $shared; do
            [ -L "$path" ] || [ ! -d "$path" ] || mount --rbind "$path" "$root$path"
        done
        mount -t proc proc "$root/proc"
        for path in opt world machines; do mount --bind "$D/$path" "$root/$path"; done
        hostname "$machine"
        exec env -i HOME=/home/alice LC_ALL=C.UTF-8 ASAN_OPTIONS="${ASAN_OPTIONS-}" \
            PATH=/opt:/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"' bash "$D" "$machine" "${shared[*]}" "$@"
}

# ---- the lines of the README

# Prints "NUMBER MACHINE..." of each block, and writes its lines to DIRECTORY/block-NUMBER.
blocks=$(awk -v to="$D/opt/block-" '
    /^## / { here = $0 == "## A first site" }
    here && /^\*\*On / {
        text = substr($0, 1, index(substr($0, 3), "**") + 3)
        names = ""
        while (match(text, /`[a-z0-9]+`/)) {
            names = names " " substr(text, RSTART + 1, RLENGTH - 2)
            text = substr(text, RSTART + RLENGTH)
        }
        print ++n names
    }
    here && /^    / && n { print substr($0, 5) > (to n) }' "$TREE/README.md")
[ "$(wc -l <<<"$blocks")" -ge 3 ] || die "README.md: hardly anything below '## A first site': $blocks"

# One shell on each machine: what a block has set is there in the next one of that machine.
for machine in "${MACHINES[@]}"; do
    while read -r number where; do
        [[ " $where " != *" $machine "* ]] ||
            printf 'await %s\n. /opt/block-%s\ntouch /opt/turn/%s.%s\n' "$number" "$number" "$number" "$machine"
    done <<<"$blocks" >"$D/opt/lines-$machine"
    [ -s "$D/opt/lines-$machine" ] || die "README.md: no line for $machine"
    { on "$machine" bash -eu "/opt/lines-$machine" || touch "$D/opt/turn/failed"; } >"$D/opt/log/$machine" 2>&1 &
done

hosts_are_there() {
    [ "$(on mgmt /opt/rmigrate.bin hosts --json | jq '[.hosts[] | select(.connected and .reachable)] | length')" = 2 ]
}
while read -r number where; do
    touch "$D/opt/turn/$number"
    for machine in $where; do until_true test -e "$D/opt/turn/$number.$machine"; done
    [[ $where != *hyp* ]] || until_true hosts_are_there # which takes a moment
done <<<"$blocks"

# ---- what has come of it

same() { [ "$2" = "$3" ] || die "$1: '$2', not '$3'"; }
same "the last lines on mgmt" "$(tail -n 2 "$D/opt/log/mgmt")" $'kvm1: migrated to hyp02\nrmigrate: batch 1: 1 moved'
same "kvm1" "$(cd "$D/world" && echo */system/kvm1)" hyp02/system/kvm1
same "who moved it" "$(on mgmt /opt/rmigrate.bin history kvm1 --json | jq -r '.history[0].by')" alice
same "the broker's user" "$(on mgmt sh -c 'stat -c %U /proc/$(pgrep -x rmigrate-broker)')" rmigrate
same "keys on mgmt" "$(on mgmt stat -c '%n %a %U' /etc/rmigrate/broker.key /home/alice/rmigrate.key)" \
    "/etc/rmigrate/broker.key 600 rmigrate
/home/alice/rmigrate.key 600 alice"
for machine in hyp01 hyp02; do
    same "the key on $machine" "$(on "$machine" stat -c '%a %U' /etc/rmigrate/worker.key)" "600 root"
    [ ! -e "$D/machines/mgmt/etc/rmigrate/hypervisors/$machine" ] || die "the secret of $machine stays on mgmt"
done
grep -qF 'listens on tcp://' "$D/opt/log/mgmt-rmigrate-broker" || die "the broker does not listen on tcp"
echo "first site: all is as README.md says"
