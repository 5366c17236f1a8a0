"""The test picture: a running clock, a label, colour bars, and the frame's number as a stamp.

It stands in for a camera: "pattern" by choice, and with a label that says why where there is no camera.
"""

from __future__ import annotations

import math
import threading
import time

import av
import numpy as np

from app.media.lettering import Mask, text_mask
from app.media.pictures import VideoThread, yuv_planes
from app.media.stamp import BOTTOM, LEFT, RIGHT, TOP, Plane, draw_stamp, read_stamp

__all__ = ["Pattern", "PatternSource", "draw_stamp", "read_stamp"]

Colour = tuple[int, int, int]  # Y, U, V in video range (BT.601)

_INK: Colour = (228, 128, 128)
_ACCENT: Colour = (176, 92, 168)
_BARS: tuple[Colour, ...] = (
    (180, 128, 128),
    (162, 44, 142),
    (131, 156, 44),
    (112, 72, 58),
    (84, 184, 198),
    (65, 100, 212),
    (35, 212, 114),
)


class Pattern:
    """Draws the frames of one test picture; not thread safe, one drawer each.

    `width` and `height` are rounded down to even numbers; `label` is one line under the clock.
    """

    def __init__(self, width: int, height: int, label: str) -> None:
        self.width, self.height, self.label = max(width & ~1, 32), max(height & ~1, 32), label
        self._ground = self._draw_ground()
        self._centre = (self.width * 0.5, self.height * 0.36)
        self._radius = self.height * 0.26

    def draw(self, number: int, seconds: float) -> av.VideoFrame:
        """Draw frame `number`; the clock shows `seconds` since midnight."""
        picture = self._ground.copy()
        luma, u, v = yuv_planes(picture, self.height)
        self._draw_hand(luma, u, v, seconds)
        whole = int(seconds)
        clock = f"{whole // 3600 % 24:02}:{whole // 60 % 60:02}:{whole % 60:02}.{int(seconds * 10) % 10}"
        _write(luma, u, v, clock, self._centre, self.height * 0.066, _INK)
        draw_stamp(luma, number)
        return av.VideoFrame.from_ndarray(picture, format="yuv420p")

    def _draw_ground(self) -> Plane:
        picture = np.empty((self.height * 3 // 2, self.width), np.uint8)
        luma, u, v = yuv_planes(picture, self.height)
        luma[:] = np.linspace(78, 54, self.height).astype(np.uint8)[:, None]
        u[:] = 140
        v[:] = 118
        top, bottom = round(self.height * 0.78) & ~1, round(self.height * 0.83) & ~1
        for index, colour in enumerate(_BARS):
            left, right = (round(self.width * (0.05 + 0.9 * (index + step) / len(_BARS))) & ~1 for step in (0, 1))
            for plane, value, part in zip((luma, u, v), colour, (1, 2, 2), strict=True):
                plane[top // part : bottom // part, left // part : right // part] = value
        margin_y, margin_x = round(self.height * 0.01), round(self.width * 0.01)
        y0, y1 = round(self.height * TOP) - margin_y & ~1, (round(self.height * BOTTOM) + margin_y + 1) & ~1
        x0, x1 = round(self.width * LEFT) - margin_x & ~1, (round(self.width * RIGHT) + margin_x + 1) & ~1
        luma[y0:y1, x0:x1] = 110
        for plane in (u, v):
            plane[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2] = 128
        self._draw_dial(luma)
        _write(luma, u, v, self.label, (self.width * 0.5, self.height * 0.70), self._label_height(), _INK)
        return picture

    def _label_height(self) -> float:
        """As large as fits on one line, up to a fifteenth of the picture."""
        wanted = self.height * 0.066
        widest = self.width * 0.9
        return max(8.0, min(wanted, widest / max(len(self.label), 1) * 7 / 6))

    def _draw_dial(self, luma: Plane) -> None:
        """The ring around the clock with its twelve marks."""
        ys, xs = np.ogrid[0 : self.height, 0 : self.width]
        centre_x, centre_y, radius = self.width * 0.5, self.height * 0.36, self.height * 0.26
        away = np.hypot(xs - centre_x, ys - centre_y)
        ring = np.clip(self.height / 240 - np.abs(away - radius) + 0.5, 0, 1) * 0.5
        luma[:] = (luma * (1 - ring) + 200 * ring).astype(np.uint8)
        for mark in range(12):
            x = round(centre_x + math.sin(mark * math.pi / 6) * radius * 0.9)
            y = round(centre_y - math.cos(mark * math.pi / 6) * radius * 0.9)
            size = max(1, self.height // (120 if mark % 3 == 0 else 240))
            luma[y - size : y + size, x - size : x + size] = 190

    def _draw_hand(self, luma: Plane, u: Plane, v: Plane, seconds: float) -> None:
        """A ball that runs along the ring once in ten seconds: any freeze is seen at once."""
        angle = seconds % 10.0 / 10.0 * 2 * math.pi
        x = self._centre[0] + math.sin(angle) * self._radius
        y = self._centre[1] - math.cos(angle) * self._radius
        size = self.height * 0.028
        left, top = int(x - size - 2) & ~1, int(y - size - 2) & ~1
        extent = (int(2 * size) + 6) & ~1
        ys, xs = np.ogrid[top : top + extent, left : left + extent]
        ball = np.clip(size - np.hypot(xs + 0.5 - x, ys + 0.5 - y) + 0.5, 0, 1).astype(np.float32)
        _blend(luma, u, v, ball, left, top, _ACCENT)


def _write(
    luma: Plane, u: Plane, v: Plane, text: str, centre: tuple[float, float], height: float, colour: Colour
) -> None:
    mask = text_mask(text, max(7, round(height)))
    left, top = round(centre[0] - mask.shape[1] / 2) & ~1, round(centre[1] - mask.shape[0] / 2) & ~1
    _blend(luma, u, v, mask, left, top, colour)


def _blend(luma: Plane, u: Plane, v: Plane, mask: Mask, left: int, top: int, colour: Colour) -> None:
    """Lay a colour over the planes where the mask covers; `left` and `top` are even. What lies outside is cut off."""
    cut_left, cut_top = max(0, -left), max(0, -top)
    height, width = luma.shape
    mask = mask[cut_top : max(0, height - top), cut_left : max(0, width - left)]
    left, top = left + cut_left, top + cut_top
    bottom, right = top + mask.shape[0], left + mask.shape[1]
    area = luma[top:bottom, left:right]
    area[:] = area + (colour[0] - area.astype(np.float32)) * mask
    small = mask[::2, ::2]
    for plane, value in ((u, colour[1]), (v, colour[2])):
        part = plane[top // 2 : top // 2 + small.shape[0], left // 2 : left // 2 + small.shape[1]]
        part[:] = part + (value - part.astype(np.float32)) * small[: part.shape[0], : part.shape[1]]


class PatternSource(VideoThread):
    """The test picture as a source; `problem` is the sentence that says why it stands in for something else.

    What stays the same in every frame is drawn beforehand in a thread, so that the first frame comes with `start` and
    whoever makes a source, an event loop in the middle of setting up a call, does not wait for it (tens of
    milliseconds at 720p).
    """

    is_lettered = True

    def __init__(self, width: int, height: int, fps: float, *, label: str = "", problem: str | None = None) -> None:
        super().__init__("test picture", fps)
        self.problem = problem
        self._facts = width, height, label
        self._pattern: Pattern | None = None
        self._drawing = threading.Thread(target=self._draw, name="test-picture", daemon=True)
        self._drawing.start()

    def _draw(self) -> None:
        pattern = Pattern(*self._facts)
        pattern.draw(0, 0.0)  # the letters of the clock are drawn once, too
        self._pattern = pattern

    def _run(self) -> None:
        self._drawing.join()
        assert self._pattern is not None, "the test picture could not be drawn"
        number = 0
        while self._pace(number):
            self._give(self._pattern.draw(number, seconds_of_day()), time.monotonic())
            number += 1


def seconds_of_day() -> float:
    """Give the local time as seconds since midnight, for the clock in the picture."""
    now = time.time()
    local = time.localtime(now)
    return local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec + now % 1
