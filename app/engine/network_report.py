"""What was found out about this machine's network, as plain data for the command line and the window."""

from __future__ import annotations

from dataclasses import dataclass

from app.diagnosis.reachability import Reach
from app.events import ServerInfo


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `fine` None: there was nothing to check."""

    about: str  # "microphone", "dns", "stun", "turn", "nat", "registration", "call", …
    fine: bool | None
    sentence: str


@dataclass(frozen=True, slots=True)
class NatFacts:
    """How the NAT in between behaves (RFC 5780): values of `Behaviour` and of `NatKind` as text."""

    kind: str
    mapping: str
    filtering: str
    mapped: str | None  # this machine as the server saw it, "address:port"
    sentence: str


@dataclass(frozen=True, slots=True)
class NetworkReport:
    """Everything that decides which calls get through. What could not be found out is None or empty."""

    udp: bool | None
    tcp: bool | None  # whether connections to any port pass; None where UDP passes, and nobody asked
    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]
    nat: NatFacts | None
    servers: tuple[ServerInfo, ...]
    relay: bool
    reach: tuple[Reach, ...]
    proxy: str | None  # without user name and password
    mdns: bool


@dataclass(frozen=True, slots=True)
class Examination:
    """All findings in order, and the network in figures."""

    findings: tuple[Finding, ...]
    network: NetworkReport
