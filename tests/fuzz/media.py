"""A call's streams under damaged packets of a peer that has the keys: sound, pictures, feedback, and what repairs them.

Workers' threads do not run; what they do with what arrived is done here after each packet, so that each failure comes
back with its seed and number.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace

from app.frames import FrameMailbox
from app.media.assembly import MOST_PACKETS
from app.media.audio_intake import KNOWN_SEQUENCES
from app.media.audio_stream import AudioStream
from app.media.codecs import COMFORT_NOISE, H264, OPUS, PCMU, VP8
from app.media.congestion import Congestion
from app.media.default_devices import SettingsDevices
from app.media.errors import PacketError
from app.media.events import KeyPressed, MediaEvent
from app.media.h264 import H264Encoder
from app.media.h264_payload import H264Packetizer
from app.media.header_extensions import ExtensionBlock, ExtensionIds
from app.media.jitter import MOST_PACKETS as MOST_SOUNDS
from app.media.jitter import MOST_SEEN
from app.media.nack import MOST_MISSING
from app.media.opus import OpusEncoder
from app.media.pacer import MOST_QUEUED as MOST_PACED
from app.media.pattern import Pattern
from app.media.plan import CodecPlan, StreamPlan
from app.media.red import Block, pack
from app.media.routing import MOST_SOURCES, Router
from app.media.rtcp import (
    BitrateNotice,
    BitrateRequest,
    Bye,
    Fir,
    Limit,
    Nack,
    Pli,
    ReceiverReport,
    Remb,
    Report,
    SenderReport,
)
from app.media.rtp import build_rtp
from app.media.sending import HISTORY_PACKETS
from app.media.stream import RtpStream, StreamHost
from app.media.twcc import KEPT_PACKETS, TransportFeedback
from app.media.video_receive import MOST_QUEUED
from app.media.video_stream import VideoStream
from app.media.vp8 import Vp8Encoder, Vp8Packetizer
from app.media.worker import Worker
from app.settings import MediaSettings
from tests.heard import tone

_SETTINGS = MediaSettings(audio_from="silence", audio_to="null", video_from="pattern", video_to="null")
_IDS = ExtensionIds(1, 2, 3)
_RED = CodecPlan("red", 63, 48_000, 2, (("111/111", ""),))
_KEY, _KEY_8000 = CodecPlan("telephone-event", 110, 48_000), CodecPlan("telephone-event", 101, 8_000)
_RTX_VP8, _RTX_H264 = 97, 99
_SOUNDS, _PICTURES = (111, 111, 0, 13, 63, 110, 101), (96, 96, 98, 98, _RTX_VP8, _RTX_H264)
_PEERS = (0x1111, 0x2222, 0x3333)  # SSRCs
_CALL = 4_000  # inputs until the next call


def _plans() -> tuple[StreamPlan, StreamPlan]:
    sound = StreamPlan(
        *("audio", "audio", "0", True, True),
        codecs=(OPUS, PCMU, COMFORT_NOISE, _RED, _KEY, _KEY_8000),
        nack=True,
        mid="0",
        mid_extension_id=1,
        transport_cc_id=2,
        transport_cc=True,
    )
    picture = replace(
        sound,
        name="video",
        kind="video",
        codecs=(VP8, H264),
        nack=True,
        pli=True,
        fir=True,
        rtx=((_RTX_VP8, VP8.payload_type), (_RTX_H264, H264.payload_type)),
        mid="1",
        orientation_id=3,
        remb=True,
        tmmbr=True,
    )
    return sound, picture


class CallTarget:
    """One call after another; its time runs, now and then for long."""

    stun = False
    tokens = (b"\x90\x80", b"\x10\x02\x00\x9d\x01\x2a", b"\x7c\x85", b"\x78\x00\x04", b"\0\0\1\x67", b"\x80\xcd\0\2")
    bounds: Mapping[str, int] = {
        "parts": MOST_PACKETS,
        "missing": MOST_MISSING,
        "frames": MOST_QUEUED + 1,
        "sounds": MOST_SOUNDS,
        "seen": MOST_SEEN,
        "known": KNOWN_SEQUENCES,
        "sources": MOST_SOURCES,
        "arrivals": KEPT_PACKETS,
        "history": HISTORY_PACKETS,
        "repeated": 2 * HISTORY_PACKETS,
        "paced": 3 * MOST_PACED,
        "keys a call": _CALL,
        "answers": 600,  # packets that one of the peer's makes this side send, in a leap of a minute
    }

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._loop = asyncio.new_event_loop()
        self.seeds = [*self._media(), *self._feedback()]
        self._loop.run_until_complete(self._begin())

    def _media(self) -> list[bytes]:
        """Good packets, without their numbers: those are given when they are fed in."""
        blocks = {is_picture: ExtensionBlock(_IDS, "1" if is_picture else "0") for is_picture in (False, True)}
        pattern, sound = Pattern(64, 48, "Fuzz"), tone(440, 0.1)
        vp8, h264 = Vp8Encoder(100_000, 30), H264Encoder(100_000, 30)
        payloads = [(111, OpusEncoder().encode(sound[:960])), (0, bytes(160)), (13, b"\x40\x80")]
        opus = payloads[0][1]
        key = b"\x05\x0a\x03\xc0"
        payloads += [
            (63, pack(111, opus, [Block(111, 1_920, opus), Block(111, 960, opus)])),
            (63, pack(111, opus, [Block(63, 960, opus), Block(110, 960, key)])),
            *((number, key) for number in (110, 101)),
        ]
        for number in range(3):
            picture = pattern.draw(number, 0.0)
            for codec, packetizer, data in (
                (96, Vp8Packetizer(), vp8.encode(picture, number * 3_000, key=number == 1)[0]),
                (98, H264Packetizer(), h264.encode(picture, number * 3_000, key=number == 1)[0]),
            ):
                parts = packetizer.packetize(data)
                payloads += [(codec, part) for part in parts] + [(codec + 1, b"\0\1" + part) for part in parts]
        made = []
        for number, (codec, payload) in enumerate(payloads):
            block = blocks[codec in _PICTURES]
            packet = build_rtp(codec, True, 1, 1, 1, payload, block.with_orientation(number & 7))
            made.append(block.numbered(packet, number))
        return made

    def _feedback(self) -> list[bytes]:
        """Good RTCP of every kind; the numbers of our sources are put in when it is fed in."""
        report = Report(1, 40, 7, 70_000, 90, 0x1234, 20)
        empty = bytes(ReceiverReport(1))
        packets = (
            SenderReport(1, 1 << 60, 9_000, 10, 1_000, (report,)),
            ReceiverReport(1, (report,) * 31),
            Bye((1,)),
            Nack(1, 2, tuple(range(1, 60, 2))),
            Pli(1, 2),
            Fir(1, ((2, 3),)),
            Remb(1, 300_000, (2,)),
            BitrateRequest(1, (Limit(2, 100_000),)),
            BitrateNotice(1, (Limit(2, 100_000),)),
            TransportFeedback(1, 2, 1, 4, 1, (10, None, 300, 1, 1, None, None, 5)),
        )
        return [empty + bytes(packet) for packet in packets]

    async def _begin(self) -> None:
        self._now = self._due = self._stamped_at = 100.0
        self._left, self._answers, self._keys = _CALL, 0, 0
        self._sequences = dict.fromkeys(_PEERS, 0)
        self._congestion = Congestion("name", self._answer_rtp, self._answer_rtcp)
        host = StreamHost(
            loop=self._loop,
            settings=_SETTINGS,
            devices=SettingsDevices(),
            cname="name",
            send_rtp=self._congestion.send,
            send_rtcp=self._answer_rtcp,
            has_transport=lambda name: True,
            emit=self._emitted,
            retire=Worker.stop,
        )
        sound, picture = _plans()
        self._sound, self._picture = AudioStream(host, sound), VideoStream(host, picture, FrameMailbox(), None)
        self._streams: list[RtpStream] = [self._sound, self._picture]
        for stream in self._streams:
            stream.stop()  # its threads: their work is done here
            stream.gate_open = True
            stream.sender._sequence = 0  # the good requests for repetition name the first numbers
        self._router = Router()
        self._router.set_streams(self._streams)
        self._congestion.configure(self._streams)

    def _answer_rtp(self, transport: str, packet: bytes) -> bool:
        self._answers += 1
        return True

    def _answer_rtcp(self, transport: str, compound: bytes) -> None:
        self._answers += 1

    def _emitted(self, event: MediaEvent) -> None:
        self._keys += isinstance(event, KeyPressed)

    def run(self, data: bytes) -> object:
        return self._loop.run_until_complete(self._run(data))

    async def _run(self, data: bytes) -> object:
        rand = self._rng.random
        self._left -= 1
        if self._left < 0:
            self._congestion.close()
            await self._begin()
        self._now += rand() * 0.02 if rand() < 0.995 else rand() * 60
        self._answers = 0
        if len(data) < 12:
            data += bytes(12 - len(data))
        before = self._sound.wrong_packets, self._picture.wrong_packets, self._picture.key_frames_asked
        try:
            if 192 <= data[1] <= 223 or (data[0] & 0x3F < 0x20 and 64 <= data[1] & 0x7F < 96):
                said = self._take_rtcp(self._aimed(data))
            else:
                said = self._take_rtp(self._numbered(data))
        except PacketError as error:
            said = str(error)[:24]
        self._work()
        if rand() < 0.2:
            for stream in self._streams:
                stream.tick(self._now)
            self._congestion.tick(self._now)
        if rand() < 0.05:
            self._send_some()
        after = self._sound.wrong_packets, self._picture.wrong_packets, self._picture.key_frames_asked
        return said, tuple(b > a for a, b in zip(before, after, strict=True))

    def _numbered(self, data: bytes) -> bytes:
        """Make the header one that a stream takes, most of the time."""
        rand, rng = self._rng.random, self._rng
        if rand() < 0.02:
            return data
        kind = data[1] & 0x7F
        family = _PICTURES if kind in _PICTURES else _SOUNDS
        kind = kind if kind in family and rand() < 0.95 else rng.choice((*family, 127))
        picture = family is _PICTURES
        source = _PEERS[0] if not picture else _PEERS[2] if kind in (_RTX_VP8, _RTX_H264) else _PEERS[1]
        if rand() < 0.01:
            source = rng.getrandbits(32)
        sequence = self._sequences.get(source, 0)
        step = 1 if rand() < 0.9 else rng.choice((0, 2, 5, 40, 290, 400, 3_000, 30_000, -3, -200))
        sequence = (sequence + step) & 0xFFFF
        if source in self._sequences:
            self._sequences[source] = sequence
        if rand() < 0.7:
            self._stamped_at = self._now  # else another packet of the same picture
        timestamp = int(self._stamped_at * (90_000 if picture else 48_000)) if rand() < 0.95 else rng.getrandbits(32)
        head = bytes((data[0] & 0x3F & ~0x0F | 0x80, data[1] & 0x80 | kind)) + sequence.to_bytes(2)
        return head + (timestamp & 0xFFFF_FFFF).to_bytes(4) + source.to_bytes(4) + data[12:]

    def _aimed(self, data: bytes) -> bytes:
        """Let feedback speak of a source of ours, most of the time."""
        rng = self._rng
        data = bytes((data[0] & 0x3F | 0x80,)) + data[1:]
        ours = rng.choice(self._streams).sender.ssrc.to_bytes(4)
        for known in (b"\0\0\0\1", b"\0\0\0\2"):
            if rng.random() < 0.9:
                data = data.replace(known, ours)
        return data

    def _take_rtcp(self, data: bytes) -> object:
        packets = self._router.route_rtcp("0", data, self._now)
        self._congestion.rtcp("0", packets, self._now)
        return tuple(type(packet).__name__ for packet in packets[:6])

    def _take_rtp(self, data: bytes) -> object:
        found = self._router.route("0", data)
        if found is None:
            return None
        stream, packet = found
        self._congestion.arrived(stream, packet, len(data), self._now)
        stream.receive(packet, self._now, self._now)
        return stream.kind, packet.payload_type, packet.mid is None, packet.orientation is None

    def _work(self) -> None:
        """Play and show what has come."""
        sound, picture = self._sound._player, self._picture._player
        assert sound is not None
        assert picture is not None
        self._due = max(self._due, self._now - 1.0)
        while self._due <= self._now:
            middle, side = sound._next(self._due)
            assert middle.shape == (960,)
            assert side is None
            self._due += 0.02
        while picture._frames and self._rng.random() < 0.9:
            frame = picture._frames.popleft()
            for shown in picture._decode(frame):
                picture._show(shown, frame.timestamp)

    def _send_some(self) -> None:
        """Send packets that the peer may ask for again."""
        for stream, codec in ((self._sound, OPUS), (self._picture, VP8)):
            sender = stream.sender
            media_time = sender.media_time(self._now)
            packets = [sender.packet(codec.payload_type, True, media_time, bytes(100), self._now) for _ in range(3)]
            stream.deliver(sender, packets)

    def sizes(self) -> dict[str, int]:
        sound, picture = self._sound, self._picture
        assert sound._player is not None
        assert picture._player is not None
        transport = self._congestion._transports["0"]
        pacer = transport.sends._pacer
        return {
            "parts": len(picture._assembler._parts),
            "missing": len(picture._assembler._nacks._missing),
            "frames": len(picture._player._frames),
            "sounds": len(sound._playout._waiting),
            "seen": len(sound._playout._seen),
            "known": len(sound._intake._known),
            "sources": len(self._router._by_source),
            "arrivals": len(transport._feedback._log._times),
            "history": len(picture.sender._history or ()),
            "repeated": len(picture.sender._repeated),
            "paced": len(pacer._sound) + len(pacer._repeats) + len(pacer._pictures),
            "keys a call": self._keys,
            "answers": self._answers,
        }
