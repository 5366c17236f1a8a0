from __future__ import annotations

from dataclasses import replace

import pytest

from app.events import CallState, IceSnapshot, IceState, SecurityInfo
from tests.ui import scenes
from ui import facts
from ui.quality import Series, opinion_score


def secured(media: str | None, signalling: str = "plain") -> facts.Fact:
    return facts.who_can_listen(replace(scenes.figures(), security=SecurityInfo(media, signalling=signalling)))


def test_who_can_listen_is_never_said_better_than_it_is() -> None:
    assert secured("dtls-srtp", "tls").text == "End to end · verified"
    assert secured("dtls-srtp").text == "End to end · not verified"
    assert secured("sdes-srtp", "tls").tone == "warn"
    assert secured("none").tone == "bad"
    assert secured(None).text == "Not secured yet"
    assert facts.who_can_listen(None).text == "Not secured yet"


def test_how_it_travels() -> None:
    assert facts.how_it_travels(scenes.figures()).text == "Direct · 18 ms"
    relayed = facts.how_it_travels(scenes.figures(ice=scenes.snapshot(selected=2)))
    assert (relayed.text, relayed.tone, relayed.icon) == ("Relayed · 46 ms", "warn", "relayed")
    checking = scenes.snapshot(IceState.CHECKING, selected=None)
    assert facts.how_it_travels(scenes.no_figures(ice=checking)).text == "Finding a path…"
    assert facts.how_it_travels(scenes.figures(ice=scenes.snapshot(IceState.INTERRUPTED))).tone == "bad"
    assert facts.how_it_travels(None).text == "No path yet"


def test_how_it_sounds_follows_loss() -> None:
    good = facts.how_it_sounds(scenes.figures(), 0.0)
    fair = facts.how_it_sounds(scenes.figures(), 8.0)
    poor = facts.how_it_sounds(scenes.figures(), 30.0)
    assert [fact.tone for fact in (good, fair, poor)] == ["good", "warn", "bad"]
    assert "good" in good.text
    assert "poor" in poor.text
    assert facts.how_it_sounds(scenes.no_figures(), None).text == "No sound yet"


def test_the_score_falls_with_delay_and_stays_in_its_scale() -> None:
    near = opinion_score(scenes.figures(), 0.0)
    ice = scenes.snapshot()
    slow = replace(ice, pairs=tuple(replace(pair, rtt_s=1.2) for pair in ice.pairs))
    far = opinion_score(scenes.figures(ice=slow), 0.0)
    assert near is not None
    assert far is not None
    assert 1.0 <= far < near <= 4.5
    assert opinion_score(scenes.figures(), 100.0) == pytest.approx(1.0, abs=0.1)


def test_loss_is_of_the_last_seconds_only() -> None:
    series = Series()
    series.add(scenes.figures(step=4), 0.0)
    assert series.loss_percent() is None
    for step in range(5, 60):
        series.add(scenes.figures(step=step), step / 4)
    assert 0 < (series.loss_percent() or 0) < 1
    assert len(series.samples) == 56


def test_the_story_of_a_path() -> None:
    call = scenes.call(CallState.CONNECTED)
    story = facts.path_story(call, scenes.figures())
    assert story.text == "Direct, through both NATs"
    assert story.detail == "3 of 4 pairs tried, found in 41 ms. The relay stands by."
    assert facts.path_story(call, scenes.figures(ice=scenes.snapshot(selected=0))).text == "Direct, on the same network"
    assert facts.path_story(call, scenes.figures(ice=scenes.snapshot(selected=2))).text.startswith("Relayed through")
    trying = facts.path_story(call, scenes.no_figures(ice=scenes.snapshot(IceState.CHECKING, selected=None)))
    assert trying.detail == "3 of 4 pairs tried so far."
    assert facts.path_story(call, scenes.no_figures(ice=scenes.snapshot(IceState.FAILED, selected=None))).tone == "bad"
    assert facts.path_story(None, None).text == "No call yet"
    assert facts.path_story(call, None).text == "Looking at the network"


def test_a_snapshot_whose_pair_points_nowhere_is_no_path() -> None:
    ice = replace(scenes.snapshot(), local=())
    assert facts.selected_ends(ice) is None
    assert facts.path_story(scenes.call(CallState.CONNECTED), scenes.no_figures(ice=ice)).text == "Trying the ways"
    disabled = IceSnapshot("controlling", IceState.DISABLED, scenes.LOCAL)
    assert facts.how_it_travels(scenes.no_figures(ice=disabled)).text == "Plain path"
