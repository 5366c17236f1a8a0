"""UDP sockets of the home server: one callback per datagram, with the local address it came to.

asyncio's datagram endpoints do not tell which local address a datagram was sent to. A server on a wildcard address
that answers from another address than it was asked at is not heard (RFC 8489 section 6.3.1.1: the answer must come
from where the request went), so this reads the address from the kernel where that is possible (Linux, macOS) and
answers from it. Knows nothing of protocols.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

import ifaddr

from app.home.errors import HomeError

log = logging.getLogger(__name__)

Address = tuple[str, int]
OnDatagram = Callable[[bytes, Address, str], None]
"""(data, source, local host it was sent to)"""

_MAX_DATAGRAM = 65535
_PER_WAKEUP = 64  # datagrams read before other sockets get their turn
_RECEIVE_BUFFER_BYTES = 1 << 20
# Python's socket module does not name IP_PKTINFO; both values are part of the platforms' ABI.
_IP_PKTINFO = {"linux": 8, "darwin": 26}.get(sys.platform)
# Nor does it name these, of Linux: whether a datagram may be cut into fragments, on the way and here.
_IP_MTU_DISCOVER, _PMTUDISC_DONT, _PMTUDISC_DO = 10, 0, 2
_IPV6_DONTFRAG = 62
CAN_FORBID_FRAGMENTS = sys.platform == "linux"
_IN_PKTINFO = struct.Struct("=I4s4s")
_IN6_PKTINFO = struct.Struct("=16sI")


class UdpSocket:
    """A bound UDP socket on the running loop. `on_drained` is called after each batch of datagrams.

    `fragments`: what it sends may be cut into fragments on the way (DF is not set) unless a datagram forbids it.
    """

    def __init__(
        self,
        sock: socket.socket,
        on_datagram: OnDatagram,
        on_drained: Callable[[], None] | None = None,
        *,
        fragments: bool = False,
    ) -> None:
        self._sock = sock
        self._on_datagram = on_datagram
        self._on_drained = on_drained
        self.counters: Counter[str] = Counter()
        host, port = sock.getsockname()[:2]
        self.address: Address = (host, port)
        self._is_ipv6 = sock.family == socket.AF_INET6
        self._asks_kernel = ipaddress.ip_address(host).is_unspecified and _ask_for_local_address(sock)
        if fragments:
            self._allow_fragments(True)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)

    @classmethod
    def open(
        cls,
        host: str,
        port: int,
        on_datagram: OnDatagram,
        on_drained: Callable[[], None] | None = None,
        *,
        fragments: bool = False,
    ) -> UdpSocket:
        """Bind and start reading; OSError when the address cannot be had."""
        return cls(bind(socket.SOCK_DGRAM, host, port), on_datagram, on_drained, fragments=fragments)

    def send(self, data: bytes, to: Address, local_host: str | None = None, *, dont_fragment: bool = False) -> bool:
        """Send now or drop: a full buffer or an unreachable address is counted and costs nothing else."""
        try:
            if dont_fragment:
                self._send_whole(data, to)
            elif self._asks_kernel and local_host is not None:
                self._sock.sendmsg([data], [_local_address_message(local_host)], 0, to)
            else:
                self._sock.sendto(data, to)
        except OSError as error:
            self.counters["send_failed"] += 1
            log.debug("cannot send %d bytes to %s: %s", len(data), to, error)
            return False
        return True

    def _send_whole(self, data: bytes, to: Address) -> None:
        """Send one datagram with DF set; too long for the way, it is lost, as its sender wished."""
        self._allow_fragments(False)
        try:
            self._sock.sendto(data, to)
        finally:
            self._allow_fragments(True)

    def _allow_fragments(self, allowed: bool) -> None:
        if not CAN_FORBID_FRAGMENTS:
            return
        if self._is_ipv6:
            self._sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, not allowed)
        else:
            how = _PMTUDISC_DONT if allowed else _PMTUDISC_DO
            self._sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, how)

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _readable(self) -> None:
        asks, recvfrom, here = self._asks_kernel, self._sock.recvfrom, self.address[0]
        for _ in range(_PER_WAKEUP):
            try:
                if asks:
                    data, source, local = self._receive()
                else:
                    data, source = recvfrom(_MAX_DATAGRAM)
                    source, local = source[:2], here
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:  # Windows reports here that an earlier datagram found no one
                self.counters["receive_failed"] += 1
                log.debug("cannot receive at %s: %s", self.address, error)
                break
            self._on_datagram(data, source, local)
            if self._sock.fileno() < 0:  # the callback closed this socket
                return
        if self._on_drained is not None:
            self._on_drained()

    def _receive(self) -> tuple[bytes, Address, str]:
        """Read one datagram with the address of ours that it came to."""
        data, ancillary, _, source = self._sock.recvmsg(_MAX_DATAGRAM, 128)
        for level, kind, content in ancillary:
            if self._is_ipv6 and level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                return data, source[:2], _host(content[:16])
            if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                return data, source[:2], _host(content[8:12])
        return data, source[:2], self.address[0]


class Alarm:
    """One timer of a core on the running loop: set to its `next_timeout()` after everything it was told."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._due: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def set(self, due: float | None) -> None:
        """Ring at `due` (the loop's time) and not before; None: not at all."""
        if due == self._due and self._handle is not None:
            return
        self.cancel()
        self._due = due
        if due is not None:
            self._handle = asyncio.get_running_loop().call_at(due, self._ring)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle = None
        self._call()


def bind(kind: socket.SocketKind, host: str, port: int) -> socket.socket:
    """Make a non-blocking bound socket for a numeric host; OSError when that fails."""
    is_ipv6 = ":" in host
    sock = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, kind)
    try:
        sock.setblocking(False)
        if is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_DGRAM:
            with contextlib.suppress(OSError):  # a smaller buffer than wished for still works
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        elif sys.platform != "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def cannot_listen(what: str, host: str, port: int, error: OSError) -> HomeError:
    """Put a failed bind into a sentence with what to do."""
    where = f"{what} port {port} on {host or 'this machine'}"
    if error.errno == errno.EADDRINUSE:
        return HomeError(f"The {where} is in use by another program: choose another port, or stop that program.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return HomeError(f"This account may not open {where}: choose a port above 1023.")
    if error.errno == errno.EADDRNOTAVAIL:
        return HomeError(f"This machine has no address {host}: listen on an address it has, or on 0.0.0.0.")
    return HomeError(f"The {where} cannot be opened: {error.strerror or error}.")


def own_addresses() -> list[str]:
    """List the addresses of all interfaces, IPv4 first, loopback last, without scopes."""
    found: set[str] = set()
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            found.add(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
    return sorted(found, key=lambda host: (ipaddress.ip_address(host).is_loopback, ":" in host, host))


def _ask_for_local_address(sock: socket.socket) -> bool:
    """Let the kernel tell with each datagram to which address it was sent; False where it cannot."""
    if not hasattr(sock, "recvmsg"):
        return False
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        elif _IP_PKTINFO is not None:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        else:
            return False
    except OSError:
        return False
    return True


@lru_cache(maxsize=256)
def _host(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


@lru_cache(maxsize=256)
def _local_address_message(host: str) -> tuple[int, int, bytes]:
    """Give the ancillary item that makes the kernel send from this address."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _IN6_PKTINFO.pack(address.packed, 0)
    assert _IP_PKTINFO is not None
    return socket.IPPROTO_IP, _IP_PKTINFO, _IN_PKTINFO.pack(0, address.packed, bytes(4))
