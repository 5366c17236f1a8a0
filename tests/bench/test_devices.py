"""Devices pulled out and put back in a call, another default, another rate: the call goes on and leaves nothing behind.

A whole call between two commands: the phone whose devices come and go stands on a PulseAudio server of the test's, the
other one says a tone and keeps what it hears. Every microphone that is plugged in hums at a pitch of its own, so what
the far end hears tells which device is in use; what the far end says is heard at the speaker that is plugged in.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from tests.bench.peers.stage import Ear
from tests.bench.table import Table
from tests.heard import RATE_HZ, Samples, frequency_hz, level_dbfs
from tests.lab.network import ROOT, Host
from tests.lab.parley import Parley
from tests.media.pulse import Pulse, missing_program, running_pulse

SECTION = "Devices in a call, under PulseAudio"
FAR_HZ = 880
_LIMIT_S = 20.0
_LOUD_DBFS = -45.0
_LOOK_S = 0.3
_PLAIN = ("--no-echo-cancellation", "--no-noise-suppression", "--no-gain-control")
_HERE = ("--interface", "127.0.0.1", "--video-from", "none")
_FAULTS = {"PYTHONFAULTHANDLER": "1"}
# `parley listen` that rings as the window does, on a ring device.
_RINGING = """
import sys, time
from dataclasses import replace
from app.cli import listening, main
plain = listening.engine_options
def ringing(*asked):
    options = plain(*asked)
    def adjust(settings):
        settings = options.adjust(settings)
        return replace(settings, media=replace(settings.media, ring_device="Ring"))
    return replace(options, ring=True, adjust=adjust)
