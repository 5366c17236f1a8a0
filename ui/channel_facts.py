"""What is said of a channel in the diagnostics pane: how it is carried and how good it is. Knows nothing of Qt."""

from __future__ import annotations

from app.events import Carrier, ChannelFigures, ChannelInfo
from ui import words
from ui.facts import Fact

_CARRIERS = {
    Carrier.NONE: "Connected",
    Carrier.MULTICAST: "Multicast",
    Carrier.RALLYPOINT: "Rallypoint",
}
_ICONS = {Carrier.NONE: "direct", Carrier.MULTICAST: "direct", Carrier.RALLYPOINT: "relayed"}
_TONES = {"ideal": "good", "acceptable": "plain", "not acceptable": "bad"}


def how_it_is(channel: ChannelInfo, figures: ChannelFigures | None) -> Fact:
    """Say what carries a channel and how good that is; the link in a sentence, the grade with what it is due to."""
    link = channel.link
    if not channel.joined:
        return Fact("Not joined", "Nothing of this channel is heard or sent here.", "plain", "volume-off")
    if not link.up:
        return Fact("Not connected", link.words, "bad", "warning")
    title = _CARRIERS[link.carrier]
    if link.carrier is Carrier.RALLYPOINT and link.rtt_s is not None:
        title += f" · {words.seconds(link.rtt_s)}"
    grade = figures.grade if figures is not None else ""
    word = grade.partition(":")[0].rstrip(".").lower()
    tone = _TONES.get(word, "plain")
    if word:
        title += f" · {word}"
    if link.limited:
        tone = "bad" if tone == "bad" else "warn"
    icon = "warning" if tone in ("warn", "bad") else _ICONS[link.carrier]
    detail = f"{link.words} {grade}" if grade and word != "ideal" else link.words
    return Fact(title, detail, tone, icon)


def refused_words(count: int) -> str:
    """Say what became of packets that were not played, "" where there are none."""
    if not count:
        return ""
    packets = "1 packet was" if count == 1 else f"{count} packets were"
    return f"{packets} refused: not sealed with this channel's key, not understood, or played before."


def cost_words(figures: ChannelFigures | None) -> tuple[str, str]:
    """Give what one talker costs by the formula and what the wire carries now, in kb/s."""
    if figures is None:
        return "–", "–"
    measured = figures.measured_bps
    return _rate(figures.cost_bps), "–" if measured is None else _rate(measured)


def _rate(bits_per_second: int) -> str:
    return words.rate(bits_per_second) if bits_per_second >= 100_000 else f"{bits_per_second / 1_000:.1f} kb/s"
