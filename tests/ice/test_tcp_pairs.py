"""Pairs over TCP in the pure agent (RFC 6544): who may be paired, in which order, and how a check is sent there."""

from __future__ import annotations

import random

import pytest

from app.events import CandidateType, PairState
from app.ice.agent import IceAgent
from app.ice.candidates import (
    Candidate,
    IceDescription,
    TcpType,
    candidate_priority,
    pair_priority,
    tcp_local_preference,
)
from app.ice.checklist import LocalCandidate
from app.ice.config import Timing
from app.ice.pairing import can_pair
from app.ice.stun import Address, Message, MessageClass

HOST = CandidateType.HOST
ACTIVE_PORT = 9

UDP_BASE = 3


def tcp(kind: TcpType, address: Address, *, other: int = 8191) -> Candidate:
    priority = candidate_priority(HOST, tcp_local_preference(HOST, kind, other), 1, "tcp")
    return Candidate("t", 1, "tcp", priority, *address, HOST, extensions=(("tcptype", kind.value),))


def local(candidate: Candidate, base: int) -> LocalCandidate:
    return LocalCandidate(candidate, base, candidate.transport_address)


class Ends:
    """Two agents of which the first may connect to the second and back; base 1 is active, base 2 passive."""

    def __init__(self) -> None:
        self.now = 10.0
        self.agents = [IceAgent(at == 0, Timing(), random.Random(at).getrandbits) for at in range(2)]
        self.sent: list[tuple[int, int, Address, bytes]] = []
        self.deaf = False
        self.udp_from = 0.0  # before, what goes over UDP is lost
        self._connections: dict[tuple[int, int, Address], tuple[int, int, Address]] = {}
        for at, agent in enumerate(self.agents):
            agent.add_flow("0")
            host = f"198.51.100.{at + 1}"
            agent.add_local("0", local(tcp(TcpType.ACTIVE, (host, ACTIVE_PORT)), 1))
            agent.add_local("0", local(tcp(TcpType.PASSIVE, (host, 7000)), 2))

    def describe(self, at: int) -> IceDescription:
        checklist = self.agents[at].lists["0"]
        candidates = tuple(one.candidate for one in checklist.locals)
        return IceDescription(checklist.ufrag, checklist.pwd, candidates, pacing_ms=20, end_of_candidates=True)

    def start(self) -> None:
        for at, agent in enumerate(self.agents):
            agent.set_remote("0", self.describe(1 - at), self.now)
            agent.start(self.now)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            self._deliver()
            times = [at for agent in self.agents if (at := agent.next_timeout()) is not None]
            if not times or min(times) > end:
                self.now = end
                return
            self.now = max(self.now, min(times))
            for agent in self.agents:
                agent.handle_timeout(self.now)

    def _deliver(self) -> None:
        for at, agent in enumerate(self.agents):
            while agent.packets:
                base, data, to = agent.packets.popleft()
                self.sent.append((at, base, to, data))
                if not self.deaf and (base != UDP_BASE or self.now >= self.udp_from):
                    other, there, source = self._connection(at, base, to)
                    self.agents[other].receive(there, Message.parse(data), source, self.now)
        if any(agent.packets for agent in self.agents):
            self._deliver()

    def _connection(self, at: int, base: int, to: Address) -> tuple[int, int, Address]:
        """Open a connection to the passive base, or use the one that there is."""
        if base == UDP_BASE:
            return 1 - at, base, (f"198.51.100.{at + 1}", 8000)
        key = (at, base, to)
        if key not in self._connections:
            assert base == 1, "a passive base opens nothing"
            mine = (f"198.51.100.{at + 1}", 50000 + len(self._connections))
            self._connections[key] = (1 - at, 2, mine)
            self._connections[1 - at, 2, mine] = (at, 1, to)
        return self._connections[key]


@pytest.mark.parametrize(
    ("mine", "theirs", "paired"),
    [
        (TcpType.ACTIVE, TcpType.PASSIVE, True),
        (TcpType.SO, TcpType.SO, True),
        (TcpType.PASSIVE, TcpType.ACTIVE, False),
        (TcpType.ACTIVE, TcpType.ACTIVE, False),
        (TcpType.PASSIVE, TcpType.PASSIVE, False),
        (TcpType.ACTIVE, TcpType.SO, False),
        (TcpType.SO, TcpType.PASSIVE, False),
    ],
)
def test_who_connects_to_whom(mine: TcpType, theirs: TcpType, paired: bool) -> None:
    """RFC 6544 section 6.2; a passive candidate only waits."""
    one = local(tcp(mine, ("198.51.100.1", 5000)), 1)
    assert can_pair(one, tcp(theirs, ("198.51.100.2", 5000))) is paired


