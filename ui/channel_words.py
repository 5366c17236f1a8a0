"""Plain words for channels: what a card, its button, a mission and a person here say. Knows nothing of Qt."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from app.events import CallRule, Carrier, ChannelInfo, LastTalker, MissionInfo, PersonHere, TalkerInfo, TalkMode
from ui import words

NAMELESS = "Somebody"
_DAY_S = 86_400.0
_QUIET_DB = 60.0  # below full scale: a level of nothing

MODES = {
    TalkMode.HOLD: ("Hold to talk", "Talk while the button or the key is down"),
    TalkMode.LATCH: ("Press to talk", "One press begins, the next one ends"),
    TalkMode.VOICE: ("By voice", "One press arms it; then your voice begins and ends each burst"),
}
MODE_SHORT = {TalkMode.HOLD: "Hold", TalkMode.LATCH: "Press", TalkMode.VOICE: "Voice"}

RULES = {
    CallRule.PAUSE: ("Pause channels", "They are silent during a call; what is said is kept among the last bursts."),
    CallRule.DUCK: ("Make channels quieter", "They go on under the call."),
    CallRule.MIX: ("Leave channels as loud", "The call and the channels are equally loud."),
}


@dataclass(frozen=True, slots=True)
class Face:
    """What a talk button shows. `state`: idle, receiving, sending, off (nothing can be done) or join."""

    title: str
    text: str
    state: str
    icon: str = ""
    warns: bool = False  # the second line says what went wrong
    urgent: bool = False  # an emergency
    level: float | None = None  # how loud one's own voice is, 0 to 1
    brief: str = ""  # the title where there is one line only

    @property
    def line(self) -> tuple[str, str, str]:
        """Give the sign, what must be read, and what may follow, where there is one line only."""
        if self.warns and self.state != "sending":
            return self.icon, self.text, ""
        return "warning" if self.urgent else self.icon, self.brief or self.title, self.text


@dataclass(frozen=True, slots=True)
class Chip:
    """One small fact on a card; `tone` is plain, good, warn or bad, `icon` "" for none."""

    text: str
    icon: str
    tone: str
    detail: str


def running(seconds: float | None) -> str:
    """Give "0:06", or "" while the engine's clock is not known."""
    if seconds is None:
        return ""
    whole = max(0, int(seconds))
    return words.clock(whole) if whole >= 3600 else f"{whole // 60}:{whole % 60:02}"


def ago(wall: float, now: float) -> str:
    """Say how long ago something was: "just now", "2 min ago", "3 h ago", else the day."""
    seconds = max(0.0, now - wall)
    if seconds < 45:
        return "just now"
    if seconds < 3600:
        return f"{max(1, round(seconds / 60))} min ago"
    return f"{round(seconds / 3600)} h ago" if seconds < _DAY_S else words.when(wall, now)


def talker_name(talker: TalkerInfo) -> str:
    return talker.alias or NAMELESS


def face(channel: ChannelInfo, now: float | None, wall: float) -> Face:
    """Say what a channel does and what its button would do; `now` on the engine's clock, None before it is known."""
    if not channel.joined:
        return Face("Join", "You neither hear nor talk here.", "join", "plus")
    if channel.sending is not None:
        return _sending(channel, now)
    if channel.talkers:
        return _receiving(channel, now)
    title, text, state, icon = _idle(channel, wall)
    if channel.waiting:
        title = "Waiting to talk"
        if channel.link.up:  # for the microphone, which is nothing to worry about
            return Face(title, channel.notice, state, icon)
    if channel.notice:
        return Face(title, channel.notice, state, "warning", warns=True)
    return Face(title, text, state, icon)


