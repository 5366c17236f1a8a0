"""What a user agent looks at before it gives a request to a dialog: method, URI scheme, extensions, content.

RFC 3261 sections 8.2.1 to 8.2.3, RFC 4475 section 3.3. Pure; says nothing about who sent the request.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.sip.errors import ParseError
from app.sip.message import METHODS, Request, Response, response_to

_SDP = "application/sdp"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this user agent understands. Methods are upper case, content types lower case, as `type/subtype`."""

    methods: tuple[str, ...]
    extensions: tuple[str, ...] = ()
    content_types: tuple[str, ...] = (_SDP,)
    schemes: tuple[str, ...] = ("sip", "sips", "tel")


def screen(request: Request, abilities: Abilities, *, to_tag: str | None = None) -> Response | None:
    """The refusal of a request that this user agent cannot serve, or None when it can go on.

    405 or 501 with Allow, 416, 420 with Unsupported, 415 with Accept, 406, 400. An ACK is never refused; what a CANCEL
    requires is not asked (section 8.2.2.3).
    """
    method = request.method
    if method == "ACK":
        return None
    if method not in abilities.methods:
        refusal = response_to(request, 405 if method in METHODS else 501, to_tag=to_tag)
        refusal.headers.add("Allow", ", ".join(abilities.methods))
        return refusal
    if request.uri.scheme.lower() not in abilities.schemes:
        return response_to(request, 416, to_tag=to_tag)
    try:
        return _extensions(request, abilities, to_tag) or _content(request, abilities, to_tag)
    except ParseError as error:
        return response_to(request, error.status, error.reason, to_tag=to_tag)


def _extensions(request: Request, abilities: Abilities, to_tag: str | None) -> Response | None:
    if request.method == "CANCEL":
        return None
    unknown = [tag for tag in request.require if tag.lower() not in abilities.extensions]
    if not unknown:
        return None
    refusal = response_to(request, 420, to_tag=to_tag)
    refusal.headers.add("Unsupported", ", ".join(unknown))
    return refusal


def _content(request: Request, abilities: Abilities, to_tag: str | None) -> Response | None:
    if request.method == "INVITE" and not _accepts_sdp(request):
        return response_to(request, 406, to_tag=to_tag)
    disposition = (request.headers.get("Content-Disposition") or "").lower()
    if not request.body or "handling=optional" in disposition.replace(" ", ""):
        return None
    content_type = request.content_type
    if content_type is None:
        raise ParseError("Missing Content-Type header")
    encoding = (request.headers.get("Content-Encoding") or "identity").lower()
    if content_type.essence in abilities.content_types and encoding == "identity":
        return None
    refusal = response_to(request, 415, to_tag=to_tag)
    refusal.headers.add("Accept", ", ".join(abilities.content_types))
    refusal.headers.add("Accept-Encoding", "identity")
    return refusal


def _accepts_sdp(request: Request) -> bool:
    """Whether the answer may hold SDP: no Accept means yes, an empty one no (RFC 3261 section 20.1)."""
    if "Accept" not in request.headers:
        return True
    ranges = {item.partition(";")[0].replace(" ", "").lower() for item in request.headers.all("Accept")}
    return not ranges.isdisjoint({_SDP, "application/*", "*/*"})
