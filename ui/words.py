"""Plain words for what the engine tells: states, addresses, times, sizes. Knows nothing of Qt."""

from __future__ import annotations

import datetime
import re
import unicodedata

from app.events import CallInfo, CallState, Contact, Direction, EndedBy, EndKind, HistoryEntry, Presence, ShareChoice

MISSED = frozenset({EndKind.NO_ANSWER, EndKind.CANCELLED})

_PRESENCE = {
    Presence.ONLINE: "Available",
    Presence.OFFLINE: "Offline",
    Presence.BUSY: "Busy",
    Presence.UNKNOWN: "Not known whether here",
}

_STATES = {
    CallState.GATHERING: "Looking at the network…",
    CallState.INVITING: "Calling…",
    CallState.PREPARING: "Somebody is calling…",
    CallState.CONNECTING: "Finding the best path…",
    CallState.RINGING: "Ringing…",
    CallState.ANSWERING: "Answering…",
    CallState.CONNECTED: "Connected",
    CallState.INTERRUPTED: "Interrupted, trying to reconnect…",
    CallState.ENDING: "Hanging up…",
    CallState.ENDED: "Ended",
}

_ENDS = {
    EndKind.HUNG_UP: "The call is over.",
    EndKind.CANCELLED: "The call was cancelled.",
    EndKind.DECLINED: "The call was declined.",
    EndKind.BUSY: "Busy.",
    EndKind.NO_ANSWER: "No answer.",
    EndKind.ANSWERED_ELSEWHERE: "Answered on another device.",
}

_OUTCOMES = {
    EndKind.HUNG_UP: "Call",
    EndKind.CANCELLED: "Cancelled",
    EndKind.DECLINED: "Declined",
    EndKind.BUSY: "Busy",
    EndKind.NO_ANSWER: "No answer",
    EndKind.NOT_FOUND: "Nobody there",
    EndKind.UNAVAILABLE: "Not reachable",
    EndKind.ANSWERED_ELSEWHERE: "Answered elsewhere",
}


def state_words(call: CallInfo) -> str:
    """Say what the call is doing now; an ended one says why."""
    if call.state is CallState.ENDED and call.end is not None:
        if call.end.sentence and (call.end.kind is not EndKind.HUNG_UP or call.end.by is EndedBy.FAILURE):
            return call.end.sentence
        return _ENDS.get(call.end.kind) or "The call failed."
    if call.state is CallState.CONNECTED and call.held:
        return "On hold"
    return _STATES[call.state]


def interrupted_words(for_s: float | None) -> str:
    """Say for how long an interrupted call has been silent."""
    if for_s is None or for_s < 1:
        return _STATES[CallState.INTERRUPTED]
    return f"Interrupted for {duration(for_s)}, trying to reconnect…"


def presence_words(contact: Contact) -> str:
    return _PRESENCE[contact.presence]


def outcome_words(entry: HistoryEntry) -> str:
    """Say in two or three words what became of a past call."""
    if entry.direction is Direction.INCOMING and entry.duration_s is None and entry.outcome in MISSED:
        return "Missed"
    if entry.duration_s is not None:
        return duration(entry.duration_s)
    return _OUTCOMES.get(entry.outcome, "Failed")


def clock(seconds: float) -> str:
    """Give "04:12", or "1:02:03" from an hour on."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, seconds_left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds_left:02}" if hours else f"{minutes:02}:{seconds_left:02}"


def duration(seconds: float) -> str:
    """Give "42 s", "4 min 12 s" or "1 h 2 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def seconds(value: float) -> str:
    """Give a short time as "12 ms", "1.4 s" or "42 s"."""
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"


def size(count: int) -> str:
    """Give a number of bytes as "512 B", "2 kB" or "41 MB"."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def rate(bits_per_second: float | None) -> str:
    """Give a rate as "64 kb/s" or "1.4 Mb/s"; "–" when it is not known."""
    if bits_per_second is None:
        return "–"
    if bits_per_second >= 1e6:
        return f"{bits_per_second / 1e6:.1f} Mb/s"
    return f"{bits_per_second / 1e3:.0f} kb/s"


def number(value: float | None, unit: str = "", digits: int = 0) -> str:
    """Give a figure with its unit; "–" when it is not known."""
    if value is None:
        return "–"
    return f"{value:.{digits}f} {unit}".rstrip()


def when(wall: float, now: float) -> str:
    """Say when something was, as one would: "14:02", "yesterday 14:02", "Mon 3 Nov"."""
    then = datetime.datetime.fromtimestamp(wall).astimezone()
    days = (datetime.datetime.fromtimestamp(now).astimezone().date() - then.date()).days
    if days <= 0:
        return f"{then:%H:%M}"
    if days == 1:
        return f"yesterday {then:%H:%M}"
    if days < 300:
        return f"{then:%a} {then.day} {then:%b}"
    return f"{then.day} {then:%b %Y}"


def bare_address(uri: str) -> str:
    """Reduce an address to what tells two apart: no angle brackets, no parameters, the host in lower case."""
    text = uri.strip()
    if "<" in text and ">" in text:
        text = text[text.index("<") + 1 : text.index(">")]
    text = re.split(r"[;?]", text, maxsplit=1)[0]
    user, at, host = text.rpartition("@")
    return f"{user}@{host.lower()}" if at else text


def shown_address(uri: str) -> str:
    """Give an address as people read it: without the scheme sip: and without parameters."""
    return re.sub(r"^sips?:", "", bare_address(uri))


def looks_like_address(text: str) -> bool:
    """Tell whether a typed text is an address or a number rather than somebody's name."""
    text = text.strip()
    return bool(re.match(r"(?i)(sips?|tel):\S", text) or "@" in text or re.fullmatch(r"\+?[\d\s().-]{3,}", text))


def initials(name: str) -> str:
    """Give one or two letters that stand for a name."""
    parts: list[str] = re.findall(r"[^\W_]+", name)
    if not parts:
        return "?"
    if len(parts) == 1:
        return parts[0][:1].upper()
    return (parts[0][0] + parts[-1][0]).upper()


def choice_words(choice: ShareChoice, between: str = " · ") -> str:
    """Name a screen or a window that can be shared; `between` stands between the name and the size of a screen."""
    if choice.kind == "window":
        return choice.name
    name = "Whole screen" if choice.name == "screen" else f"Screen {choice.name.removeprefix('Screen ')}"
    return f"{name}{between}{choice.width} × {choice.height}" if choice.width else name


def sharing_words(video_from: str, name: str) -> str:
    """Say what is shared; `name` as it was chosen, "" where it came from the command line."""
    kind, _, wanted = video_from.partition(":")
    if kind == "window":
        shown = name or ("" if wanted.startswith("0x") else wanted)
        return f"You are sharing the window “{_short(shown)}”" if shown else "You are sharing a window"
    return "You are sharing your screen" + (f" {wanted}" if wanted not in ("", "screen") else "")


def recording_words(seconds: float, *, paused: bool) -> str:
    """Say how long the recording is."""
    return f"Recording {clock(seconds)}" + (" · paused" if paused else "")


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")  # UAX #9


def apart(said: str) -> str:
    """Give what somebody wrote as it can stand inside a sentence: from right to left it turns round nothing else."""
    plain = "".join(letter for letter in said if letter not in _TURNS)
    is_turned = any(unicodedata.bidirectional(letter) in {"R", "AL", "AN"} for letter in plain)
    return f"\u2068{plain}\u2069" if is_turned else plain
