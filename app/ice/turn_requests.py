"""The requests of one TURN client: authentication, repetition, and what a refusal means in words.

RFC 8489 section 9.2 (long-term credentials) and RFC 8656. Pure.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from app.ice.config import Timing
from app.ice.requests import Due, RandomBits, Schedule, transaction_id
from app.ice.stun import Attribute, Message, MessageClass, Method, long_term_key

log = logging.getLogger(__name__)

MAX_STALE_NONCES = 3

Settled = Callable[[Message | None, str, float], None]
"""Told the success response, or None and why not, and the time."""
OnError = Callable[[Method, int, Message], bool]
"""Shown an error answer with its code; True when the request is to be sent once more."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who allocates. `lasts_s`: how long the server takes them, where they are limited in time."""

    username: str
    password: str = field(default="", repr=False)
    lasts_s: float | None = None


@dataclass(slots=True, eq=False)
class _Request:
    """One request under way."""

    method: Method
    build: Callable[[Message], Message]
    settled: Settled
    schedule: Schedule
    data: bytes = b""
    stale_nonces: int = 0


class TurnRequests:
    """Sends requests until they are answered or given up; what is to be sent gathers in `packets`."""

    def __init__(
        self,
        name: str,
        credentials: Credentials,
        timing: Timing,
        random_bits: RandomBits,
        packets: deque[bytes],
        on_error: OnError,
        *,
        over_stream: bool,
    ) -> None:
        self.heard = over_stream  # the server is alive: it let us connect, or has answered, be it by a challenge
        self.rtt_s: float | None = None
        self.established = False  # the credentials were good once: 401 may mean an old nonce from now on
        self._name = name
        self._credentials = credentials
        self._timing = timing
        self._random_bits = random_bits
        self._packets = packets
        self._on_error = on_error
        self._over_stream = over_stream
        self._realm: str | None = None
        self._nonce = ""
        self._key: bytes | None = None
        self._open: dict[bytes, _Request] = {}

    def ask(
        self,
        method: Method,
        build: Callable[[Message], Message],
        settled: Settled,
        now: float,
        schedule: Schedule | None = None,
    ) -> None:
        """Send a request that `build` completes; without a schedule it is repeated as toward any server."""
        self._send(_Request(method, build, settled, schedule or self._schedule(now)), now)

    def _schedule(self, now: float) -> Schedule:
        return Schedule.start(self._timing, now, self._timing.server_rto_s)

    @property
    def signs(self) -> bool:
        """Tell whether a challenge was taken, so that what is under way may be granted."""
        return self._key is not None

    def clear(self) -> None:
        """Forget what is under way; nobody is told."""
        self._open.clear()

    def _send(self, request: _Request, now: float) -> None:
        tid = transaction_id(self._random_bits)
        message = request.build(Message(request.method, MessageClass.REQUEST, tid))
        if self._key is not None and self._realm is not None:
            message.add_text(Attribute.USERNAME, self._credentials.username).add_text(Attribute.REALM, self._realm)
            message.add_text(Attribute.NONCE, self._nonce)
        request.data = message.encode(self._key, fingerprint=True)
        self._open[tid] = request
        self._advance(tid, request, now)

    def _advance(self, tid: bytes, request: _Request, now: float) -> None:
        due = request.schedule.poll(now)
        if due is Due.SEND and (request.schedule.attempts == 1 or not self._over_stream):
            self._packets.append(request.data)
        elif due is Due.TIMEOUT:
            del self._open[tid]
            request.settled(None, f"The TURN server {self._name} no longer answers.", now)

    def handle_timeout(self, now: float) -> None:
        for tid, request in list(self._open.items()):
            if tid in self._open:  # the one before may have ended everything
                self._advance(tid, request, now)

    def next_timeout(self) -> float | None:
        return min((request.schedule.next_at for request in self._open.values()), default=None)

    # Answers ---------------------------------------------------------------------------------------------

    def take(self, message: Message, now: float) -> None:
        """Take a response; one that answers nothing, or is not authentic, is ignored. StunError when malformed."""
        request = self._open.get(message.transaction_id)
        if request is None or message.method != request.method:
            return
        self.heard = True
        self.rtt_s = request.schedule.rtt(now) or self.rtt_s
        if message.message_class is MessageClass.SUCCESS:
            if self._key is not None and not message.check_integrity(self._key):
                log.debug("TURN %s: an answer that is not authentic", self._name)
                return
            del self._open[message.transaction_id]
            self.established = True
            request.settled(message, "", now)
            return
        code, words = message.error() or (0, "")
        fresh = message.text(Attribute.NONCE), message.text(Attribute.REALM)
        del self._open[message.transaction_id]
        if self._on_error(request.method, code, message) or self._may_retry(code, request, *fresh):
            request.schedule = self._schedule(now)
            self._send(request, now)
        else:
            request.settled(None, _refusal(self._name, request.method, code, words), now)

    def _may_retry(self, code: int, request: _Request, nonce: str | None, realm: str | None) -> bool:
        """Take a challenge (401 once, 438 a few times) and tell whether the request can go out again."""
        # Some servers call a nonce that has grown old 401 again; the same nonce refused means the password.
        renewed = code == 401 and self.established and nonce != self._nonce
        if nonce is None or not ((code == 401 and self._key is None) or renewed or code == 438):
            return False
        request.stale_nonces += self._key is not None
        if request.stale_nonces > MAX_STALE_NONCES:
            return False
        self._nonce = nonce
        if self._key is None:
            if not self._credentials.username or realm is None:
                return False
            self._realm = realm
            self._key = long_term_key(self._credentials.username, realm, self._credentials.password)
        return True


_REFUSALS = {
    401: "does not accept this user name and password: check both",
    403: "is not allowed to relay to that address",
    437: "no longer knows this relay",
    440: "has no relay of the family that is needed",
    486: "gives this user no more relays: too many are in use",
    508: "has no room for another relay at the moment: try again later",
    300: "names another server instead, which cannot be used",
}


def _refusal(name: str, method: Method, code: int, words: str) -> str:
    """Put an error answer into a sentence."""
    if code == 441 and method is not Method.ALLOCATE:
        code = 401
    clause = _REFUSALS.get(code) or f"refused with {code} {words[:60]}".strip()
    return f"The TURN server {name} {clause}."
