"""What a person types or clicks to call somebody, made into one URI.

In this order: a whole URI (sip:, sips:, tel:), somebody's name in the list, the built-in `echo`, `user@host`, an
address of this network, a number or name at the account's own domain.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.engine.errors import EngineError
from app.events import Contact
from app.settings import Account
from app.sip.errors import SipError
from app.sip.uri import SipUri, TelUri, parse_uri

MAX_TARGET = 512
_NUMBER = re.compile(r"\+?[0-9][0-9().\- ]*")


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to call: the URI, and the name to show."""

    uri: str
    name: str


def find_target(text: str, contacts: Sequence[Contact], account: Account | None) -> Target:
    """Understand what was typed; EngineError says in one sentence what cannot be called and what would do."""
    text = text.strip()
    if not text:
        raise EngineError("Type a name, a number or an address such as sip:ada@example.org.")
    if len(text) > MAX_TARGET:
        raise EngineError(f"An address of {len(text)} characters is too long to call.")
    if re.match(r"(sips?|tel):", text, re.IGNORECASE):
        return _uri_target(text, contacts, account)
    named = [contact for contact in contacts if contact.name.casefold() == text.casefold()]
    if not named:
        named = [contact for contact in contacts if contact.name.casefold().startswith(text.casefold())]
    if len(named) == 1:
        return Target(named[0].uri, named[0].name)
    if len(named) > 1 and len({contact.uri for contact in named}) > 1:
        names = ", ".join(contact.name for contact in named[:4])
        raise EngineError(f"Several contacts fit {text[:40]!r} ({names}): type more of the name.")
    if named:
        return Target(named[0].uri, named[0].name)
    if "@" in text:
        return _uri_target(f"sip:{text}", contacts, account)
    domain = _domain(account)
    if not _is_ip_address(text) and _NUMBER.fullmatch(text):
        if domain is None:
            raise EngineError(
                "A telephone number needs an account at a provider: add one in Settings, then dial again."
            )
        return _uri_target(f"sip:{_digits(text)}@{domain}", contacts, account)
    if _is_ip_address(text) or _is_host_name(text):
        return _uri_target(f"sip:{text}", contacts, account)
    if domain is not None and re.fullmatch(r"[A-Za-z0-9+*#._~-]+", text):
        return _uri_target(f"sip:{text.replace('#', '%23')}@{domain}", contacts, account)
    raise EngineError(f"Nobody in the list is called {text[:40]!r}: type an address such as sip:ada@example.org.")


def _uri_target(text: str, contacts: Sequence[Contact], account: Account | None) -> Target:
    try:
        uri = parse_uri(text)
    except SipError as error:
        raise EngineError(f"{text[:60]!r} is not an address that can be called: {error}.") from error
    if isinstance(uri, TelUri):
        domain = _domain(account)
        if domain is None:
            raise EngineError("A tel: number needs an account at a provider: add one in Settings, then dial again.")
        number = _digits(text.partition(":")[2].partition(";")[0])
        return Target(f"sip:{number.replace('#', '%23')}@{domain};user=phone", number)
    if not isinstance(uri, SipUri):
        raise EngineError(f"{text[:60]!r} cannot be called: use sip:, sips: or tel:.")
    known = next((contact for contact in contacts if contact.uri == text), None)
    return Target(text, known.name if known else (uri.user or uri.host))


def _domain(account: Account | None) -> str | None:
    if account is None:
        return None
    uri = parse_uri(account.address)
    if not isinstance(uri, SipUri):
        return None
    return uri.host if uri.port is None else f"{uri.host}:{uri.port}"


def _digits(text: str) -> str:
    """A number without what only makes it easier to read (RFC 3966 section 3)."""
    return re.sub(r"[().\- ]", "", text)


def _is_ip_address(text: str) -> bool:
    host = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_host_name(text: str) -> bool:
    return "." in text and bool(re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]+)?", text))
