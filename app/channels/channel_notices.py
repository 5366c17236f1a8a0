"""What a joined channel says of itself beside the key: who is not heard, and why. Pure: times are handed in."""

from __future__ import annotations

from collections.abc import Sequence

from app.channels.errors import AgeError, PacketError
from app.channels.packet import ChannelPacket
from app.channels.talkers import Talker
from app.channels.talking import NOTICE_S, duration_words


class ChannelNotices:
    """One channel's. `longest_s`: as long as the mission lets anybody be heard."""

    def __init__(self, longest_s: float | None) -> None:
        self._longest_s = longest_s
        self._overlong = ""
        self._aged = ""
        self._aged_name = ""
        self._aged_until = 0.0

    @property
    def words(self) -> str:
        """One sentence, or ""."""
        return self._overlong or self._aged

    def aged(self, error: AgeError, now: float) -> bool:
        """Learn of a datagram that was refused for its age; gives whether that says something new."""
        try:
            header = ChannelPacket.parse(error.datagram).header
        except PacketError:
            header = None
        if header is not None and header.alias:
            self._aged_name = header.alias  # not in each packet
        before, self._aged_until = self._aged, now + NOTICE_S
        self._aged = f"{self._aged_name or 'Somebody'} is not heard: {age_words(error)}."
        return self._aged != before

    def look(self, overlong: Sequence[Talker], now: float) -> bool:
        """Learn who talks for too long, and what the time is; gives whether something else is said now."""
        before = self.words
        self._overlong = _overlong_words(overlong, self._longest_s)
        if now >= self._aged_until:
            self._aged = self._aged_name = ""
        return self.words != before

    def next_timeout(self) -> float | None:
        """Tell when `look` says something else for the time alone."""
        return self._aged_until if self._aged else None


def _overlong_words(talkers: Sequence[Talker], longest_s: float | None) -> str:
    if not talkers or longest_s is None:
        return ""
    name = talkers[0].alias or "Somebody"
    others = f" and {len(talkers) - 1} more talk" if len(talkers) > 1 else " talks"
    return f"{name}{others} on, and nobody is heard on this channel for more than {duration_words(longest_s)}."


def age_words(error: AgeError) -> str:
    """Say in a clause why what was sealed at another time is not taken."""
    how_far = _far(abs(error.behind_s))
    if error.behind_s < 0:
        return f"their clock is {how_far} ahead of this machine's"
    return f"their clock is {how_far} behind this machine's, or it is a recording"


def _far(seconds: float) -> str:
    for unit_s, unit in ((86_400, "days"), (3_600, "hours")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"
