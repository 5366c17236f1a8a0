"""The text messages of a mission, and a field to write one to all of it or to one channel."""

from __future__ import annotations

import time

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QPlainTextEdit, QVBoxLayout

from app.events import ChannelId, MissionInfo, TextSeen
from ui import words
from ui.context import Context
from ui.widgets.basics import button, label
from ui.widgets.choice import Choice

_MOST_CHARACTERS = 500
_HIGH = 132


class ChannelTexts(QFrame):
    """Shows the mission that it is told to."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("channelTexts")
        self.setProperty("look", "sheet")
        self._context = context
        self._book = context.channels
        self._mission: str | None = None
        box = QVBoxLayout(self)
        box.setContentsMargins(16, 12, 16, 12)
        box.setSpacing(8)
        top = QHBoxLayout()
        top.addWidget(label("Messages", "heading"), 1)
        self.to = Choice()
        self.to.setObjectName("textTo")
        self.to.setAccessibleName("Who gets the message")
        self.to.setMinimumContentsLength(8)
        self.to.setMaximumWidth(190)
        top.addWidget(self.to)
        box.addLayout(top)
        self.view = QPlainTextEdit()
        self.view.setObjectName("textsView")
        self.view.setAccessibleName("Messages")
        self.view.setReadOnly(True)
        self.view.setPlaceholderText("No messages yet.")  # as high as with some: the field below stays where it is
        self.view.setMaximumBlockCount(200)
        self.view.setTabChangesFocus(True)
        self.view.setFixedHeight(_HIGH)
        box.addWidget(self.view)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.field = QLineEdit()
        self.field.setObjectName("textField")
        self.field.setAccessibleName("A message to write")
        self.field.setPlaceholderText("Write a message")
        self.field.setMaxLength(_MOST_CHARACTERS)
        self.field.returnPressed.connect(self._send)
        self.send = button("Send", "sendText", self._send)
        row.addWidget(self.field, 1)
        row.addWidget(self.send)
        box.addLayout(row)
        box.addStretch(1)
        self._book.texts_changed.connect(self._texts_changed)

    def show_mission(self, mission: MissionInfo | None) -> None:
        """Show a mission's messages; those from before are asked for."""
        names: list[tuple[str, ChannelId | None]] = []
        if mission is not None:
            names = [("To everybody", None), *((f"To {channel.name}", channel.id) for channel in mission.channels)]
        kept = self.to.currentData()
        if [self.to.itemText(number) for number in range(self.to.count())] != [name for name, _ in names]:
            self.to.clear()
            for name, channel_id in names:
                self.to.addItem(name, channel_id)
            self.to.setCurrentIndex(max(0, self.to.findData(kept)))
        fresh = mission.id if mission is not None else None
        if fresh == self._mission:
            return
        self._mission = fresh
        self.field.clear()
        self._refresh()
        if fresh is not None and self._context.engine is not None:
            self._context.ask(lambda engine: self._load(fresh))

    async def _load(self, mission_id: str) -> None:
        engine = self._context.engine
        assert engine is not None
        self._book.take_texts(mission_id, await engine.channels.texts(mission_id))

    def _texts_changed(self, mission_id: str) -> None:
        if mission_id == self._mission:
            self._refresh()

    def _refresh(self) -> None:
        texts = self._book.texts(self._mission) if self._mission is not None else ()
        now = time.time()
        self.view.setPlainText("\n".join(self._line(text, now) for text in texts))
        bar = self.view.verticalScrollBar()
        bar.setValue(bar.maximum())
        QTimer.singleShot(0, bar, lambda: bar.setValue(bar.maximum()))  # once it is laid out

    def _line(self, text: TextSeen, now: float) -> str:
        channel = self._book.channel(text.channel)
        where = f" on {words.apart(channel.name)}" if channel is not None else ""
        who = "You" if text.own else words.apart(text.name) or "Somebody"
        return f"{words.when(text.wall, now)}  {who}{where}: {words.apart(' '.join(text.words.split()))}"

    def _send(self) -> None:
        typed, mission_id = self.field.text().strip(), self._mission
        to: ChannelId | None = self.to.currentData()
        if not typed or mission_id is None:
            return

        async def send() -> None:
            engine = self._context.engine
            assert engine is not None
            try:
                await engine.channels.send_text(mission_id, to, typed)
            except Exception:
                if not self.field.text() and self._mission == mission_id:
                    self.field.setText(typed)  # to be sent again
                raise

        self.field.clear()
        self._context.ask(lambda engine: send())
