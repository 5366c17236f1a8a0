"""What of a channel is heard: several talkers together, each as loud as asked for, and none longer than needed."""

from __future__ import annotations

import numpy as np

from app.channels.burst_record import MOST_LEVELS, MOST_STEP_S, BurstRecord, LevelTrace
from app.channels.receiving import KEPT_S, MOST_VOICES, UNHEARD_S, Receiving, Sound


class Steady:
    """A buffer that gives one value for as many frames as packets were pushed, then silence."""

    def __init__(self) -> None:
        self.left = 0
        self.value = 0
        self.concealed_samples = 480
        self.delay_s: float | None = 0.02

    @property
    def is_empty(self) -> bool:
        return not self.left

    def push(self, sequence: int, timestamp: int, payload_type: int, payload: bytes, now: float) -> None:
        self.left += 1
        self.value = payload_type

    def next_frame(self, now: float) -> Sound:
        given = self.value if self.left else 7_777  # what a concealer would invent
        self.left = max(0, self.left - 1)
        return np.full(960, given, np.int16)


def pushed(receiving: Receiving, ssrc: int, value: int, frames: int, now: float = 0.0, gain: float = 1.0) -> None:
    for number in range(frames):
        receiving.push(ssrc, number, 960 * number, value, b"x", now)
    receiving.set_gain(ssrc, gain)


def level(receiving: Receiving, now: float) -> int | None:
    sound = receiving.frame(now)
    return None if sound is None else int(sound[-1])


def test_talkers_are_added_up_and_who_is_not_to_be_heard_is_kept_in_step() -> None:
    receiving = Receiving(Steady)
    assert receiving.frame(0.0) is None
    pushed(receiving, 1, 1_000, 9)
    pushed(receiving, 2, 200, 9, gain=0.5)
    pushed(receiving, 3, 30, 9, gain=0.0)
    assert level(receiving, 0.0) == 1_100
    receiving.set_gain(3, 1.0)
    receiving.set_gain(1, 0.0)
    assert level(receiving, 0.02) == 130
    figures = receiving.figures(2)
    assert figures is not None
    assert (figures.concealed_ms, figures.delay_s) == (10, 0.02)
    assert receiving.figures(4) is None


def test_what_is_too_loud_together_is_turned_down_and_never_wraps() -> None:
    receiving = Receiving(Steady)
    for ssrc in range(5):
        pushed(receiving, ssrc, 20_000, 9)
    assert 31_000 < (level(receiving, 0.0) or 0) <= 32_000


def test_after_its_end_what_waits_is_played_and_nothing_is_invented() -> None:
    receiving = Receiving(Steady)
    pushed(receiving, 1, 1_000, 2)
    receiving.end(1, 0.0)
    assert [level(receiving, 0.02 * step) for step in range(4)] == [1_000, 1_000, 0, None]
    assert len(receiving) == 1  # a packet that its end overtook may come
    assert receiving.frame(KEPT_S + 0.1) is None
    assert len(receiving) == 0


def test_a_talker_of_whom_nothing_comes_is_let_go_and_their_number_is_bounded() -> None:
    receiving = Receiving(Steady)
    for ssrc in range(MOST_VOICES + 5):
        pushed(receiving, ssrc, 10, 1, now=float(ssrc))
    assert len(receiving) == MOST_VOICES
    assert receiving.figures(0) is None
    receiving.frame(MOST_VOICES + 5 + UNHEARD_S + 0.1)
    assert len(receiving) == 0
    receiving.end(3, 50.0)
    receiving.set_gain(3, 1.0)
    assert receiving.take_levels(3) == ()


def test_levels_are_taken_once_and_stay_few_however_long_it_lasts() -> None:
    trace = LevelTrace()
    for number in range(10_001):
        trace.add(0.0 if number < 5_000 else 32_768.0**2 / 100)
    levels = trace.levels()
    assert MOST_LEVELS // 2 <= len(levels) <= MOST_LEVELS
    assert levels[0] == 0
    assert levels[-1] == levels[-2] == 170  # -20 dBFS of -60 to 0
    receiving = Receiving(Steady)
    pushed(receiving, 1, 1_000, 9)
    receiving.frame(0.0)
    assert len(receiving.take_levels(1)) == 1
    assert receiving.take_levels(1) == ()


def test_a_record_is_in_order_each_packet_once_and_knows_how_long_it_is() -> None:
    record = BurstRecord(True)
    assert record.is_empty
    for number in (2, 0, 1, 1, 4):
        record.add(100 + number, (2**32 - 960 + 960 * number) % 2**32, 111, 48_000, bytes([number]))
    assert [kept.payload for kept in record.packets] == [b"\0", b"\1", b"\2", b"\4"]
    assert abs(record.seconds - 0.08) < 0.02
    silent = BurstRecord(False)
    silent.add(1, 0, 0, 8_000, b"x")
    silent.add(2, 480, 0, 8_000, b"x")
    assert silent.packets == ()
    assert silent.seconds == 0.12


def test_a_record_is_bounded_whatever_a_stranger_sends() -> None:
    jumping = BurstRecord(True)
    for number in range(3):
        jumping.add(number, number << 30, 0, 8_000, b"x")  # 37 hours on, each
    assert jumping.seconds <= 3 * MOST_STEP_S
    heavy = BurstRecord(True)
    for number in range(2_000):
        heavy.add(number, 160 * number, 0, 8_000, bytes(4_000))
    assert sum(len(kept.payload) for kept in heavy.packets) <= 1 << 22
    assert abs(heavy.seconds - 40.0) < 1e-6
