"""Where each user can be reached now: the bindings that a registrar keeps, RFC 3261 section 10.

Pure, in memory: a phone registers again within minutes, so nothing is lost with a restart. Bounded per user and in
total; a user with too many contacts loses the oldest, since those are what crashes and new ports leave behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from app.sip.hops import Hop
from app.sip.uri import SipUri, Uri

MAX_CONTACTS_PER_USER = 10
MAX_CONTACTS = 2000


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of one user. `hop` is the path on which the registration came: back through the same NAT.

    `expires_at` None means for as long as the server runs (a contact of this very program). `translated`: what the
    phone calls itself is not where the registration came from, so a NAT stands before it, whatever the contact says.
    """

    uri: SipUri
    q: float
    expires_at: float | None
    call_id: str
    cseq: int
    hop: Hop | None
    params: tuple[tuple[str, str | None], ...] = ()
    instance: str | None = None  # +sip.instance: the same phone with another address
    added_at: float = 0.0
    translated: bool = False
    before: SipUri | None = None  # the contact that this one took the place of

    def seconds_left(self, now: float) -> int:
        return 3600 if self.expires_at is None else max(0, round(self.expires_at - now))

    def is_at(self, contact: Uri) -> bool:
        """Whether a contact is this one, or what it was before its phone was given another address."""
        return self.uri.matches(contact) or (self.before is not None and self.before.matches(contact))

    def living(self, now: float) -> bool:
        return self.expires_at is None or now < self.expires_at


@dataclass(slots=True)
class Change:
    """What one REGISTER makes of a user's bindings; applied as a whole or not at all (section 10.3 step 7)."""

    add: list[Binding] = field(default_factory=list)
    remove: list[Binding] = field(default_factory=list)


class Location:
    """All bindings by user name."""

    def __init__(self, max_per_user: int = MAX_CONTACTS_PER_USER, max_total: int = MAX_CONTACTS) -> None:
        self._max_per_user = max_per_user
        self._max_total = max_total
        self._users: dict[str, list[Binding]] = {}
        self._hops: dict[tuple[str, str, int], int] = {}  # remote ends of bindings, each with their number

    def __len__(self) -> int:
        return sum(len(bindings) for bindings in self._users.values())

    def of(self, user: str, now: float) -> list[Binding]:
        """List the living bindings of a user, highest q first, the newest first among equals."""
        living = [each for each in self._users.get(user, ()) if each.living(now)]
        return sorted(living, key=lambda each: (-each.q, -each.added_at))

    def find(self, user: str, uri: SipUri, instance: str | None, now: float) -> list[Binding]:
        """Find the bindings that a contact replaces: the same URI (section 19.1.4), or the same phone."""
        return [
            each
            for each in self.of(user, now)
            if each.uri.matches(uri) or (instance is not None and each.instance == instance)
        ]

    def is_full(self) -> bool:
        return len(self) >= self._max_total

    def knows_source(self, hop: Hop) -> bool:
        """Say whether a registered contact speaks from here: such a source is no stranger."""
        return _end(hop) in self._hops

    def moved_to(self, contact: Uri, host: str, now: float) -> Hop | None:
        """Give the path on which this contact registered last: from `host`, or from the very address that it names.

        The latter is a phone in another network; a private address behind another NAT would be another phone. None
        when it did not, or several did.
        """
        known = [each for each in self._all() if each.is_at(contact) and each.living(now)]
        paths = [(each.uri, each.hop) for each in known if each.hop is not None]
        found = [hop for _, hop in paths if hop.remote.host == host]
        found = found or [hop for uri, hop in paths if hop.remote.host == uri.host.strip("[]")]
        return found[0] if len(found) == 1 else None

    def apply(self, user: str, change: Change) -> None:
        bindings = self._users.setdefault(user, [])
        for binding in change.remove:
            self._forget(bindings, binding)
        for binding in change.add:
            binding = _with_past(binding, change)
            bindings.append(binding)
            if binding.hop is not None:
                end = _end(binding.hop)
                self._hops[end] = self._hops.get(end, 0) + 1
        while len(bindings) > self._max_per_user:
            self._forget(bindings, min(bindings, key=lambda each: (each.expires_at is None, each.added_at)))
        if not bindings:
            del self._users[user]

    def drop(self, user: str) -> bool:
        """Forget a user altogether; False when there was nothing to forget."""
        held = list(self._users.get(user, ()))
        if held:
            self.apply(user, Change(remove=held))
        return bool(held)

    def next_expiry(self) -> float | None:
        return min((each.expires_at for each in self._all() if each.expires_at is not None), default=None)

    def expire(self, now: float) -> list[str]:
        """Forget what has run out; give the users who lost a contact."""
        poorer = []
        for user, bindings in list(self._users.items()):
            dead = [each for each in bindings if not each.living(now)]
            if dead:
                self.apply(user, Change(remove=dead))
                poorer.append(user)
        return poorer

    def _all(self) -> Iterable[Binding]:
        return (each for bindings in self._users.values() for each in bindings)

    def _forget(self, bindings: list[Binding], binding: Binding) -> None:
        bindings.remove(binding)
        if binding.hop is not None:
            end = _end(binding.hop)
            self._hops[end] -= 1
            if not self._hops[end]:
                del self._hops[end]


def _with_past(binding: Binding, change: Change) -> Binding:
    """Note what a phone's contact was before: one contact instead of another means that it has moved."""
    same = [each for each in change.remove if each.uri.matches(binding.uri)]
    if same:
        return replace(binding, before=same[0].before)
    alone = len(change.remove) == len(change.add) == 1
    return replace(binding, before=change.remove[0].uri) if alone else binding


def _end(hop: Hop) -> tuple[str, str, int]:
    return hop.transport, hop.remote.host, hop.remote.port
