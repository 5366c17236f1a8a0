"""Another network under a running engine."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from app.calls.restarts import NetworkChange
from app.engine.network_watch import drift_s, present_addresses, watch_network, why_unusable
from app.ice.interfaces import LocalAddress

HOME, OFFICE = LocalAddress("wlan0", "192.168.1.7"), LocalAddress("wlan0", "10.1.2.3")
BRIDGE = LocalAddress("docker0", "172.17.0.1")


@asynccontextmanager
async def watching(
    looks: Iterator[list[LocalAddress]], drifts: Iterator[float] | None = None
) -> AsyncIterator[Callable[[], object]]:
    """Watch what the looks show; gives a function that waits until they are through and tells what was said."""
    told: list[NetworkChange] = []
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def addresses() -> list[LocalAddress]:
        found = next(looks, None)
        if found is None:
            loop.call_soon_threadsafe(done.set)
            return last[0]
        last[0] = found
        return found

    async def all_told() -> list[NetworkChange]:
        await asyncio.wait_for(done.wait(), 5)
        return [change for change in told if change.new or change.gone or change.woke]

    last: list[list[LocalAddress]] = [[]]
    clock = drifts or itertools.repeat(0.0)
    task = asyncio.create_task(watch_network(told.append, addresses=addresses, drift=lambda: next(clock), every_s=0.0))
    try:
        yield all_told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_only_a_real_change_is_told() -> None:
    async with watching(iter([[HOME], [HOME], [HOME, BRIDGE], [OFFICE], [OFFICE], []])) as all_told:
        changes = await all_told()  # type: ignore[misc]
    assert [(set(change.new), set(change.gone)) for change in changes] == [
        ({OFFICE.address}, {HOME.address}),
        (set(), {OFFICE.address}),
    ]
    assert changes[0].present == {OFFICE.address}


async def test_a_sleep_shows_by_the_clock_on_the_wall() -> None:
    drifts = itertools.chain([100.0, 100.001, 100.0, 160.0], itertools.repeat(160.0))
    async with watching(iter([[HOME]] * 6), drifts) as all_told:
        changes = await all_told()  # type: ignore[misc]
    assert [change.woke for change in changes] == [True]
    assert changes[0].present == {HOME.address}


def test_this_machine_is_awake_and_has_addresses() -> None:
    assert any(address.address == "127.0.0.1" for address in present_addresses())
    assert abs(drift_s() - drift_s()) < 1.0


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("unshare") is None, reason="needs the kernel's messages")
def test_the_kernel_tells_at_once() -> None:
    """In a network namespace of its own, where an address may be added and an interface taken down."""
    script = (
        "import asyncio, subprocess, time\n"
        "from app.engine.network_watch import watch_network\n"
        "def ip(*words): subprocess.run(['ip', *words], check=True)\n"
        "async def main():\n"
        "    told = asyncio.Queue()\n"
        "    task = asyncio.create_task(watch_network(told.put_nowait, every_s=60.0))\n"
        "    async def next_change():\n"
        "        while not ((change := await asyncio.wait_for(told.get(), 5)).new or change.gone): pass\n"
        "        return change\n"
        "    await asyncio.sleep(0.3)\n"
        "    for words in (('addr', 'add', '10.9.9.1/24', 'dev', 'one'), ('link', 'set', 'two', 'down')):\n"
        "        begun = time.monotonic()\n"
        "        ip(*words)\n"
        "        change = await next_change()\n"
        "        print(sorted(change.new), sorted(change.gone), time.monotonic() - begun < 0.5)\n"
        "    task.cancel()\n"
        "for words in (('link', 'add', 'one', 'type', 'veth', 'peer', 'two'), ('link', 'set', 'one', 'up'),\n"
        "              ('link', 'set', 'two', 'up')): ip(*words)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [
            "unshare",
            "--net",
            "--mount",
            "sh",
            "-c",
            'mount -t sysfs none /sys && exec "$0" -c "$1"',
            sys.executable,
            script,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unshare failed" in done.stderr or "mount:" in done.stderr:
        pytest.skip(done.stderr)
    assert done.stdout.splitlines() == ["['10.9.9.1'] [] True", "[] ['10.9.9.1'] True"], done.stderr


def test_an_address_that_alone_was_to_be_used_is_missed_aloud() -> None:
    change = NetworkChange(
        frozenset({"10.0.0.9"}), gone=frozenset({"10.0.0.5", "fd00::5"}), new=frozenset({"10.0.0.9"})
    )
    said = why_unusable(change, ("10.0.0.5",))
    assert said is not None
    assert "no longer has the address 10.0.0.5," in said
    assert "fd00:0::5" in (why_unusable(change, ("fd00:0::5",)) or "")
    assert why_unusable(change, ()) is None
    assert why_unusable(change, ("10.0.0.9",)) is None
