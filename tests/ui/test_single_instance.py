from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.mission_links import MOST_LINK, link_of
from ui.single_instance import SingleInstance, read_request, server_name

_SECOND = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from app.mission_links import MOST_LINK, link_of
from ui.single_instance import SingleInstance
app = QCoreApplication([])
print(SingleInstance(Path(sys.argv[1])).hand_over(sys.argv[2] or None, sys.argv[3] or None))
"""


def hand_over(profile: Path, target: str, qtbot: QtBot, mission: str = "") -> str:
    """Hand over as a second program does."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", _SECOND, str(profile), target, mission]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as second:
        qtbot.waitUntil(lambda: second.poll() is not None, timeout=20_000)
        assert second.stdout is not None
        return second.stdout.read().strip()


def test_a_later_start_hands_its_link_to_the_first(qtbot: QtBot, tmp_path: Path) -> None:
    first = SingleInstance(tmp_path)
    asked: list[str] = []
    first.asked.connect(asked.append)
    first.listen()
    assert hand_over(tmp_path, "sip:ada@example.org", qtbot) == "True"
    assert hand_over(tmp_path, "", qtbot) == "True"
    assert asked == ["sip:ada@example.org", ""]
    link = link_of('"&' * 20_000)  # longer than any address
    opening: list[str] = []
    first.opening.connect(opening.append)
    assert hand_over(tmp_path, "", qtbot, link[:MOST_LINK]) == "True"
    assert opening == [link[:MOST_LINK]]
    first.close()


def test_without_a_first_there_is_nobody_to_hand_to(qtbot: QtBot, tmp_path: Path) -> None:
    assert hand_over(tmp_path, "sip:ada@example.org", qtbot) == "None"


def test_a_socket_left_behind_does_not_stop_the_next_start(qtbot: QtBot, tmp_path: Path) -> None:
    left = SingleInstance(tmp_path)
    left.listen()
    again = SingleInstance(tmp_path)
    again.listen()
    assert hand_over(tmp_path, "", qtbot) == "True"
    again.close()
    left.close()


def test_each_profile_has_its_own(tmp_path: Path) -> None:
    assert server_name(tmp_path / "a") != server_name(tmp_path / "b") != server_name(None)
    assert server_name(tmp_path / "a") == server_name(tmp_path / "b" / ".." / "a")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"[]",
        b"\xff\xfe",
        json.dumps({"version": 2, "dial": "sip:a@b"}).encode(),
        json.dumps({"version": 2, "open": "x" * (MOST_LINK + 1)}).encode(),
        json.dumps({"version": 3, "open": "relief.ice"}).encode(),
        json.dumps({"version": 1, "dial": 5}).encode(),
    ],
)
def test_what_is_not_a_request_is_refused(line: bytes) -> None:
    assert read_request(line) is None


def test_a_request_is_cut_to_a_sane_length() -> None:
    request = read_request(json.dumps({"version": 1, "dial": "x" * 5000}).encode())
    assert request is not None
    assert len(request.target) == 512
