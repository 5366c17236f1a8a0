"""RTP, RTCP, DTLS records and payloads with anything a stranger or a bad peer may send."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from app.media.assembly import FrameAssembler
from app.media.certificate import Certificate
from app.media.codecs import H264, OPUS, PCMU, VP8
from app.media.dtls import DtlsAssociation
from app.media.errors import MediaError, PacketError
from app.media.header_extensions import ExtensionIds
from app.media.jitter import Playout
from app.media.plan import SecurityPlan
from app.media.rtcp import parse_rtcp
from app.media.rtp import RtpPacket
from app.media.sdes import SdesKey

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
    assert sum(len(frame.data) for frame in frames) <= sum(len(packet[3]) for packet in packets)
    assert {frame.timestamp for frame in frames} <= {packet[1] for packet in packets}


@given(PACKETS)
def test_any_audio_packets_make_frames_of_20_ms(packets: list[tuple[int, int, bool, bytes]]) -> None:
    playout = Playout({OPUS.payload_type: OPUS, PCMU.payload_type: PCMU})
    for step, (sequence, timestamp, is_opus, payload) in enumerate(packets):
        playout.push(sequence, timestamp, OPUS.payload_type if is_opus else 0, payload, step * 0.02)
        assert playout.next_frame(step * 0.02).shape == (960,)


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
