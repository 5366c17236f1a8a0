"""What a peer lost, whatever the distance of its reports."""

from __future__ import annotations

import random

import pytest

from app.media.peer_loss import LEAST_S, PeerLoss
from app.media.rtcp import Report

FIRST = 30_000


class Peer:
    """Counts as RFC 3550 appendix A.3 says, and may report whenever a packet is missing."""

    def __init__(self, every_s: float, *, at_loss: bool) -> None:
        self._every_s, self._at_loss = every_s, at_loss
        self._due = every_s
        self.highest, self.lost = FIRST - 1, 0
        self._before = FIRST - 1, 0
        self.fractions: list[float] = []

    def packet(self, is_lost: bool, now: float) -> Report | None:
        self.highest += 1
        self.lost += is_lost
        if now < self._due and not (is_lost and self._at_loss):
            return None
        self._due = now + self._every_s
        return self.report()

    def report(self) -> Report:
        expected, lost = self.highest - self._before[0], self.lost - self._before[1]
        self._before = self.highest, self.lost
        fraction = min(255, lost * 256 // max(1, expected))
        self.fractions.append(fraction / 256)
        return Report(1, fraction, self.lost, self.highest, 0, 0, 0)


@pytest.mark.parametrize("packets_a_second", [50, 300])
@pytest.mark.parametrize("at_loss", [True, False])
def test_a_report_with_every_question_makes_no_loss_that_is_not_there(packets_a_second: int, at_loss: bool) -> None:
    peer, loss, dice = Peer(1.0, at_loss=at_loss), PeerLoss(FIRST), random.Random(4)
    judged: list[tuple[float, float]] = []
    for number in range(60 * packets_a_second):
        now = number / packets_a_second
        report = peer.packet(dice.random() < 0.05, now)
        share = loss.heard(report, now) if report is not None else None
        judged += [(now, share)] if share is not None else []
    shares = [share for _, share in judged]
    assert not at_loss or max(peer.fractions) > 0.3  # what is said of a few packets
    assert max(shares) < 0.2
    assert sum(shares) / len(shares) == pytest.approx(0.05, abs=0.015)
    assert 40 < len(judged) <= 60 / LEAST_S + 1
    assert loss.share == shares[-1]


def test_few_packets_say_little_and_none_say_nothing() -> None:
    peer, loss = Peer(1.0, at_loss=True), PeerLoss(FIRST)
    peer.packet(True, 0.0)
    assert loss.heard(peer.report(), 0.0) == pytest.approx(1 / 20)
    assert loss.heard(peer.report(), 1.0) == 0.0


def test_a_peer_that_counts_anew_or_was_overtaken_is_not_taken_at_its_word() -> None:
    loss = PeerLoss(FIRST)
    assert loss.heard(Report(1, 0, 0, FIRST + 99, 0, 0, 0), 1.0) == 0.0
    assert loss.heard(Report(1, 255, 9_000, FIRST + 0x5_0000, 0, 0, 0), 2.0) is None
    assert loss.heard(Report(1, 0, 9_010, FIRST + 0x5_0064, 0, 0, 0), 3.0) == pytest.approx(0.1)
    assert loss.heard(Report(1, 0, 9_005, FIRST + 0x5_0032, 0, 0, 0), 3.1) is None
    assert loss.heard(Report(1, 0, 9_005, FIRST + 0x5_00C8, 0, 0, 0), 4.0) == 0.0


def test_what_came_twice_is_no_loss_below_none() -> None:
    loss = PeerLoss(FIRST)
    loss.heard(Report(1, 0, 5, FIRST + 49, 0, 0, 0), 1.0)
    assert loss.heard(Report(1, 0, -3, FIRST + 99, 0, 0, 0), 2.0) == 0.0
    assert loss.heard(Report(1, 0, 7, FIRST + 149, 0, 0, 0), 3.0) == pytest.approx(0.2)
