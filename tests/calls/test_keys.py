"""Keys of a telephone in a call: in the sound, by INFO where the peer has nothing else, and what cannot be sent."""

from __future__ import annotations

import pytest

from app.calls import formats
from app.calls.errors import CallError
from app.calls.keys import PLAIN, RELAY, relay_body, relayed_key
from app.media.codecs import EVENT
from app.media.plan import CodecPlan
from tests.calls.parties import connected, on_the_phone, party


@pytest.fixture
def no_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the other phone knew no telephone events."""
    fits = formats._fits

    def without(codec: CodecPlan, voices: list[CodecPlan]) -> bool:
        return codec.name != EVENT and fits(codec, voices)

    monkeypatch.setattr(formats, "_fits", without)


async def test_keys_go_in_the_sound_both_ways_and_stand_in_the_figures() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        mine, theirs = await connected(ada, bob, video=False)
        mine.keys.press("1#")
        theirs.keys.press("*d")
        await bob.until(lambda: bob.keys == "1#", "both keys have come")
        await ada.until(lambda: ada.keys == "*D", "both keys have come")
        assert theirs.figures().digits == "1#"
        assert not any(message.line.startswith("INFO") for message in ada.messages)


@pytest.mark.usefixtures("no_events")
async def test_keys_go_by_info_to_a_phone_that_has_no_events() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        mine, _ = await connected(ada, bob, video=False)
        mine.keys.press("4")
        mine.keys.press("2")
        await bob.until(lambda: bob.keys == "42", "both keys have come")
        info = ada.message("out", "INFO")
        assert info.header("Content-Type") == "application/dtmf-relay"
        assert "Signal=4" in info.body


async def test_what_cannot_be_sent_is_said() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        mine, _ = await connected(ada, bob, video=False)
        with pytest.raises(CallError, match="'X' is no key"):
            mine.keys.press("1x")
        mine.set_held(True)
        with pytest.raises(CallError, match="on hold"):
            mine.keys.press("1")
        mine.hang_up()
        with pytest.raises(CallError, match="connected"):
            mine.keys.press("1")


@pytest.mark.parametrize(
    ("kind", "body", "key"),
    [
        (RELAY, relay_body("#"), "#"),
        (RELAY, b"Signal= 5\r\nDuration= 160\r\n", "5"),
        (RELAY, b"Duration=100\nsignal=b", "B"),
        (RELAY, b"Signal=11\r\n", "#"),
        (RELAY, b"Signal=99\r\n", None),
        (RELAY, b"Signal=hello\r\n", None),
        (RELAY, b"", None),
        (PLAIN, b"7\r\n", "7"),
        (PLAIN, b"\xff\xfe", None),
        ("text/plain", b"Signal=5", None),
    ],
)
def test_bodies_of_other_phones(kind: str, body: bytes, key: str | None) -> None:
    assert relayed_key(kind, body) == key
