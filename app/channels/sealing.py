"""Sealed channels: every datagram whole under AES-256-GCM, with the channel's key. Clear channels: plain RTP.

    byte 0      1: the form of what follows; RTP begins with 0x80 to 0xBF, so neither can be taken for the other
    bytes 1-8   prefix, random, drawn anew at every start of a sealer
    bytes 9-12  counter from 0; prefix and counter are the nonce of 96 bits (NIST SP 800-38D section 8.2.1)
    …           the datagram, encrypted
    last 16     tag

The channel's id is authenticated along with it, so that what was sealed for one channel is refused by another that has
the same key. docs/channels-packets.md tells why nonces do not repeat, and how often they might. Pure but for the random
bytes, which a test may give.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.channels.errors import ReplayError, SealError
from app.channels.packet import MOST_BYTES

KEY_BYTES = 32
KEY_ROUNDS = 15_000
KEY_SALT = b"Parley channel 1"  # every member of a channel has to get the same key, so it cannot be random
MOST_PASSWORD_BYTES = 1_024

FORM = 1
PREFIX_BYTES, COUNTER_BYTES, TAG_BYTES = 8, 4, 16
_NONCE_END = 1 + PREFIX_BYTES + COUNTER_BYTES
OVERHEAD_BYTES = _NONCE_END + TAG_BYTES
MOST_SEALED_BYTES = MOST_BYTES + OVERHEAD_BYTES

WINDOW = 1_024  # packets: 20 s at 20 ms, so that a slower way may bring what a faster one lost
MOST_PREFIXES = 4_096
FORGET_AFTER_S = 7 * 24 * 3_600.0
_WINDOW_MASK = (1 << WINDOW) - 1


@functools.lru_cache(maxsize=128)
def derive_key(crypto_password: str) -> bytes:
    """Make a channel's key out of its `cryptoPassword`, as it is written; SealError when it is empty or far too long.

    PBKDF2-HMAC-SHA256. Takes some 10 ms the first time: on a loop use `channel_keys.channel_key`.
    """
    password = crypto_password.encode(errors="surrogatepass")
    if not 0 < len(password) <= MOST_PASSWORD_BYTES:
        raise SealError(f"An encryption key has 1 to {MOST_PASSWORD_BYTES} bytes, not {len(password)}.")
    return hashlib.pbkdf2_hmac("sha256", password, KEY_SALT, KEY_ROUNDS, KEY_BYTES)


class Sealer:
    """Seals what one sender sends on one channel.

    `packets_a_prefix`: after so many a new prefix is drawn.
    """

    def __init__(
        self,
        key: bytes,
        group_id: str,
        *,
        random_bytes: Callable[[int], bytes] = os.urandom,
        packets_a_prefix: int = 1 << 8 * COUNTER_BYTES,
    ) -> None:
        self._cipher = _cipher(key)
        self._bound = _bound(group_id)
        self._random_bytes = random_bytes
        self._packets_a_prefix = packets_a_prefix
        self._prefix = random_bytes(PREFIX_BYTES)
        self._counter = 0

    def seal(self, datagram: bytes) -> bytes:
        """Seal one datagram; SealError when it is too long."""
        if len(datagram) > MOST_BYTES:
            raise SealError(f"A datagram of {len(datagram)} bytes cannot be sealed: {MOST_BYTES} is the most.")
        if self._counter == self._packets_a_prefix:
            self._prefix, self._counter = self._random_bytes(PREFIX_BYTES), 0
        nonce = self._prefix + self._counter.to_bytes(COUNTER_BYTES)
        self._counter += 1
        return bytes((FORM,)) + nonce + self._cipher.encrypt(nonce, datagram, self._bound)


class Opener:
    """Opens what all senders of one channel sealed, each datagram once.

    Who has the key can make it remember senders, up to MOST_PREFIXES; who has not, nothing.
    """

    def __init__(self, key: bytes, group_id: str) -> None:
        self._cipher = _cipher(key)
        self._bound = _bound(group_id)
        self._windows: OrderedDict[bytes, _Window] = OrderedDict()  # who was heard longest ago first

    def __len__(self) -> int:
        """How many senders are remembered."""
        return len(self._windows)

    def open(self, data: bytes, now: float) -> bytes:
        """Give the datagram; ReplayError when it came before, SealError when it is not sealed for this channel."""
        if not data or data[0] != FORM:
            raise SealError("This channel is encrypted, and what came is not.")
        if not OVERHEAD_BYTES <= len(data) <= MOST_SEALED_BYTES:
            raise SealError(f"A sealed datagram of {len(data)} bytes is cut short or too long.")
        nonce = data[1:_NONCE_END]
        prefix, counter = nonce[:PREFIX_BYTES], int.from_bytes(nonce[PREFIX_BYTES:])
        window = self._windows.get(prefix)
        if window is not None and not window.is_new(counter):
            raise ReplayError("A sealed datagram came a second time, or far too late.")
        try:
            datagram = self._cipher.decrypt(nonce, data[_NONCE_END:], self._bound)
        except InvalidTag as error:
            raise SealError("A datagram is sealed with another key or for another channel, or damaged.") from error
        if window is None:
            self._make_room(now)
            window = self._windows[prefix] = _Window()
        self._windows.move_to_end(prefix)
        window.mark(counter, now)
        return datagram

    def _make_room(self, now: float) -> None:
        while self._windows:
            oldest = next(iter(self._windows.values()))
            if len(self._windows) < MOST_PREFIXES and now - oldest.heard_at <= FORGET_AFTER_S:
                return
            self._windows.popitem(last=False)


class _Window:
    """Which of a sender's latest packets came; bit 0 stands for the highest counter."""

    __slots__ = ("_highest", "_seen", "heard_at")

    def __init__(self) -> None:
        self._highest = -1
        self._seen = 0
        self.heard_at = 0.0

    def is_new(self, counter: int) -> bool:
        behind = self._highest - counter
        return behind < 0 or (behind < WINDOW and not self._seen >> behind & 1)

    def mark(self, counter: int, now: float) -> None:
        self.heard_at = now
        ahead = counter - self._highest
        if ahead <= 0:
            self._seen |= 1 << -ahead
        else:
            self._seen = (self._seen << ahead & _WINDOW_MASK | 1) if ahead < WINDOW else 1
            self._highest = counter


