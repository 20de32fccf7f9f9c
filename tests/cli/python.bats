#!/usr/bin/env bats
# python.bats - the Python client of contrib/python against the real broker

# bats file_tags=friends

PYTHON=/usr/bin/python3 # for which Debian's modules are

setup_file() {
    load common
    site_new 'limits: { source = 8; destination = 8; };'
    key watcher viewer
    key mover operator
    curve_up
    ask keygen stranger --dir "$SITE/keys" >/dev/null 2>&1
    local i
    mkdir -p "$WORLD"/{hyp01,hyp02,hyp03,full}
    for i in 1 2 3 4; do guest "kvm$i" hyp01; done
    guest big1 full running 70000
    guest small1 full
    worker_up all hyp01 hyp02 hyp03 full:'128 GiB':64
    until_true 5 guest_is_seen small1
    for i in watcher mover stranger; do client_conf "$i" >/dev/null; done
    mkdir "$BATS_FILE_TMPDIR/python"
    cp -r "$TREE/contrib/python/rmigrate" "$BATS_FILE_TMPDIR/python/"
    protoc --proto_path="$TREE/wire" --python_out="$BATS_FILE_TMPDIR/python/rmigrate" rmigrate.proto
}
teardown_file() { load common; site_down; }
teardown() { own_site_down; }
setup() {
    load common
    export PYTHONPATH=$BATS_FILE_TMPDIR/python PYTHONDONTWRITEBYTECODE=1
}

# The program on stdin, which knows `rmigrate`, and `site`: a client with the settings of RMIGRATE_CONF.
program() {
    cat <<'END'
import os, sys, time
import rmigrate
from rmigrate.client import new_token
site = rmigrate.Client.from_file()

def raises(kind, f, *args, **kwargs):
    try:
        f(*args, **kwargs)
    except rmigrate.Error as error:
        assert type(error) is kind, repr(error)
        return error
    raise AssertionError(f"no {kind.__name__}")

END
    cat
}
python() { # [ARGUMENT...]
    program >"$BATS_TEST_TMPDIR/program.py"
    timeout 300 "$PYTHON" "$BATS_TEST_TMPDIR/program.py" "$@"
}
# The same in the background, as begin does it; comes_to waits for it.
python_begin() { # NAME
    OUT=$BATS_TEST_TMPDIR/$1
    program >"$OUT.py"
    {
        r=0
        timeout 300 "$PYTHON" "$OUT.py" >"$OUT.out" 2>"$OUT.err" || r=$?
        echo $r >"$OUT.code"
    } </dev/null >/dev/null 2>&1 3>&- 4>&- &
}

@test "who one is, hypervisors, guests" {
    python <<'END'
ping = site.ping()
assert ping.role == "admin" and ping.broker, ping
assert [host.name for host in site.hosts()] == ["full", "hyp01", "hyp02", "hyp03"]
(host,) = site.hosts("hyp01")
assert host.is_open and host.connected and host.reachable and host.memory == 64 << 30, host
assert sorted(guest.name for guest in site.guests(host="hyp01")) == ["kvm1", "kvm2", "kvm3", "kvm4"]
(guest,) = site.guests("big1")
assert (guest.host, guest.state, guest.memory, guest.vcpus) == ("full", "running", 70000 << 20, 1), guest
END
}

@test "with a key over tcp; what the role does not allow, and what makes no sense, is raised" {
    RMIGRATE_CONF=$SITE/watcher.conf python "$TCP" "$SITE/keys/mover.key" "$(public_of broker)" <<'END'
assert (site.ping().user, site.ping().role) == ("watcher", "viewer")
error = raises(rmigrate.NotPermitted, site.submit, "kvm1", "hyp02")
assert "watcher has the role viewer" in str(error), error
assert [plan.destination for plan in site.plan("hyp01", "hyp02")] == ["hyp02"] * 4
with rmigrate.Client(sys.argv[1], key=sys.argv[2], server=sys.argv[3]) as mover:
    assert mover.ping().user == "mover"
    error = raises(rmigrate.Refused, mover.submit, "nobody", "hyp02")
    assert "nobody" in str(error), error
    raises(rmigrate.UsageError, mover.submit, "kvm1", "hyp02", token=b"short")
    raises(rmigrate.NotFound, mover.batch(999999).wait)
END
    runs_on kvm1 hyp01
}

@test "a wrong key is raised at once, and so is a local broker that is not there" {
    RMIGRATE_CONF=$SITE/stranger.conf python "$SITE/nobody" <<'END'
began = time.monotonic()
raises(rmigrate.KeyRefused, site.ping)
other = rmigrate.Client("ipc://" + sys.argv[1], timeout=600)
error = raises(rmigrate.Unreachable, other.submit, "kvm1", "hyp02")
assert not error.maybe_done
other = rmigrate.Client("tcp://127.0.0.1:9", timeout=0.3)
error = raises(rmigrate.Unreachable, other.submit, "kvm1", "hyp02")
assert not error.maybe_done
END
}

