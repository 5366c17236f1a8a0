"""One Parley per profile: a second start hands what it was given to the first and ends.

The two talk over a local socket that only this user may open: one line of JSON each way, with a version, so that a
newer program and an older one understand that they do not understand each other.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from app.mission_links import MOST_LINK

log = logging.getLogger(__name__)

VERSION = 1
OPENING_VERSION = 2  # of a request that brings a mission: an older Parley says that it does not understand it
_LONGEST_LINE = 1 << 18  # a link may hold a whole mission
_MOST_DIALLED = 512
_CONNECT_MS, _ANSWER_MS = 400, 3000


class SingleInstance(QObject):
    """`asked` carries the target to dial, "" when the window is only to come forward; `opening` a mission to open."""

    asked = Signal(str)
    opening = Signal(str)  # a file's whole path, or a link

    def __init__(self, profile: Path | None) -> None:
        super().__init__()
        self._name = server_name(profile)
        self._server: QLocalServer | None = None

    def hand_over(self, target: str | None, mission: str | None = None) -> bool | None:
        """Give the target or the mission to a running Parley.

        True when it took it, False when it did not answer or understand, None: none runs.
        """
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(_CONNECT_MS):
            return None
        request = {"version": VERSION, "dial": target or ""}
        if mission:
            request = {"version": OPENING_VERSION, "open": mission}
        line = json.dumps(request) + "\n"
        socket.write(line.encode())
        socket.flush()
        answered = socket.waitForReadyRead(_ANSWER_MS)
        answer = bytes(socket.readLine(_LONGEST_LINE).data()) if answered else b""
        socket.abort()
        try:
            return bool(json.loads(answer)["ok"])
        except (ValueError, KeyError, TypeError):
            return False

    def listen(self) -> None:
        """Take what later starts hand over; without the socket the program still runs."""
        server = QLocalServer(self)
        server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        if not server.listen(self._name):
            QLocalServer.removeServer(self._name)  # left by a program that was killed
            if not server.listen(self._name):
                log.warning("no socket for later starts: %s", server.errorString())
                return
        server.newConnection.connect(self._accept)
        self._server = server

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _accept(self) -> None:
        while self._server is not None and self._server.hasPendingConnections():
            socket = self._server.nextPendingConnection()
            socket.readyRead.connect(lambda socket=socket: self._read(socket))
            socket.disconnected.connect(socket.deleteLater)
            self._read(socket)

    def _read(self, socket: QLocalSocket) -> None:
        if not socket.canReadLine():
            if socket.bytesAvailable() > _LONGEST_LINE:
                socket.abort()
            return
        request = read_request(bytes(socket.readLine(_LONGEST_LINE).data()))
        answer = {"version": VERSION, "ok": request is not None}
        socket.write((json.dumps(answer) + "\n").encode())
        socket.flush()
        if request is None:
            return
        if request.mission:
            self.opening.emit(request.mission)
        else:
            self.asked.emit(request.target)


def server_name(profile: Path | None) -> str:
    """Give the socket's name: one for each user and profile."""
    place = str(profile.expanduser().resolve()) if profile is not None else ""
    user = os.environ.get("USERNAME", "") if os.name == "nt" else str(os.getuid())
    return "parley-" + hashlib.sha256(f"{user}\n{place}".encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class Request:
    """What a later start hands over: a target to dial, or a mission to open, or neither to come forward only."""

    target: str = ""
    mission: str = ""


def read_request(line: bytes) -> Request | None:
    """Read a request; None when it is not one of ours."""
    try:
        request = json.loads(line)
    except ValueError:
        return None
    if not isinstance(request, dict):
        return None
    if request.get("version") == OPENING_VERSION:
        mission = request.get("open")
        return Request(mission=mission) if isinstance(mission, str) and 0 < len(mission) <= MOST_LINK else None
    target = request.get("dial", "")
    if request.get("version") != VERSION or not isinstance(target, str):
        return None
    return Request(target=target.strip()[:_MOST_DIALLED])
