"""Candidates and descriptions: the value objects that two ICE agents exchange through their signalling.

RFC 8445 section 5.1 (what a candidate is, its priority and foundation) and RFC 8839 section 5.1 (how it is
written in SDP). Pure data; nothing here knows how a candidate was found.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum

from app.events import CandidateType

UFRAG_LENGTH = 8
PWD_LENGTH = 24
_ICE_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_FOUNDATION = re.compile(r"[A-Za-z0-9+/]{1,32}")
_HOST = re.compile(r"[A-Za-z0-9.:_-]{1,253}")
MAX_EXTENSIONS = 16
MAX_CANDIDATE_LENGTH = 1024

_TYPE_PREFERENCE = {
    CandidateType.HOST: 126,
    CandidateType.PRFLX: 110,
    CandidateType.SRFLX: 100,
    CandidateType.RELAY: 0,
}
_TCP_TYPE_PREFERENCE = {
    CandidateType.HOST: 90,
    CandidateType.PRFLX: 80,
    CandidateType.SRFLX: 70,
    CandidateType.RELAY: 0,
}
"""Below every direct UDP candidate and above every relay (RFC 6544 section 4.2 leaves the numbers to us)."""


class TcpType(StrEnum):
    """Who opens the connection, RFC 6544 section 4.1: `so` means both at once."""

    ACTIVE = "active"
    PASSIVE = "passive"
    SO = "so"


_DIRECTION_PREFERENCE = {TcpType.ACTIVE: 6, TcpType.PASSIVE: 4, TcpType.SO: 2}
_DIRECTION_PREFERENCE_REFLEXIVE = {TcpType.SO: 6, TcpType.ACTIVE: 4, TcpType.PASSIVE: 2}
TCP_ACTIVE_PORT = 9
"""What an active candidate names as its port: nobody connects to it (RFC 6544 section 4.5)."""


class IceError(Exception):
    """What the peer or the caller handed in cannot be used; the message names it."""


class ParseError(IceError):
    """A candidate or a description as the peer wrote it is not well formed; the message shows where."""


class IceFailed(Exception):
    """No path was found, or the path was lost; the message is one sentence for a person."""


def candidate_priority(kind: CandidateType, local_preference: int, component: int = 1, protocol: str = "udp") -> int:
    """Compute a candidate's priority, RFC 8445 section 5.1.2.1; local_preference 0 to 65535."""
    preference = _TCP_TYPE_PREFERENCE if protocol == "tcp" else _TYPE_PREFERENCE
    return (preference[kind] << 24) + (local_preference << 8) + (256 - component)


def tcp_local_preference(kind: CandidateType, tcptype: TcpType, other: int) -> int:
    """Compute a TCP candidate's local preference, RFC 6544 section 4.2; `other` 0 to 8191 keeps them unique."""
    reflexive = kind in (CandidateType.SRFLX, CandidateType.PRFLX)
    direction = (_DIRECTION_PREFERENCE_REFLEXIVE if reflexive else _DIRECTION_PREFERENCE)[tcptype]
    return (direction << 13) + other


def pair_priority(controlling: int, controlled: int) -> int:
    """Compute a pair's priority from the candidates of both sides, RFC 8445 section 6.1.2.3."""
    return (min(controlling, controlled) << 32) + 2 * max(controlling, controlled) + (controlling > controlled)


