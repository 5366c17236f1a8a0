"""The fields of the settings panel: building them, filling them from Settings, reading them back with clear errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QLineEdit, QPlainTextEdit, QSlider

from app.events import DeviceInfo
from app.settings import Encryption, HostPort, IcePolicy, Settings, TurnServer
from ui.widgets.choice import Choice

FOLLOW = "Follow the system"

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
        self.microphone, self.speaker, self.camera = Choice(), Choice(), Choice()
        self.picture = _choice([words for _, words in PICTURES])
        self.size = _choice([f"{width} × {height}" for width, height in SIZES])
        self.ring = QSlider(Qt.Orientation.Horizontal)
        self.ring.setRange(0, 100)
        self.stun = QPlainTextEdit()
        self.turn = QPlainTextEdit()
        self.turn_password = QLineEdit()
        self.turn_password.setEchoMode(QLineEdit.EchoMode.Password)
        self.turn_password.setMaxLength(512)
        self.policy = _choice([words for _, words in POLICIES])
        self.encryption = _choice([words for _, words in ENCRYPTIONS])
        self.neighbours = QCheckBox("Find other Parleys on this network, and be found")
        for area in (self.stun, self.turn):
            area.setTabChangesFocus(True)
            area.setFixedHeight(72)

    def fill_devices(self, devices: Sequence[DeviceInfo], chosen: tuple[str, str, str]) -> None:
        """Offer what is plugged in, and what was chosen (microphone, speaker, camera) even when it is not."""
        combos = ((self.microphone, "microphone"), (self.speaker, "speaker"), (self.camera, "camera"))
        for (combo, kind), name in zip(combos, chosen, strict=True):
            combo.blockSignals(True)
            combo.clear()
            combo.addItem(FOLLOW, "")
            for device in devices:
                if device.kind == kind:
                    combo.addItem(device.name, device.name)
            if name and combo.findData(name) < 0:
                combo.addItem(f"{name} (not plugged in)", name)
            combo.setCurrentIndex(max(0, combo.findData(name)))
            combo.blockSignals(False)

    @property
    def chosen_devices(self) -> tuple[str, str, str]:
        """The names in the three choices; "" follows the system."""
        combos = (self.microphone, self.speaker, self.camera)
        first, second, third = (str(combo.currentData() or "") for combo in combos)
        return first, second, third

    def fill(self, settings: Settings) -> None:
        media, network = settings.media, settings.network
        self.name.setText(settings.display_name)
        self._pick_picture(media.video_from)
        size = (media.width, media.height)
        self.size.setCurrentIndex(SIZES.index(size) if size in SIZES else 0)
        self.ring.setValue(round(settings.ring_volume * 100))
        self.stun.setPlainText("\n".join(str(server) for server in network.stun_servers))
        self.turn.setPlainText("\n".join(turn_line(server) for server in network.turn_servers))
        self.turn_password.clear()
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
            microphone=self.microphone.currentData() or "",
            speaker=self.speaker.currentData() or "",
            camera=self.camera.currentData() or "",
            video_from=self.picture.currentData() or before.media.video_from,
            width=width,
            height=height,
            encryption=ENCRYPTIONS[self.encryption.currentIndex()][0],
        )
        network = replace(
            before.network,
            stun_servers=tuple(_host("stun", line) for line in _lines(self.stun)),
            turn_servers=tuple(parse_turn(line, self.turn_password.text()) for line in _lines(self.turn)),
            ice_policy=POLICIES[self.policy.currentIndex()][0],
            find_neighbours=self.neighbours.isChecked(),
        )
        if network.ice_policy is IcePolicy.RELAY and not network.turn_servers:
            raise FieldError("turn", "Only through a relay needs a TURN server: name one above.")
        return replace(
            before,
            media=media,
            network=network,
            display_name=self.name.text().strip(),
            ring_volume=self.ring.value() / 100,
        )

    def _pick_picture(self, source: str) -> None:
        """Choose the source of the picture; a file set by the command line stays what it is."""
        self.picture.clear()
        for key, words in PICTURES:
            self.picture.addItem(words, key)
        if self.picture.findData(source) < 0:
            self.picture.addItem(f"File {source}", source)
        self.picture.setCurrentIndex(self.picture.findData(source))


def turn_line(server: TurnServer) -> str:
    """Write a TURN server as people type it: "ada@turn.example.org:3478 udp"."""
    user = f"{server.username}@" if server.username else ""
    return f"{user}{server.server} {server.transport}"


def parse_turn(line: str, password: str) -> TurnServer:
    """Read "ada@turn.example.org:3478 udp"; port and transport may be missing."""
    place, _, transport = line.partition(" ")
    transport = transport.strip().lower() or "udp"
    if transport not in ("udp", "tcp", "tls"):
        raise FieldError("turn", f"{transport[:20]!r} is no way to a TURN server: udp, tcp or tls.")
    user, _, host = place.removeprefix("turn:").removeprefix("turns:").rpartition("@")
    default_port = 5349 if transport == "tls" else 3478
    try:
        return TurnServer(HostPort.parse(host, default_port), transport, user, password)
    except ValueError as error:
        raise FieldError("turn", f"This TURN server is not understood: {error}.") from error


def _host(field: str, line: str) -> HostPort:
    try:
        return HostPort.parse(line.removeprefix("stun:"), 3478)
    except ValueError as error:
        raise FieldError(field, f"This STUN server is not understood: {error}.") from error


def _lines(area: QPlainTextEdit) -> list[str]:
    return [line.strip() for line in area.toPlainText().splitlines() if line.strip()][:16]


def _choice(items: Sequence[str]) -> Choice:
    combo = Choice()
    combo.addItems(list(items))
    return combo
