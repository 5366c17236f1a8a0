"""Which stream an incoming packet belongs to (RFC 9143 section 9.2), RTP and RTCP alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.media.header_extensions import NO_IDS, ExtensionIds
from app.media.rtcp import Fir, Nack, Pli, ReceiverReport, Report, RtcpPacket, SenderReport, parse_rtcp
from app.media.rtp import RtpPacket
from app.media.stream import RtpStream

MOST_SOURCES = 128


class Router:
    """Knows the streams of a session by transport, and learns which SSRC is whose."""

    def __init__(self) -> None:
        self._by_transport: dict[str, list[RtpStream]] = {}
        self._extensions: dict[str, ExtensionIds] = {}
        self._by_source: dict[tuple[str, int], RtpStream] = {}
        self.unclaimed = 0

    def set_streams(self, streams: Sequence[RtpStream]) -> None:
        """Set what there is; what was learned of streams that stay on their transport is kept."""
        self._by_transport.clear()
        self._extensions.clear()
        for stream in streams:
            transport = stream.plan.transport
            self._by_transport.setdefault(transport, []).append(stream)
            self._extensions[transport] = self._extensions.get(transport, NO_IDS) | stream.plan.extension_ids
        self._by_source = {
            key: stream for key, stream in self._by_source.items() if stream in self._by_transport.get(key[0], ())
        }

    def route(self, transport: str, data: bytes) -> tuple[RtpStream, RtpPacket] | None:
        """Read an RTP packet and find its stream; None (counted) when it is of none, PacketError when malformed."""
        packet = RtpPacket.parse(data, self._extensions.get(transport, NO_IDS))
        streams = self._by_transport.get(transport, ())
        if len(streams) == 1:
            return streams[0], packet
        stream = self._by_source.get((transport, packet.ssrc))
        if stream is None or (packet.mid is not None and packet.mid != stream.plan.mid):
            stream = _find(streams, packet)
            if stream is None:
                self.unclaimed += 1
                return None
            if len(self._by_source) >= MOST_SOURCES:
                del self._by_source[next(iter(self._by_source))]
            self._by_source[transport, packet.ssrc] = stream
        return stream, packet

    def route_rtcp(self, transport: str, data: bytes, now: float, waited_s: float = 0.0) -> list[RtcpPacket]:
        """Read a compound packet, tell the streams it is about, and give it. PacketError when it is malformed.

        `waited_s`: how long ago it came.
        """
        streams = self._by_transport.get(transport, ())
        packets = parse_rtcp(data)
        for packet in packets:
            match packet:
                case SenderReport():
                    for stream in streams:
                        stream.sender_report(packet, now - waited_s)
                    _tell_reports(streams, packet.reports, now, waited_s)
                case ReceiverReport():
                    _tell_reports(streams, packet.reports, now, waited_s)
                case Nack(media_ssrc=ssrc, lost=lost):
                    for stream in _owners(streams, (ssrc,)):
                        stream.repeat_asked(lost, now)
                case Pli(media_ssrc=ssrc):
                    for stream in _owners(streams, (ssrc,)):
                        stream.key_frame_asked()
                case Fir(requests=requests):
                    for stream in _owners(streams, [ssrc for ssrc, _ in requests]):
                        stream.key_frame_asked()
                case _:
                    continue  # BYE: the dialog says when a call is over; the rest is about the path
        return packets


def _find(streams: Iterable[RtpStream], packet: RtpPacket) -> RtpStream | None:
    """Find a stream by MID, else by a payload type that only one of them has."""
    if packet.mid is not None:
        by_mid = next((stream for stream in streams if stream.plan.mid == packet.mid), None)
        if by_mid is not None:
            return by_mid
    matching = [stream for stream in streams if stream.knows_payload_type(packet.payload_type)]
    return matching[0] if len(matching) == 1 else None


def _owners(streams: Iterable[RtpStream], sources: Sequence[int]) -> list[RtpStream]:
    return [stream for stream in streams if stream.sender.ssrc in sources]


def _tell_reports(streams: Iterable[RtpStream], reports: Sequence[Report], now: float, waited_s: float) -> None:
    for report in reports:
        for stream in _owners(streams, (report.ssrc,)):
            stream.heard_by_peer(report, now, waited_s)
