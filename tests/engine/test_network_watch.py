"""Another network under a running engine."""

from __future__ import annotations

import asyncio

from app.engine.network_watch import watch_network
from app.ice.interfaces import LocalAddress

HOME, OFFICE = LocalAddress("wlan0", "192.168.1.7"), LocalAddress("wlan0", "10.1.2.3")
BRIDGE = LocalAddress("docker0", "172.17.0.1")


async def test_only_a_real_change_is_told() -> None:
    looks = iter([[HOME], [HOME], [HOME, BRIDGE], [OFFICE], [OFFICE], []])
    told: list[int] = []
    seen = 0
    done = asyncio.Event()

    def addresses() -> list[LocalAddress]:
        nonlocal seen
        seen += 1
        found = next(looks, None)
        if found is None:
            loop.call_soon_threadsafe(done.set)
            return []
        return found

    loop = asyncio.get_running_loop()
    watching = asyncio.create_task(watch_network(lambda: told.append(seen), addresses=addresses, every_s=0.0))
    await asyncio.wait_for(done.wait(), 5)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert told == [4, 6]
