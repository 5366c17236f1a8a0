"""How much of a loudspeaker's echo is taken out, and what becomes of the person who speaks meanwhile.

Recorded speech goes through a simulated room (image sources, a loudspeaker that bends, a delay that the devices do not
tell, two clocks) into the processing of a call, and beside it through libwebrtc's own echo canceller at its best: told
the exact delay. What counts for the near speech is how much worse it is than without a far end, after the same steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from app.media.cleaning import WebrtcCleaner, webrtc_library
from app.media.echo_canceller import DELAY_S, EchoCanceller
from app.media.echo_reference import FRAME
from tests.bench.room import RATE_HZ, Laptop, Room, Wave, convolve, echo_of, far_speech, level, near_speech, spoken
from tests.bench.table import Table
from tests.heard import speech_score

SECTION = "Echo in a simulated room, recorded speech"
BESIDE = "libwebrtc's AEC3"
LEAST_ERLE_DB = 25.0
MOST_LOSS = 0.5
MOST_TIMES_THE_CPU = 6.0
ROOMS_S = (0.2, 0.4, 0.6)  # in which sound falls by 60 dB: furnished, plain, bare
_SETTLED_S = 8.0
_WINDOW_S = 0.25
_PROCESSING_S = DELAY_S + WebrtcCleaner.DELAY_S
_TOLD_DELAY_S = 0.05  # what the devices say of their queues, whatever they are


@dataclass(frozen=True)
class Place:
    """Where somebody calls from. `loud_db` is how much louder than the person the echo is at the microphone."""

    rt60_s: float = 0.2
    loud_db: float = -10.0
    laptop: Laptop = field(default_factory=Laptop)
    noise_dbfs: float = -65.0
    moved: bool = False  # the laptop, by 20 cm, once settled


@dataclass(frozen=True)
class Scene:
    """What is played, what the room makes of it, and what the person in it says as the microphone hears it."""

    played: Wave
    echo: Wave
    near: Wave
    noise: Wave
    delay_s: float


def scene(seconds: float, place: Place) -> Scene:
    """The person begins to speak, and what changes changes, after `_SETTLED_S`."""
    room, settled = Room(place.rt60_s), round(_SETTLED_S * RATE_HZ)
    played = far_speech(seconds)
    near = as_loud_as(convolve(near_speech(seconds), room.response(room.person)), near_speech(seconds))
    echo = echo_of(played, room.response(room.loudspeaker), place.laptop)
    echo = as_loud_as(echo, near) * 10 ** (place.loud_db / 20)
    if place.moved:
        there = replace(room, loudspeaker=(2.15, 1.62, 0.8), microphone=(2.35, 1.82, 0.95))
        after = echo_of(played, there.response(there.loudspeaker), place.laptop)
        share = np.clip((np.arange(echo.size) - settled) / (0.1 * RATE_HZ), 0, 1)
        echo = (1 - share) * echo + share * as_loud_as(after, echo)
    near[:settled] = 0
    noise = np.random.default_rng(1).normal(size=played.size) * 10 ** (place.noise_dbfs / 20)
    return Scene(played, echo, near, noise, place.laptop.delay_s)


def as_loud_as(sound: Wave, other: Wave) -> Wave:
    """Bring speech, without its pauses, to the level of other speech."""
    return sound * 10 ** ((level(other[spoken(other)]) - level(sound[spoken(sound)])) / 20)


def ours(scene: Scene, heard: Wave, *, far: bool = True) -> Wave:
    """What a call does, without gain control: PESQ does not mind a level, but echo that is raised is more echo."""
    canceller = EchoCanceller()
    library = webrtc_library()
    assert library is not None
    cleaner = WebrtcCleaner(library, noise_suppression=True, gain_control=False)
    blocks = _samples(scene.played if far else 0 * scene.played)
    out = np.zeros(heard.size)
    for start in range(0, heard.size - FRAME + 1, FRAME):
        canceller.played(blocks[start : start + FRAME], start / RATE_HZ + _TOLD_DELAY_S)
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


def seconds_to(db: float, scene: Scene, process: Callable[..., Wave], from_s: float = 0.0) -> float:
    """How long it takes until the echo is that much quieter, and stays so for a second; else all the time there is."""
    heard = scene.echo + scene.noise
    out = np.roll(process(scene, heard), -round(_PROCESSING_S * RATE_HZ))
    step = round(_WINDOW_S * RATE_HZ)
    powers = [(np.reshape(sound[: sound.size // step * step], (-1, step)) ** 2).mean(axis=1) for sound in (heard, out)]
    first = round(from_s / _WINDOW_S)
    loud = [at for at in range(first, powers[0].size) if powers[0][at] > 0.03 * powers[0].mean()]
    good = [powers[1][at] < powers[0][at] * 10 ** (-db / 10) for at in loud]
    least = round(1.0 / _WINDOW_S)
    for at in range(len(loud) - least):
        if all(good[at : at + least]):
            return (loud[at] - first) * _WINDOW_S
    return heard.size / RATE_HZ - from_s


def _samples(sound: Wave) -> np.ndarray:
    return (np.clip(sound, -1, 1) * 32767).astype(np.int16)


@pytest.mark.short
@pytest.mark.timeout(1800)
def test_the_echo_goes_and_near_speech_stays(table: Table, is_long: bool) -> None:
    pytest.importorskip("livekit")
    pytest.importorskip("pesq")
    places = [Place(laptop=Laptop(skew_ppm=20))]
    if is_long:
        delays = iter((0.03, 0.08, 0.12, 0.2, 0.3, 0.05) * 2)
        places = [
            Place(rt60_s, loud_db, Laptop(delay_s=next(delays), skew_ppm=skew_ppm))
            for loud_db in (-10.0, -6.0)
            for skew_ppm in (0.0, 50.0)
            for rt60_s in ROOMS_S
        ]
    scenes = [scene(22.0 if is_long else 16.0, place) for place in places]
    taken, shares = zip(*(erle_db(each, ours) for each in scenes), strict=True)
    beside, beside_shares = zip(*(erle_db(each, libwebrtc) for each in scenes), strict=True)
    note = (
        "echo 6 and 10 dB below the person, clocks 0 and 50 ppm apart, rooms of 0.2, 0.4 and 0.6 s" if is_long else ""
    )
    table.add(SECTION, "echo return loss, far end alone", "dB", taken, base=(BESIDE, beside), note=note)
    lost = [pesq_loss(each, ours) for each in scenes]
    beside_lost = [pesq_loss(each, libwebrtc) for each in scenes]
    table.add(SECTION, "PESQ that near speech loses, both talking", "PESQ", lost, base=(BESIDE, beside_lost))
    table.add(SECTION, "processing", "share of a core", shares, base=(BESIDE, beside_shares))
    assert min(taken) > LEAST_ERLE_DB
    assert max(lost) < MOST_LOSS
    if is_long:
        assert min(shares) < MOST_TIMES_THE_CPU * min(beside_shares)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("loud_db", [0.0, 6.0])
def test_an_echo_as_loud_as_the_person(loud_db: float, table: Table) -> None:
    """A plain laptop with its loudspeakers turned up."""
    pytest.importorskip("livekit")
    pytest.importorskip("pesq")
    scenes = [
        scene(22.0, Place(rt60_s, loud_db, Laptop(skew_ppm=skew_ppm))) for rt60_s in ROOMS_S for skew_ppm in (0.0, 50.0)
    ]
    name = "as loud as the person" if loud_db == 0 else f"{loud_db:.0f} dB louder than the person"
    taken, beside = ([erle_db(each, process)[0] for each in scenes] for process in (ours, libwebrtc))
    table.add(SECTION, f"echo return loss, echo {name}", "dB", taken, base=(BESIDE, beside))
    lost, beside_lost = ([pesq_loss(each, process) for each in scenes] for process in (ours, libwebrtc))
    table.add(SECTION, f"PESQ lost, echo {name}", "PESQ", lost, base=(BESIDE, beside_lost))
    assert min(taken) > LEAST_ERLE_DB
    assert np.median(lost) < np.median(beside_lost) - 1.0


DISTURBED = {
    "clocks 100 ppm apart": Place(laptop=Laptop(skew_ppm=100.0)),
    "a delay of 20 ms": Place(laptop=Laptop(delay_s=0.02)),
    "a delay of 300 ms": Place(laptop=Laptop(delay_s=0.3)),
    "a loudspeaker that bends": Place(laptop=Laptop(bends=2.0)),
    "noise at -50 dBFS": Place(noise_dbfs=-50.0),
    "the laptop is moved": Place(moved=True),
    "the loudspeaker's queue runs dry": Place(laptop=Laptop(late_from_s=_SETTLED_S, late_by_s=0.02)),
}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("what", DISTURBED)
def test_what_is_out_of_the_ordinary(what: str, table: Table) -> None:
    pytest.importorskip("livekit")
    pytest.importorskip("pesq")
    place = replace(DISTURBED[what], rt60_s=0.4)
    each = scene(22.0, place)
    changes = place.moved or place.laptop.late_from_s is not None
    from_s = _SETTLED_S if changes else 0.0
    beside = [seconds_to(15.0, each, libwebrtc, from_s)]
    quick = seconds_to(15.0, each, ours, from_s)
    table.add(SECTION, f"seconds to 15 dB, {what}", "s", [quick], base=(BESIDE, beside))
    table.add(SECTION, f"seconds to 25 dB, {what}", "s", [seconds_to(25.0, each, ours, from_s)])
    table.add(
        SECTION, f"PESQ lost, {what}", "PESQ", [pesq_loss(each, ours)], base=(BESIDE, [pesq_loss(each, libwebrtc)])
    )
    assert quick <= (1.0 if place.laptop.late_by_s else 4.0 if place.moved else 3.0)
    if not changes:
        assert erle_db(each, ours)[0] > LEAST_ERLE_DB - (5.0 if place.laptop.bends > 1 else 0.0)


@pytest.mark.timeout(600)
def test_a_person_who_speaks_alone_loses_nothing(table: Table) -> None:
    """With headphones, so that nothing of the far end is heard, and with a far end of which only the room is."""
    pytest.importorskip("livekit")
    pytest.importorskip("pesq")
    each = scene(22.0, Place(0.4, -6.0))
    hum = np.random.default_rng(2).normal(size=each.played.size) * 1e-3
    breathing = replace(
        each, played=hum, echo=as_loud_as(echo_of(hum, Room(0.4).response(Room().loudspeaker), Laptop()), hum)
    )
    alone, breathed = pesq_loss(replace(each, echo=0 * each.echo), ours), pesq_loss(breathing, ours)
    table.add(SECTION, "PESQ lost, no echo of speech", "PESQ", [max(0.0, lost) for lost in (alone, breathed)])
    assert max(alone, breathed) < 0.1
