"""Runs one engine for one command: events in order, interrupts as a wish to stop, and a clean end in any case."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.engine.facade import Engine
from app.engine.options import EngineOptions
from app.events import Event


class Running:
    """An open engine and its events; `stop` is set by Ctrl-C, a kill, or the command itself."""

    def __init__(self, engine: Engine, events: asyncio.Queue[Event]) -> None:
        self.engine = engine
        self.stop = asyncio.Event()
        self._events = events

    async def next_event(self, deadline: float | None = None) -> Event | None:
        """The next event; None when the command is to stop or the loop's time `deadline` has come."""
        loop = asyncio.get_running_loop()
        wait = None if deadline is None else max(0.0, deadline - loop.time())
        getter = asyncio.ensure_future(self._events.get())
        stopper = asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait((getter, stopper), timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            return getter.result() if getter.done() else None
        finally:
            for task in (getter, stopper):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


@asynccontextmanager
async def running(options: EngineOptions) -> AsyncIterator[Running]:
    """Open an engine; EngineError when it cannot be. Closed on the way out, calls hung up first."""
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Event] = asyncio.Queue()

    def publish(event: Event) -> None:
        with suppress(RuntimeError):  # the command's loop is gone: nobody is left to tell
            loop.call_soon_threadsafe(events.put_nowait, event)

    engine = Engine(options, publish)
    run = Running(engine, events)
    if sys.platform != "win32":
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, run.stop.set)
    engine.start()
    try:
        await engine.opened()
        yield run
    finally:
        await engine.close()
