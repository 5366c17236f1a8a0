"""A channel under damaged datagrams: of strangers, and of members who have the key and send whatever they like."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from app.channels.bursts import BurstPackets
from app.channels.channel_codecs import make_decoder, make_encoder, receivable
from app.channels.encoders import EncoderId
from app.channels.errors import PacketError, SealError
from app.channels.packet import EXTENSION_PROFILE, BurstFlags, BurstHeader, ChannelPacket
from app.channels.sealing import MOST_PREFIXES, Opener, Sealer
from app.channels.talkers import MOST_ENDED, MOST_EVENTS, MOST_NAMES, MOST_OWN, MOST_TALKERS, Talkers
from app.media.jitter import MOST_PACKETS, Playout
from tests.heard import tone

_KEY, _GROUP = bytes(range(32)), "95dad4a9-4f46-5daa-91aa-acd6322c81a5"
_ENCODERS = (EncoderId.OPUS_24, EncoderId.G711_ULAW, EncoderId.AMR_7_95)
_PLAYED = 0.02  # of all packets: decoding is slow beside reading
_SESSION = 20_000  # inputs until sealers and openers begin anew
_NODES = tuple(bytes((at,)) * 16 for at in range(1, 6))


class ChannelTarget:
    """One channel that hears everything twice, clear and sealed; its clock runs, now and then for a minute."""

    stun = False
    tokens = (
        EXTENSION_PROFILE.to_bytes(2) + b"\0\6\1",
        b"\x90\xef",
        b"\x01" + bytes(12),
        *_NODES,
        "Zoë".encode(),
        b"\xf0\xbc\x3c",
    )
    bounds: Mapping[str, int] = {
        "talkers": MOST_TALKERS,
        "ended": MOST_ENDED,
        "names": MOST_NAMES,
        "own": MOST_OWN,
        "events": MOST_EVENTS,
        "prefixes": MOST_PREFIXES,
        "sounds": MOST_PACKETS,
    }

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._now = 0.0
        self._decoders = receivable(EncoderId.OPUS_24)
        self.seeds = self._packets()
        self._begin()
        self.seeds += [self._sealer.seal(seed, self._now) for seed in self.seeds[:40]]

    def _packets(self) -> list[bytes]:
        made = []
        for at, encoder in enumerate(_ENCODERS):
            coder = make_encoder(encoder, 60, is_sealed=True)
            header = BurstHeader("Zoë", _NODES[at], at, BurstFlags.EMERGENCY if at == 2 else BurstFlags.NONE)
            codec = coder.info.codec
            assert codec is not None
            burst = BurstPackets(codec.payload_type, coder.timestamp_step, header, self._rng)
            made += [burst.next(payload) for payload in coder.add(tone(440, 0.6))]
            made += burst.end()
        # Payloads of the codecs that are only heard
        made += [ChannelPacket(1, 2, 3, True, 3, b"\xd0" + bytes(32)), ChannelPacket(1, 2, 3, True, 18, bytes(20))]
        made += [ChannelPacket(1, 2, 3, True, 113, b"\x08" + bytes(9) + b"\x0f")]
        return [packet.to_bytes() for packet in made]

    def _begin(self) -> None:
        draw: Callable[[int], bytes] = self._rng.randbytes
        self._left = _SESSION
        self._sealer = Sealer(_KEY, _GROUP, random_bytes=draw, ticks_a_prefix=50)
        self._opener = Opener(_KEY, _GROUP)
        self._talkers = Talkers(_NODES[4])
        self._playout = Playout(self._decoders, decoder_for=make_decoder)
        self._sequence = 0

    def run(self, data: bytes) -> object:
        rand = self._rng.random
        self._left -= 1
        if self._left < 0:
            self._begin()
        self._now += rand() * 0.05 if rand() < 0.995 else rand() * 60
        try:
            self._opener.open(data, self._now, self._now)
        except SealError as error:
            said = str(error)[:24]
        else:
            said = "opened"
        # The same from a member, who can seal anything, and from other ones
        if rand() < 0.3:
            data = data[:8] + self._rng.randrange(100).to_bytes(4) + data[12:]
        data = self._opener.open(self._sealer.seal(data[:4_000], self._now), self._now, self._now)
        try:
            packet = ChannelPacket.parse(data)
        except PacketError as error:
            return said, str(error)[:24]
        assert ChannelPacket.parse(packet.to_bytes()) == packet
        talker = self._talkers.receive(packet, self._now)
        if talker is not None and packet.payload and rand() < _PLAYED:
            self._play(packet)
        self._talkers.in_the_way((False, packet.timestamp & 0xFF))
        self._talkers.interrupter((False, packet.timestamp & 0xFF))
        if rand() < 0.1:
            self._talkers.take_events()
        header = packet.header
        return said, packet.payload_type, header is not None and (len(header.alias), header.flags), talker is None

    def _play(self, packet: ChannelPacket) -> None:
        step = 1 if self._rng.random() < 0.8 else int(self._rng.random() * 50)
        self._sequence += step
        self._playout.push(self._sequence, packet.timestamp, packet.payload_type, packet.payload, self._now)
        while self._rng.random() < 0.5:
            assert self._playout.next_frame(self._now).shape == (960,)

    def sizes(self) -> dict[str, int]:
        return {
            "talkers": len(self._talkers.talking),
            "ended": len(self._talkers._ended),
            "names": len(self._talkers._names),
            "own": len(self._talkers._own_ssrcs),
            "events": len(self._talkers._events),
            "prefixes": len(self._opener),
            "sounds": len(self._playout._waiting),
        }
