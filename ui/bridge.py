"""From the engine's thread to the window: events by one queued signal, pictures by a wake-up.

`publish` may be called from any thread. Events are put in a queue and the window is woken once, however many come
before it gets there; they are then handed out in order, each through the signal of its type.
"""

from __future__ import annotations

import threading
from collections import deque

from PySide6.QtCore import QObject, Qt, Signal

from app import events
from app.frames import FrameMailbox


class EngineBridge(QObject):
    """Receives what the engine publishes and emits it again in the window's thread."""

    started = Signal(object)
    registration = Signal(object)
    home = Signal(object)
    call = Signal(object)
    figures = Signal(object)
    sip = Signal(object)
    people = Signal(object)
    history = Signal(object)
    devices = Signal(object)
    trial = Signal(object)
    settings = Signal(object)
    kept = Signal(object)
    digit = Signal(object)
    problem = Signal(object)
    missions = Signal(object)
    channel = Signal(object)
    roster = Signal(object)
    text = Signal(object)
    burst = Signal(object)
    playback = Signal(object)
    _wake = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lock = threading.Lock()
        self._waiting: deque[events.Event] = deque()
        self._closed = False
        self._routes = {
            events.EngineStarted: self.started,
            events.RegistrationChanged: self.registration,
            events.HomeChanged: self.home,
            events.CallChanged: self.call,
            events.FiguresChanged: self.figures,
            events.SipSeen: self.sip,
            events.PeopleChanged: self.people,
            events.HistoryChanged: self.history,
            events.DevicesChanged: self.devices,
            events.TrialChanged: self.trial,
            events.SettingsChanged: self.settings,
            events.FileKept: self.kept,
            events.DigitReceived: self.digit,
            events.Problem: self.problem,
            events.MissionsChanged: self.missions,
            events.ChannelChanged: self.channel,
            events.RosterChanged: self.roster,
            events.TextSeen: self.text,
            events.BurstKept: self.burst,
            events.PlaybackChanged: self.playback,
        }
        self._wake.connect(self._hand_out, Qt.ConnectionType.QueuedConnection)

    def publish(self, event: events.Event) -> None:
        """Take one event from any thread; never blocks on the window."""
        with self._lock:
            if self._closed:
                return
            first = not self._waiting
            self._waiting.append(event)
            if first:
                self._wake.emit()

    @property
    def waiting(self) -> int:
        """How many events have not been handed out yet."""
        with self._lock:
            return len(self._waiting)

    def close(self) -> None:
        """Take no more events; what still waits is dropped."""
        with self._lock:
            self._closed = True
            self._waiting.clear()

    def _hand_out(self) -> None:
        with self._lock:
            batch = list(self._waiting)
            self._waiting.clear()
        for event in batch:
            self._routes[type(event)].emit(event)


class FrameWaker(QObject):
    """Turns "a picture is in the mailbox", said on a worker thread, into a signal in the window's thread."""

    ready = Signal()
    _arrived = Signal()

    def __init__(self, mailbox: FrameMailbox, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.mailbox = mailbox
        self._lock = threading.Lock()
        self._closed = False
        self._arrived.connect(self.ready, Qt.ConnectionType.QueuedConnection)
        mailbox.listen(self._tell)

    def close(self) -> None:
        """Stop listening. When this returns no worker is in here any more, so the object may be deleted."""
        self.mailbox.listen(None)
        with self._lock:
            self._closed = True

    def _tell(self) -> None:
        with self._lock:
            if not self._closed:
                self._arrived.emit()
