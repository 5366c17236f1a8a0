"""Two people with real endpoints on this machine's loopback: SIP on UDP and TCP, ICE, DTLS-SRTP, tone and test picture.

Everything runs in the test's own loop; a test waits for what it expects to happen, never for a time to pass.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from app.calls.call import Call
from app.calls.manager import CallManager
from app.calls.services import CallServices
from app.diagnosis.causes import explain_end
from app.events import CallInfo, CallState, RegistrationState
from app.ice.config import IceConfig, Timing
from app.media.certificate import Certificate
from app.settings import Account, HostPort, MediaSettings, NetworkSettings, Settings, TrickleMode, TurnServer
from app.sip.config import SipConfig
from app.sip.endpoint import SipEndpoint
from app.sip.events import RegistrationChanged

WAIT_S = 15.0
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Message:
    """One SIP message as this party saw it."""

    direction: str
    line: str
    text: str
    at: float

    def header(self, name: str) -> str | None:
        for row in self.text.split("\r\n\r\n")[0].split("\r\n")[1:]:
            key, _, value = row.partition(":")
            if key.strip().lower() == name.lower():
                return value.strip()
        return None

    @property
    def body(self) -> str:
        return self.text.partition("\r\n\r\n")[2]


@dataclass
class Party:
    """One person with a phone."""

    name: str
    settings: Settings
    ice: IceConfig
    supported: tuple[str, ...] = ("100rel", "ice", "trickle-ice")
    account: Account | None = None  # with the password "secret"
    registered: bool = False
    messages: list[Message] = field(default_factory=list)
    seen: list[CallInfo] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)  # about what, and the sentence

    keys: str = ""  # that other people pressed

    def _on_key(self, call: Call, key: str) -> None:
        self.keys += key

    async def open(self) -> None:
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        zero = time.monotonic()
        config = SipConfig(
            sip_port=0,
            bind=(LOOPBACK,),
            user=self.name,
            display_name=self.name,
            supported=self.supported,
            account=self.account,
            password=lambda: "secret",
        )
        self.sip = SipEndpoint(config, on_event=self._on_sip, on_trace=self._on_trace)
        await self.sip.start()
        services = CallServices(
            sip=self.sip,
            settings=self.settings,
            ice_config=self.ice,
            certificate=Certificate.generate(),
            clock=lambda: time.monotonic() - zero,
            explain=explain_end,
            on_change=self._on_change,
            on_key=self._on_key,
            on_problem=lambda call, sentence, about: self.problems.append((about, sentence)),
        )
        self.manager = CallManager(services)
        if self.account is not None:
            self.sip.register()
            await self.until(lambda: self.registered, "it is registered")

    async def close(self) -> None:
        await self.manager.close()
        await self.sip.close()

    @property
    def uri(self) -> str:
        return f"sip:{self.name}@{LOOPBACK}:{self.sip.port}"

    def call(self, other: Party, *, video: bool = True) -> Call:
        return self.manager.place(other.uri, other.name, video=video)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something is so; fails with what was waited for and what was seen instead."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while not condition():
            await asyncio.sleep(0.005)
            if asyncio.get_running_loop().time() > deadline:
                lines = "\n  ".join(f"{m.direction} {m.line}" for m in self.messages)
                states = [info.state.value for info in self.seen]
                raise AssertionError(f"{self.name} waited in vain until {what}; states {states}; messages\n  {lines}")

    async def reaches(self, state: CallState) -> Call:
        """Wait until the newest call of this party is in `state`."""
        await self.until(lambda: any(info.state is state for info in self.seen), f"a call is {state}")
        call_id = next(info.call_id for info in reversed(self.seen) if info.state is state)
        return next((call for call in self.manager.calls if call.call_id == call_id), None)  # type: ignore[return-value]

    async def ends(self) -> CallInfo:
        await self.until(lambda: self.seen and self.seen[-1].state is CallState.ENDED, "the call has ended")
        return self.seen[-1]

    def lines(self, direction: str | None = None) -> list[str]:
        return [m.line.removesuffix(" SIP/2.0") for m in self.messages if direction in (None, m.direction)]

    def message(self, direction: str, start: str, index: int = 0) -> Message:
        return [m for m in self.messages if m.direction == direction and m.line.startswith(start)][index]

    def _on_sip(self, event: object) -> None:
        if isinstance(event, RegistrationChanged):
            self.registered = event.state is RegistrationState.REGISTERED
        self.manager.on_sip(event)  # type: ignore[arg-type]

    def _on_trace(self, direction: str, transport: str, local: str, remote: str, data: bytes, at: float) -> None:
        text = data.decode("utf-8", "replace")
        self.messages.append(Message(direction, text.partition("\r\n")[0], text, at))

    def _on_change(self, call: Call) -> None:
        self.seen.append(call.info)


def party(
    name: str,
    *,
    tone_hz: int = 440,
    audio_to: str = "null",
    video: bool = True,
    turn: HostPort | None = None,
    ice: IceConfig | None = None,
    trickle: TrickleMode = TrickleMode.AUTO,
    **media: object,
) -> Party:
    """A party whose microphone hums and whose camera shows the test picture."""
    settings = MediaSettings(
        audio_from=f"tone:{tone_hz}",
        audio_to=audio_to,
        video_from="pattern" if video else "none",
        video_to="null",
        width=320,
        height=240,
        fps=15,
        video_codecs=("vp8",) if video else (),
    )
    settings = replace(settings, **media)  # type: ignore[arg-type]
    servers = (TurnServer(turn, "udp", name, "secret"),) if turn is not None else ()
    config = ice or IceConfig(interfaces=(LOOPBACK,), turn_servers=servers, timing=Timing(patience_s=1.0))
    return Party(name, Settings(media=settings, network=NetworkSettings(trickle=trickle)), config)


@asynccontextmanager
async def on_the_phone(*parties: Party) -> AsyncIterator[tuple[Party, ...]]:
    """Open the parties; hang up and close them whatever happens."""
    opened: list[Party] = []
    try:
        for one in parties:
            await one.open()
            opened.append(one)
        yield parties
    finally:
        for one in opened:
            await one.close()


async def connected(caller: Party, callee: Party, *, video: bool = True) -> tuple[Call, Call]:
    """A call from click to voice."""
    outgoing = caller.call(callee, video=video)
    incoming = await callee.reaches(CallState.RINGING)
    callee.manager.answer(incoming.call_id, video=video)
    await caller.reaches(CallState.CONNECTED)
    await callee.reaches(CallState.CONNECTED)
    return outgoing, incoming
