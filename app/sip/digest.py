"""Digest authentication, both sides: RFC 7616 as SIP uses it (RFC 3261 section 22, RFC 8760).

MD5 and SHA-256, each also as -sess; qop auth and auth-int. A password is never needed beyond the moment at which its
HA1 is made: both sides work from H(user:realm:password) alone. Pure: time and randomness are handed in.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from app.sip.challenges import Challenge, Credentials
from app.sip.errors import LocalError, ParseError
from app.sip.message_types import Request
from app.sip.uri import SipUri, parse_uri

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


def _response(
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


# The client's side -----------------------------------------------------------------------------------------


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
    response = _response(
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


# The server's side -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Missing:
    """The request carries no credentials for this realm that we understand: challenge it."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The digest is right but its nonce is too old or was used up: challenge again with stale=true."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """The credentials are not right. `username` is what was claimed, `why` says it for a log; neither goes out."""

    username: str
    why: str


Verdict = str | Missing | Stale | Wrong
Ha1Lookup = Callable[[str, str], str | None]

_STAMP_BYTES = 6  # milliseconds of the server's clock
_SALT_BYTES = 6
_MAC_BYTES = 16
_WINDOW = 64  # how far behind the highest nonce count an unused one is still taken (UDP reorders)


class Authenticator:
    """Challenges requests and checks their answers, for one realm.

    Nonces are signed instead of remembered, so unanswered challenges cost no memory. Of answered ones the nonce counts
    seen are kept for at most `max_nonces` nonces; when more are alive the oldest are given up and count as stale.
    `ha1_lookup(username, algorithm)` gives the HA1 in hex for "MD5" or "SHA-256", or None for a user it does not
    know. `secret` is at least 16 random octets. A proxy passes `proxy=True` to use 407 and Proxy-Authorization.
    `qop` may be "auth,auth-int"; it is "auth" because some phones choose auth-int and then get it wrong.
    """

    def __init__(
        self,
        realm: str,
        secret: bytes,
        ha1_lookup: Ha1Lookup,
        *,
        proxy: bool = False,
        algorithms: tuple[str, ...] = ALGORITHMS,
        qop: str = "auth",
        nonce_lifetime_s: float = 300.0,
        max_nonces: int = 4096,
        rng: random.Random | None = None,
    ) -> None:
        if len(secret) < 16:
            raise LocalError("The secret that signs nonces must have at least 16 octets")
        self.realm = realm
        self.status = 407 if proxy else 401
        self.challenge_header = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        self.credentials_header = "Proxy-Authorization" if proxy else "Authorization"
        self._secret = secret
        self._lookup = ha1_lookup
        self._algorithms = algorithms
        self._qop = qop
        self._lifetime_s = nonce_lifetime_s
        self._max_nonces = max_nonces
        self._rng = rng or random.SystemRandom()
        self._counts: OrderedDict[str, tuple[int, int, int]] = OrderedDict()  # nonce: issued ms, highest nc, bits
        self._forgotten_ms = -1  # nonces issued up to here that are not in _counts may have been used

    def challenge(self, now: float, stale: bool = False) -> list[str]:
        """One header value for each algorithm, strongest first, to be put into rows of `challenge_header`."""
        nonce = self._new_nonce(now)
        common: tuple[tuple[str, str], ...] = (("realm", self.realm), ("nonce", nonce), ("qop", self._qop))
        if stale:
            common += (("stale", "true"),)
        return [str(Challenge("Digest", (*common, ("algorithm", algorithm)))) for algorithm in self._algorithms]

    def check(self, request: Request, now: float) -> Verdict:
        """The name of the user whose credentials the request carries, or why there is none."""
        credentials = self._find(request)
        if credentials is None:
            return Missing()
        username = credentials.param("username") or ""
        algorithm = credentials.param("algorithm") or "MD5"
        base = base_algorithm(algorithm)
        if base is None or base not in self._algorithms:
            return Wrong(username, "the algorithm was not offered")
        problem = self._mismatch(request, credentials)
        if problem is not None:
            return Wrong(username, problem)
        issued_ms = self._issued_ms(credentials.param("nonce") or "")
        if issued_ms is None:
            return Stale()  # of another run of this server, or invented: either way a new one is the cure
        ha1 = self._lookup(username, base)
        expected = self._expected(request, credentials, algorithm, ha1 or "0" * 32)
        given = (credentials.param("response") or "").lower()
        right = hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape"))
        if ha1 is None or not right:
            return Wrong(username, "unknown user" if ha1 is None else "wrong password")
        if not 0 <= int(now * 1000) - issued_ms <= self._lifetime_s * 1000:
            return Stale()
        if not self._use(credentials, issued_ms):
            return Stale()
        return username

    def _find(self, request: Request) -> Credentials | None:
        for text in request.headers.rows(self.credentials_header):
            try:
                credentials = Credentials.parse(text)
            except ParseError:
                continue
            if credentials.scheme.lower() == "digest" and credentials.param("realm") == self.realm:
                return credentials
        return None

    def _mismatch(self, request: Request, credentials: Credentials) -> str | None:
        """What in the credentials does not fit the request or our challenge; None when all does."""
        qop = (credentials.param("qop") or "").lower()
        if qop and qop not in self._qop.split(","):
            return "the quality of protection was not offered"
        if qop and (not credentials.param("cnonce") or _count_of(credentials) is None):
            return "cnonce or nonce count is missing"
        if not _same_target(credentials.param("uri") or "", request):
            return "the digest is for another address"
        return None

    def _expected(self, request: Request, credentials: Credentials, algorithm: str, ha1: str) -> str:
        return _response(
            algorithm,
            ha1,
            method=request.method,
            uri=credentials.param("uri") or "",
            body=request.body,
            nonce=credentials.param("nonce") or "",
            qop=(credentials.param("qop") or "").lower(),
            nc=credentials.param("nc") or "",
            cnonce=credentials.param("cnonce") or "",
        )

    def _new_nonce(self, now: float) -> str:
        stamp = int(now * 1000).to_bytes(_STAMP_BYTES, "big")
        salt = self._rng.randbytes(_SALT_BYTES)
        return (stamp + salt + self._sign(stamp + salt)).hex()

    def _sign(self, data: bytes) -> bytes:
        realm = self.realm.encode("utf-8", "surrogateescape")
        return hmac.digest(self._secret, data + realm, "sha256")[:_MAC_BYTES]

    def _issued_ms(self, nonce: str) -> int | None:
        """When we made this nonce, in ms of our clock; None when we did not."""
        try:
            data = bytes.fromhex(nonce)
        except ValueError:
            return None
        if len(data) != _STAMP_BYTES + _SALT_BYTES + _MAC_BYTES or data.hex() != nonce:
            return None
        body, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        return int.from_bytes(data[:_STAMP_BYTES], "big") if hmac.compare_digest(self._sign(body), mac) else None

    def _use(self, credentials: Credentials, issued_ms: int) -> bool:
        """Mark the nonce count as used; False for one that was used before or cannot be told from such."""
        nonce = credentials.param("nonce") or ""
        count = _count_of(credentials) or 1  # without qop there is no count: the nonce serves once
        known = self._counts.get(nonce)
        if known is None:
            if issued_ms <= self._forgotten_ms:
                return False
            self._counts[nonce] = (issued_ms, count, 1)
            if len(self._counts) > self._max_nonces:
                _, (forgotten_ms, _, _) = self._counts.popitem(last=False)
                self._forgotten_ms = max(self._forgotten_ms, forgotten_ms)
            return True
        _, highest, bits = known
        if count > highest:
            bits = (bits << min(count - highest, _WINDOW) | 1) & ((1 << _WINDOW) - 1)
            self._counts[nonce] = (issued_ms, count, bits)
            return True
        behind = highest - count
        if behind >= _WINDOW or bits >> behind & 1:
            return False
        self._counts[nonce] = (issued_ms, highest, bits | 1 << behind)
        return True


def _count_of(credentials: Credentials) -> int | None:
    text = credentials.param("nc") or ""
    try:
        return int(text, 16) if len(text) == 8 else None
    except ValueError:
        return None


def _same_target(text: str, request: Request) -> bool:
    """Whether the digest's URI means the target of the request.

    User and host must agree; ports and parameters may not, for proxies and phones change them on the way.
    """
    if text == str(request.uri):
        return True
    try:
        uri = parse_uri(text)
    except ParseError:
        return False
    if isinstance(uri, SipUri) and isinstance(request.uri, SipUri):
        return (uri.user, uri.host.lower()) == (request.uri.user, request.uri.host.lower())
    return uri.matches(request.uri)
