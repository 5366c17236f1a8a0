"""Two sessions that estimate their path: what goes over the wire between them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app.media.header_extensions import ExtensionIds
from app.media.plan import StreamPlan
from app.media.receive_side import VOICE_BPS
from app.media.rtcp import BitrateNotice, BitrateRequest, Limit, Pli, ReceiverReport, Remb, Report, parse_rtcp
from app.media.rtp import RtpPacket
from app.media.twcc import TICK_S, TransportFeedback
from tests.media.wire import QUIET, End, audio, eventually, secure, two_ends, video

TOLD = {"transport_cc_id": 2, "transport_cc": True}


def plans(**flags: object) -> list[StreamPlan]:
    return [replace(audio(), **flags), replace(video(rtx=97), **flags, remb=True, tmmbr=True)]  # type: ignore[arg-type]


def rtcp(end: End, kind: type) -> list[object]:
    """What an end sent of one kind, without encryption."""
    compounds = [data for data in end.path.media() if 192 <= data[1] <= 223]
    return [packet for data in compounds for packet in parse_rtcp(data) if isinstance(packet, kind)]


async def test_every_packet_is_numbered_once_and_told_of() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        for end in (caller, callee):
            end.session.configure(plans(**TOLD))
            end.session.start_sending()
        await eventually(lambda: len(rtcp(callee, TransportFeedback)) >= 10)
        packets = [data for data in caller.path.media() if not 192 <= data[1] <= 223]
        numbers = [RtpPacket.parse(data, ExtensionIds(1, 2)).transport_sequence for data in packets]
        assert numbers == list(range(1, len(numbers) + 1))
        assert {RtpPacket.parse(data, ExtensionIds(1, 2)).mid for data in packets} == {"0", "1"}
        told = {
            number
            for feedback in rtcp(callee, TransportFeedback)
            for number, time in feedback.arrivals()  # type: ignore[attr-defined]
            if time is not None
        }
        assert told <= set(numbers)
        assert len(told) > len(numbers) / 2
        figures = caller.session.transport_figures()
        assert figures is not None
        assert figures.estimate_from == "transport-cc"
        assert figures.queue_delay_ms is not None
        assert figures.queue_delay_ms < 50
        assert not rtcp(caller, Remb)


async def test_the_peer_is_told_when_packets_came_not_when_they_were_read() -> None:
    """A loop that stands still must not look like a path that does."""
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        caller.path.to = lambda data: callee.session.receive("0", data, 1000.0)
        for end in (caller, callee):
            end.session.configure(plans(**TOLD))
            end.session.start_sending()
        await eventually(lambda: len(rtcp(callee, TransportFeedback)) >= 2)
        told = [each for feedback in rtcp(callee, TransportFeedback) for each in feedback.arrivals()]  # type: ignore[attr-defined]
    assert {time for _, time in told if time is not None} == {round(1000.0 / TICK_S)}


async def take_packets_that_come_together() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        held: list[bytes] = []
        caller.path.to = held.append
        for end in (caller, callee):
            end.session.configure(plans(**TOLD))
            end.session.start_sending()
        for _ in range(4):
            await eventually(lambda: len(held) >= 15)  # for longer than feedback waits
            for data in held:
                callee.session.receive("0", data)
            held.clear()
        await eventually(lambda: len(rtcp(callee, TransportFeedback)) >= 2)


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_packets_that_come_together_are_told_of_on_every_loop(loops: str) -> None:
    """Where feedback is due at once, a timer of uvloop is a handle that does not know its time."""
    runner = asyncio if loops == "asyncio" else pytest.importorskip("uvloop", reason="not on this system")
    runner.run(take_packets_that_come_together())


async def test_where_it_was_not_agreed_nothing_is_numbered_and_remb_is_sent() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        for end in (caller, callee):
            end.session.configure(plans())
            end.session.start_sending()
        await eventually(lambda: rtcp(callee, Remb))
        await eventually(lambda: (figures := caller.session.transport_figures()) and figures.estimate_from == "remb")
        packets = [data for data in caller.path.media() if not 192 <= data[1] <= 223]
        assert {RtpPacket.parse(data, ExtensionIds(1, 2)).transport_sequence for data in packets} == {None}
        assert not rtcp(callee, TransportFeedback)


async def test_what_a_small_window_needs_is_asked_for_and_kept_to() -> None:
    large = replace(QUIET, width=640, height=480)
    async with two_ends((large, large)) as (caller, callee):
        await secure(caller, callee, "none")
        for end in (caller, callee):
            end.session.configure(plans(**TOLD))
            end.session.start_sending()
        callee.session.set_view_size(160, 120)
        await eventually(lambda: rtcp(callee, BitrateRequest) and rtcp(caller, BitrateNotice))
        await eventually(lambda: (told := caller.session.stats()[1]) and told.limited_by == "far window")


async def test_a_remb_for_a_small_window_leaves_the_voice_its_rate() -> None:
    """Whoever goes by it shares it out among all that it sends."""
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        for end in (caller, callee):
            end.session.configure([replace(plan, tmmbr=False) for plan in plans(**TOLD)])
            end.session.start_sending()
        callee.session.set_view_size(160, 120)
        await eventually(lambda: rtcp(callee, Remb))
        wanted = callee.session._streams["video"].wanted_bps
        assert wanted is not None
        told = parse_rtcp(bytes(Remb(1, wanted + VOICE_BPS, (2,))))[0]
        assert {remb.bitrate_bps for remb in rtcp(callee, Remb)} == {told.bitrate_bps}  # type: ignore[attr-defined,union-attr]


async def test_a_picture_that_was_dropped_here_is_made_good_and_no_question_of_the_peer() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        for end in (caller, callee):
            end.session.configure(plans(**TOLD))
            end.session.start_sending()
        await eventually(lambda: (sent := caller.session.stats()[1]) and sent.key_frames_sent)
        caller.session._streams["video"].pictures_dropped()
        await eventually(lambda: (sent := caller.session.stats()[1]) and sent.key_frames_sent > 1)
        sent = caller.session.stats()[1]
        assert sent is not None
        assert sent.plis_received <= len(rtcp(callee, Pli))


async def test_reports_of_a_few_packets_each_are_taken_together() -> None:
    """A peer that sends one with each question about a lost packet says that a third of three was lost."""
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        for end in (caller, callee):
            end.session.configure(plans())
        caller.session.start_sending()
        await eventually(lambda: (sent := caller.session.stats()[1]) and sent.packets_sent > 10)
        streams = caller.session._streams.values()
        before = caller.session.transport_figures()
        for number in range(1, 20):
            blocks = [
                Report(stream.sender.ssrc, 85, number, stream.sender.first_sequence + 3 * number, 0, 0, 0)
                for stream in streams
            ]
            caller.session.receive("0", bytes(ReceiverReport(7, tuple(blocks))))
        sound, picture = caller.session.stats()[:2]
        after = caller.session.transport_figures()
        assert sound is not None
        assert picture is not None
        assert sound.remote_loss_percent == picture.remote_loss_percent == 5
        assert before is not None
        assert after is not None
        assert after.estimate_bps >= before.estimate_bps


async def test_many_requests_in_one_compound_get_one_answer() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        for end in (caller, callee):
            end.session.configure(plans(**TOLD))
            end.session.start_sending()
        await eventually(lambda: caller.session.stats()[1])
        ours = caller.session._streams["video"].sender.ssrc
        asked = [BitrateRequest(7, (Limit(ours, 100_000 + number * 1_000),) * 16) for number in range(20)]
        caller.session.receive("0", bytes(ReceiverReport(7)) + b"".join(map(bytes, asked)))
        (answer,) = rtcp(caller, BitrateNotice)
        assert answer == BitrateNotice(ours, (Limit(7, 119_000),))
