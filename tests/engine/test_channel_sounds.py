"""All joined channels on one speaker: each where the person put it, between left and right."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from app.engine import channel_sounds
from app.engine.channel_sounds import _Capture, _Player
from app.media.mixer import to_channels
from app.media.ports import SILENCE, AudioFrame, AudioSource, MakeFrame, TakeFrame
from app.media.processing import Switches, VoiceProcessor
from app.settings import MediaSettings
from tests.heard import frequency_hz, level_dbfs, tone


class Heard:
    """A channel on which a tone is heard."""

    capturing = is_quiet = False

    def __init__(self, hz: float, pan: float) -> None:
        self.pan = pan
        self._sound, self._at = tone(hz, 1.0, 0.25), 0

    def hear(self, block: AudioFrame) -> None: ...

    def play(self, samples: int) -> AudioFrame | None:
        self._at += samples
        return self._sound[self._at - samples : self._at]


def player(*heard: Heard, ears: int = 2) -> _Player:
    media = MediaSettings()
    made = _Player(media, VoiceProcessor(Switches.of(media)))
    made.sounds = heard
    made._is_wide = ears == 2
    return made


def played(playing: _Player, frames: int) -> np.ndarray:
    """Give left and right of what a sink gets that has both."""
    made = [to_channels(*playing._next(0.0), 2) for _ in range(frames)]
    return np.concatenate(made).reshape(-1, 2)


def test_several_channels_are_told_apart_by_ear_and_go_back_to_the_middle() -> None:
    left, right = Heard(440, -1.0), Heard(1_000, 1.0)
    playing = player(left, right)
    sound = played(playing, 10)[960:]
    assert frequency_hz(sound[:, 0]) == pytest.approx(440, abs=8)
    assert frequency_hz(sound[:, 1]) == pytest.approx(1_000, abs=8)
    left.pan = right.pan = 0.0
    sound = played(playing, 10)[960:]
    assert np.array_equal(sound[:, 0], sound[:, 1])


def test_a_sink_with_one_ear_hears_everybody_as_loud_as_ever() -> None:
    sound = played(player(Heard(440, -1.0), ears=1), 5)
    assert level_dbfs(sound[:, 0]) == pytest.approx(level_dbfs(tone(440, 0.1, 0.25)), abs=0.2)


@pytest.mark.logs_error("could not be played")
def test_a_channel_that_cannot_be_played_silences_no_other() -> None:
    class Broken(Heard):
        def play(self, samples: int) -> AudioFrame | None:
            raise RuntimeError("a decoder's mood")

    sound = played(player(Broken(440, 0.0), Heard(1_000, 0.0)), 10)
    assert frequency_hz(sound[960:, 0]) == pytest.approx(1_000, abs=8)


class Resting:
    """A device that takes frames as fast as they are made, and tells when it rests."""

    description, problem = "a device", None
    delay_s = None
    underruns = 0

    def __init__(self) -> None:
        self.written: list[AudioFrame] = []
        self.rests, self.wakes = threading.Semaphore(0), 0
        self.is_resting = False

    def start(self) -> None: ...

    def close(self) -> None: ...

    def draw_from(self, make: MakeFrame) -> None:
        self._make = make

    def stand_in(self) -> float:
        assert not self.is_resting
        self.written.append(self._make(0.0)[0])
        return 0.0

    def rest(self) -> None:
        self.is_resting = True
        self.rests.release()

    def wake(self) -> None:
        self.wakes += 1
        self.is_resting = False


class Bursts(Heard):
    """A channel that is quiet but for what is said on it."""

    def __init__(self) -> None:
        super().__init__(440, 0.0)
        self.said: list[AudioFrame] = []

    @property
    def is_quiet(self) -> bool:  # type: ignore[override]
        return not self.said

    def play(self, samples: int) -> AudioFrame | None:
        return self.said.pop(0) if self.said else None


def test_while_nothing_sounds_the_speaker_rests_and_of_the_next_burst_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink, channel = Resting(), Bursts()
    monkeypatch.setattr(channel_sounds, "open_audio_sink", lambda settings: (sink, None))
    monkeypatch.setattr(channel_sounds, "REST_AFTER_S", 0.01)
    playing = player(channel)
    playing.start()
    try:
        for number in range(2):
            assert sink.rests.acquire(timeout=10)
            before = len(sink.written)
            burst = [np.full(960, 1 + 100 * number + at, np.int16) for at in range(30)]
            channel.said += burst
            playing.wake()
            assert sink.rests.acquire(timeout=10)
            heard = sink.written[before : before + 30]
            assert np.array_equal(np.concatenate(heard), np.concatenate(burst))  # from its first sample on, at once
            playing.wake()  # by a packet of which nothing is to be heard
        assert sink.rests.acquire(timeout=10)
        before = len(sink.written)
        playing.tone(channel_sounds.ChannelTone.PERMIT)
        assert sink.rests.acquire(timeout=10)
        assert sink.written[before].any()
    finally:
        playing.close()
    assert sink.wakes == 6


class Microphone:
    """A device that gives frames while it `hears`, and opens when `opens` lets it."""

    description = "a device"
    problem: str | None = None
    is_lost = False
    delay_s = 0.0

    def __init__(self, *, is_ready: bool = True) -> None:
        self.hears = True
        self.opens, self.closed = threading.Event(), threading.Event()
        if is_ready:
            self.opens.set()

    def start(self) -> None:
        assert self.opens.wait(10)

    def hand_to(self, take: TakeFrame) -> None:
        self._take = take

    def stand_in(self) -> float:
        self._take(SILENCE, channel_sounds.time.monotonic())
        return 0.02

    def close(self) -> None:
        self.closed.set()


def capture(told: list[bool], hears: threading.Event | None = None) -> _Capture:
    def tell() -> None:
        told.append(made.is_hearing)
        if hears is not None:
            hears.set()

    media = MediaSettings(audio_from="mic", echo_cancellation=False, noise_suppression=False, gain_control=False)
    made = _Capture(media, VoiceProcessor(Switches.of(media)), tell)
    return made


def test_a_microphone_that_gives_nothing_for_a_second_does_not_hear_until_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[bool] = []
    source, listening, started = Microphone(), capture(told), threading.Event()
    at = 100.0
    until, misses = 0.0, False

    class Turns(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal at
            at += max(0.001, timeout or 0.0)
            source.hears = source.hears != misses  # with misses: every second frame
            return at >= until

    def passed(seconds: float) -> list[bool]:
        nonlocal until
        until = at + seconds
        told.clear()
        listening._pump(Turns(), source, started)
        return told

    monkeypatch.setattr(channel_sounds, "time", SimpleNamespace(monotonic=lambda: at))
    listening._source = source
    listening.sounds = (SimpleNamespace(capturing=True, hear=lambda block: None),)  # type: ignore[assignment]
    source.hears = False
    assert passed(5.0) == []  # it is being opened
    started.set()
    source.hears = True
    assert passed(5.0) == [True]
    misses = True
    assert passed(5.0) == []
    misses, source.hears = False, False
    assert passed(0.9) == []
    assert passed(1.2) == [False]
    source.hears = True
    assert passed(0.1) == [True]
    source.problem = "The microphone 'Headset' is not there: the system's microphone is used."
    source.hears = False
    assert passed(0.9) == []  # the one that is used hesitates, and nothing more
    source.hears = True
    assert passed(0.1) == []
    source.hears, source.is_lost, source.problem = False, True, "The microphone was lost."
    assert passed(0.4) == []
    assert passed(0.6) == [False]  # whoever talks is told at once


def test_a_microphone_that_is_left_says_nothing_of_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    hears, pumped = threading.Event(), threading.Event()
    listening = capture(told, hears)
    left, following = Microphone(is_ready=False), Microphone()
    sources: list[AudioSource] = [left, following]
    pump = listening._pump

    def pump_and_tell(*of: object) -> None:
        pump(*of)  # type: ignore[arg-type]
        pumped.set()

    channel = SimpleNamespace(capturing=False, hear=lambda block: None)
    monkeypatch.setattr(channel_sounds, "open_audio_source", lambda settings: (sources.pop(0), None))
    monkeypatch.setattr(channel_sounds, "READY_S", 0.0)
    monkeypatch.setattr(listening, "_pump", pump_and_tell)
    listening.sounds = (channel,)  # type: ignore[assignment]
    listening.start()
    assert pumped.wait(10)  # nobody wants it any more, and its thread waits for the device
    channel.capturing = True
    try:
        listening.start()
        assert hears.wait(10)
        left.opens.set()
        assert left.closed.wait(10)
        assert (listening.is_hearing, told) == (True, [True])
        assert getattr(listening._source, "source", None) is following
    finally:
        listening.close()
    assert (told, listening._source) == ([True, False], None)
