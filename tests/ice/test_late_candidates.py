"""Candidates that come after the description, ours and the peer's (RFC 8838), and what is not decided before them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.events import CandidateType, IceState
from app.ice.candidates import Candidate, IceDescription, IceError, pair_priority
from app.ice.config import IceConfig
from app.ice.events import CandidateGathered, Connected, Failed, Gathered
from app.settings import IcePolicy
from tests.ice.network import TURN, TURN_ADDRESS, Mode, Network, Party, connect

PLAIN = IceConfig()
WITH_TURN = IceConfig(turn_servers=(TURN,))


def trickling(party: Party, *kinds: CandidateType) -> IceDescription:
    """What a party says at first: only the candidates of these kinds, and that more may come."""
    whole = party.local()
    first = tuple(one for one in whole.candidates if one.type in kinds)
    return replace(whole, candidates=first, options=("ice2", "trickle"), end_of_candidates=False)


def add(party: Party, candidate: Candidate, stream: str = "audio") -> None:
    party.leg.agent.add_remote_candidate(stream, candidate, party.network.now)
    party.handle_timeout(party.network.now)


def natted(network: Network, mode: Mode, number: int, config: IceConfig, *, controlling: bool) -> Party:
    lan = network.lan(mode, f"203.0.113.{10 + number}")
    return Party(network, lan, f"192.168.{number}.10", config, controlling=controlling)


def test_checks_begin_before_the_servers_have_answered() -> None:
    """Host candidates at once; what the server says is paired into the running lists."""
    network = Network(delay_s=0.05)
    network.add_turn()
    a = natted(network, Mode.SYMMETRIC, 1, WITH_TURN, controlling=True)
    b = natted(network, Mode.SYMMETRIC, 2, WITH_TURN, controlling=False)
    a.begin_gathering()
    b.begin_gathering()
    assert [one.candidate.type for one in a.told(CandidateGathered)] == [CandidateType.HOST]  # type: ignore[union-attr]
    b.set_remote(trickling(a, CandidateType.HOST))
    a.set_remote(trickling(b, CandidateType.HOST))
    a.start()
    b.start()
    network.run(2, lambda: bool(a.told(Gathered) and b.told(Gathered)))
    for one, other in ((a, b), (b, a)):
        for candidate in one.local().candidates:
            add(other, candidate)
        other.leg.agent.end_of_remote_candidates("audio")
    network.run(2, lambda: a.connected and b.connected)
    assert a.connected
    assert "relay" in a.selected() + b.selected()


def test_local_candidates_found_later_are_told_and_not_paired_twice() -> None:
    network = Network()
    network.add_turn()
    a = natted(network, Mode.FULL_CONE, 1, WITH_TURN, controlling=True)
    peer = Candidate("1", 1, "udp", 2130706431, "198.51.100.9", 5000, CandidateType.HOST)
    a.begin_gathering()
    a.set_remote(IceDescription("peer", "p" * 22, (peer,), options=("trickle",)))
    a.start()
    network.run(2, lambda: bool(a.told(Gathered)))
    kinds = [event.candidate.type.value for event in a.told(CandidateGathered)]  # type: ignore[union-attr]
    assert kinds == ["host", "srflx", "relay"]
    pairs = [(a.snapshot().local[pair.local].type.value, pair.remote) for pair in a.snapshot().pairs]
    assert pairs == [("host", 0), ("relay", 0)], "the reflexive candidate stands for its base"


def test_without_any_candidate_nothing_fails_before_gathering_is_over() -> None:
    network = Network()
    network.add_turn()
    config = IceConfig(turn_servers=(TURN,), policy=IcePolicy.RELAY)
    network.blocked = lambda source, to, data: TURN_ADDRESS in (source, to)
    a = natted(network, Mode.FULL_CONE, 1, config, controlling=True)
    a.begin_gathering()
    a.set_remote(IceDescription("peer", "p" * 22, (), options=("trickle",)))
    a.start()
    network.run(1)
    assert (a.told(Failed), a.snapshot().state) == ([], IceState.CHECKING)
    assert "still being asked" in a.leg.agent.progress(network.now)["audio"]
    network.run(20, lambda: bool(a.told(Failed)))
    (failed,) = a.told(Failed)
    assert "did not answer" in str(failed) or "does not answer" in str(failed)


def test_a_relay_waits_for_the_peers_direct_address_that_may_still_come() -> None:
    network = Network(delay_s=0.01)
    network.add_turn()
    a = Party(network, network.internet, "198.51.100.1", WITH_TURN, controlling=True)
    b = Party(network, network.internet, "198.51.100.2", WITH_TURN, controlling=False)
    a.gather()
    b.gather()
    host = b.local().candidates[0]
    b.set_remote(trickling(a, CandidateType.RELAY))
    a.set_remote(trickling(b, CandidateType.RELAY))
    network.blocked = lambda source, to, data: {source, to} == {("198.51.100.1", 4000), ("198.51.100.2", 4000)}
    a.start()
    b.start()
    network.run(0.4)
    assert not a.connected
    network.blocked = lambda source, to, data: False
    add(a, host)
    network.run(1, lambda: a.connected)
    assert a.selected() == ("host", "host")


@pytest.mark.parametrize("ended", [True, False])
def test_a_relay_is_taken_after_a_bounded_wait_or_as_soon_as_nothing_more_comes(ended: bool) -> None:
    network = Network(delay_s=0.01)
    network.add_turn()
    config = IceConfig(turn_servers=(TURN,), policy=IcePolicy.RELAY)
    a = Party(network, network.internet, "198.51.100.1", config, controlling=True)
    b = Party(network, network.internet, "198.51.100.2", config, controlling=False)
    a.gather()
    b.gather()
    b.set_remote(a.local())
    a.set_remote(trickling(b, CandidateType.RELAY))
    b.start()
    a.start()
    if ended:
        a.leg.agent.end_of_remote_candidates("audio")
    took_s = network.run(5, lambda: a.connected)
    assert took_s < 0.3 if ended else 0.6 < took_s < 0.9


def test_a_direct_pair_of_hosts_waits_for_nobody() -> None:
    """One round trip, although both sides may still say more."""
    network = Network(delay_s=0.1)
    a = Party(network, network.internet, "198.51.100.1", PLAIN, controlling=True)
    b = Party(network, network.internet, "198.51.100.2", PLAIN, controlling=False)
    b.set_remote(trickling(a, CandidateType.HOST))
    a.set_remote(trickling(b, CandidateType.HOST))
    b.start()
    a.start()
    assert network.run(5, lambda: a.connected) == pytest.approx(0.2)
    assert network.run(5, lambda: b.connected) <= 0.1
    assert a.told(Connected)


def test_a_candidate_before_its_description_is_refused() -> None:
    network = Network()
    a = Party(network, network.internet, "198.51.100.1", PLAIN, controlling=True)
    with pytest.raises(IceError, match="before its description"):
        add(a, Candidate("1", 1, "udp", 1, "198.51.100.9", 5000, CandidateType.HOST))


def test_an_endless_trickle_is_bounded_and_said_once() -> None:
    network = Network()
    a = Party(network, network.internet, ["198.51.100.1", "198.51.100.3"], PLAIN, controlling=True)
    a.set_remote(IceDescription("peer", "p" * 22, (), options=("trickle",)))
    a.start()
    for at in range(3000):
        add(a, Candidate("1", 1, "udp", 1 + at, f"203.0.113.{at % 250}", 2000 + at, CandidateType.HOST))
    snapshot = a.snapshot()
    assert (len(snapshot.remote), len(snapshot.pairs), len(snapshot.problems)) == (32, 64, 1)
    network.run(300)
    assert len(network.sent) <= 64 * 7


def test_a_learned_address_that_is_signalled_later_becomes_what_it_is() -> None:
    """The check from the peer's relay comes before its candidate: a relay must not pass for a direct way."""
    network = Network(delay_s=0.02)
    network.add_turn()
    a = Party(network, network.internet, "198.51.100.1", PLAIN, controlling=True)
    b = Party(
        network,
        network.lan(Mode.SYMMETRIC, "203.0.113.12"),
        "192.168.2.10",
        IceConfig(turn_servers=(TURN,), policy=IcePolicy.RELAY),
        controlling=False,
    )
    b.gather()
    a.set_remote(trickling(b))
    a.start()
    b.set_remote(a.local())
    b.start()
    network.run(0.2)
    (pair,) = a.leg.agent.lists["audio"].pairs
    assert pair.remote.type is CandidateType.PRFLX
    (relay,) = b.local().candidates
    add(a, relay)
    assert pair.remote.type is CandidateType.RELAY
    assert pair.relayed
    assert pair.priority == pair_priority(pair.local.candidate.priority, relay.priority)
    assert len(a.snapshot().remote) == 1


