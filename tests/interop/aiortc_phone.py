"""A phone whose path and media are aiortc's RTCPeerConnection (ICE by aioice), with SIP of the project's own endpoint.

It says a tone and keeps what it hears. Its ways: aggressive nomination, no trickle, no loopback candidates, no restart.
"""

from __future__ import annotations

import asyncio
import fractions
import time

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioFrame, AudioStreamTrack, MediaStreamError

from app.sip import events as sip_events
from app.sip.config import SipConfig
from app.sip.endpoint import SipEndpoint
from app.sip.sessions import InviteSession
from tests.heard import RATE_HZ, Samples, tone

HERE = "127.0.0.1"
WAIT_S = 20.0
_FRAME = RATE_HZ // 50


class _Tone(AudioStreamTrack):
    def __init__(self, hz: float) -> None:
        super().__init__()
        self._samples = tone(hz, 1.0)
        self._number = 0
        self._began = 0.0

    async def recv(self) -> AudioFrame:
        self._began = self._began or time.monotonic()
        await asyncio.sleep(self._began + self._number * 0.02 - time.monotonic())
        at = self._number * _FRAME % self._samples.size
        frame = av.AudioFrame.from_ndarray(self._samples[at : at + _FRAME].reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.time_base = RATE_HZ, fractions.Fraction(1, RATE_HZ)
        frame.pts = self._number * _FRAME
        self._number += 1
        return frame


class AiortcPhone:
    """One call, in either role. Use as an async context; who calls it is answered at once."""

    def __init__(self, *, tone_hz: float, turn: str = "", user: str = "", password: str = "") -> None:
        servers = [RTCIceServer(urls=f"turn:{turn}", username=user, credential=password)] if turn else []
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._tone = _Tone(tone_hz)
        self._heard: list[Samples] = []
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: InviteSession | None = None
        self._agreed = False
        self.closed = asyncio.Event()
        self.sip = SipEndpoint(
            SipConfig(sip_port=0, bind=(HERE,), user="aiortc", supported=()), on_event=self._on_sip, on_trace=_no_trace
        )
        self.connection.on("track", self._on_track)

    async def __aenter__(self) -> AiortcPhone:
        await self.sip.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.sip.close()

    @property
    def uri(self) -> str:
        return f"sip:aiortc@{HERE}:{self.sip.port}"

    async def dial(self, uri: str) -> None:
        self.connection.addTrack(self._tone)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        self._session = self.sip.invite(uri, body=self.connection.localDescription.sdp.encode())

    async def hears(self, seconds: float) -> None:
        """Wait until that much sound has come in."""
        async with asyncio.timeout(WAIT_S), self._news:
            await self._news.wait_for(lambda: sum(part.size for part in self._heard) >= seconds * RATE_HZ)

    def heard(self) -> Samples:
        return np.concatenate(self._heard)

    def hang_up(self) -> None:
        assert self._session is not None
        self._session.bye()

    def _on_sip(self, event: sip_events.SipEvent) -> None:
        if isinstance(event, sip_events.IncomingInvite):
            self._session = event.session
            self._run(self._answer(event))
        elif isinstance(event, sip_events.Provisional | sip_events.Answered) and event.body and not self._agreed:
            self._agreed = True  # the answer of the 183 is the answer of the 200
            self._run(self.connection.setRemoteDescription(RTCSessionDescription(event.body.decode(), "answer")))
        elif isinstance(event, sip_events.OfferReceived):
            self._run(self._answer_again(event))
        elif isinstance(event, sip_events.Bye | sip_events.SessionClosed):
            self.closed.set()

    async def _answer(self, event: sip_events.IncomingInvite) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(event.body.decode(), "offer"))
        self.connection.addTrack(self._tone)
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        event.session.accept(self.connection.localDescription.sdp.encode())

    async def _answer_again(self, event: sip_events.OfferReceived) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(event.body.decode(), "offer"))
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        event.session.answer_offer(self.connection.localDescription.sdp.encode())

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._run(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            async with self._news:
                self._heard += [piece.to_ndarray().reshape(-1).astype(np.int16) for piece in resampler.resample(frame)]
                self._news.notify_all()

    def _run(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)


def _no_trace(*_: object) -> None:
    """This phone's messages are read at the other side."""
