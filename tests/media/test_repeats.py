"""Packets that are asked for again: once where little is lost, twice where much is."""

from __future__ import annotations

from app.media.repeats import AGAIN_AFTER_S, LOSSY_SHARE, Repeats

A_SECOND = 50.0  # packets that are sent


def asked(share: float) -> tuple[int, Repeats]:
    """Ask for this share of what is sent, for four seconds; gives how many then go a second time."""
    repeats, due = Repeats(), 0
    every = round(1 / share)
    for index in range(200):
        now = index / A_SECOND
        if index % every == 0:
            repeats.asked([index.to_bytes(4) + bytes(16)], A_SECOND, now)
        due += len(repeats.due(now + AGAIN_AFTER_S))
    return due, repeats


def test_a_repetition_goes_twice_where_much_is_lost() -> None:
    assert asked(LOSSY_SHARE / 2)[0] == 0
    assert asked(LOSSY_SHARE * 5)[0] >= 10


def test_when_the_peer_last_asked_is_known() -> None:
    repeats = Repeats()
    repeats.asked([], A_SECOND, 1.0)
    assert repeats.asked_at is None
    repeats.asked([bytes(20)], A_SECOND, 2.0)
    assert repeats.asked_at == 2.0
    assert repeats.was_asked_lately(2.5)
    assert not repeats.was_asked_lately(4.0)


def test_what_is_asked_for_once_more_goes_twice_however_little_is_lost() -> None:
    repeats, packets = Repeats(), [bytes((0x80, 96, 0, 7)) + bytes(8)]
    repeats.asked(packets, 100.0, 0.0)
    assert repeats.due(AGAIN_AFTER_S) == []
    repeats.asked(packets, 100.0, 0.1)
    assert repeats.due(0.1 + AGAIN_AFTER_S) == packets
