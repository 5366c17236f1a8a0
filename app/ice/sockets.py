"""The sockets of an ICE session: UDP, read straight from the event loop, and connections to TURN servers."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import cast

from app.ice.framing import StunFramer
from app.ice.reading_pace import ReadingPace
from app.ice.stun import Address, StunError
from app.loop_beat import Beat

log = logging.getLogger(__name__)

BUFFER_BYTES = 1 << 20  # a key frame arrives in one burst
MAX_DATAGRAM = 65535
MAX_UNSENT_BYTES = 1 << 18  # of a connection: what is older than this queue is of no use to a call
_IP_RECVERR, _IPV6_RECVERR = (socket.IPPROTO_IP, 11), (socket.IPPROTO_IPV6, 25)  # linux/in.h, linux/in6.h
_MSG_ERRQUEUE = 0x2000
_TIMESTAMP = 35  # SO_TIMESTAMPNS and SCM_TIMESTAMPNS of asm-generic/socket.h, with a struct timespec
_TIMESPEC = struct.Struct("@ll")
_DETAILS_BYTES = 64
_LONGEST_WAIT_S = 2.0  # in the socket's buffer: a stamp that is older, or of the future, is of a clock that was set
READS_PER_WAKE = 32  # so that one busy socket does not keep the loop from the others


class UdpSocket:
    """A bound socket that hands each datagram to a callback (data, source), which may tell that it was of use.

    `arrived_at` is then when it came, by time.monotonic(): on Linux when the kernel had it, however long it waited to
    be read, elsewhere now. Where it is known, datagrams that come thick are read together at the loop's beat.
    `on_unreachable` is given a destination of which the network says that nobody listens there (ICMP; on Linux only).
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str,
        on_datagram: Callable[[bytes, Address], bool | None],
        counters: Counter[str],
        on_unreachable: Callable[[Address], None] | None = None,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
            self._hears_errors = on_unreachable is not None and sys.platform == "linux"
            if self._hears_errors:
                self._socket.setsockopt(*(_IPV6_RECVERR if family == socket.AF_INET6 else _IP_RECVERR), 1)
            self._stamps = sys.platform == "linux" and _ask_for_stamps(self._socket)
            self._socket.bind((host, 0))
            self.address: Address = self._socket.getsockname()[:2]
            loop.add_reader(self._socket, self._readable)
        except OSError:
            self._socket.close()
            raise
        self.arrived_at = 0.0
        self._refused = False  # sending told of an error that waits to be read
        self._loop = loop
        self._beat = Beat.of(loop)
        self._pace = ReadingPace()
        self._is_at_beat = False  # read then, and not watched by the loop
        self._on_datagram = on_datagram
        self._on_unreachable = on_unreachable
        self._counters = counters

    def _readable(self) -> None:
        failed, read = False, 0
        for _ in range(READS_PER_WAKE):
            if self._socket.fileno() < 0:
                return  # closed by the callback
            try:
                data, source = self._read()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:  # an ICMP answer to something sent earlier
                self._counters["receive errors"] += 1
                log.debug("receiving on %s: %s", self.address, error)
                failed = True
                if not self._hears_errors:
                    break
            else:
                read += 1
                if self._on_datagram(data, source[:2]):  # a stranger's say nothing of the path
                    self._pace.came(len(data), self.arrived_at)
        # An error makes recvfrom fail, or was noticed in sending, or is all that woke us: others cost no question.
        may_be_error = self._hears_errors and (failed or not read or self._refused)
        self._refused = False
        if self._socket.fileno() < 0:
            return
        if may_be_error and (self._read_errors() or failed) and not self._is_at_beat:
            self._watch_again()
        if self._stamps:
            self._pace.was_read(read, time.monotonic())
            self._follow_pace()

    def _follow_pace(self) -> None:
        """Read at the loop's beat from now on, or whenever something has come."""
        if self._pace.together == self._is_at_beat or self._socket.fileno() < 0:
            return
        self._is_at_beat = self._pace.together
        if self._is_at_beat:
            self._loop.remove_reader(self._socket)
            self._beat.join(self._readable)
        else:
            self._beat.leave(self._readable)
            self._loop.add_reader(self._socket, self._readable)

    def _read(self) -> tuple[bytes, Address]:
        if not self._stamps:
            data, source = self._socket.recvfrom(MAX_DATAGRAM)
            self.arrived_at = time.monotonic()
            return data, source
        data, details, _, source = self._socket.recvmsg(MAX_DATAGRAM, _DETAILS_BYTES)
        now, wall = time.monotonic(), time.time()  # with nothing between them in which another thread may run
        self.arrived_at = now - _waited_s(details, wall)
        return data, source

    def _watch_again(self) -> None:
        """Go on being told: libuv stops watching a socket once it has seen an error on it."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.add_reader(self._socket, self._readable)

    def _read_errors(self) -> bool:
        """Empty the queue of ICMP errors, each with the destination it is about; False when there was none."""
        found: list[Address] = []
        count = 0
        for count in range(READS_PER_WAKE):  # noqa: B007 - how far it got
            try:
                _, details, _, place = self._socket.recvmsg(0, 512, _MSG_ERRQUEUE)
            except OSError:
                break
            told = (data for *kind, data in details if tuple(kind) in (_IP_RECVERR, _IPV6_RECVERR) and len(data) >= 4)
            number = next((struct.unpack_from("=I", data)[0] for data in told), 0)
            if number in (errno.ECONNREFUSED, errno.EHOSTUNREACH) and place:
                found.append(place[:2])
        for destination in dict.fromkeys(found):
            if self._on_unreachable is not None:
                self._on_unreachable(destination)
        return count > 0

    def send(self, data: bytes, destination: Address) -> bool:
        """Send now or not at all: a full buffer or an unreachable network loses the datagram, as UDP may."""
        for attempt in range(2):
            try:
                self._socket.sendto(data, destination)
            except OSError as error:
                if self._hears_errors and attempt == 0 and error.errno == errno.ECONNREFUSED:
                    self._refused = True
                    continue  # tells of an earlier datagram; this one was not sent
                self._counters["send errors"] += 1
                log.debug("sending to %s: %s", destination, error)
                return False
            return True
        return False

    def close(self) -> None:
        if self._socket.fileno() < 0:
            return
        try:
            if self._is_at_beat:
                self._is_at_beat = False
                self._beat.leave(self._readable)
            else:
                self._loop.remove_reader(self._socket)
        finally:
            self._socket.close()


def _ask_for_stamps(of: socket.socket) -> bool:
    """Let the kernel tell with each datagram when it came; False where it does not."""
    try:
        of.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
    except OSError:
        return False
    return True


def _waited_s(details: list[tuple[int, int, bytes]], wall: float) -> float:
    """How long a datagram that is read at `wall` (Unix time) has waited, by its stamp; 0 without a sensible one."""
    for level, kind, data in details:
        if level == socket.SOL_SOCKET and kind == _TIMESTAMP and len(data) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            waited_s = wall - seconds - nanoseconds * 1e-9
            return waited_s if 0.0 <= waited_s <= _LONGEST_WAIT_S else 0.0
    return 0.0


class TurnConnection(asyncio.Protocol):
    """A TCP or TLS connection to a TURN server that hands each message in it to a callback (data, server)."""

    def __init__(self, on_message: Callable[[bytes, Address], None], on_lost: Callable[[str], None]) -> None:
        self.address: Address = ("", 0)
        self.server: Address = ("", 0)
        self._framer = StunFramer()
        self._on_message = on_message
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(
        cls,
        place: Address | socket.socket,
        local_host: str,
        tls: tuple[ssl.SSLContext, str] | None,
        on_message: Callable[[bytes, Address], None],
        on_lost: Callable[[str], None],
    ) -> TurnConnection:
        """Connect to an address, or take a socket that is connected already (through a proxy).

        `tls` is a context with the name that the certificate must show. OSError when it fails.
        """
        loop = asyncio.get_running_loop()
        context, name = tls or (None, None)
        if isinstance(place, socket.socket):
            try:
                _, connection = await loop.create_connection(
                    lambda: cls(on_message, on_lost), sock=place, ssl=context, server_hostname=name
                )
            except BaseException:
                place.close()
                raise
            return connection
        _, connection = await loop.create_connection(
            lambda: cls(on_message, on_lost), *place, ssl=context, server_hostname=name, local_addr=(local_host, 0)
        )
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        here, there = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if not here or not there:  # it has closed again already
            transport.close()
            return
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self.address, self.server = here[:2], there[:2]

    @property
    def stands(self) -> bool:
        """Whether neither side has closed it."""
        return self._transport is not None

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._framer.feed(data)
        except StunError as error:
            log.info("the TURN server %s sent what is no STUN: %s", self.server, error)
            self.close()
            self._on_lost("it sent something that is not TURN")
            return
        for message in messages:
            if self._transport is None:
                return  # closed by what the last one led to
            self._on_message(message, self.server)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._on_lost("it closed the connection")

    def send(self, data: bytes, destination: Address) -> bool:
        """Send now, or not at all when the connection is gone or has fallen behind."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            return False
        transport.write(data)
        return True

    def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
