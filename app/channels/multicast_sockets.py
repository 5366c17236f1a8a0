"""The sockets of a multicast channel: one that hears a group on several interfaces, and one per interface to send.

RFC 1112 and 3376 (IGMP), RFC 3810 (MLD), RFC 3493 section 5.2 (the options for IPv6). Nothing here decides when; an
OSError goes to the caller, and `reason` puts it into words.
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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from app.channels.links import MOST_BYTES

log = logging.getLogger(__name__)

BUFFER_BYTES = 1 << 18
READS_PER_WAKE = 32  # so that one busy channel does not keep the loop from the others
AT_ONCE_S = 0.001  # what is woken for again so soon has more than one datagram waiting
# More than 16 talkers send in packets of 10 ms. What a stranger sends beyond it is left to the system, which drops it.
MOST_A_TURN, TURN_S = 400, 0.1
# linux/in.h, linux/in6.h: without them a socket hears every group that any program of this machine has joined
_ALL_V4, _ALL_V6 = (socket.IPPROTO_IP, 49), (socket.IPPROTO_IPV6, 29)
_TCLASS_V6 = getattr(socket, "IPV6_TCLASS", 67)
# Differentiated services by the mission's priority, RFC 4594: best effort, signalling CS3, video AF41, voice EF.
DSCP = {0: 0, 1: 24, 2: 34, 3: 46}


class LocalAddress(Protocol):
    """An address of an interface of this machine, as whoever lists them has it."""

    @property
    def interface(self) -> str: ...

    @property
    def address(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Nic:
    """An interface by which a group is heard and sent to."""

    interface: str
    address: str

    @property
    def index(self) -> int:
        """The system's number of the interface; 0, any, where it is not known by this name."""
        try:
            return socket.if_nametoindex(self.interface)
        except OSError:
            return 0

    def __str__(self) -> str:
        return self.interface


@dataclass(frozen=True, slots=True)
class Sending:
    """How datagrams leave: hops they may make, the mission's priority, and whether this machine hears them too."""

    ttl: int = 1
    priority: int = 3
    loop: bool = False


class GroupSocket:
    """Hears one group on one port, on each interface that it has joined. The port is shared with other programs."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        group: str,
        port: int,
        on_datagram: Callable[[bytes, str], None],
        hears_itself: bool = False,
    ) -> None:
        self._loop = loop
        self._group = ipaddress.ip_address(group)
        self._on_datagram = on_datagram
        self._turn_ends = 0.0
        self._left = 0  # in this turn
        self._woken_at = float("-inf")
        self._reads = 1  # at this wake-up: one talker's packets come one by one, and finding nothing more costs as well
        self._resting: asyncio.TimerHandle | None = None
        is_v6 = self._group.version == 6
        self._socket = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "SO_REUSEPORT"):
                with contextlib.suppress(OSError):  # known to the headers, not to every kernel
                    self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            if is_v6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if sys.platform == "linux":
                with contextlib.suppress(OSError):  # IPv6: since Linux 4.20
                    self._socket.setsockopt(*(_ALL_V6 if is_v6 else _ALL_V4), 0)
            if sys.platform == "win32":  # there it is the hearing side that decides
                _set_loop(self._socket, is_v6, hears_itself)
            self._socket.bind((self._bind_to(), port))
            loop.add_reader(self._socket, self._readable)
        except OSError:
            self._socket.close()
            raise

    def _bind_to(self) -> str:
        """Give the group where the system takes it, so that nothing else on this port is heard."""
        needs_zone = isinstance(self._group, ipaddress.IPv6Address) and self._group.packed[1] & 0x0F <= 2
        if sys.platform == "win32" or needs_zone:
            return "::" if self._group.version == 6 else ""
        return str(self._group)

    def join(self, nic: Nic) -> None:
        """Become a member by this interface (OSError)."""
        self._socket.setsockopt(*self._membership(nic, joins=True))

    def leave(self, nic: Nic) -> None:
        """Be no member by this interface any more; nothing happens when it is none or the interface has gone."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(*self._membership(nic, joins=False))

    def _membership(self, nic: Nic, joins: bool) -> tuple[int, int, bytes]:
        if self._group.version == 6:
            option = socket.IPV6_JOIN_GROUP if joins else socket.IPV6_LEAVE_GROUP
            return socket.IPPROTO_IPV6, option, self._group.packed + struct.pack("@I", nic.index)
        option = socket.IP_ADD_MEMBERSHIP if joins else socket.IP_DROP_MEMBERSHIP
        return socket.IPPROTO_IP, option, self._group.packed + _v4_interface(nic)

    def _readable(self) -> None:
        now = self._loop.time()
        if now >= self._turn_ends:
            self._turn_ends, self._left = now + TURN_S, MOST_A_TURN
        self._reads = min(READS_PER_WAKE, 2 * self._reads) if now - self._woken_at < AT_ONCE_S else 1
        self._woken_at = now
        for _ in range(self._reads):
            if self._socket.fileno() < 0:
                return  # closed by the callback
            if not self._left:
                self._loop.remove_reader(self._socket)
                self._resting = self._loop.call_at(self._turn_ends, self._go_on)
                return
            self._left -= 1
            try:
                data, source = self._socket.recvfrom(MOST_BYTES + 1)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # on Windows also for a datagram that is longer
                log.debug("hearing %s: %s", self._group, error)
                return
            if 0 < len(data) <= MOST_BYTES:
                host = f"[{source[0]}]" if ":" in source[0] else source[0]
                self._on_datagram(data, f"{host}:{source[1]}")

    def _go_on(self) -> None:
        self._loop.add_reader(self._socket, self._readable)

    def close(self) -> None:
        """Leave everywhere, as closing does, and hear nothing more."""
        if self._resting is not None:
            self._resting.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()


