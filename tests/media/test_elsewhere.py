"""Datagrams that come from another address than the peer's, on a path without ICE: only the peer's are taken."""

from __future__ import annotations

import pytest

from app.media.codecs import PCMU
from app.media.rtp import build_rtp
from tests.media.wire import audio, eventually, secure, two_ends

JUNK = bytes([22]) + bytes(40)  # looks like DTLS


@pytest.mark.parametrize("kind", ["dtls", "sdes"])
async def test_whoever_has_the_keys_is_followed(kind: str) -> None:
    """The callee hears everything as from elsewhere: a handshake counts until it is done, then only the keys do."""
    async with two_ends() as (caller, callee):
        judged: list[tuple[int, bool]] = []

        def hear(data: bytes) -> None:
            judged.append((data[0], callee.session.receive_from_elsewhere("0", data)))

        caller.path.to = hear
        await secure(caller, callee, kind)
        assert (kind == "dtls") == bool(judged)
        assert not callee.session.receive_from_elsewhere("0", JUNK)
        for end in (caller, callee):
            end.session.configure([audio(PCMU)])
            end.session.start_sending()
        await eventually(lambda: sum(128 <= first <= 191 and taken for first, taken in judged) >= 5)
        sound = next(data for data in caller.path.media() if data[1] & 0x7F == 0)
        assert not callee.session.receive_from_elsewhere("0", sound)  # said again by somebody else
        assert not callee.session.receive_from_elsewhere("0", build_rtp(0, False, 1, 160, 7, bytes(160)))
        assert not callee.session.receive_from_elsewhere("nothing", sound)


async def test_without_keys_a_known_payload_type_and_then_a_known_source_are_followed() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        callee.session.configure([audio(PCMU)])

        def taken(number: int, *, payload_type: int = 0, ssrc: int = 7) -> bool:
            packet = build_rtp(payload_type, False, number, 160 * number, ssrc, bytes(160))
            return callee.session.receive_from_elsewhere("0", packet)

        assert not taken(1, payload_type=77)
        assert not callee.session.receive_from_elsewhere("0", b"")
        assert not callee.session.receive_from_elsewhere("0", JUNK)
        assert taken(2)
        assert not taken(3, ssrc=8)
        assert taken(4)


async def test_who_comes_from_the_named_address_is_the_peer_and_whoever_was_first_is_forgotten() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee, "none")
        callee.session.configure([audio(PCMU)])

        def taken(ssrc: int, number: int, *, named: bool = False) -> bool:
            packet = build_rtp(0, False, number, 160 * number, ssrc, bytes(160))
            return callee.session.receive_from_elsewhere("0", packet, named=named)

        assert taken(66, 1)
        assert taken(7, 1, named=True)
        assert not taken(66, 2)
        assert taken(7, 2)
