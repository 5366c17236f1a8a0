"""The people panel: contacts in groups, found by typing, called by a click or by Enter."""

from __future__ import annotations

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPoint, QRect, QRectF, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QStackedLayout, QVBoxLayout, QWidget

from app.events import CallState, Contact, PeopleChanged
from ui import words
from ui.context import Context
from ui.facts import is_talking, short_facts
from ui.models.calls import CallRecord
from ui.models.people import DIAL, HEADING, PeopleModel, Row
from ui.models.rows import ROW
from ui.widgets.basics import button, tint
from ui.widgets.empty import EmptyWords
from ui.widgets.enter import Menu
from ui.widgets.list_rows import RowDelegate, list_view, walk


class PeoplePanel(QWidget):
    """`chosen` tells which contact is looked at; `edit_wanted` asks for the contact dialog (None: a new one)."""

    chosen = Signal(object)
    edit_wanted = Signal(object)
    called = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("peoplePanel")
        self._context = context
        self.model = PeopleModel()
        self._loaded = False
        self._kept_key: str | None = None
        self._restoring = False
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        self.view = list_view("peopleList", "People")
        self._delegate = RowDelegate(context.theme, self._call_row, self.view)
        self.view.setItemDelegate(self._delegate)
        self.view.setModel(self.model)
        self.view.activated.connect(lambda index: self._call_row(index.data(ROW)))
        self.view.selectionModel().currentChanged.connect(self._current_changed)
        self.view.setContextMenuPolicy(self.view.contextMenuPolicy().CustomContextMenu)
        self.view.customContextMenuRequested.connect(self._show_menu)
        self.empty = EmptyWords("peopleEmpty")
        self._stack = QStackedLayout()
        self._stack.addWidget(self.view)
        self._stack.addWidget(self.empty)
        box.addLayout(self._stack, 1)
        foot = QHBoxLayout()
        foot.setContentsMargins(10, 4, 10, 6)
        add = button("Add a person", "addContact", lambda: self.edit_wanted.emit(None), look="link", hint="Ctrl+N")
        tint(context.theme, add, "person-add", "accent")
        foot.addWidget(add)
        foot.addStretch(1)
        box.addLayout(foot)
        self._clock = QTimer(self)
        self._clock.setInterval(1000)
        self._clock.timeout.connect(self._refresh_calls)
        context.bridge.people.connect(self._take_people)
        context.book.stage_changed.connect(self._refresh_calls)
        self.model.modelReset.connect(self._after_reset)
        self._after_reset()

    # The field above drives these ---------------------------------------------------------------------------------

    def set_filter(self, text: str) -> None:
        self.model.set_filter(text)
        if text.strip():
            first = self.model.first_person()
            if first is not None:
                self._select(first)

    def walk(self, step: int) -> None:
        """Go up or down by one row, past the headings."""
        walk(self.view, step)

    def call_current(self, typed: str) -> bool:
        """Call the chosen row, or what was typed when no row is; tell whether there was anything to call."""
        row = self.current_row()
        if row is not None:
            self._call_row(row)
            return True
        if typed.strip():
            self._context.place(typed)
            self.called.emit()
            return True
        return False

    def current_row(self) -> Row | None:
        index = self.view.currentIndex()
        row: Row | None = index.data(ROW) if index.isValid() else None
        return row

    def select_contact(self, contact_id: str) -> bool:
        number = self.model.row_of(contact_id)
        if number is None:
            return False
        self._select(number)
        return True

    def row_area(self, contact_id: str) -> QRect:
        """Say where a contact's row is, in the list's viewport."""
        number = self.model.row_of(contact_id)
        return QRect() if number is None else self.view.visualRect(self.model.index(number))

    def button_centre(self, contact_id: str) -> QPoint:
        """Say where the call button of a contact's row is, in the list's viewport."""
        return self._delegate.button_area(QRectF(self.row_area(contact_id))).center().toPoint()

    # --------------------------------------------------------------------------------------------------------------

    def _take_people(self, event: PeopleChanged) -> None:
        self._loaded = True
        self.model.set_contacts(event.contacts)
        self._say_empty()

    def _refresh_calls(self) -> None:
        live = self._context.book.live
        self.model.set_calls([(record.info, self._call_words(record)) for record in live])
        if live and not self._clock.isActive():
            self._clock.start()
        elif not live:
            self._clock.stop()

    def _call_words(self, record: CallRecord) -> str:
        call = record.info
        seconds = self._context.book.talked_for(call)
        if is_talking(call) and seconds is not None:
            if call.held or call.state is CallState.INTERRUPTED:
                return f"{words.clock(seconds)} · {words.state_words(call).lower()}"
            return " · ".join([words.clock(seconds), *short_facts(record.figures)])
        return words.state_words(call)

    def _call_row(self, row: object) -> None:
        if not isinstance(row, Row) or row.kind == HEADING:
            return
        if row.call_id is not None:
            self._context.book.bring(row.call_id)
            self.called.emit()
            return
        self._context.place(row.target)
        self.called.emit()

    def _select(self, number: int) -> None:
        index = self.model.index(number)
        self.view.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        self.view.scrollTo(index)

    def _current_changed(self, current: QModelIndex) -> None:
        row: Row | None = current.data(ROW) if current.isValid() else None
        if row is not None and row.kind != HEADING:
            self._kept_key = row.key
            if self._restoring:
                return
            self.chosen.emit(row.contact if row.kind != DIAL else None)

    def _after_reset(self) -> None:
        number = self.model.row_of(self._kept_key) if self._kept_key else None
        if number is not None:
            self._restoring = True  # nobody chose anything: the row only stands elsewhere now
            self._select(number)
            self._restoring = False
        elif self._kept_key is not None:
            self._kept_key = None
            self.chosen.emit(None)
        self._say_empty()

    def _say_empty(self) -> None:
        if not self._loaded:
            self.empty.say("Starting…", "Your people appear in a moment.")
        else:
            self.empty.say(
                "Nobody here yet",
                "Add a person with the button below, or type an address above, such as sip:ada@example.org, and "
                "press Enter. Other Parleys on this network appear by themselves.",
            )
        self._stack.setCurrentWidget(self.view if self.model.rows else self.empty)

    def _show_menu(self, where: QPoint) -> None:
        row = self.view.indexAt(where).data(ROW)
        if not isinstance(row, Row) or row.contact is None:
            return
        menu = contact_menu(self._context, row.contact, self)
        menu.popup(self.view.viewport().mapToGlobal(where))


def contact_menu(context: Context, contact: Contact, panel: PeoplePanel) -> QMenu:
    """Make the menu of one person: everything that can be done with them."""
    menu = Menu(panel)
    menu.setObjectName("contactMenu")
    menu.aboutToHide.connect(menu.deleteLater)
    menu.addAction("Call with picture", lambda: context.place(contact.uri, video=True))
    menu.addAction("Call with voice only", lambda: context.place(contact.uri, video=False))
    menu.addSeparator()
    if contact.source == "kept":
        menu.addAction("Edit…", lambda: panel.edit_wanted.emit(contact))
        menu.addAction("Remove", lambda: remove_contact(context, contact))
    elif contact.source == "network":
        menu.addAction("Keep in my list…", lambda: panel.edit_wanted.emit(contact))
    return menu


def remove_contact(context: Context, contact: Contact) -> None:
    """Take a person off the list and say so."""
    engine = context.engine
    if engine is None:
        return

    async def remove() -> None:
        await engine.people.remove(contact.contact_id)
        context.say(f"{contact.name} is no longer in your list.")

    context.tasks.start(remove())
