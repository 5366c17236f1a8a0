"""Sound devices that stand still, or hang where a test says so: they stand for PortAudio and its driver.

A microphone of number N hears a tone of (N + 1) times 500 Hz.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from app.media import portaudio, pulse
from app.media.sound_device import AudioDevice

FIRST, SECOND = "First", "Second"
_BUFFER = 1_440


class Hanging:
    """Fulfils what is used of sounddevice. `opening` and `moving` are the numbers of devices that hang there."""

    class PortAudioError(Exception):
        pass

    def __init__(self) -> None:
        self.opening: set[int] = set()
        self.moving: set[int] = set()
        self.gone: set[str] = set()  # kinds whose devices are unplugged: what is open is lost, and none opens
        self.has_hung = threading.Event()
        self.release = threading.Event()
        self.played: dict[int, int] = {0: 0, 1: 0}  # blocks
        self.widths: list[int] = []  # channels of each speaker that was opened
        self.newest = np.zeros((0, 1), np.int16)  # that was played, shape (samples, channels)

    def RawInputStream(self, **asked: Any) -> _Stream:
        return _Stream(self, "microphone", **asked)

    def RawOutputStream(self, **asked: Any) -> _Stream:
        self.widths.append(asked["channels"])
        return _Stream(self, "speaker", **asked)

    def pause(self, kind: str, device: int, where: set[int]) -> None:
        """Hang for as long as this device does; PortAudioError where it is unplugged."""
        if kind in self.gone:
            raise self.PortAudioError("unplugged")
        if device in where:
            self.has_hung.set()
            assert self.release.wait(60)


class _Stream:
    latency = 0.01

    def __init__(self, library: Hanging, kind: str, *, device: int, channels: int, **asked: Any) -> None:
        self._library, self._kind, self._device, self._channels = library, kind, device, channels
        library.pause(kind, device, library.opening)

    def start(self) -> None:
        self._began = time.monotonic()
        self._moved = 0

    def stop(self) -> None: ...

    def abort(self) -> None: ...

    def close(self) -> None: ...

    def _passed(self) -> int:
        return round((time.monotonic() - self._began) * 48_000)

    @property
    def read_available(self) -> int:
        return max(0, self._passed() - self._moved)

    @property
    def write_available(self) -> int:
        self._moved = max(self._moved, self._passed())  # it ran dry
        return _BUFFER - (self._moved - self._passed())

    def read(self, count: int) -> tuple[bytes, bool]:
        self._library.pause(self._kind, self._device, self._library.moving)
        while self.read_available < count:
            time.sleep(0.001)
        at = self._moved + np.arange(count)
        self._moved += count
        return (10_000 * np.sin(2 * np.pi * 500 * (self._device + 1) * at / 48_000)).astype(np.int16).tobytes(), False

    def write(self, samples: np.ndarray | memoryview) -> bool:
        self._library.pause(self._kind, self._device, self._library.moving)
        self._moved += memoryview(samples).nbytes // 2 // self._channels
        self._library.newest = np.frombuffer(samples, np.int16).reshape(-1, self._channels)
        self._library.played[self._device] += 1
        return False


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    """Two devices of each kind; whatever hangs is let go at the end."""
    library = Hanging()
    both = tuple(AudioDevice(number, name, "ALSA", 1, number == 0) for number, name in enumerate((FIRST, SECOND)))
    monkeypatch.setattr(portaudio, "_library", lambda: library)
    monkeypatch.setattr(portaudio, "_read_list", lambda: None)
    monkeypatch.setattr(pulse, "read", lambda: None)
    for kind in ("microphone", "speaker"):
        monkeypatch.setitem(portaudio._known, kind, both)
    yield library
    library.release.set()
    deadline = time.monotonic() + 10
    while any(thread.name.endswith("-keeper") for thread in threading.enumerate()):  # one may only open now
        assert time.monotonic() < deadline, "a device is still open"
        time.sleep(0.01)
    assert portaudio._open_streams == 0
