"""Which far end a datagram is from, and from which socket one leaves: the middle between bases and legs. Pure."""

from __future__ import annotations

import logging
from collections import Counter

from app.ice.gatherer import Gatherer
from app.ice.leg import IceLeg
from app.ice.plain import may_belong
from app.ice.stun import Address, Attribute, Message, MessageClass, StunError
from app.noise import Noise

log = logging.getLogger(__name__)

Packet = tuple[int, bytes, Address]
"""Number of the socket's base, the bytes, and where they go."""


class Routing:
    """The ways of one core's legs over one gatherer's bases."""

    def __init__(self, legs: list[IceLeg], gatherer: Gatherer, counters: Counter[str]) -> None:
        self.legs = legs
        self.gatherer = gatherer
        self.counters = counters
        self.flow_began = False  # since the owner last looked: the watch wants to be woken sooner than it said
        self._noise = Noise(log, "datagrams of nobody in a call")

    def data(self, base: int, data: bytes, source: Address, now: float) -> tuple[IceLeg, str, bytes] | None:
        """Take what is no STUN; gives (leg, flow, data) when it is somebody's data."""
        key = (base, source)
        for leg in self.legs:
            pair = leg.agent.routes.get(key)
            if pair is not None:
                self.flow_began = pair.take_data(len(data), now) or self.flow_began
                return leg, self.gatherer.bases[base].stream, data
            for stream, path in leg.plain.items():
                if path.is_from_peer(base, source):
                    path.received_bytes += len(data)
                    return leg, stream, data
        if any(self._follow(leg, base, data, source) for leg in self.legs):
            return None
        self.counters["data from strangers"] += 1
        self._noise.add(source, f"{len(data)} bytes")
        return None

    def _follow(self, leg: IceLeg, base: int, data: bytes, source: Address) -> bool:
        """Let whoever has the keys of a plain flow say whether this is its peer, who sends from elsewhere."""
        for flow, path in leg.plain.items():
            if not may_belong(flow, data, leg.plain):
                continue
            named = source == path.named
            if path.follow(base, source, lambda flow=flow, named=named: leg.take_if_authentic(flow, data, named)):  # type: ignore[misc]
                path.received_bytes += len(data)
                return True
        return False

    def stun(self, base: int, data: bytes, source: Address, now: float) -> None:
        """Hand a STUN message to the leg that it concerns."""
        try:
            message = Message.parse(data)
            leg = self._leg_of(base, message)
        except StunError as error:
            self.counters["malformed"] += 1
            self._noise.add(source, error)
            return
        if leg is not None:
            leg.agent.receive(base, message, source, now)

    def _leg_of(self, base: int, message: Message) -> IceLeg | None:
        """Find whom a message concerns: by transaction, by the peer's fragment, else a leg without a peer yet."""
        if len(self.legs) < 2:
            return self.legs[0] if self.legs else None
        if message.message_class is not MessageClass.REQUEST:
            awaiting = (leg for leg in self.legs if leg.agent.awaits(message.transaction_id))
            return next(awaiting, self.legs[0])
        theirs = (message.text(Attribute.USERNAME) or "").partition(":")[2]
        stream = self.gatherer.bases[base].stream if base in self.gatherer.bases else ""
        lists = [(leg, leg.agent.lists.get(stream)) for leg in self.legs]
        known = (leg for leg, one in lists if one is not None and one.remote is not None and one.remote.ufrag == theirs)
        fresh = (leg for leg, one in lists if one is not None and one.remote is None)
        return next(known, next(fresh, self.legs[0]))

    def send(self, leg: IceLeg, stream: str, data: bytes) -> Packet | None:
        """Frame a stream's datagram for the socket it leaves from; None when there is no way."""
        pair = leg.agent.path(stream)
        if pair is not None:
            packet = self.outgoing(pair.local.base, data, pair.remote.transport_address)
            pair.sent_bytes += len(data) if packet is not None else 0
            return packet
        path = leg.plain.get(stream)
        if path is None:
            return None
        packet = self.outgoing(path.base, data, path.remote)
        path.sent_bytes += len(data) if packet is not None else 0
        return packet

    def outgoing(self, number: int, data: bytes, remote: Address) -> Packet | None:
        """Frame a datagram for the socket of a base; None when the base is gone or its relay lets nobody in there."""
        base = self.gatherer.bases.get(number)
        if base is None:
            return None
        if base.relay is None:
            return number, data, remote
        framed = base.relay.client.wrap(remote, data)
        return None if framed is None else (base.relay.carrier.number, framed, base.relay.server)
