"""Peers that say something odd at an odd moment: each such call ends on both sides, and nothing else suffers."""

from __future__ import annotations

import socket

import pytest

from app.calls.call import Call
from app.calls.errors import CallError
from app.events import CallState, EndKind
from app.media.errors import MediaError
from app.media.rtp import build_rtp
from app.media.sdes import SdesKey
from app.media.srtp import Srtp
from tests.calls.by_hand import PLAIN_SDP, by_hand, header, media_socket
from tests.calls.parties import connected, on_the_phone, party


@pytest.mark.parametrize("body", ["", "v=0\r\nnonsense\r\n", PLAIN_SDP.replace("m=audio", "m=text")])
async def test_an_answer_that_cannot_be_used_is_hung_up(body: str) -> None:
    """The 200 made a dialog; whoever cannot use it must send BYE (RFC 3261 section 13.2.2.4)."""
    async with on_the_phone(party("ada", video=False)) as (ada,), by_hand() as peer:
        ada.manager.place(peer.uri, "peer", video=False)
        peer.respond(await peer.gets("INVITE"), "200 OK", body=body)
        await peer.gets("ACK")
        peer.respond(await peer.gets("BYE"), "200 OK")
        here = await ada.ends()
        assert here.end is not None
        assert here.end.kind in (EndKind.BAD_DESCRIPTION, EndKind.NOTHING_IN_COMMON)


async def test_a_bye_before_the_answer_ends_the_call_of_the_caller() -> None:
    async with on_the_phone(party("ada", video=False)) as (ada,), by_hand() as peer:
        ada.manager.place(peer.uri, "peer", video=False)
        invite = await peer.gets("INVITE")
        peer.respond(invite, "181 Call Is Being Forwarded")
        call_id, tag = header(invite, "Call-ID"), header(invite, "From")
        peer.send(
            f"BYE sip:ada@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{peer.port};branch=z9hG4bKbye\r\n"
            f"Max-Forwards: 70\r\nFrom: <{peer.uri}>;tag=hand\r\nTo: {tag}\r\nCall-ID: {call_id}\r\n"
            "CSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
        )
        await peer.gets("SIP/2.0 200")
        assert (await ada.ends()).end.kind is EndKind.HUNG_UP  # type: ignore[union-attr]
        await ada.until(lambda: not ada.manager.calls, "everything is free again")


async def test_a_bye_before_the_answer_ends_the_ringing() -> None:
    async with on_the_phone(party("bob", video=False)) as (bob,), by_hand() as peer:
        peer.remote = ("127.0.0.1", bob.sip.port)
        peer.request("INVITE", 1, body=PLAIN_SDP)
        ringing = await peer.gets("SIP/2.0 180")
        peer.request("BYE", 2, to=header(ringing, "To"))
        peer.request("ACK", 1, to=header(await peer.gets("SIP/2.0 487"), "To"), branch="INVITE1")
        assert (await bob.ends()).end.kind is EndKind.HUNG_UP  # type: ignore[union-attr]


@pytest.mark.parametrize("body", ["", "v=0\r\nnonsense\r\n"])
async def test_an_ack_without_a_usable_answer_is_hung_up(body: str) -> None:
    """Our offer went out in the 200 (B11); its ACK must bring the answer."""
    async with on_the_phone(party("bob", video=False)) as (bob,), by_hand() as peer:
        peer.remote = ("127.0.0.1", bob.sip.port)
        peer.request("INVITE", 1)
        await peer.gets("SIP/2.0 180")
        call = await bob.reaches(CallState.RINGING)
        bob.manager.answer(call.call_id, video=False)
        peer.request("ACK", 1, to=header(await peer.gets("SIP/2.0 200"), "To"), body=body, branch="ack")
        peer.respond(await peer.gets("BYE"), "200 OK")
        assert (await bob.ends()).end.kind is EndKind.BAD_DESCRIPTION  # type: ignore[union-attr]


