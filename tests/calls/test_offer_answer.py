"""Offers and answers between two sides of ours, and with the descriptions of other phones."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from app.calls.errors import DescriptionError, PartialRestart
from app.calls.legs import Leg, StreamWish
from app.calls.negotiation import Negotiation
from app.calls.offer_answer import Agreement, LocalStream, Terms, answer_offer, make_offer, read_answer
from app.calls.sdp import MediaDescription, Origin, SessionDescription
from app.ice.candidates import Candidate, IceDescription
from app.media.plan import StreamPlan
from app.media.sdes import SdesKey
from app.settings import Encryption, HostPort

A_PRINT = "sha-256 " + ":".join(["AA"] * 32)
B_PRINT = "sha-256 " + ":".join(["BB"] * 32)


def terms(fingerprint: str = A_PRINT, encryption: Encryption = Encryption.BEST) -> Terms:
    return Terms(("opus", "pcmu"), ("vp8",), encryption, fingerprint)


def stream(name: str, kind: str, host: str, port: int, *, ice: bool = True, **wishes: bool) -> LocalStream:
    candidate = Candidate.parse(f"1 1 UDP 2130706431 {host} {port} typ host")
    description = IceDescription("ufrag" + name, "p" * 22 + name, (candidate,), ("ice2",), False) if ice else None
    return LocalStream(name, kind, HostPort(host, port), description, sdes_key=SdesKey.generate(), **wishes)


def ours(host: str, base: int, **kwargs: bool) -> tuple[LocalStream, ...]:
    return stream("0", "audio", host, base, **kwargs), stream("1", "video", host, base + 2, **kwargs)


def negotiate(security: str = "dtls", *, ice: bool = True) -> tuple[SessionDescription, Agreement, Agreement]:
    mine, theirs = ours("192.0.2.1", 4000, ice=ice), ours("192.0.2.2", 5000, ice=ice)
    offer = SessionDescription.parse(bytes(make_offer(Origin(1, 1), mine, terms(), security)))
    answer, callee = answer_offer(offer, Origin(2, 1), dict(enumerate(theirs)), terms(B_PRINT))
    caller = read_answer(offer, SessionDescription.parse(bytes(answer)), mine, terms(), security)
    return answer, caller, callee


def test_two_parleys_bundle_everything_on_one_encrypted_path() -> None:
    _, caller, callee = negotiate()
    for side in (caller, callee):
        assert [transport.name for transport in side.transports] == ["0"]
        assert side.unused == ("1",)
        assert {plan.transport for plan in side.streams} == {"0"}
        assert [plan.codecs[0].name for plan in side.streams] == ["opus", "VP8"]
        assert side.streams[1].rtx == ((98, 97),)
        assert side.poorer == ()
    assert {caller.transports[0].security.dtls_role, callee.transports[0].security.dtls_role} == {"client", "server"}
    assert callee.transports[0].security.dtls_role == "client"  # the answerer is active
    assert caller.transports[0].security.fingerprints[0][1] == "BB:" * 31 + "BB"


def test_sdes_gives_each_side_the_others_key() -> None:
    _, caller, callee = negotiate("sdes")
    a, b = caller.transports[0].security, callee.transports[0].security
    assert a.sdes_local is not None
    assert a.sdes_remote is not None
    assert b.sdes_local is not None
    assert b.sdes_remote is not None
    assert (a.sdes_local.key, a.sdes_remote.key) == (b.sdes_remote.key, b.sdes_local.key)
    assert any("keys travelled" in sentence for sentence in caller.poorer)


@pytest.mark.parametrize(
    ("encryption", "key", "agreed"),
    [
        (Encryption.BEST, b"", "sdes"),
        (Encryption.SDES, b"", "sdes"),
        (Encryption.NONE, b"", "none"),
        (Encryption.BEST, b"X_UNKNOWN", "none"),
    ],
)
def test_keys_offered_beside_plain_rtp_are_taken(encryption: Encryption, key: bytes, agreed: str) -> None:
    """Phones whose encryption is optional (baresip's mediaenc=srtp) offer RTP/AVP with a=crypto."""
    mine, theirs = ours("192.0.2.1", 4000), ours("192.0.2.2", 5000)
    offered = bytes(make_offer(Origin(1, 1), mine, terms(), "sdes")).replace(b"RTP/SAVP", b"RTP/AVP")
    if key:
        offered = offered.replace(b"AES_CM_128", key)
    offer = SessionDescription.parse(offered)
    answer, callee = answer_offer(offer, Origin(2, 1), dict(enumerate(theirs)), terms(B_PRINT, encryption))
    assert callee.security == agreed
    assert answer.media[0].protocol == "RTP/AVP"
    assert answer.media[0].has("crypto") is (agreed == "sdes")


def test_no_encryption_is_said() -> None:
    _, caller, _ = negotiate("none")
    assert any("anyone on the way can listen" in sentence for sentence in caller.poorer)


def test_without_ice_the_address_in_m_and_c_is_used() -> None:
    _, caller, callee = negotiate(ice=False)
    assert caller.transports[0].address == HostPort("192.0.2.2", 5000)
    assert callee.transports[0].address == HostPort("192.0.2.1", 4000)
    assert not caller.uses_ice


def test_a_peer_without_bundle_or_mids_gets_a_path_for_each_stream() -> None:
    mine = ours("192.0.2.1", 4000)
    offer = make_offer(Origin(1, 1), mine, terms(), "dtls")
    theirs = ours("192.0.2.2", 5000)
    stripped = replace(
        offer,
        attributes=tuple(pair for pair in offer.attributes if pair[0] != "group"),
        media=tuple(
            replace(media, attributes=tuple(pair for pair in media.attributes if pair[0] != "mid"))
            for media in offer.media
        ),
    )
    answer, _ = answer_offer(stripped, Origin(2, 1), dict(enumerate(theirs)), terms(B_PRINT))
    assert all(media.mid is None for media in answer.media)
    caller = read_answer(offer, answer, mine, terms(), "dtls")
    assert [transport.name for transport in caller.transports] == ["0", "1"]
    assert caller.unused == ()


def test_a_later_offer_that_puts_two_paths_on_one_is_no_restart() -> None:
    """Chromium gives the second stream the credentials of the first one then: they are those of the path it joins."""
    negotiation = Negotiation(terms(B_PRINT))
    separate, answering = ours("192.0.2.1", 4000), ours("192.0.2.2", 5000)
    first = make_offer(Origin(1, 1), separate, terms(), "dtls", bundle=False)
    _, agreement = answer_offer(first, Origin(2, 1), dict(enumerate(answering)), terms(B_PRINT))
    assert [transport.name for transport in agreement.transports] == ["0", "1"]
    leg = cast(Leg, SimpleNamespace(agreement=agreement))
    wishes = {0: StreamWish("0", "audio"), 1: StreamWish("1", "video")}
    joined = separate[0], replace(separate[1], ice=separate[0].ice)
    assert not negotiation.asks_restart(bytes(make_offer(Origin(1, 2), joined, terms(), "dtls")), leg, wishes)
    with pytest.raises(PartialRestart):
        negotiation.asks_restart(bytes(make_offer(Origin(1, 2), joined, terms(), "dtls", bundle=False)), leg, wishes)


def test_a_refused_video_line_leaves_a_voice_call() -> None:
    mine = ours("192.0.2.1", 4000)
    offer = make_offer(Origin(1, 1), mine, terms(), "dtls")
    answer, callee = answer_offer(offer, Origin(2, 1), {0: stream("0", "audio", "192.0.2.2", 5000)}, terms(B_PRINT))
    assert answer.media[1].port == 0
    assert not any(plan.kind == "video" for plan in callee.streams)
    caller = read_answer(offer, answer, mine, terms(), "dtls")
    assert not any(plan.kind == "video" for plan in caller.streams)
    assert caller.unused == ("1",)
    assert caller.poorer == ("The other side takes no picture, so this is a voice call.",)


def test_a_rewritten_address_is_an_ice_mismatch_and_is_told() -> None:
    mine, theirs = ours("192.0.2.1", 4000), ours("192.0.2.2", 5000)
    offer = make_offer(Origin(1, 1), mine, terms(), "dtls")
    rewritten = SessionDescription.parse(bytes(offer).replace(b"m=audio 4000", b"m=audio 4444"))
    answer, callee = answer_offer(rewritten, Origin(2, 1), {0: theirs[0]}, terms(B_PRINT))
    assert answer.media[0].has("ice-mismatch")
    assert not answer.media[0].has("candidate")
    assert callee.transports[0].address == HostPort("192.0.2.1", 4444)
    assert any("rewrote" in sentence for sentence in callee.poorer)


def test_directions_meet() -> None:
    mine = (stream("0", "audio", "192.0.2.1", 4000), stream("1", "video", "192.0.2.1", 4002, send=False))
    offer = make_offer(Origin(1, 1), mine, terms(), "dtls")
    answer, callee = answer_offer(offer, Origin(2, 1), dict(enumerate(ours("192.0.2.2", 5000))), terms(B_PRINT))
    assert answer.media[1].direction == "sendonly"
    video = callee.streams[1]
    assert (video.send, video.receive) == (True, False)


def test_the_answer_uses_the_offers_payload_numbers() -> None:
    offer = make_offer(Origin(1, 1), ours("192.0.2.1", 4000), terms(), "dtls")
    renumbered = SessionDescription.parse(bytes(offer).replace(b"96", b"111"))
    answer, callee = answer_offer(renumbered, Origin(2, 1), dict(enumerate(ours("192.0.2.2", 5000))), terms(B_PRINT))
    assert answer.media[0].formats == ("111", "0", "63", "110", "13", "101")
    assert "63 111/111" in answer.media[0].all_attributes("fmtp")
    assert callee.streams[0].codecs[0].payload_type == 111


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((b"opus/48000/2", b"speex/8000"), "nothing"),
        ((b"m=video", b"m=text"), "'text'"),
    ],
)
def test_an_unusable_answer_is_refused_in_words(change: tuple[bytes, bytes], words: str) -> None:
    mine = ours("192.0.2.1", 4000)
    offer = make_offer(Origin(1, 1), mine, replace(terms(), audio_codecs=("opus",)), "dtls")
    answer, _ = answer_offer(offer, Origin(2, 1), dict(enumerate(ours("192.0.2.2", 5000))), terms(B_PRINT))
    spoiled = bytes(answer).replace(*change)
    if words == "nothing":
        spoiled = spoiled.replace(b"VP8", b"XYZ")
    with pytest.raises(DescriptionError, match=words):
        read_answer(offer, SessionDescription.parse(spoiled), mine, terms(), "dtls")


