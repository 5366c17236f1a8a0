"""Devices that come, go, are chosen anew or run at another rate, while sound goes on."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.events import TrialChanged
from app.frames import FrameMailbox
from app.media import device_watch, portaudio
from app.media import pulse as server
from app.media.device_watch import DeviceWatch
from app.media.devices import list_devices
from app.media.microphone import MicrophoneSource
from app.media.portaudio import AudioStream
from app.media.rates import RateConverter
from app.media.rings import RingPlayer
from app.media.sound_device import AudioDevice, AudioDeviceError
from app.media.speaker import SpeakerSink
from app.media.trial import DeviceTrial
from app.settings import MediaSettings
from tests.heard import frequency_hz, level_dbfs, tone
from tests.media.pulse import Pulse, private_pulse

ROOT = Path(__file__).resolve().parents[2]
SPK, HEADSET = "Null Output (spk)", "Null Output (headset)"


def until(condition: Callable[[], bool], timeout_s: float = 8.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def speakers() -> dict[str, bool]:
    return {device.name: device.is_default for device in list_devices() if device.kind == "speaker"}


def plays_on(pulse: Pulse) -> str:
    """Name the sink that the one stream plays on."""
    sinks = dict(row.split()[:2] for row in pulse.control("list", "short", "sinks").splitlines())
    return sinks.get("".join(pulse.control("list", "short", "sink-inputs").split()[1:2]), "")


def test_devices_are_seen_chosen_lost_and_found_again_while_one_is_open(tmp_path: Path) -> None:
    with private_pulse(tmp_path) as pulse:
        told: list[dict[str, bool]] = []
        watch = DeviceWatch(lambda: told.append(speakers()))
        watch.start()
        speaker = SpeakerSink()
        speaker.start()
        try:
            assert until(lambda: speaker.description == "default")
            pulse.plug("headset")
            assert until(lambda: bool(told) and told[-1].get(HEADSET) is False)
            pulse.control("set-default-sink", "headset")
            assert until(lambda: told[-1].get(HEADSET) is True)
            assert until(lambda: plays_on(pulse) == "headset")  # who follows the system was moved by it
            speaker.use(SPK)
            assert until(lambda: speaker.description == SPK)
            assert speaker.problem is None
            pulse.unplug("spk")
            assert until(lambda: "is not there" in (speaker.problem or ""))
            assert speaker.description == "default"
            pulse.plug("spk")
            assert until(lambda: speaker.description == SPK)
            assert speaker.problem is None
            pulse.die()
            assert until(lambda: speaker.problem is not None)
        finally:
            speaker.close()
            watch.stop()


def test_what_a_server_puts_in_the_place_of_a_missing_device_is_none(tmp_path: Path) -> None:
    """Without a microphone its default is what the speaker plays: the far end would hear itself."""
    with private_pulse(tmp_path) as pulse:
        pulse.control("load-module", "module-always-sink")
        watch = DeviceWatch(lambda: None)
        watch.start()
        microphone, speaker = MicrophoneSource(), SpeakerSink()
        microphone.start()
        speaker.start()
        try:
            assert until(lambda: microphone.description == speaker.description == "default")
            pulse.unplug("micfeed")
            assert until(lambda: (microphone.problem or "").startswith("No microphone was found"))
            pulse.unplug("spk")
            assert until(lambda: (speaker.problem or "").startswith("No speaker was found"))
            assert "auto_null" in pulse.control("list", "short", "sinks")
            assert not [device for device in list_devices() if device.kind != "camera"]
            assert not pulse.control("list", "short", "sink-inputs")
            pulse.plug("headset")
            assert until(lambda: speaker.description == "default" and speaker.problem is None)
            assert microphone.description == "no microphone"
            pulse.plug_microphone("headset")
            assert until(lambda: microphone.description == "default" and microphone.problem is None)
        finally:
            microphone.close()
            speaker.close()
            watch.stop()


def test_a_device_that_was_away_for_a_moment_is_used_again(tmp_path: Path) -> None:
    """Pulled out and put back before anybody looked: the list has the same names, and the sound is still elsewhere."""
    told, go_on = threading.Event(), threading.Event()

    def look() -> None:
        told.set()
        assert go_on.wait(20)

    with private_pulse(tmp_path) as pulse:
        pulse.plug("headset")
        pulse.control("set-default-sink", "headset")
        watch, speaker = DeviceWatch(look), SpeakerSink(SPK)
        watch.start()
        speaker.start()
        try:
            assert until(lambda: told.is_set() and speaker.description == SPK)
            pulse.unplug("spk")
            assert until(lambda: plays_on(pulse) == "headset")
            pulse.plug("spk")
            go_on.set()
            assert until(lambda: plays_on(pulse) == "spk")
        finally:
            go_on.set()
            speaker.close()
            watch.stop()


def test_a_device_that_was_chosen_is_kept_when_the_system_s_becomes_another_one(tmp_path: Path) -> None:
    with private_pulse(tmp_path) as pulse:
        pulse.plug("headset")
        pulse.control("set-default-sink", "headset")
        speaker = SpeakerSink(HEADSET)
        speaker.start()
        try:
            assert until(lambda: speaker.description == HEADSET)
            pulse.control("set-default-sink", "spk")
            assert plays_on(pulse) == "headset"
        finally:
            speaker.close()


def test_a_device_is_looked_for_again_where_the_server_did_not_say_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, read = [None] * 2, server.read

    def read_slowly() -> server.PulseDevices | None:
        if slow:
            slow.pop()
            raise TimeoutError
        return read()

    with private_pulse(tmp_path) as pulse:
        pulse.plug("headset")
        watch, speaker = DeviceWatch(lambda: None), SpeakerSink(HEADSET)
        watch.start()
        speaker.start()
        try:
            assert until(lambda: speaker.description == HEADSET)
            monkeypatch.setattr(server, "read", read_slowly)
            pulse.unplug("headset")
            assert until(lambda: "is not there" in (speaker.problem or ""))
            assert slow == []
        finally:
            speaker.close()
            watch.stop()


def test_a_ring_goes_on_elsewhere_when_its_device_is_pulled_out_and_comes_back_with_it(tmp_path: Path) -> None:
    def rings_on() -> str:
        sinks = {row.split()[0]: row.split()[1] for row in pulse.control("list", "short", "sinks").splitlines()}
        return " ".join(sinks[row.split()[1]] for row in pulse.control("list", "short", "sink-inputs").splitlines())

    with private_pulse(tmp_path) as pulse:
        pulse.plug("headset")
        watch = DeviceWatch(lambda: None)
        watch.start()
        ring = RingPlayer(0.5, HEADSET)
        ring.start()
        try:
            assert until(lambda: rings_on() == "headset")
            pulse.unplug("headset")
            assert until(lambda: rings_on() == "spk" and "is not there" in (ring.problem or ""))
            with pulse.recorded() as recorded:
                assert ring.playing
                time.sleep(1.5)
            assert level_dbfs(recorded[0]) > -40
            pulse.plug("headset")
            assert until(lambda: rings_on() == "headset" and ring.problem is None)
        finally:
            ring.stop()
            watch.stop()


def levels_agree(state: TrialChanged) -> bool:
    """Tell whether the processing, which takes 15 ms, leaves the level as it is."""
    return state.raw_level_dbfs == pytest.approx(state.level_dbfs, abs=2)


def test_what_is_tried_out_has_a_level_and_comes_back_in_a_call_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.media.trial.RECORD_S", 0.7)
    in_call, heard = MicrophoneSource(), deque([-99.0], maxlen=1)
    in_call.hand_to(lambda frame, at: heard.append(level_dbfs(frame) or -99))
    with private_pulse(tmp_path) as pulse, pulse.recorded() as recorded:
        in_call.start()
        trial = DeviceTrial(FrameMailbox())
        trial.use(MediaSettings(gain_control=False, noise_suppression=False), camera=False)
        player = pulse.play(tone(1000, 8))
        try:
            assert until(lambda: (trial.state().level_dbfs or -99) > -20)
            assert until(lambda: heard[0] > -20)  # both hear the same microphone
            assert until(lambda: levels_agree(trial.state()))
            trial.echo_test()
            assert trial.state().echo_test == "recording"
            player.kill()
            assert until(lambda: trial.state().echo_test == "playing")
            assert until(lambda: trial.state().echo_test == "")
            assert trial.state().speaker is None
        finally:
            trial.close()
            in_call.close()
            player.wait()
    loud = recorded[0][np.abs(recorded[0]) > 1000]
    assert loud.size > 0


def test_without_a_camera_the_trial_shows_the_test_picture_and_says_so() -> None:
    mailbox = FrameMailbox()
    mailbox.listen(lambda: None)
    trial = DeviceTrial(mailbox)
    trial.use(MediaSettings(camera="Camera of long ago"), camera=True)
    try:
        assert until(lambda: "is not there" in (trial.state().camera or ""))
        assert until(lambda: mailbox.take() is not None)
    finally:
        trial.close()


class OddDevice:
    """A device that runs at 44.1 kHz with four channels and nothing else; a microphone of it hears 1 kHz."""

    latency = 0.01
    write_available = 1764

    class PortAudioError(Exception):
        pass

    written: list[np.ndarray]

    def __init__(self, samplerate: int, blocksize: int, channels: int, **others: Any) -> None:
        if samplerate != 44_100:
            raise self.PortAudioError("rate", -9997)
        if channels != 4:
            raise self.PortAudioError("channels", -9998)
        assert blocksize == 441
        self._at = 0
        self._looks = 0
        OddDevice.written = []

    @property
    def read_available(self) -> int:
        """Nothing has been heard yet at the first looks."""
        self._looks += 1
        return 441 if self._looks > 3 else 0

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...

    def read(self, count: int) -> tuple[bytes, bool]:
        assert self._looks > 3, "reading before there is any sound spins in PortAudio"
        at = self._at + np.arange(count)
        self._at += count
        sound = (10_000 * np.sin(2 * np.pi * 1000 * at / 44_100)).astype(np.int16)
        return np.repeat(sound, 4).tobytes(), False

    def write(self, samples: np.ndarray) -> bool:
        OddDevice.written.append(samples.reshape(-1, 4)[:, 2].copy())
        return False

    RawInputStream = RawOutputStream = None


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> AudioDevice:
    monkeypatch.setattr(OddDevice, "RawInputStream", OddDevice)
    monkeypatch.setattr(OddDevice, "RawOutputStream", OddDevice)
    monkeypatch.setattr(portaudio, "_library", lambda: OddDevice)
    return AudioDevice(0, "Mixing desk", "ALSA", 4, True, rate_hz=44_100)


def test_a_microphone_at_another_rate_with_more_channels(odd: AudioDevice) -> None:
    stream = AudioStream("microphone", odd)
    heard: list[np.ndarray] = []
    for _ in range(100):
        stream.move(lambda block: heard.append(block.copy()))
    stream.close()
    assert {block.size for block in heard} == {960}
    assert 98 <= len(heard) <= 100
    sound = np.concatenate(heard)[4800:]
    assert frequency_hz(sound) == pytest.approx(1000, abs=2)
    assert np.abs(np.diff(sound.astype(int))).max() < 1400  # no seam: a sine of 1 kHz moves by 1309 at most


def test_a_speaker_at_another_rate_with_more_channels(odd: AudioDevice) -> None:
    stream = AudioStream("speaker", odd)
    played = iter((10_000 * np.sin(2 * np.pi * 1000 * np.arange(48_000) / 48_000)).astype(np.int16).reshape(-1, 960))

    def fill(block: np.ndarray) -> None:
        block[:] = next(played)

    for _ in range(50):
        stream.move(fill)
    stream.close()
    sound = np.concatenate(OddDevice.written)
    assert sound.size == pytest.approx(44_100, abs=441)
    spectrum = np.abs(np.fft.rfft(sound[4410:] * np.hanning(sound.size - 4410)))
    assert np.argmax(spectrum) * 44_100 / (sound.size - 4410) == pytest.approx(1000, abs=3)


def test_a_speaker_with_more_channels_plays_left_and_right(odd: AudioDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    wide: list[np.ndarray] = []
    monkeypatch.setattr(OddDevice, "write", lambda self, samples: bool(wide.append(samples.reshape(-1, 4).copy())))
    stream = AudioStream("speaker", odd)
    sound = (10_000 * np.sin(2 * np.pi * 1000 * np.arange(48_000) / 48_000)).astype(np.int16).reshape(-1, 960)
    pieces = iter(sound // 2)

    def fill(block: np.ndarray) -> np.ndarray:
        block[:] = next(pieces)
        return block.copy()

    for _ in range(50):
        stream.move(fill)
    stream.close()
    left, right = np.concatenate(wide)[4410:, 0], np.concatenate(wide)[4410:, 1]
    assert level_dbfs(left) == pytest.approx(level_dbfs(sound.reshape(-1)), abs=0.2)
    assert np.abs(right).max() <= 1


def test_rates_are_turned_without_a_seam_whatever_the_pieces() -> None:
    sound = tone(1000, 1)
    whole = RateConverter(48_000, 16_000).convert(sound)
    pieces = RateConverter(48_000, 16_000)
    cut = np.concatenate([pieces.convert(part) for part in np.array_split(sound, 37)])
    assert np.array_equal(whole[: cut.size], cut[: whole.size])
    assert cut.size == pytest.approx(16_000, abs=40)


def test_a_list_that_another_process_read_tells_what_to_open_anew() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "--list-sound-devices"], cwd=ROOT, capture_output=True, timeout=20, check=True
    )
    assert b'"microphone"' in done.stdout
    old = AudioDevice(1, "Speakers", "Windows WASAPI", 2, True)
    new = AudioDevice(2, "Headset", "Windows WASAPI", 2, True)
    try:
        portaudio.take_fresh_list({"microphone": [], "speaker": [portaudio.as_row(row) for row in (old, new)]})
        assert not portaudio.should_reopen("speaker", "Speakers", old)
        assert portaudio.should_reopen("speaker", "Headset", old)
        portaudio.take_fresh_list({"speaker": [portaudio.as_row(new)]})
        assert portaudio.should_reopen("speaker", "", old)  # the system's speaker is another one now
        assert not portaudio.should_reopen("microphone", "", old)
    finally:
        portaudio._fresh.clear()


def test_a_speaker_that_is_lost_while_it_opens_is_let_go(odd: AudioDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[OddDevice] = []

    def lost(device: OddDevice) -> int:
        raise OddDevice.PortAudioError("device unavailable")

    monkeypatch.setattr(OddDevice, "write_available", property(lost))
    monkeypatch.setattr(OddDevice, "abort", lambda device: None, raising=False)
    monkeypatch.setattr(OddDevice, "close", lambda device: closed.append(device))
    before = portaudio._open_streams
    with pytest.raises(AudioDeviceError, match="the speaker was lost"):
        AudioStream("speaker", odd)
    assert len(closed) == 1
    assert portaudio._open_streams == before


def test_no_device_is_opened_while_another_is_being_closed(odd: AudioDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """PortAudio keeps its open streams in a list without a lock."""
    closing, go_on, opened = threading.Event(), threading.Event(), threading.Event()

    def close(device: OddDevice) -> None:
        closing.set()
        assert go_on.wait(8)

    monkeypatch.setattr(OddDevice, "close", close)
    stream = AudioStream("microphone", odd)
    monkeypatch.setattr(OddDevice, "start", lambda device: opened.set())
    threads = [threading.Thread(target=stream.close), threading.Thread(target=AudioStream, args=("microphone", odd))]
    threads[0].start()
    assert closing.wait(8)
    threads[1].start()
    assert not opened.wait(0.1)
    go_on.set()
    for thread in threads:
        thread.join(8)
    assert opened.is_set()
    portaudio._open_streams -= 1  # the second is no device that somebody could close


def test_a_device_is_opened_by_its_name_when_the_list_was_read_anew(
    odd: AudioDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    monkeypatch.setattr(OddDevice, "device", None, raising=False)
    made = OddDevice.__init__

    def init(self: OddDevice, **settings: Any) -> None:
        opened.append(settings["device"])
        made(self, **settings)

    monkeypatch.setattr(OddDevice, "__init__", init)
    monkeypatch.setitem(portaudio._known, "microphone", (replace(odd, index=7),))
    AudioStream("microphone", odd).close()
    assert set(opened) == {7}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a helper process lists the devices")
def test_without_a_sound_server_what_changed_before_the_first_look_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever watches has read the devices before, and a camera may have come since."""
    monkeypatch.setattr(server.PulseClient, "connected", classmethod(lambda cls: None))
    monkeypatch.setattr(device_watch, "LOOK_EVERY_S", 0.01)
    told = threading.Event()
    watch = DeviceWatch(told.set)
    watch.start()
    try:
        assert told.wait(10.0)
    finally:
        watch.stop()
