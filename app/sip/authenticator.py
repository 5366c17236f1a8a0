"""The server's side of digest authentication: challenges, and the check of what answers them.

RFC 7616 sections 3.3 to 3.5 and 5.4, RFC 3261 section 22, RFC 8760. Pure: time and randomness are handed in. Do not
check ACK and CANCEL, which cannot be challenged and repeat the credentials of their INVITE (RFC 3261 section 22.1).
"""

from __future__ import annotations

import hmac
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from app.sip.challenges import Challenge, Credentials
from app.sip.digest_hash import ALGORITHMS, base_algorithm, digest_response
from app.sip.errors import LocalError, ParseError
from app.sip.message_types import Request
from app.sip.uri import SipUri, parse_uri


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
        return digest_response(
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
        """Realm and role are signed too: a nonce serves only where its uses are counted."""
        scope = f"{self.status} {self.realm}".encode("utf-8", "surrogateescape")
        return hmac.digest(self._secret, data + scope, "sha256")[:_MAC_BYTES]

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
