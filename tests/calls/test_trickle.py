"""Candidates that come after the offer and the answer (RFC 8838, RFC 8840), between two real endpoints."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app.calls import recovery
from app.calls.restarts import NetworkChange
from app.calls.sdp import SessionDescription
from app.calls.sdpfrag import Fragment
from app.events import CallState, CandidateType, EndKind
from app.home.accounts import HomeUser
from app.home.config import HomeConfig
from app.home.server import HomeServer
from app.ice.config import IceConfig, Timing
from app.settings import Account, Encryption, HostPort, IcePolicy, TrickleMode, TurnServer
from tests.calls.by_hand import by_hand, header, ice_sdp
from tests.calls.lite import lite_port
from tests.calls.parties import LOOPBACK, Message, Party, connected, on_the_phone, party
from tests.calls.slow_road import SlowRoad, slow_road
from tests.ice.conftest import Coturn, coturn, free_port

__all__ = ["coturn"]

ROUND_TRIP_S = 0.7


def behind(road: SlowRoad, coturn: Coturn, policy: IcePolicy = IcePolicy.ALL) -> IceConfig:
    turn = replace(coturn.turn(), server=road.address)
    timing = Timing(patience_s=10.0)
    return IceConfig(interfaces=(LOOPBACK,), turn_servers=(turn,), policy=policy, timing=timing, server_timeout_s=5.0)


def fragments(one: Party, direction: str) -> list[Fragment]:
    return [Fragment.parse(m.body.encode()) for m in one.messages if m.direction == direction and m.line[:4] == "INFO"]


def offer_of(message: Message) -> SessionDescription:
    return SessionDescription.parse(message.body.encode())


def kinds(fragment: Fragment) -> set[CandidateType]:
    return {candidate.type for stream in fragment.streams for candidate in stream.candidates}


async def test_between_strangers_the_offer_has_everything_and_says_so() -> None:
    """Half trickle, RFC 8838 section 16: the answer may come in parts, the offer may not."""
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        await connected(ada, bob)
        invite = ada.message("out", "INVITE")
        assert "trickle-ice" in (invite.header("Supported") or "")
        assert invite.header("Recv-Info") == "trickle-ice"
        offer = offer_of(invite)
        assert (offer.attribute("ice-options") or "").split() == ["trickle", "ice2"]
        assert all(media.has("end-of-candidates") for media in offer.media)
        answer = offer_of(bob.message("out", "SIP/2.0 183"))
        assert "trickle" in (answer.attribute("ice-options") or "")
        assert ada.manager.services.peers.trickles(bob.uri)
        assert not [line for line in ada.lines() if line.startswith("INFO")]  # nothing was missing


async def test_the_invite_waits_for_no_server_where_the_far_end_is_known(coturn: Coturn) -> None:
    """The relays follow by INFO in the early dialog, and then the end."""
    async with slow_road(coturn.address, ROUND_TRIP_S) as road:
        ada = party("ada", video=False, ice=behind(road, coturn, IcePolicy.RELAY))
        bob = party("bob", video=False, ice=behind(road, coturn, IcePolicy.RELAY))
        async with on_the_phone(ada, bob):
            ada.manager.services.peers.learn(bob.uri, True)
            road.hold()
            outgoing = ada.call(bob, video=False)
            await bob.until(lambda: any(sent.startswith("SIP/2.0 183") for sent in bob.lines("out")), "the 183 is out")
            road.release()
            incoming = await bob.reaches(CallState.RINGING)
            bob.manager.answer(incoming.call_id, video=False)
            for side in (ada, bob):
                await side.reaches(CallState.CONNECTED)
            invite = ada.message("out", "INVITE")
            (line,) = offer_of(invite).media
            assert (line.port, line.connection.address) == (9, "0.0.0.0")  # type: ignore[union-attr]
            assert not line.all_attributes("candidate")
            assert not line.has("end-of-candidates")
            for told in (fragments(ada, "out"), fragments(ada, "in")):
                assert told
                assert kinds(told[-1]) == {CandidateType.RELAY}
            info = ada.message("out", "INFO")
            assert info.header("Info-Package") == "trickle-ice"
            assert info.header("Content-Type") == "application/trickle-ice-sdpfrag"
            assert info.header("Content-Disposition") == "Info-Package"
            pair = outgoing.leg.selected_pairs()["0"]  # type: ignore[union-attr]
            assert pair[0].type is CandidateType.RELAY
            order = [line.split()[0] for line in ada.lines("out")]
            assert order.index("PRACK") < order.index("INFO")


async def test_each_of_two_phones_is_told_in_its_own_dialog(coturn: Coturn) -> None:
    """Our proxy forks the INVITE and passes INFO in early dialogs; both phones find their path over relays."""
    users = tuple(HomeUser.from_password(name, "parley", "secret") for name in ("ada", "bob"))
    home = HomeServer(HomeConfig(listen=(LOOPBACK,), sip_port=0, turn_port=0, realm="parley", users=users))
    await home.start()
    try:
        async with slow_road(coturn.address, ROUND_TRIP_S) as road:
            relayed = behind(road, coturn, IcePolicy.RELAY)
            ada, desk, mobile = (party(name, video=False, ice=relayed) for name in ("ada", "desk", "mobile"))
            ada.account = Account("sip:ada@parley", registrar=home.sip_address)
            desk.account = mobile.account = Account("sip:bob@parley", registrar=home.sip_address)
            async with on_the_phone(ada, desk, mobile):
                ada.manager.services.peers.learn("sip:bob@parley", True)
                outgoing = ada.manager.place("sip:bob@parley", "bob", video=False)
                ringing = [await phone.reaches(CallState.RINGING) for phone in (desk, mobile)]
                told = [m for m in ada.messages if m.direction == "out" and m.line.startswith("INFO")]
                assert {m.header("To").partition("tag=")[2] for m in told} == set(outgoing.path.legs)  # type: ignore[union-attr]
                for phone in (desk, mobile):
                    assert kinds(fragments(phone, "in")[-1]) == {CandidateType.RELAY}
                    assert fragments(phone, "out")
                mobile.manager.answer(ringing[1].call_id, video=False)
                await ada.reaches(CallState.CONNECTED)
                assert ada.manager.services.peers.trickles("sip:bob@parley")
    finally:
        await home.close()


async def test_a_restart_waits_for_no_server_either(coturn: Coturn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "ENOUGH_AFTER_S", 1e6)  # after that it would wait no longer anyway
    async with slow_road(coturn.address, ROUND_TRIP_S) as road:
        ada = party("ada", video=False, ice=behind(road, coturn))
        bob = party("bob", video=False, ice=behind(road, coturn))
        async with on_the_phone(ada, bob):
            outgoing, incoming = await connected(ada, bob, video=False)
            await ada.until(lambda: outgoing.leg.ice.gathered, "the servers have answered")  # type: ignore[union-attr]
            moved = asyncio.get_running_loop().time()
            road.hold()
            ada.manager.network_changed(NetworkChange(frozenset({"192.0.2.1"}), gone=frozenset({LOOPBACK})))
            for side, call in ((ada, outgoing), (bob, incoming)):
                await side.until(lambda call=call: call.figures().ice.restarts == 1, "the path is a new one")  # type: ignore[misc]
            (line,) = offer_of(
                next(m for m in ada.messages if m.line.startswith("INVITE") and m.at > moved and m.direction == "out")
            ).media
            assert not line.has("end-of-candidates")


async def test_host_candidates_do_and_the_rest_is_not_told(coturn: Coturn) -> None:
    """Where the path is there before the servers have answered, nobody hears of a relay any more."""
    async with slow_road(coturn.address, ROUND_TRIP_S) as road:
        ada = party("ada", video=False, ice=behind(road, coturn))
        bob = party("bob", video=False, ice=behind(road, coturn))
        road.hold()
        async with on_the_phone(ada, bob):
            ada.manager.services.peers.learn(bob.uri, True)
            ada.call(bob, video=False)
            await bob.reaches(CallState.RINGING)
            (line,) = offer_of(ada.message("out", "INVITE")).media
            assert line.all_attributes("candidate")
            assert all("typ host" in candidate for candidate in line.all_attributes("candidate"))
            assert not fragments(ada, "out")


async def test_it_can_be_always_or_off(coturn: Coturn) -> None:
    async with slow_road(coturn.address, ROUND_TRIP_S) as road:
        ada = party("ada", video=False, ice=behind(road, coturn), trickle=TrickleMode.ALWAYS)
        bob = party("bob", video=False, trickle=TrickleMode.OFF)
        bob.supported = ("100rel", "ice")
        async with on_the_phone(ada, bob):
            await connected(ada, bob, video=False)
            (line,) = offer_of(ada.message("out", "INVITE")).media
            assert not line.has("end-of-candidates")
            answer = offer_of(bob.message("out", "SIP/2.0 183"))
            assert "trickle" not in (answer.attribute("ice-options") or "")
            assert not fragments(ada, "out")
            assert not ada.manager.services.peers.trickles(bob.uri)


async def test_a_phone_that_lost_the_ability_is_forgotten() -> None:
    ada, bob = party("ada", video=False), party("bob", video=False)
    bob.supported = ("100rel", "ice")
    async with on_the_phone(ada, bob):
        ada.manager.services.peers.learn(bob.uri, True)
        await connected(ada, bob, video=False)
        assert not ada.manager.services.peers.trickles(bob.uri)


async def test_no_address_at_all_is_said_at_once_although_the_offer_has_left() -> None:
    """Only relays may be used, and the one server refuses."""
    dead = TurnServer(HostPort(LOOPBACK, free_port()), "udp", "ada", "secret")
    alone = IceConfig(interfaces=(LOOPBACK,), turn_servers=(dead,), policy=IcePolicy.RELAY)
    ada, bob = party("ada", video=False, ice=alone), party("bob", video=False)
    async with on_the_phone(ada, bob):
        ada.manager.services.peers.learn(bob.uri, True)
        ada.call(bob, video=False)
        here = await ada.ends()
        assert here.end is not None
        assert here.end.kind is EndKind.CHECKS_FAILED
        assert str(dead.server) in (here.end.sentence or "")
        assert CallState.RINGING not in [step.state for step in (await bob.ends()).steps]


async def test_an_offer_of_ours_in_the_183_may_be_followed_too(coturn: Coturn) -> None:
    """The INVITE had none (B11); its PRACK brings the answer."""
    async with slow_road(coturn.address, ROUND_TRIP_S) as road:
        bob = party("bob", video=False, ice=behind(road, coturn, IcePolicy.RELAY), encryption=Encryption.NONE)
        async with on_the_phone(bob), by_hand() as peer, lite_port() as media:
            peer.remote = (LOOPBACK, bob.sip.port)
            road.hold()
            peer.request("INVITE", 1, extra="Supported: 100rel, trickle-ice\r\nRecv-Info: trickle-ice\r\n")
            progress = await peer.gets("SIP/2.0 183")
            road.release()
            assert "a=candidate" not in progress
            to, rseq = header(progress, "To"), header(progress, "RSeq")
            answer = ice_sdp(media.port, options="trickle").replace("m=audio", "a=ice-lite\r\nm=audio", 1)
            peer.request("PRACK", 2, to=to, body=answer, extra=f"RAck: {rseq} 1 INVITE\r\n")
            info = await peer.gets("INFO")
            assert kinds(Fragment.parse(info.partition("\r\n\r\n")[2].encode())) == {CandidateType.RELAY}
            peer.respond(info, "200 OK")
            await bob.reaches(CallState.RINGING)
            await bob.until(lambda: media.nominated_by, "it is nominated")


async def test_who_called_is_called_back_at_once() -> None:
    ada, bob = party("ada", video=False), party("bob", video=False)
    async with on_the_phone(ada, bob):
        _, incoming = await connected(ada, bob, video=False)
        assert bob.manager.services.peers.trickles(incoming.remote_uri)
