"""From the start of a command to its INVITE on the wire, from the start of the window to the window, and its rest.

The base of the first is an interpreter that only loads the libraries a call stands on (av, numpy, aiortc): whatever the
machine and its other work, a phone in Python that loads all of them first cannot be quicker. Below 1 the INVITE leaves
while they are still being loaded. The base of the window is an interpreter that shows an empty one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.programs import cpus, invite_start, python_start, walls, window_start
from tests.bench.table import Table

pytestmark = pytest.mark.short

LIBRARIES = "import av, numpy, aiortc"
EMPTY_WINDOW = """
from PySide6.QtWidgets import QApplication, QWidget
app = QApplication([])
window = QWidget()
window.show()
app.processEvents()
"""


def test_start_to_invite(table: Table, is_long: bool, tmp_path: Path) -> None:
    rounds = 9 if is_long else 2
    profile = tmp_path / "profile"
    invite_start(profile), python_start(LIBRARIES)
    ours, libraries, bare = [], [], []
    for _ in range(rounds):
        ours.append(invite_start(profile))
        libraries.append(python_start(LIBRARIES))
        bare.append(python_start(""))
    section = "From the start of the command to its INVITE on the wire"
    base = "loading av, numpy, aiortc"
    table.add(section, "parley call: seconds", "s", walls(ours), base=(base, walls(libraries)))
    table.add(section, "parley call: seconds", "s", walls(ours), base=("bare interpreter", walls(bare)))
    table.add(section, "parley call: processor time", "s", cpus(ours), base=(base, cpus(libraries)))


def test_start_to_window_and_its_rest(table: Table, is_long: bool, tmp_path: Path) -> None:
    rounds = 7 if is_long else 1
    profile, log = tmp_path / "profile", tmp_path / "log.txt"
    window_start(profile, log), python_start(EMPTY_WINDOW)
    shown, empty = [], []
    for _ in range(rounds):
        shown.append(window_start(profile, log)[0])
        empty.append(python_start(EMPTY_WINDOW).wall_s)
    table.add("The window", "start to window shown", "s", shown, base=("an empty window", empty))
    _, idle = window_start(profile, log, settle_s=6.0 if is_long else 3.0, idle_s=20.0 if is_long else 2.0)
    table.add("The window", "processor at rest", "% of a core", [idle * 100])
