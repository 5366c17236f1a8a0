"""Keeps one nats-server running: starts it, watches it, starts it again when it died or hangs, and ends it. Impure."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.owned_tasks import OwnedTasks
from app.people.errors import in_words
from app.satellites.errors import SatelliteError
from app.satellites.nats_server import begin, end_leftover, note
from app.satellites.restarts import Restarts
from app.satellites.server_log import LogLine, ServerLog

READY_LIMIT_S = 20.0
LOOK_EACH_S = 5.0
END_LIMIT_S = 5.0
MOST_LINE = 65_536
MOST_ANSWER = 262_144
_MONITOR = re.compile(r"Starting http monitor on 127\.0\.0\.1:(\d+)$")


@dataclass(frozen=True, slots=True)
class ServerUp:
    """It takes connections; its process id."""

    pid: int


@dataclass(frozen=True, slots=True)
class ServerDied:
    """It ended without being asked; `why` is a clause, `again_in_s` when it is started again."""

    why: str
    again_in_s: float


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """What it tells of itself; counts since its start, bytes without the protocol's own."""

    connections: int
    routes: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    slow: int
    memory_bytes: int
    cpu_percent: float


ServerEvent = ServerUp | ServerDied | ServerHealth | LogLine


class Supervisor:
    """One nats-server with one configuration file.

    `look_each_s`: how often it is asked how it is; three times without an answer, and it is started anew.
    `health_each_s`: how often its figures are told, to the next look; None for never.
    """

    def __init__(
        self,
        program: Path,
        config: Path,
        pid_file: Path,
        on_event: Callable[[ServerEvent], None],
        *,
        secrets: tuple[str, ...] = (),
        look_each_s: float = LOOK_EACH_S,
        health_each_s: float | None = 60.0,
    ) -> None:
        self._program = program
        self._config = config
        self._pid_file = pid_file
        self._on_event = on_event
        self._look_each_s = look_each_s
        self._health_each_s = health_each_s
        self._log = ServerLog(secrets)
        self._process: asyncio.subprocess.Process | None = None
        self._has_been_ready = False
        self._last_error = ""
        self._hung = False
        self.restarts = 0

    def reload(self, secrets: tuple[str, ...]) -> None:
        """Let it read its configuration and certificates again; connections stand."""
        self._log.secrets = secrets
        if self._process is not None and self._process.returncode is None and sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)

    async def run(self, stop: asyncio.Event) -> None:
        """Run it until `stop`; SatelliteError when it cannot be started, or dies again and again."""
        leftover = await asyncio.to_thread(end_leftover, self._pid_file, self._config)
        if leftover is not None:
            self._on_event(LogLine("warning", f"ended process {leftover}, which an earlier run had left behind"))
        rule = Restarts()
        try:
            while not stop.is_set():
                begun = time.monotonic()
                code = await self._run_once(stop)
                if stop.is_set():
                    return
                why = "it did not answer" if self._hung else self._last_error or _ending(code)
                pause_s = rule.died(time.monotonic() - begun) if self._has_been_ready else None
                if pause_s is None:
                    how = "died again and again" if self._has_been_ready else "cannot be started"
                    raise SatelliteError(f"nats-server {how}: {why}.")
                self.restarts += 1
                self._on_event(ServerDied(why, pause_s))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause_s)
        finally:
            with contextlib.suppress(OSError):
                self._pid_file.unlink()

    async def _run_once(self, stop: asyncio.Event) -> int:
        """Run it until it ends or `stop`; gives its exit code."""
        self._last_error, self._hung = "", False
        ready: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        try:
            process = self._process = await begin(self._program, self._config)
        except OSError as error:
            raise SatelliteError(f"{self._program} cannot be run ({in_words(error)}).") from error
        tasks = OwnedTasks("rallypoint")
        try:
            note(self._pid_file, process.pid)
            reading = tasks.start(self._read(process, ready), "log")
            tasks.start(self._watch(process, ready), "watching")
            stopping = tasks.start(stop.wait(), "stopping")
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                return await process.wait()
        finally:
            await _end(process)
            await tasks.close()
        return process.returncode or 0

    async def _read(self, process: asyncio.subprocess.Process, ready: asyncio.Future[int | None]) -> None:
        """Pass on what it writes, until it ends."""
        assert process.stderr is not None
        monitor: int | None = None
        while data := await _line(process.stderr):
            line = self._log.clean(data)
            if found := _MONITOR.search(line.words):
                monitor = int(found[1])
            if line.level == "error":
                self._last_error = line.words.removeprefix("nats-server: ").rstrip(".")
            for shown in self._log.show(line, time.monotonic()):
                self._on_event(shown)
            if line.words == "Server is ready" and not ready.done():
                self._has_been_ready = True
                self._last_error = ""
                self._on_event(ServerUp(process.pid))
                ready.set_result(monitor)

    async def _watch(self, process: asyncio.subprocess.Process, ready: asyncio.Future[int | None]) -> None:
        """Ask it how it is; one that hangs is killed."""
        try:
            port = await asyncio.wait_for(ready, READY_LIMIT_S)
        except TimeoutError:
            self._kill(process)
            return
        missed, told_at = 0, time.monotonic()
        while port is not None:
            await asyncio.sleep(self._look_each_s)
            health = await ask(port, self._look_each_s)
            missed = 0 if health is not None else missed + 1
            if missed == 3:
                self._kill(process)
                return
            now = time.monotonic()
            if health is not None and self._health_each_s is not None and now - told_at >= self._health_each_s:
                told_at = now
                self._on_event(health)

    def _kill(self, process: asyncio.subprocess.Process) -> None:
        self._hung = True
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def _ending(code: int) -> str:
    return f"signal {-code} ended it" if code < 0 else f"it ended with {code}"


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line, b"" at the end; what is too long for one comes in pieces."""
    try:
        return await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError:
        return await stream.read(MOST_LINE)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_LIMIT_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    await process.wait()


async def ask(port: int, limit_s: float) -> ServerHealth | None:
    """Ask the monitor of a nats-server on this machine; None when it does not answer in time or makes no sense."""
    try:
        async with asyncio.timeout(limit_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /varz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                answer = bytearray()
                while len(answer) <= MOST_ANSWER and (piece := await reader.read(65_536)):
                    answer += piece
            finally:
                writer.close()
        _, _, body = bytes(answer).partition(b"\r\n\r\n")
        told: dict[str, Any] = json.loads(body)
        return ServerHealth(
            connections=int(told["connections"]),
            routes=int(told["routes"]),
            messages_in=int(told["in_msgs"]),
            messages_out=int(told["out_msgs"]),
            bytes_in=int(told["in_bytes"]),
            bytes_out=int(told["out_bytes"]),
            slow=int(told["slow_consumers"]),
            memory_bytes=int(told["mem"]),
            cpu_percent=float(told["cpu"]),
        )
    except (OSError, TimeoutError, ValueError, KeyError, TypeError):
        return None
