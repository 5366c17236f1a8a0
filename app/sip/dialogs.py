"""Dialogs (RFC 3261 section 12): what two user agents remember of each other between requests.

Pure: builds requests, checks sequence numbers, keeps the route set and the remote target. Who may send what and when
is the session's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.sip.message import Headers, Request, Response
from app.sip.uri import NameAddr, SipUri, Uri


@dataclass(slots=True, eq=False)
class Dialog:
    """One dialog, early or confirmed. `remote.tag` is None only toward an RFC 2543 peer."""

    call_id: str
    local: NameAddr
    remote: NameAddr
    local_cseq: int
    remote_cseq: int | None
    route_set: tuple[NameAddr, ...]
    remote_target: Uri
    confirmed: bool = False

    @classmethod
    def as_caller(cls, request: Request, response: Response) -> Dialog:
        """The dialog that a 101–299 response creates at the UAC (section 12.1.2)."""
        contact = first_contact(response)
        return cls(
            call_id=request.call_id,
            local=request.from_,
            remote=response.to,
            local_cseq=request.cseq.number,
            remote_cseq=None,
            route_set=tuple(reversed(response.record_routes)),
            remote_target=contact if contact is not None else request.uri,
            confirmed=response.status >= 200,
        )

    @classmethod
    def as_callee(cls, request: Request, local_tag: str) -> Dialog:
        """The dialog at the UAS of `request` (section 12.1.1)."""
        contact = first_contact(request)
        return cls(
            call_id=request.call_id,
            local=request.to.with_tag(local_tag),
            remote=request.from_,
            local_cseq=0,
            remote_cseq=request.cseq.number,
            route_set=request.record_routes,
            remote_target=contact if contact is not None else request.from_.uri,
        )

    @property
    def remote_tag(self) -> str:
        return self.remote.tag or ""

    def confirm(self, response: Response) -> None:
        """A 2xx came for an early dialog: the route set is computed anew (section 13.2.2.4)."""
        self.confirmed = True
        self.route_set = tuple(reversed(response.record_routes))
        self.refresh_target(response)

    def refresh_target(self, message: Request | Response) -> None:
        """Take the Contact of a target refresh (INVITE, UPDATE) or of its 2xx (section 12.2)."""
        contact = first_contact(message)
        if contact is not None:
            self.remote_target = contact

    def next_cseq(self) -> int:
        self.local_cseq += 1
        return self.local_cseq

    def take_cseq(self, number: int) -> bool:
        """Whether a request with this sequence number is in order (section 12.2.2); remembers it if so."""
        if self.remote_cseq is not None and number <= self.remote_cseq:
            return False
        self.remote_cseq = number
        return True

    def build(self, method: str, *, cseq: int | None = None) -> Request:
        """A request inside the dialog, without Via and Contact (section 12.2.1.1).

        `cseq` is given for an ACK, which repeats the number of its INVITE; otherwise the next one is taken.
        """
        number = self.next_cseq() if cseq is None else cseq
        target, routes = self._target_and_routes()
        headers = Headers()
        for route in routes:
            headers.add("Route", str(route))
        headers.add("Max-Forwards", "70")
        headers.add("From", str(self.local))
        headers.add("To", str(self.remote))
        headers.add("Call-ID", self.call_id)
        headers.add("CSeq", f"{number} {method}")
        return Request(method, target, headers)

    @property
    def next_hop(self) -> Uri:
        """The URI that decides where a request goes: the first route, else the remote target."""
        return self.route_set[0].uri if self.route_set else self.remote_target

    def _target_and_routes(self) -> tuple[Uri, Sequence[NameAddr]]:
        if not self.route_set:
            return self.remote_target, ()
        first = self.route_set[0].uri
        if isinstance(first, SipUri) and first.is_loose:
            return self.remote_target, self.route_set
        # A strict router wants itself in the Request-URI and the target at the end.
        target = first.without_headers() if isinstance(first, SipUri) else first
        return target, (*self.route_set[1:], NameAddr("", self.remote_target))


def first_contact(message: Request | Response) -> Uri | None:
    """The URI of the first Contact; None without a usable one."""
    contacts = message.contacts
    return contacts[0].uri if len(contacts) else None
