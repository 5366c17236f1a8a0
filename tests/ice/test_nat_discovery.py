"""NATs of every kind as RFC 5780 finds them out: on a virtual clock, and with a real server."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app import names
from app.ice import nat_runner
from app.ice.nat import Mapping, Observation, implied_mapping, implied_nat
from app.ice.nat_discovery import Behaviour, NatDiscovery, describe
from app.ice.nat_runner import discover_nat
from app.ice.stun import Address, Attribute, Message, MessageClass
from app.settings import HostPort
from tests.ice.conftest import free_port, running_coturn

SERVER: Address = ("192.0.2.1", 3478)
OTHER: Address = ("192.0.2.2", 3479)
LOCALS: tuple[Address, Address] = (("10.0.0.2", 4000), ("10.0.0.2", 4001))
KINDS = (Behaviour.ENDPOINT_INDEPENDENT, Behaviour.ADDRESS_DEPENDENT, Behaviour.ADDRESS_AND_PORT_DEPENDENT)


def _part(kind: Behaviour, place: Address) -> object:
    """What of a far end's address counts for a NAT of this kind."""
    return {Behaviour.ENDPOINT_INDEPENDENT: None, Behaviour.ADDRESS_DEPENDENT: place[0]}.get(kind, place)


@dataclass
class Nat:
    """A NAT with a STUN server of two addresses behind it; `loses` drops the first packet of each kind."""

    mapping: Behaviour
    filtering: Behaviour
    has_other: bool = True
    loses: int = 0
    ports: dict[object, int] = field(default_factory=dict)
    sent_to: dict[int, set[object]] = field(default_factory=dict)

    def ask(self, local: Address, data: bytes, place: Address) -> tuple[bytes, Address] | None:
        """Give the answer that comes back in, and from where."""
        if self.loses:
            self.loses -= 1
            return None
        if place not in {(host, port) for host in (SERVER[0], OTHER[0]) for port in (SERVER[1], OTHER[1])}:
            return None
        port = self.ports.setdefault((local, _part(self.mapping, place)), 50000 + len(self.ports))
        mapped = local if self.mapping is Behaviour.NO_NAT else ("203.0.113.5", port)
        self.sent_to.setdefault(port, set()).add(_part(self.filtering, place))
        request = Message.parse(data)
        change = request.number(Attribute.CHANGE_REQUEST) or 0
        source = (OTHER[0] if change & 4 else place[0], OTHER[1] if change & 2 else place[1])
        if _part(self.filtering, source) not in self.sent_to[port]:
            return None
        answer = request.success().add_address(Attribute.XOR_MAPPED_ADDRESS, mapped)
        if self.has_other:
            answer.add_address(Attribute.OTHER_ADDRESS, OTHER)
        return answer.encode(), source


def discover(nat: Nat) -> tuple[NatDiscovery, float]:
    core, now = NatDiscovery(SERVER, LOCALS, random.Random(3).getrandbits), 100.0
    core.start(now)
    while core.report is None:
        while core.packets:
            number, data, place = core.packets.popleft()
            answer = nat.ask(LOCALS[number], data, place)
            if answer is not None:
                core.receive(number, *answer, now + 0.01)
        if core.report is None:
            now = core.next_timeout() or now
            core.handle_timeout(now)
    return core, now - 100.0


@pytest.mark.parametrize("filtering", KINDS)
@pytest.mark.parametrize("mapping", [Behaviour.NO_NAT, *KINDS])
def test_every_kind_is_recognised(mapping: Behaviour, filtering: Behaviour) -> None:
    core, took_s = discover(Nat(mapping, filtering))
    report = core.report
    assert report is not None
    assert (report.mapping, report.filtering, report.udp_open) == (mapping, filtering, True)
    assert report.local == LOCALS[0]
    assert took_s < 3


def test_lost_packets_are_sent_again() -> None:
    core, _ = discover(Nat(Behaviour.ENDPOINT_INDEPENDENT, Behaviour.ADDRESS_DEPENDENT, loses=2))
    assert core.report is not None
    assert (core.report.mapping, core.report.filtering) == (KINDS[0], KINDS[1])


