"""What other agents of this language are known to do badly, each with a test that ours does not.

One test a weakness, on the virtual network. Elsewhere: restarts make before break (test_generations.py), a dead
server in real time (test_session.py), the silence of a path in all its forms (test_watch.py).
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from app.events import CandidateType, IceState
from app.ice.config import IceConfig
from app.ice.events import CandidateGathered, CheckSent, ConsentExpired, Gathered, Interrupted, Recovered, Silent
from app.ice.interfaces import LocalAddress, choose_addresses
from app.ice.stun import Attribute, Message
from app.settings import HostPort, IcePolicy
from tests.ice.network import TURN, TURN_ADDRESS, Mode, Network, Party, connect

WITH_TURN = IceConfig(turn_servers=(TURN,))


def two(network: Network, config: IceConfig, mode: Mode = Mode.PORT_RESTRICTED) -> tuple[Party, Party]:
    network.add_turn()
    return (
        Party(network, network.lan(mode, "203.0.113.11"), "192.168.1.10", config, controlling=True),
        Party(network, network.lan(mode, "203.0.113.12"), "192.168.2.10", config, controlling=False),
    )


@pytest.mark.parametrize("delay_s", [0.002, 0.02, 0.1])
def test_the_first_success_is_not_taken_where_a_direct_path_exists(delay_s: float) -> None:
    """Weakness: each check nominates, so a relay that answers first carries the call between two NATs."""
    network = Network(delay_s=delay_s)
    a, b = two(network, WITH_TURN)
    connect(a, b)
    assert "relay" not in a.selected() + b.selected()


@pytest.mark.parametrize(("pacing_ms", "expected_s"), [(100, 0.1), (None, 0.05), (5, 0.02)])
def test_checks_are_no_faster_than_the_peer_asks(pacing_ms: int | None, expected_s: float) -> None:
    """Weakness: 20 ms between checks whatever the peer says; 50 ms are the rule without a word on it."""
    network = Network()
    a = Party(network, network.internet, ["198.51.100.1", "198.51.100.3"], IceConfig(), controlling=True)
    b = Party(network, network.internet, "198.51.100.2", IceConfig(), controlling=False)
    network.blocked = lambda source, to, data: True
    a.set_remote(replace(b.local(), pacing_ms=pacing_ms))
    a.start()
    assert network.run(1, lambda: len(a.told(CheckSent)) == 2) == pytest.approx(expected_s)


def test_each_interface_and_family_has_a_local_preference_of_its_own() -> None:
    """Weakness: all interfaces alike, so that equal priorities decide by chance (RFC 8445 section 5.1.2.2)."""
    network = Network()
    hosts = ["2001:db8::1", "198.51.100.1", "2001:db8::3", "198.51.100.3"]
    a = Party(network, network.internet, hosts, IceConfig(), controlling=True)
    candidates = a.local().candidates
    assert [one.address for one in candidates] == hosts
    assert len({one.priority >> 8 & 0xFFFF for one in candidates}) == 4


def test_a_dead_server_delays_nothing() -> None:
    """Weakness: gathering waits five seconds for one dead server."""
    times = []
    for dead in ((), (HostPort("203.0.113.77", 3478),)):
        network = Network()
        network.add_turn()
        config = IceConfig(stun_servers=dead, turn_servers=(TURN,))
        a = Party(network, network.lan(Mode.SYMMETRIC, "203.0.113.11"), "192.168.1.10", config, controlling=True)
        start = network.now
        a.gather()
        times.append(network.now - start)
        assert len(a.local().candidates) == 3
    assert times[1] - times[0] < 0.05


def test_local_candidates_are_told_as_they_are_found() -> None:
    """Weakness: the peer learns nothing before gathering is over."""
    network = Network(delay_s=0.1)
    a, _ = two(network, WITH_TURN)
    a.begin_gathering()
    assert [one.type for one in a.local().candidates] == [CandidateType.HOST]
    network.run(3, lambda: bool(a.told(Gathered)))
    order = [type(event).__name__ for event in a.events]
    assert order == ["CandidateGathered"] * 3 + ["Gathered"]
    assert len(a.told(CandidateGathered)) == 3


def test_a_reflexive_address_of_ipv6_is_found_too() -> None:
    """Weakness: server-reflexive candidates for IPv4 only, which fails behind NAT66."""
    network = Network()
    server, outside = ("2001:db8:5::1", 3478), ("2001:db8:ffff::1", 40000)

    def answer(data: bytes, source: tuple[str, int], now: float) -> None:
        reply = Message.parse(data).success().add_address(Attribute.XOR_MAPPED_ADDRESS, outside).encode()
        network.transmit(network.internet, server, source, reply)

    network.internet.sockets[server] = answer
    config = IceConfig(stun_servers=(HostPort(*server),))
    a = Party(network, network.internet, "fd00::1", config, controlling=True)
    a.gather()
    found = [(one.type, one.address) for one in a.local().candidates]
    assert found == [(CandidateType.HOST, "fd00::1"), (CandidateType.SRFLX, "2001:db8:ffff::1")]


def test_interfaces_can_be_chosen() -> None:
    """Weakness: every interface is used, container bridges too."""
    known = [
        LocalAddress("eth0", "192.0.2.1"),
        LocalAddress("wlan0", "192.0.2.9"),
        LocalAddress("docker0", "172.17.0.1"),
    ]
    assert [one.interface for one in choose_addresses(known)[0]] == ["eth0", "wlan0"]
    assert [one.interface for one in choose_addresses(known, ["wlan0"])[0]] == ["wlan0"]


def test_a_machine_without_a_network_still_has_its_own_address() -> None:
    """Weakness: loopback is never a candidate, so a machine with nothing else has none."""
    assert [one.address for one in choose_addresses([LocalAddress("lo", "127.0.0.1")])[0]] == ["127.0.0.1"]


def test_a_relayed_call_outlives_its_permission() -> None:
    """Weakness: channels are bound anew every 500 s, while the permission they carry ends after 300 s."""
    network = Network()
    a, b = two(network, IceConfig(turn_servers=(TURN,), policy=IcePolicy.RELAY))
    connect(a, b)
    heard = []
    for _ in range(100):
        network.run(20)
        a.send(b"\x80sound")
        before = len(b.received)
        network.run(0.2)
        heard.append(len(b.received) - before)
    assert set(heard) == {1}
    assert not a.told(Interrupted)


def test_a_silent_path_is_told_long_before_it_is_given_up_and_may_come_back() -> None:
    """Weakness: nothing is said until consent is lost after 30 s, and then everything is closed."""
    network = Network()
    a = Party(network, network.internet, "198.51.100.1", IceConfig(), controlling=True)
    b = Party(network, network.internet, "198.51.100.2", IceConfig(), controlling=False)
    connect(a, b)
    for _ in range(100):
        network.run(0.02)
        b.send(b"\x80sound")
    network.blocked = lambda source, to, data: True
    network.run(3)
    assert (len(a.told(Silent)), len(a.told(Interrupted)), len(a.told(ConsentExpired))) == (1, 1, 0)
    network.blocked = lambda source, to, data: False
    network.run(1)
    assert len(a.told(Recovered)) == 1
    assert a.send(b"\x80x")


def test_the_check_list_and_the_chosen_pair_can_be_seen() -> None:
    """Weakness: both are private, and nobody can tell why a pair failed."""
    network = Network()
    a, b = two(network, WITH_TURN)
    connect(a, b)
    snapshot = a.snapshot()
    pair = snapshot.selected_pair()
    assert pair is not None
    assert snapshot.state is IceState.COMPLETED
    assert all(one.reason for one in snapshot.pairs if one.state.value in ("failed", "frozen"))
    assert pair.rtt_s is not None


def test_without_servers_nobody_is_asked() -> None:
    """Weakness: with no server named, a public one is asked."""
    network = Network()
    a = Party(network, network.internet, "198.51.100.1", IceConfig(), controlling=True)
    a.gather()
    network.run(100)
    assert network.sent == []


def test_every_server_is_asked_and_each_relay_is_a_candidate() -> None:
    """Weakness: one STUN and one TURN server at most."""
    network = Network()
    second = ("203.0.113.2", 3478)
    network.add_turn()
    network.add_turn(second)
    config = IceConfig(turn_servers=(TURN, type(TURN)(HostPort(*second), "udp", "alice", "secret")))
    a = Party(network, network.lan(Mode.FULL_CONE, "203.0.113.11"), "192.168.1.10", config, controlling=True)
    a.gather()
    network.run(1)
    relays = [one for one in a.local().candidates if one.type is CandidateType.RELAY]
    assert {one.address for one in relays} == {TURN_ADDRESS[0], second[0]}
    assert all(one.priority != other.priority for one, other in itertools.combinations(relays, 2))
