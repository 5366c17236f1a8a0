"""The global talk key on Wayland: the desktop's portal gives it (org.freedesktop.portal.GlobalShortcuts, version 1).

The desktop asks the person first, and may give another key than the one that was asked for; it tells of that key alone.
GNOME has it from 48 on, KDE Plasma from 5.27 on, Hyprland as well.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ui.global_keys import KeyNotHad, Listener
from ui.key_names import TalkKeyName
from ui.portal_bus import NoBus, PortalBus, Refused, new_token, path_and_member, portal_bus

if TYPE_CHECKING:
    from jeepney import Message

_SHORTCUTS = "org.freedesktop.portal.GlobalShortcuts"
_ID = "talk"
_OTHERWISE = "bind `parley channel talk on` and `parley channel talk off` to a key in the desktop's own settings"
_ENDED = "The desktop's portal ended: the talk key is not heard until Parley is started again."


class PortalKey:
    """See ui.global_keys.GlobalKey. One task holds the connection and reads from it."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._had: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._is_down = False

    async def grab(self, key: TalkKeyName) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(key))
        await self._had

    def close(self) -> None:
        self._is_down = False
        if self._task is not None:
            self._task.cancel()  # the portal gives the key back when the connection ends
        if not self._had.done():
            self._had.set_result(None)

    async def _run(self, key: TalkKeyName) -> None:
        try:
            async with portal_bus() as bus:
                session = await self._bind(bus, key)
                if not self._had.done():
                    self._had.set_result(None)
                while True:
                    self._handle(await bus.signal(), session)
        except NoBus:
            self._fail(
                KeyNotHad(f"This desktop has no session bus, over which the key would come on Wayland: {_OTHERWISE}.")
            )
        except (OSError, EOFError):
            self._fail(KeyNotHad(_ENDED))
        except (Refused, ValueError, KeyError, TypeError, IndexError):
            self._fail(KeyNotHad(f"The desktop's portal is not understood: {_OTHERWISE}."))
        except KeyNotHad as error:
            self._fail(error)

    def _fail(self, error: KeyNotHad) -> None:
        if not self._had.done():
            self._had.set_exception(error)
            return
        if self._is_down:
            self._is_down = False
            self._listener.key_up()
        self._listener.key_lost(str(error))

    async def _bind(self, bus: PortalBus, key: TalkKeyName) -> str:
        """Ask for the key; gives the session that it comes in."""
        token = {"session_handle_token": ("s", new_token())}
        try:
            session = str((await bus.request(_SHORTCUTS, "CreateSession", "", token))["session_handle"][1])
        except (Refused, KeyError, TypeError, IndexError) as error:
            raise KeyNotHad(f"This desktop's portal gives programs no keys: {_OTHERWISE}.") from error
        facts = {"description": ("s", "Talk on the primary channel"), "preferred_trigger": ("s", key.trigger)}
        try:
            bound = await bus.request(_SHORTCUTS, "BindShortcuts", "oa(sa{sv})s", {}, session, [(_ID, facts)], "")
        except Refused as error:
            raise KeyNotHad(f"The desktop did not give Parley the key {key.words}: {_OTHERWISE}.") from error
        if not any(shortcut[0] == _ID for shortcut in bound.get("shortcuts", ("", ()))[1]):
            raise KeyNotHad(f"The desktop gave Parley no key: choose one there, or {_OTHERWISE}.")
        return session

    def _handle(self, message: Message, session: str) -> None:
        path, member = path_and_member(message)
        if member == "Closed" and path == session:
            raise KeyNotHad("The desktop took the talk key back: choose it again in the settings.")
        if member in ("Activated", "Deactivated") and message.body[:2] == (session, _ID):
            is_down = member == "Activated"
            if is_down is not self._is_down:
                self._is_down = is_down
                (self._listener.key_down if is_down else self._listener.key_up)()
