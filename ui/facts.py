"""What is said of a call in a few words: who can listen, how it travels, how it sounds, and the path's story.

Each is a short text for the eye, a sentence for whoever asks, a tone and an icon, so that nothing is told by colour
alone. Knows nothing of Qt.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.events import CallFigures, CallInfo, CallState, CandidateInfo, CandidateType, IceSnapshot, IceState, PairState
from ui import words
from ui.quality import round_trip_ms

_TALKING = frozenset({CallState.CONNECTED, CallState.INTERRUPTED})


@dataclass(frozen=True, slots=True)
class Fact:
    text: str
    detail: str
    tone: str  # "good", "warn", "bad" or "plain"
    icon: str


def who_can_listen(figures: CallFigures | None) -> Fact:
    """Say who could hear the call, by what the keys passed through (RFC 5763, RFC 4568)."""
    media = figures.security.media if figures else None
    if figures is None or media is None:
        detail = "The keys of this call are not agreed yet; nothing is being sent."
        return Fact("Not secured yet", detail, "plain", "lock-open")
    if media == "dtls-srtp" and figures.security.signalling == "tls":
        detail = "Only the two of you can listen. The keys match what came over protected signalling."
        return Fact("End to end · verified", detail, "good", "lock")
    if media == "dtls-srtp":
        detail = (
            "Only the two of you can listen, unless a server on the way changed the signalling, "
            "which is not protected. An account over TLS closes that gap."
        )
        return Fact("End to end · not verified", detail, "good", "lock")
    if media == "sdes-srtp":
        detail = "The sound is encrypted, but its keys passed through the servers of this call."
        return Fact("Encrypted · servers can listen", detail, "warn", "lock")
    return Fact("Not encrypted", "Anyone on the way can listen: the other phone has no encryption.", "bad", "lock-open")


def how_it_travels(figures: CallFigures | None) -> Fact:
    """Say whether the call goes straight or through a relay, and how long the round trip is."""
    ice = figures.ice if figures else None
    if figures is None or ice is None or ice.state in (IceState.NEW, IceState.GATHERING, IceState.GATHERED):
        return Fact("No path yet", "The ways to reach the other side are being collected.", "plain", "direct")
    if ice.state is IceState.DISABLED:
        detail = "The other phone checks no paths: sound goes to the address it gave, unchecked."
        return Fact("Plain path", detail, "warn", "direct")
    if ice.state is IceState.FAILED:
        return Fact("No path", "None of the ways to the other side worked.", "bad", "warning")
    ends = selected_ends(ice)
    if ends is None:
        return Fact("Finding a path…", "The ways to the other side are being tried.", "plain", "direct")
    if ice.state is IceState.INTERRUPTED:
        return Fact("Interrupted", "The other side is silent for the moment; the call waits for it.", "bad", "warning")
    trip = round_trip_ms(figures)
    suffix = f" · {trip:.0f} ms" if trip is not None else ""
    if _relayed(ends):
        detail = "Sound and picture go through a relay server, since no direct way was open."
        return Fact("Relayed" + suffix, detail, "warn", "relayed")
    return Fact("Direct" + suffix, "Sound and picture go straight to the other side.", "good", "direct")


def how_it_sounds(figures: CallFigures | None) -> Fact:
    """Say how good the call sounds, as an estimate from 1 to 5 and in a word."""
    quality = figures.quality if figures else None
    if quality is None or quality.score is None:
        return Fact("No sound yet", "Nothing has been heard from the other side so far.", "plain", "sound")
    word, tone = score_word(quality.score)
    detail = "Estimated from delay and loss; a flawless connection has 4.4."
    if quality.score_average is not None and quality.score_worst is not None:
        detail += f" Over the call {quality.score_average:.1f}, at its worst {quality.score_worst:.1f}."
    if quality.score_sent is not None:
        detail += f" The other side hears you with {quality.score_sent:.1f}."
    return Fact(f"Sound {quality.score:.1f} / 5 · {word}", detail, tone, "sound")


def score_word(score: float) -> tuple[str, str]:
    """Give a score's word and tone, by the classes of ITU-T G.109; it is judged as it is shown, with one digit."""
    score = round(score, 1)
    if score >= 4.3:
        return "excellent", "good"
    if score >= 4.0:
        return "good", "good"
    if score >= 3.6:
        return "fair", "warn"
    return ("poor", "warn") if score >= 3.1 else ("bad", "bad")


def limit_words(figures: CallFigures | None, *, mild: bool = False) -> list[str]:
    """Give why the call is not as good as it could be, the worst first; `mild`: what a person need not know too."""
    limits = figures.quality.limits if figures and figures.quality else ()
    return [limit.sentence for limit in limits if mild or not limit.is_mild]


