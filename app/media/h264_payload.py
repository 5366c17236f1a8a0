"""H.264 in RTP payloads (RFC 6184): single NAL units, STAP-A and FU-A, packetization modes 0 and 1. Pure.

A frame's bitstream is in the byte stream format of H.264 Annex B: NAL units behind start codes.
"""

from __future__ import annotations

from app.media.errors import PacketError
from app.media.payload import PayloadPart

LARGEST_PAYLOAD = 1_180  # with RTP, SRTP, UDP and IPv6 headers under 1280
START_CODE = b"\0\0\0\1"

_SLICE, _IDR, _SEI, _SPS, _PPS, _DELIMITER, _FILLER = 1, 5, 6, 7, 8, 9, 12
_STAP_A, _FU_A = 24, 28
_LARGEST_SIDE_BLOCKS = 256
MOST_PIXELS = (_LARGEST_SIDE_BLOCKS * 16) ** 2
_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))


def nal_units(data: bytes) -> list[bytes]:
    """Give the NAL units of an Annex B byte stream, without start codes and empty ones."""
    units: list[bytes] = []
    at = data.find(b"\0\0\1")
    while at >= 0:
        begin = at + 3
        at = data.find(b"\0\0\1", begin)
        unit = (data[begin:at] if at >= 0 else data[begin:]).rstrip(b"\0")
        if unit:
            units.append(unit)
    return units


class H264Packetizer:
    """Cuts frames into payloads. In mode 0 a NAL unit is a payload: the encoder must keep them small."""

    def __init__(self, mode: int = 1) -> None:
        self._mode = mode

    def packetize(self, data: bytes) -> list[bytes]:
        """Give the payloads of one frame. What no decoder needs (delimiters, SEI, filling) is left out."""
        units = [unit for unit in nal_units(data) if unit[0] & 0x1F not in (_SEI, _DELIMITER, _FILLER)]
        if self._mode == 0:
            return units
        payloads: list[bytes] = []
        waiting: list[bytes] = []  # small ones that go into one packet
        room = LARGEST_PAYLOAD - 1
        for unit in units:
            if waiting and len(unit) + 2 > room:
                payloads.append(_together(waiting))
                waiting, room = [], LARGEST_PAYLOAD - 1
            if len(unit) + 2 <= room:
                waiting.append(unit)
                room -= len(unit) + 2
            else:
                payloads += _fragments(unit)
        if waiting:
            payloads.append(_together(waiting))
        return payloads


def _together(units: list[bytes]) -> bytes:
    if len(units) == 1:
        return units[0]
    importance = max(unit[0] & 0x60 for unit in units)
    return bytes((importance | _STAP_A,)) + b"".join(len(unit).to_bytes(2) + unit for unit in units)


def _fragments(unit: bytes) -> list[bytes]:
    if len(unit) <= LARGEST_PAYLOAD:
        return [unit]
    indicator, kind, body = unit[0] & 0xE0 | _FU_A, unit[0] & 0x1F, unit[1:]
    count = -(-len(body) // (LARGEST_PAYLOAD - 2))
    size = -(-len(body) // count)
    payloads = []
    for start in range(0, len(body), size):
        flags = (0x80 if start == 0 else 0) | (0x40 if start + size >= len(body) else 0)
        payloads.append(bytes((indicator, flags | kind)) + body[start : start + size])
    return payloads


def read_payload(payload: bytes) -> PayloadPart:
    """Read one payload; PacketError when it is malformed or of the interleaved mode, which is never agreed."""
    if len(payload) < 2:
        raise PacketError("An H.264 payload is cut short.")
    kind = payload[0] & 0x1F
    if 1 <= kind <= 23:
        return PayloadPart(True, _begins_key(payload), START_CODE + payload)
    if kind == _STAP_A:
        units = _apart(payload)
        return PayloadPart(True, any(map(_begins_key, units)), b"".join(START_CODE + unit for unit in units))
    if kind == _FU_A:
        if len(payload) < 3:
            raise PacketError("An H.264 fragment is empty.")
        if not payload[1] & 0x80:
            return PayloadPart(False, False, payload[2:])
        unit = bytes((payload[0] & 0xE0 | payload[1] & 0x1F,)) + payload[2:]
        return PayloadPart(True, _begins_key(unit), START_CODE + unit)
    raise PacketError(f"An H.264 payload is of the unusable type {kind}.")


def _apart(payload: bytes) -> list[bytes]:
    units: list[bytes] = []
    at = 1
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 2])
        unit = payload[at + 2 : at + 2 + size]
        if len(unit) != size or not unit:
            raise PacketError("An H.264 aggregation is cut short.")
        units.append(unit)
        at += 2 + size
    return units


def _begins_key(unit: bytes) -> bool:
    """A parameter set goes before a whole picture; else the slice of one that holds its first macroblock."""
    kind = unit[0] & 0x1F
    return kind == _SPS or (kind == _IDR and len(unit) > 1 and unit[1] & 0x80 != 0)


def is_key_frame(data: bytes) -> bool:
    """Tell whether a frame's bitstream has an IDR picture."""
    return any(unit[0] & 0x1F == _IDR for unit in nal_units(data))


def has_parameters(data: bytes) -> bool:
    """Tell whether a frame's bitstream says how it is to be read."""
    return any(unit[0] & 0x1F == _SPS for unit in nal_units(data))


# Sequence parameter sets --------------------------------------------------------------------------------------


class _Bits:
    """Reads the bits of a NAL unit's payload; PacketError at its end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = len(data) * 8

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise PacketError("An H.264 parameter set is cut short.")
        return self._value >> self._left & ((1 << count) - 1)

    def unsigned(self) -> int:
        """Exp-Golomb ue(v), H.264 section 9.1."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 31:
                raise PacketError("A number in an H.264 parameter set is too large.")
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        value = self.unsigned()
        return (value + 1) // 2 if value & 1 else -(value // 2)


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Give the largest coded width and height that a frame's SPS tell (H.264 section 7.3.2.1.1); None without one.

    PacketError when one is malformed, or larger than any screen.
    """
    sizes = [_size_of(unit) for unit in nal_units(data) if unit[0] & 0x1F == _SPS]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _size_of(unit: bytes) -> tuple[int, int]:
    bits = _Bits(unit[1:257].replace(b"\0\0\3", b"\0\0"))
    profile = bits.read(8)
    bits.read(16)
    bits.unsigned()
    if profile in _HIGH_PROFILES:
        _skip_high(bits)
    bits.unsigned()  # log2_max_frame_num
    order = bits.unsigned()
    if order == 0:
        bits.unsigned()
    elif order == 1:
        bits.read(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.unsigned(), 255)):
            bits.signed()
    bits.unsigned()  # max_num_ref_frames
    bits.read(1)
    width, height = bits.unsigned() + 1, bits.unsigned() + 1
    height *= 2 - bits.read(1)
    if max(width, height) > _LARGEST_SIDE_BLOCKS:
        raise PacketError("An H.264 picture is larger than any screen.")
    return width * 16, height * 16


def _skip_high(bits: _Bits) -> None:
    chroma = bits.unsigned()
    if chroma == 3:
        bits.read(1)
    bits.unsigned()
    bits.unsigned()
    bits.read(1)
    if bits.read(1):
        for index in range(12 if chroma == 3 else 8):
            if bits.read(1):
                _skip_scaling(bits, 16 if index < 6 else 64)


def _skip_scaling(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) & 0xFF
        last = following or last
