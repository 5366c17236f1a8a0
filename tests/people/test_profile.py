"""One folder, one engine at a time."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.people.errors import PeopleError
from app.people.profile import Profile, default_root

HOLDER = """
import sys
from pathlib import Path
from app.people.profile import Profile
profile = Profile(Path(sys.argv[1]))
profile.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with Profile(tmp_path / "a" / "b") as profile:
        assert stat.S_IMODE(profile.root.stat().st_mode) == 0o700
        assert profile.database_path.parent == profile.root


def test_an_open_folder_is_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Profile(tmp_path).create()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_without_a_name_it_is_the_persons_own_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    profile = Profile()
    assert profile.is_default
    assert profile.root == default_root()
    if sys.platform == "linux":
        assert profile.root == tmp_path / "parley"


def test_a_second_engine_is_told_who_has_the_folder(tmp_path: Path) -> None:
    with Profile(tmp_path), pytest.raises(PeopleError, match=rf"process {os.getpid()}\).*--profile"):
        Profile(tmp_path).acquire()
    with Profile(tmp_path) as again:
        again.acquire()  # held already: nothing to do
    again.release()


def test_a_killed_engine_leaves_the_folder_free(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(PeopleError, match=f"process {holder.pid}"):
            Profile(tmp_path).acquire()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with Profile(tmp_path) as profile:
        assert profile.lock_path.read_text() == str(os.getpid())


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PeopleError, match=r"cannot be used .not a directory.; choose another"):
        Profile(tmp_path / "file" / "profile").acquire()
