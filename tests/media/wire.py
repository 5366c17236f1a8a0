"""Two media sessions joined in memory: a path with delay, loss and taps, and the plans of a usual call."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from app.frames import FrameMailbox
from app.media.certificate import Certificate
from app.media.codecs import OPUS, VP8
from app.media.events import MediaEvent
from app.media.plan import CodecPlan, SecurityPlan, StreamPlan
from app.media.sdes import SdesKey
from app.media.session import MediaSession
from app.settings import MediaSettings

QUIET = MediaSettings(
    audio_from="silence", audio_to="null", video_from="pattern", video_to="window", width=320, height=240
)


class Path:
    """One direction; `to` takes what comes out. `lose` decides per datagram, `tap` sees each that is sent."""

    def __init__(self, *, delay_s: float = 0.0, loss: float = 0.0, seed: int = 1) -> None:
        self.delay_s = delay_s
        self.loss = loss
        self.sent: list[bytes] = []
        self.lose: Callable[[bytes], bool] = lambda data: False
        self.to: Callable[[bytes], None] | None = None
        self._rng = random.Random(seed)

    def send(self, data: bytes) -> None:
        self.sent.append(data)
        if self.to is None or self.lose(data) or (self.loss and self._rng.random() < self.loss):
            return
        asyncio.get_running_loop().call_later(self.delay_s, self.to, data)

    def media(self) -> list[bytes]:
        """What was sent that is RTP or RTCP by its first byte."""
        return [data for data in self.sent if 128 <= data[0] <= 191]


@dataclass
class End:
    """One side of the call."""

    session: MediaSession
    certificate: Certificate
    remote_picture: FrameMailbox
    own_picture: FrameMailbox
    path: Path
    events: list[MediaEvent] = field(default_factory=list)
    paths: dict[str, Path] = field(default_factory=dict)


@asynccontextmanager
async def two_ends(
    settings: tuple[MediaSettings, MediaSettings] = (QUIET, QUIET),
    *,
    echo: bool = False,
    delay_s: float = 0.0,
    loss: float = 0.0,
    transports: tuple[str, ...] = ("0",),
) -> AsyncIterator[tuple[End, End]]:
    """Give a caller and a callee (an echo if asked) whose transports of one name are joined; closes both."""
    ends = []
    for index in range(2):
        certificate = Certificate.generate()
        remote, own, events = FrameMailbox(), FrameMailbox(), []
        session = MediaSession(
            settings[index],
            certificate,
            on_event=events.append,
            remote_picture=remote,
            own_picture=own,
            echo=echo and index == 1,
        )
        ends.append(End(session, certificate, remote, own, Path(delay_s=delay_s, loss=loss, seed=index), events))
    for here, there in (ends, ends[::-1]):
        for name in transports:
            path = here.path if name == transports[0] else Path(delay_s=delay_s)
            path.to = lambda data, name=name, there=there: there.session.receive(name, data)
            here.paths[name] = path
            here.session.open_transport(name, path)
    try:
        yield ends[0], ends[1]
    finally:
        await asyncio.gather(*(end.session.close() for end in ends))


async def secure(
    caller: End, callee: End, kind: Literal["dtls", "sdes", "none"] = "dtls", *, transports: tuple[str, ...] = ("0",)
) -> None:
    """Agree keys on both sides."""
    plans = [SecurityPlan("none"), SecurityPlan("none")]
    if kind == "dtls":
        plans = [
            SecurityPlan("dtls", "server", (callee.certificate.fingerprint,)),
            SecurityPlan("dtls", "client", (caller.certificate.fingerprint,)),
        ]
    elif kind == "sdes":
        keys = SdesKey.generate(), SdesKey.generate()
        plans = [
            SecurityPlan("sdes", sdes_local=keys[0], sdes_remote=keys[1]),
            SecurityPlan("sdes", sdes_local=keys[1], sdes_remote=keys[0]),
        ]
    await asyncio.gather(
        *(caller.session.secure(name, plans[0], timeout_s=10) for name in transports),
        *(callee.session.secure(name, plans[1], timeout_s=10) for name in transports),
    )


def audio(codec: CodecPlan = OPUS, *, transport: str = "0", send: bool = True, receive: bool = True) -> StreamPlan:
    """Plan a bundled audio stream."""
    return StreamPlan("audio", "audio", transport, send, receive, (codec,), mid="0", mid_extension_id=1)


def video(
    *, transport: str = "0", send: bool = True, receive: bool = True, nack: bool = True, rtx: int | None = None
) -> StreamPlan:
    """Plan a bundled video stream."""
    return StreamPlan(
        "video",
        "video",
        transport,
        send,
        receive,
        (VP8,),
        nack=nack,
        pli=True,
        rtx=((rtx, VP8.payload_type),) if rtx is not None else (),
        mid="1",
        mid_extension_id=1,
    )


async def eventually(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait until something is so; fails when it does not come about."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for lives in other threads
            await asyncio.sleep(0.01)
