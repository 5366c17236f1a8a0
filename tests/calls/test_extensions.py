"""Header extensions and feedback in offers and answers: small offers, the peer's numbers, nothing unasked."""

from __future__ import annotations

from app.calls.extensions import MID, ORIENTATION, TRANSPORT_CC, ids_of, offered_ids
from app.calls.offer_answer import Terms, answer_offer, make_offer, read_answer
from app.calls.sdp import Origin, SessionDescription
from app.media.plan import StreamPlan
from app.settings import Encryption
from tests.calls.test_offer_answer import A_PRINT, B_PRINT, negotiate, ours, terms

OTHER_OFFER = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=fingerprint:{fingerprint}
a=setup:actpass
m=audio 4000 UDP/TLS/RTP/SAVPF 111 0
c=IN IP4 192.0.2.1
a=mid:0
a=rtcp-mux
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
m=video 4000 UDP/TLS/RTP/SAVPF 96 97 98 99
c=IN IP4 192.0.2.1
a=mid:1
a=rtcp-mux
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:13/sendonly urn:3gpp:video-orientation
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:98 VP9/90000
a=rtcp-fb:98 ccm tmmbr
""".replace("\n", "\r\n")


def answered(offer: str) -> tuple[list[list[str]], tuple[StreamPlan, ...]]:
    """The extmap and rtcp-fb lines of each m-line of our answer, and the plans."""
    description = SessionDescription.parse(offer.format(fingerprint=A_PRINT).encode())
    answer, agreement = answer_offer(
        description, Origin(2, 1), dict(enumerate(ours("192.0.2.2", 5000, ice=False))), terms(B_PRINT)
    )
    wanted = ("extmap", "rtcp-fb", "extmap-allow-mixed")
    lines = [[f"{name}:{value}" for name, value in media.attributes if name in wanted] for media in answer.media]
    return lines, agreement.streams


def test_two_parleys_agree_on_everything_with_one_number_for_both_streams() -> None:
    _, caller, callee = negotiate()
    for side in (caller, callee):
        sound, picture = side.streams
        assert (sound.transport_cc, sound.remb, sound.tmmbr) == (True, False, False)
        assert (picture.transport_cc, picture.remb, picture.tmmbr) == (True, True, True)
        assert sound.transport_cc_id == picture.transport_cc_id is not None
        assert sound.mid_extension_id == picture.mid_extension_id is not None
        assert sound.orientation_id is None
        assert picture.orientation_id not in (None, picture.mid_extension_id, picture.transport_cc_id)


def test_an_answer_takes_the_offers_numbers_and_only_what_was_offered() -> None:
    (sound, picture), (sound_plan, picture_plan) = answered(OTHER_OFFER)
    assert sound == [
        "rtcp-fb:111 transport-cc",
        f"extmap:3 {TRANSPORT_CC}",
        f"extmap:4 {MID}",
        "extmap-allow-mixed:None",
    ]
    assert set(picture) == {
        "rtcp-fb:96 goog-remb",
        "rtcp-fb:96 transport-cc",
        "rtcp-fb:96 ccm fir",
        "rtcp-fb:96 nack",
        "rtcp-fb:96 nack pli",
        f"extmap:13/recvonly {ORIENTATION}",
        f"extmap:3 {TRANSPORT_CC}",
        f"extmap:4 {MID}",
        "extmap-allow-mixed:None",
    }
    assert (sound_plan.transport_cc, sound_plan.transport_cc_id, sound_plan.mid_extension_id) == (True, 3, 4)
    assert (picture_plan.remb, picture_plan.tmmbr, picture_plan.orientation_id) == (True, False, 13)


def test_a_peer_with_neither_gets_neither() -> None:
    bare = "\r\n".join(line for line in OTHER_OFFER.split("\r\n") if not line.startswith(("a=extmap", "a=rtcp-fb")))
    lines, plans = answered(bare)
    assert lines == [[], []]
    assert not any(plan.transport_cc or plan.remb or plan.tmmbr or plan.nack or plan.pli for plan in plans)
    assert {ids_of(plan) for plan in plans} == {()}


def test_feedback_without_the_extension_is_no_transport_wide_feedback() -> None:
    _, plans = answered(OTHER_OFFER.replace(TRANSPORT_CC, "urn:example:other"))
    assert not any(plan.transport_cc for plan in plans)


def test_feedback_for_every_format_is_understood_and_answered_so() -> None:
    text = OTHER_OFFER.replace("rtcp-fb:96 ", "rtcp-fb:* ")
    (_, picture), (_, plan) = answered(text)
    assert "rtcp-fb:* nack pli" in picture
    assert plan.nack
    assert plan.transport_cc


def test_odd_numbers_are_passed_over() -> None:
    for number in ("0", "15", "256", "4096", "x", "99999"):
        lines, plans = answered(OTHER_OFFER.replace("extmap:3 ", f"extmap:{number} "))
        assert not any(TRANSPORT_CC in line for section in lines for line in section)
        assert not any(plan.transport_cc for plan in plans)
    _, plans = answered(OTHER_OFFER.replace("extmap:3 ", "extmap:17 "))
    assert plans[0].transport_cc_id == 17  # two-byte form


def test_a_later_offer_keeps_the_numbers_and_gives_none_twice() -> None:
    assert offered_ids("audio", [(4, MID), (1, TRANSPORT_CC)]) == ((4, MID), (1, TRANSPORT_CC))
    assert offered_ids("video", [(4, MID), (3, TRANSPORT_CC)]) == ((4, MID), (3, TRANSPORT_CC), (1, ORIENTATION))
    assert offered_ids("audio", []) == ((1, MID), (2, TRANSPORT_CC))
    crowded = [(1, TRANSPORT_CC), (2, ORIENTATION)]
    assert offered_ids("video", crowded) == ((3, MID), (1, TRANSPORT_CC), (2, ORIENTATION))


def test_an_offer_says_feedback_once_for_all_codecs() -> None:
    offer = make_offer(
        Origin(1, 1),
        ours("192.0.2.1", 4000),
        Terms(("opus", "pcmu"), ("vp8",), Encryption.BEST, A_PRINT),
        "dtls",
    )
    assert all(line.startswith("* ") for line in offer.media[1].all_attributes("rtcp-fb"))
    assert len(bytes(offer)) < 1_900
    answer, _ = answer_offer(offer, Origin(2, 1), dict(enumerate(ours("192.0.2.2", 5000))), terms(B_PRINT))
    agreement = read_answer(offer, answer, ours("192.0.2.1", 4000), terms(), "dtls")
    assert agreement.streams[1].fir
