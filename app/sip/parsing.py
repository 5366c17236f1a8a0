"""From bytes to a message: the head read line by line, then every check that needs no knowledge of a dialog.

All header fields are read before anything is judged, so that even a bad request can be answered. A request or response
that passes has a readable Via, From, To, Call-ID, CSeq, and readable contacts and routes where it has any.
Limits: 64 KiB a message, 8 KiB a header field, 256 header fields, 256 values of one field, URIs of 4 KiB, comments
16 deep. RFC 3261 sections 7, 8.1.1, 8.2 and 18.3; RFC 4475 for what to refuse.
"""

from __future__ import annotations

import re

from app.sip.errors import ParseError
from app.sip.grammar import is_token, parse_number
from app.sip.header_map import Headers, Row
from app.sip.header_names import LONG_NAMES, METHODS, SINGLE_KEYS, key_of
from app.sip.headers import BRANCH_COOKIE
from app.sip.message_types import VERSION, Message, Request, Response
from app.sip.uri import SipUri, parse_uri

MAX_MESSAGE = 65536  # bytes
MAX_LINE = 8192  # characters of a header field, unfolded
MAX_HEADERS = 256

_FOLD = re.compile(r"\r\n[ \t]++")
_STATUS_LINE = re.compile(r"SIP/([0-9]++)\.([0-9]++) ([0-9]++)(?: (.*+))?", re.IGNORECASE)
_VERSION = re.compile(r"SIP/[0-9]++\.[0-9]++", re.IGNORECASE)
_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4}"
    r" [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
    re.IGNORECASE,
)


class Head:
    """The start line and header fields of a message whose body may still be on its way.

    `problem` is the first thing found wrong; the header fields behind it have been read all the same.
    """

    __slots__ = ("headers", "line", "problem")

    def __init__(self, data: bytes) -> None:
        self.problem: ParseError | None = None
        text = data.decode("utf-8", "surrogateescape")
        breaks = text.count("\r\n")
        if text.count("\r") != breaks or text.count("\n") != breaks:
            self._blame("A line does not end with CR LF")
            text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
        if "\r\n " in text or "\r\n\t" in text:
            text = _FOLD.sub(" ", text)
        lines = text.split("\r\n")
        self.line = lines[0]
        if len(lines) - 1 > MAX_HEADERS:
            self._blame("Too many header fields", status=513)
            del lines[MAX_HEADERS + 1 :]
        self.headers = Headers.from_rows(self._read_rows(lines))

    def _read_rows(self, lines: list[str]) -> list[Row]:
        rows: list[Row] = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            key = key_of(name)
            if key not in LONG_NAMES:
                name = name.rstrip(" \t")
                key = key_of(name)
            if len(line) > MAX_LINE:
                self._blame("A header field is too long", status=513)
                continue
            if not colon or (key not in LONG_NAMES and not is_token(name)):
                if line:
                    self._blame("Bad header field", line)
                continue
            rows.append((key, LONG_NAMES.get(key, name), value.strip(" \t")))
        return rows

    def _blame(self, reason: str, offending: str | None = None, *, status: int = 400) -> None:
        if self.problem is None:
            self.problem = ParseError(reason, offending, status=status)

    @property
    def is_response(self) -> bool:
        return self.line[:4].upper() == "SIP/"

    @property
    def method(self) -> str | None:
        """The method, as far as it can be told; None for a response or nonsense."""
        word = self.line.partition(" ")[0]
        return word if is_token(word) and not self.is_response else None

    def content_length(self) -> int | None:
        """What Content-Length says, in bytes; None without one. ParseError makes a stream unreadable from here on."""
        lengths = self.headers.rows("Content-Length")
        if len(lengths) > 1:
            raise ParseError("Several Content-Length headers")
        return parse_number(lengths[0], 0xFFFFFFFF, "Content-Length") if lengths else None

    def finish(self, body: bytes) -> Request | Response:
        """Make the message, or raise the ParseError that says what is wrong with it."""
        try:
            return self._response(body) if self.is_response else self._request(body)
        except ParseError as error:
            raise self.blamed(error) from None

    def blamed(self, error: ParseError) -> ParseError:
        """The error with what is needed to answer it."""
        error.method = self.method
        error.partial = self.headers
        return error

    def _request(self, body: bytes) -> Request:
        words = self.line.split(" ")
        if len(words) != 3 or not is_token(words[0]):
            raise ParseError("Bad request line", self.line)
        method, uri_text, version = words
        if version.upper() != VERSION:
            if _VERSION.fullmatch(version):
                raise ParseError("Version Not Supported", version, status=505)
            raise ParseError("Bad request line", self.line)
        if self.problem is not None:
            raise self.problem
        uri = parse_uri(uri_text)
        if isinstance(uri, SipUri) and uri.headers:
            raise ParseError("The Request-URI holds headers", uri_text)
        request = Request(method, uri, self.headers, body)
        _check(request)
        if request.cseq.method != method:
            # An unknown method is refused as such, since what its CSeq may say is not ours to know (RFC 4475 3.1.2.18).
            raise ParseError("CSeq is of another method", str(request.cseq), status=400 if method in METHODS else 501)
        date = self.headers.get("Date")
        if date is not None and _DATE.fullmatch(date) is None:
            raise ParseError("Bad Date", date)
        return request

    def _response(self, body: bytes) -> Response:
        match = _STATUS_LINE.fullmatch(self.line)
        if match is None:
            raise ParseError("Bad status line", self.line)
        major, minor, status, reason = match.groups()
        if (major, minor) != ("2", "0"):
            raise ParseError("Version Not Supported", self.line, status=505)
        if len(status) != 3 or not "100" <= status <= "699":
            raise ParseError("Bad status", status)
        if self.problem is not None:
            raise self.problem
        response = Response(int(status), reason or "", self.headers, body)
        _check(response)
        return response


def _check(message: Message) -> None:
    """Read what every message must have, and what may not be wrong where it is there."""
    headers = message.headers
    via = message.top_via
    if (via.branch or "").lower() == BRANCH_COOKIE.lower():
        raise ParseError("The branch has no identifier", str(via))
    seen: set[str] = set()
    for key, name, _ in headers.raw():
        if key in SINGLE_KEYS:
            if key in seen:
                raise ParseError(f"Several {name} headers")
            seen.add(key)
    _ = message.from_, message.to, message.call_id, message.cseq, message.max_forwards
    _ = message.contacts, message.routes, message.record_routes


def parse_message(data: bytes) -> Request | Response:
    """Read one datagram; whatever follows the body is ignored (RFC 3261 section 18.3).

    ParseError tells what to answer, if anything: see `app.sip.message.refusal_of`.
    """
    if len(data) > MAX_MESSAGE:
        raise ParseError("Message Too Large", status=513)
    head_data, blank, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not head_data:
        raise ParseError("Empty message")
    head = Head(head_data)
    try:
        if not blank:
            raise ParseError("The header fields have no end")
        length = head.content_length()
        if length is not None and length > len(body):
            raise ParseError("Content-Length is larger than the message", str(length))
    except ParseError as error:
        raise head.blamed(error) from None
    return head.finish(body if length is None else body[:length])
