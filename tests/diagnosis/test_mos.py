"""The E-model against the values that its recommendations print."""

from __future__ import annotations

import pytest

from app.diagnosis.mos import (
    NARROW,
    WIDE,
    Impairment,
    burst_ratio,
    delay_impairment,
    impairment_of,
    loss_impairment,
    opinion_score,
    rating,
)

G711 = impairment_of("pcmu")


@pytest.mark.parametrize(
    ("r", "score"), [(93.2, 4.41), (90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58), (0, 1.0), (100, 4.5)]
)
def test_ratings_become_the_scores_of_g107_annex_b(r: float, score: float) -> None:
    assert opinion_score(r) == pytest.approx(score, abs=0.008)


def test_the_default_connection_of_g107() -> None:
    assert rating(G711, 0, 0) == pytest.approx(93.2)
    assert opinion_score(rating(impairment_of("PCMA"), 50, 0)) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(("ms", "points"), [(0, 0), (100, 0), (150, 0.2), (200, 3.0), (300, 14.7), (400, 24.1)])
def test_delay_costs_nothing_up_to_100_ms_and_much_from_200_on(ms: float, points: float) -> None:
    assert delay_impairment(ms) == pytest.approx(points, abs=0.1)


@pytest.mark.parametrize(
    ("bpl", "percent", "points"), [(4.3, 1, 17.9), (4.3, 5, 51.1), (25.1, 1, 3.6), (25.1, 2, 7.0), (25.1, 5, 15.8)]
)
def test_loss_of_g711_without_and_with_concealment(bpl: float, percent: float, points: float) -> None:
    assert loss_impairment(Impairment(NARROW, 0.0, bpl), percent) == pytest.approx(points, abs=0.1)


@pytest.mark.parametrize(("ie", "score"), [(1, 4.49), (8, 4.42), (13, 4.34), (26, 4.02), (41, 3.51)])
def test_wideband_scores_of_g113_appendix_iv(ie: float, score: float) -> None:
    assert opinion_score(rating(Impairment(WIDE, ie, 4.9), 0, 0)) == pytest.approx(score, abs=0.006)


def test_g722_is_wideband() -> None:
    assert opinion_score(rating(impairment_of("G722"), 0, 0)) == pytest.approx(4.34, abs=0.005)


def test_opus_follows_its_bitrate() -> None:
    scores = [opinion_score(rating(impairment_of("opus", bps), 80, 0)) for bps in (6e3, 16e3, 24e3, 40e3, 128e3)]
    assert scores == sorted(scores)
    assert scores[1] == pytest.approx(4.0, abs=0.05)
    assert scores[3] == scores[4] == pytest.approx(4.40, abs=0.01)


def test_bursts_are_worse_than_single_losses() -> None:
    single, burst = (rating(G711, 80, 5, ratio) for ratio in (1.0, 3.0))
    assert burst < single - 1.5
    assert burst_ratio(lost=0, runs=0, expected=100) == 1.0
    assert burst_ratio(lost=10, runs=10, expected=100) == 1.0  # random loss: never below
    assert burst_ratio(lost=10, runs=2, expected=100) == pytest.approx(4.5)
    assert burst_ratio(lost=100, runs=1, expected=100) == 1.0  # nothing came at all: no pattern to be seen


def test_everything_lost_is_the_worst_there_is() -> None:
    for codec in ("opus", "g722", "pcmu", "never heard of"):
        worst = opinion_score(rating(impairment_of(codec), 500, 100, 50))
        assert 1.0 <= worst < 1.9