def test_pacing_and_the_patience_timer_hold_for_what_comes_later() -> None:
    network = Network()
    a = Party(network, network.internet, "198.51.100.1", PLAIN, controlling=True)
    a.set_remote(IceDescription("peer", "p" * 22, (), options=("trickle",), pacing_ms=20))
    a.start()
    network.run(30)
    add(a, Candidate("1", 1, "udp", 1, "203.0.113.9", 5000, CandidateType.HOST))
    network.run(9)
    assert not a.told(Failed)
    network.run(1)
    (failed,) = a.told(Failed)
    assert "does not answer yet" in str(failed)


def test_many_interfaces_leave_room_for_the_relays() -> None:
    """Two streams in 100 pairs: 64 pairs of hosts each would leave none for the way that works."""
    network = Network(delay_s=0.01)
    network.add_turn()
    hosts = [f"192.168.1.{at}" for at in range(1, 9)]
    streams = ("audio", "video")
    a = Party(network, network.lan(Mode.SYMMETRIC, "203.0.113.11"), hosts, WITH_TURN, controlling=True, streams=streams)
    other = network.lan(Mode.SYMMETRIC, "203.0.113.12")
    b = Party(network, other, [f"192.168.2.{at}" for at in range(1, 9)], WITH_TURN, controlling=False, streams=streams)
    a.gather()
    b.gather()
    for stream in streams:
        a.set_remote(b.local(stream), stream)
    b.set_remote(trickling(a, CandidateType.HOST), "audio")
    b.set_remote(a.local("video"), "video")
    a.start()
    b.start()
    for candidate in a.local().candidates:
        add(b, candidate)
    network.run(20, lambda: a.connected and b.connected)
    assert a.connected
    assert len(a.snapshot().pairs) <= 100 + 2 * 16
    assert "relay" in a.selected("audio")


