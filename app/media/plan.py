"""What a media session is told: which streams run over which transport, with which codecs, under which keys.

Plain values. Offer and answer make them, `MediaSession` takes them; nothing here knows SDP.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from app.media.header_extensions import ExtensionIds
from app.media.sdes import SdesKey


class DatagramPath(Protocol):
    """A way to the peer for one transport: a nominated ICE pair, a plain socket."""

    def send(self, data: bytes) -> None:
        """Send one datagram; called on the loop thread only. A path that is gone drops it."""


@dataclass(frozen=True, slots=True)
class CodecPlan:
    """One negotiated payload type, RFC 8866 section 6.6 (`a=rtpmap`, `a=fmtp`).

    `name` compares without case; `fmtp` are the parameters that the peer announced, in order: what it can receive.
    """

    name: str
    payload_type: int
    clock_rate: int
    channels: int = 1
    fmtp: tuple[tuple[str, str], ...] = ()

    def parameter(self, name: str) -> str | None:
        """Give one fmtp parameter's value, or None."""
        return next((value for key, value in self.fmtp if key.lower() == name), None)


RtxTypes = tuple[tuple[int, int], ...]
"""Payload types of repairs, each with the one it repairs (`a=fmtp:… apt=`, RFC 4588 section 8.6)."""


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One m-line as negotiated.

    `codecs` in the order of preference: the first that we know is what we send, all may be received. Several streams
    with the same `transport` are bundled (RFC 9143); `mid` and `mid_extension_id` (RFC 9143 section 15, `a=extmap` of
    urn:ietf:params:rtp-hdrext:sdes:mid) then tell them apart, else the payload types do.
    """

    name: str
    kind: Literal["audio", "video"]
    transport: str
    send: bool
    receive: bool
    codecs: tuple[CodecPlan, ...]
    nack: bool = False  # the peer said `a=rtcp-fb:… nack`
    pli: bool = False  # … `nack pli`
    fir: bool = False  # … `ccm fir`
    rtx: RtxTypes = ()  # RFC 4588; what repairs a codec that is not named here repeats the packet itself
    mid: str | None = None
    mid_extension_id: int | None = None
    rtcp_mux: bool = True  # without it RTCP has a transport of its own, or none is sent
    ptime_ms: int | None = None  # `a=ptime`: how much sound the peer would like in a packet
    maxptime_ms: int | None = None  # `a=maxptime`: how much it takes
    transport_cc_id: int | None = None  # `a=extmap` of the transport-wide sequence number
    orientation_id: int | None = None  # `a=extmap` of urn:3gpp:video-orientation
    transport_cc: bool = False  # both sides have the extension and `a=rtcp-fb:… transport-cc`
    remb: bool = False  # … `goog-remb`
    tmmbr: bool = False  # … `ccm tmmbr`
    also_received: tuple[CodecPlan, ...] = ()  # of `codecs`, under further payload types: those of our own offer

    @property
    def payload_types(self) -> tuple[int, ...]:
        """Every payload type that may come."""
        received = (*self.codecs, *self.also_received)
        return (*(codec.payload_type for codec in received), *(repair for repair, _ in self.rtx))

    def rtx_of(self, payload_type: int) -> int | None:
        """The payload type of what repairs this one; None where the packet itself comes again."""
        return next((repair for repair, repaired in self.rtx if repaired == payload_type), None)

    def repaired_by(self, payload_type: int) -> int | None:
        """The payload type that a repair's payload type stands for; None where it is no repair."""
        return next((repaired for repair, repaired in self.rtx if repair == payload_type), None)

    @property
    def extension_ids(self) -> ExtensionIds:
        """The numbers of its header extensions."""
        return ExtensionIds(self.mid_extension_id, self.transport_cc_id, self.orientation_id)

    @property
    def rtcp_transport(self) -> str:
        """The transport of its RTCP: its own where both are multiplexed (RFC 5761), else the one beside it."""
        return self.transport if self.rtcp_mux else rtcp_name(self.transport)


def rtcp_name(transport: str) -> str:
    """Name the transport that carries RTCP apart from a transport's RTP: component 2 in the words of ICE."""
    return f"{transport}/2"


@dataclass(frozen=True, slots=True)
class SecurityPlan:
    """How one transport is protected.

    dtls: `dtls_role` is ours ("client" sends the first flight: a=setup:active); `fingerprints` are the peer's, as
    (hash name, hex with colons), RFC 8122. sdes: our key protects what we send, the peer's what it sends (RFC 4568).
    """

    kind: Literal["dtls", "sdes", "none"]
    dtls_role: Literal["client", "server"] | None = None
    fingerprints: tuple[tuple[str, str], ...] = ()
    sdes_local: SdesKey | None = field(default=None, repr=False)
    sdes_remote: SdesKey | None = field(default=None, repr=False)
