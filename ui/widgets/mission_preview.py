"""What is in a mission, to be read before it is opened: its channels, where they go, and what is odd."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.engine.missions import ChannelView, MissionView
from ui.mission_words import mission_line, sound_words, way_words
from ui.theme.icons import pixmap
from ui.theme.manager import Theme
from ui.widgets.basics import label, section

_MOST_HEIGHT = 380
_MOST_NOTICES = 40


class MissionPreview(QScrollArea):
    """Shows one mission at a time; keys never."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("missionPreview")
        self.setAccessibleName("What is in the mission")
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._theme = theme
        self._shown: tuple[MissionView, str, str] | None = None
        theme.changed.connect(self._draw)

    def show_mission(self, view: MissionView, note: str, problem: str) -> None:
        """Show a mission; `note`: what opening it changes; `problem`: why it cannot be opened."""
        self._shown = (view, note, problem)
        self._draw()

    @property
    def words(self) -> str:
        """All that is shown, as text."""
        inside = self.widget()
        return "\n".join(each.text() for each in inside.findChildren(QLabel) if each.text()) if inside else ""

    def sizeHint(self) -> QSize:
        """As high as what is shown, up to a limit."""
        inside = self.widget()
        if inside is None:
            return QSize(400, 80)
        width = max(self.width(), 360) - 12
        high = inside.heightForWidth(width) if inside.hasHeightForWidth() else inside.sizeHint().height()
        return QSize(400, min(_MOST_HEIGHT, high + 4))

    # --------------------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        if self._shown is None:
            return
        view, note, problem = self._shown
        inside = QWidget()
        box = QVBoxLayout(inside)
        box.setContentsMargins(0, 0, 10, 4)
        box.setSpacing(6)
        box.addWidget(label(view.name, "heading", "missionName", wrap=True, selectable=True))
        if view.description:
            box.addWidget(label(view.description, wrap=True, selectable=True))
        line = mission_line(view) + (" · opened and edited with a PIN" if view.has_pin else "")
        box.addWidget(label(line, "muted", "missionLine", wrap=True))
        if problem:
            box.addWidget(_card(problem, "badCard", "missionProblem"))
        elif note:
            box.addWidget(_card(note, "warnCard", "missionNote"))
        box.addSpacing(4)
        box.addWidget(section("Channels"))
        if view.channels:
            box.addLayout(self._channels(view.channels))
        else:
            box.addWidget(label("There is none.", "muted"))
        if view.notices:
            box.addSpacing(4)
            box.addWidget(section("Worth knowing"))
            for sentence in view.notices[:_MOST_NOTICES]:
                box.addWidget(label(f"• {sentence}", "muted", "missionNotice", wrap=True))
            if len(view.notices) > _MOST_NOTICES:
                box.addWidget(label(f"… and {len(view.notices) - _MOST_NOTICES} more", "muted"))
        box.addStretch(1)
        self.setWidget(inside)
        self.updateGeometry()

    def _channels(self, channels: tuple[ChannelView, ...]) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(10)
        grid.setColumnStretch(1, 1)
        for number, channel in enumerate(channels):
            locked = "encrypted" if channel.encrypted else "clear"
            sign = QLabel()
            colour = self._theme.tokens.good if channel.encrypted else self._theme.tokens.warn
            sign.setPixmap(pixmap("lock" if channel.encrypted else "lock-open", colour, 18, self.devicePixelRatioF()))
            sign.setAccessibleName(locked)
            words = QFrame()
            lines = QVBoxLayout(words)
            lines.setContentsMargins(0, 0, 0, 0)
            lines.setSpacing(1)
            lines.addWidget(label(channel.name, "value", "missionChannel", wrap=True))
            said = f"{locked} · {sound_words(channel)} · {way_words(channel)}"
            lines.addWidget(label(said, "muted", wrap=True))
            if channel.description:
                lines.addWidget(label(channel.description, "muted", wrap=True))
            grid.addWidget(sign, number, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(words, number, 1)
        return grid


def _card(sentence: str, look: str, name: str) -> QFrame:
    card = QFrame()
    card.setProperty("look", look)
    box = QVBoxLayout(card)
    box.setContentsMargins(12, 8, 12, 8)
    box.addWidget(label(sentence, "value", name, wrap=True, selectable=True))
    return card
