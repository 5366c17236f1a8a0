"""The registrar: what a REGISTER does and what it is answered, RFC 3261 section 10.3.

Pure. Whoever calls has checked who sent the request; this checks what they may register and when.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from app.home.location import Binding, Change, Location
from app.home.names import OwnNames, hop_of, is_translated, way_back
from app.sip.hops import Hop
from app.sip.message import Request, Response, response_to
from app.sip.uri import NameAddr, SipUri

log = logging.getLogger(__name__)

MIN_EXPIRES_S = 60
DEFAULT_EXPIRES_S = 600
MAX_EXPIRES_S = 3600
_MAX_CONTACT_CHARS = 512
_LOCAL_CALL_ID = "local"


@dataclass(frozen=True, slots=True)
class _Refused(Exception):
    status: int
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Registrar:
    """Keeps `location` by what authenticated users ask for."""

    def __init__(self, location: Location, names: OwnNames, *, min_expires_s: int = MIN_EXPIRES_S) -> None:
        self._location = location
        self._names = names
        self._min_expires_s = min_expires_s

    def bind_local(self, user: str, uri: SipUri, now: float) -> None:
        """Bind a contact of this very program to a user, for as long as the server runs."""
        self._location.drop(user)
        self._location.apply(user, Change(add=[Binding(uri, 1.0, None, _LOCAL_CALL_ID, 0, None, added_at=now)]))

    def register(self, request: Request, user: str, source: Hop, to_tag: str, now: float) -> Response:
        """Carry out a REGISTER that `user` has signed, as a whole or not at all."""
        try:
            self._check(request, user)
            change = self._change(request, user, source, now)
            if change.add and self._location.is_full():
                raise _Refused(503, "Too many contacts", (("Retry-After", "60"),))
        except _Refused as refused:
            response = response_to(request, refused.status, refused.reason, to_tag=to_tag)
            for name, value in refused.headers:
                response.headers.add(name, value)
            return response
        if change.add or change.remove:
            self._location.apply(user, change)
            log.info("%s: %d contact(s)", user, len(self._location.of(user, now)))
        response = response_to(request, 200, to_tag=to_tag)
        for binding in self._location.of(user, now):
            response.headers.add("Contact", _written(binding, now))
        return response

    def _check(self, request: Request, user: str) -> None:
        """Steps 1 to 5 of section 10.3, but for authentication."""
        if request.require:
            raise _Refused(420, None, (("Unsupported", ", ".join(request.require)),))
        aor = request.to.uri
        if not isinstance(aor, SipUri) or not self._names.is_own(aor):
            raise _Refused(404, "This server keeps another domain")
        if aor.user != user:
            raise _Refused(403, "Only your own address can be registered")

    def _change(self, request: Request, user: str, source: Hop, now: float) -> Change:
        """Steps 6 and 7: what the contacts of the request ask for."""
        contacts = request.contacts
        change = Change()
        if contacts.star:
            if request.expires != 0:
                raise _Refused(400, "Contact * needs Expires 0")
            for binding in self._location.of(user, now):
                self._require_newer(binding, request)
                change.remove.append(binding)
            return change
        if len(contacts) > 10:
            raise _Refused(400, "Too many contacts")
        for contact in contacts:
            lifetime_s = self._lifetime(contact, request)
            instance = contact.param("+sip.instance")
            uri = self._checked(contact)
            for known in self._location.find(user, uri, instance, now):
                self._require_newer(known, request)
                if known not in change.remove:
                    change.remove.append(known)
            if lifetime_s:
                change.add = [each for each in change.add if not each.uri.matches(uri)]
                change.add.append(self._binding(contact, uri, lifetime_s, request, source, now))
        return change

    def _lifetime(self, contact: NameAddr, request: Request) -> int:
        asked = contact.expires if contact.expires is not None else request.expires
        if asked is None:
            return DEFAULT_EXPIRES_S
        if 0 < asked < self._min_expires_s:
            raise _Refused(423, None, (("Min-Expires", str(self._min_expires_s)),))
        return min(asked, MAX_EXPIRES_S)

    def _checked(self, contact: NameAddr) -> SipUri:
        uri = contact.uri
        if not isinstance(uri, SipUri) or len(str(uri)) > _MAX_CONTACT_CHARS or uri.headers:
            raise _Refused(400, "This contact cannot be called")
        hop = hop_of(uri)
        if hop is not None and self._names.is_own_hop(hop):
            raise _Refused(403, "A contact here would come straight back")
        return uri

    def _require_newer(self, binding: Binding, request: Request) -> None:
        """Refuse what an earlier REGISTER of the same phone, arriving late, would undo."""
        if binding.call_id == request.call_id and request.cseq.number <= binding.cseq:
            raise _Refused(500, "An older registration came late")

    def _binding(
        self, contact: NameAddr, uri: SipUri, lifetime_s: int, request: Request, source: Hop, now: float
    ) -> Binding:
        return Binding(
            uri,
            contact.q,
            now + lifetime_s,
            request.call_id,
            request.cseq.number,
            way_back(request, uri, source),
            tuple((name, value) for name, value in contact.params if name.lower() not in ("expires", "q")),
            contact.param("+sip.instance"),
            now,
            is_translated(request, source),
        )


def _written(binding: Binding, now: float) -> str:
    contact = NameAddr("", binding.uri, binding.params)
    if binding.q != 1.0:
        contact = contact.with_param("q", f"{binding.q:.3g}")
    return str(contact.with_param("expires", str(binding.seconds_left(now))))
