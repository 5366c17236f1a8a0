"""A virtual wire: user agents on a virtual clock, with delay and loss, and every message that passed."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.settings import HostPort
from app.sip.agent import KeepAlive, Resolve, UserAgent
from app.sip.config import SipConfig
from app.sip.hops import Hop
from app.sip.message import Request, Response, parse_message
from app.sip.transactions import Send

E = TypeVar("E")


@dataclass
class Passed:
    """One message on the wire."""

    at: float
    sender: str
    receiver: str
    transport: str
    message: Request | Response
    lost: bool

    @property
    def what(self) -> str:
        """INVITE, or "180 INVITE" for a response."""
        if isinstance(self.message, Request):
            return self.message.method
        return f"{self.message.status} {self.message.cseq.method}"


@dataclass
class Node:
    """One user agent and what it told its owner. `react` is called with each event as it comes."""

    name: str
    agent: UserAgent
    address: HostPort
    events: list[Any] = field(default_factory=list)
    react: Callable[[Any], None] = lambda event: None
    keep_alives: int = 0

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def one(self, kind: type[E]) -> E:
        found = self.of(kind)
        assert len(found) == 1, f"{self.name}: {len(found)} {kind.__name__} in {self.events}"
        return found[0]

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


class Wire:
    """Carries messages between nodes by address. `lose` decides which get lost; `deaf` addresses hear nothing."""

    def __init__(self, delay_s: float = 0.01) -> None:
        self.now = 1000.0
        self.delay_s = delay_s
        self.passed: list[Passed] = []
        self.nodes: dict[HostPort, Node] = {}
        self.lose: Callable[[Passed], bool] = lambda passed: False
        self.deaf: set[HostPort] = set()
        self.no_tcp: set[HostPort] = set()
        self.hosts: dict[str, HostPort] = {}
        self._flight: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()

    def node(self, name: str, host: str, port: int = 5060, **config: Any) -> Node:
        settings = SipConfig(sip_port=port, user=name, **config)
        agent = UserAgent(settings, clock=lambda: self.now, rng=random.Random(name))
        address = HostPort(host, port)
        self.nodes[address] = node = Node(name, agent, address)
        return node

    # Running --------------------------------------------------------

    def run(self, seconds: float = 0.0) -> None:
        """Let time pass: everything due within `seconds` happens."""
        end = self.now + seconds
        self._flush()
        while True:
            times = [at for node in self.nodes.values() if (at := node.agent.next_timeout()) is not None]
            if self._flight:
                times.append(self._flight[0][0])
            at = min(times, default=None)
            if at is None or at > end:
                break
            self.now = max(self.now, at)
            while self._flight and self._flight[0][0] <= self.now:
                heapq.heappop(self._flight)[2]()
                self._flush()
            for node in list(self.nodes.values()):
                due = node.agent.next_timeout()
                if due is not None and due <= self.now:
                    node.agent.handle_timeout(self.now)
            self._flush()
        self.now = end

    def inject(self, node: Node, data: bytes, source: Hop | None = None) -> None:
        """Hand raw bytes to `node`."""
        node.agent.receive(data, source or Hop("udp", HostPort("192.0.2.99", 5060), node.address), self.now)
        self._flush()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._flight, (self.now + seconds, next(self._serial), call))

    def _flush(self) -> None:
        busy = True
        while busy:
            busy = False
            for node in list(self.nodes.values()):
                for output in node.agent.take():
                    busy = True
                    self._carry_out(node, output)

    def _carry_out(self, node: Node, output: Any) -> None:
        match output:
            case Send(message, hop, transaction):
                self._send(node, message, hop, transaction)
            case Resolve(token, uri):
                self._resolve(node, token, uri)
            case KeepAlive():
                node.keep_alives += 1
            case _:
                node.events.append(output)
                node.react(output)

    def _resolve(self, node: Node, token: int, uri: Any) -> None:
        transport = uri.param("transport") or ("tls" if uri.scheme == "sips" else "udp")
        remote = self.hosts.get(uri.host) or HostPort(uri.host, uri.port or 5060)
        known = uri.host in self.hosts or uri.host[0].isdigit()
        hops = (Hop(transport, remote, node.address),) if known else ()
        node.agent.resolved(token, hops, "" if known else f"{uri.host} has no address", self.now)

    def _send(self, node: Node, message: Request | Response, hop: Hop, transaction: int | None) -> None:
        target = self.nodes.get(hop.remote)
        passed = Passed(
            self.now, node.name, target.name if target else str(hop.remote), hop.transport, message, lost=False
        )
        passed.lost = self.lose(passed)
        self.passed.append(passed)
        if hop.transport != "udp" and (hop.remote in self.no_tcp or target is None):
            node.agent.send_failed(transaction, "Connection refused", self.now)
            return
        if passed.lost or target is None or hop.remote in self.deaf:
            return
        source = Hop(hop.transport, node.address, target.address)
        data = bytes(message)
        if not (isinstance(message, Response) and message.status == 400):
            parse_message(data)  # whatever we send must be readable; a 400 may repeat what was not
        self.after(self.delay_s, lambda: target.agent.receive(data, source, self.now))

    # What passed ----------------------------------------------------

    def log(self, sender: str | None = None) -> list[str]:
        return [item.what for item in self.passed if sender is None or item.sender == sender]

    def messages(self, what: str, sender: str | None = None) -> list[Any]:
        return [item.message for item in self.passed if item.what == what and sender in (None, item.sender)]

    def times(self, what: str, sender: str | None = None) -> list[float]:
        return [item.at for item in self.passed if item.what == what and sender in (None, item.sender)]
