"""What is done to the microphone's sound: the echo goes, the person stays, and each step can be switched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.media import cleaning
from app.media.echo_canceller import EchoCanceller
from app.media.echo_reference import FRAME, LagFinder, PlayedLine
from app.media.echo_residual import DELAY_SAMPLES
from app.media.files import FileAudioSource
from app.media.levels import level_dbfs
from app.media.microphone import MicrophoneSource
from app.media.ports import AudioFrame
from app.media.processing import ProcessedFile, Switches, VoiceProcessor, is_processed, processed
from app.media.sources import ToneSource
from app.media.voice import MutedHint, VoiceDetector
from app.settings import MediaSettings

ROOT = Path(__file__).resolve().parents[2]
RATE_HZ = 48_000
Wave = NDArray[np.float64]


def babble(seconds: float, seed: int) -> Wave:
    """Noise below 4 kHz that swells and fades four times a second, as speech does."""
    dice = np.random.default_rng(seed)
    spectrum = np.fft.rfft(dice.normal(size=round(seconds * RATE_HZ)))
    spectrum[round(4000 * seconds) :] = 0
    sound = np.fft.irfft(spectrum, round(seconds * RATE_HZ))
    swell = np.abs(np.sin(2 * np.pi * 2 * np.arange(sound.size) / RATE_HZ + seed))
    return 0.1 * swell * sound / sound.std()


def echo(played: Wave, delay_s: float) -> Wave:
    """The played sound a moment later, quieter, with some reflections."""
    dice = np.random.default_rng(5)
    response = np.zeros(2400)
    response[:1] = 1.0
    response[200:] = dice.normal(size=2200) * 0.1 * np.exp(-np.arange(2200) / 600)
    size = 1 << (played.size + response.size).bit_length()
    heard = np.fft.irfft(np.fft.rfft(played, size) * np.fft.rfft(response, size), size)[: played.size]
    shift = round(delay_s * RATE_HZ)
    return 0.3 * np.concatenate([np.zeros(shift), heard])[: played.size]


def through(canceller: EchoCanceller, played: Wave, heard: Wave) -> Wave:
    """Run both devices at one pace: what is played is heard at the moment at which it is said to be."""
    out = np.zeros(heard.size)
    blocks = (played * 32767).astype(np.int16)
    for start in range(0, heard.size - FRAME + 1, FRAME):
        at = start / RATE_HZ
        canceller.played(blocks[start : start + FRAME], at + 0.06)
        out[start : start + FRAME] = canceller.process(heard[start : start + FRAME].astype(np.float32), at)
    return out


def db(after: Wave, before: Wave) -> float:
    return float(10 * np.log10(np.mean(after**2) / np.mean(before**2)))


def test_the_echo_goes_and_the_person_stays_while_both_speak() -> None:
    far, near = babble(6, 1), babble(6, 2)
    near[: 3 * RATE_HZ] = 0
    returned = echo(far, 0.1)  # 40 ms later than the devices said
    canceller = EchoCanceller()
    out = through(canceller, far, returned + near)
    alone, both = slice(2 * RATE_HZ, 3 * RATE_HZ), slice(7 * RATE_HZ // 2, 11 * RATE_HZ // 2)
    assert db(out[alone], returned[alone]) < -25
    left = out[both.start + DELAY_SAMPLES : both.stop + DELAY_SAMPLES] - near[both]
    assert db(left, near[both]) < -12
    assert canceller.erle_db is not None
    assert canceller.erle_db > 20
    assert canceller.reference.lag_s == pytest.approx(0.04, abs=0.002)


def later(sound: Wave, seconds: float, from_s: float) -> Wave:
    """From a moment on everything comes later: a device's queue ran dry."""
    at, gap = round(from_s * RATE_HZ), round(seconds * RATE_HZ)
    return np.concatenate([sound[:at], np.zeros(gap), sound[at:]])[: sound.size]


