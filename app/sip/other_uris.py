"""URIs that are not SIP: telephone numbers (RFC 3966) and everything else, and the % escapes all of them share."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote as percent_encode
from urllib.parse import unquote as percent_decode

from app.sip.errors import ParseError
from app.sip.grammar import Params, check_params, get_param

MAX_URI = 4096  # characters
PARAM_SAFE = "-_.!~*'()[]/:&+$"

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TEL = re.compile(r"tel:(\+[0-9\-.()]++|[0-9A-Fa-f*#\-.()]++)((?:;.*+)?)", re.IGNORECASE)
_TEL_PARAM = re.compile(r"([A-Za-z0-9\-]++)(?:=([A-Za-z0-9\-_.!~*'()%\[\]/:&+$]++))?")
_TEL_SEPARATORS = str.maketrans("", "", "-.()")
_OTHER = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*+):([A-Za-z0-9\-_.!~*'()%;/?:@&=+$,\[\]#]++)")


def decode(text: str) -> str:
    """Undo % escapes; octets that are not UTF-8 become lone surrogates. ParseError for a broken escape."""
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise ParseError("Bad % escape in URI", text)
    return percent_decode(text, errors="surrogateescape")


def encode(text: str, safe: str) -> str:
    """Escape everything but letters, digits and `safe`."""
    return percent_encode(text, safe=safe, errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class TelUri:
    """A telephone number (RFC 3966). `number` keeps its visual separators; parameter names in lower case.

    A local number without phone-context breaks the RFC but is what web pages and people write, so it is accepted.
    """

    number: str
    params: Params = ()
    _text: str | None = field(default=None, init=False, repr=False, compare=False)

    scheme = "tel"

    @classmethod
    def parse(cls, text: str) -> TelUri:
        """Read one tel URI; ParseError 400."""
        if len(text) > MAX_URI:
            raise ParseError("URI too long", text, status=414)
        match = _TEL.fullmatch(text)
        if match is None or not match[1].translate(_TEL_SEPARATORS).lstrip("+"):
            raise ParseError("Bad tel URI", text)
        params: list[tuple[str, str | None]] = []
        for piece in match[2][1:].split(";") if match[2] else ():
            param = _TEL_PARAM.fullmatch(piece)
            if param is None:
                raise ParseError("Bad parameter in tel URI", piece)
            params.append((param[1].lower(), None if param[2] is None else decode(param[2])))
        check_params(params, "tel URI")
        uri = cls(match[1], tuple(params))
        object.__setattr__(uri, "_text", text)
        return uri

    def __str__(self) -> str:
        if self._text is not None:
            return self._text
        params = (
            f";{name}" if value is None else f";{name}={encode(value, PARAM_SAFE)}" for name, value in self.params
        )
        return f"tel:{self.number}{''.join(params)}"

    @property
    def digits(self) -> str:
        """The number without visual separators, as it is dialled and compared."""
        return self.number.translate(_TEL_SEPARATORS).lower()

    def param(self, name: str) -> str | None:
        """The value of a parameter; "" for one without a value, None for none."""
        return get_param(self.params, name)

    def matches(self, other: object) -> bool:
        """Whether both are the same number by RFC 3966 section 4."""
        if not isinstance(other, TelUri) or self.digits != other.digits:
            return False
        return self._compared_params() == other._compared_params()

    def _compared_params(self) -> dict[str, str]:
        """Parameters by name, with the visual separators taken out of those that hold numbers."""
        compared = {name.lower(): (value or "").lower() for name, value in self.params}
        for name in ("phone-context", "ext"):
            value = compared.get(name)
            if value is not None and (name == "ext" or value.startswith("+")):
                compared[name] = value.translate(_TEL_SEPARATORS)
        return compared


@dataclass(frozen=True, slots=True)
class OtherUri:
    """A URI of any other scheme, kept as it is: `rest` is what follows the colon."""

    scheme: str
    rest: str

    @classmethod
    def parse(cls, text: str) -> OtherUri:
        """Read any absolute URI; ParseError 400."""
        if len(text) > MAX_URI:
            raise ParseError("URI too long", text, status=414)
        match = _OTHER.fullmatch(text)
        if match is None or _BAD_ESCAPE.search(text):
            raise ParseError("Bad URI", text)
        return cls(match[1], match[2])

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"

    def matches(self, other: object) -> bool:
        """Whether both are the same: scheme without regard to case, the rest exactly."""
        return isinstance(other, OtherUri) and self.scheme.lower() == other.scheme.lower() and self.rest == other.rest