def test_a_server_with_one_address_tells_our_address_only() -> None:
    core, _ = discover(Nat(Behaviour.ENDPOINT_INDEPENDENT, Behaviour.ENDPOINT_INDEPENDENT, has_other=False))
    assert core.report is not None
    assert (core.report.mapping, core.report.filtering) == (Behaviour.UNKNOWN, Behaviour.UNKNOWN)
    assert core.report.mapped is not None
    assert core.report.udp_open


def test_silence_means_that_udp_is_shut() -> None:
    core, took_s = discover(Nat(Behaviour.NO_NAT, Behaviour.ENDPOINT_INDEPENDENT, loses=1000))
    assert core.report is not None
    assert not core.report.udp_open
    assert "shut" in core.report.sentence
    assert took_s < 2


def test_strangers_answers_count_for_nothing() -> None:
    core = NatDiscovery(SERVER, LOCALS, random.Random(3).getrandbits)
    core.start(0.0)
    number, data, _ = core.packets[0]
    forged = Message.parse(data).success().add_address(Attribute.XOR_MAPPED_ADDRESS, ("6.6.6.6", 6))
    core.receive(number, forged.encode(), ("198.51.100.1", 3478), 0.1)
    core.receive(1 - number, forged.encode(), SERVER, 0.1)
    core.receive(number, b"\0" * 40, SERVER, 0.1)
    error = Message(forged.method, MessageClass.ERROR, bytes(12)).add_error(400, "no")
    core.receive(number, error.encode(), SERVER, 0.1)
    while core.report is None:
        core.handle_timeout(core.next_timeout() or 0.0)
    assert core.report.mapped is None


def test_each_combination_has_its_sentence() -> None:
    sentences = {describe(mapping, filtering, open_=True) for mapping in Behaviour for filtering in KINDS}
    assert len(sentences) == len(Behaviour) * len(KINDS)
    assert all(sentence.endswith(".") for sentence in sentences)


async def test_a_real_server_with_two_addresses(tmp_path: Path) -> None:
    port = free_port()
    lines = ("listening-ip=127.0.0.1", "listening-ip=127.0.0.2", f"alt-listening-port={free_port()}", "no-auth")
    async with running_coturn(tmp_path, port, *lines):
        report = await discover_nat(HostPort("127.0.0.1", port), "127.0.0.1")
    assert (report.mapping, report.filtering) == (Behaviour.NO_NAT, Behaviour.ENDPOINT_INDEPENDENT)
    assert report.mapped == report.local
    assert report.udp_open


async def test_a_server_is_asked_at_the_address_that_there_is_a_way_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nat_runner, "NAMES", names.Names(system=lambda host: ("::1", "127.0.0.1")))
    port = free_port()
    async with running_coturn(tmp_path, port, "listening-ip=127.0.0.1", "no-auth"):
        report = await discover_nat(HostPort("both.example", port), "127.0.0.1")
    assert report.udp_open


async def test_a_server_that_is_not_there_makes_a_report() -> None:
    silent = await discover_nat(HostPort("127.0.0.1", free_port()))
    assert not silent.udp_open
    unknown = await discover_nat(HostPort("no-such-host.invalid", 3478))
    assert "was not found" in unknown.sentence


def seen(local_port: int, server: str, mapped: Address) -> Observation:
    return Observation(("10.0.0.2", local_port), (server, 3478), mapped)


def test_what_several_servers_imply() -> None:
    outside = ("203.0.113.5", 50000)
    one, two = seen(1, "192.0.2.1", outside), seen(1, "192.0.2.2", outside)
    other = seen(1, "192.0.2.2", ("203.0.113.5", 50001))
    own = Observation(("203.0.113.9", 7), ("192.0.2.1", 3478), ("203.0.113.9", 7))
    assert implied_mapping([]) is None
    assert implied_mapping([own]) is Mapping.NONE
    assert implied_mapping([one]) is Mapping.UNKNOWN
    assert implied_mapping([one, two]) is Mapping.ENDPOINT_INDEPENDENT
    assert implied_mapping([one, other]) is Mapping.DEPENDENT
    assert implied_mapping([own, one, two, other]) is Mapping.DEPENDENT  # the worst counts
    assert "symmetric" in (implied_nat([one, other]) or "")
