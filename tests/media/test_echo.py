"""The echo sends back what it hears and sees, under its own numbers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from app.media.codecs import OPUS, PCMU
from app.media.plan import CodecPlan, SecurityPlan
from app.media.rtp import RtpPacket, build_rtp
from app.media.ticking import Ticker
from tests.heard import frequency_hz, gaps_ms, part, read_wav
from tests.media.wire import QUIET, audio, eventually, secure, two_ends, video
from tests.seen import mailbox_stamp


@pytest.mark.parametrize("codec", [OPUS, PCMU], ids=lambda codec: codec.name)
async def test_a_person_hears_themselves(codec: CodecPlan, tmp_path: Path) -> None:
    settings = replace(QUIET, audio_from="tone:600", audio_to=str(tmp_path / "heard.wav"))
    async with two_ends((settings, QUIET), echo=True) as (caller, echo):
        await secure(caller, echo)
        for end in (caller, echo):
            end.session.configure([audio(codec)])
            end.session.start_sending()
        await asyncio.sleep(1.2)
        figures = echo.session.stats()[0]
        assert figures is not None
        assert figures.packets_sent == pytest.approx(figures.packets_received, abs=2)
    heard = part(read_wav(tmp_path / "heard.wav"), 0.2, 1.1)
    assert frequency_hz(heard) == pytest.approx(600, abs=2)
    assert gaps_ms(heard, -30, 5) == []


@pytest.mark.parametrize("loss", [0.0, 0.03])
async def test_a_person_sees_themselves_even_over_a_lossy_path(loss: float) -> None:
    async with two_ends(echo=True, delay_s=0.005) as (caller, echo):
        await secure(caller, echo)
        for end in (caller, echo):
            end.session.configure([audio(), replace(video(), rtx=((97, 96),) if loss else ())])
            end.path.loss = loss
            end.session.start_sending()
        await eventually(lambda: (caller.session.stats()[1] or 0).frames_decoded >= 30, 8)
        assert mailbox_stamp(caller.remote_picture) is not None


async def test_a_key_frame_asked_of_the_echo_is_asked_of_the_sender() -> None:
    async with two_ends(echo=True) as (caller, echo):
        await secure(caller, echo)
        for end in (caller, echo):
            end.session.configure([video()])
        lost = iter([True] * 3)
        echo.path.lose = lambda data: 128 <= data[0] <= 191 and next(lost, False)
        for end in (caller, echo):
            end.session.start_sending()
        await eventually(lambda: (caller.session.stats()[1] or 0).frames_decoded > 3)


async def test_what_is_lost_on_its_way_to_the_echo_is_soon_asked_for_and_soon_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither end waits for the long interval that is enough while nothing is missing."""
    hurried, hurry = set[Ticker](), Ticker.hurry

    def noted(ticker: Ticker) -> None:
        hurried.add(ticker)
        hurry(ticker)

    monkeypatch.setattr(Ticker, "hurry", noted)
    async with two_ends(echo=True) as (caller, echo):
        await secure(caller, echo)
        for end in (caller, echo):
            end.session.configure([video()])
            end.session.start_sending()
        await eventually(lambda: (caller.session.stats()[1] or 0).frames_decoded > 3)
        hurried.clear()
        lost = iter([True])
        caller.path.lose = lambda data: len(data) > 200 and next(lost, False)
        await eventually(lambda: hurried >= {caller.session._ticker, echo.session._ticker})


async def test_nothing_is_sent_back_before_the_gate_opens() -> None:
    async with two_ends(echo=True) as (caller, echo):
        await secure(caller, echo)
        for end in (caller, echo):
            end.session.configure([audio()])
        caller.session.start_sending()
        await eventually(lambda: (echo.session.stats()[0] or 0).packets_received > 10)
        assert echo.path.media() == []


async def test_numbers_keep_their_distances_and_join_at_another_source() -> None:
    async with two_ends(echo=True) as (_, echo):
        await echo.session.secure("0", SecurityPlan("none"))
        echo.session.configure([replace(audio(PCMU), rtcp_mux=False)])
        echo.session.start_sending()
        for number in (65_534, 65_535, 0, 2):
            echo.session.receive("0", build_rtp(0, False, number, number * 160, 5, b"a" * 160))
        await asyncio.sleep(0.25)
        for number in (700, 701):
            echo.session.receive("0", build_rtp(0, False, number, number * 160, 6, b"b" * 160))
        sent = [RtpPacket.parse(data) for data in echo.path.sent]
        assert len({packet.ssrc for packet in sent}) == 1
        assert sent[0].ssrc not in (5, 6)
        assert [(packet.sequence - sent[0].sequence) & 0xFFFF for packet in sent] == [0, 1, 2, 4, 5, 6]
        assert sent[-1].payload == b"b" * 160
