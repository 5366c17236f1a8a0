"""A PulseAudio server of a test's own: sound devices that can be listened to, fed, unplugged and plugged in.

`micfeed` is what the microphone hears, `spk` what the speaker plays; both are null sinks. The server lives in a
folder of the test's and is reached by environment variables that the context sets and puts back.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.heard import Samples, write_wav

_CONFIG = """\
load-module module-native-protocol-unix auth-anonymous=1 socket={socket}
load-module module-null-sink sink_name=spk rate={rate_hz}
load-module module-null-sink sink_name=micfeed rate={rate_hz}
load-module module-remap-source source_name=mic master=micfeed.monitor
set-default-sink spk
set-default-source mic
"""
_START_TIMEOUT_S = 10.0
_CLIENT_TIMEOUT_S = 5.0


class Pulse:
    """The face of one running server."""

    server: subprocess.Popen[bytes]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "native"
        self.env = {"PULSE_SERVER": f"unix:{self.socket}", "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}

    def play(self, samples: Samples, sink: str = "micfeed") -> subprocess.Popen[bytes]:
        """Begin to play samples at 48 kHz into a sink; the caller waits for or ends the process."""
        wav = write_wav(self.folder / f"play-{time.monotonic_ns()}.wav", samples)
        return subprocess.Popen(["paplay", "-d", sink, str(wav)], env={**os.environ, **self.env})

    @contextlib.contextmanager
    def recorded(self, sink: str = "spk") -> Iterator[list[Samples]]:
        """Record what a sink plays while the context lasts; the list holds the samples afterwards.

        The recorder is running when the context begins; the newest 50 ms may be missing at its end.
        """
        raw = self.folder / f"record-{time.monotonic_ns()}.raw"
        command = ["parec", "-d", f"{sink}.monitor", "--rate=48000", "--channels=1", "--format=s16le", "--raw"]
        heard: list[Samples] = []
        with raw.open("wb") as out:
            recorder = subprocess.Popen([*command, "--latency-msec=20"], stdout=out, env={**os.environ, **self.env})
            try:
                end = time.monotonic() + _CLIENT_TIMEOUT_S
                while raw.stat().st_size == 0 and time.monotonic() < end:
                    time.sleep(0.02)
                yield heard
            finally:
                recorder.terminate()
                recorder.wait(5)
        heard.append(np.fromfile(raw, np.int16))

    def control(self, *arguments: str) -> str:
        """Run pactl."""
        done = subprocess.run(
            ["pactl", *arguments], env={**os.environ, **self.env}, capture_output=True, text=True, timeout=10
        )
        assert done.returncode == 0, f"pactl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def unplug(self, sink: str) -> None:
        """Unload a sink, as if the device had been pulled out."""
        for row in self.control("list", "short", "modules").splitlines():
            number, _, arguments = row.partition("\t")
            if f"sink_name={sink}" in arguments:
                self.control("unload-module", number)

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Have a null sink and the microphone move in short steps meanwhile: else a start takes two seconds."""
        env = {**os.environ, **self.env}
        silence = ["pacat", "-d", "spk", "--latency-msec=20", "/dev/zero"]
        nobody = ["parec", "-d", "mic", "--latency-msec=20", "/dev/null"]
        running = [subprocess.Popen(command, env=env) for command in (silence, nobody)]
        try:
            yield
        finally:
            for process in running:
                process.terminate()
                process.wait(5)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the server answer nobody while the context lasts."""
        self.server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.server.send_signal(signal.SIGCONT)

    def die(self) -> None:
        """End the server, whatever still uses it."""
        self.server.terminate()
        try:
            self.server.wait(5)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait(5)

    def plug(self, sink: str) -> None:
        """Load a sink, as if a device had been plugged in."""
        self.control("load-module", "module-null-sink", f"sink_name={sink}")

    def plug_microphone(self, sink: str) -> None:
        """Load a microphone that hears what a sink plays."""
        self.control("load-module", "module-remap-source", "source_name=mic", f"master={sink}.monitor")


def missing_program() -> str | None:
    """Name a program of PulseAudio that is not installed; None where all are."""
    return next((name for name in ("pulseaudio", "pactl", "paplay", "parec") if shutil.which(name) is None), None)


@contextlib.contextmanager
def running_pulse(folder: Path, rate_hz: int = 44_100) -> Iterator[Pulse]:
    """Run a server in `folder`; whoever is to use it is given its environment variables."""
    pulse = Pulse(folder)
    config = folder / "pulse.conf"
    config.write_text(_CONFIG.format(socket=pulse.socket, rate_hz=rate_hz))
    settings = folder / ".config" / "pulse"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "daemon.conf").write_text(f"default-sample-rate = {rate_hz}\n")
    command = ["pulseaudio", "-n", "-F", str(config), "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
    if shutil.which("setpriv") is not None:  # it ends with this process, even where that is killed
        command = ["setpriv", "--pdeathsig", "TERM", *command]
    with (folder / "pulse.log").open("wb") as log:
        pulse.server = subprocess.Popen(command, env={**os.environ, **pulse.env}, stdout=log, stderr=log)
    try:
        _wait_until_ready(pulse)
        yield pulse
    finally:
        pulse.die()


@contextlib.contextmanager
def private_pulse(folder: Path) -> Iterator[Pulse]:
    """Run a server in `folder` for this process; the test is skipped where PulseAudio or PortAudio is not installed."""
    lacking = missing_program()
    if lacking is not None:
        pytest.skip(f"{lacking} is not installed")
    try:
        import sounddevice  # noqa: F401
    except OSError:
        pytest.skip("PortAudio is not installed")
    before = os.environ.get("PULSE_SERVER")
    with running_pulse(folder) as pulse:
        os.environ["PULSE_SERVER"] = pulse.env["PULSE_SERVER"]
        try:
            yield pulse
        finally:
            if before is None:
                os.environ.pop("PULSE_SERVER", None)
            else:
                os.environ["PULSE_SERVER"] = before


def _wait_until_ready(pulse: Pulse) -> None:
    end = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < end and pulse.server.poll() is None:
        done = subprocess.run(["pactl", "info"], env={**os.environ, **pulse.env}, capture_output=True, timeout=10)
        if done.returncode == 0:
            return
        time.sleep(0.05)
    pytest.fail(f"PulseAudio did not start:\n{(pulse.folder / 'pulse.log').read_text()[-2000:]}")
