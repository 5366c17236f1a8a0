"""One video m-line at work: camera to packets, packets to picture."""

from __future__ import annotations

import time
from dataclasses import replace

from app.events import VideoStats
from app.frames import FrameMailbox
from app.media.allocation import BitrateWish
from app.media.assembly import EncodedFrame, FrameAssembler
from app.media.events import DeviceTrouble, FirstMedia
from app.media.ladder import wanted_bitrate
from app.media.pacer import Outgoing, Urgency
from app.media.plan import CodecPlan, StreamPlan
from app.media.repeats import Repeats
from app.media.rtcp import Nack
from app.media.rtp import RtpPacket, sequence_difference
from app.media.sending import RtxSender
from app.media.stats import RateMeter
from app.media.stream import START_RTT_S, RtpStream, StreamHost
from app.media.taps import NO_TAPS, MediaTaps
from app.media.video_receive import VideoPlayWorker
from app.media.video_send import VideoSendWorker, on_the_wire
from app.media.worker import Worker, call_soon
from app.settings import MediaSettings

STANDS_STILL_S = 2.0  # without a picture: there is nothing that sound could be in step with
PADDING_BYTES = 255  # in one packet, RFC 3550 section 5.1


class VideoStream(RtpStream):
    """The camera runs while the gate is open, the plan sends and the person wants it; the decoder from the plan on."""

    keeps_history = True

    def __init__(
        self, host: StreamHost, plan: StreamPlan, remote_picture: FrameMailbox, own_picture: FrameMailbox | None
    ) -> None:
        super().__init__(host, plan)
        self._remote_picture = remote_picture
        self._own_picture = own_picture
        self._camera_on = True
        self._settings = host.settings
        self._taps = NO_TAPS
        self._capture: VideoSendWorker | None = None
        self._leaving: Worker | None = None  # the last capture's, which may still hold the camera
        self._allotted_bps: int | None = None
        self._frames_sent_before = 0
        self._key_frames_sent_before = 0
        self._player: VideoPlayWorker | None = None
        self._assembler = FrameAssembler(with_nack=plan.nack and self.has_rtcp)
        self._rtx = self._new_rtx()
        self._was_seen = False
        self._problems: dict[str, str | None] = {}
        self.key_frames_asked = 0
        self._repaired = 0  # packets that came again and were of use
        self._nacks_sent = 0
        self._nacks_received = 0
        self._plis_received = 0
        self._repeated = 0
        self._repeats = Repeats()
        self._last_fps: float | None = None
        self._shown = RateMeter()
        self._shown_before = remote_picture.taken
        # Made now, while the phone rings, so that the first picture follows the pick-up at once. No camera opens before
        # the worker starts.
        self._ready: VideoSendWorker | None = self._new_capture() if plan.send else None
        if self._ready is not None:
            self._ready.worker.hold()
        self.update()

    def set_camera(self, on: bool) -> None:
        self._camera_on = on
        self.update()

    def set_view_size(self, width: int, height: int) -> None:
        wanted = wanted_bitrate(width, height)
        self.wanted_bps = None if wanted is None else on_the_wire(wanted, 30)

    def use_source(self, video_from: str) -> None:
        if video_from == self._settings.video_from:
            return
        self._settings = replace(self._settings, video_from=video_from)
        self._problems.pop("screen", None)
        self._take_other_source()

    def _take_other_source(self) -> None:
        if self._ready is not None:
            self.host.retire(self._ready.worker)
            self._ready = None
        if self._capture is not None:
            self._stop_capture()
            self.update()

    def use_devices(self, settings: MediaSettings) -> None:
        if settings.camera == self._settings.camera:
            return
        self._settings = replace(self._settings, camera=settings.camera)
        if self._settings.video_from == "camera":
            self._take_other_source()

    def use_taps(self, taps: MediaTaps | None) -> None:
        taps = self._taps = taps or NO_TAPS
        if self._capture is not None:
            self._capture.on_picture, self._capture.mark = taps.own_picture, taps.mark
        if self._player is not None:
            self._player.on_picture = taps.far_picture

    def adapt(self, plan: StreamPlan) -> None:
        before = self.sender, self.codec, self._is_repaired
        rtx_before = self.plan.rtx
        super().adapt(plan)
        if plan.rtx != rtx_before:
            self._rtx = self._new_rtx()
        if (self.sender, self.codec, self._is_repaired) != before and self._capture is not None:
            self._stop_capture()
            self.update()

    def update(self) -> None:
        if self.plan.send and self.gate_open and self._camera_on:
            if self._capture is None:
                self._start_capture()
        elif self._capture is not None:
            self._stop_capture()
        if self._player is None and self.plan.receive:
            sink = self.host.devices.video_sink(self.host.settings, self._remote_picture)
            self._player = VideoPlayWorker(sink, lambda: call_soon(self.host.loop, self._assembler.ask_key_frame))
            self._player.on_picture = self._taps.far_picture
            self._player.worker.start()
        if self._player is not None and not self.plan.receive:
            self._player.freezes.pause()

    def stop(self) -> None:
        self.gate_open = False
        if self._ready is not None:
            self.host.retire(self._ready.worker)
            self._ready = None
        if self._capture is not None:
            self._stop_capture()
        if self._player is not None:
            self._player.stop()
            self.host.retire(self._player.worker)

    # Receiving ----------------------------------------------------------------------------------------------

    def knows_payload_type(self, payload_type: int) -> bool:
        return super().knows_payload_type(payload_type) or self.plan.repaired_by(payload_type) is not None

    def receive(self, packet: RtpPacket, now: float, arrived_at: float) -> None:
        repaired = self.plan.repaired_by(packet.payload_type)
        if repaired is not None:
            self._receive_repeated(packet, repaired, now)
        else:
            super().receive(packet, now, arrived_at)

    def take(self, packet: RtpPacket, sequence: int, now: float) -> None:
        if self.source is not None and self._assembler.was_asked(sequence):
            self.source.counter.was_repeated()  # without RTX: what was lost on its way counts as that
            self._repaired += 1
        self._push(sequence, packet, packet.payload, self.codecs[packet.payload_type], now)
        if self._assembler.has_gaps:
            self._look_for_gaps(now)  # not only at the next tick: each millisecond is one of standing picture

    def _push(self, sequence: int, packet: RtpPacket, payload: bytes, codec: CodecPlan, now: float) -> None:
        self._play(
            self._assembler.push(sequence, packet.timestamp, packet.marker, payload, now, codec, packet.orientation)
        )

    def _receive_repeated(self, packet: RtpPacket, payload_type: int, now: float) -> None:
        """Unwrap a retransmission (RFC 4588 section 4): the original sequence number stands before the payload."""
        if not packet.payload:
            return  # padding, with which the peer probes the path
        codec = self.codecs.get(payload_type)
        if self.source is None or codec is None or len(packet.payload) < 3 or not self.plan.receive:
            self.wrong_packets += 1
            return
        self.received_bytes.add(len(packet.payload), now)
        highest = self.source.counter.highest
        original = int.from_bytes(packet.payload[:2])
        sequence = highest + sequence_difference(original, highest & 0xFFFF)
        if not self._assembler.is_missing(sequence):
            return
        self._repaired += 1
        self._push(sequence, packet, packet.payload[2:], codec, now)

    def source_changed(self) -> None:
        self._assembler.reset()
        if self._player is not None:
            self._player.shown = None  # its timestamps are not the new source's
            self._player.flush()

    def ask_key_frame(self) -> None:
        self._assembler.ask_key_frame()

    def tick(self, now: float) -> None:
        if self._assembler.needs_ticks:
            self._look_for_gaps(now)
        again = self._repeats.due(now)
        if self.gate_open and self.plan.send:
            self._repeat(again)
        player = self._player
        if player is not None and not self._was_seen and player.first_decoded_at is not None:
            self._was_seen = True
            self.host.emit(FirstMedia("video", player.first_decoded_at))
        source = self._capture.source if self._capture is not None else None
        about = "screen" if source is not None and source.is_screen else "camera"
        self._tell(about, source.problem if source is not None else None)
        taken = self._remote_picture.taken
        if taken != self._shown_before:
            self._shown.add(taken - self._shown_before, now)
            self._shown_before = taken
        self._tell("picture", player.sink.problem if player is not None else None)

    def is_waiting(self, now: float) -> bool:
        return self._assembler.has_gaps or self._assembler.wants_key or self._repeats.was_asked_lately(now)

    def lateness(self, now: float) -> float | None:
        source, shown = self.source, self._player.shown if self._player is not None else None
        if source is None or shown is None or now - shown[1] > STANDS_STILL_S:
            return None
        timestamp, shown_at = shown
        captured_at = source.clock.captured_at(timestamp)
        return shown_at - captured_at if captured_at is not None else None

    def hold_back(self, seconds: float) -> None:
        if self._player is not None:
            self._player.delay_s = seconds

    def _look_for_gaps(self, now: float) -> None:
        lost, ask, frames = self._assembler.tick(now, self.rtt_s or self.host.rtt_s or START_RTT_S)
        self._play(frames)
        if lost and self.source is not None:
            self._nacks_sent += len(lost)
            self.send_feedback(Nack(self.sender.ssrc, self.source.ssrc, tuple(n & 0xFFFF for n in lost)))
        if ask and self.send_key_request():
            self.key_frames_asked += 1

    def _play(self, frames: list[EncodedFrame]) -> None:
        if frames and self._player is not None and not self._player.push(frames):
            self._assembler.ask_key_frame()

    # Sending ------------------------------------------------------------------------------------------------

    def key_frame_asked(self) -> None:
        self._plis_received += 1
        self.pictures_dropped()

    def pictures_dropped(self) -> None:
        if self._capture is not None:
            self._capture.ask_key_frame()

    def repeat_asked(self, lost: tuple[int, ...], now: float) -> None:
        self._nacks_received += len(lost)
        if not self.gate_open or not self.plan.send:
            return
        packets = self.sender.repeat(lost, now, self.rtt_s or START_RTT_S)
        self._repeat(packets)
        self._repeats.asked(packets, self._packets_per_second(now), now)

    def _repeat(self, packets: list[bytes]) -> None:
        self._repeated += len(packets)
        for packet in packets:
            repair = self.plan.rtx_of(packet[1] & 0x7F) if self._rtx is not None else None
            if self._rtx is None or repair is None:
                self.deliver_again(self.sender, [packet], wrapped=False)
            else:
                self.deliver_again(self.sender, [self._rtx.wrap(repair, packet)], wrapped=True)

    @property
    def can_pad(self) -> bool:
        return self._rtx is not None and self.plan.send and self.gate_open

    def pad(self, size: int) -> list[Outgoing]:
        """Repeat what the peer has got already, as a retransmission, or send packets of nothing but padding."""
        rtx, (payload_type, _) = self._rtx, self.plan.rtx[0] if self.plan.rtx else (0, 0)
        if rtx is None or not self.can_pad:
            return []
        last = self.sender.newest()
        repair = self.plan.rtx_of(last[1] & 0x7F) if last is not None else None
        if last is not None and repair is not None and size / 2 < len(last) <= size * 1.2:
            packets = [rtx.wrap(repair, last)]
        else:
            block = self.sender.extensions.plain
            sizes = [PADDING_BYTES] * (size // PADDING_BYTES) or [max(1, size)]
            packets = [rtx.padding(payload_type, each, self.sender.newest_timestamp, block) for each in sizes]
        return [Outgoing(packet, self.sender, Urgency.PADDING, self._count_left, is_new=False) for packet in packets]

    def wish(self) -> BitrateWish | None:
        return self._capture.wish if self._capture is not None else None

    def allot(self, bps: int, now: float) -> None:
        self._allotted_bps = bps
        if self._capture is not None:
            self._capture.allot(bps)

    def set_backlog(self, waits_s: float) -> None:
        if self._capture is not None:
            self._capture.backlog_s = waits_s

    @property
    def _is_repaired(self) -> bool:
        """Whether the peer asks again for what is lost, RFC 4585 section 6.2.1."""
        return self.plan.nack and self.has_rtcp

    def _new_rtx(self) -> RtxSender | None:
        return RtxSender() if self.plan.rtx and self.plan.nack else None

    def _start_capture(self) -> None:
        ready, self._ready = self._ready, None
        if ready is not None and ready.sends_as(self.sender, self.codec, is_repaired=self._is_repaired):
            self._capture = ready
        else:
            if ready is not None:
                self.host.retire(ready.worker)
            self._capture = self._new_capture()
        self._capture.on_picture, self._capture.mark = self._taps.own_picture, self._taps.mark
        self._capture.worker.start()

    def _new_capture(self) -> VideoSendWorker:
        devices, settings = self.host.devices, self._settings
        preview = devices.preview(self._own_picture) if self._own_picture is not None else None
        source, outbox = devices.video_source(settings), self._outbox(self.sender)
        turns = self.plan.orientation_id is not None
        capture = VideoSendWorker(
            source,
            preview,
            self.codec,
            self.sender,
            outbox,
            settings.fps,
            self._leaving,
            turns=turns,
            is_repaired=self._is_repaired,
            most_bps=settings.video_kbps * 1_000 if settings.video_kbps is not None else None,
        )
        if self._allotted_bps is not None:
            capture.allot(self._allotted_bps)
        return capture

    def _stop_capture(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            self._frames_sent_before += capture.frames_sent
            self._key_frames_sent_before += capture.key_frames_sent
            self._last_fps = capture.rate.per_second(time.monotonic())
            self.host.retire(capture.worker)
            self._leaving = capture.worker

    # Figures ------------------------------------------------------------------------------------------------

    @property
    def first_decoded_at(self) -> float | None:
        return self._player.first_decoded_at if self._player is not None else None

    def video_figures(self, now: float) -> VideoStats:
        """Give the figures of now."""
        rates = self.sent_bytes.per_second(now), self.received_bytes.per_second(now)
        figures = VideoStats(
            codec=self.codec.name.lower(),
            fps_sent=self._fps_sent(now),
            frames_sent=self._frames_sent_before,
            key_frames_sent=self._key_frames_sent_before,
            key_frames_asked=self.key_frames_asked,
            packets_sent=self.packets_sent,
            packets_received=self.packets_received,
            lost=self.lost,
            bitrate_bps=rates[0] * 8 if rates[0] is not None else None,
            bitrate_in_bps=rates[1] * 8 if rates[1] is not None else None,
            jitter_ms=self.source.counter.jitter_ms if self.source is not None else None,
            nacks_sent=self._nacks_sent,
            repaired=self._repaired,
            plis_received=self._plis_received,
            nacks_received=self._nacks_received,
            repeated=self._repeated,
            remote_loss_percent=self.remote_loss_percent,
            fps_wanted=float(self._settings.fps),
            fps_shown=self._shown.per_second(now),
            is_paused_by_peer=self._player is not None
            and self._player.shown is not None
            and now - self._player.shown[1] > STANDS_STILL_S,
        )
        if self._player is not None:
            figures = self._player.fill(figures, now)
        if self._capture is None:
            return figures
        figures = self._capture.fill(figures, now)
        if self.held_by_peer and figures.limited_by == "network" and not figures.is_paused:
            return replace(figures, limited_by="far window")
        return figures

    def _fps_sent(self, now: float) -> float | None:
        """The rate of now; after the call the last one."""
        if self._capture is not None:
            return self._capture.rate.per_second(now)
        return None if self.gate_open else self._last_fps

    def _tell(self, about: str, problem: str | None) -> None:
        if problem != self._problems.get(about):
            self._problems[about] = problem
            if problem is not None:
                self.host.emit(DeviceTrouble(about, problem))
