"""Which rallypoint carries, on a virtual clock: a small world of rallypoints that answer, refuse or say nothing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.channels.cluster import (
    BUSY_PING_S,
    MOST_PAUSE_S,
    PAUSE_STEP_S,
    PING_S,
    SPREAD_S,
    STAGGER_S,
    SUSPECT_S,
    Carries,
    Close,
    Cluster,
    ClusterPlan,
    Open,
    Ping,
    Strategy,
)

UP, REFUSES, SILENT = "up", "refuses", "silent"


class World:
    """Rallypoints by place, each up, refusing or silent, 20 ms away; and the cluster that deals with them."""

    def __init__(self, *rallypoints: str, chance: Callable[[], float] = lambda: 0.0, **plan: object) -> None:
        self.rallypoints = list(rallypoints)
        self.cluster = Cluster(ClusterPlan(len(rallypoints), **plan), chance)  # type: ignore[arg-type]
        self.now = 100.0
        self.carries: int | None = None
        self.tried: list[tuple[float, int]] = []
        self.open: dict[int, int] = {}
        self._due: list[tuple[float, Callable[[], None]]] = []
        self.cluster.start(self.now)
        self._take()

    def run(self, seconds: float) -> World:
        end = self.now + seconds
        while True:
            wake = self.cluster.next_timeout()
            times = [at for at, _ in self._due] + ([] if wake is None else [wake])
            at = min(times, default=end)
            if at > end:
                self.now = end
                return self
            self.now = max(self.now, at)
            for entry in [entry for entry in self._due if entry[0] <= self.now]:
                self._due.remove(entry)
                entry[1]()
            self.cluster.handle_timeout(self.now)
            self._take()

    def kill(self, place: int, how: str = REFUSES) -> World:
        """End a rallypoint: its connections with it, unless it only falls silent."""
        self.rallypoints[place] = how
        if how == REFUSES:
            for attempt in [attempt for attempt, at in self.open.items() if at == place]:
                del self.open[attempt]
                self.cluster.lost(attempt, self.now)
                self._take()
        return self

    def move(self) -> None:
        """Change the network."""
        self.cluster.network_changed(self.now)
        self._take()

    def stop(self) -> None:
        self.cluster.stop()
        self._take()

    def _take(self) -> None:
        for output in self.cluster.take_outputs():
            match output:
                case Open(attempt, place):
                    self.tried.append((self.now, place))
                    self._later(self._answer, attempt, place)
                case Close(attempt):
                    self.open.pop(attempt, None)
                case Ping(attempt):
                    self._later(self._pong, attempt)
                case Carries(_, place):
                    self.carries = place

    def _later(self, what: Callable[..., None], *args: int) -> None:
        self._due.append((self.now + 0.02, lambda: what(*args)))

    def _answer(self, attempt: int, place: int) -> None:
        if self.rallypoints[place] == UP:
            self.open[attempt] = place
            self.cluster.connected(attempt, self.now)
        elif self.rallypoints[place] == REFUSES:
            self.cluster.failed(attempt, self.now)
        self._take()

    def _pong(self, attempt: int) -> None:
        if self.rallypoints[self.open.get(attempt, 0)] == UP and attempt in self.open:
            self.cluster.answered(attempt, self.now)
            self._take()


def test_the_first_one_carries_and_its_round_trip_is_known() -> None:
    world = World(UP, UP, UP).run(PING_S + 1)
    assert world.carries == 0
    assert len(world.open) == 1
    assert world.cluster.rtt_s == pytest.approx(0.02)


def test_a_killed_node_is_followed_by_the_next_within_a_breath() -> None:
    world = World(UP, UP, UP, chance=lambda: 0.34).run(60)
    assert world.carries == 1
    world.kill(1).run(SPREAD_S + 0.05)
    assert world.carries == 2
    world.kill(2).run(60).kill(0)
    assert world.carries is None


def test_round_robin_begins_anywhere_and_goes_on_in_order() -> None:
    starts = {World(UP, UP, UP, chance=lambda number=number: number / 10).run(1).carries for number in range(10)}  # type: ignore[misc]
    assert starts == {0, 1, 2}
    world = World(UP, UP, UP, chance=lambda: 0.9).run(60)
    assert world.carries == 2
    assert world.kill(2).run(1).carries == 0


def test_a_silent_node_delays_the_next_by_a_third_of_a_second() -> None:
    world = World(SILENT, SILENT, UP, strategy=Strategy.FAIL_BACK).run(2 * STAGGER_S + 0.05)
    assert world.carries == 2


def test_fail_back_returns_to_the_top_without_a_gap() -> None:
    world = World(REFUSES, UP, strategy=Strategy.FAIL_BACK).run(30)
    assert world.carries == 1
    world.rallypoints[0] = UP
    carried = []
    for _ in range(120):
        carried.append(world.run(0.1).carries)
    assert carried[-1] == 0
    assert None not in carried
    assert list(world.open.values()) == [0]


def test_round_robin_stays_where_it_is() -> None:
    world = World(UP, UP).run(60).kill(0).run(60)
    world.rallypoints[0] = UP
    assert world.run(600).carries == 1


def test_pauses_grow_to_thirty_seconds_and_chance_spreads_them() -> None:
    world = World(REFUSES).run(600)
    times = [at for at, _ in world.tried]
    pauses = [later - before for before, later in pairwise(times)]
    expected = [min(MOST_PAUSE_S, PAUSE_STEP_S * (number + 1)) for number in range(len(pauses))]
    assert pauses == pytest.approx([0.02 + pause for pause in expected])
    hurried = World(REFUSES, chance=lambda: 1.0).run(600)
    assert len(hurried.tried) == pytest.approx(2 * len(world.tried), rel=0.25)


def test_a_long_outage_of_all_ends_when_one_comes_back() -> None:
    world = World(UP, UP, UP).run(60)
    for place in range(3):
        world.kill(place)
    assert world.run(300).carries is None
    world.rallypoints[1] = UP
    assert world.run(MOST_PAUSE_S + 1).carries == 1


def test_one_that_lets_in_and_throws_out_is_not_hammered() -> None:
    world = World(UP)
    for _ in range(50):
        world.run(1.0)
        if world.open:
            world.kill(0)
            world.rallypoints[0] = UP
    assert len(world.tried) < 12


def test_a_silent_connection_is_lost_when_its_ping_is_not_answered() -> None:
    world = World(UP, UP, transaction_timeout_s=3.0).run(20)
    world.kill(0, SILENT).run(PING_S + 3.0 + 0.2)
    assert world.carries == 1
    assert list(world.open.values()) == [1]


def talk(world: World, seconds: float) -> float:
    """Let a datagram go every 20 ms; gives for how long at a stretch none of them came anywhere."""
    longest = since = 0.0
    for _ in range(round(seconds / 0.02)):
        world.cluster.carried(world.now)
        world.run(0.02)
        since = 0.0 if world.carries is not None and world.rallypoints[world.carries] == UP else since + 0.02
        longest = max(longest, since)
    return longest


def test_while_somebody_talks_a_silent_one_is_followed_within_two_seconds() -> None:
    world = World(UP, UP, UP).run(20)
    assert talk(world, 10) == 0.0
    world.kill(0, SILENT)
    assert talk(world, 10) < BUSY_PING_S + SUSPECT_S + SPREAD_S + 0.1
    assert list(world.open.values()) == [1]


def test_one_that_answers_late_goes_on_to_carry() -> None:
    world = World(UP, SILENT, transaction_timeout_s=10.0).run(20)
    talk(world, 3)
    world.kill(0, SILENT)
    talk(world, BUSY_PING_S + SUSPECT_S + 0.5)  # the other one has been asked
    assert world.tried[-1][1] == 1
    attempt = next(attempt for attempt, place in world.open.items() if place == 0)
    world.cluster.answered(attempt, world.now)
    world.rallypoints[:] = [UP, UP]
    world.run(60)
    assert world.carries == 0
    assert list(world.open.values()) == [0]


def test_pings_are_few_while_nobody_talks() -> None:
    world = World(UP, UP).run(1)
    talk(world, 5)
    world.run(10)
    begun, woken = world.now, 0
    while world.now < begun + 60:
        wake = world.cluster.next_timeout()
        assert wake is not None
        world.run(max(0.001, wake - world.now))
        woken += 1
    assert woken <= 2 * 60 / PING_S + 1


def test_a_changed_network_asks_at_once() -> None:
    world = World(UP, UP).run(21)
    world.kill(0, SILENT)
    world.move()
    assert world.run(2.2).carries == 1
    waiting = World(REFUSES).run(100)
    waiting.rallypoints[0] = UP
    waiting.move()
    assert waiting.run(0.1).carries == 0


def test_an_attempt_that_comes_too_late_is_closed() -> None:
    world = World(UP, UP).run(1)
    world.cluster.connected(999, world.now)
    assert world.cluster.take_outputs() == [Close(999)]


def test_after_stopping_nothing_begins() -> None:
    world = World(UP, UP).run(1)
    world.stop()
    assert (world.carries, world.open, world.cluster.next_timeout()) == (None, {}, None)


@pytest.mark.parametrize("count", [0, 65])
def test_a_cluster_has_a_sensible_number_of_nodes(count: int) -> None:
    with pytest.raises(ValueError, match="rallypoints"):
        ClusterPlan(count)


steps = st.tuples(
    st.sampled_from(["kill", "hang", "revive", "move", "wait"]),
    st.integers(0, 2),
    st.sampled_from([0.01, 0.3, 2.0, 15.0]),
)


@given(st.sampled_from(Strategy), st.lists(steps, max_size=25), st.floats(0, 1))
def test_whatever_happens_one_connection_carries_in_the_end(
    strategy: Strategy, story: list[tuple[str, int, float]], chance: float
) -> None:
    world = World(UP, UP, UP, chance=lambda: chance, strategy=strategy)
    for what, place, seconds in story:
        if what in ("kill", "hang"):
            world.kill(place, REFUSES if what == "kill" else SILENT)
        elif what == "revive":
            world.rallypoints[place] = UP
        elif what == "move":
            world.move()
        world.run(seconds)
        assert len(world.open) <= 2
        assert world.cluster.next_timeout() is not None
    world.rallypoints = [UP, UP, UP]
    world.run(90)
    assert list(world.open.values()) == [world.carries]
    if strategy is Strategy.FAIL_BACK:
        assert world.carries == 0
