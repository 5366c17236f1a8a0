"""One audio m-line at work: capture to packets, packets to speaker."""

from __future__ import annotations

from app.events import AudioStats
from app.media.allocation import BitrateWish
from app.media.audio_choice import AudioChooser, PeerLimits
from app.media.audio_intake import MOST_ROUND_TRIP_S, AudioIntake
from app.media.audio_receive import AudioPlayWorker
from app.media.audio_send import AudioSendWorker, Sending
from app.media.codecs import EVENT, NOISE, RED, beside
from app.media.dtmf import KeyReceiver
from app.media.errors import PacketError
from app.media.events import DeviceTrouble, FirstMedia, KeyPressed, MutedSpeech
from app.media.jitter import Playout
from app.media.plan import StreamPlan
from app.media.ports import FRAME_MS, DeviceEnd
from app.media.processing import ProcessedSource, Switches, VoiceProcessor, is_processed, processed
from app.media.repeats import Repeats
from app.media.rtcp import Nack
from app.media.rtp import RtpPacket
from app.media.stream import START_RTT_S, RtpStream, StreamHost
from app.media.taps import NO_TAPS, MediaTaps
from app.media.voice import MutedHint
from app.settings import MediaSettings

FALLS_SILENT_S = 2.0  # without a packet: there is nothing that a picture could be in step with
ASKS_S = 10.0  # after a peer has asked for a packet again it counts as one that does
HIGHEST_HZ = {"g722": 7_000, "pcmu": 4_000, "pcma": 4_000}


