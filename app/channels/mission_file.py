"""The file that a mission travels in, which is also what a QR picture holds (docs/channels.md, Mission files).

From the inside: a magic and a version before compact JSON, gzip, encryption when there is a passphrase, basE91.

Deriving a key from a passphrase takes a fraction of a second: not for an event loop.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import struct
import unicodedata
import zlib
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.channels import base91, strict_json
from app.channels.errors import MissionError, PassphraseNeeded
from app.channels.mission import Mission

SUFFIX = ".ice"
MAGIC = "&*3$e1@E"
VERSION = "001"
DEFLECTION = "/??"
QR_MOST_BYTES = 2_953
"""What the largest QR picture holds (version 40, level L)."""
MOST_FILE_BYTES = 2 << 20

SEALED_MAGIC = b"PLYM"
SEALED_VERSION = 1
ROUNDS = 600_000
LEAST_ROUNDS, MOST_ROUNDS = 1_000, 2_000_000  # the most is what a stranger's file may cost: about a second
LEAST_PASSPHRASE = 8
MOST_PASSPHRASE = 1_024
_SEALED_HEADER = struct.Struct("!4sBI16s12s")  # magic, version, rounds, salt, nonce
_TAG_BYTES = 16

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_DEFLATE, _GZIP_NAMED, _GZIP_MOST, _GZIP_UNIX = 8, 8, 2, 3
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

RandomBytes = Callable[[int], bytes]


def pack(
    mission: Mission,
    passphrase: str | None = None,
    *,
    deflection_url: str | None = None,
    rounds: int = ROUNDS,
    random_bytes: RandomBytes = os.urandom,
) -> str:
    """Write a mission as the text of a `.ice` file; MissionError for one that could not be read again.

    deflection_url: a page that people see who scan the QR picture with an ordinary camera; it goes before the text.
    """
    payload = (MAGIC + VERSION + str(mission.checked())).encode()
    if deflection_url is None:
        return _packed_without(DEFLECTION, payload, passphrase, rounds, random_bytes)
    return _checked_url(deflection_url) + DEFLECTION + _packed(_gzip(payload), passphrase, rounds, random_bytes)


def unpack(data: bytes | str, passphrase: str | None = None) -> Mission:
    """Read what `pack` wrote, a URL with it behind `/??`, or the bare JSON of a mission, as a file or as text.

    MissionError says what is wrong; PassphraseNeeded when it is encrypted and there was no passphrase.
    """
    text = _text_of(data).strip()
    if text.startswith("{"):
        return Mission.parse(text)
    packed = _decoded(text)
    if packed.startswith(SEALED_MAGIC):
        packed = _opened(packed, passphrase)
    payload = _gunzipped(packed)
    if not payload.startswith(MAGIC.encode()):
        raise MissionError("The file holds something else than a mission: the mark at its beginning is missing.")
    version = payload[len(MAGIC) : len(MAGIC) + len(VERSION)]
    if version != VERSION.encode():
        raise MissionError(f"The mission file is of version {version.decode('latin-1')!a}, and Parley reads {VERSION}.")
    try:
        return Mission.parse(payload[len(MAGIC) + len(VERSION) :].decode())
    except UnicodeDecodeError:
        raise MissionError("The mission is not UTF-8 text.") from None


def is_encrypted(data: bytes | str) -> bool:
    """Whether `unpack` will want a passphrase."""
    text = _text_of(data).strip()
    return not text.startswith("{") and _decoded(text).startswith(SEALED_MAGIC)


def fits_qr(text: str) -> bool:
    return len(text.encode()) <= QR_MOST_BYTES


def too_large_for_qr(text: str) -> str:
    """Say that a text which does not fit has to travel in another way."""
    size = len(text.encode())
    return f"The mission takes {size:,} bytes, and a QR picture holds {QR_MOST_BYTES:,}: give it as a file."


# Text and basE91 ----------------------------------------------------------------------------------------------


def _text_of(data: bytes | str) -> str:
    """The text of a file in any of the encodings that editors save it in."""
    if len(data) > MOST_FILE_BYTES:
        raise MissionError(f"The mission file is larger than {MOST_FILE_BYTES:,} bytes.")
    if isinstance(data, str):
        return data.removeprefix("\ufeff")
    try:
        return data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        raise MissionError("This is no mission file: it is not text.") from None


def _decoded(text: str) -> bytes:
    """The bytes behind basE91. The separator's characters may also stand within it: its beginning decides."""
    for candidate in (text, text.partition(DEFLECTION)[2]):
        if base91.decode(candidate[:8]).startswith((_GZIP_MAGIC, SEALED_MAGIC)):
            return base91.decode(candidate)
    if not text:
        raise MissionError("The mission file is empty.")
    raise MissionError("This is no mission file, or one that another program encrypted in a way Parley cannot read.")


