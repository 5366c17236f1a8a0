"""Real channel sessions that hear each other by multicast on this machine, on a clock that a test moves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from app.channels.channel_session import ChannelSession, Cue, Node
from app.channels.encoders import EncoderId
from app.channels.finished_burst import FinishedBurst
from app.channels.mission import Address, Group, GroupType, Meta, Mission
from app.channels.mission_parts import TimelineOptions, TxAudio
from app.channels.multicast import MulticastLink, MulticastPlan
from app.channels.multicast_sockets import Sending
from app.channels.sealing import derive_key
from tests.heard import Samples

GROUP = "239.255.77.9"
BLOCK, FRAME, FRAME_S = 480, 960, 0.02
KEY = "84788DD4A5883EE1311E1A04F704BC650A2A2AA82805931A5EE4B0EA9C4B1DEF"
OPUS = TxAudio(encoder=EncoderId.OPUS_24, framing_ms=20)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the loopback interface has another name elsewhere")


@dataclass(frozen=True)
class _Loopback:
    interface: str = "lo"
    address: str = "127.0.0.1"


class _Count:
    """A number that one can wait for."""

    def __init__(self) -> None:
        self.value = 0
        self._moved = asyncio.Event()

    def add(self, count: int = 1) -> None:
        self.value += count
        self._moved.set()

    async def reach(self, wanted: int) -> None:
        async with asyncio.timeout(5):
            while self.value < wanted:
                self._moved.clear()
                await self._moved.wait()


class Radio:
    """A session, and what it says and plays. `drops`: which of the datagrams that come (by number) are lost."""

    def __init__(self, air: Air, name: str, number: int, audio: TxAudio, key: str | None, **options: Any) -> None:
        self.name = name
        self.audio, self.framing_ms = audio, audio.framing_ms
        self.frames = self.others = 0  # of 20 ms in this burst; datagrams sent before it
        self.sent, self.came = _Count(), _Count()
        self.datagrams: list[bytes] = []
        self.drops: frozenset[int] = frozenset()
        self.bursts: list[FinishedBurst] = []
        self.cues: list[Cue] = []
        self.changes = 0
        self.wanted: list[bool] = []
        self.wall_s = 1_000.0  # the wall's clock is ahead of the air's
        self._played: list[Samples] = []
        address = Address(GROUP, air.port)
        group = Group(
            *(),
            type=GroupType.AUDIO,
            name="Alpha",
            rx=address,
            tx=address,
            tx_audio=audio,
            crypto_password=key,
            max_rx_secs=options.pop("max_rx_secs", 0),
            timeline=options.pop("timeline", TimelineOptions()),
        )
        mission = Mission(meta=Meta(datetime(2026, 2, 7, tzinfo=UTC)), name="Relief", groups=(group,)).canonical()
        plan = MulticastPlan(GROUP, air.port, GROUP, air.port, "lo", Sending(ttl=0, loop=True))
        self.link = MulticastLink(plan, lambda: [_Loopback()])
        self.session = ChannelSession(
            *(mission.groups[0], mission, Node(bytes([number]) * 16, name, options.pop("priority", 0)), self.link),
            derive_key(key) if key is not None else None,
            on_change=self._changed,
            on_burst=self.bursts.append,
            on_cue=self.cues.append,
            on_capture_wanted=self.wanted.append,
            clock=lambda: air.now,
            wall=lambda: self.wall_s + air.now,
            **options,
        )

    def _changed(self) -> None:
        self.changes += 1

    async def start(self) -> None:
        await self.session.start()
        send, hear = self.link.send, self.link.on_datagram

        def sending(datagram: bytes, now: float) -> None:
            self.datagrams.append(datagram)
            send(datagram, now)
            self.sent.add()

        def hearing(datagram: bytes, source: str, now: float) -> None:
            if self.came.value not in self.drops:
                hear(datagram, source, now)
            self.came.add()

        self.link.send, self.link.on_datagram = sending, hearing  # type: ignore[method-assign]
        assert self.link.state.is_up, self.link.state.words

    async def listen(self, blocks: list[Samples]) -> None:
        """Let the encoder look at 20 ms of what the microphone hears, and send what a burst makes of it."""
        speaking, sent, was_on_air = self.session._speaking, self.sent.value, self.is_on_air
        assert speaking is not None
        for block in blocks:
            self.session.hear(block)
        async with asyncio.timeout(5):
            # A worker's queue tells nobody when it is empty, nor does a voice say that it goes on.
            while speaking._queue.qsize() or (was_on_air and self.is_on_air and self.sent.value <= sent):  # noqa: ASYNC110
                await asyncio.sleep(0)

    @property
    def is_on_air(self) -> bool:
        return self.session.snapshot().sending is not None

    async def ended(self, sent: int) -> None:
        """Wait until a burst that has sent so much is over, with the packets that say so."""
        has_ends = not self.audio.no_hdr_ext
        await self.sent.reach(sent + (self.audio.trailing_header_burst if has_ends else 0))
        self.others, self.frames = self.sent.value, 0

    def play(self) -> None:
        sound = self.session.play(FRAME)
        self._played.append(np.zeros(FRAME, np.int16) if sound is None else sound)

    @property
    def heard(self) -> Samples:
        """All that was played so far."""
        return np.concatenate(self._played)

    def forget(self) -> None:
        self._played.clear()

    @property
    def talkers(self) -> list[str]:
        return [one.alias for one in self.session.snapshot().talkers]

    @property
    def notice(self) -> str:
        return self.session.snapshot().notice


class Air:
    """Where radios hear each other; made by `on_the_air`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.now = 100.0
        self.radios: list[Radio] = []

    async def radio(self, name: str, audio: TxAudio = OPUS, key: str | None = KEY, **options: Any) -> Radio:
        made = Radio(self, name, len(self.radios) + 1, audio, key, **options)
        await made.start()
        self.radios.append(made)
        return made

    async def settle(self) -> None:
        """Wait until everybody has what was sent."""
        for one in self.radios:
            await one.came.reach(sum(each.sent.value for each in self.radios))

    async def step(self, said: Mapping[Radio, Samples] | None = None) -> None:
        """Let 20 ms pass. `said`: what microphones hear in them; a burst sends each packet that they fill."""
        for radio, sound in (said or {}).items():
            for at in range(0, FRAME, BLOCK):
                radio.session.hear(sound[at : at + BLOCK])
            if radio.is_on_air:
                radio.frames += 1
                await radio.sent.reach(radio.frames * 20 // radio.framing_ms + radio.others)
        await self.settle()
        for one in self.radios:
            one.play()
        self.now += FRAME_S
        for one in self.radios:
            one.session.handle_timeout()

    async def talk(self, said: Mapping[Radio, Samples]) -> None:
        """Let microphones hear sounds, as long as the longest of them."""
        length = max(len(sound) for sound in said.values()) // FRAME * FRAME
        for at in range(0, length, FRAME):
            await self.step(
                {radio: sound[at : at + FRAME] for radio, sound in said.items() if at + FRAME <= len(sound)}
            )

    async def listen(self, radio: Radio, sound: Samples) -> None:
        """Let a microphone whose voice is armed hear a sound, which may begin or end a burst."""
        for at in range(0, len(sound) // FRAME * FRAME, FRAME):
            await radio.listen([sound[start : start + BLOCK] for start in (at, at + BLOCK)])
            await self.step()

    async def release(self, radio: Radio) -> None:
        """Let the key go, and wait for the first packet that says so."""
        radio.session.release()
        await radio.ended(radio.sent.value)
        await self.settle()

    async def pause(self, seconds: float) -> None:
        """Let time pass while nobody says anything."""
        for _ in range(round(seconds / FRAME_S)):
            await self.step()


@contextlib.asynccontextmanager
async def on_the_air() -> AsyncIterator[Air]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        air = Air(int(probe.getsockname()[1]))
    try:
        yield air
    finally:
        for one in air.radios:
            await one.session.close()
