"""What a peer that means ill can make an agent keep: every list of it has an end, whatever comes in which order."""

from __future__ import annotations

from app.events import CandidateType
from app.ice.candidates import Candidate, IceDescription
from app.ice.config import IceConfig
from app.ice.core import IceCore
from app.ice.stun import Attribute, Message, MessageClass, Method
from tests.ice.network import Network, Party

PWD = "p" * 22


def party(network: Network) -> Party:
    return Party(network, network.internet, "198.51.100.1", IceConfig(), controlling=False)


def check(core: IceCore, ufrag: str, at: int) -> bytes:
    """Write an authentic check of a peer that calls itself so."""
    local = core.local(core.legs[0], "audio")
    message = Message(Method.BINDING, MessageClass.REQUEST, at.to_bytes(12, "big"))
    message.add_text(Attribute.USERNAME, f"{local.ufrag}:{ufrag}")
    message.add_number(Attribute.PRIORITY, 1 + at)
    message.add_number(Attribute.ICE_CONTROLLING, 1, 8)
    return message.encode(local.pwd.encode(), fingerprint=True)


def test_checks_under_ever_new_names_are_kept_in_a_bounded_number() -> None:
    network = Network()
    one = party(network)
    for at in range(3000):
        one.core.receive(1, check(one.core, f"name{at}", at), ("198.51.100.99", 1024 + at), network.now)
        one.flush()
    forks = [one.core.fork(one.leg) for _ in range(3)]
    for leg in (one.leg, *forks):
        assert len(leg.agent.lists["audio"].early) == 32
    one.set_remote(IceDescription("name5", PWD))
    one.start()
    for at in range(3000):
        one.core.receive(1, check(one.core, f"name{at}", at), ("198.51.100.99", 1024 + at), network.now)
        one.flush()
    for leg in (one.leg, *forks):
        assert len(leg.agent.lists["audio"].early) <= 32
        assert len(leg.agent.counters) < 10
    assert len(one.leg.agent.lists["audio"].pairs) <= 32


def test_addresses_that_are_learned_and_then_signalled_count_like_any_other() -> None:
    """Each check teaches an address, each candidate makes it a signalled one: a room that must not grow."""
    network = Network()
    one = party(network)
    one.set_remote(IceDescription("peer", PWD, (), options=("trickle",)))
    one.start()
    for at in range(500):
        place = ("198.51.100.99", 1024 + at)
        one.core.receive(1, check(one.core, "peer", at), place, network.now)
        one.flush()
        signalled = Candidate("1", 1, "udp", 5, *place, CandidateType.HOST)
        one.leg.agent.add_remote_candidate("audio", signalled, network.now)
    checklist = one.leg.agent.lists["audio"]
    assert len(checklist.remotes) <= 32 + 16
    assert len(checklist.pairs) <= 100
    assert len(one.leg.agent.routes) <= 100
    assert len(one.snapshot().problems) <= 16


def test_malformed_checks_of_every_length_make_one_counter() -> None:
    network = Network()
    one = party(network)
    for length in range(764, 1400):
        message = Message(Method.BINDING, MessageClass.REQUEST, bytes(12))
        message.add(Attribute.USERNAME, b"x" * length)
        one.core.receive(1, message.encode(), ("198.51.100.99", 5), network.now)
    assert one.leg.agent.counters == {"malformed": 636}


def test_events_are_handed_on_and_not_kept() -> None:
    network = Network()
    one = party(network)
    one.set_remote(IceDescription("peer", PWD))
    one.start()
    for at in range(500):
        one.core.receive(1, check(one.core, "peer", at), ("198.51.100.99", 1024 + at), network.now)
        one.flush()
    assert not one.core.events
    assert not one.leg.agent.events
    assert not one.leg.agent.packets
