"""Streams at a real PulseAudio server, without PortAudio: rests, steps, moves, and a server that stands still."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.media import device_keeper, portaudio, pulse, pulse_streams
from app.media.device_keeper import DeviceKeeper
from app.media.pulse_streams import PulseStream
from app.media.sound_device import AudioDevice, AudioDeviceError, Block, Kind, SoundStream
from app.media.worker import Bell
from tests.heard import first_sound_s, frequency_hz, level_dbfs, part, share_at, tone
from tests.media.pulse import Pulse, private_pulse

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulse]:
    with private_pulse(tmp_path_factory.mktemp("pulse")) as running, running.awake():
        yield running


def system(kind: portaudio.Kind) -> AudioDevice:
    device = portaudio.find(kind, "")
    assert device is not None
    return device


class Speaking:
    """Says a tone, 20 ms at a time."""

    def __init__(self, hz: float = 440) -> None:
        self._sound = tone(hz, 10).reshape(-1, 960)
        self.blocks = 0
        self.side: Block | None = None

    def __call__(self, block: Block) -> Block | None:
        block[:] = self._sound[self.blocks % len(self._sound)]
        self.blocks += 1
        return self.side


def play(stream: PulseStream, seconds: float, said: Speaking) -> None:
    end = said.blocks + round(seconds * 50)
    limit = time.monotonic() + 10
    while said.blocks < end:
        assert time.monotonic() < limit
        stream.move(said)


def again_and_again(way: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        way()


def again_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_where_a_server_runs_portaudio_is_not_even_loaded(server: Pulse) -> None:
    program = """
import sys, time
from app.media.devices import list_devices
from app.media.microphone import MicrophoneSource
from app.media.speaker import SpeakerSink
ends = MicrophoneSource(), SpeakerSink("Null Output (spk)")
for end in ends: end.start()
limit = time.monotonic() + 10
while any(end.description.startswith("no ") for end in ends) and time.monotonic() < limit: time.sleep(0.01)
print(sorted(device.name for device in list_devices() if device.kind == "speaker"))
print([end.description for end in ends], "sounddevice" in sys.modules)
for end in ends: end.close()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "['Null Output (micfeed)', 'Null Output (spk)']",
        "['default', 'Null Output (spk)'] False",
    ]


def test_a_speaker_that_rested_sounds_at_once_and_has_not_run_dry(server: Pulse) -> None:
    said, woken = Speaking(), Bell()
    with server.recorded() as recorded:
        stream = PulseStream("speaker", system("speaker"))
        play(stream, 0.25, said)
        stream.hold(woken)
        began = time.monotonic()
        play(stream, 0.25, said)
        took = time.monotonic() - began
        stream.close()
        assert stream.underruns == 0
    assert took < 0.25 + 0.3  # it takes sound from the first moment on; a busy machine is late
    loud = np.abs(recorded[0].astype(int)) > 1_000
    heard = np.flatnonzero(loud)
    pauses = np.diff(heard)[np.diff(heard) > 4_800]
    assert len(pauses) == 1  # the rest, and nothing else
    assert loud.sum() / 48_000 > 0.4  # all but the tone's own quiet moments


@pytest.mark.parametrize("length_ms", ["10", "60"])
def test_a_length_for_all_streams_in_the_environment_silences_none(
    server: Pulse, monkeypatch: pytest.MonkeyPatch, length_ms: str
) -> None:
    monkeypatch.setenv("PULSE_LATENCY_MSEC", length_ms)
    stream = PulseStream("speaker", system("speaker"))
    play(stream, 0.3, Speaking())
    stream.close()
    assert stream.underruns == 0


