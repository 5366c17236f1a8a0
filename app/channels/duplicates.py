"""Hands on one copy of a datagram that comes by several ways: two interfaces of one network, or two links at once.

A datagram is known by its bytes: each is sealed and numbered, so equal bytes are the same datagram, and nothing has to
be opened to see it. Pure; bounded in number and in time.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

WINDOW_S = 5.0  # no second copy comes later: what is older than half a second does not wait in any queue of ours
MOST_KNOWN = 8192  # thirty talkers at 20 ms for the whole window
_DIGEST_BYTES = 12


def digest(datagram: bytes) -> bytes:
    """Give what a datagram is known by."""
    return blake2b(datagram, digest_size=_DIGEST_BYTES).digest()


class Duplicates:
    """The datagrams of the last `WINDOW_S`, the newest `MOST_KNOWN` of them."""

    def __init__(self, most_known: int = MOST_KNOWN) -> None:
        self._most_known = most_known
        self._known: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def is_new(self, key: bytes, now: float) -> bool:
        """Tell whether this digest is the first of its kind in the window, and remember it from now on."""
        while self._known:
            oldest, since = next(iter(self._known.items()))
            if now - since <= WINDOW_S and len(self._known) < self._most_known:
                break
            del self._known[oldest]
        if key in self._known:
            return False
        self._known[key] = now
        return True
