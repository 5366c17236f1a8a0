"""Damaged files of the timeline, and bursts whose packets hold anything at all."""

from __future__ import annotations

import random
from collections.abc import Mapping

from app.channel_events import ChannelId
from app.channels.burst_sound import MOST_SAMPLES, sound_of
from app.channels.channel_codecs import make_encoder
from app.channels.encoders import EncoderId
from app.channels.errors import ChannelError
from app.channels.finished_burst import FinishedBurst, KeptPacket
from app.channels.timeline import pieces
from app.channels.timeline_records import FILE_ID_BYTES, HEADER_BYTES, MAGIC, SegmentCodec, TimelineError
from tests.heard import tone

_KEY, _CHANNEL = bytes(range(32)), ChannelId("m-1", "g-1")
_ENCODERS = (EncoderId.OPUS_24, EncoderId.G711_ULAW, EncoderId.AMR_7_95)
_PLAYED = 0.01  # of all inputs: decoding is slow beside reading


class TimelineTarget:
    """Reads each input as a file; and, as who has the key could, as the payloads of a burst that is kept and read."""

    stun = False
    tokens = (MAGIC, b"\x1dPBURST\n", bytes(4), b"\0\0\0\x40", b"\xff\xff\xff\xff")
    bounds: Mapping[str, int] = {"samples": MOST_SAMPLES}

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._most = 0
        self._codec = SegmentCodec(_KEY, rng.randbytes(FILE_ID_BYTES))
        self._payloads = [
            (coder.info.codec.payload_type, coder.timestamp_step, payload)
            for coder in (make_encoder(encoder, 20, is_sealed=False) for encoder in _ENCODERS)
            if coder.info.codec is not None
            for payload in coder.add(tone(440, 0.2))
        ]
        file = self._codec.header
        for _ in range(3):
            file += self._record(self._burst(b""), len(file))
        self.seeds = [file, file[:-7], self._codec.header, *(payload for _, _, payload in self._payloads[:4])]

    def run(self, data: bytes) -> object:
        said: list[object] = []
        try:
            codec = SegmentCodec.of_file(_KEY, data[:HEADER_BYTES])
        except TimelineError:
            said.append("no file")
        else:
            scan = codec.scan(lambda at, count: data[at : at + count], len(data))
            said += [len(scan.found), min(scan.damaged, 3)]
            for found in scan.found:
                try:
                    read = codec.burst(lambda at, count: data[at : at + count], found.offset, len(data))
                except TimelineError:
                    said.append("no sound")
                else:
                    assert read.channels == (_CHANNEL,)
        if self._rng.random() < 0.1:
            self._keep(self._burst(data))
        return tuple(said)

    def sizes(self) -> dict[str, int]:
        return {"samples": self._most}

    def _burst(self, data: bytes) -> FinishedBurst:
        rng = self._rng
        timestamp = rng.getrandbits(32)
        packets = []
        for _ in range(rng.randrange(12)):
            kind, step, payload = rng.choice(self._payloads)
            timestamp += step if rng.random() < 0.8 else rng.getrandbits(31)
            cut = rng.randrange(len(data) + 1)
            payload = payload if rng.random() < 0.5 else data[cut : cut + rng.randrange(200)]
            kind = kind if rng.random() < 0.9 else rng.randrange(128)
            packets.append(KeptPacket(timestamp & 0xFFFF_FFFF, kind, payload))
        seconds = rng.choice((0.0, 0.2, 31.0, 500.0))
        return FinishedBurst(
            *((_CHANNEL,), "Zoë", rng.choice((None, b"\7" * 16)), False, True, 1e9, seconds, tuple(packets)),
            *(tuple(data[:300]), rng.choice(_ENCODERS)),
        )

    def _record(self, burst: FinishedBurst, offset: int) -> bytes:
        return self._codec.record("b-1", _CHANNEL, burst, offset, self._rng.randbytes(24))

    def _keep(self, burst: FinishedBurst) -> None:
        parts = list(pieces(burst, self._rng.choice((0.0, 1.0, 30.0))))
        assert tuple(packet for part in parts for packet in part.packets) == burst.packets
        for part in parts:
            file = self._codec.header + self._record(part, HEADER_BYTES)
            read = self._codec.burst(lambda at, count, file=file: file[at : at + count], HEADER_BYTES, len(file))
            assert read.packets == part.packets
        if self._rng.random() < _PLAYED * 10:
            try:
                self._most = max(self._most, sum(map(len, sound_of(burst))))
            except ChannelError as error:
                raise AssertionError("a burst cannot be played at all") from error