def selected_ends(ice: IceSnapshot) -> tuple[CandidateInfo, CandidateInfo] | None:
    """Give the two candidates of the selected pair."""
    pair = ice.selected_pair()
    if pair is None or pair.local >= len(ice.local) or pair.remote >= len(ice.remote):
        return None
    return ice.local[pair.local], ice.remote[pair.remote]


def path_story(call: CallInfo | None, figures: CallFigures | None) -> Fact:
    """Say how the call's path came about: a title and one or two sentences."""
    if call is None:
        detail = "As soon as one starts, the ways it tries and the one it takes stand here."
        return Fact("No call yet", detail, "plain", "info")
    ice = figures.ice if figures else None
    if ice is None or (not ice.local and not ice.pairs):
        if call.end is not None:
            return Fact("No path was looked for", words.state_words(call), "warn", "info")
        detail = "The addresses at which this machine can be reached are being collected."
        return Fact("Looking at the network", detail, "plain", "info")
    if ice.state is IceState.DISABLED:
        detail = "The other phone has no ICE, so sound goes to the address it gave."
        return Fact("Plain, without checks", detail, "warn", "direct")
    ends = selected_ends(ice)
    if ice.state is IceState.FAILED and ends is None:
        sentence = (call.end.sentence if call.end else None) or "None of the pairs worked; a TURN server would help."
        return Fact("No way through", sentence, "bad", "warning")
    if ends is not None:
        return _found(ice, ends)
    if call.end is not None:
        return Fact("No path was chosen", words.state_words(call), "warn", "info")
    if ice.pairs:
        over = sum(pair.state in (PairState.SUCCEEDED, PairState.FAILED) for pair in ice.pairs)
        return Fact("Trying the ways", f"{over} of {len(ice.pairs)} pairs tried so far.", "plain", "info")
    count = len(ice.local)
    detail = f"{count} own address{'es' if count != 1 else ''} found so far; waiting for the other side's."
    return Fact("Looking at the network", detail, "plain", "info")


def _found(ice: IceSnapshot, ends: tuple[CandidateInfo, CandidateInfo]) -> Fact:
    if ice.state is IceState.INTERRUPTED:
        detail = "The other side has not been heard for a moment; the call waits for it."
        return Fact("Interrupted", detail, "bad", "warning")
    tried = sum(pair.checks_sent > 0 or pair.state in (PairState.SUCCEEDED, PairState.FAILED) for pair in ice.pairs)
    sentence = f"{tried} of {len(ice.pairs)} pairs tried" if len(ice.pairs) > 1 else "The only pair there was"
    if ice.connected_in_s is not None:
        sentence += f", found in {_short_time(ice.connected_in_s)}"
    sentence += "."
    if _relayed(ends):
        return Fact(_title(ends), sentence, "warn", "relayed")
    if _relay_stands_by(ice):
        sentence += " The relay stands by."
    return Fact(_title(ends), sentence, "good", "direct")


def _title(ends: tuple[CandidateInfo, CandidateInfo]) -> str:
    local, remote = ends
    if _relayed(ends):
        server = local.server if local.type is CandidateType.RELAY else None
        return f"Relayed through {server}" if server else "Relayed through the other side's server"
    translated = [end for end in ends if end.type is not CandidateType.HOST]
    if len(translated) == 2:
        return "Direct, through both NATs"
    if translated:
        return "Direct, through one NAT"
    return "Direct, on this machine" if local.address == remote.address else "Direct, on the same network"


def _relayed(ends: tuple[CandidateInfo, CandidateInfo]) -> bool:
    return any(end.type is CandidateType.RELAY for end in ends)


def _relay_stands_by(ice: IceSnapshot) -> bool:
    return any(
        pair.state is PairState.SUCCEEDED
        and not pair.selected
        and pair.local < len(ice.local)
        and ice.local[pair.local].type is CandidateType.RELAY
        for pair in ice.pairs
    )


def _short_time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def short_facts(figures: CallFigures | None) -> list[str]:
    """Give the path and the protection in one word each, where they are known."""
    said = []
    ice = figures.ice if figures else None
    ends = selected_ends(ice) if ice else None
    if ends is not None:
        said.append("relayed" if _relayed(ends) else "direct")
    media = figures.security.media if figures else None
    if media is not None:
        said.append("not encrypted" if media == "none" else "encrypted")
    return said


def is_talking(call: CallInfo | None) -> bool:
    return call is not None and call.state in _TALKING
