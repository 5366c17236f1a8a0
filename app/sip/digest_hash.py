"""The arithmetic of digest authentication: HA1 and response (RFC 7616 section 3.4; RFC 2069 where there is no qop)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from app.sip.errors import LocalError

ALGORITHMS = ("SHA-256", "MD5")  # strongest first
_HASHES: dict[str, Callable[[bytes], str]] = {
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
}


def base_algorithm(algorithm: str) -> str | None:
    """The hash behind an algorithm's name ("MD5" for "md5-sess"); None for one we do not know."""
    name = algorithm.upper().removesuffix("-SESS")
    return name if name in _HASHES else None


def make_ha1(username: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """H(username:realm:password) in hex, which is all that either side has to keep (RFC 7616 section 3.4.2)."""
    base = base_algorithm(algorithm)
    if base is None:
        raise LocalError(f"Unknown digest algorithm {algorithm[:20]!r}")
    return _hash(base, f"{username}:{realm}:{password}")


def make_ha1s(username: str, realm: str, password: str) -> dict[str, str]:
    """The HA1 for each algorithm, keyed by its name."""
    return {algorithm: make_ha1(username, realm, password, algorithm) for algorithm in ALGORITHMS}


def _hash(base: str, text: str) -> str:
    return _HASHES[base](text.encode("utf-8", "surrogateescape"))


def digest_response(
    algorithm: str, ha1: str, *, method: str, uri: str, body: bytes, nonce: str, qop: str, nc: str, cnonce: str
) -> str:
    """The request-digest of RFC 7616 section 3.4.1; `qop` "" computes that of RFC 2069."""
    base = base_algorithm(algorithm) or "MD5"
    if algorithm.upper().endswith("-SESS"):
        ha1 = _hash(base, f"{ha1}:{nonce}:{cnonce}")
    a2 = f"{method}:{uri}"
    if qop == "auth-int":
        a2 += f":{_HASHES[base](body)}"
    ha2 = _hash(base, a2)
    return _hash(base, f"{ha1}:{nonce}:{nc}:{cnonce}:{qop}:{ha2}" if qop else f"{ha1}:{nonce}:{ha2}")
