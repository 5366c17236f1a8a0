"""What the TURN core asks of the owner of its sockets, and the bounds it works within."""

from __future__ import annotations

from dataclasses import dataclass

from app.home.turn_allocations import FiveTuple
from app.ice.stun import Address


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """The bounds of one TURN server."""

    allocations_per_user: int = 40  # relayed and reserved ports: an allocation of both families has two
    allocations: int = 400
    permissions: int = 64  # per allocation
    channels: int = 64  # per allocation
    bytes_per_s: float = 4_000_000.0  # per allocation, both directions together
    unsigned_per_s: float = 50.0  # answers over UDP to requests nobody signed, per source address
    unsigned_total_per_s: float = 500.0
    # Over a connection the source is proven and nothing can be reflected: this bounds only guesses and the work.
    unsigned_stream_per_s: float = 200.0
    unsigned_stream_total_per_s: float = 1000.0
    connections: int = 500
    connections_per_source: int = 100


@dataclass(frozen=True, slots=True)
class SendToClient:
    path: FiveTuple
    data: bytes


@dataclass(frozen=True, slots=True)
class SendToPeer:
    relay_id: int
    peer: Address
    data: bytes
    dont_fragment: bool = False  # RFC 8656 section 15: the DF bit of this one IPv4 datagram


@dataclass(frozen=True, slots=True)
class OpenRelay:
    """Bind a socket for this client; answer with `relay_opened` or `relay_failed`, for `reserve_id` first.

    `even_port`: at an even port. `reserve_id`: bind the next higher port too, under this id, RFC 8656 section 7.2.
    """

    relay_id: int
    path: FiveTuple
    ipv6: bool
    even_port: bool
    reserve_id: int | None = None


@dataclass(frozen=True, slots=True)
class CloseRelay:
    relay_id: int


Output = SendToClient | SendToPeer | OpenRelay | CloseRelay
