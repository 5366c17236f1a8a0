"""How much is kept queued in a speaker, and when a microphone is read: as little and as late as this machine allows."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from app.media import microphone, speaker
from app.media.audio_send import FramePace
from app.media.microphone import MicrophoneSource
from app.media.microphone_pace import MicrophonePace
from app.media.ports import FRAME_SAMPLES, Drawn, surplus_s
from app.media.sound_device import BLOCK_SAMPLES
from app.media.speaker import SpeakerSink
from app.media.speaker_pace import BLOCK_S, LEAST_S, START_S, SpeakerPace


def play(pace: SpeakerPace, blocks: int, late_s: Callable[[], float], now: float = 0.0) -> list[float]:
    """Let a device consume at its rate while a thread that wakes up late writes; give what was queued."""
    queued, after = BLOCK_S, []
    for _ in range(blocks):
        while wait := pace.wait_s(max(0.0, queued), now):
            slept = wait + late_s()
            queued, now = queued - slept, now + slept
        pace.wrote(max(0.0, queued), ran_dry=queued < 0)
        queued = max(0.0, queued) + BLOCK_S
        after.append(queued)
    return after


def test_even_wake_ups_bring_the_delay_to_the_least() -> None:
    pace = SpeakerPace(0.040)
    play(pace, 10_000, lambda: 0.0003)
    assert LEAST_S <= pace.target_s < START_S
    assert pace.underruns == 0


def test_late_wake_ups_are_made_room_for_and_forgotten_again() -> None:
    pace, rng = SpeakerPace(0.060), random.Random(1)
    play(pace, 3_000, lambda: rng.choice([0.0] * 30 + [0.018]))
    assert pace.underruns <= 2
    grown = pace.target_s
    assert 0.038 < grown <= 0.060
    play(pace, 15_000, lambda: 0.0, now=100.0)
    assert pace.target_s < grown - 0.010


@pytest.mark.parametrize("rate", [0.9997, 1.0, 1.0003])
@pytest.mark.parametrize("step_s", [0.010, 0.020])
def test_a_device_that_takes_its_sound_in_steps_is_looked_at_when_the_next_one_is_due(
    step_s: float, rate: float
) -> None:
    pace, now, written, looks, late = SpeakerPace(0.040), 0.0, 2 * step_s, 0, []

    def taken(at: float) -> float:
        return math.floor(at * rate / step_s + 1e-9) * step_s

    for _ in range(3_000):
        asleep, waited = pace.asleep_s(now), False
        if asleep:
            now, waited = now + asleep + 0.0001, True
        looks += 1
        while wait := pace.wait_s(written - taken(now), now):
            now, looks, waited = now + wait + 0.0001, looks + 1, True
        if waited:
            late.append(now - taken(now) / rate)
        pace.wrote(written - taken(now), ran_dry=False)
        written += BLOCK_S
    assert looks < 1.3 * 3_000
    assert max(late[20:]) < 0.0025
    assert sum(late) / len(late) < 0.001


def test_no_more_is_asked_for_than_the_device_holds() -> None:
    pace = SpeakerPace(0.040)
    play(pace, 500, lambda: 0.2)
    assert pace.target_s == pytest.approx(0.050)  # writing waits for the rest
    assert pace.underruns > 100


@pytest.mark.parametrize("rate", [0.9997, 1.0, 1.0003])
@pytest.mark.parametrize("step_s", [0.001, 0.010, 512 / 48_000, 0.020])
def test_a_microphone_is_looked_at_just_after_it_has_filled_a_frame(step_s: float, rate: float) -> None:
    """Whatever its clock and the pieces that it brings, and however late the thread wakes up."""
    pace, rng, now, late, waited = MicrophonePace(), random.Random(3), 5.0, list[float](), 0

    def heard(at: float) -> float:
        return math.floor((at - 5.0) * rate / step_s + 1e-9) * step_s

    for number in range(3_000):
        now += pace.wait_s(now) + rng.choice([0.0001] * 20 + [0.002, 0.015])
        filled_at = 5.0 + math.ceil((number + 1) * 0.020 / step_s - 1e-6) * step_s / rate
        waits = now < filled_at
        now = max(now, filled_at)
        waited += waits
        late.append(now - filled_at)
        pace.read(max(0.0, heard(now) - (number + 1) * 0.020), now, waited=waits)
    assert sum(late) / len(late) < 0.002
    assert sorted(late)[-300] < 0.003
    print("WAITED", step_s, rate, waited, sum(late) / len(late), sorted(late)[-300])
    # Where a frame is no whole number of pieces, most of them are filled sooner or later than the one before.
    assert waited < 3_000 * (0.85 if step_s == 512 / 48_000 else 0.25)


@pytest.mark.parametrize("rate", [0.9997, 1.0, 1.0003])
@pytest.mark.parametrize("begun_at", [0.0, 0.004, 0.013, 0.019])
def test_frames_of_a_microphone_are_read_just_after_they_are_filled(rate: float, begun_at: float) -> None:
    """Whatever its clock, and wherever in its frame the reading began, nothing piles up and nothing is waited for."""
    pace, waits, surpluses = FramePace(begun_at + 0.040), 0, []
    for number in range(3_000):
        ready_at = (number + 1) * 0.020 / rate
        surplus = pace.due - ready_at
        waits += surplus < 0
        surpluses.append(surplus)
        pace.advance(pace.due, surplus)
    assert waits == 0
    assert all(0.001 < surplus < 0.006 for surplus in surpluses[200:])


def test_a_microphone_that_delivers_late_is_read_later() -> None:
    pace, rng, waits = FramePace(0.02), random.Random(4), 0
    for number in range(1_000):
        surplus = pace.due - ((number + 1) * 0.020 + rng.choice([0.0, 0.0, 0.0, 0.008]))
        waits += surplus < 0 and number > 100
        pace.advance(max(pace.due, pace.due - surplus), surplus)
    assert waits < 300


class Moments:
    """A speaker on a virtual clock, and who makes frames for it, each louder than the one before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 10.0
        monkeypatch.setattr(speaker, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.asked_at: list[float] = []
        self.sink = SpeakerSink()
        self.sink.draw_from(self.make)

    def make(self, now: float) -> Drawn:
        self.asked_at.append(now)
        return np.full(FRAME_SAMPLES, len(self.asked_at), np.int16), np.full(FRAME_SAMPLES, -3, np.int16)

    def pull(self) -> np.ndarray:
        block = np.zeros(BLOCK_SAMPLES, np.int16)
        self.sink.pull(block)
        return block


def test_a_speaker_has_a_frame_made_when_the_device_takes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    moments, played = Moments(monkeypatch), []
    for _ in range(4):
        played.append((moments.pull(), moments.sink.side))
        moments.now += 0.02
        assert moments.sink.stand_in() > 0.02  # there is a device
    assert moments.asked_at == pytest.approx([10.0, 10.02, 10.04, 10.06])
    assert played[0][0][0] == 0  # it begins softly
    for number, (middle, side) in enumerate(played[1:], 2):
        assert np.array_equal(middle, np.full(BLOCK_SAMPLES, number))
        assert side is not None
        assert np.array_equal(side, np.full(BLOCK_SAMPLES, -3))


def test_sound_goes_on_at_its_pace_while_no_device_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = Moments(monkeypatch)
    for _ in range(60):
        moments.now += moments.sink.stand_in()
    assert np.diff(moments.asked_at[1:]) == pytest.approx(0.02)
    moments.pull()
    made = len(moments.asked_at)
    assert made == pytest.approx((moments.now - 10.0) / 0.02, abs=3)
    moments.sink.stand_in()
    assert len(moments.asked_at) == made
    moments.now += 0.3  # it stands still
    for _ in range(10):
        moments.now += moments.sink.stand_in()
    assert len(moments.asked_at) == pytest.approx(made + 10, abs=1)


@pytest.mark.logs_error("could not be made")
def test_a_frame_that_cannot_be_made_is_silent_and_told_once_until_one_can_be_made(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    moments, is_broken = Moments(monkeypatch), True

    def make(now: float) -> Drawn:
        if is_broken:
            raise RuntimeError("a decoder's mood")
        return moments.make(now)

    moments.sink.draw_from(make)
    for run in (1, 2):
        is_broken = True
        for _ in range(3):
            assert not moments.pull().any()
            assert moments.sink.side is None
            assert "you hear nothing" in (moments.sink.problem or "")
        assert len([record for record in caplog.records if "could not be made" in record.message]) == run
        is_broken = False
        back = moments.pull()
        assert back[0] == 0  # it begins softly
        assert back[-1] == len(moments.asked_at) > 0
        assert moments.sink.problem is None


class Desk:
    """A microphone whose thread and whose reader are both held up at times, on a virtual clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 10.0
        monkeypatch.setattr(microphone, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.source = MicrophoneSource()
        monkeypatch.setattr(self.source, "_wait", self._wait)
        self.pace = FramePace(self.now + 0.07)
        self._next_block = self.now + 0.020
        self._held_until = 0.0  # the device's thread

    def run(self, seconds: float, *, device_held_s: float = 0.0, reader_held_s: float = 0.0) -> list[float]:
        """Let time pass; give for each frame that was read how long it had been ready."""
        end, waited = self.now + seconds, []
        self._held_until = self.now + device_held_s
        reads_from = self.now + reader_held_s
        while self.now < end:
            self._to(max(self.pace.due, reads_from, self.now))
            self.source.read_frame()
            surplus = surplus_s(self.source)
            waited.append(surplus or 0.0)
            self.pace.advance(self.now, surplus)
        return waited

    def _to(self, moment: float) -> None:
        while (at := max(self._next_block, self._held_until)) <= moment:
            self.now = max(self.now, at)
            self.source._take(np.zeros(BLOCK_SAMPLES, np.int16))
            self._next_block += 0.020
        self.now = max(self.now, moment)

    def _wait(self) -> float:
        began = self.now
        self._to(min(max(self._next_block, self._held_until), self.now + 0.015))
        return self.now - began


@pytest.mark.parametrize("held", [{"device_held_s": 0.08}, {"reader_held_s": 0.08}, {"reader_held_s": 0.3}])
def test_a_microphone_that_was_held_up_again_and_again_is_read_as_late_as_before(
    monkeypatch: pytest.MonkeyPatch, held: dict[str, float]
) -> None:
    """Nothing of what piled up meanwhile stays as delay."""
    desk = Desk(monkeypatch)
    before = desk.run(10.0)[-1]
    for _ in range(20):
        desk.run(0.5, **held)
    after = desk.run(5.0)
    assert before < 0.006
    assert after[-1] == pytest.approx(before, abs=0.002)
    assert max(after[-50:]) < 0.010
