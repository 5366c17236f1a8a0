"""How full this machine's battery is, for the others of a mission to see."""

from __future__ import annotations

import logging
from enum import IntEnum

from app.channels.presence import Power

log = logging.getLogger(__name__)


class Source(IntEnum):
    """`power.source` of an announcement (docs/channels-links.md)."""

    BATTERY = 1
    MAINS = 2


def read_power() -> Power | None:
    """What the machine runs on and how much is left; None where it has no battery. Blocks: it reads files."""
    import psutil

    try:
        battery = psutil.sensors_battery()
    except (OSError, ValueError, RuntimeError) as error:  # drivers report odd things
        log.debug("the battery cannot be read: %s", error)
        return None
    if battery is None:
        return None
    level = max(0, min(100, round(battery.percent)))
    return Power(Source.MAINS if battery.power_plugged else Source.BATTERY, 0, level)
