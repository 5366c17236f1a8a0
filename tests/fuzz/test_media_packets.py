"""RTP, RTCP, DTLS records and payloads with anything a stranger or a bad peer may send."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from app.calls.errors import DescriptionError
from app.calls.formats import codecs_for, codecs_of, in_common, packet_ms
from app.calls.keys import PLAIN, RELAY, relayed_key
from app.calls.sdp import SessionDescription
from app.digits import KEYS, keys_of
from app.media.assembly import FrameAssembler
from app.media.audio_choice import PACKETS_MS, AudioChooser, PeerLimits
from app.media.certificate import Certificate
from app.media.codecs import COMFORT_NOISE, G722, H264, OPUS, PCMU, VP8
from app.media.dtls import DtlsAssociation
from app.media.dtmf import KeyReceiver
from app.media.errors import MediaError, PacketError
from app.media.h264 import parameter_sets
from app.media.h264_payload import START_CODE, picture_size
from app.media.h264_profile import limits_of, own_parameters, rank_of
from app.media.header_extensions import ExtensionIds
from app.media.jitter import Playout
from app.media.plan import CodecPlan, SecurityPlan
from app.media.red import MOST_BLOCKS, Block, pack, unpack
from app.media.rtcp import parse_rtcp
from app.media.rtp import RtpPacket
from app.media.sdes import SdesKey
from app.media.speech import make_encoder
from app.media.video_codecs import READERS, make_decoder

CERTIFICATE = Certificate.generate()
PACKETS = st.lists(
    st.tuples(st.integers(65_536, 66_500), st.integers(0, 2**32 - 1), st.booleans(), st.binary(max_size=40))
)


@given(st.binary(max_size=200))
def test_any_datagram_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(PacketError):
        RtpPacket.parse(data, ExtensionIds(1, 2, 3))
    with contextlib.suppress(PacketError):
        for packet in parse_rtcp(data):
            assert isinstance(bytes(packet), bytes)


@given(st.binary(max_size=300))
def test_any_picture_payload_is_read_or_refused(payload: bytes) -> None:
    for read in READERS.values():
        with contextlib.suppress(PacketError):
            part = read(payload)
            assert part.begins or not part.begins_key
            assert len(part.data) <= 5 * len(payload)


@given(st.binary(max_size=400))
def test_any_parameter_set_tells_a_size_that_fits_a_screen_or_is_refused(data: bytes) -> None:
    with contextlib.suppress(PacketError):
        size = picture_size(START_CODE + b"\x67" + data)
        assert size is not None
        assert max(size) <= 4_096


@given(st.text(max_size=60), st.sampled_from(["0", "1", "2", ""]), st.text("0123456789", max_size=12))
def test_any_profile_is_used_within_limits_or_not_at_all(level: str, mode: str, size: str) -> None:
    theirs = CodecPlan(
        "H264", 99, 90_000, 1, (("profile-level-id", level), ("packetization-mode", mode), ("max-fs", size))
    )
    if rank_of(theirs) is not None:
        assert dict(own_parameters(theirs))["packetization-mode"] in ("0", "1")
        assert limits_of(theirs) is not None
    parameter_sets(CodecPlan("H264", 99, 90_000, 1, (("sprop-parameter-sets", level),)))


@settings(max_examples=30)
@given(st.binary(max_size=300), st.booleans())
def test_any_bitstream_makes_pictures_or_is_refused(data: bytes, is_h264: bool) -> None:
    decoder = make_decoder(H264 if is_h264 else VP8)
    with contextlib.suppress(PacketError):
        for picture in decoder.decode((START_CODE if is_h264 else b"") + data):
            assert max(picture.width, picture.height) <= 4_096


@given(st.text(max_size=120))
def test_any_crypto_line_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(MediaError):
        key = SdesKey.parse(text)
        assert SdesKey.parse(key.to_sdp()) == key


@given(PACKETS)
def test_any_video_packets_make_no_more_frames_than_there_are(packets: list[tuple[int, int, bool, bytes]]) -> None:
    assembler = FrameAssembler(with_nack=True)
    frames = []
    for step, (sequence, timestamp, marker, payload) in enumerate(packets):
        frames += assembler.push(sequence, timestamp, marker, payload, step * 0.01, H264 if marker else VP8)
        frames += assembler.tick(step * 0.01, 0.05)[2]
    # A NAL unit of one byte stands behind a start code of four.
    assert sum(len(frame.data) for frame in frames) <= sum(5 * len(packet[3]) for packet in packets)
    assert {frame.timestamp for frame in frames} <= {packet[1] for packet in packets}


@given(PACKETS)
def test_any_audio_packets_make_frames_of_20_ms(packets: list[tuple[int, int, bool, bytes]]) -> None:
    others = (PCMU, G722, COMFORT_NOISE)
    playout = Playout({codec.payload_type: codec for codec in (OPUS, *others)})
    for step, (sequence, timestamp, is_opus, payload) in enumerate(packets):
        codec = OPUS if is_opus else others[timestamp % 3]
        playout.push(sequence, timestamp, codec.payload_type, payload, step * 0.02)
        assert playout.next_frame(step * 0.02).shape == (960,)


@given(st.binary(max_size=120), st.integers(0, 127), st.binary(max_size=60))
def test_any_repeats_are_read_or_refused(data: bytes, payload_type: int, payload: bytes) -> None:
    with contextlib.suppress(PacketError):
        blocks = unpack(data)
        assert sum(len(block.payload) for block in blocks) < len(data)
        assert len(blocks) <= MOST_BLOCKS + 1
    older = [Block(payload_type, len(data), data)]
    assert unpack(pack(payload_type, payload, older))[-1] == Block(payload_type, 0, payload)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=6)), max_size=200))
def test_any_events_make_few_keys(packets: list[tuple[int, bytes]]) -> None:
    receiver = KeyReceiver()
    heard = [receiver.take(timestamp, payload, step * 0.001) for step, (timestamp, payload) in enumerate(packets)]
    keys = [key for key in heard if key is not None]
    assert set(keys) <= set(KEYS)
    assert len(keys) <= 20


@given(st.binary(max_size=120), st.sampled_from([RELAY, PLAIN, "text/plain"]))
def test_any_info_says_a_key_or_none(body: bytes, kind: str) -> None:
    assert relayed_key(kind, body) in {None, *KEYS}


@given(st.text(max_size=40))
def test_anything_dialled_is_keys_or_an_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert set(keys_of(text)) <= {*KEYS, ","}


@given(st.text(max_size=80))
def test_any_lines_about_sound_give_limits_that_can_be_kept(text: str) -> None:
    head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 96 63\r\n"
    line = "".join(character for character in text if character.isprintable())
    body = f"{head}a=rtpmap:96 opus/48000/2\r\na=fmtp:96 {line}\r\na=ptime:{line}\r\na=maxptime:{line}\r\n"
    with contextlib.suppress(DescriptionError):
        media = SessionDescription.parse(body.encode()).media[0]
        for codec in in_common(codecs_of(media), codecs_for("audio", ("opus", "pcmu"))):
            limits = PeerLimits.of(codec, ptime_ms=packet_ms(media, "ptime"), maxptime_ms=packet_ms(media, "maxptime"))
            assert AudioChooser(limits).choice.packet_ms in PACKETS_MS
            make_encoder(codec).adapt(AudioChooser(limits).choice)


@given(st.lists(st.binary(min_size=1, max_size=120), max_size=8), st.sampled_from(["client", "server"]))
def test_any_dtls_records_end_in_a_sentence_or_nothing(datagrams: list[bytes], role: str) -> None:
    plan = SecurityPlan("dtls", "client" if role == "client" else "server", (CERTIFICATE.fingerprint,))
    association = DtlsAssociation(CERTIFICATE, plan)
    with contextlib.suppress(MediaError):
        association.start()
        for data in datagrams:
            association.receive(bytes([20 + data[0] % 5]) + b"\xfe\xfd" + data[1:])
            association.outgoing()
    assert association.keys is None  # nobody was there to agree on any
