"""Passwords: in the system's keyring, or in an encrypted file in the profile where there is none.

What the file protects: its key lies beside it, readable by its owner alone. A copied or backed-up `secrets.bin`
without the key is worthless, and nobody reads a password over a shoulder or in a search. A program that runs as the
same user can read both files; only a keyring keeps it out.

Every call here may block (a keyring may ask the person to unlock it): run it off the event loop.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import keyring
import keyring.backend
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.people.errors import PeopleError, in_words
from app.people.files import move_aside, write_atomically
from app.people.profile import Profile

logger = logging.getLogger(__name__)

MAGIC = b"parley-secrets-1\n"
NONCE_BYTES = 12
KEY_BYTES = 32
SECRET_LIMIT = 10_000


class Secrets:
    """Keeps secrets by name, e.g. the address of an account. Names are no secret; values never reach a log."""

    def __init__(self, profile: Profile) -> None:
        self._file = SecretsFile(profile.secrets_path, profile.secrets_key_path)
        # Two profiles may hold the same account with different passwords.
        self._service = "Parley" if profile.is_default else f"Parley {profile.root}"
        self._keyring = _usable_keyring()
        self.problem: str | None = None  # one sentence, after something could not be done as wished

    @property
    def place(self) -> str:
        """Where new secrets go: "keyring" or "file"."""
        return "file" if self._keyring is None else "keyring"

    def get(self, name: str) -> str | None:
        """The secret kept under this name, wherever it is; None when there is none."""
        found: str | None = None
        if self._keyring is not None:
            try:
                found = self._keyring.get_password(self._service, name)
            except Exception as error:  # back ends are plug-ins of many makers: what they raise is not to be known
                self._keyring_failed("read from", error)
        if found is None:
            found = self._file.read().get(name)
            self.problem = self._file.problem or self.problem
        return found

    def set(self, name: str, secret: str) -> None:
        """Keep a secret, replacing an older one; PeopleError when it could be kept nowhere."""
        if len(secret) > SECRET_LIMIT:
            raise PeopleError(f"A password of more than {SECRET_LIMIT} characters cannot be kept.")
        if self._keyring is not None:
            try:
                self._keyring.set_password(self._service, name, secret)
            except Exception as error:  # see get()
                self._keyring_failed("written to", error)
            else:
                self._file.remove(name)
                return
        self._file.put(name, secret)

    def delete(self, name: str) -> None:
        """Forget a secret; harmless when there was none."""
        self._file.remove(name)
        if self._keyring is None:
            return
        try:
            if self._keyring.get_password(self._service, name) is not None:
                self._keyring.delete_password(self._service, name)
        except Exception as error:  # see get()
            self._keyring_failed("changed in", error)

    def _keyring_failed(self, what: str, error: Exception) -> None:
        logger.warning("a password could not be %s the keyring: %s", what, type(error).__name__)
        self.problem = (
            f"A password could not be {what} the system's keyring ({type(error).__name__});"
            " an encrypted file in Parley's folder is used instead. Unlock the keyring and enter the password again."
        )


class SecretsFile:
    """A small map of names to secrets, encrypted as a whole with AES-256-GCM."""

    def __init__(self, path: Path, key_path: Path) -> None:
        self._path = path
        self._key_path = key_path
        self.problem: str | None = None

    def read(self) -> dict[str, str]:
        """Everything in the file; an unreadable one is moved aside and `problem` says so."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.problem = f"The kept passwords in {self._path} could not be read ({in_words(error)})."
            return {}
        try:
            return self._decrypt(data)
        except (ValueError, InvalidTag) as error:
            logger.warning("the file of passwords is damaged: %s", type(error).__name__)
            try:
                moved = f" The old file is kept as {move_aside(self._path).name}."
            except OSError:
                moved = ""
            self.problem = f"The kept passwords could not be decrypted: enter them again.{moved}"
            return {}

    def put(self, name: str, secret: str) -> None:
        self._write({**self.read(), name: secret})

    def remove(self, name: str) -> None:
        entries = self.read()
        if entries.pop(name, None) is not None:
            self._write(entries)

    def _decrypt(self, data: bytes) -> dict[str, str]:
        start = len(MAGIC) + NONCE_BYTES
        if not data.startswith(MAGIC) or len(data) < start:
            raise ValueError("not a file of secrets")
        try:
            key = self._key_path.read_bytes()
        except OSError as error:
            raise ValueError("no key") from error
        plain = AESGCM(key).decrypt(data[len(MAGIC) : start], data[start:], MAGIC)
        entries = json.loads(plain)
        if not isinstance(entries, dict):
            raise ValueError("not a map of secrets")
        return {str(name): str(secret) for name, secret in entries.items()}

    def _write(self, entries: dict[str, str]) -> None:
        try:
            nonce = os.urandom(NONCE_BYTES)
            sealed = AESGCM(self._key()).encrypt(nonce, json.dumps(entries).encode(), MAGIC)
            write_atomically(self._path, MAGIC + nonce + sealed)
        except OSError as error:
            raise PeopleError(f"The password could not be kept in {self._path} ({in_words(error)}).") from error

    def _key(self) -> bytes:
        """The key of this profile, made at first use; a damaged one is replaced, as nothing is readable by it."""
        try:
            key = self._key_path.read_bytes()
            if len(key) == KEY_BYTES:
                return key
        except FileNotFoundError:
            logger.info("making a key for the file of passwords")
        key = os.urandom(KEY_BYTES)
        write_atomically(self._key_path, key)
        return key


def _usable_keyring() -> keyring.backend.KeyringBackend | None:
    """The system's keyring; None on a machine that has none, or only one that would not protect anything."""
    try:
        backend = keyring.get_keyring()
        # 1 and more is what keyring recommends; below are "fail", "null" and plain text files.
        return backend if backend.priority >= 1 else None
    except Exception as error:  # a broken plug-in or bus must not keep Parley from starting
        logger.warning("no keyring can be used: %s", type(error).__name__)
        return None