class Protection(Protocol):
    """What lies between a channel's packets and its links."""

    is_sealed: bool

    def seal(self, datagram: bytes) -> bytes:
        """Give what goes onto the link."""

    def open(self, data: bytes, now: float) -> bytes:
        """Give the datagram out of what a link brought; SealError when it is not for this channel."""


class Sealed:
    """A channel with a key: nothing clear leaves, and nothing clear is taken."""

    is_sealed = True

    def __init__(self, key: bytes, group_id: str, *, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._opener = Opener(key, group_id)
        self.seal = Sealer(key, group_id, random_bytes=random_bytes).seal
        self.open = self._opener.open


class Clear:
    """A channel without a key: datagrams go as they are, and nothing sealed is taken."""

    is_sealed = False

    def seal(self, datagram: bytes) -> bytes:
        return datagram

    def open(self, data: bytes, now: float) -> bytes:
        if data[:1] == bytes((FORM,)):
            raise SealError("This channel is not encrypted, and what came is.")
        return data


def protection(group_id: str, key: bytes | None) -> Protection:
    """Make the protection of a channel; `key` None: it is clear."""
    return Clear() if key is None else Sealed(key, group_id)


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise SealError(f"A channel's key has {KEY_BYTES} bytes, not {len(key)}.")
    return AESGCM(key)


def _bound(group_id: str) -> bytes:
    """Give what is authenticated beside the datagram: the form, and the channel's id without braces or capitals."""
    return bytes((FORM,)) + group_id.strip("{}").lower().encode(errors="surrogatepass")
