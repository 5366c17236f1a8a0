"""Commands about the sound and picture of a running call: what they need beside the call itself stands here.

Everything runs on the engine's loop; the facade has a thin method for each.
"""

from __future__ import annotations

from collections.abc import Callable

from app.calls.manager import CallManager


class CallMedia:
    """`manager` gives the calls of now; it raises EngineError while there is no endpoint."""

    def __init__(self, manager: Callable[[], CallManager]) -> None:
        self._manager = manager

    async def share(self, call_id: str, video_from: str) -> None:
        """Send a screen or a window instead of the camera; "" goes back to the camera."""
        self._manager().get(call_id).share(video_from)