async def test_a_change_that_is_taken_back_at_once_disturbs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A re-INVITE and its CANCEL, or a BYE behind it, in one breath."""
    async with on_the_phone(party("bob", video=False)) as (bob,), by_hand() as peer:
        peer.remote = ("127.0.0.1", bob.sip.port)
        peer.request("INVITE", 1, body=PLAIN_SDP)
        to = header(await peer.gets("SIP/2.0 180"), "To")
        call = await bob.reaches(CallState.RINGING)
        bob.manager.answer(call.call_id, video=False)
        await peer.gets("SIP/2.0 200")
        peer.request("ACK", 1, to=to, branch="ack")
        await bob.reaches(CallState.CONNECTED)
        peer.request("INVITE", 2, to=to, body=PLAIN_SDP, branch="again")
        peer.request("CANCEL", 2, to=to, branch="again")
        peer.request("ACK", 2, to=header(await peer.gets("SIP/2.0 487"), "To"), branch="again")
        assert call.state is CallState.CONNECTED
        peer.request("INVITE", 3, to=to, body=PLAIN_SDP, branch="third")
        peer.request("BYE", 4, to=to)
        assert (await bob.ends()).end.kind is EndKind.HUNG_UP  # type: ignore[union-attr]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_peer_without_ice_moves_its_media_and_pauses_it_the_old_way() -> None:
    """A PBX takes itself out of the media by a re-INVITE; c=0.0.0.0 asks for silence (RFC 3264 sections 8.3.1, 8.4)."""
    async with on_the_phone(party("bob", video=False)) as (bob,), by_hand() as peer, media_socket() as rtp:
        peer.remote = ("127.0.0.1", bob.sip.port)
        peer.request("INVITE", 1, body=PLAIN_SDP)
        to = header(await peer.gets("SIP/2.0 180"), "To")
        call = await bob.reaches(CallState.RINGING)
        bob.manager.answer(call.call_id, video=False)
        await peer.gets("SIP/2.0 200")
        peer.request("ACK", 1, to=to, branch="ack1")
        await bob.reaches(CallState.CONNECTED)
        peer.request("INVITE", 2, to=to, body=PLAIN_SDP.replace("40000", str(rtp.port)))
        await peer.gets("SIP/2.0 200")
        peer.request("ACK", 2, to=to, branch="ack2")
        await bob.until(lambda: len(rtp.received) > 5, "sound comes to the new place")
        peer.request("INVITE", 3, to=to, body=PLAIN_SDP.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0"))
        await peer.gets("SIP/2.0 200")
        peer.request("ACK", 3, to=to, branch="ack3")
        await bob.until(lambda: call.info.held, "the pause is understood")
        peer.request("INVITE", 4, to=to, body=PLAIN_SDP.replace("40000", str(rtp.port)))
        await peer.gets("SIP/2.0 200")
        peer.request("ACK", 4, to=to, branch="ack4")
        heard = len(rtp.received)
        await bob.until(lambda: not call.info.held and len(rtp.received) > heard + 5, "the call goes on")
        peer.request("BYE", 5, to=to)
        await bob.ends()


async def test_a_phone_that_changes_its_key_with_every_offer_is_heard_on() -> None:
    """SDES phones do it to pause and go on (RFC 4568 section 7.1.4)."""
    first, second = SdesKey.generate(), SdesKey.generate()

    def offer(key: SdesKey) -> str:
        return PLAIN_SDP.replace("RTP/AVP", "RTP/SAVP").replace("a=sendrecv", f"a=crypto:{key.to_sdp()}\r\na=sendrecv")

    def heard_by(call: Call) -> int:
        sound = call.figures().audio
        return 0 if sound is None else sound.packets_received

    rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    async with on_the_phone(party("bob", video=False)) as (bob,), by_hand() as peer:
        peer.remote = ("127.0.0.1", bob.sip.port)
        peer.request("INVITE", 1, body=offer(first))
        to = header(await peer.gets("SIP/2.0 180"), "To")
        call = await bob.reaches(CallState.RINGING)
        bob.manager.answer(call.call_id, video=False)
        answer = await peer.gets("SIP/2.0 200")
        peer.request("ACK", 1, to=to, branch="ack1")
        await bob.reaches(CallState.CONNECTED)
        place = int(answer.partition("m=audio ")[2].split()[0])
        ours = SdesKey.parse(answer.partition("a=crypto:")[2].partition("\r\n")[0])
        for cseq, key in ((2, second), (3, first)):
            peer.request("INVITE", cseq, to=to, body=offer(key))
            await peer.gets("SIP/2.0 200")
            peer.request("ACK", cseq, to=to, branch=f"ack{cseq}")
            srtp, heard = Srtp.from_sdes(key, ours), heard_by(call)
            for number in range(5):
                packet = build_rtp(0, False, 100 * cseq + number, 160 * number, 7, bytes(160))
                rtp.sendto(srtp.protect(packet), ("127.0.0.1", place))
            await bob.until(lambda heard=heard: heard_by(call) == heard + 5, "it is heard with its new key")  # type: ignore[misc]
        rtp.close()
        peer.request("BYE", 4, to=to)
        await bob.ends()


async def test_a_cancel_while_the_200_waits_for_the_prack_ends_the_call() -> None:
    async with on_the_phone(party("ada", video=False), party("bob", video=False)) as (ada, bob):
        transports = ada.sip._transports
        send = transports.send
        transports.send = lambda data, hop, number: None if data.startswith(b"PRACK") else send(data, hop, number)  # type: ignore[method-assign]
        outgoing = ada.call(bob, video=False)
        incoming = await bob.reaches(CallState.RINGING)
        bob.manager.answer(incoming.call_id, video=False)
        outgoing.hang_up()
        there = await bob.ends()
        assert there.end.kind is EndKind.CANCELLED  # type: ignore[union-attr]
        assert CallState.CONNECTED not in [step.state for step in there.steps]
        await bob.until(lambda: not bob.manager.calls, "everything is free again")


async def test_picking_up_in_the_moment_the_far_end_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    """The session has ended, but the call does not know yet."""
    async with on_the_phone(party("ada", video=False), party("bob", video=False)) as (ada, bob):
        ada.call(bob, video=False)
        incoming = await bob.reaches(CallState.RINGING)
        assert incoming.session is not None
        incoming.session.bye()
        bob.manager.answer(incoming.call_id, video=False)
        await bob.ends()
        await ada.ends()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_declining_what_is_no_longer_ringing_is_an_error_and_changes_nothing() -> None:
    async with on_the_phone(party("ada", video=False), party("bob", video=False)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        for call in (outgoing, incoming):
            with pytest.raises(CallError, match="not ringing"):
                call.decline()
            assert call.info.end is None
        incoming.hang_up()
        assert (await bob.ends()).end.kind is EndKind.HUNG_UP  # type: ignore[union-attr]


async def test_answering_a_call_that_does_not_ring_pauses_nothing() -> None:
    ada, eve, bob = (party(name, video=False) for name in ("ada", "eve", "bob"))
    async with on_the_phone(ada, eve, bob):
        _, talking = await connected(ada, bob, video=False)
        eve.call(bob, video=False)
        await bob.until(lambda: len(bob.manager.calls) == 2, "the second comes")
        second = next(call for call in bob.manager.calls if call is not talking)
        assert second.state in (CallState.PREPARING, CallState.CONNECTING)
        with pytest.raises(CallError):
            bob.manager.answer(second.call_id, video=False)
        assert not talking.info.held


async def test_a_call_that_comes_while_the_phone_closes_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with on_the_phone(party("ada", video=False), party("bob", video=False)) as (ada, bob):
        await bob.manager.close()
        ada.call(bob, video=False)
        assert (await ada.ends()).end.status == 480  # type: ignore[union-attr]
        assert not bob.manager.calls
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_far_end_that_loses_the_race_cannot_end_the_call() -> None:
    """The path of a fork that was not chosen fails after the choice: the chosen one goes on (RFC 8839 section 7.3)."""
    async with on_the_phone(party("ada", video=False), party("bob", video=False)) as (ada, bob):
        outgoing, _ = await connected(ada, bob, video=False)
        chosen = outgoing.leg
        assert chosen is not None
        loser = outgoing.path._new_leg("other", controlling=True, fork_of=chosen)
        loser.agreement = chosen.agreement
        loser.connect = _fails  # type: ignore[method-assign]
        outgoing.path.choose(chosen)
        await outgoing.path._find(loser)
        assert outgoing.state is CallState.CONNECTED
        assert outgoing.info.end is None
        assert outgoing.leg is chosen


async def test_one_far_end_that_cannot_be_understood_does_not_end_the_others() -> None:
    async with on_the_phone(party("ada", video=False)) as (ada,), by_hand() as peer:
        outgoing = ada.manager.place(peer.uri, "peer", video=False)
        invite = await peer.gets("INVITE")
        offer = invite.partition("\r\n\r\n")[2]
        good = "".join(line + "\r\n" for line in offer.split("\r\n") if line and "remote" not in line)
        peer.respond(invite, "183 Session Progress", tag="one", body=good.replace("actpass", "active"))
        await ada.reaches(CallState.CONNECTING)
        peer.respond(invite, "183 Session Progress", tag="two", body="v=0\r\nnonsense\r\n")
        peer.respond(invite, "180 Ringing", tag="one")
        await ada.reaches(CallState.RINGING)
        assert list(outgoing.path.legs) == ["one"]
        outgoing.hang_up()
        peer.respond(await peer.gets("CANCEL"), "200 OK", tag="one")
        peer.respond(invite, "487 Request Terminated", tag="one")
        await ada.ends()


async def _fails() -> None:
    raise MediaError("The transport is closed.")
