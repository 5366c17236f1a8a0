"""Whether a socket's datagrams may be read together at the loop's beat, or each as soon as it is there. Pure.

They may where they come thick, and over a path that carries far more than comes: there no queue grows in that time that
its sender would have to hear of. A path's width shows in how close datagrams follow each other that were sent together,
by the times at which the kernel had them.
"""

from __future__ import annotations

WINDOW_S = 0.5
THICK = 75  # datagrams in a window: with fewer there is little to do together
CLOSE_PAIRS = 8  # in a window, of large datagrams
LARGE_BYTES = 600
WIDTH = 3.0  # times what comes
LEAST_WIDTH_BPS = 4_000_000.0
EMPTY_READS = 4  # one after the other: nothing comes any more
TOO_MANY = 24  # at one reading: more than a beat brings of any call


class ReadingPace:
    """Follows one socket. `together` is what to do now."""

    def __init__(self) -> None:
        self.together = False
        self._since = 0.0  # the window's beginning
        self._count = self._bytes = self._pairs = self._empty = 0
        self._close_s_per_byte = 8 / LEAST_WIDTH_BPS
        self._last_at = 0.0

    def came(self, size: int, at: float) -> None:
        """Note a datagram of so many bytes, and when it came (monotonic seconds)."""
        self._count += 1
        self._bytes += size
        if size >= LARGE_BYTES and at - self._last_at <= size * self._close_s_per_byte:
            self._pairs += 1
        self._last_at = at

    def was_read(self, count: int, now: float) -> None:
        """The socket was emptied, of so many datagrams."""
        self._empty = 0 if count else self._empty + 1
        if self._empty >= EMPTY_READS or count >= TOO_MANY:
            self.together = False
        passed_s = now - self._since
        if passed_s < WINDOW_S:
            return
        is_thick = self._count >= THICK * passed_s / WINDOW_S and passed_s < 2 * WINDOW_S
        self.together = is_thick and self._pairs >= CLOSE_PAIRS
        rate_bps = self._bytes * 8 / passed_s
        self._close_s_per_byte = 8 / max(LEAST_WIDTH_BPS, WIDTH * rate_bps)
        self._since, self._count, self._bytes, self._pairs = now, 0, 0, 0
