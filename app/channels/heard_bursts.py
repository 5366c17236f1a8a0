"""The bursts of others on one channel: how their packets arrive, and what of them is kept for the timeline. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from app.channel_events import TalkerFigures
from app.channels.burst_record import BurstRecord
from app.channels.packet import ChannelPacket
from app.channels.talkers import LATE_S, MOST_TALKERS, Talker
from app.media.plan import CodecPlan
from app.media.rtp import ReceptionCounter

MOST_BURSTS = 4 * MOST_TALKERS  # most of them just ended
MOST_REMEMBERED = MOST_TALKERS  # talkers whose last burst's figures are shown


class HeardBurst:
    """One burst. `is_heard`: the talk-over rule lets it be heard; after its end as it was last."""

    def __init__(self, talker: Talker, now: float, wall: float, keeps: bool) -> None:
        self.talker = talker
        self.began_wall = wall
        self.began_at = now
        self.ended_at: float | None = None
        self.is_heard = False
        self._is_alarmed = False  # that it is an emergency has been said
        self.unknown: int | None = None  # a payload type that cannot be decoded
        self.codec: CodecPlan | None = None
        self.record = BurstRecord(keeps)
        self.concealed_ms = 0
        self.delay_s: float | None = None
        self._keeps = keeps
        self._counter: ReceptionCounter | None = None
        self._packets = 0

    def take(self, packet: ChannelPacket, codecs: Mapping[int, CodecPlan], now: float) -> int | None:
        """Count a packet; gives the extended sequence number of one whose sound is to be played."""
        codec = codecs.get(packet.payload_type)
        self._packets += 1
        if codec is None:
            self.unknown = packet.payload_type
            return None
        if self._counter is None or self.codec is None or codec.clock_rate != self.codec.clock_rate:
            self._counter = ReceptionCounter(codec.clock_rate)
        self.codec = codec
        sequence = self._counter.count(packet.sequence, packet.timestamp, now)
        if sequence is None or not packet.payload:
            return None
        self.record.add(sequence, packet.timestamp, packet.payload_type, codec.clock_rate, packet.payload)
        return sequence

    def alarms(self, talker: Talker) -> bool:
        """Learn what is known of the talker now; True once, where it is an emergency."""
        self.talker = talker
        is_new = talker.is_emergency and not self._is_alarmed
        self._is_alarmed = self._is_alarmed or is_new
        return is_new

    def take_record(self) -> tuple[BurstRecord, float]:
        """Give what was kept since this was asked last, and when that began (seconds since the Unix epoch)."""
        record, began_wall = self.record, self.began_wall
        self.record = BurstRecord(self._keeps)
        self.began_wall += record.seconds
        return record, began_wall

    @property
    def lost_percent(self) -> float | None:
        """Of the packets that should have come by now; None where nothing is known."""
        if self._counter is None or not self._counter.received:
            return None
        lost = self._counter.lost
        return 100 * lost / (self._counter.received + lost)

    @property
    def jitter_ms(self) -> float | None:
        return None if self._counter is None or self._counter.received < 2 else self._counter.jitter_ms

    def figures(self) -> TalkerFigures:
        return TalkerFigures(
            alias=self.talker.alias,
            packets=self._packets,
            lost=0 if self._counter is None else self._counter.lost,
            concealed_ms=self.concealed_ms,
            jitter_ms=self.jitter_ms,
            delay_ms=None if self.delay_s is None else 1_000 * self.delay_s,
            codec="" if self.codec is None else self.codec.name,
        )


class HeardBursts:
    """All of one channel, by SSRC, from their first packet until what overtook their end has come."""

    def __init__(self, keeps: bool) -> None:
        self._keeps = keeps
        self._bursts: dict[int, HeardBurst] = {}
        self._remembered: OrderedDict[bytes | int, HeardBurst] = OrderedDict()  # by node, or by SSRC where none is told

    def __len__(self) -> int:
        return len(self._bursts)

    def of(self, talker: Talker, now: float, wall: float) -> HeardBurst:
        """Give a talker's burst, a new one where there is none."""
        burst = self._bursts.get(talker.ssrc)
        if burst is None:
            burst = self._bursts[talker.ssrc] = HeardBurst(talker, now, wall, self._keeps)
            key = talker.ssrc if talker.node_id is None else talker.node_id
            self._remembered.pop(key, None)
            self._remembered[key] = burst
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        burst.talker = talker
        return burst

    def get(self, ssrc: int) -> HeardBurst | None:
        return self._bursts.get(ssrc)

    def items(self) -> list[tuple[int, HeardBurst]]:
        return list(self._bursts.items())

    def take_finished(self, now: float) -> list[tuple[int, HeardBurst]]:
        """Give those of which nothing more can come, or that have no room beside newer ones; each once."""
        over = [
            ssrc
            for ssrc, burst in self._bursts.items()
            if burst.ended_at is not None and now >= burst.ended_at + LATE_S
        ]
        over += [ssrc for ssrc in self._bursts if ssrc not in over][
            : max(0, len(self._bursts) - len(over) - MOST_BURSTS)
        ]
        return [(ssrc, self._bursts.pop(ssrc)) for ssrc in over]

    def next_timeout(self) -> float | None:
        """Tell when `take_finished` has something to give."""
        return min(
            (burst.ended_at + LATE_S for burst in self._bursts.values() if burst.ended_at is not None), default=None
        )

    @property
    def trouble(self) -> str:
        """Why somebody who talks now is not heard, in one sentence, or ""."""
        for burst in self._bursts.values():
            if burst.unknown is not None and burst.ended_at is None:
                name = burst.talker.alias or "Somebody"
                return f"{name} talks in a format that Parley cannot play (payload type {burst.unknown})."
        return ""

    def remembered(self) -> tuple[HeardBurst, ...]:
        """The last burst of each talker, who was heard longest ago first."""
        return tuple(self._remembered.values())
