"""Talking on a channel between hosts that have nothing but a switch in common, in real time: acceptance row 1.

Microphone and speaker are threads that keep their pace without a device, so what a sound card adds is not in the delay.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.channels.channel_plan import make_link
from app.channels.channel_session import ChannelSession
from app.channels.channel_state import Node
from app.channels.encoders import EncoderId
from app.channels.finished_burst import FinishedBurst
from app.channels.mission import Address, Group, GroupType, Meta, Mission
from app.channels.mission_parts import TxAudio
from app.channels.sealing import derive_key
from tests.heard import RATE_HZ, Samples, delay_s, level_dbfs, recorded_speech, speech_score
from tests.lab.capture import Capture
from tests.lab.network import Host, Lab
from tests.lab.test_multicast import Known
from tests.lab.wire import Wire

BLOCK, BLOCK_S, FRAME, FRAME_S = 480, 0.010, 960, 0.020
KEY, OTHER_KEY = "84788DD4A5883EE1311E1A04F704BC650A2A2AA82805931A5EE4B0EA9C4B1DEF", "0F" * 32
GROUP_ID = "07ce82ac-7a73-5691-bed9-18d4b354c817"
LOSS = 0.05


def mission(key: str) -> Mission:
    address = Address("239.255.77.5", 18_000)
    group = Group(
        type=GroupType.AUDIO,
        id=GROUP_ID,  # the same with either key: D takes part in all but that
        id_override=True,
        name="Rettung",
        rx=address,
        tx=address,
        tx_audio=TxAudio(encoder=EncoderId.OPUS_24, framing_ms=20),
        crypto_password=key,
    )
    return Mission(meta=Meta(datetime(2026, 2, 7, tzinfo=UTC)), name="Hochwasser", groups=(group,)).canonical()


class Phone:
    """A channel session on a host, with an event loop, a microphone and a speaker of its own there."""

    def __init__(self, host: Host, name: str, number: int, key: str = KEY) -> None:
        self.name, self.node_id = name, bytes([0xA0 + number]) * 16
        self.bursts: list[FinishedBurst] = []
        self.first_packet_at: float | None = None
        self.played_from = 0.0
        self._played: list[Samples] = []
        self._host = host
        self._stopping = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._threads = [threading.Thread(target=self._work, daemon=True)]
        self._threads[0].start()
        self.session = self.run(self._join(host, mission(key), key))
        self._spawn(self._play)

    def _work(self) -> None:
        self._host.enter()
        self._loop.run_forever()

    def _spawn(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    async def _join(self, host: Host, joined: Mission, key: str) -> ChannelSession:
        group = joined.groups[0]
        link = await make_link(group, joined, lambda: [Known("eth0", host.v4 or "")])
        session = ChannelSession(
            *(group, joined, Node(self.node_id, self.name), link, derive_key(key)),
            on_change=lambda: None,
            on_burst=self.bursts.append,
        )
        await session.start()
        assert link.state.is_up, link.state.words
        take = link.on_datagram

        def came(datagram: bytes, source: str, now: float) -> None:
            self.first_packet_at = self.first_packet_at or time.monotonic()
            take(datagram, source, now)

        link.on_datagram = came
        return session

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def press(self) -> None:
        self._loop.call_soon_threadsafe(self.session.press)

    def release(self) -> None:
        self._loop.call_soon_threadsafe(self.session.release)

    def say(self, sound: Samples) -> float:
        """Let the microphone hear a sound, in as much time as it takes; gives when it began."""
        began = time.monotonic()
        for number, at in enumerate(range(0, len(sound) // BLOCK * BLOCK, BLOCK)):
            _sleep_until(began + (number + 1) * BLOCK_S)  # a device gives a block when it is over
            self.session.hear(sound[at : at + BLOCK])
        return began

    def _play(self) -> None:
        self.played_from = due = time.monotonic()
        while not self._stopping.is_set():
            _sleep_until(due)
            sound = self.session.play(FRAME)
            self._played.append(np.zeros(FRAME, np.int16) if sound is None else sound)
            due += FRAME_S

    @property
    def heard(self) -> Samples:
        return np.concatenate(self._played)

    def close(self) -> None:
        self.run(self.session.close())
        self._stopping.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join(5)
        self._loop.close()


def _sleep_until(due: float) -> None:
    left = due - time.monotonic()
    if left > 0:
        time.sleep(left)


@pytest.mark.short
def test_one_talks_and_who_has_the_key_hears_it_soon_and_well(tmp_path: Path) -> None:
    said = recorded_speech()[3][: 4 * RATE_HZ]
    with (
        Lab(["a", "b", "c", "d", "e"], wires={"e": Wire(loss=LOSS, seed=5)}) as lab,
        Capture(lab["d"], tmp_path / "d.pcap") as capture,
        ExitStack() as stack,
    ):
        phones = []
        for number, (host, name) in enumerate(zip("abcde", ("Anna", "Benedikt", "Cara", "Dora", "Emil"), strict=True)):
            phones.append(Phone(lab[host], name, number, OTHER_KEY if name == "Dora" else KEY))
            stack.callback(phones[-1].close)
        anna, ben, cara, dora, emil = phones
        pressed_at = time.monotonic()
        anna.press()
        began = anna.say(said)
        anna.release()
        _wait(lambda: ben.bursts and cara.bursts and emil.bursts, "the end of the burst")
        wire = [packet for packet in capture.packets() if packet.destination == "239.255.77.5"]

        key_s = max((ben.first_packet_at or 9e9), (cara.first_packet_at or 9e9)) - pressed_at
        print(f"\nkey-down to first packet {1000 * key_s:.0f} ms")
        for one in (ben, cara, emil):
            ear_s = one.played_from - began + delay_s(said, one.heard)
            score = speech_score(said, one.heard)
            (talker,) = one.session.figures().talkers
            print(f"{one.name:9} mouth to ear {1000 * ear_s:.0f} ms, PESQ {score:.2f}, {talker}")
            assert talker.alias == "Anna"
            assert ear_s < 0.150
            assert score >= (3.8 if one is not emil else 2.5)
        assert key_s < 0.050

        assert level_dbfs(dora.heard) == float("-inf")
        assert dora.bursts == []
        assert dora.session.snapshot().last is None
        assert dora.session.figures().refused == len(wire) > 200
        everything = b"".join(packet.payload for packet in wire)
        for told in (b"Anna", anna.node_id, b"Rettung", b"Hochwasser", GROUP_ID.encode()):
            assert told not in everything
        assert not any(kept.payload in everything for kept in ben.bursts[0].packets)
        assert len({len(packet.payload) for packet in wire[5:10] + wire[11:20]}) == 1  # sizes tell nothing of the voice


def _wait(fits: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 10
    while not fits():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)
