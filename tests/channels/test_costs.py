"""Costs: the guide's table to the last figure, our own packets as they are written, and what a rallypoint carries."""

from __future__ import annotations

from random import Random

import pytest

from app.channels.bursts import BurstPackets
from app.channels.costs import (
    Sealing,
    body_bytes,
    channel_stream,
    multicast_kbps,
    own_payload_bytes,
    payload_bytes,
    relayed_stream,
    udp_stream,
    unicast_streams,
)
from app.channels.encoders import FRAMINGS_MS, EncoderId, encoder_info
from app.channels.packet import BurstHeader
from app.channels.sealing import Sealer

# kb/s of one stream at 20, 40, 60 and 100 ms, clear/encrypted: the architecture guide's values
TABLE = {
    EncoderId.G711_ULAW: "85.6/93.6 74.8/78.8 71.2/73.9 68.3/69.9",
    EncoderId.GSM_FULL_RATE: "34.8/42.4 24.0/27.6 20.4/22.7 17.5/20.0",
    EncoderId.G729A: "29.6/42.4 18.8/24.4 15.2/18.4 12.3/14.9",
    EncoderId.AMR_4_75: "26.4/36.0 15.6/21.2 12.0/16.3 9.1/11.0",
    EncoderId.AMR_12_2: "34.0/42.4 23.0/27.6 19.5/22.7 16.6/18.7",
    EncoderId.OPUS_6: "27.6/36.0 16.8/21.2 13.2/16.3 10.3/12.3",
    EncoderId.OPUS_8: "29.6/42.4 18.8/24.4 15.2/18.4 12.3/14.9",
    EncoderId.OPUS_16: "37.6/48.8 26.8/30.8 23.2/26.9 20.3/22.6",
    EncoderId.OPUS_24: "45.6/55.2 34.8/40.4 31.2/35.5 28.3/30.2",
    EncoderId.CODEC2_1_2: "22.8/29.6 12.0/18.0 8.4/12.0 5.5/7.2",
    EncoderId.MELPE_2_4: "24.0/36.0 13.2/18.0 9.6/12.0 6.7/8.5",
}


@pytest.mark.parametrize(("encoder", "row"), TABLE.items(), ids=lambda each: getattr(each, "name", ""))
def test_the_guides_formula_gives_the_guides_table(encoder: EncoderId, row: str) -> None:
    for framing_ms, pair in zip((20, 40, 60, 100), row.split(), strict=True):
        payload = payload_bytes(encoder_info(encoder).bitrate_bps, framing_ms)
        found = [udp_stream(payload, framing_ms, sealing).kbps for sealing in (Sealing.NONE, Sealing.CBC)]
        assert found == pytest.approx([float(each) for each in pair.split("/")], abs=0.0501)


def test_the_guides_example_of_ten_bytes() -> None:
    stream = udp_stream(10, 20, Sealing.NONE)
    assert stream.packet_bytes == 64
    assert stream.packets_per_s * stream.packet_bytes == 3_200


@pytest.mark.parametrize(("rtp", "sealed"), [(31, 48), (32, 64), (33, 64)])
def test_the_padding_of_cbc_grows_by_a_block_at_its_edge(rtp: int, sealed: int) -> None:
    assert body_bytes(rtp - 12, Sealing.CBC) == sealed


@pytest.mark.parametrize("is_sealed", [False, True])
@pytest.mark.parametrize("alias", [None, "", "Zoë", "sixteen bytes ab"])
def test_a_long_burst_weighs_what_is_said(is_sealed: bool, alias: str | None) -> None:
    info, framing_ms = encoder_info(EncoderId.OPUS_16), 40
    header = None if alias is None else BurstHeader(alias, bytes(16))
    sealer = Sealer(bytes(32), "channel")
    burst = BurstPackets(111, 1_920, header, Random(1), initial=0)
    packets = [burst.next(bytes(own_payload_bytes(info, framing_ms))).to_bytes() for _ in range(100)]
    weights = [42 + len(sealer.seal(packet, 0.0) if is_sealed else packet) for packet in packets]
    stream = channel_stream(info, framing_ms, is_sealed=is_sealed, alias=alias)
    assert stream.packet_bytes == pytest.approx(sum(weights) / 100)
    assert stream.packets_per_s == 25


def test_ipv6_costs_twenty_bytes_a_packet() -> None:
    info = encoder_info(EncoderId.OPUS_8)
    small, large = (channel_stream(info, 20, is_sealed=True, alias=None, ip_bytes=size) for size in (20, 40))
    assert large.kbps - small.kbps == pytest.approx(8.0)


def test_our_seal_costs_four_bytes_and_a_half_more_than_the_guides_on_average() -> None:
    ours, theirs = ([body_bytes(size, kind) for size in range(16)] for kind in (Sealing.GCM, Sealing.CBC))
    assert sum(ours) / 16 - sum(theirs) / 16 == pytest.approx(4.5)


@pytest.mark.parametrize("framing_ms", FRAMINGS_MS)
def test_amr_has_a_byte_of_contents_for_each_frame(framing_ms: int) -> None:
    assert own_payload_bytes(encoder_info(EncoderId.AMR_12_2), framing_ms) == 1 + 32 * framing_ms // 20


def test_a_multicast_group_costs_by_who_talks() -> None:
    stream = udp_stream(60, 20, Sealing.GCM)
    assert multicast_kbps(stream, 3) == pytest.approx(3 * stream.kbps)
    assert multicast_kbps(stream, 0) == 0


def test_a_rallypoint_costs_by_who_talks_to_whom() -> None:
    assert unicast_streams([9, 9, 3]) == 3 + 21
    one = relayed_stream(encoder_info(EncoderId.OPUS_24), 20, is_sealed=True, alias=None, subject_bytes=40)
    # Ethernet, IP, TCP, TLS; "PUB " subject " " "101" CR LF … CR LF; RTP, sealed
    assert one.up.packet_bytes == 14 + 20 + 32 + 22 + (4 + 40 + 1 + 3 + 2 + 2) + 12 + 60 + 29
    assert one.down.packet_bytes - one.up.packet_bytes == len(" 1")
    assert one.acks.packets_per_s == 25
    assert one.in_kbps([5]) == pytest.approx(one.up.kbps + 5 * one.acks.kbps)
    assert one.out_kbps([5]) == pytest.approx(5 * one.down.kbps + one.acks.kbps)
    assert one.in_kbps([]) == one.out_kbps([]) == 0
