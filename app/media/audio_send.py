"""Capturing and encoding sound every 20 ms in a thread of its own, paced by the monotonic clock."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.media.audio_choice import AudioChoice
from app.media.dtmf import KeySender
from app.media.levels import LevelMeter
from app.media.packetizing import Packetizer
from app.media.plan import CodecPlan
from app.media.ports import FRAME_SAMPLES, AudioFrame, AudioSource, surplus_s
from app.media.priority import for_sound
from app.media.sending import RtpSender
from app.media.speech import make_encoder
from app.media.worker import Outbox, Worker

TICK_S = 0.020
SPARE_S = 0.003  # so long a frame should have been ready when it is read
PULL = 0.25  # of what is off, each frame, within these:
MOST_EARLIER_S, MOST_LATER_S = 0.0005, 0.005
OPEN_S = 5.0
MOST_BEHIND_FRAMES = 3  # what a source keeps for a thread that was late; the rest of a longer absence is left out


@dataclass(frozen=True, slots=True, eq=False)
class Sending:
    """As what sound leaves: the codec, the source it is, and the payload types beside the codec's own."""

    codec: CodecPlan
    sender: RtpSender
    outbox: Outbox
    red_payload_type: int | None = None  # RFC 2198
    keys: CodecPlan | None = None  # RFC 4733
    noise_payload_type: int | None = None  # RFC 3389: describe pauses instead of sending them
    dtx: bool = False  # the same for a codec that can by itself


class FramePace:
    """When each frame of 20 ms is due and which it is; a thread that was away for long goes on from now. Pure.

    A device has a clock of its own: frames come due just after it has filled them, whatever its rate.
    """

    def __init__(self, now: float) -> None:
        self.due = now
        self.frame = 0

    def advance(self, now: float, surplus_s: float | None = None) -> int:
        """Go to the next frame; gives how many are left out because their time has passed long ago.

        `surplus_s`: how long the last frame had been ready in its device, below zero how long it was waited for.
        """
        self.due += TICK_S
        if surplus_s is not None:
            self.due -= max(-MOST_LATER_S, min(MOST_EARLIER_S, (surplus_s - SPARE_S) * PULL))
        self.frame += 1
        missed = max(0, int((now - self.due) / TICK_S) - MOST_BEHIND_FRAMES)
        self.due += missed * TICK_S
        self.frame += missed
        return missed


class AudioSendWorker:
    """Runs from the gate's opening until `stop`. `use` and what is public may be set from another thread.

    `mix_in` adds sound of the app's own to each frame before it is encoded, muted or not (a tone that tells of a
    recording); `on_frame` is then given the frame as the far end will hear it. Both are called in this worker's thread.
    """

    def __init__(self, source: AudioSource, sending: Sending) -> None:
        self.source = source
        self._sending = sending
        self._captures = False
        self._dialled: deque[str] = deque(maxlen=16)
        self.muted = False
        self.mix_in: Callable[[AudioFrame], AudioFrame] | None = None
        self.on_frame: Callable[[AudioFrame], None] | None = None
        self.choice = AudioChoice()
        self.meter = LevelMeter()
        self.worker = Worker("audio-send", self._run)

    def use(self, sending: Sending) -> None:
        """Go on with another codec or source, from the next frame on."""
        self._sending = sending

    def press(self, keys: str) -> None:
        """Send keys of a telephone (see dtmf) as soon as those before them are sent; the voice pauses meanwhile."""
        self._dialled.append(keys)

    def _run(self, stopping: threading.Event) -> None:
        for_sound()
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
        pace, keys = FramePace(time.monotonic()), KeySender()
        line: _Line | None = None
        is_first = True
        while not _stops_before(pace.due, stopping):
            if line is None or line.sending is not self._sending:
                line = _Line(self._sending, pace)
            while self._dialled:
                keys.press(self._dialled.popleft())
            frame = self.source.read_frame() if self._captures else silence
            self.meter.add(frame)
            line.send(self._leaving(silence if self.muted else frame), keys, self.choice, pace)
            if is_first:
                open_source()
                is_first = False
            if pace.advance(time.monotonic(), surplus_s(self.source) if self._captures else None):
                line.pause()

    def _leaving(self, frame: AudioFrame) -> AudioFrame:
        """Give the frame that leaves, and show it to whoever keeps it."""
        mix_in, on_frame = self.mix_in, self.on_frame
        if mix_in is not None:
            frame = mix_in(frame)
        if on_frame is not None:
            on_frame(frame)
        return frame


def _stops_before(due: float, stopping: threading.Event) -> bool:
    """Wait for a moment at most a frame ahead; an event's own wait costs as much as what is done with the sound."""
    asleep_s = due - time.monotonic()
    if asleep_s > 0:
        time.sleep(asleep_s)
    return stopping.is_set()


class _Line:
    """The time line of one codec and source: from frames and keys to packets."""

    def __init__(self, sending: Sending, pace: FramePace) -> None:
        self.sending = sending
        encoder = make_encoder(sending.codec, dtx=sending.dtx)
        self._packetizer = Packetizer(
            sending.codec, encoder, sending.red_payload_type, sending.noise_payload_type if sending.dtx else None
        )
        self._frame_units = self._packetizer.frame_units
        self._begun = sending.sender.media_time(pace.due) - pace.frame * self._frame_units

    def pause(self) -> None:
        self._packetizer.pause()

    def send(self, frame: AudioFrame, keys: KeySender, choice: AudioChoice, pace: FramePace) -> None:
        """Send one frame, or a packet of the key that is being pressed instead of it."""
        sending = self.sending
        media_time = self._begun + pace.frame * self._frame_units
        events = keys.next_frame(sending.keys.clock_rate) if sending.keys is not None else None
        if events is None:
            packets = [
                sending.sender.packet(
                    made.payload_type, made.marker, made.media_time, made.payload, self._at(made.media_time, pace)
                )
                for made in self._packetizer.add(frame, media_time, choice)
            ]
        else:
            assert sending.keys is not None
            self._packetizer.pause()
            number = sending.keys.payload_type
            packets = []
            for event in events:
                began = media_time - event.begun_frames * self._frame_units
                packets.append(sending.sender.packet(number, event.marker, began, event.payload, self._at(began, pace)))
        if packets:
            sending.outbox.put(packets)

    def _at(self, media_time: int, pace: FramePace) -> float:
        """Give the monotonic time of a media time of about now."""
        ago = pace.frame - (media_time - self._begun) / self._frame_units
        return pace.due - ago * TICK_S
