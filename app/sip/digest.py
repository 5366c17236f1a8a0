"""Digest authentication, the public face of both sides, and the client's side: RFC 7616 as SIP uses it.

MD5 and SHA-256, each also as -sess; qop auth and auth-int. A password is never needed beyond the moment at which its
HA1 is made: both sides work from H(user:realm:password) alone. Pure. RFC 3261 section 22, RFC 8760.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterable, Mapping

from app.sip.authenticator import Authenticator, Ha1Lookup, Missing, Stale, Verdict, Wrong
from app.sip.challenges import Challenge, Credentials
from app.sip.digest_hash import ALGORITHMS, base_algorithm, digest_response, make_ha1, make_ha1s
from app.sip.errors import LocalError

__all__ = [
    "ALGORITHMS",
    "Authenticator",
    "Challenge",
    "Credentials",
    "Ha1Lookup",
    "Missing",
    "Stale",
    "Verdict",
    "Wrong",
    "base_algorithm",
    "choose_challenge",
    "credentials_for",
    "digest_response",
    "make_ha1",
    "make_ha1s",
    "new_cnonce",
]


def choose_challenge(challenges: Iterable[Challenge], algorithms: Iterable[str] = ALGORITHMS) -> Challenge | None:
    """The strongest challenge that can be answered with one of `algorithms`, or None.

    A server names its preference by order (RFC 8760 section 2.4); a stronger hash goes before it, so that nobody
    on the way can talk us down by reordering. Of equals the first wins.
    """
    rank = {algorithm: index for index, algorithm in enumerate(ALGORITHMS)}
    usable = set(algorithms)
    candidates = [
        (rank[base], challenge)
        for challenge in challenges
        if challenge.is_digest
        and challenge.nonce
        and (base := base_algorithm(challenge.algorithm)) is not None
        and base in usable
        and (not challenge.qop or _choose_qop(challenge) is not None)
    ]
    return min(candidates, key=lambda item: item[0])[1] if candidates else None


def _choose_qop(challenge: Challenge) -> str | None:
    """ "auth" where offered, since proxies may touch bodies; else "auth-int"; None when neither is."""
    return next((qop for qop in ("auth", "auth-int") if qop in challenge.qop), None)


def new_cnonce(rng: random.Random | None = None) -> str:
    """Sixteen random octets in hex, from the system's source unless one is given."""
    return secrets.token_hex(16) if rng is None else f"{rng.getrandbits(128):032x}"


def credentials_for(
    challenge: Challenge,
    *,
    method: str,
    uri: str,
    username: str,
    password: str | None = None,
    ha1: str | Mapping[str, str] | None = None,
    body: bytes = b"",
    nc: int = 1,
    cnonce: str = "",
) -> str:
    """The value of the Authorization (or Proxy-Authorization) header that answers `challenge`.

    `uri` is the Request-URI as written. Give the password, or the HA1 for the challenge's realm: one in hex, or one
    for each algorithm by name. `nc` counts the requests sent with this nonce from 1; `cnonce` is `new_cnonce()`.
    LocalError when the challenge cannot be answered so.
    """
    base = base_algorithm(challenge.algorithm)
    if base is None or not challenge.is_digest:
        raise LocalError(f"Cannot answer a {challenge.scheme[:20]} challenge with {challenge.algorithm[:20]}")
    if ha1 is not None and not isinstance(ha1, str):
        ha1 = ha1.get(base)
    if ha1 is None:
        if password is None:
            raise LocalError(f"No password and no {base} digest for this account")
        ha1 = make_ha1(username, challenge.realm, password, base)
    qop = _choose_qop(challenge) or ""
    if challenge.qop and not qop:
        raise LocalError("The challenge asks for an unknown quality of protection")
    sess = challenge.algorithm.endswith("-SESS")
    if (qop or sess) and not cnonce:
        cnonce = new_cnonce()
    count = f"{nc:08x}"
    response = digest_response(
        challenge.algorithm,
        ha1,
        method=method,
        uri=uri,
        body=body,
        nonce=challenge.nonce,
        qop=qop,
        nc=count,
        cnonce=cnonce,
    )
    params = [
        ("username", username),
        ("realm", challenge.realm),
        ("nonce", challenge.nonce),
        ("uri", uri),
        ("response", response),
    ]
    named = challenge.param("algorithm")
    params += [("algorithm", named)] if named else []
    params += [("cnonce", cnonce)] if qop or sess else []
    opaque = challenge.param("opaque")
    params += [("opaque", opaque)] if opaque is not None else []
    params += [("qop", qop), ("nc", count)] if qop else []
    return str(Credentials("Digest", tuple(params)))