def normal_address(text: str) -> str | None:
    """Give the canonical spelling of a numeric address without scope; None when it is not one."""
    try:
        return str(ipaddress.ip_address(text)) if "%" not in text else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One transport address at which an agent may be reached, as signalled.

    `protocol` is "udp" or whatever else the peer wrote, in lower case; `address` is numeric in canonical
    spelling or, from a peer, a host name (see `is_numeric`). `extensions` keeps what follows in order.
    """

    foundation: str
    component: int
    protocol: str
    priority: int
    address: str
    port: int
    type: CandidateType
    related_address: str | None = None
    related_port: int | None = None
    extensions: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Write the value of a=candidate, without the attribute's name."""
        text = (
            f"{self.foundation} {self.component} {self.protocol.upper()} {self.priority} "
            f"{self.address} {self.port} typ {self.type.value}"
        )
        if self.related_address is not None:
            text += f" raddr {self.related_address} rport {self.related_port or 0}"
        return text + "".join(f" {name} {value}" for name, value in self.extensions)

    @property
    def is_numeric(self) -> bool:
        return normal_address(self.address) is not None

    @property
    def tcptype(self) -> TcpType | None:
        """Who opens the connection, for a TCP candidate that says so."""
        for name, value in self.extensions:
            if name.lower() == "tcptype" and value.lower() in set(TcpType):
                return TcpType(value.lower())
        return None

    @property
    def transport_address(self) -> tuple[str, int]:
        return self.address, self.port

    @classmethod
    def parse(cls, text: str) -> Candidate:
        """Read the value of a=candidate; ParseError names what is wrong. A type we do not know is an error too."""
        shown = repr(text[:80])
        text = text.strip().removeprefix("a=").removeprefix("candidate:")
        words = text.split()
        if len(text) > MAX_CANDIDATE_LENGTH or len(words) < 8 or len(words) % 2:
            raise ParseError(f"candidate {shown} does not have the fields it must have")
        foundation, component, protocol, priority, address, port, typ, kind, *rest = words
        if typ.lower() != "typ" or kind.lower() not in set(CandidateType):
            raise ParseError(f"candidate {shown} is of no type known here")
        if not _FOUNDATION.fullmatch(foundation) or not _HOST.fullmatch(address):
            raise ParseError(f"candidate {shown} has a foundation or address with characters it must not have")
        pairs = list(zip(rest[::2], rest[1::2], strict=True))
        related = dict(reversed(pairs))
        if len(pairs) > MAX_EXTENSIONS:
            raise ParseError(f"candidate {shown} has more than {MAX_EXTENSIONS} extensions")
        # The two belong together (RFC 8839 section 5.1): without the address the port means nothing.
        related_port = related.get("rport", "0") if "raddr" in related else None
        return cls(
            foundation=foundation,
            component=_number(component, 1, 256, shown, "component"),
            protocol=protocol.lower(),
            priority=_number(priority, 1, 2**31 - 1, shown, "priority"),
            address=normal_address(address) or address.lower(),
            port=_number(port, 0, 65535, shown, "port"),
            type=CandidateType(kind.lower()),
            related_address=related.get("raddr"),
            related_port=None if related_port is None else _number(related_port, 0, 65535, shown, "rport"),
            extensions=tuple(pair for pair in pairs if pair[0] not in ("raddr", "rport")),
        )


def _number(text: str, low: int, high: int, shown: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and low <= int(text) <= high):
        raise ParseError(f"candidate {shown} has a {what} that is not from {low} to {high}")
    return int(text)


@dataclass(frozen=True, slots=True)
class IceDescription:
    """What one side says of itself for one stream: credentials, candidates, options.

    `options` are the a=ice-options tokens ("ice2", …). `pacing_ms` is a=ice-pacing, None when not written
    (which means 50, RFC 8839 section 5.5). With `end_of_candidates` nothing follows; without it more may come if
    the options say "trickle" (RFC 8838 section 13).
    """

    ufrag: str
    pwd: str
    candidates: tuple[Candidate, ...] = ()
    options: tuple[str, ...] = ()
    lite: bool = False
    pacing_ms: int | None = None
    end_of_candidates: bool = False

    def __post_init__(self) -> None:
        if not _UFRAG.fullmatch(self.ufrag):
            raise ParseError(f"ice-ufrag {self.ufrag[:40]!r} is not 4 to 256 ice characters (RFC 8839 section 5.4)")
        if not _PWD.fullmatch(self.pwd):
            raise ParseError("ice-pwd is not 22 to 256 ice characters (RFC 8839 section 5.4)")
        if self.pacing_ms is not None and not 1 <= self.pacing_ms <= 99999:
            raise ParseError(f"ice-pacing {self.pacing_ms} is not from 1 to 99999 milliseconds")

    def same_credentials(self, other: IceDescription | None) -> bool:
        """Tell whether another description belongs to the same ICE session; new credentials mean a restart."""
        return other is not None and (self.ufrag, self.pwd) == (other.ufrag, other.pwd)

    @property
    def may_grow(self) -> bool:
        """Tell whether candidates may follow."""
        return "trickle" in self.options and not self.end_of_candidates

    def __repr__(self) -> str:
        return f"IceDescription(ufrag={self.ufrag!r}, {len(self.candidates)} candidates, lite={self.lite})"


def make_credential(length: int, bits: int) -> str:
    """Spell `length` ice characters from a random number of at least 6*length bits."""
    return "".join(_ICE_CHARS[bits >> 6 * place & 63] for place in range(length))
