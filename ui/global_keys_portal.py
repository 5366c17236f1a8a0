"""The global talk key on Wayland: the desktop's portal gives it (org.freedesktop.portal.GlobalShortcuts, version 1).

The desktop asks the person first, and may give another key than the one that was asked for; it tells of that key alone.
GNOME has it from 48 on, KDE Plasma from 5.27 on, Hyprland as well. Over jeepney, which the keyring needs anyway.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ui.global_keys import KeyNotHad, Listener
from ui.key_names import TalkKeyName

if TYPE_CHECKING:
    from jeepney import Message
    from jeepney.io.asyncio import DBusConnection

_PORTAL, _PLACE = "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop"
_SHORTCUTS, _REGISTRY = "org.freedesktop.portal.GlobalShortcuts", "org.freedesktop.host.portal.Registry"
_SIGNALS = f"type='signal',sender='{_PORTAL}',path_namespace='{_PLACE}'"
_OWNER = f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{_PORTAL}'"
_ID = "talk"
_ANSWER_S = 10.0  # for what asks nobody
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
        from jeepney.io.asyncio import open_dbus_connection

        try:
            try:
                connection = await asyncio.wait_for(open_dbus_connection("SESSION"), _ANSWER_S)
            except (OSError, EOFError, ValueError, KeyError, RuntimeError) as error:
                raise KeyNotHad(
                    f"There is no session bus, which the key comes over on Wayland: {_OTHERWISE}."
                ) from error
            bus = _Bus(connection)
            try:
                session = await self._bind(bus, key)
                if not self._had.done():
                    self._had.set_result(None)
                while True:
                    self._handle(await bus.signal(), session)
            except (OSError, EOFError) as error:
                raise KeyNotHad(_ENDED) from error
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise KeyNotHad(f"The desktop's portal is not understood: {_OTHERWISE}.") from error
            finally:
                with suppress(OSError):
                    await connection.close()
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

    async def _bind(self, bus: _Bus, key: TalkKeyName) -> str:
        """Ask for the key; gives the session that it comes in."""
        for rule in (_SIGNALS, _OWNER):
            await bus.ask(
                "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", rule
            )
        with suppress(_Refused):  # newer portals want to know a program by its name; older ones find it out
            await bus.ask(_PORTAL, _PLACE, _REGISTRY, "Register", "sa{sv}", "parley", {})
        token = {"session_handle_token": ("s", f"parley{secrets.token_hex(6)}")}
        try:
            session = str((await bus.request("CreateSession", "", token))["session_handle"][1])
        except (_Refused, KeyError, TypeError, IndexError) as error:
            raise KeyNotHad(f"This desktop's portal gives programs no keys: {_OTHERWISE}.") from error
        facts = {"description": ("s", "Talk on the primary channel"), "preferred_trigger": ("s", key.trigger)}
        try:
            bound = await bus.request("BindShortcuts", "oa(sa{sv})s", {}, session, [(_ID, facts)], "")
        except _Refused as error:
            raise KeyNotHad(f"The desktop did not give Parley the key {key.words}: {_OTHERWISE}.") from error
        if not any(shortcut[0] == _ID for shortcut in bound.get("shortcuts", ("", ()))[1]):
            raise KeyNotHad(f"The desktop gave Parley no key: choose one there, or {_OTHERWISE}.")
        return session

    def _handle(self, message: Message, session: str) -> None:
        path, member = _path_and_member(message)
        if member == "NameOwnerChanged":
            if not message.body[2]:
                raise KeyNotHad(_ENDED)
        elif member == "Closed" and path == session:
            raise KeyNotHad("The desktop took the talk key back: choose it again in the settings.")
        elif member in ("Activated", "Deactivated") and message.body[:2] == (session, _ID):
            is_down = member == "Activated"
            if is_down is not self._is_down:
                self._is_down = is_down
                (self._listener.key_down if is_down else self._listener.key_up)()


class _Refused(Exception):
    """An error instead of a reply, or a request that the person or the portal turned down."""


class _Bus:
    """One connection, read by one task: replies where they are waited for, signals in their order."""

    def __init__(self, connection: DBusConnection) -> None:
        self._connection = connection
        self._signals: deque[Message] = deque(maxlen=64)

    async def ask(
        self, name: str, path: str, interface: str, member: str, signature: str, *body: Any
    ) -> tuple[Any, ...]:
        """Call a method and give its reply's values; _Refused with the error's name."""
        from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call

        call = new_method_call(DBusAddress(path, name, interface), member, signature, body)
        serial = next(self._connection.outgoing_serial)
        await self._connection.send(call, serial=serial)
        async with asyncio.timeout(_ANSWER_S):
            while True:
                message = await self._connection.receive()
                if message.header.fields.get(HeaderFields.reply_serial) == serial:
                    break
                if message.header.message_type is MessageType.signal:
                    self._signals.append(message)
        if message.header.message_type is MessageType.error:
            raise _Refused(str(message.header.fields.get(HeaderFields.error_name)))
        return tuple(message.body)

    async def request(self, member: str, signature: str, options: dict[str, Any], *body: Any) -> dict[str, Any]:
        """Call a method of the shortcuts that answers later, when the person has; gives its results."""
        token = f"parley{secrets.token_hex(6)}"
        options = {**options, "handle_token": ("s", token)}
        (handle,) = await self.ask(_PORTAL, _PLACE, _SHORTCUTS, member, f"{signature}a{{sv}}", *body, options)
        while True:
            message = await self.signal()
            if _path_and_member(message) == (handle, "Response"):
                if message.body[0] != 0:
                    raise _Refused(f"response {message.body[0]}")
                return dict(message.body[1])

    async def signal(self) -> Message:
        """Wait for the next signal."""
        from jeepney import MessageType

        while not self._signals:
            message = await self._connection.receive()
            if message.header.message_type is MessageType.signal:
                self._signals.append(message)
        return self._signals.popleft()


def _path_and_member(message: Message) -> tuple[str, str]:
    from jeepney import HeaderFields

    fields = message.header.fields
    return str(fields.get(HeaderFields.path)), str(fields.get(HeaderFields.member))
