"""How long a picture stands still where packets are lost: whole sessions on a virtual clock, so the same each time.

`make bench` looks at many more of them (tests/bench/test_video_path.py).
"""

from __future__ import annotations

import pytest

from tests.media.lossy_call import LossyWire, watch


@pytest.mark.parametrize("seed", [0, 62])
def test_at_five_percent_no_picture_stands_still_for_long(seed: int) -> None:
    watched = watch(LossyWire(0.05, loss=0.05), seed)
    assert watched.longest_s < 0.4
    assert not watched.broken


def test_after_a_moment_in_which_nothing_came_through_the_picture_goes_on_at_once() -> None:
    """What was sent last is lost, and the feedback about it: nothing that arrives would make the sender go on."""
    watched = watch(LossyWire(0.02, cut_s=0.3), 1, seconds=2.0)
    assert 0.3 < watched.longest_s < 0.6


def test_packets_and_feedback_lost_together_do_not_stop_the_sender() -> None:
    assert watch(LossyWire(0.05, loss=0.10), 50, seconds=5.0).longest_s < 0.5
