"""One burst as it is sent: numbers, marker, which packets carry the header, and how the end is said. Pure."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from app.channels.packet import BurstFlags, BurstHeader, ChannelPacket

INITIAL_HEADERS = 5  # packets at the beginning of a burst that carry the header, …
HEADER_INTERVAL = 10  # … then one in so many, …
TRAILING_HEADERS = 5  # … and so many without sound that say that the burst ends


class BurstPackets:
    """Gives the packets of one burst, whose SSRC and first numbers are drawn anew (RFC 3550 section 5.1).

    `timestamp_step`: what one packet adds to the timestamp. `header` None: no packet carries one (`noHdrExt`), and
    receivers learn of the end by silence.
    """

    def __init__(
        self,
        payload_type: int,
        timestamp_step: int,
        header: BurstHeader | None,
        random: Random,
        *,
        initial: int = INITIAL_HEADERS,
        interval: int = HEADER_INTERVAL,
        trailing: int = TRAILING_HEADERS,
    ) -> None:
        self.ssrc = random.getrandbits(32)
        self.header = header
        self._payload_type = payload_type
        self._step = timestamp_step
        self._initial, self._interval, self._trailing = initial, max(1, interval), trailing
        self._sequence = random.getrandbits(16)
        self._timestamp = random.getrandbits(32)
        self._count = 0

    def next(self, payload: bytes) -> ChannelPacket:
        """Give the packet for the next piece of sound."""
        has_header = self._count < self._initial or self._count % self._interval == 0
        packet = self._packet(payload, self.header if has_header else None)
        self._timestamp = (self._timestamp + self._step) & 0xFFFF_FFFF
        return packet

    def end(self) -> tuple[ChannelPacket, ...]:
        """Give the packets that end it, to be sent a packet's time apart: one that arrives is enough."""
        if self.header is None:
            return ()
        last = replace(self.header, flags=self.header.flags | BurstFlags.TX_END)
        return tuple(self._packet(b"", last) for _ in range(max(1, self._trailing)))

    def _packet(self, payload: bytes, header: BurstHeader | None) -> ChannelPacket:
        packet = ChannelPacket(
            *(self._sequence, self._timestamp, self.ssrc, self._count == 0, self._payload_type, payload, header)
        )
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._count += 1
        return packet
