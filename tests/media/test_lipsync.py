"""Sound and picture of one moment, brought together: the pure core."""

from __future__ import annotations

import random

import pytest

from app.media.lipsync import PICTURE, SOUND, LipSync, SourceClock

NTP = 3_900_000_000 << 32


class Reached:
    """A stream whose media reaches the person `late_s` after its capture, plus what it is told to wait."""

    def __init__(self, kind: str, late_s: float | None, jitter_s: float = 0.0) -> None:
        self.kind = kind
        self.late_s = late_s
        self.jitter_s = jitter_s
        self.waits_s = 0.0
        self.longest_s = 0.0
        self._random = random.Random(4)

    def lateness(self, now: float) -> float | None:
        if self.late_s is None:
            return None
        return -1e6 + self.late_s + self.waits_s + self._random.uniform(0, self.jitter_s)

    def hold_back(self, seconds: float) -> None:
        assert seconds >= 0
        assert abs(seconds - self.waits_s) <= 0.041  # smoothly
        self.waits_s = seconds
        self.longest_s = max(self.longest_s, seconds)


def ran(
    sound: Reached, picture: Reached, seconds: float = 20.0, sync: LipSync | None = None, at: float = 0.0
) -> LipSync:
    sync = sync or LipSync()
    for step in range(int(seconds / 0.02)):
        sync.step((picture, sound), at + step * 0.02)
    return sync


def test_a_picture_that_comes_early_waits_for_its_sound() -> None:
    sound, picture = Reached("audio", 0.200), Reached("video", 0.060)
    sync = ran(sound, picture)
    assert picture.waits_s == pytest.approx(0.080, abs=0.01)
    assert sound.longest_s == 0
    assert sync.offset_s == pytest.approx(-0.060, abs=0.01)


def test_a_picture_waits_no_longer_than_a_third_of_a_second() -> None:
    sound, picture = Reached("audio", 0.5), Reached("video", 0.060)
    sync = ran(sound, picture)
    assert picture.waits_s == PICTURE.most
    assert sync.offset_s == pytest.approx(-0.14, abs=0.01)


def test_where_waiting_would_not_bring_them_together_nothing_waits() -> None:
    for sound_s, picture_s in ((1.5, 0.060), (0.080, 1.0)):
        sound, picture = Reached("audio", sound_s), Reached("video", picture_s)
        ran(sound, picture)
        assert (sound.longest_s, picture.longest_s) == (0, 0)


@pytest.mark.parametrize("picture_s", [0.010, 0.080, 0.120, 0.190])
def test_nothing_waits_where_nobody_would_notice(picture_s: float) -> None:
    sound, picture = Reached("audio", 0.100), Reached("video", picture_s)
    sync = ran(sound, picture)
    assert (sound.longest_s, picture.longest_s) == (0, 0)
    assert sync.offset_s == pytest.approx(picture_s - 0.100)


def test_sound_waits_a_little_for_a_picture_that_is_very_late() -> None:
    sound, picture = Reached("audio", 0.080), Reached("video", 0.220)
    sync = ran(sound, picture)
    assert sound.waits_s == pytest.approx(0.080, abs=0.01)
    assert picture.longest_s == 0
    assert sync.offset_s == pytest.approx(0.060, abs=0.01)
    picture.late_s = 0.320
    ran(sound, picture, sync=sync, at=20.0)
    assert sound.waits_s == SOUND.most


def test_waiting_ends_with_its_reason() -> None:
    sound, picture = Reached("audio", 0.200), Reached("video", 0.060)
    sync = ran(sound, picture)
    sound.late_s = 0.070
    ran(sound, picture, sync=sync, at=20.0)
    assert picture.waits_s == 0
    picture.late_s = 0.300
    ran(sound, picture, sync=sync, at=40.0)
    assert sound.waits_s > 0
    picture.late_s = None  # the camera was switched off
    ran(sound, picture, sync=sync, at=60.0)
    assert sound.waits_s == 0
    assert sync.offset_s is None


def test_a_call_without_picture_waits_for_nothing() -> None:
    sync, sound = LipSync(), Reached("audio", 0.1)
    for step in range(100):
        sync.step((sound,), step * 0.25)
    assert sound.longest_s == 0


def test_clocks_that_have_nothing_to_do_with_each_other_are_left_alone() -> None:
    sound, picture = Reached("audio", 0.1), Reached("video", 5000.0)
    assert ran(sound, picture).offset_s is None
    assert (sound.longest_s, picture.longest_s) == (0, 0)


def test_uneven_arrival_moves_little() -> None:
    sound, picture = Reached("audio", 0.220), Reached("video", 0.060, jitter_s=0.060)
    sync = ran(sound, picture, 30)
    waits = set()
    for step in range(60):
        sync.step((picture, sound), 40 + step * 0.25)
        waits.add(round(picture.waits_s, 3))
    assert max(waits) - min(waits) < 0.040


def test_a_sender_report_places_timestamps_on_the_senders_clock() -> None:
    clock = SourceClock(90_000)
    assert clock.captured_at(1000) is None
    clock.report(0, 1000)  # no clock (RFC 3550 section 6.4.1)
    assert clock.captured_at(1000) is None
    clock.report(NTP + (1 << 31), 0xFFFF_FFFF - 8_999)
    assert clock.captured_at(81_000) == pytest.approx(3_900_000_001.5)
    assert clock.captured_at(0xFFFF_FFFF - 98_999) == pytest.approx(3_899_999_999.5)
