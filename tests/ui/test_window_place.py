from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QRect
from pytestqt.qtbot import QtBot

from ui.context import Context
from ui.main_window import MainWindow
from ui.window_place import WindowPlace


def test_the_window_comes_back_where_it_was(context: Context, qtbot: QtBot, tmp_path: Path) -> None:
    first = MainWindow(context)
    qtbot.addWidget(first)
    WindowPlace(tmp_path).restore(first)  # the first time there is nothing
    first.show()
    first.setGeometry(QRect(40, 60, 700, 540))
    WindowPlace(tmp_path).keep(first)
    first.showFullScreen()
    WindowPlace(tmp_path).keep(first)
    first.close()
    second = MainWindow(context)
    qtbot.addWidget(second)
    WindowPlace(tmp_path).restore(second)
    assert second.geometry() == QRect(40, 60, 700, 540)
    assert not second.isFullScreen()
    (tmp_path / "window.ini").write_text("[General]\ngeometry=nonsense\n")
    third = MainWindow(context)
    qtbot.addWidget(third)
    WindowPlace(tmp_path).restore(third)
    assert third.size() == MainWindow(context).size()
