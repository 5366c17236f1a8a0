"""What a person may type to call somebody."""

from __future__ import annotations

import pytest

from app.engine.errors import EngineError
from app.engine.targets import find_target
from app.events import Contact
from app.settings import Account

ADA = Contact("1", "Ada Lovelace", "sip:ada@example.org")
ADAM = Contact("2", "Adam", "sip:adam@example.org")
ECHO = Contact("3", "Echo test", "sip:echo@127.0.0.1:5070", "builtin")
PEOPLE = (ADA, ADAM, ECHO)
ACCOUNT = Account("sip:me@example.net")


@pytest.mark.parametrize(
    ("typed", "uri", "name"),
    [
        ("sip:bob@example.org", "sip:bob@example.org", "bob"),
        ("SIP:bob@example.org", "SIP:bob@example.org", "bob"),
        ("sips:bob@example.org;transport=tcp", "sips:bob@example.org;transport=tcp", "bob"),
        ("sip:ada@example.org", "sip:ada@example.org", "Ada Lovelace"),
        (" ada lovelace ", "sip:ada@example.org", "Ada Lovelace"),
        ("echo", "sip:echo@127.0.0.1:5070", "Echo test"),
        ("adam", "sip:adam@example.org", "Adam"),
        ("bob@example.org:5070", "sip:bob@example.org:5070", "bob"),
        ("192.0.2.7", "sip:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:5070", "sip:192.0.2.7:5070", "192.0.2.7"),
        ("[2001:db8::7]:5070", "sip:[2001:db8::7]:5070", "2001:db8::7"),
        ("phone.example.org", "sip:phone.example.org", "phone.example.org"),
        ("carol", "sip:carol@example.net", "carol"),
        ("*97", "sip:*97@example.net", "*97"),
        ("+49 (30) 12-34 56", "sip:+4930123456@example.net", "+4930123456"),
        ("030.123456", "sip:030123456@example.net", "030123456"),
        ("tel:+49-30-123456", "sip:+4930123456@example.net;user=phone", "+4930123456"),
    ],
)
def test_what_can_be_called(typed: str, uri: str, name: str) -> None:
    found = find_target(typed, PEOPLE, ACCOUNT)
    assert (found.uri, found.name) == (uri, name)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Type a name"),
        ("ad", "Several contacts fit"),
        ("nobody at all", "Nobody in the list"),
        ("sip:", "not an address"),
        ("sip:bob@exa mple", "not an address"),
        ("+49 30 123456", "needs an account"),
        ("tel:+4930", "needs an account"),
        ("x" * 600, "too long"),
    ],
)
def test_what_cannot_is_said_with_what_would_do(typed: str, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        find_target(typed, PEOPLE, None)
