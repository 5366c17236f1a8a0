"""RTCP on a way of its own, toward far ends that do not multiplex it with RTP (RFC 5761): component 2 of a stream.

With ICE it has candidates of its own (RFC 8839 section 5.1), without ICE it goes from our RTP port to where the peer
wants it (RFC 3605), and ours is asked for at that same port, where its packet types tell it from RTP. One of these for
each leg; what it carries is the leg's media session's.

A first offer has component 2 for everybody who is not known to multiplex: phones that do not are old, and with one
component alone some never begin their handshake, while a restart of ICE, by which the second could be brought later,
costs them the path they have. Toward all others the second one is given back as soon as the answer is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from app.calls.offer_answer import AgreedTransport, Agreement
from app.ice.flows import flow_name
from app.ice.generations import IcePath
from app.ice.session import IceSession
from app.media.errors import MediaError
from app.media.plan import DatagramPath
from app.media.session import MediaSession
from app.owned_tasks import OwnedTasks
from app.settings import HostPort

log = logging.getLogger(__name__)

PATIENCE_S = 1.0  # a call waits no longer for the keys of its reports


def rtcp_flow(stream: str) -> str:
    """Name the flow, and the media transport, of a stream's RTCP apart."""
    return flow_name(stream, 2)


class RtcpPath:
    """The way into one such flow, as media sees it."""

    def __init__(self, ice: IcePath, flow: str) -> None:
        self._ice = ice
        self._flow = flow

    def send(self, data: bytes) -> None:
        self._ice.send(self._flow, data)


class RtcpApart:
    """The ways of RTCP beside the paths of one leg."""

    def __init__(self, ice: IcePath, media: MediaSession) -> None:
        self.opened: set[str] = set()
        self._ice = ice
        self._media = media
        self._tasks = OwnedTasks("RTCP apart")
        self._agreeing: list[asyncio.Task[None]] = []

    def open(self, agreement: Agreement) -> None:
        """Open what the agreement wants and the path has; call it before the streams are configured."""
        wanted = {rtcp_flow(one.name): one for one in agreement.transports if one.rtcp_apart}
        for flow, transport in wanted.items():
            there = transport.ice is None or flow in self._ice.flows
            if there and flow not in self.opened:
                path: DatagramPath = RtcpPath(self._ice, flow)
                self._media.open_transport(flow, path)
                self.opened.add(flow)

    def drop_unused(self, agreement: Agreement, generation: IcePath | IceSession | None = None) -> None:
        """Give back the components that were gathered and are not needed: the peer multiplexes after all."""
        generation = generation or self._ice
        for flow in (rtcp_flow(one.name) for one in agreement.transports if not one.rtcp_apart):
            if flow in generation.flows:
                generation.remove_flow(flow)

    def use_plain(self, transport: AgreedTransport, ice: IcePath | IceSession | None = None) -> None:
        """Send where a peer without ICE wants it."""
        place = transport.rtcp_address
        if place is not None and rtcp_flow(transport.name) in self.opened:
            (ice or self._ice).use_plain(rtcp_flow(transport.name), place.host, place.port)

    def secure(self, transports: Iterable[AgreedTransport]) -> None:
        """Agree the keys of what is open, beside the call: it goes on without reports where that fails."""
        for transport in transports:
            flow = rtcp_flow(transport.name)
            if flow in self.opened:
                self._agreeing.append(self._tasks.start(self._secure(transport), f"keys of {flow}"))

    async def settled(self) -> None:
        """Wait a moment for these keys: some phones begin their media once more when the last of them are agreed."""
        if self._agreeing:
            await asyncio.wait(self._agreeing, timeout=PATIENCE_S)
            self._agreeing.clear()

    async def _secure(self, transport: AgreedTransport) -> None:
        try:
            await self._media.secure(rtcp_flow(transport.name), transport.security)
        except MediaError as error:
            log.info("no RTCP beside stream %s: %s", transport.name, error)

    def place(self, generation: IcePath | IceSession, stream: str) -> HostPort | None:
        """Say where our RTCP is received apart from RTP; None when the path has no such component."""
        if rtcp_flow(stream) not in generation.flows:
            return None
        default = generation.default_candidate(rtcp_flow(stream))
        return None if default is None else HostPort(default.address, default.port)

    async def close(self) -> None:
        await self._tasks.close()
