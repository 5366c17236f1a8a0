"""One connection to the desktop's portal (org.freedesktop.portal), over jeepney, which the keyring needs anyway."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jeepney import Message
    from jeepney.io.asyncio import DBusConnection

_PORTAL, _PLACE = "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop"
_REGISTRY = "org.freedesktop.host.portal.Registry"
_SIGNALS = f"type='signal',sender='{_PORTAL}',path_namespace='{_PLACE}'"
_OWNER = f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{_PORTAL}'"
_ANSWER_S = 10.0  # for what asks nobody


class NoBus(Exception):
    """There is no session bus."""


class Refused(Exception):
    """An error instead of a reply, or a request that the person or the portal turned down."""


@asynccontextmanager
async def portal_bus() -> AsyncIterator[PortalBus]:
    """Connect and hear the portal's signals; sessions end with the connection. Raises NoBus."""
    from jeepney.io.asyncio import open_dbus_connection

    try:
        connection = await asyncio.wait_for(open_dbus_connection("SESSION"), _ANSWER_S)
    except (OSError, EOFError, ValueError, KeyError, RuntimeError) as error:
        raise NoBus from error
    try:
        bus = PortalBus(connection)
        await bus.begin()
        yield bus
    finally:
        with suppress(OSError):
            await connection.close()


class PortalBus:
    """One connection, read by one task: replies where they are waited for, signals in their order."""

    def __init__(self, connection: DBusConnection) -> None:
        self._connection = connection
        self._signals: deque[Message] = deque(maxlen=64)

    async def begin(self) -> None:
        """Hear signals, and say who we are."""
        for rule in (_SIGNALS, _OWNER):
            await self._ask(
                "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", rule
            )
        with suppress(Refused):  # newer portals want to know a program by its name; older ones find it out
            await self._ask(_PORTAL, _PLACE, _REGISTRY, "Register", "sa{sv}", "parley", {})

    async def call(self, interface: str, member: str, signature: str, *body: Any) -> tuple[Any, ...]:
        """Call a method of the portal that answers at once; gives its reply's values. Raises Refused."""
        return await self._ask(_PORTAL, _PLACE, interface, member, signature, *body)

    async def _ask(
        self, name: str, path: str, interface: str, member: str, signature: str, *body: Any
    ) -> tuple[Any, ...]:
        """Call a method and give its reply's values; Refused with the error's name."""
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
            raise Refused(str(message.header.fields.get(HeaderFields.error_name)))
        return tuple(message.body)

    async def request(
        self, interface: str, member: str, signature: str, options: dict[str, Any], *body: Any
    ) -> dict[str, Any]:
        """Call a method that answers later, when the person has; gives its results. Raises Refused.

        Other signals that come meanwhile are kept for `signal`; EOFError where the portal ends.
        """
        options = {**options, "handle_token": ("s", new_token())}
        (handle,) = await self.call(interface, member, f"{signature}a{{sv}}", *body, options)
        others: deque[Message] = deque(maxlen=64)
        while True:
            message = await self.signal()
            if path_and_member(message) == (handle, "Response"):
                break
            others.append(message)
        self._signals.extendleft(reversed(others))
        if message.body[0] != 0:
            raise Refused(f"response {message.body[0]}")
        return dict(message.body[1])

    async def signal(self) -> Message:
        """Wait for the next signal; EOFError where the portal has ended."""
        from jeepney import MessageType

        while not self._signals:
            message = await self._connection.receive()
            if message.header.message_type is MessageType.signal:
                self._signals.append(message)
        first = self._signals.popleft()
        if path_and_member(first)[1] == "NameOwnerChanged" and not first.body[2]:
            raise EOFError("the portal has ended")
        return first


def new_token() -> str:
    """Name a request or a session as nobody else can guess."""
    return f"parley{secrets.token_hex(6)}"


def path_and_member(message: Message) -> tuple[str, str]:
    """Say which object told a signal, and which one it is."""
    from jeepney import HeaderFields

    fields = message.header.fields
    return str(fields.get(HeaderFields.path)), str(fields.get(HeaderFields.member))
