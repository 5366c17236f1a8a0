"""The PIN that keeps a mission from being edited: a mission holds its digest, never the PIN.

It stops a hand that slips and a person who was asked not to; whoever has the file can read and rewrite it, and a few
digits are guessed in minutes. What must stay secret is encrypted under a passphrase (mission_file.py).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass

from app.channels.errors import MissionError

LEAST_DIGITS, MOST_DIGITS = 4, 12
ROUNDS = 100_000
MOST_ROUNDS = 1_000_000  # what a stranger's file may cost: half a second
MOST_TEXT = 200
_METHOD = "pbkdf2-sha256"
_BYTES = 16


@dataclass(frozen=True, slots=True)
class PinDigest:
    """PBKDF2-HMAC-SHA256 of a PIN, 16 bytes. As text: `pbkdf2-sha256:ROUNDS:SALT:DIGEST`, the last two in hex."""

    rounds: int
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, pin: str, *, random_bytes: Callable[[int], bytes] = os.urandom) -> PinDigest:
        """Digest a PIN of 4 to 12 digits; MissionError for anything else."""
        if not (pin.isascii() and pin.isdigit() and LEAST_DIGITS <= len(pin) <= MOST_DIGITS):
            raise MissionError(f"A PIN has {LEAST_DIGITS} to {MOST_DIGITS} digits and nothing else.")
        salt = random_bytes(_BYTES)
        return cls(ROUNDS, salt, _digest(pin, salt, ROUNDS))

    @classmethod
    def parse(cls, text: str) -> PinDigest:
        """Read the text; ValueError when it is none."""
        method, rounds, salt, digest = text.split(":")
        made = cls(int(rounds), bytes.fromhex(salt), bytes.fromhex(digest))
        if method != _METHOD or not 1 <= made.rounds <= MOST_ROUNDS or str(made) != text.lower():
            raise ValueError("not a digest of a PIN")
        if len(made.salt) != _BYTES or len(made.digest) != _BYTES:
            raise ValueError("not a digest of a PIN")
        return made

    def __str__(self) -> str:
        return f"{_METHOD}:{self.rounds}:{self.salt.hex()}:{self.digest.hex()}"

    def matches(self, pin: str) -> bool:
        """Whether this is the PIN. Takes tens of milliseconds: not for an event loop."""
        return hmac.compare_digest(_digest(pin, self.salt, self.rounds), self.digest)


def _digest(pin: str, salt: bytes, rounds: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", pin.encode("utf-8", "replace"), salt, rounds, _BYTES)