class SendSocket:
    """Sends to groups by one interface."""

    def __init__(self, nic: Nic, is_v6: bool, how: Sending) -> None:
        self._index = nic.index if is_v6 else 0
        self._socket = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            tos = DSCP.get(how.priority, 0) << 2
            if is_v6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self._index)
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, how.ttl)
                marking = (socket.IPPROTO_IPV6, _TCLASS_V6, tos)
            else:
                choice = b"\0\0\0\0" + _v4_interface(nic) if sys.platform == "linux" else _v4_interface(nic)
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, choice)
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, how.ttl)
                marking = (socket.IPPROTO_IP, socket.IP_TOS, tos)
            with contextlib.suppress(OSError):  # sound without a mark is still sound
                self._socket.setsockopt(*marking)
            _set_loop(self._socket, is_v6, how.loop)
        except OSError:
            self._socket.close()
            raise

    def send(self, datagram: bytes, group: str, port: int) -> None:
        """Send now, or lose it when the buffer is full; OSError for anything else."""
        place: tuple[Any, ...] = (group, port, 0, self._index) if ":" in group else (group, port)
        with contextlib.suppress(BlockingIOError):
            self._socket.sendto(datagram, place)

    def close(self) -> None:
        self._socket.close()


def _v4_interface(nic: Nic) -> bytes:
    """Give the end of an ip_mreqn (Linux, which then does not guess) or of an ip_mreq."""
    address = socket.inet_aton(nic.address)
    return address + struct.pack("@i", nic.index) if sys.platform == "linux" else address


def _set_loop(of: socket.socket, is_v6: bool, on: bool) -> None:
    if is_v6:
        of.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, int(on))
    else:
        of.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, int(on))


def reason(error: OSError, through: str) -> str:
    """Give a clause for a person on why a group cannot be used through an interface."""
    if error.errno in (errno.ENODEV, errno.ENXIO, errno.EADDRNOTAVAIL):
        return f"this machine has no network interface {through} that is up"
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN):
        return f"there is no route for multicast through {through}"
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"this system does not allow multicast through {through}: look at its firewall"
    if error.errno in (errno.ENOBUFS, errno.ENOMEM):
        return f"this system allows no more groups on {through}"
    if error.errno == errno.EMSGSIZE:
        return f"a packet is too large for {through}"
    return f"multicast through {through} fails ({(error.strerror or str(error)).lower()[:60]})"