def test_encryption_dtls_refuses_a_plain_offer() -> None:
    offer = make_offer(Origin(1, 1), ours("192.0.2.1", 4000), terms(), "none")
    with pytest.raises(DescriptionError) as caught:
        answer_offer(offer, Origin(2, 1), dict(enumerate(ours("192.0.2.2", 5000))), terms(B_PRINT, Encryption.DTLS))
    assert caught.value.status == 488


def test_a_weaker_answer_than_asked_is_refused() -> None:
    mine = ours("192.0.2.1", 4000)
    offer = make_offer(Origin(1, 1), mine, terms(), "dtls")
    plain = make_offer(Origin(2, 1), ours("192.0.2.2", 5000), terms(), "none")
    with pytest.raises(DescriptionError, match="protects media with none"):
        read_answer(offer, plain, mine, terms(), "dtls")


def test_secrets_do_not_show_in_a_repr() -> None:
    assert "inline" not in repr(stream("0", "audio", "192.0.2.1", 1))


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        (A_PRINT, "sha-256 ZZ", "is not a certificate's fingerprint"),
        (A_PRINT, "sha-256", "is not a certificate's fingerprint"),
        ("c=IN IP4 192.0.2.1", "b=AS:100", "no c= line"),
        ("UDP/TLS/RTP/SAVPF", "SMOKE/SIGNALS", "no codec or no encryption in common"),
    ],
)
def test_an_offer_that_cannot_be_talked_by_is_refused(good: str, bad: str, words: str) -> None:
    offer = str(make_offer(Origin(1, 1), ours("192.0.2.1", 4000), terms(), "dtls")).replace(good, bad)
    with pytest.raises(DescriptionError, match=words):
        answer_offer(SessionDescription.parse(offer.encode()), Origin(2, 1), {0: ours("192.0.2.2", 5000)[0]}, terms())


