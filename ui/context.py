"""What every panel is given: the engine, the calls, the theme, the tasks, and a way to say a sentence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from PySide6.QtCore import QObject, Signal

from app.engine.errors import EngineError
from app.engine.mission_pins import PinTries
from app.events import CallState, DevicesChanged, HomeChanged, RegistrationChanged
from ui.bridge import EngineBridge
from ui.models.calls import CallBook
from ui.models.channels import ChannelBook
from ui.talk_key import TalkKey
from ui.tasks import TaskOwner
from ui.theme.manager import Theme

if TYPE_CHECKING:
    from app.engine.facade import Engine

T = TypeVar("T")

EXPECT_AGAIN_S = 30.0  # while somebody goes on typing; what was gathered is kept longer than that


class Context(QObject):
    """Shared by the panels of one window. `engine` is None for the first moments of the program."""

    said = Signal(str, str)  # sentence, tone: something a person should read now
    kept = Signal(str, str)  # sentence and file: something was written that a person may want to look at
    not_placed = Signal(str)  # what was to be called, when it cannot be: the sentence is said by then
    engine_ready = Signal()
    status_changed = Signal()  # registration, home or devices

    def __init__(self, theme: Theme, bridge: EngineBridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.theme = theme
        self.bridge = bridge
        self.book = CallBook(self)
        self.channels = ChannelBook(self)
        self.tasks = TaskOwner(lambda sentence: self.say(sentence, "bad"))
        self.talk_key = TalkKey(self)
        self.engine: Engine | None = None
        self.pins = PinTries()
        self.registration: RegistrationChanged | None = None
        self.home: HomeChanged | None = None
        self.devices = DevicesChanged(())
        self.failure: str | None = None  # why the engine could not start
        self._expected_at: float | None = None  # when the engine was last told that a call is likely
        bridge.started.connect(lambda event: self.book.observe_clock(event.at))
        bridge.call.connect(lambda event: self.book.take_call(event.call))
        bridge.figures.connect(lambda event: self.book.take_figures(event.figures))
        bridge.sip.connect(lambda event: self.book.take_trace(event.trace))
        bridge.registration.connect(self._take_registration)
        bridge.home.connect(self._take_home)
        bridge.devices.connect(self._take_devices)
        bridge.missions.connect(self.channels.take_missions)
        bridge.channel.connect(self.channels.take_channel)
        bridge.roster.connect(self.channels.take_roster)
        bridge.text.connect(self.channels.take_text)
        bridge.burst.connect(self.channels.take_burst)
        bridge.playback.connect(self.channels.take_playback)

    def attach(self, engine: Engine) -> None:
        """Give the engine to the panels once it is there."""
        self.engine = engine
        self.engine_ready.emit()

    def fail(self, sentence: str) -> None:
        """Say for good that the engine could not start."""
        self.failure = sentence
        self.status_changed.emit()

    def say(self, sentence: str, tone: str = "plain") -> None:
        self.said.emit(sentence, tone)

    def ask(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> asyncio.Task[T] | None:
        """Give the engine a command as a task of the window; None, and it is said why, where there is no engine."""
        engine = self._engine()
        return None if engine is None else self.tasks.start(work(engine))

    def dismiss_emergency(self, mission_id: str, node_id: str) -> None:
        """Tell of somebody's emergency no more; who is gone with it leaves the roster."""
        person = next((person for person in self.channels.roster(mission_id) if person.node_id == node_id), None)
        self.channels.dismiss(mission_id, node_id)
        if person is not None and person.gone:
            self.ask(lambda engine: engine.channels.dismiss(mission_id, node_id))

    # Calls, from wherever in the window they are asked for ------------------------------------------------------

    def place(self, target: str, *, video: bool = True) -> None:
        """Call somebody by address, number or name."""
        engine = self._engine()
        if engine is None:
            self.not_placed.emit(target)
            return
        if not target.strip():
            return

        async def place() -> None:
            try:
                await engine.calls.place(target.strip(), video=video)
            except Exception:
                self.not_placed.emit(target)
                raise

        self.tasks.start(place())

    def expect_call(self) -> None:
        """Tell the engine that somebody is about to be called: what a call needs is gathered ahead, unseen."""
        engine, now = self.engine, time.monotonic()
        if engine is None or (self._expected_at is not None and now < self._expected_at + EXPECT_AGAIN_S):
            return
        self._expected_at = now

        async def expect() -> None:
            with suppress(EngineError):  # nobody has asked for a call yet: placing it will say what is wrong
                await engine.calls.expect()

        self.tasks.start(expect())

    def answer(self, call_id: str, *, video: bool) -> None:
        engine = self._engine()
        if engine is not None:
            self.tasks.start(engine.calls.answer(call_id, video=video))

    def decline(self, call_id: str) -> None:
        engine = self._engine()
        if engine is not None:
            self.tasks.start(engine.calls.decline(call_id))

    def hang_up(self, call_id: str) -> None:
        engine = self._engine()
        if engine is not None:
            self.tasks.start(engine.calls.hang_up(call_id))

    def resume(self, call_id: str) -> None:
        """Go on with a call that is on hold; the one that goes on now is held instead."""
        engine = self._engine()
        if engine is None:
            return
        others = [record.info for record in self.book.live if record.info.call_id != call_id]

        async def switch() -> None:
            for other in others:
                if other.state is CallState.CONNECTED and not other.held:
                    await engine.calls.set_held(other.call_id, True)
            await engine.calls.set_held(call_id, False)

        self.tasks.start(switch())

    def _engine(self) -> Engine | None:
        if self.failure is not None:
            self.say(self.failure, "bad")
            return None
        if self.engine is None:
            self.say("Parley is still starting: try again in a moment.")
        return self.engine

    # ------------------------------------------------------------------------------------------------------------

    def _take_registration(self, event: RegistrationChanged) -> None:
        self.registration = event
        self.status_changed.emit()

    def _take_home(self, event: HomeChanged) -> None:
        self.home = event
        self.status_changed.emit()

    def _take_devices(self, event: DevicesChanged) -> None:
        self.devices = event
        self.status_changed.emit()