@test "settings and keys that cannot be used" {
    cp "$SITE/keys/mover.key" "$BATS_TEST_TMPDIR/open.key"
    chmod 644 "$BATS_TEST_TMPDIR/open.key"
    printf 'client: { broker = "tcp://a:1"; timeout = "1 min 30 s"; };' >"$BATS_TEST_TMPDIR/good.conf"
    printf 'client: { broker = "tcp://a:1"; timeout = "soon"; };' >"$BATS_TEST_TMPDIR/time.conf"
    printf 'client: { broker = ' >"$BATS_TEST_TMPDIR/cut.conf"
    (umask 077 && echo 'public = "short";' >"$BATS_TEST_TMPDIR/cut.key")
    cd "$BATS_TEST_TMPDIR"
    python "$(public_of broker)" <<'END'
from rmigrate import Settings, SettingsError
server = sys.argv[1]
assert Settings.from_file("good.conf") == Settings("tcp://a:1", timeout=90.0)
os.environ["RMIGRATE_BROKER"] = "ipc:///elsewhere"
assert Settings.from_file("good.conf").broker == "ipc:///elsewhere"
raises(SettingsError, Settings.from_file, "time.conf")
raises(SettingsError, Settings.from_file, "cut.conf")
raises(SettingsError, Settings.from_file, "none.conf")
raises(SettingsError, Settings, "http://a")
raises(SettingsError, Settings, key="open.key")
error = raises(SettingsError, rmigrate.Client, "tcp://127.0.0.1:9", "open.key", server)
assert "others may read" in str(error), error
raises(SettingsError, rmigrate.Client, "tcp://127.0.0.1:9", "cut.key", server)
raises(SettingsError, rmigrate.Client, "tcp://127.0.0.1:9", "none.key", server)
END
}

@test "a batch is followed until it is over, and cancelled" {
    plan kvm2 'hang'
    python <<'END'
batch = site.submit("kvm1", "hyp02", reason="disk")
states = [job.state for job in batch.follow()]
assert states[-1] == "done", states
account = batch.wait()
assert account.ok and account.moved == 1 and account.left == 0, account
(job,) = site.jobs(batch=batch.number)
assert (job.guest, job.source, job.destination, job.state) == ("kvm1", "hyp01", "hyp02", "done"), job
assert job.raw.job.reason == "disk" and job.finished_at >= job.started_at >= job.submitted_at > 1e9
assert not site.jobs(guests="kvm1") and len(site.jobs(guests="kvm1", finished=True)) == 1

batch = site.submit("kvm2", "hyp02")
raises(rmigrate.StillRunning, batch.wait, timeout=0.2)
(outcome,) = site.cancel(batch=batch.number, reason="no")
assert outcome.ok and outcome.job == site.jobs(batch=batch.number)[0].id, outcome
error = raises(rmigrate.GuestsLeft, site.batch(batch.number).wait)
assert [left.guest for left in error.account.guests] == ["kvm2"], error
END
    runs_on kvm1 hyp02
    runs_on kvm2 hyp01
}

@test "the same token makes one batch" {
    python <<'END'
token = new_token()
first = site.submit("kvm3", "hyp02", token=token)
first.wait()
with rmigrate.Client.from_file() as again:
    assert again.submit("kvm3", "hyp02", token=token).number == first.number
assert len(site.jobs(guests="kvm3", finished=True)) == 1
assert site.submit("kvm3", "hyp01").number > first.number
END
    until_true 5 nothing_live
}

@test "an evacuation that leaves a guest is raised, or returned, with why" {
    ask close hyp01,hyp02 >/dev/null
    python <<'END'
batch = site.evacuate("full", reason="kernel")
assert [said.name for said in batch.asked if not said.ok] == ["big1"], batch.asked
error = raises(rmigrate.GuestsLeft, batch.wait)
account = batch.wait(check=False)
assert str(error) == str(account) and not account.ok
assert (account.moved, account.left) == (1, 1), account
assert not account.hosts["full"].ok and "big1" in account.hosts["full"].text, account
(host,) = site.hosts("full")
assert not host.is_open and host.raw.host.why == "kernel", host
END
    run --separate-stderr "$PYTHON" "$TREE/contrib/python/examples/evacuate.py" full
    [ "$status" = 1 ] || wrong status 1
    has 'full is not empty'
    runs_on small1 hyp03
    ask open hyp01,hyp02 >/dev/null
}

