"""Other Parleys on the local network, found and told about ourselves by DNS-SD over multicast DNS.

Service `_parley._udp.local.` (RFC 6763); TXT: `name` as shown to people, `uri` where calls are taken, `version`.
Whoever is on the network can announce anything, so what is heard is bounded in number, its names are cleaned, and a
neighbour can only be called at an address that it announces as its own: an announcement cannot point at somebody else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import unicodedata
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass

import ifaddr
from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from app.home.errors import HomeError
from app.settings import HostPort
from app.sip.errors import ParseError
from app.sip.uri import SipUri

log = logging.getLogger(__name__)

SERVICE = "_parley._udp.local."
MAX_NEIGHBOURS = 64
MAX_NAME = 64  # characters
_MAX_LOOKUPS = 16  # at the same time
_LOOKUP_MS = 3000
_TTL_S = 120  # a Parley that was killed is gone after this
_TELL_AFTER_S = 0.2  # changes within this are told together
_WATCH_EVERY_S = 10.0
_BRIDGES = ("docker", "br-", "veth", "virbr", "lxc")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another Parley: `instance` tells it apart, `uri` is where to call it, `found_at` is the loop's time."""

    instance: str
    name: str
    uri: str
    version: str
    found_at: float


class Neighbours:
    """Announces this Parley and keeps the list of others, from `start` to `close`.

    `sip_uri` is where this one takes calls, with its port; its host is replaced by the addresses of the interfaces.
    `on_change` gets the whole list, by name, on the loop that started this. `interfaces` are names or addresses; empty
    means all that are up, without container bridges, and loopback only where there is nothing else.
    """

    def __init__(
        self,
        name: str,
        sip_uri: str,
        on_change: Callable[[tuple[Neighbour, ...]], None],
        *,
        interfaces: Iterable[str] = (),
        version: str = "",
    ) -> None:
        try:
            self._uri = SipUri.parse(sip_uri)
        except ParseError as error:
            raise HomeError(f"{sip_uri[:60]!r} is not an address to announce.") from error
        if self._uri.port is None:
            raise HomeError(f"{sip_uri[:60]!r} needs a port to be announced.")
        self._name = clean_name(name) or "Parley"
        self._on_change = on_change
        self._wanted = tuple(interfaces)
        self._version = version
        self._instance = f"{secrets.token_hex(8)}.{SERVICE}"
        self._found: dict[str, Neighbour] = {}
        self._addresses: list[str] = []
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._info: AsyncServiceInfo | None = None
        self._lookups: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, Zeroconf] = {}  # names to look up when there is room; the browser tells each once
        self._watcher: asyncio.Task[None] | None = None
        self._telling: asyncio.TimerHandle | None = None

    @property
    def neighbours(self) -> tuple[Neighbour, ...]:
        """Everybody found, by name."""
        return tuple(sorted(self._found.values(), key=lambda each: (each.name.casefold(), each.instance)))

    async def start(self) -> None:
        """Announce and look around; HomeError when this machine cannot do multicast."""
        self._loop = asyncio.get_running_loop()
        await self._open(choose_addresses(self._wanted))
        self._watcher = self._loop.create_task(self._watch())
        self._watcher.add_done_callback(_report)

    async def close(self) -> None:
        """Say goodbye and stop; bounded, even where nobody answers."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        if self._telling is not None:
            self._telling.cancel()
        await self._shut()

    async def rename(self, name: str) -> None:
        """Announce another name from now on."""
        self._name = clean_name(name) or "Parley"
        if self._zeroconf is not None and self._info is not None:
            self._info = self._service_info()
            await self._zeroconf.async_update_service(self._info)

    # Announcing -------------------------------------------------------------------------------------------

    async def _open(self, addresses: list[str]) -> None:
        self._addresses = addresses
        try:
            self._zeroconf = AsyncZeroconf(interfaces=addresses, ip_version=_ip_version(addresses))
            self._info = self._service_info()
            await self._zeroconf.async_register_service(self._info)
            self._browser = AsyncServiceBrowser(self._zeroconf.zeroconf, SERVICE, handlers=[self._changed])
        except (TimeoutError, OSError, RuntimeError) as error:
            await self._shut()
            raise HomeError(
                f"Other Parleys on this network cannot be looked for: {error}. Calls by address still work."
            ) from error

    async def _shut(self) -> None:
        self._waiting.clear()
        for task in list(self._lookups.values()):
            task.cancel()
        await asyncio.gather(*self._lookups.values(), return_exceptions=True)
        self._lookups.clear()
        if self._browser is not None:
            await self._browser.async_cancel()
        if self._zeroconf is not None:
            await self._zeroconf.async_unregister_all_services()
            await self._zeroconf.async_close()
        self._browser = self._zeroconf = None

    def _service_info(self) -> AsyncServiceInfo:
        uri = SipUri("sip", self._uri.user, None, self._addresses[0], self._uri.port)
        return AsyncServiceInfo(
            SERVICE,
            self._instance,
            port=self._uri.port,
            addresses=[ipaddress.ip_address(each).packed for each in self._addresses],
            properties={"name": self._name, "uri": str(uri)[:255], "version": self._version[:64]},
            server=f"{self._instance.partition('.')[0]}.local.",
            host_ttl=_TTL_S,
            other_ttl=_TTL_S,
        )

    async def _watch(self) -> None:
        """Follow this machine to another network."""
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            addresses = choose_addresses(self._wanted)
            if addresses == self._addresses:
                continue
            log.info("network changed: announcing at %s", ", ".join(addresses))
            await self._shut()
            self._found.clear()
            self._tell_soon()
            try:
                await self._open(addresses)
            except HomeError as error:
                self._addresses = []  # try again at the next look
                log.info("%s", error)

    # Finding ----------------------------------------------------------------------------------------------

    def _changed(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if name == self._instance:
            return
        if state_change is ServiceStateChange.Removed:
            self._waiting.pop(name, None)
            if self._found.pop(name, None) is not None:
                self._tell_soon()
        elif name in self._found or len(self._found) + len(self._waiting) < MAX_NEIGHBOURS:
            self._waiting[name] = zeroconf
            self._look_up_waiting()

    def _look_up_waiting(self) -> None:
        for name, zeroconf in list(self._waiting.items()):
            if len(self._lookups) >= _MAX_LOOKUPS:
                return
            if name not in self._lookups:
                del self._waiting[name]
                self._own(name, self._look_up(zeroconf, name))

    async def _look_up(self, zeroconf: Zeroconf, name: str) -> None:
        info = AsyncServiceInfo(SERVICE, name)
        if not await info.async_request(zeroconf, _LOOKUP_MS):
            return
        neighbour = read_announcement(info, self._addresses, self._loop.time())
        known = self._found.get(name)
        if neighbour is None or (known is None and len(self._found) >= MAX_NEIGHBOURS):
            return
        if known is None or (known.name, known.uri) != (neighbour.name, neighbour.uri):
            self._found[name] = neighbour
            self._tell_soon()

    def _own(self, name: str, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._lookups[name] = task
        task.add_done_callback(lambda done: self._looked_up(name))
        task.add_done_callback(_report)

    def _looked_up(self, name: str) -> None:
        self._lookups.pop(name, None)
        self._look_up_waiting()

    def _tell_soon(self) -> None:
        if self._telling is None:
            self._telling = self._loop.call_later(_TELL_AFTER_S, self._tell)

    def _tell(self) -> None:
        self._telling = None
        self._on_change(self.neighbours)


def read_announcement(info: AsyncServiceInfo, own_addresses: Iterable[str], now: float) -> Neighbour | None:
    """Make a neighbour of what was announced; None when it cannot be called.

    The user comes from the announced URI, the port from SRV, and the host from the address records: the one in a
    network of ours where there is one.
    """
    texts = {key: value for key, value in info.decoded_properties.items() if value}
    try:
        announced = SipUri.parse(texts.get("uri") or "")
    except ParseError:
        return None
    addresses = [host for host in info.parsed_addresses(IPVersion.All) if _is_callable(host)]
    if not addresses or not info.port or announced.user is None or len(announced.user) > MAX_NAME:
        return None
    host = min(addresses, key=lambda each: -_closeness(each, own_addresses))
    name = clean_name(texts.get("name") or "") or clean_name(announced.user) or str(HostPort(host, info.port))
    uri = SipUri("sip", announced.user, None, host, info.port)
    return Neighbour(info.name, name, str(uri), clean_name(texts.get("version") or ""), now)


def clean_name(text: str) -> str:
    """Make a name fit to be shown: no control, format or private characters, single spaces, a bounded length."""
    kept = "".join(
        " " if char.isspace() else char
        for char in text[: 4 * MAX_NAME]
        if char.isspace() or not unicodedata.category(char).startswith("C")
    )
    return " ".join(kept.split())[:MAX_NAME].strip()


def choose_addresses(wanted: Iterable[str]) -> list[str]:
    """Give the IPv4 addresses of the interfaces to use (IPv6 where there is no other), by names or addresses wanted."""
    wanted = set(wanted)
    named: list[str] = []
    usable: list[str] = []
    bridged: list[str] = []
    loopback: list[str] = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            host = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            address = ipaddress.ip_address(host)
            if address.version == 6 and (address.is_link_local or not wanted):
                continue
            if host in wanted or adapter.name in wanted or adapter.nice_name in wanted:
                named.append(host)
            elif address.is_loopback:
                loopback.append(host)
            else:
                (bridged if adapter.nice_name.startswith(_BRIDGES) else usable).append(host)
    return sorted(named if wanted else usable or bridged or loopback) or ["127.0.0.1"]


def _ip_version(addresses: Iterable[str]) -> IPVersion:
    versions = {ipaddress.ip_address(each).version for each in addresses}
    return IPVersion.All if len(versions) > 1 else IPVersion.V6Only if versions == {6} else IPVersion.V4Only


def _is_callable(host: str) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    return not (address.is_multicast or address.is_unspecified or (address.version == 6 and address.is_link_local))


def _closeness(host: str, own: Iterable[str]) -> int:
    """Count the leading bits that an address has in common with one of ours."""
    address = ipaddress.ip_address(host)
    bits = address.max_prefixlen
    ours = [ipaddress.ip_address(each) for each in own]
    return max(
        (bits - (int(address) ^ int(each)).bit_length() for each in ours if each.version == address.version), default=0
    )


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("looking for neighbours failed", exc_info=error)
