"""Whole calls between houses behind every pair of NATs, with coturn as TURN and with STUN alone.

What must happen follows from what the NATs are: a direct path whenever one exists, else a relay, else a caller who
reads soon that there is no path so far and why, and a call that fails with its cause when patience ends (RFC 8863).

All cases share one street with its servers, each has houses of its own. Calls that should connect run two at a time;
those that cannot take 40 s each and run side by side.
"""

from __future__ import annotations

import itertools
import queue
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Semaphore

import pytest

from tests.lab import table
from tests.lab.journey import CALLEE_HZ, CALLER_HZ, RELAY, Ends, Journey, Way, aioice_journey, travel
from tests.lab.nat import Kind, Street
from tests.lab.servers import LINES, Servers, servers
from tests.lab.village import is_for_people

pytestmark = pytest.mark.timeout(900)  # the first test waits for its turn among all that were begun with it

AT_ONCE = 2  # calls that want the machine
PATIENT = LINES - AT_ONCE  # calls that only wait
PATIENCE_S = 39.5
TOLD_WITHIN_S = 10.0
NO_UDP = frozenset({Kind.UDP_BLOCKED, Kind.TCP_443_ONLY})


@dataclass(frozen=True, slots=True)
class Case:
    """Who calls whom, and whether there is a relay."""

    caller: Kind
    callee: Kind
    turn: bool

    def __str__(self) -> str:
        return f"{self.caller}-{self.callee}-{'turn' if self.turn else 'stun'}"

    @property
    def expected(self) -> str:
        """What the kinds of NAT allow at best."""
        if self._direct_udp or self._direct_tcp:
            return "direct"
        return RELAY if self.turn else "no path"

    @property
    def _direct_udp(self) -> bool:
        """One side has to learn where the other's packets come from; two that change and filter by port cannot."""
        kinds = {self.caller, self.callee}
        strict = Kind.SYMMETRIC in kinds and kinds <= {Kind.SYMMETRIC, Kind.PORT_RESTRICTED}
        return not kinds & NO_UDP and not strict

    @property
    def _direct_tcp(self) -> bool:
        """No NAT here lets TCP in, so one side must stand in the open (RFC 6544), and any port be allowed."""
        return {self.caller, self.callee} == {Kind.NONE, Kind.UDP_BLOCKED}


CASES = [Case(caller, callee, turn) for turn in (True, False) for caller, callee in itertools.product(Kind, repeat=2)]
SHORT = {
    Case(Kind.PORT_RESTRICTED, Kind.PORT_RESTRICTED, True),
    Case(Kind.SYMMETRIC, Kind.SYMMETRIC, True),
    Case(Kind.TCP_443_ONLY, Kind.UDP_BLOCKED, True),
    Case(Kind.PORT_RESTRICTED, Kind.SYMMETRIC, True),
    Case(Kind.FULL_CONE, Kind.SYMMETRIC, False),
    Case(Kind.ADDRESS_RESTRICTED, Kind.SYMMETRIC, False),
    Case(Kind.UDP_BLOCKED, Kind.NONE, False),
    Case(Kind.SYMMETRIC, Kind.PORT_RESTRICTED, False),
}


@dataclass(frozen=True, slots=True)
class Result:
    """What Parley did, and what aioice did in the same houses."""

    journey: Journey
    aioice: Way


class Runs:
    """All cases of this run, begun at once; each test waits for its own."""

    def __init__(self, street: Street, serving: Servers, folder: Path, cases: list[Case]) -> None:
        self._street, self._servers, self._folder = street, serving, folder
        self._busy = Semaphore(AT_ONCE)
        self._lines: queue.SimpleQueue[int] = queue.SimpleQueue()
        for line in range(LINES):
            self._lines.put(line)
        self._pools = {True: ThreadPoolExecutor(PATIENT), False: ThreadPoolExecutor(AT_ONCE)}
        self.results: dict[Case, Future[Result]] = {
            case: self._pools[case.expected == "no path"].submit(self._run, case)
            for case in sorted(cases, key=lambda case: case.expected != "no path")  # the long ones first
        }

    def close(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)

    def _run(self, case: Case) -> Result:
        folder, line = self._folder / str(case), self._lines.get()
        folder.mkdir()
        caller, callee = self._street.build(case.caller), self._street.build(case.callee)
        network = tuple(self._servers.all_turn() if case.turn else self._servers.stun_only())
        ends = Ends(caller, callee, line, network, network)
        try:
            if case.expected == "no path":
                journey = travel(self._servers, ends, folder, self._busy)
                return Result(journey, aioice_journey(self._servers, caller, callee, turn=case.turn))
            with self._busy:
                journey = travel(self._servers, ends, folder)
                for house in (caller, callee):
                    house.forget()
                return Result(journey, aioice_journey(self._servers, caller, callee, turn=case.turn))
        finally:
            for house in (caller, callee):
                self._street.tear_down(house)
            self._lines.put(line)


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    wanted = [
        item.callspec.params["case"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and "case" in item.callspec.params
    ]
    folder = tmp_path_factory.mktemp("nats")
    (folder / "calls").mkdir()
    with Street() as street, servers(street, folder / "servers") as serving:
        running = Runs(street, serving, folder / "calls", wanted)
        try:
            yield running
        finally:
            running.close()
            over = {case: future.result() for case, future in running.results.items() if _well(future)}
            rows = [(str(case), case.expected, result.journey, result.aioice) for case, result in over.items()]
            table.keep(request.config, "NATs", rows)


def _well(future: Future[Result]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=str(case), marks=[pytest.mark.short] * (case in SHORT)) for case in CASES]
)
def test_a_call(case: Case, runs: Runs) -> None:
    journey = runs.results[case].result().journey
    print(table.line(str(case), case.expected, journey, runs.results[case].result().aioice))
    assert journey.path.result == case.expected
    if case.expected == "no path":
        must_tell_why(journey)
    else:
        must_have_talked(journey)


def must_have_talked(journey: Journey) -> None:
    for outcome in (journey.caller, journey.callee):
        assert (outcome.code, outcome.sentences) == (0, [])
    assert abs(journey.heard_hz("a") - CALLEE_HZ) < 3
    assert abs(journey.heard_hz("b") - CALLER_HZ) < 3
    assert journey.caller.report["audio"]["lost"] == 0


def must_tell_why(journey: Journey) -> None:
    """The caller soon reads that there is no path so far, and why; both give up when patience ends, not before."""
    caller = journey.caller
    began_at = caller.state_at("connecting")
    notices = [event for event in caller.events if event["event"] == "problem" and event["about"] == "call"]
    assert len(notices) == 1
    assert notices[0]["at"] - began_at < TOLD_WITHIN_S
    waited_s = caller.report["states"][-1]["at"] - began_at
    assert PATIENCE_S - 1 < waited_s < PATIENCE_S + 5
    for outcome in (caller, journey.callee):
        sentences = [line.removeprefix("parley: ") for line in outcome.sentences]
        print("\n".join(sentences))
        assert outcome.code == 1
        assert len(sentences) == 2, "one sentence on the way, one at the end"
        assert outcome.report["ended"]["cause"] == sentences[-1]
        assert all(is_for_people(sentence) for sentence in sentences)
    assert caller.sentences[0] == f"parley: {notices[0]['sentence']}"
