"""A channel's link whose datagrams are written into the capture file of `--pcap`, sealed as they go over it."""

from __future__ import annotations

import ipaddress

from app.channels.links import Link, LinkState, OnDatagram, OnState
from app.channels.mission import Group
from app.diagnosis.pcap import Place
from app.engine.capture import PacketCapture
from app.settings import HostPort


class CapturedLink:
    """Fulfils `app.channels.links.Link` around another one.

    A datagram is written as one to the channel's multicast address, also where a rallypoint carries it: what is in a
    capture is what a channel says, and TLS is the rallypoint's. Whose address is not known has the unspecified one.
    """

    def __init__(self, link: Link, group: Group, capture: PacketCapture) -> None:
        self.on_datagram: OnDatagram = lambda datagram, source, now: None
        self.on_state: OnState = lambda state: None
        self._link = link
        self._capture = capture
        self._tx = group.tx.address, group.tx.port
        self._rx = group.rx.address, group.rx.port

    @property
    def state(self) -> LinkState:
        return self._link.state

    async def start(self) -> None:
        self._link.on_datagram = self._came
        self._link.on_state = lambda state: self.on_state(state)
        await self._link.start()

    async def close(self) -> None:
        await self._link.close()

    def network_changed(self) -> None:
        self._link.network_changed()

    def send(self, datagram: bytes, now: float) -> None:
        self._capture.datagram(True, _unspecified(self._tx), self._tx, datagram)
        self._link.send(datagram, now)

    def _came(self, datagram: bytes, source: str, now: float) -> None:
        self._capture.datagram(False, self._rx, _place(source) or _unspecified(self._rx), datagram)
        self.on_datagram(datagram, source, now)


def _place(source: str) -> Place | None:
    """The numeric address that a source begins with; None where it is a name."""
    try:
        found = HostPort.parse(source)
        return str(ipaddress.ip_address(found.host.partition("%")[0])), found.port
    except ValueError:
        return None


def _unspecified(like: Place) -> Place:
    return "::" if ":" in like[0] else "0.0.0.0", like[1]
