"""Tasks with an owner: whoever starts one here also ends it, and its failure is seen.

A leaf that any layer may import. One `OwnedTasks` lives as long as the object that owns it; `close` cancels what is
left and waits for it, `finish` waits without cancelling.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class OwnedTasks:
    """The running tasks of one owner. Used on one event loop only."""

    def __init__(self, owner: str, on_failure: Callable[[BaseException], None] | None = None) -> None:
        self._owner = owner
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work`; an exception in it is logged as an error and given to `on_failure`."""
        task = asyncio.get_running_loop().create_task(work, name=f"{self._owner}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        failure = task.exception()
        if failure is not None:
            log.error("%s failed", task.get_name(), exc_info=failure)
            if self._on_failure is not None:
                self._on_failure(failure)

    def cancel(self) -> None:
        """Ask every task but the current one to stop."""
        current = asyncio.current_task()
        for task in tuple(self._tasks):
            if task is not current:
                task.cancel()

    async def finish(self) -> None:
        """Wait until every task has ended by itself."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Cancel every task but the current one and wait until they have stopped."""
        self.cancel()
        current = asyncio.current_task()
        rest = [task for task in self._tasks if task is not current]
        if rest:
            await asyncio.gather(*rest, return_exceptions=True)
