"""Binding requests to STUN servers: one from each base to each server, and the keep-alives afterwards. Pure.

RFC 8445 sections 5.1.1.2 and 5.1.1.4.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from app.ice.awaited import AskedServer, Wish
from app.ice.bases import Base
from app.ice.config import Timing
from app.ice.requests import Due, RandomBits, Schedule, transaction_id
from app.ice.stun import Address, Attribute, Message, MessageClass, Method, StunError, is_somewhere, is_stun


@dataclass(slots=True, eq=False)
class Query:
    """One Binding request under way."""

    base: Base
    server: Address
    asked: AskedServer
    schedule: Schedule
    data: bytes
    give_up_at: float
    wishes: list[Wish]


class Bindings:
    """The Binding requests of one gathering."""

    def __init__(
        self, timing: Timing, random_bits: RandomBits, packets: deque[tuple[int, bytes, Address]], timeout_s: float
    ) -> None:
        self._timing = timing
        self._random_bits = random_bits
        self._packets = packets
        self._timeout_s = timeout_s
        self._queries: dict[bytes, Query] = {}

    def ask(self, base: Base, server: Address, asked: AskedServer, wishes: list[Wish], now: float) -> None:
        tid = transaction_id(self._random_bits)
        data = Message(Method.BINDING, MessageClass.REQUEST, tid).encode(fingerprint=True)
        schedule = Schedule.start(self._timing, now, self._timing.server_rto_s)
        self._queries[tid] = Query(base, server, asked, schedule, data, now + self._timeout_s, wishes)
        self._advance(self._queries[tid], now)

    def take(self, base: int, data: bytes, source: Address) -> Query | None:
        """Give and forget the query that these bytes answer."""
        query = self._queries.get(data[8:20]) if is_stun(data) else None
        if query is None or query.base.number != base or query.server != source:
            return None
        return self._queries.pop(data[8:20])

    def take_unreachable(self, base: int, server: Address) -> list[Query]:
        """Give and forget the queries to a place where the network says nobody listens."""
        return self._take(lambda query: query.base.number == base and query.server == server)

    def take_late(self, now: float) -> list[Query]:
        """Send again what is due; gives and forgets the queries whose time is over."""
        late = self._take(lambda query: now >= query.give_up_at)
        for query in self._queries.values():
            self._advance(query, now)
        return late

    def take_of(self, base: int) -> list[Query]:
        """Give and forget the queries from a base."""
        return self._take(lambda query: query.base.number == base)

    def _take(self, wanted: Callable[[Query], bool]) -> list[Query]:
        taken = {tid: query for tid, query in self._queries.items() if wanted(query)}
        self._queries = {tid: query for tid, query in self._queries.items() if tid not in taken}
        return list(taken.values())

    def _advance(self, query: Query, now: float) -> None:
        if query.schedule.poll(now) is Due.SEND:
            self._packets.append((query.base.number, query.data, query.server))

    def next_timeout(self) -> float | None:
        return min((min(query.schedule.next_at, query.give_up_at) for query in self._queries.values()), default=None)

    def keep_open(self, base: int, server: Address) -> None:
        """Keep a NAT's binding open; nobody answers an indication."""
        tid = transaction_id(self._random_bits)
        data = Message(Method.BINDING, MessageClass.INDICATION, tid).encode(fingerprint=True)
        self._packets.append((base, data, server))


def mapped_address(data: bytes) -> Address | None:
    """Read where a Binding request was seen to come from; None when the answer says nothing that can be used."""
    try:
        message = Message.parse(data)
        mapped = message.address(Attribute.XOR_MAPPED_ADDRESS) or message.address(Attribute.MAPPED_ADDRESS)
    except StunError:
        return None
    return mapped if mapped is not None and is_somewhere(mapped) else None
