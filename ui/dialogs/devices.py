"""The dialog in which a person chooses devices and tries them out: level, test sounds, own voice, own picture."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QDialog, QHBoxLayout, QLabel, QVBoxLayout, QWidget
from shiboken6 import isValid

from app.engine.errors import EngineError
from app.events import TrialChanged
from app.settings import Settings
from ui.context import Context
from ui.widgets.basics import button, label, restyle, tint
from ui.widgets.device_choice import CLEANING, DeviceChoice
from ui.widgets.level_bar import LevelBar
from ui.widgets.sheets import SheetPage
from ui.widgets.video_view import VideoView

_ECHO_WORDS = {
    "": "Press the button, say a sentence for three seconds, and listen: that is how others hear you.",
    "recording": "Speak now …",
    "playing": "Listen: this is you.",
}


class DeviceDialog(QDialog):
    """Shown, not executed: the rest of the window goes on, calls too. What is chosen holds at once."""

    def __init__(self, context: Context, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setObjectName("deviceDialog")
        self.setWindowTitle("Sound and picture")
        self.setModal(False)
        self.setMinimumSize(420, 420)
        self.resize(560, 760)
        self._context = context
        self._settings: Settings | None = None
        self._camera_tried: bool | None = None
        self._keeping = asyncio.Lock()  # the choice made last is kept last
        box = QVBoxLayout(self)
        box.setContentsMargins(20, 18, 20, 18)
        box.setSpacing(10)
        box.addWidget(label("Sound and picture", "title"))
        self.page = SheetPage("deviceScroll", (0, 0, 0, 0))
        self._build()
        self.page.finish()
        box.addWidget(self.page, 1)
        row = QHBoxLayout()
        row.addStretch(1)
        self.close_button = button("Done", "deviceClose", self.accept, look="primary")
        row.addWidget(self.close_button)
        box.addLayout(row)
        self.finished.connect(self._stop)
        context.bridge.trial.connect(self._show_trial)
        context.bridge.devices.connect(self._offer)
        context.bridge.call.connect(self._try_out_if_camera_is_free)
        context.tasks.start(self._load())

    # Building -------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        theme = self._context.theme
        heard = self.page.sheet("Microphone")
        self.microphone = self._choice(heard, "microphone", "Microphone")
        self.level = LevelBar(theme, "deviceLevel")
        heard.addWidget(self.level)
        self.microphone_note = self._note(heard, "deviceMicrophoneNote")
        self.switches: dict[str, QCheckBox] = {}
        for key, words in CLEANING:
            switch = QCheckBox(words)
            switch.setObjectName(f"device_{key}")
            switch.setAccessibleName(words)
            switch.toggled.connect(self._chosen)
            heard.addWidget(switch)
            self.switches[key] = switch
        self.echo_words = label(_ECHO_WORDS[""], "small", "deviceEchoWords", wrap=True)
        heard.addWidget(self.echo_words)
        self.echo = button("Hear myself", "deviceEcho", self._echo_test)
        tint(theme, self.echo, "mic")
        heard.addWidget(self.echo, 0, Qt.AlignmentFlag.AlignLeft)

        played = self.page.sheet("Speaker")
        self.speaker = self._choice(played, "speaker", "Speaker")
        self.test_sound = self._player(played, "Play a test sound", "deviceTestSound", lambda: self.speaker.chosen)
        self.ring = self._choice(played, "ring", "Incoming calls ring on")
        self.test_ring = self._player(played, "Play the ring", "deviceTestRing", self._ring_device)
        self.speaker_note = self._note(played, "deviceSpeakerNote")

        seen = self.page.sheet("Camera")
        self.camera = self._choice(seen, "camera", "Camera")
        self.picture = VideoView("devicePicture", "What the camera sees", mirrored=True, radius=8)
        self.picture.setFixedHeight(230)
        seen.addWidget(self.picture)
        self.camera_note = self._note(seen, "deviceCameraNote")

    def _choice(self, box: QVBoxLayout, kind: str, words: str) -> DeviceChoice:
        made = DeviceChoice(kind)
        made.setObjectName(f"device_{kind}")
        made.setAccessibleName(words)
        if kind == "ring":
            box.addWidget(label(words, "small"))
        made.currentIndexChanged.connect(self._chosen)
        box.addWidget(made)
        return made

    def _player(self, box: QVBoxLayout, words: str, name: str, device: object) -> QWidget:
        made = button(words, name, lambda: self._play(device()))  # type: ignore[operator]
        tint(self._context.theme, made, "volume")
        box.addWidget(made, 0, Qt.AlignmentFlag.AlignLeft)
        return made

    def _note(self, box: QVBoxLayout, name: str) -> QLabel:
        made = label("", "warn", name, wrap=True)
        made.hide()
        box.addWidget(made)
        return made

    # What is chosen -------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        engine = self._context.engine
        if engine is None:
            return
        settings = await engine.settings.get()
        if not isValid(self):
            return
        self._settings = settings
        self._offer()
        for key, switch in self.switches.items():
            switch.blockSignals(True)
            switch.setChecked(bool(getattr(self._settings.media, key)))
            switch.blockSignals(False)
        self.picture.show_mirrored(settings.media.mirror_own)
        self.picture.show_mailbox(engine.devices.trial_picture())
        await self._try_out()

    def _offer(self, *event: object) -> None:
        if self._settings is None:
            return
        media, devices = self._settings.media, self._context.devices.devices
        self.microphone.offer(devices, media.microphone)
        self.speaker.offer(devices, media.speaker)
        self.ring.offer(devices, media.ring_device)
        self.camera.offer(devices, media.camera)

    def _chosen(self, *value: object) -> None:
        if self._settings is None:
            return
        # Read now: whoever chooses and closes at once means the choice.
        choices: dict[str, Any] = {key: switch.isChecked() for key, switch in self.switches.items()}
        choices |= {"microphone": self.microphone.chosen, "speaker": self.speaker.chosen}
        choices |= {"ring_device": self.ring.chosen, "camera": self.camera.chosen}
        self._context.tasks.start(self._keep(choices))

    async def _keep(self, choices: dict[str, Any]) -> None:
        """Keep what is chosen, for the calls that run too, and go on with it here."""
        engine = self._context.engine
        assert engine is not None
        async with self._keeping:
            before = await engine.settings.get()
            kept = replace(before, media=replace(before.media, **choices))
            await engine.settings.change(kept)
        if isValid(self) and self._settings is not None:
            self._settings = kept
            await self._try_out()

    async def _try_out(self) -> None:
        engine, settings = self._context.engine, self._settings
        if engine is None or settings is None or not self.isVisible():
            return
        self._camera_tried = not self._camera_in_call()
        await engine.devices.try_out(settings.media, camera=self._camera_tried)
        if isValid(self) and not self._camera_tried:
            self.picture.forget()
            _say(self.camera_note, "The call uses the camera: your picture is there.", "muted")

    def _camera_in_call(self) -> bool:
        return any(record.info.sending_video for record in self._context.book.live)

    def _try_out_if_camera_is_free(self, *event: object) -> None:
        if self._settings is not None and self._camera_tried is self._camera_in_call():
            self._context.tasks.start(self._try_out())

    # Trying out -----------------------------------------------------------------------------------------------

    def _ring_device(self) -> str:
        return self.ring.chosen or self.speaker.chosen

    def _play(self, device: str) -> None:
        engine, settings = self._context.engine, self._settings
        if engine is not None and settings is not None:
            self._context.tasks.start(engine.devices.play_test_sound(device, max(settings.ring_volume, 0.1)))

    def _echo_test(self) -> None:
        if self._context.engine is not None:
            self._context.tasks.start(self._context.engine.devices.echo_test())

    def _show_trial(self, state: TrialChanged) -> None:
        self.level.show_level(state.level_dbfs, state.raw_level_dbfs)
        _say(self.microphone_note, state.microphone)
        _say(self.speaker_note, state.speaker)
        if self._camera_tried:
            _say(self.camera_note, state.camera)
        self.echo_words.setText(_ECHO_WORDS.get(state.echo_test, ""))
        self.echo.setEnabled(not state.echo_test)

    def _stop(self) -> None:
        self.picture.show_mailbox(None)
        engine, self._settings = self._context.engine, None
        if engine is not None:

            async def stop() -> None:
                try:
                    await engine.devices.stop_trial()
                except EngineError:
                    return  # the program ends

            self._context.tasks.start(stop())


def _say(note: QLabel, sentence: str | None, tone: str = "warn") -> None:
    note.setText(sentence or "")
    restyle(note, tone=tone)
    note.setVisible(bool(sentence))
