"""The voice that begins and ends bursts: read sentences in noise, noise alone, and what else a microphone hears."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from app.channels.voice_activity import BLOCK_SAMPLES, HANG_S, Sound, VoiceActivity
from tests.heard import RATE_HZ, recorded_speech

GAP_S = 1.5
# Where each word of the recordings begins and ends, in hundredths of a second: found by aligning the sentences with
# their text with pocketsphinx.
WORDS = (
    (20, 37, 63, 98, 158, 184, 225, 271, 289, 344, 400, 433, 452, 479, 494, 546, 556, 575, 604, 614, 635, 661, 679),
    (21, 33, 56, 113, 130, 148, 211, 233, 274),
    (27, 59, 70, 86, 122, 174, 222, 239, 278, 363, 388, 398, 416, 437, 530),
    (22, 44, 54, 98, 103, 141, 146, 201, 249, 271, 300, 319, 336, 369, 407, 425, 500, 513, 521, 583),
    (21, 38, 64, 92, 107, 133, 170, 227, 302),
)


def _noise(color: str, seconds: float, rms: float) -> NDArray[np.float64]:
    """White, pink (as rooms are) or brown (as engines are) noise."""
    count = 5 * RATE_HZ  # then it begins again
    spectrum = np.fft.rfft(np.random.default_rng(7).standard_normal(count))
    falling = np.maximum(np.fft.rfftfreq(count, 1 / RATE_HZ), 50.0)
    wave = np.fft.irfft(spectrum / falling ** {"white": 0.0, "pink": 0.5, "brown": 1.0}[color], count)
    return np.resize(wave * (rms / np.sqrt((wave**2).mean())), round(seconds * RATE_HZ))


def _samples(wave: NDArray[np.float64]) -> Sound:
    return np.clip(wave, -32768, 32767).astype(np.int16)


def _sent(samples: Sound, voice: VoiceActivity | None = None) -> tuple[NDArray[np.bool_], int]:
    """Which of the blocks were sent, and in how many bursts."""
    voice = voice or VoiceActivity()
    sent = np.zeros(samples.size // BLOCK_SAMPLES, bool)
    bursts = 0
    for index in range(sent.size):
        heard = voice.hear(samples[index * BLOCK_SAMPLES : (index + 1) * BLOCK_SAMPLES])
        bursts += heard.began
        assert heard.talking == voice.talking == bool(heard.blocks)
        first = index + 1 - len(heard.blocks)
        assert not sent[first : index + 1].any(), "a block was sent twice"
        sent[first : index + 1] = True
    return sent, bursts


@lru_cache
def _read_aloud(lead_s: float = 1.0) -> tuple[NDArray[np.float64], list[int], float]:
    """Five sentences with pauses between: the wave, the block at which each begins, and how loud they are."""
    speech = recorded_speech()
    pause = np.zeros(round(GAP_S * RATE_HZ))
    pieces, starts = [np.zeros(round(lead_s * RATE_HZ))], []
    for sentence in speech:
        starts.append(sum(piece.size for piece in pieces) // BLOCK_SAMPLES)
        pieces += [sentence.astype(float), pause]
    return np.concatenate(pieces), starts, float(np.sqrt((np.concatenate(speech).astype(float) ** 2).mean()))


@pytest.mark.parametrize(
    ("color", "below_db", "share"), [("pink", 40, 1.0), ("pink", 15, 0.97), ("brown", 10, 0.95), ("white", 10, 0.95)]
)
def test_words_are_kept_whole_and_pauses_are_not_sent(color: str, below_db: float, share: float) -> None:
    clean, starts, rms = _read_aloud()
    noisy = _samples(clean + _noise(color, clean.size / RATE_HZ, rms / 10 ** (below_db / 20)))
    sent, bursts = _sent(noisy)
    words = [
        sent[start + first : start + last].mean() > 0.9
        for start, ends in zip(starts, WORDS, strict=True)
        for first, last in itertools.pairwise(ends)
    ]
    assert len(words) == 71
    assert np.mean(words) >= share
    assert 5 <= bursts <= 7
    assert not sent[: starts[0] - 30].any()
    assert sent.mean() < 0.85


@pytest.mark.parametrize("color", ["white", "pink", "brown"])
@pytest.mark.parametrize("dbfs", [-60, -20])
def test_steady_noise_begins_nothing(color: str, dbfs: float) -> None:
    sent, _ = _sent(_samples(_noise(color, 10, 32768 * 10 ** (dbfs / 20))))
    assert not sent.any()


def test_a_fan_that_starts_is_learned_and_speech_over_it_is_heard() -> None:
    clean, starts, rms = _read_aloud(lead_s=6.0)
    wave = clean[: (starts[0] + 700) * BLOCK_SAMPLES] + 0.0
    wave += _noise("pink", wave.size / RATE_HZ, rms / 10 ** (40 / 20))
    fan = _noise("pink", wave.size / RATE_HZ - 1, rms / 10 ** (12 / 20))
    wave[RATE_HZ:] += fan
    sent, _ = _sent(_samples(wave))
    assert not sent[400 : starts[0]].any()  # three seconds after it began
    assert sent[starts[0] : starts[0] + 600].mean() > 0.9


def test_knocks_and_keys_are_no_speech() -> None:
    wave = _noise("pink", 8, 33.0)
    ring = np.random.default_rng(3).standard_normal(960) * 8000 * np.exp(-np.arange(960) / 200)
    for start in range(0, wave.size - 960, RATE_HZ // 5):
        wave[start : start + 960] += ring
    assert not _sent(_samples(wave))[0].any()


def test_silence_without_a_single_bit_begins_nothing() -> None:
    assert not _sent(np.zeros(RATE_HZ, np.int16))[0].any()


def test_who_speaks_at_once_loses_nothing() -> None:
    speech = recorded_speech()[0][round(0.18 * RATE_HZ) :]
    sent, _ = _sent(speech)
    assert sent[0]
    assert sent[: round(6.4 * 100)].mean() > 0.95


def test_a_burst_ends_the_hang_time_after_the_last_word() -> None:
    clean, starts, _ = _read_aloud()
    sent, _ = _sent(_samples(clean))
    last_word = starts[1] + WORDS[1][-1]
    after = int(np.argmin(sent[last_word:]))
    assert HANG_S * 100 - 10 <= after <= HANG_S * 100 + 15


def test_a_burst_that_was_cut_off_does_not_go_on_until_there_is_a_pause() -> None:
    clean, starts, _ = _read_aloud()
    samples = _samples(clean)
    voice = VoiceActivity()
    cut = (starts[0] + 200) * BLOCK_SAMPLES
    _sent(samples[:cut], voice)
    assert voice.talking
    voice.stop()
    rest = (starts[1] - starts[0] - 200) * BLOCK_SAMPLES
    assert not _sent(samples[cut : cut + rest], voice)[0].any()
    assert _sent(samples[cut + rest :], voice)[0].any()
