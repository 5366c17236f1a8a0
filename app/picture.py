"""One picture that is ready to be painted: plain data that may also be a part of an event."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class VideoPicture:
    """One decoded picture, ready to paint.

    `data` is BGRA, 8 bits a channel, rows `stride_bytes` apart, `height` rows; alpha is always 255.
    `captured_at` is the monotonic time in seconds at which it was captured (own picture) or decoded (remote).
    """

    width: int
    height: int
    stride_bytes: int
    data: bytes | memoryview
    captured_at: float
    is_lettered: bool = False  # has words to be read, as a test picture or a screen: never to be shown as in a mirror
