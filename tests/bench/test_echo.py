"""How much of a loudspeaker's echo is taken out, and what becomes of the person who speaks meanwhile.

Recorded speech goes through a simulated room (image sources, a loudspeaker that bends, a delay that the devices do not
tell, two clocks) into the processing of a call, and beside it through libwebrtc's own echo canceller at its best: told
the exact delay. What counts for the near speech is how much worse it is than without a far end, after the same steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from app.media.cleaning import WebrtcCleaner, webrtc_library
from app.media.echo_canceller import EchoCanceller
from app.media.echo_reference import FRAME
from tests.bench.room import RATE_HZ, Room, Wave, convolve, echo_of, far_speech, level, near_speech, spoken
from tests.bench.table import Table
from tests.heard import speech_score

SECTION = "Echo in a simulated room, recorded speech"
BESIDE = "libwebrtc's AEC3"
LEAST_ERLE_DB = 25.0
MOST_LOSS = 0.5
MOST_TIMES_THE_CPU = 6.0
_ECHO_DB = -19.0  # from the loudspeaker's samples to the microphone's: the echo is 10 dB below the person
_NOISE_DBFS = -65.0
_SETTLED_S = 8.0
_TOLD_DELAY_S = 0.05  # what the devices say of their queues, whatever they are


@dataclass(frozen=True)
class Scene:
    """What is played, what the room makes of it, and what the person in it says as the microphone hears it."""

    played: Wave
    echo: Wave
    near: Wave
    noise: Wave
    delay_s: float


def scene(seconds: float, delay_s: float, skew_ppm: float) -> Scene:
    room = Room()
    played = far_speech(seconds)
    said = near_speech(seconds)
    near = convolve(said, room.response(room.person, 0.12))
    near *= 10 ** ((level(said) - level(near)) / 20)
    near[: round(_SETTLED_S * RATE_HZ)] = 0
    echo = echo_of(played, room, gain_db=_ECHO_DB, delay_s=delay_s, skew_ppm=skew_ppm)
    noise = np.random.default_rng(1).normal(size=played.size) * 10 ** (_NOISE_DBFS / 20)
    return Scene(played, echo, near, noise, delay_s)


def ours(scene: Scene, heard: Wave, *, far: bool = True) -> Wave:
    """What a call does, without gain control: PESQ does not mind a level, but echo that is raised is more echo."""
    canceller = EchoCanceller()
    library = webrtc_library()
    assert library is not None
    cleaner = WebrtcCleaner(library, noise_suppression=True, gain_control=False)
    blocks = _samples(scene.played if far else 0 * scene.played)
    out = np.zeros(heard.size)
    for start in range(0, heard.size - FRAME + 1, FRAME):
        for block in (start, start + FRAME // 2):
            canceller.played(blocks[block : block + FRAME // 2], block / RATE_HZ + _TOLD_DELAY_S)
        left = canceller.process(heard[start : start + FRAME].astype(np.float32), start / RATE_HZ)
        out[start : start + FRAME] = cleaner.process(_samples(left)) / 32768.0
    return out


def libwebrtc(scene: Scene, heard: Wave, *, far: bool = True) -> Wave:
    """Its echo canceller and noise suppression together, as it wants them."""
    from livekit.rtc.apm import AudioProcessingModule
    from livekit.rtc.audio_frame import AudioFrame

    module = AudioProcessingModule(echo_cancellation=True, noise_suppression=True, high_pass_filter=True)
    played, near = _samples(scene.played if far else 0 * scene.played), _samples(heard)
    out = np.zeros(heard.size)
    for start in range(0, heard.size - 479, 480):
        part = slice(start, start + 480)
        module.process_reverse_stream(AudioFrame(bytearray(played[part].tobytes()), RATE_HZ, 1, 480))
        module.set_stream_delay_ms(round(scene.delay_s * 1000))
        data = bytearray(near[part].tobytes())
        module.process_stream(AudioFrame(data, RATE_HZ, 1, 480))
        out[part] = np.frombuffer(data, np.int16) / 32768.0
    return out


def erle_db(scene: Scene, process: Callable[..., Wave]) -> tuple[float, float]:
    """How much quieter the echo is with nobody speaking here, once settled, and the share of a core that it took."""
    heard = scene.echo + scene.noise
    began = time.process_time()
    out = process(scene, heard)
    share = (time.process_time() - began) / (heard.size / RATE_HZ)
    loud = spoken(scene.echo)
    loud[: round(_SETTLED_S * RATE_HZ)] = False
    return level(heard[loud]) - level(out[loud]), share


def pesq_loss(scene: Scene, process: Callable[..., Wave]) -> float:
    """How much worse the near speech is than without a far end."""
    begin = round(_SETTLED_S * RATE_HZ)
    said = _samples(scene.near[begin:])
    alone = process(scene, scene.near + scene.noise, far=False)[begin:]
    both = process(scene, scene.echo + scene.near + scene.noise)[begin:]
    return speech_score(said, _samples(alone)) - speech_score(said, _samples(both))


def _samples(sound: Wave) -> np.ndarray:
    return (np.clip(sound, -1, 1) * 32767).astype(np.int16)


@pytest.mark.short
@pytest.mark.timeout(600)
def test_the_echo_goes_and_near_speech_stays(table: Table, is_long: bool) -> None:
    pytest.importorskip("livekit")
    pytest.importorskip("pesq")
    rooms = [(0.03, 0), (0.08, 20), (0.12, -20)] if is_long else [(0.08, 20)]
    scenes = [scene(26.0 if is_long else 16.0, delay_s, skew_ppm) for delay_s, skew_ppm in rooms]
    taken, shares = zip(*(erle_db(each, ours) for each in scenes), strict=True)
    beside, beside_shares = zip(*(erle_db(each, libwebrtc) for each in scenes), strict=True)
    note = f"{len(scenes)} rooms of 30 to 120 ms, clocks up to 20 ppm apart"
    table.add(SECTION, "echo return loss, far end alone", "dB", taken, base=(BESIDE, beside), note=note)
    lost = [pesq_loss(each, ours) for each in scenes]
    beside_lost = [pesq_loss(each, libwebrtc) for each in scenes]
    table.add(SECTION, "PESQ that near speech loses, both talking", "PESQ", lost, base=(BESIDE, beside_lost))
    table.add(SECTION, "processing", "share of a core", shares, base=(BESIDE, beside_shares))
    assert min(taken) > LEAST_ERLE_DB
    assert max(lost) < MOST_LOSS
    if is_long:
        assert min(shares) < MOST_TIMES_THE_CPU * min(beside_shares)
