"""Names of servers: their addresses and their SRV records, looked up beside the loop and remembered while they hold.

Any layer may use it. Addresses come from the system's resolver, so that its own files and rules count; other records
from the DNS. A lookup that hangs costs nobody but who asked: it has a thread of its own, and who asks for the same
name meanwhile waits for the same answer.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import logging
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

REMEMBERED_S = 60.0  # addresses: the system's resolver does not tell for how long they hold
LONGEST_S, SHORTEST_S = 3600.0, 5.0  # of what a record says of itself
UNKNOWN_S = 10.0  # that a name has no such record
MAX_REMEMBERED = 256
MAX_HANGING = 32  # lookups under way; the system gives each up by itself
LOOKUP_S = 4.0


@dataclass(frozen=True, slots=True)
class _Remembered:
    until: float
    answer: tuple[Any, ...]


class Names:
    """Looks names up, with a short memory; use it on one loop at a time."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        system: Callable[[str], tuple[str, ...]] | None = None,
    ) -> None:
        self._clock = clock
        self._system = system or _system_addresses
        self._known: dict[tuple[str, str], _Remembered] = {}
        self._asking: dict[str, asyncio.Future[tuple[str, ...]]] = {}
        self._rng = random.Random()

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Give the numeric addresses of a host in the system's order (RFC 6724), without scope; OSError when none."""
        if is_address(host):
            return (host,)
        known = self._recall("address", host)
        if known is not None:
            return known
        loop = asyncio.get_running_loop()
        asking = self._asking.get(host)
        if asking is None or asking.get_loop() is not loop:
            if len(self._asking) >= MAX_HANGING:
                raise OSError("too many names are being looked up")
            asking = self._asking[host] = loop.create_future()
            threading.Thread(target=self._ask_system, args=(host, asking, loop), name="look up", daemon=True).start()
        return await asyncio.shield(asking)

    def _ask_system(self, host: str, asking: asyncio.Future[tuple[str, ...]], loop: asyncio.AbstractEventLoop) -> None:
        """Ask in a thread; the answer is taken on the loop, if there still is one."""
        try:
            found: tuple[str, ...] | OSError = self._system(host)
        except OSError as error:
            found = error
        except UnicodeError:
            found = OSError("this is no name of the DNS")  # e.g. a label longer than the 63 octets of RFC 1035
        try:
            loop.call_soon_threadsafe(self._take, host, asking, found)
        except RuntimeError:
            self._asking.pop(host, None)  # the loop was closed meanwhile

    def _take(self, host: str, asking: asyncio.Future[tuple[str, ...]], found: tuple[str, ...] | OSError) -> None:
        if self._asking.get(host) is asking:
            del self._asking[host]
        if isinstance(found, OSError):
            asking.set_exception(found)
            asking.exception()  # who asked may have gone
            return
        self._remember("address", host, found, REMEMBERED_S)
        asking.set_result(found)

    async def services(self, service: str, host: str) -> tuple[tuple[str, int], ...]:
        """Give the (target, port) of an SRV name such as "_turn._udp", by priority and weighted chance (RFC 2782)."""
        if is_address(host) or "." not in host.rstrip("."):
            return ()  # no name without a dot is asked for in the public DNS
        records = [
            (int(record.priority), -int(record.weight) * self._rng.random(), str(record.target), int(record.port))
            for record in await self.records(f"{service}.{host}", "SRV")
        ]
        return tuple((target.rstrip("."), port) for _, _, target, port in sorted(records) if target != "." and port)

    async def records(self, name: str, kind: str) -> tuple[Any, ...]:
        """Give the DNS records; their attributes depend on the kind. None when there are none, or no answer."""
        known = self._recall(kind, name)
        if known is not None:
            return known
        # Most calls go to an address or to a name with a port: no INVITE waits for a library that it does not need.
        await asyncio.to_thread(importlib.import_module, "dns.asyncresolver")
        import dns.asyncresolver
        import dns.exception
        import dns.resolver

        try:
            answer = await dns.asyncresolver.resolve(name, kind, lifetime=LOOKUP_S / 2, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            self._remember(kind, name, (), UNKNOWN_S)
            return ()
        except (dns.exception.DNSException, OSError) as error:
            log.debug("DNS %s %s: %s", kind, name, type(error).__name__)
            return ()
        found = tuple(answer)
        lasts_s = float(answer.rrset.ttl) if answer.rrset is not None else REMEMBERED_S
        self._remember(kind, name, found, min(max(lasts_s, SHORTEST_S), LONGEST_S))
        return found

    def forget(self) -> None:
        """Forget everything: on another network the same name may be another machine."""
        self._known.clear()

    def _recall(self, kind: str, name: str) -> tuple[Any, ...] | None:
        known = self._known.get((kind, name))
        return known.answer if known is not None and self._clock() < known.until else None

    def _remember(self, kind: str, name: str, answer: tuple[Any, ...], lasts_s: float) -> None:
        self._known.pop((kind, name), None)
        while len(self._known) >= MAX_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[kind, name] = _Remembered(self._clock() + lasts_s, answer)


def records_cost_little() -> bool:
    """Tell whether the library for DNS records has been read; the first use of it takes a tenth of a second."""
    return "dns.asyncresolver" in sys.modules


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _system_addresses(host: str) -> tuple[str, ...]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


NAMES = Names()  # of this process
