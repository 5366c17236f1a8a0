"""What goes wrong with SIP messages: the peer's fault and our own, told apart.

A ParseError about a request carries what is needed to answer it; `app.sip.message.refusal_of` makes the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.sip.message import Headers

_SHOWN = 60


def cut(text: str) -> str:
    """Quote `text` for a message, cut short and with every unprintable character escaped."""
    return ascii(text) if len(text) <= _SHOWN else ascii(text[:_SHOWN]) + "…"


class SipError(Exception):
    """Anything of app.sip that its caller may have to handle."""


class LocalError(SipError, ValueError):
    """This program tried to write something that SIP cannot carry; nothing was sent."""


class ParseError(SipError):
    """Text or bytes from outside that are not what they should be.

    status: what a server answers (RFC 3261 section 21.4: 400, 413, 414, 416, 420, 501, 505, 513).
    reason: the reason phrase of that answer; our own words, never the peer's.
    method: the method of the bad request; None when it was a response or cannot be told.
    partial: the header fields read so far, for the Via, From, To, Call-ID and CSeq of an answer; None without any.
    """

    def __init__(self, reason: str, offending: str | None = None, *, status: int = 400) -> None:
        super().__init__(reason if offending is None else f"{reason}: {cut(offending)}")
        self.status = status
        self.reason = reason
        self.method: str | None = None
        self.partial: Headers | None = None
