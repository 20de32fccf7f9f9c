"""The requests of a client, and waiting for what they began."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Type

from . import rmigrate_pb2 as pb
from .account import Account, account_of
from .connection import Connection
from .errors import (
    Error,
    GuestsLeft,
    NotFound,
    NotPermitted,
    Refused,
    StillRunning,
    TableError,
    TryAgain,
    Unreachable,
    UsageError,
)
from .settings import BROKER, TIMEOUT, Settings
from .views import MICRO, Guest, Host, Job, Options, Outcome, Ping, outcomes_of

TOKEN = 16  # bytes
HOLD = 2.0  # seconds that the broker may hold back what it has to say of a batch
PAUSE = 0.1  # between two such questions, so that a thousand changes do not become a thousand of them
AWAY = 5.0  # a broker that does not answer for so long while jobs are waited for is asked anew
ASK_MOST = 1000  # jobs that are asked for at once
ERRORS: Dict[int, Type[Refused]] = {
    pb.CODE_USAGE: UsageError,
    pb.CODE_TRY_AGAIN: TryAgain,
    pb.CODE_TABLE: TableError,
    pb.CODE_NOT_PERMITTED: NotPermitted,
}


def new_token() -> bytes:
    """Of a request that changes something: the same token again gets the same answer, and nothing is done twice."""
    return os.urandom(TOKEN)


class Client:
    """Asks one broker; for one thread. `with Client.from_file() as site:` closes it at the end.

    token: of the methods that change something, the token to send, for those who keep it on disk to be able to repeat a
    request after their own end; else a new one.
    """

    def __init__(
        self,
        broker: str = BROKER,
        key: Optional[str] = None,
        server: Optional[str] = None,
        timeout: float = TIMEOUT,
        command: str = "python",
    ) -> None:
        """As Settings; command: what the history shows as the command of these requests."""
        settings = Settings(broker, key, server, timeout)
        self.timeout = timeout
        self._command = command
        self._connection = Connection(settings)

    @classmethod
    def from_file(cls, path: Optional[str] = None, command: str = "python") -> Client:
        """With the settings of a configuration file: Settings.from_file()."""
        settings = Settings.from_file(path)
        return cls(settings.broker, settings.key, settings.server, settings.timeout, command)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    # ---- looking

    def ping(self) -> Ping:
        reply = self.ask(pb.RmRequest(ping=pb.RmPing()))
        return Ping(reply.broker, reply.user, reply.role, reply.started_at / MICRO or None)

    def hosts(self, hosts: str = "") -> List[Host]:
        """Of a noderange; "": all."""
        reply = self.ask(pb.RmRequest(hosts=pb.RmList(host=hosts)))
        return [Host.of(view) for view in reply.hosts]

    def guests(self, guests: str = "", host: str = "") -> List[Guest]:
        """Of a noderange, on these hosts; "": all."""
        reply = self.ask(pb.RmRequest(guests=pb.RmListGuests(guests=guests, host=host)))
        return [Guest.of(guest) for guest in reply.guests]

    def jobs(
        self,
        jobs: Iterable[int] = (),
        batch: int = 0,
        guests: str = "",
        host: str = "",
        to: str = "",
        finished: bool = False,
    ) -> List[Job]:
        """The unfinished ones, with a batch or numbers all; each argument narrows it. host: that leave it; to: that go there."""
        what = pb.RmSelect(jobs=jobs, batch=batch, guests=guests, host=host, to=to)
        found: List[Job] = []
        before = 0
        while True:
            ask = pb.RmListJobs(what=what, before=before, finished=finished)
            reply = self.ask(pb.RmRequest(list_jobs=ask))
            found += [Job.of(view, reply.lists) for view in reply.jobs]
            if not reply.next or (before and reply.next >= before):
                return found
            before = reply.next

    def plan(self, hosts: str, to: str = "", options: Options = Options(), no_room: bool = False) -> List[Outcome]:
        """Which guest an evacuation would send where; changes nothing."""
        ask = pb.RmEvacuate(hosts=hosts, to=to, options=options.message(), plan_only=True, no_room=no_room)
        return outcomes_of(self.ask(pb.RmRequest(evacuate=ask)))

    # ---- moving

    def submit(
        self,
        guests: str,
        to: str = "",
        reason: str = "",
        priority: int = 0,
        options: Options = Options(),
        token: Optional[bytes] = None,
    ) -> Batch:
        """Moves guests (a noderange) to one of these hosts; "": the broker chooses."""
        ask = pb.RmSubmit(guests=guests, to=to, options=options.message(), priority=priority, reason=reason)
        return self._begin(pb.RmRequest(submit=ask), token)

    def evacuate(
        self,
        hosts: str,
        to: str = "",
        reason: str = "",
        priority: int = 0,
        options: Options = Options(),
        no_room: bool = False,
        token: Optional[bytes] = None,
    ) -> Batch:
        """Closes hypervisors and moves all their guests elsewhere. no_room: guests of other hosts stay where they are."""
        ask = pb.RmEvacuate(
            hosts=hosts, to=to, options=options.message(), priority=priority, reason=reason, no_room=no_room
        )
        return self._begin(pb.RmRequest(evacuate=ask), token)

    def restore(
        self,
        hosts: str,
        reason: str = "",
        priority: int = 0,
        options: Options = Options(),
        token: Optional[bytes] = None,
    ) -> Batch:
        """Opens hypervisors and brings back the guests that were evacuated from them."""
        ask = pb.RmRestore(hosts=hosts, options=options.message(), priority=priority, reason=reason)
        return self._begin(pb.RmRequest(restore=ask), token)

    def batch(self, number: int) -> Batch:
        """One that was begun before, by whomever."""
        return Batch(self, number, [], "")

    # ---- changing

    def cancel(
        self,
        jobs: Iterable[int] = (),
        batch: int = 0,
        guests: str = "",
        host: str = "",
        everything: bool = False,
        reason: str = "",
        token: Optional[bytes] = None,
    ) -> List[Outcome]:
        """Stops jobs; a guest that is being moved stays on its source. At least one argument says which."""
        what = pb.RmSelect(jobs=jobs, batch=batch, guests=guests, host=host, all=everything, reason=reason)
        return outcomes_of(self.ask(pb.RmRequest(cancel=what), token=token))

    def open(self, hosts: str, reason: str = "", token: Optional[bytes] = None) -> List[Outcome]:
        """Allows guests to be sent to hypervisors."""
        ask = pb.RmHostChange(hosts=hosts, state=pb.HOST_OPEN, reason=reason)
        return outcomes_of(self.ask(pb.RmRequest(host_change=ask), token=token))

    # `close` is what ends the connection
    def close_hosts(self, hosts: str, reason: str = "", token: Optional[bytes] = None) -> List[Outcome]:
        """Stops guests from being sent to hypervisors."""
        ask = pb.RmHostChange(hosts=hosts, state=pb.HOST_CLOSED, reason=reason)
        return outcomes_of(self.ask(pb.RmRequest(host_change=ask), token=token))

    # ---- any request

    def ask(
        self,
        request: pb.RmRequest,
        token: Optional[bytes] = None,
        hold: float = 0,
        timeout: Optional[float] = None,
    ) -> pb.RmReply:
        """Any request of wire/rmigrate.proto, with all pages of its answer. hold: how long the broker was allowed to hold
        it back. CODE_OK and CODE_SOME_FAILED are returned, any other code is raised."""
        request.command = self._command
        request.version = "python"
        request.pages = True
        request.token = token or new_token()  # of all pages and repetitions; the broker heeds it where something changes
        timeout = self.timeout if timeout is None else timeout
        whole = self._connection.ask(request, hold, timeout)
        page = whole.page
        while page:
            request.page = page
            more = self._connection.ask(request, 0, timeout)
            if more.page == page:
                raise Error("the broker answers the same page again")
            page = more.page
            _append(whole, more)
        error = ERRORS.get(whole.code, None if whole.code in (pb.CODE_OK, pb.CODE_SOME_FAILED) else Refused)
        if error:
            raise error(whole.text or "the broker refuses this", outcomes_of(whole))
        return whole

    def _begin(self, request: pb.RmRequest, token: Optional[bytes]) -> Batch:
        reply = self.ask(request, token=token)
        asked = outcomes_of(reply)
        note = ""
        if reply.code != pb.CODE_OK and all(outcome.ok for outcome in asked):
            note = reply.text or "some of it failed"  # nothing else would say so
            if not reply.batch:
                raise Refused(note)
        return Batch(self, reply.batch, asked, note)


def _append(whole: pb.RmReply, more: pb.RmReply) -> None:
    """What is no row stands in the first page; the worst code counts."""
    if more.code > whole.code:
        whole.code, whole.text = more.code, more.text
    for field, value in more.ListFields():
        if field.label == field.LABEL_REPEATED:
            getattr(whole, field.name).extend(value)


class Batch:
    """The jobs of one request. number: 0 where nothing became a job. asked: what was said of each guest or host at once."""

    def __init__(self, client: Client, number: int, asked: Sequence[Outcome], note: str) -> None:
        self.number = number
        self.asked = list(asked)
        self._client = client
        self._note = note

    def wait(self, timeout: Optional[float] = None, check: bool = True) -> Account:
        """Waits until all is over. check: raises GuestsLeft unless all guests were moved and each host of an evacuation is
        empty. Raises StillRunning when it takes longer than `timeout` seconds; while the broker is away it waits on."""
        follower = _Follower(self._client, self.number, self.asked)
        for _ in follower.changes(timeout):
            pass
        account = account_of(
            self.number, follower.jobs.values(), follower.hosts, self.asked, follower.forgotten, self._note
        )
        if check and not account.ok:
            raise GuestsLeft(account)
        return account

    def follow(self, timeout: Optional[float] = None) -> Iterator[Job]:
        """Each job each time that it changes, until all are over; at first every one."""
        return _Follower(self._client, self.number, self.asked).changes(timeout)


class _Follower:
    """What is known of a batch. After a restart the broker's epoch differs, and it says everything again."""

    def __init__(self, client: Client, number: int, asked: Sequence[Outcome]) -> None:
        self.jobs: Dict[int, Job] = {}
        self.hosts: Dict[str, Outcome] = {}
        self.forgotten = 0
        self._client = client
        # jobs of others that take guests of an evacuated host away as well
        also = {outcome.job for outcome in asked if outcome.job}
        self._what = pb.RmSelect(batch=number, jobs=sorted(also))
        self._epoch = self._version = 0

    def changes(self, timeout: Optional[float]) -> Iterator[Job]:
        if not self._what.batch:
            return
        end = None if timeout is None else time.monotonic() + timeout
        over = False
        while not over:
            left = HOLD if end is None else end - time.monotonic()
            if left <= 0:
                raise StillRunning(f"batch {self._what.batch}: not over within {timeout:g} s; its jobs go on")
            reply = self._look(min(HOLD, left))
            if reply:
                whole = reply.epoch != self._epoch or not self._version
                self._epoch, self._version = reply.epoch, reply.version
                named = [Job.of(view, reply.lists) for view in reply.jobs]
                yield from self._learn(named)
                over = _is_over(reply)
                missed = self._missed(over, {job.id for job in named} if whole else None)
                yield from self._learn(missed)
                for outcome in outcomes_of(reply):
                    self.hosts[outcome.name] = outcome  # the newest of each host comes last
                forgotten = sum(tally.count for tally in reply.tallies if tally.state == pb.NO_STATE)
                self.forgotten = max(self.forgotten, forgotten)
            if not over:
                time.sleep(PAUSE)

    def _look(self, hold: float) -> Optional[pb.RmReply]:
        """None: the broker is away; its jobs go on, and it is waited for."""
        ask = pb.RmFollow(what=self._what, epoch=self._epoch, version=self._version, wait_for=round(hold * MICRO))
        try:
            reply = self._client.ask(pb.RmRequest(follow=ask), hold=hold, timeout=min(AWAY, self._client.timeout))
        except (Unreachable, TryAgain) as error:
            if isinstance(error, Unreachable) and type(error) is not Unreachable:
                raise  # a key that is not let in will not be later
            return None
        if reply.text and not self._version and not reply.jobs and not reply.tallies:
            raise NotFound(reply.text)
        return reply

    def _learn(self, jobs: Iterable[Job]) -> Iterator[Job]:
        for job in jobs:
            before = self.jobs.get(job.id)
            self.jobs[job.id] = job
            if before is None or before.raw != job.raw:
                yield job

    def _missed(self, over: bool, named: Optional[Iterable[int]]) -> List[Job]:
        """How jobs ended that an answer with everything does not name, or whose end was not told though all is over."""
        open_ids = [job.id for job in self.jobs.values() if not job.is_over]
        ids = [number for number in open_ids if over or (named is not None and number not in set(named))]
        found: List[Job] = []
        for at in range(0, len(ids), ASK_MOST):
            found += self._client.jobs(ids[at : at + ASK_MOST], finished=True)
        for number in set(ids) - {job.id for job in found}:
            del self.jobs[number]  # forgotten meanwhile
            self.forgotten += 1
        return found


def _is_over(reply: pb.RmReply) -> bool:
    final = (pb.NO_STATE, pb.DONE, pb.FAILED, pb.CANCELLED)
    return not reply.may_grow and all(tally.state in final or not tally.count for tally in reply.tallies)
