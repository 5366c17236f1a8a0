"""Notices when this machine's addresses change: another network, a cable, a VPN, a wake from sleep.

Systems tell of it in ways of their own; looking every few seconds works on all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from app.ice.interfaces import LocalAddress, choose_addresses, system_addresses

LOOK_EVERY_S = 5.0


async def watch_network(
    changed: Callable[[], None],
    *,
    addresses: Callable[[], Iterable[LocalAddress]] = system_addresses,
    every_s: float = LOOK_EVERY_S,
) -> None:
    """Call `changed` each time the set of usable addresses is another one, until cancelled."""
    before: frozenset[LocalAddress] | None = None
    while True:
        now = frozenset(choose_addresses(await asyncio.to_thread(addresses))[0])
        if before is not None and now != before:
            changed()
        before = now
        await asyncio.sleep(every_s)
