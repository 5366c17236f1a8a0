"""The profile: the one folder where a run of Parley reads and keeps everything, used by one engine at a time."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import IO

import platformdirs

from app.people.errors import PeopleError, in_words

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(1024)  # beyond the process id, which others may read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


class Profile:
    """Paths in one profile folder, and its lock.

    The lock belongs to the operating system's open file, so a killed engine leaves none behind.
    """

    def __init__(self, root: Path | None = None) -> None:
        """`root` None means the person's own data folder."""
        self.is_default = root is None
        self.root = (root if root is not None else default_root()).expanduser().absolute()
        self._lock_file: IO[bytes] | None = None

    @property
    def settings_path(self) -> Path:
        return self.root / "settings.json"

    @property
    def database_path(self) -> Path:
        return self.root / "parley.sqlite3"

    @property
    def secrets_path(self) -> Path:
        return self.root / "secrets.bin"

    @property
    def secrets_key_path(self) -> Path:
        return self.root / "secrets.key"

    @property
    def channels_path(self) -> Path:
        """The missions that are open, with their keys."""
        return self.root / "channels.bin"

    @property
    def timeline_path(self) -> Path:
        """The folder of what was said on channels."""
        return self.root / "timeline"

    @property
    def lock_path(self) -> Path:
        return self.root / "lock"

    def create(self) -> None:
        """Make the folder, readable by its owner alone; PeopleError when that cannot be."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.name != "nt" and self.root.stat().st_uid == os.getuid():
                self.root.chmod(0o700)
        except OSError as error:
            raise PeopleError(
                f"The folder {self.root} for Parley's data cannot be used ({in_words(error)});"
                " choose another with --profile."
            ) from error

    def acquire(self) -> None:
        """Create the folder and take it for this process; PeopleError when another engine has it."""
        if self._lock_file is not None:
            return
        self.create()
        try:
            file = open(self.lock_path, "a+b")  # noqa: SIM115  held until release()
        except OSError as error:
            raise PeopleError(
                f"The folder {self.root} cannot be written to ({in_words(error)}); choose another with --profile."
            ) from error
        try:
            _lock(file)
        except OSError as error:
            owner = _read_owner(file)
            file.close()
            raise PeopleError(
                f"Another Parley{owner} is using the folder {self.root}; close it, or choose another with --profile."
            ) from error
        file.truncate(0)
        file.write(b"%d" % os.getpid())
        file.flush()
        self._lock_file = file

    def release(self) -> None:
        """Give the profile back; harmless when it was not held."""
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def __enter__(self) -> Profile:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def default_root() -> Path:
    """The person's own data folder for Parley, by the custom of the operating system."""
    return Path(platformdirs.user_data_dir("parley", appauthor=False))


def _read_owner(file: IO[bytes]) -> str:
    with contextlib.suppress(OSError):
        file.seek(0)
        text = file.read(20).decode("ascii", "replace")
        if text.isdigit():
            return f" (process {text})"
    return ""
