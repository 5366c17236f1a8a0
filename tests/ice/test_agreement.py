"""Whatever the network, two agents agree on one pair or both have none. The long form is in tests/fuzz."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.ice.agreement import WORLDS, World, assert_agreement, run


@pytest.mark.timeout(300)  # it computes, and waits for nothing: a busy machine only takes longer
@settings(
    max_examples=60, deadline=None, phases=[Phase.reuse, Phase.generate], suppress_health_check=[HealthCheck.too_slow]
)
@given(WORLDS)
def test_both_sides_agree_on_one_pair_or_have_none(world: World) -> None:
    assert_agreement(world, *run(world))
