"""What every test stands on: a profile of its own, no real keyring, no display, and errors that cannot hide."""

from __future__ import annotations

import logging
import os
import re
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Before anything imports Qt or keyring, and inherited by every program a test starts: windows are drawn off the
# screen unless the caller chose a platform, and the keyring of whoever runs the tests is never touched.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"

# The same examples at each run of `make test`: it judges a change, and must not fail over an old defect that chance
# found just now. Looking for those is what `make fuzz` is for; what it finds becomes an @example.
hypothesis.settings.register_profile("default", max_examples=50, deadline=None, derandomize=True)
hypothesis.settings.register_profile("short", max_examples=100, deadline=None, derandomize=True)
hypothesis.settings.register_profile("long", max_examples=20_000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# A logged ERROR is a defect and fails the test it came in. What is logged by others and no defect of ours stands
# here as (logger, pattern), each with its reason.
ALLOWED_ERRORS: tuple[tuple[str, re.Pattern[str]], ...] = ()


class _ErrorCollector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def _is_allowed(record: logging.LogRecord, expected: list[str]) -> bool:
    text = record.getMessage()
    return any(record.name == name and pattern.search(text) for name, pattern in ALLOWED_ERRORS) or any(
        re.search(pattern, text) for pattern in expected
    )


@pytest.fixture(autouse=True)
def no_logged_errors(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test when the program logged an ERROR that neither the list above nor a `logs_error` mark expects."""
    expected = [mark.args[0] for mark in request.node.iter_markers("logs_error")]
    collector = _ErrorCollector()
    root = logging.getLogger()
    root.addHandler(collector)
    try:
        yield
    finally:
        root.removeHandler(collector)
    unexpected = [record for record in collector.records if not _is_allowed(record, expected)]
    if unexpected:
        formatter = logging.Formatter("%(name)s: %(message)s")
        pytest.fail("logged as ERROR:\n" + "\n".join(formatter.format(record) for record in unexpected), pytrace=False)


@pytest.fixture
def profile_dir(tmp_path: Path) -> Path:
    """An empty folder for one run's profile, as `--profile` would name it."""
    path = tmp_path / "profile"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(scope="session")
def qapp_cls() -> type[object]:
    """The class of the one application object that all tests of this process share: the program's own."""
    from ui.application import Application

    return Application


@pytest.fixture
def authorities_read_in(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads in which the system's authorities were read."""
    found: list[threading.Thread] = []
    make = ssl.create_default_context

    def note() -> ssl.SSLContext:
        found.append(threading.current_thread())
        return make()

    monkeypatch.setattr(ssl, "create_default_context", note)
    return found
