"""What waits to be sent over a connection: sound that has grown old is dropped rather than queued.

TCP delays where UDP would lose. A listener has no use for speech of a second ago, and it would delay what is said
now, so the queue is bounded in number and in age, and its oldest goes first. Pure: the time is passed in.
"""

from __future__ import annotations

from collections import deque

MOST_PACKETS = 64
MOST_AGE_S = 0.5


class SendQueue:
    """At most `most_packets` datagrams of at most `most_age_s`. `dropped` counts those that were never sent."""

    def __init__(self, most_packets: int = MOST_PACKETS, most_age_s: float = MOST_AGE_S) -> None:
        self._most_packets = most_packets
        self._most_age_s = most_age_s
        self._waiting: deque[tuple[float, bytes]] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, datagram: bytes, now: float) -> None:
        """Queue a datagram, in place of the oldest when there are too many."""
        self._drop_old(now)
        if len(self._waiting) >= self._most_packets:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append((now, datagram))

    def take(self, now: float) -> bytes | None:
        """Take the oldest that is still worth sending; None when there is none."""
        self._drop_old(now)
        return self._waiting.popleft()[1] if self._waiting else None

    def clear(self) -> None:
        """Drop all."""
        self.dropped += len(self._waiting)
        self._waiting.clear()

    def _drop_old(self, now: float) -> None:
        while self._waiting and now - self._waiting[0][0] > self._most_age_s:
            self._waiting.popleft()
            self.dropped += 1
