"""The talk key of the desktop: real keys on a real X server, pressed while another program's window has the focus."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from qasync import QEventLoop

from app.events import MissionInfo, MissionsChanged
from app.settings import Settings
from app.x11_wire import XConnection
from tests.media.desktop import Desk, a_desktop
from tests.ui.conftest import Tell
from tests.ui.portal import a_portal
from tests.ui.recorder import Recorder
from ui.context import Context
from ui.global_keys import KeyNotHad
from ui.global_keys_windows import WindowsKey
from ui.key_names import TalkKeyName, UnfitKey
from ui.main_window import MainWindow
from ui.panels.settings import SettingsPanel
from ui.talk_key import TalkKey

needs_x = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb (make setup-test)")
PRESS, RELEASE = 2, 3
CAPS_LOCK, NUM_LOCK, CONTROL, SHIFT, F9, F10, T, A = 66, 77, 37, 50, 75, 76, 28, 38
_XTEST_FAKE, _GRAB_KEY, _GRAB_KEYBOARD = 2, 33, 31
BOTH = ["channels.press_primary", "channels.release_primary"]


class Keyboard:
    """Presses keys as a person does (XTEST), and a window of another program that has the focus."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        xtest = desk.extension("XTEST")
        assert xtest is not None
        self._xtest = xtest
        self.other = XConnection(desk.display)
        self._held: set[int] = set()

    def down(self, *codes: int) -> None:
        for code in codes:
            self._fake(PRESS, code)

    def up(self, *codes: int) -> None:
        for code in codes:
            self._fake(RELEASE, code)

    def tap(self, *codes: int) -> None:
        self.down(*codes)
        self.up(*reversed(codes))

    def _fake(self, kind: int, code: int) -> None:
        (self._held.add if kind == PRESS else self._held.discard)(code)
        self._desk.send(self._xtest, _XTEST_FAKE, struct.pack("<BBxxIIxxxxxxxxhhxxxxxxxx", kind, code, 0, 0, 0, 0))
        assert not self._desk.complaints()

    def typed(self) -> list[tuple[int, int]]:
        """The keys that the other program heard: (2 pressed or 3 released, code)."""
        self.other.complaints()
        return [(event[0] & 0x7F, event[1]) for event in self.other.events() if event[0] & 0x7F in (PRESS, RELEASE)]

    def close(self) -> None:
        self.up(*tuple(self._held))
        self.other.close()


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with a_desktop() as made:
        yield made


@pytest.fixture
def keyboard(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyboard]:
    monkeypatch.setenv("DISPLAY", desk.display)
    made = Keyboard(desk)
    window = desk.open("Notes", 0xFFFFFF, 0, 0, 200, 200)
    made.other.send(2, 0, struct.pack("<III", window, 0x800, 0x3))  # it wants to hear of keys
    made.other.send(42, 2, struct.pack("<II", window, 0))  # and has the focus
    assert not made.other.complaints()
    yield made
    made.close()
    desk.shut(window)


@pytest.fixture
def key(context: Context) -> Iterator[TalkKey]:
    yield context.talk_key
    context.talk_key.close()


def take(key: TalkKey, wanted: str, qtbot: QtBot) -> None:
    with qtbot.waitSignal(key.changed):
        key.use(wanted, "x11")
    assert (key.is_had, key.problem) == (True, "")


@needs_x
def test_a_key_that_is_held_anywhere_talks(key: TalkKey, keyboard: Keyboard, engine: Recorder, qtbot: QtBot) -> None:
    take(key, "F9", qtbot)
    keyboard.down(F9)
    qtbot.waitUntil(lambda: engine.names() == BOTH[:1])
    keyboard.up(F9)
    qtbot.waitUntil(lambda: engine.names() == BOTH)
    keyboard.tap(A)
    assert keyboard.typed() == [(PRESS, A), (RELEASE, A)]  # the other program keeps every key but this one


@needs_x
def test_a_key_that_repeats_is_one_press(
    key: TalkKey, desk: Desk, keyboard: Keyboard, engine: Recorder, qtbot: QtBot
) -> None:
    take(key, "F9", qtbot)
    seen: list[int] = []
    handle = key._taken._handle  # type: ignore[union-attr]
    key._taken._handle = lambda event: (seen.append(event[0]), handle(event))  # type: ignore[union-attr]
    keyboard.down(F9)
    qtbot.waitUntil(lambda: seen.count(PRESS) >= 3, timeout=5000)  # the server repeats it
    assert engine.names() == BOTH[:1]
    keyboard.up(F9)
    qtbot.waitUntil(lambda: engine.names() == BOTH)


