from __future__ import annotations

from dataclasses import replace

from app.events import (
    AudioStats,
    CallFigures,
    CallState,
    IceSnapshot,
    IceState,
    Milestones,
    QualityInfo,
    SecurityInfo,
    TransportStats,
    VideoStats,
)
from tests.ui import scenes
from ui import facts
from ui.figures import GROUPS, delay_parts
from ui.quality import Series


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


def test_how_it_sounds_is_said_in_a_word_and_a_number() -> None:
    def fact(score: float) -> facts.Fact:
        return facts.how_it_sounds(replace(scenes.figures(), quality=QualityInfo(score, 4.2, 3.9, 4.1)))

    said = [fact(score) for score in (4.36, 4.1, 3.7, 3.2, 2.1)]
    assert [one.text.split(" · ")[1] for one in said] == ["excellent", "good", "fair", "poor", "bad"]
    assert [one.tone for one in said] == ["good", "good", "warn", "warn", "bad"]
    assert said[0].text == "Sound 4.4 / 5 · excellent"
    assert said[0].detail.endswith("Over the call 4.2, at its worst 3.9. The other side hears you with 4.1.")
    assert facts.how_it_sounds(scenes.no_figures()).text == "No sound yet"


def test_the_delay_is_taken_apart() -> None:
    parts = delay_parts(scenes.figures(step=0).audio)
    assert [(part.name, part.ms) for part in parts] == [
        ("Their side", 38),
        ("Network", 9),
        ("Buffer", 40),
        ("Speaker", 31),
    ]
    assert delay_parts(None) == ()


def test_every_figure_says_what_it_means_and_survives_what_is_not_known() -> None:
    bare = CallFigures("c1", None, SecurityInfo(), AudioStats(), VideoStats(), Milestones(), TransportStats())
    for group in GROUPS:
        for figure in group.figures:
            assert figure.hint.endswith(".")
            for figures in (bare, scenes.figures(), scenes.no_figures()):
                assert figure.text(figures)
            assert "None" not in figure.text(bare)


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


def test_a_score_is_judged_as_it_is_shown() -> None:
    assert facts.score_word(3.56)[0] == "fair"  # it reads 3.6
    assert facts.score_word(3.54)[0] == "poor"
    assert facts.score_word(4.26)[0] == "excellent"
