"""The picture of a recording: the far end large, one's own small in a corner, on a canvas that keeps its size."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from app.media.lettering import text_mask
from app.media.pictures import Fitter, Plane, yuv_planes

STALE_S = 3.0  # a side that gave no picture for so long gives none
_SMALL_SHARE = 4  # of the canvas's width and height
_MARGIN = 24
_BLACK, _NO_COLOUR, _GREY = 16, 128, 110
_CAPTION_SHARE = 14  # of the canvas's height, for capital letters
_MOST_CAPTION = 24


@dataclass(slots=True)
class _Side:
    frame: av.VideoFrame | None = None
    at: float = 0.0

    def now(self, now: float) -> av.VideoFrame | None:
        return self.frame if self.frame is not None and now - self.at < STALE_S else None


class CallPicture:
    """Puts the newest pictures of both sides together. Where only one side has one it is large.

    `own_is_large`: the own picture is a screen, which is what the call is about. With no picture at all the canvas
    shows `caption`.
    """

    def __init__(self, width: int, height: int, caption: str) -> None:
        self._fitter = Fitter(width, height)
        self.width, self.height = self._fitter.width, self._fitter.height
        self.own_is_large = False
        self._own, self._far = _Side(), _Side()
        self._reformatter = VideoReformatter()
        self._blank = self._make_blank(caption)

    def own(self, frame: av.VideoFrame, at: float) -> None:
        self._own.frame, self._own.at = frame, at

    def far(self, frame: av.VideoFrame, at: float) -> None:
        self._far.frame, self._far.at = frame, at

    def draw(self, now: float) -> av.VideoFrame:
        """Give the canvas as it is now; a frame of its own, yuv420p."""
        far, own = self._far.now(now), self._own.now(now)
        large, small = (own, far) if own is not None and (self.own_is_large or far is None) else (far, own)
        if large is None:
            return av.VideoFrame.from_ndarray(self._blank, format="yuv420p")
        fitted = self._fitter.fit(large)
        picture = np.array(fitted.to_ndarray(), np.uint8)
        if small is not None:
            self._put_in_corner(picture, small)
        return av.VideoFrame.from_ndarray(picture, format="yuv420p")

    def _put_in_corner(self, picture: Plane, small: av.VideoFrame) -> None:
        scale = min(self.width / _SMALL_SHARE / small.width, self.height / _SMALL_SHARE / small.height)
        width, height = max(2, round(small.width * scale) & ~1), max(2, round(small.height * scale) & ~1)
        inset = np.asarray(self._reformatter.reformat(small, width, height, "yuv420p").to_ndarray(), np.uint8)
        left, top = self.width - width - _MARGIN & ~1, _MARGIN
        planes = zip(yuv_planes(picture, self.height), yuv_planes(inset, height), (1, 2, 2), strict=True)
        for plane, part, divisor in planes:
            y, x = top // divisor, left // divisor
            plane[y : y + part.shape[0], x : x + part.shape[1]] = part

    def _make_blank(self, caption: str) -> Plane:
        picture = np.full((self.height * 3 // 2, self.width), _NO_COLOUR, np.uint8)
        luma = picture[: self.height]
        luma[:] = _BLACK
        mask = text_mask(caption[:_MOST_CAPTION], self.height // _CAPTION_SHARE)[:, : self.width]
        height, width = mask.shape
        top, left = (self.height - height) // 2, (self.width - width) // 2
        luma[top : top + height, left : left + width] += (mask * (_GREY - _BLACK)).astype(np.uint8)
        return picture
