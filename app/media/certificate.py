"""The self-signed certificate that a DTLS-SRTP call is known by (RFC 5763, RFC 8122).

Its fingerprint stands in every offer, so this is made before the first INVITE leaves: by `cryptography` alone, since
OpenSSL's DTLS and all that comes with it take several times as long to load and are needed only when keys are agreed.
"""

from __future__ import annotations

import datetime
import secrets
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from OpenSSL.SSL import Context

HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha-256": hashes.SHA256(),
    "sha-384": hashes.SHA384(),
    "sha-512": hashes.SHA512(),
}
_AGE = datetime.timedelta(days=1)  # clocks of two machines differ
_LIFE = datetime.timedelta(days=30)


class Certificate:
    """A fresh ECDSA P-256 certificate and its private key, good for 30 days. Make one per start or per call."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate

    @classmethod
    def generate(cls) -> Certificate:
        """Make a key pair and sign it; a millisecond."""
        key = ec.generate_private_key(ec.SECP256R1())
        # A name that says nothing of whose it is: it is shown to everybody who calls.
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, secrets.token_hex(16))])
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - _AGE).not_valid_after(now + _LIFE)
        return cls(key, builder.sign(key, hashes.SHA256()))

    @property
    def fingerprint(self) -> tuple[str, str]:
        """("sha-256", "AB:CD:…"), as `a=fingerprint` wants it."""
        return self.fingerprint_of("sha-256")

    def fingerprint_of(self, algorithm: str) -> tuple[str, str]:
        """Give the fingerprint under "sha-256", "sha-384" or "sha-512"."""
        return algorithm, fingerprint(self._certificate, algorithm)

    def dtls_context(self) -> Context:
        """Make the DTLS context that shows this certificate."""
        from app.media.aiortc_parts import ssl_context

        return ssl_context(self._key, self._certificate)

    def __repr__(self) -> str:
        return f"Certificate({self.fingerprint[1][:11]}…)"


def fingerprint(certificate: x509.Certificate, algorithm: str) -> str:
    """Give a certificate's hash as RFC 8122 section 5 writes it."""
    return certificate.fingerprint(HASHES[algorithm]).hex(":").upper()
