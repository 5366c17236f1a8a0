"""Runs the program with its window: Qt and asyncio on the main thread, the engine beside, and a clean end.

The window is shown before the engine is even imported, so that it is there at once; the engine follows in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from PySide6.QtCore import QEvent, QObject, QSocketNotifier, QUrl, Signal
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication
from qasync import QEventLoop

from app.mission_links import names_mission
from app.settings import Settings
from ui.bridge import EngineBridge
from ui.context import Context
from ui.main_window import MainWindow
from ui.mission_sources import from_argument
from ui.single_instance import SingleInstance
from ui.tasks import UNEXPECTED
from ui.theme.manager import Theme
from ui.window_place import WindowPlace

if TYPE_CHECKING:
    from app.engine.facade import Engine

T = TypeVar("T")
log = logging.getLogger(__name__)

_CLOSE_LIMIT_S = 12.0


def run(
    *,
    target: str | None = None,
    mission: str | None = None,
    profile: Path | None = None,
    adjust: Callable[[Settings], Settings] | None = None,
    passwords: dict[str, str] | None = None,
    started_at: float | None = None,
) -> int:
    """Open the window and stay until it is closed; gives the exit code. `target` is dialled, `mission` is shown."""
    if not has_display():
        print("parley: there is no display to open a window on; `parley call echo` works without one.", file=sys.stderr)
        return 1
    app = QApplication.instance() or make_application()
    assert isinstance(app, Application)
    instance = SingleInstance(profile)
    taken = instance.hand_over(target, mission)
    if taken is not None:
        if not taken:
            print("parley: another Parley runs with this profile but does not answer; end it first.", file=sys.stderr)
        return 0 if taken else 1
    instance.listen()
    loop = QEventLoop(app)
    asyncio.set_event_loop(loop)
    try:
        session = Session(app, instance, profile, adjust, passwords or {})
        loop.run_until_complete(session.run(target, started_at, mission))
    finally:
        instance.close()
        loop.close()
        asyncio.set_event_loop(None)
        # Not left to the end of the process (app.__main__.leave): it hands over what was copied to the clipboard.
        app.shutdown()
    return 0


def has_display() -> bool:
    """Tell whether Qt can open a window here; it ends the program itself where it cannot."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Application(QApplication):
    """The one application object. `asked` and `opening` are those of `SingleInstance`: macOS tells a program that runs
    of a file or a link by an event, where other systems start it once more.
    """

    asked = Signal(str)
    opening = Signal(str)

    def event(self, event: QEvent) -> bool:
        if not isinstance(event, QFileOpenEvent):
            return super().event(event)
        file = event.file()
        said = file or event.url().toString(QUrl.ComponentFormattingOption.FullyEncoded)
        (self.opening if file or names_mission(said) else self.asked).emit(said)
        return True


def make_application() -> Application:
    """Make the one QApplication with the names that desktops show."""
    QApplication.setApplicationName("Parley")
    QApplication.setApplicationDisplayName("Parley")
    QApplication.setDesktopFileName("parley")
    app = Application(["parley"])
    app.setQuitOnLastWindowClosed(False)
    return app


