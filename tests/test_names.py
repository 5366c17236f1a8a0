"""Names are asked for once, remembered for a while, and cost only whoever asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import dns.asyncresolver
import dns.message
import dns.resolver
import dns.rrset
import pytest

from app.names import LONGEST_S, MAX_HANGING, MAX_REMEMBERED, REMEMBERED_S, UNKNOWN_S, Names


class System:
    """Stands for the system's resolver: counts what it is asked, and can be held back."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.goes_on = threading.Event()
        self.goes_on.set()

    def __call__(self, host: str) -> tuple[str, ...]:
        self.asked.append(host)
        self.goes_on.wait(10)
        if host.startswith("no-"):
            raise OSError("unknown")
        return ("2001:db8::1", "192.0.2.1")


@pytest.fixture
def system() -> Iterator[System]:
    system = System()
    yield system
    system.goes_on.set()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_an_address_is_no_question(system: System) -> None:
    names = Names(system=system)
    assert await names.addresses("192.0.2.7") == ("192.0.2.7",)
    assert await names.addresses("2001:db8::7") == ("2001:db8::7",)
    assert await names.services("_stun._udp", "192.0.2.7") == ()
    assert await names.services("_stun._udp", "localhost") == ()
    assert system.asked == []


async def test_an_answer_is_remembered_for_a_while_and_until_the_network_changes(system: System) -> None:
    clock = Clock()
    names = Names(clock=clock, system=system)
    for _ in range(3):
        assert await names.addresses("a.example") == ("2001:db8::1", "192.0.2.1")
    assert len(system.asked) == 1
    clock.now += REMEMBERED_S + 1
    await names.addresses("a.example")
    assert len(system.asked) == 2
    names.forget()
    await names.addresses("a.example")
    assert len(system.asked) == 3


async def test_what_is_unknown_is_asked_again(system: System) -> None:
    names = Names(system=system)
    for _ in range(2):
        with pytest.raises(OSError, match="unknown"):
            await names.addresses("no-such.example")
    assert len(system.asked) == 2


async def test_who_asks_meanwhile_shares_the_question_and_who_leaves_spoils_it_for_nobody(system: System) -> None:
    names = Names(system=system)
    system.goes_on.clear()
    first, second = (asyncio.create_task(names.addresses("a.example")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    system.goes_on.set()
    assert await second == ("2001:db8::1", "192.0.2.1")
    assert system.asked == ["a.example"]


async def test_lookups_that_hang_are_bounded(system: System) -> None:
    names = Names(system=system)
    system.goes_on.clear()
    hanging = [asyncio.create_task(names.addresses(f"{at}.example")) for at in range(MAX_HANGING)]
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="too many"):
        await names.addresses("one-more.example")
    system.goes_on.set()
    await asyncio.gather(*hanging)
    assert await names.addresses("one-more.example")


async def test_memory_is_bounded(system: System) -> None:
    names = Names(system=system)
    for at in range(MAX_REMEMBERED + 5):
        await names.addresses(f"{at}.example")
    await names.addresses(f"{MAX_REMEMBERED + 4}.example")
    assert len(system.asked) == MAX_REMEMBERED + 5
    await names.addresses("0.example")
    assert len(system.asked) == MAX_REMEMBERED + 6


class FromText:
    """Answers like the DNS with records written down here."""

    def __init__(self, ttl: int, *records: str) -> None:
        self.asked = 0
        self._ttl, self._records = ttl, records

    async def __call__(self, name: str, kind: str, **_: object) -> dns.resolver.Answer:
        self.asked += 1
        if not self._records:
            raise dns.resolver.NXDOMAIN
        question = dns.message.make_query(name, kind)
        answer = dns.message.make_response(question)
        answer.answer.append(dns.rrset.from_text(question.question[0].name, self._ttl, "IN", kind, *self._records))
        asked = question.question[0]
        return dns.resolver.Answer(asked.name, asked.rdtype, asked.rdclass, dns.message.from_wire(answer.to_wire()))


async def test_services_come_by_priority_and_are_remembered_as_long_as_they_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = FromText(30, "20 0 3478 b.example.", "10 5 3479 a.example.", "5 0 1 .")
    monkeypatch.setattr(dns.asyncresolver, "resolve", answers)
    clock = Clock()
    names = Names(clock=clock)
    for _ in range(2):
        found = await names.services("_turn._udp", "example.org")
        assert found == (("a.example", 3479), ("b.example", 3478))
    assert answers.asked == 1
    clock.now += 31
    await names.services("_turn._udp", "example.org")
    assert answers.asked == 2


@pytest.mark.parametrize(("ttl", "asked_again_after"), [(0, 6), (10_000_000, LONGEST_S + 1)])
async def test_no_record_is_remembered_too_short_or_too_long(
    monkeypatch: pytest.MonkeyPatch, ttl: int, asked_again_after: float
) -> None:
    answers = FromText(ttl, "10 5 3479 a.example.")
    monkeypatch.setattr(dns.asyncresolver, "resolve", answers)
    clock = Clock()
    names = Names(clock=clock)
    await names.services("_turn._udp", "example.org")
    await names.services("_turn._udp", "example.org")
    assert answers.asked == 1
    clock.now += asked_again_after
    await names.services("_turn._udp", "example.org")
    assert answers.asked == 2


async def test_that_there_is_no_service_is_remembered_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = FromText(30)
    monkeypatch.setattr(dns.asyncresolver, "resolve", answers)
    clock = Clock()
    names = Names(clock=clock)
    for _ in range(2):
        assert await names.services("_stun._udp", "example.org") == ()
    assert answers.asked == 1
    clock.now += UNKNOWN_S + 1
    await names.services("_stun._udp", "example.org")
    assert answers.asked == 2
