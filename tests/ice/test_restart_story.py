"""What the time line tells of restarts, on real sockets."""

from __future__ import annotations

from app.events import MomentKind
from app.ice.events import Restarted
from tests.ice.test_generations import connected, restart
from tests.ice.test_session import eventually


async def test_one_line_goes_through_all_generations() -> None:
    async with connected() as (a, b):
        for number in (1, 2):
            await restart(a, b)
            await eventually(lambda count=number: a.told(Restarted) == b.told(Restarted) == count)  # type: ignore[misc]
        seen = a.path.snapshot()
    assert (seen.restarts, seen.generation) == (2, 2)
    assert {pair.generation for pair in seen.pairs} == {2}
    kinds = [moment.kind for moment in seen.timeline]
    assert kinds.count(MomentKind.RESTART) == kinds.count(MomentKind.RESTARTED) == 2
    connected_in = [moment.generation for moment in seen.timeline if moment.kind is MomentKind.CONNECTED]
    assert connected_in == [0, 1, 2]
    assert [moment.at for moment in seen.timeline] == sorted(moment.at for moment in seen.timeline)


async def test_a_restart_under_way_is_in_the_snapshot_and_one_given_up_stays_in_the_line() -> None:
    async with connected() as (a, _):
        coming = a.path.restart(True)
        await coming.gather()
        during = a.path.snapshot()
        a.path.abandon()
        after = a.path.snapshot()
    assert {moment.generation for moment in during.timeline} == {0, 1}
    assert during.generation == 0
    assert during.selected_pair() is not None
    assert {moment.generation for moment in after.timeline} == {0, 1}
    assert after.restarts == 0
