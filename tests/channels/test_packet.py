"""Channel packets: the layout to the byte, round trips, and everything that is refused or passed over."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.channels.errors import PacketError
from app.channels.packet import (
    MOST_ALIAS_BYTES,
    MOST_BYTES,
    BurstFlags,
    BurstHeader,
    ChannelPacket,
    extension_bytes,
    fit_alias,
)

NODE = bytes(range(16))
HEADER = BurstHeader("Zoë", NODE, 7, BurstFlags.EMERGENCY | BurstFlags.STICKY_ID)
PACKET = ChannelPacket(0x1234, 0x01020304, 0xCAFEBABE, True, 111, b"sound", HEADER)
WIRE = (
    bytes.fromhex(
        "90 ef 1234 01020304 cafebabe"  # RTP with an extension, marker, payload type 111
        "504c 0006"  # "PL", six words
        "01 09 07 04 000102030405060708090a0b0c0d0e0f"  # version, flags, priority, bytes of the name, node
        "5a6fc3ab"  # the name
    )
    + b"sound"
)

ALIASES = st.text(max_size=MOST_ALIAS_BYTES).map(fit_alias)
HEADERS = st.builds(
    BurstHeader,
    ALIASES,
    st.binary(min_size=16, max_size=16),
    st.integers(0, 255),
    st.integers(0, 255).map(BurstFlags),
)
PACKETS = st.builds(
    ChannelPacket,
    sequence=st.integers(0, 2**16 - 1),
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.integers(0, 2**32 - 1),
    marker=st.booleans(),
    payload_type=st.integers(0, 127),
    payload=st.binary(max_size=400),
    header=st.none() | HEADERS,
)


def test_the_layout() -> None:
    assert PACKET.to_bytes() == WIRE
    assert ChannelPacket.parse(WIRE) == PACKET


def test_without_header_it_is_plain_rtp() -> None:
    packet = ChannelPacket(1, 2, 3, False, 0, b"\xff" * 160)
    assert packet.to_bytes() == bytes.fromhex("8000 0001 00000002 00000003") + b"\xff" * 160
    assert ChannelPacket.parse(packet.to_bytes()) == packet


@given(PACKETS)
def test_what_is_written_is_read_back(packet: ChannelPacket) -> None:
    data = packet.to_bytes()
    assert ChannelPacket.parse(data) == packet
    alias = None if packet.header is None else packet.header.alias
    assert len(data) == 12 + len(packet.payload) + (0 if alias is None else extension_bytes(alias))


@given(st.binary(max_size=100))
@example(b"\x90\x6f" + bytes(10) + b"\x50\x4c\x00\x00")
@example(WIRE[:30])
def test_any_datagram_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(PacketError):
        packet = ChannelPacket.parse(data)
        assert ChannelPacket.parse(packet.to_bytes()) == packet


@given(st.integers(0, len(WIRE) - 1), st.integers(0, 255))
def test_any_damaged_byte_is_read_or_refused(at: int, value: int) -> None:
    with contextlib.suppress(PacketError):
        packet = ChannelPacket.parse(WIRE[:at] + bytes((value,)) + WIRE[at + 1 :])
        assert packet.header is None or len(packet.header.alias.encode()) <= MOST_ALIAS_BYTES


def test_a_version_that_is_not_known_is_passed_over() -> None:
    packet = ChannelPacket.parse(WIRE[:16] + b"\x02" + WIRE[17:])
    assert (packet.header, packet.payload) == (None, b"sound")


def test_an_extension_of_others_is_passed_over() -> None:
    packet = ChannelPacket.parse(WIRE[:12] + b"\xbe\xde" + WIRE[14:])
    assert (packet.header, packet.payload) == (None, b"sound")


def test_what_a_later_writer_adds_behind_the_name_is_passed_over() -> None:
    assert ChannelPacket.parse(WIRE[:14] + b"\x00\x07" + WIRE[16:40] + b"more" + WIRE[40:]) == PACKET


def test_csrcs_and_padding_are_passed_over() -> None:
    data = bytes((WIRE[0] | 0x22,)) + WIRE[1:12] + bytes(8) + WIRE[12:] + b"\0\0\0\4"
    assert ChannelPacket.parse(data) == PACKET


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut short"),
        (WIRE[:11], "cut short"),
        (b"\x01" + WIRE[1:], "version 0"),
        (WIRE[:30], "longer than the packet"),
        (WIRE[:14] + b"\x00\x04" + WIRE[16:], "cut short"),  # no room for the node id
        (WIRE[:19] + b"\x11" + WIRE[20:], "cannot have 17 bytes"),
        (WIRE[:19] + b"\x05" + WIRE[20:], "cannot have 5 bytes"),  # more than the extension holds
        (WIRE[:38] + b"\xc3\x28" + WIRE[40:], "not UTF-8"),
        (WIRE + bytes(MOST_BYTES), "longer than 4096"),
    ],
)
def test_damaged_packets_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(PacketError, match=reason):
        ChannelPacket.parse(data)


def test_a_name_that_would_upset_a_window_loses_what_cannot_be_printed() -> None:
    wire = WIRE[:36] + "\n\u202ea".encode()[:4] + WIRE[40:]
    header = ChannelPacket.parse(wire).header
    assert header is not None
    assert header.alias == ""


@given(st.text())
def test_any_text_becomes_a_name_that_fits(text: str) -> None:
    alias = fit_alias(text)
    assert BurstHeader(alias, NODE).alias == alias
    assert text.startswith(alias) or not text.isprintable()


def test_a_long_name_is_cut_at_a_whole_character() -> None:
    assert fit_alias("Hauptwache Süden") == "Hauptwache Süde"
    assert fit_alias("日本語の消防署です") == "日本語の消"


@pytest.mark.parametrize(
    ("alias", "node", "priority", "flags"),
    [("x" * 17, NODE, 0, 0), ("a\nb", NODE, 0, 0), ("a", b"short", 0, 0), ("a", NODE, 256, 0), ("a", NODE, 0, 256)],
)
def test_a_header_that_fits_no_packet_is_refused(alias: str, node: bytes, priority: int, flags: int) -> None:
    with pytest.raises(PacketError):
        BurstHeader(alias, node, priority, BurstFlags(flags))


@pytest.mark.parametrize(
    "packet",
    [
        ChannelPacket(1 << 16, 0, 0, False, 0, b""),
        ChannelPacket(0, 1 << 32, 0, False, 0, b""),
        ChannelPacket(0, 0, 0, False, 128, b""),
        ChannelPacket(0, 0, 0, False, 0, bytes(MOST_BYTES)),
    ],
)
def test_a_packet_that_fits_no_datagram_is_refused(packet: ChannelPacket) -> None:
    with pytest.raises(PacketError):
        packet.to_bytes()
