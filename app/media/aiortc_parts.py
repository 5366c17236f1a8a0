"""Every name of aiortc that it does not promise to keep, in one place.

Held by tests/media/test_aiortc_contract.py and by the pin aiortc==1.16.*. What is used: the certificate with its SSL
context, and the table of SRTP profiles that this libsrtp can do. Importing aiortc takes a quarter of a second and more,
so this module is imported inside the functions that need it: no window waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiortc.rtcdtlstransport import (
    SRTP_PROFILES,
    X509_DIGEST_ALGORITHMS,
    RTCCertificate,
    SRTPProtectionProfile,
    certificate_digest,
)

if TYPE_CHECKING:
    from OpenSSL.SSL import Context

__all__ = [
    "SRTP_PROFILES",
    "X509_DIGEST_ALGORITHMS",
    "RTCCertificate",
    "SRTPProtectionProfile",
    "certificate_digest",
    "new_certificate",
    "ssl_context",
]


def new_certificate() -> RTCCertificate:
    """Make an ECDSA P-256 certificate."""
    return RTCCertificate.generateCertificate()


def ssl_context(certificate: RTCCertificate) -> Context:
    """Make the DTLS context: the peer must show a certificate (any; its fingerprint is checked after), use_srtp on."""
    context: Context = certificate._create_ssl_context(srtp_profiles=SRTP_PROFILES)
    return context
