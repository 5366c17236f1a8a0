"""Encoding and sending sound, 20 ms at a time: in the microphone's own thread, or one of ours for what is no device."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from app.media.audio_choice import AudioChoice
from app.media.dtmf import KeySender
from app.media.hearing import TICK_S, Hearing
from app.media.levels import LevelMeter
from app.media.packetizing import Packetizer
from app.media.plan import CodecPlan
from app.media.ports import SILENCE, AudioFrame, AudioSource
from app.media.priority import for_sound
from app.media.processing import ProcessedSource
from app.media.sending import RtpSender
from app.media.speech import make_encoder
from app.media.worker import Outbox, Worker

PULL = 0.25  # of what is off, each frame, within these:
MOST_EARLIER_S, MOST_LATER_S = 0.0005, 0.005
OPEN_S = 5.0
MOST_BEHIND_FRAMES = 3  # what a source hands over late; the rest of a longer absence is left out


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
    """Which frame of 20 ms is which, and the moment each stands for; a source that was away is gone on with. Pure.

    A device has a clock of its own: the moments follow it, but not each hiccup of its thread.
    """

    def __init__(self) -> None:
        self.at: float | None = None
        self.frame = 0

    def advance(self, at: float) -> int:
        """Go to the next frame, which was whole at this time; gives how many are left out before it."""
        if self.at is None:
            self.at = at
            return 0
        due = self.at + TICK_S
        missed = max(0, int((at - due) / TICK_S) - MOST_BEHIND_FRAMES)
        due += missed * TICK_S
        self.at = due + max(-MOST_EARLIER_S, min(MOST_LATER_S, (at - due) * PULL))
        self.frame += 1 + missed
        return missed


class AudioSendWorker:
    """Runs from the gate's opening until `stop`. `use` and what is public may be set from another thread.

    A microphone's sound is encoded in its own thread, at the moment it is heard; this worker's looks after it, and
    does the same for a source without a clock.

    `mix_in` adds sound of the app's own to each frame before it is encoded, muted or not (a tone that tells of a
    recording); `on_frame` is then given the frame as the far end will hear it. Both are called where it is encoded.
    """

    def __init__(self, source: AudioSource, sending: Sending) -> None:
        self.source = source
        self._sending = sending
        self._line: _Line | None = None
        self._pace, self._keys = FramePace(), KeySender()
        self._dialled: deque[str] = deque(maxlen=16)
        self.muted = False
        self.mix_in: Callable[[AudioFrame], AudioFrame] | None = None
        self.on_frame: Callable[[AudioFrame], None] | None = None
        self.choice = AudioChoice()
        self._is_metered = isinstance(source, ProcessedSource)  # knows the level of what it gives
        self.meter = source.meter if isinstance(source, ProcessedSource) else LevelMeter()
        self.worker = Worker("audio-send", self._run)

    def use(self, sending: Sending) -> None:
        """Go on with another codec or source, from the next frame on."""
        self._sending = sending

    def press(self, keys: str) -> None:
        """Send keys of a telephone (see dtmf) as soon as those before them are sent; the voice pauses meanwhile."""
        self._dialled.append(keys)

    def _run(self, stopping: threading.Event) -> None:
        for_sound()
        started = threading.Event()

        def open_source(_: threading.Event) -> None:
            self.source.start()
            started.set()

        # A device may take seconds to open: packets, and with them the path and the peer's buffer, do not wait for it.
        # Not even for its thread: that starts behind the first packet.
        opening = Worker("audio-open", open_source)
        hearing = Hearing(self.source, self._send, started)
        try:
            wait_s = hearing.turn()
            opening.start()
            while not stopping.wait(wait_s):
                wait_s = hearing.turn()
        finally:
            opening.join(OPEN_S)
            self.source.close()

    def _send(self, frame: AudioFrame, at: float) -> None:
        """Send one frame that was whole at this time; in one thread at a time."""
        if self.worker.stopping.is_set():
            return
        missed = self._pace.advance(at)
        line, keys = self._line, self._keys
        if line is None or line.sending is not self._sending:
            line = self._line = _Line(self._sending, self._pace)
        elif missed:
            line.pause()
        while self._dialled:
            keys.press(self._dialled.popleft())
        if not self._is_metered:
            self.meter.add(frame)
        line.send(self._leaving(SILENCE if self.muted else frame), keys, self.choice)

    def _leaving(self, frame: AudioFrame) -> AudioFrame:
        """Give the frame that leaves, and show it to whoever keeps it."""
        mix_in, on_frame = self.mix_in, self.on_frame
        if mix_in is not None:
            frame = mix_in(frame)
        if on_frame is not None:
            on_frame(frame)
        return frame


class _Line:
    """The time line of one codec and source: from frames and keys to packets."""

    def __init__(self, sending: Sending, pace: FramePace) -> None:
        self.sending = sending
        encoder = make_encoder(sending.codec, dtx=sending.dtx)
        self._packetizer = Packetizer(
            sending.codec, encoder, sending.red_payload_type, sending.noise_payload_type if sending.dtx else None
        )
        self._frame_units = self._packetizer.frame_units
        self._pace = pace
        assert pace.at is not None
        self._begun = sending.sender.media_time(pace.at) - pace.frame * self._frame_units

    def pause(self) -> None:
        self._packetizer.pause()

    def send(self, frame: AudioFrame, keys: KeySender, choice: AudioChoice) -> None:
        """Send one frame, or a packet of the key that is being pressed instead of it."""
        sending = self.sending
        media_time = self._begun + self._pace.frame * self._frame_units
        events = keys.next_frame(sending.keys.clock_rate) if sending.keys is not None else None
        if events is None:
            packets = [
                sending.sender.packet(
                    made.payload_type, made.marker, made.media_time, made.payload, self._at(made.media_time)
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
                packets.append(sending.sender.packet(number, event.marker, began, event.payload, self._at(began)))
        if packets:
            sending.outbox.put(packets)

    def _at(self, media_time: int) -> float:
        """Give the monotonic time of a media time of about now."""
        pace = self._pace
        assert pace.at is not None
        ago = pace.frame - (media_time - self._begun) / self._frame_units
        return pace.at - ago * TICK_S
