"""What an Allocate request asks for, and why it may not have it. RFC 8656 section 7.2."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.ice.stun import Attribute, Message

DEFAULT_LIFETIME_S = 600  # RFC 8656 section 3.2
MAX_LIFETIME_S = 3600
IPV4, IPV6 = 1, 2  # as REQUESTED-ADDRESS-FAMILY writes them
TOKEN_BYTES = 8
_UDP = 17
_VERSIONS = {IPV4: 4, IPV6: 6}


@dataclass(slots=True)
class Refused(Exception):
    """The request is answered with this error."""

    code: int
    reason: str
    unknown: tuple[int, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Wish:
    """A sound Allocate: `families` as 4 and 6, the first one required unless both are asked for."""

    families: tuple[int, ...]
    lifetime_s: int
    even_port: bool = False
    reserve: bool = False  # the next port too, for a later Allocate with the token
    token: bytes | None = None

    @classmethod
    def read(cls, request: Message) -> Wish:
        """Refused for what is missing, does not go together or is no UDP relay; StunError for a bad value."""
        transport = request.get(Attribute.REQUESTED_TRANSPORT)
        if transport is None or len(transport) != 4:
            raise Refused(400, "REQUESTED-TRANSPORT is missing")
        if transport[0] != _UDP:
            raise Refused(442, "Only UDP is relayed")
        family = requested_family(request)
        second = request.get(Attribute.ADDITIONAL_ADDRESS_FAMILY)
        if second is None:  # coturn's own clients know it by its number before RFC 8656 only
            second = request.get(Attribute.ADDITIONAL_ADDRESS_FAMILY_DRAFT)
        even = request.get(Attribute.EVEN_PORT)
        token = request.get(Attribute.RESERVATION_TOKEN)
        reserve = even is not None and even[:1] >= b"\x80"
        wrong = (even is not None and len(even) != 1) or (token is not None and len(token) != TOKEN_BYTES)
        if token is not None:
            wrong |= even is not None or family is not None or second is not None
        if second is not None:
            wrong |= family is not None or reserve or second[:1] != bytes((IPV6,))
        if wrong:
            raise Refused(400, "These attributes do not go together")
        families = (4, 6) if second is not None else (family or 4,)
        return cls(families, granted_lifetime(request), even is not None, reserve, token)


def requested_family(request: Message) -> int | None:
    """Give 4 or 6 when REQUESTED-ADDRESS-FAMILY is there; a family that nobody knows is 440."""
    value = request.get(Attribute.REQUESTED_ADDRESS_FAMILY)
    if value is None:
        return None
    if value[:1] not in (bytes((IPV4,)), bytes((IPV6,))):
        raise Refused(440, "Address family not offered")
    return _VERSIONS[value[0]]


def granted_lifetime(request: Message) -> int:
    """Give the lifetime in seconds: what was asked for, within the default and the maximum."""
    asked = request.number(Attribute.LIFETIME)
    return min(max(asked or DEFAULT_LIFETIME_S, DEFAULT_LIFETIME_S), MAX_LIFETIME_S)
