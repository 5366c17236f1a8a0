"""The window and two real engines: what a person does with the mouse, and what the other end hears and sees of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot
from qasync import QEventLoop

from app.engine.facade import Engine
from app.engine.options import EngineOptions, HomeMode
from app.events import CallChanged, CallInfo, CallState, EndKind, Event, FiguresChanged, RegistrationChanged
from app.media.stamp import read_stamp
from app.settings import RecordingSettings, Settings, TellOther
from tests.heard import frequency_hz, gaps_ms, level_dbfs, part, read_wav, share_at, sounds
from tests.media.hanging import Hanging, hanging
from tests.seen import stamps
from ui.bridge import EngineBridge
from ui.context import Context
from ui.dialogs.contact import ContactDialog
from ui.main_window import MainWindow
from ui.panels.diagnostics import DiagnosticsPane
from ui.theme.manager import Theme

__all__ = ["hanging"]

LONG_MS = 20_000
LEFT = Qt.MouseButton.LeftButton

Wait = Callable[..., None]


def adjusted(tone: str, audio_to: str, video_to: str, kept: Path) -> Callable[[Settings], Settings]:
    """No device, no port that others want, loopback only; a small picture, since two cores carry both ends."""

    def adjust(settings: Settings) -> Settings:
        media = replace(settings.media, audio_from=tone, audio_to=audio_to, video_from="pattern", video_to=video_to)
        media = replace(media, width=320, height=240, fps=15)
        network = replace(settings.network, interfaces=("127.0.0.1",), sip_port=0, find_neighbours=False)
        recording = RecordingSettings(str(kept / "videos"), str(kept / "pictures"), tell=TellOther.NONE)
        return replace(settings, media=media, network=network, recording=recording)

    return adjust


def options(profile: Path, adjust: Callable[[Settings], Settings], home: HomeMode) -> EngineOptions:
    return EngineOptions(profile=profile, adjust=adjust, home=home, neighbours=False, watch_presence=False, ring=False)


@dataclass
class Ends:
    """Both ends of a test: the window with its engine, and the engine of the other person."""

    window: MainWindow
    near: Engine
    far: Engine
    far_events: list[Event]
    loop: QEventLoop
    wait: Wait
    qtbot: QtBot
    heard: Path

    def do(self, work: Any) -> Any:
        """Carry out a command of an engine and give its answer."""
        task = self.loop.create_task(work)
        self.wait(task.done)
        return task.result()

    def far_uri(self) -> str:
        self.wait(lambda: any(isinstance(event, RegistrationChanged) for event in self.far_events))
        found = next(event for event in self.far_events if isinstance(event, RegistrationChanged))
        assert found.own_uri is not None
        return found.own_uri

    def far_call(self, state: CallState) -> CallInfo:
        """Wait until the other end's call is in a state."""

        def newest() -> CallInfo | None:
            calls = [event.call for event in self.far_events if isinstance(event, CallChanged)]
            return calls[-1] if calls and calls[-1].state is state else None

        self.wait(lambda: newest() is not None)
        found = newest()
        assert found is not None
        return found

    def state(self) -> CallState | None:
        record = self.window.context.book.stage
        return record.info.state if record is not None else None

    def connect(self) -> None:
        """Call the other end from the field and have it answer."""
        self.qtbot.keyClicks(self.window.column.field, self.far_uri())
        self.qtbot.keyClick(self.window.column.field, Qt.Key.Key_Return)
        self.do(self.far.calls.answer(self.far_call(CallState.RINGING).call_id, video=True))
        self.wait(lambda: self.state() is CallState.CONNECTED)


@pytest.fixture
def ends(
    qt_loop: QEventLoop, theme: Theme, qtbot: QtBot, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Ends]:
    """The near end hums and hears nothing; indirect parameters name other sources and sinks for it."""
    heard = tmp_path / "heard.wav"
    sound = getattr(request, "param", ("tone:440", "null"))
    far_events: list[Event] = []
    far = Engine(
        options(tmp_path / "far", adjusted("tone:880", str(heard), "null", tmp_path / "far-kept"), HomeMode.ON_DEMAND),
        far_events.append,
    )
    bridge = EngineBridge()
    near = Engine(
        replace(
            options(tmp_path / "near", adjusted(*sound, "window", tmp_path / "kept"), HomeMode.AUTO),
            ring=sound[1] == "speaker",
        ),
        bridge.publish,
    )
    context = Context(theme, bridge)
    window = MainWindow(context)
    qtbot.addWidget(window)
    window.show()
    for engine in (far, near):
        engine.start()
    context.attach(near)
    made = Ends(
        window, near, far, far_events, qt_loop, lambda until: qtbot.waitUntil(until, timeout=LONG_MS), qtbot, heard
    )
    for engine in (far, near):
        made.do(engine.opened())
    made.wait(lambda: context.registration is not None and context.home is not None)
    yield made
    window.close()
    bridge.close()
    made.do(context.tasks.close())
    made.do(asyncio.wait_for(_close(near, far), 20))


