"""UDP sockets of an ICE session, read straight from the event loop: no protocol objects on the media path."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable

from app.ice.stun import Address

log = logging.getLogger(__name__)

BUFFER_BYTES = 1 << 20  # a key frame arrives in one burst
MAX_DATAGRAM = 65535
READS_PER_WAKE = 32  # so that one busy socket does not keep the loop from the others


class UdpSocket:
    """A bound socket that hands each datagram to a callback (data, source)."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str,
        on_datagram: Callable[[bytes, Address], None],
        counters: Counter[str],
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
            self._socket.bind((host, 0))
            self.address: Address = self._socket.getsockname()[:2]
            loop.add_reader(self._socket, self._readable)
        except OSError:
            self._socket.close()
            raise
        self._loop = loop
        self._on_datagram = on_datagram
        self._counters = counters

    def _readable(self) -> None:
        for _ in range(READS_PER_WAKE):
            if self._socket.fileno() < 0:
                return  # closed by the callback
            try:
                data, source = self._socket.recvfrom(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # an ICMP answer to something sent earlier (Windows)
                self._counters["receive errors"] += 1
                log.debug("receiving on %s: %s", self.address, error)
                return
            self._on_datagram(data, source[:2])

    def send(self, data: bytes, destination: Address) -> bool:
        """Send now or not at all: a full buffer or an unreachable network loses the datagram, as UDP may."""
        try:
            self._socket.sendto(data, destination)
        except OSError as error:
            self._counters["send errors"] += 1
            log.debug("sending to %s: %s", destination, error)
            return False
        return True

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()
