"""From frames of 20 ms to the payloads of RTP packets: how many frames each holds, and what it repeats. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from app.media.audio_choice import MOST_REPEATS, USUAL_MS, AudioChoice
from app.media.comfort_noise import NoiseSender
from app.media.plan import CodecPlan
from app.media.red import Block, pack
from app.media.speech import AudioEncoder, Sound


@dataclass(frozen=True, slots=True)
class AudioPayload:
    """What one packet carries; `media_time` is that of its first sample, in clock units."""

    payload_type: int
    marker: bool  # the first after a pause, RFC 3551 section 4.1
    media_time: int
    payload: bytes


class Packetizer:
    """Encodes for one codec.

    `red_payload_type`: of RFC 2198, where the peer takes that; `noise_payload_type`: of RFC 3389, where pauses are to
    be described instead of sent.
    """

    def __init__(
        self,
        codec: CodecPlan,
        encoder: AudioEncoder,
        red_payload_type: int | None = None,
        noise_payload_type: int | None = None,
    ) -> None:
        self.frame_units = encoder.timestamp_step
        self._payload_type = codec.payload_type
        self._encoder = encoder
        self._red_payload_type = red_payload_type
        self._noise_payload_type = noise_payload_type
        self._noise = NoiseSender() if noise_payload_type is not None else None
        self._choice = AudioChoice()
        self._frames: list[Sound] = []
        self._begun_at = 0  # media time of the first of them
        self._speaks = False
        self._older: deque[tuple[int, bytes]] = deque(maxlen=MOST_REPEATS)

    def add(self, frame: Sound, media_time: int, choice: AudioChoice) -> list[AudioPayload]:
        """Take 20 ms that begin at `media_time`; gives the packets that are full now: none, one, or two halves."""
        if not self._frames:
            self._begun_at = media_time
            if choice != self._choice:
                self._encoder.adapt(choice)
                self._choice = choice
        self._frames.append(frame)
        packet_ms = self._choice.packet_ms
        if len(self._frames) * USUAL_MS < packet_ms:
            return []
        sound = self._frames[0] if len(self._frames) == 1 else np.concatenate(self._frames)
        self._frames = []
        if packet_ms >= USUAL_MS:
            return self._packets(sound, self._begun_at)
        parts = USUAL_MS // packet_ms
        size, units = len(sound) // parts, self.frame_units // parts
        return [
            packet
            for part in range(parts)
            for packet in self._packets(sound[part * size :][:size], self._begun_at + part * units)
        ]

    def pause(self) -> None:
        """What follows does not continue what was added before."""
        self._frames = []
        self._speaks = False
        self._older.clear()

    def _packets(self, sound: Sound, media_time: int) -> list[AudioPayload]:
        pause = self._noise.judge(sound) if self._noise is not None else None
        if pause is not None and self._noise_payload_type is not None:
            self._speaks = False
            return [AudioPayload(self._noise_payload_type, False, media_time, pause)] if pause else []
        payload = self._encoder.encode(sound)
        begins, self._speaks = not self._speaks, bool(payload)
        if not payload:
            return []
        packet = AudioPayload(self._payload_type, begins, media_time, payload)
        if self._choice.repeats and self._red_payload_type is not None:
            repeated = list(self._older)[-self._choice.repeats :]
            blocks = [Block(self._payload_type, media_time - at, older) for at, older in repeated]
            packet = AudioPayload(self._red_payload_type, begins, media_time, pack(self._payload_type, payload, blocks))
        self._older.append((media_time, payload))
        return [packet]
