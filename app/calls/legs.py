"""One way a call may go: the ICE session and the media toward one far end.

A call has one leg, or, when a proxy forked its INVITE, one for each far end that answered (one a To-tag, RFC 8839
section 7.3) until one of them wins. A leg knows nothing of SIP: it is given agreements and tells when its path is
ready.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from app.calls.extensions import ids_of
from app.calls.offer_answer import Agreement, LocalStream
from app.calls.rtcp_apart import RtcpApart, rtcp_flow
from app.calls.sdp import SessionDescription
from app.calls.trickle import OPTION, Trickle
from app.events import CandidateType, IceSnapshot, IceState
from app.frames import FrameMailbox
from app.ice.candidates import Candidate, IceDescription
from app.ice.config import IceConfig
from app.ice.events import IceEvent
from app.ice.flows import flows_of
from app.ice.generations import IcePath
from app.ice.hiding import as_default
from app.ice.session import IceSession
from app.media.certificate import Certificate
from app.media.events import MediaEvent
from app.media.sdes import SdesKey
from app.media.session import MediaSession
from app.settings import HostPort, IcePolicy, MediaSettings

NO_PLACE = HostPort("0.0.0.0", 9)  # no candidate yet: RFC 8840 section 4.1.1


@dataclass(frozen=True, slots=True)
class StreamWish:
    """What this side wants of one m-line. `name` is its mid, its ICE stream and its transport."""

    name: str
    kind: str
    send: bool = True
    receive: bool = True


class _Path:
    """The way into one ICE stream, as media sees it."""

    def __init__(self, ice: IcePath, stream: str) -> None:
        self._ice = ice
        self._stream = stream

    def send(self, data: bytes) -> None:
        self._ice.send(self._stream, data)


class Leg:
    """ICE and media toward one far end, in step with one agreement."""

    def __init__(
        self,
        wishes: tuple[StreamWish, ...],
        *,
        ice_config: IceConfig,
        controlling: bool,
        media_settings: MediaSettings,
        certificate: Certificate,
        echo: bool,
        on_ice: Callable[[Leg, IceEvent], None],
        on_media: Callable[[Leg, MediaEvent], None],
        remote_picture: FrameMailbox,
        own_picture: FrameMailbox,
        trickles: bool = False,
        on_candidates: Callable[[Leg, bytes], None] = lambda leg, body: None,
        rtcp_apart: tuple[str, ...] = (),
        fork_of: Leg | None = None,
    ) -> None:
        """`rtcp_apart` names the streams whose RTCP the peer wants on a path of its own."""
        self.wishes = wishes
        self.agreement: Agreement | None = None
        self.remote: SessionDescription | None = None  # what this far end said last
        self.ready = False
        self.begun = False
        self.uses_ice = ice_config.policy is not IcePolicy.OFF
        self._keys = {wish.name: SdesKey.generate() for wish in wishes}
        self._opened: set[str] = set()
        names = [wish.name for wish in wishes] + [rtcp_flow(name) for name in rtcp_apart]
        self.ice: IcePath
        self._described: IceSession | None = None  # the generation that both descriptions speak of; None: the first
        self.trickle: Trickle
        if fork_of is not None:
            self._keys = fork_of._keys
            self.trickle = fork_of.trickle.fork(lambda body: on_candidates(self, body))
            self.ice = fork_of.ice.fork(on_event=lambda event: on_ice(self, event))
        else:
            self.trickle = Trickle(lambda body: on_candidates(self, body), speaks=trickles and self.uses_ice)
            self.ice = IcePath(ice_config, controlling, names, on_event=lambda event: on_ice(self, event))
            self.ice.expect_forks(controlling)  # a proxy may yet try another phone, seconds after the first was reached
        self.ice.on_datagram = self._receive
        self.ice.on_stranger = self._receive_from_elsewhere
        self.media = MediaSession(
            media_settings,
            certificate,
            on_event=lambda event: on_media(self, event),
            remote_picture=remote_picture,
            own_picture=own_picture,
            echo=echo,
        )
        self.rtcp = RtcpApart(self.ice, self.media)

    def local_streams(self, wishes: tuple[StreamWish, ...] | None = None) -> tuple[LocalStream, ...]:
        """What the first description says: every candidate so far, and the most reachable one as m/c (B2)."""
        streams = tuple(self._local_stream(wish) for wish in wishes or self.wishes)
        if self.trickle.speaks:
            self.trickle.describe(self.ice, streams)
        return streams

    def _local_stream(self, wish: StreamWish) -> LocalStream:
        default = self.ice.default_candidate(wish.name)
        place = NO_PLACE if default is None else HostPort(default.address, default.port)
        description = self.ice.local(wish.name) if self.uses_ice else None
        if description is not None and self.trickle.speaks:
            description = replace(description, options=(OPTION, *description.options))
        key = self._keys[wish.name]
        return LocalStream(
            wish.name,
            wish.kind,
            place,
            description,
            wish.send,
            wish.receive,
            sdes_key=key,
            rtcp=self.rtcp.place(self.ice, wish.name),
        )

    def settled_stream(self, wish: StreamWish, coming: IceSession | None = None) -> LocalStream | None:
        """What a later description says: the nominated address alone, and, of the controlling side, the far end of its
        pair (B8, R9; RFC 8839 section 4.4.1.2).

        While checks run, and in a restart that is asked for or answered with the `coming` generation, every candidate
        and the most reachable one as m/c, as in the first description. None for a stream that is not part of the
        agreement.
        """
        agreement = self.agreement
        plan = next((plan for plan in agreement.streams if plan.name == wish.name), None) if agreement else None
        if plan is None:
            return None
        generation = coming or self._described or self.ice.current
        pair = generation.selected(plan.transport)
        local, remote = pair if pair else (generation.default_candidate(plan.transport), None)
        if local is None:
            return None
        description: IceDescription | None = None
        far: tuple[HostPort, ...] = ()
        if plan.transport == wish.name and self.speaks_ice(plan.transport):
            description = generation.local(plan.transport)
            if coming is not None and self.trickle.is_agreed:
                description = replace(description, options=(OPTION, *description.options))
            if remote is not None:
                pairs = self._pairs_of(generation, plan.transport)
                description = replace(description, candidates=tuple(ours for ours, _ in pairs))
                named = generation.controlling and not self._is_hidden(plan.transport)
                far = tuple(HostPort(theirs.address, theirs.port) for _, theirs in pairs) if named else ()
        place = as_default(local)
        return LocalStream(
            wish.name,
            wish.kind,
            HostPort(place.address, place.port),
            description,
            wish.send,
            wish.receive,
            remote_candidates=far,
            mid=plan.mid,
            codecs=plan.codecs,
            rtx=plan.rtx,
            sdes_key=self._keys[wish.name],
            rtcp=self.rtcp.place(generation, plan.transport),
            rtcp_mux=plan.rtcp_mux,
            extensions=ids_of(plan),
        )

    def _pairs_of(self, generation: IceSession, stream: str) -> list[tuple[Candidate, Candidate]]:
        """The pairs that were decided on, by component."""
        found = (generation.selected(flow) for flow in flows_of(stream, generation.flows))
        return sorted((pair for pair in found if pair is not None), key=lambda pair: pair[0].component)

    def _is_hidden(self, transport: str) -> bool:
        """Whether the peer signals names in place of addresses: then who carries the signalling learns none from us."""
        entries = self.agreement.transports if self.agreement is not None else ()
        return any(
            not candidate.is_numeric
            for entry in entries
            if entry.name == transport and entry.ice is not None
            for candidate in entry.ice.candidates
        )

    @property
    def transports(self) -> tuple[str, ...]:
        """The names of the paths that media takes."""
        return tuple(transport.name for transport in self.agreement.transports) if self.agreement else ()

    def can_describe(self, generation: IceSession) -> bool:
        """Whether a generation has an address for each path."""
        return all(generation.default_candidate(name) is not None for name in self.transports)

    @property
    def is_relayed(self) -> bool:
        """Whether a path goes through a relay, ours or the peer's."""
        relay = CandidateType.RELAY
        return any(relay in (local.type, remote.type) for local, remote in self.selected_pairs().values())

    def is_renewed_by(self, agreement: Agreement) -> bool:
        """Whether the peer has taken part in a restart: new credentials for each path, or none on a path without ICE.

        RFC 8839 section 4.4.2: whoever answers a restart changes user name fragment and password.
        """
        assert self.agreement is not None
        before = {transport.name: transport.ice for transport in self.agreement.transports}
        now = {transport.name: transport.ice for transport in agreement.transports}
        return all(
            (known is None) == (now.get(name) is None) and not (known and known.same_credentials(now.get(name)))
            for name, known in before.items()
        )

    def speaks_ice(self, transport: str) -> bool:
        agreement = self.agreement
        return agreement is not None and any(
            entry.ice is not None for entry in agreement.transports if entry.name == transport
        )

    def selected_pairs(self) -> dict[str, tuple[Candidate, Candidate]]:
        """The nominated pair of each transport that runs over ICE."""
        found = {}
        for transport in self.agreement.transports if self.agreement else ():
            pair = self.ice.selected(transport.name)
            if transport.ice is not None and pair is not None:
                found[transport.name] = pair
        return found

    def agree(self, agreement: Agreement) -> None:
        """Take what offer and answer settled; the streams of media follow at once, the gate stays as it is."""
        first = self.agreement is None
        self.agreement = agreement
        if first:
            for name in agreement.unused:
                self.ice.remove_stream(name)
            self.rtcp.drop_unused(agreement)
            self.trickle.agree(agreement)
            for transport in agreement.transports:
                self.media.open_transport(transport.name, _Path(self.ice, transport.name))
                self._opened.add(transport.name)
        self.rtcp.open(agreement)
        self.media.configure(agreement.streams)

    def agree_again(self, agreement: Agreement, coming: IceSession | None = None) -> None:
        """Take a later agreement: streams change, paths stay; a peer without ICE may move its media, one without DTLS
        may change its key.

        With a `coming` generation it is the agreement of a restart: that one's checks begin, or, without ICE, it is
        ready to be adopted. Raises IceError for a place that is none, MediaError for a key that cannot be used.
        """
        assert self.agreement is not None
        places = {transport.name: transport.address for transport in agreement.transports}
        paths = {transport.name: transport.ice for transport in agreement.transports}
        keys = {transport.name: transport.security for transport in agreement.transports}
        rtcp = {transport.name: transport.rtcp_address for transport in agreement.transports}
        apart = {transport.name for transport in agreement.transports if transport.rtcp_apart}
        transports = []
        for transport in self.agreement.transports:
            place, key = places.get(transport.name), keys.get(transport.name)
            if key is not None and key.kind == transport.security.kind == "sdes":
                self.media.rekey(transport.name, key)
                transport = replace(transport, security=key)
            if transport.ice is None:
                place = place or transport.address
                if place is not None and (place != transport.address or coming is not None):
                    (coming or self.ice).use_plain(transport.name, place.host, place.port)
                    transport = replace(transport, address=place, rtcp_address=rtcp.get(transport.name))
                    self.rtcp.use_plain(transport, coming)
            elif coming is not None and (description := paths.get(transport.name)) is not None:
                coming.set_remote(transport.name, description)
                transport = replace(transport, ice=description, rtcp_apart=transport.name in apart)
            transports.append(transport)
        if coming is not None:
            self.rtcp.drop_unused(agreement, coming)
            self._described = coming
            self.trickle.listen(coming, replace(agreement, transports=tuple(transports)))
            self.trickle.open()
            coming.start_checks()
        self.agree(replace(agreement, transports=tuple(transports)))

    async def connect(self) -> None:
        """Find the path and agree the keys (R5). Raises IceFailed or MediaError; returns when media can flow."""
        assert self.agreement is not None
        self.begun = True
        for transport in self.agreement.transports:
            if transport.ice is not None:
                self.ice.set_remote(transport.name, transport.ice)
            elif transport.address is not None:
                self.ice.use_plain(transport.name, transport.address.host, transport.address.port)
                self.rtcp.use_plain(transport)
        if self.agreement.uses_ice:
            self.trickle.listen(self.ice, self.agreement)
            self.ice.start_checks()
            await self.ice.wait_connected()
        self.rtcp.secure(self.agreement.transports)
        for transport in self.agreement.transports:
            await self.media.secure(transport.name, transport.security)
        await self.rtcp.settled()
        self.ready = True

    def silent_for(self) -> float | None:
        """Seconds since the last authentic media packet; None before the first."""
        last = self.media.last_received_at
        return None if last is None else time.monotonic() - last

    def snapshot(self) -> IceSnapshot:
        snapshot = self.ice.snapshot()
        if self.agreement is not None and not self.agreement.uses_ice:
            return replace(snapshot, state=IceState.DISABLED)
        return snapshot

    def _receive(self, stream: str, data: bytes) -> None:
        if stream in self._opened or stream in self.rtcp.opened:
            self.media.receive(stream, data, self.ice.arrived_at)

    def _receive_from_elsewhere(self, stream: str, data: bytes, named: bool) -> bool:
        known = stream in self._opened or stream in self.rtcp.opened
        return known and self.media.receive_from_elsewhere(stream, data, named=named)

    async def close(self) -> None:
        """Free the devices, the keys and the sockets, in this order, so that the goodbyes still leave."""
        self.trickle.close()
        await self.rtcp.close()
        try:
            await self.media.close()
        finally:
            await self.ice.close()
