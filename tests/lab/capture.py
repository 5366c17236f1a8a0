"""What went over the wire at one host: tcpdump in its namespace, and a reader for what it wrote.

Classifies a UDP payload by its first byte as RFC 7983 does. Also looks into TURN (channel data and Send and Data
indications, RFC 8656), since a relayed packet is media too.
"""

from __future__ import annotations

import ipaddress
import signal
import struct
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.network import Host

_MAGIC = {b"\xd4\xc3\xb2\xa1": ("<", 1e-6), b"\x4d\x3c\xb2\xa1": ("<", 1e-9)}
_MAGIC |= {b"\xa1\xb2\xc3\xd4": (">", 1e-6), b"\xa1\xb2\x3c\x4d": (">", 1e-9)}
_ETHERNET = 1
_IPV4, _IPV6, _ARP = 0x0800, 0x86DD, 0x0806
_TCP, _UDP, _ICMPV6 = 6, 17, 58
_COOKIE = b"\x21\x12\xa4\x42"
_DATA_ATTRIBUTE = 0x0013


@dataclass(frozen=True, slots=True)
class Packet:
    """One IP packet; `at` in seconds of the epoch. Ports are 0 where the protocol has none."""

    at: float
    protocol: str  # "udp", "tcp", "icmp6", or the number
    source: str
    source_port: int
    destination: str
    destination_port: int
    payload: bytes

    @property
    def kind(self) -> str:
        """What a UDP payload is: "stun", "dtls", "channel", "rtp", "rtcp", "sip", "empty" or "other"."""
        return kind_of(self.payload)

    def carried(self) -> bytes:
        """The payload, or what a TURN message in it carries to or from a peer."""
        return relayed(self.payload) or self.payload


def kind_of(payload: bytes) -> str:
    if not payload:
        return "empty"
    first = payload[0]
    if first < 4 and payload[4:8] == _COOKIE:
        return "stun"
    if 20 <= first <= 63 and len(payload) >= 13:
        return "dtls"
    if 64 <= first <= 79:
        return "channel" if not _is_text(payload) else "sip"
    if 128 <= first <= 191 and len(payload) >= 8:
        return "rtcp" if 192 <= payload[1] <= 223 else "rtp"
    return "sip" if _is_text(payload) else "other"


def relayed(payload: bytes) -> bytes | None:
    """Give what TURN channel data or a Send or Data indication carries; None when it is neither."""
    kind = kind_of(payload)
    if kind == "channel" and len(payload) >= 4:
        return payload[4 : 4 + int.from_bytes(payload[2:4], "big")]
    if kind == "stun" and int.from_bytes(payload[:2], "big") in (0x0016, 0x0017):
        at = 20
        while at + 4 <= len(payload):
            attribute, length = struct.unpack_from("!HH", payload, at)
            if attribute == _DATA_ATTRIBUTE:
                return payload[at + 4 : at + 4 + length]
            at += 4 + (length + 3) // 4 * 4
    return None


def _is_text(payload: bytes) -> bool:
    return b"SIP/2.0" in payload[:200] or payload.strip(b"\r\n\0") == b""


class Capture:
    """Use as a context: while it is open everything at the host's eth0 is kept."""

    def __init__(self, host: Host, path: Path) -> None:
        self.host, self.path = host, path
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Capture:
        self._process = self.host.popen(
            *("tcpdump", "-i", "eth0", "-n", "-s", "0", "-U", "-B", "8192", "--immediate-mode", "-w", str(self.path)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        ready = threading.Event()
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read, args=(ready,), daemon=True)
        self._reader.start()
        assert ready.wait(10), "tcpdump did not begin"
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
        self._reader.join(5)
        assert any(line.startswith("0 packets dropped") for line in self._said), self._said

    def _read(self, ready: threading.Event) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line)
            if "listening on" in line:
                ready.set()

    def packets(self) -> list[Packet]:
        """Everything so far but ARP, in the order of time."""
        return list(read_pcap(self.path))


def read_pcap(path: Path) -> Iterator[Packet]:
    """Read a pcap file of Ethernet frames; an unfinished last record is left out."""
    data = path.read_bytes()
    order, unit = _MAGIC[data[:4]]
    assert struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF == _ETHERNET
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, kept, _ = struct.unpack_from(f"{order}IIII", data, at)
        frame = data[at + 16 : at + 16 + kept]
        at += 16 + kept
        if len(frame) == kept and (packet := _packet(seconds + fraction * unit, frame)) is not None:
            yield packet


def _packet(at: float, frame: bytes) -> Packet | None:
    (ether_type,) = struct.unpack_from("!H", frame, 12)
    if ether_type == _IPV4:
        header = (frame[14] & 0x0F) * 4
        (total,) = struct.unpack_from("!H", frame, 16)
        source, destination = (str(ipaddress.IPv4Address(frame[begin : begin + 4])) for begin in (26, 30))
        return _transport(at, frame[23], source, destination, frame[14 + header : 14 + total])
    if ether_type == _IPV6:
        (length,) = struct.unpack_from("!H", frame, 18)
        source, destination = (str(ipaddress.IPv6Address(frame[begin : begin + 16])) for begin in (22, 38))
        protocol, body = frame[20], frame[54 : 54 + length]
        if protocol == 0:  # hop-by-hop options: the kernel's multicast reports
            protocol, body = body[0], body[(body[1] + 1) * 8 :]
        return _transport(at, protocol, source, destination, body)
    assert ether_type == _ARP, f"an Ethernet frame of type {ether_type:#x}"
    return None


def _transport(at: float, protocol: int, source: str, destination: str, body: bytes) -> Packet:
    if protocol not in (_TCP, _UDP):
        name = "icmp6" if protocol == _ICMPV6 else str(protocol)
        return Packet(at, name, source, 0, destination, 0, body)
    source_port, destination_port = struct.unpack_from("!HH", body)
    header = 8 if protocol == _UDP else (body[12] >> 4) * 4
    name = "udp" if protocol == _UDP else "tcp"
    return Packet(at, name, source, source_port, destination, destination_port, body[header:])
