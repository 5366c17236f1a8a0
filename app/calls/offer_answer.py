"""Offer and answer: what this side proposes, and what both sides agreed on. RFC 3264, 8829's rules for bundles
(RFC 8843), 8839 (ICE), 5763 (DTLS), 4568 (SDES).

Pure: descriptions in, descriptions and agreements out. Streams are named by their mid ("0", "1"), which is also the
name of their ICE stream and of their media transport, unless BUNDLE puts them on the first one's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from app.calls.errors import DescriptionError
from app.calls.extensions import (
    MID,
    ORIENTATION,
    TRANSPORT_CC,
    ExtensionIds,
    agreed_feedback,
    agreed_ids,
    answered_lines,
    offered_ids,
    offered_lines,
)
from app.calls.formats import (
    as_offered,
    codec_attributes,
    codecs_for,
    codecs_of,
    in_common,
    own_rtx,
    packet_ms,
    rtx_of,
    with_own_parameters,
)
from app.calls.reading import (
    address_of,
    has_mismatch,
    ice_of,
    is_rtp,
    local_role,
    require_numeric_address,
    rtcp_address_of,
    security_offered,
    security_plan,
    security_to_answer,
    wants_rtcp_apart,
)
from app.calls.sdp import Attributes, Connection, MediaDescription, Origin, SessionDescription
from app.ice.candidates import IceDescription
from app.media.plan import CodecPlan, RtxTypes, SecurityPlan, StreamPlan
from app.media.sdes import SdesKey
from app.settings import Encryption, HostPort

Pairs = list[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class LocalStream:
    """What this side brings to one m-line: its place, its wishes and the address a peer without ICE would use."""

    name: str
    kind: str
    address: HostPort
    ice: IceDescription | None
    send: bool = True
    receive: bool = True
    remote_candidates: tuple[HostPort, ...] = ()  # R9: the far end of the selected pair
    mid: str | None = None  # as already negotiated; None: its name
    codecs: tuple[CodecPlan, ...] = ()  # as already negotiated, with the numbers in use; empty: by the terms
    rtx: RtxTypes = ()  # as already negotiated
    sdes_key: SdesKey | None = field(default=None, repr=False)  # of this side's own sending
    rtcp: HostPort | None = None  # where RTCP is received that is not multiplexed; None: where RTP is
    rtcp_mux: bool = True  # as already negotiated
    extensions: ExtensionIds = ()  # as already negotiated


Line = LocalStream | MediaDescription


@dataclass(frozen=True, slots=True)
class Terms:
    """What this side accepts: codecs, encryption, and how it proves who it is."""

    audio_codecs: tuple[str, ...]
    video_codecs: tuple[str, ...]
    encryption: Encryption
    fingerprint: str  # "sha-256 AA:BB:…"
    dtx: bool = False  # the peer is asked to send little while nobody speaks

    def codecs(self, kind: str) -> tuple[CodecPlan, ...]:
        return codecs_for(kind, self.video_codecs if kind == "video" else self.audio_codecs, dtx=self.dtx)

    def accepts(self, security: str) -> bool:
        return self.encryption is Encryption.BEST or self.encryption.value == security


@dataclass(frozen=True, slots=True)
class AgreedTransport:
    """One path that media will take: how to reach the peer on it and how it is protected."""

    name: str
    ice: IceDescription | None
    address: HostPort | None
    security: SecurityPlan
    rtcp_apart: bool = False  # RTCP has a way of its own (rtcp_apart.py) …
    rtcp_address: HostPort | None = None  # … which leads there, without ICE


@dataclass(frozen=True, slots=True)
class Agreement:
    """What offer and answer settled together. `poorer` says in sentences what this peer lacks."""

    transports: tuple[AgreedTransport, ...]
    streams: tuple[StreamPlan, ...]
    unused: tuple[str, ...]  # local streams that are not needed: refused or bundled
    remote_default: dict[str, HostPort]
    poorer: tuple[str, ...] = ()

    @property
    def uses_ice(self) -> bool:
        return any(transport.ice is not None for transport in self.transports)

    @property
    def security(self) -> str:
        return self.transports[0].security.kind if self.transports else "none"


# Writing -------------------------------------------------------------------------------------------------


def make_offer(
    origin: Origin, lines: tuple[Line, ...], terms: Terms, security: str, *, bundle: bool = True
) -> SessionDescription:
    """Describe what this side proposes (R2). `security` is "dtls", "sdes" or "none": one step of the ladder.

    `lines` are the m-lines in order; a MediaDescription among them is a line of the session that stays refused.
    """
    media = []
    streams = tuple(line for line in lines if isinstance(line, LocalStream))
    in_use = [pair for stream in streams for pair in stream.extensions]
    for stream in lines:
        if isinstance(stream, MediaDescription):
            media.append(_refused(stream))
            continue
        own = terms.codecs(stream.kind)
        codecs = with_own_parameters(stream.codecs, own) or own
        if not codecs:
            raise DescriptionError(f"no codec is left for {stream.kind}", 488)
        direction = _direction(stream.send, stream.receive)
        rtx = stream.rtx if stream.codecs else own_rtx(codecs)
        rows = _stream_lines(stream, codecs, direction, security, rtx)
        rows += offered_lines(stream.kind, offered_ids(stream.kind, in_use))
        media.append(_section(stream, _protocol(security), codecs, rows, rtx))
    attributes: Pairs = []
    if len(streams) > 1 and bundle:
        attributes.append(("group", "BUNDLE " + " ".join(stream.mid or stream.name for stream in streams)))
    return _session(origin, streams, media, attributes, terms, security)


def _session(
    origin: Origin,
    streams: tuple[LocalStream, ...],
    media: list[MediaDescription],
    attributes: Pairs,
    terms: Terms,
    security: str,
) -> SessionDescription:
    if any(stream.ice for stream in streams):
        options = dict.fromkeys(option for stream in streams if stream.ice for option in stream.ice.options)
        attributes.append(("ice-options", " ".join(options)))
        paces = [stream.ice.pacing_ms for stream in streams if stream.ice and stream.ice.pacing_ms]
        if paces:
            attributes.append(("ice-pacing", str(max(paces))))
    if any(stream.ice and stream.ice.lite for stream in streams):
        attributes.append(("ice-lite", None))
    if security == "dtls":
        attributes.append(("fingerprint", terms.fingerprint))
    address = streams[0].address.host if streams else origin.address
    return SessionDescription(
        origin=replace(origin, address=address),
        media=tuple(media),
        connection=Connection(address),
        attributes=tuple(attributes),
    )


def _stream_lines(
    stream: LocalStream, codecs: tuple[CodecPlan, ...], direction: str, security: str, rtx: RtxTypes
) -> Pairs:
    lines: Pairs = [("mid", stream.mid or stream.name), (direction, None)]
    if stream.rtcp_mux:
        lines.append(("rtcp-mux", None))
    lines.append(("rtcp", _rtcp_place(stream)))
    lines += codec_attributes(codecs, rtx)
    if security == "dtls":
        lines.append(("setup", "actpass"))
    elif security == "sdes" and stream.sdes_key is not None:
        lines.append(("crypto", stream.sdes_key.to_sdp()))
    if stream.ice is not None:
        lines += [("ice-ufrag", stream.ice.ufrag), ("ice-pwd", stream.ice.pwd)]
        lines += [("candidate", str(candidate)) for candidate in stream.ice.candidates]
        if _says_end(stream.ice):
            lines.append(("end-of-candidates", None))
        if stream.remote_candidates:
            pairs = " ".join(f"{i + 1} {place.host} {place.port}" for i, place in enumerate(stream.remote_candidates))
            lines.append(("remote-candidates", pairs))
    return lines


def _rtcp_place(stream: LocalStream) -> str:
    """Say where RTCP may come to that is not multiplexed: one port serves both, since packet types tell them apart."""
    place = stream.rtcp or stream.address
    return f"{place.port} IN {'IP6' if ':' in place.host else 'IP4'} {place.host}"


def _says_end(ice: IceDescription) -> bool:
    """Whoever speaks of trickle says when nothing follows (RFC 8840 section 4.1)."""
    return "trickle" in ice.options and ice.end_of_candidates


def _section(
    stream: LocalStream, protocol: str, codecs: tuple[CodecPlan, ...], lines: Pairs, rtx: RtxTypes
) -> MediaDescription:
    return MediaDescription(
        kind=stream.kind,
        port=stream.address.port,
        protocol=protocol,
        formats=(*(str(codec.payload_type) for codec in codecs), *(str(repair) for repair, _ in rtx)),
        connection=Connection(stream.address.host),
        attributes=tuple(lines),
    )


def _protocol(security: str) -> str:
    return {"dtls": "UDP/TLS/RTP/SAVPF", "sdes": "RTP/SAVP", "none": "RTP/AVP"}[security]


def _direction(send: bool, receive: bool) -> str:
    return {(True, True): "sendrecv", (True, False): "sendonly", (False, True): "recvonly"}.get(
        (send, receive), "inactive"
    )


# Answering -----------------------------------------------------------------------------------------------


def answer_offer(
    offer: SessionDescription,
    origin: Origin,
    streams: dict[int, LocalStream],
    terms: Terms,
    *,
    dtls_role: Literal["client", "server"] | None = None,
    again: bool = False,
) -> tuple[SessionDescription, Agreement]:
    """Answer an offer (R4), the first or one inside the call (`again`): the description to send and what it settles.

    `streams` holds this side's stream for each m-line index it is ready to take; the others are refused with port 0.
    `dtls_role` keeps the role of a handshake already made. DescriptionError 488 when nothing is left.
    """
    bundle = _bundle(offer, [offer.media[index].mid for index in streams])
    tag = bundle[0] if bundle else None
    poorer: dict[str, None] = {}
    sections: list[MediaDescription] = []
    agreed: list[_Agreed] = []
    for index, media in enumerate(offer.media):
        local = streams.get(index)
        common = in_common(codecs_of(media), terms.codecs(media.kind)) if local else ()
        security = security_to_answer(offer, media, keys_allowed=terms.accepts("sdes"))
        bundled = media.mid in bundle
        wanted = media.port != 0 or (bundled and media.has("bundle-only"))
        usable = wanted and bool(common) and is_rtp(media) and terms.accepts(security)
        if local is None or not usable:
            sections.append(_refused(media))
            continue
        head = next((entry for entry in agreed if bundled and entry.mid == tag), None)
        entry = _agree(offer, media, local, common, security, head, dtls_role, poorer, again=again)
        agreed.append(entry)
        sections.append(_answer_section(offer, media, local, entry, terms, bundled_behind=head is not None))
    if not agreed:
        raise DescriptionError("no codec or no encryption in common", 488)
    attributes: Pairs = []
    kept = [entry.mid for entry in agreed if entry.mid in bundle]
    if kept and bundle:
        attributes.append(("group", "BUNDLE " + " ".join(mid for mid in kept if mid)))
    used = tuple(entry.local for entry in agreed)
    answer = _session(origin, used, sections, attributes, terms, agreed[0].security.kind)
    agreement = _agreement(agreed, tuple(streams.values()), tuple(poorer))
    return answer, agreement


@dataclass(frozen=True, slots=True)
class _Agreed:
    local: LocalStream
    transport: str
    mid: str | None
    plan: StreamPlan
    ice: IceDescription | None
    address: HostPort | None
    security: SecurityPlan
    rtcp_apart: bool
    rtcp_address: HostPort | None


def _bundle(description: SessionDescription, wanted: list[str | None]) -> tuple[str, ...]:
    """The one bundle group this side follows: the first whose members include a wanted stream as its head."""
    for group in description.bundle_groups():
        kept = tuple(mid for mid in group if mid in wanted)
        if len(kept) > 1 and kept[0] == group[0]:
            return kept
    return ()


def _agree(
    remote: SessionDescription,
    media: MediaDescription,
    local: LocalStream,
    codecs: tuple[CodecPlan, ...],
    security: str,
    head: _Agreed | None,
    dtls_role: Literal["client", "server"] | None,
    poorer: dict[str, None],
    *,
    again: bool,
    answering: bool = True,
) -> _Agreed:
    if head is not None:
        ice, address, protection, transport = head.ice, head.address, head.security, head.transport
        mux, rtcp_apart, rtcp_address = head.plan.rtcp_mux, head.rtcp_apart, head.rtcp_address
    else:
        ice, address = ice_of(remote, media), address_of(remote, media)
        if ice is not None and has_mismatch(ice, address):
            ice = None
            poorer["Something on the way rewrote the addresses, so the path could not be chosen freely."] = None
        elif ice is None and local.ice is not None:
            poorer["The other side has no ICE: sound goes straight to the address it gave."] = None
        if ice is None or not ice.candidates:
            require_numeric_address(remote, media)
        if ice is None and address is None and not again:
            raise DescriptionError("an m= line without ICE and without an address", 488)
        role = dtls_role or local_role(remote, media, answering=answering)
        protection = security_plan(remote, media, security, role, local.sdes_key)
        transport = local.name
        mux = media.has("rtcp-mux")
        rtcp_address = rtcp_address_of(media, address) if ice is None and not mux else None
        if rtcp_address is not None and rtcp_address == address:
            mux, rtcp_address = True, None  # it names one port for both, as we do: that is the same in other words
        rtcp_apart = rtcp_address is not None or (ice is not None and wants_rtcp_apart(remote, media))
    if security == "sdes":
        poorer["The other side has no DTLS: the keys travelled in the signalling."] = None
    elif security == "none":
        poorer["The other side has no encryption: anyone on the way can listen."] = None
    direction = remote.direction_of(media)
    feedback, ids = agreed_feedback(media, codecs), agreed_ids(remote, media)
    transport_cc_id = ids.get(TRANSPORT_CC)
    plan = StreamPlan(
        name=local.name,
        kind="video" if media.kind == "video" else "audio",
        transport=transport,
        # Inside a call no address at all is the old way to ask for silence (RFC 3264 section 8.4).
        send=local.send and direction in ("sendrecv", "recvonly") and not (ice is None and address is None),
        receive=local.receive and direction in ("sendrecv", "sendonly"),
        codecs=codecs,
        nack="nack" in feedback,
        pli="nack pli" in feedback,
        fir="ccm fir" in feedback,
        rtx=rtx_of(media, codecs) if media.kind == "video" else (),
        mid=media.mid,
        mid_extension_id=ids.get(MID),
        rtcp_mux=mux,
        ptime_ms=packet_ms(media, "ptime"),
        maxptime_ms=packet_ms(media, "maxptime"),
        transport_cc_id=transport_cc_id,
        orientation_id=ids.get(ORIENTATION),
        transport_cc=transport_cc_id is not None and "transport-cc" in feedback,
        remb="goog-remb" in feedback,
        tmmbr="ccm tmmbr" in feedback,
    )
    return _Agreed(local, transport, media.mid, plan, ice, address, protection, rtcp_apart, rtcp_address)


def _refused(media: MediaDescription) -> MediaDescription:
    mid: Attributes = (("mid", media.mid),) if media.mid else ()
    return MediaDescription(media.kind, 0, media.protocol, media.formats, attributes=mid)


def _answer_section(
    offer: SessionDescription,
    media: MediaDescription,
    local: LocalStream,
    entry: _Agreed,
    terms: Terms,
    *,
    bundled_behind: bool,
) -> MediaDescription:
    direction = _direction(entry.plan.send, entry.plan.receive)
    lines: Pairs = []
    if media.mid is not None:
        lines.append(("mid", media.mid))
    lines.append((direction, None))
    if media.has("rtcp-mux"):
        lines.append(("rtcp-mux", None))
    elif not bundled_behind:
        lines.append(("rtcp", _rtcp_place(local)))
    codecs = with_own_parameters(entry.plan.codecs, terms.codecs(media.kind))
    rtx = entry.plan.rtx
    lines += codec_attributes(codecs, rtx)
    if entry.security.kind == "dtls" and not bundled_behind:
        lines.append(("setup", "active" if entry.security.dtls_role == "client" else "passive"))
    elif entry.security.sdes_local is not None and not bundled_behind:
        lines.append(("crypto", entry.security.sdes_local.to_sdp()))
    offered_ice = ice_of(offer, media)
    if entry.ice is not None and local.ice is not None and not bundled_behind:
        lines += [("ice-ufrag", local.ice.ufrag), ("ice-pwd", local.ice.pwd)]
        lines += [("candidate", str(candidate)) for candidate in local.ice.candidates]
        if _says_end(local.ice):
            lines.append(("end-of-candidates", None))
    elif entry.ice is None and offered_ice is not None and not bundled_behind:
        lines.append(("ice-mismatch", None))
    lines += answered_lines(offer, media, codecs)
    return _section(local, media.protocol, codecs, lines, rtx)


def read_answer(
    offer: SessionDescription,
    answer: SessionDescription,
    lines: tuple[Line, ...],
    terms: Terms,
    security: str,
    *,
    dtls_role: Literal["client", "server"] | None = None,
    again: bool = False,
) -> Agreement:
    """What the peer's answer settles; `lines` are those that make_offer was given."""
    if len(answer.media) != len(offer.media):
        raise DescriptionError(f"the answer has {len(answer.media)} m= lines for the offer's {len(offer.media)}")
    mids = [asked.mid for asked in offer.media]
    # An answer may leave out its mids (several SIP phones do): lines belong together by their order.
    named = tuple(
        media if media.mid else replace(media, attributes=(("mid", mid), *media.attributes))
        for media, mid in zip(answer.media, mids, strict=True)
    )
    answer = replace(answer, media=named)
    bundle = _bundle(answer, mids)
    poorer: dict[str, None] = {}
    agreed: list[_Agreed] = []
    for media, asked, local in zip(answer.media, offer.media, lines, strict=True):
        if isinstance(local, MediaDescription):
            continue
        bundled = media.mid in bundle
        if media.kind != asked.kind:
            raise DescriptionError(f"the answer has {media.kind[:20]!r} where the offer has {asked.kind!r}")
        if media.port == 0 and not (bundled and media.has("bundle-only")):
            continue
        common = in_common(codecs_of(media), terms.codecs(media.kind))
        if not common:
            continue
        head = next((entry for entry in agreed if bundled and entry.mid == bundle[0]), None)
        given = head.security.kind if head is not None else security_offered(answer, media)
        if given != security or not terms.accepts(given):
            raise DescriptionError(f"the answer protects media with {given}, the offer asked for {security}", 488)
        entry = _agree(answer, media, local, common, given, head, dtls_role, poorer, again=again, answering=False)
        also = as_offered(codecs_of(asked), common, entry.plan.rtx)
        agreed.append(replace(entry, plan=replace(entry.plan, also_received=also)))
    if not agreed:
        raise DescriptionError("the answer accepts nothing of the offer", 488)
    streams = tuple(line for line in lines if isinstance(line, LocalStream))
    if any(stream.kind == "video" for stream in streams) and all(entry.plan.kind != "video" for entry in agreed):
        poorer["The other side takes no picture, so this is a voice call."] = None
    return _agreement(agreed, streams, tuple(poorer))


def _agreement(agreed: list[_Agreed], streams: tuple[LocalStream, ...], poorer: tuple[str, ...]) -> Agreement:
    transports: dict[str, AgreedTransport] = {}
    defaults: dict[str, HostPort] = {}
    for entry in agreed:
        if entry.transport not in transports:
            transports[entry.transport] = AgreedTransport(
                entry.transport, entry.ice, entry.address, entry.security, entry.rtcp_apart, entry.rtcp_address
            )
        if entry.address is not None:
            defaults.setdefault(entry.transport, entry.address)
    return Agreement(
        transports=tuple(transports.values()),
        streams=tuple(entry.plan for entry in agreed),
        unused=tuple(stream.name for stream in streams if stream.name not in transports),
        remote_default=defaults,
        poorer=poorer,
    )
