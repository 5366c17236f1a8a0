"""Channels: mouth to ear beside mumble, what a received stream costs of the processor, and a talker on the wire."""

from __future__ import annotations

import contextlib
import socket
import statistics
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from app.channels.bursts import HEADER_INTERVAL, INITIAL_HEADERS, TRAILING_HEADERS, BurstPackets
from app.channels.channel_codecs import make_encoder
from app.channels.channel_session import ChannelSession, Node
from app.channels.costs import ETHERNET_BYTES, IPV4_BYTES, UDP_BYTES, Sealing, body_bytes, channel_stream
from app.channels.costs import own_payload_bytes as payload_of
from app.channels.encoders import EncoderId, encoder_info
from app.channels.links import LinkKind, LinkState, OnDatagram, OnState
from app.channels.mission import Address, Group, GroupType, Meta, Mission
from app.channels.mission_parts import TxAudio
from app.channels.packet import BurstHeader, extension_bytes
from app.channels.sealing import derive_key, protection
from app.media.opus import OpusDecoder
from tests.bench.peers.all import need_stage
from tests.bench.peers.mumble import MumbleCall
from tests.bench.peers.parley_channel import ParleyChannel
from tests.bench.peers.stage import Ear, play, stage
from tests.bench.programs import cpu_s
from tests.bench.sound import chirp_delays, chirps
from tests.bench.table import Table
from tests.channels.radios import GROUP, KEY, linux_only, on_the_air
from tests.heard import recorded_speech

COST = "Channels: processor seconds per second of a received stream, Opus 24 kb/s, 20 ms, sealed"
WIRE = "Channels: one talker on the wire, Ethernet frames"
EAR = "Channels: mouth to ear of a talker, PulseAudio's virtual devices, 20 ms each way"
LISTENING = "Channels: processor seconds per second of listening to one talker, the whole program"
MOST_MS = 150.0
FRAME, FRAME_S = 960, 0.02
_BELOW = ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES
_SETTLE_S, _WATCH_S = 5.0, 12.0
_OPUS = TxAudio(encoder=EncoderId.OPUS_24, framing_ms=20)


