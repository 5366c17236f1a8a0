"""One channel of an open mission: how it is joined, what its person set, and what its card shows."""

from __future__ import annotations

from dataclasses import replace

from app.channels.encoders import check_sending, encoder_info
from app.channels.errors import ChannelError
from app.channels.mission import Group
from app.engine.mission_store import KeptChannel
from app.events import Carrier, ChannelId, ChannelInfo, ChannelLink

NOT_JOINED = ChannelLink(Carrier.NONE, up=False, limited=False, words="You have left this channel.")


class OpenChannel:
    """Used on the engine's loop."""

    def __init__(self, mission_id: str, group: Group, kept: KeptChannel) -> None:
        self.id = ChannelId(mission_id, group.id)
        self.group = group
        self.kept = kept
        self.problem = ""  # why it cannot be joined
        audio = group.tx_audio
        self._codec = "" if audio is None else encoder_info(audio.encoder).name
        self._full_duplex = audio is not None and audio.fdx
        self.why_mute = _why_mute(group)

    def keep(self, **changes: object) -> None:
        """Take other settings of the person's."""
        self.kept = replace(self.kept, **changes)  # type: ignore[arg-type]

    def info(self, *, here: int | None, primary: bool) -> ChannelInfo:
        kept = self.kept
        return ChannelInfo(
            self.id,
            self.group.name,
            self.group.description,
            encrypted=self.group.is_encrypted,
            full_duplex=self._full_duplex,
            codec=self._codec,
            why_mute=self.why_mute,
            joined=kept.joined,
            link=NOT_JOINED,
            here=here,
            volume=kept.volume,
            muted=kept.muted,
            pan=kept.pan,
            primary=primary,
            talk_mode=kept.talk_mode,
        )


def _why_mute(group: Group) -> str:
    audio = group.tx_audio
    if audio is None or not audio.enabled:
        return "This channel is for listening only."
    try:
        check_sending(audio.encoder, audio.framing_ms)
    except ChannelError as error:
        return str(error)
    return ""
