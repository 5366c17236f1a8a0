"""Inputs that are almost right, made fast: damage to known good ones, and to those that led somewhere new.

No coverage is measured. What a target says of an input (its outcome) stands in for it: an input with an outcome not
seen before joins the corpus, so that the next damage starts from there.
"""

from __future__ import annotations

import binascii
import random
import struct
from collections.abc import Sequence

MAX_CORPUS = 3000
MAX_INPUT = 4096
_EDGES = (0, 1, 3, 4, 7, 8, 0x3F, 0x40, 0x4F, 0x50, 0x7F, 0x80, 0xFE, 0xFF)


class Mutator:
    """Gives one input after another. `tokens` are pieces of the language; `stun` mends a header after the damage."""

    def __init__(self, rng: random.Random, seeds: Sequence[bytes], tokens: Sequence[bytes], *, stun: bool) -> None:
        self._random = rng.random
        self._bits = rng.getrandbits
        self._bytes = rng.randbytes
        self._corpus = list(seeds)
        self._tokens = list(tokens)
        self._stun = stun
        self._seen: set[object] = set()

    def __len__(self) -> int:
        return len(self._corpus)

    @property
    def outcomes(self) -> int:
        return len(self._seen)

    def learn(self, data: bytes, outcome: object) -> None:
        """Keep what led somewhere new."""
        if outcome not in self._seen and len(self._seen) < MAX_CORPUS:
            self._seen.add(outcome)
            self._corpus.append(data)

    def next(self) -> bytes:
        rand = self._random
        corpus = self._corpus
        data = bytearray(corpus[int(rand() * len(corpus))])
        for _ in range(
            int(rand() * rand() * 7)
        ):  # none at all now and then, so that what is kept has something to keep
            self._damage(data)
        del data[MAX_INPUT:]
        return self._mend(data) if self._stun and rand() < 0.85 else bytes(data)

    def _damage(self, data: bytearray) -> None:
        rand = self._random
        at = int(rand() * len(data)) if data else 0
        kind = int(rand() * 9)
        if kind == 0 and data:
            data[at] ^= 1 << self._bits(3)
        elif kind == 1 and data:
            data[at] = self._bits(8)
        elif kind == 2 and data:
            data[at] = _EDGES[int(rand() * len(_EDGES))]
        elif kind == 3:
            data[at:at] = self._bytes(1 + int(rand() * 8))
        elif kind == 4:
            del data[at : at + 1 + int(rand() * 8)]
        elif kind == 5:
            del data[at:]
        elif kind == 6:
            other = self._corpus[int(rand() * len(self._corpus))]
            data[at:] = other[int(rand() * len(other)) if other else 0 :]
        elif kind == 7:
            end = at + int(rand() * 40)
            data[at:at] = data[at:end]
        elif self._tokens:
            data[at:at] = self._tokens[int(rand() * len(self._tokens))]
        if self._stun and kind > 6:
            data += self._attribute()

    def _attribute(self) -> bytes:
        """Make up an attribute of a known kind with a length that may fit it."""
        rand = self._random
        value = self._bytes((0, 1, 4, 4, 8, 8, 20, 20, 24, 37)[int(rand() * 10)])
        if len(value) in (8, 20) and rand() < 0.8:  # an address more often than chance
            value = (b"\0\x01" if len(value) == 8 else b"\0\x02") + value[2:]
        kind = self._tokens[int(rand() * len(self._tokens))] if self._tokens else self._bytes(2)
        return kind[:2] + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)

    def _mend(self, data: bytearray) -> bytes:
        """Make the header true again, and in some cases the fingerprint: damage behind them is what is looked for."""
        data += bytes(20 - len(data)) if len(data) < 20 else bytes(-len(data) % 4)
        data[0] &= 0x3F
        data[4:8] = b"\x21\x12\xa4\x42"
        data[2:4] = (len(data) - 20).to_bytes(2, "big")
        if self._random() < 0.2:
            data[2:4] = (len(data) - 12).to_bytes(2, "big")
            data += struct.pack("!HHI", 0x8028, 4, binascii.crc32(data) ^ 0x5354554E)
        return bytes(data)
