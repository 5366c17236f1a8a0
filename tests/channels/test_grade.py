"""Grades: each threshold from both sides, and the worst that wins."""

from __future__ import annotations

import pytest

from app.channels.grade import Grade, grade_channel


@pytest.mark.parametrize(
    ("delay", "jitter", "loss", "grade"),
    [
        (0, 0, 0, Grade.IDEAL),
        (39.9, 4.9, 0, Grade.IDEAL),
        (40, 0, 0, Grade.ACCEPTABLE),
        (249.9, 0, 0, Grade.ACCEPTABLE),
        (250, 0, 0, Grade.UNACCEPTABLE),
        (0, 5, 0, Grade.ACCEPTABLE),
        (0, 29.9, 0, Grade.ACCEPTABLE),
        (0, 30, 0, Grade.UNACCEPTABLE),
        (0, 0, 0.1, Grade.ACCEPTABLE),
        (0, 0, 1.99, Grade.ACCEPTABLE),
        (0, 0, 2, Grade.UNACCEPTABLE),
        (10, 6, 3, Grade.UNACCEPTABLE),
        (None, None, 0, Grade.IDEAL),
        (100, None, None, Grade.ACCEPTABLE),
    ],
)
def test_the_worst_counts(delay: float | None, jitter: float | None, loss: float | None, grade: Grade) -> None:
    found = grade_channel(delay_ms=delay, jitter_ms=jitter, loss_percent=loss)
    assert found is not None
    assert found.grade is grade


def test_what_is_not_measured_is_not_graded() -> None:
    assert grade_channel() is None


@pytest.mark.parametrize(
    ("delay", "jitter", "loss", "words"),
    [
        (12, 1, 0, "Ideal."),
        (100, 12, 0, "Acceptable: a delay of 100 ms; below 40 ms would be ideal."),
        (30, 1, 0.54, "Acceptable: a loss of 0.5 %; none would be ideal."),
        (30, 48, 2.5, "Not acceptable: a jitter of 48 ms; it has to be below 30 ms."),
        (30, 48, 20, "Not acceptable: a loss of 20 %; it has to be below 2 %."),
    ],
)
def test_the_words_name_what_it_is_due_to(delay: float, jitter: float, loss: float, words: str) -> None:
    found = grade_channel(delay_ms=delay, jitter_ms=jitter, loss_percent=loss)
    assert found is not None
    assert found.words == words
