"""rmigrate - ask the broker of rmigrate from Python: README.md has a page of it."""

from .account import Account, Left
from .client import Batch, Client
from .errors import (
    Error,
    GuestsLeft,
    KeyRefused,
    NotFound,
    NotPermitted,
    Refused,
    SettingsError,
    StillRunning,
    TableError,
    TryAgain,
    Unreachable,
    UsageError,
)
from .settings import Settings
from .views import Guest, Host, Job, Options, Outcome, Ping

__all__ = [
    "Account",
    "Batch",
    "Client",
    "Error",
    "Guest",
    "GuestsLeft",
    "Host",
    "Job",
    "KeyRefused",
    "Left",
    "NotFound",
    "NotPermitted",
    "Options",
    "Outcome",
    "Ping",
    "Refused",
    "Settings",
    "SettingsError",
    "StillRunning",
    "TableError",
    "TryAgain",
    "Unreachable",
    "UsageError",
]
