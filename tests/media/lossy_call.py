"""Pictures from one media session to another over a wire that loses packets, on a virtual clock.

All of both sessions is the real thing (packets, repeats, feedback, pacing, key frames, timers) but for the codec, which
gives so many bytes, and the threads, whose work is done on the loop and takes no time.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast
from unittest.mock import patch

import av

from app.frames import FrameMailbox
from app.media import loading, rehearsal, video_send, video_stream
from app.media.assembly import EncodedFrame
from app.media.certificate import Certificate
from app.media.codecs import VP8
from app.media.default_devices import SettingsDevices
from app.media.plan import SecurityPlan, StreamPlan
from app.media.ports import CapturedFrame
from app.media.session import MediaSession
from app.media.twcc import FEEDBACK_FORMAT
from app.media.video_receive import VideoPlayWorker
from app.media.video_send import VideoSendWorker
from app.settings import MediaSettings
from tests import virtual_time
from tests.media.wire import Path

FPS = 30
KEY, DELTA = b"\x10\x02\x00\x9d\x01\x2a\x80\x02\xe0\x01", b"\x11\x02\x00\x00\x00\x00\x00\x00\x00\x00"
KEY_FRAMES = 6  # frames' worth of bits that a key frame takes …
PAID_BACK = 10  # … which the frames after it do without
LEAST_BYTES = 60
_SETTLES_S = 1.5
_RTX = 97


@dataclass(frozen=True)
class _Picture:
    width: int
    height: int


class _Scaler:
    def reformat(self, picture: _Picture, width: int, height: int, **how: object) -> _Picture:
        return _Picture(width, height)


class _Encoder:
    """Frames of about the size that the bitrate allows, with their number in them."""

    name = "sized"

    def __init__(self, bitrate_bps: int) -> None:
        self.bitrate_bps = bitrate_bps
        self._dice = random.Random(random.random())
        self._number = 0
        self._debt = 0.0

    def hurry(self, is_short: bool) -> None:
        """It takes no time."""

    def encode(self, frame: object, timestamp: int, *, key: bool) -> tuple[bytes, bool]:
        key = key or not self._number
        share = self.bitrate_bps / 8 / FPS
        paid = 0.0 if key else min(self._debt, share * KEY_FRAMES / PAID_BACK, share * 0.6)
        size = share * (KEY_FRAMES if key else self._dice.uniform(0.6, 1.4)) - paid
        self._debt += share * (KEY_FRAMES - 1) if key else -paid
        self._number += 1
        head = (KEY if key else DELTA) + self._number.to_bytes(4)
        return head + bytes(max(LEAST_BYTES, int(size)) - len(head)), key


class _NoThread:
    """Stands for a worker whose work the loop does."""

    def __init__(self, start: Callable[[], None]) -> None:
        self.start = start

    def hold(self) -> None:
        """It is always ready."""

    def stop(self) -> None:
        """It never runs."""

    def join(self, timeout_s: float) -> bool:
        return True


class _Capture(VideoSendWorker):
    """Takes a picture every 33 ms by the loop's clock."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._reformatter = cast("Any", _Scaler())
        self.worker = cast("Any", _NoThread(self._begin))

    def _begin(self) -> None:
        self._take_next(asyncio.get_running_loop().time())

    def _take_next(self, at: float) -> None:
        loop = asyncio.get_running_loop()
        self._take(CapturedFrame(cast("av.VideoFrame", _Picture(640, 480)), loop.time()))
        loop.call_at(at + 1 / FPS, self._take_next, at + 1 / FPS)


class _Player(VideoPlayWorker):
    """Notes when each frame could be decoded."""

    def __init__(self, sink: Any, on_damage: Callable[[], None]) -> None:
        super().__init__(sink, on_damage)
        self.worker = cast("Any", _NoThread(lambda: None))
        self.times: list[float] = []
        self.broken = 0
        self._last = 0

    def push(self, frames: list[EncodedFrame]) -> bool:
        now = asyncio.get_running_loop().time()
        for frame in frames:
            number = int.from_bytes(frame.data[len(KEY) : len(KEY) + 4])
            if frame.is_key or number == self._last + 1:
                self.times.append(now)
            else:
                self.broken += 1
            self._last = number
            self.shown = frame.timestamp, now
        return True


