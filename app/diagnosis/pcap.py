"""Packets of this program as a capture file that Wireshark opens: libpcap format 2.4, link type RAW (101).

The program sees datagrams, not frames, so IP and UDP headers are made here from the addresses; TCP segments of SIP are
written as datagrams too. Sources: the pcap file format (draft-ietf-opsawg-pcap), RFC 791, 8200, 768.
"""

from __future__ import annotations

import ipaddress
import struct

LINKTYPE_RAW = 101
SNAP_BYTES = 65_535
_UDP = 17

FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP_BYTES, LINKTYPE_RAW)

Place = tuple[str, int]


def record(source: Place, destination: Place, data: bytes, wall: float) -> bytes:
    """One captured datagram; `wall` is seconds since the Unix epoch. Both addresses must be of one family."""
    packet = _packet(source, destination, data[: SNAP_BYTES - 64])
    seconds = int(wall)
    microseconds = int((wall - seconds) * 1e6)
    return struct.pack("<IIII", seconds, microseconds, len(packet), len(packet)) + packet


def _packet(source: Place, destination: Place, data: bytes) -> bytes:
    sender, receiver = ipaddress.ip_address(source[0]), ipaddress.ip_address(destination[0])
    udp_length = 8 + len(data)
    if sender.version == 4 and receiver.version == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + udp_length, 0, 0, 64, _UDP, 0) + sender.packed + receiver.packed
        head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    else:
        addresses = b"".join(place.packed.rjust(16, b"\0") for place in (sender, receiver))
        head = struct.pack("!IHBB", 6 << 28, udp_length, _UDP, 64) + addresses
    # A checksum of 0 says over IPv4 that there is none; readers accept it over IPv6 in a capture too.
    return head + struct.pack("!HHHH", source[1], destination[1], udp_length, 0) + data


def _checksum(head: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(head) // 2}H", head))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
