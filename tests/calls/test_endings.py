"""Every way a call can end or go wrong, between two real endpoints."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app.calls.errors import CallError
from app.events import CallState, EndedBy, EndKind
from app.ice.config import IceConfig, Timing
from app.settings import Encryption, IcePolicy, Settings
from tests.calls.parties import LOOPBACK, Party, connected, on_the_phone, party


def states(one: Party) -> list[CallState]:
    return [step.state for step in one.seen[-1].steps]


async def test_the_caller_hangs_up() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        outgoing, _ = await connected(ada, bob)
        outgoing.hang_up()
        here, there = await ada.ends(), await bob.ends()
        assert (here.end.by, here.end.kind) == (EndedBy.LOCAL, EndKind.HUNG_UP)  # type: ignore[union-attr]
        assert (there.end.by, there.end.kind) == (EndedBy.REMOTE, EndKind.HUNG_UP)  # type: ignore[union-attr]
        await ada.until(lambda: not ada.manager.calls, "everything is free again")


async def test_the_callee_hangs_up() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        _, incoming = await connected(ada, bob)
        incoming.hang_up()
        here = await ada.ends()
        assert (here.end.by, here.end.kind) == (EndedBy.REMOTE, EndKind.HUNG_UP)  # type: ignore[union-attr]


async def test_declined() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        ada.call(bob)
        (await bob.reaches(CallState.RINGING)).decline()
        here, there = await ada.ends(), await bob.ends()
        assert (here.end.kind, here.end.status) == (EndKind.DECLINED, 603)  # type: ignore[union-attr]
        assert there.end.by is EndedBy.LOCAL  # type: ignore[union-attr]


async def test_the_caller_gives_up_while_it_rings() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        outgoing = ada.call(bob)
        await bob.reaches(CallState.RINGING)
        outgoing.hang_up()
        here, there = await ada.ends(), await bob.ends()
        assert here.end.kind is there.end.kind is EndKind.CANCELLED  # type: ignore[union-attr]
        assert there.end.by is EndedBy.REMOTE  # type: ignore[union-attr]


@pytest.mark.parametrize("state", [CallState.GATHERING, CallState.INVITING, CallState.CONNECTING])
async def test_the_caller_gives_up_early(state: CallState) -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        outgoing = ada.call(bob)
        await ada.until(lambda: outgoing.state is state or outgoing.state is CallState.RINGING, f"it is {state}")
        outgoing.hang_up()
        here = await ada.ends()
        assert here.end.kind is EndKind.CANCELLED  # type: ignore[union-attr]
        await ada.until(lambda: not ada.manager.calls, "everything is free again")
        if bob.seen:
            assert (await bob.ends()).end.kind is EndKind.CANCELLED  # type: ignore[union-attr]


async def test_cancel_and_200_cross_on_the_wire() -> None:
    """Both sides act at the same moment; whichever wins, nobody is left in a call."""
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        outgoing = ada.call(bob)
        incoming = await bob.reaches(CallState.RINGING)
        await ada.reaches(CallState.RINGING)
        bob.manager.answer(incoming.call_id, video=True)
        outgoing.hang_up()
        await ada.ends()
        await bob.ends()
        await ada.until(lambda: not ada.sip.sessions, "no session is left")
        await bob.until(lambda: not bob.sip.sessions, "no session is left")


async def test_nobody_answers() -> None:
    ada, bob = party("ada"), party("bob")
    bob.settings = Settings(media=bob.settings.media, no_answer_after_s=0.2)
    async with on_the_phone(ada, bob):
        ada.call(bob)
        here, there = await ada.ends(), await bob.ends()
        assert (here.end.kind, here.end.status) == (EndKind.NO_ANSWER, 480)  # type: ignore[union-attr]
        assert there.end.kind is EndKind.NO_ANSWER  # type: ignore[union-attr]


async def test_a_third_call_hears_busy() -> None:
    callers = [party(name, video=False) for name in ("ada", "eve", "dan")]
    bob = party("bob", video=False)
    async with on_the_phone(*callers, bob):
        for caller in callers[:2]:
            caller.call(bob, video=False)
            await caller.reaches(CallState.RINGING)
        callers[2].call(bob, video=False)
        here = await callers[2].ends()
        assert (here.end.kind, here.end.status) == (EndKind.BUSY, 486)  # type: ignore[union-attr]


async def test_a_second_call_is_answered_and_pauses_the_first() -> None:
    ada, eve, bob = (party(name, video=False) for name in ("ada", "eve", "bob"))
    async with on_the_phone(ada, eve, bob):
        first, first_there = await connected(ada, bob, video=False)
        eve.call(bob, video=False)
        await bob.until(lambda: any(c.state is CallState.RINGING for c in bob.manager.calls), "the second rings")
        second = next(call for call in bob.manager.calls if call.state is CallState.RINGING)
        bob.manager.answer(second.call_id, video=False)
        await eve.reaches(CallState.CONNECTED)
        await ada.until(lambda: first.info.held, "the first caller is told of the pause")
        assert first_there.info.held
        first_there.set_held(False)
        await ada.until(lambda: not first.info.held, "the first call goes on")


async def test_nobody_there() -> None:
    async with on_the_phone(party("ada")) as (ada,):
        ada.manager.place(f"sip:nobody@{LOOPBACK}:9", "nobody", video=False)
        here = await ada.ends()
        assert here.end.kind is EndKind.SERVER_UNREACHABLE  # type: ignore[union-attr]
        assert here.end.sentence  # type: ignore[union-attr]


async def test_no_encryption_in_common() -> None:
    ada, bob = party("ada", encryption=Encryption.NONE), party("bob", encryption=Encryption.DTLS)
    async with on_the_phone(ada, bob):
        ada.call(bob)
        here = await ada.ends()
        assert (here.end.kind, here.end.status) == (EndKind.NOTHING_IN_COMMON, 488)  # type: ignore[union-attr]


@pytest.mark.parametrize(("theirs", "media"), [(Encryption.SDES, "sdes-srtp"), (Encryption.NONE, "none")])
async def test_a_poorer_peer_still_gets_its_call_and_it_is_said(theirs: Encryption, media: str) -> None:
    async with on_the_phone(party("ada"), party("bob", encryption=theirs)) as (ada, bob):
        outgoing, _ = await connected(ada, bob)
        await ada.until(lambda: outgoing.figures().audio.packets_received > 10, "sound comes")  # type: ignore[union-attr]
        assert outgoing.figures().security.media == media
        assert outgoing.info.poorer_steps


async def test_both_change_the_call_at_once() -> None:
    """Glare: two re-INVITEs cross, both get 491, both try again, and the call stands (RFC 3261 section 14.1)."""
    async with on_the_phone(party("ada", video=False), party("bob", video=False)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        outgoing.set_held(True)
        incoming.set_held(True)
        await ada.until(lambda: any("491" in line for line in ada.lines() + bob.lines()), "the offers crossed")
        outgoing.set_held(False)
        incoming.set_held(False)
        await ada.until(lambda: not outgoing.info.held and not incoming.info.held, "both talk again")
        assert outgoing.state is incoming.state is CallState.CONNECTED


async def test_a_lost_network_is_told_apart_from_a_hang_up() -> None:
    quick = IceConfig(interfaces=(LOOPBACK,), timing=Timing(consent_interval_s=0.1))
    async with on_the_phone(party("ada", video=False, ice=quick), party("bob", video=False)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        incoming.path.recovery.answer = lambda event: event.session.refuse_offer(488)  # type: ignore[method-assign]
        for leg in incoming.path.legs.values():
            await leg.ice.close()  # the far end's sockets are gone without a word
        await ada.reaches(CallState.INTERRUPTED)
        assert outgoing.info.end is None


async def test_a_far_end_that_was_started_anew_is_told_as_that() -> None:
    async with on_the_phone(party("ada", video=False), party("bob", video=False)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        assert incoming.session is not None
        incoming.session.agent.forget(incoming.session)
        outgoing.set_held(True)
        end = (await ada.ends()).end
        assert end is not None
        assert end.kind is EndKind.NETWORK_LOST
        assert (end.sentence or "").startswith("Bob's phone no longer knows this call")


async def test_a_long_pause_is_no_lost_network() -> None:
    """Without ICE only silence tells of a lost path, and while a call is paused nothing is to be heard."""
    plain = IceConfig(interfaces=(LOOPBACK,), policy=IcePolicy.OFF)
    async with on_the_phone(party("ada", video=False, ice=plain), party("bob", video=False)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        for one, party_of_it, other in ((outgoing, bob, incoming), (incoming, ada, outgoing)):
            one.set_held(True)
            await party_of_it.until(lambda other=other: other.info.held, "the pause is told")  # type: ignore[misc]
            for call in (outgoing, incoming):
                call.leg.silent_for = lambda: 100.0  # type: ignore[method-assign, union-attr]
                call.path.watch_silence()
                call.path.watch_silence()
            one.set_held(False)
            await party_of_it.until(lambda other=other: not other.info.held, "it goes on")  # type: ignore[misc]
            for call in (outgoing, incoming):
                call.path.watch_silence()
                call.path.watch_silence()
                assert call.state is CallState.CONNECTED


@pytest.mark.parametrize(("patience_s", "kept"), [(60.0, True), (5.0, False)])
async def test_a_plain_path_that_stays_silent_is_kept_as_long_as_patience_lasts(patience_s: float, kept: bool) -> None:
    plain = IceConfig(interfaces=(LOOPBACK,), policy=IcePolicy.OFF)
    ada, bob = party("ada", video=False, ice=plain), party("bob", video=False)
    ada.settings = replace(ada.settings, reconnect_for_s=patience_s)
    async with on_the_phone(ada, bob):
        outgoing, _ = await connected(ada, bob, video=False)
        outgoing.leg.silent_for = lambda: 0.0  # type: ignore[method-assign, union-attr]
        outgoing.path.watch_silence()
        assert outgoing.path._watched_since is not None
        outgoing.path._watched_since -= 50.0
        outgoing.leg.silent_for = lambda: 50.0  # type: ignore[method-assign, union-attr]
        outgoing.path.watch_silence()
        assert outgoing.state is CallState.INTERRUPTED
        outgoing.path.watch_silence()
        assert (outgoing.state is CallState.INTERRUPTED) == kept
        if kept:
            outgoing.leg.silent_for = lambda: 0.0  # type: ignore[method-assign, union-attr]
            outgoing.path.watch_silence()
            assert outgoing.state is CallState.CONNECTED


async def test_a_malformed_offer_is_refused_and_the_next_call_works() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        answered: asyncio.Queue[object] = asyncio.Queue()
        ada.manager.on_sip = answered.put_nowait  # type: ignore[method-assign]
        ada.sip.invite(bob.uri, body=b"v=0\r\nthis is no session description\r\n")
        refused = await asyncio.wait_for(answered.get(), 5)
        assert refused.status == 400  # type: ignore[attr-defined]
        del ada.manager.on_sip  # type: ignore[attr-defined]
        bob.seen.clear()
        await connected(ada, bob)


async def test_a_voice_call_becomes_a_video_call() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        assert not outgoing.info.sending_video
        outgoing.set_camera(True)
        await bob.until(lambda: incoming.figures().video.frames_decoded > 5, "the picture arrives")  # type: ignore[union-attr]
        assert outgoing.info.sending_video


async def test_only_one_call_is_placed_at_a_time() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        ada.call(bob)
        with pytest.raises(CallError, match="hang up first"):
            ada.call(bob)


async def test_a_peer_that_closes_its_media_without_a_bye_is_noticed_in_seconds() -> None:
    async with on_the_phone(party("ada", video=False), party("bob", video=False)) as (ada, bob):
        _, incoming = await connected(ada, bob, video=False)
        assert incoming.leg is not None
        await incoming.leg.media.close()
        here = await ada.ends()
        assert (here.end.by, here.end.kind) == (EndedBy.REMOTE, EndKind.NETWORK_LOST)  # type: ignore[union-attr]
