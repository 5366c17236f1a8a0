"""Devices tried out, as the window asks for it: opened once, and closed whenever that is asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from app.engine import devices
from app.engine.devices import EngineDevices
from app.events import DeviceInfo, TrialChanged
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


async def test_a_list_that_never_comes_keeps_nothing_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks is told so, no thread of others is taken, and the engine closes."""
    asked, release = threading.Semaphore(0), threading.Event()

    def hang() -> devices.Found:
        asked.release()
        assert release.wait(60)
        return (), ()

    monkeypatch.setattr(devices, "_read_devices", hang)
    monkeypatch.setattr(devices, "READ_LIMIT_S", 0.05)
    engine = EngineDevices(lambda event: None)
    try:
        engine.watch()
        for found in await asyncio.gather(*(engine.read() for _ in range(20))):
            assert found == ((), (devices.NO_ANSWER,))
        assert asked.acquire(timeout=8)
        assert not asked.acquire(blocking=False)
        assert await asyncio.to_thread(threading.current_thread) is not None
        await engine.close()
    finally:
        release.set()


async def test_who_asks_for_the_list_gets_one_that_was_read_since(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, go_on = threading.Semaphore(0), threading.Semaphore(0)
    names = iter(("before", "after"))

    def read() -> devices.Found:
        name = next(names)
        reading.release()
        assert go_on.acquire(timeout=8)
        return (DeviceInfo("microphone", name, is_default=True),), ()

    monkeypatch.setattr(devices, "_read_devices", read)
    engine = EngineDevices(lambda event: None)
    first = asyncio.ensure_future(engine.list())
    await asyncio.to_thread(reading.acquire)
    others = [asyncio.ensure_future(engine.list()) for _ in range(3)]
    await asyncio.sleep(0)
    go_on.release(2)
    assert [device.name for device in await first] == ["before"]
    assert {device.name for found in await asyncio.gather(*others) for device in found} == {"after"}
    await engine.close()
