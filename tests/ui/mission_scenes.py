"""Missions, channels and people that are made up, for tests of single widgets and for pictures of the channel panel.

Real engines are in test_channels_real.py; what stands here only brings the window into a state.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

from app.events import (
    BurstInfo,
    Carrier,
    ChannelId,
    ChannelInfo,
    ChannelLink,
    LastTalker,
    MissionInfo,
    PersonHere,
    SendingInfo,
    TalkerInfo,
    TextSeen,
)

HARBOUR, STADIUM = "m1", "m2"
ALPHA, BOATS, SHORE = (ChannelId(HARBOUR, group) for group in ("a", "b", "s"))
RALLYPOINT = ChannelLink(Carrier.RALLYPOINT, True, False, "By the rallypoint rally.example.org.", 0.042)
MULTICAST = ChannelLink(Carrier.MULTICAST, True, False, "By multicast on this network.")


def link_limited(failover_at: float | None) -> ChannelLink:
    words = "The rallypoint does not answer: it is tried again, then multicast takes over."
    return ChannelLink(Carrier.NONE, True, True, words, failover_at=failover_at)


def channel(channel_id: ChannelId, name: str, **changes: object) -> ChannelInfo:
    info = ChannelInfo(
        id=channel_id,
        name=name,
        description="",
        encrypted=True,
        full_duplex=False,
        codec="Opus 24 kb/s",
        why_mute="",
        joined=True,
        link=MULTICAST,
        here=4,
    )
    return replace(info, **changes)  # type: ignore[arg-type]


def alpha(**changes: object) -> ChannelInfo:
    last = LastTalker("Harbour office", time.time() - 20, False)
    kept = {"primary": True, "link": RALLYPOINT, "last": last, "grade": "Ideal.", "here": 6, **changes}
    return channel(ALPHA, "Alpha", **kept)


def boats(**changes: object) -> ChannelInfo:
    return channel(BOATS, **{"name": "Boats", **changes})  # type: ignore[arg-type]


def shore(**changes: object) -> ChannelInfo:
    last = LastTalker("Boat two", time.time() - 125, False)
    return channel(SHORE, "Shore", **{"encrypted": False, "last": last, "here": 2, **changes})


def talker(name: str, since_at: float, **changes: object) -> TalkerInfo:
    return replace(TalkerInfo(f"n-{name}", name, 0, False, since_at), **changes)  # type: ignore[arg-type]


def sending(since_at: float, **changes: object) -> SendingInfo:
    return replace(SendingInfo(since_at, 60.0, False, -21.0), **changes)  # type: ignore[arg-type]


def harbour(*channels: ChannelInfo, **changes: object) -> MissionInfo:
    shown = channels or (alpha(), boats(), shore())
    made = MissionInfo(HARBOUR, "Harbour rescue", "", shown, 7, True, False, None)
    return replace(made, **changes)  # type: ignore[arg-type]


def stadium(**changes: object) -> MissionInfo:
    names = ("Gates", "Medics", "Parking", "Stage", "Wardens")
    channels = tuple(channel(ChannelId(STADIUM, name), name, encrypted=False, here=0) for name in names)
    ends = time.time() + 3 * 86_400
    made = MissionInfo(STADIUM, "Stadium", "Saturday's match", channels, 0, True, False, ends)
    return replace(made, **changes)  # type: ignore[arg-type]


def person(name: str, place: str, **changes: object) -> PersonHere:
    made = PersonHere(HARBOUR, f"n-{name}", name, "", place, None, (), False, None, time.time() - 5)
    return replace(made, **changes)  # type: ignore[arg-type]


PEOPLE = (
    person("Front desk", "1.2 km north-east", battery_percent=82, connection="Wi-Fi 78 %"),
    person("Harbour office", "300 m south", channels=("a",)),
    person("Boat two", "4.1 km west", comment="on the way back", channels=("a", "b", "s")),
)


def burst(number: int, name: str, seconds: float, before_s: float, **changes: object) -> BurstInfo:
    count = max(8, min(64, round(seconds * 10)))
    levels = tuple(
        round(60 + 180 * abs(math.sin(step * 0.7 + number) * math.cos(step * 0.23))) for step in range(count)
    )
    made = BurstInfo(f"b{number}", ALPHA, name, False, False, time.time() - before_s, seconds, levels)
    return replace(made, **changes)  # type: ignore[arg-type]


def bursts() -> tuple[BurstInfo, ...]:
    return (
        burst(1, "Harbour office", 6.2, 8),
        burst(2, "Front desk", 3.1, 39),
        burst(3, "", 5.0, 137, own=True),
    )


def text(number: int, name: str, words: str, before_s: float, **changes: object) -> TextSeen:
    made = TextSeen(HARBOUR, None, f"t{number}", name, words, time.time() - before_s, False)
    return replace(made, **changes)  # type: ignore[arg-type]


def texts() -> tuple[TextSeen, ...]:
    return (
        text(1, "Front desk", "The slipway is closed until three.", 900),
        text(2, "Boat two", "Two people on board, both well.", 300, channel=BOATS),
        text(3, "", "Understood, the ambulance waits at the pier.", 240, own=True),
    )
