"""The watch over a connected path: how soon silence is noticed, what is no silence, and what happens after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.events import CandidateType, IceState
from app.ice.candidates import Candidate
from app.ice.config import IceConfig
from app.ice.events import ConsentExpired, Failed, Interrupted, Reachable, Recovered, Silent
from app.ice.stun import Message, MessageClass, is_stun
from tests.ice.network import Network, Party, connect

ALARMS = (Silent, Interrupted, ConsentExpired, Failed)


def call(network: Network) -> tuple[Party, Party]:
    a = Party(network, network.internet, "198.51.100.1", IceConfig(), controlling=True)
    b = Party(network, network.internet, "198.51.100.2", IceConfig(), controlling=False)
    connect(a, b)
    return a, b


def talk(network: Network, parties: tuple[Party, ...], seconds: float, every_s: float = 0.02) -> None:
    """Let these sides send data, each at its own beat."""
    end = network.now + seconds
    while network.now < end:
        for party in parties:
            party.send(b"\x80sound")
        network.run(every_s)


def until(network: Network, condition: Callable[[], bool], limit_s: float = 60) -> float:
    return network.run(limit_s, condition)


@pytest.mark.parametrize("every_s", [0.02, 0.06])
def test_a_path_that_dies_under_data_is_silent_in_a_second_and_interrupted_in_three(every_s: float) -> None:
    network = Network()
    a, b = call(network)
    talk(network, (a, b), 10, every_s)
    network.blocked = lambda source, to, data: True
    silent_s = until(network, lambda: bool(a.told(Silent)))
    interrupted_s = silent_s + until(network, lambda: bool(a.told(Interrupted)))
    assert 1.0 <= silent_s <= 1.4
    assert 2.3 <= interrupted_s <= 2.8
    assert a.told(Silent) == [Silent("audio")]
    assert a.snapshot().state is IceState.INTERRUPTED
    assert a.send(b"\x80 still sent: it may come back")


def test_with_longer_pauses_in_the_data_it_takes_no_two_seconds() -> None:
    """Discontinuous transmission: a datagram every 400 ms."""
    network = Network()
    a, b = call(network)
    talk(network, (a, b), 10, 0.4)
    network.blocked = lambda source, to, data: True
    assert until(network, lambda: bool(a.told(Silent))) <= 1.6
    assert until(network, lambda: bool(a.told(Interrupted))) <= 1.5


def test_without_data_it_takes_one_consent_interval_more() -> None:
    network = Network()
    a, _ = call(network)
    network.run(30)
    network.blocked = lambda source, to, data: True
    assert until(network, lambda: bool(a.told(Interrupted))) <= 6 + 2.6


def test_a_path_that_works_in_one_direction_only_is_interrupted_while_data_comes() -> None:
    network = Network()
    a, b = call(network)
    talk(network, (a, b), 5)
    network.blocked = lambda source, to, data: source[0] == "198.51.100.1"
    talk(network, (b,), 11)
    assert a.told(Interrupted)
    assert not a.told(ConsentExpired)


@pytest.mark.parametrize("delay_s", [0.01, 0.15, 0.3])
@pytest.mark.parametrize("every_s", [0.02, 0.4])
def test_a_fifth_of_everything_lost_is_no_silence(delay_s: float, every_s: float) -> None:
    network = Network(delay_s=delay_s, loss=0.2, seed=7)
    a, b = call(network)
    talk(network, (a, b), 180, every_s)
    for party in (a, b):
        assert not party.told(Interrupted)
        assert len(party.told(Silent)) <= (0 if every_s < 0.1 else 1)


@pytest.mark.parametrize("seed", range(4))
def test_a_held_call_under_loss_is_not_interrupted(seed: int) -> None:
    network = Network(delay_s=0.03, loss=0.2, seed=seed)
    a, b = call(network)
    network.run(1200)
    for party in (a, b):
        assert not party.told(Interrupted)
        assert len(party.told(Silent)) <= 1


def test_a_peer_that_stops_sending_is_asked_and_believed() -> None:
    """A hold: the data ends, the path is well."""
    network = Network()
    a, b = call(network)
    talk(network, (a, b), 10)
    before = len(network.sent)
    talk(network, (a,), 20)
    assert not any(party.told(kind) for party in (a, b) for kind in ALARMS)
    assert sum(is_stun(data) for _, _, data in network.sent[before:]) < 30


@pytest.mark.parametrize("stall_s", [0.1, 0.3, 0.6])
def test_a_short_stall_is_no_silence(stall_s: float) -> None:
    network = Network()
    a, b = call(network)
    talk(network, (a, b), 10)
    network.blocked = lambda source, to, data: True
    talk(network, (a, b), stall_s)
    network.blocked = lambda source, to, data: False
    talk(network, (a, b), 10)
    assert not any(party.told(kind) for party in (a, b) for kind in ALARMS)


def test_a_round_trip_that_grows_is_no_silence() -> None:
    """A queue that fills somewhere: 20 ms become 800 within ten seconds."""
    network = Network(delay_s=0.01)
    a, b = call(network)
    for step in range(40):
        network.delay_s = 0.01 + step * 0.01
        talk(network, (a, b), 0.25)
    talk(network, (a, b), 60)
    assert not any(party.told(kind) for party in (a, b) for kind in ALARMS)


@pytest.mark.parametrize("cut_s", [3.0, 8.0, 25.0])
def test_an_interruption_that_ends_is_noticed_at_once(cut_s: float) -> None:
    network = Network()
    a, b = call(network)
    talk(network, (a, b), 10)
    network.blocked = lambda source, to, data: True
    talk(network, (a, b), cut_s)
    network.blocked = lambda source, to, data: False
    assert until(network, lambda: bool(a.told(Recovered) and b.told(Recovered))) <= 0.6
    assert a.snapshot().state is IceState.COMPLETED
    talk(network, (a, b), 20)
    assert (len(a.told(Silent)), len(a.told(Interrupted)), len(a.told(Recovered))) == (1, 1, 1)


def test_a_silence_that_was_never_shown_recovers_too() -> None:
    network = Network()
    a, b = call(network)
    talk(network, (a, b), 10)
    network.blocked = lambda source, to, data: True
    until(network, lambda: bool(a.told(Silent)))
    network.blocked = lambda source, to, data: False
    network.run(1)
    assert (a.told(Recovered), a.told(Interrupted)) == ([Recovered("audio")], [])


def test_after_consent_has_expired_no_data_leaves_and_the_peer_is_found_again() -> None:
    network = Network()
    a, b = call(network)
    talk(network, (a, b), 10)
    network.blocked = lambda source, to, data: True
    lost_s = until(network, lambda: bool(a.told(ConsentExpired)))
    assert 24 <= lost_s <= 30.1  # counted from the last answer (RFC 7675 section 5.1)
    assert not a.send(b"\x80x")
    assert a.snapshot().state is IceState.FAILED
    before = len(network.sent)
    network.run(10)
    mine = [data for source, _, data in network.sent[before:] if source[0] == "198.51.100.1"]
    assert {Message.parse(data).message_class for data in mine} == {MessageClass.REQUEST}
    assert 9 <= len(mine) <= 11
    network.blocked = lambda source, to, data: False
    assert until(network, lambda: bool(a.told(Reachable))) <= 1.1
    assert not a.send(b"\x80 not without a new agreement")
    assert not a.told(Failed)


def test_probing_a_lost_path_ends() -> None:
    network = Network()
    a, _ = call(network)
    network.blocked = lambda source, to, data: True
    network.run(400)
    before = len(network.sent)
    network.run(3600)
    assert len(network.sent) == before
    assert a.core.next_timeout() is None


def test_a_call_with_a_hundred_pairs_is_woken_for_its_consent_only() -> None:
    """What is not needed any more costs nothing: an hour is some hundred wake-ups, however many pairs there are."""
    network = Network()
    a = Party(network, network.internet, [f"198.51.100.{at}" for at in range(1, 9)], IceConfig(), controlling=True)
    b = Party(network, network.internet, "198.51.100.20", IceConfig(), controlling=False)
    nobody = tuple(
        Candidate(f"n{at}", 1, "udp", 1000 + at, f"203.0.113.{at}", 5000, CandidateType.HOST) for at in range(1, 31)
    )
    b.set_remote(a.local())
    a.set_remote(replace(b.local(), candidates=b.local().candidates + nobody))
    a.start()
    b.start()
    network.run(30, lambda: a.done and b.done)
    assert len(a.snapshot().pairs) == 100
    network.run(30)
    woken = 0

    def count(now: float) -> None:
        nonlocal woken
        woken += 1
        a.handle_timeout(now)

    network.timers[0] = (a.core.next_timeout, count)
    network.run(3600)
    assert 3600 / 6 <= woken <= 2 * 3600 / 4


def test_a_better_pair_that_is_nominated_ends_the_silence_of_the_one_before() -> None:
    """An old peer nominates one pair after the other, and the first has died meanwhile."""
    network = Network()
    mine = Party(network, network.internet, "198.51.100.1", IceConfig(), controlling=False)
    theirs = Party(network, network.internet, ["198.51.100.2", "198.51.100.3"], IceConfig(), controlling=True)
    theirs.core.expect_forks(True, network.now)  # it gives no candidate back
    network.blocked = lambda source, to, data: "198.51.100.2" in (source[0], to[0])
    connect(theirs, mine)
    network.blocked = lambda source, to, data: True
    until(network, lambda: bool(mine.told(Interrupted)))
    checklist = theirs.leg.agent.lists["audio"]
    better = checklist.pairs[0]
    assert better.local.candidate.address == "198.51.100.2"
    network.blocked = lambda source, to, data: "198.51.100.3" in (source[0], to[0])
    checklist.nominating = better
    checklist.trigger(better)
    theirs.handle_timeout(network.now)
    until(network, lambda: bool(mine.told(Recovered)), 3)
    (pair,) = (pair for pair in mine.snapshot().pairs if pair.selected)
    assert mine.snapshot().remote[pair.remote].address == "198.51.100.2"
    assert mine.told(Recovered) == [Recovered("audio")]
    assert not mine.leg.agent.interrupted