def test_a_name_in_place_of_an_address_is_never_looked_up() -> None:
    """A peer's name may be anybody's: with candidates it is not needed, without any the offer is refused."""
    mine = {0: stream("0", "audio", "192.0.2.2", 5000)}
    offer = str(make_offer(Origin(1, 1), ours("192.0.2.1", 4000)[:1], terms(), "dtls"))
    named = offer.replace("c=IN IP4 192.0.2.1", "c=IN IP4 phone.example")
    _, agreement = answer_offer(SessionDescription.parse(named.encode()), Origin(2, 1), mine, terms())
    assert agreement.uses_ice
    assert agreement.remote_default == {}
    bare = "\r\n".join(line for line in named.splitlines() if not line.startswith("a=candidate")) + "\r\n"
    with pytest.raises(DescriptionError, match=r"'phone\.example' is not an address"):
        answer_offer(SessionDescription.parse(bare.encode()), Origin(2, 1), mine, terms())


def h264_line(*formats: str) -> bytes:
    lines = [b"v=0", b"o=- 1 1 IN IP4 192.0.2.9", b"s=-", b"c=IN IP4 192.0.2.9", b"t=0 0"]
    numbers = " ".join(str(100 + index) for index in range(len(formats)))
    lines.append(f"m=video 4000 RTP/AVP {numbers}".encode())
    for index, parameters in enumerate(formats):
        lines.append(f"a=rtpmap:{100 + index} H264/90000".encode())
        lines += [f"a=fmtp:{100 + index} {parameters}".encode()] if parameters else []
    return b"\r\n".join(lines) + b"\r\n"