async def _close(*engines: Engine) -> None:
    for engine in engines:
        await engine.close()


def add_contact(ends: Ends, name: str, uri: str) -> None:
    """Add a person as one does: by the button, the two fields and Enter."""
    button = ends.window.findChild(object, "addContact")
    assert button is not None
    ends.qtbot.mouseClick(button, LEFT)
    dialog = ends.window.findChild(ContactDialog, "contactDialog")
    assert isinstance(dialog, ContactDialog)
    ends.qtbot.keyClicks(dialog.name, name)
    ends.qtbot.keyClicks(dialog.address, uri)
    ends.qtbot.keyClick(dialog.address, Qt.Key.Key_Return)
    ends.wait(lambda: any(contact.name == name for contact in ends.window.column.people.model.contacts))


def call_button(ends: Ends, name: str) -> QPoint:
    contact = next(who for who in ends.window.column.people.model.contacts if who.name == name)
    return ends.window.column.people.button_centre(contact.contact_id)


def stamp_moves(ends: Ends, view: Any) -> bool:
    """Tell whether a view has shown at least three pictures with rising stamps, read back from the pixels shown."""
    seen: list[int] = []
    end = time.monotonic() + LONG_MS / 1000
    while len(seen) < 3 and time.monotonic() < end:
        ends.qtbot.wait(40)
        number = read_stamp(view.picture) if view.picture is not None else None
        if number is not None and (not seen or number > seen[-1]):
            seen.append(number)
    return len(seen) == 3


