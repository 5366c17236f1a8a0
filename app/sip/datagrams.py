"""One UDP socket of a SIP endpoint, with what ICMP says about what was sent.

A plain non-blocking socket on the loop's reader, because an asyncio datagram transport hides which datagram an ICMP
error was about. On Linux the socket's error queue tells, so that a call to a dead address fails after one round trip
instead of 32 seconds (RFC 3261 section 18.4).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
import socket
import sys
from collections.abc import Callable

from app.settings import HostPort

log = logging.getLogger(__name__)

MAX_DATAGRAM = 65535
PER_TURN = 64  # datagrams read before other things on the loop get their turn
_IP_RECVERR = 11  # Linux; not in Python's socket module
_IPV6_RECVERR = 25
_MSG_ERRQUEUE = getattr(socket, "MSG_ERRQUEUE", 0)


class DatagramSocket:
    """Owns `sock` from `open()` to `close()`.

    `on_datagram(data, remote)` gets what arrives; `on_refused(remote, why)` what ICMP or the system says about an
    address we sent to.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        on_datagram: Callable[[bytes, HostPort], None],
        on_refused: Callable[[HostPort, str], None],
    ) -> None:
        self._sock = sock
        self._on_datagram = on_datagram
        self._on_refused = on_refused
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched: select.epoll | None = None
        host, port = sock.getsockname()[:2]
        self.local = HostPort(str(host), int(port))
        self.family = sock.family

    def open(self) -> None:
        """Start reading, on the running loop."""
        self._sock.setblocking(False)
        self._tell_icmp_errors()
        self._loop = asyncio.get_running_loop()
        if sys.platform == "linux":
            # libuv stops watching a descriptor that has an error, which an ICMP message in the queue is: the phone
            # would be deaf from then on. The loop sees only that this set is readable, whatever the socket has.
            self._watched = select.epoll()
            self._watched.register(self._sock.fileno(), select.EPOLLIN)
        self._loop.add_reader(self._descriptor(), self._readable)

    def close(self) -> None:
        if self._loop is not None and self._sock.fileno() >= 0:
            self._loop.remove_reader(self._descriptor())
        if self._watched is not None:
            self._watched.close()
        self._sock.close()

    def _descriptor(self) -> int:
        return self._sock.fileno() if self._watched is None else self._watched.fileno()

    def send(self, data: bytes, remote: HostPort) -> str | None:
        """Send one datagram; what prevents it in words, or None. A full buffer is a lost packet like any other."""
        for _ in range(2):
            try:
                self._sock.sendto(data, (remote.host, remote.port))
            except BlockingIOError:
                return None
            except ConnectionRefusedError:
                self._read_errors()  # about an earlier datagram; this one was not sent yet
                continue
            except OSError as error:
                if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH) and self._read_errors():
                    continue
                return error.strerror or str(error)
            return None
        return None

    def _tell_icmp_errors(self) -> None:
        if not _MSG_ERRQUEUE:
            return
        level, option = (socket.IPPROTO_IP, _IP_RECVERR)
        if self.family == socket.AF_INET6:
            level, option = (socket.IPPROTO_IPV6, _IPV6_RECVERR)
        try:
            self._sock.setsockopt(level, option, 1)
        except OSError as error:
            log.debug("No ICMP errors on this system: %s", error)

    def _readable(self) -> None:
        for _ in range(PER_TURN):
            try:
                data, address = self._sock.recvfrom(MAX_DATAGRAM)
            except BlockingIOError:
                self._read_errors()  # an error alone makes the socket readable too
                return
            except OSError:
                if not self._read_errors():
                    return
                continue
            host = str(address[0]).partition("%")[0]
            if address[1]:
                self._on_datagram(data, HostPort(host, int(address[1])))

    def _read_errors(self) -> bool:
        """Drain the error queue; whether there was anything in it."""
        found = False
        while _MSG_ERRQUEUE:
            try:
                _, ancillary, _, address = self._sock.recvmsg(512, 512, _MSG_ERRQUEUE)
            except OSError:
                break
            found = True
            code = int.from_bytes(ancillary[0][2][:4], "little") if ancillary else errno.ECONNREFUSED
            if address and address[1]:
                host = str(address[0]).partition("%")[0]
                self._on_refused(HostPort(host, int(address[1])), os.strerror(code))
        return found
