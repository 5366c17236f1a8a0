"""Peers that have less: no ICE, ICE that was rewritten on the way, ICE-lite, no trickle, or trickle that never ends."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from app.calls.call import Call
from app.calls.sdpfrag import Fragment, StreamFragment
from app.events import CallState, CandidateType, EndKind, IceState
from app.ice.candidates import Candidate
from app.ice.config import IceConfig, Timing
from app.media.rtp import build_rtp
from app.media.sdes import SdesKey
from app.media.srtp import Srtp
from app.settings import Encryption
from tests.calls.by_hand import PLAIN_SDP, ByHand, by_hand, header, ice_sdp, media_socket
from tests.calls.lite import PWD, lite_port
from tests.calls.parties import LOOPBACK, Party, on_the_phone, party

IMPATIENT = IceConfig(interfaces=(LOOPBACK,), timing=Timing(patience_s=1.0))
LITE = "a=ice-lite\r\n"
INFO_ABLE = "Supported: trickle-ice\r\nRecv-Info: trickle-ice\r\n"


def udp() -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((LOOPBACK, 0))
    one.setblocking(False)
    return one


@pytest.fixture
def phone() -> Iterator[socket.socket]:
    """From where the peer's sound really comes."""
    with udp() as one:
        yield one


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    with udp() as one:
        yield one


def heard(one: socket.socket) -> int:
    """How many datagrams have come since this was last asked."""
    count = 0
    while True:
        try:
            one.recv(2000)
        except BlockingIOError:
            return count
        count += 1


def rtp(number: int, *, ssrc: int = 7, payload_type: int = 0) -> bytes:
    return build_rtp(payload_type, False, number, 160 * number, ssrc, bytes(160))


def packets_of(call: Call) -> int:
    sound = call.figures().audio
    return 0 if sound is None else sound.packets_received


async def answered(bob: Party, peer: ByHand, offer: str) -> tuple[Call, int, str]:
    """Bob takes the peer's call; gives it with the port where he takes sound, and his answer."""
    peer.remote = (LOOPBACK, bob.sip.port)
    peer.request("INVITE", 1, body=offer)
    await bob.reaches(CallState.RINGING)
    bob.manager.answer(bob.manager.calls[0].call_id, video=False)
    answer = await peer.gets("SIP/2.0 200")
    peer.request("ACK", 1, to=header(answer, "To"), branch="ack")
    call = await bob.reaches(CallState.CONNECTED)
    return call, int(answer.partition("m=audio ")[2].split()[0]), answer


# No ICE ------------------------------------------------------------------------------------------------------


async def test_sound_follows_the_phone_and_no_stranger(phone: socket.socket, stranger: socket.socket) -> None:
    """Without encryption the agreed payload type, and the source once it is known, tell the phone from others."""
    async with on_the_phone(party("bob", video=False)) as (bob,), by_hand() as peer:
        call, place, _ = await answered(bob, peer, PLAIN_SDP)  # the address it names leads nowhere
        target = (LOOPBACK, place)
        for number in range(5):
            stranger.sendto(rtp(number, payload_type=77), target)
        phone.sendto(rtp(1), target)
        await bob.until(lambda: heard(phone) > 0, "sound goes where the phone is")
        assert packets_of(call) == 1
        for number in range(5):
            stranger.sendto(rtp(number, ssrc=99), target)
        phone.sendto(rtp(2), target)
        await bob.until(lambda: packets_of(call) == 2, "the phone is heard")
        heard(phone)
        await bob.until(lambda: heard(phone) > 0, "sound still goes there")
        assert heard(stranger) == 0
        assert call.figures().ice.state is IceState.DISABLED  # type: ignore[union-attr]


async def test_with_keys_only_who_has_them_is_followed(phone: socket.socket, stranger: socket.socket) -> None:
    key = SdesKey.generate()
    offer = PLAIN_SDP.replace("RTP/AVP", "RTP/SAVP").replace("a=sendrecv", f"a=crypto:{key.to_sdp()}\r\na=sendrecv")
    async with on_the_phone(party("bob", video=False)) as (bob,), by_hand() as peer:
        call, place, answer = await answered(bob, peer, offer)
        ours = SdesKey.parse(answer.partition("a=crypto:")[2].partition("\r\n")[0])
        srtp, target = Srtp.from_sdes(key, ours), (LOOPBACK, place)
        for number in range(5):
            stranger.sendto(rtp(number), target)
        first = srtp.protect(rtp(1))
        phone.sendto(first, target)
        await bob.until(lambda: heard(phone) > 0, "sound goes where the phone is")
        stranger.sendto(first, target)  # said again by somebody who listened
        phone.sendto(srtp.protect(rtp(2)), target)
        await bob.until(lambda: packets_of(call) == 2, "the phone is heard")
        heard(phone)
        await bob.until(lambda: heard(phone) > 0, "sound still goes there")
        assert heard(stranger) == 0
        with udp() as moved:  # its NAT gave it another port
            moved.sendto(srtp.protect(rtp(3)), target)
            await bob.until(lambda: heard(moved) > 0, "sound follows it")


