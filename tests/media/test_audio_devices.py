"""Microphone and speaker on a real sound server: what is heard and played, and what happens when a device goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from app.media.devices import list_devices, missing_devices
from app.media.microphone import MicrophoneSource
from app.media.ports import MakeFrame
from app.media.rings import RingPlayer
from app.media.sources import ToneSource
from app.media.speaker import SpeakerSink
from tests.heard import first_sound_s, frequency_hz, level_dbfs, part, share_at, tone
from tests.media.pulse import Pulse, private_pulse


@pytest.fixture(scope="module")
def pulse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulse]:
    with private_pulse(tmp_path_factory.mktemp("pulse")) as server:
        yield server


def said(hz: float) -> MakeFrame:
    """Make a tone."""
    sound = ToneSource(hz)
    return lambda now: (sound.read_frame(), None)


def run(
    seconds: float,
    *,
    source: MicrophoneSource | None = None,
    sink: SpeakerSink | None = None,
    others: Sequence[SpeakerSink] = (),
) -> np.ndarray:
    """Do what a call does with its devices: take what the microphone hears, and look after all of them."""
    heard: list[np.ndarray] = []
    if source is not None:
        source.hand_to(lambda frame, at: heard.append(frame))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for one in (source, sink, *others):
            if one is not None:
                one.stand_in()
        time.sleep(0.005)
    return np.concatenate(heard) if heard else np.zeros(0, np.int16)


def speaking(hz: float = 440) -> SpeakerSink:
    speaker = SpeakerSink()
    speaker.draw_from(said(hz))
    return speaker


def wait_for(condition: Callable[[], bool], timeout_s: float, step: Callable[[], object]) -> bool:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        step()
    return False


def opened(*ends: MicrophoneSource | SpeakerSink) -> None:
    """Wait until the devices are there: a sound server takes a second, on a busy machine more."""
    for end in ends:
        assert wait_for(lambda end=end: not end.description.startswith("no "), 10, lambda: time.sleep(0.02))  # type: ignore[misc]


def test_the_microphone_hears_what_is_played_to_it(pulse: Pulse) -> None:
    microphone = MicrophoneSource()
    microphone.start()
    try:
        opened(microphone)
        assert microphone.problem is None
        player = pulse.play(tone(1000, 4))
        assert wait_for(lambda: level_dbfs(run(0.2, source=microphone)) > -20, 5, lambda: None)
        heard = run(1.2, source=microphone)
        player.kill()
        player.wait()
    finally:
        microphone.close()
    assert frequency_hz(heard) == pytest.approx(1000, abs=2)
    # The loudest moment: a busy machine may miss some frames.
    loudest = max(level_dbfs(part(heard, tenth / 10, tenth / 10 + 0.1)) for tenth in range(11))
    assert loudest == pytest.approx(level_dbfs(tone(1000, 1)), abs=1)


def test_the_speaker_plays_what_it_is_given(pulse: Pulse) -> None:
    speaker = speaking()
    with pulse.recorded() as recorded:
        speaker.start()
        opened(speaker)
        assert speaker.problem is None
        run(1.2, sink=speaker)
        speaker.close()
    heard = recorded[0]
    began = first_sound_s(heard)
    assert began is not None
    steady = part(heard, began + 0.2, began + 0.9)
    assert frequency_hz(steady) == pytest.approx(440, abs=3)
    assert share_at(steady, 440) > 0.99


def test_whoever_wants_to_know_hears_every_block_that_the_device_plays(pulse: Pulse) -> None:
    speaker = speaking()
    blocks: list[np.ndarray] = []
    delays: set[float] = set()

    def on_played(block: np.ndarray, delay_s: float) -> None:
        blocks.append(block.copy())
        delays.add(delay_s)

    speaker.on_played = on_played
    with pulse.recorded() as recorded:
        speaker.start()
        opened(speaker)
        run(0.8, sink=speaker)
        speaker.close()
    assert {(block.shape, block.dtype) for block in blocks} == {((960,), np.dtype(np.int16))}
    assert all(0 < delay < 0.5 for delay in delays)
    told = np.concatenate(blocks)
    assert share_at(part(told, 0.2, 0.7), 440) > 0.95
    assert np.abs(told.astype(int)).max() == pytest.approx(np.abs(recorded[0].astype(int)).max(), rel=0.02)


def test_a_device_that_is_named_but_absent_is_replaced_and_said(pulse: Pulse) -> None:
    microphone = MicrophoneSource("Headset of long ago")
    microphone.start()
    try:
        assert wait_for(lambda: microphone.description == "default", 8, lambda: time.sleep(0.02))
        assert "'Headset of long ago' is not there" in (microphone.problem or "")
        assert not microphone.is_lost
    finally:
        microphone.close()


def test_devices_pulled_out_and_plugged_in_again_while_running(tmp_path: Path) -> None:
    with private_pulse(tmp_path) as pulse:
        pull_out_and_plug_in(pulse)


def test_a_sound_server_that_dies_freezes_nothing(tmp_path: Path) -> None:
    microphone, speaker = MicrophoneSource(), speaking()
    with private_pulse(tmp_path) as pulse:
        microphone.start()
        speaker.start()
        opened(microphone, speaker)
        run(0.3, source=microphone, sink=speaker)
        assert microphone.problem is None
        pulse.die()

        def step() -> object:
            return run(0.1, source=microphone, sink=speaker)

        try:
            assert wait_for(lambda: bool(microphone.problem and speaker.problem), 5, step)
            assert not np.any(run(0.3, source=microphone, sink=speaker))
        finally:
            microphone.close()
            speaker.close()


def pull_out_and_plug_in(pulse: Pulse) -> None:
    microphone, speaker = MicrophoneSource(), speaking()
    microphone.start()
    speaker.start()
    try:
        opened(microphone, speaker)
        run(0.3, source=microphone, sink=speaker)
        pulse.unplug("spk")
        pulse.unplug("micfeed")

        def step() -> object:
            return run(0.1, source=microphone, sink=speaker)

        assert wait_for(lambda: bool(microphone.problem and speaker.problem), 6, step)
        assert not np.any(run(0.3, source=microphone, sink=speaker))
        pulse.plug("headset")
        pulse.plug_microphone("headset")
        assert wait_for(lambda: microphone.problem is None and speaker.problem is None, 12, step)
    finally:
        microphone.close()
        speaker.close()


def test_the_ring_is_heard_until_it_is_stopped_and_waits_for_no_device(pulse: Pulse) -> None:
    with pulse.recorded() as recorded:
        ring = RingPlayer(0.8)
        with pulse.frozen():  # no device can open meanwhile
            ring.start()
            assert ring.playing
            assert ring.problem is None
        assert wait_for(lambda: bool(pulse.control("list", "short", "sink-inputs")), 10, lambda: time.sleep(0.02))
        time.sleep(1.2)
        with pulse.frozen():
            ring.stop()
        assert not ring.playing
        assert wait_for(lambda: not pulse.control("list", "short", "sink-inputs"), 10, lambda: time.sleep(0.02))
        time.sleep(0.5)
    heard = recorded[0]
    assert level_dbfs(heard) > -40
    assert level_dbfs(heard[-9600:]) < -60


def test_calls_and_rings_share_the_speaker_and_are_heard_together(pulse: Pulse) -> None:
    first, second = speaking(), speaking(880)
    with pulse.recorded() as recorded:
        first.start()
        second.start()
        assert wait_for(lambda: bool(pulse.control("list", "short", "sink-inputs")), 8, lambda: time.sleep(0.02))
        ring = RingPlayer(0.5, sound=tone(1_500, 1.0, 0.3))
        ring.start()
        run(1.3, sink=first, others=(second,))
        ring.stop()
        second.close()
        assert first.problem is None
        assert len(pulse.control("list", "short", "sink-inputs").splitlines()) == 1
        run(0.6, sink=first)
        first.close()
    heard = recorded[0]
    began = first_sound_s(heard)
    assert began is not None
    windows = [part(heard, at, at + 0.3) for at in np.arange(began, len(heard) / 48_000 - 0.3, 0.1)]
    assert any(all(share_at(window, hz) > 0.02 for hz in (440, 880, 1_500)) for window in windows)
    ended = np.flatnonzero(np.abs(heard.astype(int)) > 1_000)[-1] / 48_000  # whenever a busy machine came to that
    assert share_at(part(heard, ended - 0.4, ended - 0.1), 440) > 0.8
    assert pulse.control("list", "short", "sink-inputs") == ""


def test_a_call_begins_on_the_device_that_its_ring_left_open(pulse: Pulse) -> None:
    ring = RingPlayer(0.5)
    ring.start()
    assert wait_for(lambda: bool(pulse.control("list", "short", "sink-inputs")), 5, lambda: time.sleep(0.02))
    (ringing,) = pulse.control("list", "short", "sink-inputs").splitlines()
    ring.stop()
    speaker = speaking()
    speaker.start()
    opened(speaker)
    run(0.8, sink=speaker)
    assert pulse.control("list", "short", "sink-inputs").splitlines() == [ringing]
    speaker.close()
    assert pulse.control("list", "short", "sink-inputs") == ""


def test_a_sound_that_is_over_releases_the_device_by_itself(pulse: Pulse) -> None:
    ended = RingPlayer(0.5, sound=tone(440, 0.1), repeat=False)
    ended.start()
    assert wait_for(lambda: not ended.playing, 5, lambda: time.sleep(0.02))
    assert wait_for(lambda: not pulse.control("list", "short", "sink-inputs"), 5, lambda: time.sleep(0.02))


def test_the_list_names_the_devices_and_what_is_missing(pulse: Pulse) -> None:
    devices = list_devices()
    assert {device.kind for device in devices} >= {"microphone", "speaker"}
    assert sum(device.is_default for device in devices if device.kind == "microphone") == 1
    missing = missing_devices(devices)
    assert not any("microphone" in sentence or "speaker" in sentence for sentence in missing)
    assert len(missing_devices(())) == 3


def test_without_any_sound_device_a_call_hears_silence_and_keeps_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent/native")
    if list_devices():
        pytest.skip("this machine has sound devices of its own")
    microphone, speaker = MicrophoneSource(), speaking()
    microphone.start()
    speaker.start()
    try:
        assert wait_for(lambda: bool(microphone.problem and speaker.problem), 8, lambda: time.sleep(0.02))
        assert microphone.problem == "No microphone was found: others hear silence."
        assert microphone.is_lost
        assert speaker.problem == "No speaker was found: you hear nothing."
        assert not np.any(run(0.1, source=microphone))
        asked, began = list[float](), time.monotonic()
        speaker.draw_from(lambda now: (asked.append(now), said(440)(now))[1])
        while len(asked) < 20:
            time.sleep(speaker.stand_in())
        assert time.monotonic() - began > 0.3  # a busy machine takes longer
    finally:
        microphone.close()
        speaker.close()
