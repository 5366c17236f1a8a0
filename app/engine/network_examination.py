"""Examines the network for `parley doctor` and the window: servers, NAT, UDP, IPv6, proxy, names of the local network.

Everything is tried for real: candidates are gathered once as for a call, the NAT is asked about with each server that
has two addresses (RFC 5780), and a server that is silent over UDP is tried over TCP before UDP is called shut.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterable, Sequence

from app.diagnosis.reachability import NatKind, Reach, Way, nat_kind, reachable
from app.engine.network_report import Finding, NatFacts, NetworkReport
from app.events import CandidateType, IceSnapshot, ServerInfo, ServerState
from app.ice.config import IceConfig
from app.ice.nat_discovery import Behaviour, NatReport
from app.ice.nat_runner import discover_nat
from app.ice.proxies import proxy_for, shown
from app.ice.session import IceSession
from app.settings import HostPort

TCP_LIMIT_S = 2.0
LOOK_EVERY_S, SLOWEST_LOOKS = 0.05, 120  # what the slowest server may take after the others: six seconds
MOST_ASKED = 6  # servers that are asked about the NAT
_WEB_PORTS = (80, 443)
_MDNS = "224.0.0.251"
_MDNS_PORT = 5353


async def examine_network(config: IceConfig) -> tuple[list[Finding], NetworkReport]:
    """Examine the network a call would use; takes two seconds, some more where servers are silent."""
    snapshot, nats = await asyncio.gather(_gather(config), _ask_about_nat(config))
    udp = await _udp_passes(config, snapshot, nats)
    tcp = await _tcp_passes(config) if udp is False else None
    hosts = sorted({one.address for one in snapshot.local if one.type is CandidateType.HOST and "." in one.address})
    hosts_v6 = sorted({one.address for one in snapshot.local if one.type is CandidateType.HOST and ":" in one.address})
    nat = _nat_facts(nats, udp)
    relay = any(one.type is CandidateType.RELAY for one in snapshot.local)
    kind = NatKind(nat.kind) if nat is not None else NatKind.UDP_SHUT if udp is False else NatKind.UNKNOWN
    report = NetworkReport(
        udp=udp,
        tcp=tcp,
        ipv4=tuple(hosts),
        ipv6=tuple(hosts_v6),
        nat=nat,
        servers=snapshot.servers,
        relay=relay,
        reach=reachable(kind, relay=relay, tcp=config.tcp and tcp is not False),
        proxy=_proxy(config),
        mdns=await asyncio.to_thread(_can_join_mdns, hosts),
    )
    return _findings(config, report), report


async def _gather(config: IceConfig) -> IceSnapshot:
    session = IceSession(config, True, ["0"], on_event=lambda event: None)
    try:
        await session.gather()
        for _ in range(SLOWEST_LOOKS):  # a call would not wait for these: others have answered
            if all(server.state is not ServerState.ASKING for server in session.snapshot().servers):
                break
            await asyncio.sleep(LOOK_EVERY_S)
        return session.snapshot()
    finally:
        await session.close()


# The NAT and UDP -----------------------------------------------------------------------------------------------


async def _ask_about_nat(config: IceConfig) -> list[NatReport]:
    """Ask every server that may know, TURN servers too: they answer Binding requests."""
    servers = [*config.stun_servers, *(turn.server for turn in config.turn_servers if turn.transport != "tls")]
    interface = next(iter(config.interfaces), None)
    asked = list(dict.fromkeys(servers))[:MOST_ASKED]
    return list(await asyncio.gather(*(discover_nat(server, interface) for server in asked)))


async def _udp_passes(config: IceConfig, snapshot: IceSnapshot, nats: Sequence[NatReport]) -> bool | None:
    """Tell whether UDP passes; None where no server tells the one from the other."""
    spoke = (ServerState.ANSWERED, ServerState.REFUSED)
    if any(one.udp_open for one in nats) or any(
        server.transport == "udp" and server.state in spoke for server in snapshot.servers
    ):
        return True
    asked = [*config.stun_servers, *(turn.server for turn in config.turn_servers if turn.transport == "udp")]
    over_tcp = [server for server in snapshot.servers if server.transport != "udp" and server.state in spoke]
    if over_tcp and (asked or nats):
        return False
    connected = await asyncio.gather(*(_takes_tcp(server) for server in asked[:MOST_ASKED]))
    return False if any(connected) else None


async def _tcp_passes(config: IceConfig) -> bool | None:
    """Tell whether TCP passes to any port, as a peer has one, and not only to those of the web; None: nobody to ask."""
    servers = {*config.stun_servers, *(turn.server for turn in config.turn_servers)}
    asked = [server for server in servers if server.port not in _WEB_PORTS][:MOST_ASKED]
    connected = await asyncio.gather(*(_takes_tcp(server) for server in asked))
    return any(connected) if asked else None


async def _takes_tcp(server: HostPort) -> bool:
    """Tell whether a server that is silent over UDP is there after all."""
    try:
        async with asyncio.timeout(TCP_LIMIT_S):
            _, writer = await asyncio.open_connection(server.host, server.port or 3478)
    except (OSError, TimeoutError, UnicodeError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _nat_facts(nats: Iterable[NatReport], udp: bool | None) -> NatFacts | None:
    """Take the report that knows most; None when no server told anything."""
    best = max((one for one in nats if one.udp_open), key=_known, default=None)
    if best is None:
        return None
    mapped = None if best.mapped is None else str(HostPort(*best.mapped))
    kind = nat_kind(best.mapping, best.filtering, udp=udp)
    return NatFacts(kind.value, best.mapping.value, best.filtering.value, mapped, best.sentence)


def _known(report: NatReport) -> int:
    return (report.mapping is not Behaviour.UNKNOWN) + (report.filtering is not Behaviour.UNKNOWN)


# What else decides -----------------------------------------------------------------------------------------------


def _proxy(config: IceConfig) -> str | None:
    """Give the proxy that a connection to a TURN server takes, without its password."""
    hosts = [turn.server.host for turn in config.turn_servers if turn.transport != "udp"]
    found = (proxy_for(host, config.proxy, os.environ) for host in hosts)
    return next((shown(proxy) for proxy in found if proxy is not None), None)


def _can_join_mdns(hosts: Sequence[str]) -> bool:
    """Try to listen where names of the local network are asked for (RFC 6762); blocks for a moment."""
    for host in hosts:
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "SO_REUSEPORT"):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            opened.bind(("", _MDNS_PORT))
            group = socket.inet_aton(_MDNS) + socket.inet_aton(host)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            return True
    return False


# Findings ---------------------------------------------------------------------------------------------------------


def _findings(config: IceConfig, report: NetworkReport) -> list[Finding]:
    found = [_addresses(report), _ipv6(report), _udp(report)]
    if report.nat is not None:
        found.append(Finding("nat", True, report.nat.sentence))
    found += [_server(server) for server in report.servers]
    if not report.servers:
        words = "No STUN or TURN server is configured: calls work on this network only."
        found.append(Finding("stun", None, words))
    if report.proxy is not None:
        found.append(Finding("proxy", None, f"TURN over TCP and TLS goes through the proxy {report.proxy}."))
    found.append(_mdns(config, report))
    if report.reach:
        found.append(_reach(report.reach))
    return found


def _addresses(report: NetworkReport) -> Finding:
    hosts = [*report.ipv4, *report.ipv6]
    if hosts:
        return Finding("network", True, f"This machine can be reached at {', '.join(hosts)}.")
    if report.relay:
        return Finding("network", None, "No address of this machine is used: calls go through a relay only.")
    return Finding("network", False, "No network is up: plug in a cable or join a wireless network.")


def _ipv6(report: NetworkReport) -> Finding:
    if any(ipaddress.ip_address(host).is_global for host in report.ipv6):
        words = "This machine has public IPv6 addresses: peers that have them too need no NAT to be passed."
        return Finding("ipv6", True, words)
    if report.ipv6:
        return Finding("ipv6", None, "IPv6 works on this network only.")
    return Finding("ipv6", None, "This network has no IPv6: calls use IPv4.")


def _udp(report: NetworkReport) -> Finding:
    if report.udp:
        return Finding("udp", True, "UDP passes: calls can take the best kind of path.")
    if report.udp is None:
        why = "no server answered that could tell" if report.servers else "a STUN server in the settings could tell"
        return Finding("udp", None, f"It is not known whether UDP passes: {why}.")
    if report.relay:
        web = ", and TCP to the ports of the web only" if report.tcp is False else ""
        words = f"This network lets no UDP out{web}: calls go through the relay over TCP or TLS."
        return Finding("udp", None, words)
    help_ = "name a TURN server over TCP or TLS in the settings, or ask whoever runs this network to allow UDP"
    return Finding("udp", False, f"This network lets no UDP out, and no relay was to be had: {help_}.")


def _server(server: ServerInfo) -> Finding:
    kind = f"{server.name} over {server.transport.upper()}"
    if server.state is not ServerState.ANSWERED:
        words = server.problem or f"The {server.kind.upper()} server {kind} did not answer: check that it runs."
        return Finding(server.kind, False, words)
    said = [f"{kind} answers"]
    if server.rtt_s is not None:
        said.append(f"in {server.rtt_s * 1000:.0f} ms")
    if server.mapped:
        said.append(f"and sees this machine as {server.mapped}")
    if server.relayed:
        said.append(f"and lends {server.relayed}")
    return Finding(server.kind, True, " ".join(said) + (f". {server.problem}" if server.problem else "."))


def _mdns(config: IceConfig, report: NetworkReport) -> Finding:
    if report.mdns:
        return Finding("mdns", True, "Names of the local network (mDNS) can be used.")
    words = "Names of the local network (mDNS) cannot be used: a peer that hides its addresses is reached otherwise."
    return Finding("mdns", False if config.hide_addresses else None, words)


def _reach(reach: Sequence[Reach]) -> Finding:
    """Sum the table up in one sentence."""
    lost = [row for row in reach if row.way is Way.NONE]
    relayed = [row for row in reach if row.way is Way.RELAY]
    if lost:
        names = ", ".join(row.who for row in lost)
        return Finding("reach", None, f"Without a TURN server these cannot be reached: {names}.")
    if relayed:
        names = ", ".join(row.who for row in relayed)
        return Finding("reach", True, f"Everybody can be reached; only through the relay: {names}.")
    return Finding("reach", True, "Every kind of peer can be reached directly.")