def video_terms() -> Terms:
    return Terms(("opus",), ("vp8", "h264"), Encryption.BEST, A_PRINT)


def test_both_picture_formats_are_offered_each_with_its_repair() -> None:
    mine, theirs = ours("192.0.2.1", 4000), ours("192.0.2.2", 5000)
    offer = SessionDescription.parse(bytes(make_offer(Origin(1, 1), mine, video_terms(), "dtls")))
    assert offer.media[1].formats == ("97", "99", "98", "100")
    assert "99 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f" in offer.media[1].all_attributes(
        "fmtp"
    )
    answer, callee = answer_offer(offer, Origin(2, 1), dict(enumerate(theirs)), video_terms())
    caller = read_answer(offer, answer, mine, video_terms(), "dtls")
    for side in (caller, callee):
        assert [codec.name for codec in side.streams[1].codecs] == ["VP8", "H264"]
        assert side.streams[1].rtx == ((98, 97), (100, 99))
    only, _ = answer_offer(offer, Origin(2, 1), dict(enumerate(theirs)), replace(video_terms(), video_codecs=("h264",)))
    assert only.media[1].formats == ("99", "100")
    assert read_answer(offer, only, mine, video_terms(), "dtls").streams[1].rtx == ((100, 99),)


@pytest.mark.parametrize(
    ("formats", "taken", "answered"),
    [
        (("profile-level-id=42e01f;packetization-mode=1",), "100", "packetization-mode=1;profile-level-id=42e01f"),
        (("profile-level-id=42801F",), "100", "packetization-mode=0;profile-level-id=42801f"),
        (
            (
                "profile-level-id=640028;packetization-mode=1",
                "profile-level-id=42c01f;packetization-mode=0",
                "profile-level-id=42c00c;packetization-mode=1;level-asymmetry-allowed=1",
            ),
            "102",
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42c01f",
        ),
        (("profile-level-id=f40028", "profile-level-id=4d000d"), "101", "packetization-mode=0;profile-level-id=4d000d"),
        (("",), "100", "packetization-mode=0;profile-level-id=42e01f"),
    ],
)
def test_of_several_h264_formats_the_nearest_is_answered(formats: tuple[str, ...], taken: str, answered: str) -> None:
    theirs = replace(stream("1", "video", "192.0.2.2", 5000, ice=False))
    answer, agreement = answer_offer(
        SessionDescription.parse(h264_line(*formats)), Origin(2, 1), {0: theirs}, video_terms()
    )
    assert answer.media[0].formats == (taken,)
    assert list(answer.media[0].all_attributes("fmtp")) == [f"{taken} {answered}"]
    assert agreement.streams[0].codecs[0].payload_type == int(taken)


def test_h264_that_cannot_be_decoded_is_refused() -> None:
    offer = SessionDescription.parse(h264_line("profile-level-id=f40028;packetization-mode=1", "packetization-mode=2"))
    with pytest.raises(DescriptionError):
        answer_offer(offer, Origin(2, 1), {0: stream("1", "video", "192.0.2.2", 5000, ice=False)}, video_terms())


def test_an_offer_inside_the_call_describes_this_side_not_the_peer() -> None:
    theirs = stream("1", "video", "192.0.2.2", 5000, ice=False)
    said = "profile-level-id=42c00c;packetization-mode=1;level-asymmetry-allowed=1;sprop-parameter-sets=Z0LA,aM4="
    _, agreement = answer_offer(SessionDescription.parse(h264_line(said)), Origin(2, 1), {0: theirs}, video_terms())
    plan = agreement.streams[0]
    again = replace(theirs, codecs=plan.codecs, rtx=plan.rtx)
    offer = make_offer(Origin(2, 2), (again,), video_terms(), "none")
    assert list(offer.media[0].all_attributes("fmtp")) == [
        "100 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42c01f"
    ]