class AudioStream(RtpStream):
    """The microphone runs while the gate is open and the plan sends; the speaker while the plan receives."""

    keeps_history = True

    def __init__(self, host: StreamHost, plan: StreamPlan) -> None:
        super().__init__(host, plan)
        self._chooser = AudioChooser(self._limits())
        self._keys = KeyReceiver()
        self._intake = AudioIntake(self.codecs, asks=plan.nack)
        self._repeats = Repeats()
        self._capture: AudioSendWorker | None = None
        self._playout = Playout(self.codecs)
        self._player: AudioPlayWorker | None = None
        self._muted = False
        self._volume = 1.0
        self._taps = NO_TAPS
        self._was_heard = False
        self._problems: dict[str, str | None] = {}
        self._processor = VoiceProcessor(Switches.of(host.settings))
        self._muted_hint = MutedHint()
        # Made now, while the phone rings, so that the first packet follows the pick-up at once. No device opens before
        # the worker starts.
        self._ready: AudioSendWorker | None = self._new_capture() if plan.send else None
        if self._ready is not None:
            self._ready.worker.hold()
        self.update()

    def adapt(self, plan: StreamPlan) -> None:
        super().adapt(plan)
        self._intake.asks = plan.nack
        self._chooser.limit(self._limits())
        self._apply_choice()

    def press(self, keys: str) -> bool:
        """Send keys of a telephone; False where the peer takes none this way, or nothing is sent now."""
        sending = self._capture is not None and beside(EVENT, self.codec, self.plan.codecs) is not None
        if sending and self._capture is not None:
            self._capture.press(keys)
        return sending

    def set_muted(self, muted: bool) -> None:
        self._muted = muted
        if self._capture is not None:
            self._capture.muted = muted

    def set_volume(self, volume: float) -> None:
        self._volume = max(0.0, min(1.5, volume))
        if self._player is not None:
            self._player.volume = self._volume

    def use_devices(self, settings: MediaSettings) -> None:
        self._processor.use(Switches.of(settings))
        source = self._capture.source if self._capture is not None else None
        if isinstance(source, ProcessedSource):
            source = source.source
        for end, device in ((source, settings.microphone), (self._player and self._player.sink, settings.speaker)):
            if isinstance(end, DeviceEnd):
                end.use(device)

    def use_taps(self, taps: MediaTaps | None) -> None:
        taps = self._taps = taps or NO_TAPS
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
            if hasattr(self._player.sink, "on_played"):
                self._player.sink.on_played = self._processor.played
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
        if self.source is not None and self._intake.was_asked(sequence):
            self.source.counter.was_repeated()
        try:
            units = self._intake.take(packet, sequence, now)
        except PacketError:
            self.wrong_packets += 1
            return
        for unit in units:
            if unit.is_key:
                key = self._keys.take(unit.timestamp, unit.payload, now)
                if key is not None:
                    self.host.emit(KeyPressed(key))
            elif self._player is not None:
                self._player.push(unit, now)
        self._ask(now)

    def _ask(self, now: float) -> None:
        """Ask for what is missing and may still come in time."""
        lost = self._intake.due(now, self.rtt_s or START_RTT_S)
        if lost and self.source is not None:
            self.send_feedback(Nack(self.sender.ssrc, self.source.ssrc, tuple(number & 0xFFFF for number in lost)))

    def repeat_asked(self, lost: tuple[int, ...], now: float) -> None:
        if self.gate_open and self.plan.send:
            packets = self.sender.repeat(lost, now, self.rtt_s or START_RTT_S)
            self._repeats.asked(packets, self._packets_per_second(now), now)
            self.deliver_again(self.sender, packets, wrapped=False)

    def source_changed(self) -> None:
        self._intake.reset()
        self._keys = KeyReceiver()
        if self._player is not None:
            self._player.reset()

    def lost_by_peer(self, share: float, now: float) -> None:
        asked_at, near = self._repeats.asked_at, (self.rtt_s or START_RTT_S) <= MOST_ROUND_TRIP_S
        is_asked = near and asked_at is not None and now - asked_at < ASKS_S
        self._chooser.reported(share * 100, is_asked=is_asked)
        self._apply_choice()

    def wish(self) -> BitrateWish | None:
        return self._chooser.wish() if self.plan.send and self.gate_open else None

    def allot(self, bps: int, now: float) -> None:
        self._chooser.allot(bps)
        self._apply_choice()

    def _limits(self) -> PeerLimits:
        plan = self.plan
        red = beside(RED, self.codec, plan.codecs)
        return PeerLimits.of(
            self.codec,
            ptime_ms=plan.ptime_ms,
            maxptime_ms=plan.maxptime_ms,
            repeats=red is not None,
            may_ask=plan.nack,
        )

    def _apply_choice(self) -> None:
        if self._capture is not None:
            self._capture.choice = self._chooser.choice

    def reports(self, now: float) -> bytes:
        # A frame is stamped when it is whole; its first sample is older by that and by what device and processing took.
        source = self._capture.source if self._capture is not None else None
        self.sender.lag_s = source.delay_s if isinstance(source, ProcessedSource) else FRAME_MS / 1000
        return super().reports(now)

    def tick(self, now: float) -> None:
        self._ask(now)
        again = self._repeats.due(now)
        if again and self.gate_open and self.plan.send:
            self.deliver_again(self.sender, again, wrapped=False)
        if not self._was_heard and self._playout.first_decoded_at is not None:
            self._was_heard = True
            self.host.emit(FirstMedia("audio", self._playout.first_decoded_at))
        speaking = self._capture is not None and self._processor.speaking
        if self._muted_hint.due(muted=self._muted, speaking=speaking, now=now):
            self.host.emit(MutedSpeech())
        self._tell("microphone", self._capture.source.problem if self._capture is not None else None)
        self._tell("speaker", self._player.sink.problem if self._player is not None else None)

    def is_waiting(self, now: float) -> bool:
        return self._intake.has_gaps or self._repeats.was_asked_lately(now)

    def lateness(self, now: float) -> float | None:
        source, played = self.source, self._player.played_at() if self._player is not None else None
        if source is None or played is None or now - source.last_at > FALLS_SILENT_S:
            return None
        timestamp, played_at = played
        captured_at = source.clock.captured_at(timestamp)
        if captured_at is None or self._player is None:
            return None
        return played_at + (self._player.sink.delay_s or 0.0) - captured_at

    def hold_back(self, seconds: float) -> None:
        self._playout.hold_back(seconds)

    @property
    def first_decoded_at(self) -> float | None:
        return self._playout.first_decoded_at

    def audio_figures(self, now: float) -> AudioStats:
        """Give the figures of now."""
        capture, player, source, playout = self._capture, self._player, self.source, self._playout
        device_delay_s = player.sink.delay_s if player is not None else None
        rates = self.sent_bytes.per_second(now), self.received_bytes.per_second(now)
        choice, adapts = self._chooser.choice, self.codec.name.lower() == "opus"
        voice = capture.source if capture is not None and isinstance(capture.source, ProcessedSource) else None
        switches = self._processor.switches if voice is not None else None
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
            device_out_delay_ms=device_delay_s * 1000 if device_delay_s is not None else None,
            lost_for_good=playout.unrecovered,
            loss_runs=playout.loss_runs,
            recovered_ms=playout.recovered_samples / 48,
            dropped_late=playout.late,
            stretched_ms=(playout.accelerated_samples + playout.expanded_samples) / 48,
            drift_ppm=playout.drift_ppm,
            encoder_bitrate_bps=choice.bitrate_bps if adapts else 64_000,
            encoder_bandwidth_hz=choice.bandwidth_hz if adapts else HIGHEST_HZ.get(self.codec.name.lower()),
            packet_ms=choice.packet_ms,
            expected_loss_percent=self._chooser.loss_percent if adapts else None,
            raw_input_level_dbfs=self._processor.meter.recent_dbfs if voice is not None else None,
            device_in_delay_ms=voice.delay_s * 1000 if voice is not None else None,
            echo_cancellation=switches.echo_cancellation if switches is not None else None,
            noise_suppression=switches.noise_suppression if switches is not None else None,
            gain_control=switches.gain_control if switches is not None else None,
            echo_return_loss_db=self._processor.erle_db if voice is not None else None,
            playback_underruns=player.sink.underruns if player is not None else None,
            capture_underruns=getattr(voice.source, "underruns", None) if voice is not None else None,
            capture_dropped_ms=getattr(voice.source, "dropped_samples", 0) / 48 if voice is not None else None,
            microphone_problem=capture.source.problem
            if capture is not None and capture.meter.recent_dbfs is None
            else None,
            speaker_problem=player.sink.problem if player is not None and device_delay_s is None else None,
        )

    def _start_capture(self) -> None:
        if self._capture is not None:
            self._capture.use(self._sending())
            return
        self._capture, self._ready = self._ready or self._new_capture(), None
        self._capture.use(self._sending())
        self._apply_choice()
        self._capture.muted = self._muted
        self._capture.mix_in, self._capture.on_frame = self._taps.mix_in, self._taps.own_sound
        self._capture.worker.start()

    def _new_capture(self) -> AudioSendWorker:
        source = self.host.devices.audio_source(self.host.settings)
        if is_processed(source, self.host.settings):
            source = processed(source, self._processor)
        return AudioSendWorker(source, self._sending())

    def _sending(self) -> Sending:
        codecs = self.plan.codecs
        red, noise = beside(RED, self.codec, codecs), beside(NOISE, self.codec, codecs)
        return Sending(
            self.codec,
            self.sender,
            self._outbox(self.sender),
            red_payload_type=red.payload_type if red is not None else None,
            keys=beside(EVENT, self.codec, codecs),
            noise_payload_type=noise.payload_type if noise is not None else None,
            dtx=self.host.settings.dtx,
        )

    def _tell(self, about: str, problem: str | None) -> None:
        if problem != self._problems.get(about):
            self._problems[about] = problem
            if problem is not None:
                self.host.emit(DeviceTrouble(about, problem))
