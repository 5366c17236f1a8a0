"""The requirements R1 to R12 of docs/call-flow.md, each between two real endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.events import CallState, CandidateType, EndKind, IceState
from app.home.accounts import HomeUser
from app.home.config import HomeConfig
from app.home.server import HomeServer
from app.ice.config import IceConfig, Timing
from tests.calls.parties import Party, connected, on_the_phone, party
from tests.heard import frequency_hz, read_wav


@pytest.fixture
async def turn() -> AsyncIterator[HomeServer]:
    """A TURN server of our own on loopback, with both people as users."""
    users = tuple(HomeUser.from_password(name, "parley", "secret") for name in ("ada", "bob"))
    server = HomeServer(
        HomeConfig(listen=("127.0.0.1",), sip_port=0, turn_port=0, realm="parley", users=users, allow_own_peers=True)
    )
    await server.start()
    yield server
    await server.close()


def order(one: Party, *lines: tuple[str, str]) -> bool:
    """Whether these messages (direction, beginning of the start line) were seen in this order."""
    rest = iter(one.messages)
    return all(any(m.direction == way and m.line.startswith(start) for m in rest) for way, start in lines)


async def test_r1_one_allocate_gives_relay_and_reflexive_before_the_invite(turn: HomeServer) -> None:
    async with on_the_phone(party("ada", turn=turn.turn_address), party("bob")) as (ada, bob):
        ada.call(bob, video=False)
        await bob.reaches(CallState.RINGING)
        offer = ada.message("out", "INVITE").body
        kinds = [line.split(" typ ")[1].split()[0] for line in offer.split("\r\n") if line.startswith("a=candidate")]
        assert "host" in kinds
        assert "relay" in kinds
        counters = turn.counters()
        assert counters["turn_allocated"] == 4  # one a stream and component, not one a kind of candidate
        states = [step.state for step in ada.seen[-1].steps]
        assert states[:2] == [CallState.GATHERING, CallState.INVITING]


async def test_r2_the_offer_names_every_candidate_and_the_relay_in_m_and_c(turn: HomeServer) -> None:
    async with on_the_phone(party("ada", turn=turn.turn_address), party("bob")) as (ada, bob):
        ada.call(bob)
        await bob.reaches(CallState.RINGING)
        invite = ada.message("out", "INVITE")
        supported = {tag.strip() for tag in (invite.header("Supported") or "").split(",")}
        assert {"100rel", "ice"} <= supported
        lines = invite.body.split("\r\n")
        audio = next(line for line in lines if line.startswith("m=audio"))
        relays = [line.split() for line in lines if line.startswith("a=candidate") and " typ relay" in line]
        assert audio.split()[1] in {relay[5] for relay in relays}
        assert any(line.startswith("a=ice-ufrag:") for line in lines)
        assert any(line.startswith("a=ice-options:") and "ice2" in line for line in lines)
        assert sum(line.startswith("a=fingerprint:") for line in lines) == 1


async def test_r3_the_callee_gathers_without_alerting_anybody() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        ada.call(bob)
        incoming = await bob.reaches(CallState.CONNECTING)
        states = [step.state for step in incoming.info.steps]
        assert states[0] is CallState.PREPARING
        assert CallState.RINGING not in states[:2]
        assert not any(line.startswith("SIP/2.0 180") for line in bob.lines("out")[:1])


async def test_r4_the_answer_comes_in_a_reliable_183_confirmed_by_prack() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        ada.call(bob)
        await bob.reaches(CallState.RINGING)
        progress = ada.message("in", "SIP/2.0 183")
        assert "100rel" in (progress.header("Require") or "")
        assert progress.header("RSeq") is not None
        assert "a=candidate:" in progress.body
        await ada.until(
            lambda: order(ada, ("in", "SIP/2.0 183"), ("out", "PRACK"), ("in", "SIP/2.0 200")), "PRACK is done"
        )
        assert ada.message("out", "PRACK").header(
            "RAck",
        ).split()[0] == progress.header("RSeq")  # type: ignore[union-attr]


async def test_r4_without_100rel_the_183_stops_at_the_first_check() -> None:
    ada, bob = party("ada"), party("bob")
    ada.supported = ("ice",)
    async with on_the_phone(ada, bob):
        outgoing, _ = await connected(ada, bob)
        assert not any(line.startswith("PRACK") for line in ada.lines())
        assert outgoing.info.state is CallState.CONNECTED
        assert any("cannot confirm" in sentence for sentence in bob.seen[-1].poorer_steps)


async def test_r5_checks_and_keys_are_done_while_nobody_talks() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        outgoing = ada.call(bob)
        await ada.reaches(CallState.RINGING)
        figures = outgoing.figures()
        assert figures.ice is not None
        assert figures.ice.state is IceState.COMPLETED
        pair = figures.ice.selected_pair()
        assert pair is not None
        assert pair.nominated
        assert figures.security.media == "dtls-srtp"
        assert figures.audio is None or figures.audio.packets_sent == 0


async def test_r6_180_only_after_the_checks_are_completed() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        ada.call(bob)
        incoming = await bob.reaches(CallState.RINGING)
        snapshot = incoming.figures().ice
        assert snapshot is not None
        assert snapshot.connected_in_s is not None  # its completion, the nomination, may be half a round trip away
        await ada.until(lambda: order(ada, ("in", "SIP/2.0 183"), ("in", "SIP/2.0 180")), "180 came")


async def test_r6_failed_checks_ring_nobody_and_the_caller_reads_why() -> None:
    only_v6 = IceConfig(interfaces=("::1",), timing=Timing(patience_s=0.5))
    async with on_the_phone(party("ada", ice=only_v6), party("bob")) as (ada, bob):
        ada.call(bob)
        here, there = await ada.ends(), await bob.ends()
        assert CallState.RINGING not in [step.state for step in there.steps]
        assert here.end is not None
        assert here.end.kind is EndKind.CHECKS_FAILED
        assert here.end.status == 480
        assert here.end.sentence
        refusal = ada.message("in", "SIP/2.0 480")
        assert "ICE checks failed" in (refusal.header("Reason") or "")


async def test_r7_the_200_repeats_the_answer_of_the_183() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        await connected(ada, bob)
        answers = [m for m in ada.messages if m.direction == "in" and m.body and m.line.startswith("SIP/2.0")]
        assert [m.line.split()[1] for m in answers][:2] == ["183", "200"]
        assert answers[0].body == answers[1].body


async def test_r8_the_200_is_acknowledged() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        await connected(ada, bob)
        assert order(bob, ("out", "SIP/2.0 200"), ("in", "ACK"))


async def test_r9_r10_r11_the_selected_address_is_said_when_it_is_not_in_m_and_c(turn: HomeServer) -> None:
    ada, bob = party("ada", turn=turn.turn_address), party("bob", turn=turn.turn_address)
    async with on_the_phone(ada, bob):
        outgoing, _ = await connected(ada, bob)
        wanted = (("out", "ACK"), ("out", "INVITE"), ("in", "SIP/2.0 200"), ("out", "ACK"))
        await ada.until(lambda: order(ada, *wanted), "the re-INVITE is acknowledged")
        again = ada.message("out", "INVITE", -1)
        pair = outgoing.figures().ice.selected_pair()  # type: ignore[union-attr]
        local = outgoing.figures().ice.local[pair.local]  # type: ignore[union-attr]
        assert local.type is not CandidateType.RELAY
        assert f"m=audio {local.port} " in again.body
        assert "a=remote-candidates:1 127.0.0.1" in again.body
        assert again.body.count("a=candidate:") == 1
        assert outgoing.info.state is CallState.CONNECTED


async def test_r9_no_second_offer_when_m_and_c_said_it_already() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        await connected(ada, bob)
        await ada.until(lambda: order(ada, ("out", "ACK")), "ACK is out")
        assert sum(line.startswith("INVITE") for line in ada.lines("out")) == 1


async def test_r12_each_hears_the_other_from_pick_up_on(tmp_path: Path) -> None:
    heard_by_ada, heard_by_bob = tmp_path / "ada.wav", tmp_path / "bob.wav"
    ada = party("ada", tone_hz=500, audio_to=str(heard_by_ada), video=False)
    bob = party("bob", tone_hz=900, audio_to=str(heard_by_bob), video=False)
    async with on_the_phone(ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        for call in (outgoing, incoming):
            await ada.until(lambda call=call: call.figures().audio.packets_received > 60, "a second was heard")  # type: ignore[misc]
        outgoing.hang_up()
        await ada.ends()
        await bob.ends()
    assert frequency_hz(read_wav(heard_by_ada)) == pytest.approx(900, abs=5)
    assert frequency_hz(read_wav(heard_by_bob)) == pytest.approx(500, abs=5)
