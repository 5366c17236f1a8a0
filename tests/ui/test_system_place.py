"""One's own place from the system: a press on the real window, and a portal on a real session bus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.events import MissionsChanged
from tests.ui import mission_scenes as missions
from tests.ui.conftest import Tell
from tests.ui.portal import a_portal
from tests.ui.recorder import Recorder
from ui.main_window import MainWindow
from ui.panels.channel_self import ChannelSelf
from ui.system_place import PlaceNotHad, follow_place

LEFT = Qt.MouseButton.LeftButton
FOLLOW, STOP = "Use this computer's", "Stop using this computer's"


@pytest.fixture
def own(window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot) -> ChannelSelf:
    tell(MissionsChanged((missions.harbour(),)))
    window.rail.chosen.emit("channels")
    made = window.channels.panel.own
    qtbot.waitUntil(lambda: made.isVisible() and not window.context.tasks.busy)
    engine.given.clear()
    return made


def told(engine: Recorder) -> list[tuple[str, tuple[Any, ...]]]:
    return [(name, arguments) for name, arguments in engine.given if name.endswith("_place")]


def test_the_place_is_followed_until_the_button_is_pressed_again(
    own: ChannelSelf, window: MainWindow, engine: Recorder, bus: None, qtbot: QtBot
) -> None:
    with a_portal(window.context, qtbot, at=(54.32334, 10.13942, 25_000.0)) as portal:
        assert portal.asked == []  # nothing is asked before the press
        qtbot.mouseClick(own.follow, LEFT)
        qtbot.waitUntil(lambda: len(told(engine)) == 1)
        ((_, asked),) = portal.asked
        assert (asked["distance-threshold"], asked["time-threshold"]) == (("u", 50), ("u", 30))
        assert own.place.text() == "54.3233, 10.1394"
        assert own.answer.text() == "Others see where this computer is, give or take 25 km."
        assert (own.follow.text(), own.follow.accessibleName()) == (STOP, STOP)
        window.context.tasks.start(portal.tell_place(54.4, -10.2, 12.0))
        qtbot.waitUntil(lambda: len(told(engine)) == 2)
        assert told(engine)[1] == ("channels.set_place", (54.4, -10.2))
        qtbot.mouseClick(own.follow, LEFT)
        qtbot.waitUntil(portal.left.is_set)  # and the system is let go
        assert (own.follow.text(), own.place.text()) == (FOLLOW, "54.4, -10.2")
        assert len(told(engine)) == 2


@pytest.mark.parametrize("how", ["typed", "hidden", "no mission"])
def test_what_else_ends_the_following(
    own: ChannelSelf, window: MainWindow, tell: Tell, bus: None, qtbot: QtBot, how: str
) -> None:
    with a_portal(window.context, qtbot, at=(54.3, 10.1, 9.0)) as portal:
        qtbot.mouseClick(own.follow, LEFT)
        qtbot.waitUntil(lambda: own.place.text() == "54.3, 10.1")
        if how == "typed":
            qtbot.keyClicks(own.place, "9")
            assert own.place.text() == "54.3, 10.19"
            assert "followed no more" in own.answer.text()
        elif how == "hidden":
            own.clear_place.click()
        else:
            tell(MissionsChanged(()))
        qtbot.waitUntil(portal.left.is_set)
        assert own.follow.text() == FOLLOW


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"interfaces": ()}, "This desktop's portal tells programs no place"),
        ({"answer": 1}, "The desktop did not tell Parley the place"),
        ({"at": (float("nan"), 10.0, 5.0)}, "The desktop's portal is not understood"),
    ],
)
def test_why_the_desktop_tells_no_place(
    own: ChannelSelf, window: MainWindow, engine: Recorder, bus: None, qtbot: QtBot, how: dict[str, Any], said: str
) -> None:
    with a_portal(window.context, qtbot, **how):
        qtbot.mouseClick(own.follow, LEFT)
        qtbot.waitUntil(lambda: own.follow.text() == FOLLOW)
    assert own.answer.text().startswith(said)
    assert told(engine) == []


def test_a_place_that_is_taken_back_or_a_portal_that_ends(
    own: ChannelSelf, window: MainWindow, bus: None, qtbot: QtBot
) -> None:
    with a_portal(window.context, qtbot, at=(54.3, 10.1, 9.0)) as portal:
        qtbot.mouseClick(own.follow, LEFT)
        qtbot.waitUntil(lambda: own.place.text() != "")
        window.context.tasks.start(portal.take_back())
        qtbot.waitUntil(lambda: own.follow.text() == FOLLOW)
        assert own.answer.text().startswith("The desktop tells Parley the place no more")
        qtbot.mouseClick(own.follow, LEFT)
        qtbot.waitUntil(lambda: own.answer.text().startswith("Others see"))
    qtbot.waitUntil(lambda: own.follow.text() == FOLLOW)
    assert own.answer.text().startswith("The desktop's portal ended")


def test_without_a_session_bus_a_sentence_says_so(
    own: ChannelSelf, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot, tmp_path: Path
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    qtbot.mouseClick(own.follow, LEFT)
    qtbot.waitUntil(lambda: own.answer.text().startswith("This desktop has no session bus"))
    assert own.follow.text() == FOLLOW


@pytest.mark.parametrize("platform", ["win32", "darwin"])
async def test_windows_and_macos_are_not_asked(platform: str) -> None:
    with pytest.raises(PlaceNotHad, match="type your place instead"):
        await follow_place(print, platform)
