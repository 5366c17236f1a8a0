"""What is said while no path is found, and when it is given up: each cause in words a person can act on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.events import CandidateType
from app.ice.candidates import Candidate, IceDescription
from app.ice.config import IceConfig
from app.ice.events import ConsentExpired, Failed
from app.ice.stun import Address, Attribute, Message, MessageClass
from tests.ice.network import TURN, TURN_ADDRESS, Mode, Network, Party, connect

WITH_TURN = IceConfig(turn_servers=(TURN,))


def host(address: str, port: int = 5000) -> Candidate:
    return Candidate("1", 1, "udp", 2130706431, address, port, CandidateType.HOST)


def caller(network: Network, config: IceConfig = WITH_TURN) -> Party:
    lan = network.lan(Mode.PORT_RESTRICTED, "203.0.113.11")
    party = Party(network, lan, "192.168.1.10", config, controlling=True)
    party.gather()
    return party


def said(party: Party) -> str:
    return party.leg.agent.progress(party.network.now)["audio"]


def reason(party: Party) -> str:
    (failed,) = party.told(Failed)
    assert isinstance(failed, Failed)
    return failed.reason


def test_nothing_is_said_of_a_flow_that_has_its_path() -> None:
    network = Network()
    a = Party(network, network.internet, "198.51.100.1", IceConfig(), controlling=True)
    b = Party(network, network.internet, "198.51.100.2", IceConfig(), controlling=False)
    assert said(a) == "The other side has not said yet how it can be reached."
    connect(a, b)
    assert a.leg.agent.progress(network.now) == {}


def test_silence_is_said_after_eight_seconds_and_at_the_end() -> None:
    network = Network()
    network.add_turn()
    party = caller(network, IceConfig())
    party.set_remote(IceDescription("peer", "p" * 22, (host("203.0.113.9"),)))
    party.start()
    network.run(8)
    assert said(party) == "No way to the other side was found in 8 s: the only way does not answer yet."
    network.run(40)
    assert reason(party) == (
        "No way to the other side was found in 39.5 s: the only way did not answer. "
        "A TURN server in the network settings helps where a firewall or router is in the way."
    )


def test_a_relay_that_lets_the_peer_in_nowhere_is_named() -> None:
    """The server refuses the peer's address by its policy: 403, RFC 8656 section 9.2."""
    network = Network()
    server = network.add_turn()
    party = caller(network)
    party.set_remote(IceDescription("peer", "p" * 22, (host("10.0.0.9"),)))
    server.set_own_addresses([TURN_ADDRESS[0], "10.0.0.9"])
    party.start()
    network.run(8)
    assert "is not allowed to relay to that address)" in said(party)
    network.run(40)
    assert "is not allowed to relay to that address)" in reason(party)
    assert "firewall" in reason(party)


def test_two_sides_without_a_family_in_common_are_told_so() -> None:
    network = Network()
    network.add_turn()
    party = caller(network, IceConfig())
    party.set_remote(IceDescription("peer", "p" * 22, (host("2001:db8::9"),)))
    party.start()
    network.run(8)
    assert "no address in common (here IPv4, there IPv6)" in said(party)
    network.run(40)
    assert "no address in common" in reason(party)


def test_what_the_network_reports_is_named_but_not_believed() -> None:
    """An ICMP error can be forged, and a port that is shut now may be open in a second."""
    network = Network()
    network.add_turn()
    party = caller(network, IceConfig())
    party.set_remote(IceDescription("peer", "p" * 22, (host("203.0.113.9"),)))
    party.start()
    network.run(1)
    party.core.unreachable(1, ("203.0.113.9", 5000), network.now)
    sent = len(network.sent)
    network.run(7)
    assert len(network.sent) > sent
    assert "does not answer yet (the network says that nobody is there)" in said(party)
    network.run(40)
    assert "failed (the network says that nobody is there)" in reason(party)


@pytest.mark.parametrize("signed", [True, False])
def test_a_refusal_by_the_peer_is_named(signed: bool) -> None:
    network = Network()
    network.add_turn()
    party = caller(network, IceConfig())

    def refuse(data: bytes, source: tuple[str, int], now: float) -> None:
        request = Message.parse(data)
        if request.message_class is MessageClass.REQUEST:
            refusal = request.failure(400, "Bad Request")
            reply = refusal.encode(b"p" * 22 if signed else None, fingerprint=True)
            network.transmit(network.internet, ("203.0.113.9", 5000), source, reply)

    network.internet.sockets["203.0.113.9", 5000] = refuse
    party.set_remote(IceDescription("peer", "p" * 22, (host("203.0.113.9"),)))
    party.start()
    network.run(8)
    assert "refused with 400 Bad Request" in said(party)
    network.run(40)
    assert "failed (refused with 400 Bad Request)" in reason(party)


def test_a_peer_that_names_nothing_usable_is_told() -> None:
    network = Network()
    network.add_turn()
    party = caller(network, IceConfig())
    party.set_remote(IceDescription("peer", "p" * 22, (host("0.0.0.0"),)))
    party.start()
    network.run(8)
    assert "named no network address that can be used" in said(party)


def test_a_way_that_is_found_but_not_agreed_on_is_said() -> None:
    network = Network()
    a = Party(network, network.internet, "198.51.100.1", IceConfig(), controlling=True)
    b = Party(network, network.internet, ["198.51.100.2", "198.51.100.3"], IceConfig(), controlling=False)

    def blocked(source: Address, to: Address, data: bytes) -> bool:  # the better address leads nowhere
        return "198.51.100.2" in (source[0], to[0]) or Message.parse(data).has(Attribute.USE_CANDIDATE)

    network.blocked = blocked
    connect(a, b, patience_s=8)
    assert "are agreeing on it" in said(b)
    network.run(80)
    assert "could not agree" in str(b.told(ConsentExpired))


def test_the_commonest_causes_come_first_and_few_are_named() -> None:
    network = Network()
    network.add_turn()
    party = caller(network)
    many = tuple(replace(host(f"203.0.113.{at}"), foundation=str(at)) for at in range(20, 30))
    party.set_remote(IceDescription("peer", "p" * 22, many, pacing_ms=20))
    party.start()
    network.run(8)
    assert said(party).count(" ways ") <= 3
    assert len(said(party)) < 300
