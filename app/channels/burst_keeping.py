"""Hands over what was said on one channel, for the timeline: bursts that are over, and pieces of long ones. Pure."""

from __future__ import annotations

from collections.abc import Callable

from app.channel_events import ChannelId
from app.channels.burst_record import BurstRecord
from app.channels.channel_state import Node
from app.channels.finished_burst import FinishedBurst
from app.channels.heard_bursts import HeardBurst
from app.channels.mission_parts import TxAudio
from app.channels.own_bursts import OwnBurst


class BurstKeeping:
    """One channel's. `on_burst` gets each burst, or piece, that has anything in it."""

    def __init__(self, channel: ChannelId, audio: TxAudio, on_burst: Callable[[FinishedBurst], None]) -> None:
        self._channel = channel
        self._audio = audio
        self._on_burst = on_burst

    def own(self, burst: OwnBurst, node: Node, levels: tuple[int, ...]) -> None:
        """Take what we said since this was asked last."""
        record, began_wall = burst.take_record()
        self._hand_over(record, began_wall, node.alias, node.node_id, True, burst.is_emergency, levels)

    def heard(self, burst: HeardBurst, levels: tuple[int, ...]) -> None:
        """Take what somebody else said since then."""
        record, began_wall = burst.take_record()
        talker = burst.talker
        self._hand_over(record, began_wall, talker.alias, talker.node_id, False, talker.is_emergency, levels)

    def _hand_over(
        self,
        record: BurstRecord,
        began_wall: float,
        alias: str,
        node_id: bytes | None,
        own: bool,
        emergency: bool,
        levels: tuple[int, ...],
    ) -> None:
        if record.is_empty:
            return
        self._on_burst(
            FinishedBurst(
                *((self._channel,), alias, node_id, own, emergency, began_wall, record.seconds, record.packets, levels),
                encoder=self._audio.encoder,
                custom_payload_type=self._audio.custom_rtp_payload_type,
            )
        )