def _packed_without(
    forbidden: str, payload: bytes, passphrase: str | None, rounds: int, random_bytes: RandomBytes
) -> str:
    """Packed so that readers which look for the separator anywhere do not find one by chance.

    A name of the file in gzip's header, which no reader of missions looks at, moves every bit behind it.
    """
    name = b""
    while forbidden in (text := _packed(_gzip(payload, name), passphrase, rounds, random_bytes)):
        name += b"m"
    return text


def _packed(packed: bytes, passphrase: str | None, rounds: int, random_bytes: RandomBytes) -> str:
    return base91.encode(packed if passphrase is None else _sealed(packed, passphrase, rounds, random_bytes))


def _checked_url(url: str) -> str:
    address = url.rstrip("/")
    if not address.startswith(("http://", "https://")) or DEFLECTION in address or not address.isascii():
        raise MissionError("The page for ordinary cameras must be an http or https address without /?? in it.")
    if any(ord(each) <= 32 or ord(each) == 127 for each in address) or len(address) > 1_000:
        raise MissionError("The page for ordinary cameras has a blank in its address, or more than 1,000 characters.")
    return address


# gzip ---------------------------------------------------------------------------------------------------------


def _gzip(payload: bytes, name: bytes = b"") -> bytes:
    """RFC 1952 at level 9, without a time: the same mission gives the same file on every system."""
    flags = _GZIP_NAMED if name else 0
    header = struct.pack("<2sBBIBB", _GZIP_MAGIC, _GZIP_DEFLATE, flags, 0, _GZIP_MOST, _GZIP_UNIX)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(payload) + deflate.flush()
    return header + (name + b"\0" if name else b"") + body + struct.pack("<II", zlib.crc32(payload), len(payload))


def _gunzipped(packed: bytes) -> bytes:
    """Unpack no more than a mission may have, whatever the file promises."""
    most = len(MAGIC) + len(VERSION) + strict_json.MOST_BYTES
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        payload = inflate.decompress(packed, most + 1)
    except zlib.error:
        raise MissionError("The mission file is damaged: it does not unpack.") from None
    if len(payload) > most:
        raise MissionError(f"The mission file unpacks to more than {strict_json.MOST_BYTES:,} bytes.")
    if not inflate.eof:
        raise MissionError("The mission file is damaged: its end is missing.")
    if inflate.unused_data:
        raise MissionError("The mission file is damaged: something follows its end.")
    return payload


# Encryption ---------------------------------------------------------------------------------------------------


def _sealed(packed: bytes, passphrase: str, rounds: int, random_bytes: RandomBytes) -> bytes:
    if not LEAST_PASSPHRASE <= len(passphrase) <= MOST_PASSPHRASE:
        raise MissionError(f"A passphrase for a mission has {LEAST_PASSPHRASE} to {MOST_PASSPHRASE:,} characters.")
    salt, nonce = random_bytes(16), random_bytes(12)
    header = _SEALED_HEADER.pack(SEALED_MAGIC, SEALED_VERSION, rounds, salt, nonce)
    return header + AESGCM(_key_of(passphrase, salt, rounds)).encrypt(nonce, packed, header)


def _opened(sealed: bytes, passphrase: str | None) -> bytes:
    if len(sealed) < _SEALED_HEADER.size + _TAG_BYTES:
        raise MissionError("The mission file is damaged: its end is missing.")
    header = sealed[: _SEALED_HEADER.size]
    _, version, rounds, salt, nonce = _SEALED_HEADER.unpack(header)
    if version != SEALED_VERSION:
        raise MissionError(f"The mission is encrypted in version {version}, and Parley reads version {SEALED_VERSION}.")
    if not LEAST_ROUNDS <= rounds <= MOST_ROUNDS:
        raise MissionError("The mission file is damaged: its encryption asks for a senseless number of rounds.")
    if passphrase is None:
        raise PassphraseNeeded("The mission is encrypted: its passphrase is needed.")
    try:
        return AESGCM(_key_of(passphrase, salt, rounds)).decrypt(nonce, sealed[_SEALED_HEADER.size :], header)
    except InvalidTag:
        raise MissionError("The passphrase is wrong, or the mission file is damaged.") from None


def _key_of(passphrase: str, salt: bytes, rounds: int) -> bytes:
    """PBKDF2-HMAC-SHA256, 256 bits. The passphrase in NFC, so that every keyboard's é is the same."""
    secret = unicodedata.normalize("NFC", passphrase[:MOST_PASSPHRASE]).encode("utf-8", "surrogateescape")
    return hashlib.pbkdf2_hmac("sha256", secret, salt, rounds, 32)
