"""The frames of a WebSocket, with the examples of RFC 6455; a real server is in tests/satellites."""

from __future__ import annotations

import pytest

from app.channels.websocket import accepts, frame


def test_the_examples_of_the_rfc() -> None:
    assert accepts("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert frame(0x1, b"Hello", bytes.fromhex("37fa213d")).hex() == "818537fa213d7f9f4d5158"


@pytest.mark.parametrize(("size", "head"), [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)])
def test_every_size_has_its_head(size: int, head: int) -> None:
    made = frame(0x2, b"\x01" * size, b"\0\0\0\0")
    assert len(made) == head + 4 + size
    assert made[head + 4 :] == b"\x01" * size
