"""How much is kept queued in a speaker, and when a microphone is read: as little and as late as this machine allows."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from app.media import inputs, microphone, speaker
from app.media.audio_send import FramePace
from app.media.microphone import MicrophoneSource
from app.media.microphone_pace import MicrophonePace
from app.media.ports import FRAME_SAMPLES, Drawn
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
def test_the_moments_of_frames_follow_the_clock_of_a_microphone_but_not_its_hiccups(rate: float) -> None:
    pace, rng, off = FramePace(), random.Random(4), []
    for number in range(3_000):
        heard_at = 5.0 + number * 0.020 / rate
        assert pace.advance(heard_at + rng.choice([0.0] * 20 + [0.015])) == 0
        assert pace.frame == number
        assert pace.at is not None
        off.append(pace.at - heard_at)
    assert all(-0.001 < each < 0.012 for each in off[200:])
    assert float(np.median(off[200:])) < 0.001
    assert max(abs(step) for step in np.diff(off)) < 0.005


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
    """A microphone whose thread is held up at times, and who takes its frames, on a virtual clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 10.0
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(microphone, "time", clock)
        monkeypatch.setattr(microphone.inputs, "join", self._join)
        self.source = MicrophoneSource()
        self.taken: list[tuple[float, int]] = []
        self.fails = False
        self.source.hand_to(self._take)
        self._block = 0
        self._looked_at = self.now

    def _join(self, device: str, listener: Callable[[np.ndarray, float], None]) -> SimpleNamespace:
        self._listener = listener
        return SimpleNamespace(keeper=SimpleNamespace(running=True, delay_s=0.0, problem=None))

    def _take(self, frame: np.ndarray, at: float) -> None:
        if self.fails:
            raise RuntimeError("an encoder's mood")
        self.taken.append((at, int(frame[0])))

    def run(self, seconds: float, *, held_s: float = 0.0) -> list[tuple[float, int]]:
        """Let time pass, with the device's thread held up at first; give when which frame was taken, silence as 0."""
        self.taken.clear()
        end, held_until = self.now + seconds, self.now + held_s
        while self.now < end:
            self.now += 0.001
            while self.now >= max(held_until, heard_at := 10.02 + self._block * 0.020):
                self._block += 1
                behind_s = (self.now - heard_at) // 0.020 * 0.020 + 0.005  # the device goes on hearing
                self._listener(np.full(BLOCK_SAMPLES, self._block, np.int16), behind_s)
            if self.now >= self._looked_at:
                self._looked_at = self.now + self.source.stand_in()
        return list(self.taken)


def test_silence_is_taken_at_its_pace_until_a_microphone_is_open_and_its_frames_at_once_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch)
    for _ in range(10):
        desk.now += desk.source.stand_in()
    assert [number for _, number in desk.taken] == [0] * 10
    assert np.diff([at for at, _ in desk.taken]) == pytest.approx(0.02)
    assert not desk.source.hears
    desk.source.start()
    desk.run(1.0)  # what waited is left out: silence stood for it
    assert desk.source.hears
    taken = desk.run(5.0)
    assert len(taken) == 250
    assert all(at - (10.0 + 0.020 * number) < 0.0011 for at, number in taken)
    assert np.diff([number for _, number in taken]).max() == 1


@pytest.mark.parametrize(("held_s", "silent"), [(0.03, 0), (0.05, 0), (0.15, 0), (1.0, 39)])
def test_nothing_of_what_piled_up_while_a_microphone_was_held_up_stays_as_delay(
    monkeypatch: pytest.MonkeyPatch, held_s: float, silent: int
) -> None:
    desk = Desk(monkeypatch)
    desk.source.start()
    desk.run(1.0)
    frames = 0
    for _ in range(20):
        taken = desk.run(2.0, held_s=held_s)
        frames += len(taken)
        assert sum(number == 0 for _, number in taken) == pytest.approx(silent, abs=2)
        late = [at - (10.0 + 0.020 * number) for at, number in taken if number]
        assert max(late) < 0.083  # the oldest that is kept
        assert max(late[5:]) < 0.0011
    assert frames <= 20 * 100  # no more sound than time
    assert (desk.source.dropped_samples == 0) == (held_s <= 0.05)
    assert desk.source.underruns == (20 if held_s > 0.1 else 0)


@pytest.mark.logs_error("could not be taken")
def test_a_frame_that_cannot_be_sent_is_told_once_and_others_hear_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(monkeypatch)
    desk.source.start()
    desk.run(0.2)
    for run in (1, 2):
        desk.fails = True
        desk.run(0.2)
        assert "others hear nothing" in (desk.source.problem or "")
        assert len([record for record in caplog.records if "could not be taken" in record.message]) == run
        for _ in range(5):  # it comes and goes: one bout
            desk.fails = not desk.fails
            desk.run(0.1)
        assert "others hear nothing" in (desk.source.problem or "")
        assert len([record for record in caplog.records if "could not be taken" in record.message]) == run
        desk.fails = False
        assert len(desk.run(1.1)) == 55
        assert desk.source.problem is None


@pytest.mark.logs_error("one of those who hear a microphone failed")
def test_who_fails_to_hear_a_microphone_keeps_it_from_nobody_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inputs, "DeviceKeeper", lambda kind, device, fill: SimpleNamespace(fill=fill, behind_s=0.0))
    opened, heard = inputs.Input("headset"), []

    def fail(block: np.ndarray, behind_s: float) -> None:
        raise RuntimeError("a listener's mood")

    opened._listen(fail)
    opened._listen(lambda block, behind_s: heard.append(int(block[0])))
    for number in (1, 2, 3):
        opened.keeper.fill(np.full(BLOCK_SAMPLES, number, np.int16))  # type: ignore[attr-defined]
    assert heard == [1, 2, 3]
    assert len([record for record in caplog.records if "hear a microphone failed" in record.message]) == 1


def test_a_microphone_that_was_closed_or_left_hands_nothing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    desk.source.start()
    desk.run(0.2)
    left = desk._listener
    monkeypatch.setattr(MicrophoneSource, "_runs", lambda self: True)
    desk.source._input.leave = lambda listener, wait=True: None  # type: ignore[union-attr,method-assign]
    desk.source.use("another one")
    desk.taken.clear()
    left(np.ones(BLOCK_SAMPLES, np.int16), 0.0)
    assert desk.taken == []
    assert len(desk.run(0.2)) == 10
    desk.source._input.leave = lambda listener, wait=True: None  # type: ignore[union-attr,method-assign]
    desk.source.close()
    assert desk.run(0.2) == []
    assert not desk.source.hears
