"""Which addresses of this machine become host candidates, best first.

RFC 8445 section 5.1.1.1 and RFC 8421: every interface that is up, no loopback unless it is named or nothing
else is there, no link-local addresses, no bridges of containers. Asks the operating system; sends nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import ifaddr

_CONTAINER_PREFIXES = ("docker", "br-", "veth", "virbr", "cni", "lxcbr", "podman")
MAX_PER_FAMILY = 2  # of one interface: a machine may hold many temporary IPv6 addresses
MAX_ADDRESSES = 8


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """An address of an interface of this machine."""

    interface: str
    address: str

    @property
    def is_v6(self) -> bool:
        return ":" in self.address

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.address).is_loopback


def system_addresses() -> list[LocalAddress]:
    """List all addresses of this machine in the system's order."""
    found = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            found.append(LocalAddress(adapter.nice_name, text.partition("%")[0]))
    return found


def choose_addresses(
    available: Iterable[LocalAddress], wanted: Sequence[str] = ()
) -> tuple[list[LocalAddress], list[str]]:
    """Pick the addresses to gather from, best first, and one sentence for each wish that cannot be met.

    IPv6 and IPv4 of one interface stand together, IPv6 first (RFC 8421 section 4).
    """
    usable = [one for one in available if _usable(one)]
    problems = []
    if wanted:
        chosen = [one for one in usable if one.interface in wanted or one.address in wanted]
        for wish in wanted:
            if not any(wish in (one.interface, one.address) for one in usable):
                problems.append(f"This machine has no network interface or address {wish!r} that is up.")
    else:
        outside = [one for one in usable if not one.is_loopback]
        chosen = [one for one in outside if not one.interface.startswith(_CONTAINER_PREFIXES)] or outside or usable
    interfaces = list(dict.fromkeys(one.interface for one in chosen))
    ordered = sorted(chosen, key=lambda one: (interfaces.index(one.interface), not one.is_v6))
    kept: list[LocalAddress] = []
    for one in ordered:
        alike = sum((other.interface, other.is_v6) == (one.interface, one.is_v6) for other in kept)
        if alike < MAX_PER_FAMILY and one not in kept:
            kept.append(one)
    return kept[:MAX_ADDRESSES], problems


def _usable(one: LocalAddress) -> bool:
    ip = ipaddress.ip_address(one.address)
    if ip.version == 6 and (ip.ipv4_mapped or ip.is_site_local):
        return False
    return not (ip.is_link_local and ip.version == 6) and not ip.is_unspecified and not ip.is_multicast
