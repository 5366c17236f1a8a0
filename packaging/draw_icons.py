"""Draw the program's icon in the sizes desktops ask for: draw_icons.py ICON.svg HICOLOR_FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

SIZES = (16, 24, 32, 48, 64, 128, 256, 512)


def main() -> None:
    renderer = QSvgRenderer(sys.argv[1])
    if not renderer.isValid():
        raise SystemExit(f"draw_icons: {sys.argv[1]} is no SVG")
    for size in SIZES:
        image = QImage(size, size, QImage.Format.Format_ARGB32)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        renderer.render(painter)
        painter.end()
        target = Path(sys.argv[2], f"{size}x{size}", "apps", "parley.png")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not image.save(str(target)):
            raise SystemExit(f"draw_icons: {target} could not be written")


if __name__ == "__main__":
    main()
