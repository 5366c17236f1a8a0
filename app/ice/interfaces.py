"""Which addresses of this machine become host candidates, best first.

RFC 8445 section 5.1.1.1 and RFC 8421: every interface that is up, VPNs too, no loopback unless it is named or
nothing else is there, no bridges of containers and virtual machines, no link-local IPv6. Asks the operating
system; sends nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ifaddr

# Where containers and virtual machines of this machine are attached: nobody else can reach these addresses. A bridge
# that somebody named (br0, br-lan) is a network like any other; Docker's own are br- and twelve hex digits.
_CONTAINERS = re.compile(
    r"docker|br-[0-9a-f]{12}$|veth(?!ernet)|virbr|vnet\d|cni|flannel|cali[0-9a-f]|cilium|lxcbr|lxdbr|incusbr|podman|nerdctl"
    r"|vmnet|vboxnet|bridge1\d\d$|vethernet \((wsl|default switch|nat)|virtualbox host-only|vmware network adapter",
    re.IGNORECASE,
)
# Tunnels: used, after what they run over, since the way through them is longer (RFC 8445 section 5.1.2.2).
_TUNNELS = re.compile(
    r"tun|tap|wg|ppp|utun|ipsec|tailscale|ts\d|zt|nebula|nordlynx|proton|mullvad|gpd|cscotun|wireguard|openvpn|vpn",
    re.IGNORECASE,
)
MAX_PER_FAMILY = 2  # of one interface: a machine may hold many temporary IPv6 addresses
MAX_ADDRESSES = 8

_IF_INET6 = Path("/proc/net/if_inet6")  # Linux: what kind of address each IPv6 address is
_TEMPORARY, _DEPRECATED = 0x01, 0x20  # IFA_F_*
_UNUSABLE = 0x08 | 0x40  # somebody else has it, or whether somebody has it is not known yet


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """An address of an interface of this machine. What the system tells of it is no part of what it is."""

    interface: str
    address: str
    temporary: bool = field(default=False, compare=False)  # RFC 8981: made to hide who it is
    deprecated: bool = field(default=False, compare=False)  # RFC 4862: kept for what uses it already

    @property
    def is_v6(self) -> bool:
        return ":" in self.address

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.address).is_loopback

    @property
    def is_link_local(self) -> bool:
        return ipaddress.ip_address(self.address).is_link_local

    @property
    def is_tunnel(self) -> bool:
        return _TUNNELS.match(self.interface) is not None

    @property
    def tells_hardware(self) -> bool:
        """Tell whether an IPv6 address is made of the card's number, by which a machine is known anywhere."""
        return self.is_v6 and ipaddress.ip_address(self.address).packed[11:13] == b"\xff\xfe"


def system_addresses() -> list[LocalAddress]:
    """List all addresses of this machine in the system's order."""
    flags = _v6_flags()
    found = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = (ip.ip if isinstance(ip.ip, str) else ip.ip[0]).partition("%")[0]
            known = flags.get(text, 0)
            if not known & _UNUSABLE:
                found.append(LocalAddress(adapter.nice_name, text, bool(known & _TEMPORARY), bool(known & _DEPRECATED)))
    return found


def _v6_flags() -> dict[str, int]:
    """Give Linux's flags of each IPv6 address; nothing on other systems, which hand out what may be used."""
    try:
        lines = _IF_INET6.read_text().splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines)
    return {str(ipaddress.IPv6Address(bytes.fromhex(one[0]))): int(one[4], 16) for one in fields}


def choose_addresses(
    available: Iterable[LocalAddress], wanted: Sequence[str] = ()
) -> tuple[list[LocalAddress], list[str]]:
    """Pick the addresses to gather from, best first, and one sentence for each wish that cannot be met.

    IPv6 and IPv4 of one interface stand together, IPv6 first, so that no family is tried late on any interface
    (RFC 8421 section 4). The place in this order is the candidate's local preference: no two are equal.
    """
    usable = [one for one in dict.fromkeys(available) if _usable(one)]
    problems = []
    if wanted:
        chosen = [one for one in usable if one.interface in wanted or one.address in wanted]
        for wish in wanted:
            if not any(wish in (one.interface, one.address) for one in usable):
                problems.append(f"This machine has no network interface or address {wish!r} that is up.")
    else:
        outside = [one for one in usable if not one.is_loopback]
        chosen = [one for one in outside if not _CONTAINERS.match(one.interface)] or outside or usable
    return _in_order(chosen, frozenset(wanted)), problems


def _in_order(chosen: list[LocalAddress], named: frozenset[str]) -> list[LocalAddress]:
    interfaces = list(dict.fromkeys(one.interface for one in sorted(chosen, key=lambda one: one.is_tunnel)))
    kept: list[LocalAddress] = []
    for name in interfaces:
        for v6 in (True, False):
            kept += _best([one for one in chosen if (one.interface, one.is_v6) == (name, v6)], named)
    return kept[:MAX_ADDRESSES]


def _best(alike: list[LocalAddress], named: frozenset[str]) -> list[LocalAddress]:
    """Pick among the addresses of one family of one interface: those that stay, and that do not tell who we are.

    One of each network first: a unique local address (RFC 4193) beside a global one is another way, a second
    temporary one is not. Beside a private address, one that tells the card's number is not shown (RFC 8445
    section 5.1.1.1). What was named by its address is used whatever it is.
    """
    hidden = {_network(one) for one in alike if one.temporary and not one.deprecated}
    able = [
        one
        for one in alike
        if one.address in named
        or (not (one.tells_hardware and _network(one) in hidden) and not (one.is_link_local and len(alike) > 1))
    ]
    able = [one for one in able if one.address in named or not one.deprecated] or able
    able.sort(key=lambda one: (not one.temporary, is_unique_local(one.address)))
    firsts = {_network(one): one for one in reversed(able)}.values()
    return sorted(able, key=lambda one: one not in firsts)[:MAX_PER_FAMILY]


def is_unique_local(address: str) -> bool:
    """Tell whether this is an IPv6 address of a site only (RFC 4193), behind NAT66 if anything."""
    return address.lower().startswith(("fc", "fd")) and ":" in address


def _network(one: LocalAddress) -> bytes:
    """Give the prefix: 64 bits of IPv6; IPv4 addresses of an interface count as one network each."""
    packed = ipaddress.ip_address(one.address).packed
    return packed[:8] if one.is_v6 else packed


def _usable(one: LocalAddress) -> bool:
    ip = ipaddress.ip_address(one.address)
    if ip.version == 6 and (ip.ipv4_mapped or ip.is_site_local):
        return False
    return not (ip.is_link_local and ip.version == 6) and not ip.is_unspecified and not ip.is_multicast