def test_a_device_s_queue_that_runs_dry_is_followed_within_a_second_while_both_speak() -> None:
    far, near = babble(5, 1), babble(5, 2)
    near[: 3 * RATE_HZ] = 0
    near[4 * RATE_HZ :] = 0
    returned = later(echo(far, 0.1), 0.02, 3.0)
    canceller = EchoCanceller()
    out = through(canceller, far, returned + near)
    after = slice(17 * RATE_HZ // 4, 5 * RATE_HZ - FRAME)
    assert db(out[after], returned[after]) < -25


def test_another_way_from_loudspeaker_to_microphone_is_learned_within_two_seconds() -> None:
    far = babble(6, 1)
    before, after = echo(far, 0.08), echo(-0.7 * far, 0.085)
    moved = np.concatenate([before[: 3 * RATE_HZ], after[3 * RATE_HZ :]])
    out = through(EchoCanceller(), far, moved)
    settled, anew = slice(2 * RATE_HZ, 3 * RATE_HZ), slice(5 * RATE_HZ, 6 * RATE_HZ - FRAME)
    assert db(out[settled], moved[settled]) < -25
    assert np.abs(out).max() < 1.2 * np.abs(moved).max()  # nothing howls meanwhile
    assert db(out[anew], moved[anew]) < -25


def test_clocks_that_run_apart_are_followed() -> None:
    far = babble(5, 1)
    returned = echo(far, 0.08)
    heard = np.interp(np.arange(far.size) * (1 - 100e-6), np.arange(far.size), returned)
    canceller = EchoCanceller()
    out = through(canceller, far, heard)
    assert canceller.drift_ppm == pytest.approx(100, abs=5)
    last = slice(4 * RATE_HZ, 5 * RATE_HZ - FRAME)
    assert db(out[last], heard[last]) < -25


def test_without_a_far_end_nothing_is_changed() -> None:
    near = babble(1, 3)
    out = through(EchoCanceller(), np.zeros(near.size), near)
    assert np.allclose(out[DELAY_SAMPLES:], near[:-DELAY_SAMPLES], atol=1e-6)


def test_a_speaker_that_pauses_and_goes_on_is_found_again() -> None:
    line = PlayedLine()
    ramp = np.arange(1, 481, dtype=np.int16)
    line.played(ramp, 1.0)
    line.played(ramp, 1.01)
    line.played(ramp, 1.5)  # it stood still for 0.48 s
    first, jumped = line.read(1.0, 480, 0.0)
    assert jumped
    assert np.allclose(first[1:-3] * 32768, ramp[1:-3])
    late, jumped = line.read(1.5, 400, 0.0)
    assert not jumped  # one odd moment moves nothing
    for _ in range(80):
        late, jumped = line.read(1.5, 400, 0.0)
        if jumped:
            break
    assert np.allclose(late[1:] * 32768, ramp[1:400])
    assert not line.read(4.0, 480, 0.0)[0].any()  # long over


def test_a_lag_is_found_from_speech_alone_and_kept_in_silence() -> None:
    finder = LagFinder()
    far = babble(4, 4).astype(np.float32)
    heard = np.concatenate([np.zeros(9600, np.float32), far])[: far.size]
    moves = [finder.step(far[at : at + FRAME], heard[at : at + FRAME]) for at in range(0, far.size - FRAME, FRAME)]
    assert sum(moves) == 1
    assert finder.lag == pytest.approx(9600, abs=96)
    silence = np.zeros(FRAME, np.float32)
    assert not any(finder.step(silence, silence) for _ in range(150))
    assert finder.lag == pytest.approx(9600, abs=96)


def loud(sound: Wave) -> list[AudioFrame]:
    samples = (sound * 32767).astype(np.int16)
    return [samples[at : at + FRAME] for at in range(0, samples.size - FRAME + 1, FRAME)]


def cleaners() -> list[object]:
    library = cleaning.webrtc_library()
    return [library, None] if library is not None else [None]


@pytest.mark.parametrize("library", cleaners(), ids=lambda library: "libwebrtc" if library else "plain")
def test_noise_goes_down_and_quiet_speech_comes_up(library: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "webrtc_library", lambda: library)
    dice = np.random.default_rng(6)
    noise, speech = dice.normal(size=4 * RATE_HZ) * 0.003, 0.2 * babble(4, 7)
    quiet = VoiceProcessor(Switches(echo_cancellation=False, gain_control=False))
    quiet.load()
    out = np.concatenate([quiet.process(frame, 0.03) for frame in loud(noise)]) / 32767
    assert db(out[-RATE_HZ:], noise[-RATE_HZ:]) < -6
    assert not quiet.speaking
    assert quiet.delay_s == (0.012 if library else 0.0)
    raised = VoiceProcessor(Switches(echo_cancellation=False, noise_suppression=False))
    raised.load()
    out = np.concatenate([raised.process(frame, 0.03) for frame in loud(speech)]) / 32767
    assert db(out[-RATE_HZ:], speech[-RATE_HZ:]) > 2
    assert np.abs(out).max() < 1
    assert raised.speaking


def test_what_is_switched_off_changes_nothing_and_can_be_switched_while_it_runs() -> None:
    processor = VoiceProcessor(Switches(False, False, False))
    frames = loud(babble(0.2, 8))
    assert all(np.array_equal(processor.process(frame, 0.03), frame) for frame in frames)
    processor.use(Switches(True, False, False))
    changed = np.concatenate([processor.process(frame, 0.03) for frame in frames])
    assert np.allclose(changed[DELAY_SAMPLES:], np.concatenate(frames)[:-DELAY_SAMPLES], atol=1)
    processor.use(Switches(False, False, True))
    assert not np.array_equal(processor.process(frames[0], 0.03), frames[0])
    assert processor.meter.recent_dbfs is not None


def test_only_a_microphone_is_processed_unless_asked(tmp_path: Path) -> None:
    plain = MediaSettings()
    assert is_processed(MicrophoneSource(), plain)
    assert not is_processed(ToneSource(440), plain)
    assert not is_processed(FileAudioSource(tmp_path / "x.wav"), plain)
    assert is_processed(ToneSource(440), MediaSettings(process_files=True))


def test_a_processed_source_is_the_source_with_another_sound() -> None:
    source = processed(ToneSource(440), VoiceProcessor(Switches()))
    assert isinstance(source, ProcessedFile)
    assert source.description == "tone of 440 Hz"
    assert source.problem is None
    source.start()
    assert source.read_frame().shape == (FRAME,)
    for _ in range(13):
        given = source.read_frame()
    assert source.meter.recent_dbfs == pytest.approx(level_dbfs(given), abs=1.5)
    assert 0.02 < source.delay_s < 0.06
    source.close()


def test_speech_is_told_from_noise_knocks_and_silence() -> None:
    voice = VoiceDetector()

    def after(levels: list[float | None]) -> bool:
        for level in levels:
            voice.add(level)
        return voice.speaking

    assert not after([None] * 50)
    assert not after([-62.0, -61.0] * 50)
    assert not after([-61.0] * 20 + [-20.0] * 5)  # a knock
    assert after([-30.0, -25.0, -50.0] * 10)
    assert not after([-61.0] * 25)
    assert not after([-35.0] * 1000)  # a fan was switched on: some seconds later it is noise


def test_who_speaks_muted_is_told_once_in_a_while() -> None:
    hint = MutedHint()
    assert not hint.due(muted=False, speaking=True, now=100.0)
    assert not hint.due(muted=True, speaking=False, now=101.5)
    assert hint.due(muted=True, speaking=True, now=102.0)
    assert not hint.due(muted=True, speaking=True, now=109.0)
    assert hint.due(muted=True, speaking=True, now=111.0)
    assert not hint.due(muted=True, speaking=True, now=126.0)  # who goes on is not told again and again
    assert hint.due(muted=True, speaking=True, now=128.0)
    assert not hint.due(muted=False, speaking=True, now=129.0)
    assert hint.due(muted=True, speaking=True, now=130.5)  # muted again: told again


_ALONE = """
import logging, sys, threading
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
import app.media.processing
assert "livekit" not in sys.modules
from app.media.cleaning import WebrtcCleaner, webrtc_library
library = webrtc_library()
assert threading.active_count() == 1, threading.enumerate()
if library is not None:
    import numpy as np
    kept = WebrtcCleaner(library, noise_suppression=True, gain_control=True)
    kept.process(np.zeros(960, np.int16))
"""


def test_libwebrtc_is_loaded_late_says_nothing_and_lets_the_program_end() -> None:
    """Several programs at once, since what went wrong at their ends went wrong in one of ten."""
    command = [sys.executable, "-c", _ALONE]
    pipe = subprocess.PIPE
    for running in [subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) for _ in range(6)]:
        said = running.communicate(timeout=50)
        assert (running.returncode, *said) == (0, "", "")
