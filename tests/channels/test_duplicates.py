"""A datagram that comes by two ways is handed on once."""

from app.channels.duplicates import WINDOW_S, Duplicates, digest


def test_the_second_copy_is_known_and_another_datagram_is_not() -> None:
    seen = Duplicates()
    assert seen.is_new(digest(b"one"), 0.0)
    assert seen.is_new(digest(b"two"), 0.1)
    assert not seen.is_new(digest(b"one"), 0.2)


def test_what_is_remembered_ends_with_the_window() -> None:
    seen = Duplicates()
    assert seen.is_new(b"key", 0.0)
    assert not seen.is_new(b"key", WINDOW_S)
    assert seen.is_new(b"key", WINDOW_S + 0.1)


def test_a_flood_fills_no_more_than_its_share() -> None:
    seen = Duplicates(most_known=100)
    assert all(seen.is_new(number.to_bytes(4, "big"), 1.0) for number in range(1000))
    assert len(seen) == 100
