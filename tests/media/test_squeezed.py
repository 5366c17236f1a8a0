"""Calls both ways over a wire that is squeezed under them, on a virtual clock: queue, sound, picture, and the way back.

What can be had at best: whoever sends R into a wire that has become C wide hears of it after a round trip at the
earliest, and by then (R - C) / C round trips of queue stand there: 116 ms for 1.17 Mbit/s, 300 kbit/s and 40 ms.
"""

from __future__ import annotations

import pytest

from tests.media.squeeze_lab import Squeeze, squeezed


@pytest.mark.parametrize(
    ("wide", "narrow", "delay_s", "seed", "one_way", "most_s"),
    [
        (2_000_000, 300_000, 0.02, 1, False, 0.20),
        (2_000_000, 300_000, 0.02, 13, True, 0.20),
        (2_000_000, 300_000, 0.02, 3, True, 0.26),
        (1_000_000, 300_000, 0.02, 4, False, 0.25),
        (2_000_000, 300_000, 0.05, 5, False, 0.38),
        (2_000_000, 300_000, 0.10, 6, False, 0.48),
    ],
)
def test_a_squeeze_lets_little_more_wait_than_was_on_its_way(
    wide: float, narrow: float, delay_s: float, seed: int, one_way: bool, most_s: float
) -> None:
    fared = squeezed(wide, narrow, delay_s=delay_s, seed=seed, one_way=one_way)
    assert fared.before_bps > 0.7 * min(wide, 1_100_000)
    assert fared.peak_s < most_s
    assert fared.later_s < 0.2
    assert fared.quiet_ms <= 60
    assert fared.down_s <= 0.5
    assert 0.7 * narrow < fared.narrow_bps < narrow
    assert fared.still_s < 1.2


def test_what_was_squeezed_is_used_again_without_a_queue() -> None:
    fared = squeezed(seed=2, narrow_s=6.0, after_s=16.0)
    assert fared.up_s is not None
    assert fared.up_s <= 15
    assert fared.up_peak_s < 0.06


def test_no_word_breaks_off_while_pictures_leave_and_come_back() -> None:
    lab = Squeeze(wide=300_000)
    lab.run(4)
    lab.change(70_000)
    lab.run(10)
    assert all(call.side.figures(10).paused for call in lab.calls)
    assert lab.call.worst_sound(6, 10) < 0.3
    lab.change(600_000)
    lab.run(18)
    assert not lab.call.side.figures(18).paused
    assert lab.call.rate(16, 18, pictures=True) > 200_000
    assert lab.call.sound.quiet_ms(3.5, 18) <= 60


@pytest.mark.parametrize("every_s", [1.0, 5.0])
def test_a_peer_with_receiver_reports_alone_is_not_sent_a_standing_queue(every_s: float) -> None:
    """Its reports come seldom and behind the queue; what they say must be enough to be rid of it."""
    lab = Squeeze(one_way=True)
    for call in lab.calls:
        call.goes_by_reports(every_s)
    lab.run(12)
    assert lab.call.rate(9, 12) > 900_000
    lab.change(300_000)
    lab.run(30)
    assert lab.there.longest_wait(24, 30) < 0.5
    assert lab.call.rate(24, 30, pictures=False) > 40_000
    lab.change(2_000_000)
    lab.run(42)
    assert lab.call.rate(40, 42) > 1.3 * lab.call.rate(27, 30)
