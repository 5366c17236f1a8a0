"""The long-term credential mechanism on the server's side, RFC 8489 section 9.2.4.

Pure and without memory: a nonce carries its own time and a keyed digest over it and the client's address, so
that strangers who ask for nonces cost nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from app.ice.stun import Address, Attribute, Message

NONCE_LIFETIME_S = 3600.0
_CLOCK_BYTES = 4
_CLOCK_SPAN = 1 << 32


class Refusal(Enum):
    """Why a request is not accepted as a user's."""

    MISSING = auto()  # no credentials at all: 401 with a challenge
    INCOMPLETE = auto()  # MESSAGE-INTEGRITY, but not all that goes with it: 400
    STALE = auto()  # the nonce is old or not ours: 438 with a challenge
    WRONG = auto()  # no such user, or the wrong password: 401 with a challenge


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signed the request, and the key with which the answer is signed."""

    username: str
    key: bytes = field(repr=False)


class LongTermAuth:
    """Checks requests. `key_of` gives the MD5 key of a user; `secret` signs nonces and never leaves the process."""

    def __init__(self, realm: str, key_of: Callable[[str], bytes | None], secret: bytes) -> None:
        self.realm = realm
        self._key_of = key_of
        self._secret = secret
        self._nobody = hmac.digest(secret, b"nobody", "sha256")[:16]

    def challenge(self, failure: Message, client: Address, now: float) -> Message:
        """Add REALM and a fresh NONCE to an error response."""
        failure.add_text(Attribute.REALM, self.realm)
        return failure.add_text(Attribute.NONCE, self._nonce(int(now), client))

    def check(self, request: Message, client: Address, now: float) -> Credentials | Refusal:
        """Say who made this request, or why nobody did; StunError when an attribute is not even text."""
        if request.integrity_at is None:
            return Refusal.MISSING
        username = request.text(Attribute.USERNAME)
        realm = request.text(Attribute.REALM)
        nonce = request.text(Attribute.NONCE)
        if username is None or realm is None or nonce is None:
            return Refusal.INCOMPLETE
        if not self._is_fresh(nonce, client, now):
            return Refusal.STALE
        key = self._key_of(username)
        # An unknown user costs the same digest as a known one, so that the time taken tells nobody apart.
        signed = request.check_integrity(key if key is not None else self._nobody)
        if key is None or not signed or realm != self.realm:
            return Refusal.WRONG
        return Credentials(username, key)

    def _nonce(self, second: int, client: Address) -> str:
        clock = (second % _CLOCK_SPAN).to_bytes(_CLOCK_BYTES, "big")
        signature = hmac.digest(self._secret, clock + f"{client[0]} {client[1]}".encode(), "sha256")[:10]
        return (clock + signature).hex()

    def _is_fresh(self, nonce: str, client: Address, now: float) -> bool:
        try:
            second = int.from_bytes(bytes.fromhex(nonce[: 2 * _CLOCK_BYTES]), "big")
        except ValueError:
            return False
        if not hmac.compare_digest(self._nonce(second, client).encode(), nonce.encode()):
            return False
        return 0 <= (int(now) - second) % _CLOCK_SPAN <= NONCE_LIFETIME_S
