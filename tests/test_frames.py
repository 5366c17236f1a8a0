"""The mailbox of pictures: only the newest, told once, and made only for those who look."""

from __future__ import annotations

import av
import numpy as np
import pytest

from app import frames
from app.frames import UNHEARD_INTERVAL_S, UNWATCHED_INTERVAL_S, WATCHED_S, FrameMailbox, VideoPicture
from app.media.pattern import Pattern
from app.media.ports import CapturedFrame
from app.media.rotation import orientation_of
from app.media.sinks import MailboxSink
from tests.seen import mailbox_stamp


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(frames, "time", clock)
    return clock


def picture(at: float = 0.0) -> VideoPicture:
    return VideoPicture(2, 2, 8, bytes(16), at)


def test_the_newest_picture_is_kept_and_its_coming_told_once() -> None:
    mailbox, told = FrameMailbox(), []
    mailbox.listen(lambda: told.append(1))
    for at in range(3):
        mailbox.put(picture(at))
    assert told == [1]
    newest = mailbox.take()
    assert newest is not None
    assert newest.captured_at == 2
    assert mailbox.take() is None
    assert mailbox.skipped == 2
    assert mailbox.taken == 1


def test_a_picture_is_wanted_by_who_looks_and_now_and_then_by_nobody(clock: Clock) -> None:
    mailbox = FrameMailbox()
    mailbox.listen(lambda: None)
    assert mailbox.is_wanted
    mailbox.put(picture())
    assert not mailbox.is_wanted
    clock.now += UNWATCHED_INTERVAL_S
    assert mailbox.is_wanted
    mailbox.put(picture())
    mailbox.take()
    mailbox.put(picture())
    clock.now += WATCHED_S / 2
    assert mailbox.is_wanted
    mailbox.put(picture())
    clock.now += WATCHED_S / 2
    assert mailbox.is_wanted  # the last one is old by now
    mailbox.put(picture())
    assert not mailbox.is_wanted


def test_hardly_a_picture_is_wanted_where_nobody_is_told_of_any(clock: Clock) -> None:
    mailbox = FrameMailbox()
    mailbox.put(picture())
    clock.now += UNWATCHED_INTERVAL_S
    assert not mailbox.is_wanted
    clock.now += UNHEARD_INTERVAL_S
    assert mailbox.is_wanted
    mailbox.put(picture())
    mailbox.listen(lambda: None)
    clock.now += UNWATCHED_INTERVAL_S
    assert mailbox.is_wanted


def test_pictures_that_nobody_sees_are_not_converted(clock: Clock) -> None:
    mailbox, pattern = FrameMailbox(), Pattern(320, 240, "")
    mailbox.listen(lambda: None)
    sink = MailboxSink(mailbox)
    for number in range(30):
        sink.write_frame(pattern.draw(number, 0.0), clock.now)
        clock.now += 1 / 32
    assert mailbox.skipped == 3
    assert mailbox_stamp(mailbox) == 24
    sink.write_frame(pattern.draw(30, 0.0), clock.now)
    assert mailbox_stamp(mailbox) == 30


@pytest.mark.parametrize("width", [322, 324, 500, 852, 854])
def test_a_picture_is_whole_up_to_its_last_column(width: int) -> None:
    mailbox = FrameMailbox()
    sink = MailboxSink(mailbox)
    for grey in (40, 200, 120):  # what is left of one picture's memory would show in the next
        frame = np.full((64 * 3 // 2, width), 128, np.uint8)
        frame[:64] = grey
        sink.write_frame(av.VideoFrame.from_ndarray(frame, format="yuv420p"), 0.0)
        shown = mailbox.take()
        assert shown is not None
        assert (shown.width, shown.height) == (width, 64)
        rows = np.frombuffer(shown.data, np.uint8).reshape(-1, shown.stride_bytes)
        assert len(np.unique(rows[:64, : width * 4].reshape(64, width, 4)[..., 0])) == 1


def test_ones_own_picture_is_shown_upright() -> None:
    mailbox = FrameMailbox()
    frame = np.full((48 * 3 // 2, 64), 128, np.uint8)
    frame[:48, :32], frame[:48, 32:] = 40, 200
    captured = CapturedFrame(av.VideoFrame.from_ndarray(frame, format="yuv420p"), 1.0, orientation_of(90))
    MailboxSink(mailbox).show(captured)
    shown = mailbox.take()
    assert shown is not None
    assert (shown.width, shown.height) == (48, 64)
    rows = np.frombuffer(shown.data, np.uint8).reshape(64, shown.stride_bytes)
    assert rows[4, 0] < 60 < 180 < rows[60, 0]  # what was left is above, as after a quarter turn clockwise