@needs_x
@pytest.mark.parametrize("locks", [(), (CAPS_LOCK,), (NUM_LOCK,), (CAPS_LOCK, NUM_LOCK)])
def test_locks_change_nothing(
    key: TalkKey, keyboard: Keyboard, engine: Recorder, qtbot: QtBot, locks: tuple[int, ...]
) -> None:
    for lock in locks:
        keyboard.tap(lock)
    take(key, "Ctrl+T", qtbot)
    keyboard.tap(T)
    keyboard.tap(CONTROL, SHIFT, T)  # another combination
    assert (PRESS, T) in keyboard.typed()
    keyboard.tap(CONTROL, T)
    qtbot.waitUntil(lambda: engine.names() == BOTH)
    for lock in locks:
        keyboard.tap(lock)


@needs_x
def test_the_key_of_another_program_is_not_had(key: TalkKey, keyboard: Keyboard, qtbot: QtBot) -> None:
    keyboard.other.send(_GRAB_KEY, 0, struct.pack("<IHBBB3x", keyboard.other.root, 0x8000, F9, 1, 1))
    assert not keyboard.other.complaints()
    with qtbot.waitSignal(key.changed):
        key.use("F9", "x11")
    assert not key.is_had
    assert key.problem == "Another program has F9 already: choose another key, or free it there."
    take(key, "F10", qtbot)


@needs_x
def test_another_key_no_key_and_the_end(key: TalkKey, keyboard: Keyboard, engine: Recorder, qtbot: QtBot) -> None:
    take(key, "F9", qtbot)
    keyboard.down(F9)
    qtbot.waitUntil(lambda: engine.names() == BOTH[:1])
    take(key, "F10", qtbot)  # while the old one is held
    assert engine.names() == BOTH
    keyboard.up(F9)
    keyboard.tap(F10)
    qtbot.waitUntil(lambda: engine.names() == BOTH * 2)
    with qtbot.waitSignal(key.changed):
        key.use("")
    keyboard.typed()
    keyboard.tap(F10)
    assert keyboard.typed() == [(PRESS, F10), (RELEASE, F10)]
    assert engine.names() == BOTH * 2


