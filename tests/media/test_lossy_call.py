"""How long a picture stands still where packets are lost: whole sessions on a virtual clock, so the same each time.

`make bench` looks at many more of them (tests/bench/test_video_path.py).
"""

from __future__ import annotations

import asyncio

import pytest

from app.frames import FrameMailbox
from app.media.codecs import VP8
from app.media.default_devices import SettingsDevices
from app.media.rtcp import Report
from app.media.rtp import RtpPacket
from app.media.sending import ntp_time
from app.media.stream import RtpStream, StreamHost
from app.media.video_stream import VideoStream
from app.media.worker import Worker
from tests.media.lossy_call import KEY, LossyWire, watch
from tests.media.wire import QUIET, audio, video


@pytest.mark.parametrize("seed", [62, 71])
def test_at_five_percent_no_picture_stands_still_for_long(seed: int) -> None:
    watched = watch(LossyWire(0.05, loss=0.05), seed)
    assert watched.longest_s < 0.4
    assert not watched.broken


def test_after_a_moment_in_which_nothing_came_through_the_picture_goes_on_at_once() -> None:
    """What was sent last is lost, and the feedback about it: nothing that arrives would make the sender go on."""
    watched = watch(LossyWire(0.02, cut_s=0.3), 1, seconds=2.0)
    assert 0.3 < watched.longest_s < 0.6


def test_packets_and_feedback_lost_together_do_not_stop_the_sender() -> None:
    assert watch(LossyWire(0.05, loss=0.10), 50, seconds=5.0).longest_s < 0.5


def test_feedback_goes_by_pictures_and_at_the_beat_of_a_wide_path_by_time() -> None:
    usual, at_beat = (watch(LossyWire(0.02, waits_s=waits_s), 1, seconds=4.0) for waits_s in (0.001, 0.010))
    assert usual.feedbacks / 4.0 > 22  # of thirty pictures a second, as soon as the rate allows
    assert 12 < at_beat.feedbacks / 4.0 < 20
    assert usual.bitrate_bps * 0.9 < at_beat.bitrate_bps
    assert at_beat.longest_s < 0.1


async def test_who_sends_no_picture_asks_again_by_the_round_trip_that_the_sound_knows() -> None:
    asked: list[bytes] = []
    host = StreamHost(
        loop=asyncio.get_running_loop(),
        settings=QUIET,
        devices=SettingsDevices(),
        cname="name",
        send_rtp=lambda transport, packets: None,
        send_rtcp=lambda transport, compound: asked.append(compound),
        has_transport=lambda name: True,
        emit=lambda event: None,
        retire=Worker.stop,
    )
    sound, picture = RtpStream(host, audio()), VideoStream(host, video(send=False), FrameMailbox(), None)
    picture.stop()  # its thread
    picture.gate_open = True
    told = ntp_time() - int(0.020 * 2**32) >> 16 & 0xFFFF_FFFF  # that report came back 20 ms later
    sound.heard_by_peer(Report(sound.sender.ssrc, 0, 0, 1, 0, told, 0), 0.0)
    for sequence in (1, 3):
        picture.receive(RtpPacket(VP8.payload_type, False, sequence, 0, 7, b"\x10" + KEY), 0.0, 0.0)
    assert len(asked) == 1
    picture.tick(0.010)
    assert len(asked) == 1
    picture.tick(0.045)
    assert len(asked) == 2
