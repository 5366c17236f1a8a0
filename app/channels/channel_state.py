"""How a joined channel is shown: who we are on it, its state, its figures, and what is heard at the key. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from app.channel_events import (
    Carrier,
    ChannelFigures,
    ChannelId,
    ChannelLink,
    LastTalker,
    SendingInfo,
    TalkerInfo,
)
from app.channels.costs import ETHERNET_BYTES, IPV4_BYTES, UDP_BYTES, channel_stream, relayed_stream
from app.channels.encoders import check_sending, encoder_info
from app.channels.errors import ChannelError
from app.channels.grade import grade_channel
from app.channels.heard_bursts import HeardBurst
from app.channels.links import LinkKind, LinkState
from app.channels.mission_parts import TxAudio
from app.channels.own_bursts import OwnBurst
from app.channels.talkers import Talker
from app.channels.talking import Talking

_WIRE_BYTES = ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES  # around each datagram
_RATE_WINDOW_S = 2.0
_MOST_COUNTED = 2_048
_CARRIERS = {LinkKind.MULTICAST: Carrier.MULTICAST, LinkKind.RALLYPOINT: Carrier.RALLYPOINT}


@dataclass(frozen=True, slots=True)
class Node:
    """Who we are on a channel. `node_id`: 16 bytes; `alias` is cut to 16 bytes; `priority` 0 to 255, highest wins."""

    node_id: bytes
    alias: str
    priority: int = 0


class Cue(Enum):
    """What a person at the key is to hear at once; not sent."""

    PERMIT = "the burst has begun"
    END = "it has ended"
    REFUSED = "the key began nothing"
    LIMIT = "it will soon be as long as it may be"
    EMERGENCY = "somebody has an emergency"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a channel is now; fields as those of `app.channel_events.ChannelInfo`. `has_emergency`: one is talked now."""

    link: ChannelLink
    talkers: tuple[TalkerInfo, ...]
    sending: SendingInfo | None
    armed: bool
    waiting: bool
    notice: str
    last: LastTalker | None
    encrypted: bool
    full_duplex: bool
    codec: str
    why_mute: str
    has_emergency: bool


def why_mute(audio: TxAudio) -> str:
    """Say in one sentence why nobody can talk on such a channel from here, or ""."""
    if not audio.enabled:
        return "The mission wants nobody to talk on this channel."
    try:
        check_sending(audio.encoder, audio.framing_ms)
    except ChannelError as error:
        return str(error)
    return ""


def talker_info(talker: Talker) -> TalkerInfo:
    node_id = (talker.node_id or b"").hex()
    return TalkerInfo(node_id, talker.alias, talker.priority, talker.is_emergency, talker.began_at)


def sending_info(talking: Talking, burst: OwnBurst | None) -> SendingInfo | None:
    """Describe our burst on the air; None where there is none."""
    if burst is None or not talking.is_on_air:
        return None
    return SendingInfo(talking.since, talking.limit_s, burst.is_emergency, burst.level_dbfs, talking.is_silent)


def channel_link(state: LinkState, ahead_s: float) -> ChannelLink:
    """Describe a link; `ahead_s`: by how much the channel's clock is ahead of the monotonic one."""
    by = (state.by or state.kind) if state.is_up else None
    carrier = Carrier.NONE if by is None else _CARRIERS.get(by, Carrier.NONE)
    is_limited = state.kind is LinkKind.FAILOVER and carrier is Carrier.MULTICAST
    failover_at = None if state.failover_at is None else state.failover_at + ahead_s
    return ChannelLink(carrier, state.is_up, is_limited, state.words, state.rtt_s, failover_at)


class Wire:
    """Counts what a channel's datagrams take of the wire."""

    def __init__(self) -> None:
        self._recent: list[tuple[float, int]] = []

    def count(self, size: int, now: float) -> None:
        self._recent.append((now, size + _WIRE_BYTES))
        if len(self._recent) > _MOST_COUNTED:
            self._recent = [each for each in self._recent if now - each[0] <= _RATE_WINDOW_S][-_MOST_COUNTED // 2 :]

    def bps(self, now: float) -> int | None:
        """Bits per second lately, both ways; None before anything went or came."""
        if not self._recent:
            return None
        return round(8 * sum(size for at, size in self._recent if now - at <= _RATE_WINDOW_S) / _RATE_WINDOW_S)


def cost_bps(audio: TxAudio, *, is_sealed: bool, alias: str, carrier: Carrier) -> int:
    """Give what one talker costs by the formula: on the network, or up to a rallypoint."""
    info = encoder_info(audio.encoder)
    if info.codec is None or not info.frame_ms:
        return 0
    name = None if audio.no_hdr_ext else alias
    if carrier is Carrier.RALLYPOINT:
        return round(1_000 * relayed_stream(info, audio.framing_ms, is_sealed=is_sealed, alias=name).up.kbps)
    return round(1_000 * channel_stream(info, audio.framing_ms, is_sealed=is_sealed, alias=name).kbps)


def make_figures(
    channel: ChannelId,
    bursts: Sequence[HeardBurst],
    *,
    cost_bps: int,
    measured_bps: int | None,
    rtt_s: float | None,
    packets_sent: int,
    packets_received: int,
    refused: int,
) -> ChannelFigures:
    """Put the figures together; the grade is that of the worst talker, and a rallypoint's delay its round trip."""
    grade = grade_channel(
        delay_ms=None if rtt_s is None else 1_000 * rtt_s,
        jitter_ms=max((each.jitter_ms for each in bursts if each.jitter_ms is not None), default=None),
        loss_percent=max((each.lost_percent for each in bursts if each.lost_percent is not None), default=None),
    )
    return ChannelFigures(
        id=channel,
        cost_bps=cost_bps,
        measured_bps=measured_bps,
        grade="" if grade is None else grade.words,
        packets_sent=packets_sent,
        packets_received=packets_received,
        refused=refused,
        talkers=tuple(each.figures() for each in bursts),
    )
