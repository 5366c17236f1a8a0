"""A street of houses for tests: hosts behind NATs of every kind, and servers, around one public network.

The public network is a `Lab` (tests/lab/network.py) with documentation addresses (RFC 5737, RFC 3849): the hub drops
what is for nobody. A house is a host and the NAT before it, two namespaces; a house of the kind NONE is a host on the
public network itself. Houses come and go while the servers stay, so each call has NATs that remember nothing.

Each NAT does what its name says of UDP (RFC 4787): a set of nftables keeps what a mapping has opened. New connections
over TCP never come in, whatever the kind. What a NAT refuses it drops without a word.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import threading
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from tests.lab.network import Host, Lab, make_namespace, remove_namespaces, run

DEAD_V4 = "198.51.100.10"  # of an interface behind which there is nothing (Street.add_dead_interface)
_INNER_PORTS = "1024-65535"


class Kind(enum.StrEnum):
    """What stands before a host."""

    NONE = "none"
    FULL_CONE = "fullcone"  # anybody may send to a mapped port
    ADDRESS_RESTRICTED = "arc"  # any port of an address that was sent to from there
    PORT_RESTRICTED = "prc"  # only who was sent to
    SYMMETRIC = "sym"  # another port for each destination, only who was sent to
    UDP_BLOCKED = "udpblock"  # TCP alone, another port for each destination
    TCP_443_ONLY = "tcp443"  # the same, to port 443 alone


class SixKind(enum.StrEnum):
    """How a house stands in the IPv6 network."""

    ABSENT = "absent"
    ROUTED = "routed"  # addresses of its own behind a firewall that lets answers in
    TRANSLATED = "nat66"  # its kind of NAT, for IPv6


@dataclass(frozen=True, slots=True)
class House:
    """A host and the NAT before it (None: it stands on the public network)."""

    kind: Kind
    host: Host
    nat: Host | None
    translated: tuple[str, ...] = ()  # the families of addresses it changes: ip, ip6
    routed: str | None = None  # its IPv6 network, if it has one of its own

    @property
    def public(self) -> Host:
        """What the world sees of it."""
        return self.nat or self.host

    def forget(self) -> None:
        """Let the NAT forget every mapping, as a restart of it would."""
        if self.nat is None:
            return
        for family in self.translated:
            self.nat.run("nft", "flush", "set", family, "nat", "open")
        self.nat.run("conntrack", "-F")


class Street(Lab):
    """The public network with hosts that need no NAT ("turn" and "home" unless said otherwise), and houses."""

    network_v4 = IPv4Network("203.0.113.0/24")
    network_v6 = IPv6Network("2001:db8:77::/64")

    def __init__(self, hosts: tuple[str, ...] = ("turn", "home"), *, v4: bool = True, v6: bool = False) -> None:
        super().__init__(hosts, v4=v4, v6=v6)
        self._changing = threading.Lock()
        self._free = list(range(len(hosts), 230))
        self._numbers = itertools.count(1)
        self._places: dict[str, int] = {}

    def add_address(self, name: str, address: str) -> None:
        """Give one of the street's own hosts another address of the public network."""
        size, late = ("64", ("nodad",)) if ":" in address else ("24", ())
        run("ip", "-n", self[name].namespace, "addr", "add", f"{address}/{size}", "dev", "eth0", *late)

    def build(self, kind: Kind, *, v4: bool = True, v6: SixKind = SixKind.ABSENT, inner: int | None = None) -> House:
        """Build a house. `inner`: its number in 192.168.N.0/24; two houses with one number have one private address."""
        with self._changing:
            number, place = next(self._numbers), heapq.heappop(self._free)
        front = self._host_at(f"h{number}" if kind is Kind.NONE else f"h{number}nat", place)
        front = Host(front.name, front.namespace, front.v4 if v4 else None, front.v6 if v6 != SixKind.ABSENT else None)
        self._make_host(front, place)
        if kind is Kind.NONE:
            house = House(kind, front, None)
        else:
            house = self._build_behind(front, kind, v6, number, inner or number % 250 + 1)
        with self._changing:
            self._places[house.host.name] = place
        return house

    def tear_down(self, house: House) -> None:
        remove_namespaces(house.host, *([house.nat] if house.nat else []))
        if house.routed:
            run("ip", "-n", self.hub.namespace, "-6", "route", "del", house.routed)
        with self._changing:
            heapq.heappush(self._free, self._places.pop(house.host.name))

    def add_dead_interface(self, house: House) -> None:
        """Give a host an interface `dead0` with an address and a way out of its own, on which nothing comes back."""
        host, hub = ("ip", "-n", house.host.namespace), ("ip", "-n", self.hub.namespace)
        far = f"dead-{house.host.name}"
        run(*host, "link", "add", "dead0", "type", "veth", "peer", far, "netns", self.hub.namespace)
        for words in ((*hub, "link", "set", far, "up"), (*host, "link", "set", "dead0", "up")):
            run(*words)
        gateway = "198.51.100.1"
        run(*host, "addr", "add", f"{DEAD_V4}/24", "dev", "dead0")
        run(*host, "neigh", "add", gateway, "lladdr", "02:00:00:00:00:99", "nud", "permanent", "dev", "dead0")
        run(*host, "route", "add", "default", "via", gateway, "dev", "dead0", "table", "66")
        run(*host, "rule", "add", "from", DEAD_V4, "lookup", "66")

    def _build_behind(self, nat: Host, kind: Kind, v6: SixKind, number: int, inner: int) -> House:
        routed = v6 is SixKind.ROUTED
        net6 = f"2001:db8:{number:x}" if routed else f"fd00:{inner:x}:1"
        inside = f"192.168.{inner}.10" if nat.v4 else None
        inside6 = None if v6 is SixKind.ABSENT else f"{net6}::10"
        host = Host(f"h{number}", f"{self.prefix}-h{number}", inside, inside6)
        make_namespace(host, v6=inside6 is not None)
        near, far = ("ip", "-n", host.namespace), ("ip", "-n", nat.namespace)
        run(*near, "link", "add", "eth0", "type", "veth", "peer", "inner", "netns", nat.namespace)
        run(*far, "link", "set", "inner", "up")
        run(*near, "link", "set", "eth0", "up")
        rules = ""
        if inside:
            run(*far, "addr", "add", f"192.168.{inner}.1/24", "dev", "inner")
            run(*near, "addr", "add", f"{inside}/24", "dev", "eth0")
            run(*near, "route", "add", "default", "via", f"192.168.{inner}.1")
            rules += nat_rules(kind, "ip", inside)
        if inside6:
            run(*far, "-6", "addr", "add", f"{net6}::1/64", "dev", "inner", "nodad")
            run(*near, "-6", "addr", "add", f"{inside6}/64", "dev", "eth0", "nodad")
            run(*near, "-6", "route", "add", "default", "via", f"{net6}::1")
            rules += firewall_rules() if routed else nat_rules(kind, "ip6", inside6)
        nat.run("sysctl", "-qw", "net.ipv4.ip_forward=1", f"net.ipv6.conf.all.forwarding={int(bool(inside6))}")
        run(*nat.command("nft", "-f", "-"), given=rules)
        if routed:
            self._route(f"{net6}::/64", str(nat.v6))
        translated = ("ip",) * bool(inside) + ("ip6",) * (v6 is SixKind.TRANSLATED)
        return House(kind, host, nat, translated, f"{net6}::/64" if routed else None)

    def _route(self, network: str, way: str) -> None:
        """Let the hub pass on what is for a house with addresses of its own, and still swallow all else."""
        hub = ("ip", "-n", self.hub.namespace, "-6", "route", "replace")
        run(*hub, "blackhole", "default")
        run(*hub, network, "via", way)
        self.hub.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")


