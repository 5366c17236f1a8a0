"""Passwords go to the keyring, or to an encrypted file where there is none; the file's tests use the real cipher."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest

from app.people.errors import PeopleError
from app.people.profile import Profile
from app.people.secrets import Secrets

NAME = "sip:ada@example.org"
PASSWORD = "correct horse – battery"


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring like a desktop's, kept in memory; `locked` makes it refuse as a locked one does."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def _check(self) -> None:
        if self.locked:
            raise keyring.errors.KeyringLocked("locked")

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        del self.kept[service, username]


@pytest.fixture
def desktop() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    ring = MemoryKeyring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    profile = Profile(tmp_path / "profile")
    profile.create()
    return profile


def test_without_a_keyring_a_second_start_finds_the_password(profile: Profile) -> None:
    secrets = Secrets(profile)
    assert secrets.place == "file"
    assert secrets.get(NAME) is None
    secrets.set(NAME, PASSWORD)
    secrets.set("turn:x", "other")
    again = Secrets(profile)
    assert (again.get(NAME), again.get("turn:x"), again.problem) == (PASSWORD, "other", None)
    again.delete(NAME)
    again.delete(NAME)
    assert Secrets(profile).get(NAME) is None
    assert Secrets(profile).get("turn:x") == "other"


def test_the_file_shows_neither_name_nor_password_and_is_the_owners_alone(
    profile: Profile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    Secrets(profile).set(NAME, PASSWORD)
    data = profile.secrets_path.read_bytes()
    assert PASSWORD.encode() not in data
    assert b"ada@" not in data
    assert PASSWORD not in caplog.text
    if os.name != "nt":
        assert stat.S_IMODE(profile.secrets_path.stat().st_mode) == 0o600
        assert stat.S_IMODE(profile.secrets_key_path.stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["no key", "other key", "cut", "changed", "foreign"])
def test_a_file_that_cannot_be_decrypted_is_moved_aside_with_one_sentence(profile: Profile, damage: str) -> None:
    Secrets(profile).set(NAME, PASSWORD)
    data = profile.secrets_path.read_bytes()
    if damage == "no key":
        profile.secrets_key_path.unlink()
    elif damage == "other key":
        profile.secrets_key_path.write_bytes(bytes(32))
    else:
        damaged = {"cut": data[:20], "changed": data[:-1] + bytes([data[-1] ^ 1]), "foreign": b"hello"}[damage]
        profile.secrets_path.write_bytes(damaged)
    secrets = Secrets(profile)
    assert secrets.get(NAME) is None
    assert secrets.problem is not None
    assert "enter them again" in secrets.problem
    assert "secrets.bin.broken" in secrets.problem
    secrets.set(NAME, "new")
    assert Secrets(profile).get(NAME) == "new"


def test_with_a_keyring_no_file_is_written(profile: Profile, desktop: MemoryKeyring) -> None:
    secrets = Secrets(profile)
    assert secrets.place == "keyring"
    secrets.set(NAME, PASSWORD)
    assert list(desktop.kept.values()) == [PASSWORD]
    assert not profile.secrets_path.exists()
    assert Secrets(profile).get(NAME) == PASSWORD
    secrets.delete(NAME)
    assert desktop.kept == {}


def test_two_profiles_keep_their_own_password_of_one_account(
    tmp_path: Path, profile: Profile, desktop: MemoryKeyring
) -> None:
    other = Profile(tmp_path / "other")
    other.create()
    Secrets(profile).set(NAME, "one")
    Secrets(other).set(NAME, "two")
    assert (Secrets(profile).get(NAME), Secrets(other).get(NAME)) == ("one", "two")


def test_a_locked_keyring_is_said_and_the_file_steps_in(profile: Profile, desktop: MemoryKeyring) -> None:
    desktop.locked = True
    secrets = Secrets(profile)
    secrets.set(NAME, PASSWORD)
    assert secrets.problem is not None
    assert "Unlock the keyring" in secrets.problem
    assert PASSWORD not in secrets.problem
    assert secrets.get(NAME) == PASSWORD
    desktop.locked = False
    secrets.set(NAME, "newer")  # now it goes where it belongs, and the file forgets the old one
    assert list(desktop.kept.values()) == ["newer"]
    secrets.delete(NAME)
    assert secrets.get(NAME) is None


def test_a_keyring_that_appears_later_still_finds_what_the_file_keeps(profile: Profile) -> None:
    Secrets(profile).set(NAME, PASSWORD)
    before = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    try:
        assert Secrets(profile).get(NAME) == PASSWORD
    finally:
        keyring.set_keyring(before)


def test_what_cannot_be_kept_is_refused(profile: Profile) -> None:
    with pytest.raises(PeopleError, match="more than"):
        Secrets(profile).set(NAME, "x" * 10_001)
    gone = Profile(profile.root / "gone")
    with pytest.raises(PeopleError, match="could not be kept"):
        Secrets(gone).set(NAME, "x")
