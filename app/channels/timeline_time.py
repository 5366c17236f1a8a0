"""What time it is where bursts are about to be deleted because of it, over all runs of the program.

Pure: clocks are read, and the few bytes that one run leaves to the next are kept, elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass

MOST_JUMP_S = 24 * 3_600.0
STANDS_S = 3_600.0
_MAGIC = b"parley-time-1\n"
_FIELDS = struct.Struct("!ddd")
_TAG_BYTES = 32
TIME_BYTES = len(_MAGIC) + _FIELDS.size + _TAG_BYTES


@dataclass(frozen=True, slots=True)
class TimeSoFar:
    """What one run leaves to the next: `wall`, the time that was believed last.

    `doubted_wall`: what the wall's clock said last that is not believed yet; `doubted_s`: for how much of all runs.
    """

    wall: float
    doubted_wall: float = 0.0
    doubted_s: float = 0.0

    def to_bytes(self, key: bytes) -> bytes:
        """Give what `from_bytes` reads with the same key."""
        fields = _FIELDS.pack(self.wall, self.doubted_wall, self.doubted_s)
        return _MAGIC + fields + _tag(key, fields)

    @classmethod
    def from_bytes(cls, data: bytes, key: bytes) -> TimeSoFar | None:
        """Read it; None where it is damaged or another key's: a wrong time would delete what is not old."""
        fields, tag = data[len(_MAGIC) : -_TAG_BYTES], data[-_TAG_BYTES:]
        if len(data) != TIME_BYTES or not data.startswith(_MAGIC) or not hmac.compare_digest(tag, _tag(key, fields)):
            return None
        return cls(*_FIELDS.unpack(fields))


class BelievedTime:
    """What time it is, going by a time that has been.

    `wall` and `uptime`: what the wall's clock says now, and one that never goes back. The wall's clock is believed as
    long as it goes along with the other, or is behind; when it is more than a day ahead, only once it has stood so for
    an hour, of one run or of several: by then whoever set it wrong, or a machine that starts without a battery, has set
    it right. A machine that was asleep or off for days keeps what is old for that hour too.
    """

    def __init__(self, before: TimeSoFar, wall: float, uptime: float) -> None:
        self._believed = before.wall, uptime
        self._doubted = wall, uptime
        # A clock that begins where it began before has not gone on: it is wrong each time anew.
        goes_on = before.doubted_s > 0 and wall >= before.doubted_wall
        self._doubts_since = uptime - before.doubted_s if goes_on else None

    def now(self, wall: float, uptime: float) -> float:
        """Give the time to judge ages by; to be called now and then, so that a jump is seen when it happens."""
        expected = _going_on(self._believed, uptime)
        if wall - expected > MOST_JUMP_S:
            if self._doubts_since is None or wall - _going_on(self._doubted, uptime) > MOST_JUMP_S:
                self._doubts_since = uptime
            self._doubted = wall, uptime
            if uptime - self._doubts_since < STANDS_S:
                return expected
        self._doubts_since = None
        self._believed = wall, uptime
        return wall

    @property
    def so_far(self) -> TimeSoFar:
        """What the next run has to know, as of the last `now`."""
        if self._doubts_since is None:
            return TimeSoFar(self._believed[0])
        doubted_wall, doubted_at = self._doubted
        return TimeSoFar(self._believed[0], doubted_wall, doubted_at - self._doubts_since)


def _going_on(since: tuple[float, float], uptime: float) -> float:
    wall, then = since
    return wall + uptime - then


def _tag(key: bytes, fields: bytes) -> bytes:
    return hmac.new(key, _MAGIC + fields, hashlib.sha256).digest()
