"""What can go wrong, each as an exception of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

if TYPE_CHECKING:
    from .account import Account
    from .views import Outcome


class Error(Exception):
    """Everything that this package raises on purpose."""


class SettingsError(Error):
    """Settings or a key that cannot be used."""


class Unreachable(Error):
    """The broker has not answered in time.

    maybe_done: it may have been carried out, if it changes something; jobs() tells.
    """

    def __init__(self, text: str, maybe_done: bool = False) -> None:
        super().__init__(text)
        self.maybe_done = maybe_done


class KeyRefused(Unreachable):
    """The broker does not know this key, or the local socket is not for this user: waiting does not help."""


class Refused(Error):
    """The broker has answered that it will not.

    outcomes: what it said of each guest, host or job.
    """

    def __init__(self, text: str, outcomes: Sequence[Outcome] = ()) -> None:
        super().__init__(text)
        self.outcomes = list(outcomes)


class UsageError(Refused):
    """A noderange, name or value that is wrong (CODE_USAGE)."""


class TryAgain(Refused):
    """Not now (CODE_TRY_AGAIN)."""


class TableError(Refused):
    """A table that cannot be read or changed so (CODE_TABLE)."""


class NotPermitted(Refused):
    """This needs another role (CODE_NOT_PERMITTED)."""


class NotFound(Refused):
    """There is no such batch or job, or it is forgotten."""


class StillRunning(Error):
    """The time for waiting is over; the jobs go on."""


class GuestsLeft(Error):
    """Not all guests were moved, or a host is not empty: account says which, and why."""

    def __init__(self, account: Account) -> None:
        super().__init__(str(account))
        self.account = account
