"""What candidates leave from: sockets, and allocations that are reached through one. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.ice.awaited import AskedServer, Wish
from app.ice.candidates import TcpType
from app.ice.stun import Address
from app.ice.turn_client import TurnClient
from app.path_events import CandidateType
from app.settings import TurnServer


@dataclass(slots=True, eq=False)
class Base:
    """Where a candidate's datagrams leave from.

    `stream` is the name of its flow. `preference` numbers the interfaces and families from 0, best first; `candidate`
    is False for a base that is no host candidate: a TURN connection's (`connection`), that of a socket opened for one
    allocation, or a relayed one. The latter's `relay` says how it is reached. `tcptype` is None for what sends
    datagrams.
    """

    number: int
    stream: str
    address: Address
    preference: int
    interface: str | None = None
    candidate: bool = True
    relay: Relay | None = None
    connection: bool = False
    tcptype: TcpType | None = None


@dataclass(frozen=True, slots=True)
class TurnVisit:
    """One attempt to allocate: at the configured server, or where it sent us.

    `hops` are the addresses that were asked before, `domain` the name for the certificate where it is another one.
    """

    turn: TurnServer
    asked: AskedServer
    preference: int
    lasts_s: float | None = None  # how long its user name is good for
    hops: tuple[Address, ...] = ()
    domain: str | None = None


@dataclass(slots=True, eq=False)
class Relay:
    """An allocation: the relayed bases it makes (one a family), the client that keeps it, how its server is reached."""

    bases: list[Base]
    client: TurnClient
    carrier: Base
    server: Address
    visit: TurnVisit
    wishes: list[Wish]
    give_up_at: float | None = None
    extended: bool = False  # it has answered something and got its time once more

    def base_toward(self, peer: Address) -> Base:
        """Give the relayed base that a peer's datagrams come to: the one of its family."""
        same = (base for base in self.bases if (":" in base.address[0]) == (":" in peer[0]))
        return next(same, self.bases[0])


@dataclass(frozen=True, slots=True)
class Retry:
    """An allocation to be tried once more over another socket or connection: the owner opens it.

    `flow` and `host` say for which flow and from which address of this machine.
    """

    visit: TurnVisit
    flow: str
    host: str
    server: Address


@dataclass(frozen=True, slots=True)
class LostRelay:
    """An allocation that was there and is gone, or (`ending`) will be soon."""

    base: int
    flow: str
    server: str
    reason: str


@dataclass(slots=True)
class Foundations:
    """Numbers the foundations: equal for one type, base address, server and protocol (RFC 8445 section 5.1.1.3)."""

    known: dict[tuple[str, str, str | None, str], str] = field(default_factory=dict)

    def of(self, kind: CandidateType, base_host: str, server: str | None, protocol: str = "udp") -> str:
        return self.known.setdefault((kind, base_host, server, protocol), str(len(self.known) + 1))
