"""The media of one call: transports with their keys, and the streams that run over them.

The owner (app/calls) opens a transport per path, secures it, configures the streams and passes incoming datagrams to
`receive`. All methods are called on the event loop's thread unless they say otherwise; encoding, decoding, capture and
playing run in worker threads of the streams. What leaves goes through `DatagramPath.send` on the loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.events import AudioStats, SecurityInfo, VideoStats
from app.frames import FrameMailbox
from app.media.certificate import Certificate
from app.media.events import MediaEvent
from app.media.plan import DatagramPath, SecurityPlan, StreamPlan
from app.media.ports import MediaDevices
from app.settings import MediaSettings


class MediaSession:
    """Sound and picture of one call.

    Before `start_sending` (the gate) nothing captured leaves and no device is opened; what arrives may be played (early
    media) as soon as a stream is configured with `receive`. `echo=True` uses no devices and sends every payload back.
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
    ) -> None: ...

    def open_transport(self, name: str, path: DatagramPath) -> None:
        """Add a transport, or give an existing one another path (keys, counters and streams stay)."""

    async def secure(self, name: str, plan: SecurityPlan, *, timeout_s: float = 20.0) -> None:
        """Agree the keys of a transport; returns when media can flow.

        SDES and plain RTP return at once. DTLS runs its handshake over the path: call this once the path works (ICE
        completed); datagrams of an eager peer that came before are kept. The same plan again returns at once; another
        one replaces the keys. Raises SecurityError with a sentence for a wrong fingerprint, a failed handshake or
        silence of `timeout_s`. Cancelling ends the handshake.
        """

    def configure(self, streams: Sequence[StreamPlan]) -> None:
        """Set the streams: new ones start, changed ones adapt (direction, codec, transport), missing ones stop.

        Raises MediaError, and changes nothing, when a stream names an unknown transport or has no codec we know.
        """

    def receive(self, name: str, data: bytes) -> None:
        """Take one datagram that came over the transport `name` (no STUN). Bad ones are counted and dropped."""

    def start_sending(self) -> None:
        """Open the gate: start the captures in their threads and let media leave. Harmless when open."""

    def stop_sending(self) -> None:
        """Close the gate: stop the captures; what is still under way to the loop is dropped."""

    def set_muted(self, muted: bool) -> None:
        """Send silence instead of the microphone."""

    def set_camera(self, on: bool) -> None:
        """Stop or start the video capture; the camera is released while it is off."""

    def set_volume(self, volume: float) -> None:
        """Scale what is played: 0 is silent, 1 as received; clamped to 0..1.5."""

    def ask_key_frame(self) -> None:
        """Ask the peer for a whole picture."""

    def stats(self) -> tuple[AudioStats | None, VideoStats | None, SecurityInfo]:
        """Give the figures of now; None for a kind of stream that is not configured."""

    @property
    def first_audio_at(self) -> float | None:
        """When the first received audio frame was decoded, monotonic seconds."""

    @property
    def first_video_at(self) -> float | None:
        """When the first received picture was decoded, monotonic seconds."""

    @property
    def last_received_at(self) -> float | None:
        """When the last authentic media packet came, monotonic seconds: tells a silent path."""

    async def close(self) -> None:
        """Stop everything, say goodbye (RTCP BYE, DTLS close_notify), release the devices. May be called twice."""