def test_left_and_right_are_where_they_belong(server: Pulse) -> None:
    said = Speaking()
    said.side = (tone(440, 10).reshape(-1, 960)[0] // 2).astype(np.int16)
    said._sound = np.tile(said.side, (50, 1))
    raw = server.folder / "wide.raw"
    command = ["parec", "-d", "spk.monitor", "--rate=48000", "--channels=2", "--format=s16le", "--raw"]
    with raw.open("wb") as out:
        recorder = subprocess.Popen([*command, "--latency-msec=20"], stdout=out)
        stream = PulseStream("speaker", system("speaker"))
        end = time.monotonic() + 10
        while raw.stat().st_size < 100_000 and time.monotonic() < end:
            stream.move(said)
        play(stream, 0.3, said)
        stream.close()
        recorder.terminate()
        recorder.wait(5)
    wide = np.fromfile(raw, np.int16)
    wide = wide[: wide.size // 2 * 2].reshape(-1, 2).astype(int)
    assert np.abs(wide[:, 0]).max() > 1_000
    assert np.abs(wide[:, 1]).max() <= 2


def test_a_speaker_that_nobody_fed_for_a_while_is_kept_fuller_and_goes_on(server: Pulse) -> None:
    said = Speaking()
    stream = PulseStream("speaker", system("speaker"))
    play(stream, 0.3, said)
    assert stream.underruns == 0
    time.sleep(0.15)
    play(stream, 0.3, said)
    assert stream.underruns == 1
    stream.close()


def test_the_server_moves_and_suspends_a_stream_and_it_goes_on(server: Pulse) -> None:
    said = Speaking(880)
    try:
        stream = PulseStream("speaker", system("speaker"))
        play(stream, 0.2, said)
        playing = server.control("list", "short", "sink-inputs").splitlines()[-1].split()[0]  # the newest
        with server.recorded("micfeed") as recorded:
            server.control("move-sink-input", playing, "micfeed")
            play(stream, 0.8, said)
        steady = part(recorded[0], (first_sound_s(recorded[0]) or 0) + 0.1, 0.6)
        assert share_at(steady, 880) > 0.9
        server.control("suspend-sink", "micfeed", "1")
        stood, limit = False, time.monotonic() + 5
        while not stood:
            stood = not stream.move(said)
            assert time.monotonic() < limit
        server.control("suspend-sink", "micfeed", "0")
        play(stream, 0.3, said)
        stream.close()
    finally:
        server.control("suspend-sink", "micfeed", "0")


def test_a_microphone_hears_all_of_what_is_said(server: Pulse) -> None:
    stream = PulseStream("microphone", system("microphone"))
    player = server.play(tone(1000, 3))
    heard: list[Block] = []
    limit = time.monotonic() + 10
    while not heard or level_dbfs(heard[-1]) < -40:
        stream.move(lambda block: heard.append(block.copy()))
        assert time.monotonic() < limit
    heard.clear()
    while len(heard) < 50:
        stream.move(lambda block: heard.append(block.copy()))
    time.sleep(0.2)  # what comes meanwhile is not lost
    while len(heard) < 75:
        stream.move(lambda block: heard.append(block.copy()))
    player.kill()
    player.wait()
    stream.close()
    assert {block.shape for block in heard} == {(960,)}
    whole = np.concatenate(heard)[960:]
    assert frequency_hz(whole) == pytest.approx(1000, abs=1)
    loudest = np.abs(whole.astype(int)).max()
    assert np.abs(np.diff(whole.astype(int))).max() < loudest * 0.14  # no seam: 2 pi / 48 at most


def test_a_stream_that_plays_outlasts_a_list_that_does_not_come(server: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    said, heard, asked, opened = Speaking(), threading.Event(), list[int](), list[Kind]()
    really = device_keeper._opened

    def open_and_count(kind: Kind, device: AudioDevice) -> SoundStream:
        opened.append(kind)
        return really(kind, device)

    def say(block: Block) -> Block | None:
        heard.set()
        return said(block)

    def too_late() -> None:
        asked.append(said.blocks)
        heard.clear()
        assert heard.wait(5)
        raise TimeoutError

    monkeypatch.setattr(device_keeper, "_opened", open_and_count)
    keeper = DeviceKeeper("speaker", "", say)
    keeper.start()
    try:
        assert heard.wait(5)
        with monkeypatch.context() as busy:
            busy.setattr(pulse, "read", too_late)
            keeper.devices_changed()
        assert len(asked) > 1  # a device that came meanwhile is not missed
        heard.clear()
        assert heard.wait(5)
        assert opened == ["speaker"]
        monkeypatch.setattr(device_keeper, "_STILL_S", -1.0)
        with monkeypatch.context() as busy:
            busy.setattr(pulse, "read", too_late)
            keeper.devices_changed()
        again_until(lambda: len(opened) == 2)
    finally:
        keeper.close()


def test_a_server_that_stands_still_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_streams, "_OPEN_S", 0.5)
    with private_pulse(tmp_path) as frozen, frozen.awake():
        ends = [PulseStream(kind, system(kind)) for kind in ("microphone", "speaker")]
        said = Speaking()
        play(ends[1], 0.1, said)
        known = portaudio.choices("speaker")
        with frozen.frozen():
            while ends[0].move(lambda block: None):  # what is on its way already
                pass
            while ends[1].move(said):
                pass
            assert portaudio.choices("speaker") == known  # as it was known last
            assert portaudio.should_reopen("speaker", "", known[0]) is None  # nobody knows
            failed = threading.Event()

            def opens() -> None:
                try:
                    PulseStream("speaker", known[0])
                except AudioDeviceError:
                    failed.set()

            opening = threading.Thread(target=opens)
            opening.start()
            ends[0].close()
            opening.join(20)
            assert failed.is_set()
        play(ends[1], 0.1, said)  # it answers again
        ends[1].close()
        held = [frozen.control("list", "short", what) for what in ("sink-inputs", "source-outputs")]
        assert [len(rows.splitlines()) for rows in held] == [1, 2]  # of those that keep it awake, with the remapped one


def test_a_program_that_may_open_no_more_files_says_that_and_misses_no_device(server: Pulse) -> None:
    """In a process of its own: this one needs its files, and what went wrong would end it."""
    program = """
import os, resource
from app.media import portaudio, pulse
from app.media.sound_device import AudioDeviceError
from app.media.pulse_streams import PulseStream
speaker, known, held = portaudio.find("speaker", ""), portaudio.choices("speaker"), []
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True: held.append(os.open("/dev/null", os.O_RDONLY))
except OSError: pass
def tried(way):
    try: return way()
    except (TimeoutError, AudioDeviceError) as error: return str(error)
print({tried(pulse.read)}, portaudio.choices("speaker") == known, tried(lambda: PulseStream("speaker", speaker)))
seen = {tried(pulse.read)}
while isinstance(found := tried(pulse.read), str):
    seen.add(found)
    os.close(held.pop())
print(seen, found is not None and len(found.speakers))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    too_many = "too many files are open"
    assert done.stdout.splitlines() == [f"{ {too_many} } True {too_many}", f"{ {too_many} } 2"]


def test_a_server_that_this_program_has_no_room_for_does_not_answer(server: Pulse) -> None:
    """libpulse makes no connection where the system gives it no memory for one."""
    program = """
import os, resource
from app.media import pulse
print(len(pulse.read().speakers), end=" ")
files = len(os.listdir("/proc/self/fd"))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 16_000_000, resource.RLIM_INFINITY))
try: pulse.read()
except TimeoutError as error: print(error, end=" ")
print(len(os.listdir("/proc/self/fd")) - files, end=" ")
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(len(pulse.read().speakers))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "2 the sound server does not answer 0 2", done.stderr


def test_a_stream_whose_server_died_says_so(tmp_path: Path) -> None:
    with private_pulse(tmp_path) as dying, dying.awake():
        streams = [PulseStream(kind, system(kind)) for kind in ("microphone", "speaker", "speaker")]
        said, bell = Speaking(), Bell()
        play(streams[1], 0.1, said)
        absent = replace(system("speaker"), is_server=False, server_name="of-long-ago")
        with pytest.raises(AudioDeviceError, match="could not be opened"):
            PulseStream("speaker", absent)
        dying.die()
        ways: tuple[Callable[[], object], ...] = (
            lambda: streams[0].move(lambda block: None),
            lambda: streams[1].move(said),
            lambda: streams[2].hold(bell),
        )
        for way in ways:
            with pytest.raises(AudioDeviceError, match="was lost"):
                again_and_again(way)
        for stream in streams:
            stream.close(lost=True)
        assert pulse.read() is None
