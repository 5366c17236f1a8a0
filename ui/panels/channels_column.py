"""The left column of channels: the open missions, the way to another one, and who is here."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPoint, QRect, QTimer, Signal
from PySide6.QtWidgets import QMenu, QVBoxLayout, QWidget

from ui.context import Context
from ui.models.channel_rows import MISSION, OPEN, PERSON, ChannelRow, ChannelRowsModel, build_rows
from ui.models.rows import ROW
from ui.widgets.channel_rows import ChannelRowDelegate
from ui.widgets.enter import Menu
from ui.widgets.list_rows import list_view, walk

_AGAIN_MS = 15_000  # "2 min ago" and "ends in 5 min" go on


class ChannelsColumn(QWidget):
    """`chosen`: a mission (its id) was chosen to be looked at; `open_wanted`: another one is to be opened."""

    chosen = Signal(str)
    open_wanted = Signal()
    export_wanted = Signal(str)
    edit_wanted = Signal(object)  # the mission's id; None: a new one
    called = Signal()  # as the other lists of the column have it; nobody is called from here

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("channelsColumn")
        self._context = context
        self._book = context.channels
        self._filter = ""
        self.model = ChannelRowsModel()
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        self.view = list_view("channelsList", "Missions and who is here")
        self._delegate = ChannelRowDelegate(context.theme, self._dismiss, self.view)
        self.view.setItemDelegate(self._delegate)
        self.view.setModel(self.model)
        self.view.clicked.connect(lambda index: self._choose(index.data(ROW)))
        self.view.activated.connect(lambda index: self._activate(index.data(ROW)))
        self.view.setContextMenuPolicy(self.view.contextMenuPolicy().CustomContextMenu)
        self.view.customContextMenuRequested.connect(self._show_menu)
        box.addWidget(self.view, 1)
        self._marked = ""  # the mission that was shown when a row was last chosen here
        self._clock = QTimer(self)
        self._clock.setInterval(_AGAIN_MS)
        self._clock.timeout.connect(self.refresh)
        self._clock.start()
        for changed in (self._book.missions_changed, self._book.shown_changed, self._book.talking_changed):
            changed.connect(self.refresh)
        self._book.roster_changed.connect(lambda mission: self.refresh())
        self.refresh()

    # The field above drives these ---------------------------------------------------------------------------------

    def set_filter(self, text: str) -> None:
        self._filter = text
        self.refresh()

    def walk(self, step: int) -> None:
        """Go up or down by one row, past the headings."""
        walk(self.view, step)

    def call_current(self, typed: str) -> bool:
        """Take the row that was walked to, or found by what is typed; anything else typed is somebody to call."""
        row = self.current_row()
        if row is None or row.kind == PERSON or typed.strip().casefold() not in row.title.casefold():
            return False
        self._activate(row)
        return True

    def current_row(self) -> ChannelRow | None:
        index = self.view.currentIndex()
        row: ChannelRow | None = index.data(ROW) if index.isValid() else None
        return row

    def row_area(self, key: str) -> QRect:
        """Say where a row is, in the list's viewport."""
        number = self.model.row_of(key)
        return QRect() if number is None else self.view.visualRect(self.model.index(number))

    def dismiss_centre(self, key: str) -> QPoint:
        """Say where the button that dismisses an emergency is, in the list's viewport."""
        return self._delegate.button_area(self.row_area(key).toRectF()).center().toPoint()

    # --------------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        shown = self._book.shown
        people = self._book.roster(shown.id) if shown is not None else ()
        before = self.current_row() if shown is not None and shown.id == self._marked else None
        self._marked = shown.id if shown is not None else ""
        self.model.show(build_rows(self._book.missions, shown, people, self._filter, time.time()))
        if before is not None and not self.view.currentIndex().isValid():
            number = self.model.row_of(before.key)
            if number is not None:
                self.view.setCurrentIndex(self.model.index(number))
        elif before is None and shown is not None:
            self._select(self.model.row_of(shown.id))

    def _select(self, number: int | None) -> None:
        if number is not None:
            index: QModelIndex = self.model.index(number)
            self.view.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)

    def _choose(self, row: object) -> None:
        if not isinstance(row, ChannelRow):
            return
        if row.kind == OPEN:
            self.open_wanted.emit()
            shown = self._book.shown
            if shown is not None:
                self._select(self.model.row_of(shown.id))
        elif row.kind == MISSION:
            self._book.show_mission(row.mission)
            self.chosen.emit(row.mission)

    def _activate(self, row: object) -> None:
        """Enter: as a click does; whoever is gone with an emergency leaves the list."""
        if isinstance(row, ChannelRow) and row.can_dismiss:
            self._dismiss(row)
            return
        self._choose(row)

    def _dismiss(self, row: ChannelRow) -> None:
        person = row.person
        if person is not None:
            self._context.dismiss_emergency(person.mission, person.node_id)

    def _show_menu(self, where: QPoint) -> None:
        row = self.view.indexAt(where).data(ROW)
        if not isinstance(row, ChannelRow) or row.kind != MISSION:
            return
        self._choose(row)
        menu = mission_menu(self._context, row.mission, self.export_wanted.emit, self.edit_wanted.emit, self)
        menu.popup(self.view.viewport().mapToGlobal(where))


def mission_menu(
    context: Context,
    mission_id: str,
    export: Callable[[str], object],
    edit: Callable[[str | None], object],
    parent: QWidget,
) -> QMenu:
    """Make the menu of one mission; `export` is called to give it to others, `edit` to
    change it, or with None to make a new one."""
    menu = Menu(parent)
    menu.setObjectName("missionMenu")
    menu.aboutToHide.connect(menu.deleteLater)
    menu.addAction("Give it to others…", lambda: export(mission_id))
    menu.addAction("Edit it…", lambda: edit(mission_id))
    menu.addAction("Make a new mission…", lambda: edit(None))
    menu.addSeparator()
    forget = Menu(menu)
    forget.setTitle("Close this mission")
    menu.addMenu(forget)
    forget.setObjectName("closeMissionMenu")
    forget.addAction("Close it and forget its keys here", lambda: close_mission(context, mission_id))
    return menu


def close_mission(context: Context, mission_id: str) -> None:
    """Forget a mission here and say so."""
    mission = context.channels.mission(mission_id)

    async def close() -> None:
        assert context.engine is not None
        await context.engine.channels.close_mission(mission_id)
        if mission is not None:
            context.say(f"{mission.name} is closed and forgotten here.", "good")

    context.ask(lambda engine: close())
