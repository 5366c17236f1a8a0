"""Keys of a telephone as named events (RFC 4733): what is sent for them, and which keys packets stand for.

Keys are the characters of `app.digits`. Pure: frames of 20 ms and timestamps come in.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass

from app.digits import KEYS, MOST_KEYS, PAUSE
from app.media.rtp import timestamp_difference

FRAMES_A_SECOND = 50
_TONE_FRAMES = 8  # 160 ms
_ENDS = 3  # the last packet of an event is sent so often, RFC 4733 section 2.5.1.4
_GAP_FRAMES = 5  # 100 ms from the end of a key to the next
_PAUSE_FRAMES = 100  # 2 s
_VOLUME = 10  # dBm0 below zero
_END_BIT = 0x80
_EVENT = struct.Struct("!BBH")

_REMEMBERED = 16  # events whose late packets are known
_MOST_A_SECOND = 20  # keys that are believed: nobody dials faster


@dataclass(frozen=True, slots=True)
class EventPacket:
    """One packet of a key; `begun_frames` ago, in frames of 20 ms, the key was pressed: its timestamp is of then."""

    marker: bool
    begun_frames: int
    payload: bytes


class KeySender:
    """Presses queued keys one after the other. `clock_rate` is that of the event's payload type."""

    def __init__(self) -> None:
        self._keys: deque[str] = deque()
        self._frame = 0  # since the present key was pressed

    def press(self, keys: str) -> None:
        """Queue keys as `keys_of` gives them; those that would be too many are left out."""
        self._keys.extend(keys[: MOST_KEYS - len(self._keys)])

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to send."""
        return not self._keys

    def next_frame(self, clock_rate: int) -> tuple[EventPacket, ...] | None:
        """Give the packets of the next 20 ms, none in the gap behind a key; None where the voice may go."""
        if not self._keys:
            return None
        key, frame = self._keys[0], self._frame
        self._frame += 1
        if key == PAUSE:
            self._end_at(_PAUSE_FRAMES)
            return None
        self._end_at(_TONE_FRAMES + _GAP_FRAMES)
        if frame >= _TONE_FRAMES - 1 + _ENDS:
            return ()
        length = min(frame + 1, _TONE_FRAMES)
        flags = _VOLUME | (_END_BIT if length == _TONE_FRAMES else 0)
        payload = _EVENT.pack(KEYS.index(key), flags, length * clock_rate // FRAMES_A_SECOND)
        return (EventPacket(frame == 0, frame, payload),)

    def _end_at(self, frames: int) -> None:
        if self._frame >= frames:
            self._keys.popleft()
            self._frame = 0


class KeyReceiver:
    """Makes one key of all packets of an event, whichever of them came. One source; `now` in seconds."""

    def __init__(self) -> None:
        self._known: deque[int] = deque(maxlen=_REMEMBERED)  # timestamps
        self._code = -1
        self._segment_end = 0  # where a longer event goes on
        self._is_ended = True
        self._pressed: deque[float] = deque(maxlen=_MOST_A_SECOND)

    def take(self, timestamp: int, payload: bytes, now: float) -> str | None:
        """Take one packet; gives the key with the first packet of its event."""
        if len(payload) < _EVENT.size:
            return None
        code, flags, duration = _EVENT.unpack_from(payload)
        if timestamp in self._known:
            if timestamp == self._known[-1]:
                self._follow(timestamp, flags, duration)
            return None
        if self._known and timestamp_difference(timestamp, self._known[-1]) < 0:
            return None  # of an event that is long over
        goes_on = not self._is_ended and code == self._code and timestamp == self._segment_end
        self._known.append(timestamp)
        self._code, self._is_ended = code, False
        self._follow(timestamp, flags, duration)
        if goes_on or code >= len(KEYS):
            return None
        if len(self._pressed) == _MOST_A_SECOND and now - self._pressed[0] < 1.0:
            return None
        self._pressed.append(now)
        return KEYS[code]

    def _follow(self, timestamp: int, flags: int, duration: int) -> None:
        """An event that lasts longer than its field can say goes on with another timestamp (section 2.5.1.3)."""
        self._segment_end = (timestamp + duration) & 0xFFFF_FFFF
        self._is_ended = self._is_ended or bool(flags & _END_BIT)
