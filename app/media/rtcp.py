"""RTCP packets: reading and writing (RFC 3550 section 6, RFC 4585 section 6, RFC 5104 sections 4.2 and 4.3.1, REMB).

Pure. Reading skips packet types that mean nothing to us; a malformed packet raises PacketError and nothing of its
compound is used. REMB is draft-alvestrand-rmcat-remb-03.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from app.media.errors import PacketError
from app.media.twcc import FEEDBACK_FORMAT, TransportFeedback, read_feedback

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
GOODBYE = 203
TRANSPORT_FEEDBACK = 205
PAYLOAD_FEEDBACK = 206

NACK_FORMAT = 1
TMMBR_FORMAT = 3
TMMBN_FORMAT = 4
PLI_FORMAT = 1
FIR_FORMAT = 4
APPLICATION_FORMAT = 15

MOST_PACKETS = 100  # of one compound: each costs time, and a datagram has room for thousands
MAX_NACKS = 512  # of one packet that are read
MAX_LIMITS = 16

_WORD = struct.Struct("!L")
_TWO_WORDS = struct.Struct("!LL")
_SENDER_INFO = struct.Struct("!QLLL")
_REPORT = struct.Struct("!LLLLLL")
_NACK_ITEM = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class Report:
    """One report block. `jitter` in timestamp units; `last_report` and `delay` in 1/65536 s, 0 when none was heard."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest_sequence: int
    jitter: int
    last_report: int
    delay: int

    def __bytes__(self) -> bytes:
        lost = max(-0x80_0000, min(0x7F_FFFF, self.lost)) & 0xFF_FFFF
        return _REPORT.pack(
            self.ssrc,
            (self.fraction_lost << 24) | lost,
            self.highest_sequence & 0xFFFF_FFFF,
            min(self.jitter, 0xFFFF_FFFF),
            self.last_report,
            min(self.delay, 0xFFFF_FFFF),
        )


@dataclass(frozen=True, slots=True)
class SenderReport:
    ssrc: int
    ntp: int  # 32.32 fixed point seconds
    timestamp: int
    packets: int
    octets: int
    reports: tuple[Report, ...] = ()

    def __bytes__(self) -> bytes:
        info = _SENDER_INFO.pack(self.ntp, self.timestamp, self.packets & 0xFFFF_FFFF, self.octets & 0xFFFF_FFFF)
        body = _WORD.pack(self.ssrc) + info + b"".join(map(bytes, self.reports))
        return _pack(SENDER_REPORT, len(self.reports), body)


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    ssrc: int
    reports: tuple[Report, ...] = ()

    def __bytes__(self) -> bytes:
        return _pack(RECEIVER_REPORT, len(self.reports), _WORD.pack(self.ssrc) + b"".join(map(bytes, self.reports)))


@dataclass(frozen=True, slots=True)
class SourceName:
    """A source description with the CNAME only (RFC 7022); written, never read: no name of a peer is shown."""

    ssrc: int
    cname: str

    def __bytes__(self) -> bytes:
        name = self.cname.encode()[:255]
        body = _WORD.pack(self.ssrc) + bytes((1, len(name))) + name + b"\0"
        return _pack(SOURCE_DESCRIPTION, 1, body + bytes(-len(body) % 4))


@dataclass(frozen=True, slots=True)
class Bye:
    sources: tuple[int, ...]

    def __bytes__(self) -> bytes:
        return _pack(GOODBYE, len(self.sources), b"".join(map(_WORD.pack, self.sources)))


@dataclass(frozen=True, slots=True)
class Nack:
    """Sequence numbers (16 bits) of packets that did not come."""

    ssrc: int
    media_ssrc: int
    lost: tuple[int, ...]

    def __bytes__(self) -> bytes:
        items = b"".join(_NACK_ITEM.pack(first, mask) for first, mask in _nack_items(self.lost))
        return _pack(TRANSPORT_FEEDBACK, NACK_FORMAT, _TWO_WORDS.pack(self.ssrc, self.media_ssrc) + items)


@dataclass(frozen=True, slots=True)
class Pli:
    """Picture loss indication: a whole picture is needed."""

    ssrc: int
    media_ssrc: int

    def __bytes__(self) -> bytes:
        return _pack(PAYLOAD_FEEDBACK, PLI_FORMAT, _TWO_WORDS.pack(self.ssrc, self.media_ssrc))


