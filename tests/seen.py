"""What a test says about pictures: which frames a video file shows, and files made to be recognised again."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np

from app.frames import FrameMailbox
from app.media.pattern import Pattern
from app.media.stamp import read_stamp
from tests.heard import RATE_HZ, Samples


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """One frame of a video file; `number` is its stamp, None where it has none that can be read."""

    at_s: float
    number: int | None
    width: int
    height: int


def seen_frames(path: Path) -> list[SeenFrame]:
    """Give all frames of a video file."""
    with av.open(str(path)) as container:
        return [
            SeenFrame(float(frame.time or 0.0), read_stamp(frame), frame.width, frame.height)
            for frame in container.decode(video=0)
        ]


def stamps(path: Path) -> list[int]:
    """Give the stamps of a video file in the order they are shown, without the frames that have none."""
    return [frame.number for frame in seen_frames(path) if frame.number is not None]


def longest_freeze_s(frames: list[SeenFrame]) -> float:
    """Give the longest time for which no new picture was shown."""
    changes = [frame.at_s for before, frame in zip([None, *frames], frames, strict=False) if _is_new(before, frame)]
    return max((later - earlier for earlier, later in itertools.pairwise(changes)), default=0.0)


def mailbox_stamp(mailbox: FrameMailbox) -> int | None:
    """Take the newest picture out of a mailbox and read its stamp."""
    picture = mailbox.take()
    return read_stamp(picture) if picture is not None else None


def make_video(
    path: Path,
    *,
    seconds: float = 2.0,
    width: int = 640,
    height: int = 480,
    fps: int = 30,
    sound: Samples | None = None,
    label: str = "Film",
) -> Path:
    """Make a stamped video file, with sound where samples at 48 kHz are given; its suffix chooses the container."""
    webm = path.suffix == ".webm"
    pattern = Pattern(width, height, label)
    with av.open(str(path), "w") as container:
        video = cast(av.VideoStream, container.add_stream("libvpx" if webm else "libx264", rate=fps))
        video.width, video.height, video.pix_fmt, video.bit_rate = pattern.width, pattern.height, "yuv420p", 2_000_000
        video.codec_context.options = {"deadline": "realtime", "cpu-used": "8"} if webm else {"preset": "ultrafast"}
        audio = None
        if sound is not None:
            audio = cast(av.AudioStream, container.add_stream("libopus" if webm else "aac", rate=RATE_HZ))
            audio.layout = "mono"
        for number in range(round(seconds * fps)):
            frame = pattern.draw(number, number / fps)
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(video.encode(frame))
        if audio is not None and sound is not None:
            for packet in _encoded(audio, sound):
                container.mux(packet)
        container.mux(video.encode(None))
    return path


def _encoded(stream: av.AudioStream, sound: Samples) -> list[av.Packet]:
    frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate, frame.pts = RATE_HZ, 0
    codec = stream.codec_context
    resampler = av.AudioResampler(
        format=codec.format, layout="mono", rate=RATE_HZ, frame_size=1024 if codec.name == "aac" else 960
    )
    packets: list[av.Packet] = []
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        packets.extend(stream.encode(piece))
    return [*packets, *stream.encode(None)]


def _is_new(before: SeenFrame | None, frame: SeenFrame) -> bool:
    return before is None or before.number != frame.number


def difference(one: av.VideoFrame, other: av.VideoFrame) -> float:
    """Give the mean difference of two pictures of one size in grey levels, 0 to 255."""
    first, second = (np.asarray(frame.to_ndarray(format="gray"), np.float32) for frame in (one, other))
    return float(np.abs(first - second).mean())
