"""How the process ends: with its exit code and everything it wrote, whatever its threads are inside of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Threads wait inside PortAudio as the program ends, each for another time: while Python takes itself apart, some of
# them come back. A device that does not answer is waited for in the same place.
_WAITING = """
import logging, sys, threading
from app import __main__ as start
from app.media import portaudio

def main():
    logging.basicConfig(filename=sys.argv[1], level="INFO")
    portaudio.devices("speaker")
    library = sys.modules.get("sounddevice")
    if library is None:
        return 77
    for wait_ms in range(10, 1000, 5):
        threading.Thread(target=lambda wait_ms=wait_ms: library.sleep(wait_ms), daemon=True).start()
    logging.info("the last line")
    print("written", end="")
    return 3

start.main = main
start.program()
"""

_INTERRUPTED = """
import signal, threading
from app import __main__ as start

def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started this may have it ignored
    signal.raise_signal(signal.SIGINT)
    threading.Event().wait()

start.main = main
start.program()
"""


def test_a_thread_inside_the_sound_library_does_not_bring_the_end_down(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    done = subprocess.run([sys.executable, "-c", _WAITING, str(log)], capture_output=True, text=True, timeout=50)
    if done.returncode == 77:
        pytest.skip("needs PortAudio")
    assert (done.returncode, done.stdout) == (3, "written"), done.stderr
    assert log.read_text().endswith("the last line\n")


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe without a reader is found out differently there")
def test_what_nobody_reads_any_more_is_a_failure_without_a_trace() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = [sys.executable, "-c", "from app.__main__ import leave; print('unread'); leave(0)"]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(program, stdout=pipe, stderr=subprocess.PIPE, env=buffered, timeout=50)
    assert (done.returncode, done.stderr) == (1, b"")


def test_ctrl_c_while_the_program_still_loads_ends_it_without_a_trace() -> None:
    done = subprocess.run([sys.executable, "-c", _INTERRUPTED], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
