"""What of missions and channels is put into words for a person."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.engine.mission_drafts import ChannelCost, Group, Mission
    from app.engine.missions import ChannelView, MissionView

_KINDS = {"audio": "speech", "control": "who is there, alerts", "raw": "datagrams of other programs"}


def way_words(channel: ChannelView) -> str:
    """Say how a channel travels."""
    if not channel.rallypoints:
        return f"multicast {channel.sends_to}"
    words = f"rallypoint {', '.join(channel.rallypoints)}"
    if channel.failover_after_s is not None:
        words += f", multicast after {channel.failover_after_s} s without one"
    return words


def sound_words(channel: ChannelView) -> str:
    """Say what a channel carries."""
    if channel.codec is None:
        return _KINDS[channel.kind]
    duplex = ", all may talk at once" if channel.full_duplex else ""
    return f"{channel.codec}, {channel.framing_ms} ms{duplex}"


def draft_words(mission: Mission, group: Group) -> str:
    """Say in one line what a channel of a draft is: whether it is encrypted, what it carries, and what it costs."""
    from app.engine import mission_drafts

    parts = ["encrypted" if group.is_encrypted else "clear"]
    if group.tx_audio is not None and group.type is mission_drafts.GroupType.AUDIO:
        parts.append(mission_drafts.encoder_name(group.tx_audio.encoder))
        cost = mission_drafts.cost(mission, group)
        return " · ".join([*parts, *([f"{cost.up_kbps:.0f} kb/s on the wire"] if cost else [])])
    kind = "control" if group.type is mission_drafts.GroupType.MISSION_CONTROL else "raw"
    return " · ".join([*parts, _KINDS[kind]])


def cost_words(cost: ChannelCost) -> str:
    """Say what a channel costs, and whom."""
    if cost.down_kbps is None:
        return f"{cost.up_kbps:.0f} kb/s for each who talks"
    return f"{cost.up_kbps:.0f} kb/s up for each who talks, {cost.down_kbps:.0f} kb/s down to each who listens"


def mission_line(view: MissionView) -> str:
    """Say how many channels a mission has and when it was made and ends."""
    parts = [counted(len(view.channels), "channel"), f"made {moment(view.created)}"]
    if view.expires is not None:
        parts.append(f"{'ended' if view.has_expired else 'ends'} {moment(view.expires)}")
    return " · ".join(parts)


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def moment(text: str) -> str:
    """A mission's moment, in UTC there, by the clock on the wall here."""
    read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone().strftime("%Y-%m-%d %H:%M")
