"""Icons drawn from the SVG files in resources/icons, in any colour.

Each file is drawn with `currentColor`; the colour is put in before rendering, so one file serves both themes.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer


@lru_cache(maxsize=128)
def _source(name: str) -> str:
    return resources.files("resources").joinpath("icons", f"{name}.svg").read_text(encoding="utf-8")


@lru_cache(maxsize=512)
def pixmap(name: str, colour: str, size: int, scale: float = 1.0) -> QPixmap:
    """Draw the icon `name` in `colour` at `size` logical pixels for a screen of the given scale."""
    side = round(size * scale)
    image = QPixmap(side, side)
    image.fill(Qt.GlobalColor.transparent)
    renderer = QSvgRenderer(QByteArray(_source(name).replace("currentColor", colour).encode()))
    painter = QPainter(image)
    renderer.render(painter, QRectF(0, 0, side, side))
    painter.end()
    image.setDevicePixelRatio(scale)
    return image


def icon(name: str, colour: str, size: int = 24, checked: str | None = None) -> QIcon:
    """Give the icon at single and double resolution; `checked` is the colour while its button is down."""
    result = QIcon()
    for scale in (1.0, 2.0):
        result.addPixmap(pixmap(name, colour, size, scale))
        if checked is not None:
            for mode in (QIcon.Mode.Normal, QIcon.Mode.Active, QIcon.Mode.Selected):
                result.addPixmap(pixmap(name, checked, size, scale), mode, QIcon.State.On)
    return result


def app_icon() -> QIcon:
    """Give the program's own icon in the sizes that desktops ask for."""
    result = QIcon()
    for size in (16, 24, 32, 48, 64, 128, 256):
        result.addPixmap(pixmap("parley", "#ffffff", size))
    return result