def _sending(channel: ChannelInfo, now: float | None) -> Face:
    sending = channel.sending
    assert sending is not None
    time_ = running(None if now is None else now - sending.since_at)
    if sending.limit_s is not None:
        time_ += f" of {running(sending.limit_s)}"
    title, brief = ("Emergency: you are talking" if sending.emergency else "You are talking"), "You are talking"
    how = {
        TalkMode.HOLD: "release to listen",
        TalkMode.LATCH: "press to end",
        TalkMode.VOICE: "pause to end",
    }[channel.talk_mode]
    if channel.full_duplex and channel.talkers:
        how = f"with {_names(channel.talkers)}"
    if sending.silent:
        title = "Emergency: sent without a voice" if sending.emergency else "Sent without a voice"
        return Face(title, "The microphone hears nothing.", "sending", "warning", warns=True, urgent=sending.emergency)
    level = sending.level_dbfs
    loud = None if level is None else min(1.0, max(0.0, 1.0 + level / _QUIET_DB))
    text = " · ".join(part for part in (how, time_) if part)
    return Face(title, text, "sending", "mic", urgent=sending.emergency, level=loud, brief=brief)


def _receiving(channel: ChannelInfo, now: float | None) -> Face:
    first = max(channel.talkers, key=lambda talker: (talker.emergency, talker.priority, -talker.since_at))
    urgent, several = first.emergency, len(channel.talkers) > 1
    brief = title = f"{len(channel.talkers)} are talking" if several and not urgent else talker_name(first)
    if urgent:
        title = f"Emergency: {title}"
    if channel.notice:
        return Face(title, channel.notice, "receiving", "warning", warns=True, urgent=urgent)
    time_ = running(None if now is None else now - first.since_at)
    said = _names(channel.talkers) if several else f"talking for {time_}" if time_ else "talking"
    if channel.held_back is CallRule.PAUSE and not urgent:
        said = f"{said} · not heard during a call"
    elif channel.muted and not urgent:
        said = f"{said} · you have muted this"
    elif channel.full_duplex and not channel.why_mute:
        said = f"{said} · you can talk too"
    return Face(title, said, "receiving", "volume", urgent=urgent, brief=brief)


