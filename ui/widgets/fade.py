"""Fading a widget in and out; the effect is taken off when it is done, since it makes every paint dearer."""

from __future__ import annotations

from PySide6.QtCore import QEasingCurve, QObject, QVariantAnimation
from PySide6.QtWidgets import QGraphicsOpacityEffect, QWidget

_FADE_MS = 180


class Fader(QObject):
    """Shows and hides one widget softly."""

    def __init__(self, target: QWidget) -> None:
        super().__init__(target)
        self._target = target
        self._effect: QGraphicsOpacityEffect | None = None
        self._shown = True
        self._animation = QVariantAnimation(self)
        self._animation.setDuration(_FADE_MS)
        self._animation.setEasingCurve(QEasingCurve.Type.OutCubic)
        self._animation.valueChanged.connect(self._step)
        self._animation.finished.connect(self._finished)

    @property
    def shown(self) -> bool:
        return self._shown

    def show(self) -> None:
        if not self._shown:
            self._go(True)

    def hide(self) -> None:
        if self._shown:
            self._go(False)

    def _go(self, shown: bool) -> None:
        self._shown = shown
        if self._effect is None:
            self._effect = QGraphicsOpacityEffect(self._target)
            self._effect.setOpacity(0.0 if shown else 1.0)
            self._target.setGraphicsEffect(self._effect)
        self._animation.stop()
        self._animation.setStartValue(self._effect.opacity())
        self._animation.setEndValue(1.0 if shown else 0.0)
        self._animation.start()

    def _step(self, value: float) -> None:
        if self._effect is not None:
            self._effect.setOpacity(value)

    def _finished(self) -> None:
        if self._shown:
            self._effect = None
            self._target.setGraphicsEffect(None)
