"""The drop-down choice of a microphone, a speaker, a ring device or a camera, and what its sound is cleaned of."""

from __future__ import annotations

from collections.abc import Sequence

from app.events import DeviceInfo
from ui.widgets.choice import Choice

FOLLOW = "Follow the system"
AS_SPEAKER = "Same as the speaker"
CLEANING = (  # of what the microphone hears: the key in MediaSettings, and its switch in words
    ("echo_cancellation", "Take out the speaker's echo"),
    ("noise_suppression", "Turn down noise around me"),
    ("gain_control", "Keep my voice at one level"),
)


class DeviceChoice(Choice):
    """`kind` as in DeviceInfo, or "ring": a speaker of its own for the ring, or none."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = "speaker" if kind == "ring" else kind
        self._otherwise = AS_SPEAKER if kind == "ring" else FOLLOW
        self.addItem(self._otherwise, "")

    @property
    def chosen(self) -> str:
        """The device's name; "" follows the system (the speaker)."""
        return str(self.currentData() or "")

    def offer(self, devices: Sequence[DeviceInfo], chosen: str) -> None:
        """Offer what is plugged in, and what was chosen even when it is not; says nothing of a change."""
        there = [device for device in devices if device.kind == self._kind]
        default = next((device.name for device in there if device.is_default), "")
        self.blockSignals(True)
        self.clear()
        self.addItem(f"{FOLLOW} ({default})" if default and self._otherwise == FOLLOW else self._otherwise, "")
        for device in there:
            self.addItem(device.name, device.name)
        if chosen and self.findData(chosen) < 0:
            self.addItem(f"{chosen} (not plugged in)", chosen)
        self.setCurrentIndex(max(0, self.findData(chosen)))
        self.blockSignals(False)
