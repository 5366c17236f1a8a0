"""RTP payloads of narrow-band codecs cut into the codec's own frames, and AMR frames packed into a payload.

AMR by RFC 4867 section 4.4 (octet-aligned, no interleaving, no CRC), GSM and G.729 by RFC 3551 sections 4.5.8 and
4.5.6, Speex by RFC 5574 section 3. All frames are 20 ms, but G.729's of 10 ms. `app.media.errors.PacketError` for a
payload that is none of its kind. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.media.errors import PacketError

LONGEST_MS = 120

# Bytes of speech by frame type, 3GPP TS 26.101: the eight rates, silence descriptor, nothing.
_AMR_SIZES = {0: 12, 1: 13, 2: 15, 3: 17, 4: 19, 5: 20, 6: 26, 7: 31, 8: 5, 15: 0}
_AMR_NO_REQUEST = 0xF0  # the codec mode request: none
_AMR_FOLLOWED = 0x80
_GSM_BYTES, _GSM_SIGNATURE = 33, 0xD
_G729_BYTES, _G729_SILENCE_BYTES = 10, 2

# Bits by sub-mode, the Speex manual section 9; the wide-band layer that may follow a frame is left out.
_SPEEX_BITS = {0: 5, 1: 43, 2: 119, 3: 160, 4: 220, 5: 300, 6: 364, 7: 492, 8: 79}
_SPEEX_WIDE_BITS = {0: 4, 1: 36, 2: 112, 3: 192, 4: 352}
_SPEEX_END = 15


def amr_frames(payload: bytes) -> list[bytes]:
    """Give the frames in the storage form of RFC 4867 section 5.3: a byte of type and quality, then the speech."""
    types: list[int] = []
    at = 1
    while True:
        if at >= len(payload) or len(types) == LONGEST_MS // 20:
            raise PacketError("The table of contents of an AMR payload has no end.")
        entry = payload[at]
        types.append(entry & 0x7C)
        at += 1
        if not entry & _AMR_FOLLOWED:
            break
    frames = []
    for entry in types:
        size = _AMR_SIZES.get(entry >> 3)
        if size is None or at + size > len(payload):
            raise PacketError("An AMR payload is cut short or has frames of an unknown type.")
        frames.append(bytes((entry,)) + payload[at : at + size])
        at += size
    return frames


def pack_amr(frames: Sequence[bytes]) -> bytes:
    """Make a payload of frames in the storage form."""
    last = len(frames) - 1
    contents = bytes(frame[0] & 0x7C | (_AMR_FOLLOWED if at < last else 0) for at, frame in enumerate(frames))
    return bytes((_AMR_NO_REQUEST,)) + contents + b"".join(frame[1:] for frame in frames)


def gsm_frames(payload: bytes) -> list[bytes]:
    frames = _pieces(payload, _GSM_BYTES, 20)
    if not frames or any(frame[0] >> 4 != _GSM_SIGNATURE for frame in frames):
        raise PacketError(f"A GSM payload of {len(payload)} bytes is not understood.")
    return frames


def g729_frames(payload: bytes) -> list[bytes]:
    """Give the frames; a description of silence after them (Annex B) says nothing that is played."""
    over = len(payload) % _G729_BYTES
    frames = _pieces(payload[: len(payload) - over], _G729_BYTES, 10)
    if not frames or over not in (0, _G729_SILENCE_BYTES):
        raise PacketError(f"A G.729 payload of {len(payload)} bytes is not understood.")
    return frames


def _pieces(payload: bytes, size: int, ms: int) -> list[bytes]:
    count, over = divmod(len(payload), size)
    return [] if over or count * ms > LONGEST_MS else [payload[at : at + size] for at in range(0, len(payload), size)]


def speex_frames(payload: bytes) -> list[bytes]:
    """Give each narrow-band frame on bytes of its own, filled up as a payload is: a zero, then ones."""
    frames: list[bytes] = []
    total, at = 8 * len(payload), 0
    bits = int.from_bytes(payload)

    def read(start: int, count: int) -> int:
        return bits >> total - start - count & (1 << count) - 1

    while total - at >= 5:
        kind = read(at, 5)
        if kind == _SPEEX_END:
            break
        if frames and kind >> 4:
            at += _size(_SPEEX_WIDE_BITS.get(read(at + 1, 3)), total - at)
            continue
        size = _size(_SPEEX_BITS.get(kind), total - at)
        if len(frames) == LONGEST_MS // 20:
            raise PacketError("A Speex payload holds more than 120 ms.")
        fill = -size % 8
        ones = (1 << max(0, fill - 1)) - 1
        frames.append((read(at, size) << fill | ones).to_bytes((size + fill) // 8))
        at += size
    if not frames:
        raise PacketError("A Speex payload holds no frame.")
    return frames


def _size(bits: int | None, left: int) -> int:
    if bits is None or bits > left:
        raise PacketError("A Speex payload is cut short or has frames of an unknown kind.")
    return bits
