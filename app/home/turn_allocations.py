"""What a TURN server keeps for one client: allocation, permissions, channels. RFC 8656 sections 3, 9 and 12.

Pure. Expired entries are ignored when looked at and swept when room is needed, so no timer per entry exists.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.home.limits import TokenBucket
from app.ice.stun import Address

PERMISSION_LIFETIME_S = 300.0  # RFC 8656 section 9
CHANNEL_LIFETIME_S = 600.0  # RFC 8656 section 12
FIRST_CHANNEL, LAST_CHANNEL = 0x4000, 0x4FFF


@dataclass(frozen=True, slots=True)
class FiveTuple:
    """Where a client's packets come from and where they arrive; the fifth part is always UDP here."""

    client: Address
    server: Address

    def __str__(self) -> str:
        return f"{self.client[0]}:{self.client[1]} -> {self.server[0]}:{self.server[1]}"


class TooMany(Exception):
    """An allocation holds as many permissions or channels as it may (answer: 508)."""


class Conflict(Exception):
    """This channel has another peer, or this peer another channel (answer: 400), RFC 8656 section 12.2."""


@dataclass(slots=True)
class _Channel:
    peer: Address
    expires_at: float


@dataclass(slots=True)
class Allocation:
    """One relayed address of one client. `relay_id` names the socket to whoever owns the sockets."""

    relay_id: int
    path: FiveTuple
    username: str
    relayed: Address
    expires_at: float
    transaction_id: bytes  # of the Allocate that made it,
    response: bytes  # and what answered it, for its retransmissions
    traffic: TokenBucket
    max_permissions: int
    max_channels: int
    _permissions: dict[str, float] = field(default_factory=dict)
    _channels: dict[int, _Channel] = field(default_factory=dict)
    _numbers: dict[Address, int] = field(default_factory=dict)

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.relayed[0]

    def room_for(self, hosts: set[str], now: float) -> bool:
        """Say whether permissions for all these addresses fit; a request is granted as a whole or not at all."""
        self._sweep_permissions(now)
        return len(self._permissions.keys() | hosts) <= self.max_permissions

    def permit(self, host: str, now: float) -> None:
        """Install or refresh the permission for an address, RFC 8656 section 9.2."""
        if not self.room_for({host}, now):
            raise TooMany
        self._permissions[host] = now + PERMISSION_LIFETIME_S

    def permits(self, host: str, now: float) -> bool:
        expires_at = self._permissions.get(host)
        return expires_at is not None and now < expires_at

    def bind(self, number: int, peer: Address, now: float) -> None:
        """Bind or refresh a channel, and with it the permission, RFC 8656 section 12.2."""
        self._sweep_channels(now)
        bound = self._channels.get(number)
        if (bound is not None and bound.peer != peer) or self._numbers.get(peer, number) != number:
            raise Conflict
        if bound is None and len(self._channels) >= self.max_channels:
            raise TooMany
        self.permit(peer[0], now)
        self._channels[number] = _Channel(peer, now + CHANNEL_LIFETIME_S)
        self._numbers[peer] = number

    def peer_of(self, number: int, now: float) -> Address | None:
        channel = self._channels.get(number)
        return channel.peer if channel is not None and now < channel.expires_at else None

    def channel_to(self, peer: Address, now: float) -> int | None:
        number = self._numbers.get(peer)
        return number if number is not None and self.peer_of(number, now) is not None else None

    def _sweep_permissions(self, now: float) -> None:
        for host in [host for host, expires_at in self._permissions.items() if expires_at <= now]:
            del self._permissions[host]

    def _sweep_channels(self, now: float) -> None:
        for number in [number for number, channel in self._channels.items() if channel.expires_at <= now]:
            del self._numbers[self._channels.pop(number).peer]
