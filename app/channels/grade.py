"""How good a channel is, from delay, jitter and loss: three thresholds, and the worst of them counts. Pure.

The thresholds are those of the architecture guide's required network quality (docs/channels-packets.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

PLANNED_KBPS_A_USER = 64  # what a network is planned for


class Grade(IntEnum):
    """Greater is worse."""

    IDEAL = 0
    ACCEPTABLE = 1
    UNACCEPTABLE = 2


@dataclass(frozen=True, slots=True)
class Threshold:
    """Up to `ideal` is ideal (`ideal` itself only where it is 0), below `acceptable` is acceptable."""

    name: str
    unit: str
    ideal: float
    acceptable: float

    def grade(self, value: float) -> Grade:
        if value < self.ideal or value <= 0:
            return Grade.IDEAL
        return Grade.ACCEPTABLE if value < self.acceptable else Grade.UNACCEPTABLE


DELAY = Threshold("delay", "ms", 40.0, 250.0)
JITTER = Threshold("jitter", "ms", 5.0, 30.0)
LOSS = Threshold("loss", "%", 0.0, 2.0)


@dataclass(frozen=True, slots=True)
class ChannelGrade:
    """The grade, and one sentence that names what it is due to."""

    grade: Grade
    words: str


def grade_channel(
    *, delay_ms: float | None = None, jitter_ms: float | None = None, loss_percent: float | None = None
) -> ChannelGrade | None:
    """Grade what was measured, one way; None: nothing was."""
    measured = [
        (limit.grade(value), value / limit.acceptable, limit, value)
        for limit, value in ((DELAY, delay_ms), (JITTER, jitter_ms), (LOSS, loss_percent))
        if value is not None
    ]
    if not measured:
        return None
    grade, _, limit, value = max(measured, key=lambda each: each[:2])
    if grade is Grade.IDEAL:
        return ChannelGrade(grade, "Ideal.")
    figure = f"{limit.name} of {_number(value)} {limit.unit}"
    if grade is Grade.ACCEPTABLE:
        wanted = f"below {_number(limit.ideal)} {limit.unit}" if limit.ideal else "none"
        return ChannelGrade(grade, f"Acceptable: a {figure}; {wanted} would be ideal.")
    return ChannelGrade(
        grade, f"Not acceptable: a {figure}; it has to be below {_number(limit.acceptable)} {limit.unit}."
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:.0f}"