class Session:
    """One run of the program: its window, its engine, and the order in which they end."""

    def __init__(
        self,
        app: Application,
        instance: SingleInstance,
        profile: Path | None,
        adjust: Callable[[Settings], Settings] | None,
        passwords: dict[str, str],
    ) -> None:
        self._profile, self._adjust, self._passwords = profile, adjust, passwords
        self.bridge = EngineBridge()
        self.context = Context(Theme(app), self.bridge)
        self.window = MainWindow(self.context)
        self._place = WindowPlace(profile)
        self._place.restore(self.window)
        self.engine: Engine | None = None
        self._ended: asyncio.Future[None] = asyncio.get_event_loop().create_future()
        self._pending: list[str] = []
        self._ready = False
        self.window.closed.connect(self._closed)
        self._sources = (instance, app)
        for source in self._sources:
            source.asked.connect(self._asked)
            source.opening.connect(self._opening)

    async def run(self, target: str | None, started_at: float | None, mission: str | None = None) -> None:
        """Show the window, bring the engine, wait for the end, and take everything down."""
        with _Hooks(self), _QuitSignals(self.end):
            self.window.show()
            if started_at is not None:
                log.info("window shown after %.3f s", time.monotonic() - started_at)
            if target:
                self._pending.append(target)
            self.context.tasks.start(self._bring_engine(mission))
            try:
                await self._ended
            finally:
                await self._take_down()

    def _closed(self) -> None:
        self._place.keep(self.window)
        self.end()

    def end(self) -> None:
        """End the program; may be called more than once."""
        if not self._ended.done():
            self._ended.set_result(None)

    async def _bring_engine(self, mission: str | None) -> None:
        # Let the window paint before the interpreter is busy with imports.
        await asyncio.sleep(0.05)
        engine = await _beside(self._make_engine)
        self.engine = engine
        engine.start()
        self.context.attach(engine)
        await engine.opened()
        self._ready = True
        for target in self._pending:
            self.context.place(target)
        self._pending.clear()
        if mission is not None:
            self.window.open_mission(from_argument(mission))

    def _make_engine(self) -> Engine:
        from app.engine.facade import Engine
        from app.engine.options import EngineOptions

        options = EngineOptions(profile=self._profile, alone=True, passwords=dict(self._passwords))
        if self._adjust is not None:
            options = replace(options, adjust=self._adjust)
        return Engine(options, self.bridge.publish)

    async def _take_down(self) -> None:
        if self.window.isVisible():
            self._place.keep(self.window)
        for source in self._sources:
            source.asked.disconnect(self._asked)
            source.opening.disconnect(self._opening)
        self.window.hide()
        self.window.call.let_go()
        self.context.talk_key.close()
        self.bridge.close()
        await self.context.tasks.close()
        if self.engine is not None:
            try:
                await asyncio.wait_for(self.engine.close(), _CLOSE_LIMIT_S)
            except TimeoutError:
                log.warning("the engine did not end within %.0f s", _CLOSE_LIMIT_S)
        self.window.deleteLater()

    def _asked(self, target: str) -> None:
        """A later start handed over what it was given."""
        self.window.come_forward()
        if not target:
            return
        if self._ready:
            self.context.place(target)
        else:
            self._pending = [*self._pending, target][-4:]

    def _opening(self, mission: str) -> None:
        """A later start, or the system, handed over a mission: show what is in it."""
        self.window.come_forward()
        self.window.open_mission(from_argument(mission))

    def unexpected(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Log what nobody foresaw and say one sentence."""
        log.error("unexpected failure in the window", exc_info=(kind, error, trace))
        if not self._ended.done():
            self.context.say(UNEXPECTED, "bad")


async def _beside(work: Callable[[], T]) -> T:
    """Do it in a thread that the end of the program does not wait for, unlike the loop's own."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            made = work()
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(made)

    threading.Thread(target=run, name="begin", daemon=True).start()
    return await asyncio.wrap_future(done)


class _Hooks:
    """Routes every exception that nobody caught to the session while it runs."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        self._before = sys.excepthook
        sys.excepthook = self._hook
        asyncio.get_running_loop().set_exception_handler(self._loop_failed)

    def __exit__(self, *details: object) -> None:
        sys.excepthook = self._before

    def _hook(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            self._session.end()
        else:
            self._session.unexpected(kind, error, trace)

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, details: dict[str, Any]) -> None:
        error = details.get("exception")
        if isinstance(error, Exception):
            self._session.unexpected(type(error), error, error.__traceback__)
        else:
            log.warning("event loop: %s", details.get("message"))


class _QuitSignals(QObject):
    """Ends the program on Ctrl+C and on a polite kill, without polling: the signal wakes Qt through a socket."""

    def __init__(self, end: Callable[[], None]) -> None:
        super().__init__()
        self._end = end
        self._read, self._write = socket.socketpair()
        for side in (self._read, self._write):
            side.setblocking(False)
        self._notifier = QSocketNotifier(self._read.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._woken)
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, lambda number, frame: self._end())
        self._wakeup = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)

    def __exit__(self, *details: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._notifier.setEnabled(False)
        self._read.close()
        self._write.close()

    def _woken(self) -> None:
        self._read.recv(64)  # the handler itself runs as soon as Python code does
