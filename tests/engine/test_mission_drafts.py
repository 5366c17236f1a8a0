"""Missions while they are edited: new channels, rallypoints in either form, what is wrong, what it costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.engine import mission_drafts, missions
from app.engine.errors import EngineError
from app.engine.mission_drafts import Address, ConnectionStrategy, DraftCheck, GroupType, Mission, Rallypoint
from app.engine.mission_pins import PinTries

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def draft() -> Mission:
    return replace(mission_drafts.begun(NOW), name="Relief")


def test_a_new_channel_has_a_name_a_key_and_an_address_of_its_own() -> None:
    made = draft()
    for _ in range(3):
        made = replace(made, groups=(*made.groups, mission_drafts.new_channel(made, GroupType.AUDIO)))
    done = mission_drafts.finished(made, NOW)
    assert [group.name for group in done.groups] == ["Mission Control", "Channel 3", "Channel 2", "Channel 1", "Alpha"]
    for facts in ({str(group.rx) for group in done.groups}, {group.crypto_password for group in done.groups}):
        assert len(facts) == 5
    assert len({group.rx.address.rpartition(".")[0] for group in done.groups}) == 1
    assert done.meta.created == NOW


def test_each_wrong_field_is_named_in_the_drafts_own_order() -> None:
    made = draft()
    bad = replace(made.groups[0], name="", rx=Address("300.1.1.1", 1), crypto_password="xyz")
    bad = mission_drafts.with_servers(bad, (Rallypoint(Address("no host", 1)), Rallypoint(Address("fine", 1))))
    made = replace(made, name="", groups=(*made.groups, bad))
    paths = [problem.path for problem in DraftCheck().problems(made)]
    assert paths == [
        "name",
        "groups[2].name",
        "groups[2].cryptoPassword",
        "groups[2].rx.address",
        "groups[2].rallypointCluster.rallypoints[0].host.address",
    ]
    assert DraftCheck().problems(draft()) == ()


def test_the_same_channel_twice_and_no_channel_are_wrong() -> None:
    made = draft()
    (problem,) = DraftCheck().problems(replace(made, groups=(*made.groups, made.groups[1])))
    assert (problem.path, problem.why) == ("groups[2].name", "is there twice, with the same key and addresses")
    (problem,) = DraftCheck().problems(replace(made, groups=()))
    assert (problem.path, problem.why) == ("groups", "is empty: add a channel")


def test_rallypoints_keep_the_form_that_they_were_written_in() -> None:
    first, second = (Rallypoint(Address(name, 7443), extra={"theirs": name}) for name in ("one", "two"))
    older = replace(draft().groups[1], rallypoints=(first,))
    grown = mission_drafts.with_servers(older, (first, second))
    assert (grown.rallypoints, grown.rallypoint_cluster) == ((first, second), None)
    # Going back to the first is what only the newer form can say; ids do not tell the forms apart.
    newer = mission_drafts.with_servers(grown, (first, second), ConnectionStrategy.FAIL_BACK)
    assert newer.rallypoints == ()
    assert newer.cluster is not None
    assert newer.cluster.connection_strategy is ConnectionStrategy.FAIL_BACK
    assert newer.computed_id == grown.computed_id
    again = mission_drafts.with_servers(newer, (second,))
    assert again.cluster == replace(newer.cluster, rallypoints=(second,))
    assert mission_drafts.servers_of(mission_drafts.with_servers(again, ())) == ()


def test_the_cost_follows_the_way_and_the_key() -> None:
    made = draft()
    alpha = next(group for group in made.groups if group.type is GroupType.AUDIO)
    control = next(group for group in made.groups if group.type is GroupType.MISSION_CONTROL)
    sealed, clear = (mission_drafts.cost(made, each) for each in (alpha, replace(alpha, crypto_password=None)))
    assert sealed is not None
    assert clear is not None
    assert sealed.up_kbps - clear.up_kbps == pytest.approx(29 * 8 * 50 / 1_000)
    assert sealed.down_kbps is None
    relayed = mission_drafts.cost(made, mission_drafts.with_servers(alpha, (Rallypoint(Address("one", 7443)),)))
    assert relayed is not None
    assert relayed.down_kbps is not None
    assert mission_drafts.cost(made, control) is None


def test_a_pin_is_set_checked_and_taken_off() -> None:
    made = mission_drafts.with_pin(draft(), "4711")
    assert mission_drafts.pin_is_right(made, "4711")
    assert not mission_drafts.pin_is_right(made, "1111")
    assert mission_drafts.pin_is_right(mission_drafts.with_pin(made, None), "anything")
    with pytest.raises(EngineError, match="4 to 12 digits"):
        mission_drafts.with_pin(made, "abc")


def test_a_pin_may_be_wrong_five_times_a_minute() -> None:
    tries = PinTries()
    for second in range(5):
        tries.check("relief", float(second))
        tries.wrong("relief", float(second))
    with pytest.raises(EngineError, match="wrong 5 times: try again in 50 s"):
        tries.check("relief", 10.0)
    tries.check("another", 10.0)
    tries.check("relief", 60.0)
    tries.wrong("relief", 60.5)
    with pytest.raises(EngineError):
        tries.check("relief", 60.9)
    tries.right("relief")
    tries.check("relief", 60.9)


def test_an_older_and_a_newer_version_are_told_apart() -> None:
    made = mission_drafts.finished(draft(), NOW)
    later = mission_drafts.finished(draft(), NOW.replace(day=23))
    assert missions.against_open(made, made) == "You have this mission already."
    assert missions.against_open(later, made).startswith("You have an older version of it, of 2026-11-22")
    assert missions.against_open(made, later).startswith("You have a newer version of it, of 2026-11-23")
    assert "other contents" in missions.against_open(replace(made, description="x"), made)
