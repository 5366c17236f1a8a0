"""Where a request may go: own names, users, routes, and who has to prove who he is. RFC 3261 sections 16.3 to 16.6.

Pure, and without a transaction: a request that is refused or challenged here has cost this server no memory.

Who may do what:
- Inside a dialog that this server helped to set up (its signed Record-Route is on top): anybody.
- To a local user: anybody, so that people outside can call in. Who says in From to be a local user proves it (407).
- To anywhere else: local users, if the address is numeric; this server looks up no names for others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Protocol

from app.home.flows import FlowTokens
from app.home.fork import Forward, Target
from app.home.location import Binding, Location
from app.home.names import OwnNames, hop_of, way_back
from app.settings import HostPort
from app.sip.hops import Hop
from app.sip.message import Request
from app.sip.uri import NameAddr, SipUri, Uri

_CREATES_DIALOG = frozenset({"INVITE", "SUBSCRIBE", "REFER"})
_LARGE_BYTES = 1100  # beyond it, what this server adds may lead past the 1300 of RFC 3261 section 18.1.1


class Paths(Protocol):
    """What only the owner of the sockets knows."""

    def local_for(self, transport: str, host: str) -> HostPort:
        """Give this server's address and port as seen from `host`."""

    def is_silent(self, remote: HostPort) -> bool:
        """Say whether an attempt to connect there was swallowed a short while ago, as firewalls do."""

    def is_open(self, connection: int) -> bool:
        """Say whether a stream connection still stands."""


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """The request is answered with this, and with these header fields."""

    status: int
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Router:
    """Decides where requests go. `prove` gives the user who signed a request, or raises the challenge."""

    def __init__(
        self,
        users: Container[str],
        location: Location,
        names: OwnNames,
        tokens: FlowTokens,
        paths: Paths,
        prove: Callable[[Request, float], str],
    ) -> None:
        self._users = users
        self._location = location
        self._names = names
        self._tokens = tokens
        self._paths = paths
        self._prove = prove

    def route(self, request: Request, source: Hop, now: float) -> Forward:
        """Say how a request goes on; Refusal when it does not. The request itself stays as it is."""
        onward, flow = self._take_own_routes(request)
        contact = self._contact(request)
        back = way_back(request, contact, source) or hop_of(contact, source.local) or source
        if flow is not None and request.to.tag is not None:
            return Forward(onward, ((self._in_dialog(onward, flow, now),),), False, back)
        if request.method == "ACK":
            raise Refusal(403)  # is dropped: nobody answers an ACK
        onward = self._check_sender(onward, request, source, now)
        record = request.method in _CREATES_DIALOG and request.to.tag is None
        if not onward.routes and self._names.is_own(onward.uri):
            return Forward(onward, self._to_user(onward, now), record, back)
        return Forward(onward, ((self._to_elsewhere(onward),),), record, back)

    # Routes -----------------------------------------------------------------------------------------------

    def _take_own_routes(self, request: Request) -> tuple[Request, Hop | None]:
        """Take this server's entries off the Route, and give the flow that the first one names (section 16.4)."""
        headers, uri, call_id = request.headers.copy(), request.uri, request.call_id
        routes = list(request.routes)
        if routes and isinstance(uri, SipUri) and self._tokens.read(uri, call_id) is not None:
            # A strict router sent our Record-Route value as Request-URI, and the real one last.
            routes.insert(0, NameAddr("", uri))
            uri = routes.pop().uri
        flow: Hop | None = None
        if routes and self._names.is_own(routes[0].uri):
            flow = self._read(routes.pop(0), call_id)
            if flow is not None and routes and self._read(routes[0], call_id) is not None:
                routes.pop(0)  # the other side's value of the pair that this server wrote
        headers.remove("Route")
        for route in routes:
            headers.add("Route", route)
        return Request(request.method, uri, headers, request.body), flow

    def _read(self, route: NameAddr, call_id: str) -> Hop | None:
        return self._tokens.read(route.uri, call_id) if isinstance(route.uri, SipUri) else None

    def _in_dialog(self, request: Request, flow: Hop, now: float) -> Target:
        """Follow the flow; where it is gone, the same machine's registration or contact says where else it listens."""
        is_open = flow.connection is None or self._paths.is_open(flow.connection)
        if is_open and self._location.knows_source(flow):
            return Target(request.uri, (self._with_local(flow),))
        following = request.routes[0].uri if request.routes else request.uri
        moved = self._location.moved_to(following, flow.remote.host, now)
        if moved is not None and (moved.connection is None or self._paths.is_open(moved.connection)):
            return Target(request.uri, (self._with_local(moved),))
        if is_open:
            return Target(request.uri, (self._with_local(flow),))
        hop = hop_of(following)
        if hop is None or hop.remote.host != flow.remote.host:
            raise Refusal(480, "Its connection has closed")
        return Target(request.uri, (self._with_local(hop),))

    # Targets ----------------------------------------------------------------------------------------------

    def _to_user(self, request: Request, now: float) -> tuple[tuple[Target, ...], ...]:
        """Give the contacts of a local user, in groups of equal q, highest first (section 16.6)."""
        uri = request.uri
        user = uri.user if isinstance(uri, SipUri) else None
        if not user:
            raise Refusal(404)
        bindings = self._location.of(user, now)
        if not bindings:
            raise Refusal(480) if user in self._users else Refusal(404)
        large = len(bytes(request)) > _LARGE_BYTES
        groups: dict[float, list[Target]] = defaultdict(list)
        for binding in bindings:
            hops = self._hops(binding, large)
            if hops:
                groups[binding.q].append(Target(binding.uri, hops))
        if not groups:
            raise Refusal(480, "No contact can be reached")
        return tuple(tuple(group) for group in groups.values())

    def _hops(self, binding: Binding, large: bool) -> tuple[Hop, ...]:
        """Give the ways to a contact: the flow of its registration, then where its URI points."""
        direct, flow = hop_of(binding.uri), binding.hop
        hops: list[Hop] = []
        if flow is not None and (flow.connection is None or self._paths.is_open(flow.connection)):
            hops.append(flow)
        if direct is not None and (not hops or not _same_end(hops[0], direct)):
            reachable = flow is None or flow.remote.host == direct.remote.host
            hops += [direct] if reachable or not hops else []
        by_flow = bool(hops) and hops[0].transport == "udp" and not binding.translated
        outside = by_flow and direct is not None and _same_end(hops[0], direct)
        if large and outside and not self._paths.is_silent(hops[0].remote):
            # No NAT in between, so the contact can be reached by TCP too, which large requests want; UDP if it is not.
            # Behind a NAT the attempt would be dropped silently, and the call would wait for seconds.
            hops.insert(0, Hop("tcp", hops[0].remote))
        return tuple(self._with_local(hop) for hop in hops if not self._names.is_own_hop(hop))

    def _to_elsewhere(self, request: Request) -> Target:
        following: Uri = request.routes[0].uri if request.routes else request.uri
        hop = hop_of(following)
        if hop is None:
            raise Refusal(404, "This server reaches its own users and numeric addresses")
        if self._names.is_own_hop(hop):
            raise Refusal(482)
        return Target(request.uri, (self._with_local(hop),))

    def _with_local(self, hop: Hop) -> Hop:
        if hop.local is not None:
            return hop
        local = self._paths.local_for(hop.transport, hop.remote.host)
        return Hop(hop.transport, hop.remote, local, hop.connection, hop.server_name)

    # Senders ----------------------------------------------------------------------------------------------

    def _check_sender(self, onward: Request, request: Request, source: Hop, now: float) -> Request:
        """Ask for proof where it is needed, and take the proof out of what goes on (section 22.3).

        Nobody calls in the name of this server without it, be the user known or not; only a phone on this machine may,
        since its own address is one of the server's.
        """
        sender = request.from_.uri
        claims = sender.user if isinstance(sender, SipUri) and self._names.is_own(sender) else None
        if claims not in self._users and self._names.is_own_host(source.remote.host):
            claims = None
        to_local = not onward.routes and self._names.is_own(onward.uri)
        if claims is not None or not to_local:
            user = self._prove(request, now)
            if claims is not None and claims != user:
                raise Refusal(403, "From names another user")
        onward.headers.remove("Proxy-Authorization")
        return onward

    @staticmethod
    def _contact(request: Request) -> Uri:
        contacts = request.contacts
        return contacts[0].uri if len(contacts) else request.from_.uri


def _same_end(hop: Hop, other: Hop) -> bool:
    return (hop.transport, hop.remote) == (other.transport, other.remote)
