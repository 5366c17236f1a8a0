"""The window: rail, list, stage and pane, and what opens what. It knows the engine only through its context."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QApplication, QMainWindow, QStackedWidget, QWidget

from app.events import Contact, FileKept, HistoryEntry, Problem
from ui import words
from ui.channels_part import ChannelsPart
from ui.context import Context
from ui.dialogs.shown import show_one
from ui.folders import show_folder
from ui.incoming import IncomingCalls
from ui.mission_sources import MissionDrops, MissionSource
from ui.panels.call import CallPanel
from ui.panels.column import ListColumn
from ui.panels.people import remove_contact
from ui.panels.welcome import WelcomePage
from ui.theme.icons import app_icon
from ui.widgets.rail import Rail
from ui.widgets.shell import Shell
from ui.widgets.toast import Toasts

if TYPE_CHECKING:
    from ui.panels.diagnostics import DiagnosticsPane

_GATHER_MS = 400


class MainWindow(QMainWindow):
    """`closed` tells that the person closed the window: the program ends."""

    closed = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("mainWindow")
        self.setWindowTitle("Parley")
        self.setWindowIcon(app_icon())
        self.setMinimumSize(480, 520)
        self.resize(1320, 820)
        self.context = context
        self._pane: DiagnosticsPane | None = None
        self._settings: QWidget | None = None
        self._stage_call: str | None = None
        self._missing: list[str] = []
        self._said_muted = ""
        self.rail = Rail(context.theme)
        self.column = ListColumn(context)
        self.welcome = WelcomePage(context)
        self.call = CallPanel(context)
        self.stage = QStackedWidget()
        self.stage.setObjectName("stage")
        self.stage.addWidget(self.welcome)
        self.stage.addWidget(self.call)
        self.shell = Shell(self.rail, self.column, self.stage)
        self.setCentralWidget(self.shell)
        self.toasts = Toasts(context.theme, self.stage, self._room_below)
        self.incoming = IncomingCalls(context, self, self._name_of)
        self.channels = ChannelsPart(context, self.rail, self.stage, self.shell, self)
        self.drops = MissionDrops(self, self.open_mission)
        self.drops.watch(self.column.field)
        self._connect()
        self._add_shortcuts()
        self._mark()
        self.column.field.setFocus()

    def _connect(self) -> None:
        context = self.context
        self.rail.chosen.connect(self._rail_chosen)
        self.shell.layout_changed.connect(self._mark)
        self.column.account_wanted.connect(self.open_account)
        self.column.called.connect(self._show_stage)
        self.column.people.chosen.connect(self._contact_chosen)
        self.column.people.edit_wanted.connect(self.open_contact)
        self.column.channels.chosen.connect(self.show_mission)
        self.column.channels.open_wanted.connect(self.open_mission)
        self.column.channels.export_wanted.connect(self.export_mission)
        self.column.channels.edit_wanted.connect(self.edit_mission)
        self.column.history.chosen.connect(self._entry_chosen)
        self.column.history.unseen_changed.connect(lambda count: self.rail.badge("history", count))
        self.welcome.edit_wanted.connect(self.open_contact)
        self.welcome.remove_wanted.connect(lambda contact: remove_contact(context, contact))
        self.welcome.devices_wanted.connect(self.open_devices)
        self.call.full_screen_wanted.connect(self.toggle_full_screen)
        self.call.details_wanted.connect(self.toggle_pane)
        self.call.share_wanted.connect(self.open_share)
        self.call.devices_wanted.connect(self.open_devices)
        context.said.connect(self.toasts.show_sentence)
        context.kept.connect(self._kept)
        context.bridge.kept.connect(self._recorded)
        context.bridge.problem.connect(self._problem)
        context.bridge.call.connect(lambda event: self._call_changed())
        context.book.stage_changed.connect(self._call_changed)

    def _add_shortcuts(self) -> None:
        call = self.call
        for keys, action in (
            ("Ctrl+K", self.focus_field),
            ("Ctrl+1", lambda: self._rail_chosen("people")),
            ("Ctrl+2", lambda: self._rail_chosen("history")),
            ("Ctrl+3", lambda: self._rail_chosen("channels")),
            ("Ctrl+D", self.toggle_pane),
            ("Ctrl+,", self.toggle_settings),
            ("Ctrl+N", lambda: self.open_contact(None)),
            ("Ctrl+M", call.toggle_mute),
            ("Ctrl+E", call.toggle_camera),
            ("Ctrl+H", call.hang_up),
            ("Ctrl+Up", lambda: call.step_volume(10)),
            ("Ctrl+Down", lambda: call.step_volume(-10)),
            ("F11", self.toggle_full_screen),
            ("Esc", self._escape),
            ("Ctrl+Q", self.close),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.activated.connect(action)

    # What opens what ----------------------------------------------------------------------------------------------

    def focus_field(self) -> None:
        """Bring the field to type into, from wherever one is."""
        if self.isFullScreen():
            self.toggle_full_screen()
        self._show_list("people")
        self.shell.open_list(True)
        self.column.field.setFocus()
        self.column.field.selectAll()

    def open_contact(self, contact: Contact | None) -> None:
        from ui.dialogs.contact import ContactDialog

        show_one(ContactDialog(self.context, contact, self))

    def open_account(self) -> None:
        from ui.dialogs.account import AccountDialog

        show_one(AccountDialog(self.context, self))

    def open_share(self) -> None:
        from ui.dialogs.share import ShareDialog

        dialog = ShareDialog(self.context, self)
        dialog.chosen.connect(self.call.share)
        show_one(dialog)

    def open_devices(self) -> None:
        from ui.dialogs.devices import DeviceDialog

        show_one(DeviceDialog(self.context, self))

    def open_network_check(self) -> None:
        from ui.dialogs.network_check import NetworkCheckDialog

        show_one(NetworkCheckDialog(self.context, self))

    def open_mission(self, source: MissionSource | None = None) -> None:
        """Ask for a mission to open, or show what is in one that is in hand."""
        from ui.dialogs.mission_open import open_mission_dialog

        dialog = open_mission_dialog(self.context, self, source)
        dialog.opened.connect(self._mission_opened)
        dialog.new_wanted.connect(lambda: self.edit_mission(None))

    def edit_mission(self, mission_id: str | None) -> None:
        """Edit an open mission; None makes a new one."""
        from ui.dialogs.mission_edit import edit_mission_dialog

        edit_mission_dialog(self.context, self, mission_id, self._mission_opened)

    def _mission_opened(self, mission_id: str) -> None:
        """Look at a mission that was opened or made; a call stays on the stage."""
        self.context.channels.show_mission(mission_id)
        if self.context.book.stage is None and not self.channels.shown:
            self._rail_chosen("channels")

    def show_mission(self, mission_id: str) -> None:
        """Bring a mission's cards to the stage."""
        self.context.channels.show_mission(mission_id)
        self._show_list("channels")
        self.shell.slide_back()
        self._mark()

    def export_mission(self, mission_id: str) -> None:
        from ui.dialogs.mission_export import export_mission_dialog

        export_mission_dialog(self.context, self, mission_id)

    def toggle_pane(self) -> None:
        """Open diagnostics, at the tab that goes with what is on the stage, or close them."""
        if self._pane is None:
            from ui.panels.diagnostics import DiagnosticsPane

            pane = DiagnosticsPane(self.context)
            pane.close_wanted.connect(lambda: self._show_pane(False))
            pane.check_wanted.connect(self.open_network_check)
            self._pane = pane
            self.shell.set_pane(pane)
        if not self.shell.pane_open:
            self._pane.look_at(channels=self.channels.shown)
        self._show_pane(not self.shell.pane_open)

    def _show_pane(self, on: bool) -> None:
        self.shell.open_pane(on)
        self._mark()

    def toggle_settings(self) -> None:
        """Put the settings on the stage, or take them off it."""
        if self._settings is not None and self.stage.currentWidget() is self._settings:
            self._show_stage()
            return
        if self._settings is None:
            from ui.panels.settings import SettingsPanel

            panel = SettingsPanel(self.context)
            panel.close_wanted.connect(self._show_stage)
            panel.account_wanted.connect(self.open_account)
            panel.check_wanted.connect(self.open_network_check)
            panel.devices_wanted.connect(self.open_devices)
            self._settings = panel
            self.stage.addWidget(panel)
        self.stage.setCurrentWidget(self._settings)
        self.shell.slide_back()
        self._mark()

    def toggle_full_screen(self) -> None:
        full = not self.isFullScreen()
        if full and self.context.book.stage is None:
            return
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)
        self.shell.set_full_screen(full)
        self.call.show_full_screen(full)

    def _escape(self) -> None:
        """Leave the outermost thing: full screen, what slid over, settings, a question, a field, a call that ended."""
        if self.isFullScreen():
            self.toggle_full_screen()
        elif self.call.keypad.isVisible():
            self.call.keypad.put_away()
        elif self.shell.narrow and (self.shell.list_open or self.shell.pane_open):
            self.shell.slide_back()
        elif self._settings is not None and self.stage.currentWidget() is self._settings:
            self._show_stage()
        elif not self.column.history.clear.take_back() and not self.channels.leave_field():
            self.context.book.put_away()

    def _rail_chosen(self, key: str) -> None:
        if key == "diagnose":
            self.toggle_pane()
        elif key == "settings":
            self.toggle_settings()
        else:
            again = self.column.shown == key and self.shell.narrow and self.shell.list_open
            cards_first = key == "channels" and not self.channels.shown
            self._show_list(key)
            self.shell.open_list(not again and not (self.shell.narrow and cards_first))
        self._mark()

    def _show_list(self, key: str) -> None:
        """Show a list, and the stage that goes with it where another one's is there."""
        was_channels = self.channels.shown
        if key == "channels":
            self.column.show_channels()
            self.channels.show()
            return
        self.column.show_history() if key == "history" else self.column.show_people()
        if was_channels:
            self._show_stage()

    def _mark(self) -> None:
        for key in ("people", "channels", "history"):
            seen = self.shell.list_open and self.column.shown == key
            self.rail.mark(key, seen or (key == "channels" and self.channels.shown))
        self.rail.mark("diagnose", self.shell.pane_open)
        self.rail.mark("settings", self._settings is not None and self.stage.currentWidget() is self._settings)

    # What the list and the engine say -----------------------------------------------------------------------------

    def _contact_chosen(self, contact: Contact | None) -> None:
        self.welcome.show_contact(contact)
        if contact is not None:
            self.context.expect_call()
        if contact is not None and not self.column.field.text():
            self._leave_ended_call()

    def _entry_chosen(self, entry: HistoryEntry) -> None:
        self.welcome.show_entry(entry)
        self._leave_ended_call()

    def _leave_ended_call(self) -> None:
        """Whoever chooses somebody else in the list is done with the call that ended."""
        self.context.book.put_away()

    def _show_stage(self) -> None:
        record = self.context.book.stage
        if record is None and self.column.shown == "channels":
            self.channels.show()
        else:
            self.stage.setCurrentWidget(self.call if record is not None else self.welcome)
        if self.shell.narrow and record is not None:
            self.call.setFocus()
            self.shell.open_list(False)
        self._mark()

    def _call_changed(self) -> None:
        """Bring a new call to the stage; one that goes on leaves the settings where they are."""
        record = self.context.book.stage
        call_id = record.info.call_id if record is not None else None
        if call_id != self._stage_call:
            self._stage_call = call_id
            self._show_stage()
        if record is None and self.isFullScreen():
            self.toggle_full_screen()
        live = record is not None and not record.over
        if self._said_muted and not (record is not None and live and record.info.muted):
            self.toasts.take_back(self._said_muted)
        name = (record.info.remote_name or words.shown_address(record.info.remote_uri)) if record else ""
        self.setWindowTitle(f"{name} – Parley" if live else "Parley")
        if record is not None and record.over and self.isFullScreen():
            self.toggle_full_screen()

    def _room_below(self) -> int:
        """Leave the buttons of a call and one's own picture free of messages."""
        if self.stage.currentWidget() is not self.call or not self.call.buttons.isVisible():
            return 24
        top = self.call.own.y() if self.call.own.isVisible() else self.call.buttons.y()
        return self.stage.height() - top + 8

    def _name_of(self, uri: str, name: str) -> str:
        """Call somebody as the person's own list does."""
        contact = self.column.people.model.find(uri)
        return contact.name if contact is not None else name or words.shown_address(uri)

    def _problem(self, event: Problem) -> None:
        if event.about == "engine" and self.context.registration is None:
            self.context.fail(event.sentence)
        if event.about == "device":
            # Microphone, speaker and camera are opened together: what is missing is said together.
            self._missing.append(event.sentence)
            if len(self._missing) == 1:
                QTimer.singleShot(_GATHER_MS, self, self._say_missing)
            return
        if event.about == "muted":
            self._said_muted = event.sentence
            self.toasts.show_sentence(event.sentence, "plain", ("Unmute", self._unmute))
            return
        tone = "bad" if event.about == "engine" else "warn"
        self.toasts.show_sentence(event.sentence, tone)

    def _unmute(self) -> None:
        record = self.context.book.stage
        if record is not None and record.info.muted:
            self.call.toggle_mute()

    def _kept(self, sentence: str, path: str) -> None:
        self.toasts.show_sentence(sentence, "good", ("Show in folder", lambda: show_folder(path)))

    def _recorded(self, event: FileKept) -> None:
        offer = ("Show in folder", lambda: show_folder(event.path))
        words_ = event.problem or f"Recorded {words.clock(event.seconds)} to {Path(event.path).name}."
        self.toasts.show_sentence(words_, "bad" if event.problem else "good", offer)

    def _say_missing(self) -> None:
        sentences, self._missing = list(dict.fromkeys(self._missing)), []
        self.toasts.show_sentence(" ".join(sentences))

    # Closing ------------------------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        self.incoming.close()
        self.call.let_go()
        self.channels.let_go()
        self.closed.emit()
        super().closeEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Follow a full screen that the desktop ended by itself."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.WindowStateChange and hasattr(self, "shell"):
            self.shell.set_full_screen(self.isFullScreen())
            self.call.show_full_screen(self.isFullScreen())

    def come_forward(self) -> None:
        """Show the window to somebody who asked for it from outside."""
        if self.isMinimized():
            self.showNormal()
        self.show()
        self.raise_()
        self.activateWindow()
        QApplication.alert(self)
