"""The fields of the settings panel: building them, filling them from Settings, reading them back with clear errors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QLineEdit, QPlainTextEdit, QSlider

from app.events import DeviceInfo
from app.settings import Encryption, HostPort, IcePolicy, RecordedSound, Settings, TellOther, TrickleMode, TurnServer
from ui.widgets.choice import Amount, Choice
from ui.widgets.device_choice import CLEANING, DeviceChoice
from ui.widgets.key_field import KeyField
from ui.widgets.turn_rows import TurnRows

POLICIES = (
    (IcePolicy.ALL, "All paths, direct ones first"),
    (IcePolicy.RELAY, "Only through a relay (hides my addresses)"),
    (IcePolicy.OFF, "No ICE (old phones on one network)"),
)
ENCRYPTIONS = (
    (Encryption.BEST, "As well as the other side can"),
    (Encryption.DTLS, "Only end to end (DTLS-SRTP)"),
    (Encryption.SDES, "SDES-SRTP"),
    (Encryption.NONE, "None"),
)
TRICKLES = (
    (TrickleMode.AUTO, "To phones that are known to take them"),
    (TrickleMode.ALWAYS, "Always: calls start at once"),
    (TrickleMode.OFF, "Never: all addresses go out together"),
)
RECORDED = (
    (RecordedSound.MIXED, "Together, in one track"),
    (RecordedSound.STEREO, "You left, the other side right"),
    (RecordedSound.TRACKS, "Two tracks"),
)
TELLS = (
    (TellOther.TONE, "By a short beep every 15 seconds"),
    (TellOther.LABEL, "By REC in my picture, by the beep where none is sent"),
    (TellOther.NONE, "Not by Parley: I say it myself"),
)
_MOST_RATES = (
    (None, "As much as its size is worth"),
    (2000, "2 Mbit/s (900 MB an hour)"),
    (1000, "1 Mbit/s (450 MB an hour)"),
    (500, "500 kbit/s (225 MB an hour)"),
    (250, "250 kbit/s (110 MB an hour)"),
)
PRIORITIES = (
    (0, "Like everybody: I wait until a channel is free"),
    (100, "High: I interrupt, but for those with an emergency"),
    (200, "Highest: before those with a high one too"),
)
PICTURES = (("camera", "Camera"), ("pattern", "Test picture"), ("none", "No picture"))
SIZES = ((640, 480), (1280, 720), (1920, 1080))


class FieldError(ValueError):
    """A field that cannot be understood; `field` is its key."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class SettingsFields:
    """The widgets by key, and the way between them and Settings."""

    def __init__(self) -> None:
        self.name = QLineEdit()
        self.name.setMaxLength(200)
        self.microphone, self.speaker, self.camera = (
            DeviceChoice(kind) for kind in ("microphone", "speaker", "camera")
        )
        self.ring_device = DeviceChoice("ring")
        self.cleaning = {key: QCheckBox(words) for key, words in CLEANING}
        self.dtx = QCheckBox("Send less while I do not speak")
        self.picture = _choice([words for _, words in PICTURES])
        self.size = _choice([f"{width} × {height}" for width, height in SIZES])
        self.most_rate = Choice()
        self.mirror = QCheckBox("Show my own picture as in a mirror")
        self.record_folder, self.stills_folder = QLineEdit(), QLineEdit()
        for folder in (self.record_folder, self.stills_folder):
            folder.setMaxLength(1000)
        self.recorded_sound = _choice([words for _, words in RECORDED])
        self.tell_other = _choice([words for _, words in TELLS])
        self.ring = QSlider(Qt.Orientation.Horizontal)
        self.ring.setRange(0, 100)
        self.talk_key = KeyField()
        self.priority = Choice()
        self.stun = QPlainTextEdit()
        self.turn = TurnRows()
        self.proxy = QLineEdit()
        self.proxy.setMaxLength(512)
        self.hide_addresses = QCheckBox("Hide this machine's addresses")
        self.ice_tcp = QCheckBox("Use TCP where UDP is shut")
        self.trickle = _choice([words for _, words in TRICKLES])
        self.policy = _choice([words for _, words in POLICIES])
        self.reconnect = Amount()
        self.reconnect.setRange(5, 3600)
        self.reconnect.setSingleStep(15)
        self.reconnect.setSuffix(" s")
        self.encryption = _choice([words for _, words in ENCRYPTIONS])
        self.neighbours = QCheckBox("Find other Parleys on this network")
        self.stun.setTabChangesFocus(True)
        self.stun.setFixedHeight(72)

    def fill_devices(self, devices: Sequence[DeviceInfo], chosen: tuple[str, ...]) -> None:
        """Offer what is plugged in, and what was chosen (as `chosen_devices`) even when it is not."""
        for choice, name in zip(self._device_choices, chosen, strict=True):
            choice.offer(devices, name)

    @property
    def chosen_devices(self) -> tuple[str, ...]:
        """The names in the choices of microphone, speaker, ring and camera; "" follows the system."""
        return tuple(choice.chosen for choice in self._device_choices)

    @property
    def _device_choices(self) -> tuple[DeviceChoice, ...]:
        return self.microphone, self.speaker, self.ring_device, self.camera

    def fill(self, settings: Settings) -> None:
        media, network = settings.media, settings.network
        self.name.setText(settings.display_name)
        self._pick_picture(media.video_from)
        size = (media.width, media.height)
        self.size.setCurrentIndex(SIZES.index(size) if size in SIZES else 0)
        self.mirror.setChecked(media.mirror_own)
        for key, box in self.cleaning.items():
            box.setChecked(getattr(media, key))
        self.dtx.setChecked(media.dtx)
        self._pick_most_rate(media.video_kbps)
        self.record_folder.setText(settings.recording.folder)
        self.stills_folder.setText(settings.recording.stills_folder)
        self.recorded_sound.setCurrentIndex([kind for kind, _ in RECORDED].index(settings.recording.sound))
        self.tell_other.setCurrentIndex([way for way, _ in TELLS].index(settings.recording.tell))
        self.ring.setValue(round(settings.ring_volume * 100))
        self.talk_key.set_key(settings.talk_key)
        self._pick_priority(settings.talk_priority)
        self.stun.setPlainText("\n".join(str(server) for server in network.stun_servers))
        self.turn.fill(network.turn_servers)
        self.proxy.setText(network.proxy)
        self.hide_addresses.setChecked(network.hide_addresses)
        self.ice_tcp.setChecked(network.ice_tcp)
        self.reconnect.setValue(round(settings.reconnect_for_s))
        self.trickle.setCurrentIndex([mode for mode, _ in TRICKLES].index(network.trickle))
        self.policy.setCurrentIndex([policy for policy, _ in POLICIES].index(network.ice_policy))
        self.encryption.setCurrentIndex([kind for kind, _ in ENCRYPTIONS].index(media.encryption))
        self.neighbours.setChecked(network.find_neighbours)

    def read(self, before: Settings) -> Settings:
        """Give the settings as they stand in the fields; FieldError names what is wrong and where."""
        width, height = before.media.width, before.media.height
        if (width, height) in SIZES or self.size.currentIndex() > 0:
            width, height = SIZES[self.size.currentIndex()]
        media = replace(
            before.media,
            microphone=self.microphone.chosen,
            speaker=self.speaker.chosen,
            ring_device=self.ring_device.chosen,
            camera=self.camera.chosen,
            **{key: box.isChecked() for key, box in self.cleaning.items()},
            dtx=self.dtx.isChecked(),
            video_kbps=self.most_rate.currentData(),
            video_from=self.picture.currentData() or before.media.video_from,
            width=width,
            height=height,
            mirror_own=self.mirror.isChecked(),
            encryption=ENCRYPTIONS[self.encryption.currentIndex()][0],
        )
        network = replace(
            before.network,
            stun_servers=tuple(_host("stun", line) for line in _lines(self.stun)),
            turn_servers=self._turn_servers(),
            proxy=_proxy(self.proxy.text()),
            hide_addresses=self.hide_addresses.isChecked(),
            ice_tcp=self.ice_tcp.isChecked(),
            trickle=TRICKLES[self.trickle.currentIndex()][0],
            ice_policy=POLICIES[self.policy.currentIndex()][0],
            find_neighbours=self.neighbours.isChecked(),
        )
        if network.ice_policy is IcePolicy.RELAY and not network.turn_servers:
            raise FieldError("turn", "Only through a relay needs a TURN server: add one above.")
        recording = replace(
            before.recording,
            folder=_folder("record_folder", self.record_folder.text()),
            stills_folder=_folder("stills_folder", self.stills_folder.text()),
            sound=RECORDED[self.recorded_sound.currentIndex()][0],
            tell=TELLS[self.tell_other.currentIndex()][0],
        )
        return replace(
            before,
            media=media,
            recording=recording,
            network=network,
            display_name=self.name.text().strip(),
            ring_volume=self.ring.value() / 100,
            talk_key=self.talk_key.key,
            talk_priority=self.priority.currentData(),
            reconnect_for_s=float(self.reconnect.value()),
        )

    def _turn_servers(self) -> tuple[TurnServer, ...]:
        if not self.turn.check():
            raise FieldError("turn", "Look at the marked server.")
        return self.turn.read()

    def _pick_picture(self, source: str) -> None:
        """Choose the source of the picture; a file set by the command line stays what it is."""
        self.picture.clear()
        for key, words in PICTURES:
            self.picture.addItem(words, key)
        if self.picture.findData(source) < 0:
            self.picture.addItem(f"File {source}", source)
        self.picture.setCurrentIndex(self.picture.findData(source))

    def _pick_priority(self, priority: int) -> None:
        """Choose the priority on channels; a number set by the command line or a file stays what it is."""
        self.priority.clear()
        for number, words in PRIORITIES:
            self.priority.addItem(words, number)
        if self.priority.findData(priority) < 0:
            self.priority.addItem(f"{priority} of 255", priority)
        self.priority.setCurrentIndex(self.priority.findData(priority))

    def _pick_most_rate(self, kbps: int | None) -> None:
        """Choose the most that the picture may take; a rate set by the command line stays what it is."""
        self.most_rate.clear()
        for rate, words in _MOST_RATES:
            self.most_rate.addItem(words, rate)
        if kbps is not None and self.most_rate.findData(kbps) < 0:
            self.most_rate.addItem(f"{kbps} kbit/s", kbps)
        self.most_rate.setCurrentIndex(0 if kbps is None else self.most_rate.findData(kbps))


