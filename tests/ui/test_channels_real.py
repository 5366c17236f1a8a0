"""Two windows with real engines over multicast on this machine: a mission dropped, a key held, a burst replayed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget
from pytestqt.qtbot import QtBot
from qasync import QEventLoop

from app.engine import missions
from app.engine.facade import Engine
from app.engine.missions import ChannelWish, MissionWishes
from app.engine.options import EngineOptions, HomeMode
from app.events import ChannelId
from app.settings import Settings
from ui.bridge import EngineBridge
from ui.context import Context
from ui.main_window import MainWindow
from ui.panels.channels import ChannelsPanel
from ui.panels.diagnostics import DiagnosticsPane
from ui.theme.manager import Theme
from ui.widgets.talk_button import TalkButton

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="multicast stays on the loopback interface of Linux")

LONG_MS = 20_000
LEFT = Qt.MouseButton.LeftButton


def adjusted(name: str, audio_from: str, audio_to: str) -> Callable[[Settings], Settings]:
    def adjust(settings: Settings) -> Settings:
        media = replace(settings.media, audio_from=audio_from, audio_to=audio_to, video_from="none", video_to="null")
        network = replace(settings.network, interfaces=("127.0.0.1",), sip_port=0, find_neighbours=False)
        return replace(settings, media=media, network=network, display_name=name)

    return adjust


@dataclass
class Radio:
    """One person's window and engine."""

    window: MainWindow
    engine: Engine
    qtbot: QtBot

    @property
    def panel(self) -> ChannelsPanel:
        return self.window.channels.panel

    def wait(self, until: Callable[[], Any]) -> None:
        self.qtbot.waitUntil(lambda: bool(until()), timeout=LONG_MS)

    def drop(self, mission: Path) -> None:
        """Drop a mission's file on the window, and open what the dialog shows of it."""
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(mission))])
        copy, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(self.window, QDragEnterEvent(QPoint(200, 200), copy, mime, LEFT, none))
        QApplication.sendEvent(self.window, QDropEvent(QPointF(200, 200), copy, mime, LEFT, none, QEvent.Type.Drop))
        dialog = self.window.findChild(QWidget, "openMission")
        assert dialog is not None
        go = dialog.findChild(QAbstractButton, "missionGo")
        assert isinstance(go, QAbstractButton)
        self.wait(lambda: go.text() == "Open" and go.isEnabled())
        self.qtbot.mouseClick(go, LEFT)
        self.wait(lambda: self.window.context.channels.shown is not None and self.window.channels.shown)

    def talk(self, channel_id: ChannelId) -> TalkButton:
        return self.panel.card(channel_id).talk

    def forward(self) -> None:
        self.window.activateWindow()
        self.wait(self.window.isActiveWindow)
        self.panel.setFocus()


@pytest.fixture
def radios(qt_loop: QEventLoop, theme: Theme, qtbot: QtBot, tmp_path: Path) -> Iterator[tuple[Radio, Radio]]:
    made = []
    for name, tone, heard in (("Ada", "tone:440", "null"), ("Ben", "tone:880", str(tmp_path / "heard.wav"))):
        bridge = EngineBridge()
        options = EngineOptions(
            profile=tmp_path / name,
            adjust=adjusted(name, tone, heard),
            home=HomeMode.ON_DEMAND,
            neighbours=False,
            watch_presence=False,
            ring=False,
        )
        engine = Engine(options, bridge.publish)
        context = Context(theme, bridge)
        window = MainWindow(context)
        qtbot.addWidget(window)
        window.show()
        engine.start()
        context.attach(engine)
        made.append(Radio(window, engine, qtbot))
    yield made[0], made[1]
    for radio in made:
        radio.window.close()
        radio.window.context.bridge.close()
    for radio in made:
        for ending in (radio.window.context.tasks.close(), asyncio.wait_for(radio.engine.close(), 20)):
            task = qt_loop.create_task(ending)
            qtbot.waitUntil(task.done, timeout=LONG_MS)


