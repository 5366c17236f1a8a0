"""The shape of the people file, step by step: version N of the file is what the first N scripts make."""

from __future__ import annotations

import sqlite3

from app.people.errors import PeopleError

# A script that was released is never changed; a new shape is a new script at the end.
SCRIPTS: tuple[str, ...] = (
    """
    CREATE TABLE contacts (
        contact_id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        uri TEXT NOT NULL,
        favourite INTEGER NOT NULL DEFAULT 0,
        added_wall REAL NOT NULL
    ) STRICT;
    CREATE TABLE history (
        entry_id INTEGER PRIMARY KEY AUTOINCREMENT,
        call_id TEXT NOT NULL UNIQUE,
        direction TEXT NOT NULL,
        remote_uri TEXT NOT NULL,
        remote_name TEXT NOT NULL,
        started_wall REAL NOT NULL,
        duration_s REAL,
        outcome TEXT NOT NULL,
        sentence TEXT NOT NULL,
        with_video INTEGER NOT NULL,
        steps TEXT NOT NULL,
        path TEXT,
        seen INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX history_by_time ON history (started_wall);
    """,
    """
    CREATE TABLE trickling (
        address TEXT PRIMARY KEY,
        learned_wall REAL NOT NULL
    ) STRICT;
    """,
    """
    ALTER TABLE history ADD COLUMN score REAL;
    """,
)


def migrate(connection: sqlite3.Connection, scripts: tuple[str, ...] = SCRIPTS) -> None:
    """Bring the file to the newest shape, each step whole or not at all; PeopleError for a file from the future.

    Two Parleys that begin at the same time may both find an old file: each step looks again once it alone may write.
    """
    while (version := _version(connection)) != len(scripts):
        if version > len(scripts):
            raise PeopleError(
                f"Contacts and history were kept by a newer Parley (format {version}, this one knows {len(scripts)});"
                " use the newer one, or another folder with --profile."
            )
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) == version:
                for statement in scripts[version].split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
