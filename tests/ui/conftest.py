"""A window for tests, with Qt and asyncio on one loop as in the program."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from qasync import QEventLoop

from app.events import EngineStarted, RegistrationChanged, RegistrationState
from tests.ui.portal import a_session_bus
from tests.ui.recorder import Recorder
from ui.bridge import EngineBridge
from ui.context import Context
from ui.main_window import MainWindow
from ui.theme.manager import Theme

Tell = Callable[..., None]


@pytest.fixture(scope="session")
def _loop(qapp: QApplication) -> Iterator[QEventLoop]:
    loop = QEventLoop(qapp, already_running=True)
    asyncio.events._set_running_loop(None)
    yield loop
    asyncio.events._set_running_loop(None)
    loop.stop()
    loop.close()


@pytest.fixture
def qt_loop(_loop: QEventLoop) -> Iterator[QEventLoop]:
    """Make the loop the running one, as it is in the program; other tests of this process have their own."""
    asyncio.events._set_running_loop(_loop)
    yield _loop
    asyncio.events._set_running_loop(None)


@pytest.fixture(scope="session")
def theme(qapp: QApplication) -> Theme:
    return Theme(qapp)


@pytest.fixture
def engine() -> Recorder:
    return Recorder()


@pytest.fixture
def context(qt_loop: QEventLoop, theme: Theme, engine: Recorder, qtbot: QtBot) -> Iterator[Context]:
    bridge = EngineBridge()
    made = Context(theme, bridge)
    made.attach(engine)  # type: ignore[arg-type]
    yield made
    bridge.close()
    closing = qt_loop.create_task(made.tasks.close())
    qtbot.waitUntil(closing.done)


@pytest.fixture
def tell(context: Context, qtbot: QtBot) -> Tell:
    """Publish events as the engine does and wait until the window has them."""

    def publish(*events: Any) -> None:
        for event in events:
            context.bridge.publish(event)
        qtbot.waitUntil(lambda: not context.bridge.waiting)

    return publish


@pytest.fixture
def window(context: Context, tell: Tell, qtbot: QtBot) -> Iterator[MainWindow]:
    made = MainWindow(context)
    qtbot.addWidget(made)
    made.show()
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)  # shortcuts go to the active window only
    tell(
        EngineStarted(0.5, "/tmp/profile"),
        RegistrationChanged("", RegistrationState.NONE, own_uri="sip:ada@192.168.1.10"),
    )
    yield made
    made.incoming.close()
    made.call.let_go()


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the test a session bus of its own."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("needs dbus-daemon")
    with a_session_bus() as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let pass what the off-screen platform itself cannot do; any other warning of Qt fails its test."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.qt_log_ignore("This plugin does not support", extend=True))
