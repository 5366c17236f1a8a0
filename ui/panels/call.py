"""The call panel: the remote picture is the stage, everything else floats on it.

What it shows comes from CallInfo and CallFigures alone; what it wants goes to the engine and comes back as an event.
Buttons fade when nobody moves while a picture is on show; the three facts and the name stay.
"""

from __future__ import annotations

import time

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from app.events import CallState, ShareChoice
from app.frames import VideoPicture
from ui import facts, words
from ui.context import Context
from ui.models.calls import CallRecord
from ui.panels.call_parts import CallBar, CallCentre, OwnPicture
from ui.widgets.basics import label
from ui.widgets.call_buttons import CallButtons, VolumeCard
from ui.widgets.call_marks import CallMarks
from ui.widgets.fade import Fader
from ui.widgets.keypad import Keypad
from ui.widgets.video_view import VideoView
from ui.words import choice_words

_FADE_AFTER_MS = 3500
_TELL_SIZE_AFTER_MS = 1_000
_STALE_AFTER_S = 3.0


class CallPanel(QWidget):
    """Shows the call on the stage."""

    full_screen_wanted = Signal()
    details_wanted = Signal()
    share_wanted = Signal()
    devices_wanted = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("callPanel")
        self.setAccessibleName("Call")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._context = context
        self._call_id: str | None = None
        self._shared_names: dict[str, str] = {}  # what was chosen in the dialog, by how the engine names it
        self.remote = VideoView("remotePicture", "Picture of the other side")
        self.remote.setParent(self)
        self.remote.setMouseTracking(True)
        self.setMouseTracking(True)
        self.bar = CallBar(self)
        self.marks = CallMarks(self)
        self.centre = CallCentre(self)
        self.own = OwnPicture(self)
        self.poorer = label("", name="poorerSteps", wrap=True)
        self.poorer.setParent(self)
        self.poorer.setProperty("look", "poorer")
        self.stale = label(
            "The picture has stopped: the camera there is off, or the path is silent.", name="staleNote", wrap=True
        )
        self.stale.setParent(self)
        self.stale.setProperty("look", "floating")
        self.poorer.hide()
        self.stale.hide()
        self.buttons = CallButtons(context.theme)
        self.buttons.setParent(self)
        self.volume_card = VolumeCard(self)
        self.buttons.set_volume_card(self.volume_card)
        self.keypad = Keypad(self)
        self._fader = Fader(self.buttons)
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(_FADE_AFTER_MS)
        self._idle.timeout.connect(self._fade_out)
        self._tick = QTimer(self)
        self._tick.setInterval(500)
        self._tick.timeout.connect(self._show_time)
        self._tell_size = QTimer(self)
        self._tell_size.setSingleShot(True)
        self._tell_size.setInterval(_TELL_SIZE_AFTER_MS)
        self._tell_size.timeout.connect(self._say_size)
        self._connect()
        for part in (self.remote, self.buttons, self):
            part.installEventFilter(self)

    def _connect(self) -> None:
        book, buttons = self._context.book, self.buttons
        book.stage_changed.connect(self.refresh)
        book.figures_changed.connect(self._figures_changed)
        book.path_renewed.connect(self._path_renewed)
        self.remote.first_picture.connect(self.refresh)
        self.own.view.first_picture.connect(self.refresh)
        buttons.mute_wanted.connect(lambda on: self._ask("set_muted", on))
        buttons.camera_wanted.connect(lambda on: self._ask("set_camera", on))
        buttons.volume_wanted.connect(lambda value: self._ask("set_volume", value))
        buttons.full_screen_wanted.connect(self.full_screen_wanted)
        buttons.details_wanted.connect(self.details_wanted)
        buttons.hang_up_wanted.connect(self.hang_up)
        buttons.menu.hold_wanted.connect(self._hold)
        buttons.menu.keypad_wanted.connect(lambda: self.keypad.open_over(self.buttons))
        self.keypad.pressed.connect(lambda key: self._ask("send_digits", key))
        buttons.menu.share_wanted.connect(lambda on: self.share_wanted.emit() if on else self._stop_sharing())
        buttons.menu.record_wanted.connect(self._record)
        buttons.menu.still_wanted.connect(self._keep_still)
        buttons.menu.devices_wanted.connect(self.devices_wanted)
        buttons.menu.aboutToShow.connect(self._say_what_can_be_kept)
        self.marks.stop_sharing.connect(self._stop_sharing)
        self.marks.stop_recording.connect(lambda: self._record(False))
        self.bar.chips.asked.connect(self.details_wanted)
        self.centre.again.clicked.connect(self._call_again)
        self.centre.close_button.clicked.connect(self._context.book.put_away)
        self.centre.resume.clicked.connect(self._resume)
        self.centre.why.clicked.connect(self.details_wanted)

    # What is asked of it from outside -----------------------------------------------------------------------------

    def let_go(self) -> None:
        """Listen to no pictures any more and tell the engine nothing; before the window goes."""
        self._call_id = None
        for timer in (self._tell_size, self._tick, self._idle):
            timer.stop()
        self.remote.show_mailbox(None)
        self.own.view.show_mailbox(None)

    def hang_up(self) -> None:
        record = self._context.book.stage
        if record is not None and not record.over:
            self._context.hang_up(record.info.call_id)

    def toggle_mute(self) -> None:
        if self._live():
            self.buttons.mute.click()

    def toggle_camera(self) -> None:
        if self._live() and self.buttons.camera.isVisible():
            self.buttons.camera.click()

    def share(self, choice: ShareChoice) -> None:
        """Show a screen or a window in the call on the stage."""
        record, engine = self._context.book.stage, self._context.engine
        if record is None or record.over or engine is None:
            return
        self._shared_names[choice.video_from] = choice_words(choice)
        self._context.tasks.start(engine.media.share(record.info.call_id, choice.video_from))

    def step_volume(self, percent: int) -> None:
        if self._live():
            self.volume_card.step(percent)

    def show_full_screen(self, on: bool) -> None:
        self.buttons.show_full_screen(on)

    def refresh(self) -> None:
        """Show the call on the stage as it is now."""
        record = self._context.book.stage
        if record is None:
            self._show_streams(None)
            self._tick.stop()
            return
        call = record.info
        self._show_streams(record)
        name = call.remote_name or words.shown_address(call.remote_uri)
        self.bar.show_call(name, call)
        self.marks.show_call(call, self._shared_names.get(call.sharing, ""), over=record.over)
        has_picture = self.remote.picture is not None and not record.over
        self.centre.show_call(name, call, has_picture=has_picture)
        self.buttons.setVisible(not record.over)
        self.buttons.show_call(call)
        self.own.show_call(call)
        self._show_notes(record)
        if self.keypad.isVisible() and not self.buttons.menu.keypad.isEnabled():
            self.keypad.put_away()
        if record.over:
            self.volume_card.hide()
            self._tick.stop()
        elif not self._tick.isActive():
            self._tick.start()
        self._show_facts(record)
        self._show_time()
        self._place()
        self._wake_buttons()

    # --------------------------------------------------------------------------------------------------------------

    def _live(self) -> bool:
        record = self._context.book.stage
        return record is not None and not record.over

    def _ask(self, command: str, value: object) -> None:
        record, engine = self._context.book.stage, self._context.engine
        if record is None or engine is None:
            return
        self.buttons.show_call(record.info)  # what is shown is what is, until the engine says it changed
        self._context.tasks.start(getattr(engine.calls, command)(record.info.call_id, value))

    def _call_again(self) -> None:
        record = self._context.book.stage
        if record is not None:
            self._context.place(record.info.remote_uri, video=record.info.has_video or record.info.offers_video)

    def _resume(self) -> None:
        record = self._context.book.stage
        if record is not None:
            self._context.resume(record.info.call_id)

    def _record(self, on: bool) -> None:
        record, engine = self._context.book.stage, self._context.engine
        if record is not None and engine is not None:
            command = engine.media.record if on else engine.media.stop_recording
            self._context.tasks.start(command(record.info.call_id))

    def _say_what_can_be_kept(self) -> None:
        self.buttons.menu.still.setEnabled(self._live() and bool(self._pictures()))

    def _pictures(self) -> list[tuple[VideoPicture, bool]]:
        """What is seen now: the pictures, and whether each is one's own."""
        views = (self.remote, False), (self.own.view, True)
        return [(view.picture, own) for view, own in views if view.picture is not None]

    def _keep_still(self) -> None:
        record, engine = self._context.book.stage, self._context.engine
        if record is None or engine is None:
            return
        call_id, pictures = record.info.call_id, self._pictures()

        async def keep() -> None:
            files = [await engine.media.keep_still(call_id, picture, own=own) for picture, own in pictures]
            if files:
                kept = "A picture was" if len(files) == 1 else "Both pictures were"
                self._context.kept.emit(f"{kept} kept.", files[0])

        self._context.tasks.start(keep())

    def _stop_sharing(self) -> None:
        record, engine = self._context.book.stage, self._context.engine
        if record is not None and engine is not None:
            self._context.tasks.start(engine.media.stop_sharing(record.info.call_id))

    def _hold(self, on: bool) -> None:
        self._ask("set_held", True) if on else self._resume()

    def _show_streams(self, record: CallRecord | None) -> None:
        engine = self._context.engine
        call_id = record.info.call_id if record is not None and not record.over else None
        if call_id == self._call_id or engine is None:
            return
        self._call_id = call_id
        self._tell_size.start()
        self.remote.show_mailbox(engine.calls.remote_picture(call_id) if call_id else None)
        self.own.view.show_mailbox(engine.calls.own_picture(call_id) if call_id else None)
        self.volume_card.slider.blockSignals(True)
        self.volume_card.slider.setValue(100)
        self.volume_card.slider.blockSignals(False)

    def _figures_changed(self, call_id: str) -> None:
        record = self._context.book.stage
        if record is not None and record.info.call_id == call_id and self.isVisible():
            self._show_facts(record)
            self._place()

    def _show_notes(self, record: CallRecord) -> bool:
        """Say what this call lacks, what keeps it from going on or limits it most; True when that changed."""
        call = record.info
        notes = [*call.poorer_steps, *([call.notice] if call.notice else [])]
        if call.state is CallState.INTERRUPTED:
            notes.append(words.interrupted_words(self._context.book.interrupted_for(call)))
        elif facts.is_talking(call):
            notes += facts.limit_words(record.figures)[:1]
        text = "" if record.over else "\n".join(notes)
        if text == self.poorer.text() and self.poorer.isVisibleTo(self) == bool(text):
            return False
        self.poorer.setText(text)
        self.poorer.setVisible(bool(text))
        return True

    def _path_renewed(self, call_id: str, at: float, moved: bool) -> None:
        """Note that the call went on over another path; the pane tells more."""
        record = self._context.book.record(call_id)
        if record is None:
            return
        when = self._context.book.time_of_day(at)
        name = record.info.remote_name or words.shown_address(record.info.remote_uri)
        what = "This machine moved to another network" if moved else "The path was made anew"
        self._context.say(f"{what} at {when}; the call with {name} went on.", "good")

    def _show_facts(self, record: CallRecord) -> None:
        figures = record.figures
        self.bar.chips.show_facts(
            facts.who_can_listen(figures),
            facts.how_it_travels(figures),
            facts.how_it_sounds(figures),
        )

    def _show_time(self) -> None:
        record = self._context.book.stage
        if record is None:
            return
        seconds = self._context.book.talked_for(record.info)
        self.bar.show_time(record.info, seconds)
        self.marks.show_recorded(record.info, None if record.over else self._context.book.recorded_for(record.info))
        if self._show_notes(record):
            self._place()
        last = self.remote.last_painted_at
        stale = (
            record.info.state is CallState.CONNECTED
            and record.info.has_video
            and not record.info.held
            and last is not None
            and time.monotonic() - last > _STALE_AFTER_S
        )
        if stale != self.stale.isVisibleTo(self):
            self.stale.setVisible(stale)
            self._place()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Digits that are typed while the call has the focus are pressed on the keypad, which shows them."""
        if event.text() in self.keypad.keys and self.buttons.menu.keypad.isEnabled():
            self.keypad.open_over(self.buttons)
            self.keypad.press(event.text())
        else:
            super().keyPressEvent(event)

    # Fading -------------------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.MouseMove, QEvent.Type.Enter, QEvent.Type.FocusIn, QEvent.Type.KeyPress):
            self._wake_buttons()
        return False

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.full_screen_wanted.emit()

    def _wake_buttons(self) -> None:
        self._fader.show()
        self._idle.start()

    def _fade_out(self) -> None:
        held = self.buttons.underMouse() or self.volume_card.isVisible() or self.buttons.menu.isVisible()
        held = held or self.keypad.isVisible()
        focus = self.window().focusWidget() if self.window() else None
        held = held or (focus is not None and self.buttons.isAncestorOf(focus))
        if held or self.remote.picture is None or not self._live():
            self._idle.start()
            return
        self._fader.hide()

    # Places -------------------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._place()
        self._tell_size.start()

    def _say_size(self) -> None:
        """A small view needs no large picture; the other side is asked once the window stays as it is."""
        engine, scale = self._context.engine, self.devicePixelRatioF()
        if self._call_id is not None and engine is not None:
            width, height = round(self.remote.width() * scale), round(self.remote.height() * scale)
            self._context.tasks.start(engine.calls.set_view_size(self._call_id, width, height))

    def _place(self) -> None:
        width, height = self.width(), self.height()
        self.remote.setGeometry(self.rect())
        top = self.marks.place(width, self.bar.place(width))
        if self.poorer.isVisibleTo(self):
            wide = min(width - 32, 640)
            self.poorer.resize(wide, self.poorer.heightForWidth(wide))
            self.poorer.move(16, top + 4)
            top = self.poorer.geometry().bottom() + 8
        self.buttons.fit(width)
        size = self.buttons.sizeHint()
        self.buttons.setGeometry((width - size.width()) // 2, height - size.height() - 16, size.width(), size.height())
        if self.keypad.isVisible():
            self.keypad.open_over(self.buttons)
        self.own.place(width, self.buttons.y())
        self.centre.place(width, top, self.buttons.y() if self.buttons.isVisibleTo(self) else height)
        if self.stale.isVisibleTo(self):
            # Beside the own picture, not under it.
            room = (self.own.x() if self.own.isVisibleTo(self) else width) - 32
            wide = max(120, min(room, 460))
            self.stale.resize(wide, self.stale.heightForWidth(wide))
            self.stale.move(16, self.buttons.y() - self.stale.height() - 8)
