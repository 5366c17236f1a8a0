"""Draw the window in each of its states, to be looked at: python tests/ui/pictures.py FOLDER [scene…]."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parents[2]))

from PySide6.QtWidgets import QApplication, QWidget
from qasync import QEventLoop

from app.engine.errors import EngineError
from app.events import (
    CallChanged,
    CallState,
    CallStep,
    ChannelId,
    DevicesChanged,
    EndKind,
    EngineStarted,
    FiguresChanged,
    FileKept,
    HistoryChanged,
    HomeChanged,
    IceState,
    PeopleChanged,
    Problem,
    RecordingInfo,
    RegistrationChanged,
    RegistrationState,
    SipSeen,
    TrialChanged,
)
from app.media.pattern import Pattern
from app.media.ports import CapturedFrame
from app.media.sinks import MailboxSink
from tests.ui import channel_scenes, scenes
from tests.ui.recorder import Recorder
from ui.application import make_application
from ui.bridge import EngineBridge
from ui.context import Context
from ui.main_window import MainWindow
from ui.quality import Series
from ui.theme.manager import Theme
from ui.theme.tokens import DARK, LIGHT


class Stage:
    """One window that is fed by hand and photographed."""

    def __init__(self, app: QApplication, theme: Theme, folder: Path, size: tuple[int, int]) -> None:
        self.app, self.folder = app, folder
        self.bridge = EngineBridge()
        self.context = Context(theme, self.bridge)
        self.engine = Recorder()
        self.context.attach(self.engine)  # type: ignore[arg-type]
        self.window = MainWindow(self.context)
        self.window.resize(*size)
        self.window.show()
        said = "Registered: others can reach you."
        self.tell(
            EngineStarted(10.0, ""),
            RegistrationChanged("sip:you@home.example", RegistrationState.REGISTERED, 200, said, "tls"),
            PeopleChanged(scenes.PEOPLE),
            HistoryChanged(scenes.history()),
            DevicesChanged(scenes.DEVICES, ("No camera was found: others see a test picture.",)),
        )

    @property
    def pane(self) -> Any:
        return self.window.findChild(QWidget, "pane")

    def tell(self, *events: Any) -> None:
        for event in events:
            self.bridge.publish(event)
        self.settle(0.05)

    def settle(self, seconds: float = 0.3) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.app.processEvents()
            time.sleep(0.005)

    def shoot(self, name: str, widget: QWidget | None = None) -> None:
        self.settle()
        (widget or self.window).grab().save(str(self.folder / f"{name}.png"))

    def close(self, loop: QEventLoop) -> None:
        """Take the window away, with whatever it still waits for."""
        self.window.incoming.close()
        self.window.hide()
        self.bridge.close()
        closing = loop.create_task(self.context.tasks.close())
        while not closing.done():
            self.settle(0.01)

    def in_call(self) -> None:
        """Bring a call four minutes in, with a minute of figures."""
        self.tell(CallChanged(scenes.call(CallState.CONNECTED)))
        self.context.book._clock_offset = time.monotonic() - (10.5 + 252)
        for trace in scenes.traces():
            self.tell(SipSeen(trace))
        self.context.book.take_figures(scenes.figures(step=200))
        self.minute_of_figures()
        self.engine.mailbox("c1", "remote").put(scenes.picture(1280, 720, (120, 90, 60)))
        self.engine.mailbox("c1", "own").put(scenes.picture())
        self.settle()

    def minute_of_figures(self) -> None:
        """Draw the curves as after a minute, whatever time it is here."""
        record = self.context.book.stage
        assert record is not None
        record.series = Series()
        for step in range(201):
            record.series.add(scenes.figures(step=step), step * 0.25)


def idle(stage: Stage) -> None:
    stage.shoot("idle")
    stage.window.column.people.select_contact("2")
    stage.shoot("person")
    stage.window.column.field.setText("sip:new@example.org")
    stage.shoot("dial")
    stage.window.column.field.setText("shift")
    stage.shoot("search")


def empty(stage: Stage) -> None:
    none = RegistrationChanged("", RegistrationState.NONE, own_uri="sip:you@192.168.1.10:5060")
    stage.tell(PeopleChanged(()), HistoryChanged(()), HomeChanged(True), none, DevicesChanged(()))
    stage.shoot("empty")
    stage.window.rail.chosen.emit("history")
    stage.window.toggle_pane()
    stage.shoot("empty-history-pane")
    stage.pane.tabs.setCurrentWidget(stage.pane.timeline)
    stage.shoot("empty-timeline")


def ringing(stage: Stage) -> None:
    stage.window.toggle_pane()
    ice = scenes.snapshot(IceState.CHECKING, selected=None)
    stage.tell(CallChanged(scenes.call(CallState.CONNECTING)), FiguresChanged(scenes.no_figures(ice=ice)))
    stage.shoot("connecting")
    stage.pane.tabs.setCurrentWidget(stage.pane.timeline)
    stage.shoot("connecting-timeline")
    stage.pane.tabs.setCurrentWidget(stage.pane.path)
    stage.tell(CallChanged(scenes.call(CallState.RINGING)), FiguresChanged(scenes.no_figures(ice=scenes.snapshot())))
    stage.shoot("ringing")


def talking(stage: Stage) -> None:
    stage.in_call()
    stage.shoot("call")
    stage.window.toggle_pane()
    stage.shoot("call-path")
    stage.pane.path.verticalScrollBar().setValue(10_000)
    stage.shoot("call-path-below")
    stage.pane.tabs.setCurrentWidget(stage.pane.timeline)
    stage.pane.timeline.checks.choose(1)
    stage.shoot("call-timeline")
    stage.context.book.take_figures(scenes.figures(step=200, ice=scenes.restarted()))
    stage.shoot("call-timeline-restarted")
    stage.pane.tabs.setCurrentWidget(stage.pane.path)
    stage.shoot("call-path-restarted")
    stage.context.book.take_figures(scenes.figures(step=200))
    stage.pane.tabs.setCurrentWidget(stage.pane.quality)
    stage.minute_of_figures()
    stage.shoot("call-quality")
    stage.context.book.take_figures(scenes.figures(step=200, limits=scenes.LIMITS))
    stage.minute_of_figures()
    bar = stage.pane.quality.verticalScrollBar()
    bar.setValue(0)
    stage.shoot("call-limited")
    bar.setValue(bar.maximum() // 2)
    stage.shoot("call-quality-figures")
    bar.setValue(bar.maximum())
    stage.shoot("call-quality-below")
    stage.context.book.take_figures(scenes.figures(step=200))
    stage.pane.tabs.setCurrentWidget(stage.pane.signalling)
    stage.pane.signalling.view.setCurrentIndex(stage.pane.signalling.model.index(2, 0))
    stage.shoot("call-signalling")
    stage.window.toggle_pane()
    poorer = ("No encryption: anyone on the way can listen.", "No ICE: the path is not checked.")
    stage.tell(CallChanged(scenes.call(CallState.CONNECTED, muted=True, sending_video=False, poorer_steps=poorer)))
    stage.window.call.buttons.volume.click()
    stage.shoot("call-muted-poorer")
    stage.window.call.buttons.volume.click()
    stage.window.call.remote.forget()
    stage.tell(CallChanged(scenes.call(CallState.CONNECTED, has_video=False, sending_video=False)))
    stage.shoot("call-voice")
    stage.tell(CallChanged(scenes.incoming()))
    stage.shoot("incoming-second", next(iter(stage.window.incoming.dialogs.values())))
    stage.tell(CallChanged(scenes.call(CallState.CONNECTED, has_video=False, sending_video=False, held=True)))
    stage.shoot("call-held")


def readme(stage: Stage) -> None:
    """The picture of docs/pictures: a call whose camera is the test picture."""
    stage.in_call()
    for side, number in (("remote", 1234), ("own", 4321)):
        mailbox = stage.engine.mailbox("c1", side)
        frame = Pattern(1280, 720, "Test picture").draw(number, 50_643.2)
        MailboxSink(mailbox).show(CapturedFrame(frame, 0.0, is_lettered=True))
    stage.window.toggle_pane()
    stage.shoot("readme")


def troubled(stage: Stage) -> None:
    """A call that finds no path so far, one that is interrupted, and one that has moved."""
    notice = "No path to the other side so far: 6 ways are being tried, none has answered yet."
    ice = scenes.snapshot(IceState.CHECKING, selected=None)
    stage.tell(
        CallChanged(scenes.call(CallState.CONNECTING, notice=notice)), FiguresChanged(scenes.no_figures(ice=ice))
    )
    stage.shoot("call-no-path-yet")
    stage.in_call()
    silent = scenes.snapshot(IceState.INTERRUPTED)
    interrupted = scenes.call(CallState.INTERRUPTED, connected_at=10.5)
    steps = (*interrupted.steps[:-1], CallStep(CallState.INTERRUPTED, 256.0))
    stage.tell(CallChanged(replace(interrupted, steps=steps)))
    stage.context.book.take_figures(scenes.figures(step=200, ice=silent))
    stage.window.toggle_pane()
    stage.shoot("call-interrupted")
    stage.tell(CallChanged(scenes.call(CallState.CONNECTED)))
    stage.context.book.take_figures(scenes.figures(step=200, ice=scenes.restarted()))
    stage.shoot("call-moved")


def asked(stage: Stage) -> None:
    stage.tell(CallChanged(scenes.incoming()))
    stage.shoot("incoming", next(iter(stage.window.incoming.dialogs.values())))


def errors(stage: Stage) -> None:
    said = "Nobody is registered under desk@example.org: check the address, or ask them to sign in."
    stage.tell(CallChanged(scenes.failed(EndKind.NOT_FOUND, said, 404)))
    stage.tell(Problem("network", "The TURN server turn.example.org does not answer; calls may not get through."))
    stage.context.say("Hang up first: the account cannot be changed during a call.", "bad")
    stage.shoot("error")


def settings(stage: Stage) -> None:
    stage.window.toggle_settings()
    stage.shoot("settings")
    panel: Any = stage.window.findChild(QWidget, "settingsPage")
    panel.fields.turn.fill(scenes.TURN)
    panel.findChild(QWidget, "settingsScroll").verticalScrollBar().setValue(500)
    stage.shoot("settings-network")
    panel.fields.turn.rows[1].place.setText("turn2.example.org:99999")
    panel.fields.turn.check()
    panel.fields.stun.setPlainText("stun.example.org:99999")
    panel.save.click()
    stage.settle(0.1)
    panel.findChild(QWidget, "settingsScroll").verticalScrollBar().setValue(10_000)
    stage.shoot("settings-wrong")
    panel.findChild(QWidget, "settingsScroll").verticalScrollBar().setValue(500)
    stage.shoot("settings-turn-wrong")
    stage.window.toggle_settings()
    stage.window.rail.chosen.emit("history")
    stage.window.column.history.view.setCurrentIndex(stage.window.column.history.model.index(2, 0))
    stage.shoot("history")


def dialogs(stage: Stage) -> None:
    stage.window.open_account()
    dialog: Any = stage.window.findChild(QWidget, "accountDialog")
    dialog.address.setText("sip:ada@example.org")
    dialog.say("The server does not know this password: type it again.", "bad")
    stage.shoot("account", dialog)
    stage.window.open_contact(scenes.WORKSHOP)
    stage.shoot("contact", stage.window.findChild(QWidget, "contactDialog"))


def devices(stage: Stage) -> None:
    stage.window.open_devices()
    dialog: Any = stage.window.findChild(QWidget, "deviceDialog")
    stage.settle(0.2)
    stage.engine.mailbox("", "trial").put(scenes.picture(640, 480, (120, 90, 60)))
    stage.tell(TrialChanged(-22.0, -30.0))
    stage.shoot("devices", dialog)
    dialog.findChild(QWidget, "deviceScroll").verticalScrollBar().setValue(10_000)
    lost = "No microphone was found: others hear silence."
    stage.tell(TrialChanged(-8.0, -12.0, lost, "The speaker was lost: you hear nothing until it is back.", lost))
    stage.shoot("devices-below", dialog)
    dialog.resize(420, 560)
    dialog.findChild(QWidget, "deviceScroll").verticalScrollBar().setValue(0)
    stage.tell(TrialChanged(-8.0, -12.0, lost, echo_test="recording"))
    stage.shoot("devices-narrow", dialog)
    dialog.close()


def network(stage: Stage) -> None:
    stage.engine.answers["diagnosis.examine"] = asyncio.get_event_loop().create_future()
    stage.window.open_network_check()
    dialog: Any = stage.window.findChild(QWidget, "networkCheck")
    stage.shoot("network-check-running", dialog)
    dialog.show_examination(scenes.EXAMINATION)
    stage.shoot("network-check", dialog)
    dialog.resize(420, 640)
    dialog.findChild(QWidget, "networkCheckScroll").verticalScrollBar().setValue(10_000)
    stage.shoot("network-check-narrow", dialog)


def narrow(stage: Stage) -> None:
    stage.shoot("narrow-list")
    stage.in_call()
    stage.shoot("narrow-call")
    stage.window.toggle_pane()
    stage.shoot("narrow-pane")
    stage.pane.tabs.setCurrentWidget(stage.pane.timeline)
    stage.shoot("narrow-timeline")
    stage.window.resize(480, 560)
    stage.shoot("narrowest-timeline")
    stage.pane.tabs.setCurrentWidget(stage.pane.path)
    stage.shoot("narrowest-pane")
    stage.pane.tabs.setCurrentWidget(stage.pane.quality)
    stage.context.book.take_figures(scenes.figures(step=200, limits=scenes.LIMITS))
    stage.shoot("narrowest-quality")


def keypad(stage: Stage) -> None:
    stage.in_call()
    stage.window.call.keypad.open_over(stage.window.call.buttons)
    for key in "0800*123#":
        stage.window.call.keypad.press(key)
    stage.shoot("keypad")
    stage.window.resize(480, 560)
    stage.window.shell.slide_back()
    stage.shoot("keypad-narrow")


def sharing(stage: Stage) -> None:
    stage.in_call()
    stage.window.call.buttons.menu.popup(
        stage.window.call.buttons.mapToGlobal(stage.window.call.buttons.rect().topLeft())
    )
    stage.shoot("more-menu", stage.window.call.buttons.menu)
    stage.window.call.buttons.menu.hide()
    stage.engine.answers["media.share_choices"] = scenes.SHARE_CHOICES
    stage.window.open_share()
    dialog: Any = stage.window.findChild(QWidget, "shareDialog")
    stage.shoot("share", dialog)
    stage.engine.answers["media.share_choices"] = EngineError(scenes.NO_SHARING)
    dialog.look()
    stage.shoot("share-not", dialog)
    dialog.reject()
    stage.tell(CallChanged(scenes.call(CallState.CONNECTED, sharing="screen:HDMI-1", mirrors_own=False)))
    stage.shoot("sharing")
    stage.window.resize(480, 640)
    stage.window.shell.slide_back()
    stage.shoot("sharing-narrow")
    recording = RecordingInfo("/home/you/Videos/Parley/x.mkv", 72.0, 262.0, False)
    both = {"sharing": "window:0x600001", "mirrors_own": False, "recording": recording}
    stage.tell(CallChanged(scenes.call(CallState.CONNECTED, **both)))
    stage.shoot("recording-narrow")
    stage.window.resize(1240, 780)
    stage.tell(FileKept("c1", "/home/you/Videos/Parley/2026-11-22 14.03 Front desk.mkv", 754.0))
    stage.shoot("recording")
    stage.window.resize(480, 640)
    stage.tell(CallChanged(scenes.call(CallState.CONNECTED)))
    stage.shoot("narrowest-call")


def channel_figures(stage: Stage) -> None:
    """The tab of channels in the diagnostics pane: one that is well, one that is not, one without a link."""
    stage.engine.answers["channels.figures"] = channel_scenes.figures()
    stage.window.toggle_pane()
    stage.pane.tabs.setCurrentWidget(stage.pane.channels)
    stage.shoot("channel-figures-empty", stage.pane)
    lost = channel_scenes.channel(ChannelId("m-1", "g-lost"), "Charlie", channel_scenes.LOST)
    bravo = channel_scenes.channel(channel_scenes.BRAVO, "Bravo", channel_scenes.BY_RALLYPOINT)
    stage.tell(channel_scenes.missions(channel_scenes.channel(), bravo, lost))
    stage.settle()
    stage.shoot("channel-figures")


SCENES: dict[str, tuple[Callable[[Stage], None], tuple[int, int]]] = {
    "idle": (idle, (1240, 780)),
    "empty": (empty, (1240, 780)),
    "ringing": (ringing, (1440, 860)),
    "talking": (talking, (1440, 860)),
    "readme": (readme, (1320, 822)),
    "troubled": (troubled, (1440, 860)),
    "asked": (asked, (1240, 780)),
    "errors": (errors, (1240, 780)),
    "settings": (settings, (1240, 860)),
    "dialogs": (dialogs, (1240, 780)),
    "devices": (devices, (1240, 780)),
    "network": (network, (1240, 780)),
    "keypad": (keypad, (1240, 780)),
    "sharing": (sharing, (1240, 780)),
    "channel-figures": (channel_figures, (1240, 860)),
    "narrow": (narrow, (800, 700)),
}


def main() -> None:
    folder, wanted = Path(sys.argv[1]), sys.argv[2:] or list(SCENES)
    app = make_application()
    loop = QEventLoop(app, already_running=True)
    theme = Theme(app)
    for tokens in (LIGHT, DARK):
        theme.force(tokens)
        (folder / tokens.name).mkdir(parents=True, exist_ok=True)
        for name in wanted:
            scene, size = SCENES[name]
            stage = Stage(app, theme, folder / tokens.name, size)
            scene(stage)
            stage.close(loop)
    asyncio.events._set_running_loop(None)
    del loop


if __name__ == "__main__":
    main()
