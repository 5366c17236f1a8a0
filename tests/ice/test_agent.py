"""The agent's rules one by one: roles, nomination, peer-reflexive candidates, consent, limits, bad peers."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from app.events import CandidateType, IceState, PairState
from app.ice.candidates import Candidate, IceDescription, IceError
from app.ice.config import IceConfig, Timing
from app.ice.core import IceCore
from app.ice.events import (
    BindingRequestSeen,
    Failed,
    IceEvent,
    PairChanged,
    PairFormed,
)
from app.ice.stun import Attribute, Message, MessageClass, Method
from tests.ice.network import TURN, Mode, Network, Party, connect

CONFIG = IceConfig()


def two(
    network: Network, config: IceConfig = CONFIG, roles: tuple[bool, bool] = (True, False), **options: object
) -> tuple[Party, Party]:
    """Two hosts of one public network."""
    return (
        Party(network, network.internet, "198.51.100.1", config, controlling=roles[0], **options),  # type: ignore[arg-type]
        Party(network, network.internet, "198.51.100.2", config, controlling=roles[1], **options),  # type: ignore[arg-type]
    )


def begin_together(a: Party, b: Party) -> None:
    """Begin the checks of both sides at one moment, with both descriptions known."""
    a.gather()
    b.gather()
    a.set_remote(b.local("audio"), "audio")
    b.set_remote(a.local("audio"), "audio")
    a.start()
    b.start()


def check(party: Party, *, key: str | None = None, tid: bytes = bytes(12), **changes: int | bool | str) -> bytes:
    """Write a check that asks this party, as an authenticated peer with fragment `theirs` would."""
    message = Message(Method.BINDING, MessageClass.REQUEST, tid)
    local = party.local()
    message.add_text(Attribute.USERNAME, f"{local.ufrag}:{changes.get('theirs', 'peer')}")
    if changes.get("priority", True):
        message.add_number(Attribute.PRIORITY, int(changes.get("priority", 1862270975)))
    if "controlling" in changes:
        message.add_number(Attribute.ICE_CONTROLLING, int(changes["controlling"]), 8)
    if "controlled" in changes:
        message.add_number(Attribute.ICE_CONTROLLED, int(changes["controlled"]), 8)
    if changes.get("use_candidate"):
        message.add(Attribute.USE_CANDIDATE)
    if "unknown" in changes:
        message.add(int(changes["unknown"]))
    return message.encode((key or local.pwd).encode(), fingerprint=True)


def answers(party: Party, network: Network, data: bytes) -> list[Message]:
    """Hand a datagram to a party's first socket from a stranger's address, and give what goes back there."""
    before = len(network.sent)
    party.core.receive(1, data, ("198.51.100.99", 7000), network.now)
    party.flush()
    return [Message.parse(one) for _, to, one in network.sent[before:] if to == ("198.51.100.99", 7000)]


# Roles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("roles", [(True, True), (False, False)])
@pytest.mark.parametrize("seed", range(8))
def test_a_role_conflict_settles_whoever_has_the_larger_number(roles: tuple[bool, bool], seed: int) -> None:
    network = Network(seed=seed)
    a, b = two(network, roles=roles)
    took_s = connect(a, b)
    assert a.leg.agent.controlling is not b.leg.agent.controlling
    assert took_s < 0.5
    pairs = [party.leg.agent.lists["audio"].selected for party in (a, b)]
    assert pairs[0] is not None
    assert pairs[1] is not None
    assert pairs[0].priority == pairs[1].priority


@pytest.mark.parametrize(
    ("controlling", "theirs", "code"),
    [
        (True, {"controlling": 0}, 487),
        (True, {"controlling": 2**64 - 1}, None),
        (False, {"controlled": 2**64 - 1}, 487),
        (False, {"controlled": 0}, None),
        (True, {"controlled": 0}, None),
        (False, {"controlling": 0}, None),
    ],
)
def test_role_table(controlling: bool, theirs: dict[str, int], code: int | None) -> None:
    """RFC 8445 section 7.3.1.1."""
    network = Network()
    party = Party(network, network.internet, "198.51.100.1", CONFIG, controlling=controlling)
    (answer,) = answers(party, network, check(party, **theirs))
    assert (answer.error() or (None,))[0] == code
    same_sort = ("controlling" in theirs) is controlling
    switched = same_sort and code is None
    assert party.leg.agent.controlling is (controlling is not switched)


def test_no_role_is_changed_before_the_password_is_right() -> None:
    network = Network()
    party = Party(network, network.internet, "198.51.100.1", CONFIG, controlling=True)
    assert answers(party, network, check(party, key="not the password", controlling=2**64 - 1)) == []
    assert party.leg.agent.controlling
    assert not party.told(BindingRequestSeen)


def test_a_lite_peer_is_controlled_by_us() -> None:
    network = Network()
    party = Party(network, network.internet, "198.51.100.1", CONFIG, controlling=False)
    party.set_remote(IceDescription("peer", "p" * 22, (host("198.51.100.9"),), lite=True))
    assert party.leg.agent.controlling


# What strangers and peers may do -----------------------------------------------------------------------------


def host(address: str, port: int = 5000, priority: int = 2130706431) -> Candidate:
    return Candidate("1", 1, "udp", priority, address, port, CandidateType.HOST)


def test_a_stranger_gets_no_answer_of_any_kind() -> None:
    network = Network()
    party = Party(network, network.internet, "198.51.100.1", CONFIG, controlling=True)
    local = party.local()
    plain = Message(Method.BINDING, MessageClass.REQUEST, bytes(12))
    named = Message(Method.BINDING, MessageClass.REQUEST, bytes(12)).add_text(Attribute.USERNAME, f"{local.ufrag}:x")
    for data in (plain.encode(), named.encode(b"guess"), named.encode(), b"\0" * 20, b"", b"\x80rtp", bytes(3)):
        assert answers(party, network, data) == []
    assert sum(party.core.counters.values()) + sum(party.leg.agent.counters.values()) == 7


def test_an_authentic_check_with_unknown_attributes_or_no_priority_is_refused() -> None:
    network = Network()
    party = Party(network, network.internet, "198.51.100.1", CONFIG, controlling=True)
    (answer,) = answers(party, network, check(party, unknown=0x7777))
    assert (answer.error() or (0,))[0] == 420
    assert answer.get(Attribute.UNKNOWN_ATTRIBUTES) == b"\x77\x77"
    (answer,) = answers(party, network, check(party, priority=0))
    assert (answer.error() or (0,))[0] == 400


def test_the_first_authentic_check_is_told_once() -> None:
    network = Network()
    party = Party(network, network.internet, "198.51.100.1", CONFIG, controlling=False)
    for at in range(3):
        answers(party, network, check(party, tid=bytes([at] * 12)))
    assert party.told(BindingRequestSeen) == [BindingRequestSeen("audio")]


def test_many_candidates_make_a_bounded_number_of_pairs() -> None:
    network = Network()
    hosts = [f"198.51.100.{at}" for at in range(1, 9)]
    party = Party(network, network.internet, hosts, CONFIG, controlling=True, streams=("audio", "video"))
    many = tuple(host(f"203.0.113.{at % 250}", 2000 + at, 2130706431 - at) for at in range(5000))
    for stream in ("audio", "video"):
        party.set_remote(IceDescription("peer", "p" * 22, many), stream)
    party.start()
    snapshot = party.snapshot()
    assert len(snapshot.pairs) == 100
    assert len(snapshot.remote) == 64
    assert snapshot.problems == ("The other side offered more than 32 addresses; the rest is not tried.",)
    network.run(200)
    assert snapshot.state is IceState.CHECKING
    assert party.snapshot().state is IceState.FAILED
    assert len(network.sent) <= 700


def test_a_peer_that_changes_its_port_with_every_check_is_bounded() -> None:
    network = Network()
    party = Party(network, network.internet, "198.51.100.1", CONFIG, controlling=False)
    party.set_remote(IceDescription("peer", "p" * 22))
    party.start()
    for at in range(500):
        data = check(party, tid=at.to_bytes(12, "big"), controlling=1)
        party.core.receive(1, data, ("198.51.100.99", 1024 + at), network.now)
        party.flush()
    assert len(party.snapshot().remote) == 16
    assert len(party.snapshot().pairs) == 16


def test_early_checks_are_kept_in_a_bounded_number() -> None:
    network = Network()
    party = Party(network, network.internet, "198.51.100.1", CONFIG, controlling=True)
    for at in range(500):
        answers(party, network, check(party, tid=at.to_bytes(12, "big"), controlled=1))
    assert len(party.leg.agent.lists["audio"].early) == 32


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (host("phone.example.org"), "phone.example.org"),
        (host("abc.local"), None),
        (host("224.0.0.1"), "nobody"),
        (host("0.0.0.0"), "nobody"),
        (host("255.255.255.255"), "nobody"),
        (host("198.51.100.9", 0), "nobody"),
        (host("::ffff:198.51.100.9"), "must not be used"),
        (replace(host("198.51.100.9"), protocol="tcp"), None),
        (replace(host("198.51.100.9"), component=2), None),
    ],
)
def test_candidates_that_lead_nowhere_are_left_out(candidate: Candidate, said: str | None) -> None:
    network = Network()
    party = Party(network, network.internet, "198.51.100.1", CONFIG, controlling=True)
    party.set_remote(IceDescription("peer", "p" * 22, (candidate,)))
    party.start()
    network.run(60)
    assert network.sent == []
    problems = party.snapshot().problems
    assert (said in problems[0]) if said else problems == ()
    assert party.told(Failed) == [Failed("audio", "The other side named no network address that can be used.")]


def test_loopback_is_only_checked_from_loopback() -> None:
    network = Network()
    party = Party(network, network.internet, ["198.51.100.1", "127.0.0.1", "fd00::1"], CONFIG, controlling=True)
    party.set_remote(IceDescription("peer", "p" * 22, (host("127.0.0.1"), host("fd00::9"))))
    party.start()
    pairs = [(party.snapshot().local[pair.local].address, pair.remote) for pair in party.snapshot().pairs]
    assert sorted(pairs) == [("127.0.0.1", 0), ("fd00::1", 1)]


def test_other_credentials_are_refused_and_the_same_are_harmless() -> None:
    network = Network()
    a, b = two(network)
    connect(a, b)
    a.set_remote(b.local())
    a.set_remote(replace(b.local(), candidates=b.local().candidates[:1]))
    with pytest.raises(IceError, match="restart"):
        a.set_remote(IceDescription("other", "p" * 22))
    assert a.send(b"\x80x")
    assert len(a.snapshot().pairs) == 1


def test_an_answer_from_elsewhere_fails_the_pair() -> None:
    """RFC 8445 section 7.2.5.2.1: addresses must be symmetric."""
    network = Network()
    a, b = two(network)
    a.set_remote(b.local())
    a.start()
    (_, _, request) = network.sent[0]
    reply = Message.parse(request).success().add_address(Attribute.XOR_MAPPED_ADDRESS, ("198.51.100.1", 4000))
    data = reply.encode(b.local().pwd.encode(), fingerprint=True)
    a.core.receive(1, data, ("198.51.100.66", 1), network.now)
    (pair,) = a.snapshot().pairs
    assert pair.state is PairState.FAILED
    assert pair.reason == "the answer came from 198.51.100.66:1 instead"


def test_a_forged_success_changes_nothing() -> None:
    network = Network()
    a, b = two(network)
    a.set_remote(b.local())
    a.start()
    (_, _, request) = network.sent[0]
    reply = Message.parse(request).success().add_address(Attribute.XOR_MAPPED_ADDRESS, ("198.51.100.1", 4000))
    for data in (reply.encode(), reply.encode(b"guess", fingerprint=True)):
        a.core.receive(1, data, ("198.51.100.2", 4000), network.now)
    assert a.snapshot().pairs[0].state is PairState.IN_PROGRESS
    assert not a.send(b"\x80x")


@pytest.mark.parametrize("code", [400, 401, 420, 487])
def test_a_refusal_that_anybody_can_have_written_is_not_believed(code: int) -> None:
    """Who shares the network with us sees our checks, and answers them sooner than the peer."""
    network = Network(delay_s=0.05)
    a, b = two(network)
    begin_together(a, b)
    checks = [data for source, _, data in network.sent if source == ("198.51.100.1", 4000)]
    for data in checks:
        forged = Message.parse(data).failure(code, "No").encode(fingerprint=True)
        a.core.receive(1, forged, ("198.51.100.2", 4000), network.now)
    assert a.snapshot().pairs[0].state is PairState.IN_PROGRESS
    assert a.leg.agent.controlling
    assert network.run(1, lambda: a.connected) <= 0.1001
    assert a.snapshot().pairs[0].reason is None


def test_data_is_taken_from_authenticated_addresses_only() -> None:
    network = Network()
    a, b = two(network)
    assert a.core.receive(1, b"\x80x", ("198.51.100.2", 4000), network.now) is None
    connect(a, b)
    assert a.core.receive(1, b"\x80x", ("198.51.100.2", 4001), network.now) is None
    assert a.core.receive(1, b"\x80x", ("198.51.100.2", 4000), network.now) == (a.leg, "audio", b"\x80x")
    assert a.core.counters["data from strangers"] == 2


def test_random_bytes_in_every_state_raise_nothing() -> None:
    network = Network()
    a, b = two(network)
    rng = random.Random(5)

    def storm(core: IceCore) -> None:
        for _ in range(300):
            data = rng.randbytes(rng.randrange(60))
            if rng.random() < 0.7:
                body = rng.randbytes(4 * rng.randrange(20))
                kind = rng.choice([0x0001, 0x0101, 0x0111, 0x0011, 0x0003])
                data = kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + body
            core.receive(1, data, ("198.51.100.2", 4000), network.now)

    storm(a.core)
    connect(a, b)
    storm(a.core)
    assert a.snapshot().state is IceState.COMPLETED


# Peer-reflexive candidates, freezing -------------------------------------------------------------------------


def test_both_sides_learn_reflexive_addresses_nobody_signalled() -> None:
    """No server at all: one is behind a NAT, the other on the open network."""
    network = Network()
    a = Party(network, network.lan(Mode.PORT_RESTRICTED, "203.0.113.11"), "192.168.1.10", CONFIG, controlling=True)
    b = Party(network, network.internet, "198.51.100.2", CONFIG, controlling=False)
    connect(a, b)
    assert a.selected() == ("prflx", "host")
    assert b.selected() == ("host", "prflx")
    info = a.snapshot().local[-1]
    assert (info.type, info.address, info.base) == (CandidateType.PRFLX, "203.0.113.11", "192.168.1.10:4000")


def test_one_pair_of_a_foundation_is_tried_first_and_success_frees_the_rest() -> None:
    network = Network(delay_s=0.2)
    a, b = two(network, streams=("audio", "video"))
    a.set_remote(b.local("audio"), "audio")
    a.set_remote(b.local("video"), "video")
    a.start()
    states = [event.state for event in a.events if isinstance(event, PairFormed | PairChanged)]
    assert states == [PairState.WAITING, PairState.FROZEN, PairState.IN_PROGRESS]


def test_a_pair_that_is_asked_in_vain_does_not_hold_its_foundation_for_ever() -> None:
    """The first of two ways of one foundation is dead: the other is tried long before the first is given up."""
    network = Network(delay_s=0.01)
    a = Party(network, network.internet, "198.51.100.1", CONFIG, controlling=True)
    b = Party(network, network.internet, "198.51.100.2", CONFIG, controlling=False)
    a.gather()
    b.gather()
    here, dead = b.local().candidates[0], host("203.0.113.99", 9, b.local().candidates[0].priority + 1)
    a.set_remote(replace(b.local(), candidates=(replace(dead, foundation=here.foundation), here)))
    a.start()  # the peer does not check by itself
    network.run(3, lambda: bool(a.told(PairChanged) and a.leg.agent.lists["audio"].best_valid()))
    assert a.leg.agent.lists["audio"].best_valid() is not None


def test_checks_are_paced_by_the_slower_of_both_sides() -> None:
    network = Network()
    a = Party(network, network.internet, ["198.51.100.1", "198.51.100.3"], CONFIG, controlling=True)
    remote = tuple(replace(host(f"203.0.113.{at}"), foundation=str(at)) for at in range(1, 6))
    a.set_remote(IceDescription("peer", "p" * 22, remote, pacing_ms=80))
    a.start()
    sent = [len(network.sent)]
    for _ in range(4):
        network.run(0.08)
        sent.append(len(network.sent))
    assert sent == [1, 2, 3, 4, 5]


def test_without_a_word_on_pacing_the_peer_gets_fifty_milliseconds() -> None:
    network = Network()
    a = Party(network, network.internet, ["198.51.100.1", "198.51.100.3"], CONFIG, controlling=True)
    a.set_remote(IceDescription("peer", "p" * 22, (host("203.0.113.1"), host("203.0.113.2"))))
    a.start()
    assert network.run(1, lambda: len(network.sent) > 1) == pytest.approx(0.05)


# Failing, consent ------------------------------------------------------------------------------------------------


def test_nothing_fails_before_the_pac_timer() -> None:
    network = Network()
    a, b = two(network)
    network.blocked = lambda source, to, data: True
    connect(a, b, patience_s=39.4)
    assert a.snapshot().state is IceState.CHECKING
    network.run(1)
    assert a.snapshot().state is IceState.FAILED
    assert a.core.next_timeout() is None


def test_without_candidates_of_the_peer_it_waits_for_its_checks() -> None:
    """RFC 8863: a peer that signalled nothing may still be heard from."""
    network = Network()
    a, b = two(network)
    a.set_remote(replace(b.local(), candidates=()))
    a.start()
    network.run(20)
    b.set_remote(a.local())
    b.start()
    network.run(5, lambda: a.done and b.done)
    assert a.selected() == ("host", "prflx")


def test_consent_is_asked_for_every_four_to_six_seconds() -> None:
    network = Network()
    a, b = two(network)
    connect(a, b)
    network.run(3)
    asked: list[float] = []
    seen = len(network.sent)
    for _ in range(6000):
        network.run(0.01)
        asked += [
            network.now
            for source, _, data in network.sent[seen:]
            if source == ("198.51.100.1", 4000) and Message.parse(data).message_class is MessageClass.REQUEST
        ]
        seen = len(network.sent)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert len(gaps) >= 9
    assert all(3.98 <= gap <= 6.02 for gap in gaps)
    assert len({round(gap, 2) for gap in gaps}) > 5


def test_round_trips_are_measured_and_stay_fresh() -> None:
    network = Network(delay_s=0.03)
    a, b = two(network)
    connect(a, b)
    assert a.snapshot().pairs[0].rtt_s == pytest.approx(0.06)
    network.delay_s = 0.1
    network.run(10)
    assert a.snapshot().pairs[0].rtt_s == pytest.approx(0.2)


def test_bindings_are_kept_open_while_the_person_dials() -> None:
    """Gathered long before the call is placed: the NAT must not forget the reflexive address."""
    network = Network()
    network.add_turn()
    lan = network.lan(Mode.FULL_CONE, "203.0.113.11")
    party = Party(network, lan, "192.168.1.10", IceConfig(turn_servers=(TURN,)), controlling=True)
    party.gather()
    before = len(network.sent)
    network.run(60)
    kept = [Message.parse(data) for _, _, data in network.sent[before:]]
    assert {one.message_class for one in kept} == {MessageClass.INDICATION}
    assert len(kept) in (3, 4)


def test_an_idle_core_asks_for_no_timer() -> None:
    network = Network()
    party = Party(network, network.internet, "198.51.100.1", CONFIG, controlling=True)
    assert party.core.next_timeout() is None
    party.gather()
    assert party.core.next_timeout() is None


def test_the_timing_can_be_set() -> None:
    network = Network()
    a, b = two(network, IceConfig(timing=Timing(patience_s=2, rto_s=0.1)))
    network.blocked = lambda source, to, data: True
    connect(a, b, patience_s=2.1)
    assert "in 2 s" in str(a.events[-1])


def test_events_are_told_in_the_order_in_which_things_happen() -> None:
    network = Network()
    a, b = two(network)
    connect(a, b)
    kinds: list[type[IceEvent]] = list(dict.fromkeys(type(event) for event in b.events))
    assert [kind.__name__ for kind in kinds] == [
        "CandidateGathered",
        "Gathered",
        "PairFormed",
        "PairChanged",
        "CheckSent",
        "CheckAnswered",
        "BindingRequestSeen",
        "Connected",
        "Nominated",
        "Completed",
    ]
