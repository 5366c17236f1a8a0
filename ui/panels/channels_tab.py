"""Diagnostics, fifth tab: what carries each channel, what that costs, and how what its talkers say arrives."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.engine.errors import EngineError
from app.events import ChannelFigures, ChannelId, ChannelInfo
from ui.channel_facts import cost_words, how_it_is, refused_words
from ui.context import Context
from ui.models.channel_talkers import ChannelTalkersModel
from ui.theme.manager import Theme
from ui.widgets.basics import label, section
from ui.widgets.pair_table import CellDelegate, QuietTable
from ui.widgets.story import StoryCard, Tile

ASK_MS = 1_000
_NO_CHANNELS = "No channels yet: open a mission, and what its channels cost and how good they are stands here."
_NOBODY = "Nobody has been heard here yet."


class ChannelsTab(QScrollArea):
    """Follows the open channels; asks the engine for their figures once a second while it is seen."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("channelsTab")
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._context = context
        self._figures: dict[ChannelId, ChannelFigures] = {}
        self._is_asking = False
        self.blocks: dict[ChannelId, ChannelBlock] = {}
        inner = QWidget()
        self.setWidget(inner)
        box = QVBoxLayout(inner)
        box.setContentsMargins(16, 14, 16, 16)
        box.setSpacing(18)
        self.nothing = label(_NO_CHANNELS, "muted", "channelsTabNothing", wrap=True)
        self.problem = label("", "warn", "channelsTabProblem", wrap=True, selectable=True)
        self.problem.hide()
        box.addWidget(self.nothing)
        box.addWidget(self.problem)
        self._blocks = QVBoxLayout()
        self._blocks.setSpacing(22)
        box.addLayout(self._blocks)
        box.addStretch(1)
        self._timer = QTimer(self)
        self._timer.setInterval(ASK_MS)
        self._timer.timeout.connect(self._ask)
        context.channels.missions_changed.connect(self._show)
        context.channels.channel_changed.connect(self._show_channel)
        self._show()

    def as_text(self) -> str:
        return "\n\n".join(["Channels", *(block.as_text() for block in self.blocks.values())])

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._timer.start()
        self._ask()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._timer.stop()

    def _ask(self) -> None:
        """Have the figures of every mission brought, unless the last ones are still on their way."""
        engine = self._context.engine
        missions = [mission.id for mission in self._context.channels.missions if mission.channels]
        if engine is None or self._is_asking or not missions:
            return
        self._is_asking = True

        async def ask() -> None:
            try:
                brought = [await engine.channels.figures(mission) for mission in missions]
            except EngineError as error:  # a mission may have been closed meanwhile
                self._tell(str(error))
            else:
                self._tell("")
                self._figures = {figures.id: figures for each in brought for figures in each}
                self._show()
            finally:
                self._is_asking = False

        self._context.tasks.start(ask())

    def _tell(self, sentence: str) -> None:
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))

    def _show(self) -> None:
        book = self._context.channels
        shown = [(mission.name, channel) for mission in book.missions for channel in mission.channels]
        if [channel.id for _, channel in shown] != list(self.blocks):
            self._rebuild(shown)
            if self.isVisible():
                self._ask()
        for channel_id in self.blocks:
            self._show_channel(channel_id)
        self.nothing.setVisible(not shown)

    def _rebuild(self, shown: list[tuple[str, ChannelInfo]]) -> None:
        for block in self.blocks.values():
            self._blocks.removeWidget(block)
            block.deleteLater()
        self.blocks = {}
        for number, (mission, channel) in enumerate(shown):
            block = self.blocks[channel.id] = ChannelBlock(self._context.theme, mission, f"channelFigures{number}")
            self._blocks.addWidget(block)

    def _show_channel(self, channel_id: ChannelId) -> None:
        block, channel = self.blocks.get(channel_id), self._context.channels.channel(channel_id)
        if block is not None and channel is not None:
            block.show_channel(channel, self._figures.get(channel_id))


class ChannelBlock(QFrame):
    """One channel: a sentence, four figures, what was refused, and its talkers."""

    def __init__(self, theme: Theme, mission: str, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self._mission = mission
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(8)
        self.heading = section("")
        box.addWidget(self.heading)
        self.story = StoryCard(theme, f"{name}Story")
        box.addWidget(self.story)
        self.cost = Tile("a talker costs", f"{name}Cost")
        self.wire = Tile("on the wire", f"{name}Wire")
        self.heard = Tile("heard", f"{name}Heard")
        self.sent = Tile("sent", f"{name}Sent")
        self.cost.setToolTip("What one talker costs on the network by reckoning, headers included")
        self.wire.setToolTip("What this channel's packets take on the network now, headers included")
        self.heard.setToolTip("Packets with sound of others, since the channel was joined")
        self.sent.setToolTip("Packets of one's own, since the channel was joined")
        row = QHBoxLayout()
        row.setSpacing(8)
        for tile in (self.cost, self.wire, self.heard, self.sent):
            row.addWidget(tile, 1)
        box.addLayout(row)
        self.refused = label("", "warn", f"{name}Refused", wrap=True, selectable=True)
        box.addWidget(self.refused)
        self.talkers = ChannelTalkersModel()
        self.table = QuietTable(f"{name}Talkers", "Talkers", self.talkers, stretch=0, tall=True)
        self.table.setItemDelegate(CellDelegate(theme, self.table))
        self.nobody = label(_NOBODY, "muted", wrap=True)
        box.addWidget(self.nobody)
        box.addWidget(self.table)

    def show_channel(self, channel: ChannelInfo, figures: ChannelFigures | None) -> None:
        heading = f"{channel.name} · {self._mission}"
        if self.heading.accessibleName() != heading:
            self.heading.setText(heading.upper())
            self.heading.setAccessibleName(heading)
        self.story.show_fact(how_it_is(channel, figures))
        cost, wire = cost_words(figures)
        self.cost.show_figure(cost)
        self.wire.show_figure(wire)
        self.heard.show_figure("–" if figures is None else str(figures.packets_received))
        self.sent.show_figure("–" if figures is None else str(figures.packets_sent))
        refused = refused_words(figures.refused if figures is not None else 0)
        if refused != self.refused.text():
            self.refused.setText(refused)
        self.refused.setVisible(bool(refused))
        self.talkers.set_figures(figures)
        self.table.setVisible(bool(self.talkers.rows))
        self.nobody.setVisible(channel.joined and not self.talkers.rows)

    def as_text(self) -> str:
        lines = [self.heading.accessibleName(), self.story.title.text(), self.story.text.text()]
        tiles = (self.cost, self.wire, self.heard, self.sent)
        lines += [", ".join(tile.accessibleName() for tile in tiles)]
        lines += [self.refused.text()] if self.refused.text() else []
        lines += [f"  {row.tip}" for row in self.talkers.rows]
        return "\n".join(lines)
