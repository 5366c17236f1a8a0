"""What a TURN server keeps for one client: relays, permissions, channels. RFC 8656 sections 3, 9 and 12.

Pure. Expired entries are ignored when looked at and swept when room is needed, so no timer per entry exists.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from app.home.limits import TokenBucket
from app.ice.stun import Address

PERMISSION_LIFETIME_S = 300.0  # RFC 8656 section 9
CHANNEL_LIFETIME_S = 600.0  # RFC 8656 section 12
FIRST_CHANNEL, LAST_CHANNEL = 0x4000, 0x7FFE
"""RFC 8656 section 12 leaves 0x4000 to 0x4FFF to clients that mix TURN with DTLS or RTP on one socket; those written
by RFC 5766 take any up to 0x7FFE, and nothing else that begins so ever arrives at a server."""


Path = tuple[Address, Address, str]
"""A five-tuple as the hot path makes it for each packet: equal to the FiveTuple of the same values, and cheaper."""


class FiveTuple(NamedTuple):
    """Where a client's packets come from and where they arrive; `transport` is "udp", "tcp" or "tls"."""

    client: Address
    server: Address
    transport: str = "udp"

    @property
    def is_stream(self) -> bool:
        return self.transport != "udp"

    def __str__(self) -> str:
        return f"{self.transport} {self.client[0]}:{self.client[1]} -> {self.server[0]}:{self.server[1]}"


class TooMany(Exception):
    """An allocation holds as many permissions or channels as it may (answer: 508)."""


class Conflict(Exception):
    """This channel has another peer, or this peer another channel (answer: 400), RFC 8656 section 12.2."""


@dataclass(slots=True, eq=False)
class Relay:
    """One relayed address of an allocation. `relay_id` names the socket to whoever owns the sockets."""

    relay_id: int
    address: Address
    expires_at: float

    @property
    def family(self) -> int:
        return family_of(self.address[0])


@dataclass(slots=True, eq=False)
class Channel:
    """A channel with its peer; what it carries leaves at `relay`, as long as that and the permission live."""

    peer: Address
    relay: Relay
    expires_at: float


@dataclass(slots=True, eq=False)
class Allocation:
    """What one client has: a relay of one address family or one of each, and who may be reached through them."""

    path: FiveTuple
    username: str
    relays: dict[int, Relay]  # by family: 4, 6
    transaction_id: bytes  # of the Allocate that made it,
    response: bytes  # and what answered it, for its retransmissions
    traffic: TokenBucket
    max_permissions: int
    max_channels: int
    permissions: dict[str, float] = field(default_factory=dict)  # until when, by address
    channels: dict[int, Channel] = field(default_factory=dict)
    numbers: dict[Address, int] = field(default_factory=dict)  # the channel of a peer

    def room_for(self, hosts: Iterable[str], now: float) -> bool:
        """Say whether permissions for all these addresses fit; a request is granted as a whole or not at all."""
        self._sweep_permissions(now)
        return len(self.permissions.keys() | set(hosts)) <= self.max_permissions

    def permit(self, host: str, now: float) -> None:
        """Install or refresh the permission for an address, RFC 8656 section 9.2."""
        if not self.room_for((host,), now):
            raise TooMany
        self.permissions[host] = now + PERMISSION_LIFETIME_S

    def permits(self, host: str, now: float) -> bool:
        return now < self.permissions.get(host, 0.0)

    def bind(self, number: int, peer: Address, relay: Relay, now: float) -> None:
        """Bind or refresh a channel, and with it the permission, RFC 8656 section 12.2."""
        self._sweep_channels(now)
        bound = self.channels.get(number)
        if (bound is not None and bound.peer != peer) or self.numbers.get(peer, number) != number:
            raise Conflict
        if bound is None and len(self.channels) >= self.max_channels:
            raise TooMany
        self.permit(peer[0], now)
        self.channels[number] = Channel(peer, relay, now + CHANNEL_LIFETIME_S)
        self.numbers[peer] = number

    def channel_to(self, peer: Address, now: float) -> int | None:
        number = self.numbers.get(peer)
        return number if number is not None and now < self.channels[number].expires_at else None

    def _sweep_permissions(self, now: float) -> None:
        for host in [host for host, expires_at in self.permissions.items() if expires_at <= now]:
            del self.permissions[host]

    def _sweep_channels(self, now: float) -> None:
        for number in [number for number, channel in self.channels.items() if channel.expires_at <= now]:
            del self.numbers[self.channels.pop(number).peer]


def family_of(host: str) -> int:
    """Give 4 or 6 for a numeric address."""
    return 6 if ":" in host else 4
