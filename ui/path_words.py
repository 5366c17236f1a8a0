"""What is said of a path's parts: why a pair does not work, how a server behaves, whether the path is alive.

Knows nothing of Qt.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from app.events import (
    CandidateInfo,
    CandidateType,
    ConsentInfo,
    IceSnapshot,
    MomentKind,
    PairInfo,
    PairState,
    ServerInfo,
    ServerState,
)
from ui import words

_STATES = {
    PairState.FROZEN: "frozen",
    PairState.WAITING: "waiting",
    PairState.IN_PROGRESS: "checking",
    PairState.SUCCEEDED: "works",
}
# (what the agent's reason contains, the same in one or two words); first match wins.
_SHORT = (
    ("not needed", "not needed"),
    ("role", "role conflict"),
    ("487", "role conflict"),
    ("unreachable", "unreachable"),
    ("no route", "unreachable"),
    ("nobody is there", "unreachable"),
    ("permission", "refused"),
    ("refused", "refused"),
    ("forbid", "refused"),
    ("policy", "not allowed"),
    ("came from", "wrong address"),
    ("no answer", "no answer"),
)
_SERVERS = {
    ServerState.ASKING: ("asking…", "plain"),
    ServerState.ANSWERED: ("answers", "good"),
    ServerState.SILENT: ("no answer", "bad"),
    ServerState.REFUSED: ("refuses", "bad"),
    ServerState.LOST: ("lost", "bad"),
}


def pair_state(pair: PairInfo) -> str:
    """Say in a word or two how a pair stands."""
    if pair.selected:
        return "✓ selected"
    if pair.state is not PairState.FAILED and not (pair.state is PairState.FROZEN and pair.reason):
        return _STATES[pair.state]
    reason = (pair.reason or "no answer").casefold()
    return next((short for part, short in _SHORT if part in reason), "failed")


def why(pair: PairInfo, local: CandidateInfo, remote: CandidateInfo) -> str:
    """Say in a sentence or two how a pair stands and, where it does not work, why."""
    ends = f"{local.type} {local.place} to {remote.type} {remote.place}"
    if pair.selected:
        return f"{ends}: the path of this call. {_checks(pair)}"
    if pair.state is PairState.SUCCEEDED:
        return f"{ends}: works, and was not needed. {_checks(pair)}"
    if pair.state is PairState.FAILED:
        return f"{ends}: {_failure(pair, local, remote)}"
    if pair.reason:
        return f"{ends}: {pair.reason}."
    if pair.state is PairState.IN_PROGRESS:
        return f"{ends}: being tried. {_checks(pair)}"
    return f"{ends}: waits for its turn."


def _checks(pair: PairInfo) -> str:
    count = f"{pair.checks_sent} check{'s' if pair.checks_sent != 1 else ''} sent"
    return count + ("." if pair.rtt_s is None else f", answered in {round_trip(pair.rtt_s)}.")


def _failure(pair: PairInfo, local: CandidateInfo, remote: CandidateInfo) -> str:
    reason = (pair.reason or "no answer").rstrip(".")
    if pair_state(pair) != "no answer":
        return f"{reason}."
    lasted = ""
    if pair.started_at is not None and pair.finished_at is not None:
        lasted = f" in {words.seconds(pair.finished_at - pair.started_at)}"
    said = f"{pair.checks_sent} checks, no answer{lasted}."
    if remote.type is CandidateType.HOST and _private(remote.address) and local.type is not CandidateType.RELAY:
        return f"{said} This address is private to the other side's network: normal, unless both are on one network."
    if CandidateType.RELAY in (local.type, remote.type):
        return f"{said} The relay passed nothing on, or the other side could not reach it."
    return f"{said} A NAT or a firewall on the way lets nothing through here."


def _private(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_private
    except ValueError:
        return False


def round_trip(seconds: float) -> str:
    return "under 1 ms" if seconds < 0.001 else words.seconds(seconds)


def flow_words(flow: str) -> str:
    """Name one flow: "stream 0", "stream 0, RTCP"."""
    stream, _, component = flow.partition("/")
    return f"stream {stream}" + (", RTCP" if component == "2" else "")


def server_state(server: ServerInfo) -> tuple[str, str]:
    """Give (word, tone) for how a server behaves."""
    return _SERVERS[server.state]


def alive(ice: IceSnapshot, now: float | None) -> str:
    """Say whether the selected path answers; "" before there is one. `now` is on the engine's clock."""
    if not ice.consent:
        return ""
    worst = max(ice.consent, key=_trouble)
    ago = None if now is None or worst.heard_at is None else max(0.0, now - worst.heard_at)
    silent = "" if ago is None else f" for {words.seconds(ago)}"
    if worst.state == "expired":
        return f"Nothing heard{silent}: nothing is sent any more, and Parley keeps looking for a way back."
    if worst.state in ("silent", "interrupted"):
        return f"Nothing heard{silent}: Parley asks again and prepares another way."
    confirmed = None if now is None or worst.answered_at is None else max(0.0, now - worst.answered_at)
    told = "" if confirmed is None else f", last confirmed {words.seconds(confirmed)} ago"
    return f"The path is alive{told}."


def _trouble(consent: ConsentInfo) -> int:
    return ("fresh", "silent", "interrupted", "expired").index(consent.state)


def restarts(ice: IceSnapshot, clock: Callable[[float], str]) -> str:
    """Say how often the path was made anew, and when last; `clock` gives a moment's time of the day."""
    if not ice.restarts:
        return ""
    done = [moment for moment in ice.timeline if moment.kind is MomentKind.RESTARTED]
    often = "once" if ice.restarts == 1 else f"{ice.restarts} times"
    last = f", last at {clock(done[-1].at)}" if done else ""
    return f"The path was made anew {often}{last}; the call went on."
