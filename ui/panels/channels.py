"""The channel panel: a card for each channel of a mission, and below them what was said and written."""

from __future__ import annotations

import time
from dataclasses import replace

from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QBoxLayout,
    QComboBox,
    QHBoxLayout,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.events import ChannelId, ChannelInfo, LastTalker, MissionInfo
from ui.channel_keys import TalkKeys, key_name
from ui.context import Context
from ui.panels.channel_bursts import ChannelBursts
from ui.panels.channel_head import ChannelHead
from ui.panels.channel_self import ChannelSelf
from ui.panels.channel_texts import ChannelTexts
from ui.panels.channels_column import mission_menu
from ui.widgets.basics import button, label, tab_through
from ui.widgets.card_grid import CardGrid, columns_in
from ui.widgets.channel_card import ChannelCard
from ui.words import apart

_TICK_MS, _QUIET_TICK_MS = 250, 5_000  # while times of seconds are shown, and of minutes only
_CARD_ROW = 270  # pixels that a row of cards takes, about
_FEW = 6  # so many stay large also where one has to scroll
_BESIDE_FROM = 860  # pixels; from here on bursts and messages stand side by side

WHAT_IT_IS = (
    "A mission is a set of channels that a group shares: who has it can hear and talk on them, without an account and "
    "without a server. Open one that somebody gave you, from a file, a QR picture or a link, or drop the file on this "
    "window. Or make one of your own and give it to the others."
)


