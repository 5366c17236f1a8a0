"""The media of one call: transports with their keys, and the streams that run over them.

The owner (app/calls) opens a transport per path, secures it, configures the streams and passes incoming datagrams to
`receive`. All methods are called on the event loop's thread unless they say otherwise; encoding, decoding, capture and
playing run in worker threads of the streams. What leaves goes through `DatagramPath.send` on the loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from app.events import AudioStats, SecurityInfo, TransportStats, VideoStats
from app.frames import FrameMailbox
from app.media.certificate import Certificate
from app.media.congestion import Congestion
from app.media.default_devices import SettingsDevices
from app.media.errors import MediaError, PacketError
from app.media.events import MediaEvent, PeerClosed
from app.media.lipsync import LipSync
from app.media.loading import is_loaded, loaded
from app.media.pacer import Outgoing
from app.media.plan import DatagramPath, SecurityPlan, StreamPlan
from app.media.routing import Router
from app.media.rtcp import Bye, ReceiverReport
from app.media.stream import RtpStream, StreamHost
from app.media.ticking import Ticker
from app.media.transport import MediaTransport
from app.media.worker import Worker, join_all
from app.owned_tasks import OwnedTasks
from app.settings import MediaSettings

if TYPE_CHECKING:
    from app.media.ports import MediaDevices
    from app.media.taps import MediaTaps

logger = logging.getLogger(__name__)

REPORT_S = 1.0
_DEVICES_AND_SWITCHES = (
    *("microphone", "speaker", "ring_device", "camera"),
    *("echo_cancellation", "noise_suppression", "gain_control"),
)


class MediaSession:
    """Sound and picture of one call.

    Before `start_sending` (the gate) nothing captured leaves and neither microphone nor camera is opened; what arrives
    may be played (early media) as soon as a stream is configured with `receive`, so the speaker is opened then.
    `echo=True` uses no devices and sends every payload back.

    Codecs and encryption are loaded in a thread when `prepare`, `configure` or `secure` asks for them first; streams
    that were configured before begin when they are there.
    """

    def __init__(
        self,
        settings: MediaSettings,
        certificate: Certificate,
        *,
        on_event: Callable[[MediaEvent], None] | None = None,
        remote_picture: FrameMailbox | None = None,
        own_picture: FrameMailbox | None = None,
        echo: bool = False,
        devices: MediaDevices | None = None,
    ) -> None:
        self._settings = settings
        self._certificate = certificate
        self._on_event = on_event
        self._remote_picture = remote_picture if remote_picture is not None else FrameMailbox()
        self._own_picture = own_picture
        self._echo = echo
        self._devices: MediaDevices = devices if devices is not None else SettingsDevices()
        self._transports: dict[str, MediaTransport] = {}
        self._rtcp_of: dict[str, str] = {}  # from a transport for RTCP alone to the one that it serves
        self._plans: tuple[StreamPlan, ...] = ()
        self._streams: dict[str, RtpStream] = {}
        self._tasks = OwnedTasks("media")
        self._preparing: asyncio.Task[None] | None = None
        self._router = Router()
        self._cname = secrets.token_urlsafe(12)
        self._congestion = Congestion(self._cname, self._send_packet, self._send_rtcp)
        self._host: StreamHost | None = None
        self._lips = LipSync()
        self._retired: list[Worker] = []
        self._gate_open = False
        self._muted = False
        self._camera_on = True
        self._view_size: tuple[int, int] | None = None
        self._video_from = settings.video_from
        self._taps: MediaTaps | None = None
        self._volume = 1.0
        self._ticker = Ticker(self._tick, self._waits, lambda: self._congestion.is_wide)
        self._next_report = 0.0
        self._arrived_at: float | None = None  # of the datagram that is being taken
        self._closed = False

    def prepare(self) -> None:
        """Begin to load what streams and keys will need; call it when nothing more urgent is to be done."""
        if self._preparing is None and not is_loaded() and not self._closed:
            self._preparing = self._tasks.start(self._load(), "load codecs")

    # Transports ---------------------------------------------------------------------------------------------

    def open_transport(self, name: str, path: DatagramPath) -> None:
        """Add a transport, or give an existing one another path (keys, counters and streams stay).

        `rtcp_name(name)` is the one for the RTCP of streams without rtcp-mux: with a DTLS association of its own, or
        the same SDES key (RFC 5764 section 4.1.2, RFC 4568). Open it before the streams are configured.
        """
        transport = self._transports.get(name)
        if transport is not None:
            transport.path = path
            self._congestion.path_changed(name)
            return
        self._transports[name] = MediaTransport(
            name,
            path,
            self._certificate,
            on_rtp=self._take_rtp,
            on_rtcp=self._take_rtcp,
            on_closed=self._peer_closed,
        )

    async def secure(self, name: str, plan: SecurityPlan, *, timeout_s: float = 20.0) -> None:
        """Agree the keys of a transport; returns when media can flow.

        SDES and plain RTP return at once. DTLS runs its handshake over the path: call this once the path works (ICE
        completed); datagrams of an eager peer that came before are kept. The same plan again returns at once; another
        one replaces the keys. Raises SecurityError with a sentence for a wrong fingerprint, a failed handshake or
        silence of `timeout_s`. Cancelling ends the handshake.
        """
        transport = self._transport(name)
        self.prepare()
        if self._preparing is not None:
            await asyncio.shield(self._preparing)
        await transport.secure(plan, timeout_s)

    def rekey(self, name: str, plan: SecurityPlan) -> None:
        """Take the keys of a later agreement for a transport that is secured by SDES; others keep theirs.

        Phones send a new key with each offer (RFC 4568 section 7.1.4). Raises MediaError for a key that cannot be used.
        """
        self._transport(name).rekey(plan)

    def receive(self, name: str, data: bytes, arrived_at: float | None = None) -> None:
        """Take one datagram that came over the transport `name` (no STUN). Bad ones are counted and dropped.

        `arrived_at`: when it came (monotonic seconds), where it may have waited to be read; this is what the peer is
        told of its path. Everything else goes by when it can be used.
        """
        transport = self._transports.get(name)
        if transport is not None and not self._closed:
            self._arrived_at = arrived_at
            transport.receive(data, time.monotonic())
            self._arrived_at = None

    def receive_from_elsewhere(self, name: str, data: bytes, *, named: bool = False) -> bool:
        """Take a datagram that did not come from where the peer was last; True, and used, if it is the peer's.

        `named`: it came from where the peer has said that it is.
        """
        transport = self._transports.get(name)
        if transport is None or self._closed:
            return False
        return transport.receive_from_elsewhere(data, time.monotonic(), named=named)

    # Streams ------------------------------------------------------------------------------------------------

    def configure(self, streams: Sequence[StreamPlan]) -> None:
        """Set the streams: new ones start, changed ones adapt (direction, codec, transport), missing ones stop.

        Raises MediaError, and changes nothing, when a stream names an unknown transport or has no codec we know.
        """
        if self._closed:
            raise MediaError("The call's media is closed already.")
        for plan in streams:
            self._transport(plan.transport)
            RtpStream.codec_of(plan)
        self._plans = tuple(streams)
        for name, transport in self._transports.items():
            transport.payload_types = frozenset(
                number for plan in streams if plan.transport == name for number in plan.payload_types
            )
        self._rtcp_of = {plan.rtcp_transport: plan.transport for plan in streams if not plan.rtcp_mux}
        self.prepare()
        if is_loaded():
            self._apply()
        self._ticker.start()

    async def _load(self) -> None:
        await loaded()
        if not self._closed:
            self._apply()

    def _apply(self) -> None:
        """Bring the streams in step with their plans."""
        wanted = {plan.name: plan for plan in self._plans}
        for name, stream in list(self._streams.items()):
            if name not in wanted or wanted[name].kind != stream.plan.kind:
                stream.stop()
                del self._streams[name]
        for name, plan in wanted.items():
            known = self._streams.get(name)
            if known is None:
                self._streams[name] = self._new_stream(plan)
            elif known.plan != plan:
                known.adapt(plan)
        self._router.set_streams(list(self._streams.values()))
        self._congestion.configure(self._streams.values())

    def start_sending(self) -> None:
        """Open the gate: start the captures in their threads and let media leave. Harmless when open."""
        if not self._gate_open and not self._closed:
            self._gate_open = True
            self._next_report = time.monotonic() + REPORT_S / 2
            for stream in self._streams.values():
                stream.set_gate(True)

    def stop_sending(self) -> None:
        """Close the gate: stop the captures; what is still under way to the loop is dropped."""
        if self._gate_open:
            self._gate_open = False
            for stream in self._streams.values():
                stream.set_gate(False)

    def set_muted(self, muted: bool) -> None:
        """Send silence instead of the microphone."""
        self._muted = muted
        for stream in self._streams.values():
            stream.set_muted(muted)

    def set_camera(self, on: bool) -> None:
        """Stop or start the video capture; the camera is released while it is off."""
        self._camera_on = on
        for stream in self._streams.values():
            stream.set_camera(on)

    def set_view_size(self, width: int, height: int) -> None:
        """Ask the peer for no more than a picture shown at this size (pixels) is worth."""
        self._view_size = width, height
        for stream in self._streams.values():
            stream.set_view_size(width, height)

    def set_picture_source(self, video_from: str) -> None:
        """Send the picture from elsewhere (as MediaSettings.video_from names it); nobody needs to agree to that."""
        self._video_from = video_from
        for stream in self._streams.values():
            stream.use_source(video_from)

    def use_devices(self, settings: MediaSettings) -> None:
        """Go on with the devices and the processing that other settings name; the rest of them is not looked at."""
        self._settings = replace(
            self._settings,
            **{name: getattr(settings, name) for name in _DEVICES_AND_SWITCHES},
        )
        if self._host is not None:
            self._host.settings = self._settings
        for stream in self._streams.values():
            stream.use_devices(self._settings)

    def set_taps(self, taps: MediaTaps | None) -> None:
        """Show what is sent and played to others too, in the threads that have it; None is nobody."""
        if taps is self._taps:
            return
        self._taps = taps
        for stream in self._streams.values():
            stream.use_taps(taps)

    def press(self, keys: str) -> bool:
        """Send keys of a telephone (see dtmf) in the sound; False where the peer takes none this way."""
        return any(stream.press(keys) for stream in self._streams.values())

    def set_volume(self, volume: float) -> None:
        """Scale what is played: 0 is silent, 1 as received; clamped to 0..1.5."""
        self._volume = volume
        for stream in self._streams.values():
            stream.set_volume(volume)

    def ask_key_frame(self) -> None:
        """Ask the peer for a whole picture."""
        for stream in self._streams.values():
            stream.ask_key_frame()

    # Figures ------------------------------------------------------------------------------------------------

    def stats(self) -> tuple[AudioStats | None, VideoStats | None, SecurityInfo]:
        """Give the figures of now; None for a kind of stream that is not configured."""
        now = time.monotonic()
        audio: AudioStats | None = None
        video: VideoStats | None = None
        for stream in self._streams.values():
            audio = audio or stream.audio_figures(now)
            video = video or stream.video_figures(now)
        lips = self._lips
        if audio is not None and video is not None and lips.offset_s is not None:
            audio = replace(audio, held_back_ms=lips.sound_waits_s * 1000)
            held_ms, offset_ms = lips.picture_waits_s * 1000, lips.offset_s * 1000
            video = replace(video, held_back_ms=held_ms, lip_sync_ms=offset_ms)
        return audio, video, self._security()

    def transport_figures(self) -> TransportStats | None:
        """Give what is known of the path that the streams share; None before one has been heard of by its peer."""
        return self._congestion.figures(time.monotonic())

    @property
    def first_audio_at(self) -> float | None:
        """When the first received audio frame was decoded, monotonic seconds."""
        return self._first("audio")

    @property
    def first_video_at(self) -> float | None:
        """When the first received picture was decoded, monotonic seconds."""
        return self._first("video")

    @property
    def last_received_at(self) -> float | None:
        """When the last authentic media packet came, monotonic seconds: tells a silent path."""
        times = [t.last_received_at for t in self._transports.values() if t.last_received_at is not None]
        return max(times, default=None)

    @property
    def dropped_datagrams(self) -> int:
        """Datagrams that were strange, not authentic, malformed, or of no stream, over all transports."""
        return (
            sum(t.rejected + t.strange for t in self._transports.values())
            + self._router.unclaimed
            + sum(stream.wrong_packets for stream in self._streams.values())
        )

    async def close(self) -> None:
        """Stop everything, say goodbye (RTCP BYE, DTLS close_notify), release the devices. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._ticker.close()
        self._congestion.close()
        if self._gate_open:
            self._say_bye()
        for stream in self._streams.values():
            stream.stop()
        for transport in self._transports.values():
            transport.close()
        await self._tasks.close()
        workers, self._retired = self._retired, []
        if workers:
            await asyncio.get_running_loop().run_in_executor(None, join_all, workers)

    # Inside -------------------------------------------------------------------------------------------------

    def _transport(self, name: str) -> MediaTransport:
        transport = self._transports.get(name)
        if transport is None:
            raise MediaError(f"There is no transport {name[:40]!r} for this stream.")
        return transport

    def _new_stream(self, plan: StreamPlan) -> RtpStream:
        from app.media.audio_stream import AudioStream
        from app.media.echo import EchoStream
        from app.media.video_stream import VideoStream

        if self._host is None:
            self._host = StreamHost(
                loop=asyncio.get_running_loop(),
                settings=self._settings,
                devices=self._devices,
                cname=self._cname,
                send_rtp=self._send_rtp,
                send_rtcp=self._send_rtcp,
                has_transport=self._transports.__contains__,
                emit=self._emit,
                retire=self._retire,
            )
        stream: RtpStream
        if self._echo:
            stream = EchoStream(self._host, plan)
        elif plan.kind == "audio":
            stream = AudioStream(self._host, plan)
        else:
            stream = VideoStream(self._host, plan, self._remote_picture, self._own_picture)
        stream.set_muted(self._muted)
        stream.set_volume(self._volume)
        stream.use_source(self._video_from)
        stream.set_camera(self._camera_on)
        if self._view_size is not None:
            stream.set_view_size(*self._view_size)
        if self._taps is not None:
            stream.use_taps(self._taps)
        if self._gate_open:
            stream.set_gate(True)
        return stream

    def _take_rtp(self, transport: str, data: bytes) -> None:
        if transport in self._rtcp_of:
            self._transports[transport].rejected += 1
            return
        try:
            found = self._router.route(transport, data)
        except PacketError as error:
            self._transports[transport].rejected += 1
            logger.debug("%s: %s", transport, error)
            return
        if found is not None:
            (stream, packet), now = found, time.monotonic()
            arrived_at = now if self._arrived_at is None else self._arrived_at
            self._congestion.arrived(stream, packet, len(data), arrived_at)
            stream.receive(packet, now, arrived_at)
            if stream.is_waiting(now):
                self._ticker.hurry()

    def _peer_closed(self, transport: str) -> None:
        if transport not in self._rtcp_of:
            self._emit(PeerClosed(transport))

    def _take_rtcp(self, transport: str, data: bytes) -> None:
        media, now = self._rtcp_of.get(transport, transport), time.monotonic()
        try:
            waited_s = 0.0 if self._arrived_at is None else now - self._arrived_at
            self._congestion.rtcp(media, self._router.route_rtcp(media, data, now, waited_s), now)
            if self._waits(now):
                self._ticker.hurry()
        except PacketError as error:
            self._transports[transport].rejected += 1
            logger.debug("%s: %s", transport, error)

    def _send_rtp(self, transport: str, packets: list[Outgoing]) -> None:
        if self._gate_open and not self._closed:
            self._congestion.send(transport, packets)
            self._ticker.along()

    def _send_packet(self, transport: str, packet: bytes) -> bool:
        return self._gate_open and not self._closed and self._transport(transport).send_rtp((packet,)) == 1

    def _send_rtcp(self, transport: str, compound: bytes) -> None:
        if self._gate_open:
            self._transport(transport).send_rtcp(compound)

    def _say_bye(self) -> None:
        for stream in self._streams.values():
            if stream.has_rtcp and stream.packets_sent:
                ssrc = stream.sender.ssrc
                self._send_rtcp(stream.plan.rtcp_transport, bytes(ReceiverReport(ssrc)) + bytes(Bye((ssrc,))))

    def _waits(self, now: float) -> bool:
        return not self._congestion.is_calm(now) or any(one.is_waiting(now) for one in self._streams.values())

    def _tick(self, now: float) -> None:
        for stream in self._streams.values():
            stream.tick(now)
        self._lips.step(self._streams.values(), now)
        if self._gate_open:
            self._congestion.tick(now)
        if self._gate_open and now >= self._next_report:
            self._next_report = now + REPORT_S * random.uniform(0.8, 1.2)  # RFC 3550 section 6.3.1: never in step
            for stream in self._streams.values():
                compound = stream.reports(now) if stream.has_rtcp else b""
                if compound:
                    self._send_rtcp(stream.plan.rtcp_transport, compound)
        self._retired = [worker for worker in self._retired if not worker.join(0)]

    def _security(self) -> SecurityInfo:
        local = self._certificate.fingerprint
        for transport in self._transports.values():
            if transport.kind is not None:
                is_dtls = transport.kind == "dtls-srtp"
                return SecurityInfo(
                    media=transport.kind,
                    cipher=transport.cipher,
                    fingerprint_local=" ".join(local) if is_dtls else None,
                    fingerprint_remote=transport.remote_fingerprint,
                )
        return SecurityInfo()

    def _first(self, kind: str) -> float | None:
        times = [stream.first_decoded_at for stream in self._streams.values() if stream.plan.kind == kind]
        return min((at for at in times if at is not None), default=None)

    def _emit(self, event: MediaEvent) -> None:
        if self._on_event is not None and not self._closed:
            self._on_event(event)

    def _retire(self, worker: Worker) -> None:
        worker.stop()
        self._retired.append(worker)
