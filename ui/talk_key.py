"""The talk key of the whole desktop: takes the key that the settings name, and talks on the primary channel with it.

It is taken from other programs only while a mission is open here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.engine.errors import EngineError
from ui.global_keys import GlobalKey, KeyNotHad, global_key
from ui.key_names import TalkKeyName, UnfitKey

if TYPE_CHECKING:
    from ui.context import Context


class TalkKey(QObject):
    """`changed`: another key is had, or none, and why. `problem` is one sentence, "" while all is well."""

    changed = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._context = context
        self._wanted = ""
        self._is_paused = False
        self._taken: GlobalKey | None = None
        self._is_down = False
        self._order = asyncio.Lock()
        self._platform: str | None = None
        self.problem = ""
        self.is_had = False
        self._has_channels = False
        context.bridge.missions.connect(lambda event: self._take_missions(bool(event.missions)))
        context.bridge.settings.connect(lambda event: self._read_settings())

    def use(self, wanted: str, platform: str | None = None) -> None:
        """Hear this key and no other; "" for none. `platform`: as in ui.global_keys, None: this one's."""
        if (wanted, platform) != (self._wanted, self._platform):
            self._wanted, self._platform = wanted, platform
            self._take_again()

    def pause(self, on: bool) -> None:
        """Hear nothing for a while: a key is being chosen."""
        if on is not self._is_paused:
            self._is_paused = on
            self._take_again()

    def close(self) -> None:
        """Give the key back and stop talking."""
        self._let_go()
        if self._taken is not None:
            self._taken.close()
            self._taken = None
        self.is_had = False

    # What the key tells -----------------------------------------------------------------------------------------

    def key_down(self) -> None:
        if not self._is_down:
            self._is_down = True
            self._tell(True)

    def key_up(self) -> None:
        self._let_go()

    def key_lost(self, sentence: str) -> None:
        self.close()
        self._say(sentence)
        self._context.say(sentence, "warn")

    # ------------------------------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        if self._is_down:
            self._is_down = False
            self._tell(False)

    def _tell(self, down: bool) -> None:
        engine = self._context.engine
        if engine is not None:
            # Both are handed to the engine as soon as their task begins, so they stay in their order.
            self._context.tasks.start(engine.channels.press_primary() if down else engine.channels.release_primary())

    def _take_missions(self, is_any: bool) -> None:
        if is_any is not self._has_channels:
            self._has_channels = is_any
            self._read_settings()
            if not is_any:
                self.use("")

    def _read_settings(self) -> None:
        engine = self._context.engine
        if engine is None or not self._has_channels:
            return

        async def read() -> None:
            try:
                settings = await engine.settings.get()
            except EngineError:
                return  # why the engine does not run is said where it was started
            self.use(settings.talk_key if self._has_channels else "")

        self._context.tasks.start(read())

    def _take_again(self) -> None:
        self.close()
        self._context.tasks.start(self._take())

    async def _take(self) -> None:
        """Take what is wanted now; one at a time, or a key that was left would still be had."""
        async with self._order:
            self.close()
            wanted = "" if self._is_paused else self._wanted
            if not wanted:
                self._say("")
                return
            try:
                key = TalkKeyName.parse(wanted)
                taken = self._taken = global_key(self, self._platform)
                await taken.grab(key)
            except (KeyNotHad, UnfitKey) as error:
                self.close()
                self._say(str(error))
                return
            if self._taken is taken:
                self.is_had = True
                self._say("")

    def _say(self, problem: str) -> None:
        self.problem = problem
        self.changed.emit()
