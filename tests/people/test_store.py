"""Contacts and history in a real SQLite file, killed, damaged and from the future."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from app.events import CallState, CallStep, Contact, Direction, EndKind, HistoryEntry
from app.people import store as store_module
from app.people.errors import PeopleError
from app.people.migrations import SCRIPTS, migrate
from app.people.store import TRICKLING_LIMIT, Store, StoreThread

# Reports each line only after the store said that it is kept, then goes on until it is killed.
WRITER = """
import sys
import threading
from pathlib import Path
from app.events import Direction, EndKind, HistoryEntry
from app.people.store import Store
store = Store(Path(sys.argv[1]))
for number in range(100_000):
    store.add_contact(f"contact {number}", "sip:x@example.org")
    store.save_call(
        HistoryEntry(0, f"call-{number}", Direction.OUTGOING, "sip:x@example.org", "X", float(number), None,
                     EndKind.INTERNAL, "", False)
    )
    print(number, flush=True)
"""


def entry(number: int = 1, **changes: object) -> HistoryEntry:
    base = HistoryEntry(
        entry_id=0,
        call_id=f"call-{number}",
        direction=Direction.INCOMING,
        remote_uri="sip:grace@example.org",
        remote_name="Grace",
        started_wall=1000.0 + number,
        duration_s=12.5,
        outcome=EndKind.HUNG_UP,
        sentence="Grace hung up.",
        with_video=True,
        steps=(CallStep(CallState.PREPARING, 0.1), CallStep(CallState.CONNECTED, 2.5)),
        path="direct",
        score=4.3,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "parley.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def test_contacts_come_back_favourites_first_then_by_name(path: Path, store: Store) -> None:
    added = [
        store.add_contact("zoë", "sip:zoe@example.org"),
        store.add_contact("Ada", "tel:+441234"),
        store.add_contact(" Max ", " sip:max@example.org ", favourite=True),
    ]
    assert len({contact.contact_id for contact in added}) == 3
    store.close()
    again = Store(path)
    assert [(contact.name, contact.uri, contact.favourite) for contact in again.contacts()] == [
        ("Max", "sip:max@example.org", True),
        ("Ada", "tel:+441234", False),
        ("zoë", "sip:zoe@example.org", False),
    ]
    assert again.problem is None
    again.close()


def test_a_contact_is_changed_and_removed(store: Store) -> None:
    ada = store.add_contact("Ada", "sip:ada@example.org")
    changed = store.update_contact(replace(ada, name="Ada L.", favourite=True))
    assert store.contacts() == (changed,)
    store.remove_contact(ada.contact_id)
    store.remove_contact(ada.contact_id)
    assert store.contacts() == ()
    with pytest.raises(PeopleError, match="no longer in the contacts"):
        store.update_contact(changed)


@pytest.mark.parametrize(
    ("name", "uri", "said"),
    [
        ("Ada", "  ", "needs an address"),
        ("A" * 1001, "sip:a@b", "at most 1000"),
        ("Ada", "sip:a@b\r\nX: y", "cannot be shown"),
        ("A\x00da", "sip:a@b", "cannot be shown"),
    ],
)
def test_a_contact_nobody_could_call_or_read_is_refused(store: Store, name: str, uri: str, said: str) -> None:
    with pytest.raises(PeopleError, match=said):
        store.add_contact(name, uri)
    assert store.contacts() == ()


def test_a_contact_without_a_name_is_shown_by_its_address(store: Store) -> None:
    assert store.add_contact(" ", "sip:ada@example.org").name == "sip:ada@example.org"


def test_the_number_of_contacts_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "CONTACT_LIMIT", 2)
    store.add_contact("a", "sip:a@b")
    store.add_contact("b", "sip:b@b")
    with pytest.raises(PeopleError, match="2 contacts already"):
        store.add_contact("c", "sip:c@b")


def test_history_comes_back_whole_and_newest_first(path: Path, store: Store) -> None:
    kept = [store.save_call(entry(number)) for number in (1, 3, 2)]
    missed = store.save_call(entry(4, duration_s=None, outcome=EndKind.NO_ANSWER, path=None, steps=(), seen=False))
    store.close()
    again = Store(path)
    assert again.history() == (missed, kept[1], kept[2], kept[0])
    assert again.history(limit=1) == (missed,)
    again.mark_history_seen()
    assert all(line.seen for line in again.history())
    again.clear_history()
    assert again.history() == ()
    again.close()


def test_a_call_kept_at_its_start_is_replaced_at_its_end(store: Store) -> None:
    begun = store.save_call(entry(1, duration_s=None, outcome=EndKind.INTERNAL, sentence="Parley stopped."))
    store.save_call(entry(2))
    ended = store.save_call(entry(1))
    assert ended.entry_id == begun.entry_id
    assert [line.sentence for line in store.history()] == ["Grace hung up.", "Grace hung up."]


def test_old_history_is_dropped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "HISTORY_LIMIT", 3)
    for number in range(6):
        store.save_call(entry(number))
    assert [line.call_id for line in store.history()] == ["call-5", "call-4", "call-3"]


def test_the_file_is_the_owners_alone(path: Path, store: Store) -> None:
    assert os.name == "nt" or stat.S_IMODE(path.stat().st_mode) == 0o600


def test_kill_9_loses_nothing_that_was_reported_kept(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        reported = -1
        while reported < 30:
            reported = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        reported = max([reported, *map(int, writer.stdout.read().split())])
    store = Store(path)
    assert store.problem is None
    names = {contact.name for contact in store.contacts()}
    calls = {line.call_id for line in store.history()}
    store.close()
    assert {f"contact {number}" for number in range(reported + 1)} <= names
    assert {f"call-{number}" for number in range(reported + 1)} <= calls


def test_a_file_that_is_no_database_is_moved_aside(path: Path) -> None:
    path.write_bytes(b"this is not a database, and it is long enough to be looked at" * 20)
    store = Store(path)
    assert store.problem is not None
    assert "parley.sqlite3.broken" in store.problem
    assert path.with_name("parley.sqlite3.broken").read_bytes().startswith(b"this is not")
    store.add_contact("Ada", "sip:ada@example.org")
    store.close()


def test_a_damaged_database_is_moved_aside_with_its_log(path: Path) -> None:
    store = Store(path)
    for number in range(200):
        store.save_call(entry(number))
    store.close()
    data = bytearray(path.read_bytes())
    data[4096:12288] = b"\xaa" * 8192
    path.write_bytes(data)
    again = Store(path)
    assert again.problem is not None
    assert again.history() == ()
    assert path.with_name("parley.sqlite3.broken").read_bytes() == bytes(data)
    again.close()


def test_a_file_of_a_newer_parley_is_left_alone(path: Path) -> None:
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(PeopleError, match="newer Parley"):
        Store(path)
    assert path.read_bytes() == before


def test_a_history_of_before_there_were_scores_is_read_and_goes_on(path: Path) -> None:
    connection = sqlite3.connect(path)
    migrate(connection, SCRIPTS[:2])
    connection.execute(
        "INSERT INTO history (call_id, direction, remote_uri, remote_name, started_wall, duration_s, outcome, sentence,"
        " with_video, steps, path, seen) VALUES ('old', 'incoming', 'sip:a@b', 'A', 1.0, 2.0, 'hung_up', '', 0, '[]',"
        " 'direct', 1)"
    )
    connection.commit()
    connection.close()
    store = Store(path)
    store.save_call(entry())
    assert [(line.call_id, line.score) for line in store.history()] == [("call-1", 4.3), ("old", None)]
    store.close()


def test_many_that_begin_at_once_make_one_file(path: Path) -> None:
    beginning = threading.Barrier(8)

    def begin(_: int) -> None:
        beginning.wait(10)
        Store(path).close()

    for number in range(5):
        path = path.with_name(f"people-{number}.sqlite3")
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(begin, range(8)))


def test_a_step_that_fails_leaves_the_shape_before_it(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.sqlite3")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, (*SCRIPTS, "CREATE TABLE more (a); CREATE TABLE more (a);"))
    connection.close()
    connection = sqlite3.connect(tmp_path / "x.sqlite3")
    assert connection.execute("PRAGMA user_version").fetchone() == (len(SCRIPTS),)
    migrate(connection, (*SCRIPTS, "CREATE TABLE more (a);"))
    assert connection.execute("SELECT count(*) FROM more").fetchone() == (0,)
    connection.close()


def test_a_line_this_version_cannot_read_hides_no_other(path: Path, store: Store) -> None:
    store.save_call(entry(1))
    store.save_call(entry(2))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE history SET outcome = 'teleported' WHERE call_id = 'call-1'")
    connection.commit()
    connection.close()
    assert [line.call_id for line in store.history()] == ["call-2"]


async def test_from_an_event_loop_the_store_has_a_thread_of_its_own(path: Path) -> None:
    people = StoreThread(path)
    with pytest.raises(PeopleError, match="not open"):
        await people.run(Store.contacts)
    assert await people.open() is None
    added = await asyncio.gather(*(people.run(Store.add_contact, f"c{n}", "sip:x@y") for n in range(20)))
    assert isinstance(added[0], Contact)
    assert len(await people.run(Store.contacts)) == 20
    with pytest.raises(PeopleError, match="needs an address"):
        await people.run(Store.add_contact, "nobody", "")
    await people.close()
    store = Store(path)
    assert len(store.contacts()) == 20
    store.close()


async def test_what_was_asked_before_close_is_kept(path: Path) -> None:
    people = StoreThread(path)
    await people.open()
    asked = asyncio.ensure_future(people.run(Store.add_contact, "Ada", "sip:ada@example.org"))
    await asyncio.sleep(0)
    await people.close()
    assert (await asked).name == "Ada"


def test_phones_that_take_candidates_later_are_remembered_and_forgotten(store: Store) -> None:
    store.save_trickling({"bob@example.org": True, "eve@example.org": True, "x@example.org": False})
    assert set(store.trickling()) == {"bob@example.org", "eve@example.org"}
    store.save_trickling({"bob@example.org": False, "eve@example.org": True})
    assert store.trickling() == ("eve@example.org",)
    store.save_trickling({f"{number}@example.org": True for number in range(TRICKLING_LIMIT + 3)})
    assert len(store.trickling()) == TRICKLING_LIMIT