def test_tcp_is_never_paired_with_udp() -> None:
    udp = Candidate("1", 1, "udp", 1, "198.51.100.2", 5000, HOST)
    assert not can_pair(local(tcp(TcpType.ACTIVE, ("198.51.100.1", 9)), 1), udp)
    assert not can_pair(local(udp, 1), tcp(TcpType.PASSIVE, ("198.51.100.1", 9)))


def test_local_preferences_of_tcp_are_those_of_the_rfc() -> None:
    """RFC 6544 section 4.2."""
    of = tcp_local_preference
    assert [of(HOST, kind, 0) >> 13 for kind in (TcpType.ACTIVE, TcpType.PASSIVE, TcpType.SO)] == [6, 4, 2]
    srflx = CandidateType.SRFLX
    assert [of(srflx, kind, 0) >> 13 for kind in (TcpType.SO, TcpType.ACTIVE, TcpType.PASSIVE)] == [6, 4, 2]
    assert of(CandidateType.RELAY, TcpType.ACTIVE, 8191) == 6 * 8192 + 8191 <= 65535


def test_direct_udp_comes_before_direct_tcp_and_that_before_any_relay() -> None:
    udp = [candidate_priority(kind, 0) for kind in (HOST, CandidateType.PRFLX, CandidateType.SRFLX)]
    over_tcp = [
        candidate_priority(kind, tcp_local_preference(kind, direction, 8191), 1, "tcp")
        for kind in (HOST, CandidateType.PRFLX, CandidateType.SRFLX)
        for direction in TcpType
    ]
    relay = candidate_priority(CandidateType.RELAY, 65535)
    pairs = [
        [pair_priority(min(group), max(group)) for group in (udp, over_tcp)],
        [pair_priority(relay, max(udp)), pair_priority(relay, max(over_tcp))],
    ]
    assert pairs[0][0] > pair_priority(max(over_tcp), max(over_tcp))
    assert min(pairs[0]) > max(pairs[1])


def test_two_ends_connect_over_tcp_and_agree() -> None:
    ends = Ends()
    ends.start()
    ends.run(2)
    selected = [agent.lists["0"].selected for agent in ends.agents]
    assert selected[0] is not None
    assert selected[1] is not None
    assert {selected[0].local.base, selected[1].local.base} == {1, 2}, "one end of one connection each"
    active, passive = (selected[0], selected[1]) if selected[0].local.base == 1 else (selected[1], selected[0])
    assert active.local.candidate.type is HOST, "our own active end is no unknown address"
    assert (passive.remote.type, passive.remote.tcptype) == (CandidateType.PRFLX, TcpType.ACTIVE)
    assert all(to[1] != ACTIVE_PORT for _, _, to, _ in ends.sent), "nobody connects to an active candidate"


def test_tcp_is_not_taken_while_udp_needs_its_retransmission() -> None:
    ends = Ends()
    for at, agent in enumerate(ends.agents):
        place = (f"198.51.100.{at + 1}", 8000)
        agent.add_local("0", local(Candidate("u", 1, "udp", candidate_priority(HOST, 65535), *place, HOST), UDP_BASE))
    ends.udp_from = ends.now + 0.3  # the first check of each side is lost
    ends.start()
    ends.run(2)
    for agent in ends.agents:
        selected = agent.lists["0"].selected
        assert selected is not None
        assert selected.local.protocol == "udp"


def test_a_check_over_tcp_is_sent_once_and_still_given_up() -> None:
    ends = Ends()
    ends.deaf = True
    ends.start()
    ends.run(38)
    requests = [data for at, _, _, data in ends.sent if at == 0]
    assert len(requests) == 1
    assert Message.parse(requests[0]).message_class is MessageClass.REQUEST
    (pair,) = ends.agents[0].lists["0"].pairs
    assert (pair.state, pair.reason) == (PairState.FAILED, "no answer")
    assert pair.finished_at == pytest.approx(10.0 + 16 * 0.5)


def test_a_refused_connection_is_said_at_once() -> None:
    ends = Ends()
    ends.deaf = True
    ends.start()
    ends.run(0.1)
    ends.agents[0].unreachable(1, ("198.51.100.2", 7000), "the connection was refused", ends.now, final=True)
    (pair,) = ends.agents[0].lists["0"].pairs
    assert (pair.state, pair.reason) == (PairState.FAILED, "the connection was refused")
    ends.run(5)
    assert "the connection was refused" in ends.agents[0].progress(ends.now)["0"]
