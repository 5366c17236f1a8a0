"""Owner of every coroutine that a click starts: none is lost, each failure is said, all end with the window."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from app.engine.errors import EngineError

log = logging.getLogger(__name__)

UNEXPECTED = "Something went wrong inside Parley. You can go on; the details are in the log."


class TaskOwner:
    """Starts tasks on the running loop and keeps them until they are done."""

    def __init__(self, on_failure: Callable[[str], None]) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_failure = on_failure

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work`; an error meant for people is shown as its sentence, any other is logged and said in general."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._on_failure(sentence_of(error))


def sentence_of(error: BaseException) -> str:
    """Give the sentence to show for an error; one that nobody foresaw is logged with its trace."""
    if isinstance(error, EngineError):
        return str(error)
    log.error("a task of the window failed", exc_info=error)
    return UNEXPECTED
