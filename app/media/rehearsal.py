"""Whether a larger picture fits into a bitrate: a second encoder tries it beside the one whose pictures are sent.

What a size needs depends on what is seen. Grain that moves may take more than there is at the coarsest quantizer: then
the first picture of the new size, which refers to none before, uses up the bits of a second, and an encoder that keeps
its bitrate leaves out those that follow. What is made here is thrown away.
"""

from __future__ import annotations

import av
from av.video.reformatter import Interpolation, VideoReformatter

from app.media.ladder import Rung, Thinning, most_bitrate
from app.media.plan import CodecPlan
from app.media.video_codecs import make_encoder

LASTS_S = 0.8
MOST_LEFT_OUT = 0.3  # of the pictures
MOST_AHEAD_S = 0.5  # of the bitrate: so much more than it may be made in that time


class Rehearsal:
    """One try. It costs the time of a second encoder while it lasts; one thread at a time."""

    def __init__(self, codec: CodecPlan, rung: Rung, fps: int, *, is_repaired: bool = False) -> None:
        self.rung = rung
        self._encoder = make_encoder(codec, rung.needs_bps, fps, is_repaired=is_repaired)
        self._reformatter = VideoReformatter()
        self._thinning = Thinning()
        self._began: float | None = None
        self._shown = self._left_out = self._bits = 0

    def show(self, frame: av.VideoFrame, timestamp: int, at: float, bitrate_bps: int) -> bool | None:
        """Take a captured picture; tells in the end whether the bitrate carries that size, None until then."""
        rung = self.rung
        if not self._thinning.wants(at, rung.fps):
            return None
        self._began = at if self._began is None else self._began
        if (frame.width, frame.height) != (rung.width, rung.height):
            frame = self._reformatter.reformat(
                frame, rung.width, rung.height, interpolation=Interpolation.FAST_BILINEAR
            )
        rate = self._encoder.bitrate_bps = min(bitrate_bps, most_bitrate(rung.width, rung.height, rung.fps))
        data, _ = self._encoder.encode(frame, timestamp, key=False)
        self._shown += 1
        self._left_out += not data
        self._bits += len(data) * 8
        passed_s = at - self._began + 1 / rung.fps
        if self._left_out > MOST_LEFT_OUT * LASTS_S * rung.fps or self._bits > rate * (LASTS_S + MOST_AHEAD_S):
            return False
        if passed_s < LASTS_S:
            return None
        return self._left_out <= MOST_LEFT_OUT * self._shown and self._bits <= rate * (passed_s + MOST_AHEAD_S)
