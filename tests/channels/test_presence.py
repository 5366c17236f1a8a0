"""What is said on a control channel: round trips, one packet's length, and bad input."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.channels.distance import Location
from app.channels.errors import PacketError
from app.channels.presence import (
    MOST_BYTES,
    Connectivity,
    Emergency,
    GroupAlias,
    Identity,
    Power,
    Presence,
    Text,
    clean,
    parse,
)

ANNA = Identity("0f" * 16, "Anna", "anna@example.org")
FULL = Presence(
    ANNA,
    1_700_000_000_123,
    30.0,
    "At the gate",
    3,
    (GroupAlias("95dad4a9-4f46-5daa-91aa-acd6322c81a5", "Alpha 1", 1),),
    Location(52.5163, 13.3777, 34.5, 270.0, 1.25, 1_700_000_000_000),
    Connectivity(1, 80, 4),
    Power(1, 2, 77),
    Emergency("e1", 1_700_000_000_100, "Man down"),
    True,
)


@pytest.mark.parametrize(
    "message",
    [
        FULL,
        Presence(ANNA, 5, 0.0),
        Text("t1", ANNA, 7, "Meet at 5 \N{GREEK SMALL LETTER ALPHA}", "group"),
        Text("t2", ANNA, 7, "All"),
    ],
)
def test_what_is_written_is_read(message: Presence | Text) -> None:
    assert parse(str(message).encode()) == message


def test_the_fields_have_the_documented_names() -> None:
    said = json.loads(str(FULL))["presence"]
    assert said["nextUpdate"] - said["ts"] == 30_000
    assert said["identity"] == {"nodeId": "0f" * 16, "displayName": "Anna", "userId": "anna@example.org"}
    assert said["announceOnReceive"] is True
    assert said["groupAliases"][0]["alias"] == "Alpha 1"
    assert said["location"]["direction"] == 270.0


def test_aliases_that_do_not_fit_one_packet_are_left_out() -> None:
    many = replace(FULL, aliases=tuple(GroupAlias(f"{number:036}", "x" * 40) for number in range(32)))
    read = parse(str(many).encode())
    assert isinstance(read, Presence)
    assert len(str(many).encode()) <= MOST_BYTES
    assert 0 < len(read.aliases) < 32
    assert read.aliases == many.aliases[: len(read.aliases)]


def test_what_is_too_long_is_refused_where_it_is_written() -> None:
    with pytest.raises(PacketError, match="700 bytes"):
        str(Text("t", ANNA, 1, "x" * 701))
    with pytest.raises(PacketError, match="too long for one packet"):
        str(replace(FULL, comment="x" * 2000))


def test_what_cannot_be_printed_becomes_a_space() -> None:
    assert clean("a\x00b\n\ud800c\u202ed") == "a b  c d"
    read = parse(b'{"presence":{"identity":{"nodeId":"n","displayName":"A\\u0007\\ud800"}}}')
    assert isinstance(read, Presence)
    assert read.identity.display_name == "A  "


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 1200, "no JSON"),
        (b"[]", "no object"),
        (b"{}", "neither presence nor text"),
        (b'{"presence":7}', "presence is no object"),
        (b'{"presence":{}}', "presence.identity is missing"),
        (b'{"presence":{"identity":{}}}', "presence.identity.nodeId is missing"),
        (b'{"presence":{"identity":{"nodeId":5}}}', "presence.identity.nodeId is no text"),
        (b'{"presence":{"identity":{"nodeId":"n"},"ts":"x"}}', "presence.ts is no number"),
        (b'{"presence":{"identity":{"nodeId":"n"},"ts":NaN}}', "no JSON"),
        (b'{"presence":{"identity":{"nodeId":"n"},"ts":1e300}}', "presence.ts is out of range"),
        (b'{"presence":{"identity":{"nodeId":"n"},"location":{"latitude":1}}}', "lacks a latitude or a longitude"),
        (b'{"presence":{"identity":{"nodeId":"n"},"location":{"latitude":91,"longitude":0}}}', "no place on Earth"),
        (b'{"presence":{"identity":{"nodeId":"n"},"groupAliases":[3]}}', r"groupAliases\[0\] is no object"),
        (b'{"presence":{"identity":{"nodeId":"n"},"announceOnReceive":1}}', "neither true nor false"),
        (b'{"presence":{"identity":{"nodeId":"n"},"comment":"' + b"x" * 201 + b'"}}', "presence.comment is too long"),
        (b'{"text":{"identity":{"nodeId":"n"}}}', "text.id is missing"),
        (b'{"text":' + b" " * 1200 + b"}", "too long"),
    ],
)
def test_a_bad_message_is_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(PacketError, match=words):
        parse(data)


@given(st.integers(0, 400), st.integers(0, 40), st.binary(max_size=12))
def test_nothing_but_a_packet_error_comes_of_anything(place: int, length: int, instead: bytes) -> None:
    good = str(FULL).encode()
    try:
        message = parse(good[:place] + instead + good[place + length :])
    except PacketError:
        return
    assert parse(str(message).encode())
