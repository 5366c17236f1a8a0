"""Scores, shares and reasons, from figures as a call gives them four times a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.diagnosis.limits import Lately, LimitWatch
from app.diagnosis.quality import QualityMonitor
from app.events import (
    AudioStats,
    CallFigures,
    CandidateInfo,
    CandidateType,
    IceSnapshot,
    IceState,
    Milestones,
    PairInfo,
    PairState,
    QualityInfo,
    SecurityInfo,
    TransportStats,
    VideoStats,
)

PAIR = PairInfo(0, 0, PairState.SUCCEEDED, True, True, 1, 0.06, 0, 0)
HOST = CandidateInfo(CandidateType.HOST, "192.0.2.1", 4000, "udp", 1, "1")
ICE = IceSnapshot("controlling", IceState.COMPLETED, (HOST,), (HOST,), (PAIR,))
AUDIO = AudioStats(codec="opus", delay_ms=40.0, bitrate_in_bps=40_000.0, output_level_dbfs=-25.0)


def figures(
    audio: AudioStats | None = AUDIO,
    video: VideoStats | None = None,
    transport: TransportStats | None = None,
    ice: IceSnapshot | None = ICE,
) -> CallFigures:
    return CallFigures("c1", ice, SecurityInfo(), audio, video, Milestones(), transport)


def talk(
    audio: AudioStats = AUDIO, *, seconds: float, lost_of_10: int = 0, for_good: bool = True
) -> Iterator[AudioStats]:
    """A call with 50 packets a second, told four times a second."""
    for step in range(round(seconds * 4) + 1):
        packets = step * 12
        lost = packets * lost_of_10 // 10
        yield replace(
            audio,
            packets_received=audio.packets_received + packets - lost,
            lost=audio.lost + lost,
            loss_runs=audio.loss_runs + lost,
            lost_for_good=audio.lost_for_good + (lost if for_good else 0),
            concealed_ms=audio.concealed_ms + (lost * 20 if for_good else 0),
        )


def judged(monitor: QualityMonitor, parts: Iterator[AudioStats], at: float = 100.0) -> tuple[QualityInfo, AudioStats]:
    for step, audio in enumerate(parts):
        result = monitor.take(figures(audio), at + step / 4)
    assert result.quality is not None
    assert result.audio is not None
    return result.quality, result.audio


def test_a_good_call() -> None:
    quality, audio = judged(QualityMonitor(), talk(seconds=10))
    assert quality.score == pytest.approx(4.38, abs=0.03)
    assert quality.score_average == pytest.approx(quality.score)
    assert quality.score_worst == quality.score
    assert (quality.loss_percent, quality.loss_after_percent, quality.concealed_percent) == (0, 0, 0)
    assert quality.limits == ()
    assert audio.network_delay_ms == 30
    assert audio.total_delay_ms == 30 + 40 + 40


def test_a_far_end_that_only_listens_sounds_no_worse() -> None:
    monitor = QualityMonitor()
    spoken, _ = judged(monitor, talk(seconds=10))
    listens = replace(AUDIO, packets_received=500, bitrate_in_bps=2_000.0, output_level_dbfs=None)
    silent, _ = judged(monitor, talk(listens, seconds=60), at=110.25)
    again = replace(listens, packets_received=4_000, bitrate_in_bps=9_000.0, output_level_dbfs=-30.0)
    quality, _ = judged(monitor, talk(again, seconds=2), at=170.5)
    assert spoken.score == silent.score == quality.score
    narrow = replace(again, packets_received=5_000, bitrate_in_bps=16_000.0)
    quality, _ = judged(monitor, talk(narrow, seconds=25), at=173.0)
    assert quality.score is not None
    assert quality.score < 4.1


def test_nothing_is_judged_before_there_is_sound() -> None:
    monitor = QualityMonitor()
    assert monitor.take(figures(None), 1.0).quality is None
    quality = monitor.take(figures(AUDIO), 1.25).quality
    assert quality is not None
    assert quality.score is quality.score_average is quality.score_worst is quality.score_sent is None


def test_delays_are_known_only_where_their_parts_are() -> None:
    monitor = QualityMonitor()
    known = monitor.take(figures(replace(AUDIO, rtt_ms=20.0, device_in_delay_ms=35.0, device_out_delay_ms=25.0)), 1.0)
    assert known.audio is not None
    assert (known.audio.network_delay_ms, known.audio.total_delay_ms) == (10, 35 + 10 + 40 + 25)
    unknown = monitor.take(figures(ice=None), 1.25)
    assert unknown.audio is not None
    assert unknown.audio.network_delay_ms is unknown.audio.total_delay_ms is None


def test_loss_shows_at_once_and_the_call_remembers_the_worst() -> None:
    monitor = QualityMonitor()
    good, after = judged(monitor, talk(seconds=20))
    bad, after = judged(monitor, talk(after, seconds=10, lost_of_10=2), at=120.25)
    assert good.score is not None
    assert bad.score is not None
    assert bad.score < 2.0
    assert bad.loss_percent == pytest.approx(20, abs=2)
    assert bad.concealed_percent == pytest.approx(20, abs=3)
    again, _ = judged(monitor, talk(after, seconds=20), at=130.5)
    assert again.score == pytest.approx(good.score, abs=0.02)
    assert again.score_worst == pytest.approx(bad.score, abs=0.1)
    assert again.score_average is not None
    assert bad.score + 1 < again.score_average < good.score - 0.2


def test_what_recovery_brought_back_costs_nothing() -> None:
    quality, _ = judged(QualityMonitor(), talk(seconds=10, lost_of_10=1, for_good=False))
    assert quality.loss_percent == pytest.approx(10, abs=1)
    assert quality.loss_after_percent == 0
    assert quality.score == pytest.approx(4.38, abs=0.03)


def test_sound_that_runs_dry_counts_though_nothing_is_lost() -> None:
    dry = (replace(audio, concealed_ms=step * 20.0) for step, audio in enumerate(talk(seconds=10)))
    quality, _ = judged(QualityMonitor(), dry)
    assert quality.concealed_percent == pytest.approx(8, abs=0.5)
    assert quality.score is not None
    assert quality.score < 3.5


def test_the_other_sides_loss_is_judged_apart() -> None:
    quality, _ = judged(QualityMonitor(), talk(replace(AUDIO, remote_loss_percent=8.0), seconds=10))
    assert quality.score is not None
    assert quality.score_sent is not None
    assert quality.score_sent < quality.score - 1
    (limit,) = quality.limits
    assert limit.is_theirs
    assert limit.sentence.startswith("The other side hears you badly: 8 % of your sound does not reach it.")


def test_redundancy_that_is_sent_heals_most_of_what_the_other_side_misses() -> None:
    lossy = replace(AUDIO, remote_loss_percent=8.0, expected_loss_percent=8.0)
    quality, _ = judged(QualityMonitor(), talk(lossy, seconds=10))
    assert quality.score_sent is not None
    assert quality.score_sent > 4.0
    assert quality.limits == ()
    quality, _ = judged(QualityMonitor(), talk(replace(lossy, remote_loss_percent=20.0), seconds=10))
    assert "20 % of your sound" in quality.limits[0].sentence


def test_an_ended_call_keeps_what_was_found() -> None:
    monitor = QualityMonitor()
    quality, audio = judged(monitor, talk(seconds=10))
    over = monitor.dress(figures(replace(audio, bitrate_in_bps=None, packets_received=7)), is_over=True)
    assert over.quality == quality
    assert over.audio is not None
    assert over.audio.bitrate_in_bps == audio.bitrate_in_bps  # its meter stopped with the call
    assert over.audio.packets_received == 7


def test_a_computer_without_time_is_told_from_an_uneven_network() -> None:
    slow, quick = QualityMonitor(), QualityMonitor()
    late = replace(AUDIO, buffer_target_ms=200.0)
    for monitor, pause in ((slow, 0.45), (quick, 0.25)):
        for step, audio in enumerate(talk(late, seconds=8)):
            result = monitor.take(figures(audio), step * pause)
        assert result.quality is not None
        assert [limit.cause for limit in result.quality.limits] == ["cpu" if monitor is slow else "network"]


def test_two_reasons_of_one_kind_count_each_second_once() -> None:
    monitor = QualityMonitor()
    far = replace(AUDIO, rtt_ms=800.0, buffer_target_ms=200.0)
    quality, _ = judged(monitor, talk(far, seconds=10, lost_of_10=2))
    assert len(quality.limits) == 3
    (limited,) = quality.limited
    assert limited.seconds <= 10
    assert "20 % of the other side's sound" in limited.limit.sentence


def test_how_long_a_reason_held_is_kept() -> None:
    monitor = QualityMonitor()
    judged(monitor, talk(replace(AUDIO, remote_loss_percent=8.0), seconds=10))
    quality, _ = judged(monitor, talk(seconds=20), at=110.25)
    assert quality.limits == ()
    (limited,) = quality.limited
    assert limited.limit.is_theirs
    assert 8 < limited.seconds < 22


# Reasons ----------------------------------------------------------------------------------------------------


CALM = Lately()


def sentences(
    video: VideoStats | None = None,
    transport: TransportStats | None = None,
    audio: AudioStats = AUDIO,
    lately: Lately = CALM,
    *,
    seconds: float = 10,
    watch: LimitWatch | None = None,
    at: float = 0.0,
) -> list[str]:
    watch = watch or LimitWatch()
    told = [
        watch.take(figures(audio, video, transport), lately, at + step / 4) for step in range(round(seconds * 4) + 1)
    ]
    return [limit.sentence for limit in told[-1]]


def test_a_lost_device_is_said_before_all_else_for_as_long_as_it_lasts() -> None:
    lost = replace(AUDIO, microphone_problem="No microphone was found.", speaker_problem="The speaker was lost.")
    watch = LimitWatch()
    assert sentences(audio=lost, lately=Lately(loss_after_percent=9), watch=watch)[:2] == [
        "No microphone was found.",
        "The speaker was lost.",
    ]
    assert not [one for one in sentences(seconds=1.5, watch=watch, at=10.0) if "microphone" in one or "speaker" in one]
    assert not sentences(audio=lost, seconds=1, watch=watch, at=20.0)  # another one is just being opened


NARROW = TransportStats(estimate_bps=280_000)


@pytest.mark.parametrize(
    ("video", "begins"),
    [
        (VideoStats(is_paused=True, limited_by="network"), "The network carries 280 kbit/s: your picture is paused so"),
        (
            VideoStats(limited_by="network", sent_width=640, sent_height=360, fps_sent=15.2),
            "The network carries 280 kbit/s: your picture is sent as 640 × 360 at 15 pictures a second.",
        ),
        (
            VideoStats(limited_by="cpu", sent_width=960, sent_height=540),
            "This computer is too slow to send a larger picture: it is sent as 960 × 540.",
        ),
        (VideoStats(fps_captured=15, fps_wanted=30), "The camera gives 15 pictures a second instead of 30."),
        (VideoStats(decode_ms=40, fps_received=25, width=1920, height=1080), "This computer is too slow to show 1920"),
        (
            VideoStats(limited_by="far window", sent_width=320, sent_height=180),
            "The other side shows your picture small, so it is sent as 320 × 180.",
        ),
    ],
)
def test_pictures(video: VideoStats, begins: str) -> None:
    (sentence,) = sentences(video, NARROW, seconds=15)
    assert sentence.startswith(begins)


@pytest.mark.parametrize(
    ("audio", "lately", "begins"),
    [
        (AUDIO, Lately(loss_percent=6, loss_after_percent=3), "What you hear suffers: 6 % of the other side's sound"),
        (
            replace(AUDIO, buffer_target_ms=145.0),
            Lately(loss_percent=5, loss_after_percent=0.5, late_percent=0.5),
            "What you hear comes late: 5 % of it is lost on the way and has to be sent again, so voices wait 40 ms.",
        ),
        (
            replace(AUDIO, buffer_target_ms=145.0),
            Lately(loss_percent=0, late_percent=0),
            "What you hear comes late: it arrives very unevenly, so voices wait 40 ms.",
        ),
        (AUDIO, Lately(late_percent=4), "What you hear suffers: sound arrives very unevenly, so voices wait 40 ms."),
        (AUDIO, Lately(late_percent=4, stalled_s=0.2), "What you hear suffers: this computer has too little time"),
        (
            AUDIO,
            Lately(sent_loss_percent=12, sent_loss_after_percent=12),
            "The other side hears you badly: 12 % of your sound does not reach it.",
        ),
        (
            replace(AUDIO, total_delay_ms=520.0, network_delay_ms=400.0),
            Lately(),
            "Voices arrive 0.5 s late. Most of it is",
        ),
        (replace(AUDIO, encoder_bitrate_bps=12_000.0), Lately(), "The network carries 280 kbit/s: your voice is sent"),
        (replace(AUDIO, codec="pcma", packets_received=50), Lately(), "The other phone takes only the sound of old"),
    ],
)
def test_sound(audio: AudioStats, lately: Lately, begins: str) -> None:
    (sentence,) = sentences(None, NARROW, audio, lately)
    assert sentence.startswith(begins)


def test_slow_devices_are_not_called_a_slow_network() -> None:
    audio = replace(AUDIO, total_delay_ms=420.0, network_delay_ms=20.0, delay_ms=60.0, device_out_delay_ms=300.0)
    watch = LimitWatch()
    for step in range(20):
        limits = watch.take(figures(audio), Lately(), step / 4)
    ((cause, sentence),) = ((limit.cause, limit.sentence) for limit in limits)
    assert cause == "device"
    assert sentence.startswith("Voices arrive 0.4 s late. Most of it is in the sound devices")


def test_a_camera_is_not_blamed_for_a_computer_without_time() -> None:
    slow = VideoStats(fps_captured=15, fps_wanted=30)
    assert sentences(slow, seconds=15, lately=Lately(stalled_s=0.2)) == []


def test_a_good_call_has_no_reasons() -> None:
    video = VideoStats(fps_captured=30, fps_wanted=30, decode_ms=3, fps_received=30)
    assert sentences(video, TransportStats(estimate_bps=3e6), lately=Lately(0, 0, 0, 0, 0, 0, 0)) == []


def test_a_reason_needs_a_while_to_come_and_longer_to_go() -> None:
    watch = LimitWatch()
    lossy, clean = Lately(sent_loss_after_percent=9), Lately(sent_loss_after_percent=0)
    assert not sentences(lately=lossy, seconds=1.5, watch=watch)
    assert not sentences(lately=clean, seconds=0, watch=watch, at=1.75)
    assert not sentences(lately=lossy, seconds=1.5, watch=watch, at=2.0)
    assert sentences(lately=lossy, seconds=0.5, watch=watch, at=3.75)
    assert sentences(lately=clean, seconds=5, watch=watch, at=4.5)
    assert not sentences(lately=clean, seconds=2, watch=watch, at=9.75)


def test_at_the_edge_nothing_flickers() -> None:
    watch = LimitWatch()
    told = set()
    for step in range(120):
        lately = Lately(sent_loss_after_percent=3.2 if step % 2 else 1.6)
        told.add(bool(watch.take(figures(), lately, step / 4)))
        if step >= 40:
            assert told == {False}  # it never held for long enough
    for step in range(120, 132):
        watch.take(figures(), Lately(sent_loss_after_percent=6), step / 4)
    words = {
        watch.take(figures(), Lately(sent_loss_percent=3.4 + step % 2, sent_loss_after_percent=2.0), step / 4)
        for step in range(132, 144)
    }
    assert all(words)
    assert len(words) <= 2  # the number is not put anew with every look
