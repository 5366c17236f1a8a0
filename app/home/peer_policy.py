"""Which peers a relay may reach: everything but this machine and addresses that are nobody's.

A relay that reaches loopback or its own machine's services lends a stranger an inside view, so those peers are
refused (RFC 8656 section 21.4 gives the reasons). One own address is safe and needed: the relayed address of
another allocation here, which is the only path between two users who can both do nothing but relay. Such a
datagram is handed from allocation to allocation and reaches nothing else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from functools import lru_cache

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Addresses that embed an IPv4 address are judged by that one too, or ::ffff:127.0.0.1 and its like get through.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_MAX_VERDICTS = 4096


class PeerPolicy:
    """Judges peer addresses. `own` are the addresses of this machine; `is_relay` knows the live allocations."""

    def __init__(self, *, allow_own: bool, is_relay: Callable[[tuple[str, int]], bool]) -> None:
        self._allow_own = allow_own
        self._is_relay = is_relay
        self._own: frozenset[IPAddress] = frozenset()
        self._verdicts: dict[str, bool] = {}

    def set_own_addresses(self, hosts: Iterable[str]) -> None:
        self._own = frozenset(_parse(host) for host in hosts)
        self._verdicts.clear()

    def is_open(self, host: str) -> bool:
        """Say whether every port of this address may be named; asked for each datagram, and so remembered."""
        verdict = self._verdicts.get(host)
        if verdict is None:
            if len(self._verdicts) >= _MAX_VERDICTS:
                self._verdicts.clear()
            verdict = self._permits_address(host) and (self._allow_own or not self.is_own(host))
            self._verdicts[host] = verdict
        return verdict

    def permits(self, peer: tuple[str, int]) -> bool:
        """Say whether a permission, a channel or a datagram may name this peer (address, port)."""
        if not self._permits_address(peer[0]):
            return False
        if self._allow_own or not self.is_own(peer[0]):
            return True
        return self._is_relay(peer)

    def is_own(self, host: str) -> bool:
        """Say whether an address is this machine's."""
        return bool(self._own.intersection(_with_embedded(host)))

    def _permits_address(self, host: str) -> bool:
        return all(
            not _is_nobody(address) and (self._allow_own or not address.is_loopback) for address in _with_embedded(host)
        )


def _is_nobody(address: IPAddress) -> bool:
    """Say whether no single peer can have this address: multicast, broadcast, 0.0.0.0/8, link-local, reserved.

    Link-local counts, since the scope that would make it an address cannot be written in XOR-PEER-ADDRESS.
    """
    if isinstance(address, ipaddress.IPv4Address) and (address.packed[0] == 0 or address.packed[0] >= 240):
        return True
    return address.is_multicast or address.is_link_local or address.is_unspecified


def _parse(host: str) -> IPAddress:
    return ipaddress.ip_address(host.partition("%")[0])


@lru_cache(maxsize=1024)
def _with_embedded(host: str) -> frozenset[IPAddress]:
    """Give the address together with the IPv4 address it embeds, if it does."""
    address = _parse(host)
    if isinstance(address, ipaddress.IPv4Address):
        return frozenset((address,))
    embedded: ipaddress.IPv4Address | None = address.ipv4_mapped or address.sixtofour
    if embedded is None and (
        address in _NAT64 or (address in _COMPATIBLE and not address.is_loopback and not address.is_unspecified)
    ):
        embedded = ipaddress.IPv4Address(address.packed[12:])
    return frozenset((address,) if embedded is None else (address, embedded))
