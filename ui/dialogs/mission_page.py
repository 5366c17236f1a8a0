"""The first page of the mission editor: what the mission is called, what keeps it, and its channels."""

from __future__ import annotations

from datetime import UTC, datetime, time

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
)

from app.engine import mission_drafts
from app.engine.mission_drafts import Group, GroupType
from ui.dialogs.mission_draft import Draft
from ui.mission_words import draft_words
from ui.plain_tips import plain_tip
from ui.theme.icons import pixmap
from ui.theme.manager import Theme
from ui.widgets.basics import button, label
from ui.widgets.secret_field import SecretField
from ui.widgets.sheets import SheetPage
from ui.widgets.told_fields import ToldFields

_DAY = len("2026-12-31")
_FORM = "%Y-%m-%d %H:%M"
_ROW = 54
_MOST_ROWS = 6
_NUMBER = Qt.ItemDataRole.UserRole  # of a channel in the mission, which keeps them in an order of its own
NO_TIME = "is no time such as 2026-12-31 18:00, or a day such as 2026-12-31"


class MissionPage(SheetPage):
    """`channel_wanted` with the number of a channel that is to be edited."""

    channel_wanted = Signal(int)

    def __init__(self, theme: Theme, draft: Draft) -> None:
        super().__init__("missionPage", (0, 4, 8, 8))
        self._theme, self._draft = theme, draft
        self.fields = ToldFields()
        self._expires_wrong = ""
        self._build_mission()
        self._build_channels()
        self._build_protection()
        self.finish()
        self._fill()
        self._connect()
        theme.changed.connect(self.list_channels)

    def _build_mission(self) -> None:
        box = self.sheet("Mission")
        self.name = QLineEdit()
        self.name.setMaxLength(mission_drafts.MOST_NAME)
        self.fields.add(box, "Name", self.name, "missionName", "name", "At most 16 characters are best")
        self.description = QPlainTextEdit()
        self.description.setTabChangesFocus(True)
        self.description.setFixedHeight(64)
        self.fields.add(box, "Description", self.description, "missionDescription", "description")

    def _build_channels(self) -> None:
        box = self.sheet("Channels")
        self.channels = QListWidget()
        self.channels.setObjectName("missionChannels")
        self.channels.setAccessibleName("Channels")
        self.channels.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.channels.setIconSize(QSize(18, 18))
        self.channels.setWordWrap(True)
        self.channels.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.channels.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        box.addWidget(self.channels)
        self.fields.tell_below(box, "The list", self.channels, "groups")
        row = QHBoxLayout()
        self.edit = button("Edit…", "channelEdit", self._edit)
        self.remove = button("Remove", "channelRemove", self._remove)
        row.addWidget(self.edit)
        row.addWidget(self.remove)
        row.addStretch(1)
        box.addLayout(row)
        self.add = button("Add a channel", "channelAdd", lambda: self._add(GroupType.AUDIO), look="link")
        self.add_control = button(
            "Add mission control", "controlAdd", lambda: self._add(GroupType.MISSION_CONTROL), look="link"
        )
        row = QHBoxLayout()
        row.addWidget(self.add)
        row.addWidget(self.add_control)
        row.addStretch(1)
        box.addLayout(row)
        words = "Channels go by their names, from A to Z, wherever the mission is opened."
        box.addWidget(label(words, "small", wrap=True))

    def _build_protection(self) -> None:
        box = self.sheet("PIN and end")
        self.pin = SecretField(self._theme, "PIN", "missionNewPin")
        self.pin.setMaxLength(mission_drafts.MOST_DIGITS)
        least, most = mission_drafts.LEAST_DIGITS, mission_drafts.MOST_DIGITS
        explain = f"{least} to {most} digits, asked for before the mission is edited. It keeps nothing secret."
        self.fields.add(box, "PIN", self.pin, "missionNewPin", "pin", explain)
        self.drop_pin = QCheckBox("Edit without a PIN from now on")
        self.drop_pin.setObjectName("missionDropPin")
        self.drop_pin.setAccessibleName(self.drop_pin.text())
        box.addWidget(self.drop_pin)
        self.expires = QLineEdit()
        self.expires.setPlaceholderText("never")
        self.expires.setMaxLength(40)
        explain = "As 2026-12-31 18:00; a day counts to its end"
        self.fields.add(box, "Ends", self.expires, "missionExpires", "parleyExpires", explain)

    def _fill(self) -> None:
        mission = self._draft.mission
        self.name.setText(mission.name)
        self.description.setPlainText(mission.description)
        has_pin = mission.pin_digest is not None
        self.pin.setPlaceholderText("kept; type to change it" if has_pin else "none")
        self.drop_pin.setVisible(has_pin)
        if mission.expires is not None:
            self.expires.setText(mission.expires.astimezone().strftime(_FORM))
        self.list_channels()

    def _connect(self) -> None:
        draft = self._draft
        self.name.textChanged.connect(lambda text: draft.set(name=text.strip()))
        self.description.textChanged.connect(lambda: draft.set(description=self.description.toPlainText()))
        self.pin.textChanged.connect(lambda text: self._set_pin())
        self.drop_pin.toggled.connect(lambda on: self._set_pin())
        self.expires.textChanged.connect(self._set_expires)
        self.channels.itemActivated.connect(lambda item: self._edit())
        self.channels.currentRowChanged.connect(lambda row: self._mark_buttons())

    # Edits --------------------------------------------------------------------------------------------------------

    def _set_pin(self) -> None:
        drop = self.drop_pin.isChecked()
        self.pin.setEnabled(not drop)
        self._draft.set_pin(None if drop else self.pin.text() or None, drop=drop)

    def _set_expires(self, text: str) -> None:
        try:
            moment = read_moment(text.strip())
        except ValueError:
            self._expires_wrong = NO_TIME
            self._draft.changed.emit()
            return
        had_wrong, self._expires_wrong = self._expires_wrong, ""
        self._draft.set(expires=moment)
        if had_wrong:
            self._draft.changed.emit()

    @property
    def own_problems(self) -> dict[str, str]:
        """What is wrong with fields whose text never reaches the draft."""
        wrong = {"parleyExpires": self._expires_wrong} if self._expires_wrong else {}
        pin, least = self.pin.text(), mission_drafts.LEAST_DIGITS
        if self.pin.isEnabled() and pin and not (pin.isascii() and pin.isdigit() and len(pin) >= least):
            wrong["pin"] = f"has {least} to {mission_drafts.MOST_DIGITS} digits and nothing else"
        return wrong

    def _add(self, kind: GroupType) -> None:
        number = self._draft.add_group(kind)
        self.list_channels(chosen=number)
        self.channel_wanted.emit(number)

    @property
    def _chosen(self) -> int | None:
        """The number in the mission of the channel that is marked in the list."""
        item = self.channels.currentItem()
        number: int | None = item.data(_NUMBER) if item is not None else None
        return number

    def _edit(self) -> None:
        if self._chosen is not None:
            self.channel_wanted.emit(self._chosen)

    def _remove(self) -> None:
        if self._chosen is not None:
            row = self.channels.currentRow()
            self._draft.remove_group(self._chosen)
            self.list_channels()
            self.channels.setCurrentRow(min(row, self.channels.count() - 1))

    # The list -----------------------------------------------------------------------------------------------------

    def list_channels(self, wrong: frozenset[int] = frozenset(), *, chosen: int | None = None) -> None:
        """List the channels anew; those in `wrong` are marked, and `chosen` or the one that was chosen is again."""
        chosen, mission = self._chosen if chosen is None else chosen, self._draft.mission
        self.channels.clear()
        for group in mission.groups_by_name:
            number = next(index for index, each in enumerate(mission.groups) if each is group)
            said = draft_words(mission, group)
            words = f"{group.name or '(no name)'}\n{'✕ something is wrong here' if number in wrong else said}"
            item = QListWidgetItem(self._icon(group), words)
            item.setData(_NUMBER, number)
            item.setSizeHint(QSize(100, _ROW))
            item.setToolTip(plain_tip(said))
            self.channels.addItem(item)
            if number == chosen:
                self.channels.setCurrentItem(item)
        rows = max(1, min(len(mission.groups), _MOST_ROWS))
        self.channels.setFixedHeight(rows * _ROW + 16)
        if self.channels.currentRow() < 0:
            self.channels.setCurrentRow(0)
        self.add_control.setVisible(not mission_drafts.has_control(mission))
        self.add.setEnabled(len(mission.groups) < mission_drafts.MOST_GROUPS)
        self._mark_buttons()

    def _icon(self, group: Group) -> QIcon:
        tokens = self._theme.tokens
        colour = tokens.good if group.is_encrypted else tokens.warn
        made = QIcon()
        for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):
            made.addPixmap(pixmap("lock" if group.is_encrypted else "lock-open", colour, 18), mode)
        return made

    def _mark_buttons(self) -> None:
        for part in (self.edit, self.remove):
            part.setEnabled(self.channels.currentRow() >= 0)


def read_moment(text: str) -> datetime | None:
    """Read a time by the clock on the wall here; a day alone counts to its end; None for nothing. ValueError."""
    if not text:
        return None
    read = datetime.fromisoformat(text)
    if len(text) == _DAY:
        read = datetime.combine(read, time(23, 59, 59, 999_000))
    try:
        return read.astimezone(UTC)
    except OverflowError:
        raise ValueError("out of range") from None
