"""Congestion control of a session: each transport's sending and receiving side, and the timers that drive them.

Loop thread only. Knows streams by their plans; what each transport sends passes here on its way to encryption.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from app.events import TransportStats
from app.loop_beat import Beat, BeatTimer
from app.media.pacer import Outgoing
from app.media.receive_side import LEAST_PAUSE_S, VOICE_BPS, Feedback, Lateness, LimitPart, RembPart
from app.media.rtcp import (
    BitrateNotice,
    BitrateRequest,
    Limit,
    ReceiverReport,
    Remb,
    Report,
    RtcpPacket,
    SenderReport,
    feedback_head,
)
from app.media.rtp import RtpPacket
from app.media.send_side import SendSide, Stream
from app.media.stream import RtpStream
from app.media.twcc import TransportFeedback

FLUSH_S = 0.005
SOONER_S = 0.005  # a timer for feedback is only set anew where that is so much sooner
# Feedback leaves with sound or a picture that is sent about when it is due: then both ends wake up once for both, and a
# wake-up costs more than what is done in it.
ALONG_S, ALONG_SHARE = 0.005, 0.2  # so much before it is due, or such a share of the time since the last one, …
WAITS_S = 0.004  # … and it waits so long for that; not where packets come late
LEAST_LIMIT_BPS = 10_000
WAITS_SHARE = 0.02  # of how long a packet waited to be read goes into what is usual
AT_BEAT_S = 0.004  # packets that usually wait so long are read at the loop's beat, so over a path far wider than needed


class Congestion:
    """All transports of a session."""

    def __init__(
        self, cname: str, send_rtp: Callable[[str, bytes], bool], send_rtcp: Callable[[str, bytes], None]
    ) -> None:
        self._cname = cname
        self._send_rtp = send_rtp
        self._send_rtcp = send_rtcp
        self._transports: dict[str, _Transport] = {}
        self._is_closed = False

    def configure(self, streams: Iterable[RtpStream]) -> None:
        """Set the streams; what was learned of transports that stay is kept."""
        by_transport: dict[str, list[RtpStream]] = {}
        for stream in streams:
            by_transport.setdefault(stream.plan.transport, []).append(stream)
        for name in set(self._transports) - set(by_transport):
            self._transports.pop(name).close()
        for name, here in by_transport.items():
            if name not in self._transports:
                self._transports[name] = _Transport(name, self)
            self._transports[name].configure(here)

    def send(self, transport: str, packets: list[Outgoing]) -> None:
        """Send packets in their turn."""
        found = self._transports.get(transport)
        if found is not None:
            found.send(packets)

    def arrived(self, stream: RtpStream, packet: RtpPacket, size: int, at: float) -> None:
        """Note an authentic packet of a stream that came at that time; `size` is that of the whole RTP packet."""
        found = self._transports.get(stream.plan.transport)
        if found is not None:
            found.arrived(stream, packet, size, at)

    def rtcp(self, transport: str, packets: list[RtcpPacket], now: float) -> None:
        """Take what the peer says about the path."""
        found = self._transports.get(transport)
        if found is not None:
            for packet in packets:
                found.rtcp(packet, now)
            found.say_limits()

    def path_changed(self, transport: str) -> None:
        """The transport runs over another path from now on."""
        found = self._transports.get(transport)
        if found is not None:
            found.sends.moved(time.monotonic())

    def is_calm(self, now: float) -> bool:
        """Whether no transport needs the next tick soon."""
        return all(transport.sends.is_calm(now) for transport in self._transports.values())

    @property
    def is_wide(self) -> bool:
        """Whether all paths carry far more than comes over them."""
        return all(transport.is_wide for transport in self._transports.values())

    def tick(self, now: float) -> None:
        """Do what is due; called every 20 ms or so while media may leave, where all is calm half as often or less."""
        for transport in self._transports.values():
            transport.tick(now)

    def figures(self, now: float) -> TransportStats | None:
        """Give the figures of the transport that carries most; None before there is one."""
        busiest = max(self._transports.values(), key=lambda transport: transport.sent_octets, default=None)
        return busiest.figures(now) if busiest is not None else None

    def close(self) -> None:
        """Stop the timers."""
        self._is_closed = True
        for transport in self._transports.values():
            transport.close()


class _Transport:
    """One transport at work."""

    def __init__(self, name: str, owner: Congestion) -> None:
        self._name = name
        self._owner = owner
        self._streams: list[RtpStream] = []
        self.sends = SendSide(lambda data: owner._send_rtp(name, data))
        self._feedback = Feedback()
        self._lateness = Lateness()
        self._remb = RembPart()
        self._limits: dict[str, LimitPart] = {}
        self._kept_to: dict[str, Limit] = {}  # limits that the peer is still to be told of, by stream
        self._flush_timer: asyncio.TimerHandle | BeatTimer | None = None
        self._feedback_timer: asyncio.TimerHandle | BeatTimer | None = None
        self._feedback_from = 0.0  # with something else
        self._waits_s = 0.0  # packets, until they are read
        self._feedback_at = 0.0  # monotonic; not every loop's handles know their time

    def configure(self, streams: list[RtpStream]) -> None:
        self._streams = streams
        sending: dict[str, Stream] = {stream.plan.name: stream for stream in streams if stream.plan.send}
        told = any(stream.plan.transport_cc for stream in streams)
        self.sends.set_streams(sending, transport_cc=told)
        self._limits = {stream.plan.name: self._limits.get(stream.plan.name, LimitPart()) for stream in streams}

    @property
    def is_wide(self) -> bool:
        """Whether the path carries far more than comes over it, so that its packets are read at the loop's beat."""
        return self._waits_s > AT_BEAT_S

    @property
    def sent_octets(self) -> int:
        return sum(stream.sender.octets_sent for stream in self._streams)

    # Sending ------------------------------------------------------------------------------------------------

    def send(self, packets: list[Outgoing]) -> None:
        now = time.monotonic()
        self.sends.step_s = Beat.of(asyncio.get_running_loop()).step_s
        self.sends.put(packets, now)
        if self._feedback_timer is not None and now >= self._feedback_from:
            self._feedback_timer.cancel()
            self._tell()
        self._arm_flush()

    def _flush(self) -> None:
        self._flush_timer = None
        self.sends.step_s = Beat.of(asyncio.get_running_loop()).step_s
        self.sends.flush(time.monotonic())
        self._arm_flush()

    def _arm_flush(self) -> None:
        if self._flush_timer is not None or self._owner._is_closed:
            return
        now = time.monotonic()
        due = self.sends.next_at(now)
        if due is not None:
            loop = asyncio.get_running_loop()
            timers = Beat.of(loop) if self.sends.is_easy else loop
            self._flush_timer = timers.call_later(max(FLUSH_S, due - now), self._flush)

    # Receiving ----------------------------------------------------------------------------------------------

    def arrived(self, stream: RtpStream, packet: RtpPacket, size: int, at: float) -> None:
        plan, codec = stream.plan, stream.codecs.get(packet.payload_type)
        if plan.transport_cc:
            if packet.transport_sequence is not None:
                is_late = codec is not None and self._lateness.arrived(
                    packet.ssrc, packet.timestamp, codec.clock_rate, at
                )
                now = time.monotonic()
                self._waits_s += WAITS_SHARE * (now - at - self._waits_s)
                # On a wide path even distances do: each feedback costs both ends.
                picture = None if codec is None or stream.is_sound or self.is_wide else packet.timestamp
                is_sooner = self._feedback.arrived(
                    packet.transport_sequence, packet.ssrc, size, at, is_late=is_late, picture=picture
                )
                self._arm_feedback(now, is_late=is_late, is_sooner=is_sooner)
        elif plan.remb and codec is not None:
            self._remb.estimator.arrived(packet.ssrc, packet.timestamp, codec.clock_rate, size, at)

    def _arm_feedback(self, now: float, *, is_late: bool, is_sooner: bool) -> None:
        timer = self._feedback_timer
        if timer is not None and not is_sooner and self._feedback_at <= now + LEAST_PAUSE_S:
            return  # as soon as it could be
        due = self._feedback.due_at(now)
        if due is None or self._owner._is_closed:
            return
        due = max(now, due)
        if timer is not None:
            if self._feedback_at <= due + SOONER_S and not (is_late and isinstance(timer, BeatTimer)):
                return  # what is late does not wait for a beat
            timer.cancel()
        self._feedback_at = due
        self._feedback_from = due - max(ALONG_S, ALONG_SHARE * (due - self._feedback.told_at))
        loop = asyncio.get_running_loop()
        if is_late:
            self._feedback_timer = loop.call_later(due - now, self._tell)
        else:
            self._feedback_timer = Beat.of(loop).call_later(due - now + WAITS_S, self._tell)

    def _tell(self) -> None:
        self._feedback_timer = None
        now = time.monotonic()
        speaker = self._speaker()
        for feedback in self._feedback.take(speaker.sender.ssrc if speaker is not None else 0, now):
            self._say(speaker, feedback)

    def _speaker(self) -> RtpStream | None:
        """The stream in whose name this side speaks about the path."""
        return next((stream for stream in self._streams if stream.has_rtcp), None)

    def _say(self, stream: RtpStream | None, *packets: RtcpPacket) -> None:
        if stream is None:
            return
        head = feedback_head(stream.sender.ssrc, self._owner._cname)
        self._owner._send_rtcp(stream.plan.rtcp_transport, head + b"".join(map(bytes, packets)))

    # What the peer says -------------------------------------------------------------------------------------

    def rtcp(self, packet: RtcpPacket, now: float) -> None:
        match packet:
            case TransportFeedback():
                self.sends.feedback(packet, now)
                self._arm_flush()
            case SenderReport(reports=reports) | ReceiverReport(reports=reports):
                self._reported(reports, now)
            case Remb(bitrate_bps=bitrate):
                if any(stream.plan.remb for stream in self._streams):
                    self.sends.remb(max(LEAST_LIMIT_BPS, bitrate), now)
            case BitrateRequest(ssrc=asker, limits=limits):
                self._limited(asker, limits, now)
            case BitrateNotice(limits=limits):
                for stream in self._streams:
                    if any(limit.ssrc == stream.sender.ssrc for limit in limits):
                        self._limits[stream.plan.name].noticed()

    def _reported(self, reports: tuple[Report, ...], now: float) -> None:
        for report in reports:
            for stream in self._streams:
                loss = stream.take_peer_loss() if stream.sender.ssrc == report.ssrc else None
                if loss is not None:
                    self.sends.report(stream.plan.name, loss, stream.last_rtt_s, now)

    def say_limits(self) -> None:
        """Say once which limits are kept to, however often a compound asked (RFC 5104 section 4.2.2)."""
        for stream in self._streams:
            limit = self._kept_to.get(stream.plan.name)
            if limit is not None:
                self._say(stream, BitrateNotice(stream.sender.ssrc, (limit,)))
        self._kept_to.clear()

    def _limited(self, asker: int, limits: tuple[Limit, ...], now: float) -> None:
        """Keep to what the peer asks for."""
        for stream in self._streams:
            limit = next((limit for limit in limits if limit.ssrc == stream.sender.ssrc), None)
            if limit is not None and stream.plan.tmmbr:
                self.sends.limit(stream.plan.name, max(LEAST_LIMIT_BPS, limit.bitrate_bps), now)
                self._kept_to[stream.plan.name] = Limit(asker, limit.bitrate_bps, limit.overhead_bytes)

    # Time ---------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        self.sends.tick(now)
        self._arm_flush()
        for stream in self._streams:
            source = stream.source
            if source is None or not stream.plan.receive or not stream.has_rtcp:
                continue
            if stream.plan.tmmbr:
                request = self._limits[stream.plan.name].take(stream.sender.ssrc, source.ssrc, stream.wanted_bps, now)
                if request is not None:
                    self._say(stream, request)
            if stream.plan.remb:
                wanted = None if stream.plan.tmmbr else self._wanted_with_sound(stream)
                remb = self._remb.take(stream.sender.ssrc, (source.ssrc,), wanted, now)
                if remb is not None:
                    self._say(stream, remb)

    def _wanted_with_sound(self, stream: RtpStream) -> int | None:
        """What a stream's window needs, with the sound that comes over the same transport: libwebrtc limits both."""
        if stream.wanted_bps is None:
            return None
        return stream.wanted_bps + VOICE_BPS * sum(each.is_sound and each.plan.receive for each in self._streams)

    def figures(self, now: float) -> TransportStats:
        sent = self.sends.figures(now)
        trips = [stream.rtt_s for stream in self._streams if stream.rtt_s is not None]
        rtt = min(trips) if trips else sent.rtt_s
        incoming = self._remb.estimator.bps
        return TransportStats(
            estimate_bps=sent.estimate_bps,
            estimate_from=sent.source,
            estimate_in_bps=incoming,
            queue_delay_ms=sent.queue_delay_s * 1000,
            pacer_ms=sent.pacer_s * 1000,
            pacer_bytes=sent.pacer_bytes,
            rtt_ms=rtt * 1000 if rtt is not None else None,
            loss_percent=sent.loss * 100 if sent.loss is not None else None,
        )

    def close(self) -> None:
        for timer in (self._flush_timer, self._feedback_timer):
            if timer is not None:
                timer.cancel()