@dataclass(frozen=True, slots=True)
class Fir:
    """Full intra request for each source, with its command number (0..255)."""

    ssrc: int
    requests: tuple[tuple[int, int], ...]

    def __bytes__(self) -> bytes:
        items = b"".join(_TWO_WORDS.pack(source, number << 24) for source, number in self.requests)
        return _pack(PAYLOAD_FEEDBACK, FIR_FORMAT, _TWO_WORDS.pack(self.ssrc, 0) + items)


@dataclass(frozen=True, slots=True)
class Remb:
    """The most that the receiver thinks its path carries, in bits per second."""

    ssrc: int
    bitrate_bps: int
    sources: tuple[int, ...]

    def __bytes__(self) -> bytes:
        exponent = max(0, self.bitrate_bps.bit_length() - 18)
        rate = (len(self.sources) << 24) | (exponent << 18) | (self.bitrate_bps >> exponent)
        body = _TWO_WORDS.pack(self.ssrc, 0) + b"REMB" + _WORD.pack(rate) + b"".join(map(_WORD.pack, self.sources))
        return _pack(PAYLOAD_FEEDBACK, APPLICATION_FORMAT, body)


@dataclass(frozen=True, slots=True)
class Limit:
    """One entry of TMMBR or TMMBN: the most of `ssrc`, bits per second, with `overhead_bytes` of headers a packet."""

    ssrc: int
    bitrate_bps: int
    overhead_bytes: int = 0

    def __bytes__(self) -> bytes:
        exponent = max(0, self.bitrate_bps.bit_length() - 17)
        rate = (exponent << 26) | (self.bitrate_bps >> exponent << 9) | min(self.overhead_bytes, 0x1FF)
        return _TWO_WORDS.pack(self.ssrc, rate)


@dataclass(frozen=True, slots=True)
class BitrateRequest:
    """TMMBR (RFC 5104 section 4.2.1): who hears a source asks it to send no more; `limits` name the source."""

    ssrc: int
    limits: tuple[Limit, ...]

    def __bytes__(self) -> bytes:
        body = _TWO_WORDS.pack(self.ssrc, 0) + b"".join(map(bytes, self.limits))
        return _pack(TRANSPORT_FEEDBACK, TMMBR_FORMAT, body)


@dataclass(frozen=True, slots=True)
class BitrateNotice:
    """TMMBN (RFC 5104 section 4.2.2): which limits a source keeps to; `limits` name who asked."""

    ssrc: int
    limits: tuple[Limit, ...]

    def __bytes__(self) -> bytes:
        body = _TWO_WORDS.pack(self.ssrc, 0) + b"".join(map(bytes, self.limits))
        return _pack(TRANSPORT_FEEDBACK, TMMBN_FORMAT, body)


RtcpPacket = (
    SenderReport | ReceiverReport | Bye | Nack | Pli | Fir | Remb | BitrateRequest | BitrateNotice | TransportFeedback
)


@lru_cache(maxsize=64)
def feedback_head(ssrc: int, cname: str) -> bytes:
    """Give what feedback stands behind: an empty receiver report and the name (RFC 4585 section 3.1)."""
    return bytes(ReceiverReport(ssrc)) + bytes(SourceName(ssrc, cname))


def parse_rtcp(data: bytes) -> list[RtcpPacket]:
    """Read a compound packet (or a reduced-size one, RFC 5506) into what we understand of it."""
    packets: list[RtcpPacket] = []
    position = count = 0
    while position < len(data):
        count += 1
        if count > MOST_PACKETS:
            raise PacketError("A compound of RTCP has too many packets.")
        if position + 4 > len(data):
            raise PacketError("An RTCP packet is cut short.")
        first, kind = data[position], data[position + 1]
        end = position + 4 + 4 * int.from_bytes(data[position + 2 : position + 4])
        if first >> 6 != 2 or end > len(data):
            raise PacketError("An RTCP packet has a wrong version or length.")
        body = data[position + 4 : end]
        if first & 0x20:
            if not body or not 0 < body[-1] <= len(body):
                raise PacketError("The padding of an RTCP packet is longer than it.")
            body = body[: -body[-1]]
        reader = _READERS.get(kind)
        if reader is not None:
            packet = reader(body, first & 0x1F)
            if packet is not None:
                packets.append(packet)
        position = end
    return packets


