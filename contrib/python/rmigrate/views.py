"""What the broker shows, and what can be asked of a migration. `raw` is the whole message (wire/rmigrate.proto)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional, Sequence, Tuple

from . import rmigrate_pb2 as pb

MICRO = 1_000_000
_FINAL = ("done", "failed", "cancelled")


def _seconds(micro: int) -> Optional[float]:
    """None: not known, or none."""
    return micro / MICRO if micro else None


@dataclass(frozen=True)
class Ping:
    broker: str
    user: str
    role: str
    started_at: Optional[float]


@dataclass(frozen=True)
class Host:
    """A hypervisor. connected: a worker serves it; reachable: and it answers its worker; why: it is closed or not reached."""

    name: str
    is_open: bool
    connected: bool
    reachable: bool
    evacuating: bool
    guests: int
    memory: int
    memory_free: int
    why: str
    raw: pb.RmHostView = field(repr=False, compare=False)

    @classmethod
    def of(cls, view: pb.RmHostView) -> Host:
        return cls(
            name=view.host.name,
            is_open=view.host.state == pb.HOST_OPEN,
            connected=view.connected,
            reachable=view.reachable,
            evacuating=view.evacuating,
            guests=view.guests,
            memory=view.host.memory,
            memory_free=view.memory_free,
            why=view.text or view.held or view.host.why,
            raw=view,
        )


@dataclass(frozen=True)
class Guest:
    """locked: nobody knows where it runs; stale: its host does not answer; why: either of them. job: that moves it, or 0."""

    name: str
    host: str
    state: str
    memory: int
    vcpus: int
    job: int
    home: str
    locked: bool
    stale: bool
    why: str
    raw: pb.RmGuest = field(repr=False, compare=False)

    @classmethod
    def of(cls, guest: pb.RmGuest) -> Guest:
        state = pb.RmGuestState.Name(guest.state)
        return cls(
            name=guest.name,
            host=guest.host,
            state=state[len("GUEST_") :].lower().replace("_", " "),
            memory=guest.memory,
            vcpus=guest.vcpus,
            job=guest.active_job,
            home=guest.home,
            locked=guest.locked,
            stale=bool(guest.stale),
            why=guest.lock_text or guest.stale,
            raw=guest,
        )


@dataclass(frozen=True)
class Job:
    """state: queued, assigned, running, cancelling, waiting, doubt, done, failed or cancelled. to: where it may go, as it
    was asked for; destination: chosen. why: it waits, failed, or is in doubt. percent: of the guest's memory that is
    copied, None where it is not known."""

    id: int
    batch: int
    guest: str
    state: str
    source: str
    destination: str
    to: Tuple[str, ...]
    why: str
    locked: bool
    paused: bool
    submitted_at: Optional[float]
    started_at: Optional[float]
    finished_at: Optional[float]
    percent: Optional[int]
    raw: pb.RmJobView = field(repr=False, compare=False)

    @property
    def is_over(self) -> bool:
        return self.state in _FINAL

    @property
    def is_done(self) -> bool:
        return self.state == "done"

    @classmethod
    def of(cls, view: pb.RmJobView, lists: Sequence[pb.RmBatchLists]) -> Job:
        job, stats = view.job, view.stats
        to: Tuple[str, ...] = tuple(job.to)
        for of in lists:  # a long list of hosts stands once in its batch
            if of.batch == job.batch and 0 < job.to_list <= len(of.lists):
                to = tuple(of.lists[job.to_list - 1].hosts)
        percent = None
        if stats.total and view.state in (pb.RUNNING, pb.CANCELLING):
            percent = 100 - min(100, -(-100 * stats.remaining // stats.total))
        return cls(
            id=job.id,
            batch=job.batch,
            guest=job.guest,
            state=pb.RmState.Name(view.state).lower(),
            source=view.source,
            destination=view.destination,
            to=to,
            why=view.text,
            locked=view.locked,
            paused=view.paused or view.held,
            submitted_at=_seconds(job.submitted_at),
            started_at=_seconds(view.started_at),
            finished_at=_seconds(view.finished_at),
            percent=percent,
            raw=view,
        )

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ""
        return f"{self.guest}: {self.source} to {self.destination or 'any host'}, {self.state}{why}"


@dataclass(frozen=True)
class Outcome:
    """What became of one guest, host or job of a request. job: 0 where there is none."""

    name: str
    ok: bool
    text: str
    job: int
    guest: str
    host: str
    source: str
    destination: str
    room_for: str
    left: int

    @classmethod
    def of(cls, outcome: pb.RmOutcome) -> Outcome:
        return cls(
            name=outcome.name,
            ok=outcome.ok,
            text=outcome.text,
            job=outcome.job,
            guest=outcome.guest or ("" if outcome.host else outcome.name),
            host=outcome.host,
            source=outcome.source,
            destination=outcome.destination,
            room_for=outcome.room_for,
            left=outcome.left,
        )


def outcomes_of(reply: pb.RmReply) -> List[Outcome]:
    return [Outcome.of(outcome) for outcome in reply.outcomes]


@dataclass(frozen=True)
class Options:
    """What jobs ask of the migration; 0 and False: as the broker's settings say. Sizes in bytes, times in seconds."""

    bandwidth: int = 0
    downtime: float = 0
    timeout: float = 0
    stall: float = 0
    attempts: int = 0
    auto_converge: bool = False
    unsafe: bool = False
    anywhere: bool = False
    ignore_rules: bool = False

    def message(self) -> pb.RmOptions:
        return pb.RmOptions(
            bandwidth=self.bandwidth,
            downtime_for=round(self.downtime * MICRO),
            timeout_for=round(self.timeout * MICRO),
            stall_for=round(self.stall * MICRO),
            attempts=self.attempts,
            auto_converge=self.auto_converge,
            unsafe=self.unsafe,
            anywhere=self.anywhere,
            ignore_rules=self.ignore_rules,
        )
