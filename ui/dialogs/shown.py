"""How the window's dialogs are shown: beside the window, one of each kind at a time."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget


def show_one(dialog: QWidget) -> None:
    """Show a dialog in place of another of its name that its parent has open."""
    parent = dialog.parentWidget()
    if parent is not None:
        name, direct = dialog.objectName(), Qt.FindChildOption.FindDirectChildrenOnly
        for same in parent.findChildren(QWidget, name, direct):
            if same is not dialog:
                same.close()
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.show()
    dialog.raise_()
    dialog.activateWindow()