def _names(talkers: tuple[TalkerInfo, ...]) -> str:
    names = [words.apart(talker_name(talker)) for talker in talkers]
    if len(names) > 3:
        names = [*names[:2], f"{len(names) - 2} others"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _idle(channel: ChannelInfo, wall: float) -> tuple[str, str, str, str]:
    if channel.why_mute:
        return "Listen only", channel.why_mute, "off", "mic-off"
    if not channel.link.up:
        return "Not connected", channel.link.words, "off", "warning"
    if channel.held_back is CallRule.PAUSE:
        return "Paused by a call", "What is said is kept among the last bursts.", "idle", "pause"
    last = last_words(channel.last, wall)
    if channel.held_back is CallRule.DUCK:
        last = f"quieter during a call · {last}"
    if channel.talk_mode is TalkMode.VOICE:
        if channel.armed:
            return "Speak to talk", "your voice begins a burst · press to end it", "idle", "mic"
        return "Press, then speak", last, "idle", "mic"
    title = "Press to talk" if channel.talk_mode is TalkMode.LATCH else "Hold to talk"
    return title, last, "idle", ""


def last_words(last: LastTalker | None, now: float) -> str:
    if last is None:
        return "nobody has talked yet"
    return f"last: {'you' if last.own else words.apart(last.alias) or NAMELESS}, {ago(last.wall, now)}"


def can_press(channel: ChannelInfo) -> bool:
    """Tell whether pressing the button may do anything: join, talk, or be told why not."""
    return not channel.joined or not channel.why_mute


def chips(channel: ChannelInfo) -> tuple[Chip, ...]:
    """Say who can listen and what carries the channel."""
    made = [
        Chip("encrypted", "", "plain", "Only who has the mission can listen.")
        if channel.encrypted
        else Chip("clear", "lock-open", "warn", "Not encrypted: anybody on the way can listen.")
    ]
    if channel.full_duplex:
        made.append(Chip("full duplex", "", "plain", "Everybody can talk at once, as in a call."))
    return (*made, carrier(channel))


def widest(channel: ChannelInfo) -> tuple[tuple[Chip, ...], str]:
    """Give the chips and the text beside them that take the most room which they ever need on this channel."""
    return (*chips(channel)[:-1], Chip("limited · multicast", "warning", "warn", "")), "99 listening · not acceptable"


def carrier(channel: ChannelInfo) -> Chip:
    link = channel.link
    if not channel.joined:
        return Chip("not joined", "", "plain", "Nothing of this channel is heard or sent.")
    if not link.up:
        return Chip("not connected", "warning", "bad", link.words)
    said = link.carrier.value
    if link.limited:
        said = "limited" if link.carrier is Carrier.NONE else f"limited · {said}"
        return Chip(said, "warning", "warn", link.words)
    if link.carrier is Carrier.RALLYPOINT and link.rtt_s is not None:
        said += f" · {words.seconds(link.rtt_s)}"
    return Chip(said, "", "plain", link.words)


def state_of_link(channel: ChannelInfo, now: float | None) -> str:
    """Say what stands at the right of the chips: the failover to come, how many listen, how good it is."""
    if not channel.joined:
        return ""
    at = channel.link.failover_at
    if at is not None and now is not None and at > now:
        return f"failover in {math.ceil(at - now)} s"
    parts = []
    if channel.here is not None and channel.link.up:
        parts.append("nobody listens" if channel.here == 0 else f"{channel.here} listening")
    if channel.grade and channel.link.up:
        parts.append(grade_word(channel.grade))
    return " · ".join(parts)


def grade_word(grade: str) -> str:
    """Give "acceptable" for "Acceptable: a jitter of 19 ms; …"."""
    return re.split(r"[:.]", grade, maxsplit=1)[0].strip().lower()


def people_words(count: int) -> str:
    return "no one else here" if count == 0 else "1 person" if count == 1 else f"{count} people"


def channels_words(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


def mission_line(mission: MissionInfo, now: float) -> str:
    """Say in one line what a mission is: its problem, its end where that is near, its channels and people."""
    if mission.problem:
        return mission.problem
    parts = [channels_words(len(mission.channels))]
    if mission.has_control:
        parts.append(people_words(mission.people))
    if (ends := expiry_words(mission, now)) and mission.expires_wall is not None:
        near = mission.expires_wall - now < 7 * _DAY_S
        parts = [ends, parts[0]] if near else parts
    return " · ".join(parts)


def expiry_words(mission: MissionInfo, now: float) -> str:
    """Say when a mission ends, "" where it does not."""
    if mission.expires_wall is None:
        return ""
    left = mission.expires_wall - now
    if left <= 0:
        return "over"
    if left < 3600:
        return f"ends in {max(1, round(left / 60))} min"
    if left < 2 * _DAY_S:
        return f"ends in {round(left / 3600)} h"
    return f"ends in {round(left / _DAY_S)} days"


def person_line(person: PersonHere, names: dict[str, str], now: float) -> str:
    """Say where somebody is and what they say of themselves; `names` gives the channels' names by their ids."""
    parts = []
    if person.emergency is not None:
        parts.append(f"emergency: {words.apart(person.emergency)}" if person.emergency else "emergency")
    if person.gone:
        parts.append(f"gone, heard {ago(person.heard_wall, now)}")
    if person.place:
        parts.append(person.place)
    if person.battery_percent is not None:
        parts.append(f"battery {person.battery_percent} %")
    if person.connection and not person.gone:
        parts.append(person.connection)
    if person.comment:
        parts.append(words.apart(person.comment))
    on = [words.apart(names[group]) for group in person.channels if group in names]
    if on and not person.gone:
        parts.append("on " + (", ".join(on[:2]) if len(on) < 3 else f"{len(on)} channels"))
    return " · ".join(parts) or "here"
