"""What one m-line of a peer's description says: its ICE parameters, its address, its keys, its role.

Pure: reads values out of a parsed description; offer_answer.py decides what follows from them.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace
from typing import Literal

from app.calls.errors import DescriptionError
from app.calls.sdp import MediaDescription, SessionDescription
from app.ice.candidates import Candidate, IceDescription, ParseError
from app.media.errors import MediaError
from app.media.plan import SecurityPlan
from app.media.sdes import SdesKey
from app.settings import HostPort

MAX_CANDIDATES = 64

_RTCP = re.compile(r"(\d{1,5})(?: +IN +IP[46] +(\S+))?")
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){15,63}")  # RFC 8122 section 5; MD5 to SHA-512


def security_offered(description: SessionDescription, media: MediaDescription) -> str:
    """Which protection an m-line speaks of: a fingerprint means DTLS whatever the protocol field says."""
    if description.attribute_of(media, "fingerprint"):
        return "dtls"
    if media.has("crypto") and "SAVP" in media.protocol:
        return "sdes"
    return "none"


def security_to_answer(description: SessionDescription, media: MediaDescription, *, keys_allowed: bool) -> str:
    """The same for an offer: keys beside plain RTP, as phones whose encryption is optional offer them, are taken."""
    offered = security_offered(description, media)
    return "sdes" if offered == "none" and keys_allowed and _usable_keys(media) else offered


def ice_of(description: SessionDescription, media: MediaDescription) -> IceDescription | None:
    """The peer's ICE parameters of one m-line; None when it has none. RFC 8839 section 5."""
    ufrag = description.attribute_of(media, "ice-ufrag")
    pwd = description.attribute_of(media, "ice-pwd")
    if ufrag is None or pwd is None or media.has("ice-mismatch"):
        return None
    candidates: list[Candidate] = []
    for text in media.all_attributes("candidate")[:MAX_CANDIDATES]:
        try:
            candidates.append(Candidate.parse(text))
        except ParseError:
            continue  # RFC 8839 section 5.1: a candidate that is not understood is ignored
    options = tuple((description.attribute_of(media, "ice-options") or "").split())
    whole = media.has("end-of-candidates") or description.has("end-of-candidates")
    pacing = description.attribute("ice-pacing") or ""
    pacing_ms = int(pacing) if pacing.isascii() and pacing.isdigit() and len(pacing) <= 5 else None
    try:
        lite = description.has("ice-lite")
        return IceDescription(ufrag, pwd, tuple(candidates), options, lite, pacing_ms or None, whole)
    except ParseError as error:
        raise DescriptionError(str(error)) from error


def trickles(description: SessionDescription) -> bool:
    """Whether candidates may follow this description, or its answer: RFC 8840 section 4.1.

    Every m-line that is not refused needs a mid then, by which later candidates name it.
    """
    lines = [media for media in description.media if media.port or media.has("bundle-only")]
    return bool(lines) and all(
        media.mid and "trickle" in (description.attribute_of(media, "ice-options") or "").split() for media in lines
    )


def address_of(description: SessionDescription, media: MediaDescription) -> HostPort | None:
    """Where the m-line's media would go without ICE; None when it names no real place."""
    connection = description.connection_of(media)
    if connection is None:
        raise DescriptionError("there is no c= line for an m= line")
    if media.port == 0 or media.port == 9:
        return None
    if connection.address in ("0.0.0.0", "::") or not _is_numeric(connection.address):
        return None
    return HostPort(connection.address, media.port)


def rtcp_address_of(media: MediaDescription, address: HostPort | None) -> HostPort | None:
    """Where RTCP goes that is not multiplexed with RTP, without ICE: as a=rtcp says (RFC 3605), else one port above."""
    if address is None:
        return None
    said = _RTCP.fullmatch((media.attribute("rtcp") or "").strip())
    if said is None:
        return HostPort(address.host, address.port + 1) if address.port < 65535 else None
    port, host = int(said[1]), said[2] or address.host
    usable = 0 < port < 65536 and _is_numeric(host) and not ipaddress.ip_address(host).is_unspecified
    return HostPort(host, port) if usable else None


def wants_rtcp_apart(description: SessionDescription, media: MediaDescription) -> bool:
    """Whether an m-line of an offer needs a path with ICE for its RTCP alone."""
    ice = ice_of(description, media) if not media.has("rtcp-mux") else None
    return ice is not None and any(candidate.component == 2 for candidate in ice.candidates)


def require_numeric_address(description: SessionDescription, media: MediaDescription) -> None:
    """Refuse an m-line whose only place is a name: a peer's name is never looked up, it may be anybody's."""
    connection = description.connection_of(media)
    if connection is not None and not _is_numeric(connection.address):
        raise DescriptionError(f"{connection.address[:60]!r} is not an address that media can be sent to", 488)


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_rtp(media: MediaDescription) -> bool:
    """Whether the m-line's protocol is RTP in one of its profiles, whatever lies below it."""
    return re.fullmatch(r"([A-Z]+/)*RTP/S?AVPF?", media.protocol, re.IGNORECASE) is not None


def has_mismatch(ice: IceDescription, address: HostPort | None) -> bool:
    """True when somebody on the way rewrote m/c: the default is not among the candidates. RFC 8839 section 4.2.5."""
    if address is None or not ice.candidates:
        return False
    return all((candidate.address, candidate.port) != (address.host, address.port) for candidate in ice.candidates)


def security_plan(
    description: SessionDescription,
    media: MediaDescription,
    kind: str,
    local_role: Literal["client", "server"],
    local_key: SdesKey | None,
) -> SecurityPlan:
    if kind == "dtls":
        values = media.all_attributes("fingerprint") or description.all_attributes("fingerprint")
        prints = []
        for value in values[:8]:
            algorithm, _, digits = value.strip().partition(" ")
            if not _FINGERPRINT.fullmatch(digits.strip()):
                raise DescriptionError(f"{value[:60]!r} is not a certificate's fingerprint")
            prints.append((algorithm.lower(), digits.strip().upper()))
        return SecurityPlan("dtls", dtls_role=local_role, fingerprints=tuple(prints))
    if kind == "sdes":
        for theirs in _usable_keys(media):
            if local_key is not None:
                ours = replace(local_key, tag=theirs.tag, suite=theirs.suite)
                return SecurityPlan("sdes", sdes_local=ours, sdes_remote=theirs)
        raise DescriptionError("none of the offered SDES keys can be used", 488)
    return SecurityPlan("none")


def _usable_keys(media: MediaDescription) -> list[SdesKey]:
    """The keys of an m-line whose suite and parameters are known here, the peer's favourite first (RFC 4568)."""
    keys = []
    for value in media.all_attributes("crypto")[:8]:
        try:
            keys.append(SdesKey.parse(value))
        except MediaError:
            continue  # another line may do
    return keys


def local_role(
    description: SessionDescription, media: MediaDescription, *, answering: bool
) -> Literal["client", "server"]:
    """Who begins the DTLS handshake, RFC 5763 section 5: this side is the client when it is active."""
    setup = description.attribute_of(media, "setup") or ("actpass" if answering else "active")
    return "server" if setup == "active" else "client"
