"""A whole command whose microphone and speaker hang as they are opened: it calls, hangs up, reports and ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sys, threading, time
from app.cli.main import run
from app.media import portaudio, pulse
from app.media.sound_device import AudioDevice

class Library:
    class PortAudioError(Exception): pass
    def RawInputStream(self, **asked): threading.Event().wait()
    RawOutputStream = RawInputStream

hangs = threading.Event().wait
library = Library()
pulse.read = lambda: None
portaudio._library = lambda: library
portaudio._read_list = hangs if "list" in sys.argv[1] else lambda: None
for kind in portaudio._known:
    portaudio._known[kind] = (AudioDevice(0, "Frozen", "ALSA", 1, True),)
sys.exit(run(sys.argv[2:], time.monotonic()))
"""


def test_a_call_is_made_and_ended_where_the_devices_never_open(profile_dir: Path) -> None:
    flags = ("--profile", str(profile_dir), "--json", "--interface", "127.0.0.1", "--video-from", "none")
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, what, "call", "echo", "--for", "1", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for what in ("open", "list")
    ]
    for program in programs:
        out, err = program.communicate(timeout=50)
        assert program.returncode == 0, err
        report = json.loads(out.splitlines()[-1])["report"]
        assert report["ended"]["by"] == "local"
        assert report["audio"]["packets_received"] > 10
