"""Where a mission comes from: a file, a picture, text, the web, from the clipboard, by drop, or as an argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QBuffer, QEvent, QIODevice, QMimeData, QObject, Qt
from PySide6.QtGui import QDropEvent, QImage, QPainter, QPixmap
from PySide6.QtWidgets import QWidget

from app.mission_links import is_link, is_web_address, names_mission, path_of

_MOST_SIDE = 2_400  # of a picture: more detail than a QR code has
_MOST_TEXT = 2 << 20  # characters; a mission file may have as many bytes


@dataclass(frozen=True, slots=True)
class MissionSource:
    """What to read a mission from: a file, what was in hand already, or `url`, where it has to be fetched from.

    `words` names it for a person.
    """

    words: str
    path: Path | None = None
    data: bytes | str = ""
    is_one_of_many: bool = False
    url: str = ""


def from_text(text: str) -> MissionSource:
    """What was typed or pasted."""
    text = text.strip()
    if is_web_address(text):
        return MissionSource("The web address", url=text)
    return MissionSource("The link" if is_link(text) else "The text", data=text)


def from_argument(argument: str) -> MissionSource:
    """What a start of the program, or a link that was clicked, names."""
    if is_link(argument):
        return from_text(argument)
    path = Path(path_of(argument))
    return MissionSource(path.name, path)


def from_mime(mime: QMimeData) -> MissionSource | None:
    """What was dropped or copied; None when there is no mission in it to look for."""
    files = [url.toLocalFile() for url in mime.urls() if url.isLocalFile()]
    if files:
        path = Path(files[0])
        return MissionSource(path.name, path, is_one_of_many=len(files) > 1)
    text = mime.text()[:_MOST_TEXT].strip() if mime.hasText() else ""
    if names_mission(text) or text.startswith("{"):
        return from_text(text)
    if mime.hasImage():
        picture = _picture(mime.imageData())
        if picture:
            return MissionSource("The picture", data=picture)
    return from_text(text) if text else None


class MissionDrops(QObject):
    """Lets files, pictures, text and links be dropped on a window; `found` is called with each."""

    def __init__(self, window: QWidget, found: Callable[[MissionSource], object]) -> None:
        super().__init__(window)
        self._found = found
        self.watch(window)

    def watch(self, widget: QWidget) -> None:
        """Take drops on this widget too: one that takes text by itself, such as a field, hides the window's own."""
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kinds = (QEvent.Type.DragEnter, QEvent.Type.DragMove, QEvent.Type.Drop)
        if event.type() not in kinds or not isinstance(event, QDropEvent):
            return False
        mime = event.mimeData()
        if not (mime.hasUrls() or mime.hasImage() or mime.hasText()):
            return False
        if event.type() is QEvent.Type.Drop:
            source = from_mime(mime)
            if source is None:
                return False
            self._found(source)
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        return True


def _picture(data: object) -> bytes:
    """A picture as a file in memory, grey on white and no larger than a QR code needs; empty when it is none."""
    image = data.toImage() if isinstance(data, QPixmap) else data
    if not isinstance(image, QImage) or image.isNull():
        return b""
    if max(image.width(), image.height()) > _MOST_SIDE:
        keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        image = image.scaled(_MOST_SIDE, _MOST_SIDE, keep, smooth)
    ground = QImage(image.size(), QImage.Format.Format_RGB32)
    ground.fill(Qt.GlobalColor.white)
    painter = QPainter(ground)
    painter.drawImage(0, 0, image)
    painter.end()
    written = QBuffer()
    written.open(QIODevice.OpenModeFlag.WriteOnly)
    ground.convertToFormat(QImage.Format.Format_Grayscale8).save(written, "BMP")
    return bytes(written.data().data())
