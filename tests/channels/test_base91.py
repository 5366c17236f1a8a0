"""basE91 against texts made by another program, and back whatever the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.channels.base91 import ALPHABET, decode, encode

VECTORS = [
    (b"", ""),
    (b"test", "fPNKd"),
    (b"\0", "AA"),
    (b"\0\0\0\0", "AAAAA"),
    (b"\xff\xff\xff\xff", 'B"B"#'),
]


@pytest.mark.parametrize(("data", "text"), VECTORS)
def test_vectors(data: bytes, text: str) -> None:
    assert encode(data) == text
    assert decode(text) == data


def test_the_alphabet_is_printable_ascii_without_the_four_that_texts_are_quoted_with() -> None:
    assert sorted(ALPHABET) == sorted(set(map(chr, range(33, 127))) - set("'-\\"))


@given(st.binary(max_size=300))
def test_bytes_come_back(data: bytes) -> None:
    text = encode(data)
    assert decode(text) == data
    assert len(text) <= len(data) * 16 / 13 + 2


@given(st.binary(min_size=1, max_size=60), st.integers(1, 20))
def test_line_ends_and_blanks_are_passed_over(data: bytes, width: int) -> None:
    text = encode(data)
    broken = "\r\n ".join(text[at : at + width] for at in range(0, len(text), width))
    assert decode(broken + "\n") == data


@given(st.text(max_size=100))
def test_any_text_is_some_bytes(text: str) -> None:
    assert len(decode(text)) <= len(text)
