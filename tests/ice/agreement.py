"""Two agents on any network: what hypothesis may draw, and what must hold whatever it drew.

They agree on one pair, of which each sees its own side, or neither has a path in the end. Used by the quick test
beside this file and by the long runs in tests/fuzz.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from app.ice.candidates import Candidate
from app.ice.config import IceConfig
from app.ice.events import Connected, ConsentExpired, Failed, IceEvent, Nominated
from app.settings import HostPort, IcePolicy
from tests.ice.network import TURN, TURN_ADDRESS, Lan, Mode, Network, Party


@dataclass(frozen=True)
class Side:
    """One end: the NAT it stands behind (None: none), its addresses, and what it may ask of servers."""

    nat: Mode | None
    interfaces: int
    v6: bool
    v4: bool
    servers: str  # "none", "stun", "turn", "relay only"
    trickle: bool
    controlling: bool
    signalling_s: float  # until the peer has its description


@dataclass(frozen=True)
class World:
    a: Side
    b: Side
    one_lan: bool
    delay_s: float
    jitter_s: float
    loss: float
    outage: tuple[float, float]  # after how many seconds nothing arrives, and for how long
    flows: tuple[str, ...]
    seed: int


SIDES = st.builds(
    Side,
    nat=st.sampled_from([None, *Mode]),
    interfaces=st.integers(1, 2),
    v6=st.booleans(),
    v4=st.sampled_from([True, True, True, False]),
    servers=st.sampled_from(["none", "stun", "turn", "relay only"]),
    trickle=st.booleans(),
    controlling=st.booleans(),
    signalling_s=st.sampled_from([0.0, 0.03, 0.3, 2.0]),
)
WORLDS = st.builds(
    World,
    a=SIDES,
    b=SIDES,
    one_lan=st.sampled_from([False, False, True]),
    delay_s=st.sampled_from([0.001, 0.02, 0.15, 0.4]),
    jitter_s=st.sampled_from([0.0, 0.0, 0.05, 0.3]),
    loss=st.sampled_from([0.0, 0.0, 0.05, 0.2, 0.4]),
    outage=st.tuples(st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0, 5.0]), st.sampled_from([0.0, 0.3, 2.0, 15.0])),
    flows=st.sampled_from([("0",), ("0", "0/2"), ("0", "1")]),
    seed=st.integers(0, 2**32),
)
SETTLED_S = 150.0  # both PAC timers, an outage and a consent timeout are over by then


def config_of(side: Side) -> IceConfig:
    stun = (HostPort(*TURN_ADDRESS),) if side.servers == "stun" else ()
    turn = (TURN,) if side.servers in ("turn", "relay only") else ()
    policy = IcePolicy.RELAY if side.servers == "relay only" else IcePolicy.ALL
    return IceConfig(stun_servers=stun, turn_servers=turn, policy=policy)


def addresses(side: Side, number: int) -> list[str]:
    inside = f"192.168.{number}." if side.nat is not None else f"198.51.100.{number}"
    v4 = [f"{inside}{10 + at}" for at in range(side.interfaces)] if side.v4 or not side.v6 else []
    return [*([f"2001:db8::{number}"] if side.v6 else []), *v4]


def place(network: Network, world: World, side: Side, number: int) -> Party:
    lan: Lan = network.internet
    if side.nat is not None:
        public = f"203.0.113.{10 + (1 if world.one_lan else number)}"
        lan = network.lans.get(public) or network.lan(side.nat, public)
    return Party(
        network, lan, addresses(side, number), config_of(side), controlling=side.controlling, streams=world.flows
    )


def signal(network: Network, world: World, side: Side, sender: Party, receiver: Party) -> None:
    """Send the description of one side to the other, whole or with its candidates one by one."""
    for stream in sender.streams:
        whole = sender.local(stream)
        if not side.trickle:
            network.after(side.signalling_s, lambda stream=stream, whole=whole: take(receiver, whole, stream))
            continue
        kept = network.rng.randrange(len(whole.candidates) + 1)
        first = replace(whole, candidates=whole.candidates[:kept], options=("ice2", "trickle"), end_of_candidates=False)
        network.after(side.signalling_s, lambda stream=stream, first=first: take(receiver, first, stream))
        later = list(whole.candidates[kept:])
        network.rng.shuffle(later)
        at = side.signalling_s
        for candidate in later:
            at += network.rng.choice([0.0, 0.02, 0.5])
            network.after(at, lambda stream=stream, candidate=candidate: add(receiver, candidate, stream))
        network.after(at + 0.1, lambda stream=stream: receiver.leg.agent.end_of_remote_candidates(stream))


def take(receiver: Party, description: object, stream: str) -> None:
    receiver.set_remote(description, stream)  # type: ignore[arg-type]
    receiver.start()


def add(receiver: Party, candidate: Candidate, stream: str) -> None:
    receiver.leg.agent.add_remote_candidate(stream, candidate, receiver.network.now)
    receiver.handle_timeout(receiver.network.now)


def run(world: World) -> tuple[Party, Party]:
    """Let both sides gather, signal and check until everything that can happen has happened."""
    network = Network(delay_s=world.delay_s, jitter_s=world.jitter_s, loss=0.0, seed=world.seed)
    network.add_turn()
    a, b = place(network, world, world.a, 1), place(network, world, world.b, 2)
    a.gather()
    b.gather()
    network.loss = world.loss
    start, length = network.now + world.outage[0], world.outage[1]
    network.blocked = lambda source, to, data: start <= network.now < start + length
    signal(network, world, world.a, a, b)
    signal(network, world, world.b, b, a)
    network.run(SETTLED_S)
    return a, b


IMPOSSIBLE = (frozenset({Mode.PORT_RESTRICTED, Mode.SYMMETRIC}), frozenset({Mode.SYMMETRIC}))


def must_connect(world: World) -> bool:
    """Tell whether there is a path for certain: nothing is lost, and what each side knows of itself suffices."""
    sides = (world.a, world.b)
    if world.loss or world.outage[1]:
        return False
    relay_only = any(side.servers == "relay only" for side in sides)
    if all(side.v6 for side in sides) and not relay_only:
        return True
    if not all(side.v4 or not side.v6 for side in sides):
        return False
    nats = [side.nat for side in sides]
    if not relay_only and (nats == [None, None] or (world.one_lan and None not in nats)):
        return True
    if not all(side.nat is None or side.servers != "none" for side in sides):
        return False  # one does not know its public address: the other's relay or NAT may not let it in
    if any(side.servers in ("turn", "relay only") for side in sides):
        return True
    return None in nats or frozenset(nats) not in IMPOSSIBLE


def has_path(party: Party, flow: str) -> bool:
    return party.leg.agent.path(flow) is not None and party.leg.agent.lists[flow].selected is not None


def told_of(party: Party, kind: type[IceEvent], flow: str) -> list[IceEvent]:
    return [event for event in party.told(kind) if getattr(event, "flow", None) == flow]


def assert_agreement(world: World, a: Party, b: Party) -> None:
    """Say that both sides tell the same story, flow by flow, and that it is a good one where it can be."""
    for flow in a.leg.agent.lists:
        assert has_path(a, flow) or not must_connect(world)
        assert world.loss or has_path(a, flow) is has_path(b, flow), "nobody goes on alone"
        for one, other in ((a, b), (b, a)):
            if not has_path(one, flow):
                failed, lost = told_of(one, Failed, flow), told_of(one, ConsentExpired, flow)
                assert failed or lost, "whoever has no path says so"
                assert not (failed and has_path(other, flow)), "who has failed answers nobody"
        if not (has_path(a, flow) and has_path(b, flow)):
            continue
        ends = [party.leg.agent.lists[flow].selected for party in (a, b)]
        mine, theirs = ends
        assert mine is not None
        assert theirs is not None
        assert mine.local.candidate.transport_address == theirs.remote.transport_address
        assert mine.remote.transport_address == theirs.local.candidate.transport_address
        assert a.leg.agent.controlling is not b.leg.agent.controlling
    for party in (a, b):
        assert_told_truly(party)


def assert_told_truly(party: Party) -> None:
    """Say that the events of one side fit together."""
    agent = party.leg.agent
    connected = bool(party.told(Connected))
    assert len(party.told(Connected)) <= 1
    assert connected == (agent.connected_at is not None)
    if connected and party.told(Failed):
        first = [event for event in party.events if isinstance(event, Connected | Failed)]
        assert isinstance(first[0], Failed), "a path that was there is lost, not failed"
    for flow, checklist in agent.lists.items():
        nominated = told_of(party, Nominated, flow)
        assert len(nominated) <= 1, "a regular nomination happens once"
        lost, failed = told_of(party, ConsentExpired, flow), told_of(party, Failed, flow)
        ended = bool(lost or failed)
        assert ended is (agent.path(flow) is None and checklist.remote is not None)
    assert len(party.snapshot().pairs) <= 100 + 2 * 16 * len(agent.lists)
