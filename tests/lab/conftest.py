"""What the lab's tests share: a network for each test, and speech and a film made once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.heard import speak
from tests.lab import parley, table
from tests.lab.film import make_film
from tests.lab.network import Lab, missing
from tests.lab.village import QUIET, Village

LabMaker = Callable[..., Lab]


@pytest.fixture(autouse=True)
def _possible() -> None:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def make_lab() -> Iterator[LabMaker]:
    """Make networks that go away with the test."""
    with ExitStack() as stack:
        yield lambda *hosts, **how: stack.enter_context(Lab(*([hosts] if hosts else []), **how))


@pytest.fixture
def lab(make_lab: LabMaker) -> Lab:
    """Hosts a, b and s on one network, IPv4."""
    return make_lab()


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spoken sentence as a WAV file."""
    return speak(tmp_path_factory.mktemp("speech") / "speech.wav")


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of eight seconds with much movement, each picture numbered."""
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4", seconds=8.0)


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Village]:
    """Serves all tests of a module; at the end home and the listener must still be there and end well."""
    folder = tmp_path_factory.mktemp("village")
    with (
        Lab(["a", "b", "s", "x"]) as lab,
        parley.home(lab["s"], folder / "home") as home,
        parley.listen(lab["b"], folder / "bob", "bob", lab["s"], *QUIET) as bob,
    ):
        yield Village(lab, folder, home, bob)
        assert home.running
        assert bob.running
        bob.stop()
        bob.finish()
        home.stop()
        assert home.finish().code == 0


def wait_until(fits: Callable[[], bool], what: str, limit_s: float = 15.0) -> None:
    """Look again and again until something holds that tells nobody when it begins to."""
    deadline = time.monotonic() + limit_s
    while not fits():
        assert time.monotonic() < deadline, f"{what} did not come within {limit_s} s"
        time.sleep(0.05)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what the NAT lab found."""
    for text in table.all_lines(config.stash.get(table.KEPT, {})):
        terminalreporter.write_line(text)
