"""The bench's two forms and the table that both print; the long one keeps it in build/bench.json."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.table import Table

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "build" / "bench.json"

_table = Table()


@pytest.fixture(scope="session")
def table() -> Table:
    """Where every figure of this run goes."""
    return _table


@pytest.fixture(scope="session")
def is_long(pytestconfig: pytest.Config) -> bool:
    """Whether there is time for repetition: `-m short` asks only whether every row can be measured."""
    return pytestconfig.getoption("-m") != "short"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not _table.rows:
        return
    terminalreporter.write_line(_table.text())
    whole = any(Path(argument).resolve() == Path(__file__).parent for argument in config.invocation_params.args)
    if whole and not config.getoption("-m") and not config.getoption("-k"):
        _table.write(RESULT)
        terminalreporter.write_line(f"\nkept in {RESULT.relative_to(ROOT)}")
