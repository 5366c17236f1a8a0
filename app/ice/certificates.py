"""Why a TURN server's certificate is not trusted, in words. Asks nothing; reads the error of the TLS library."""

from __future__ import annotations

import ssl

# Numbers of X509_verify_cert_error_string(3).
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21)
_WRONG_NAME = (62, 64)


def distrust(error: ssl.SSLError, name: str) -> str:
    """Give a clause that says what is wrong and what to do; `name` is the one the certificate had to show."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"no TLS connection could be agreed on ({(error.reason or 'no common protocol').lower()[:60]})"
    code = error.verify_code
    if code == _EXPIRED:
        return "its certificate has expired; whoever runs the server must renew it"
    if code == _NOT_YET_VALID:
        return "its certificate is not valid yet; check the clock of this machine"
    if code in _WRONG_NAME:
        return f"its certificate is for another name than {name}; check the server's name"
    if code in _UNKNOWN_AUTHORITY:
        return "its certificate is from an unknown authority; name a file with it as the CA file if you trust it"
    return f"its certificate was not accepted ({error.verify_message[:80]})"
