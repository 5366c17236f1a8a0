"""A nats-server as a child process: where it is, which version, and that none is left behind. Impure."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from app.people.files import write_atomically
from app.satellites.errors import SatelliteError

OLDEST = (2, 9)
HOW_TO_INSTALL = (
    "apt-get install nats-server (Debian, Ubuntu), brew install nats-server (macOS), "
    "or a release of github.com/nats-io/nats-server"
)
_ELSEWHERE = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin")
_VERSION = re.compile(r"nats-server: v(\d+)\.(\d+)\.(\d+)")
_VERSION_LIMIT_S = 10.0
_END_LIMIT_S = 5.0
_PR_SET_PDEATHSIG = 1  # prctl(2)
_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "TEMP", "SYSTEMROOT", "GOMAXPROCS", "GOMEMLIMIT")


def find_server(given: Path | None) -> Path:
    """Give the program; SatelliteError says in one sentence what to install."""
    if given is not None:
        if not (given.is_file() and os.access(given, os.X_OK)):
            raise SatelliteError(f"{given} is no program that can be run.")
        return given
    found = shutil.which("nats-server") or shutil.which("nats-server", path=os.pathsep.join(_ELSEWHERE))
    if found is None:
        raise SatelliteError(f"A rallypoint needs nats-server, which is not installed: {HOW_TO_INSTALL}.")
    return Path(found)


def version_of(program: Path) -> str:
    """Give its version, such as "2.9.10"; SatelliteError when it is no nats-server or too old. Takes some 20 ms."""
    try:
        told = subprocess.run(
            [program, "--version"],
            capture_output=True,
            timeout=_VERSION_LIMIT_S,
            check=False,
            env=_environment(),
            stdin=subprocess.DEVNULL,
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SatelliteError(f"{program} does not tell its version, so it is not used.") from error
    found = _VERSION.match(told)
    if found is None:
        raise SatelliteError(f"{program} is no nats-server.")
    version = ".".join(found.groups())
    if (int(found[1]), int(found[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise SatelliteError(f"nats-server {version} is too old, {oldest} is needed: {HOW_TO_INSTALL}.")
    return version


async def begin(program: Path, config: Path) -> asyncio.subprocess.Process:
    """Start it with its standard error as a pipe. It gets no variables of ours, and on Linux dies when we do."""
    return await asyncio.create_subprocess_exec(
        program,
        "-c",
        str(config),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(),
        preexec_fn=_dies_with_us() if sys.platform == "linux" else None,
    )


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}


def _dies_with_us() -> Callable[[], None]:
    libc, parent = ctypes.CDLL(None), os.getpid()  # loaded here: a child of a fork may load nothing

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:
            os._exit(1)  # we died before it could ask

    return ask


def note(pid_file: Path, pid: int) -> None:
    """Keep who runs, for the next start."""
    write_atomically(pid_file, b"%d\n" % pid)


def end_leftover(pid_file: Path, config: Path) -> int | None:
    """End the server that an earlier run left behind, if there is one; gives its process id.

    A process of that number counts only when its command line names our configuration. Waits until it is gone.
    """
    try:
        pid = int(pid_file.read_text("ascii").strip())
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError):
        pid_file.unlink()
    if pid <= 1 or pid == os.getpid() or str(config) not in _command_line(pid):
        return None
    for how in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, how)
        deadline = time.monotonic() + _END_LIMIT_S
        while time.monotonic() < deadline:
            if str(config) not in _command_line(pid):
                return pid
            time.sleep(0.02)
    raise SatelliteError(f"The nats-server of an earlier run, process {pid}, does not end; end it by hand.")


def _command_line(pid: int) -> str:
    """The command line of a process; "" when there is none of that number, or it cannot be known."""
    proc = Path(f"/proc/{pid}/cmdline")
    try:
        if proc.parent.parent.joinpath("self").exists():
            return proc.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        if os.name == "nt":
            return ""
        told = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, timeout=5, check=False)
        return told.stdout.decode("utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired):
        return ""
