"""RTP packets: reading, writing, sequence arithmetic, the receiver's counters (RFC 3550 sections 5.1, A.1, A.3, A.8).

Pure: knows no clock, socket or codec.
"""

from __future__ import annotations

import struct

from app.media.errors import PacketError
from app.media.header_extensions import NO_IDS, ExtensionIds, read_extensions

HEADER_BYTES = 12
MAX_JUMP = 300  # a packet further ahead or behind must be followed by its successor to be believed, RFC 3550 A.1
MAX_LOSS = 3_000  # a believed jump beyond this is a new start, not loss

_HEADER = struct.Struct("!BBHLL")
_SHORT_PAIR = struct.Struct("!HH")


class RtpPacket:
    """One received packet.

    Of header extensions that were negotiated: `mid`, `transport_sequence` (16 bits), `orientation` (the byte of 3GPP
    TS 26.114 section 7.4.5: bits 0 and 1 are quarter turns, bit 2 a flip, bit 3 the back camera); None where absent.
    """

    __slots__ = (
        "marker",
        "mid",
        "orientation",
        "payload",
        "payload_type",
        "sequence",
        "ssrc",
        "timestamp",
        "transport_sequence",
    )

    def __init__(
        self,
        payload_type: int,
        marker: bool,
        sequence: int,
        timestamp: int,
        ssrc: int,
        payload: bytes,
        mid: str | None = None,
        transport_sequence: int | None = None,
        orientation: int | None = None,
    ) -> None:
        self.payload_type = payload_type
        self.marker = marker
        self.sequence = sequence
        self.timestamp = timestamp
        self.ssrc = ssrc
        self.payload = payload
        self.mid = mid
        self.transport_sequence = transport_sequence
        self.orientation = orientation

    @classmethod
    def parse(cls, data: bytes, ids: ExtensionIds = NO_IDS) -> RtpPacket:
        """Read one packet; PacketError when it is not RTP version 2 or is cut short."""
        if len(data) < HEADER_BYTES:
            raise PacketError(f"An RTP packet of {len(data)} bytes is cut short.")
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        if first >> 6 != 2:
            raise PacketError(f"RTP version {first >> 6} is not known.")
        start, end = HEADER_BYTES + 4 * (first & 0x0F), len(data)
        mid, transport_sequence, orientation = None, None, None
        if first & 0x10:
            if start + 4 > end:
                raise PacketError("An RTP header extension is cut short.")
            profile, words = _SHORT_PAIR.unpack_from(data, start)
            extension, start = start + 4, start + 4 + 4 * words
            if ids is not NO_IDS and start <= end:
                mid, transport_sequence, orientation = read_extensions(data, extension, start, profile, ids)
        if first & 0x20 and start < end:
            end -= data[end - 1]
        if start > end:
            raise PacketError("An RTP header or its padding is longer than the packet.")
        payload = data[start:end]
        return cls(
            second & 0x7F,
            second > 127,
            sequence,
            timestamp,
            ssrc,
            payload,
            mid,
            transport_sequence,
            orientation,
        )


def build_rtp(
    payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int, payload: bytes, extension: bytes = b""
) -> bytes:
    """Write one packet; `extension` comes whole from an `ExtensionBlock`, or is empty."""
    first = 0x90 if extension else 0x80
    header = _HEADER.pack(first, (0x80 if marker else 0) | payload_type, sequence, timestamp, ssrc)
    return header + extension + payload


def sequence_difference(a: int, b: int) -> int:
    """Give a - b for 16-bit sequence numbers, in -32768..32767."""
    return ((a - b + 0x8000) & 0xFFFF) - 0x8000


def timestamp_difference(a: int, b: int) -> int:
    """Give a - b for 32-bit timestamps, in -2^31..2^31-1."""
    return ((a - b + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


class ReceptionCounter:
    """What a receiver report says of one source, and the extended sequence numbers that buffers work with."""

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._base: int | None = None
        self._highest = 0
        self._successor: int | None = None
        self._transit: float | None = None
        self._expected_before = 0
        self._received_before = 0
        self._jitter = 0.0
        self.received = 0

    def count(self, sequence: int, timestamp: int, now: float) -> int | None:
        """Count one packet and give its extended sequence number (65536 or above, so that none is negative).

        None for a packet far from all others: it is dropped, unless the next one follows it.
        """
        if self._base is None:
            self._base = self._highest = extended = sequence + 0x10000
        else:
            step = sequence_difference(sequence, self._highest & 0xFFFF)
            if abs(step) > MAX_JUMP:
                believed, self._successor = sequence == self._successor, (sequence + 1) & 0xFFFF
                if not believed:
                    return None
                step &= 0xFFFF
                if step > MAX_LOSS:
                    self._base += step - 1
            extended = self._highest + step
            self._highest = max(self._highest, extended)
        self.received += 1
        if extended == self._highest:  # what was overtaken, or repeated, says nothing of the way's own jitter
            self._follow_jitter(timestamp, now)
        return extended

    def was_repeated(self) -> None:
        """The packet counted last came again because it was asked for: on its way it was lost all the same."""
        self.received -= 1

    def _follow_jitter(self, timestamp: int, now: float) -> None:
        transit = now * self._clock_rate - timestamp
        if self._transit is not None:
            change = abs(transit - self._transit)
            if change < self._clock_rate * 5:  # more is a wrap or a jump of the timestamps
                self._jitter += (change - self._jitter) / 16
        self._transit = transit

    @property
    def highest(self) -> int:
        """The highest extended sequence number seen."""
        return self._highest

    @property
    def highest_told(self) -> int:
        """The same as reports tell it: without the cycle that extended numbers begin with here (RFC 3550 A.1)."""
        return max(0, self._highest - 0x1_0000)

    @property
    def lost(self) -> int:
        """Packets expected and not received; repeated ones may make it 0 but never negative here."""
        return 0 if self._base is None else max(0, self._highest - self._base + 1 - self.received)

    @property
    def jitter(self) -> int:
        """Interarrival jitter in timestamp units."""
        return int(self._jitter)

    @property
    def jitter_ms(self) -> float:
        return self._jitter / self._clock_rate * 1000

    def fraction_lost(self) -> int:
        """Give the share lost since the last call as 0..255, and begin a new interval."""
        expected = 0 if self._base is None else self._highest - self._base + 1
        interval, self._expected_before = expected - self._expected_before, expected
        received, self._received_before = self.received - self._received_before, self.received
        missing = interval - received
        return 0 if interval <= 0 or missing <= 0 else min(255, (missing << 8) // interval)
