"""Capturing, encoding and packetising pictures in a thread of its own; only the newest picture is ever encoded.

Each picture is scaled once and encoded once, at the size, frame rate and bitrate that its share of the path and the
processor are worth (ladder.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import av
from av.video.reformatter import Interpolation, VideoReformatter

from app.events import VideoStats
from app.media.allocation import PACKET_OVERHEAD_BYTES, BitrateWish
from app.media.ladder import LEAST_BPS, Ladder, Thinning, rungs
from app.media.plan import CodecPlan
from app.media.ports import CapturedFrame, Preview, VideoSource
from app.media.rehearsal import Rehearsal
from app.media.rotation import upright
from app.media.sending import RtpSender
from app.media.stats import RateMeter
from app.media.video_codecs import VideoEncoder, limits_of, make_encoder, make_packetizer
from app.media.worker import Outbox, Worker

WAIT_S = 0.1
MOST_BACKLOG_S = 0.1  # a picture that would wait longer is left out: the next one shows more, and damages none
MOST_STEP_S = 0.25  # of the encoder's time: more has not been saved up for one picture
KEY_INTERVAL_S = 0.3  # answers to picture loss come no faster
START_BPS = 1_200_000  # of payload, before the path is known
START_SHARE = 0.6  # … and of the most that the size is worth
HANDOVER_S = 5.0  # how long a camera may take to be given back
SLOW_CAMERA_SHARE = 0.75  # of the asked frame rate: a camera below it is what limits the picture

_PACKET_BITS = 1_180 * 8
_OVERHEAD_BITS = PACKET_OVERHEAD_BYTES * 8


def on_the_wire(payload_bps: int, fps: float) -> int:
    """Give what pictures of that bitrate take with all headers."""
    packets_per_s = max(fps, payload_bps / _PACKET_BITS + fps / 2)  # the last packet of a picture is half full
    return int(payload_bps + packets_per_s * _OVERHEAD_BITS)


def payload_of(wire_bps: int, fps: float) -> int:
    """Give the bitrate of pictures that fits into a share of the wire: `on_the_wire` the other way round."""
    many = (wire_bps - fps / 2 * _OVERHEAD_BITS) / (1 + _OVERHEAD_BITS / _PACKET_BITS)
    return max(0, int(min(many, wire_bps - fps * _OVERHEAD_BITS)))


class VideoSendWorker:
    """Runs from the gate's opening, or the camera's switching on, until `stop`.

    `after` is the worker that had the camera and the sender before: it must have ended, or one is busy and the other
    numbers packets twice. `on_picture` is given each captured picture in this worker's thread; `mark` then gives the
    frame that is encoded in its stead.

    `turns`: the peer turns pictures itself where it is told to; else they are turned here. `is_repaired`: it asks for
    what is lost instead of decoding past it. `most_bps` of payload is never passed.
    """

    def __init__(
        self,
        source: VideoSource,
        preview: Preview | None,
        codec: CodecPlan,
        sender: RtpSender,
        outbox: Outbox,
        fps: int,
        after: Worker | None = None,
        *,
        turns: bool = False,
        is_repaired: bool = False,
        most_bps: int | None = None,
    ) -> None:
        self.source = source
        self._after = after
        self._preview = preview
        self._codec = codec
        self._sender = sender
        self._outbox = outbox
        self._fps = fps
        self._turns = turns
        self._is_repaired = is_repaired
        limits = limits_of(codec)
        self._allows = limits.allow if limits is not None else None
        bounds = (limits.bps if limits is not None else None, most_bps)
        self._most_bps = min((bound for bound in bounds if bound is not None), default=None)
        self.on_picture: Callable[[CapturedFrame], None] | None = None
        self.mark: Callable[[av.VideoFrame], av.VideoFrame] | None = None
        self._key_wanted = threading.Event()
        self._key_at = 0.0
        self._allotted_bps: int | None = None
        self._is_resuming = False
        self.backlog_s = 0.0  # how long a picture that is encoded now would wait to be sent; set by the loop's thread
        self._encoder: VideoEncoder | None = None
        self._packetizer = make_packetizer(codec)
        self._reformatter = VideoReformatter()
        self._thinning = Thinning()
        self._ladder: Ladder | None = None
        self._laddered: tuple[int, int, bool] | None = None  # the pictures that it was made for
        self._rehearsal: Rehearsal | None = None
        self._orientation = 0
        self._encoder_time = 0  # media time without that of pictures that were left out
        self._looked_at: int | None = None  # media time of the last picture that was wanted
        self.frames_sent = 0
        self.key_frames_sent = 0
        self.sent_size: tuple[int, int] | None = None
        self.target_bps: int | None = None
        self.rate = RateMeter()
        self.captured = RateMeter()
        self.worker = Worker("video-send", self._run)

    # From the loop's thread ---------------------------------------------------------------------------------

    def sends_as(self, sender: RtpSender, codec: CodecPlan, *, is_repaired: bool) -> bool:
        """Whether this is the source, the codec and the kind of peer it was made for."""
        return (sender, codec, is_repaired) == (self._sender, self._codec, self._is_repaired)

    def ask_key_frame(self) -> None:
        """Send a whole picture soon; any thread."""
        self._key_wanted.set()

    def allot(self, bps: int) -> None:
        """Keep within this rate on the wire; 0 sends no pictures until there is more."""
        self._allotted_bps = bps

    @property
    def is_paused(self) -> bool:
        return self._allotted_bps == 0

    @property
    def wish(self) -> BitrateWish:
        """What pictures need to be worth sending, and what is the most that they are worth."""
        ladder = self._ladder
        if ladder is None:
            return BitrateWish(on_the_wire(LEAST_BPS, 8), on_the_wire(self._bounded(START_BPS), self._fps))
        return BitrateWish(on_the_wire(LEAST_BPS, 8), on_the_wire(self._bounded(ladder.most_bps), self._fps))

    @property
    def limited_by(self) -> str | None:
        """What keeps the picture below what was asked for: "network", "cpu", "camera"; None where nothing does."""
        ladder = self._ladder
        if self.is_paused:
            return "network"
        if ladder is None:
            return None
        rate = self.captured.per_second(time.monotonic())
        slow = rate is not None and rate < self._fps * SLOW_CAMERA_SHARE and not self.source.is_screen
        return ladder.limited_by or ("camera" if slow else None)

    @property
    def encode_s(self) -> float | None:
        """What scaling and encoding a picture takes."""
        return self._ladder.cost_s if self._ladder is not None else None

    @property
    def encoder_name(self) -> str | None:
        return self._encoder.name if self._encoder is not None else None

    def fill(self, figures: VideoStats, now: float) -> VideoStats:
        """Add the figures of sending; what was counted before this worker stays in."""
        size = self.sent_size or (None, None)
        cost_s, target_bps = self.encode_s, self.target_bps
        return replace(
            figures,
            sent_width=size[0],
            sent_height=size[1],
            frames_sent=figures.frames_sent + self.frames_sent,
            key_frames_sent=figures.key_frames_sent + self.key_frames_sent,
            fps_captured=self.captured.per_second(now),
            encode_ms=cost_s * 1_000 if cost_s is not None else None,
            encoder=self.encoder_name,
            target_bps=float(target_bps) if target_bps is not None else None,
            is_screen=self.source.is_screen,
            is_paused=self.is_paused,
            limited_by=self.limited_by,
        )

    # In the worker's thread ---------------------------------------------------------------------------------

    def _run(self, stopping: threading.Event) -> None:
        try:
            if self._after is not None:
                self._after.join(HANDOVER_S)
                self._after = None
            if stopping.is_set():
                return
            self.source.start()
            self._pump(stopping)
        finally:
            self.source.close()

    def _pump(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            captured = self.source.read_frame(WAIT_S)
            if captured is None:
                continue
            self.captured.add(1, time.monotonic())
            if self._preview is not None:
                self._preview.show(captured)
            on_picture = self.on_picture
            if on_picture is not None:
                on_picture(captured)
            self._take(captured)

    def _take(self, captured: CapturedFrame) -> None:
        """Send a picture, unless the rate is too low for it."""
        allotted = self._allotted_bps
        if allotted == 0:
            self._is_resuming = True
            self._rehearsal = None
            return
        now = time.monotonic()
        frame, orientation = captured.frame, captured.orientation
        if not self._turns:
            frame, orientation = upright(frame, orientation), 0
        ladder = self._ladder_for(frame)
        bitrate_bps = self._start_bps(ladder) if allotted is None else payload_of(allotted, ladder.rung.fps)
        bitrate_bps = self._bounded(bitrate_bps)
        ladder.follow(bitrate_bps, captured.captured_at)
        self._rehearse(ladder, frame, captured.captured_at, bitrate_bps)
        rung = ladder.rung
        if not self._thinning.wants(captured.captured_at, rung.fps):
            return
        # What pictures that are left out would have taken is not there for the next one: an encoder that thinks so
        # makes it as large as all of them, and it waits as long.
        media_time = self._sender.media_time(captured.captured_at)
        before, self._looked_at = self._looked_at, media_time
        if self.backlog_s > MOST_BACKLOG_S:
            return
        if before is not None:
            self._encoder_time += min(media_time - before, int(MOST_STEP_S * self._sender.clock_rate))
        if (frame.width, frame.height) != (rung.width, rung.height):
            frame = self._reformatter.reformat(
                frame, rung.width, rung.height, interpolation=Interpolation.FAST_BILINEAR
            )
        encoder = self._encoder
        self.target_bps = min(bitrate_bps, ladder.worth_bps)
        if encoder is None:
            encoder = self._encoder = make_encoder(
                self._codec,
                self.target_bps,
                self._fps,
                is_screen=self.source.is_screen,
                is_repaired=self._is_repaired,
            )
        encoder.bitrate_bps = self.target_bps
        encoder.hurry(ladder.is_hurried)
        mark = self.mark
        if mark is not None:
            frame = mark(frame)
        data, is_key = encoder.encode(frame, self._encoder_time, key=self._key_is_due(now))
        ladder.spent(time.monotonic() - now, captured.captured_at)
        ladder.encoded(bitrate_bps, captured.captured_at, left_out=not data)
        if data:
            is_turned, self._orientation = orientation != self._orientation, orientation
            # 3GPP TS 26.114 asks for it with key frames and changes; libwebrtc takes pictures without it for upright.
            told = orientation if self._turns and (is_key or is_turned or orientation) else None
            self._send(self._packetizer.packetize(data), media_time, captured.captured_at, told)
            self.sent_size = rung.width, rung.height
            self.frames_sent += 1
            self.key_frames_sent += is_key
            self.rate.add(1, time.monotonic())

    def _ladder_for(self, frame: av.VideoFrame) -> Ladder:
        about = frame.width, frame.height, self.source.is_screen
        if self._ladder is None or about != self._laddered:
            width, height, is_screen = self._laddered = about
            steps = rungs(width, height, self._fps, is_screen=is_screen, allows=self._allows)
            allotted = self._allotted_bps
            start = START_BPS if not allotted else payload_of(allotted, self._fps)
            # A screen may take its time for a sharp picture.
            self._ladder = Ladder(steps, self._bounded(start), tries_out=not is_screen, most_bps=self._most_bps)
        return self._ladder

    def _rehearse(self, ladder: Ladder, frame: av.VideoFrame, at: float, bitrate_bps: int) -> None:
        """Try a larger size out before it is sent."""
        rung, rehearsal = ladder.trial, self._rehearsal
        if rung is None:
            self._rehearsal = None
            return
        if rehearsal is None or rehearsal.rung != rung:
            rehearsal = self._rehearsal = Rehearsal(self._codec, rung, self._fps, is_repaired=self._is_repaired)
        fits = rehearsal.show(frame, self._sender.media_time(at), at, bitrate_bps)
        if fits is not None:
            self._rehearsal = None
            ladder.tried(bitrate_bps, at, fits=fits)

    def _start_bps(self, ladder: Ladder) -> int:
        return min(START_BPS, int(ladder.most_bps * START_SHARE))

    def _bounded(self, bitrate_bps: int) -> int:
        return bitrate_bps if self._most_bps is None else min(bitrate_bps, self._most_bps)

    def _key_is_due(self, now: float) -> bool:
        if self._is_resuming:
            self._key_wanted.set()
        elif not self._key_wanted.is_set() or now - self._key_at < KEY_INTERVAL_S:
            return False
        self._is_resuming = False
        self._key_wanted.clear()
        self._key_at = now
        return True

    def _send(self, payloads: list[bytes], media_time: int, at: float, orientation: int | None) -> None:
        payload_type, last, sender = self._codec.payload_type, len(payloads) - 1, self._sender
        self._outbox.put(
            [
                sender.packet(
                    payload_type, index == last, media_time, payload, at, orientation if index == last else None
                )
                for index, payload in enumerate(payloads)
            ]
        )