def audio_offer(*lines: str, formats: str) -> SessionDescription:
    """Another phone's offer of sound alone, in plain RTP."""
    text = ["v=0", "o=- 1 1 IN IP4 192.0.2.7", "s=-", "c=IN IP4 192.0.2.7", "t=0 0", f"m=audio 4000 RTP/AVP {formats}"]
    return SessionDescription.parse("\r\n".join((*text, *lines, "")).encode())


def answered(offer: SessionDescription, our_terms: Terms) -> tuple[MediaDescription, StreamPlan]:
    answer, agreement = answer_offer(offer, Origin(2, 1), {0: replace(ours("192.0.2.2", 5000)[0], ice=None)}, our_terms)
    return answer.media[0], agreement.streams[0]


def test_keys_and_silence_are_agreed_beside_a_codec_that_both_know() -> None:
    offer = audio_offer("a=rtpmap:99 telephone-event/8000", "a=fmtp:99 0-16", "a=ptime:30", formats="0 13 99")
    line, plan = answered(offer, terms())
    assert line.formats == ("0", "13", "99")
    assert "99 0-15" in line.all_attributes("fmtp")
    assert [codec.name.lower() for codec in plan.codecs] == ["pcmu", "cn", "telephone-event"]
    assert plan.ptime_ms == 30
    assert line.attribute("maxptime") == "120"


def test_an_answer_with_numbers_of_its_own_is_sent_with_them_and_received_with_ours() -> None:
    lines = (replace(ours("192.0.2.1", 4000)[0], ice=None),)
    offer = make_offer(Origin(1, 1), lines, terms(), "none")
    body = audio_offer(
        *("a=rtpmap:120 opus/48000/2", "a=rtpmap:96 telephone-event/8000", "a=fmtp:96 0-15"), formats="120 0 96"
    )
    (plan,) = read_answer(offer, body, lines, terms(), "none").streams
    assert [codec.payload_type for codec in plan.codecs] == [120, 0, 96]
    assert [(codec.name, codec.payload_type) for codec in plan.also_received] == [("telephone-event", 101)]  # 96: taken
    body = audio_offer("a=rtpmap:120 opus/48000/2", formats="120")
    (plan,) = read_answer(offer, body, lines, terms(), "none").streams
    assert [(codec.name, codec.payload_type) for codec in plan.also_received] == [("opus", 96)]
    assert 96 in plan.payload_types


def test_keys_alone_are_nothing_to_talk_with() -> None:
    with pytest.raises(DescriptionError) as refused:
        answered(audio_offer("a=rtpmap:101 telephone-event/8000", formats="101 13"), terms())
    assert refused.value.status == 488


@pytest.mark.parametrize(("blocks", "agreed"), [("a=fmtp:63 111/111", True), ("a=fmtp:63 0/0", False), ("a=x", True)])
def test_repeats_are_agreed_only_of_opus(blocks: str, agreed: bool) -> None:
    offer = audio_offer(
        "a=rtpmap:111 opus/48000/2", "a=rtpmap:63 red/48000/2", blocks, "a=rtpmap:8 PCMA/8000", formats="111 63 8"
    )
    line, _ = answered(offer, terms())
    assert ("63" in line.formats) is agreed


def test_a_later_offer_says_what_we_receive_and_not_what_the_peer_does() -> None:
    offer = audio_offer(
        "a=rtpmap:111 opus/48000/2", "a=fmtp:111 maxaveragebitrate=12000;usedtx=1;stereo=1", formats="111"
    )
    _, plan = answered(offer, terms())
    assert plan.codecs[0].parameter("maxaveragebitrate") == "12000"
    stream = replace(ours("192.0.2.2", 5000)[0], codecs=plan.codecs)
    again = make_offer(Origin(2, 2), (stream,), replace(terms(), dtx=True), "none")
    assert again.media[0].all_attributes("fmtp") == ["111 minptime=10;useinbandfec=1;usedtx=1"]


def test_packet_times_that_make_no_sense_are_not_said() -> None:
    for text in ("0", "-20", "x", "99999", ""):
        _, plan = answered(audio_offer(f"a=ptime:{text}", "a=maxptime:20.5", formats="0"), terms())
        assert (plan.ptime_ms, plan.maxptime_ms) == (None, 20)


@pytest.mark.parametrize("encoding", ["opus/48000/two", "opus/-1", f"opus/{'9' * 5000}", "opus/48000/2/3", "opus"])
def test_a_format_that_makes_no_sense_costs_no_call(encoding: str) -> None:
    offer = audio_offer(f"a=rtpmap:96 {encoding}", formats=f"96 {'9' * 5000} 0")
    line, plan = answered(offer, terms())
    assert line.formats == ("0",)
    assert [codec.name for codec in plan.codecs] == ["PCMU"]
