"""Capturing and encoding sound every 20 ms in a thread of its own, paced by the monotonic clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from app.media.levels import LevelMeter
from app.media.plan import CodecPlan
from app.media.ports import FRAME_SAMPLES, AudioFrame, AudioSource
from app.media.sending import RtpSender
from app.media.speech import make_encoder
from app.media.worker import Outbox, Worker

TICK_S = 0.020
OPEN_S = 5.0
LATE_S = 0.200  # a thread that was away longer than that does not catch up


class AudioSendWorker:
    """Runs from the gate's opening until `stop`. `use` and what is public may be set from another thread.

    `mix_in` adds sound of the app's own to each frame before it is encoded, muted or not (a tone that tells of a
    recording); `on_frame` is then given the frame as the far end will hear it. Both are called in this worker's thread.
    """

    def __init__(
        self,
        source: AudioSource,
        codec: CodecPlan,
        sender: RtpSender,
        outbox: Outbox,
    ) -> None:
        self.source = source
        self._sending = codec, sender, outbox
        self._captures = False
        self.muted = False
        self.mix_in: Callable[[AudioFrame], AudioFrame] | None = None
        self.on_frame: Callable[[AudioFrame], None] | None = None
        self.expected_loss_percent = 3
        self.meter = LevelMeter()
        self.worker = Worker("audio-send", self._run)

    def use(self, codec: CodecPlan, sender: RtpSender, outbox: Outbox) -> None:
        """Go on with another codec or source, from the next frame on."""
        self._sending = codec, sender, outbox

    def _run(self, stopping: threading.Event) -> None:
        # A device may take seconds to open: packets, and with them the path and the peer's buffer, do not wait for it.
        # Not even for its thread: that starts behind the first packet.
        opening = Worker("audio-open", lambda _: self._open())
        try:
            self._pump(stopping, opening.start)
        finally:
            opening.join(OPEN_S)
            self.source.close()

    def _open(self) -> None:
        self.source.start()
        self._captures = True

    def _pump(self, stopping: threading.Event, open_source: Callable[[], None]) -> None:
        silence = np.zeros(FRAME_SAMPLES, dtype=np.int16)
        sending, encoder, told_loss = None, None, 0
        media_time, speaks, is_first = 0, False, True
        due = time.monotonic()
        while not stopping.wait(max(0.0, due - time.monotonic())):
            if sending is not self._sending or encoder is None:
                sending = self._sending
                encoder, media_time, speaks = make_encoder(sending[0]), sending[1].media_time(due), False
            codec, sender, outbox = sending
            if told_loss != self.expected_loss_percent:
                told_loss = self.expected_loss_percent
                encoder.expect_loss(told_loss)
            frame = self.source.read_frame() if self._captures else silence
            self.meter.add(frame)
            payload = encoder.encode(self._leaving(silence if self.muted else frame))
            if payload:
                outbox.put([sender.packet(codec.payload_type, not speaks, media_time, payload, due)])
            speaks = bool(payload)
            if is_first:
                open_source()
                is_first = False
            due += TICK_S
            media_time += encoder.timestamp_step
            late = time.monotonic() - due
            if late > LATE_S:
                missed = int(late / TICK_S)
                due += missed * TICK_S
                media_time += missed * encoder.timestamp_step

    def _leaving(self, frame: AudioFrame) -> AudioFrame:
        """Give the frame that leaves, and show it to whoever keeps it."""
        mix_in, on_frame = self.mix_in, self.on_frame
        if mix_in is not None:
            frame = mix_in(frame)
        if on_frame is not None:
            on_frame(frame)
        return frame