def _pack(kind: int, count: int, body: bytes) -> bytes:
    return bytes((0x80 | count, kind)) + (len(body) // 4).to_bytes(2) + body


def _need(body: bytes, length: int) -> None:
    if len(body) < length:
        raise PacketError("The content of an RTCP packet is cut short.")


def _read_reports(body: bytes, start: int, count: int) -> tuple[Report, ...]:
    _need(body, start + count * _REPORT.size)
    reports = []
    for position in range(start, start + count * _REPORT.size, _REPORT.size):
        ssrc, loss, highest, jitter, last, delay = _REPORT.unpack_from(body, position)
        lost = loss & 0xFF_FFFF
        reports.append(Report(ssrc, loss >> 24, lost - ((lost & 0x80_0000) << 1), highest, jitter, last, delay))
    return tuple(reports)


def _read_sender_report(body: bytes, count: int) -> SenderReport:
    _need(body, 24)
    ntp, timestamp, packets, octets = _SENDER_INFO.unpack_from(body, 4)
    return SenderReport(_word(body, 0), ntp, timestamp, packets, octets, _read_reports(body, 24, count))


def _read_receiver_report(body: bytes, count: int) -> ReceiverReport:
    _need(body, 4)
    return ReceiverReport(_word(body, 0), _read_reports(body, 4, count))


def _read_bye(body: bytes, count: int) -> Bye:
    _need(body, 4 * count)
    return Bye(tuple(_word(body, 4 * index) for index in range(count)))


def _read_transport_feedback(
    body: bytes, form: int
) -> Nack | BitrateRequest | BitrateNotice | TransportFeedback | None:
    _need(body, 8)
    if form == FEEDBACK_FORMAT:
        return read_feedback(body)
    if form in (TMMBR_FORMAT, TMMBN_FORMAT):
        kind = BitrateRequest if form == TMMBR_FORMAT else BitrateNotice
        return kind(_word(body, 0), _read_limits(body))
    if form != NACK_FORMAT:
        return None
    lost: list[int] = []
    for position in range(8, len(body) - 3, 4):
        first, mask = _NACK_ITEM.unpack_from(body, position)
        lost.append(first)
        lost.extend((first + bit + 1) & 0xFFFF for bit in range(16) if mask >> bit & 1)
        if len(lost) >= MAX_NACKS:
            break  # the request for a picture behind it counts all the same
    return Nack(_word(body, 0), _word(body, 4), tuple(lost[:MAX_NACKS]))


def _read_limits(body: bytes) -> tuple[Limit, ...]:
    limits = []
    for position in range(8, min(len(body) - 7, 8 + 8 * MAX_LIMITS), 8):
        ssrc, rate = _TWO_WORDS.unpack_from(body, position)
        limits.append(Limit(ssrc, (rate >> 9 & 0x1_FFFF) << (rate >> 26), rate & 0x1FF))
    return tuple(limits)


def _read_payload_feedback(body: bytes, form: int) -> Pli | Fir | Remb | None:
    _need(body, 8)
    ssrc = _word(body, 0)
    if form == PLI_FORMAT:
        return Pli(ssrc, _word(body, 4))
    if form == FIR_FORMAT:
        return Fir(ssrc, tuple((_word(body, p), body[p + 4]) for p in range(8, len(body) - 7, 8)))
    if form == APPLICATION_FORMAT and body[8:12] == b"REMB":
        _need(body, 16)
        rate = _word(body, 12)
        count = rate >> 24
        _need(body, 16 + 4 * count)
        sources = tuple(_word(body, 16 + 4 * index) for index in range(count))
        return Remb(ssrc, (rate & 0x3FFFF) << (rate >> 18 & 0x3F), sources)
    return None


def _word(body: bytes, position: int) -> int:
    return int.from_bytes(body[position : position + 4])


def _nack_items(lost: Iterable[int]) -> list[tuple[int, int]]:
    """Pack ascending sequence numbers into (first, mask of the 16 after it)."""
    items: list[tuple[int, int]] = []
    for sequence in lost:
        distance = (sequence - items[-1][0] - 1) & 0xFFFF if items else 0xFFFF
        if distance < 16:
            items[-1] = (items[-1][0], items[-1][1] | 1 << distance)
        else:
            items.append((sequence, 0))
    return items


_READERS: dict[int, Callable[[bytes, int], RtcpPacket | None]] = {
    SENDER_REPORT: _read_sender_report,
    RECEIVER_REPORT: _read_receiver_report,
    GOODBYE: _read_bye,
    TRANSPORT_FEEDBACK: _read_transport_feedback,
    PAYLOAD_FEEDBACK: _read_payload_feedback,
}
