"""Files that are written while calls go on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.engine import file_writer
from app.engine.file_writer import FileWriter


def test_what_was_written_is_there_in_order(tmp_path: Path) -> None:
    writer = FileWriter(tmp_path / "trace")
    for piece in (b"one ", b"two ", b"three"):
        writer.write(piece)
    writer.close()
    assert (tmp_path / "trace").read_bytes() == b"one two three"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a device that is always full")
@pytest.mark.timeout(20)
def test_a_full_disk_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_writer, "MAX_WAITING", 8)
    writer = FileWriter(Path("/dev/full"))
    for _ in range(50):
        writer.write(b"x" * 10_000)
        while not writer._queue.empty() and writer._thread.is_alive():
            pass
    writer.close()
    writer.close()
    assert not writer._thread.is_alive()
