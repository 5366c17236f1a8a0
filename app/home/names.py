"""Which SIP addresses mean this server: its realm, the names given to it, and this machine's addresses.

Pure; the owner tells which addresses the machine has.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from app.settings import HostPort
from app.sip.hops import DEFAULT_PORTS, Hop
from app.sip.message import Request
from app.sip.uri import SipUri, Uri


class OwnNames:
    """Hosts and ports of this server. A URI without a port means this server when its host does."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(name.lower().rstrip(".") for name in names)
        self._addresses: frozenset[str] = frozenset()
        self._ports: frozenset[int] = frozenset()

    def set_addresses(self, hosts: Iterable[str], ports: Iterable[int]) -> None:
        """Tell the machine's addresses and the ports on which this server listens."""
        self._addresses = frozenset(_canonical(host) for host in hosts)
        self._ports = frozenset(ports)

    def is_own_host(self, host: str) -> bool:
        host = host.lower().rstrip(".")
        return host in self._names or host == "localhost" or _canonical(host) in self._addresses

    def is_own(self, uri: Uri) -> bool:
        """Say whether a URI names this server, as a domain (no port) or as an element (our port)."""
        if not isinstance(uri, SipUri):
            return False
        return (uri.port is None or uri.port in self._ports) and self.is_own_host(uri.host)

    def is_own_hop(self, hop: Hop) -> bool:
        """Say whether sending there would come straight back."""
        return hop.remote.port in self._ports and _canonical(hop.remote.host) in self._addresses


def hop_of(uri: Uri, local: HostPort | None = None) -> Hop | None:
    """Give the next hop that a URI with a numeric host names; None when a name would have to be looked up.

    RFC 3263 section 4.1 without DNS: transport by parameter or scheme, port by parameter or transport.
    """
    if not isinstance(uri, SipUri) or not is_numeric(uri.host):
        return None
    transport = (uri.param("transport") or ("tls" if uri.scheme == "sips" else "udp")).lower()
    if uri.scheme == "sips" and transport == "tcp":
        transport = "tls"
    if transport not in DEFAULT_PORTS:
        return None
    return Hop(transport, HostPort(_canonical(uri.host), uri.port or DEFAULT_PORTS[transport]), local)


def way_back(request: Request, contact: Uri, source: Hop) -> Hop | None:
    """Give the hop on which the sender of a request is reached again, or None if it is what its contact says.

    A connection is two-way by nature; rport promises the same of UDP (RFC 3581); and a contact that is a name, or not
    where the request came from, is the inside of a NAT or of no use.
    """
    if source.transport != "udp" or request.vias[-1].wants_rport:
        return source
    if isinstance(contact, SipUri) and _canonical(contact.host) == _canonical(source.remote.host):
        return None
    return source


def is_translated(request: Request, source: Hop) -> bool:
    """Say whether a NAT changed the address on the way here: the sender's own Via names another (RFC 3581 section 4).

    Its contact does not tell: a phone that has learned its public address registers that.
    """
    sent_by = _canonical(request.vias[-1].host)
    return is_numeric(sent_by) and sent_by != _canonical(source.remote.host)


def is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _canonical(host: str) -> str:
    """Write an address in its one canonical form; a name stays as it is."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)
