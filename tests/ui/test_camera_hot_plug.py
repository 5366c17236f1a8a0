"""A camera that is plugged in and pulled out, as the set-up dialog meets it; only the kernel's lists and OpenCV are
stand-ins."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from qasync import QEventLoop

from app.engine.devices import EngineDevices
from app.media import camera, device_watch, devices, opencv
from app.media.pulse import PulseClient
from tests.ui.recorder import Recorder
from ui.context import Context
from ui.dialogs.devices import DeviceDialog
from ui.main_window import MainWindow

LONG_MS = 15_000


class Port:
    """A USB port, as the kernel shows it; what is plugged in gives grey pictures."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._node = folder / "video4linux" / "video0"
        self._node.parent.mkdir()
        monkeypatch.setattr(devices, "_V4L_CLASS", self._node.parent)
        monkeypatch.setattr(devices, "_DEV", folder)
        monkeypatch.setattr(device_watch, "_KERNEL_LISTS", (folder / "cards", self._node.parent))
        monkeypatch.setattr(device_watch, "LOOK_EVERY_S", 0.05)
        monkeypatch.setattr(PulseClient, "connected", classmethod(lambda cls: None))
        monkeypatch.setattr(camera, "RETRY_INTERVAL_S", 0.1)
        monkeypatch.setattr(opencv, "load", lambda: SimpleNamespace(VideoCapture=self._open, CAP_V4L2=200, **_PROPS))
        self._file = folder / "video0"

    def plug(self, name: str) -> None:
        self._file.touch()
        made = self._file.parent / "made"
        made.mkdir()
        (made / "name").write_text(f"{name}\n")
        (made / "index").write_text("0\n")
        made.rename(self._node)  # whole at once: who looks never sees half of it

    def pull(self) -> None:
        self._file.unlink()
        shutil.rmtree(self._node.rename(self._file.parent / "pulled"))

    def _open(self, source: object, back_end: int) -> Any:
        def read() -> tuple[bool, np.ndarray | None]:
            return (True, np.full((240, 320, 3), 90, np.uint8)) if self._node.exists() else (False, None)

        return SimpleNamespace(
            isOpened=self._node.exists, read=read, set=lambda *fact: True, get=lambda fact: 30.0, release=lambda: None
        )


_PROPS = {
    "CAP_PROP_FOURCC": 6,
    "CAP_PROP_FRAME_WIDTH": 3,
    "CAP_PROP_FRAME_HEIGHT": 4,
    "CAP_PROP_FPS": 5,
    "CAP_PROP_BUFFERSIZE": 38,
    "VideoWriter": SimpleNamespace(fourcc=lambda *letters: 0),
}


def test_a_camera_comes_and_goes_while_the_dialog_is_open(
    context: Context,
    window: MainWindow,
    engine: Recorder,
    qt_loop: QEventLoop,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = Port(tmp_path, monkeypatch)
    real = EngineDevices(context.bridge.publish)
    real.trial_picture = lambda: real.picture  # type: ignore[attr-defined]
    engine.devices = real  # type: ignore[assignment]
    real.watch()
    window.open_devices()
    dialog = window.findChild(DeviceDialog, "deviceDialog")
    assert isinstance(dialog, DeviceDialog)
    note, view = dialog.camera_note, dialog.picture
    QApplication.processEvents()
    dialog.page.ensureWidgetVisible(view)  # what nobody sees takes no pictures
    try:
        qtbot.waitUntil(lambda: note.text() == "No camera was found: others see a test picture.", timeout=LONG_MS)
        qtbot.waitUntil(lambda: view.picture is not None and view.picture.is_lettered, timeout=LONG_MS)
        port.plug("Desk camera")
        qtbot.waitUntil(lambda: dialog.camera.itemText(0) == "Follow the system (Desk camera)", timeout=LONG_MS)
        assert dialog.camera.findData("Desk camera") == 1
        qtbot.waitUntil(lambda: view.picture is not None and not view.picture.is_lettered, timeout=LONG_MS)
        qtbot.waitUntil(lambda: not note.isVisible(), timeout=LONG_MS)
        port.pull()
        qtbot.waitUntil(lambda: dialog.camera.count() == 1, timeout=LONG_MS)
        qtbot.waitUntil(lambda: view.picture is not None and view.picture.is_lettered, timeout=LONG_MS)
        qtbot.waitUntil(lambda: "others see a test picture" in note.text(), timeout=LONG_MS)
    finally:
        dialog.close()
        closing = qt_loop.create_task(real.close())
        qtbot.waitUntil(closing.done, timeout=LONG_MS)
