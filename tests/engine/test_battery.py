"""What a machine tells of its battery."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from app.channels.presence import Power
from app.engine.battery import Source, read_power


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (None, None),
        (SimpleNamespace(percent=81.6, power_plugged=False), Power(Source.BATTERY, 0, 82)),
        (SimpleNamespace(percent=100.4, power_plugged=True), Power(Source.MAINS, 0, 100)),
        (SimpleNamespace(percent=40, power_plugged=None), Power(Source.BATTERY, 0, 40)),
    ],
)
def test_the_battery_is_told_where_there_is_one(
    found: object, told: Power | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "sensors_battery", lambda: found)
    assert read_power() == told


def test_a_driver_that_fails_is_no_battery(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("no such device")

    monkeypatch.setattr(psutil, "sensors_battery", fail)
    assert read_power() is None
