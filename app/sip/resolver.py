"""Where a SIP URI is served: RFC 3263 over DNS (NAPTR, SRV, addresses).

Stands beside the pure core: app/names.py asks, and remembers. Addresses and names with a port need no SRV; a name
without a dot is never asked for in public DNS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from app.names import LOOKUP_S, NAMES, is_address
from app.settings import HostPort
from app.sip.hops import DEFAULT_PORTS, Hop
from app.sip.uri import SipUri

MAX_HOPS = 8
_NAPTR_SERVICES = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}
_SRV_NAMES = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}


@dataclass(frozen=True, slots=True)
class _Server:
    transport: str
    host: str
    port: int


class Resolver:
    """Finds the hops of a URI, best first. `local_toward(address)` gives our side of each; OSError if no route."""

    def __init__(self, local_toward: Callable[[str], HostPort]) -> None:
        self._local_toward = local_toward

    def at_once(self, uri: SipUri) -> tuple[list[Hop], str] | None:
        """The answer for an address literal, which needs no question; None for a name."""
        host = uri.param("maddr") or uri.host
        if not is_address(host):
            return None
        transport = transport_of(uri) or "udp"
        server = _Server(transport, host, uri.port or DEFAULT_PORTS.get(transport, 5060))
        return self._hops(uri, [server])

    async def resolve(self, uri: SipUri) -> tuple[list[Hop], str]:
        """The hops; or none, and one sentence that says why."""
        try:
            async with asyncio.timeout(LOOKUP_S):
                servers = await self._ask(uri, uri.param("maddr") or uri.host)
        except TimeoutError:
            return [], f"The name {uri.host} could not be looked up: the name server does not answer"
        except OSError:
            servers = ()
        if not servers:
            return [], f"No server was found under the name {uri.host}"
        return self._hops(uri, servers)

    def _hops(self, uri: SipUri, servers: tuple[_Server, ...] | list[_Server]) -> tuple[list[Hop], str]:
        hops: list[Hop] = []
        problem = ""
        for server in servers[:MAX_HOPS]:
            if server.transport not in DEFAULT_PORTS:
                problem = f"The transport {server.transport[:10]} is not supported"
                continue
            try:
                local = self._local_toward(server.host)
            except OSError as error:
                problem = f"There is no way to {server.host}: {error.strerror or error}"
                continue
            name = uri.host if server.transport == "tls" else None
            hops.append(Hop(server.transport, HostPort(server.host, server.port), local, server_name=name))
        return hops, problem

    async def _ask(self, uri: SipUri, host: str) -> tuple[_Server, ...]:
        """RFC 3263 section 4: the transport first, then the server, then its addresses."""
        named = transport_of(uri)
        if uri.port is not None or "." not in host.rstrip("."):
            transport = named or "udp"
            return await _addresses(transport, host, uri.port or DEFAULT_PORTS.get(transport, 5060))
        transports = [named] if named else await _naptr(host) or ["udp", "tcp", "tls"]
        for transport in transports:
            servers: list[_Server] = []
            for target, port in await NAMES.services(_SRV_NAMES[transport], host) if transport in _SRV_NAMES else ():
                servers += await _addresses(transport, target, port)
            if servers:
                return tuple(servers)
        transport = named or "udp"
        return await _addresses(transport, host, DEFAULT_PORTS.get(transport, 5060))


def transport_of(uri: SipUri) -> str | None:
    """The transport that the URI itself asks for."""
    named = (uri.param("transport") or "").lower()
    if uri.scheme == "sips":
        return "tls"
    return named or None


async def _naptr(host: str) -> list[str]:
    records = sorted(
        (int(record.order), int(record.preference), record.service.decode("ascii", "replace").upper())
        for record in await NAMES.records(host, "NAPTR")
        if record.flags.lower() == b"s"
    )
    return [_NAPTR_SERVICES[service] for _, _, service in records if service in _NAPTR_SERVICES]


async def _addresses(transport: str, host: str, port: int) -> tuple[_Server, ...]:
    # IPv4 first would hide IPv6-only hosts from nobody; the system's own order (RFC 6724) stands.
    return tuple(_Server(transport, address, port) for address in await NAMES.addresses(host))
