"""The Reason header (RFC 3326): why a request was sent or refused, for a person and for a machine.

Pure value object; knows nothing of dialogs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.sip.errors import ParseError
from app.sip.message import Request, Response

_MAX_REASONS = 8
_TEXT_LIMIT = 200
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,40}")
_PARAM = re.compile(r';\s*([A-Za-z0-9.!%*_+`\'~-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^;"\s]*))?\s*')


@dataclass(frozen=True, slots=True)
class Reason:
    """One Reason value, e.g. `SIP ;cause=200 ;text="Call completed elsewhere"`."""

    protocol: str = "SIP"
    cause: int | None = None
    text: str | None = None

    @classmethod
    def parse(cls, value: str) -> Reason | None:
        """Read one value; None when it is not one (a bad Reason never spoils the request that carries it)."""
        value = value.strip()
        protocol = _TOKEN.match(value)
        if protocol is None:
            return None
        cause: int | None = None
        text: str | None = None
        for match in _PARAM.finditer(value, protocol.end()):
            name, content = match[1].lower(), match[2] or ""
            if name == "cause" and content.isascii() and content.isdigit() and len(content) <= 5:
                cause = int(content)
            elif name == "text":
                text = _unquote(content)[:_TEXT_LIMIT]
        return cls(protocol[0], cause, text)

    def __str__(self) -> str:
        parts = [self.protocol]
        if self.cause is not None:
            parts.append(f"cause={self.cause}")
        if self.text is not None:
            clean = "".join(char for char in self.text[:_TEXT_LIMIT] if char >= " " and char != "\x7f")
            escaped = clean.replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'text="{escaped}"')
        return ";".join(parts)


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def reasons_of(message: Request | Response) -> tuple[Reason, ...]:
    """Every readable Reason of a message."""
    try:
        values = message.headers.all("Reason")
    except ParseError:
        return ()
    found = (Reason.parse(value) for value in values[:_MAX_REASONS])
    return tuple(reason for reason in found if reason is not None)
