"""What of channels crosses the seam between the engine thread and its users; imported through `app/events.py`.

Plain data, as everything there: times named `at` are seconds since the engine started, times named `wall` seconds since
the Unix epoch. A figure that is not known is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ChannelId:
    """One channel of one mission, by their UUIDs."""

    mission: str
    group: str

    @classmethod
    def parse(cls, text: str) -> ChannelId:
        """Read what `str` gives; ValueError for anything else."""
        mission, slash, group = text.partition("/")
        if not (mission and slash and group) or "/" in group:
            raise ValueError("A channel is written as MISSION/GROUP.")
        return cls(mission, group)

    def __str__(self) -> str:
        return f"{self.mission}/{self.group}"


class TalkMode(StrEnum):
    """What the talk key does."""

    HOLD = "hold"  # talk while it is down
    LATCH = "latch"  # one press begins, the next one ends
    VOICE = "voice"  # the key arms it, the voice begins and ends bursts


class Carrier(StrEnum):
    """What carries a channel now."""

    NONE = "none"
    MULTICAST = "multicast"
    RALLYPOINT = "rallypoint"


class CallRule(StrEnum):
    """What becomes of channels while a call goes on."""

    PAUSE = "pause"  # they are silent; bursts are kept in the timeline
    DUCK = "duck"  # they are quieter than the call
    MIX = "mix"  # both as loud as they are


@dataclass(frozen=True, slots=True)
class ChannelLink:
    """How a channel is connected. `words` is one sentence for a person; `limited`: it works, but not as it should."""

    carrier: Carrier
    up: bool
    limited: bool
    words: str
    rtt_s: float | None = None
    failover_at: float | None = None  # when multicast takes over if the rallypoint stays away


@dataclass(frozen=True, slots=True)
class TalkerInfo:
    """Somebody whose burst is heard. An alias is "" where the talker sends none."""

    node_id: str
    alias: str
    priority: int
    emergency: bool
    since_at: float


@dataclass(frozen=True, slots=True)
class SendingInfo:
    """Our own burst. `limit_s`: how long it may be, None where the channel sets no limit.

    `silent`: the microphone is not open, or was unplugged; an emergency goes on without it.
    """

    since_at: float
    limit_s: float | None
    emergency: bool
    level_dbfs: float | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class LastTalker:
    """Who talked last, for a card that is idle."""

    alias: str
    wall: float
    own: bool


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """A channel as its card shows it; published as a whole at each change.

    `pan` is -1 (left) to 1 (right), `volume` 0 to 1.5. `notice` says why the key did not begin a burst, or ended one.
    """

    id: ChannelId
    name: str
    description: str
    encrypted: bool
    full_duplex: bool
    codec: str
    why_mute: str  # why nobody can talk here from this machine; "" where one can
    joined: bool
    link: ChannelLink
    talkers: tuple[TalkerInfo, ...] = ()
    sending: SendingInfo | None = None
    armed: bool = False  # TalkMode.VOICE: the voice would begin a burst now
    waiting: bool = False  # the key is down, and a burst begins as soon as there is a link, and a microphone
    notice: str = ""
    last: LastTalker | None = None
    here: int | None = None  # how many others are known to be on this channel
    volume: float = 1.0
    muted: bool = False
    pan: float = 0.0
    primary: bool = False
    talk_mode: TalkMode = TalkMode.HOLD
    held_back: CallRule | None = None  # a call pauses or ducks it now
    grade: str = ""  # a sentence that begins with how good it is, as "Ideal."; "" where nothing was measured


@dataclass(frozen=True, slots=True)
class MissionInfo:
    """An open mission. `people`: how many others are here; `problem`: why it cannot be used, or "" .

    `own_emergency` is the words of an emergency raised here ("" where none were given), None while there is none;
    `emergency_waits`: nobody knows of it yet, because there is no link. `own_place` is latitude and longitude in
    degrees.
    """

    id: str
    name: str
    description: str
    channels: tuple[ChannelInfo, ...]
    people: int
    has_control: bool
    has_pin: bool
    expires_wall: float | None
    problem: str = ""
    own_emergency: str | None = None
    own_status: str = ""
    own_place: tuple[float, float] | None = None
    emergency_waits: bool = False


@dataclass(frozen=True, slots=True)
class PersonHere:
    """One node of a mission's roster.

    `place` is words such as "1.2 km north-east", `connection` such as "Wi-Fi 78 %", both "" where that is not known.
    """

    mission: str
    node_id: str
    name: str
    comment: str
    place: str
    battery_percent: int | None
    channels: tuple[str, ...]  # group ids it is on
    gone: bool
    emergency: str | None  # its words, "" where it gave none; None: there is no emergency
    heard_wall: float
    connection: str = ""


@dataclass(frozen=True, slots=True)
class BurstInfo:
    """A burst in the timeline. `levels`: its loudness over time, 0 to 255, at most 64 of them."""

    burst_id: str
    channel: ChannelId
    alias: str
    own: bool
    emergency: bool
    began_wall: float
    seconds: float
    levels: tuple[int, ...]
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class TalkerFigures:
    """How one talker's packets arrive, of this burst or the last one. Times in milliseconds."""

    alias: str
    packets: int
    lost: int
    concealed_ms: int
    jitter_ms: float | None
    delay_ms: float | None
    codec: str


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """What a channel costs and how good it is. `cost_bps`: one talker's wire by the formula; `grade` in words."""

    id: ChannelId
    cost_bps: int
    measured_bps: int | None
    grade: str
    packets_sent: int
    packets_received: int
    refused: int  # not opened, not understood, or played twice
    talkers: tuple[TalkerFigures, ...] = ()


@dataclass(frozen=True, slots=True)
class MissionsChanged:
    """Every open mission with its channels, in the person's order."""

    missions: tuple[MissionInfo, ...]


@dataclass(frozen=True, slots=True)
class ChannelChanged:
    channel: ChannelInfo


@dataclass(frozen=True, slots=True)
class RosterChanged:
    """Everybody of a mission who is here, or is gone with an emergency that nobody has dismissed."""

    mission: str
    people: tuple[PersonHere, ...]


@dataclass(frozen=True, slots=True)
class TextSeen:
    """A text message. `channel` is None where it is for the whole mission."""

    mission: str
    channel: ChannelId | None
    text_id: str
    name: str
    words: str
    wall: float
    own: bool


@dataclass(frozen=True, slots=True)
class BurstKept:
    burst: BurstInfo


@dataclass(frozen=True, slots=True)
class PlaybackChanged:
    """A burst of the timeline begins to be played; None: nothing is played any more."""

    burst_id: str | None


ChannelEvent = MissionsChanged | ChannelChanged | RosterChanged | TextSeen | BurstKept | PlaybackChanged
