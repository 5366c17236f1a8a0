"""Two ICE agents on any network, as many networks as the profile gives: see tests/ice/agreement.py."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.ice.agreement import WORLDS, World, assert_agreement, run


@pytest.mark.timeout(0)
@settings(
    max_examples=min(settings.default.max_examples, 4000), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(WORLDS)
def test_both_sides_agree_on_one_pair_or_have_none(world: World) -> None:
    assert_agreement(world, *run(world))
