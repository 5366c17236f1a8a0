"""The dialog that asks which screen or window the other side is to see."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QImage, QPainter, QPixmap
from PySide6.QtWidgets import QListView, QListWidget, QListWidgetItem, QWidget

from app.engine.errors import EngineError
from app.events import ShareChoice
from ui.context import Context
from ui.dialogs.form import FormDialog
from ui.theme.icons import pixmap
from ui.widgets.basics import button
from ui.words import choice_words

_PICTURE = QSize(192, 120)
_CELL = QSize(212, 168)
_SIZE_BELOW = "\n"
_CHOICE = Qt.ItemDataRole.UserRole


class _Choices(QListWidget):
    """Two rows of two cells, or less where the screen is low."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumSize(self._room(rows=1))

    def sizeHint(self) -> QSize:
        return self._room(rows=2)

    @staticmethod
    def _room(rows: int) -> QSize:
        return QSize(2 * _CELL.width() + 34, rows * _CELL.height() + 24)


class ShareDialog(FormDialog):
    """Shown, not executed: the call goes on behind it. `chosen` tells what is to be shared."""

    chosen = Signal(object)

    def __init__(self, context: Context, parent: QWidget | None) -> None:
        super().__init__(
            parent,
            "shareDialog",
            "Share screen",
            "The other side sees it instead of your camera, with the pointer, until you stop.",
        )
        self._context = context
        self.list = _Choices()
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setIconSize(_PICTURE)
        self.list.setGridSize(_CELL)
        self.list.setWordWrap(True)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setObjectName("shareList")
        self.list.setAccessibleName("Screens and windows")
        self.list.itemActivated.connect(lambda item: self._share())
        self.list.itemSelectionChanged.connect(self._selected)
        self._box.addWidget(self.list, 1)
        self.again = button("Look again", "shareAgain", self.look)
        self.cancel = button("Cancel", "shareCancel", self.reject)
        self.share = button("Share", "shareStart", self._share, look="primary")
        self.share.setDefault(True)
        self.add_buttons(self.cancel, self.share, first=self.again)
        self._selected()
        self.look()

    def look(self) -> None:
        """List what there is anew."""
        if self._context.engine is None:
            return
        self.again.setEnabled(False)
        self.say("Looking for screens and windows…")
        self._context.tasks.start(self._look())

    async def _look(self) -> None:
        engine = self._context.engine
        assert engine is not None
        try:
            choices = await engine.media.share_choices()
        except EngineError as error:
            if not self.gone:
                self._show_none(str(error), "bad")
            return
        if not self.gone:
            self.show_choices(choices)

    def show_choices(self, choices: tuple[ShareChoice, ...]) -> None:
        """Show what can be shared; the first screen is chosen."""
        if not choices:
            self._show_none("There is nothing to share.", "muted")
            return
        self.list.clear()
        self.list.show()
        for choice in choices:
            item = QListWidgetItem(self._icon(choice), choice_words(choice, _SIZE_BELOW))
            item.setData(_CHOICE, choice)
            item.setToolTip(choice_words(choice))
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
            self.list.addItem(item)
        self.again.setEnabled(True)
        self.say("")
        self.list.setCurrentRow(0)
        self.list.setFocus()

    def _show_none(self, why: str, tone: str) -> None:
        """Say why there is nothing to choose from, without an empty list above it."""
        self.list.clear()
        self.list.hide()
        self.again.setEnabled(True)
        self.again.setFocus()
        self.say(why, tone)
        self.adjustSize()

    def _icon(self, choice: ShareChoice) -> QIcon:
        """The small picture in the middle of its cell; a drawn screen where none could be taken."""
        ground = QPixmap(_PICTURE)
        ground.fill(Qt.GlobalColor.transparent)
        painter = QPainter(ground)
        picture = choice.picture
        if picture is not None:
            image = QImage(
                picture.data, picture.width, picture.height, picture.stride_bytes, QImage.Format.Format_RGB32
            )
            keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
            shown = QPixmap.fromImage(image.scaled(_PICTURE, keep, smooth))
        else:
            shown = pixmap("share", self._context.theme.tokens.muted, 64)
        painter.drawPixmap((_PICTURE.width() - shown.width()) // 2, (_PICTURE.height() - shown.height()) // 2, shown)
        painter.end()
        made = QIcon(ground)
        made.addPixmap(ground, QIcon.Mode.Selected)  # not tinted: what is chosen stays to be recognised
        return made

    def _selected(self) -> None:
        self.share.setEnabled(bool(self.list.selectedItems()))

    def _share(self) -> None:
        items = self.list.selectedItems()
        if items:
            self.chosen.emit(items[0].data(_CHOICE))
            self.accept()
