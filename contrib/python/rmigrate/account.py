"""What became of all that was waited for, as the last line of `rmigrate evacuate` says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, List, Sequence

from .views import Job, Outcome


@dataclass(frozen=True)
class Left:
    """A guest that was not moved."""

    guest: str
    why: str


@dataclass(frozen=True)
class Account:
    """moved: guests; left: guests that were not moved, that are left on the hosts of an evacuation, or whose jobs are
    forgotten. hosts: of an evacuation, each with `ok` where it is empty, else with what is left and why."""

    batch: int
    moved: int
    left: int
    guests: Sequence[Left]
    hosts: Dict[str, Outcome]
    ok: bool
    note: str = ""

    def __str__(self) -> str:
        text = f"{self.moved} moved"
        if self.left:
            text += f", {self.left} left"
        parts = [text]
        parts += [f"{name} {host.text if not host.ok else 'is empty'}" for name, host in self.hosts.items()]
        if self.guests and all(host.ok for host in self.hosts.values()):
            parts += [f"{left.guest}: {left.why}" for left in self.guests]
        if self.note:
            parts.append(self.note)
        return "; ".join(parts)


def _last_tries(jobs: Iterable[Job]) -> List[Job]:
    """Of those of one guest the last one counts: somebody has tried it again, or a hypervisor is emptied that an earlier
    job, of whomever, did not take it from. One after which there was nothing to do any more tells nothing."""
    last: Dict[str, Job] = {}
    for job in sorted(jobs, key=lambda job: job.id):
        before = last.get(job.guest)
        if job.is_over and not (job.raw.settled and before and before.is_done):
            last[job.guest] = job
    return [job for job in last.values() if not job.raw.settled]


def account_of(
    batch: int,
    jobs: Iterable[Job],
    hosts: Dict[str, Outcome],
    asked: Sequence[Outcome],
    forgotten: int,
    note: str,
) -> Account:
    """asked: what the request itself was answered; of a host that has an account only that counts."""
    jobs = list(jobs)
    had_a_job = {job.guest for job in jobs}
    hosts = dict(hosts)
    tries = _last_tries(jobs)
    guests = [Left(job.guest, job.why or job.state) for job in tries if not job.is_done]
    told = bool(hosts)
    for outcome in asked:
        if outcome.ok or (told and (outcome.host or outcome.guest in had_a_job)):
            continue
        if outcome.host:
            hosts[outcome.host] = outcome
        else:
            guests.append(Left(outcome.guest, outcome.text))
    there = sum(host.left for host in hosts.values())
    return Account(
        batch=batch,
        moved=sum(job.is_done and not job.raw.already for job in tries),
        left=max(len(guests), there) + forgotten,
        guests=guests,
        hosts=hosts,
        ok=not (guests or forgotten or note) and all(host.ok for host in hosts.values()),
        note=note,
    )
