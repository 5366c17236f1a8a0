"""How a call ended, between SIP's status codes and the kinds that people are told of.

RFC 3261 section 21 (status codes), RFC 3326 (Reason). The sentences themselves are app/diagnosis/causes.py.
"""

from __future__ import annotations

from app.events import EndKind
from app.sip.reasons import Reason

NO_PATH_REASON = "ICE checks failed: no path between the two sides"

_KINDS = {
    400: EndKind.BAD_DESCRIPTION,
    401: EndKind.WRONG_PASSWORD,
    404: EndKind.NOT_FOUND,
    407: EndKind.WRONG_PASSWORD,
    408: EndKind.UNAVAILABLE,
    410: EndKind.NOT_FOUND,
    480: EndKind.UNAVAILABLE,
    484: EndKind.NOT_FOUND,
    486: EndKind.BUSY,
    487: EndKind.CANCELLED,
    488: EndKind.NOTHING_IN_COMMON,
    503: EndKind.SERVER_UNREACHABLE,
    600: EndKind.BUSY,
    603: EndKind.DECLINED,
    604: EndKind.NOT_FOUND,
    606: EndKind.NOTHING_IN_COMMON,
}

_REFUSALS = {
    EndKind.DECLINED: (603, "Decline"),
    EndKind.BUSY: (486, "Busy Here"),
    EndKind.NO_ANSWER: (480, "No Answer"),
    EndKind.CHECKS_FAILED: (480, "No Path"),
    EndKind.SECURITY_FAILED: (488, "Not Acceptable Here"),
    EndKind.NOTHING_IN_COMMON: (488, "Not Acceptable Here"),
    EndKind.BAD_DESCRIPTION: (400, "Bad Session Description"),
    EndKind.INTERNAL: (500, "Server Internal Error"),
}


def end_kind_of_refusal(status: int, reasons: tuple[Reason, ...], *, rang: bool) -> EndKind:
    """What a final refusal means for the person who called."""
    if any(reason.text and reason.text.startswith("ICE checks failed") for reason in reasons):
        return EndKind.CHECKS_FAILED
    if status in (408, 480) and rang:
        return EndKind.NO_ANSWER
    return _KINDS.get(status, EndKind.REFUSED)


def refusal_of(kind: EndKind, status: int | None = None) -> tuple[int, str]:
    """Which final response says this kind of ending to the caller."""
    if kind is EndKind.BAD_DESCRIPTION and status in (413,):
        return 413, "Request Entity Too Large"
    return _REFUSALS.get(kind, (480, "Temporarily Unavailable"))
