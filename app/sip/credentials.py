"""Answering 401 and 407 (RFC 3261 section 22): challenges met so far, and the headers that answer them.

Challenges are kept per realm, so that later requests carry credentials at once, with a rising nonce count, and save a
round trip. The password is asked for at each use and never kept.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from app.sip.challenges import Challenge
from app.sip.digest import choose_challenge, credentials_for, new_cnonce
from app.sip.message import Request, Response

MAX_REALMS = 8


@dataclass(slots=True)
class _Known:
    challenge: Challenge
    count: int = 0


class CredentialStore:
    """The credentials of one account. `password` returns None where there is none to give."""

    def __init__(self, username: str, password: Callable[[], str | None] | None, rng: random.Random) -> None:
        self._username = username
        self._password = password
        self._rng = rng
        self._known: dict[tuple[str, str], _Known] = {}

    def learn(self, response: Response, answered: set[tuple[str, str]]) -> bool:
        """Take the challenges of a 401 or 407; whether it makes sense to try (again).

        `answered` holds what this very request has answered before: a second challenge for the same realm that is
        not stale means that the password is wrong.
        """
        header = "Proxy-Authorization" if response.status == 407 else "Authorization"
        by_realm: dict[str, list[Challenge]] = {}
        for challenge in response.challenges:
            by_realm.setdefault(challenge.realm, []).append(challenge)
        chosen = [best for offers in by_realm.values() if (best := choose_challenge(offers)) is not None]
        if not chosen or self._password is None or self._password() is None:
            return False
        for challenge in chosen:
            key = (header, challenge.realm)
            if key in answered and not challenge.stale:
                self._known.pop(key, None)
                return False
        for challenge in chosen:
            key = (header, challenge.realm)
            answered.add(key)
            self._known.pop(key, None)
            self._known[key] = _Known(challenge)
            while len(self._known) > MAX_REALMS:
                del self._known[next(iter(self._known))]
        return True

    def add_to(self, request: Request) -> None:
        """Put credentials for every known realm into `request`, in place of what it carried."""
        for name in ("Authorization", "Proxy-Authorization"):
            request.headers.remove(name)
        password = self._password() if self._password is not None and self._known else None
        if password is None:
            return
        for (header, _), known in self._known.items():
            known.count += 1
            value = credentials_for(
                known.challenge,
                method=request.method,
                uri=str(request.uri),
                username=self._username,
                password=password,
                body=request.body,
                nc=known.count,
                cnonce=new_cnonce(self._rng),
            )
            request.headers.add(header, value)
