"""Lite peers (RFC 8445 sections 2.5, 6.1.1 and 8.2): they only answer; we control them and nominate."""

from __future__ import annotations

from collections.abc import Callable

from app.events import CandidateType, IceState
from app.ice.candidates import Candidate, IceDescription
from app.ice.config import IceConfig
from app.ice.events import Connected, RoleChanged
from app.ice.stun import Address, Attribute, Message, MessageClass
from tests.ice.network import Mode, Network, Party

UFRAG, PWD = "lite", "l" * 22
Answer = Callable[[Message, Address], bytes | None]


class LiteServer:
    """A lite agent with a public address: answers authentic checks, notes what was nominated, sends nothing else."""

    def __init__(self, network: Network, address: Address = ("198.51.100.9", 5000), priority: int = 2130706431) -> None:
        self.network = network
        self.address = address
        self.nominated: list[Address] = []
        self.answer: Answer = self._answer
        self.candidate = Candidate("1", 1, "udp", priority, *address, CandidateType.HOST)
        network.internet.sockets[address] = self._receive

    def describe(self, *others: LiteServer) -> IceDescription:
        candidates = (self.candidate, *(other.candidate for other in others))
        return IceDescription(UFRAG, PWD, candidates, ("ice2",), lite=True)

    def _receive(self, data: bytes, source: Address, now: float) -> None:
        if data[0] > 3:
            return
        request = Message.parse(data)
        reply = self.answer(request, source) if request.message_class is MessageClass.REQUEST else None
        if reply is not None:
            self.network.transmit(self.network.internet, self.address, source, reply)

    def _answer(self, request: Message, source: Address) -> bytes | None:
        if not request.check_integrity(PWD.encode()):
            return None
        if request.has(Attribute.USE_CANDIDATE):
            self.nominated.append(source)
        reply = request.success().add_address(Attribute.XOR_MAPPED_ADDRESS, source)
        return reply.encode(PWD.encode(), fingerprint=True)


def caller(network: Network, *, controlling: bool) -> Party:
    lan = network.lan(Mode.SYMMETRIC, "203.0.113.11")
    return Party(network, lan, ["192.168.1.10", "192.168.1.11"], IceConfig(), controlling=controlling)


def test_we_control_a_lite_peer_whoever_called_and_nominate_one_pair() -> None:
    for controlling in (True, False):
        network = Network(delay_s=0.02)
        peer, party = LiteServer(network), caller(network, controlling=controlling)
        party.set_remote(peer.describe())
        party.start()
        network.run(2)
        assert party.leg.agent.controlling
        assert len(party.told(RoleChanged)) == (0 if controlling else 1)
        assert party.done
        assert party.selected() == ("prflx", "host")
        assert len(peer.nominated) == 1


def test_data_flows_one_round_trip_after_the_first_check() -> None:
    network = Network(delay_s=0.02)
    peer, party = LiteServer(network), caller(network, controlling=True)
    party.set_remote(peer.describe())
    party.start()
    assert network.run(2, lambda: bool(party.told(Connected))) < 0.1
    assert party.send(b"\x80sound")


def test_the_better_of_two_addresses_of_a_lite_peer_is_taken() -> None:
    network = Network(delay_s=0.02)
    best = LiteServer(network)
    other = LiteServer(network, ("198.51.100.8", 5000), 1000)
    party = caller(network, controlling=True)
    party.set_remote(best.describe(other))
    party.start()
    network.run(2)
    assert (len(best.nominated), other.nominated) == (1, [])


def test_a_lite_peer_that_speaks_of_a_role_conflict_changes_no_role() -> None:
    network = Network(delay_s=0.02)
    peer, party = LiteServer(network), caller(network, controlling=True)
    peer.answer = lambda request, source: request.failure(487, "Role Conflict").encode(PWD.encode())
    party.set_remote(peer.describe())
    party.start()
    network.run(2)
    assert party.leg.agent.controlling
    assert {pair.reason for pair in party.snapshot().pairs} == {"refused with 487 Role Conflict"}


def test_consent_of_a_lite_peer_is_asked_for_and_missed() -> None:
    network = Network(delay_s=0.02)
    peer, party = LiteServer(network), caller(network, controlling=True)
    party.set_remote(peer.describe())
    party.start()
    network.run(60)
    assert party.snapshot().state is IceState.COMPLETED
    peer.answer = lambda request, source: None
    network.run(9)
    assert party.snapshot().state is IceState.INTERRUPTED
    network.run(30)
    assert not party.send(b"\x80x")
