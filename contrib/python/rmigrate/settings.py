"""Where the broker is, and with which key: from arguments or from the configuration file of rmigrate."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import Any, Optional, Tuple, Union

from .errors import SettingsError

BROKER = "ipc:///run/rmigrate/broker"
TIMEOUT = 30.0
FILE = "/etc/rmigrate/rmigrate.conf"

_KEY = re.compile(r'^\s*(public|secret)\s*=\s*"([^"]{40})"\s*;?\s*$', re.MULTILINE)
_TERM = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(us|ms|s|min|h|d)\s*")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def _seconds(text: str) -> float:
    """A duration as the configuration file has it: "1 h 30 min"."""
    at, total = 0, 0.0
    while at < len(text):
        term = _TERM.match(text, at)
        if not term:
            raise SettingsError(f"'{text}' is not a duration")
        total += float(term[1]) * _SECONDS[term[2]]
        at = term.end()
    if total <= 0:
        raise SettingsError(f"'{text}' is not a duration")
    return total


def read_key(path: Union[str, "os.PathLike[str]"]) -> Tuple[bytes, bytes]:
    """The public and the secret key of a file that `rmigrate keygen` has made.

    As the programs do, refuses one that others may read: it is not a secret any more.
    """
    try:
        with open(path, encoding="ascii") as file:
            about = os.fstat(file.fileno())
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    if about.st_uid not in (os.geteuid(), 0):
        raise SettingsError(f"{path}: belongs to another user (uid {about.st_uid})")
    if about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"{path}: others may read or change it; chmod 600 {path}")
    keys = dict(_KEY.findall(text))
    if len(keys) != 2:
        raise SettingsError(f"{path}: not a key file of rmigrate keygen")
    return keys["public"].encode(), keys["secret"].encode()


@dataclass(frozen=True)
class Settings:
    """broker: ipc://PATH or tcp://HOST:PORT. For tcp: key, the file of one's own key, and server, the broker's
    public key. timeout: seconds that the broker may take to answer."""

    broker: str = BROKER
    key: Optional[str] = None
    server: Optional[str] = None
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        if not self.broker.startswith(("ipc://", "tcp://")):
            raise SettingsError(f"{self.broker}: not ipc://PATH or tcp://HOST:PORT")
        if (self.key is None) != (self.server is None):
            raise SettingsError("key and server: both or none")
        if self.server is not None and len(self.server) != 40:
            raise SettingsError("server: not a public key of rmigrate keygen")
        if not self.timeout > 0:
            raise SettingsError("timeout: must be more than 0")

    @classmethod
    def from_file(cls, path: Optional[str] = None) -> Settings:
        """The group `client` of a configuration file: of this one, else of the one that RMIGRATE_CONF names, else of
        /etc/rmigrate/rmigrate.conf, which need not be there. RMIGRATE_BROKER goes before `broker`. Needs the module
        libconf (Debian: python3-libconf)."""
        named = path or os.environ.get("RMIGRATE_CONF")
        client: Any = {}
        if named or os.path.exists(FILE):
            client = _read(named or FILE)
        broker = os.environ.get("RMIGRATE_BROKER") or client.get("broker", BROKER)
        timeout = _seconds(client["timeout"]) if "timeout" in client else TIMEOUT
        return cls(broker=broker, key=client.get("key"), server=client.get("server"), timeout=timeout)


def _read(path: str) -> Any:
    import libconf  # type: ignore[import]  # whoever gives arguments does not need it

    try:
        with open(path, encoding="utf-8") as file:
            read = libconf.load(file, filename=path, includedir=os.path.dirname(path))
    except (OSError, UnicodeDecodeError, libconf.ConfigParseError) as error:
        raise SettingsError(f"{path}: {error}") from error
    client = read.get("client", {})
    for name in ("broker", "key", "server", "timeout"):
        if not isinstance(client.get(name, ""), str):
            raise SettingsError(f"{path}: client.{name} must be a text")
    return client
