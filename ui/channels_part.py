"""Brings channels into the window: their panel, the badge on the rail, and emergencies wherever one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication, QStackedWidget, QWidget

from app.events import TextSeen
from ui.context import Context
from ui.widgets.rail import Rail
from ui.widgets.shell import Shell

if TYPE_CHECKING:
    from ui.panels.channels import ChannelsPanel
    from ui.widgets.emergency_banner import EmergencyBanner


class ChannelsPart(QObject):
    """The panel and the banner are made when they are first needed: a window opens without them."""

    def __init__(self, context: Context, rail: Rail, stage: QStackedWidget, shell: Shell, window: QWidget) -> None:
        super().__init__(window)
        self._context, self._book = context, context.channels
        self._rail, self._stage, self._shell, self._window = rail, stage, shell, window
        self._panel: ChannelsPanel | None = None
        self._banner: EmergencyBanner | None = None
        self._unread = 0
        self._book.talking_changed.connect(self._show_badge)
        self._book.emergencies_changed.connect(self._show_emergencies)
        self._book.missions_changed.connect(self._show_emergencies)
        context.bridge.text.connect(self._text_seen)
        stage.currentChanged.connect(lambda index: self._seen())

    @property
    def panel(self) -> ChannelsPanel:
        if self._panel is None:
            from ui.panels.channels import ChannelsPanel

            panel = self._panel = ChannelsPanel(self._context)
            panel.open_wanted.connect(self._window.open_mission)  # type: ignore[attr-defined]
            panel.export_wanted.connect(self._window.export_mission)  # type: ignore[attr-defined]
            panel.edit_wanted.connect(self._window.edit_mission)  # type: ignore[attr-defined]
            self._stage.addWidget(panel)
        return self._panel

    @property
    def banner(self) -> EmergencyBanner | None:
        return self._banner

    @property
    def shown(self) -> bool:
        return self._panel is not None and self._stage.currentWidget() is self._panel

    def show(self) -> None:
        """Bring the panel to the stage, with the keyboard."""
        self._stage.setCurrentWidget(self.panel)
        self.panel.setFocus()

    def leave_field(self) -> bool:
        """Take back what the panel asks, or the focus from one of its fields; tell whether there was any."""
        return self._panel is not None and self.shown and self._panel.leave_field()

    def let_go(self) -> None:
        """End what is held: the window goes."""
        if self._panel is not None:
            self._panel.let_go()

    def _seen(self) -> None:
        if self.shown:
            self._unread = 0
        self._show_badge()

    def _text_seen(self, text: TextSeen) -> None:
        if not text.own and not self.shown:
            self._unread += 1
            self._show_badge()

    def _show_badge(self) -> None:
        talking = len(self._book.talking)
        count = 0 if self.shown else talking + self._unread
        said = []
        if talking:
            said.append("somebody talks" if talking == 1 else f"somebody talks on {talking} channels")
        if self._unread:
            said.append("1 new message" if self._unread == 1 else f"{self._unread} new messages")
        self._rail.badge("channels", count, ", ".join(said))

    def _show_emergencies(self) -> None:
        own = any(mission.own_emergency is not None for mission in self._book.missions)
        if self._banner is None:
            if not (own or self._book.emergencies or self._book.urgent):
                return
            from ui.widgets.emergency_banner import EmergencyBanner

            banner = self._banner = EmergencyBanner(self._context.theme)
            banner.show_wanted.connect(self._window.show_mission)  # type: ignore[attr-defined]
            banner.dismissed.connect(self._context.dismiss_emergency)
            banner.own_over.connect(
                lambda mission: self._context.ask(lambda engine: engine.channels.clear_emergency(mission))
            )
            self._shell.set_banner(banner)
        fresh = set(self._banner.sentences)
        self._banner.show_emergencies(self._book.emergencies, self._book.urgent, self._book.missions)
        self._shell.arrange()
        if set(self._banner.sentences) - fresh:
            QApplication.alert(self._window)