# ICE that was rewritten ------------------------------------------------------------------------------------------


async def test_a_rewritten_offer_is_answered_with_a_mismatch() -> None:
    """RFC 8839 section 4.2.5: somebody on the way put another address into m/c."""
    async with on_the_phone(party("bob", video=False)) as (bob,), by_hand() as peer, media_socket() as sound:
        offer = ice_sdp(40000, m_port=sound.port)
        call, _, answer = await answered(bob, peer, offer)
        assert "a=ice-mismatch" in answer
        assert "a=candidate" not in answer
        await bob.until(lambda: len(sound.received) > 5, "sound goes to the rewritten address")
        assert any("rewrote the addresses" in sentence for sentence in call.info.poorer_steps)


@pytest.mark.parametrize("more", ["", "a=ice-mismatch\r\n"])
async def test_a_rewritten_answer_and_one_that_says_so_do_without_ice(more: str) -> None:
    ada = party("ada", video=False, encryption=Encryption.NONE)
    async with on_the_phone(ada), by_hand() as peer, media_socket() as sound:
        ada.manager.place(peer.uri, "peer", video=False)
        invite = await peer.gets("INVITE")
        place = {"m_port": sound.port} if not more else {}
        port = 40000 if not more else sound.port
        peer.respond(invite, "200 OK", body=ice_sdp(port, more=more, **place))
        call = await ada.reaches(CallState.CONNECTED)
        await ada.until(lambda: len(sound.received) > 5, "sound goes to the address in m/c")
        assert call.figures().ice.state is IceState.DISABLED  # type: ignore[union-attr]


# ICE-lite --------------------------------------------------------------------------------------------------------


async def test_a_lite_peer_is_called() -> None:
    ada = party("ada", video=False, ice=IMPATIENT, encryption=Encryption.NONE)
    async with on_the_phone(ada), by_hand() as peer, lite_port() as media:
        outgoing = ada.manager.place(peer.uri, "peer", video=False)
        invite = await peer.gets("INVITE")
        sdp = ice_sdp(media.port).replace("m=audio", f"{LITE}m=audio", 1)
        peer.respond(invite, "183 Session Progress", body=sdp)
        await ada.until(lambda: outgoing.leg is not None and outgoing.leg.ready, "the path is there")
        peer.respond(invite, "200 OK", body=sdp)
        await ada.reaches(CallState.CONNECTED)
        await ada.until(lambda: media.nominated_by and len(media.received) > 5, "it is nominated and hears us")
        assert outgoing.figures().ice.role == "controlling"  # type: ignore[union-attr]


async def test_a_lite_peer_calls() -> None:
    """A full agent controls a lite one, whoever called (RFC 8445 section 6.1.1)."""
    bob = party("bob", video=False, ice=IMPATIENT)
    async with on_the_phone(bob), by_hand() as peer, lite_port() as media:
        offer = ice_sdp(media.port).replace("m=audio", f"{LITE}m=audio", 1)
        call, _, _ = await answered(bob, peer, offer)
        await bob.until(lambda: media.nominated_by and len(media.received) > 5, "it is nominated and hears us")
        assert call.figures().ice.role == "controlling"  # type: ignore[union-attr]
        unreliable = [line for line in bob.lines("out") if line.startswith("SIP/2.0 183")]
        assert len(unreliable) <= 4  # RFC 8839 section 7.1.1: no check of its can stop them


# Trickle ---------------------------------------------------------------------------------------------------------


def fragment(port: int, *, ufrag: str = "hand", ended: bool = False) -> str:
    found = Candidate("9", 1, "udp", 2130706431, LOOPBACK, port, CandidateType.HOST)
    return str(Fragment((StreamFragment("0", ufrag, PWD, (found,), ended),)))


