"""One burst of ours on its way out: its packets, how long it is, and how it is kept. Pure."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from app.channels.burst_record import BurstRecord
from app.channels.bursts import BurstPackets
from app.channels.mission_parts import TxAudio
from app.channels.packet import BurstFlags, BurstHeader, ChannelPacket

MOST_END_PACKETS = 10


class OwnBurst:
    """`number` tells our bursts apart; `step` is what a packet adds to the timestamp, of `clock_rate`."""

    def __init__(
        self,
        number: int,
        audio: TxAudio,
        header: BurstHeader | None,
        payload_type: int,
        clock_rate: int,
        step: int,
        random: Random,
        *,
        began_wall: float,
        keeps: bool,
    ) -> None:
        self.number = number
        self.began_wall = began_wall
        self.header = header
        self.is_emergency = header is not None and BurstFlags.EMERGENCY in header.flags
        self.level_dbfs: float | None = None
        self.record = BurstRecord(keeps)
        self.packets_sent = 0
        self._keeps = keeps
        self._clock_rate = clock_rate
        self._packets = BurstPackets(
            *(payload_type, step, header, random),
            initial=max(1, audio.initial_header_burst),
            interval=max(1, audio.extension_send_interval),
            trailing=min(MOST_END_PACKETS, audio.trailing_header_burst),
        )
        self.ssrc = self._packets.ssrc

    def raise_emergency(self) -> None:
        """Go on as an emergency."""
        self.is_emergency = True
        if self._packets.header is not None:
            flags = self._packets.header.flags | BurstFlags.EMERGENCY
            self._packets.header = replace(self._packets.header, flags=flags)

    def next(self, payload: bytes) -> ChannelPacket:
        """Give the packet for the next payload."""
        packet = self._packets.next(payload)
        self.packets_sent += 1
        self.record.add(self.packets_sent, packet.timestamp, packet.payload_type, self._clock_rate, payload)
        return packet

    def end(self) -> tuple[ChannelPacket, ...]:
        """Give the packets that end it, to be sent a packet's time apart."""
        return self._packets.end()

    def take_record(self) -> tuple[BurstRecord, float]:
        """Give what was kept since this was asked last, and when that began (seconds since the Unix epoch)."""
        record, began_wall = self.record, self.began_wall
        self.record = BurstRecord(self._keeps)
        self.began_wall += record.seconds
        return record, began_wall
