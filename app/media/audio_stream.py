"""One audio m-line at work: capture to packets, packets to speaker."""

from __future__ import annotations

from app.events import AudioStats
from app.media.audio_receive import AudioPlayWorker
from app.media.audio_send import AudioSendWorker
from app.media.events import DeviceTrouble, FirstMedia
from app.media.jitter import Playout
from app.media.plan import StreamPlan
from app.media.ports import FRAME_MS
from app.media.rtcp import Report
from app.media.rtp import RtpPacket
from app.media.stream import RtpStream, StreamHost
from app.media.taps import NO_TAPS, MediaTaps

FALLS_SILENT_S = 2.0  # without a packet: there is nothing that a picture could be in step with


class AudioStream(RtpStream):
    """The microphone runs while the gate is open and the plan sends; the speaker while the plan receives."""

    def __init__(self, host: StreamHost, plan: StreamPlan) -> None:
        super().__init__(host, plan)
        self._capture: AudioSendWorker | None = None
        self._playout = Playout(self.codecs)
        self._player: AudioPlayWorker | None = None
        self._muted = False
        self._volume = 1.0
        self._taps = NO_TAPS
        self._was_heard = False
        self._problems: dict[str, str | None] = {}
        # Made now, while the phone rings, so that the first packet follows the pick-up at once. No device opens before
        # the worker starts.
        self._ready: AudioSendWorker | None = self._new_capture() if plan.send else None
        if self._ready is not None:
            self._ready.worker.hold()
        self.update()

    def set_muted(self, muted: bool) -> None:
        self._muted = muted
        if self._capture is not None:
            self._capture.muted = muted

    def set_volume(self, volume: float) -> None:
        self._volume = max(0.0, min(1.5, volume))
        if self._player is not None:
            self._player.volume = self._volume

    def use_taps(self, taps: MediaTaps) -> None:
        self._taps = taps
        if self._capture is not None:
            self._capture.mix_in, self._capture.on_frame = taps.mix_in, taps.own_sound
        if self._player is not None:
            self._player.on_frame = taps.far_sound

    def update(self) -> None:
        if self.plan.send and self.gate_open:
            self._start_capture()
        elif self._capture is not None:
            self.host.retire(self._capture.worker)
            self._capture = None
        if self._player is None and self.plan.receive:
            self._player = AudioPlayWorker(self.host.devices.audio_sink(self.host.settings), self._playout)
            self._player.volume = self._volume
            self._player.on_frame = self._taps.far_sound
            self._player.worker.start()
        if self._player is not None and self.gate_open:
            self._player.begin()

    def stop(self) -> None:
        self.gate_open = False
        for worker in (self._ready, self._capture, self._player):
            if worker is not None:
                self.host.retire(worker.worker)
        self._ready = self._capture = None

    def take(self, packet: RtpPacket, sequence: int, now: float) -> None:
        if self._player is not None:
            self._player.push(sequence, packet.timestamp, packet.payload_type, packet.payload, now)

    def source_changed(self) -> None:
        if self._player is not None:
            self._player.reset()

    def heard_by_peer(self, report: Report, now: float) -> None:
        super().heard_by_peer(report, now)
        if self._capture is not None:
            percent = report.fraction_lost * 100 // 256
            before = self._capture.expected_loss_percent
            # Never below 3: redundancy must be there when the first loss comes.
            self._capture.expected_loss_percent = max(
                3, min(30, percent if percent > before else (3 * before + percent) // 4)
            )

    def reports(self, now: float) -> bytes:
        self.sender.lag_s = FRAME_MS / 1000  # a frame is stamped when it is whole, and its first sample is older
        return super().reports(now)

    def tick(self, now: float) -> None:
        if not self._was_heard and self._playout.first_decoded_at is not None:
            self._was_heard = True
            self.host.emit(FirstMedia("audio", self._playout.first_decoded_at))
        self._tell("microphone", self._capture.source.problem if self._capture is not None else None)
        self._tell("speaker", self._player.sink.problem if self._player is not None else None)

    def lateness(self, now: float) -> float | None:
        source, played = self.source, self._player.played_at() if self._player is not None else None
        if source is None or played is None or now - source.last_at > FALLS_SILENT_S:
            return None
        timestamp, played_at = played
        captured_at = source.clock.captured_at(timestamp)
        return played_at - captured_at if captured_at is not None else None

    def hold_back(self, seconds: float) -> None:
        self._playout.hold_back(seconds)

    @property
    def first_decoded_at(self) -> float | None:
        return self._playout.first_decoded_at

    def audio_figures(self, now: float) -> AudioStats:
        """Give the figures of now."""
        capture, player, source, playout = self._capture, self._player, self.source, self._playout
        rates = self.sent_bytes.per_second(now), self.received_bytes.per_second(now)
        return AudioStats(
            codec=self.codec.name.lower(),
            packets_sent=self.packets_sent,
            packets_received=self.packets_received,
            lost=self.lost,
            concealed_ms=playout.concealed_samples / 48,
            jitter_ms=source.counter.jitter_ms if source is not None else None,
            delay_ms=playout.delay_s * 1000 if playout.delay_s is not None else None,
            rtt_ms=self.rtt_s * 1000 if self.rtt_s is not None else None,
            remote_loss_percent=self.remote_loss_percent,
            remote_jitter_ms=self.remote_jitter_ms,
            level_dbfs=player.meter.overall_dbfs if player is not None else None,
            input_level_dbfs=capture.meter.recent_dbfs if capture is not None else None,
            output_level_dbfs=player.meter.recent_dbfs if player is not None else None,
            bitrate_out_bps=rates[0] * 8 if rates[0] is not None else None,
            bitrate_in_bps=rates[1] * 8 if rates[1] is not None else None,
            buffer_target_ms=playout.target_s * 1000 if playout.delay_s is not None else None,
            lost_for_good=playout.unrecovered,
            loss_runs=playout.loss_runs,
            recovered_ms=playout.recovered_samples / 48,
            dropped_late=playout.late,
            stretched_ms=(playout.accelerated_samples + playout.expanded_samples) / 48,
            drift_ppm=playout.drift_ppm,
        )

    def _start_capture(self) -> None:
        if self._capture is not None:
            self._capture.use(self.codec, self.sender, self._outbox(self.sender))
            return
        self._capture, self._ready = self._ready or self._new_capture(), None
        self._capture.use(self.codec, self.sender, self._outbox(self.sender))
        self._capture.muted = self._muted
        self._capture.mix_in, self._capture.on_frame = self._taps.mix_in, self._taps.own_sound
        self._capture.worker.start()

    def _new_capture(self) -> AudioSendWorker:
        source = self.host.devices.audio_source(self.host.settings)
        return AudioSendWorker(source, self.codec, self.sender, self._outbox(self.sender))

    def _tell(self, about: str, problem: str | None) -> None:
        if problem != self._problems.get(about):
            self._problems[about] = problem
            if problem is not None:
                self.host.emit(DeviceTrouble(about, problem))