def test_a_mission_is_dropped_talked_on_with_mouse_and_key_and_replayed(
    radios: tuple[Radio, Radio], qtbot: QtBot, tmp_path: Path
) -> None:
    ada, ben = radios
    mission = missions.make(
        MissionWishes("Harbour", (ChannelWish("Alpha"), ChannelWish("Boats"))), datetime(2026, 11, 22, tzinfo=UTC)
    )
    mission = replace(mission, groups=tuple(replace(group, interface_name="lo") for group in mission.groups))
    mission = mission.canonical()
    file = tmp_path / "harbour.ice"
    file.write_text(missions.pack(mission))
    for radio in (ada, ben):
        radio.drop(file)
    shown = ada.window.context.channels.shown
    assert shown is not None
    assert [ada.panel.card(one.id).name.text() for one in shown.channels] == ["Alpha", "Boats"]
    alpha, boats = (one.id for one in shown.channels)
    for radio in (ada, ben):
        radio.wait(lambda radio=radio: radio.talk(alpha).face.title == "Hold to talk")
        assert radio.panel.card(alpha).chips.words[0] == "encrypted"

    ada.forward()  # with the mouse on the second card
    qtbot.mousePress(ada.talk(boats), LEFT)
    ada.wait(lambda: ada.talk(boats).face.title == "You are talking")
    ben.wait(lambda: ben.talk(boats).face.title == "Ada")
    assert ben.talk(boats).face.state == "receiving"
    qtbot.mouseRelease(ada.talk(boats), LEFT)
    ada.wait(lambda: ada.talk(boats).face.text == "last: you, just now")
    ben.wait(lambda: ben.talk(boats).face.text == "last: Ada, just now")

    ben.forward()  # with the key of the primary channel
    focus = ben.window.focusWidget()
    assert focus is not None
    qtbot.keyPress(focus, Qt.Key.Key_Space)
    ada.wait(lambda: ada.talk(alpha).face.title == "Ben")
    qtbot.keyRelease(focus, Qt.Key.Key_Space)
    ada.wait(lambda: ada.talk(alpha).face.text == "last: Ben, just now")

    ben.panel.choose(boats)
    ben.wait(lambda: len(ben.panel.bursts.model.rows) == 1)
    assert ben.panel.bursts.model.rows[0].title == "Ada"
    burst = ben.panel.bursts.model.rows[0].burst
    scroll: Any = ben.panel.findChild(QWidget, "channelsScroll")
    scroll.ensureWidgetVisible(ben.panel.bursts)
    qtbot.mouseClick(ben.panel.bursts.view.viewport(), LEFT, pos=ben.panel.bursts.button_centre(burst.burst_id))
    ben.wait(lambda: ben.window.context.channels.playing == burst.burst_id)
    ben.wait(lambda: ben.window.context.channels.playing is None)

    ben.window.toggle_pane()
    pane = ben.window.findChild(DiagnosticsPane, "pane")
    assert isinstance(pane, DiagnosticsPane)
    pane.tabs.setCurrentWidget(pane.channels)
    figures = pane.channels.blocks[boats]
    ben.wait(lambda: bool(figures.talkers.rows))
    assert figures.talkers.rows[0].cells[0] == ("Ada", "opus")
    assert figures.story.title.text().startswith("Multicast")
    assert figures.cost.figure.text() == "58.3 kb/s"
    assert int(figures.heard.figure.text()) > 0
    ben.window.toggle_pane()

    qtbot.keyClicks(ben.panel.texts.field, "All well")
    qtbot.keyClick(ben.panel.texts.field, Qt.Key.Key_Return)
    ada.wait(lambda: "Ben: All well" in ada.panel.texts.view.toPlainText())
    ada.panel.head.emergency.held_long.emit()
    ben.wait(lambda: ben.window.channels.banner is not None and ben.window.channels.banner.isVisible())
    assert ben.window.channels.banner is not None
    assert ben.window.channels.banner.sentences == ["Emergency: Ada in Harbour"]
    assert ben.window.column.channels.model.rows[-1].title == "Ada"  # among those who are here
    ada.wait(lambda: ada.window.channels.banner is not None and ada.window.channels.banner.isVisible())