listening.engine_options = ringing
sys.exit(main.run(None, time.monotonic()))
"""


class _Loopback:
    """This machine itself, as a host of the lab."""

    in_uri = "127.0.0.1"

    def popen(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(command, text=True, cwd=ROOT, **options)


HERE = cast(Host, _Loopback())


class Rig:
    """The sound cards of the near phone: plugged in and pulled out, and what comes of them."""

    def __init__(self, pulse: Pulse, heard: Path) -> None:
        self.pulse = pulse
        self.heard = heard  # what the far end keeps
        self.hz = 0
        self.speaker = ""
        self._modules: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._pitches = itertools.cycle(range(1_000, 2_001, 100))
        for name in ("spk", "micfeed"):
            pulse.unplug(name)

    def plug_microphone(self, rate_hz: int = 48_000, name: str = "") -> str:
        """Put a microphone in that becomes the system's; a name makes it one that was there before."""
        self.hz = next(self._pitches)
        name = name or f"mic{next(self._numbers)}"
        source = (f"source_name={name}", f"rate={rate_hz}", f"frequency={self.hz}")
        self._modules[name] = self.pulse.control("load-module", "module-sine-source", *source).strip()
        self.pulse.control("set-default-source", name)
        return name

    def plug_speaker(self, rate_hz: int = 48_000, name: str = "") -> str:
        self.speaker = name or f"card{next(self._numbers)}"
        sink = (f"sink_name={self.speaker}", f"rate={rate_hz}", f"sink_properties=device.description={self.speaker}")
        self._modules[self.speaker] = self.pulse.control("load-module", "module-null-sink", *sink).strip()
        self.pulse.control("set-default-sink", self.speaker)
        return self.speaker

    def plug(self, rate_hz: int = 48_000) -> None:
        self.plug_microphone(rate_hz)
        self.plug_speaker(rate_hz)

    def pull(self, *names: str) -> None:
        for name in names:
            self.pulse.control("unload-module", self._modules.pop(name))

    @property
    def plugged(self) -> tuple[str, ...]:
        return tuple(self._modules)

    def both_heard(self) -> float:
        """Wait until each end hears the other one; give how long it took."""
        began = time.monotonic()
        self._until(lambda: is_tone(self._kept(), self.hz), "the microphone at the far end")
        self._until(lambda: is_tone(self._at_the_speaker(), FAR_HZ), "the far end at the speaker")
        return time.monotonic() - began

    def far_silence(self) -> None:
        self._until(lambda: level_dbfs(self._kept()) < _LOUD_DBFS, "silence at the far end")

    def count(self, kind: str) -> int:
        """How many sink-inputs, source-outputs or clients the server has."""
        return len(self.pulse.control("list", "short", kind).splitlines())

    def plays_on(self) -> list[str]:
        """Name the sink of each stream."""
        sinks = dict(row.split()[:2] for row in self.pulse.control("list", "short", "sinks").splitlines())
        rows = self.pulse.control("list", "short", "sink-inputs").splitlines()
        return sorted(sinks.get(row.split()[1], "?") for row in rows)

    def wait_for_ring(self, sink: str, beside: str) -> float:
        """Wait until it rings on one speaker; the call's own sound, silent so far, is on another."""
        began = time.monotonic()
        self._until(lambda: self.plays_on() == sorted((sink, beside)), f"the ring on {sink}")
        return time.monotonic() - began

    def _kept(self) -> Samples:
        size = round(_LOOK_S * RATE_HZ) * 2
        with self.heard.open("rb") as file:
            end = file.seek(0, os.SEEK_END) // 2 * 2
            file.seek(max(44, end - size))
            return np.frombuffer(file.read(size), np.int16)

    def _at_the_speaker(self) -> Samples:
        with Ear(self.pulse, self.speaker) as ear:
            time.sleep(_LOOK_S)
        return ear.recording.samples[-round(_LOOK_S * RATE_HZ) :]

    @staticmethod
    def _until(condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _LIMIT_S
        while not condition():
            assert time.monotonic() < end, f"there was not within {_LIMIT_S:g} s: {what}"
            time.sleep(0.03)


def is_tone(samples: Samples, hz: float) -> bool:
    if samples.size < RATE_HZ // 10 or level_dbfs(samples) < _LOUD_DBFS:
        return False
    return abs(frequency_hz(samples) - hz) < 15


@dataclass(frozen=True, slots=True)
class Held:
    """What a process and its sound server hold."""

    threads: int
    descriptors: int
    resident_mb: float
    streams: int
    clients: int

    @classmethod
    def of(cls, phone: Parley, rig: Rig) -> Held:
        folder = Path(f"/proc/{phone.pid}")
        return cls(
            len(list((folder / "task").iterdir())),
            len(list((folder / "fd").iterdir())),
            phone.resident_bytes / 1e6,
            rig.count("sink-inputs") + rig.count("source-outputs"),
            rig.count("clients"),
        )

    @classmethod
    def settled(cls, phone: Parley, rig: Rig, before: Held) -> Held:
        """What is held once what is only on its way out has gone, or after some seconds."""
        end = time.monotonic() + 5
        while (now := cls.of(phone, rig)).grown(before) and time.monotonic() < end:
            time.sleep(0.2)
        return now

    def grown(self, before: Held) -> bool:
        return (
            self.threads > before.threads
            or self.descriptors > before.descriptors
            or self.streams > before.streams
            or self.clients > before.clients
        )


def cpu_seconds(phone: Parley) -> float:
    fields = Path(f"/proc/{phone.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def rig(folder: Path) -> Iterator[Rig]:
    lacking = missing_program()
    if lacking is not None:
        pytest.skip(f"{lacking} is not installed")
    (folder / "pulse").mkdir()
    with running_pulse(folder / "pulse", RATE_HZ) as pulse:
        yield Rig(pulse, folder / "heard.wav")


def near(rig_: Rig, *arguments: str, program: tuple[str, ...] = ("-m", "app")) -> Parley:
    """The phone on the devices that come and go; a crash says where."""
    environment = {**_FAULTS, "PULSE_SERVER": rig_.pulse.env["PULSE_SERVER"]}
    sound = ("--audio-from", "mic", "--audio-to", "speaker", *_PLAIN)
    return Parley(HERE, rig_.heard.parent / "near", [*arguments, *sound, *_HERE], environment, program)


def far(rig_: Rig, *arguments: str) -> Parley:
    sound = ("--audio-from", f"tone:{FAR_HZ}", "--audio-to", str(rig_.heard))
    return Parley(HERE, rig_.heard.parent / "far", [*arguments, *sound, *_HERE])


@contextmanager
def call(rig_: Rig, *arguments: str) -> Iterator[Parley]:
    """Hold a call of the near phone's; at its end both commands have gone well, and no stream is left."""
    with far(rig_, "listen", "--calls", "1") as listener:
        uri = listener.wait_for("listening")["uri"]
        with near(rig_, "call", uri, *arguments) as caller:
            caller.wait_for("call", state="connected")
            listener.wait_for("call", state="connected")
            yield caller
            end_well(caller, listener)
    assert rig_.count("sink-inputs") == rig_.count("source-outputs") == 0


def end_well(caller: Parley, listener: Parley) -> None:
    caller.stop()
    assert [phone.finish().code for phone in (caller, listener)] == [0, 0]


def both_out(rig_: Rig, rate_hz: int) -> None:
    rig_.pull(*rig_.plugged)
    rig_.far_silence()
    rig_.plug(rate_hz)


def one_out(rig_: Rig, kind: str) -> None:
    names = [name for name in rig_.plugged if name.startswith(kind)]
    rig_.pull(*names)
    if kind == "mic":
        rig_.far_silence()
        rig_.plug_microphone()
    else:
        rig_.plug_speaker()


def others_are_the_default(rig_: Rig) -> None:
    """The old ones are pulled out later, while they are not in use."""
    before = rig_.plugged
    rig_.plug()
    rig_.both_heard()
    rig_.pull(*before)


def out_with_a_spare(rig_: Rig) -> None:
    """The server moves what is left without its device to another one."""
    before, hz, speaker = rig_.plugged, rig_.hz, rig_.speaker
    spare = [rig_.plug_microphone(44_100), rig_.plug_speaker(44_100)]
    rig_.both_heard()
    rig_.pull(*spare)
    rig_.hz, rig_.speaker = hz, speaker
    assert rig_.plugged == before


def in_an_instant(rig_: Rig) -> None:
    rig_.pull(*rig_.plugged)
    rig_.plug()


ROUNDS: tuple[Callable[[Rig], None], ...] = (
    lambda rig_: both_out(rig_, 44_100),
    others_are_the_default,
    lambda rig_: one_out(rig_, "mic"),
    lambda rig_: one_out(rig_, "card"),
    lambda rig_: both_out(rig_, 16_000),
    out_with_a_spare,
    in_an_instant,
    lambda rig_: both_out(rig_, 48_000),
)


@pytest.mark.short
@pytest.mark.timeout(1800)
def test_pulled_and_put_back_in_a_call(table: Table, is_long: bool, tmp_path: Path) -> None:
    count = int(os.environ.get("PARLEY_BENCH_PULLS", "100")) if is_long else 2
    with rig(tmp_path) as cards:
        cards.plug()
        with call(cards) as phone:
            cards.both_heard()
            before, times = Held.of(phone, cards), []
            used, began = cpu_seconds(phone), time.monotonic()
            for number in range(count):
                ROUNDS[number % len(ROUNDS)](cards)
                times.append(cards.both_heard())
                if number + 1 == len(ROUNDS):  # whatever is loaded once has been
                    before = Held.settled(phone, cards, before)
            cpu = (cpu_seconds(phone) - used) / (time.monotonic() - began)
            after = Held.settled(phone, cards, before)
        clients = cards.count("clients")
    note = "a new null sink gives its first sound after one to two seconds, to parec as well"
    table.add(SECTION, f"both ends heard again, {count} times, at most", "s", [max(times)], note=note)
    table.add(SECTION, "both ends heard again, median", "s", times)
    table.add(SECTION, "processor of the phone meanwhile", "s/s", [cpu])
    for name, unit in (("threads", ""), ("descriptors", ""), ("streams", ""), ("clients", ""), ("resident_mb", "MB")):
        figures = [float(getattr(held, name)) for held in (after, before)]
        table.add(SECTION, f"{name.replace('_mb', '')} at the end", unit, figures[:1], base=("before", figures[1:]))
    assert after.streams == 2
    assert clients == 1  # pactl
    if is_long:
        assert not after.grown(before), (before, after)
        assert after.resident_mb < before.resident_mb * 1.1 + 5


@pytest.mark.timeout(900)
def test_named_devices_pulled_while_idle_and_in_a_call(table: Table, tmp_path: Path) -> None:
    """The names are kept: another device stands in, and is left when the named one is back."""
    with rig(tmp_path) as cards:
        cards.plug()
        stand_in = cards.speaker
        named = "Headset"
        with near(cards, "listen", "--calls", "1", "--speaker", named) as listener:
            uri = listener.wait_for("listening")["uri"]
            for _ in range(3):
                cards.plug_speaker(44_100, named)
                cards.pull(named)
            cards.plug_speaker(48_000, named)
            with far(cards, "call", uri) as caller:
                for phone in (caller, listener):
                    phone.wait_for("call", state="connected")
                cards.both_heard()
                before, times, away = Held.of(listener, cards), [], []
                for number in range(25):
                    cards.pull(named)
                    cards.speaker = stand_in
                    away.append(cards.both_heard())
                    cards.plug_speaker((48_000, 44_100, 16_000)[number % 3], named)
                    cards.pulse.control("set-default-sink", stand_in)
                    times.append(cards.both_heard())
                after = Held.settled(listener, cards, before)
                end_well(caller, listener)
    table.add(SECTION, "a named speaker is used again, 25 times, at most", "s", [max(times)])
    table.add(SECTION, "another one stands in for it, at most", "s", [max(away)])
    assert not after.grown(before), (before, after)


@pytest.mark.timeout(900)
def test_the_ring_device_pulled_while_it_rings(table: Table, tmp_path: Path) -> None:
    with rig(tmp_path) as cards:
        cards.plug()
        stand_in = cards.speaker
        cards.plug_speaker(name="Ring")
        cards.pulse.control("set-default-sink", stand_in)
        with (
            near(cards, "listen", "--calls", "1", "--answer-after", "600", program=("-c", _RINGING)) as listener,
            far(cards, "call", listener.wait_for("listening")["uri"]) as caller,
        ):
            listener.wait_for("call", state="ringing")
            cards.wait_for_ring("Ring", stand_in)
            before, times = Held.of(listener, cards), []
            for _ in range(10):
                cards.pull("Ring")
                times.append(cards.wait_for_ring(stand_in, stand_in))
                cards.plug_speaker(name="Ring")
                cards.pulse.control("set-default-sink", stand_in)
                times.append(cards.wait_for_ring("Ring", stand_in))
            after = Held.settled(listener, cards, before)
            caller.stop()
            for phone in (caller, listener):
                assert phone.finish().code == 1  # nobody answered
        assert cards.count("sink-inputs") == 0
    table.add(SECTION, "it rings on, 10 times pulled and put back, at most", "s", [max(times)])
    assert not after.grown(before), (before, after)
