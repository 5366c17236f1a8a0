"""How long word of what was sent usually takes, and whether it is overdue, so that a queue must have begun to grow.

Judged like a retransmission timer (RFC 6298 section 2): by the mean of what was seen and its usual distance from that.
So a radio whose packets come unevenly is given its time, and a steady wire is suspected within a few milliseconds. The
first packets of pictures are judged apart: a peer that tells of them at once (`receive_side.py`) shows a queue sooner
than the word of other packets, which waits for that. Pure; seconds of one clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from app.media.sent_packets import PacketResult

SHARE = 0.05  # of what word took now goes into what it usually takes
SURE = 5  # so many must have been heard of
MOST_STEP = 1.5  # times the longest that is usual: what it takes longer while a queue grows must not be learned at once
WORD_DEVIATIONS, WORD_ROOM_S = 2.0, 0.015
MOST_BEYOND_S = 0.03  # is learned of word that usually takes longer; what takes more is a queue
PICTURE_DEVIATIONS, PICTURE_ROOM_S = 3.0, 0.004  # also of what a feedback leaves out
STEADY_S = 0.002  # the usual distance from the mean up to which what a feedback leaves out says anything
SUDDEN_S = 0.025  # a queue that is longer by so much than a feedback before
NO_QUEUE_S = 0.02  # one so short that it takes no feedback longer
FIRST_GAP_S = 0.05
MOST_GAP_S = 0.25
GAP_FADES = 0.97  # a feedback, of the longest wait for one …
GAP_RISES = 1.1  # … which a path that has just become narrow makes longer too
MOST_PICTURES = 64  # of which no word has come


@dataclass(slots=True)
class _Usual:
    """How long something takes: the mean, and the usual distance from it, which counts `learned_s` at most."""

    deviations: float
    room_s: float
    learned_s: float = float("inf")
    mean_s: float = 0.0
    deviation_s: float = 0.0
    count: int = 0

    @property
    def most_s(self) -> float | None:
        """What it seldom exceeds; None while too little is known."""
        if self.count < SURE:
            return None
        return self.room_s + min(self.learned_s, self.mean_s + self.deviations * self.deviation_s)

    def add(self, took_s: float) -> None:
        most_s = self.most_s
        if most_s is not None:
            took_s = min(took_s, MOST_STEP * most_s)
        took_s = max(0.0, took_s)
        share = max(SHARE, 1 / (self.count + 1))
        off_s = took_s - self.mean_s
        self.mean_s += share * off_s
        if self.count:
            self.deviation_s += share * (abs(off_s) - self.deviation_s)
        self.count += 1


class Word:
    """Of one transport. `gap_s` is the longest wait between feedbacks lately."""

    def __init__(self) -> None:
        self.gap_s = FIRST_GAP_S
        # What it takes beyond a round trip and the wait for feedback.
        self._beyond = _Usual(WORD_DEVIATIONS, WORD_ROOM_S, MOST_BEYOND_S)
        self._of_pictures = _Usual(PICTURE_DEVIATIONS, PICTURE_ROOM_S)
        self._pictures: deque[float] = deque(maxlen=MOST_PICTURES)  # when the first packets left that are not told of
        self._left_out = _Usual(PICTURE_DEVIATIONS, PICTURE_ROOM_S)  # the age of what feedback does not tell of yet
        self.is_behind = False  # the last feedback left out what would usually have been in it
        self._queue_before_s = 0.0
        self._queue_growth_s = 0.0  # from one feedback to the next, where it grows suddenly
        self._told_to: float | None = None  # the last arrival that feedback told of, on the peer's clock

    def picture_leaves(self, now: float) -> None:
        """The first packet of a picture leaves."""
        self._pictures.append(now)

    def heard(
        self,
        results: Sequence[PacketResult],
        fed_at: float | None,
        now: float,
        *,
        base_rtt_s: float,
        queue_s: float,
        standing_s: float,
        unheard_since: float | None,
    ) -> None:
        """Take a feedback; the one before came at `fed_at`, and of what left at `unheard_since` none has told yet.

        `queue_s` is the queue that the newest packet met, `standing_s` what the last ones met in the mean.
        """
        arrived = [(result.sent_at, result.arrived_at) for result in results if result.arrived_at is not None]
        told_to = max((arrived_at for _, arrived_at in arrived), default=None)
        growth_s, self._queue_before_s = queue_s - self._queue_before_s, queue_s
        self._queue_growth_s = growth_s if growth_s > SUDDEN_S else 0.0
        if fed_at is not None:
            # What it takes longer on a path that becomes narrow must not count, there or on the way back.
            gap_s = max(min(MOST_GAP_S, now - fed_at, self.gap_s * GAP_RISES), self.gap_s * GAP_FADES)
            if told_to is not None and self._told_to is not None and queue_s < NO_QUEUE_S:
                gap_s = max(gap_s, min(MOST_GAP_S, told_to - self._told_to))
            self.gap_s = gap_s
        self._told_to = told_to if told_to is not None else self._told_to
        if not arrived:
            return
        # What a queue takes is no part of what is usual: when it has gone, the next one must be seen as soon, and who
        # shares a wire must go on giving way.
        self._beyond.add(now - min(arrived)[0] - standing_s - base_rtt_s - self.gap_s)
        self._judge_left_out(now, unheard_since, standing_s)
        newest, first = max(arrived)[0], None
        while self._pictures and self._pictures[0] <= newest:
            sent_at = self._pictures.popleft()
            first = sent_at if first is None else first
        if first is not None:
            self._of_pictures.add(now - first - standing_s)

    def _judge_left_out(self, now: float, unheard_since: float | None, standing_s: float) -> None:
        """A feedback has just come, so what it leaves out did not wait for one: the path keeps it longer.

        Where packets come unevenly, one of many that is late says nothing of a queue, and nothing is judged.
        """
        self.is_behind = False
        if unheard_since is not None:
            age_s, most_s = now - unheard_since, self._left_out.most_s
            is_steady = self._left_out.deviation_s <= STEADY_S
            self.is_behind = is_steady and most_s is not None and age_s > most_s
            self._left_out.add(age_s - standing_s)

    def overdue_s(self, unheard_since: float, base_rtt_s: float, now: float) -> float:
        """By how much word is overdue of what left at `unheard_since` or later; 0 when it is not."""
        most_s = base_rtt_s + self.gap_s + (self._beyond.most_s or WORD_ROOM_S)
        # A queue that was seen to grow has grown on since then.
        return max(0.0, now - unheard_since + self._queue_growth_s - most_s)

    def is_picture_overdue(self, now: float) -> bool:
        """Whether word of a picture's beginning is, sooner than of the rest."""
        most_s = self._of_pictures.most_s
        return most_s is not None and bool(self._pictures) and now - self._pictures[0] > most_s
