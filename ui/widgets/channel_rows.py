"""How the rows of missions and people here are painted, and the button that dismisses an emergency."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter
from PySide6.QtWidgets import QStyleOptionViewItem

from app.events import Presence
from ui.models.channel_rows import HEADING, NOTE, OPEN, PERSON, ChannelRow
from ui.models.rows import ROW
from ui.widgets.avatar import paint_avatar, paint_presence
from ui.widgets.row_delegate import FaceRowDelegate, Index, RowWords

_NOTE_HEIGHT = 44


class ChannelRowDelegate(FaceRowDelegate):
    """Missions, notes and people; the button dismisses the emergency of somebody who is gone."""

    button_size = 32.0

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(200, _NOTE_HEIGHT) if index.data(ROW).kind == NOTE else super().sizeHint(option, index)

    def is_heading(self, row: ChannelRow) -> bool:
        return row.kind == HEADING

    def has_button(self, row: ChannelRow) -> bool:
        return row.can_dismiss

    def is_marked(self, option: QStyleOptionViewItem, row: ChannelRow) -> bool:
        return row.is_shown  # whoever looks at a person's row still looks at the mission

    def words(self, row: ChannelRow) -> RowWords:
        tokens = self.theme.tokens
        gone = row.person is not None and row.person.gone
        colour = tokens.muted if row.tone == "plain" else getattr(tokens, row.tone)
        return RowWords(row.title, tokens.muted if gone else tokens.text, row.subtitle, colour)

    def paint_row(self, painter: QPainter, area: QRectF, option: QStyleOptionViewItem, row: ChannelRow) -> None:
        if row.kind == NOTE:
            self._paint_note(painter, area, row.title)
        else:
            super().paint_row(painter, area, option, row)

    def paint_face(self, painter: QPainter, face: QRectF, row: ChannelRow, ground: str) -> None:
        tokens = self.theme.tokens
        if row.kind == OPEN:
            self.paint_disc(painter, face, tokens.card_hover, "plus", tokens.muted)
        elif row.person is not None and row.person.emergency is not None:
            self.paint_disc(painter, face, tokens.bad_soft, "warning", tokens.bad)
        else:
            paint_avatar(painter, face, row.title)
            if row.kind == PERSON and row.person is not None:
                presence = Presence.OFFLINE if row.person.gone else Presence.ONLINE
                paint_presence(painter, face, presence, tokens, ground)

    def paint_button(self, painter: QPainter, area: QRectF, row: ChannelRow, strong: bool) -> None:
        self.paint_icon(painter, area.adjusted(8, 8, -8, -8), "close", self.theme.tokens.bad)

    def _paint_note(self, painter: QPainter, area: QRectF, words: str) -> None:
        font = QFont(painter.font())
        font.setPixelSize(13)
        painter.setFont(font)
        painter.setPen(QColor(self.theme.tokens.muted))
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
        painter.drawText(area.adjusted(16, 2, -16, 0), flags, words)
