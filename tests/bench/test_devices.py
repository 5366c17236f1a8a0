"""Devices pulled out and put back in a call, another default, another rate: the call goes on and leaves nothing behind.

A call's own ends run on a PulseAudio server of the test's: what comes back is heard again, and at the end there are as
many threads, descriptors and open streams as at the beginning.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from app.media import portaudio
from app.media.device_watch import DeviceWatch
from app.media.microphone import MicrophoneSource
from app.media.processing import ProcessedSource, Switches, VoiceProcessor
from app.media.speaker import SpeakerSink
from app.media.tones import sine
from tests.bench.table import Table
from tests.media.pulse import Pulse, private_pulse

SECTION = "Devices in a call, under PulseAudio"
_LOUD = 1000
_LONGEST_S = 12.0


class Ends:
    """Both ends of a call at work: a tone to the speaker, the microphone through its processing."""

    def __init__(self) -> None:
        self.speaker = SpeakerSink()
        self.microphone = MicrophoneSource()
        self.heard_at = 0.0
        processor = VoiceProcessor(Switches())
        self.speaker.on_played = processor.played
        self._source = ProcessedSource(self.microphone, processor)
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._play), threading.Thread(target=self._hear)]

    def start(self) -> None:
        self.speaker.start()
        self._source.start()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(5)
        self._source.close()
        self.speaker.close()

    def _play(self) -> None:
        frame = sine(400, 0.02)
        while not self._stopping.wait(0.005):
            for _ in range(self.speaker.frames_wanted() or 0):
                self.speaker.write_frame(frame)

    def _hear(self) -> None:
        due = time.monotonic()
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            self._source.read_frame()
            level = self._source.processor.meter.recent_dbfs
            if level is not None and level > -40:
                self.heard_at = time.monotonic()
            due += 0.02


@contextlib.contextmanager
def running(pulse: Pulse) -> Iterator[Ends]:
    """Hold the ends open; what the speaker plays is what the microphone hears, so one sound proves both."""
    watch = DeviceWatch(lambda: None)
    watch.start()
    ends = Ends()
    ends.start()
    try:
        yield ends
    finally:
        ends.close()
        watch.stop()


def seconds_until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < _LONGEST_S, "the call did not go on"
        time.sleep(0.02)
    return time.monotonic() - began


def heard_again(ends: Ends) -> float:
    """Give how long it takes until sound that is played from now on is heard by the microphone."""
    began = time.monotonic() + 0.3  # the meter still has the last quarter second
    return seconds_until(lambda: ends.heard_at > began)


def plug(pulse: Pulse, rate_hz: int) -> None:
    """Put a loop-back device in: a speaker, with a microphone that hears it."""
    pulse.control("load-module", "module-null-sink", "sink_name=card", f"rate={rate_hz}")
    pulse.control("load-module", "module-remap-source", "source_name=cardmic", "master=card.monitor")
    pulse.control("set-default-sink", "card")
    pulse.control("set-default-source", "cardmic")


def pull(pulse: Pulse) -> None:
    for row in reversed(pulse.control("list", "short", "modules").splitlines()):
        number, _, arguments = row.partition("\t")
        if "card" in arguments:
            pulse.control("unload-module", number)


def left_open() -> tuple[int, int]:
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


@pytest.mark.short
@pytest.mark.timeout(900)
def test_pulled_and_put_back_in_a_call(table: Table, is_long: bool, tmp_path: Path) -> None:
    with private_pulse(tmp_path) as pulse:
        plug(pulse, 48_000)
        with running(pulse) as ends:
            heard_again(ends)
        before = left_open()
        times = []
        with running(pulse) as ends:
            heard_again(ends)
            for round_ in range(100 if is_long else 2):
                pull(pulse)
                if round_ % 3 == 0:
                    pulse.unplug("spk")
                    pulse.unplug("micfeed")
                plug(pulse, (44_100, 48_000, 32_000)[round_ % 3])
                times.append(heard_again(ends))
            pulse.control("load-module", "module-null-sink", "sink_name=other")
            pulse.control("set-default-sink", "other")
            pulse.control("set-default-source", "other.monitor")
            switched = heard_again(ends)
        assert portaudio._open_streams == 0
        after = left_open()
    table.add(
        SECTION,
        f"heard again after pulling out and putting back, {len(times)} times",
        "s",
        [float(np.max(times))],
        note="a new null sink gives its first sound after one to two seconds, to parec as well",
    )
    table.add(SECTION, "heard again after another default", "s", [switched])
    table.add(SECTION, "threads left behind", "threads", [after[0] - before[0]])
    table.add(SECTION, "descriptors left behind", "files", [after[1] - before[1]])
    assert after[0] <= before[0]
    assert after[1] <= before[1] + 2
