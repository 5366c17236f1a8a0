"""As many damaged inputs as there is time for: FUZZ_INPUTS in all, shared evenly by the targets.

Without the variable 60,000 (some seconds), with the long profile of `make fuzz` a million; FUZZ_INPUTS=10000000 is what
a release has seen. FUZZ_SEED chooses other inputs; a failure names seed and number, which bring it back.
"""

from __future__ import annotations

import os

import pytest

from tests.fuzz.agent import AgentTarget
from tests.fuzz.long_run import fuzz
from tests.fuzz.media import CallTarget
from tests.fuzz.missions import MissionTarget
from tests.fuzz.targets import CandidateTarget, FragmentTarget, StreamTarget, StunTarget, TurnClientTarget
from tests.fuzz.timeline import TimelineTarget
from tests.fuzz.turn_server import TurnServerTarget

TARGETS = (
    *(StunTarget, StreamTarget, TurnServerTarget, TurnClientTarget, CandidateTarget, FragmentTarget, AgentTarget),
    *(CallTarget, MissionTarget, TimelineTarget),
)
_DEFAULT = 1_000_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 60_000
INPUTS = int(os.environ.get("FUZZ_INPUTS", _DEFAULT))
SEED = int(os.environ.get("FUZZ_SEED", "1"))


@pytest.mark.timeout(0)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_damaged_input_neither_crashes_nor_grows(target: type, capsys: pytest.CaptureFixture[str]) -> None:
    figures = fuzz(target, max(INPUTS // len(TARGETS), 1), SEED)
    with capsys.disabled():
        print(f"\n{figures}")
