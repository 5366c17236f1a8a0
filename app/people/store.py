"""Contacts and history in one SQLite file. What was reported done survives `kill -9` and a power cut.

A `Store` belongs to the thread that opened it. `StoreThread` gives it one, and is awaited from an event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from app.events import CallState, CallStep, Contact, Direction, EndKind, HistoryEntry
from app.people.errors import PeopleError
from app.people.files import move_aside
from app.people.migrations import migrate

logger = logging.getLogger(__name__)

CONTACT_LIMIT = 10_000
HISTORY_LIMIT = 5_000  # older calls are dropped
TRICKLING_LIMIT = 500  # phones remembered
TEXT_LIMIT = 1_000

P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """The people file of one profile, open until `close()`."""

    def __init__(self, path: Path) -> None:
        """Open or create the file; a damaged one is moved aside and `problem` says so."""
        self._path = path
        self.problem: str | None = None
        try:
            self._connection = _connect(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, unreadable, disk full: the file may be sound
                raise PeopleError(f"Contacts and history in {path} cannot be opened ({error}).") from error
            self.problem = self._start_anew(error)
            self._connection = _connect(path)

    def close(self) -> None:
        self._connection.close()

    # Contacts -------------------------------------------------------------------------------------------

    def contacts(self) -> tuple[Contact, ...]:
        """All kept contacts, favourites first, then by name."""
        with self._guard("read"):
            rows = self._connection.execute(
                "SELECT contact_id, name, uri, favourite FROM contacts"
                " ORDER BY favourite DESC, name COLLATE NOCASE, contact_id"
            ).fetchall()
        return tuple(Contact(row[0], row[1], row[2], favourite=bool(row[3])) for row in rows)

    def add_contact(self, name: str, uri: str, favourite: bool = False) -> Contact:
        """Keep a new contact; PeopleError when name or address cannot be kept."""
        contact = _checked(Contact(uuid.uuid4().hex, name, uri, favourite=favourite))
        with self._guard("saved"), self._connection:
            (count,) = self._connection.execute("SELECT count(*) FROM contacts").fetchone()
            if count >= CONTACT_LIMIT:
                raise PeopleError(f"There are {CONTACT_LIMIT} contacts already; remove some first.")
            self._connection.execute(
                "INSERT INTO contacts (contact_id, name, uri, favourite, added_wall) VALUES (?, ?, ?, ?, ?)",
                (contact.contact_id, contact.name, contact.uri, contact.favourite, time.time()),
            )
        return contact

    def update_contact(self, contact: Contact) -> Contact:
        """Replace name, address and favourite of a kept contact; PeopleError when there is no such one."""
        contact = _checked(contact)
        with self._guard("saved"), self._connection:
            changed = self._connection.execute(
                "UPDATE contacts SET name = ?, uri = ?, favourite = ? WHERE contact_id = ?",
                (contact.name, contact.uri, contact.favourite, contact.contact_id),
            ).rowcount
        if not changed:
            raise PeopleError(f"{contact.name} is no longer in the contacts; add the contact anew.")
        return contact

    def remove_contact(self, contact_id: str) -> None:
        """Forget a contact; harmless when it is gone already."""
        with self._guard("saved"), self._connection:
            self._connection.execute("DELETE FROM contacts WHERE contact_id = ?", (contact_id,))

    # History --------------------------------------------------------------------------------------------

    def history(self, limit: int = 500) -> tuple[HistoryEntry, ...]:
        """The newest calls first."""
        with self._guard("read"):
            rows = self._connection.execute(
                "SELECT entry_id, call_id, direction, remote_uri, remote_name, started_wall, duration_s, outcome,"
                " sentence, with_video, steps, path, seen, score FROM history"
                " ORDER BY started_wall DESC, entry_id DESC LIMIT ?",
                (limit,),
            ).fetchall()
        entries = []
        for row in rows:
            try:
                entries.append(_entry(row))
            except (ValueError, TypeError) as error:  # a word this version does not know; the line itself stays kept
                logger.warning("history line %s cannot be shown: %s", row[0], error)
        return tuple(entries)

    def save_call(self, entry: HistoryEntry) -> HistoryEntry:
        """Keep a call, or replace what is kept of it (same `call_id`); `entry_id` is given by the store.

        Saving a call when it begins, with what would be true if nothing more came, and again when it ends, is what
        makes a killed program leave a line of it.
        """
        values = (
            entry.direction.value,
            entry.remote_uri[:TEXT_LIMIT],
            entry.remote_name[:TEXT_LIMIT],
            entry.started_wall,
            entry.duration_s,
            entry.outcome.value,
            entry.sentence[:TEXT_LIMIT],
            entry.with_video,
            json.dumps([[step.state.value, step.at] for step in entry.steps]),
            entry.path,
            entry.seen,
            entry.score,
        )
        with self._guard("saved"), self._connection:
            self._connection.execute(
                "INSERT INTO history (call_id, direction, remote_uri, remote_name, started_wall, duration_s, outcome,"
                " sentence, with_video, steps, path, seen, score) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (call_id) DO UPDATE SET direction = excluded.direction, remote_uri = excluded.remote_uri,"
                " remote_name = excluded.remote_name, started_wall = excluded.started_wall,"
                " duration_s = excluded.duration_s, outcome = excluded.outcome, sentence = excluded.sentence,"
                " with_video = excluded.with_video, steps = excluded.steps, path = excluded.path, seen = excluded.seen,"
                " score = excluded.score",
                (entry.call_id, *values),
            )
            (entry_id,) = self._connection.execute(
                "SELECT entry_id FROM history WHERE call_id = ?", (entry.call_id,)
            ).fetchone()
            self._connection.execute(
                "DELETE FROM history WHERE entry_id IN"
                " (SELECT entry_id FROM history ORDER BY started_wall DESC, entry_id DESC LIMIT -1 OFFSET ?)",
                (HISTORY_LIMIT,),
            )
        return replace(entry, entry_id=entry_id)

    def clear_history(self) -> None:
        with self._guard("saved"), self._connection:
            self._connection.execute("DELETE FROM history")

    def mark_history_seen(self) -> None:
        """Say that the missed calls were looked at."""
        with self._guard("saved"), self._connection:
            self._connection.execute("UPDATE history SET seen = 1 WHERE seen = 0")

    # What phones can do ----------------------------------------------------------------------------------

    def trickling(self) -> tuple[str, ...]:
        """The addresses whose phones take candidates after the offer, the one learned longest ago first."""
        with self._guard("read"):
            rows = self._connection.execute("SELECT address FROM trickling ORDER BY learned_wall").fetchall()
        return tuple(row[0] for row in rows)

    def save_trickling(self, news: Mapping[str, bool]) -> None:
        """Remember (True) or forget these addresses."""
        with self._guard("saved"), self._connection:
            for address, trickles in news.items():
                self._connection.execute("DELETE FROM trickling WHERE address = ?", (address[:TEXT_LIMIT],))
                if trickles:
                    self._connection.execute(
                        "INSERT INTO trickling (address, learned_wall) VALUES (?, ?)",
                        (address[:TEXT_LIMIT], time.time()),
                    )
            self._connection.execute(
                "DELETE FROM trickling WHERE address IN"
                " (SELECT address FROM trickling ORDER BY learned_wall DESC LIMIT -1 OFFSET ?)",
                (TRICKLING_LIMIT,),
            )

    @contextmanager
    def _guard(self, done: str) -> Iterator[None]:
        """Put what SQLite cannot do into a sentence."""
        try:
            yield
        except sqlite3.Error as error:
            raise PeopleError(f"Contacts and history could not be {done} in {self._path} ({error}).") from error

    def _start_anew(self, error: sqlite3.DatabaseError) -> str:
        logger.warning("the people file %s is damaged: %s", self._path, error)
        moved = move_aside(self._path)
        for suffix in ("-wal", "-shm"):  # they belong to the damaged file and would damage the new one
            companion = self._path.with_name(self._path.name + suffix)
            if companion.exists():
                companion.replace(moved.with_name(moved.name + suffix))
        return (
            f"Contacts and history could not be read ({error}) and start empty; the old file is kept as {moved.name}."
        )


class StoreThread:
    """A `Store` on a thread of its own: `await people.run(Store.add_contact, "Ada", "sip:ada@example.org")`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="people")
        self._store: Store | None = None

    async def open(self) -> str | None:
        """Open the file; gives the problem in one sentence when it had to start anew."""

        def work() -> str | None:
            self._store = Store(self._path)
            return self._store.problem

        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def run(self, work: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do one thing with the store, in the order of calls; a cancelled wait does not undo what was begun."""

        def call() -> T:
            if self._store is None:
                raise PeopleError("Contacts and history are not open.")
            return work(self._store, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    async def close(self) -> None:
        """Finish what was begun, then close the file."""

        def work() -> None:
            store, self._store = self._store, None
            if store is not None:
                store.close()

        await asyncio.get_running_loop().run_in_executor(self._executor, work)
        self._executor.shutdown(wait=False)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(str(verdict)[:200])
        migrate(connection)
        path.chmod(0o600)
    except BaseException:
        connection.close()
        raise
    return connection


def _checked(contact: Contact) -> Contact:
    name, uri = contact.name.strip(), contact.uri.strip()
    if not uri:
        raise PeopleError("A contact needs an address, for example sip:ada@example.org.")
    for what, text in (("name", name), ("address", uri)):
        if len(text) > TEXT_LIMIT:
            raise PeopleError(f"The {what} of a contact may have at most {TEXT_LIMIT} characters.")
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise PeopleError(f"The {what} {text[:60]!r} contains a character that cannot be shown.")
    return replace(contact, name=name or uri, uri=uri)


def _entry(row: tuple[Any, ...]) -> HistoryEntry:
    return HistoryEntry(
        entry_id=row[0],
        call_id=row[1],
        direction=Direction(row[2]),
        remote_uri=row[3],
        remote_name=row[4],
        started_wall=row[5],
        duration_s=row[6],
        outcome=EndKind(row[7]),
        sentence=row[8],
        with_video=bool(row[9]),
        steps=tuple(CallStep(CallState(state), at) for state, at in json.loads(row[10])),
        path=row[11],
        seen=bool(row[12]),
        score=row[13],
    )
