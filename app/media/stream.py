"""What all streams of a call share: the source they hear, the source they are, and RTCP between the two.

Loop thread only. Audio, video and echo streams stand on this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from app.events import AudioStats, VideoStats
from app.media.allocation import BitrateWish
from app.media.codecs import first_known, is_known
from app.media.errors import MediaError
from app.media.events import MediaEvent
from app.media.header_extensions import ExtensionBlock
from app.media.lipsync import SourceClock
from app.media.pacer import Outgoing, Urgency
from app.media.peer_loss import PeerLoss
from app.media.plan import CodecPlan, StreamPlan
from app.media.rtcp import Fir, Nack, Pli, ReceiverReport, Report, SenderReport, SourceName, feedback_head
from app.media.rtp import ReceptionCounter, RtpPacket
from app.media.sending import RtpSender, ntp_time
from app.media.stats import RateMeter
from app.media.worker import Outbox, Worker
from app.settings import MediaSettings

if TYPE_CHECKING:
    from app.media.ports import MediaDevices
    from app.media.taps import MediaTaps

SWITCH_AFTER_S = 0.2  # another SSRC takes over when the one before was silent for so long
START_RTT_S = 0.1
LONGEST_RTT_S = 10  # a report that says more was filled in wrongly, as some phones do; nothing would be repaired by it


@dataclass(slots=True)
class StreamHost:
    """What a stream may use of its session; `settings` follow what is chosen while it runs."""

    loop: asyncio.AbstractEventLoop
    settings: MediaSettings
    devices: MediaDevices
    cname: str
    send_rtp: Callable[[str, list[Outgoing]], None]  # by transport
    send_rtcp: Callable[[str, bytes], None]
    has_transport: Callable[[str], bool]
    emit: Callable[[MediaEvent], None]
    retire: Callable[[Worker], None]  # a stopped worker, to be joined later
    rtt_s: float | None = None  # that a stream learned last: who sends nothing learns none


class RemoteSource:
    """The source that a stream hears."""

    def __init__(self, ssrc: int, clock_rate: int) -> None:
        self.ssrc = ssrc
        self.counter = ReceptionCounter(clock_rate)
        self.last_at = 0.0
        self.clock = SourceClock(clock_rate)
        self._report_ntp = 0
        self._report_at: float | None = None

    def sender_report(self, report: SenderReport, now: float) -> None:
        self._report_ntp, self._report_at = report.ntp >> 16 & 0xFFFF_FFFF, now
        self.clock.report(report.ntp, report.timestamp)

    def report_block(self, now: float) -> Report:
        """Make the block that tells the source how it is heard."""
        counter = self.counter
        since = 0 if self._report_at is None else int((now - self._report_at) * 65_536)
        last = 0 if self._report_at is None else self._report_ntp
        return Report(
            self.ssrc, counter.fraction_lost(), counter.lost, counter.highest_told, counter.jitter, last, since
        )


class RtpStream:
    """One m-line at work."""

    keeps_history = False

    def __init__(self, host: StreamHost, plan: StreamPlan) -> None:
        self.host = host
        self.plan = plan
        self.codec = self.codec_of(plan)
        self.codecs = self._received_by(plan)
        self.sender = self._new_sender()
        self.source: RemoteSource | None = None
        self.gate_open = False
        self.rtt_s: float | None = None
        self.last_rtt_s: float | None = None  # not smoothed
        self.held_by_peer = False  # the peer asked for less than it could have (TMMBR), as long as that is so
        self.wanted_bps: int | None = None  # the most that the peer should send here; None: as much as it can
        self._peer_loss = PeerLoss(self.sender.first_sequence)
        self._peer_loss_news: float | None = None
        self._peer_report: Report | None = None
        self.received_bytes = RateMeter()
        self.sent_bytes = RateMeter()
        self.wrong_packets = 0
        self._lost_before = 0
        self._received_before = 0
        self._sent_before = 0
        self._reported_packets = -1
        self._fir_number = 0

    @staticmethod
    def codec_of(plan: StreamPlan) -> CodecPlan:
        """Give the codec we send; MediaError when there is none we know."""
        codec = first_known(plan.kind, plan.codecs)
        if codec is None:
            raise MediaError(f"No {plan.kind} format is known to both sides.")
        return codec

    @staticmethod
    def _received_by(plan: StreamPlan) -> dict[int, CodecPlan]:
        received = (*plan.codecs, *plan.also_received)
        return {codec.payload_type: codec for codec in received if is_known(plan.kind, codec)}

    def _new_sender(self) -> RtpSender:
        plan = self.plan
        ids = plan.extension_ids if plan.transport_cc else replace(plan.extension_ids, transport_cc=None)
        block = ExtensionBlock(ids, plan.mid)
        return RtpSender(self.codec.clock_rate, extensions=block, keep_history=self.keeps_history and plan.nack)

    # What the session calls --------------------------------------------------------------------------------

    def adapt(self, plan: StreamPlan) -> None:
        """Go on under another plan of the same name and kind."""
        before, self.plan = self.plan, plan
        self.codec = self.codec_of(plan)
        self.codecs.clear()
        self.codecs.update(self._received_by(plan))
        if _sends_as(before) != _sends_as(plan) or self.sender.clock_rate != self.codec.clock_rate:
            self._sent_before += self.sender.packets_sent
            self.sender = self._new_sender()
            self._peer_loss = PeerLoss(self.sender.first_sequence)
        self.update()

    def set_gate(self, is_open: bool) -> None:
        """Let media leave, or no more."""
        self.gate_open = is_open
        self.update()

    def set_muted(self, muted: bool) -> None:
        """Send silence instead of the microphone, where there is one."""

    def set_volume(self, volume: float) -> None:
        """Scale what is played, where anything is."""

    def set_camera(self, on: bool) -> None:
        """Capture a picture or not, where there is one to capture."""

    def use_source(self, video_from: str) -> None:
        """Take the picture from elsewhere (as MediaSettings.video_from names it), where there is one to send."""

    def use_devices(self, settings: MediaSettings) -> None:
        """Go on with the devices and switches of other settings, where it has any."""

    def use_taps(self, taps: MediaTaps | None) -> None:
        """Show what is sent and played to others too; None is nobody."""

    def press(self, keys: str) -> bool:
        """Send keys of a telephone; False where this stream cannot."""
        return False

    def set_view_size(self, width: int, height: int) -> None:
        """The peer's picture is shown at this size, where it sends any."""

    def ask_key_frame(self) -> None:
        """Ask the peer for a whole picture, where it sends any."""

    @property
    def first_decoded_at(self) -> float | None:
        """When the first sound or picture of the peer was decoded here, monotonic seconds."""
        return None

    def audio_figures(self, now: float) -> AudioStats | None:
        """Give the figures of now; None when this is no stream of sound."""
        return None

    def video_figures(self, now: float) -> VideoStats | None:
        """Give the figures of now; None when this is no stream of pictures."""
        return None

    @property
    def kind(self) -> str:
        return self.plan.kind

    def lateness(self, now: float) -> float | None:
        """Tell by how much what reaches the person is later than its capture (see lipsync.Stream); None: not known."""
        return None

    def hold_back(self, seconds: float) -> None:
        """Let what comes wait so much longer than it has to, where it is shown to a person."""

    def update(self) -> None:
        """Start or stop workers so that they fit the plan and the gate."""

    def stop(self) -> None:
        """Stop the workers for good."""

    def tick(self, now: float) -> None:
        """Do what is due; called every 20 ms or so while `is_waiting`, else half as often."""

    def is_waiting(self, now: float) -> bool:
        """Whether something here is to be repeated, or waits for what the peer repeats."""
        return False

    def wish(self) -> BitrateWish | None:
        """Say what this stream can use of its transport's rate now; None when it sends nothing or cannot adapt."""
        return None

    def allot(self, bps: int, now: float) -> None:
        """Take this stream's share of its transport's rate, in bits per second on the wire.

        0: send nothing until a later call gives more. Called whenever the share changes, on the loop's thread.
        """

    def knows_payload_type(self, payload_type: int) -> bool:
        return payload_type in self.codecs

    def receive(self, packet: RtpPacket, now: float, arrived_at: float) -> None:
        """Take one authentic packet that came at `arrived_at`, and may have waited to be read since."""
        codec = self.codecs.get(packet.payload_type)
        if codec is None or not self.plan.receive:
            self.wrong_packets += 1
            return
        source = self._source_of(packet.ssrc, codec.clock_rate, now)
        if source is None:
            self.wrong_packets += 1
            return
        source.last_at = now
        sequence = source.counter.count(packet.sequence, packet.timestamp, arrived_at)
        if sequence is None:
            self.wrong_packets += 1
            return
        self.received_bytes.add(len(packet.payload), now)
        self.take(packet, sequence, now)

    def take(self, packet: RtpPacket, sequence: int, now: float) -> None:
        """Use a packet of the current source; `sequence` is extended."""

    def source_changed(self) -> None:
        """Another source begins."""

    # RTCP ---------------------------------------------------------------------------------------------------

    def sender_report(self, report: SenderReport, now: float) -> None:
        if self.source is not None and self.source.ssrc == report.ssrc:
            self.source.sender_report(report, now)

    def heard_by_peer(self, report: Report, now: float, waited_s: float = 0.0) -> None:
        """Take the peer's report about our source (RFC 3550 section 6.4.1), which came `waited_s` ago."""
        self._peer_report = report
        if report.last_report:
            delay = ((ntp_time(waited_s) >> 16) - report.last_report - report.delay) & 0xFFFF_FFFF
            if delay < LONGEST_RTT_S * 65_536:
                rtt = max(0.0005, delay / 65_536)
                self.last_rtt_s = rtt
                self.rtt_s = rtt if self.rtt_s is None else self.rtt_s * 0.75 + rtt * 0.25
                self.host.rtt_s = self.rtt_s
        share = self._peer_loss.heard(report, now)
        if share is not None:
            self._peer_loss_news = share
            self.lost_by_peer(share, now)

    def lost_by_peer(self, share: float, now: float) -> None:
        """The peer has lost this share (0 to 1) of our packets since the last call."""

    def take_peer_loss(self) -> float | None:
        """Give what the peer last said that it lost (0 to 1), once; None while it has said nothing new."""
        share, self._peer_loss_news = self._peer_loss_news, None
        return share

    def key_frame_asked(self) -> None:
        """The peer needs a whole picture."""

    def pictures_dropped(self) -> None:
        """Pictures were thrown away before they left: those that refer to them are of no use."""

    def repeat_asked(self, lost: tuple[int, ...], now: float) -> None:
        """The peer misses packets of ours."""

    def reports(self, now: float) -> bytes:
        """Make this stream's compound of about once a second; empty when there is nothing to say."""
        blocks = (self.source.report_block(now),) if self.source is not None else ()
        report: SenderReport | ReceiverReport | None = self.sender.report(now)
        if isinstance(report, SenderReport) and self._reported_packets != report.packets:
            self._reported_packets = report.packets
            report = SenderReport(report.ssrc, report.ntp, report.timestamp, report.packets, report.octets, blocks)
        elif blocks:
            report = ReceiverReport(self.sender.ssrc, blocks)
        else:
            return b""
        return bytes(report) + bytes(SourceName(self.sender.ssrc, self.host.cname))

    @property
    def has_rtcp(self) -> bool:
        """Tell whether there is a way for RTCP: a peer without rtcp-mux may have named none."""
        return self.host.has_transport(self.plan.rtcp_transport)

    def send_feedback(self, *packets: Nack | Pli | Fir) -> None:
        """Send feedback at once, after an empty receiver report as RFC 4585 section 3.1 wants."""
        if not self.has_rtcp or not self.gate_open:
            return
        head = feedback_head(self.sender.ssrc, self.host.cname)
        self.host.send_rtcp(self.plan.rtcp_transport, head + b"".join(map(bytes, packets)))

    def send_key_request(self) -> bool:
        """Send PLI, or FIR to a peer that has only that; False when it could not be sent."""
        if self.source is None or not self.has_rtcp or not self.gate_open:
            return False
        if self.plan.pli or not self.plan.fir:
            self.send_feedback(Pli(self.sender.ssrc, self.source.ssrc))
        else:
            self._fir_number = (self._fir_number + 1) & 0xFF
            self.send_feedback(Fir(self.sender.ssrc, ((self.source.ssrc, self._fir_number),)))
        return True

    # Counting -----------------------------------------------------------------------------------------------

    @property
    def packets_sent(self) -> int:
        return self._sent_before + self.sender.packets_sent

    @property
    def packets_received(self) -> int:
        return self._received_before + (self.source.counter.received if self.source is not None else 0)

    @property
    def remote_loss_percent(self) -> float | None:
        """What the peer said last that it lost of ours; None before it said anything."""
        share = self._peer_loss.share
        return share * 100 if share is not None else None

    @property
    def remote_jitter_ms(self) -> float | None:
        """How unevenly the peer said that our packets arrive."""
        return self._peer_report.jitter * 1000 / self.sender.clock_rate if self._peer_report is not None else None

    @property
    def lost(self) -> int:
        return self._lost_before + (self.source.counter.lost if self.source is not None else 0)

    def _outbox(self, sender: RtpSender) -> Outbox:
        """Make the way for a worker's packets; what comes after the gate closed is dropped here."""

        def deliver(packets: list[bytes]) -> None:
            if self.gate_open and self.plan.send:
                self.deliver(sender, packets)

        return Outbox(self.host.loop, deliver, waits=not self.is_sound)

    def deliver(self, sender: RtpSender, packets: list[bytes]) -> None:
        """Send new packets of ours: at once, or paced where this stream takes a share of its transport's rate."""
        urgency = Urgency.PICTURE if self.plan.kind == "video" and self.wish() is not None else Urgency.SOUND
        self.host.send_rtp(
            self.plan.transport, [Outgoing(packet, sender, urgency, self._count_left) for packet in packets]
        )

    def deliver_again(self, sender: RtpSender, packets: list[bytes], *, wrapped: bool) -> None:
        """Send packets once more: `wrapped` by an RtxSender, else the very same bytes."""
        urgency = Urgency.SOUND if self.is_sound or self.wish() is None else Urgency.REPEAT
        self.host.send_rtp(
            self.plan.transport,
            [
                Outgoing(packet, sender, urgency, self._count_left, is_new=False, is_verbatim=not wrapped)
                for packet in packets
            ],
        )

    @property
    def is_sound(self) -> bool:
        return self.plan.kind == "audio"

    def set_backlog(self, waits_s: float) -> None:
        """Learn how long a picture that is encoded now would wait to be sent: it may be better left out."""

    @property
    def can_pad(self) -> bool:
        """Whether `pad` has anything to give."""
        return False

    def pad(self, size: int) -> list[Outgoing]:
        """Give about `size` bytes of packets that the peer can do without, to probe the path with; empty if none."""
        return []

    def _count_left(self, size: int, now: float) -> None:
        self.sent_bytes.add(size, now)

    def _packets_per_second(self, now: float) -> float:
        """How many packets of the usual size leave."""
        sent, count = self.sent_bytes.per_second(now), self.sender.packets_sent
        return sent * count / self.sender.octets_sent if sent and self.sender.octets_sent else 0.0

    def _source_of(self, ssrc: int, clock_rate: int, now: float) -> RemoteSource | None:
        """Give the source if the packet is its; another SSRC takes over only after a silence."""
        source = self.source
        if source is not None and source.ssrc == ssrc:
            return source
        if source is not None:
            if now - source.last_at < SWITCH_AFTER_S:
                return None
            self._lost_before += source.counter.lost
            self._received_before += source.counter.received
            self.source_changed()
        self.source = RemoteSource(ssrc, clock_rate)
        return self.source


def _sends_as(plan: StreamPlan) -> tuple[object, ...]:
    """What a change of needs another sender: how its packets look."""
    return plan.mid, plan.extension_ids, plan.transport_cc, plan.nack
