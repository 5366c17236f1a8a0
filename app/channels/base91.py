"""basE91: bytes as printable ASCII, 13 or 14 bits in two characters (docs/channels.md, Mission files).

The first bits of the data are the lowest of a group. 91 × 91 pairs hold a little more than 13 bits: a group whose 13
bits are at most 88 takes a fourteenth.
"""

from __future__ import annotations

ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&()*+,./:;<=>?@[]^_`{|}~"'
_BASE = len(ALPHABET)
_PAIRS = [low + high for high in ALPHABET for low in ALPHABET]
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_SHORT, _LONG = 0x1FFF, 0x3FFF
_LAST_LONG = 88  # of 8,281 pairs, 8,192 are the short groups; what is left are 89 long ones


def encode(data: bytes) -> str:
    """Write bytes as text, 1.23 characters a byte."""
    pairs: list[str] = []
    held = bits = 0
    for byte in data:
        held |= byte << bits
        bits += 8
        if bits > 13:
            size = 13 if held & _SHORT > _LAST_LONG else 14
            pairs.append(_PAIRS[held & (_SHORT if size == 13 else _LONG)])
            held >>= size
            bits -= size
    if bits:
        pair = _PAIRS[held]
        pairs.append(pair if bits > 7 or held >= _BASE else pair[0])
    return "".join(pairs)


def decode(text: str) -> bytes:
    """Read text back; characters outside the alphabet (line ends above all) are passed over."""
    data = bytearray()
    held = bits = 0
    first = -1
    for character in text:
        value = _VALUES.get(character)
        if value is None:
            continue
        if first < 0:
            first = value
            continue
        pair = first + value * _BASE
        first = -1
        held |= pair << bits
        bits += 13 if pair & _SHORT > _LAST_LONG else 14
        while bits > 7:
            data.append(held & 0xFF)
            held >>= 8
            bits -= 8
    if first >= 0:
        data.append((held | first << bits) & 0xFF)
    return bytes(data)
