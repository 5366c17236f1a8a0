"""A call that finds no path: the caller reads so long before it is given up, and nobody's phone has rung."""

from __future__ import annotations

from dataclasses import replace

from app.events import CallState, EndKind
from app.ice.config import IceConfig, Timing
from app.ice.nat import UDP_SILENT
from app.settings import Encryption, HostPort
from tests.calls.by_hand import by_hand, ice_sdp, media_socket
from tests.calls.parties import LOOPBACK, on_the_phone, party

IMPATIENT = IceConfig(interfaces=(LOOPBACK,), timing=Timing(patience_s=1.2, notice_s=0.4))


async def test_the_caller_reads_that_no_path_was_found_so_far_and_why() -> None:
    ada = party("ada", video=False, ice=IMPATIENT, encryption=Encryption.NONE)
    async with on_the_phone(ada), by_hand() as peer, media_socket() as deaf:
        outgoing = ada.manager.place(peer.uri, "peer", video=False)
        invite = await peer.gets("INVITE")
        peer.respond(invite, "183 Session Progress", body=ice_sdp(deaf.port))
        await ada.until(lambda: ada.problems, "it is told")
        assert outgoing.state is CallState.CONNECTING
        ((about, sentence),) = ada.problems
        assert about == "call"
        assert sentence.startswith("No way to the other side was found in 0 s:")
        assert "does not answer yet" in sentence
        assert outgoing.info.notice == sentence
        cancel = await peer.gets("CANCEL")
        peer.respond(cancel, "200 OK")
        peer.respond(invite, "487 Request Terminated")
        ended = await ada.ends()
        assert ended.notice is None
        assert ended.end is not None
        assert ended.end.kind is EndKind.CHECKS_FAILED
        assert (ended.end.sentence or "").startswith(
            "No network path to peer was found, so nobody's phone rang (the only way does not answer yet): set a TURN"
        )
        assert len(ada.problems) == 1
        assert CallState.RINGING not in [step.state for step in ended.steps]


async def test_the_callee_is_told_too_and_does_not_ring() -> None:
    bob = party("bob", video=False, ice=IMPATIENT)
    async with on_the_phone(bob), by_hand() as peer, media_socket() as deaf:
        peer.remote = (LOOPBACK, bob.sip.port)
        peer.request("INVITE", 1, body=ice_sdp(deaf.port))
        await peer.gets("SIP/2.0 183")
        await bob.until(lambda: bob.problems, "it is told")
        refusal = await peer.gets("SIP/2.0 480")
        assert "ICE checks failed" in refusal
        ended = await bob.ends()
        assert CallState.RINGING not in [step.state for step in ended.steps]


async def test_a_path_that_is_found_in_time_is_no_news() -> None:
    ada, bob = party("ada", video=False, ice=IMPATIENT), party("bob", video=False, ice=IMPATIENT)
    async with on_the_phone(ada, bob):
        outgoing = ada.call(bob, video=False)
        await bob.reaches(CallState.RINGING)
        await ada.until(lambda: outgoing.leg is not None and outgoing.leg.ready, "the path is there")
        await outgoing.path._say_no_path_yet()
        assert not ada.problems
        assert outgoing.info.notice is None


async def test_a_network_that_lets_no_udp_out_is_named() -> None:
    async with media_socket() as silent, by_hand() as peer, media_socket() as deaf:
        server = HostPort(LOOPBACK, silent.port)
        ice = replace(IMPATIENT, stun_servers=(server,), server_timeout_s=0.2)
        ada = party("ada", video=False, ice=ice, encryption=Encryption.NONE)
        async with on_the_phone(ada):
            ada.manager.place(peer.uri, "peer", video=False)
            invite = await peer.gets("INVITE")
            peer.respond(invite, "183 Session Progress", body=ice_sdp(deaf.port))
            await ada.until(lambda: ada.problems, "it is told")
            assert ada.problems[0][1].endswith(UDP_SILENT)
            cancel = await peer.gets("CANCEL")
            peer.respond(cancel, "200 OK")
            peer.respond(invite, "487 Request Terminated")
            await ada.ends()
