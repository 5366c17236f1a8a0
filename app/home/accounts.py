"""Who may use the home server. Passwords are never kept, only the digests that SIP and TURN need.

HA1 = H(username ":" realm ":" password): RFC 7616 section 3.4.2 for SIP, and the very same octets are the
long-term key of STUN and TURN, RFC 8489 section 9.2.2 (MD5) and 18.5.1.2 (SHA-256). So one digest serves both.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from app.home.errors import HomeError

MAX_USERS = 1000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


@dataclass(frozen=True, slots=True)
class HomeUser:
    """One user; digests are lower-case hex and stay out of the repr."""

    name: str
    ha1_md5: str = field(repr=False)
    ha1_sha256: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise HomeError(
                f"The user name {self.name[:30]!r} cannot be used: letters, digits and . _ + - are allowed, "
                "64 characters at most, beginning with a letter or digit."
            )
        if not re.fullmatch("[0-9a-f]{32}", self.ha1_md5) or not re.fullmatch("[0-9a-f]{64}", self.ha1_sha256):
            raise HomeError(f"The stored digests of the user {self.name!r} are damaged: set the password again.")

    @classmethod
    def from_password(cls, name: str, realm: str, password: str) -> HomeUser:
        """Make a user from a password, which is forgotten at once."""
        if not password:
            raise HomeError(f"The user {name[:30]!r} needs a password.")
        secret = f"{name}:{realm}:{password}".encode()
        return cls(
            name,
            hashlib.md5(secret, usedforsecurity=False).hexdigest(),
            hashlib.sha256(secret).hexdigest(),
        )


class Users:
    """The users of one home server by name, `MAX_USERS` at most. SIP user names compare case-sensitively."""

    def __init__(self, users: Iterable[HomeUser] = ()) -> None:
        self._by_name: dict[str, HomeUser] = {}
        for user in users:
            self.add(user)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[HomeUser]:
        return iter(tuple(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, user: HomeUser) -> None:
        """Add a user, or replace the digests of the one with this name."""
        if user.name not in self._by_name and len(self._by_name) >= MAX_USERS:
            raise HomeError(f"This home server already has {MAX_USERS} users, which is as many as it takes.")
        self._by_name[user.name] = user

    def remove(self, name: str) -> None:
        self._by_name.pop(name, None)

    def ha1(self, name: str, algorithm: str) -> str | None:
        """Give the HA1 of a user as hex for "MD5" or "SHA-256"; None when there is no such user."""
        user = self._by_name.get(name)
        if user is None:
            return None
        return user.ha1_sha256 if algorithm.upper().startswith("SHA-256") else user.ha1_md5

    def turn_key(self, name: str) -> bytes | None:
        """Give the MD5 long-term key of RFC 8489 section 9.2.2; None when there is no such user."""
        user = self._by_name.get(name)
        return bytes.fromhex(user.ha1_md5) if user is not None else None