def nat_rules(kind: Kind, family: str, host: str) -> str:
    """Give the ruleset of a NAT with the interfaces `eth0` (out) and `inner`; `family` is ip or ip6."""
    address = "ipv4_addr" if family == "ip" else "ipv6_addr"
    key, opened, come_in = {
        Kind.FULL_CONE: ("inet_service", "udp sport", "udp dport @open"),
        Kind.ADDRESS_RESTRICTED: (
            f"{address} . inet_service",
            f"{family} daddr . udp sport",
            f"{family} saddr . udp dport @open",
        ),
    }.get(kind, ("inet_service", "", ""))
    remember = f'oifname "eth0" meta l4proto udp update @open {{ {opened} }} masquerade' if opened else ""
    admit = f'iifname "eth0" {come_in} udp dport {_INNER_PORTS} dnat to {host}' if come_in else ""
    scattered = kind in (Kind.SYMMETRIC, Kind.UDP_BLOCKED, Kind.TCP_443_ONLY)
    refuse = {
        Kind.UDP_BLOCKED: "meta l4proto udp drop",
        Kind.TCP_443_ONLY: "ct state established,related accept\ntcp dport 443 accept\ndrop",
    }.get(kind, "")
    return f"""
table {family} nat {{
  set open {{ type {key}; flags dynamic,timeout; timeout 5m; }}
  chain pre {{ type nat hook prerouting priority -100; {admit}
  }}
  chain post {{ type nat hook postrouting priority 100; {remember}
    oifname "eth0" masquerade {"fully-random" if scattered else ""}
  }}
}}
table {family} walls {{
  chain input {{ type filter hook input priority 0; iifname "eth0" ct state new drop
  }}
  chain forward {{ type filter hook forward priority 0; {refuse}
  }}
}}
"""


def firewall_rules() -> str:
    """Give the ruleset of a router for IPv6 that lets in only what was asked for."""
    return """
table ip6 walls {
  chain forward { type filter hook forward priority 0; iifname "eth0" ct state new drop
  }
}
"""
