"""A channel's link by multicast: everybody on the local network who has joined the group hears it, with no server.

Joined on each interface, and again every 8 s: a switch that has forgotten a member, or a network that came back, takes
part again. The interfaces are looked up anew each time, so cables, Wi-Fi and VPNs may come and go. Impure: sockets on
the event loop, and its timer.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from app.channels.duplicates import Duplicates, digest
from app.channels.errors import ChannelError
from app.channels.links import LinkKind, LinkState, OnDatagram, OnState
from app.channels.multicast_sockets import GroupSocket, LocalAddress, Nic, Sending, SendSocket, reason

log = logging.getLogger(__name__)

REJOIN_S = 8.0

Interfaces = Callable[[], Iterable[LocalAddress]]


@dataclass(frozen=True, slots=True)
class MulticastPlan:
    """Where a channel is heard and spoken to. `interface_name` empty: on every interface. ChannelError when wrong."""

    rx_address: str
    rx_port: int
    tx_address: str
    tx_port: int
    interface_name: str = ""
    sending: Sending = field(default_factory=Sending)

    def __post_init__(self) -> None:
        for address, port in ((self.rx_address, self.rx_port), (self.tx_address, self.tx_port)):
            try:
                is_group = ipaddress.ip_address(address).is_multicast
            except ValueError:
                is_group = False
            if not is_group:
                raise ChannelError(
                    f"{address[:60]!r} is no multicast address (224.0.0.0 to 239.255.255.255, or ff00::/8)."
                )
            if not 0 < port < 65536:
                raise ChannelError(f"{port} is no UDP port (1 to 65535).")
        if not 0 <= self.sending.ttl <= 255:
            raise ChannelError(f"A packet cannot make {self.sending.ttl} hops (0 to 255).")


def choose(available: Iterable[LocalAddress], wants_v6: bool, named: str) -> list[Nic]:
    """Pick one address of each interface, in the order given; loopback only when it is named.

    An IPv6 group needs no IPv6 address but the one that each interface gives itself, which few lists hold: an
    interface that is known by its IPv4 address only is taken too.
    """
    found: dict[str, Nic] = {}
    fits: set[str] = set()
    for one in available:
        ip = ipaddress.ip_address(one.address)
        if named not in ("", one.interface, one.address) or (ip.is_loopback and not named):
            continue
        is_right = (ip.version == 6) == wants_v6
        if (is_right and one.interface not in fits) or (wants_v6 and one.interface not in found):
            found[one.interface] = Nic(one.interface, one.address)
        if is_right:
            fits.add(one.interface)
    return list(found.values())


class MulticastLink:
    """One channel by multicast; app.channels.links.Link.

    `interfaces` lists this machine's addresses anew at each call, and blocks for no longer than a system call.
    """

    def __init__(self, plan: MulticastPlan, interfaces: Interfaces) -> None:
        self.on_datagram: OnDatagram = lambda datagram, source, now: None
        self.on_state: OnState = lambda state: None
        self._plan = plan
        self._interfaces = interfaces
        self._state = LinkState(LinkKind.MULTICAST, False, "Multicast has not been joined.")
        self._group: GroupSocket | None = None
        self._joined: set[Nic] = set()
        self._senders: dict[Nic, SendSocket] = {}
        self._troubles: dict[str, str] = {}  # by interface, "" for what concerns all; those of sending by themselves
        self._send_troubles: dict[Nic, str] = {}
        self._duplicates = Duplicates()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def state(self) -> LinkState:
        """How the link is now."""
        return self._state

    async def start(self) -> None:
        """Join on every interface there is."""
        self._turn()

    async def close(self) -> None:
        """Leave everywhere."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._group is not None:
            self._group.close()
            self._group = None
        for sender in self._senders.values():
            sender.close()
        self._senders.clear()
        self._joined.clear()
        self._set_state(False, "Multicast has been left.")

    def network_changed(self) -> None:
        """Look at the interfaces now rather than at the next turn."""
        if not self._is_closed and self._timer is not None:
            self._timer.cancel()
            self._turn()

    def send(self, datagram: bytes, now: float) -> None:
        """Send by each interface. What is wrong with one shows in the state and keeps none of the others."""
        before = len(self._send_troubles)
        for nic, sender in self._senders.items():
            try:
                sender.send(datagram, self._plan.tx_address, self._plan.tx_port)
            except OSError as error:
                if nic not in self._send_troubles:
                    log.info("sending to %s through %s: %s", self._plan.tx_address, nic, error)
                self._send_troubles[nic] = reason(error, nic.interface)
            else:
                self._send_troubles.pop(nic, None)
        if len(self._send_troubles) != before:
            self._tell()

    def _received(self, datagram: bytes, source: str) -> None:
        now = time.monotonic()
        # Two interfaces of one network bring each datagram twice.
        if len(self._joined) < 2 or self._duplicates.is_new(digest(datagram), now):
            self.on_datagram(datagram, source, now)

    def _turn(self) -> None:
        """Join what has come, forget what has gone, join again what stays; and once more in 8 s."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(REJOIN_S, self._turn)
        try:
            available = list(self._interfaces())
        except OSError as error:
            log.info("the interfaces of this machine cannot be listed: %s", error)
            return
        self._troubles.clear()
        if self._open(loop):
            self._join(choose(available, ":" in self._plan.rx_address, self._plan.interface_name))
        self._open_senders(choose(available, ":" in self._plan.tx_address, self._plan.interface_name))
        self._tell()

    def _open(self, loop: asyncio.AbstractEventLoop) -> bool:
        if self._group is None:
            plan = self._plan
            try:
                self._group = GroupSocket(loop, plan.rx_address, plan.rx_port, self._received, plan.sending.loop)
            except OSError as error:
                log.info("hearing %s: %s", plan.rx_address, error)
                self._troubles[""] = f"port {plan.rx_port} cannot be used ({(error.strerror or str(error)).lower()})"
        return self._group is not None

    def _join(self, nics: list[Nic]) -> None:
        assert self._group is not None
        for gone in self._joined.difference(nics):
            self._group.leave(gone)
            self._joined.discard(gone)
        for nic in nics:
            self._group.leave(nic)  # the system tells the network of a new member only
            try:
                self._group.join(nic)
            except OSError as error:
                self._joined.discard(nic)
                self._troubles[nic.interface] = reason(error, nic.interface)
            else:
                self._joined.add(nic)

    def _open_senders(self, nics: list[Nic]) -> None:
        # One that fails is made anew: an interface may come back under its old name as another one.
        for gone in set(self._senders).difference(nics) | set(self._send_troubles):
            self._senders.pop(gone).close()
            self._send_troubles.pop(gone, None)
        for nic in nics:
            if nic not in self._senders:
                try:
                    self._senders[nic] = SendSocket(nic, ":" in self._plan.tx_address, self._plan.sending)
                except OSError as error:
                    self._troubles.setdefault(nic.interface, reason(error, nic.interface))

    def _tell(self) -> None:
        troubles = [*self._troubles.values(), *self._send_troubles.values()]
        where = f"{self._plan.rx_address} port {self._plan.rx_port}"
        if self._joined:
            through = " and ".join(sorted(nic.interface for nic in self._joined))
            words = f"Multicast {where} is joined through {through}"
        elif troubles:
            words = f"Multicast {where} cannot be joined"
        elif self._plan.interface_name:
            words = f"Multicast {where} waits: this machine has no network interface {self._plan.interface_name!r}"
        else:
            words = f"Multicast {where} waits: this machine has no network interface that is up"
        can_send = len(self._send_troubles) < len(self._senders)
        ending = f"; {'; '.join(dict.fromkeys(troubles))}." if troubles else "."
        self._set_state(bool(self._joined) and can_send, words + ending)

    def _set_state(self, is_up: bool, words: str) -> None:
        state = LinkState(LinkKind.MULTICAST, is_up, words)
        if state != self._state:
            self._state = state
            self.on_state(state)
