"""Made-up missions, channels and their figures, for tests of single widgets and for pictures."""

from __future__ import annotations

from dataclasses import replace

from app.events import (
    Carrier,
    ChannelFigures,
    ChannelId,
    ChannelInfo,
    ChannelLink,
    MissionInfo,
    MissionsChanged,
    TalkerFigures,
)

ALPHA, BRAVO = ChannelId("m-1", "g-alpha"), ChannelId("m-1", "g-bravo")
BY_MULTICAST = ChannelLink(Carrier.MULTICAST, up=True, limited=False, words="Multicast through eth0.")
BY_RALLYPOINT = ChannelLink(
    *(Carrier.RALLYPOINT, True, True, "Rallypoint rp2.example.org:7443; its certificate is not verified.", 0.041),
)
LOST = ChannelLink(Carrier.NONE, up=False, limited=True, words="No rallypoint answers; the next try is in 3 s.")


def channel(channel_id: ChannelId = ALPHA, name: str = "Alpha", link: ChannelLink = BY_MULTICAST) -> ChannelInfo:
    return ChannelInfo(
        *(channel_id, name, ""),
        encrypted=True,
        full_duplex=False,
        codec="Opus 24 kb/s",
        why_mute="",
        joined=True,
        link=link,
    )


def missions(*channels: ChannelInfo) -> MissionsChanged:
    shown = channels or (channel(), channel(BRAVO, "Bravo", BY_RALLYPOINT))
    mission = MissionInfo("m-1", "Relief", "", shown, people=3, has_control=True, has_pin=False, expires_wall=None)
    return MissionsChanged((mission,))


def figures() -> tuple[ChannelFigures, ...]:
    """Give those of Alpha, which is well, and of Bravo, which is not."""
    ada = TalkerFigures("Ada", 412, 0, 0, 2.1, 61.0, "opus")
    talkers = TalkerFigures("Zoë", 291, 11, 220, 34.2, 118.0, "opus"), replace(ada, alias="", codec="GSM")
    bad = "Not acceptable: a loss of 3.6 %; it has to be below 2 %."
    return (
        ChannelFigures(ALPHA, 57_200, 58_100, "Ideal.", 120, 412, 0, (ada,)),
        ChannelFigures(BRAVO, 57_200, None, bad, 0, 703, 12, talkers),
    )
