"""Whether an allocation that was refused may be tried once more, and where: RFC 8489 section 10, RFC 8656 section 7.4.

Pure. A server may name another (300 Try Alternate), twice in a row at most and never one that was asked already. One
that still has an allocation for our very address and port (437) is asked from another socket, once.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from app.ice.bases import Relay, Retry
from app.ice.stun import Address

MAX_HOPS = 2


def retry_of(relay: Relay) -> Retry | None:
    """Give what to try next for an allocation that has failed; None when there is nothing."""
    visit, client = relay.visit, relay.client
    if len(visit.hops) >= MAX_HOPS:
        return None
    again = replace(visit, hops=(*visit.hops, relay.server))
    if client.mismatch and relay.server not in visit.hops:
        return Retry(again, relay.carrier.stream, relay.carrier.address[0], relay.server)
    alternate = client.alternate
    if alternate is None or alternate.address in again.hops or not _usable(alternate.address, relay.server):
        return None
    again = replace(again, domain=alternate.domain or visit.domain)
    return Retry(again, relay.carrier.stream, relay.carrier.address[0], alternate.address)


def _usable(address: Address, server: Address) -> bool:
    """Tell whether a server may send us there: the same family, and nothing on this machine unless it is there too."""
    ip, here = ipaddress.ip_address(address[0]), ipaddress.ip_address(server[0])
    if ip.version != here.version or ip.is_unspecified or ip.is_multicast:
        return False
    return here.is_loopback or not ip.is_loopback
