"""Every name of aiortc that it does not promise to keep, in one place.

Held by tests/media/test_aiortc_contract.py and by the pin aiortc==1.16.*. What is used: the DTLS context of a
certificate, and the table of SRTP profiles that this libsrtp can do. Importing aiortc takes a quarter of a second and
more, so this module is imported inside the functions that need it: neither a window nor an INVITE waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate, SRTPProtectionProfile

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate
    from OpenSSL.SSL import Context

__all__ = ["SRTP_PROFILES", "SRTPProtectionProfile", "ssl_context"]


def ssl_context(key: EllipticCurvePrivateKey, certificate: Certificate) -> Context:
    """Make the DTLS context: the peer must show a certificate (any; its fingerprint is checked after), use_srtp on."""
    context: Context = RTCCertificate(key, certificate)._create_ssl_context(srtp_profiles=SRTP_PROFILES)
    return context
