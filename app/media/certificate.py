"""The self-signed certificate that a DTLS-SRTP call is known by (RFC 5763, RFC 8122)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.media.aiortc_parts import RTCCertificate


class Certificate:
    """A fresh ECDSA P-256 certificate and its private key, good for 30 days. Make one per start or per call."""

    def __init__(self, inner: RTCCertificate) -> None:
        self.inner = inner

    @classmethod
    def generate(cls) -> Certificate:
        """Make a key pair and sign it; a millisecond, but the first time a library is loaded (up to half a second)."""
        from app.media.aiortc_parts import new_certificate

        return cls(new_certificate())

    @property
    def fingerprint(self) -> tuple[str, str]:
        """("sha-256", "AB:CD:…"), as `a=fingerprint` wants it."""
        return self.fingerprint_of("sha-256")

    def fingerprint_of(self, algorithm: str) -> tuple[str, str]:
        """Give the fingerprint under "sha-256", "sha-384" or "sha-512"."""
        return next((f.algorithm, f.value) for f in self.inner.getFingerprints() if f.algorithm == algorithm)

    def __repr__(self) -> str:
        return f"Certificate({self.fingerprint[1][:11]}…)"
