"""A session bus of the test's own, and a portal on it that answers as the specification says."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jeepney import DBusAddress, HeaderFields, MessageType, new_error, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.asyncio import DBusConnection, DBusRouter, Proxy, open_dbus_connection

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from ui.context import Context

PLACE = "/org/freedesktop/portal/desktop"
SHORTCUTS = "org.freedesktop.portal.GlobalShortcuts"
LOCATION = "org.freedesktop.portal.Location"


@contextmanager
def a_session_bus() -> Iterator[str]:
    """Start a bus; gives its address."""
    command = ("dbus-daemon", "--session", "--nofork", "--print-address")
    daemon = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert daemon.stdout is not None
        yield daemon.stdout.readline().strip()
    finally:
        daemon.terminate()
        daemon.wait(10)


Place = tuple[float, float, float]  # degrees north and east, metres


class Portal:
    """`asked` has the shortcuts, or the options of the place, that were asked for; `answer` is the person's: 0 yes,
    1 no. `at`: a place that is told before the answer."""

    def __init__(
        self, *, interfaces: tuple[str, ...] = (SHORTCUTS, LOCATION), answer: int = 0, at: Place | None = None
    ) -> None:
        self._interfaces, self._answer, self._at = interfaces, answer, at
        self._connection: DBusConnection | None = None
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.session = self._asker = ""
        self.program = ""
        self.ready = asyncio.Event()
        self.left = asyncio.Event()  # whoever had asked for the place has gone

    async def serve(self) -> None:
        connection = self._connection = await open_dbus_connection("SESSION")
        async with DBusRouter(connection) as router:
            await Proxy(message_bus, router).RequestName("org.freedesktop.portal.Desktop")
            gone = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''"
            await Proxy(message_bus, router).AddMatch(gone)
        self.ready.set()
        try:
            while True:
                message = await connection.receive()
                if message.header.message_type is MessageType.method_call:
                    await self._answer_to(message)
                elif message.body[:1] == (self._asker,):  # NameOwnerChanged
                    self.left.set()
        finally:
            await connection.close()

    async def tell(self, member: str) -> None:
        """Say that the key went down ("Activated") or up ("Deactivated")."""
        await self._signal(PLACE, SHORTCUTS, member, "osta{sv}", (self.session, "talk", 1, {}))

    async def tell_place(self, north: float, east: float, within: float) -> None:
        facts = {"Latitude": ("d", north), "Longitude": ("d", east), "Accuracy": ("d", within)}
        await self._signal(PLACE, LOCATION, "LocationUpdated", "oa{sv}", (self.session, facts))

    async def take_back(self) -> None:
        await self._signal(self.session, "org.freedesktop.portal.Session", "Closed", "", ())

    async def _signal(self, path: str, interface: str, member: str, signature: str, body: tuple[Any, ...]) -> None:
        assert self._connection is not None
        await self._connection.send(new_signal(DBusAddress(path, interface=interface), member, signature, body))

    async def _answer_to(self, message: Any) -> None:
        assert self._connection is not None
        fields = message.header.fields
        member, sender = fields[HeaderFields.member], fields[HeaderFields.sender]
        if member == "Register":
            self.program = message.body[0]
            await self._connection.send(new_method_return(message))
            return
        if fields[HeaderFields.interface] not in self._interfaces:
            await self._connection.send(new_error(message, "org.freedesktop.DBus.Error.UnknownMethod"))
            return
        place, options = sender[1:].replace(".", "_"), message.body[-1]
        if fields[HeaderFields.interface] == LOCATION and member == "CreateSession":  # answered at once
            self._asker, self.session = sender, f"{PLACE}/session/{place}/{options['session_handle_token'][1]}"
            self.asked.append((member, options))
            await self._connection.send(new_method_return(message, "o", (self.session,)))
            return
        handle = f"{PLACE}/request/{place}/{options['handle_token'][1]}"
        results: dict[str, Any] = {}
        if member == "CreateSession":
            self.session = f"{PLACE}/session/{place}/{options['session_handle_token'][1]}"
            results["session_handle"] = ("s", self.session)
        elif member == "Start":
            assert message.body[0] == self.session
        else:
            session, shortcuts, _, _ = message.body
            assert session == self.session
            self.asked += shortcuts
            results["shortcuts"] = (
                "a(sa{sv})",
                [(name, {"trigger_description": ("s", "F9")}) for name, _ in shortcuts],
            )
        await self._connection.send(new_method_return(message, "o", (handle,)))
        if self._at is not None:
            await self.tell_place(*self._at)
        answer = 0 if member == "CreateSession" else self._answer
        body = (answer, results if answer == 0 else {})
        await self._signal(handle, "org.freedesktop.portal.Request", "Response", "ua{sv}", body)


@contextmanager
def a_portal(context: Context, qtbot: QtBot, **how: Any) -> Iterator[Portal]:
    """Run a portal on the test's bus."""
    made = Portal(**how)
    serving = context.tasks.start(made.serve())
    qtbot.waitUntil(made.ready.is_set)
    yield made
    serving.cancel()
    qtbot.waitUntil(serving.done)
