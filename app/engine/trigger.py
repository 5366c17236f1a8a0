"""The talk key for other programs: foot switches, buttons of a radio, scripts. `parley channel talk` is its other end.

Every running engine that has channels keeps a door open: a Unix socket in a folder that only this user may enter, or,
where the system has none (Windows), a port of this machine alone. A file in the profile's folder `talk`, readable by
its owner only, says where it is and holds the word that opens it. One line of JSON goes each way:

    {"version": 1, "token": "…", "do": "on" | "off" | "hold", "channel": name or null}
    {"version": 1, "ok": true, "words": "Talking on Alpha."}

"hold" talks until its connection ends, however that happens: a program that is killed lets the key go. If the burst
ends sooner, a second line says why.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from app.engine.errors import EngineError
from app.owned_tasks import OwnedTasks
from app.people.profile import Profile

log = logging.getLogger(__name__)

VERSION = 1
ON, OFF, HOLD = "on", "off", "hold"
HAS_UNIX = hasattr(socket, "AF_UNIX") and os.name != "nt"

_MOST_LINE = 4096
_MOST_AT_ONCE = 8
_MOST_DOORS = 16
_MOST_NAME = 256
_MOST_PATH = 100  # bytes of a Unix socket's path; 104 on macOS
_REQUEST_S = 3.0
_ANSWER_S = 5.0
_PREFIX = "parley-talk-"
_NOBODY = "No Parley with this profile has channels open: start it, or run `parley channel join`."


class TalkKey(Protocol):
    """What pressing does; all give one sentence, or raise EngineError with one. `channel` None: the primary one."""

    async def press(self, channel: str | None) -> str: ...

    async def hold(self, channel: str | None) -> str:
        """Press a key that is up, for whoever lets it go again; cancelled, it is let go."""

    async def release(self, channel: str | None) -> str: ...

    async def ended(self, channel: str | None) -> str:
        """Wait until what was pressed has ended, whoever ended it."""


@dataclass(frozen=True, slots=True)
class _Door:
    """Where a running engine listens: a path, or a port of this machine."""

    token: str
    path: str = ""
    port: int = 0


class Trigger:
    """Listens for one engine, on its loop. Without it everything else works, so what hinders it is only logged."""

    def __init__(self, folder: Path, key: TalkKey, *, unix: bool = HAS_UNIX) -> None:
        """`folder`: the profile's."""
        self._folder = folder / "talk"
        self._key = key
        self._unix = unix
        self._token = secrets.token_urlsafe(32)
        self._file = self._folder / f"{os.getpid()}-{secrets.token_hex(4)}.json"
        self._private: str | None = None
        self._server: asyncio.Server | None = None
        self._tasks = OwnedTasks("trigger")
        self._guests = 0

    async def open(self) -> None:
        """Begin to listen, and clear away what killed engines left."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for file in _door_files(self._folder):
                await _is_open(file)
            door = await self._listen()
            _write_whole(self._file, json.dumps(asdict(door)))
        except OSError as error:
            log.warning("no trigger for other programs: %s", error)
            await self.close()

    async def close(self) -> None:
        """Stop listening; keys that are held are let go."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._tasks.close()
        if self._private is not None:
            shutil.rmtree(self._private, ignore_errors=True)
            self._private = None

    async def _listen(self) -> _Door:
        if self._unix:
            self._private = tempfile.mkdtemp(prefix=_PREFIX)  # for this user alone, and short
            path = os.path.join(self._private, "s")
            if len(os.fsencode(path)) <= _MOST_PATH:
                self._server = await asyncio.start_unix_server(self._came, path, limit=_MOST_LINE)
                return _Door(self._token, path=path)
        self._server = await asyncio.start_server(self._came, "127.0.0.1", 0, limit=_MOST_LINE)
        return _Door(self._token, port=self._server.sockets[0].getsockname()[1])

    def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._guests >= _MOST_AT_ONCE:
            writer.close()
            return
        self._guests += 1
        self._tasks.start(self._serve(reader, writer), "guest")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = _parsed(await asyncio.wait_for(reader.readline(), _REQUEST_S))
            if request is None or not hmac.compare_digest(str(request.get("token")).encode(), self._token.encode()):
                return
            await self._carry_out(request, reader, writer)
        except (OSError, ValueError, TimeoutError, EOFError):
            return  # it went away, or is none of ours
        finally:
            self._guests -= 1
            writer.close()

    async def _carry_out(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        action, channel = request.get("do"), request.get("channel")
        if action not in (ON, OFF, HOLD) or not (channel is None or isinstance(channel, str)):
            await _say(writer, False, "This Parley does not understand what it is asked: it has another version.")
            return
        channel = None if channel is None else channel[:_MOST_NAME]
        try:
            if action == HOLD:
                await self._hold(channel, reader, writer)
            else:
                await _say(writer, True, await (self._key.press if action == ON else self._key.release)(channel))
        except EngineError as error:
            await _say(writer, False, str(error))

    async def _hold(self, channel: str | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Press, and let go when the other side ends, which it may while the press waits, or say why the burst did."""
        gone = asyncio.ensure_future(reader.read())
        tasks: list[asyncio.Future[Any]] = [gone, pressing := asyncio.ensure_future(self._key.hold(channel))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not pressing.done():
                return
            words = pressing.result()
            try:
                await _say(writer, True, words)
                tasks.append(ended := asyncio.ensure_future(self._key.ended(channel)))
                await asyncio.wait((gone, ended), return_when=asyncio.FIRST_COMPLETED)
                if not gone.done():
                    await _say(writer, False, ended.result())
            finally:
                with suppress(EngineError):
                    await self._key.release(channel)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def talk(profile: Path | None, on: bool, channel: str | None = None) -> str:
    """Press or let go the key of the engine that runs with a profile (None: the person's own); gives its sentence.

    Where several run, the first that can is asked to talk, and all are asked to stop. EngineError says why not.
    """
    said, refused = [], []
    for file in await _open_doors(profile):
        try:
            _, writer, words = await _ask(file, ON if on else OFF, channel)
        except EngineError as error:
            refused.append(str(error))
            continue
        writer.close()
        said.append(words)
        if on:
            break
    if not said:
        raise EngineError(refused[0] if refused else _NOBODY)
    return said[0]


@asynccontextmanager
async def held(profile: Path | None, channel: str | None = None) -> AsyncIterator[tuple[str, asyncio.Future[str]]]:
    """Talk inside the block; gives the sentence, and what can be awaited for the one that says why the burst ended
    before the block did. EngineError as `talk`."""
    refused = []
    for file in await _open_doors(profile):
        try:
            reader, writer, words = await _ask(file, HOLD, channel)
        except EngineError as error:
            refused.append(str(error))
            continue
        ended = asyncio.ensure_future(_reason(reader))
        try:
            yield words, ended
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
            writer.close()
        return
    raise EngineError(refused[0] if refused else _NOBODY)


async def _reason(reader: asyncio.StreamReader) -> str:
    try:
        answer = _parsed(await reader.readline())
    except (OSError, ValueError):
        answer = None
    return str(answer.get("words")) if answer is not None else "Parley ended while the key was held."


async def _ask(file: Path, action: str, channel: str | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
    door = _read_door(file)
    try:
        if door is None:
            raise EngineError(_NOBODY)
        reader, writer = await _enter(door)
        try:
            request = {"version": VERSION, "token": door.token, "do": action, "channel": channel}
            writer.write(json.dumps(request).encode() + b"\n")
            answer = _parsed(await asyncio.wait_for(reader.readline(), _ANSWER_S))
        except BaseException:
            writer.close()
            raise
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise EngineError("Parley runs with this profile but does not answer.") from error
    words = str((answer or {}).get("words") or "Parley gave no answer: it may just be ending.")
    if answer is None or answer.get("ok") is not True:
        writer.close()
        raise EngineError(words)
    return reader, writer, words


async def _say(writer: asyncio.StreamWriter, ok: bool, words: str) -> None:
    writer.write(json.dumps({"version": VERSION, "ok": ok, "words": words}).encode() + b"\n")
    await writer.drain()


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Read a line of either side; None when it is not whole or not of this version."""
    if not line.endswith(b"\n"):
        return None
    found = json.loads(line)
    return found if isinstance(found, dict) and found.get("version") == VERSION else None


# Doors ------------------------------------------------------------------------------------------------------------


async def _open_doors(profile: Path | None) -> list[Path]:
    return [file for file in _door_files(Profile(profile).root / "talk") if await _is_open(file)]


def _door_files(folder: Path) -> list[Path]:
    """The newest first."""
    with suppress(OSError):
        files = [(entry.stat().st_mtime, entry) for entry in folder.glob("*.json")]
        return [file for _, file in sorted(files, reverse=True)[:_MOST_DOORS]]
    return []


async def _is_open(file: Path) -> bool:
    """Whether somebody listens there; what a killed engine left is removed."""
    door = _read_door(file)
    if door is not None:
        try:
            _, writer = await _enter(door)
            writer.close()
            return True
        except TimeoutError:
            return True  # busy: whoever asks will say so
        except OSError:
            pass
    _clear_away(file, door)
    return False


def _clear_away(file: Path, door: _Door | None) -> None:
    private = os.path.dirname(door.path) if door is not None else ""
    if os.path.basename(private).startswith(_PREFIX):
        shutil.rmtree(private, ignore_errors=True)
    with suppress(OSError):
        file.unlink()


def _write_whole(file: Path, text: str) -> None:
    """Write a file for its owner alone; nobody sees half of it."""
    draft = file.with_suffix(".new")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
            opened.write(text)
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def _read_door(file: Path) -> _Door | None:
    try:
        with open(file, "rb") as opened:
            found = json.loads(opened.read(_MOST_LINE))
        return _Door(str(found["token"]), str(found["path"]), int(found["port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def _enter(door: _Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if door.path:
        entering = asyncio.open_unix_connection(door.path, limit=_MOST_LINE)
    else:
        entering = asyncio.open_connection("127.0.0.1", door.port, limit=_MOST_LINE)
    return await asyncio.wait_for(entering, _REQUEST_S)
