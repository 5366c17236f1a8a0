"""Diagnostics, second tab: how the call sounds and looks, as curves of the last minute and figures."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.events import CallFigures, Milestones
from ui import facts, words
from ui.models.calls import CallRecord
from ui.quality import Sample
from ui.theme.manager import Theme
from ui.widgets.basics import label, section
from ui.widgets.curve import Curve
from ui.widgets.story import StoryCard

_FIGURES = (
    ("Sound", ("Codec", "Packets sent", "Packets received", "Lost", "Concealed", "Buffer delay", "Level heard")),
    ("Picture", ("Codec", "Size", "Frames decoded", "Freezes", "Key frames asked for", "Lost")),
    ("Security", ("Media", "Cipher", "Signalling", "Your fingerprint", "Their fingerprint")),
    ("Set-up", ("INVITE sent", "Ringing", "Answered", "First sound", "First picture")),
)


class QualityTab(QScrollArea):
    """Shows one call's figures; `show_call` is called again for each change."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("qualityTab")
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = QWidget()
        self.setWidget(inner)
        box = QVBoxLayout(inner)
        box.setContentsMargins(16, 14, 16, 16)
        box.setSpacing(8)
        self.story = StoryCard(theme, "qualityStory")
        box.addWidget(self.story)
        self.curves = {
            "rtt_ms": Curve(theme, "curveRoundTrip", "Round trip", lambda v: words.number(v, "ms"), 20),
            "loss_percent": Curve(theme, "curveLoss", "Loss", lambda v: words.number(v, "%", 1), 2),
            "jitter_ms": Curve(theme, "curveJitter", "Jitter", lambda v: words.number(v, "ms", 1), 5),
            "out_bps": Curve(theme, "curveSent", "Sent", words.rate, 1e5),
            "video_in_bps": Curve(theme, "curveReceived", "Picture received", words.rate, 1e5),
            "fps_in": Curve(theme, "curveFrames", "Pictures a second", lambda v: words.number(v, ""), 15),
        }
        grid = QGridLayout()
        grid.setSpacing(8)
        for number, curve in enumerate(self.curves.values()):
            grid.addWidget(curve, number // 2, number % 2)
        box.addSpacing(4)
        box.addLayout(grid)
        self.cells: dict[tuple[str, str], QLabel] = {}
        for title, names in _FIGURES:
            self._add_figures(box, title, names)
        box.addStretch(1)

    def show_call(self, record: CallRecord | None) -> None:
        figures = record.figures if record else None
        samples = record.series.samples if record else []
        self.story.show_fact(facts.how_it_sounds(figures, record.series.loss_percent() if record else None))
        for field, curve in self.curves.items():
            curve.show_points([(sample.at, _value(sample, field)) for sample in samples])
        for group, values in _tables(figures).items():
            names = next(names for title, names in _FIGURES if title == group)
            for name, text in zip(names, values, strict=True):
                cell = self.cells[group, name]
                if cell.text() != text:
                    cell.setText(text)

    def as_text(self) -> str:
        lines = [self.story.title.text()]
        for (group, name), cell in self.cells.items():
            lines.append(f"{group} · {name}: {cell.text()}")
        return "\n".join(lines)

    def _add_figures(self, box: QVBoxLayout, title: str, names: tuple[str, ...]) -> None:
        box.addSpacing(6)
        box.addWidget(section(title))
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        grid.setColumnMinimumWidth(0, 150)
        for number, name in enumerate(names):
            grid.addWidget(label(name, "small"), number, 0, Qt.AlignmentFlag.AlignTop)
            cell = label("–", "value", f"figure-{title}-{name}".replace(" ", ""), wrap=True, selectable=True)
            grid.addWidget(cell, number, 1)
            self.cells[title, name] = cell
        box.addLayout(grid)


def _value(sample: Sample, field: str) -> float | None:
    value: float | None = getattr(sample, field)
    return value


def _tables(figures: CallFigures | None) -> dict[str, tuple[str, ...]]:
    """Put every figure into words, in the order of its table."""
    audio = figures.audio if figures else None
    video = figures.video if figures else None
    security = figures.security if figures else None
    nothing = "–"
    sound = (
        (
            audio.codec or nothing,
            str(audio.packets_sent),
            str(audio.packets_received),
            str(audio.lost),
            words.number(audio.concealed_ms, "ms"),
            words.number(audio.delay_ms, "ms"),
            words.number(audio.level_dbfs, "dBFS", 1),
        )
        if audio
        else (nothing,) * 7
    )
    size = f"{video.width} × {video.height}" if video and video.width and video.height else nothing
    picture = (
        (
            video.codec or nothing,
            size,
            str(video.frames_decoded),
            str(video.freezes),
            str(video.key_frames_asked),
            str(video.lost),
        )
        if video
        else (nothing,) * 6
    )
    keys = (
        (
            security.media or nothing,
            security.cipher or nothing,
            {"tls": "protected (TLS)"}.get(security.signalling, "not protected"),
            _wrapped(security.fingerprint_local),
            _wrapped(security.fingerprint_remote),
        )
        if security
        else (nothing,) * 5
    )
    return {"Sound": sound, "Picture": picture, "Security": keys, "Set-up": _milestones(figures)}


def _milestones(figures: CallFigures | None) -> tuple[str, ...]:
    """Give the times from the INVITE on, or from the first thing known where this side did not send it."""
    marks = figures.milestones if figures else Milestones()
    times = (marks.invite_sent, marks.ringing, marks.answered, marks.first_audio, marks.first_video)
    known = [at for at in times if at is not None]
    start = min(known) if known else 0.0
    return tuple("–" if at is None else f"{(at - start) * 1000:.0f} ms" for at in times)


def _wrapped(fingerprint: str | None) -> str:
    """Let a long fingerprint break into lines."""
    return "–" if not fingerprint else fingerprint.replace(":", ":\u200b")
