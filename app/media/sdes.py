"""The key of one direction as `a=crypto` carries it (RFC 4568 sections 6.1, 9.1 and 9.2)."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass, field

from app.media.errors import MediaError

SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
KEY_AND_SALT_BYTES = 30


@dataclass(frozen=True, slots=True)
class SdesKey:
    """One `a=crypto` value: tag, suite, and master key with salt (30 bytes), never shown in a repr."""

    tag: int
    suite: str
    key: bytes = field(repr=False)

    @classmethod
    def generate(cls, suite: str = SUITES[0], tag: int = 1) -> SdesKey:
        """Make a random key; MediaError for a suite that is not ours."""
        if suite not in SUITES:
            raise MediaError(f"The encryption suite {suite[:40]!r} is not known here.")
        return cls(tag, suite, secrets.token_bytes(KEY_AND_SALT_BYTES))

    @classmethod
    def parse(cls, text: str) -> SdesKey:
        """Read the value of `a=crypto:`; MediaError for anything we could not encrypt with.

        A lifetime is accepted and ignored (2^48 packets are never reached); an MKI and session parameters that
        change the processing are refused, since we would not follow them (RFC 4568 section 6.3).
        """
        parts = text.split()
        if len(parts) < 3 or not (parts[0].isascii() and parts[0].isdigit() and len(parts[0]) < 10):
            raise MediaError(f"{text[:12]!r}… is not an encryption key line: tag, suite and key are needed.")
        tag, suite, key_text, parameters = int(parts[0]), parts[1], parts[2], parts[3:]
        if suite not in SUITES:
            raise MediaError(f"The encryption suite {suite[:40]!r} is not known here.")
        if parameters:
            raise MediaError(f"The encryption parameter {parameters[0][:40]!r} is not known here.")
        method, colon, info = key_text.partition(":")
        if method.lower() != "inline" or not colon or ";" in info:
            raise MediaError("Only one inline key per encryption line is understood.")
        key_base64, *rest = info.split("|")
        if any(":" in part for part in rest):
            raise MediaError("Encryption keys with a key identifier (MKI) are not understood.")
        try:
            key = base64.b64decode(key_base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise MediaError("The encryption key is not base64.") from error
        if len(key) != KEY_AND_SALT_BYTES:
            raise MediaError(f"The encryption key has {len(key)} bytes instead of {KEY_AND_SALT_BYTES}.")
        return cls(tag, suite, key)

    def to_sdp(self) -> str:
        """Write the value of `a=crypto:`. Holds the key: only for the SDP. str() of the key shows no secret."""
        return f"{self.tag} {self.suite} inline:{base64.b64encode(self.key).decode()}"

    def __str__(self) -> str:
        return f"{self.tag} {self.suite}"
