"""What a profile keeps of channels: missions with their keys, how each channel was left, and this machine's node id.

One file, `channels.bin`, encrypted with AES-256-GCM under a key that is kept with the passwords, and replaced as a
whole. A copied or backed-up file tells nothing; see `app.people.secrets` for what that is worth without a keyring.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.engine.kept import Kept
from app.events import TalkMode
from app.owned_tasks import OwnedTasks
from app.people.errors import PeopleError, in_words
from app.people.files import move_aside, write_atomically

log = logging.getLogger(__name__)

MAGIC = b"parley-channels-1\n"
NONCE_BYTES, KEY_BYTES, NODE_BYTES = 12, 32, 16
KEY_NAME = "missions"
MOST_BYTES = 64 << 20
SOON_S = 0.5  # a volume that is dragged is written once


@dataclass(frozen=True, slots=True)
class KeptChannel:
    """How a person left a channel."""

    joined: bool = True
    volume: float = 1.0
    muted: bool = False
    pan: float = 0.0
    talk_mode: TalkMode = TalkMode.HOLD


@dataclass(frozen=True, slots=True)
class KeptMission:
    """A mission as JSON, keys included, and its channels by the ids of their groups."""

    text: str = field(repr=False)
    channels: dict[str, KeptChannel] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptChannels:
    """Everything in the file. `node_id`: 32 hexadecimal digits; `primary`: `str(ChannelId)`, "" for none."""

    node_id: str
    primary: str = ""
    missions: tuple[KeptMission, ...] = ()


class MissionStore:
    """The file of one profile; `path` None keeps nothing. Used on the engine's loop; `problem` after `load`."""

    def __init__(self, kept: Kept, path: Path | None, on_problem: Callable[[str], None]) -> None:
        self._kept = kept
        self._path = path
        self._on_problem = on_problem
        self._is_left_alone = False  # there is a file, and what is in it cannot be known in this run
        self._saving = asyncio.Lock()
        self._tasks = OwnedTasks("kept missions")
        self._soon: asyncio.Task[None] | None = None

    async def load(self) -> KeptChannels:
        """Give what is kept; a damaged file is moved aside, and that is told.

        One that cannot be read or opened now, such as while the keyring is locked, stays as it is: nothing is saved.
        """
        path = self._path
        if path is None or not await asyncio.to_thread(path.exists):
            return KeptChannels(os.urandom(NODE_BYTES).hex())
        await self._kept.find_password(KEY_NAME)
        key = self._kept.password(KEY_NAME)
        if key is None:
            self._leave_alone("their key is not found: unlock the system's keyring")
            return KeptChannels(os.urandom(NODE_BYTES).hex())
        try:
            return await asyncio.to_thread(_read, path, key)
        except OSError as error:
            self._leave_alone(in_words(error))
        except ValueError as error:
            log.warning("the kept missions cannot be read: %s", error)
            self._on_problem(f"The kept missions could not be read ({error}): open them again.{_aside(path)}")
        return KeptChannels(os.urandom(NODE_BYTES).hex())

    def _leave_alone(self, why: str) -> None:
        self._is_left_alone = True
        self._on_problem(
            f"The kept missions in {self._path} cannot be read now ({why}). They stay as they are, and what you open"
            " until the next start is not kept; to begin anew, delete the file."
        )

    async def save(self, state: Callable[[], KeptChannels]) -> None:
        """Keep what `state` gives, on the disk when this returns; PeopleError leaves the old file."""
        path = self._path
        if path is None or self._is_left_alone:
            return
        async with self._saving:
            await self._kept.find_password(KEY_NAME)
            key = self._kept.password(KEY_NAME)
            if key is None or not _is_key(key):
                key = os.urandom(KEY_BYTES).hex()
                await self._kept.save_password(KEY_NAME, key)
            await asyncio.to_thread(_write, path, key, state())

    def save_soon(self, state: Callable[[], KeptChannels]) -> None:
        """The same before long, once for many changes; what fails is told as a problem."""
        if self._soon is None or self._soon.done():
            self._soon = self._tasks.start(self._save_late(state, asyncio.sleep(SOON_S)), "save")

    async def _save_late(self, state: Callable[[], KeptChannels], pause: Awaitable[None]) -> None:
        try:
            await pause
        finally:  # also when the engine is closed meanwhile
            try:
                await self.save(state)
            except PeopleError as error:
                self._on_problem(str(error))

    async def close(self) -> None:
        """Write what waits to be written."""
        await self._tasks.close()


def _is_key(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == KEY_BYTES
    except ValueError:
        return False


def _read(path: Path, key: str) -> KeptChannels:
    with open(path, "rb") as file:
        data = file.read(MOST_BYTES + 1)
    start = len(MAGIC) + NONCE_BYTES
    if not data.startswith(MAGIC) or not start <= len(data) <= MOST_BYTES:
        raise ValueError("the file is damaged")
    try:
        plain = AESGCM(bytes.fromhex(key)).decrypt(data[len(MAGIC) : start], data[start:], MAGIC)
        kept = msgspec.json.decode(plain, type=KeptChannels)
        if len(bytes.fromhex(kept.node_id)) != NODE_BYTES:
            raise ValueError("the file is damaged")
    except (InvalidTag, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError("the file is damaged, or its key is another one") from error
    return kept


def _write(path: Path, key: str, state: KeptChannels) -> None:
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(bytes.fromhex(key)).encrypt(nonce, msgspec.json.encode(state), MAGIC)
    try:
        write_atomically(path, MAGIC + nonce + sealed)
    except OSError as error:
        raise PeopleError(f"The missions could not be kept in {path} ({in_words(error)}).") from error


def _aside(path: Path) -> str:
    try:
        return f" The old file is kept as {move_aside(path).name}."
    except OSError:
        return ""
