"""The program as it is started: what it loads before the window stands, one per profile, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer, QUrl
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from qasync import QEventLoop

from app.engine import missions
from app.mission_links import link_of
from app.settings import Settings
from ui.application import Application, Session, has_display
from ui.dialogs.mission_open import OpenMissionDialog
from ui.single_instance import SingleInstance
from ui.tasks import UNEXPECTED

ROOT = Path(__file__).parents[2]
LONG_MS = 20_000
HARBOUR = missions.make(
    missions.MissionWishes("Harbour", (missions.ChannelWish("Alpha"),)), datetime(2026, 11, 22, tzinfo=UTC)
)

_START = """
import sys
from ui.application import make_application
from ui.bridge import EngineBridge
from ui.context import Context
from ui.main_window import MainWindow
from ui.theme.manager import Theme
app = make_application()
window = MainWindow(Context(Theme(app), EngineBridge()))
window.show()
app.processEvents()
heavy = {"numpy", "av", "cv2", "aiortc", "cryptography", "sounddevice", "zeroconf"}
later = {"ui.panels.diagnostics", "ui.panels.settings", "ui.dialogs.account"}
print(sorted((heavy | later) & set(sys.modules)))
"""


def test_the_window_stands_before_anything_heavy_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _START], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


def test_without_a_display_it_says_so_in_one_line() -> None:
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    bare = {key: value for key, value in os.environ.items() if key not in hidden}
    code = "import sys; from ui.application import run; sys.exit(run())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=bare, capture_output=True, text=True, timeout=30)
    if sys.platform.startswith("linux"):
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "no display" in done.stderr
    assert has_display()


@pytest.mark.skipif(sys.platform == "win32", reason="a polite kill is a signal")
def test_a_polite_kill_ends_the_program_cleanly_and_a_second_start_hands_over(profile_dir: Path, qtbot: QtBot) -> None:
    log = profile_dir.parent / "log.txt"
    command = [sys.executable, "-m", "app", "--profile", str(profile_dir), "--log-level", "info", "--log-to", str(log)]

    def logged(text: str) -> bool:
        return log.exists() and text in log.read_text()

    with subprocess.Popen(command, cwd=ROOT) as first:
        try:
            qtbot.waitUntil(lambda: logged("home serves"), timeout=LONG_MS)
            link = [*command[:3], "window", "--profile", str(profile_dir), "sip:nobody@127.0.0.1:9"]
            assert subprocess.run(link, cwd=ROOT, timeout=30).returncode == 0
            qtbot.waitUntil(lambda: logged("-> ended"), timeout=LONG_MS)  # nobody listens there
            first.send_signal(signal.SIGTERM)
            assert first.wait(20) == 0
            assert not logged("Traceback")
        finally:
            first.kill()


_LOADING = """
import threading
from app.__main__ import program
from ui.application import Session

def load_for_ever(session):
    print("loading", flush=True)
    threading.Event().wait()

Session._make_engine = load_for_ever
program()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a polite kill is a signal")
def test_a_polite_kill_does_not_wait_for_what_is_still_being_loaded(profile_dir: Path) -> None:
    command = [sys.executable, "-c", _LOADING, "--profile", str(profile_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as loading:
        try:
            assert loading.stdout is not None
            assert loading.stdout.readline() == "loading\n"
            loading.send_signal(signal.SIGTERM)
            assert loading.communicate(timeout=20) == ("", "")
            assert loading.returncode == 0
        finally:
            loading.kill()


def alone(settings: Settings) -> Settings:
    """Loopback only, on a port that nobody else wants, announced to nobody."""
    network = replace(settings.network, interfaces=("127.0.0.1",), sip_port=0, find_neighbours=False)
    return replace(settings, network=network)


@pytest.fixture
def session(qapp: Application, qt_loop: QEventLoop, profile_dir: Path, qtbot: QtBot) -> Iterator[Session]:
    made = Session(qapp, SingleInstance(profile_dir), profile_dir, alone, {})
    running = qt_loop.create_task(made.run(None, None))
    qtbot.waitUntil(lambda: made.context.registration is not None, timeout=LONG_MS)
    yield made
    made.end()
    qtbot.waitUntil(running.done, timeout=LONG_MS)
    running.result()


@pytest.mark.logs_error("unexpected failure in the window")
def test_what_nobody_foresaw_is_one_sentence_and_the_window_goes_on(session: Session, qtbot: QtBot) -> None:
    before = sys.excepthook

    def slot() -> None:
        raise ZeroDivisionError

    QTimer.singleShot(0, slot)
    qtbot.waitUntil(lambda: session.window.toasts.sentences == [UNEXPECTED])
    asyncio.get_running_loop().call_exception_handler({"message": "x", "exception": ZeroDivisionError()})
    assert session.window.toasts.sentences == [UNEXPECTED]
    assert session.window.isVisible()
    assert sys.excepthook is before


def test_a_file_that_the_system_hands_over_is_shown_even_before_the_engine_is_there(
    qapp: Application, qt_loop: QEventLoop, profile_dir: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    file = tmp_path / "harbour.ice"
    file.write_text(missions.pack(HARBOUR))
    session = Session(qapp, SingleInstance(profile_dir), profile_dir, alone, {})
    running = qt_loop.create_task(session.run(None, None))
    QApplication.sendEvent(qapp, QFileOpenEvent(str(file)))
    qtbot.waitUntil(lambda: bool(dialogs(session)), timeout=LONG_MS)
    (shown,) = dialogs(session)
    qtbot.waitUntil(lambda: "Harbour" in shown.preview.words, timeout=LONG_MS)
    session.end()
    qtbot.waitUntil(running.done, timeout=LONG_MS)
    running.result()


def dialogs(session: Session) -> list[OpenMissionDialog]:
    return session.window.findChildren(OpenMissionDialog)


def test_a_link_that_the_system_hands_over_is_told_by_what_it_is(qapp: Application) -> None:
    asked: list[str] = []
    opening: list[str] = []
    qapp.asked.connect(asked.append)
    qapp.opening.connect(opening.append)
    link = link_of("any text")
    for url in ("sip:ada@example.org", link, "file:///tmp/picture%20one.png"):
        QApplication.sendEvent(qapp, QFileOpenEvent(QUrl(url)))
    assert asked == ["sip:ada@example.org"]
    assert opening == [link, "/tmp/picture one.png"]
    qapp.asked.disconnect(asked.append)
    qapp.opening.disconnect(opening.append)


def test_closing_the_window_ends_the_program(session: Session, qtbot: QtBot) -> None:
    session.window.close()
    qtbot.waitUntil(session._ended.done)
