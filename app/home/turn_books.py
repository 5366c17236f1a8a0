"""Which allocations and reservations a TURN server holds, by everything they are looked up with.

Pure. `closed` is called with the relay id of each socket that is needed no longer.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.home.turn_allocations import Allocation, FiveTuple, Path, Relay
from app.ice.stun import Address

log = logging.getLogger(__name__)

RESERVATION_LIFETIME_S = 30.0  # RFC 8656 section 7.2


@dataclass(frozen=True, slots=True)
class Reservation:
    """A bound port that waits for the Allocate that brings its token."""

    relay_id: int
    address: Address
    username: str
    expires_at: float


class Books:
    """See the module. Hot paths read `by_path`, `by_relay` and `by_relayed`; only this class changes them."""

    def __init__(self, closed: Callable[[int], None]) -> None:
        self.counters: Counter[str] = Counter()
        self.by_path: dict[Path, Allocation] = {}
        self.by_relay: dict[int, tuple[Allocation, Relay]] = {}
        self.by_relayed: dict[Address, tuple[Allocation, Relay]] = {}
        self.next_expiry: float | None = None
        self._reservations: dict[bytes, Reservation] = {}
        self._closed = closed

    def __len__(self) -> int:
        return len(self.by_path)

    @property
    def sockets(self) -> int:
        """How many bound ports are held: what counts against the server's and a user's share."""
        return len(self.by_relay) + len(self._reservations)

    def sockets_of(self, username: str) -> int:
        held = sum(allocation.username == username for allocation, _ in self.by_relay.values())
        return held + sum(each.username == username for each in self._reservations.values())

    def living(self, path: FiveTuple, now: float) -> Allocation | None:
        """Give the allocation of a client; one whose time is over is dropped first."""
        allocation = self.by_path.get(path)
        if allocation is None:
            return None
        for relay in self._over(allocation, now):
            self.drop_relay(allocation, relay, "expired")
        return allocation if allocation.relays else None

    def add(self, allocation: Allocation) -> None:
        self.by_path[allocation.path] = allocation
        for relay in allocation.relays.values():
            self.by_relay[relay.relay_id] = self.by_relayed[relay.address] = (allocation, relay)
            log.info("%s: relays at %s:%d for %s", allocation.path, *relay.address, allocation.username)
        self.counters["allocated"] += 1
        self.expiry_changed()

    def drop(self, allocation: Allocation, why: str) -> None:
        for relay in list(allocation.relays.values()):
            self.drop_relay(allocation, relay, why)

    def drop_relay(self, allocation: Allocation, relay: Relay, why: str) -> None:
        """Give up one relayed address, and with the last one the allocation."""
        log.info("%s: relay at %s:%d %s", allocation.path, *relay.address, why)
        self.counters["expired"] += why == "expired"
        relay.expires_at = 0.0  # channels that still point here lead nowhere
        del allocation.relays[relay.family]
        del self.by_relay[relay.relay_id]
        del self.by_relayed[relay.address]
        if not allocation.relays:
            del self.by_path[allocation.path]
        self._closed(relay.relay_id)
        self.expiry_changed()

    def drop_user(self, username: str) -> None:
        for allocation in [each for each in self.by_path.values() if each.username == username]:
            self.drop(allocation, "user dropped")
        for token in [token for token, each in self._reservations.items() if each.username == username]:
            self._closed(self._reservations.pop(token).relay_id)
        self.expiry_changed()

    def reserve(self, token: bytes, reservation: Reservation) -> None:
        self._reservations[token] = reservation
        self.expiry_changed()

    def redeem(self, token: bytes, username: str, now: float) -> Reservation | None:
        """Take a reserved port out; None where the token is unknown, too old or another user's."""
        reservation = self._reservations.get(token)
        if reservation is None or reservation.username != username or reservation.expires_at <= now:
            return None
        del self._reservations[token]
        self.expiry_changed()
        return reservation

    def expire(self, now: float) -> None:
        for allocation in list(self.by_path.values()):
            for relay in self._over(allocation, now):
                self.drop_relay(allocation, relay, "expired")
        for token in [token for token, each in self._reservations.items() if each.expires_at <= now]:
            self._closed(self._reservations.pop(token).relay_id)
        self.expiry_changed()

    def expiry_changed(self) -> None:
        """Compute anew when the next of all ends; also to be called when a relay's lifetime was prolonged."""
        self.next_expiry = min(self._expiries(), default=None)

    def _expiries(self) -> Iterator[float]:
        yield from (relay.expires_at for _, relay in self.by_relay.values())
        yield from (each.expires_at for each in self._reservations.values())

    @staticmethod
    def _over(allocation: Allocation, now: float) -> list[Relay]:
        return [relay for relay in allocation.relays.values() if relay.expires_at <= now]
