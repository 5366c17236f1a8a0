"""What a channel costs on the wire: of one stream, of a multicast group, and through a rallypoint.

One stream is one talker on one channel. Sizes are those of whole Ethernet frames without preamble and checksum, as the
architecture guide counts them; docs/channels-packets.md has the formulas in words and a table. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from app.channels.bursts import HEADER_INTERVAL
from app.channels.encoders import AMR, EncoderInfo
from app.channels.packet import extension_bytes
from app.channels.sealing import OVERHEAD_BYTES

ETHERNET_BYTES = 14
IPV4_BYTES, IPV6_BYTES = 20, 40
UDP_BYTES = 8
RTP_BYTES = 12
TCP_BYTES = 32  # 20, and 12 of options: timestamps
TLS_BYTES = 22  # RFC 8446 section 5.2: header 5, content type 1, tag 16
SUBJECT_BYTES = 43  # of the name a stream goes by at a rallypoint, where nobody says otherwise
MOST_ACKS_PER_S = 25.0  # every second packet is acknowledged, or one after 40 ms

_CBC_BLOCK = 16


class Sealing(Enum):
    """How a datagram is protected. CBC is what the architecture guide describes, for comparison: we never send it."""

    NONE = "clear"
    GCM = "AES-256-GCM"
    CBC = "AES-256-CBC"


@dataclass(frozen=True, slots=True)
class Stream:
    """Packets of one size in one direction; `packet_bytes` is a mean where some carry a header extension."""

    packet_bytes: float
    packets_per_s: float

    @property
    def kbps(self) -> float:
        return 8 * self.packet_bytes * self.packets_per_s / 1_000


def payload_bytes(bitrate_bps: int, framing_ms: int) -> int:
    """Give what a packet holds by the guide's formula: the rate, rounded up to whole bytes."""
    return -(-bitrate_bps * framing_ms // 8_000)


def own_payload_bytes(info: EncoderInfo, framing_ms: int) -> int:
    """Give what our packets hold: whole frames, and what the codec's payload format adds."""
    frames = int(framing_ms // info.frame_ms) if info.frame_ms else 0
    if info.codec is AMR:  # RFC 4867 section 4.4: a request, a byte of contents a frame, frames on whole bytes
        return 1 + frames * (1 + -(-info.frame_bits // 8))
    return -(-frames * info.frame_bits // 8)


def body_bytes(payload: int, sealing: Sealing, extension: int = 0) -> int:
    """Give the size of a datagram with this payload and header extension, as the link gets it."""
    rtp = RTP_BYTES + extension + payload
    if sealing is Sealing.CBC:
        return _CBC_BLOCK + _CBC_BLOCK * (rtp // _CBC_BLOCK + 1)  # the vector, and padding of 1 to 16 bytes
    return rtp + (OVERHEAD_BYTES if sealing is Sealing.GCM else 0)


def udp_stream(payload: int, framing_ms: int, sealing: Sealing, *, ip_bytes: int = IPV4_BYTES) -> Stream:
    """Give one stream of packets without header extension."""
    frame = ETHERNET_BYTES + ip_bytes + UDP_BYTES + body_bytes(payload, sealing)
    return Stream(frame, 1_000 / framing_ms)


def channel_stream(
    info: EncoderInfo, framing_ms: int, *, is_sealed: bool, alias: str | None, ip_bytes: int = IPV4_BYTES
) -> Stream:
    """Give what one talker of ours costs in a long burst; `alias` None: the channel goes without header extension."""
    below = ETHERNET_BYTES + ip_bytes + UDP_BYTES
    return Stream(below + _mean_body(info, framing_ms, is_sealed, alias), 1_000 / framing_ms)


def multicast_kbps(stream: Stream, talkers: int) -> float:
    """Give what a group costs on its network: who listens costs nothing."""
    return stream.kbps * talkers


def unicast_streams(listeners: Sequence[int]) -> int:
    """Count the streams at a rallypoint: one up for each talker, and one down to each who listens to that talker."""
    return len(listeners) + sum(listeners)


@dataclass(frozen=True, slots=True)
class RelayedStream:
    """One talker's way through a rallypoint: up to it, down to one listener, and the acknowledgements of either.

    TCP joins and splits what it carries and TLS records follow it, so these are estimates for a path without loss.
    """

    up: Stream
    down: Stream
    acks: Stream  # of one connection, against the sound

    def in_kbps(self, listeners: Sequence[int]) -> float:
        """Give what the rallypoint receives; `listeners`: how many hear each of the talkers."""
        return self.up.kbps * len(listeners) + self.acks.kbps * sum(listeners)

    def out_kbps(self, listeners: Sequence[int]) -> float:
        """Give what the rallypoint sends."""
        return self.down.kbps * sum(listeners) + self.acks.kbps * len(listeners)


def relayed_stream(
    info: EncoderInfo,
    framing_ms: int,
    *,
    is_sealed: bool,
    alias: str | None,
    subject_bytes: int = SUBJECT_BYTES,
    ip_bytes: int = IPV4_BYTES,
) -> RelayedStream:
    """Give what one talker of ours costs over TLS to a NATS server.

    Before each datagram stands `PUB subject size` on its way up and `MSG subject sid size` on its way down.
    """
    body = _mean_body(info, framing_ms, is_sealed, alias)
    below = ETHERNET_BYTES + ip_bytes + TCP_BYTES
    digits = len(str(int(body)))
    published = len("PUB  \r\n\r\n") + subject_bytes + digits
    delivered = len("MSG   \r\n\r\n") + subject_bytes + digits + 1
    rate = 1_000 / framing_ms
    return RelayedStream(
        up=Stream(below + TLS_BYTES + published + body, rate),
        down=Stream(below + TLS_BYTES + delivered + body, rate),
        acks=Stream(below, min(rate, MOST_ACKS_PER_S)),
    )


def _mean_body(info: EncoderInfo, framing_ms: int, is_sealed: bool, alias: str | None) -> float:
    payload = own_payload_bytes(info, framing_ms)
    extension = 0.0 if alias is None else extension_bytes(alias) / HEADER_INTERVAL
    return body_bytes(payload, Sealing.GCM if is_sealed else Sealing.NONE) + extension