@needs_x
def test_an_x_server_that_ends_lets_the_key_go(
    key: TalkKey, engine: Recorder, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    with a_desktop() as short_lived:
        monkeypatch.setenv("DISPLAY", short_lived.display)
        take(key, "F9", qtbot)
        keyboard = Keyboard(short_lived)
        keyboard.down(F9)
        qtbot.waitUntil(lambda: engine.names() == BOTH[:1])
    qtbot.waitUntil(lambda: not key.is_had)
    assert key.problem.startswith("The desktop's X server ended the connection")
    assert engine.names() == BOTH


def test_on_wayland_the_portal_gives_the_key(
    key: TalkKey, context: Context, engine: Recorder, bus: None, qtbot: QtBot
) -> None:
    with a_portal(context, qtbot) as portal:
        with qtbot.waitSignal(key.changed):
            key.use("Ctrl+F9", "portal")
        assert (key.is_had, key.problem, portal.program) == (True, "", "parley")
        ((name, facts),) = portal.asked
        assert (name, facts["preferred_trigger"]) == ("talk", ("s", "CTRL+F9"))
        for member, heard in (("Activated", BOTH[:1]), ("Activated", BOTH[:1]), ("Deactivated", BOTH)):
            context.tasks.start(portal.tell(member))
            qtbot.waitUntil(lambda heard=heard: engine.names() == heard)
        context.tasks.start(portal.tell("Activated"))
        qtbot.waitUntil(lambda: len(engine.names()) == 3)
        context.tasks.start(portal.take_back())
        qtbot.waitUntil(lambda: not key.is_had)
        assert engine.names() == BOTH * 2
        assert key.problem == "The desktop took the talk key back: choose it again in the settings."


def test_a_portal_that_ends_lets_the_key_go(key: TalkKey, context: Context, bus: None, qtbot: QtBot) -> None:
    with a_portal(context, qtbot), qtbot.waitSignal(key.changed):
        key.use("F9", "portal")
    qtbot.waitUntil(lambda: not key.is_had)
    assert key.problem.startswith("The desktop's portal ended")


@pytest.mark.parametrize(
    ("how", "said"),
    [({"interfaces": ()}, "portal gives programs no keys"), ({"answer": 1}, "did not give Parley the key F9")],
)
def test_why_a_portal_gives_no_key(
    key: TalkKey, context: Context, bus: None, qtbot: QtBot, how: dict[str, Any], said: str
) -> None:
    with a_portal(context, qtbot, **how), qtbot.waitSignal(key.changed):
        key.use("F9", "portal")
    assert not key.is_had
    assert said in key.problem
    assert "parley channel talk on" in key.problem


def test_without_a_session_bus_there_is_no_key(
    key: TalkKey, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot, tmp_path: Path
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with qtbot.waitSignal(key.changed):
        key.use("F9", "portal")
    assert key.problem.startswith("This desktop has no session bus")


class User32:
    """What of Windows the key needs: this machine has none."""

    def __init__(self) -> None:
        self.registered: tuple[int, int] | None = None
        self.is_down = False
        self.is_taken = False

    def RegisterHotKey(self, window: object, number: int, modifiers: int, code: int) -> int:
        self.registered = None if self.is_taken else (modifiers, code)
        return int(not self.is_taken)

    def UnregisterHotKey(self, window: object, number: int) -> int:
        self.registered = None
        return 1

    def GetAsyncKeyState(self, code: int) -> int:
        return 0x8000 if self.is_down else 0


def test_on_windows_the_release_is_looked_for(
    key: TalkKey, qt_loop: QEventLoop, engine: Recorder, qtbot: QtBot
) -> None:
    system = User32()
    had = WindowsKey(key, system)
    taken = qt_loop.create_task(had.grab(TalkKeyName.parse("Ctrl+Shift+T")))
    qtbot.waitUntil(taken.done)
    assert system.registered == (0x4000 | 2 | 4, ord("T"))
    system.is_down = True
    assert had._window is not None
    had._window._pressed()
    qtbot.waitUntil(lambda: engine.names() == BOTH[:1])
    system.is_down = False
    qtbot.waitUntil(lambda: engine.names() == BOTH)
    had.close()
    assert system.registered is None
    system.is_taken = True
    taken = qt_loop.create_task(WindowsKey(key, system).grab(TalkKeyName.parse("F9")))
    qtbot.waitUntil(taken.done)
    assert isinstance(taken.exception(), KeyNotHad)


def test_a_desktop_without_such_keys_says_so(key: TalkKey, qtbot: QtBot) -> None:
    with qtbot.waitSignal(key.changed):
        key.use("F9", "unknown")
    assert key.problem == "This desktop gives no program a key of its own; `parley channel talk` does the same."


def test_the_kept_key_is_taken_while_a_mission_is_open(
    engine: Recorder, key: TalkKey, tell: Tell, qtbot: QtBot
) -> None:
    engine.answers["settings.get"] = Settings(talk_key="Shift+Q")
    with qtbot.waitSignal(key.changed):
        tell(MissionsChanged((MissionInfo("m1", "Relief", "", (), 0, False, False, None),)))
    assert "alone could not be typed any more" in key.problem
    with qtbot.waitSignal(key.changed):
        tell(MissionsChanged(()))
    assert key.problem == ""


@pytest.mark.parametrize("text", ["F9", "Ctrl+Alt+T", "Meta+Space", "Pause", "Shift+F1", "Ctrl+5"])
def test_keys_are_kept_as_text(text: str) -> None:
    assert str(TalkKeyName.parse(text)) == text


@pytest.mark.parametrize("text", ["", "A", "Shift+A", "Space", "Ctrl", "Ctrl+Return", "CapsLock", "F9, F10", "no key"])
def test_keys_that_would_be_missed_are_refused(text: str) -> None:
    with pytest.raises(UnfitKey):
        TalkKeyName.parse(text)


def test_a_key_is_named_for_the_portal_and_for_windows() -> None:
    key = TalkKeyName.parse("Ctrl+Shift+PgUp")
    assert (key.trigger, key.windows, key.mac) == ("CTRL+SHIFT+Prior", 0x21, 116)


def test_a_key_is_chosen_by_pressing_it(window: MainWindow, engine: Recorder, key: TalkKey, qtbot: QtBot) -> None:
    window.toggle_settings()
    panel = window.findChild(SettingsPanel, "settingsPage")
    assert isinstance(panel, SettingsPanel)
    qtbot.waitUntil(lambda: panel._settings is not None)
    field = panel.fields.talk_key
    qtbot.mouseClick(field, Qt.MouseButton.LeftButton)
    qtbot.keyClick(field, Qt.Key.Key_T)
    assert panel._wrong["talk_key"].text() == "✕ T alone could not be typed any more: hold Ctrl, Alt or Meta with it."
    assert not panel.foot.isVisible()
    qtbot.keyClick(field, Qt.Key.Key_F11)  # otherwise full screen
    assert field.text() == "F11"
    assert panel._wrong["talk_key"].isHidden()
    panel.save.click()
    engine.answers["settings.get"] = Settings(talk_key="F11")
    qtbot.waitUntil(lambda: "settings.change" in engine.names())
    assert engine.last("settings.change")[0].talk_key == "F11"
    qtbot.waitUntil(lambda: not panel.foot.isVisible())
    qtbot.mouseClick(field, Qt.MouseButton.LeftButton)
    qtbot.keyClick(field, Qt.Key.Key_Escape)
    assert field.text() == "F11"
    qtbot.keyClick(field, Qt.Key.Key_Backspace)
    assert (field.text(), field.key) == ("", "")
    assert panel.foot.isVisible()
