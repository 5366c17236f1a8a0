"""Calls whose only way is a relay that answers late: they begin at once, and the relay is told by INFO (RFC 8840)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lab import parley
from tests.lab.network import Lab
from tests.lab.parley import Outcome, Parley
from tests.lab.wire import Wire

ONE_WAY_S = 0.35  # to the TURN server: two exchanges are needed for a relay
AT_ONCE_S = 0.35
QUIET = ("--audio-to", "null", "--video-from", "none")


class Town:
    """Ada at a and Bob at b, who reach each other only through the TURN server at t; home, for SIP, is near at s."""

    def __init__(self, lab: Lab, folder: Path, stack: ExitStack) -> None:
        self._lab, self._folder, self._stack = lab, folder, stack
        self.target = f"sip:bob@{lab['s'].in_uri}"
        self.start = stack.enter_context
        self.start(parley.home(lab["s"], folder / "home"))
        self.start(parley.home(lab["t"], folder / "far"))
        lab.block("a", "b")

    def flags(self, user: str, *more: str) -> tuple[str, ...]:
        turn = f"turn:{self._lab['t'].in_uri}:3478"
        relay = ("--turn", turn, "--turn-user", user, "--turn-password-from", "env:TURN_PASSWORD")
        return (*relay, *QUIET, "--audio-from", "tone:440", *more)

    def listen(self, *more: str, calls: int = 1) -> Parley:
        flags = self.flags("bob", "--calls", str(calls), *more)
        return self.start(
            parley.listen(self._lab["b"], self._folder / "bob", "bob", self._lab["s"], *flags, turn=False)
        )

    def call(self, name: str, *more: str) -> Outcome:
        flags = self.flags("ada", "--for", "1", *more)
        where = self._folder / name
        with parley.call(self._lab["a"], where, "ada", self._lab["s"], self.target, *flags, turn=False) as caller:
            return caller.finish(limit_s=60)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with Lab(("a", "b", "s", "t"), wires={"t": Wire(delay_s=ONE_WAY_S)}) as lab, ExitStack() as stack:
        yield Town(lab, tmp_path, stack)


def waited_s(outcome: Outcome) -> float:
    """From the wish to call to the INVITE."""
    return float(outcome.report["milestones"]["invite_sent"]) - float(outcome.report["states"][0]["at"])


def test_a_call_begins_before_its_only_relay_is_known(town: Town) -> None:
    callee = town.listen()
    outcome = town.call("ada", "--trickle", "always")
    assert outcome.code == 0, outcome
    assert outcome.report["audio"]["packets_received"] > 10
    print(f"INVITE after {waited_s(outcome):.3f} s; gathered in {outcome.report['ice']['gathered_in']:.3f} s")
    assert waited_s(outcome) < AT_ONCE_S
    assert outcome.report["ice"]["gathered_in"] > 2 * ONE_WAY_S
    assert "relay" in {end["type"] for end in outcome.selected()}
    ladder = outcome.report["sip"]
    rang = next(at for at, message in enumerate(ladder) if " 180 " in message["line"])
    for direction in ("out", "in"):
        assert any(m["direction"] == direction and m["line"].startswith("INFO") for m in ladder[:rang])
    assert callee.finish().code == 0


def test_whose_phone_takes_it_is_remembered_from_one_command_to_the_next(town: Town) -> None:
    town.listen(calls=2)
    first, second = town.call("ada"), town.call("ada")  # with one profile
    assert (first.code, second.code) == (0, 0)
    print(f"INVITE after {waited_s(first):.3f} s, then {waited_s(second):.3f} s")
    assert waited_s(first) > 2 * ONE_WAY_S  # half trickle toward a stranger
    assert waited_s(second) < AT_ONCE_S