class HandLink:
    """A link whose datagrams come when the bench hands them over; what is sent goes nowhere."""

    state = LinkState(LinkKind.MULTICAST, True, "By hand.")
    on_datagram: OnDatagram
    on_state: OnState

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def network_changed(self) -> None: ...

    def send(self, datagram: bytes, now: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Talk:
    """What one talker says: datagrams as they come, and the payloads in them."""

    datagrams: list[bytes]
    payloads: list[bytes]


def talk(group: Group, number: int, seconds: float) -> Talk:
    """Say recorded speech on a channel."""
    coder = make_encoder(_OPUS.encoder, _OPUS.framing_ms, is_sealed=True)
    assert coder.info.codec is not None
    header = BurstHeader(f"Talker {number}", bytes([number]) * 16)
    burst = BurstPackets(coder.info.codec.payload_type, coder.timestamp_step, header, Random(number))
    passage = recorded_speech()[number % 5]
    payloads = coder.add(passage[: round(seconds * 48_000)])
    sealer = protection(group.id, derive_key(KEY))
    return Talk([sealer.seal(burst.next(payload).to_bytes(), time.time()) for payload in payloads], payloads)


async def received(channels: int, talkers: int, seconds: float) -> tuple[float, float]:
    """Hear so many talkers on each of so many channels; gives processor seconds per second of a stream, and bare
    libopus's for the same packets."""
    now = [100.0]
    sessions, links, talks = [], [], []
    for number in range(channels):
        address = Address(GROUP, 18_000 + 2 * number)
        group = Group(
            type=GroupType.AUDIO,
            name=f"Channel {number}",
            rx=address,
            tx=address,
            tx_audio=_OPUS,
            crypto_password=KEY,
        )
        mission = Mission(meta=Meta(datetime(2026, 2, 7, tzinfo=UTC)), name="Relief", groups=(group,)).canonical()
        group, link = mission.groups[0], HandLink()
        session = ChannelSession(
            *(group, mission, Node(b"\xff" * 16, "Bench"), link, derive_key(KEY)),
            on_change=lambda: None,
            clock=lambda: now[0],
        )
        await session.start()
        sessions.append(session)
        links.append(link)
        talks.append([talk(group, 1 + other, seconds) for other in range(talkers)])
    steps = min(len(each.datagrams) for channel in talks for each in channel)
    heard = 0
    began = time.process_time()
    for step in range(steps):
        now[0] += FRAME_S
        for session, link, channel in zip(sessions, links, talks, strict=True):
            for each in channel:
                link.on_datagram(each.datagrams[step], "bench", now[0])
            heard += session.play(FRAME) is not None
    used = time.process_time() - began
    assert heard >= channels * (steps - 2)
    for session in sessions:
        await session.close()
    decoders = [OpusDecoder() for channel in talks for _ in channel]
    payloads = [each.payloads for channel in talks for each in channel]
    began = time.process_time()
    for step in range(steps):
        for decoder, said in zip(decoders, payloads, strict=True):
            decoder.decode(said[step])
    bare = time.process_time() - began
    stream_s = steps * FRAME_S * channels * talkers
    return used / stream_s, bare / stream_s


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("channels", "talkers"),
    [pytest.param(1, 1, marks=pytest.mark.short), (1, 10), pytest.param(20, 1, marks=pytest.mark.short), (20, 4)],
)
async def test_cpu_of_a_received_stream(table: Table, is_long: bool, channels: int, talkers: int) -> None:
    found = [await received(channels, talkers, 5.0 if is_long else 1.0) for _ in range(5 if is_long else 1)]
    table.add(
        COST,
        f"{channels} channel{'s' * (channels > 1)}, {talkers} talking on each",
        "s/s",
        [ours for ours, _ in found],
        base=("bare libopus decode", [bare for _, bare in found]),
    )
    # Twenty talkers on twenty channels into one of two processors, with as much again for all else
    assert min(ours for ours, _ in found) * 20 < 0.5


@dataclass(frozen=True, slots=True)
class Heard:
    """How late what was said was heard, milliseconds, and what hearing it cost."""

    delays_ms: list[float]
    cpu_share: float
    idle_share: float


def hear_talker(radio: type[ParleyChannel] | type[MumbleCall], folder: Path) -> Heard:
    with stage(folder) as set_, radio(set_.a, set_.b) as pair:
        time.sleep(_SETTLE_S)
        with Ear(set_.a.pulse, "micfeed", 5) as mouth, Ear(set_.b.pulse, "spk", 5) as ear:
            used, began = cpu_s(pair.listener_pid), time.monotonic()
            play(set_.a.pulse, chirps(_WATCH_S))
            time.sleep(0.5)
            share = (cpu_s(pair.listener_pid) - used) / (time.monotonic() - began)
        pair.hush()
        time.sleep(1.5)  # what was said last is still played
        used, began = cpu_s(pair.listener_pid), time.monotonic()
        time.sleep(_WATCH_S / 2)
        idle = (cpu_s(pair.listener_pid) - used) / (time.monotonic() - began)
    found = chirp_delays(mouth.recording, ear.recording)
    print(f"{radio.name}: {[round(1000 * late) for _, late in found]} ms, {share:.3f} s/s, {idle:.3f} s/s idle")
    assert len(found) > 0.8 * _WATCH_S / 0.7, f"not all that {radio.name} was told came out at its other end"
    return Heard([1000 * late for _, late in found], share, idle)


