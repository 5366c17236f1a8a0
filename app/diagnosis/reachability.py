"""Which kinds of peers this network lets us reach, and how: a table for `parley doctor` and the window.

Kinds of NAT by RFC 5780 section 4 under their older, better known names (RFC 3489 section 5). Two sides that both send
reach each other over UDP unless one gets another port outside for each destination and the other lets in only ports it
has written to: then no check ever matches. Pure; knows no socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.ice.nat_discovery import Behaviour


class NatKind(StrEnum):
    """What stands between a machine and the internet."""

    NONE = "none"
    FULL_CONE = "full-cone"
    RESTRICTED = "restricted"
    PORT_RESTRICTED = "port-restricted"
    SYMMETRIC = "symmetric"
    UDP_SHUT = "udp-shut"
    UNKNOWN = "unknown"


class Way(StrEnum):
    """How a peer can be reached."""

    DIRECT_UDP = "direct-udp"
    DIRECT_TCP = "direct-tcp"
    RELAY = "relay"
    NONE = "none"


PEERS = (
    NatKind.NONE,
    NatKind.FULL_CONE,
    NatKind.RESTRICTED,
    NatKind.PORT_RESTRICTED,
    NatKind.SYMMETRIC,
    NatKind.UDP_SHUT,
)


_WHO = {
    NatKind.NONE: "peers without a NAT",
    NatKind.FULL_CONE: "peers behind a full cone NAT",
    NatKind.RESTRICTED: "peers behind an address-restricted NAT",
    NatKind.PORT_RESTRICTED: "peers behind a port-restricted NAT",
    NatKind.SYMMETRIC: "peers behind a symmetric NAT",
    NatKind.UDP_SHUT: "peers whose network shuts UDP out",
}
_HOW = {
    Way.DIRECT_UDP: "directly",
    Way.DIRECT_TCP: "directly, over TCP",
    Way.RELAY: "only through a relay",
    Way.NONE: "not at all",
}


@dataclass(frozen=True, slots=True)
class Reach:
    """One row of the table: a kind of peer, the best way to it, and why that."""

    peer: NatKind
    way: Way
    reason: str

    @property
    def who(self) -> str:
        return _WHO[self.peer]

    @property
    def how(self) -> str:
        return _HOW[self.way]


def nat_kind(mapping: Behaviour, filtering: Behaviour, *, udp: bool | None) -> NatKind:
    """Name the kind; `udp`: whether it passes, None where that is not known.

    What is not known is taken for the stricter kind. A firewall without translation counts as the NAT that filters as
    it does.
    """
    translated = mapping is not Behaviour.NO_NAT
    if udp is False:
        return NatKind.UDP_SHUT
    if udp is None:
        return NatKind.UNKNOWN
    if translated and mapping in (Behaviour.ADDRESS_DEPENDENT, Behaviour.ADDRESS_AND_PORT_DEPENDENT):
        return NatKind.SYMMETRIC
    if filtering is Behaviour.ENDPOINT_INDEPENDENT:
        return NatKind.FULL_CONE if translated else NatKind.NONE
    if filtering is Behaviour.ADDRESS_DEPENDENT:
        return NatKind.RESTRICTED
    if filtering is Behaviour.UNKNOWN and not translated:
        return NatKind.NONE
    if filtering is Behaviour.UNKNOWN and mapping is Behaviour.UNKNOWN:
        return NatKind.UNKNOWN
    return NatKind.PORT_RESTRICTED


def reachable(own: NatKind, *, relay: bool, tcp: bool = True) -> tuple[Reach, ...]:
    """Give the table. `relay`: a TURN server lends us addresses; `tcp`: candidates for TCP are in use (RFC 6544)."""
    if own is NatKind.UNKNOWN:
        return ()
    return tuple(_reach(own, peer, relay=relay, tcp=tcp) for peer in PEERS)


def _reach(own: NatKind, peer: NatKind, *, relay: bool, tcp: bool) -> Reach:
    obstacle = _obstacle(own, peer)
    if obstacle is None:
        return Reach(peer, Way.DIRECT_UDP, _WHY_DIRECT[peer])
    if tcp and NatKind.UDP_SHUT in (own, peer) and NatKind.NONE in (own, peer):
        who = "this machine" if own is NatKind.NONE else "the peer"
        return Reach(peer, Way.DIRECT_TCP, f"{obstacle}; over TCP {who} can be reached from outside.")
    if relay:
        return Reach(peer, Way.RELAY, f"{obstacle}; the TURN server carries the call.")
    return Reach(peer, Way.NONE, f"{obstacle}; a TURN server on either side would carry the call.")


def _obstacle(own: NatKind, peer: NatKind) -> str | None:
    """Say what stands against a direct path over UDP; None when nothing does."""
    if own is NatKind.UDP_SHUT:
        return "This network lets no UDP out"
    if peer is NatKind.UDP_SHUT:
        return "The peer's network lets no UDP out"
    kinds = {own, peer}
    if kinds == {NatKind.SYMMETRIC}:
        return "Both NATs show another port to each destination, so neither side can say where it is"
    if kinds == {NatKind.SYMMETRIC, NatKind.PORT_RESTRICTED}:
        shows, lets = ("This NAT", "the peer's") if own is NatKind.SYMMETRIC else ("The peer's NAT", "this one")
        return f"{shows} shows another port to each destination, and {lets} lets in only ports it has written to"
    return None


_WHY_DIRECT = {
    NatKind.NONE: "Anybody may send to such a peer.",
    NatKind.FULL_CONE: "Such a NAT lets in whatever comes to the peer's port.",
    NatKind.RESTRICTED: "Such a NAT lets in whoever the peer has written to, and both sides write first.",
    NatKind.PORT_RESTRICTED: "Both sides write to the very port the other one writes from.",
    NatKind.SYMMETRIC: "The peer's port shows when its first check comes in here.",
}
