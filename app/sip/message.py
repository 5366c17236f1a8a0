"""SIP messages: the public face of reading, writing and answering them.

message = parse_message(datagram)          Request | Response, or ParseError
answer = response_to(request, 486)         copies what a response must repeat
refusal = refusal_of(error)                the answer to a request that could not be read, if it can be answered
data = bytes(answer)
"""

from __future__ import annotations

from app.sip.errors import ParseError
from app.sip.header_map import Headers
from app.sip.header_names import METHODS
from app.sip.message_types import VERSION, Message, Request, Response
from app.sip.parsing import MAX_HEADERS, MAX_LINE, MAX_MESSAGE, parse_message
from app.sip.phrases import phrase_of
from app.sip.uri import NameAddr

__all__ = [
    "MAX_HEADERS",
    "MAX_LINE",
    "MAX_MESSAGE",
    "METHODS",
    "VERSION",
    "Headers",
    "Message",
    "Request",
    "Response",
    "parse_message",
    "phrase_of",
    "refusal_of",
    "response_to",
]


def response_to(request: Request, status: int, reason: str | None = None, *, to_tag: str | None = None) -> Response:
    """Make the response to a request (RFC 3261 section 8.2.6.2), without a body.

    `to_tag` is added to To where the request had none; 100 never gets one. Record-Route goes into 101 to 299, which
    may establish a dialog (section 12.1.1); Timestamp into 100 (section 8.2.6.1).
    """
    headers = Headers()
    for via in request.headers.rows("Via"):
        headers.add("Via", via)
    if 100 < status < 300:
        for route in request.headers.rows("Record-Route"):
            headers.add("Record-Route", route)
    headers.add("From", request.headers.get("From") or "")
    _add_to(headers, request.headers, to_tag if status != 100 else None)
    headers.add("Call-ID", request.headers.get("Call-ID") or "")
    headers.add("CSeq", request.headers.get("CSeq") or "")
    timestamp = request.headers.get("Timestamp") if status == 100 else None
    if timestamp is not None:
        headers.add("Timestamp", timestamp)
    return Response.of(status, headers, reason)


def refusal_of(error: ParseError, *, to_tag: str | None = None) -> Response | None:
    """The answer to a request that could not be read; None when it cannot or must not be answered.

    A response is never answered, nor an ACK, nor a request without a readable topmost Via. What the request lacks
    (RFC 4475 section 3.3.1), the answer lacks too.
    """
    partial = error.partial
    if partial is None or error.method is None or error.method == "ACK":
        return None
    headers = Headers()
    for via in partial.rows("Via"):
        headers.add("Via", via)
    if not headers:
        return None
    for name in ("From", "To", "Call-ID", "CSeq"):
        value = partial.get(name)
        if value is None:
            continue
        if name == "To":
            _add_to(headers, partial, to_tag)
        else:
            headers.add(name, value)
    return Response(error.status, error.reason, headers)


def _add_to(headers: Headers, source: Headers, to_tag: str | None) -> None:
    text = source.get("To") or ""
    if to_tag is not None:
        try:
            to = NameAddr.parse(text, "To")
        except ParseError:
            headers.add("To", text)  # repeated as it came: it is what the refusal is about
            return
        if to.tag is None:
            text = str(to.with_tag(to_tag))
    headers.add("To", text)
