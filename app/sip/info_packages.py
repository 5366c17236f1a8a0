"""Info packages (RFC 6086): which INFO bodies this user agent takes inside a dialog, and what it says of them.

Pure. The only package is `trickle-ice` (RFC 8840 section 10); it is on where its option tag stands among the supported
ones. An INFO without a package is of the old kind (RFC 2976): it is answered 200 and handed on as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.sip.editing import option_tags
from app.sip.message import Request, Response, response_to

TRICKLE = "trickle-ice"
_CONTENT_TYPES = {TRICKLE: "application/trickle-ice-sdpfrag"}


def packages_of(supported: Iterable[str]) -> tuple[str, ...]:
    """The packages that go with these option tags, as Recv-Info names them."""
    return tuple(tag for tag in supported if tag in _CONTENT_TYPES)


def content_type_of(package: str) -> str:
    return _CONTENT_TYPES[package]


def package_of(request: Request) -> str | None:
    """The package of an INFO, in lower case without its parameters; None for one of the old kind."""
    value = request.headers.get("Info-Package")
    return None if value is None else value.partition(";")[0].strip().lower()


def takes(message: Request | Response, package: str) -> bool:
    """Whether the sender of an INVITE, a provisional or a 2xx wants INFO of this package (RFC 6086 section 5.2)."""
    named = {value.partition(";")[0].strip() for value in option_tags(message, "Recv-Info")}
    return package in named and package in option_tags(message, "Supported")


def judge(info: Request, packages: tuple[str, ...], *, to_tag: str | None) -> Response | None:
    """The refusal of an INFO, or None: 469 for a package that is not taken, 415 for a body that is not of it."""
    package = package_of(info)
    if package is None:
        return None
    if package not in packages:
        refusal = response_to(info, 469, to_tag=to_tag)
        refusal.headers.add("Recv-Info", ", ".join(packages))  # empty: none at all (RFC 6086 section 4.2.2)
        return refusal
    content_type = info.content_type
    if info.body and (content_type is None or content_type.essence != _CONTENT_TYPES[package]):
        refusal = response_to(info, 415, to_tag=to_tag)
        refusal.headers.add("Accept", _CONTENT_TYPES[package])
        return refusal
    return None
