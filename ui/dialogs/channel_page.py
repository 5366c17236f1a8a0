"""A channel's page of the mission editor: its name, its sound and what that costs, its key, and where it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from app.engine import mission_drafts
from app.engine.mission_drafts import Address, Group, GroupType, TxPriority
from ui.dialogs.mission_draft import Draft
from ui.dialogs.rallypoint_rows import RallypointRows
from ui.mission_words import cost_words
from ui.theme.manager import Theme
from ui.widgets.basics import button, label
from ui.widgets.choice import Amount, Choice
from ui.widgets.secret_field import SecretField
from ui.widgets.sheets import SheetPage
from ui.widgets.told_fields import ToldFields

_MOST_PORT = 65_535
_DAY_S = 86_400
_PRIORITIES = (
    (TxPriority.VOICE, "Voice (as a rule)"),
    (TxPriority.VIDEO, "Video"),
    (TxPriority.SIGNALLING, "Signalling"),
    (TxPriority.BEST_EFFORT, "None"),
)
_KINDS = {
    GroupType.AUDIO: "Speech",
    GroupType.MISSION_CONTROL: "Mission control: who is there, alerts, texts",
    GroupType.RAW: "Datagrams of other programs, which Parley does not show",
}


class ChannelPage(SheetPage):
    """`rallypoint_wanted` with the number of a rallypoint whose certificates are to be edited."""

    rallypoint_wanted = Signal(int)

    def __init__(self, theme: Theme, draft: Draft, index: int) -> None:
        super().__init__("channelPage", (0, 4, 8, 8))
        self._draft, self.index = draft, index
        self._theme = theme
        self._key_before = self.group.crypto_password
        self.fields = ToldFields()
        self._build_channel()
        if self.group.type is GroupType.AUDIO:
            self._build_sound()
        self._build_key()
        self._build_network()
        self.rallypoints = RallypointRows(self.fields, draft, index, self.sheet("Rallypoints"))
        self.rallypoints.more_wanted.connect(self.rallypoint_wanted)
        self.finish()
        self._show_encrypted()
        draft.changed.connect(self._show_cost)
        self._show_cost()

    @property
    def group(self) -> Group:
        return self._draft.group(self.index)

    def _set(self, **fields: Any) -> None:
        self._draft.set_group(self.index, replace(self.group, **fields))

    # Building -----------------------------------------------------------------------------------------------------

    def _build_channel(self) -> None:
        box, group = self.sheet("Channel"), self.group
        box.addWidget(label(_KINDS[group.type], "muted", wrap=True))
        self.name = _line(group.name, mission_drafts.MOST_NAME, lambda text: self._set(name=text.strip()))
        self.fields.add(box, "Name", self.name, "channelName", "name")
        self.description = QPlainTextEdit(group.description)
        self.description.setTabChangesFocus(True)
        self.description.setFixedHeight(64)
        self.description.textChanged.connect(lambda: self._set(description=self.description.toPlainText()))
        self.fields.add(box, "Description", self.description, "channelDescription", "description")

    def _build_sound(self) -> None:
        box, audio = self.sheet("Sound"), self.group.tx_audio
        assert audio is not None
        self._encoders = mission_drafts.encoder_choices(audio.encoder)
        self.encoder = Choice()
        for each in self._encoders:
            self.encoder.addItem(each.name + (" (cannot talk)" if each.why_not else ""))
        self.encoder.setCurrentIndex([each.id for each in self._encoders].index(audio.encoder))
        self.fields.add(box, "Codec", self.encoder, "channelEncoder", "txAudio.encoder")
        self.why_not = label("", "warn", "channelWhyNot", wrap=True)
        box.addWidget(self.why_not)
        self._framings = sorted({*mission_drafts.FRAMINGS_MS, audio.framing_ms})
        self.framing = Choice()
        self.framing.addItems([f"{each} ms" for each in self._framings])
        self.framing.setCurrentIndex(self._framings.index(audio.framing_ms))
        explain = "Longer ones cost less and are heard later; a lost one leaves a longer gap"
        self.fields.add(box, "Sound in a packet", self.framing, "channelFraming", "txAudio.framingMs", explain)
        self.cost = label("", "value", "channelCost", wrap=True)
        box.addWidget(self.cost)
        self.limit = _amount(0, _DAY_S, audio.max_tx_secs, lambda value: self._set_audio(max_tx_secs=value), " s")
        self.limit.setSpecialValueText("no limit")
        self.fields.add(box, "Longest burst", self.limit, "channelLimit", "txAudio.maxTxSecs")
        self.heard = _amount(0, _DAY_S, self.group.max_rx_secs, lambda value: self._set(max_rx_secs=value), " s")
        self.heard.setSpecialValueText("to its end")
        explain = "Whoever talks for longer, as with a key that jams, is not heard any more"
        self.fields.add(box, "A burst is heard for", self.heard, "channelHeard", "maxRxSecs", explain)
        self.duplex = _check("All may talk at once, as in a call", "channelDuplex", audio.fdx)
        self.duplex.toggled.connect(lambda on: self._set_audio(fdx=on))
        box.addWidget(self.duplex)
        self.encoder.currentIndexChanged.connect(lambda row: self._set_audio(encoder=self._encoders[row].id))
        self.framing.currentIndexChanged.connect(lambda row: self._set_audio(framing_ms=self._framings[row]))

    def _build_key(self) -> None:
        box, group = self.sheet("Encryption"), self.group
        self.encrypted = _check("Encrypted", "channelEncrypted", group.is_encrypted)
        self.encrypted.toggled.connect(self._set_encrypted)
        box.addWidget(self.encrypted)
        self.key_row = QWidget()
        column = QVBoxLayout(self.key_row)
        column.setContentsMargins(0, 0, 0, 0)
        self.key = SecretField(self._theme, "Key", "channelKey")
        self.key.setText(group.crypto_password or "")
        self.key.textChanged.connect(self._set_key)
        explain = "64 hexadecimal digits. Everybody needs the mission anew after a change"
        self.fields.add(column, "Key", self.key, "channelKey", "cryptoPassword", explain)
        row = QHBoxLayout()
        self.new_key = button("Make a new key", "channelNewKey", lambda: self.key.setText(mission_drafts.fresh_key()))
        row.addWidget(self.new_key)
        row.addStretch(1)
        column.addLayout(row)
        box.addWidget(self.key_row)
        self.clear = label("Clear: whoever is on its way can listen and talk.", "warn", "channelClear", wrap=True)
        box.addWidget(self.clear)

    def _build_network(self) -> None:
        box, group = self.sheet("Multicast"), self.group
        self.rx = _Place(group.rx, lambda place: self._set_rx(place))
        self.fields.add(box, "Receives at address", self.rx.address, "channelRx", "rx.address")
        self.fields.add(box, "Port", self.rx.port, "channelRxPort", "rx.port")
        self.apart = _check("Sends to another address", "channelApart", str(group.tx) != str(group.rx))
        self.apart.toggled.connect(self._set_apart)
        box.addWidget(self.apart)
        self.tx_row = QWidget()
        column = QVBoxLayout(self.tx_row)
        column.setContentsMargins(0, 0, 0, 0)
        self.tx = _Place(group.tx, lambda place: self._set(tx=place))
        self.fields.add(column, "Sends to address", self.tx.address, "channelTx", "tx.address")
        self.fields.add(column, "Port", self.tx.port, "channelTxPort", "tx.port")
        box.addWidget(self.tx_row)
        self.tx_row.setVisible(self.apart.isChecked())
        self.priority = Choice()
        self.priority.addItems([words for _, words in _PRIORITIES])
        priorities = [priority for priority, _ in _PRIORITIES]
        self.priority.setCurrentIndex(priorities.index(group.tx_options.priority))
        self.priority.currentIndexChanged.connect(lambda row: self._set_priority(priorities[row]))
        explain = "What networks that tell packets apart are told of these"
        self.fields.add(box, "Priority", self.priority, "channelPriority", "txOptions.priority", explain)

    # Edits --------------------------------------------------------------------------------------------------------

    def _set_audio(self, **fields: Any) -> None:
        audio = self.group.tx_audio
        assert audio is not None
        self._set(tx_audio=replace(audio, **fields))

    def _set_encrypted(self, on: bool) -> None:
        if on:
            key = self._key_before or mission_drafts.fresh_key()
            self._set(crypto_password=key)
            self.key.setText(key)
        else:
            self._key_before = self.group.crypto_password
            self._set(crypto_password=None)
        self._show_encrypted()

    def _set_key(self, text: str) -> None:
        if self.encrypted.isChecked():
            self._set(crypto_password=text.strip())

    def _show_encrypted(self) -> None:
        on = self.group.is_encrypted
        self.key_row.setVisible(on)
        self.clear.setVisible(not on)

    def _set_rx(self, place: Address) -> None:
        group = self.group
        tx = group.tx if self.apart.isChecked() else replace(group.tx, address=place.address, port=place.port)
        self._set(rx=place, tx=tx)

    def _set_apart(self, on: bool) -> None:
        self.tx_row.setVisible(on)
        if on:
            self.tx.fill(self.group.tx)
        else:
            self._set_rx(self.group.rx)

    def _set_priority(self, priority: TxPriority) -> None:
        self._set(tx_options=replace(self.group.tx_options, priority=priority))

    def _show_cost(self) -> None:
        if self.group.type is not GroupType.AUDIO or self.index >= len(self._draft.mission.groups):
            return
        cost = mission_drafts.cost(self._draft.mission, self.group)
        self.cost.setText(f"Costs {cost_words(cost)}." if cost else "")
        why_not = self._encoders[self.encoder.currentIndex()].why_not
        self.why_not.setText(f"Parley cannot talk on this channel. {why_not}" if why_not else "")
        self.why_not.setVisible(bool(why_not))


class _Place:
    """An address and a port; whatever else stands in the object stays in it."""

    def __init__(self, place: Address, changed: Callable[[Address], None]) -> None:
        self._place, self._changed = place, changed
        self.address = _line(place.address, 45, lambda text: self._set(address=text.strip()))
        self.port = _amount(1, _MOST_PORT, place.port, lambda value: self._set(port=value))

    def fill(self, place: Address) -> None:
        self._place = place
        self.address.setText(place.address)
        self.port.setValue(place.port)

    def _set(self, **fields: Any) -> None:
        self._place = replace(self._place, **fields)
        self._changed(self._place)


def _line(text: str, most: int, changed: Callable[[str], object]) -> QLineEdit:
    made = QLineEdit(text)
    made.setMaxLength(most)
    made.setCursorPosition(0)
    made.textChanged.connect(changed)
    return made


def _amount(low: int, high: int, value: int, changed: Callable[[int], object], suffix: str = "") -> Amount:
    made = Amount()
    made.setRange(low, high)
    made.setValue(value)
    made.setSuffix(suffix)
    made.valueChanged.connect(changed)
    return made


def _check(words: str, name: str, on: bool) -> QCheckBox:
    made = QCheckBox(words)
    made.setObjectName(name)
    made.setAccessibleName(words)
    made.setChecked(on)
    return made
