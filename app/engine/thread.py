"""The engine's thread and its event loop: uvloop where it is to be had, a selector loop on Windows.

Every socket of the program lives on this loop. Others reach it only by `submit`, which carries a coroutine over.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
# How long a thread may keep the interpreter from the others. Python's own 5 ms are much for a packet that waits for the
# loop while a window draws and codecs start: with 1 ms the first packet left in half the time after a pick-up.
SWITCH_INTERVAL_S = 0.001
# At the end for what runs beside the loop: a file that is written is worth it, a device that hangs is not.
BESIDE_S = 3.0
log = logging.getLogger(__name__)


def new_loop() -> asyncio.AbstractEventLoop:
    """The fastest loop that handles datagrams well on this system."""
    if sys.platform == "win32":
        return asyncio.SelectorEventLoop()
    try:
        import uvloop
    except ImportError:
        return asyncio.SelectorEventLoop()
    return uvloop.new_event_loop()


class LoopThread:
    """One thread that runs one event loop until it is stopped."""

    def __init__(self, name: str) -> None:
        self._loop = new_loop()
        self._beside = ThreadPoolExecutor(thread_name_prefix=f"beside {name}")
        self._loop.set_default_executor(self._beside)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def start(self) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine there; the future is done on that thread."""
        if not self._thread.is_alive():
            work.close()
            raise RuntimeError("the engine is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self, timeout_s: float) -> bool:
        """Stop the loop after what is scheduled now; False when it does not end in time."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(_report)
        try:
            self._loop.run_forever()
        finally:
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            if left:
                self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._wait_beside()
            self._loop.close()

    def _wait_beside(self) -> None:
        """Let what `asyncio.to_thread` was given come to its end: whoever awaited it has been cancelled."""
        waiting = threading.Thread(target=self._beside.shutdown, daemon=True)
        waiting.start()
        waiting.join(BESIDE_S)
        if waiting.is_alive():
            log.info("something beside the %s does not end and is left behind", self._thread.name)


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    log.error("%s", context.get("message", "unhandled exception in the engine loop"), exc_info=context.get("exception"))
