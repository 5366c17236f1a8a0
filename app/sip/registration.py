"""Keeping the account registered (RFC 3261 section 10.2): challenges, 423, refresh, moves, retries, keep-alive.

Pure; the owner hears RegistrationChanged. A wrong password is not tried again by itself (servers lock accounts);
everything that may pass by itself is, ever more slowly.
"""

from __future__ import annotations

import logging
from itertools import count
from typing import TYPE_CHECKING

from app.events import RegistrationState
from app.sip.editing import new_token
from app.sip.errands import Errand
from app.sip.errors import ParseError, SipError
from app.sip.events import RegistrationChanged
from app.sip.hops import Hop
from app.sip.message import Request, Response
from app.sip.uri import NameAddr, SipUri

if TYPE_CHECKING:
    from app.sip.agent import UserAgent

log = logging.getLogger(__name__)

LONGEST_EXPIRES_S = 86400
FIRST_RETRY_S = 4.0
LONGEST_RETRY_S = 600.0
MOST_MOVES = 3  # changes of our address in a row before we settle for the one we have
_HOPELESS = frozenset({401, 403, 404, 407})  # until a person changes something


class Registration:
    """The binding of the account's address to this endpoint."""

    def __init__(self, agent: UserAgent) -> None:
        self.state = RegistrationState.NONE
        self._agent = agent
        self._wanted_s = 0
        self._granted_s = 0.0
        self._call_id = ""
        self._tag = ""
        self._cseq = count(1)
        self._errand: Errand | None = None
        self._contact: str | None = None  # as bound by the last 2xx
        self._hop: Hop | None = None
        self._failures = 0
        self._failed_silently = False  # the last attempt: no answer, or no way to ask
        self._moves = 0

    def start(self, expires_s: int) -> None:
        """Register, and keep at it."""
        if self._agent.identity.server is None:
            raise SipError("There is no account to register")
        with self._agent.turn():
            self._wanted_s = max(1, min(expires_s, LONGEST_EXPIRES_S))
            self._failures = self._moves = 0
            self._change(RegistrationState.REGISTERING)
            self._send(self._wanted_s)

    def stop(self) -> None:
        """Remove the binding; UNREGISTERED follows in any case."""
        with self._agent.turn():
            self._quiet()
            bound = self._contact is not None or self._errand is not None
            self._wanted_s = 0
            if bound:
                self._send(0)
            elif self.state is not RegistrationState.NONE:
                self._change(RegistrationState.UNREGISTERED)

    def refresh(self) -> None:
        """Register again at once, e.g. from another network."""
        with self._agent.turn():
            if self._wanted_s:
                self._failures = self._moves = 0
                self._send(self._wanted_s)

    def renew(self) -> None:
        """Register again soon unless that is under way: a NAT on the way may have forgotten us."""
        if self._wanted_s and self._errand is None:
            self._moves = 0
            self._send(self._wanted_s)

    def hurry(self) -> None:
        """The network may be back: what failed only for want of it is tried again now."""
        if self._wanted_s and self._failed_silently:
            self._send(self._wanted_s)

    def connection_lost(self, remote: Hop) -> None:
        """A stream connection closed: calls could no longer reach us over it."""
        hop = self._hop
        if hop is not None and hop.reliable and hop.remote == remote.remote and self._wanted_s:
            self._agent.at("register again", self._agent.rng.uniform(0.5, 1.5), self._again)

    # Sending --------------------------------------------------------

    def _send(self, expires_s: int) -> None:
        agent, address = self._agent, self._agent.identity.address
        server = agent.identity.server
        if address is None or server is None:
            return
        if self._errand is not None:
            self._errand.abandon()
        self._failed_silently = False
        self._agent.cancel_timer("register again")
        self._call_id = self._call_id or new_token(agent.rng, 24)
        self._tag = self._tag or new_token(agent.rng)
        domain = SipUri(address.scheme, None, None, address.host, address.port)
        own = NameAddr(agent.identity.own_name(None).display_name, address)
        request = agent.new_request(
            "REGISTER",
            domain,
            to=str(NameAddr("", address)),
            own=str(own.with_tag(self._tag)),
            call_id=self._call_id,
            cseq=next(self._cseq),
        )
        request.headers.add("Expires", str(expires_s))
        for name, value in agent.abilities():
            request.headers.add(name, value)
        self._errand = Errand(
            agent, request, server, self, lambda: next(self._cseq), contact=self._contact_for, via_account=True
        )
        self._errand.start()

    def _contact_for(self, hop: Hop) -> str:
        """Our contact, and where it has moved, the one to be forgotten."""
        current = self._agent.contact(hop)
        if not self._wanted_s:
            return f"{self._contact or current};expires=0"
        bound = f"{current};expires={self._wanted_s}"
        if self._contact is not None and self._contact != current:
            return f"{bound}, {self._contact};expires=0"
        return bound

    def _again(self) -> None:
        if self._wanted_s:
            self._send(self._wanted_s)

    # Answers --------------------------------------------------------

    def on_response(self, errand: Errand, response: Response, source: Hop) -> None:
        if errand is not self._errand or response.status < 200:
            return
        self._errand = None
        if not self._wanted_s:
            self._contact = None
            self._change(RegistrationState.UNREGISTERED, response.status, response.reason)
        elif response.status < 300:
            self._accepted(errand, response)
        elif response.status == 423:
            self._too_brief(response)
        else:
            self._refused(response)

    def on_failure(self, errand: Errand, cause: str, sentence: str) -> None:
        if errand is not self._errand:
            return
        self._errand = None
        if self._wanted_s:
            self._failed_silently = True
            self._change(RegistrationState.FAILED, None, sentence)
            self._retry_later()
        else:
            self._contact = None
            self._change(RegistrationState.UNREGISTERED, None, sentence)

    def _accepted(self, errand: Errand, response: Response) -> None:
        agent = self._agent
        self._failures = 0
        self._hop = errand.nominal
        bound = errand.sent_request.contacts[0]
        self._contact = f"<{bound.uri}>"
        self._granted_s = float(self._expires_of(bound, errand.sent_request, response))
        if self._granted_s <= 0:
            self._change(RegistrationState.FAILED, response.status, "The server keeps no registration")
            self._retry_later()
            return
        if self._hop is not None and agent.contact(self._hop) != self._contact and self._moves < MOST_MOVES:
            self._moves += 1  # the answer told us how we look from there
            self._send(self._wanted_s)
            return
        self._moves = 0
        self._change(RegistrationState.REGISTERED, response.status, response.reason)
        margin_s = max(0.1 * self._granted_s, min(10.0, 0.5 * self._granted_s))
        agent.at("register again", self._granted_s - margin_s, self._again)
        self._schedule_keep_alive()

    def _expires_of(self, bound: NameAddr, request: Request, response: Response) -> int:
        """What was granted to our contact among all that the registrar lists (section 10.2.4)."""
        for contact in response.contacts:
            if isinstance(contact.uri, SipUri) and contact.uri.matches(bound.uri) and contact.expires is not None:
                return contact.expires
        return response.expires if response.expires is not None else request.expires or self._wanted_s

    def _too_brief(self, response: Response) -> None:
        try:
            at_least = response.min_expires or 0
        except ParseError:
            at_least = 0
        if self._wanted_s < at_least <= LONGEST_EXPIRES_S:
            self._wanted_s = at_least
            self._send(at_least)
        else:
            self._refused(response)

    def _refused(self, response: Response) -> None:
        self._quiet()
        self._change(RegistrationState.FAILED, response.status, response.reason)
        if response.status in _HOPELESS:
            self._contact = None
            return
        try:
            after = response.retry_after
        except ParseError:
            after = None
        self._retry_later(float(after.seconds) if after is not None else 0.0)

    def _retry_later(self, at_least_s: float = 0.0) -> None:
        longest = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        wait_s = max(min(at_least_s, 3600.0), longest * self._agent.rng.uniform(0.5, 1.0))
        self._agent.at("register again", wait_s, self._again)

    # Keep-alive --------------------------------------------------------

    def _schedule_keep_alive(self) -> None:
        hop, interval_s = self._hop, self._agent.config.keepalive_s
        if hop is not None and interval_s > 0:
            self._agent.at("keep alive", interval_s * (4 if hop.reliable else 1), self._keep_alive)

    def _keep_alive(self) -> None:
        if self._hop is not None and self.state is RegistrationState.REGISTERED:
            self._agent.keep_alive(self._hop)
            self._schedule_keep_alive()

    def _quiet(self) -> None:
        self._agent.cancel_timer("register again")
        self._agent.cancel_timer("keep alive")

    def _change(self, state: RegistrationState, status: int | None = None, reason: str | None = None) -> None:
        if state is not self.state:
            log.info("Registration %s → %s (%s %s)", self.state, state, status or "-", reason or "")
        self.state = state
        registered = state is RegistrationState.REGISTERED
        self._agent.emit(
            RegistrationChanged(
                state,
                status,
                reason,
                self._hop.transport if self._hop is not None else None,
                self._granted_s if registered else None,
                self._contact if registered else None,
            )
        )
