"""What a test says about sound: its frequency, its level, its gaps, its delay, and how well speech came through.

Works on WAV files and on arrays of int16 samples. Levels are dBFS against a full-scale square wave, as in
`app.media.levels`. Speech comes from espeak-ng at test time or from a package of recordings, so none lies in the tree.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from app.media import levels

Samples = NDArray[np.int16]

RATE_HZ = 48_000
_RECORDINGS = Path("/usr/share/pocketsphinx/test/data/librivox")
SENTENCE = "The quick brown fox jumps over the lazy dog. She sells sea shells by the sea shore, every morning at nine."


def read_wav(path: Path) -> Samples:
    """Give a WAV file as mono int16 samples at 48 kHz."""
    with wave.open(str(path), "rb") as file:
        assert file.getsampwidth() == 2, f"{path} is not 16 bit"
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        rate = file.getframerate()
    return resampled(data[:, 0].astype(np.int16), rate, RATE_HZ)


def write_wav(path: Path, samples: Samples, rate_hz: int = RATE_HZ) -> Path:
    """Write mono int16 samples; give the path."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def sounds(path: Path) -> list[Samples]:
    """Give each track of sound of any file at 48 kHz: shape (samples, channels)."""
    import av

    with av.open(str(path)) as container:
        count = len(container.streams.audio)
    found = []
    for index in range(count):
        with av.open(str(path)) as container:
            resampler = av.AudioResampler(format="s16", rate=RATE_HZ)
            frames = [new for frame in container.decode(audio=index) for new in resampler.resample(frame)]
            channels = frames[0].layout.nb_channels
            found.append(np.concatenate([frame.to_ndarray().reshape(-1, channels) for frame in frames]))
    return found


def tone(hz: float, seconds: float, peak: float = 0.5) -> Samples:
    """Give a sine, `peak` a share of full scale."""
    wave_ = peak * 32767 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)
    return wave_.astype(np.int16)


def resampled(samples: Samples, rate_hz: int, to_hz: int) -> Samples:
    """Give the samples at another rate."""
    if rate_hz == to_hz or samples.size == 0:
        return samples
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate_hz
    resampler = av.AudioResampler(format="s16", layout="mono", rate=to_hz)
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([np.asarray(piece.to_ndarray(), np.int16).reshape(-1) for piece in pieces])


def part(samples: Samples, from_s: float, to_s: float | None = None) -> Samples:
    """Give what lies between two times."""
    return samples[round(from_s * RATE_HZ) : None if to_s is None else round(to_s * RATE_HZ)]


def frequency_hz(samples: Samples) -> float:
    """Give the strongest frequency, good to a fraction of a hertz for a second of a steady tone."""
    assert samples.size >= RATE_HZ // 10, "too short to have a frequency"
    spectrum = _spectrum(samples)
    peak = int(np.argmax(spectrum[1:-1])) + 1
    left, middle, right = np.log(spectrum[peak - 1 : peak + 2] + 1e-12)
    curve = left - 2 * middle + right
    shift = 0.0 if curve == 0 else 0.5 * (left - right) / curve
    return float((peak + shift) * RATE_HZ / samples.size)


def share_at(samples: Samples, hz: float, width_hz: float = 20.0) -> float:
    """Give which share of all energy, from 0 to 1, lies within `width_hz` of a frequency."""
    energy = _spectrum(samples) ** 2
    frequencies = np.arange(energy.size) * RATE_HZ / samples.size
    return float(energy[np.abs(frequencies - hz) <= width_hz].sum() / max(energy.sum(), 1e-12))


def level_dbfs(samples: Samples) -> float:
    """Give the level; -inf for digital silence."""
    level = levels.level_dbfs(samples)
    return float("-inf") if level is None else level


def gaps_ms(samples: Samples, quieter_than_dbfs: float = -60.0, at_least_ms: float = 10.0) -> list[tuple[float, float]]:
    """Give the holes in what should be a steady sound: (start, length) in ms, without both ends of the recording."""
    step = RATE_HZ // 200  # 5 ms
    blocks = samples[: samples.size // step * step].reshape(-1, step).astype(np.float64)
    quiet = np.sqrt((blocks**2).mean(axis=1)) < 32768 * 10 ** (quieter_than_dbfs / 20)
    loud = np.flatnonzero(~quiet)
    if loud.size == 0:
        return [(0.0, samples.size / RATE_HZ * 1000)]
    found: list[tuple[float, float]] = []
    for before, after in itertools.pairwise(loud):
        length_ms = (after - before - 1) * 5.0
        if length_ms >= at_least_ms:
            found.append(((before + 1) * 5.0, length_ms))
    return found


def first_sound_s(samples: Samples, louder_than_dbfs: float = -45.0) -> float | None:
    """Give when the sound begins; None when there is none."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 32768 * 10 ** (louder_than_dbfs / 20))
    return float(loud[0] / RATE_HZ) if loud.size else None


def delay_s(reference: Samples, heard: Samples) -> float:
    """Give by how much `heard` is later than `reference`, by their correlation."""
    size = 1 << int(np.ceil(np.log2(reference.size + heard.size)))
    product = np.fft.rfft(heard.astype(np.float64), size) * np.conj(np.fft.rfft(reference.astype(np.float64), size))
    correlation = np.fft.irfft(product, size)
    lag = int(np.argmax(correlation))
    return (lag if lag < size // 2 else lag - size) / RATE_HZ


def speech_score(reference: Samples, heard: Samples) -> float:
    """Give the wide-band PESQ score (ITU-T P.862.2, 1.0 to 4.6) of speech after aligning it by its delay."""
    pesq = pytest.importorskip("pesq")
    lag = round(delay_s(reference, heard) * RATE_HZ)
    heard = heard[lag:] if lag >= 0 else np.concatenate([np.zeros(-lag, np.int16), heard])
    length = min(reference.size, heard.size)
    assert length >= RATE_HZ, "less than a second of both: nothing to compare"
    wide = [resampled(samples[:length], RATE_HZ, 16_000) for samples in (reference, heard)]
    return float(pesq.pesq(16_000, wide[0], wide[1], "wb"))


def speak(path: Path, text: str = SENTENCE) -> Path:
    """Let espeak-ng speak a text into a WAV file (mono, 48 kHz); the test is skipped where it is not installed."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    raw = path.with_suffix(".espeak.wav")
    subprocess.run(["espeak-ng", "-s", "150", "-w", str(raw), text], check=True, capture_output=True, timeout=20)
    samples = read_wav(raw)
    raw.unlink()
    return write_wav(path, samples)


def recorded_speech() -> list[Samples]:
    """Give five sentences that a person read (LibriVox, 3 to 7 s each, recorded at 16 kHz); the test is skipped where
    the Debian package with them, pocketsphinx-testdata, is not installed."""
    files = sorted(_RECORDINGS.glob("*.wav"))
    if not files:
        pytest.skip("recorded speech is not installed: pocketsphinx-testdata")
    return [read_wav(path) for path in files]


def _spectrum(samples: Samples) -> NDArray[np.float64]:
    windowed = samples.astype(np.float64) * np.hanning(samples.size)
    return np.asarray(np.abs(np.fft.rfft(windowed)), np.float64)