def test_a_full_list_makes_room_for_an_address_that_a_check_teaches() -> None:
    """Many interfaces fill the list, and the only direct way comes from an address that nobody can signal."""
    network = Network(delay_s=0.01)
    network.add_turn()
    lans = network.lan(Mode.ADDRESS_RESTRICTED, "203.0.113.11"), network.lan(Mode.SYMMETRIC, "203.0.113.12")
    a, b = (
        Party(network, lan, [f"192.168.{number}.{at}" for at in range(1, 9)], WITH_TURN, controlling=number == 1)
        for number, lan in enumerate(lans, start=1)
    )
    connect(a, b)
    assert len(a.snapshot().pairs) >= 100
    assert "relay" not in a.selected() + b.selected()


def test_many_interfaces_leave_room_for_the_addresses_that_servers_told() -> None:
    """Of two streams each has 50 pairs, and the hosts' own addresses alone would make 64 that lead nowhere."""
    network = Network(delay_s=0.01)
    network.add_turn()
    config, streams = IceConfig(stun_servers=(TURN.server,)), ("audio", "video")
    lans = network.lan(Mode.PORT_RESTRICTED, "203.0.113.11"), network.lan(Mode.PORT_RESTRICTED, "203.0.113.12")
    a, b = (
        Party(
            network,
            lan,
            [f"192.168.{number}.{at}" for at in range(1, 9)],
            config,
            controlling=number == 1,
            streams=streams,
        )
        for number, lan in enumerate(lans, start=1)
    )
    connect(a, b)
    assert a.done
    assert b.done
