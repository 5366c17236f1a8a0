"""Sealed channels: every datagram whole under AES-256-GCM, with the channel's key. Clear channels: plain RTP.

    byte 0      1: the form of what follows; RTP begins with 0x80 to 0xBF, so neither can be taken for the other
    bytes 1-8   prefix, random, drawn anew at every start of a sealer
    bytes 9-12  counter, which keeps pace with the sender's clock: its time in units of 20 ms, modulo 2**32, or one more
                than the last; prefix and counter are the nonce of 96 bits (NIST SP 800-38D section 8.2.1)
    …           the datagram, encrypted
    last 16     tag

The channel's id is authenticated along with it, so that what was sealed for one channel is refused by another that has
the same key. docs/channels-packets.md tells why nonces do not repeat, and how often they might, and what the
time in them is good for. Pure but for the random bytes, which a test may give.
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

from app.channels.errors import AgeError, ReplayError, SealError
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

TICKS_A_S = 50  # as packets of 20 ms
_CYCLE = 1 << 8 * COUNTER_BYTES  # ticks: 2.7 years
MOST_AHEAD = 30 * TICKS_A_S  # ticks that a counter may be ahead of its sender's clock
MOST_AGE_S = 300.0  # as Kerberos (RFC 4120 section 1.6): clocks that nobody sets go wrong by less in two months

WINDOW = 1_024  # ticks: 20 s, so that a slower way may bring what a faster one lost
MOST_PREFIXES = 4_096
FORGET_AFTER_S = 3_600.0  # what is sealed with a prefix is refused for its age long before
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

    `ticks_a_prefix`: when the counter has gone so far a new prefix is drawn; also when the clock was set back.
    """

    def __init__(
        self,
        key: bytes,
        group_id: str,
        *,
        random_bytes: Callable[[int], bytes] = os.urandom,
        ticks_a_prefix: int = _CYCLE,
    ) -> None:
        self._cipher = _cipher(key)
        self._bound = _bound(group_id)
        self._random_bytes = random_bytes
        self._ticks_a_prefix = ticks_a_prefix
        self._prefix = b""
        self._first = self._next = 0  # ticks of this prefix

    def seal(self, datagram: bytes, unix_s: float) -> bytes:
        """Seal one datagram, at a time of the wall's clock; SealError when it is too long."""
        if len(datagram) > MOST_BYTES:
            raise SealError(f"A datagram of {len(datagram)} bytes cannot be sealed: {MOST_BYTES} is the most.")
        now = int(unix_s * TICKS_A_S)
        tick = max(self._next, now)
        if not self._prefix or tick - now > MOST_AHEAD or tick - self._first >= self._ticks_a_prefix:
            self._prefix = self._random_bytes(PREFIX_BYTES)
            self._first = tick = now
        self._next = tick + 1
        nonce = self._prefix + (tick % _CYCLE).to_bytes(COUNTER_BYTES)
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

    def open(self, data: bytes, now: float, unix_s: float) -> bytes:
        """Give the datagram; `now` is of a clock that never goes back, `unix_s` of the wall's.

        ReplayError when it came before, AgeError when it was not sealed lately, SealError when it is not sealed for
        this channel.
        """
        if not data or data[0] != FORM:
            raise SealError("This channel is encrypted, and what came is not.")
        if not OVERHEAD_BYTES <= len(data) <= MOST_SEALED_BYTES:
            raise SealError(f"A sealed datagram of {len(data)} bytes is cut short or too long.")
        nonce = data[1:_NONCE_END]
        prefix, counter = nonce[:PREFIX_BYTES], int.from_bytes(nonce[PREFIX_BYTES:])
        our_tick = int(unix_s * TICKS_A_S)
        ahead = (counter - our_tick + _CYCLE // 2) % _CYCLE - _CYCLE // 2
        tick = our_tick + ahead
        window = self._windows.get(prefix)
        if window is not None and not window.is_new(tick):
            raise ReplayError("A sealed datagram came a second time, or far too late.")
        try:
            datagram = self._cipher.decrypt(nonce, data[_NONCE_END:], self._bound)
        except InvalidTag as error:
            raise SealError("A datagram is sealed with another key or for another channel, or damaged.") from error
        if abs(ahead) > MOST_AGE_S * TICKS_A_S:
            raise AgeError(-ahead / TICKS_A_S, datagram)
        if window is None:
            self._make_room(now)
            window = self._windows[prefix] = _Window()
        self._windows.move_to_end(prefix)
        window.mark(tick, now)
        return datagram

    def _make_room(self, now: float) -> None:
        while self._windows:
            oldest = next(iter(self._windows.values()))
            if len(self._windows) < MOST_PREFIXES and now - oldest.heard_at <= FORGET_AFTER_S:
                return
            self._windows.popitem(last=False)


class _Window:
    """Which of a sender's latest packets came; bit 0 stands for the highest tick."""

    __slots__ = ("_highest", "_seen", "heard_at")

    def __init__(self) -> None:
        self._highest = -_CYCLE
        self._seen = 0
        self.heard_at = 0.0

    def is_new(self, tick: int) -> bool:
        behind = self._highest - tick
        return behind < 0 or (behind < WINDOW and not self._seen >> behind & 1)

    def mark(self, tick: int, now: float) -> None:
        self.heard_at = now
        ahead = tick - self._highest
        if ahead <= 0:
            self._seen |= 1 << -ahead
        else:
            self._seen = (self._seen << ahead & _WINDOW_MASK | 1) if ahead < WINDOW else 1
            self._highest = tick


class Protection(Protocol):
    """What lies between a channel's packets and its links."""

    is_sealed: bool

    def seal(self, datagram: bytes, unix_s: float) -> bytes:
        """Give what goes onto the link."""

    def open(self, data: bytes, now: float, unix_s: float) -> bytes:
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

    def seal(self, datagram: bytes, unix_s: float) -> bytes:
        return datagram

    def open(self, data: bytes, now: float, unix_s: float) -> bytes:
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
