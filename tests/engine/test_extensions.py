"""What the endpoint announces of itself follows the settings."""

from __future__ import annotations

from dataclasses import replace

from app.engine.kept import endpoint_facts
from app.settings import NetworkSettings, Settings, TrickleMode
from app.sip.config import extensions


def test_without_trickle_no_word_of_it() -> None:
    assert extensions(trickle=True) == ("100rel", "ice", "trickle-ice")
    assert extensions(trickle=False) == ("100rel", "ice")


def test_turning_it_off_needs_another_endpoint_and_choosing_when_does_not() -> None:
    def facts(mode: TrickleMode) -> tuple[object, ...]:
        return endpoint_facts(replace(Settings(), network=NetworkSettings(trickle=mode)))

    assert facts(TrickleMode.AUTO) == facts(TrickleMode.ALWAYS) != facts(TrickleMode.OFF)
