"""A burst that is over, as the timeline keeps it: its packets as they came, and how loud it was. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from app.channel_events import ChannelId

MOST_KEPT_S = 120.0
"""Longer bursts are handed on in pieces of this, so that nobody who talks without end fills the memory."""
LEAST_KEPT_S = 1.0  # shorter pieces are nobody's wish: a burst would be hundreds


@dataclass(frozen=True, slots=True)
class KeptPacket:
    """The sound of one packet: its RTP timestamp (32 bits, in the codec's clock), payload type and payload."""

    timestamp: int
    payload_type: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class FinishedBurst:
    """One burst, or a piece of a long one.

    `channels`: where it was heard or sent, one in most cases. `node_id` is None and `alias` "" where the talker sent no
    header. `began_wall`: seconds since the Unix epoch; `seconds`: how long it lasted. `packets`: each once, none of
    another talker, in order. `levels`: loudness from 0 to 255, steps of equal length over the whole burst, any number.
    `encoder` and `custom_payload_type` are the channel's, by which payload types are understood
    (`channel_codecs.receivable`).
    """

    channels: tuple[ChannelId, ...]
    alias: str
    node_id: bytes | None
    own: bool
    emergency: bool
    began_wall: float
    seconds: float
    packets: tuple[KeptPacket, ...]
    levels: tuple[int, ...]
    encoder: int
    custom_payload_type: int = -1


def piece_s(most_ms: int) -> float:
    """How long a piece of a long burst is; `most_ms`: the mission's `timeline.maxAudioTimeMs`, 0 where it sets none."""
    return min(MOST_KEPT_S, max(LEAST_KEPT_S, most_ms / 1_000)) if most_ms > 0 else MOST_KEPT_S
