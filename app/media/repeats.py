"""Packets that a peer asks for again: each once more, or twice where the path loses much. Pure but for its meter."""

from __future__ import annotations

from collections import deque

from app.media.stats import RateMeter

# Where the peer asks for so much of what is sent, or for something once more, a repetition goes twice, some time apart:
# that it is lost too would cost another round trip of standing picture, or of missing sound.
LOSSY_SHARE = 0.02
AGAIN_AFTER_S = 0.010
ASKED_LATELY_S = 1.0
MOST_AGAIN = 64
MOST_KNOWN = 256


class Repeats:
    """Of one stream."""

    def __init__(self) -> None:
        self._asked = RateMeter()
        self._again: deque[tuple[float, list[bytes]]] = deque(maxlen=MOST_AGAIN)
        self._known: deque[bytes] = deque(maxlen=MOST_KNOWN)  # sequence numbers of what was repeated lately
        self.asked_at: float | None = None  # the last time

    def asked(self, packets: list[bytes], packets_per_second: float, now: float) -> None:
        """Note what is repeated now, and how many packets are sent anyway."""
        if not packets:
            return
        self.asked_at = now
        self._asked.add(len(packets), now)
        is_lossy = (self._asked.per_second(now) or 0.0) > LOSSY_SHARE * packets_per_second > 0
        was_lost_again = any(packet[2:4] in self._known for packet in packets)
        self._known.extend(packet[2:4] for packet in packets)
        if is_lossy or was_lost_again:
            self._again.append((now + AGAIN_AFTER_S, packets))

    def was_asked_lately(self, now: float) -> bool:
        """Whether the peer may soon ask again, or something goes a second time."""
        return self.asked_at is not None and now - self.asked_at < ASKED_LATELY_S

    def due(self, now: float) -> list[bytes]:
        """Give what goes a second time now."""
        packets: list[bytes] = []
        while self._again and now >= self._again[0][0]:
            packets += self._again.popleft()[1]
        return packets
