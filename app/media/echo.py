"""A stream that sends back what it hears: no device, no codec, only numbers changed.

Sequence numbers and timestamps keep their distances, so loss and reordering pass through unchanged, and what is asked
for again here (video) fills the gaps of the peer's own picture too.
"""

from __future__ import annotations

import secrets
import time

from app.events import AudioStats, VideoStats
from app.media.nack import NackTracker
from app.media.plan import StreamPlan
from app.media.rtcp import Nack
from app.media.rtp import RtpPacket, build_rtp, sequence_difference
from app.media.stream import START_RTT_S, RtpStream, StreamHost

KEY_INTERVAL_S = 0.3


class EchoStream(RtpStream):
    """Returns every packet of a known payload type while the gate is open."""

    keeps_history = True

    def __init__(self, host: StreamHost, plan: StreamPlan) -> None:
        super().__init__(host, plan)
        self._nacks = NackTracker()
        self._sequence_offset = secrets.randbelow(1 << 15)
        self._timestamp_offset = secrets.randbits(32)
        self._last: tuple[int, int] | None = None  # sequence and timestamp last sent
        self._joins = False  # the next packet is the first of another source
        self._key_asked_at = 0.0
        self.key_frames_asked = 0

    def knows_payload_type(self, payload_type: int) -> bool:
        return super().knows_payload_type(payload_type) or self.plan.repaired_by(payload_type) is not None

    def receive(self, packet: RtpPacket, now: float, arrived_at: float) -> None:
        if self.plan.repaired_by(packet.payload_type) is not None:
            self._receive_repeated(packet, now)
        else:
            super().receive(packet, now, arrived_at)

    def take(self, packet: RtpPacket, sequence: int, now: float) -> None:
        is_late = self._nacks.arrived(sequence, now)
        if not self.gate_open or not self.plan.send:
            return
        if self._joins and self._last is not None:
            self._sequence_offset = self._last[0] + 1 - sequence
            self._timestamp_offset = self._last[1] + self.codec.clock_rate // 50 - packet.timestamp
            self._joins = False
        out = (sequence + self._sequence_offset) & 0xFFFF
        timestamp = (packet.timestamp + self._timestamp_offset) & 0xFFFF_FFFF
        sender = self.sender
        block = sender.extensions.with_orientation(packet.orientation)
        data = build_rtp(packet.payload_type, packet.marker, out, timestamp, sender.ssrc, packet.payload, block)
        if not is_late:
            sender.stamp(timestamp, now)
            self._last = out, timestamp
        self.deliver(sender, [data])

    def source_changed(self) -> None:
        self._nacks.reset()
        self._joins = True

    def tick(self, now: float) -> None:
        if self.source is None or not self.is_waiting(now):
            return
        lost = self._nacks.due(now, self.rtt_s or START_RTT_S)
        if lost:
            self.send_feedback(Nack(self.sender.ssrc, self.source.ssrc, tuple(n & 0xFFFF for n in lost)))

    def is_waiting(self, now: float) -> bool:
        return self.plan.kind == "video" and self.plan.nack and self._nacks.is_waiting

    def key_frame_asked(self) -> None:
        """Pass it on: who asks is who sends."""
        now = time.monotonic()
        if now - self._key_asked_at >= KEY_INTERVAL_S and self.send_key_request():
            self._key_asked_at = now
            self.key_frames_asked += 1

    def repeat_asked(self, lost: tuple[int, ...], now: float) -> None:
        packets = self.sender.repeat(lost, now, self.rtt_s or START_RTT_S)
        if packets and self.gate_open and self.plan.send:
            self.deliver_again(self.sender, packets, wrapped=False)

    def audio_figures(self, now: float) -> AudioStats | None:
        """Give what an echo knows of sound: it decodes none."""
        if self.plan.kind != "audio":
            return None
        rates = self.sent_bytes.per_second(now), self.received_bytes.per_second(now)
        return AudioStats(
            codec=self.codec.name.lower(),
            packets_sent=self.packets_sent,
            packets_received=self.packets_received,
            lost=self.lost,
            jitter_ms=self.source.counter.jitter_ms if self.source is not None else None,
            rtt_ms=self.rtt_s * 1000 if self.rtt_s is not None else None,
            bitrate_out_bps=rates[0] * 8 if rates[0] is not None else None,
            bitrate_in_bps=rates[1] * 8 if rates[1] is not None else None,
        )

    def video_figures(self, now: float) -> VideoStats | None:
        """Give what an echo knows of a picture: it decodes none."""
        if self.plan.kind != "video":
            return None
        rates = self.sent_bytes.per_second(now), self.received_bytes.per_second(now)
        return VideoStats(
            codec=self.codec.name.lower(),
            key_frames_asked=self.key_frames_asked,
            packets_sent=self.packets_sent,
            packets_received=self.packets_received,
            lost=self.lost,
            bitrate_bps=rates[0] * 8 if rates[0] is not None else None,
            bitrate_in_bps=rates[1] * 8 if rates[1] is not None else None,
        )

    def _receive_repeated(self, packet: RtpPacket, now: float) -> None:
        if not packet.payload:
            return  # padding, with which the peer probes the path
        if self.source is None or len(packet.payload) < 3 or not self.plan.receive:
            self.wrong_packets += 1
            return
        highest = self.source.counter.highest
        sequence = highest + sequence_difference(int.from_bytes(packet.payload[:2]), highest & 0xFFFF)
        if not self._nacks.is_missing(sequence):
            return
        original = RtpPacket(
            self.plan.repaired_by(packet.payload_type) or self.codec.payload_type,
            packet.marker,
            sequence & 0xFFFF,
            packet.timestamp,
            self.source.ssrc,
            packet.payload[2:],
        )
        self.take(original, sequence, now)