@test "a hypervisor that does not answer is not empty" {
    down hyp02 'Connection reset by peer'
    until_true 10 host_is_away hyp02
    python <<'END'
account = site.evacuate("hyp02").wait(check=False)
assert not account.ok and not account.hosts["hyp02"].ok and not account.guests, account
END
    up hyp02
    until_true 10 host_is_seen hyp02
    ask open hyp02 >/dev/null
}

@test "the example empties a hypervisor, and restore brings its guests back" {
    ask close full >/dev/null
    guest mine1 hyp03
    until_true 5 guest_is_seen mine1
    run --separate-stderr "$PYTHON" "$TREE/contrib/python/examples/evacuate.py" hyp03
    [ "$status" = 0 ] || wrong status 0
    matches 'mine1: hyp03 to hyp0[12], done'
    has 'hyp03 is empty'
    [ "$(where mine1)" != hyp03 ]
    python <<'END'
account = site.restore("hyp03").wait()
assert account.ok and account.moved >= 1, account
assert site.hosts("hyp03")[0].is_open
site.close_hosts("hyp03", reason="done")
assert not site.hosts("hyp03")[0].is_open
assert [said.ok for said in site.open("hyp03")] == [True]
assert site.hosts("hyp03")[0].is_open
END
    runs_on mine1 hyp03
}

# A site of its own: its broker ends.
own_site() {
    SITE_AT=$BATS_TEST_TMPDIR/site
    site_new
    mkdir -p "$WORLD"/{hyp01,hyp02}
    guest kvm1 hyp01
    guest kvm2 hyp01
    broker_up
    worker_up all hyp01 hyp02
    until_true 5 guest_is_seen kvm2
}

# bats test_tags=slow
@test "who waits goes on when the broker was killed and is back" {
    own_site
    plan kvm1 'crawl 0'
    python_begin wait <<'END'
batch = site.evacuate("hyp01")
print("begun", flush=True)
site.timeout = 0.5 # less than the broker is away
print(batch.wait())
END
    until_true 30 grep -q begun "$OUT.out"
    until_true 10 is_running kvm1
    broker_down KILL
    sleep 1 # so long is it away for who waits
    broker_up
    until_true 10 is_running kvm1
    until_true 10 host_is_seen hyp01
    ask modify --guests kvm1 bandwidth=1GiB/s >/dev/null
    comes_to 0
    has '2 moved; hyp01 is empty'
    runs_on kvm1 hyp02
}

# bats test_tags=slow
@test "a request that is not answered is repeated over a new connection, and carried out once" {
    SESSION="30 s" # the worker is not lost over the broker that stands still
    own_site
    kill -STOP "$(pid_of broker)"
    python_begin again <<'END'
def ask(self, *args):
    print("asked", flush=True)
    return send(self, *args)
send, rmigrate.connection.Connection._send = rmigrate.connection.Connection._send, ask
batch = site.submit("kvm1", "hyp02")
print(batch.wait())
END
    asked_again() { [ "$(grep -c asked "$OUT.out")" -ge 2 ]; }
    until_true 30 asked_again
    kill -CONT "$(pid_of broker)"
    comes_to 0
    has '1 moved'
    told '[.jobs[] | select(.guest == "kvm1")] | length == 1' jobs -a
}

# bats test_tags=slow
@test "what could not be sent is not carried out later; what was may have been" {
    own_site
    broker_down
    python_begin early <<'END'
site = rmigrate.Client("ipc://" + os.environ["SITE"] + "/broker", timeout=1)
print(raises(rmigrate.Unreachable, site.submit, "kvm2", "hyp02").maybe_done, flush=True)
while not os.path.exists(os.environ["SITE"] + "/stop"):
    time.sleep(0.05)
END
    until_true 30 grep -q . "$OUT.out"
    broker_up
    until_true 5 host_is_seen hyp01
    python_begin late <<'END'
site.ping()
os.kill(int(open(os.environ["SITE"] + "/broker.pid").read()), 19)
site.timeout = 1
print(raises(rmigrate.Unreachable, site.submit, "kvm1", "hyp02").maybe_done)
END
    comes_to 0
    is True
    kill -CONT "$(pid_of broker)"
    touch "$SITE/stop"
    OUT=$BATS_TEST_TMPDIR/early
    comes_to 0
    is False
    runs_on kvm2 hyp01
}

# More guests than PAGE_ROWS of broker/page.h.
@test "answers of many pages are put together" {
    SITE_AT=$BATS_TEST_TMPDIR/site
    site_new
    broker_up
    "$BIN/fakeclient" "ipc://$SITE/broker" crowd hyp01 5300 1 >/dev/null
    python <<'END'
names = [guest.name for guest in site.guests()]
assert sorted(names) == sorted(f"crowd1x{i}" for i in range(5300)), len(names)
END
}
