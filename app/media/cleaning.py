"""What happens to the microphone's sound after its echo is gone: low rumble out, noise down, speech at one level.

libwebrtc does it where its wheel is there (package livekit); elsewhere plain means do: a high-pass, a gate that turns
down what is no louder than the noise, and a slow gain.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.media.ports import SAMPLE_RATE_HZ, AudioFrame

logger = logging.getLogger(__name__)

_BLOCK = 480  # libwebrtc takes 10 ms


class Cleaner(Protocol):
    """Cleans frames of 20 ms, each after the one before."""

    def process(self, frame: AudioFrame) -> AudioFrame: ...


def webrtc_library() -> Callable[..., Any] | None:
    """Load libwebrtc's processing; None where there is none. Takes some tenths of a second: not for a loop's thread."""
    try:
        from livekit.rtc import _ffi_client
        from livekit.rtc.apm import AudioProcessingModule

        _say_nothing_to_python(_ffi_client)
    except (ImportError, AttributeError) as error:
        logger.info("libwebrtc's audio processing is not there: %s", error)
        return None
    return AudioProcessingModule


def _say_nothing_to_python(client: Any) -> None:
    """Let the library's own threads call a C function that does nothing, instead of Python.

    They tell of rooms, which are not used here, and log. Python ends a foreign thread that calls it while the program
    ends, by unwinding through code that cannot be unwound: one program in ten was aborted so.
    """
    library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    client.ffi_event_callback = ctypes.cast(library.abs, client.ffi_cb_fnc)


class WebrtcCleaner:
    """libwebrtc's high-pass, noise suppression and gain control; 12 ms of delay.

    Its echo canceller is left off: in double talk the near speech goes with the echo (tests/bench/test_echo.py).
    """

    DELAY_S = 0.012

    def __init__(self, library: Callable[..., Any], *, noise_suppression: bool, gain_control: bool) -> None:
        from livekit.rtc.audio_frame import AudioFrame as Frame

        self._module = library(
            high_pass_filter=True, noise_suppression=noise_suppression, auto_gain_control=gain_control
        )
        self._bytes = bytearray(2 * _BLOCK)
        self._samples = np.frombuffer(self._bytes, np.int16)
        self._frame = Frame(self._bytes, SAMPLE_RATE_HZ, 1, _BLOCK)

    def process(self, frame: AudioFrame) -> AudioFrame:
        cleaned = np.empty_like(frame)
        for start in range(0, frame.size, _BLOCK):
            self._samples[:] = frame[start : start + _BLOCK]
            self._module.process_stream(self._frame)
            cleaned[start : start + _BLOCK] = self._samples
        return cleaned


class PlainCleaner:
    """The same by plain means, without delay."""

    DELAY_S = 0.0

    _RUMBLE_TAPS = 1024  # a running mean of 21 ms, taken away: what is below about 50 Hz goes
    _GATE = 4.0  # power over the noise below which there is nothing but noise
    _LEAST_GATE = 0.2
    _WANTED = (32768 * 10 ** (-23 / 20)) ** 2
    _MOST_GAIN = 6.0

    def __init__(self, *, noise_suppression: bool, gain_control: bool) -> None:
        self._suppresses, self._controls = noise_suppression, gain_control
        self._past = np.zeros(self._RUMBLE_TAPS, np.float32)
        self._noise = 0.0
        self._speech = self._WANTED
        self._scale = 1.0

    def process(self, frame: AudioFrame) -> AudioFrame:
        sound = self._without_rumble(frame)
        power = float(np.dot(sound, sound)) / sound.size
        if self._noise == 0.0 or power < self._noise:
            self._noise = power
        else:
            self._noise *= 1.01  # follows noise that grows, 4 dB a second
        is_noise = power < self._GATE * self._noise
        if not is_noise and power > 1e4:
            self._speech += 0.02 * (power - self._speech)
        gain = min(self._MOST_GAIN, float(np.sqrt(self._WANTED / self._speech))) if self._controls else 1.0
        scale = gain * (self._LEAST_GATE if is_noise and self._suppresses else 1.0)
        ramp = np.linspace(self._scale, scale, sound.size, dtype=np.float32)
        self._scale = scale
        return np.asarray(np.clip(sound * ramp, -32768, 32767), np.int16)

    def _without_rumble(self, frame: AudioFrame) -> NDArray[np.float32]:
        whole = np.concatenate([self._past, frame.astype(np.float32)])
        self._past = whole[-self._RUMBLE_TAPS :]
        sums = np.cumsum(whole, dtype=np.float64)
        mean = (sums[self._RUMBLE_TAPS :] - sums[: -self._RUMBLE_TAPS]) / self._RUMBLE_TAPS
        return np.asarray(whole[self._RUMBLE_TAPS :] - mean, np.float32)
