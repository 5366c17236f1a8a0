"""Commands about the sound and picture of a running call: what they need beside the call itself stands here.

Everything runs on the engine's loop; the facade has a thin method for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.calls.manager import CallManager
from app.engine.errors import EngineError
from app.events import ShareChoice


class CallMedia:
    """`manager` gives the calls of now; it raises EngineError while there is no endpoint."""

    def __init__(self, manager: Callable[[], CallManager]) -> None:
        self._manager = manager

    async def share(self, call_id: str, video_from: str) -> None:
        self._manager().get(call_id).share(video_from)

    async def press(self, call_id: str, keys: str) -> None:
        """Send keys of a telephone; a comma is a pause of two seconds."""
        self._manager().get(call_id).keys.press(keys)

    async def stop_sharing(self, call_id: str) -> None:
        self._manager().get(call_id).stop_sharing()

    async def share_choices(self) -> tuple[ShareChoice, ...]:
        """What can be shared, with small pictures. EngineError says why nothing can."""
        return await asyncio.to_thread(_share_choices)


def _share_choices() -> tuple[ShareChoice, ...]:
    from app.media.screens import NotShared, share_choices

    try:
        return share_choices(with_pictures=True)
    except NotShared as error:
        raise EngineError(str(error)) from error
