"""One TCP or TLS connection of a SIP endpoint (RFC 3261 section 18.3): framing, bounds, keep-alive."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from app.settings import HostPort
from app.sip.framing import FramingError, KeepAlive, StreamFramer
from app.sip.hops import Hop
from app.sip.message import Request, Response

if TYPE_CHECKING:
    from app.sip.transports import Transports

log = logging.getLogger(__name__)

MAX_UNSENT = 256 * 1024  # bytes; a peer that does not read is cut off
MAX_NOTED = 64  # transactions remembered per connection, to be told when it breaks
STALLED_S = 2.0
INCOMPLETE_S = 20.0  # a connection may not hold half a message, or say nothing at all, for longer


class StreamConnection(asyncio.Protocol):
    """An open connection; `hop` names it in both directions."""

    def __init__(self, owner: Transports, number: int, transport_name: str, *, inbound: bool) -> None:
        self.number = number
        self.inbound = inbound
        self.hop: Hop | None = None
        self.noted: dict[int, None] = {}
        self._owner = owner
        self._name = transport_name
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._opened = self._active = self._clock()
        self._half_since: float | None = None
        self._spoke = False
        self._unanswered_since: float | None = None  # something was written, and nothing has come since

    # From asyncio -----------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        host, port = transport.get_extra_info("peername")[:2]
        local_host, local_port = transport.get_extra_info("sockname")[:2]
        remote = HostPort(_plain(host), int(port))
        # Toward strangers we are where we listen; only TLS has no listener, and the connection itself must do.
        here = HostPort(_plain(local_host), self._owner.port if self._name == "tcp" else int(local_port))
        self.hop = Hop(self._name, remote, here, connection=self.number)
        if not self._owner.add(self):
            transport.abort()  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._active = self._clock()
        self._unanswered_since = None
        hop = self.hop
        if hop is None:
            return
        for frame in self._framer.feed(data):
            if isinstance(frame, KeepAlive):
                if frame is KeepAlive.PING:
                    self.write(b"\r\n")
            elif isinstance(frame, FramingError):
                self._owner.receiver.on_bad(frame.error, hop)
                if frame.fatal:
                    self._close_soon()
            else:
                self._spoke = True
                self._message(frame, hop)
        self._half_since = (self._half_since or self._active) if self._framer.waiting else None

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._owner.remove(self, str(exc) if exc else "The connection was closed")

    # For the transports -----------------------------------------------

    def write(self, data: bytes) -> bool:
        """Send; False when the connection is of no use any more."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() + len(data) > MAX_UNSENT:
            log.info("Cut off %s: it does not read what it is sent", self.hop)
            transport.abort()
            return False
        transport.write(data)
        self._active = self._clock()
        self._unanswered_since = self._unanswered_since or self._active
        return True

    def note(self, transaction: int | None) -> None:
        """Remember who sent something over this connection."""
        if transaction is not None:
            self.noted[transaction] = None
            while len(self.noted) > MAX_NOTED:
                del self.noted[next(iter(self.noted))]

    @property
    def is_stuck(self) -> bool:
        """Whether nothing good is to be expected: half a message for long, or silence from the start."""
        now = self._clock()
        if self._half_since is not None and now - self._half_since > INCOMPLETE_S:
            return True
        return self.inbound and not self._spoke and now - self._opened > INCOMPLETE_S

    @property
    def is_stalled(self) -> bool:
        """Whether the far end has been silent for long after something was sent: the network below may be gone.

        Such a connection would come back only with TCP's own next attempt, which may be half a minute away.
        """
        return self._unanswered_since is not None and self._clock() - self._unanswered_since > STALLED_S

    def is_idle(self, idle_s: float) -> bool:
        return self._clock() - self._active > idle_s

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close without waiting for what is still to be sent: it would reach nobody."""
        if self._transport is not None:
            self._transport.abort()

    def _message(self, message: Request | Response, hop: Hop) -> None:
        self._owner.receiver.on_message(message, bytes(message), hop)

    def _close_soon(self) -> None:
        """After a fatal error: what was just answered still goes out."""
        asyncio.get_running_loop().call_soon(self.close)


def _plain(host: object) -> str:
    return str(host).partition("%")[0]
