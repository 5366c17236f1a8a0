"""Two agents behind NATs of every kind: which way they find, how fast, with and without a relay, under loss."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from app.events import CandidateType, IceState
from app.ice.config import IceConfig
from app.settings import HostPort, IcePolicy
from tests.ice.network import TURN, TURN_ADDRESS, Mode, Network, Party, connect

STUN_ONLY = IceConfig(stun_servers=(HostPort(*TURN_ADDRESS),))
WITH_TURN = IceConfig(turn_servers=(TURN,))
NO_SERVERS = IceConfig()
DIRECT = {"host", "srflx", "prflx"}
IMPOSSIBLE = {frozenset({Mode.PORT_RESTRICTED, Mode.SYMMETRIC}), frozenset({Mode.SYMMETRIC})}


def behind_nats(network: Network, a: Mode, b: Mode, config: IceConfig) -> tuple[Party, Party]:
    network.add_turn()
    return (
        Party(network, network.lan(a, "203.0.113.11"), "192.168.1.10", config, controlling=True),
        Party(network, network.lan(b, "203.0.113.12"), "192.168.2.10", config, controlling=False),
    )


PAIRS_OF_MODES = list(itertools.combinations_with_replacement(Mode, 2))


@pytest.mark.parametrize(("a", "b"), PAIRS_OF_MODES)
def test_without_a_relay_all_but_symmetric_pairs_connect(a: Mode, b: Mode) -> None:
    network = Network()
    one, two = behind_nats(network, a, b, STUN_ONLY)
    connect(one, two)
    if frozenset({a, b}) in IMPOSSIBLE:
        assert not one.done
        assert one.snapshot().state is IceState.FAILED
        assert "TURN server" in str(one.events[-1])
    else:
        assert set(one.selected()) | set(two.selected()) <= DIRECT


@pytest.mark.parametrize(("a", "b"), PAIRS_OF_MODES)
@pytest.mark.parametrize("delay_s", [0.002, 0.05, 0.15])
def test_with_a_relay_everybody_connects_and_directly_where_it_can_be(a: Mode, b: Mode, delay_s: float) -> None:
    network = Network(delay_s=delay_s)
    one, two = behind_nats(network, a, b, WITH_TURN)
    took_s = connect(one, two)
    types = set(one.selected()) | set(two.selected())
    if frozenset({a, b}) in IMPOSSIBLE:
        assert "relay" in types
    else:
        assert types <= DIRECT
    assert took_s < 0.7 + 12 * delay_s
    assert one.send(b"\x80to two")
    assert two.send(b"\x80to one")
    network.run(1)
    assert one.received == [("audio", b"\x80to one")]
    assert two.received == [("audio", b"\x80to two")]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("modes", [(Mode.PORT_RESTRICTED, Mode.PORT_RESTRICTED), (Mode.SYMMETRIC, Mode.SYMMETRIC)])
def test_a_fifth_of_all_packets_lost_only_takes_longer(modes: tuple[Mode, Mode], seed: int) -> None:
    network = Network(loss=0.2, seed=seed)
    one, two = behind_nats(network, *modes, IceConfig(turn_servers=(TURN,), server_timeout_s=4))
    took_s = connect(one, two)
    assert one.done
    assert two.done
    assert took_s < 12


def test_one_allocate_gives_relay_and_reflexive_candidate() -> None:
    """R1: no other request goes to the server than the two Allocates of the challenge."""
    network = Network()
    turn = network.add_turn()
    party = Party(network, network.lan(Mode.FULL_CONE, "203.0.113.11"), "192.168.1.10", WITH_TURN, controlling=True)
    party.gather()
    host, srflx, relay = party.local().candidates
    assert [one.type for one in (host, srflx, relay)] == [CandidateType.HOST, CandidateType.SRFLX, CandidateType.RELAY]
    assert (srflx.address, srflx.related_address, srflx.related_port) == ("203.0.113.11", "192.168.1.10", 4000)
    assert (relay.address, relay.related_address) == (TURN_ADDRESS[0], "203.0.113.11")
    assert len(network.sent) == 4
    assert turn.allocations == 1


def test_two_in_one_lan_go_straight() -> None:
    network = Network()
    network.add_turn()
    lan = network.lan(Mode.SYMMETRIC, "203.0.113.11")
    one = Party(network, lan, "192.168.1.10", WITH_TURN, controlling=True)
    two = Party(network, lan, "192.168.1.11", WITH_TURN, controlling=False)
    took_s = connect(one, two)
    assert one.selected() == two.selected() == ("host", "host")
    assert took_s < 0.15


def test_relay_policy_shows_and_uses_nothing_else() -> None:
    network = Network()
    config = IceConfig(turn_servers=(TURN,), policy=IcePolicy.RELAY)
    one, two = behind_nats(network, Mode.FULL_CONE, Mode.FULL_CONE, config)
    connect(one, two)
    assert one.selected() == ("relay", "relay")
    assert [one.type for one in one.local().candidates] == [CandidateType.RELAY]
    assert "192.168" not in str(one.local().candidates[0])
    assert "203.0.113.11" not in str(one.local().candidates[0])
    assert {destination for source, destination, _ in network.sent if source[0].startswith("192.168")} == {TURN_ADDRESS}


def test_no_packet_goes_to_an_address_nobody_named() -> None:
    network = Network()
    one, two = behind_nats(network, Mode.PORT_RESTRICTED, Mode.SYMMETRIC, WITH_TURN)
    connect(one, two)
    network.run(120)
    named = {TURN_ADDRESS}
    for party in (one, two):
        named |= {candidate.transport_address for candidate in party.local().candidates}
        named |= {(info.address, info.port) for info in party.snapshot().remote}
    reached = {to for source, to, _ in network.sent if source in {("192.168.1.10", 4000), ("192.168.2.10", 4000)}}
    assert reached <= named


def test_a_long_call_over_a_relay_keeps_allocation_permission_and_channel() -> None:
    network = Network()
    one, two = behind_nats(network, Mode.SYMMETRIC, Mode.SYMMETRIC, WITH_TURN)
    connect(one, two)
    for _ in range(60):
        network.run(60)
        assert one.send(b"\x80still")
        assert two.send(b"\x80there")
    network.run(1)
    assert len(one.received) == len(two.received) == 60
    assert one.snapshot().state is IceState.COMPLETED


def test_allocations_nothing_was_selected_on_are_handed_back_after_completion() -> None:
    network = Network()
    turn = network.add_turn()
    one = Party(network, network.internet, "203.0.113.21", WITH_TURN, controlling=True)
    two = Party(network, network.internet, "203.0.113.22", WITH_TURN, controlling=False)
    connect(one, two)
    assert turn.allocations == 2
    network.run(5)
    assert turn.allocations == 0
    assert one.send(b"\x80x")


def test_a_far_end_that_answers_late_finds_every_candidate_still_there() -> None:
    """A proxy that tries one phone after another: the second is heard of long after the first was reached."""
    network = Network()
    turn = network.add_turn()
    lan = network.lan(Mode.SYMMETRIC, "203.0.113.11")
    one = Party(network, lan, "192.168.1.10", WITH_TURN, controlling=True)
    near = Party(network, lan, "192.168.1.11", WITH_TURN, controlling=False)
    far = Party(network, network.lan(Mode.SYMMETRIC, "203.0.113.12"), "192.168.2.10", WITH_TURN, controlling=False)
    one.core.expect_forks(True, network.now)
    connect(one, near)
    assert one.selected() == ("host", "host")
    network.run(20)
    assert turn.allocations == 1
    late = one.core.fork(one.leg)
    far.gather()
    far.set_remote(one.local())
    far.start()
    late.agent.set_remote("audio", far.local(), network.now)
    one.core.start_checks(late, network.now)
    one.flush()
    network.run(20, lambda: late.agent.completed_at is not None and far.done)
    assert far.done
    one.core.close_leg(late, network.now)
    one.core.expect_forks(False, network.now)
    one.flush()
    network.run(1)
    assert turn.allocations == 1, "only the far end keeps its relay"
    assert one.send(b"\x80x")


def test_closing_hands_everything_back() -> None:
    network = Network()
    turn = network.add_turn()
    party = Party(network, network.internet, "203.0.113.21", WITH_TURN, controlling=True, streams=("audio", "video"))
    party.gather()
    assert turn.allocations == 2
    party.close()
    network.run(1)
    assert turn.allocations == 0
    assert party.open_sockets == 0
    assert party.core.next_timeout() is None


def test_several_streams_allocate_and_complete_each() -> None:
    network = Network()
    network.add_turn()
    one, two = (
        Party(
            network,
            network.lan(Mode.SYMMETRIC, f"203.0.113.{11 + at}"),
            f"192.168.{at}.10",
            WITH_TURN,
            controlling=at == 0,
            streams=("audio", "video"),
        )
        for at in range(2)
    )
    connect(one, two)
    assert "relay" in one.selected("audio")
    assert "relay" in one.selected("video")
    one.send(b"\x80v", "video")
    network.run(1)
    assert two.received == [("video", b"\x80v")]


@pytest.mark.parametrize("password", ["secret", "wrong"])
def test_a_stun_server_at_the_address_of_the_turn_server_is_heard(password: str) -> None:
    """Two names of one machine: its Binding answers must not be taken for the TURN server's."""
    network = Network()
    network.add_turn()
    config = IceConfig(stun_servers=(HostPort(*TURN_ADDRESS),), turn_servers=(replace(TURN, password=password),))
    party = Party(network, network.lan(Mode.FULL_CONE, "203.0.113.11"), "192.168.1.10", config, controlling=True)
    party.gather()
    assert CandidateType.SRFLX in {one.type for one in party.local().candidates}
    network.run(3)
    assert not [problem for problem in party.snapshot().problems if "STUN" in problem]


@pytest.mark.parametrize("told", [False, True], ids=["only retransmissions", "the caller is known to have begun"])
def test_checks_that_came_too_early_are_repeated_once_the_peer_has_begun(told: bool) -> None:
    """The callee begins first, and the caller's NAT drops its checks; its own NAT drops all the caller's."""
    network = Network()
    caller, callee = behind_nats(network, Mode.ADDRESS_RESTRICTED, Mode.SYMMETRIC, STUN_ONLY)
    caller.gather()
    callee.gather()
    callee.set_remote(caller.local())
    callee.start()
    network.run(0.1)
    caller.set_remote(callee.local())
    caller.start()
    network.run(0.02)
    began = network.now
    if told:
        callee.core.peer_has_begun(callee.leg, network.now)
        callee.flush()
    network.run(2, lambda: caller.done and callee.done)
    assert caller.done
    assert callee.done
    assert (network.now - began < 0.3) is told
