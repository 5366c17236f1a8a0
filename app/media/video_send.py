"""Capturing, encoding and packetising pictures in a thread of its own; only the newest picture is ever encoded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import av

from app.media.bitrate import BitrateControl, most_bitrate
from app.media.plan import CodecPlan
from app.media.ports import CapturedFrame, VideoSink, VideoSource
from app.media.sending import RtpSender
from app.media.stats import RateMeter
from app.media.video_codecs import VideoEncoder, make_encoder, make_packetizer
from app.media.worker import Outbox, Worker

WAIT_S = 0.1
KEY_INTERVAL_S = 0.3  # answers to picture loss come no faster
BURST_PACKETS = 8  # between pauses, so that a key frame does not overrun a small queue
BURST_PAUSE_S = 0.002
START_SHARE = 0.6  # of the most that the size is worth
HANDOVER_S = 5.0  # how long a camera may take to be given back


class VideoSendWorker:
    """Runs from the gate's opening, or the camera's switching on, until `stop`.

    `after` is the worker that had the camera and the sender before: it must have ended, or one is busy and the other
    numbers packets twice. `on_picture` is given each captured picture in this worker's thread, before it is encoded.
    """

    def __init__(
        self,
        source: VideoSource,
        preview: VideoSink | None,
        codec: CodecPlan,
        sender: RtpSender,
        outbox: Outbox,
        fps: int,
        after: Worker | None = None,
    ) -> None:
        self.source = source
        self._after = after
        self._preview = preview
        self._codec = codec
        self._sender = sender
        self._outbox = outbox
        self._fps = fps
        self.on_picture: Callable[[CapturedFrame], None] | None = None
        self._key_wanted = threading.Event()
        self._key_at = 0.0
        self.control: BitrateControl | None = None
        self.frames_sent = 0
        self.rate = RateMeter()
        self.worker = Worker("video-send", self._run)

    def sends_as(self, sender: RtpSender, codec: CodecPlan) -> bool:
        """Whether this is the source and the codec it was made for."""
        return (sender, codec) == (self._sender, self._codec)

    def ask_key_frame(self) -> None:
        """Send a whole picture soon; any thread."""
        self._key_wanted.set()

    def _run(self, stopping: threading.Event) -> None:
        try:
            if self._after is not None:
                self._after.join(HANDOVER_S)
                self._after = None
            if stopping.is_set():
                return
            if self._preview is not None:
                self._preview.start()
            self.source.start()
            self._pump(stopping)
        finally:
            self.source.close()
            if self._preview is not None:
                self._preview.close()

    def _pump(self, stopping: threading.Event) -> None:
        encoder: VideoEncoder | None = None
        packetizer = make_packetizer(self._codec)
        while not stopping.is_set():
            captured = self.source.read_frame(WAIT_S)
            if captured is None:
                continue
            frame = captured.frame
            if self._preview is not None:
                self._preview.write_frame(frame, captured.captured_at)
            on_picture = self.on_picture
            if on_picture is not None:
                on_picture(captured)
            if encoder is None:
                self.control, encoder = self._begin(frame)
            assert self.control is not None
            encoder.bitrate_bps = self.control.target_bps
            media_time = self._sender.media_time(captured.captured_at)
            data, _ = encoder.encode(frame, media_time, key=self._key_is_due())
            if data:
                self._send(packetizer.packetize(data), media_time, captured.captured_at, stopping)
                self.frames_sent += 1
                self.rate.add(1, time.monotonic())

    def _begin(self, frame: av.VideoFrame) -> tuple[BitrateControl, VideoEncoder]:
        most = most_bitrate(frame.width, frame.height, self._fps)
        control = BitrateControl(int(most * START_SHARE), most)
        return control, make_encoder(self._codec, control.target_bps, self._fps)

    def _key_is_due(self) -> bool:
        now = time.monotonic()
        if not self._key_wanted.is_set() or now - self._key_at < KEY_INTERVAL_S:
            return False
        self._key_wanted.clear()
        self._key_at = now
        return True

    def _send(self, payloads: list[bytes], media_time: int, at: float, stopping: threading.Event) -> None:
        payload_type, last = self._codec.payload_type, len(payloads) - 1
        for first in range(0, len(payloads), BURST_PACKETS):
            if first:
                stopping.wait(BURST_PAUSE_S)
            burst = payloads[first : first + BURST_PACKETS]
            packets = [
                self._sender.packet(payload_type, first + index == last, media_time, payload, at)
                for index, payload in enumerate(burst)
            ]
            self._outbox.put(packets)
