"""A mission's PIN, as the dialogs ask for it: not more often than a few times a minute."""

from __future__ import annotations

import asyncio
import time

from app.engine.errors import EngineError
from app.engine.mission_drafts import Mission, pin_is_right
from ui.context import Context


async def check_pin(context: Context, mission: Mission, pin: str | None) -> None:
    """EngineError when it is wrong, or was wrong so often that the person has to wait."""
    if not pin:
        raise EngineError("Type the PIN of this mission.")
    context.pins.check(mission.id, time.monotonic())
    if not await asyncio.to_thread(pin_is_right, mission, pin):
        context.pins.wrong(mission.id, time.monotonic())
        raise EngineError("The PIN is wrong: try again.")
    context.pins.right(mission.id)
