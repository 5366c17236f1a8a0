"""The stamp: written into a picture, read back after everything that happens to pictures on their way."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.frames import FrameMailbox
from app.media import opencv
from app.media.pattern import Pattern
from app.media.pictures import Fitter
from app.media.sinks import MailboxSink
from app.media.stamp import STAMP_BITS, draw_stamp, read_stamp
from tests.seen import mailbox_stamp


@given(st.integers(0, (1 << STAMP_BITS) - 1))
def test_every_number_comes_back(number: int) -> None:
    grey = np.full((120, 160), 90, np.uint8)
    draw_stamp(grey, number)
    assert read_stamp(grey) == number


def test_a_number_too_large_wraps() -> None:
    grey = np.full((120, 160), 90, np.uint8)
    draw_stamp(grey, (1 << STAMP_BITS) + 7)
    assert read_stamp(grey) == 7


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_pictures_keep_their_alpha(channels: int) -> None:
    picture = np.full((240, 320, channels), 255, np.uint8)
    draw_stamp(picture, 4711)
    assert read_stamp(picture) == 4711
    assert channels == 3 or np.all(picture[:, :, 3] == 255)


@given(st.integers(0, 2**32 - 1))
def test_noise_has_no_stamp(seed: int) -> None:
    random = np.random.default_rng(seed)
    assert read_stamp(random.integers(0, 256, (60, 80), dtype=np.uint8)) is None


@pytest.mark.parametrize("shape", [(1, 1), (7, 400), (400, 30), (240, 320)])
def test_pictures_without_a_stamp_or_too_small_for_one(shape: tuple[int, int]) -> None:
    assert read_stamp(np.zeros(shape, np.uint8)) is None
    assert read_stamp(np.full(shape, 200, np.uint8)) is None


def test_it_survives_vp8_at_300_kbit_and_half_the_size() -> None:
    encoder = cast(av.VideoCodecContext, av.CodecContext.create("libvpx", "w"))
    encoder.width, encoder.height, encoder.pix_fmt = 640, 480, "yuv420p"
    encoder.bit_rate, encoder.time_base, encoder.framerate = 300_000, Fraction(1, 30), Fraction(30)
    encoder.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "error-resilient": "1"}
    decoder = cast(av.VideoCodecContext, av.CodecContext.create("vp8", "r"))
    pattern = Pattern(640, 480, "Test picture")
    cv2 = opencv.load()
    seen, halved, size = [], [], 0
    for number in range(24):
        frame = pattern.draw(1000 + number * 37, number / 30)
        frame.pts, frame.time_base = number, Fraction(1, 30)
        for packet in encoder.encode(frame):
            size += packet.size
            for decoded in decoder.decode(packet):
                seen.append(read_stamp(decoded))
                small = cv2.resize(decoded.to_ndarray(format="bgr24"), (320, 240), interpolation=cv2.INTER_LINEAR)
                halved.append(read_stamp(small))
    assert size * 8 / 0.8 < 900_000, "the encoder did not keep anywhere near its rate"
    assert seen == [1000 + number * 37 for number in range(24)]
    assert halved == seen


def test_it_is_read_inside_black_bars_and_from_a_mailbox() -> None:
    frame = Fitter(1280, 720).fit(Pattern(640, 480, "Test picture").draw(99, 0.0))
    assert (frame.width, frame.height) == (1280, 720)
    assert read_stamp(frame) == 99
    mailbox = FrameMailbox()
    MailboxSink(mailbox).write_frame(frame, 1.0)
    assert mailbox_stamp(mailbox) == 99
    assert mailbox_stamp(mailbox) is None
