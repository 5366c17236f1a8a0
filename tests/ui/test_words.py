from __future__ import annotations

import time

import pytest

from app.events import CallEnd, CallState, EndedBy, EndKind, LastTalker, Presence
from tests.ui import scenes
from ui import channel_words, words


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "00:00"), (252.9, "04:12"), (3600, "1:00:00"), (3723, "1:02:03"), (-4, "00:00")]
)
def test_clock(seconds: float, said: str) -> None:
    assert words.clock(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (999, "999 B"), (2100, "2.1 kB"), (41_000_000, "41 MB"), (7_500_000_000, "7.5 GB")]
)
def test_size(count: int, said: str) -> None:
    assert words.size(count) == said


def test_figures_that_are_not_known_are_a_dash() -> None:
    assert words.number(None, "ms") == words.rate(None) == "–"
    assert words.number(18.4, "ms") == "18 ms"
    assert words.rate(1_370_000) == "1.4 Mb/s"
    assert words.rate(32_000) == "32 kb/s"


@pytest.mark.parametrize(
    ("uri", "bare"),
    [
        ("sip:ada@Example.ORG;transport=tcp", "sip:ada@example.org"),
        ('"Ada" <sip:ada@example.org>;tag=1', "sip:ada@example.org"),
        ("tel:+4930123456", "tel:+4930123456"),
    ],
)
def test_two_spellings_of_one_address_are_one(uri: str, bare: str) -> None:
    assert words.bare_address(uri) == bare


@pytest.mark.parametrize(
    ("typed", "is_address"),
    [
        ("sip:ada@example.org", True),
        ("tel:+49", True),
        ("ada@example.org", True),
        ("+49 30 1234", True),
        ("Ada", False),
        ("", False),
    ],
)
def test_what_looks_like_an_address(typed: str, is_address: bool) -> None:
    assert words.looks_like_address(typed) is is_address


@pytest.mark.parametrize(
    ("name", "letters"), [("Front desk", "FD"), ("ada", "A"), ("", "?"), ("Ada B. Lovelace", "AL")]
)
def test_initials(name: str, letters: str) -> None:
    assert words.initials(name) == letters


@pytest.mark.parametrize("state", list(CallState))
def test_every_state_has_words(state: CallState) -> None:
    assert words.state_words(scenes.call(state))


@pytest.mark.parametrize("kind", list(EndKind))
def test_every_end_has_words_even_without_a_sentence(kind: EndKind) -> None:
    info = scenes.call(CallState.ENDED, end=CallEnd(EndedBy.FAILURE, kind, None, None))
    assert words.state_words(info).endswith(".")


def test_a_failed_call_says_its_sentence() -> None:
    assert words.state_words(scenes.failed(EndKind.NOT_FOUND, "Nobody is there.", 404)) == "Nobody is there."


def test_every_presence_and_outcome_has_words() -> None:
    for presence in Presence:
        assert words.presence_words(scenes.WORKSHOP.__class__("1", "A", "sip:a@b", presence=presence))
    assert [words.outcome_words(entry) for entry in scenes.history()] == [
        "Missed",
        "4 min 12 s",
        "31 s",
        "Nobody there",
    ]


def test_when() -> None:
    now = time.mktime((2026, 11, 20, 12, 0, 0, 0, 0, -1))
    assert words.when(now - 60, now) == "11:59"
    assert words.when(now - 86400, now) == "yesterday 12:00"
    assert words.when(now - 5 * 86400, now) == "Sun 15 Nov"


@pytest.mark.parametrize(
    ("wrote", "stands"),
    [
        ("Zoë", "Zoë"),
        ("", ""),
        ("צפון", "\u2068צפון\u2069"),
        ("فريق 2", "\u2068فريق 2\u2069"),
        ("Ada\u202e 5", "Ada 5"),  # would turn round all that comes after it
        ("\u2069צפון\u202e", "\u2068צפון\u2069"),
    ],
)
def test_names_from_right_to_left_turn_nothing_else_round(wrote: str, stands: str) -> None:
    assert words.apart(wrote) == stands
    last = channel_words.last_words(LastTalker(wrote, 0.0, False), 125.0)
    assert last == f"last: {stands or 'Somebody'}, 2 min ago"