class ChannelsPanel(QStackedWidget):
    """Shows the mission that the book says is looked at."""

    open_wanted = Signal()
    export_wanted = Signal(str)
    edit_wanted = Signal(object)  # the mission's id; None: a new one

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("channelsPage")
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._context = context
        self._book = context.channels
        self._cards: dict[ChannelId, ChannelCard] = {}
        self._chosen: ChannelId | None = None
        self._pressed: dict[ChannelId, int] = {}
        self._is_compact = False
        self.addWidget(self._no_mission())
        self.addWidget(self._mission_page())
        for control in (*self.findChildren(QAbstractButton), *self.findChildren(QComboBox)):
            control.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click gives the focus to the panel: Space talks
        self.head.answered.connect(self.setFocus)
        self.keys = TalkKeys(self, self._channel_at, self.press, self.release)
        self._ticks = QTimer(self)
        self._ticks.setInterval(_QUIET_TICK_MS)
        self._ticks.timeout.connect(self._tick)
        for changed in (self._book.missions_changed, self._book.shown_changed):
            changed.connect(self.refresh)
        for changed in (self._book.channel_changed, self._book.bursts_changed):
            changed.connect(self._channel_changed)
        self.refresh()

    # What it is built of ------------------------------------------------------------------------------------------

    def _no_mission(self) -> QWidget:
        page = QWidget()
        page.setObjectName("noMission")
        box = QVBoxLayout(page)
        box.setContentsMargins(32, 32, 32, 32)
        box.setSpacing(10)
        box.addStretch(1)
        self.none_title = label("", "title", "noMissionTitle", wrap=True)
        self.none_words = label("", "muted", "noMissionWords", wrap=True)
        self.none_words.setMaximumWidth(560)
        self.open = button("Open a mission…", "openMissionButton", self.open_wanted.emit, look="primary")
        box.addWidget(self.none_title)
        box.addWidget(self.none_words)
        box.addSpacing(6)
        self.make = button("Make a new one…", "makeMissionButton", lambda: self.edit_wanted.emit(None))
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.open)
        row.addWidget(self.make)
        row.addStretch(1)
        box.addLayout(row)
        box.addStretch(2)
        return page

    def _mission_page(self) -> QWidget:
        scroll = QScrollArea()
        scroll.setObjectName("channelsScroll")
        scroll.setWidgetResizable(True)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inside = QWidget()
        inside.setObjectName("channelsInside")
        box = QVBoxLayout(inside)
        box.setContentsMargins(20, 16, 20, 20)
        box.setSpacing(16)
        self.head = ChannelHead(self._context)
        self.head.menu_wanted.connect(self._show_menu)
        self.grid = CardGrid("channelGrid")
        self.bursts = ChannelBursts(self._context)
        self.texts = ChannelTexts(self._context)
        self.own = ChannelSelf(self._context)
        box.addWidget(self.head)
        box.addWidget(self.grid)
        self._below = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._below.setSpacing(16)
        self._below.addWidget(self.bursts, 3)
        self._below.addWidget(self.texts, 2)
        box.addLayout(self._below)
        box.addWidget(self.own)
        box.addStretch(1)
        scroll.setWidget(inside)
        self._inside = inside
        return scroll

    # What is shown ------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the missions as they are."""
        mission = self._book.shown
        if mission is None:
            self._let_go_of_gone(())
            self._show_none()
            return
        self._let_go_of_gone(self._book.channels)
        self.setCurrentIndex(1)
        if self._book.channel(self._chosen) is None or self._chosen not in {each.id for each in mission.channels}:
            first = next((each for each in mission.channels if each.primary), None)
            self._chosen = (first or mission.channels[0]).id if mission.channels else None
        self._build_cards(mission)
        self.head.show_mission(mission, self._note(mission))
        self.bursts.setVisible(bool(mission.channels))
        self.bursts.show_channel(self._chosen)
        self.texts.setVisible(mission.has_control)
        self.texts.show_mission(mission)
        self.own.show_mission(mission)

    def _show_none(self) -> None:
        self.setCurrentIndex(0)
        told = self._book.told
        self.none_title.setText("No mission open" if told else "Starting…")
        self.none_words.setText(WHAT_IT_IS if told else "Your missions appear in a moment.")
        self.open.setVisible(told)
        self.make.setVisible(told)
        self.texts.show_mission(None)
        self.own.stop_following()  # nobody is told any more, and the button is out of sight
        self.bursts.show_channel(None)

    def _build_cards(self, mission: MissionInfo) -> None:
        wanted = {channel.id for channel in mission.channels}
        before = list(self._cards)
        for gone in [channel_id for channel_id in self._cards if channel_id not in wanted]:
            self._cards.pop(gone).talk.let_go()
        for channel in mission.channels:
            if channel.id not in self._cards:
                self._cards[channel.id] = self._card(channel)
        self._cards = {channel.id: self._cards[channel.id] for channel in mission.channels}
        for number, channel in enumerate(mission.channels):
            self._show_card(channel, number)
        if list(self._cards) != before:
            self.grid.set_cards(list(self._cards.values()))
            self._fit_cards(again=True)
        else:
            self.grid.arrange()
        self._pace_ticks()

    def _fit_cards(self, *, again: bool = False) -> None:
        """Give each channel one line where there are more than fit as large cards; what happens there moves nothing."""
        count = len(self._cards)
        rows = -(-count // columns_in(self.grid.width(), max(1, count)))
        compact = count > _FEW and rows * _CARD_ROW > self.height() - self.head.height()
        if compact is self._is_compact and not again:
            return
        self._is_compact = compact
        for card in self._cards.values():
            card.set_compact(compact)
        self.grid.set_compact(compact)
        controls = (control for card in self._cards.values() for control in card.controls)
        tab_through(self.head.last_control, *controls)

    def _card(self, channel: ChannelInfo) -> ChannelCard:
        card = ChannelCard(self._context.theme, channel, self._inside)
        key, ask = channel.id, self._context.ask
        card.pressed.connect(lambda: self.press(key))
        card.released.connect(lambda: self.release(key))
        card.chosen.connect(lambda: self.choose(key))
        card.join_wanted.connect(
            lambda on: ask(lambda engine: engine.channels.join(key) if on else engine.channels.leave(key))
        )
        card.mute_wanted.connect(lambda on: ask(lambda engine: engine.channels.set_muted(key, on)))
        card.volume_wanted.connect(lambda value: ask(lambda engine: engine.channels.set_volume(key, value)))
        card.pan_wanted.connect(lambda value: ask(lambda engine: engine.channels.set_pan(key, value)))
        card.mode_wanted.connect(lambda mode: ask(lambda engine: engine.channels.set_talk_mode(key, mode)))
        card.primary_wanted.connect(lambda: ask(lambda engine: engine.channels.set_primary(key)))
        return card

    def _show_card(self, channel: ChannelInfo, number: int) -> None:
        key = "Space" if channel.primary else key_name(number)
        now, wall = self._context.book.engine_now(), time.time()
        kept = next(iter(self._book.bursts(channel.id)), None)
        if channel.last is None and kept is not None:  # said before Parley was started
            channel = replace(channel, last=LastTalker(kept.alias, kept.began_wall + kept.seconds, kept.own))
        self._cards[channel.id].show_channel(channel, key, chosen=channel.id == self._chosen, now=now, wall=wall)

    def _note(self, mission: MissionInfo) -> str:
        primary = self._book.primary
        if primary is None:
            return "no primary channel: choose one with its star, and Space talks there" if mission.channels else ""
        if primary.id.mission == mission.id:
            return ""
        other = self._book.mission(primary.id.mission)
        return f"Space talks on {apart(primary.name)} of {apart(other.name)}" if other is not None else ""

    def _channel_changed(self, channel_id: ChannelId) -> None:
        mission = self._book.shown
        channel = self._book.channel(channel_id)
        if mission is None or channel is None:
            return
        self.head.show_mission(mission, self._note(mission))
        if channel_id in self._cards:
            self._show_card(channel, list(self._cards).index(channel_id))
            self.grid.arrange()
            self._pace_ticks()

    def _tick(self) -> None:
        now, wall = self._context.book.engine_now(), time.time()
        for card in self._cards.values():
            card.tick(now, wall)

    def _pace_ticks(self) -> None:
        """Look at the clock as often as what is shown moves on."""
        shown = [card.info for card in self._cards.values()]
        moves = any(one.talkers or one.sending is not None or one.link.failover_at is not None for one in shown)
        pace = _TICK_MS if moves else _QUIET_TICK_MS
        if pace != self._ticks.interval():
            self._ticks.setInterval(pace)

    def choose(self, channel_id: ChannelId) -> None:
        """Show the last bursts of a channel."""
        if self._chosen == channel_id:
            return
        self._chosen = channel_id
        self.refresh()

    def card(self, channel_id: ChannelId) -> ChannelCard:
        return self._cards[channel_id]

    def _show_menu(self, below: QWidget) -> None:
        mission = self._book.shown
        if mission is not None:
            menu = mission_menu(self._context, mission.id, self.export_wanted.emit, self.edit_wanted.emit, self)
            menu.popup(below.mapToGlobal(QPoint(0, below.height())))

    def leave_field(self) -> bool:
        """Close what is open here, else take the focus from what has it: Space talks. Tell whether there was any."""
        drawers = (card.sound.put_away for card in self._cards.values())
        if any(close() for close in (self.head.keep_quiet, self.bursts.clear.take_back, *drawers)):
            return True
        focus = self.focusWidget()
        if focus is None or focus is self or not focus.hasFocus():
            return False
        self.setFocus()
        return True

    # Talking ------------------------------------------------------------------------------------------------------

    def _channel_at(self, number: int | None) -> ChannelId | None:
        """Give the channel of a card, or for None the primary one, and say so where there is none."""
        if number is not None:
            keys = list(self._cards)
            return keys[number] if number < len(keys) else None
        primary = self._book.primary
        if primary is None:
            if self._book.channels:
                self._context.say("No channel is the primary one: choose it with the star on its card.")
            return None
        return primary.id

    def press(self, channel_id: ChannelId) -> None:
        """The talk key of a channel went down; what holds it may be a key and the mouse at once."""
        self._pressed[channel_id] = self._pressed.get(channel_id, 0) + 1
        if self._pressed[channel_id] > 1:
            return
        mission = self._book.mission(channel_id.mission)
        urgent = mission is not None and mission.own_emergency is not None
        self._context.ask(lambda engine: engine.channels.press(channel_id, emergency=urgent))

    def release(self, channel_id: ChannelId) -> None:
        held = self._pressed.pop(channel_id, 0)
        if held > 1:
            self._pressed[channel_id] = held - 1
        elif held == 1:
            self._context.ask(lambda engine: engine.channels.release(channel_id))

    def let_go(self) -> None:
        """End every burst that is held from here."""
        self.keys.let_go()
        for card in self._cards.values():
            card.talk.let_go()

    def _let_go_of_gone(self, channels: tuple[ChannelInfo, ...]) -> None:
        """A channel that was closed ended its burst itself."""
        known = {channel.id for channel in channels}
        for gone in [channel_id for channel_id in self._pressed if channel_id not in known]:
            del self._pressed[gone]

    # --------------------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._ticks.start()
        self._tick()
        self.keys.follow()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._ticks.stop()
        self.let_go()
        self.keys.stop()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        beside = self.width() >= _BESIDE_FROM
        self._below.setDirection(QBoxLayout.Direction.LeftToRight if beside else QBoxLayout.Direction.TopToBottom)
        self.own.fit(self.width() - 72)
        narrow = self.width() < 480
        margins = (12, 12, 12, 16) if narrow else (20, 16, 20, 20)
        layout = self._inside.layout()
        if layout is not None:
            layout.setContentsMargins(*margins)
            layout.activate()
        self._fit_cards()
