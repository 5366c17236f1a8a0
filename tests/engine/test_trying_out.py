"""Devices tried out, as the window asks for it: opened once, and closed whenever that is asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from app.engine import devices
from app.engine.devices import EngineDevices
from app.events import TrialChanged
from app.frames import FrameMailbox
from app.settings import MediaSettings


class Trial:
    """Stands for DeviceTrial; is made when the test lets it."""

    made: list[Trial]

    def __init__(self, picture: FrameMailbox) -> None:
        assert Trial.may_be_made.wait(8)
        Trial.made.append(self)
        self.is_open = False

    may_be_made = threading.Event()

    def use(self, media: MediaSettings, *, camera: bool) -> None:
        self.is_open = True

    def state(self) -> TrialChanged:
        return TrialChanged()

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    Trial.made = []
    Trial.may_be_made.clear()
    monkeypatch.setattr(devices, "_new_trial", Trial)


def after(asked: Callable[[EngineDevices], list[asyncio.Task[None]]]) -> list[Trial]:
    """Ask while the trial is being made; give the trials that there were."""

    async def run() -> None:
        engine = EngineDevices(lambda event: None)
        tasks = asked(engine)
        await asyncio.sleep(0)
        Trial.may_be_made.set()
        await asyncio.gather(*tasks)
        made = list(Trial.made)
        opened.extend(trial for trial in made if trial.is_open)
        await engine.close()

    opened: list[Trial] = []
    asyncio.run(run())
    assert not any(trial.is_open for trial in Trial.made)
    return opened


def test_a_dialog_that_closes_while_its_devices_open_leaves_none_open(slow: None) -> None:
    def asked(engine: EngineDevices) -> list[asyncio.Task[None]]:
        first = asyncio.ensure_future(engine.try_out(MediaSettings(), camera=True))
        return [first, asyncio.ensure_future(engine.stop_trial())]

    assert after(asked) == []


def test_what_is_asked_twice_opens_once(slow: None) -> None:
    def asked(engine: EngineDevices) -> list[asyncio.Task[None]]:
        return [asyncio.ensure_future(engine.try_out(MediaSettings(), camera=camera)) for camera in (True, False)]

    assert len(after(asked)) == 1
    assert len(Trial.made) == 1
