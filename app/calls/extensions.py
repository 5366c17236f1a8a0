"""RTP header extensions and RTCP feedback in descriptions: what is offered, what is answered, what was agreed.

RFC 8285 (`a=extmap`), RFC 4585 section 4.2 and RFC 5104 section 7.1 (`a=rtcp-fb`), goog-remb of
draft-alvestrand-rmcat-remb, transport-cc of draft-holmer-rmcat-transport-wide-cc-extensions-01. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.calls.sdp import MediaDescription, SessionDescription
from app.media.plan import CodecPlan, StreamPlan

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ORIENTATION = "urn:3gpp:video-orientation"

_KNOWN = {"audio": (MID, TRANSPORT_CC), "video": (MID, TRANSPORT_CC, ORIENTATION)}
_USUAL_IDS = {MID: 1, TRANSPORT_CC: 2, ORIENTATION: 3}
_IDS = range(1, 256)  # 15 is kept for the end of a list; above it packets need the two-byte form (RFC 8285 section 4.3)
_NO_ID = 15
_MIRRORED = {"": "", "/sendrecv": "/sendrecv", "/sendonly": "/recvonly", "/recvonly": "/sendonly"}
_EXTMAP = re.compile(r"(\d{1,4})(/\w+)? +(\S+)")

_FEEDBACK = {
    "audio": ("nack", "transport-cc"),
    "video": ("nack", "nack pli", "ccm fir", "ccm tmmbr", "goog-remb", "transport-cc"),
}

Pairs = list[tuple[str, str | None]]
ExtensionIds = tuple[tuple[int, str], ...]


def ids_of(plan: StreamPlan) -> ExtensionIds:
    """The numbers that an agreed stream uses, with their URIs: they may not change within a session."""
    numbers = (plan.mid_extension_id, MID), (plan.transport_cc_id, TRANSPORT_CC), (plan.orientation_id, ORIENTATION)
    return tuple((number, uri) for number, uri in numbers if number is not None)


def offered_ids(kind: str, in_use: Iterable[tuple[int, str]]) -> ExtensionIds:
    """The numbers an m-line offers; `in_use` are those of all m-lines of the session.

    A number means the same in every m-line of a bundle (RFC 8285 section 7), so one that is taken is never given to
    another extension.
    """
    number_of = {uri: number for number, uri in in_use}
    for uri, usual in _USUAL_IDS.items():
        taken = set(number_of.values())
        if uri not in number_of:
            free = (number for number in _IDS if number != _NO_ID and number not in taken)
            number_of[uri] = usual if usual not in taken else next(free)
    return tuple((number_of[uri], uri) for uri in _KNOWN.get(kind, ()))


def offered_lines(kind: str, ids: ExtensionIds) -> Pairs:
    """The lines of an offer's m-line. Feedback is offered for every format at once: an INVITE should stay small."""
    lines: Pairs = [("rtcp-fb", f"* {feedback}") for feedback in _FEEDBACK.get(kind, ())]
    return lines + [("extmap", f"{number} {uri}") for number, uri in ids]


def answered_lines(offer: SessionDescription, media: MediaDescription, codecs: tuple[CodecPlan, ...]) -> Pairs:
    """The lines of an answer's m-line: of what was offered that which is known here, in the offer's numbers."""
    lines: Pairs = []
    for format_name, feedback in _feedback(media, codecs):
        if feedback in _FEEDBACK.get(media.kind, ()) and ("rtcp-fb", f"{format_name} {feedback}") not in lines:
            lines.append(("rtcp-fb", f"{format_name} {feedback}"))
    for number, direction, uri in _extensions(offer, media):
        lines.append(("extmap", f"{number}{_MIRRORED[direction]} {uri}"))
    if lines and offer.attribute_of(media, "extmap-allow-mixed") is not None:
        lines.append(("extmap-allow-mixed", None))
    return lines


def agreed_ids(description: SessionDescription, media: MediaDescription) -> dict[str, int]:
    """The numbers of the extensions known here, by URI, as the peer's m-line gives them."""
    return {uri: number for number, _, uri in _extensions(description, media)}


def agreed_feedback(media: MediaDescription, codecs: tuple[CodecPlan, ...]) -> frozenset[str]:
    """The kinds of feedback that the peer's m-line names for one of the codecs in common."""
    return frozenset(feedback for _, feedback in _feedback(media, codecs))


def _feedback(media: MediaDescription, codecs: tuple[CodecPlan, ...]) -> list[tuple[str, str]]:
    """Each line's format ("*" for all) and what it says, of the formats that count."""
    formats = {"*", *(str(codec.payload_type) for codec in codecs)}
    pairs = (value.partition(" ") for value in media.all_attributes("rtcp-fb")[:64])
    return [(name, " ".join(feedback.split())) for name, _, feedback in pairs if name in formats]


def _extensions(description: SessionDescription, media: MediaDescription) -> list[tuple[int, str, str]]:
    """Number, direction and URI of each extension known here; of two with one URI or number the first counts."""
    found: list[tuple[int, str, str]] = []
    for value in (*media.all_attributes("extmap"), *description.all_attributes("extmap"))[:64]:
        match = _EXTMAP.match(value)
        if match is None:
            continue
        number, direction, uri = int(match[1]), match[2] or "", match[3]
        if uri not in _KNOWN.get(media.kind, ()) or number not in _IDS or number == _NO_ID:
            continue
        if direction in _MIRRORED and all(uri != known and number != taken for taken, _, known in found):
            found.append((number, direction, uri))
    return found
