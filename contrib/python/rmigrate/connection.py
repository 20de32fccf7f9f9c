"""One request, one answer: frames, keys, time-outs, and what is lost is asked again.

The rules are those of docs/protocol.md: a frame is "RMG", the version, and a packed RmMessage; an answer carries the tag of
its request; losing any message is harmless, because a request is repeated over a new connection until it is answered.
"""

from __future__ import annotations

import errno
import os
import random
import socket
import time
from typing import List, Optional

import zmq
from zmq.utils.monitor import recv_monitor_message

from . import rmigrate_pb2 as pb
from .errors import Error, KeyRefused, Unreachable, UsageError
from .settings import Settings, read_key

HEADER = b"RMG\x01"
FRAME_MAX = 64 * 1024 * 1024
RESEND_IN = 2.0  # the first time that nothing is heard for so long the request is sent again; then twice as long
DESERTED_FOR = 0.8  # a local broker that does not run, and never did, is not waited for any longer
OFFER_IN = 0.1  # a frame that the socket did not take is offered again
EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_DISCONNECTED


class Connection:
    """To one broker, for one thread. It is made in the background, and made again when it breaks."""

    def __init__(self, settings: Settings) -> None:
        self.endpoint = settings.broker
        # A local socket needs no key: who somebody is comes from the kernel there.
        self._keys = read_key(settings.key) if settings.key and self._path() is None else None
        self._server = settings.server.encode() if settings.server else b""
        self._context = zmq.Context()
        self._tag = 0
        self._met = False  # the broker was there once
        self._here = False
        self._refused = False
        self._open()

    def close(self) -> None:
        self._drop()
        self._context.term()

    def ask(self, request: pb.RmRequest, hold: float, timeout: float) -> pb.RmReply:
        """The broker may hold its answer back for `hold` seconds. Raises Unreachable when none came in time."""
        self._tag += 1
        frame = HEADER + pb.RmMessage(tag=self._tag, request=request).SerializeToString()
        if len(frame) > FRAME_MAX:
            raise UsageError("the request is too long")
        began = send_at = away_at = time.monotonic()
        patience = RESEND_IN
        connected = sent = False  # during this request
        while True:
            now = time.monotonic()
            end = began + hold + timeout
            if not self._here:  # whoever holds an answer back must be there
                end = min(end, away_at + timeout)
            if now >= end or self._is_deserted(now - began):
                self._reopen()  # what was never sent shall not be carried out later
                why = "no answer" if connected else "nothing answers there"
                raise Unreachable(
                    f"the broker at {self.endpoint} did not answer within {now - began:.1f} s: {why}",
                    maybe_done=connected and sent,
                )
            if now >= send_at:
                if self._here:
                    away_at = now
                if sent:
                    self._reopen()
                if self._send(frame):
                    sent = True
                    send_at = now + hold + patience
                    patience *= 2
                else:
                    send_at = now + OFFER_IN
            was_here = self._here
            reply = self._receive(min(send_at, end) - now)
            connected = connected or self._here
            if reply:
                return reply
            if was_here and not self._here:  # what was held back is lost with its connection
                away_at = time.monotonic()
                send_at = min(send_at, away_at + RESEND_IN)

    def _path(self) -> Optional[str]:
        """Of a local socket; "" for one without a file."""
        if not self.endpoint.startswith("ipc://"):
            return None
        path = self.endpoint[len("ipc://") :]
        return "" if path.startswith("@") else path

    def _is_deserted(self, waited: float) -> bool:
        path = self._path()
        if not path or self._met or waited < DESERTED_FOR:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(0.1)
            return probe.connect_ex(path) in (errno.ENOENT, errno.ECONNREFUSED)

    def _open(self) -> None:
        path = self._path()
        if path and os.path.exists(path) and not os.access(path, os.W_OK):
            self._refused = True
        dealer = self._context.socket(zmq.DEALER)
        options = {
            zmq.LINGER: 0,
            zmq.RCVHWM: 0,
            zmq.MAXMSGSIZE: FRAME_MAX,
            zmq.HEARTBEAT_IVL: 5000,
            zmq.HEARTBEAT_TIMEOUT: 15000,
            zmq.HEARTBEAT_TTL: 15000,
            zmq.RECONNECT_IVL: 100 + random.randrange(100),
            zmq.RECONNECT_IVL_MAX: 4000 + random.randrange(2000),
            zmq.IPV6: int(not self._is_ipv4()),
        }
        for option, value in options.items():
            dealer.setsockopt(option, value)
        if self._keys:
            dealer.curve_publickey, dealer.curve_secretkey = self._keys
            dealer.curve_serverkey = self._server
        self._dealer = dealer
        self._monitor = dealer.get_monitor_socket(EVENTS)
        self._here = False
        try:
            dealer.connect(self.endpoint)
        except zmq.ZMQError as error:
            self._drop()
            self._context.term()
            raise Error(f"cannot connect to {self.endpoint}: {error}") from error

    def _is_ipv4(self) -> bool:
        """ZeroMQ takes one address of a name: of localhost the wrong one, where the broker listens on 127.0.0.1."""
        host = self.endpoint.split("//", 1)[1].rsplit(":", 1)[0]
        return host == "localhost" or host.replace(".", "").isdigit()

    def _drop(self) -> None:
        if not self._dealer.closed:
            self._dealer.disable_monitor()
            self._monitor.close(0)
            self._dealer.close(0)

    def _reopen(self) -> None:
        self._drop()
        self._open()

    def _send(self, frame: bytes) -> bool:
        try:
            self._dealer.send(frame, zmq.DONTWAIT)
            return True
        except zmq.Again:
            return False

    def _receive(self, seconds: float) -> Optional[pb.RmReply]:
        """The answer to the newest request, if it came within these seconds, or earlier than an event that matters."""
        if not self._refused:
            poller = zmq.Poller()
            poller.register(self._dealer, zmq.POLLIN)
            poller.register(self._monitor, zmq.POLLIN)
            # a second at most, so that it is seen that nobody listens
            poller.poll(max(0, int(min(seconds, 1.0) * 1000) + 1))
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)["event"]
            self._refused = self._refused or event == zmq.EVENT_HANDSHAKE_FAILED_AUTH
            self._here = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            self._met = self._met or self._here
        if self._refused:
            self._refused = False
            raise KeyRefused(f"the broker at {self.endpoint} does not let this key or user in")
        while self._dealer.poll(0):
            parts: List[bytes] = self._dealer.recv_multipart()
            reply = self._parse(parts)
            if reply:
                return reply
        return None

    def _parse(self, parts: List[bytes]) -> Optional[pb.RmReply]:
        if len(parts) != 1 or not parts[0].startswith(HEADER):
            raise Error(f"{self.endpoint} is not a broker of rmigrate, or one of another version")
        message = pb.RmMessage()
        try:
            message.ParseFromString(parts[0][len(HEADER) :])
        except ValueError as error:  # google.protobuf.message.DecodeError is one
            raise Error(f"the answer of the broker at {self.endpoint} is damaged") from error
        if message.tag != self._tag or message.WhichOneof("body") != "reply":
            return None  # too late, of an earlier request
        return message.reply