def info(peer: ByHand, invite: str, cseq: int, body: str) -> None:
    """An INFO of the callee in the early dialog of this INVITE."""
    contact = header(invite, "Contact").strip("<>")
    peer.send(
        f"INFO {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {LOOPBACK}:{peer.port};rport;branch=z9hG4bKinfo{cseq}\r\n"
        f"Max-Forwards: 70\r\nFrom: {header(invite, 'To')};tag=hand\r\nTo: {header(invite, 'From')}\r\n"
        f"Call-ID: {header(invite, 'Call-ID')}\r\nCSeq: {cseq} INFO\r\nInfo-Package: trickle-ice\r\n"
        "Content-Disposition: Info-Package\r\nContent-Type: application/trickle-ice-sdpfrag\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )


async def test_a_candidate_that_comes_by_info_is_used_and_one_of_another_generation_is_not() -> None:
    ada = party("ada", video=False, encryption=Encryption.NONE)
    async with on_the_phone(ada), by_hand() as peer, media_socket() as deaf, lite_port() as other, lite_port() as media:
        outgoing = ada.manager.place(peer.uri, "peer", video=False)
        invite = await peer.gets("INVITE")
        sdp = ice_sdp(deaf.port, options="trickle").replace("m=audio", f"{LITE}m=audio", 1)
        peer.respond(invite, "183 Session Progress", body=sdp, extra=INFO_ABLE)
        await ada.reaches(CallState.CONNECTING)
        info(peer, invite, 1, fragment(other.port, ufrag="gone"))
        await peer.gets("SIP/2.0 200")
        info(peer, invite, 2, "no fragment at all")
        await peer.gets("SIP/2.0 200")
        info(peer, invite, 3, fragment(media.port))
        await peer.gets("SIP/2.0 200")
        await ada.until(lambda: outgoing.leg is not None and outgoing.leg.ready, "the path is there")
        assert media.checked_from
        assert not other.checked_from
        peer.respond(invite, "200 OK", body=sdp)
        await ada.reaches(CallState.CONNECTED)


async def test_candidates_that_overtake_the_answer_are_not_lost() -> None:
    ada = party("ada", video=False, encryption=Encryption.NONE)
    async with on_the_phone(ada), by_hand() as peer, media_socket() as deaf, lite_port() as media:
        outgoing = ada.manager.place(peer.uri, "peer", video=False)
        invite = await peer.gets("INVITE")
        peer.respond(invite, "181 Call Is Being Forwarded", extra=INFO_ABLE)
        await ada.until(lambda: any("181" in line for line in ada.lines("in")), "there is a dialog")
        info(peer, invite, 1, fragment(media.port, ended=True))
        await peer.gets("SIP/2.0 200")
        sdp = ice_sdp(deaf.port, options="trickle").replace("m=audio", f"{LITE}m=audio", 1)
        peer.respond(invite, "183 Session Progress", body=sdp, extra=INFO_ABLE)
        await ada.until(lambda: outgoing.leg is not None and outgoing.leg.ready, "the path is there")


async def test_a_peer_that_never_ends_its_candidates_is_given_up_in_time() -> None:
    ada = party("ada", video=False, ice=IMPATIENT, encryption=Encryption.NONE)
    async with on_the_phone(ada), by_hand() as peer, media_socket() as deaf:
        ada.manager.place(peer.uri, "peer", video=False)
        invite = await peer.gets("INVITE")
        peer.respond(invite, "183 Session Progress", body=ice_sdp(deaf.port, options="trickle"), extra=INFO_ABLE)
        cancel = await peer.gets("CANCEL")
        peer.respond(cancel, "200 OK")
        peer.respond(invite, "487 Request Terminated")
        assert (await ada.ends()).end.kind is EndKind.CHECKS_FAILED  # type: ignore[union-attr]


async def test_an_offer_without_mids_gets_a_whole_answer() -> None:
    """Later candidates could name no stream: nothing is told later (RFC 8840 section 9)."""
    bob = party("bob", video=False)
    async with on_the_phone(bob), by_hand() as peer, lite_port() as media:
        offer = ice_sdp(media.port, options="trickle").replace("a=mid:0\r\n", "")
        peer.remote = (LOOPBACK, bob.sip.port)
        peer.request("INVITE", 1, body=offer, extra=INFO_ABLE)
        answer = await peer.gets("SIP/2.0 183")
        assert "trickle" not in answer.partition("\r\n\r\n")[2]
