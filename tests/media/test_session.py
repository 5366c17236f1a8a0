"""Two media sessions joined in memory: what each hears and sees, and what never leaves."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.media.audio_stream import AudioStream
from app.media.certificate import Certificate
from app.media.codecs import OPUS, PCMA, PCMU
from app.media.default_devices import SettingsDevices
from app.media.errors import MediaError
from app.media.events import FirstMedia, KeyPressed, PeerClosed
from app.media.plan import CodecPlan, SecurityPlan, StreamPlan
from app.media.ports import AudioSource, VideoSource
from app.media.red import Block, pack
from app.media.rtcp import Fir, Pli, Report, parse_rtcp
from app.media.rtp import build_rtp
from app.media.sdes import SdesKey
from app.media.sending import ntp_time
from app.media.session import MediaSession
from app.media.srtp import Srtp
from app.media.transport import MOST_SOURCES, MediaTransport
from app.settings import MediaSettings
from tests.heard import frequency_hz, gaps_ms, level_dbfs, part, read_wav, share_at
from tests.media.wire import QUIET, audio, eventually, secure, two_ends, video
from tests.media.wire import Path as Path_
from tests.seen import mailbox_stamp


def hearing(folder: Path, hz: int = 440) -> tuple[object, ...]:
    return (
        replace(QUIET, audio_from=f"tone:{hz}", audio_to=str(folder / "caller.wav")),
        replace(QUIET, audio_from=f"tone:{2 * hz}", audio_to=str(folder / "callee.wav")),
    )


@pytest.mark.parametrize(
    ("kind", "codec"), [("dtls", OPUS), ("sdes", PCMU), ("none", PCMA)], ids=lambda value: getattr(value, "name", value)
)
async def test_each_side_hears_the_others_tone(kind: str, codec: CodecPlan, tmp_path: Path) -> None:
    async with two_ends(hearing(tmp_path)) as (caller, callee):
        await secure(caller, callee, kind)
        for end in (caller, callee):
            end.session.configure([audio(codec)])
            end.session.start_sending()
        await asyncio.sleep(0.9)
        figures, _, security = caller.session.stats()
        assert figures is not None
        assert figures.codec == codec.name.lower()
        assert figures.packets_received >= 35
        assert figures.lost == 0
        assert figures.level_dbfs == pytest.approx(figures.input_level_dbfs, abs=1.5)
        assert security.media == {"dtls": "dtls-srtp", "sdes": "sdes-srtp", "none": "none"}[kind]
        assert caller.session.first_audio_at is not None
        assert [event.kind for event in caller.events if isinstance(event, FirstMedia)] == ["audio"]
    for name, hz in (("caller", 880), ("callee", 440)):
        heard = part(read_wav(tmp_path / f"{name}.wav"), 0.2, 0.8)
        assert frequency_hz(heard) == pytest.approx(hz, abs=2)
        assert share_at(heard, hz) > 0.95
        assert gaps_ms(heard, -30, 5) == []


async def test_pictures_arrive_with_their_stamps_bundled_with_sound() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee)
        for end in (caller, callee):
            end.session.configure([audio(), video()])
            end.session.start_sending()
        await eventually(lambda: (caller.session.stats()[1] or 0).frames_decoded >= 20)
        first = mailbox_stamp(caller.remote_picture)
        assert first is not None
        await eventually(lambda: (mailbox_stamp(caller.remote_picture) or 0) > first)
        assert mailbox_stamp(caller.own_picture) is not None
        await eventually(lambda: caller.session.stats()[1].frames_sent >= 20)
        figures = caller.session.stats()[1]
        assert figures is not None
        assert (figures.width, figures.height, figures.lost) == (320, 240, 0)
        assert caller.session.dropped_datagrams == 0


async def test_nothing_leaves_before_the_gate_opens_and_nothing_after_it_closed() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee)
        for end in (caller, callee):
            end.session.configure([audio(), video()])
        await asyncio.sleep(0.3)
        assert caller.path.media() == callee.path.media() == []
        assert caller.own_picture.take() is None
        caller.session.start_sending()
        await eventually(lambda: len(caller.path.media()) > 10)
        caller.session.stop_sending()
        count = len(caller.path.media())
        await asyncio.sleep(0.15)
        assert len(caller.path.media()) == count
        assert callee.path.media() == []


async def test_early_media_is_played_before_our_own_gate_opens() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee)
        for end in (caller, callee):
            end.session.configure([audio()])
        callee.session.start_sending()
        await eventually(lambda: caller.session.first_audio_at)
        assert caller.path.media() == []


@pytest.mark.parametrize("rtx", [None, 97])
async def test_lost_video_packets_come_again(rtx: int | None) -> None:
    async with two_ends(delay_s=0.01) as (caller, callee):
        await secure(caller, callee)
        for end in (caller, callee):
            end.session.configure([video(rtx=rtx)])
            end.path.loss = 0.05
            end.session.start_sending()

        def has_gone_on() -> bool:
            figures = caller.session.stats()[1]
            return figures is not None and figures.frames_decoded >= 40 and figures.repaired >= 2

        await eventually(has_gone_on, 15.0)
        figures = caller.session.stats()[1]
        assert figures is not None
        assert figures.nacks_sent >= 1
        assert figures.lost >= figures.repaired, "what came again was lost on its way"
        assert figures.key_frames_asked * 2 <= figures.nacks_sent + 6  # most is repaired, however long it took


@pytest.mark.parametrize("fir", [False, True])
async def test_a_lost_key_frame_is_asked_for_and_the_picture_comes(fir: bool) -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        plan = replace(video(nack=False), pli=not fir, fir=fir)
        for end in (caller, callee):
            end.session.configure([plan])
        lost = iter([True] * 4)
        callee.path.lose = lambda data: 128 <= data[0] <= 191 and next(lost, False)
        caller.session.start_sending()
        callee.session.start_sending()
        await eventually(lambda: caller.session.first_video_at)
        figures = caller.session.stats()[1]
        assert figures is not None
        assert figures.key_frames_asked >= 1
        questions = [packet for data in caller.path.sent if 192 <= data[1] <= 223 for packet in parse_rtcp(data)]
        assert {type(packet) for packet in questions} & {Pli, Fir} == {Fir if fir else Pli}


async def test_ten_percent_loss_leaves_no_hole_in_the_sound(tmp_path: Path) -> None:
    """Every tenth packet is lost. A machine that is busy may be late with some of the others: those are not counted."""
    async with two_ends(hearing(tmp_path), delay_s=0.02) as (caller, callee):
        await secure(caller, callee)
        for end in (caller, callee):
            end.session.configure([audio()])
            sent = itertools.count()
            end.path.lose = lambda data, sent=sent: data[1] & 0x7F >= 96 and next(sent) % 10 == 9  # type: ignore[misc]
            end.session.start_sending()

        def heard_enough() -> bool:
            figures = caller.session.stats()[0]
            return figures is not None and figures.packets_received >= 85

        await eventually(heard_enough, 20.0)
        figures = caller.session.stats()[0]
        assert figures is not None
        assert 8 <= figures.lost <= 12
        assert figures.loss_runs
        assert figures.delay_ms is not None
    heard = part(read_wav(tmp_path / "caller.wav"), 0.3, 1.7)
    assert share_at(heard, 880, 40) > 0.85
    holes = [length for _, length in gaps_ms(heard, -45, 15)]
    assert len(holes) < 8, holes  # else each loss is heard as a hole


async def test_muting_sends_silence_and_volume_scales_what_is_played(tmp_path: Path) -> None:
    async with two_ends(hearing(tmp_path)) as (caller, callee):
        await secure(caller, callee)
        for end in (caller, callee):
            end.session.configure([audio()])
            end.session.set_volume(0.5)
            end.session.start_sending()
        await asyncio.sleep(0.6)
        caller.session.set_muted(True)
        await asyncio.sleep(0.6)
        figures = callee.session.stats()[0]
        own = caller.session.stats()[0]
        assert figures is not None
        assert own is not None
        assert figures.output_level_dbfs is None or figures.output_level_dbfs < -50
        assert own.input_level_dbfs is not None
        assert own.input_level_dbfs > -20
        assert len(caller.path.media()) > 30  # muted or not
    heard = read_wav(tmp_path / "callee.wav")
    # The loudest moment: a machine that is busy with other tests may leave holes in the rest.
    loudest = max(level_dbfs(part(heard, tenth / 10, tenth / 10 + 0.05)) for tenth in range(2, 6))
    assert loudest == pytest.approx(own.input_level_dbfs - 6, abs=1.5)
    assert level_dbfs(part(heard, 0.9, 1.1)) < -50


async def test_the_camera_is_released_while_it_is_off_and_comes_back() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee)
        for end in (caller, callee):
            end.session.configure([video()])
            end.session.start_sending()
        await eventually(lambda: callee.session.first_video_at)
        caller.session.set_camera(False)
        before, count = -1, 0
        async with asyncio.timeout(10):
            while count != before:  # what was on its way comes yet, on a busy machine later
                await asyncio.sleep(0.2)
                before, count = count, (callee.session.stats()[1] or 0).frames_decoded
        caller.session.set_camera(True)
        await eventually(lambda: (callee.session.stats()[1] or 0).frames_decoded > count + 5)


async def test_a_camera_is_given_back_before_it_is_opened_again() -> None:
    """Off and on at once, or another format: a camera that is still open would be called busy."""

    class OneCamera(SettingsDevices):
        def video_source(self, settings: MediaSettings) -> VideoSource:
            source = super().video_source(settings)
            opens, closes = source.start, source.close

            def start() -> None:
                held.append("busy" if len(held) % 2 else "open")
                opens()

            def close() -> None:
                time.sleep(0.1)  # a driver takes its time
                closes()
                held.append("closed")

            source.start, source.close = start, close  # type: ignore[method-assign]
            return source

    held: list[str] = []
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        session = MediaSession(QUIET, caller.certificate, devices=OneCamera())
        session.open_transport("0", caller.path)
        await session.secure("0", SecurityPlan("none"))
        callee.session.configure([video()])
        session.configure([video()])
        session.start_sending()
        await eventually(lambda: callee.session.first_video_at)
        session.set_camera(False)
        session.set_camera(True)
        await eventually(lambda: len(held) >= 3)
        session.configure([video(nack=False)])
        await eventually(lambda: len(held) >= 5)
        await session.close()
    assert held == ["open", "closed"] * 3


async def test_strangers_packets_are_counted_and_change_nothing() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee)
        for end in (caller, callee):
            end.session.configure([audio(), video()])
            end.session.start_sending()
        await eventually(lambda: caller.session.first_audio_at and caller.session.first_video_at)
        for number in range(500):
            caller.session.receive("0", os.urandom(number % 60))
            caller.session.receive("0", build_rtp(111, False, number, 0, 99, os.urandom(40)))
            caller.session.receive("0", b"\x80\xc9" + os.urandom(20))
            caller.session.receive("0", bytes([22]) + os.urandom(30))
        caller.session.receive("nowhere", b"\x80" + bytes(20))
        before = caller.session.stats()[0]
        await asyncio.sleep(0.3)
        after = caller.session.stats()[0]
        assert caller.session.dropped_datagrams >= 1_000
        assert before is not None
        assert after is not None
        assert after.packets_received > before.packets_received
        assert after.lost == 0


async def test_whatever_a_peer_sends_the_call_goes_on() -> None:
    """No keys stand before these: the parsers, buffers and decoders themselves must hold."""
    rng = random.Random(4)
    heads = [b"\x90\x80\x80\x01", b"\x10", b"\x90\xf0", b""]
    key = b"\x10\x02\x00\x9d\x01\x2a"
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        for end in (caller, callee):
            end.session.configure([replace(audio(), codecs=(OPUS, PCMU)), video(rtx=97)])
            end.session.start_sending()
        await asyncio.sleep(0.3)
        for round_number in range(8):
            for number in range(100):
                body = rng.choice(heads) + rng.choice([key, b"", rng.randbytes(3)]) + rng.randbytes(rng.randrange(60))
                ssrc = rng.choice([1, 2, rng.getrandbits(32)])
                sequence = rng.choice([number, rng.getrandbits(16)])
                payload_type = rng.choice([0, 111, 96, 97, 13])
                data = build_rtp(payload_type, rng.random() < 0.5, sequence, rng.getrandbits(32), ssrc, body)
                caller.session.receive("0", data)
                feedback = rng.choice([200, 201, 203, 205, 206])
                words = rng.randrange(8)
                count = rng.choice([0, 1, 4, 15, 31])
                rtcp = bytes([0x80 | count, feedback, 0, words]) + rng.randbytes(words * 4)
                caller.session.receive("0", rtcp)
            await asyncio.sleep(0.01 * (round_number % 3))
        await asyncio.sleep(0.4)
        sound = caller.session.stats()[0]
        assert sound is not None
        before = (caller.session.stats()[1] or 0).frames_decoded
        await eventually(lambda: (caller.session.stats()[1] or 0).frames_decoded > before + 5)
        assert (caller.session.stats()[0] or 0).packets_received > sound.packets_received


async def test_sound_and_picture_may_run_over_transports_of_their_own() -> None:
    async with two_ends(transports=("0", "1")) as (caller, callee):
        await secure(caller, callee, transports=("0", "1"))
        plans = [replace(audio(), mid=None, mid_extension_id=None), replace(video(transport="1"), mid=None)]
        for end in (caller, callee):
            end.session.configure(plans)
            end.session.start_sending()
        await eventually(lambda: caller.session.first_audio_at and caller.session.first_video_at)


async def test_bundled_streams_are_told_apart_by_payload_type_without_mids() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        plans = [replace(plan, mid=None, mid_extension_id=None) for plan in (audio(), video())]
        for end in (caller, callee):
            end.session.configure(plans)
            end.session.start_sending()
        await eventually(lambda: caller.session.first_audio_at and caller.session.first_video_at)


async def test_a_re_offer_may_change_codec_direction_and_streams(tmp_path: Path) -> None:
    async with two_ends(hearing(tmp_path)) as (caller, callee):
        await secure(caller, callee)
        for end in (caller, callee):
            end.session.configure([audio(), video()])
            end.session.start_sending()
        await eventually(lambda: caller.session.first_audio_at and caller.session.first_video_at)
        for end in (caller, callee):
            end.session.configure([audio(PCMU)])
        await asyncio.sleep(0.5)
        figures, picture, _ = caller.session.stats()
        assert picture is None
        assert figures is not None
        assert figures.codec == "pcmu"
        caller.session.configure([audio(PCMU, send=False)])  # hold
        callee.session.configure([audio(PCMU, receive=False)])
        count = len(caller.path.media())
        await asyncio.sleep(0.2)
        assert len(caller.path.media()) <= count + 1
        caller.session.configure([audio(PCMU)])
        callee.session.configure([audio(PCMU)])
        await eventually(lambda: len(caller.path.media()) > count + 20)
        await asyncio.sleep(0.3)
    assert frequency_hz(read_wav(tmp_path / "callee.wav")[-9_600:-2_400]) == pytest.approx(440, abs=8)


async def test_another_path_under_the_same_keys_goes_on() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee)
        for end in (caller, callee):
            end.session.configure([audio()])
            end.session.start_sending()
        await eventually(lambda: callee.session.first_audio_at)
        from tests.media.wire import Path as Way

        other = Way()
        other.to = lambda data: callee.session.receive("0", data)
        before = len(caller.path.sent)
        caller.session.open_transport("0", other)
        await eventually(lambda: len(other.media()) > 10)
        assert len(caller.path.sent) == before


async def test_a_new_sdes_key_in_one_direction_leaves_the_other_undisturbed() -> None:
    async with two_ends() as (caller, callee):
        keys = SdesKey.generate(), SdesKey.generate()
        await caller.session.secure("0", SecurityPlan("sdes", sdes_local=keys[0], sdes_remote=keys[1]))
        await callee.session.secure("0", SecurityPlan("sdes", sdes_local=keys[1], sdes_remote=keys[0]))
        for end in (caller, callee):
            end.session.configure([audio(PCMU)])
            end.session.start_sending()

        def heard() -> tuple[int, int]:
            sounds = [end.session.stats()[0] for end in (caller, callee)]
            return tuple(sound.packets_received if sound is not None else 0 for sound in sounds)  # type: ignore[return-value]

        await eventually(lambda: min(heard()) > 5)
        other = SdesKey.generate("AES_CM_128_HMAC_SHA1_32", 2)
        callee.session.rekey("0", SecurityPlan("sdes", sdes_local=other, sdes_remote=keys[0]))
        caller.session.rekey("0", SecurityPlan("sdes", sdes_local=replace(keys[0], tag=2), sdes_remote=other))
        dropped, before = callee.session.dropped_datagrams, heard()
        await eventually(lambda: all(now > then + 10 for now, then in zip(heard(), before, strict=True)))
        assert callee.session.dropped_datagrams == dropped
        assert callee.session.stats()[2].cipher == "AES_CM_128_HMAC_SHA1_32"


async def test_a_new_source_takes_over_after_a_silence_and_not_before() -> None:
    async with two_ends() as (caller, _):
        await caller.session.secure("0", SecurityPlan("none"))
        caller.session.configure([audio(PCMU)])

        def say(ssrc: int, number: int) -> None:
            caller.session.receive("0", build_rtp(0, False, number, number * 160, ssrc, bytes(160)))

        for number in range(10):
            say(1, number)
            say(2, number)
        assert (caller.session.stats()[0] or 0).packets_received == 10
        await asyncio.sleep(0.25)
        for number in range(10):
            say(2, 100 + number)
        figures = caller.session.stats()[0]
        assert figures is not None
        assert figures.packets_received == 20
        assert figures.lost == 0


async def test_a_peer_may_change_its_source_all_day_but_not_with_each_packet() -> None:
    ours, theirs = SdesKey.generate(), SdesKey.generate()
    heard: list[bytes] = []
    transport = MediaTransport(
        *("0", Path_(), Certificate.generate()),
        on_rtp=lambda _, data: heard.append(data),
        on_rtcp=lambda *_: None,
        on_closed=lambda _: None,
    )
    await transport.secure(SecurityPlan("sdes", sdes_local=ours, sdes_remote=theirs), 1.0)
    peer = Srtp.from_sdes(theirs, ours)
    for number in range(200):
        transport.receive(peer.protect(build_rtp(0, False, 1, 0, number, b"sound")), float(number))
    assert len(heard) == 200
    for number in range(200, 400):
        transport.receive(peer.protect(build_rtp(0, False, 1, 0, number, b"sound")), 199.5)
    assert len(heard) < 200 + MOST_SOURCES
    transport.receive(peer.protect(build_rtp(0, False, 2, 0, 199, b"sound")), 200.0)
    assert heard[-1].endswith(b"sound")
    assert int.from_bytes(heard[-1][8:12]) == 199  # who is known goes on


async def test_reports_give_the_round_trip_time_and_close_says_bye() -> None:
    async with two_ends(delay_s=0.03) as (caller, callee):
        await secure(caller, callee, "none")
        for end in (caller, callee):
            end.session.configure([audio()])
            end.session.start_sending()
        await eventually(lambda: (caller.session.stats()[0] or 0).rtt_ms is not None)
        figures = caller.session.stats()[0]
        assert figures is not None
        assert 55 < figures.rtt_ms < 300  # the machine may be busy, never fast
        await caller.session.close()
        assert any(data[1] == 201 and 203 in data[8::1] for data in caller.path.media()[-2:])


async def test_a_round_trip_of_hours_is_a_report_filled_in_wrongly() -> None:
    async with two_ends() as (caller, _):
        await secure(caller, caller, "none")
        caller.session.configure([audio()])
        await eventually(lambda: caller.session.stats()[0])
        stream = caller.session._streams["audio"]
        for last_report in (1, (ntp_time() >> 16) - 11 * 65_536 & 0xFFFF_FFFF):
            stream.heard_by_peer(Report(stream.sender.ssrc, 0, 0, 0, 0, last_report, 0), 0.0)
            assert caller.session.stats()[0].rtt_ms is None
        stream.heard_by_peer(Report(stream.sender.ssrc, 0, 0, 0, 0, (ntp_time() >> 16) & 0xFFFF_FFFF, 0), 0.0)
        assert caller.session.stats()[0].rtt_ms < 5_000


async def test_without_rtcp_mux_and_without_a_way_for_it_no_rtcp_is_sent() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        for end in (caller, callee):
            end.session.configure([replace(audio(), rtcp_mux=False), replace(video(), rtcp_mux=False)])
            end.session.start_sending()
        await asyncio.sleep(1.2)
        assert not any(192 <= data[1] <= 223 for data in caller.path.media())


@pytest.mark.parametrize("kind", ["dtls", "sdes", "none"])
async def test_rtcp_apart_has_a_transport_and_keys_of_its_own(kind: str) -> None:
    async with two_ends(transports=("0", "0/2"), delay_s=0.02) as (caller, callee):
        await secure(caller, callee, kind, transports=("0", "0/2"))
        for end in (caller, callee):
            end.session.configure([replace(audio(), rtcp_mux=False), replace(video(), rtcp_mux=False)])
            end.session.start_sending()
        for end in (caller, callee):
            await eventually(lambda end=end: (end.session.stats()[0] or 0).rtt_ms is not None)
            assert end.session.dropped_datagrams == 0
        await caller.session.close()
        for end in (caller, callee):
            assert not any(192 <= data[1] <= 223 for data in end.paths["0"].media())
            assert all(192 <= data[1] <= 223 for data in end.paths["0/2"].media())
            assert len(end.paths["0/2"].media()) >= 2
        await asyncio.sleep(0.1)
        assert [event for event in callee.events if isinstance(event, PeerClosed)] == (
            [PeerClosed("0")] if kind == "dtls" else []
        )


async def test_rtp_on_the_way_of_rtcp_is_counted_and_dropped() -> None:
    async with two_ends(transports=("0", "0/2")) as (caller, callee):
        await secure(caller, callee, "none", transports=("0", "0/2"))
        caller.session.configure([replace(audio(), rtcp_mux=False)])
        caller.session.receive("0/2", build_rtp(96, False, 1, 1, 7, b"x" * 20))
        assert caller.session.dropped_datagrams == 1


async def test_plans_that_cannot_work_are_refused_and_change_nothing() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee)
        caller.session.configure([audio()])
        with pytest.raises(MediaError, match="transport"):
            caller.session.configure([audio(transport="7")])
        with pytest.raises(MediaError, match="audio format"):
            caller.session.configure([StreamPlan("audio", "audio", "0", True, True, (CodecPlan("G729", 18, 8_000),))])
        assert caller.session.stats()[0] is not None


async def test_a_device_that_is_not_there_is_told_and_the_call_goes_on(tmp_path: Path) -> None:
    lost = str(tmp_path / "missing" / "x.wav")
    broken = replace(QUIET, audio_from=lost, audio_to=lost, video_from=str(tmp_path / "none.mkv"))
    async with two_ends((broken, QUIET)) as (caller, callee):
        await secure(caller, callee)
        for end in (caller, callee):
            end.session.configure([audio(), video()])
            end.session.start_sending()
        await eventually(lambda: callee.session.first_video_at)
        await eventually(lambda: len([event for event in caller.events if hasattr(event, "sentence")]) >= 3)
        assert {event.about for event in caller.events if hasattr(event, "about")} == {
            "microphone",
            "speaker",
            "camera",
        }
        figures = caller.session.stats()[0]  # who missed it is told for as long as it lasts
        assert (figures.microphone_problem or "").endswith("others hear silence.")
        assert "does not exist" in (figures.speaker_problem or "")
        quiet = callee.session.stats()[0]
        assert quiet.microphone_problem is quiet.speaker_problem is None


async def test_closing_twice_and_using_after_is_harmless() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee)
        caller.session.configure([audio(), video()])
        caller.session.start_sending()
        await caller.session.close()
        await caller.session.close()
        caller.session.receive("0", b"\x80" * 30)
        caller.session.start_sending()
        with pytest.raises(MediaError):
            caller.session.configure([audio()])


async def test_packets_flow_while_the_microphone_is_still_opening() -> None:
    class SlowMicrophone(SettingsDevices):
        def audio_source(self, settings: MediaSettings) -> AudioSource:
            source = super().audio_source(settings)
            opens = source.start

            def open_slowly() -> None:
                released.wait(5)
                opens()

            source.start = open_slowly  # type: ignore[method-assign]
            return source

    released = threading.Event()
    async with two_ends() as (caller, callee):
        session = MediaSession(replace(QUIET, audio_from="tone:440"), caller.certificate, devices=SlowMicrophone())
        session.open_transport("0", caller.path)
        await session.secure("0", SecurityPlan("none"))
        await callee.session.secure("0", SecurityPlan("none"))
        callee.session.configure([audio()])
        session.configure([audio()])
        session.start_sending()
        await eventually(lambda: callee.session.first_audio_at)
        assert (session.stats()[0] or 0).input_level_dbfs is None
        released.set()
        await eventually(lambda: (session.stats()[0] or 0).input_level_dbfs is not None)
        await session.close()


async def test_repeats_bring_lost_sound_back() -> None:
    async with two_ends() as (caller, callee):
        red = CodecPlan("red", 63, 48_000, 2, (("111/111", ""),))
        plan = replace(audio(), codecs=(OPUS, red))
        for end in (caller, callee):
            end.session.configure([plan])
        await secure(caller, callee, "none")
        caller.session.start_sending()
        await eventually(lambda: caller.session.stats()[0])
        stream = caller.session._streams["audio"]
        began = stream.sender.first_sequence
        for number in range(1, 7):  # reports of a peer that misses one packet in five
            stream.heard_by_peer(
                Report(stream.sender.ssrc, 51, 10 * number, began + 50 * number, 0, 0, 0), float(number)
            )
        sent = itertools.count()
        caller.path.lose = lambda data: data[1] & 0x7F == 63 and next(sent) % 4 == 1
        await eventually(lambda: (figures := callee.session.stats()[0]) and figures.recovered_ms >= 100)
        figures = callee.session.stats()[0]
        assert figures is not None
        assert figures.lost >= 5
        assert figures.lost_for_good <= 1
        assert figures.recovered_ms == pytest.approx(figures.lost * 20, abs=25)


async def test_sound_under_a_number_of_our_offer_is_heard_too() -> None:
    async with two_ends() as (caller, callee):
        caller.session.configure([replace(audio(), also_received=(replace(OPUS, payload_type=96),))])
        callee.session.configure([audio(replace(OPUS, payload_type=96))])
        await secure(caller, callee, "none")
        callee.session.start_sending()
        await eventually(lambda: caller.session.first_audio_at is not None)
        assert caller.session.dropped_datagrams == 0


async def test_lost_sound_is_asked_for_again_and_still_counts_as_lost() -> None:
    async with two_ends() as (caller, callee):
        for end in (caller, callee):
            end.session.configure([replace(audio(), nack=True)])
        await secure(caller, callee, "sdes")
        for end in (caller, callee):
            end.session.start_sending()
        lost: set[bytes] = set()

        def lose(data: bytes) -> bool:
            if data[1] & 0x7F != OPUS.payload_type or data[2:4] in lost or data[3] % 4:
                return False
            lost.add(data[2:4])
            return True

        caller.path.lose = lose
        await eventually(lambda: (figures := callee.session.stats()[0]) and figures.recovered_ms >= 200)
        figures = callee.session.stats()[0]
        assert figures is not None
        assert figures.lost >= 10
        assert figures.lost_for_good < figures.lost
        stream = caller.session._streams["audio"]
        await eventually(lambda: (stream.remote_loss_percent or 0) > 8)  # what came again was lost on its way
        assert isinstance(stream, AudioStream)
        assert stream._chooser.choice.repeats == 0


async def test_a_repeat_of_what_is_no_sound_is_no_sound() -> None:
    red, key = CodecPlan("red", 63, 48_000, 2, (("111/111", ""),)), CodecPlan("telephone-event", 110, 48_000)
    pressed = bytes((5, 0x0A)) + (960).to_bytes(2)
    async with two_ends() as (caller, _):
        await secure(caller, caller, "none")
        caller.session.configure([replace(audio(), codecs=(OPUS, red, key))])
        await eventually(lambda: caller.session.stats()[0])
        for number, payload_type in enumerate((63, 110)):  # a repeat of repeats, and a repeated key
            blocks = pack(111, b"\xf8\xff\xfe", [Block(payload_type, 960, pressed)])
            caller.session.receive("0", build_rtp(63, False, 100 + 2 * number, 96_000 + 1_920 * number, 7, blocks))
        figures = caller.session.stats()[0]
        assert figures is not None
        assert figures.packets_received == 2
        assert [event for event in caller.events if isinstance(event, KeyPressed)] == [KeyPressed("5")]