def _folder(field: str, text: str) -> str:
    """Read a folder's path; "" is the system's own for videos or pictures."""
    text = text.strip()
    if text and not os.path.isabs(os.path.expanduser(text)):
        raise FieldError(field, "Write the whole path of the folder, from its first / or drive on.")
    return text


def _proxy(text: str) -> str:
    """Read a proxy's URL; "" follows the environment, "none" means no proxy."""
    text = text.strip()
    if text in ("", "none"):
        return text
    scheme, mark, place = text.partition("://")
    host = place.rpartition("@")[2].rstrip("/")
    if not mark or scheme not in ("http", "socks5", "socks5h", "socks4"):
        raise FieldError("proxy", "A proxy is written as http://host:port or socks5://host:port; none for no proxy.")
    if "@" in place:
        raise FieldError("proxy", "A password in the proxy's address is not kept: put it into https_proxy instead.")
    try:
        HostPort.parse(host, 8080)
    except ValueError as error:
        raise FieldError("proxy", f"This proxy is not understood: {error}.") from error
    return text


def _host(field: str, line: str) -> HostPort:
    try:
        return HostPort.parse_server(line.removeprefix("stun:"), 3478)
    except ValueError as error:
        raise FieldError(field, f"This STUN server is not understood: {error}.") from error


def _lines(area: QPlainTextEdit) -> list[str]:
    return [line.strip() for line in area.toPlainText().splitlines() if line.strip()][:16]


def _choice(items: Sequence[str]) -> Choice:
    combo = Choice()
    combo.addItems(list(items))
    return combo
