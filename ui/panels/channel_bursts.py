"""The last bursts of one channel: to look at, to play again, to clear."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QListView, QStackedWidget, QVBoxLayout

from app.events import ChannelId
from ui.context import Context
from ui.models.bursts import BurstRow, BurstsModel
from ui.models.rows import ROW
from ui.widgets.asked_button import AskedButton
from ui.widgets.basics import label
from ui.widgets.burst_rows import BURST_HEIGHT, BurstDelegate
from ui.widgets.elided import ElidedLabel
from ui.widgets.list_rows import list_view
from ui.words import apart

_ROWS = 4  # that are seen; the list scrolls


class ChannelBursts(QFrame):
    """Shows the channel that it is told to."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("channelBursts")
        self.setProperty("look", "sheet")
        self._context = context
        self._book = context.channels
        self.channel: ChannelId | None = None
        self.model = BurstsModel()
        box = QVBoxLayout(self)
        box.setContentsMargins(16, 12, 16, 12)
        box.setSpacing(6)
        top = QHBoxLayout()
        self.title = ElidedLabel("heading", "burstsTitle")
        self.clear = AskedButton("clearBursts", "Clear…", "Clear them all", "Keep them")
        self.clear.sure.connect(self._clear)
        top.addWidget(self.title, 1)
        top.addWidget(self.clear)
        box.addLayout(top)
        self.view = list_view("burstsList", "Last bursts")
        self._delegate = BurstDelegate(context.theme, self._play, self.view)
        self.view.setItemDelegate(self._delegate)
        self.view.setModel(self.model)
        self.view.setSelectionMode(QListView.SelectionMode.NoSelection)
        self.view.activated.connect(lambda index: self._play(index.data(ROW)))
        self.none = label("Nothing yet. What is said here is kept for a while, to be played again.", "muted", wrap=True)
        self.none.setObjectName("burstsNone")
        self.none.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._body = QStackedWidget()  # as high without bursts as with many: what is below stays where it is
        self._body.setFixedHeight(_ROWS * BURST_HEIGHT)
        self._body.addWidget(self.none)
        self._body.addWidget(self.view)
        box.addWidget(self._body)
        box.addStretch(1)
        self._book.bursts_changed.connect(self._bursts_changed)
        self._book.playback_changed.connect(self._refresh)

    def show_channel(self, channel_id: ChannelId | None) -> None:
        """Show a channel's bursts; those that are kept from before are asked for."""
        if channel_id == self.channel:
            self._refresh()
            return
        self.channel = channel_id
        self.clear.take_back()
        self._refresh()
        if channel_id is not None and self._context.engine is not None:
            self._context.ask(lambda engine: self._load(channel_id))

    async def _load(self, channel_id: ChannelId) -> None:
        engine = self._context.engine
        assert engine is not None
        self._book.take_bursts(channel_id, await engine.channels.bursts(channel_id))

    def button_centre(self, burst_id: str) -> QPoint:
        """Say where the play button of a burst is, in the list's viewport."""
        number = self.model.row_of(burst_id)
        area = QRectF(self.view.visualRect(self.model.index(number or 0)))
        return self._delegate.button_area(area).center().toPoint()

    def _bursts_changed(self, channel_id: ChannelId) -> None:
        if channel_id == self.channel:
            self._refresh()

    def _refresh(self) -> None:
        channel = self._book.channel(self.channel)
        bursts = self._book.bursts(self.channel) if self.channel is not None else ()
        name = channel.name if channel is not None else ""
        self.title.setText(f"{apart(name)}, last bursts")
        self.view.setAccessibleName(f"Last bursts of {name}")
        self.model.show(bursts, self._book.playing)
        self._body.setCurrentWidget(self.view if bursts else self.none)
        if not bursts:
            self.clear.take_back()
        self.clear.setEnabled(bool(bursts))

    def _play(self, row: BurstRow) -> None:
        if row.playing:
            self._context.ask(lambda engine: engine.channels.stop_playing())
        else:
            self._context.ask(lambda engine: engine.channels.play(row.burst.burst_id))

    def _clear(self) -> None:
        channel_id = self.channel
        if channel_id is None:
            return

        async def clear() -> None:
            engine = self._context.engine
            assert engine is not None
            await engine.channels.clear_bursts(channel_id)
            self._book.forget_bursts(channel_id)

        self._context.ask(lambda engine: clear())