@pytest.mark.timeout(900)
def test_mouth_to_ear_of_a_talker(table: Table, tmp_path: Path) -> None:
    need_stage()
    found: dict[str, list[Heard]] = {}
    for number in range(3):
        for radio in (ParleyChannel, MumbleCall):
            if radio.missing() is None:  # without Mumble Parley is still held to its own mark
                found.setdefault(radio.name, []).append(hear_talker(radio, tmp_path / f"{number}-{radio.name}"))
    told = MumbleCall.missing()
    if told is not None:
        print(told)
    ours, theirs = found["parley"], found.get("mumble", [])
    delays = {name: [statistics.median(one.delays_ms) for one in each] for name, each in found.items()}
    worst = ", ".join(
        f"{name} at most {max(max(one.delays_ms) for one in each):.0f} ms" for name, each in found.items()
    )
    base = ("mumble", delays["mumble"]) if theirs else None
    table.add(EAR, "parley by multicast", "ms", delays["parley"], base=base, note=worst, by_median=True)
    base = ("mumble", [one.cpu_share for one in theirs]) if theirs else None
    table.add(LISTENING, "parley channel join", "s/s", [one.cpu_share for one in ours], base=base)
    base = ("mumble", [one.idle_share for one in theirs]) if theirs else None
    table.add(LISTENING, "the same while nobody talks", "s/s", [one.idle_share for one in ours], base=base)
    assert statistics.median(delays["parley"]) < MOST_MS


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Hear a multicast group as any program may."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        ear.bind((GROUP, port))
        member = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton("127.0.0.1"))
        ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        ear.setblocking(False)
        yield ear


WIRES = [
    pytest.param(EncoderId.OPUS_24, 20, True, marks=pytest.mark.short),
    (EncoderId.OPUS_24, 60, True),
    (EncoderId.OPUS_8, 60, True),
    (EncoderId.G711_ULAW, 20, False),
    (EncoderId.G711_ULAW, 20, True),
    (EncoderId.AMR_12_2, 20, True),
]


@linux_only
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("encoder", "framing_ms", "is_sealed"), WIRES)
async def test_wire_of_a_talker(table: Table, is_long: bool, encoder: int, framing_ms: int, is_sealed: bool) -> None:
    info = encoder_info(encoder)
    sound = recorded_speech()[0][: 48_000 * (6 if is_long else 1)]
    count = len(sound) // (framing_ms * 48)
    async with on_the_air() as air:
        audio = TxAudio(encoder=encoder, framing_ms=framing_ms)
        ada = await air.radio("Ada", audio, KEY if is_sealed else None)
        with listening(air.port) as ear:
            ada.session.press()
            for number in range(count):
                for at in range(number * framing_ms * 48, (number + 1) * framing_ms * 48, 480):
                    ada.session.hear(sound[at : at + 480])
                await ada.sent.reach(number + 1)
            ada.session.release()
            await ada.sent.reach(count + TRAILING_HEADERS)
            sizes = [_BELOW + len(datagram) for datagram in drain(ear)]
    assert len(sizes) == count + TRAILING_HEADERS
    sealing = Sealing.GCM if is_sealed else Sealing.NONE
    extension = extension_bytes("Ada")
    reckoned = [
        _BELOW
        + body_bytes(
            payload_of(info, framing_ms) if at < count else 0,
            sealing,
            extension if at < INITIAL_HEADERS or at % HEADER_INTERVAL == 0 or at >= count else 0,
        )
        for at in range(count + TRAILING_HEADERS)
    ]
    stream = channel_stream(info, framing_ms, is_sealed=is_sealed, alias="Ada")
    table.add(
        WIRE,
        f"{info.name}, {framing_ms} ms, {'sealed' if is_sealed else 'clear'}",
        "kb/s",
        [8 * sum(sizes) / (count * framing_ms)],
        base=("formula, a long burst", [stream.kbps]),
        note=f"{sum(sizes)} bytes for {count} packets and {TRAILING_HEADERS} ends, reckoned {sum(reckoned)}",
    )
    assert sizes == reckoned


def drain(ear: socket.socket) -> list[bytes]:
    datagrams = []
    with contextlib.suppress(BlockingIOError):
        while True:
            datagrams.append(ear.recv(4_096))
    return datagrams