@pytest.mark.timeout(120)
def test_a_call_from_adding_a_contact_to_hanging_up(ends: Ends, tmp_path: Path) -> None:
    window = ends.window
    add_contact(ends, "Far", ends.far_uri())
    ends.qtbot.mouseClick(window.column.people.view.viewport(), LEFT, pos=call_button(ends, "Far"))
    ringing = ends.far_call(CallState.RINGING)
    ends.wait(lambda: window.call.centre.state.text() == "Ringing…")
    ends.do(ends.far.calls.answer(ringing.call_id, video=True))
    ends.wait(lambda: ends.state() is CallState.CONNECTED)

    window.call.buttons.menu.record.trigger()
    ends.wait(window.call.marks.recording.isVisible)
    assert stamp_moves(ends, window.call.remote)
    assert stamp_moves(ends, window.call.own.view)
    window.call.buttons.menu.still.trigger()
    ends.wait(lambda: "Both pictures were kept." in window.toasts.sentences)

    window.activateWindow()
    ends.wait(window.isActiveWindow)
    ends.qtbot.keyClick(window, Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    pane = window.findChild(DiagnosticsPane, "pane")
    assert isinstance(pane, DiagnosticsPane)
    ends.wait(lambda: bool(pane.path.pairs.rows) and pane.path.pairs.rows[0].selected)
    assert pane.path.story.title.text() == "Direct, on this machine"
    ends.wait(lambda: window.call.bar.chips.listen.text() == "End to end · not verified")
    assert window.call.bar.chips.travel.text().startswith("Direct")
    lines = [trace.line.split()[0] for trace in pane.signalling.model.traces]
    assert lines[0] == "INVITE"
    assert "ACK" in lines

    ends.qtbot.mouseClick(window.call.buttons.mute, LEFT)
    ends.wait(window.call.buttons.mute.isChecked)
    ends.qtbot.wait(700)  # a stretch of silence for the other end to hear
    ends.qtbot.mouseClick(window.call.buttons.hang_up, LEFT)
    ends.wait(lambda: ends.state() is CallState.ENDED)
    ends.far_call(CallState.ENDED)
    assert window.call.centre.state.text() == "The call is over."

    record = window.context.book.stage
    assert record is not None
    states = [step.state for step in record.info.steps]
    expected = [CallState.GATHERING, CallState.INVITING, CallState.CONNECTING, CallState.RINGING]
    assert states[:4] == expected
    assert states[-1] is CallState.ENDED
    ends.wait(lambda: any(row.title == "Far" for row in window.column.history.model.rows))
    kept = next(row for row in window.column.history.model.rows if row.title == "Far")
    assert "direct" in kept.subtitle

    samples = read_wav(ends.heard)
    loud = part(samples, 0.4, 1.2)
    assert frequency_hz(loud) == pytest.approx(440, abs=3)
    assert level_dbfs(part(samples, samples.size / 48_000 - 0.3)) < -60  # muted

    ends.wait(lambda: any(sentence.startswith("Recorded 00:") for sentence in window.toasts.sentences))
    (film,) = (tmp_path / "kept" / "videos").iterdir()
    assert film.name.endswith(" Far.mkv")
    recorded = part(sounds(film)[0][:, 0], 0.4, 1.0)
    assert share_at(recorded, 440) > 0.1
    assert share_at(recorded, 880) > 0.1
    assert len(set(stamps(film))) > 5
    assert len(list((tmp_path / "kept" / "pictures").glob("*.png"))) == 2


@pytest.mark.timeout(120)
def test_a_call_that_is_declined_says_so(ends: Ends) -> None:
    ends.qtbot.keyClicks(ends.window.column.field, ends.far_uri())
    ends.qtbot.keyClick(ends.window.column.field, Qt.Key.Key_Return)
    ends.do(ends.far.calls.decline(ends.far_call(CallState.RINGING).call_id))
    ends.wait(lambda: ends.state() is CallState.ENDED)
    said = ends.window.call.centre.state.text()
    assert said.endswith(".")
    assert said != "The call failed."
    ends.connect()  # and the next call works


@pytest.mark.timeout(120)
def test_a_call_to_nobody_says_why_and_the_next_one_works(ends: Ends) -> None:
    field = ends.window.column.field
    ends.qtbot.keyClicks(field, "somebody unknown")
    ends.qtbot.keyClick(field, Qt.Key.Key_Return)
    ends.wait(lambda: bool(ends.window.toasts.sentences))
    assert "somebody unknown" in ends.window.toasts.sentences[0]
    home = ends.window.context.home
    assert home is not None
    assert field.text() == "somebody unknown"  # what could not be called stays, to be mended
    field.selectAll()
    ends.qtbot.keyClicks(field, f"sip:nobody@{home.sip_address}")
    ends.qtbot.keyClick(field, Qt.Key.Key_Return)
    ends.wait(lambda: ends.state() is CallState.ENDED)
    record = ends.window.context.book.stage
    assert record is not None
    assert record.info.end is not None
    assert record.info.end.kind is EndKind.NOT_FOUND
    assert ends.window.call.centre.state.text() == record.info.end.sentence
    ends.connect()


@pytest.mark.timeout(120)
def test_being_called_and_answering_in_the_window(ends: Ends) -> None:
    assert ends.window.context.registration is not None
    own = ends.window.context.registration.own_uri
    assert own is not None
    call_id = ends.do(ends.far.calls.place(own, video=True))
    ends.wait(lambda: bool(ends.window.incoming.dialogs))
    dialog = next(iter(ends.window.incoming.dialogs.values()))
    ends.qtbot.mouseClick(dialog.with_picture, LEFT)
    ends.wait(lambda: ends.state() is CallState.CONNECTED)
    assert not ends.window.incoming.dialogs
    assert stamp_moves(ends, ends.window.call.remote)
    ends.do(ends.far.calls.hang_up(call_id))
    ends.wait(lambda: ends.state() is CallState.ENDED)
    assert ends.window.call.centre.state.text() == "The call is over."


@pytest.mark.timeout(120)
def test_a_blocked_window_loses_no_sound_at_the_other_end(ends: Ends) -> None:
    ends.connect()
    ends.wait(lambda: any(isinstance(e, FiguresChanged) and _hears(e) for e in ends.far_events))
    ends.qtbot.wait(600)
    for _ in range(3):
        time.sleep(0.3)  # the window does nothing at all
        ends.qtbot.wait(100)
    ends.qtbot.wait(300)
    ends.qtbot.mouseClick(ends.window.call.buttons.hang_up, LEFT)
    ends.far_call(CallState.ENDED)
    samples = read_wav(ends.heard)
    talk = part(samples, 0.5, samples.size / 48_000 - 0.4)
    assert talk.size > 48_000
    assert gaps_ms(talk) == []
    assert frequency_hz(talk) == pytest.approx(440, abs=2)


def _hears(event: FiguresChanged) -> bool:
    audio = event.figures.audio
    return audio is not None and audio.packets_received > 10


@pytest.mark.parametrize("ends", [("mic", "speaker")], indirect=True)
@pytest.mark.timeout(120)
def test_devices_that_hang_leave_window_and_call_to_the_person(hanging: Hanging, ends: Ends) -> None:
    hanging.opening = {0, 1}
    window = ends.window
    ends.connect()
    ends.wait(hanging.has_hung.is_set)
    assert stamp_moves(ends, window.call.remote)
    ends.qtbot.mouseClick(window.call.buttons.mute, LEFT)
    ends.wait(window.call.buttons.mute.isChecked)
    ends.wait(lambda: any("does not answer" in sentence for sentence in window.toasts.sentences))
    ends.qtbot.mouseClick(window.call.buttons.hang_up, LEFT)
    ends.wait(lambda: ends.state() is CallState.ENDED)
    ends.far_call(CallState.ENDED)
    assert not hanging.release.is_set()