@dataclass(frozen=True)
class LossyWire:
    """What becomes of packets, in both directions alike.

    delay_s: how long they travel; loss: share that is lost, by chance; cut_s: for so long all of them are, before that.
    `rtx`: both ends have agreed to retransmissions of their own (RFC 4588). waits_s: how long what has come waits to be
    read, as at a loop's beat.
    """

    delay_s: float
    loss: float = 0.0
    cut_s: float = 0.0
    rtx: bool = True
    waits_s: float = 0.0


@dataclass(frozen=True)
class Watched:
    """What a person would have seen: how long each picture was waited for, and what that took."""

    gaps_s: list[float]
    broken: int
    key_frames: int
    sent_bytes: int
    repeated: int
    bitrate_bps: float
    feedbacks: int

    @property
    def longest_s(self) -> float:
        return max(self.gaps_s)


@contextmanager
def _without_threads() -> Iterator[list[_Player]]:
    players: list[_Player] = []

    def player(*arguments: Any) -> _Player:
        players.append(_Player(*arguments))
        return players[-1]

    loading.load()
    with (
        patch.object(video_stream, "VideoSendWorker", _Capture),
        patch.object(video_stream, "VideoPlayWorker", player),
        patch.object(video_send, "make_encoder", lambda codec, bps, fps, **how: _Encoder(bps)),
        patch.object(rehearsal, "make_encoder", lambda codec, bps, fps, **how: _Encoder(bps)),
    ):
        yield players


def _is_feedback(compound: bytes) -> bool:
    """Whether it tells of arrivals (transport-wide feedback) after a receiver report and a description."""
    at = 0
    while at + 4 <= len(compound):
        if compound[at] & 0x1F == FEEDBACK_FORMAT and compound[at + 1] == 205:
            return True
        at += 4 * (int.from_bytes(compound[at + 2 : at + 4]) + 1)
    return False


async def _hold(wire: LossyWire, seconds: float, seed: int, players: list[_Player]) -> Watched:
    settings = MediaSettings(audio_from="silence", audio_to="null", width=640, height=480, fps=FPS)
    sessions = [
        MediaSession(settings, Certificate.generate(), devices=SettingsDevices(), remote_picture=FrameMailbox())
        for _ in range(2)
    ]
    loop = asyncio.get_running_loop()
    there, back = (Path(delay_s=wire.delay_s + wire.waits_s, seed=2 * seed + each) for each in range(2))
    for here, far, path in zip(sessions, sessions[::-1], (there, back), strict=True):
        path.to = lambda data, far=far: far.receive("0", data, loop.time() - wire.waits_s)
        here.open_transport("0", path)
    plan = StreamPlan("video", "video", "0", True, False, (VP8,), nack=True, pli=True, mid="1", mid_extension_id=1)
    plan = replace(plan, transport_cc=True, transport_cc_id=2, rtx=((_RTX, VP8.payload_type),) if wire.rtx else ())
    try:
        for session, sends in zip(sessions, (True, False), strict=True):
            await session.secure("0", SecurityPlan("none"))
            session.configure([replace(plan, send=sends, receive=not sends)])
            session.start_sending()
            await asyncio.sleep(random.uniform(0.0, 0.05))  # neither their timers nor the pictures keep in step
        await asyncio.sleep(_SETTLES_S)
        began, sent, told = loop.time(), len(there.sent), len(back.sent)
        there.loss = back.loss = 1.0
        await asyncio.sleep(wire.cut_s)
        there.loss = back.loss = wire.loss
        await asyncio.sleep(seconds - wire.cut_s)
        figures = sessions[0].stats()[1]
        assert figures is not None
    finally:
        await asyncio.gather(*(session.close() for session in sessions))
    (player,) = players
    times = [at for at in player.times if at >= began]
    gaps = [later - earlier for earlier, later in itertools.pairwise([began, *times, began + seconds])]
    size = sum(map(len, there.sent[sent:]))
    feedbacks = sum(map(_is_feedback, back.sent[told:]))
    bitrate = figures.bitrate_bps or 0.0
    return Watched(gaps, player.broken, figures.key_frames_sent, size, figures.repeated, bitrate, feedbacks)


def watch(wire: LossyWire, seed: int, *, seconds: float = 12.0) -> Watched:
    """Send pictures over such a wire for a while; the same for the same seed."""
    with _without_threads() as players:
        return virtual_time.run(_hold(wire, seconds, seed, players), seed)
