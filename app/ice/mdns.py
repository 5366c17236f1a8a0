"""Multicast DNS for one session (RFC 6762): looks up the names that the peer gave as its addresses, and answers for
the names that stand for ours.

Not pure: owns sockets, from the first name on. The record format is the zeroconf library's, which is loaded with the
first name too: most calls need none.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.ice.hiding import is_local_name
from app.owned_tasks import OwnedTasks

if TYPE_CHECKING:
    from zeroconf import IPVersion, ServiceInfo, Zeroconf
    from zeroconf.asyncio import AsyncZeroconf

log = logging.getLogger(__name__)

LOOKUP_S = 3.0
MAX_LOOKUPS = 16  # names of one session, whoever gave them
MAX_WAITING = 64  # candidates that one name stands for
TTL_S = 120  # of our answers, as RFC 6762 section 10 has it for addresses
_SERVICE = "_ice-host._udp.local."  # the library answers only for the host of a service; nobody announces it

Found = Callable[[list[str]], None]


@dataclass(slots=True)
class _Lookup:
    """A name of the peer's: who waits for its addresses, and what they are once that is known."""

    waiting: list[Found] = field(default_factory=list)
    addresses: list[str] | None = None


class LocalNames:
    """The names of one session. `addresses` are those of the interfaces to speak on; without any, nothing happens."""

    def __init__(self, addresses: Sequence[str], on_problem: Callable[[str], None]) -> None:
        self._addresses = list(addresses)
        self._on_problem = on_problem
        self._tasks = OwnedTasks("names of the local network")
        self._asked: dict[str, _Lookup] = {}
        self._answered: dict[str, ServiceInfo] = {}
        self._zeroconf: AsyncZeroconf | None = None
        self._closed = False

    def look_up(self, name: str, found: Found) -> None:
        """Ask for a peer's name; `found` is called with its addresses, at most one of each family, or never."""
        known = self._asked.get(name)
        if known is not None:
            if known.addresses is None and len(known.waiting) < MAX_WAITING:
                known.waiting.append(found)
            elif known.addresses:
                found(known.addresses)
            return
        if not is_local_name(name):
            return
        if len(self._asked) >= MAX_LOOKUPS:
            self._on_problem(f"The other side named more than {MAX_LOOKUPS} addresses; the rest is not looked up.")
            return
        opened = self._open()
        if opened is not None:
            self._asked[name] = lookup = _Lookup([found])
            self._tasks.start(self._look_up(opened, name, lookup), "look up")

    async def _look_up(self, opened: Zeroconf, name: str, lookup: _Lookup) -> None:
        from zeroconf import AddressResolver, DNSQuestionType, IPVersion  # type: ignore[attr-defined]  # AddressResolver is public, but not in its __all__

        resolver = AddressResolver(f"{name}.")
        # Asked by multicast and so answered: other programs of this machine read the same port, and an answer to
        # this machine alone may reach any of them.
        if not await resolver.async_request(opened, LOOKUP_S * 1000, DNSQuestionType.QM):
            self._on_problem(f"The other side named its address as {name}, which nobody on this network answers to.")
        lookup.addresses = unicast(resolver.parsed_addresses(IPVersion.All))
        log.info("%s is %s", name, ", ".join(lookup.addresses) or "no address that can be used")
        waiting, lookup.waiting = lookup.waiting, []
        for found in waiting if lookup.addresses and not self._closed else ():
            found(lookup.addresses)

    def answer(self, names: Mapping[str, str]) -> None:
        """Answer for these names (address to name) until closed; those answered for already stay as they are."""
        for address, name in names.items():
            opened = self._open() if name not in self._answered else None
            if opened is None:
                continue
            from zeroconf import ServiceInfo

            label = name.partition(".")[0]
            self._answered[name] = info = ServiceInfo(
                _SERVICE,
                f"{label}.{_SERVICE}",
                port=9,
                addresses=[ipaddress.ip_address(address).packed],
                server=f"{name}.",
                host_ttl=TTL_S,
                other_ttl=TTL_S,
            )
            opened.registry.async_add(info)  # not announced: the name is random, and who needs it is told it

    def _open(self) -> Zeroconf | None:
        if self._closed or not self._addresses:
            return None
        if self._zeroconf is None:
            from zeroconf.asyncio import AsyncZeroconf

            try:
                self._zeroconf = AsyncZeroconf(interfaces=self._addresses, ip_version=_version(self._addresses))
            except OSError as error:
                self._on_problem(f"Names of the local network cannot be used: {error.strerror or error}.")
                self._addresses = []
                return None
        return self._zeroconf.zeroconf

    async def close(self) -> None:
        """Answer no more and close the sockets; safe to call twice."""
        self._closed = True
        await self._tasks.close()
        opened, self._zeroconf = self._zeroconf, None
        if opened is not None:
            opened.zeroconf.registry.async_remove(list(self._answered.values()))  # so that nothing is said of them
            await opened.async_close()


def unicast(addresses: Iterable[str]) -> list[str]:
    """Keep what one machine can have as its address: the first of each family."""
    first: dict[int, str] = {}
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        scoped = address.version == 6 and address.is_link_local  # useless without the interface it is on
        if not (address.is_multicast or address.is_unspecified or address.is_reserved or scoped):
            first.setdefault(address.version, str(address))
    return list(first.values())


def _version(addresses: Iterable[str]) -> IPVersion:
    from zeroconf import IPVersion

    versions = {ipaddress.ip_address(each).version for each in addresses}
    return IPVersion.All if len(versions) > 1 else IPVersion.V6Only if versions == {6} else IPVersion.V4Only
