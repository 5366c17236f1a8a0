"""Remembers where the window was and how large, between one start and the next."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings
from PySide6.QtWidgets import QMainWindow

_KEY = "geometry"


class WindowPlace:
    """Kept beside the rest of the profile; of the person's own profile where Qt keeps such things."""

    def __init__(self, profile: Path | None) -> None:
        if profile is not None:
            self._kept = QSettings(str(profile.expanduser() / "window.ini"), QSettings.Format.IniFormat)
        else:
            scope = QSettings.Scope.UserScope
            self._kept = QSettings(QSettings.Format.IniFormat, scope, "parley", "window")

    def restore(self, window: QMainWindow) -> None:
        """Put the window where it was; Qt brings it back from a monitor that is gone. Harmless the first time."""
        kept = self._kept.value(_KEY)
        if isinstance(kept, QByteArray):
            window.restoreGeometry(kept)

    def keep(self, window: QMainWindow) -> None:
        """Remember the place; a full screen counts as the window it was before."""
        if not window.isFullScreen():
            self._kept.setValue(_KEY, window.saveGeometry())
            self._kept.sync()
