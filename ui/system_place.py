"""Where this computer is, as the desktop tells it: on Linux over org.freedesktop.portal.Location, version 1.

Nothing is asked of the system before `follow_place` is called, nor after it was cancelled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ui.portal_bus import NoBus, PortalBus, Refused, new_token, path_and_member, portal_bus

if TYPE_CHECKING:
    from jeepney import Message

_LOCATION = "org.freedesktop.portal.Location"
_MOVED_M, _AGAIN_S, _EXACT = 50, 30, 5
_TYPE_IT = "type your place instead"


class PlaceNotHad(Exception):
    """Why the system does not tell the place; the text is one sentence for a person."""


@dataclass(frozen=True, slots=True)
class SystemPlace:
    """Degrees north and east; `within` is how far off it may be, in metres, None where that is not told."""

    north: float
    east: float
    within: float | None = None


async def follow_place(tell: Callable[[SystemPlace], object], platform: str = sys.platform) -> None:
    """Call `tell` with each place that the system tells, until cancelled; PlaceNotHad says why it tells none."""
    if platform in ("win32", "darwin"):
        raise PlaceNotHad(f"Parley cannot ask Windows or macOS where this computer is: {_TYPE_IT}.")
    try:
        async with portal_bus() as bus:
            session = await _start(bus)
            while True:
                place = _read(await bus.signal(), session)
                if place is not None:
                    tell(place)
    except NoBus as error:
        raise PlaceNotHad(
            f"This desktop has no session bus, over which it would tell the place: {_TYPE_IT}."
        ) from error
    except (OSError, EOFError) as error:
        raise PlaceNotHad("The desktop's portal ended, or does not answer: your place is not followed.") from error
    except (Refused, ValueError, KeyError, TypeError, IndexError) as error:
        raise PlaceNotHad(f"The desktop's portal is not understood: {_TYPE_IT}.") from error


async def _start(bus: PortalBus) -> str:
    """Ask for the place; gives the session that it comes in."""
    options: dict[str, Any] = {
        "session_handle_token": ("s", new_token()),
        "distance-threshold": ("u", _MOVED_M),
        "time-threshold": ("u", _AGAIN_S),
        "accuracy": ("u", _EXACT),
    }
    try:
        (session,) = await bus.call(_LOCATION, "CreateSession", "a{sv}", options)
    except Refused as error:
        raise PlaceNotHad(f"This desktop's portal tells programs no place: {_TYPE_IT}.") from error
    try:
        await bus.request(_LOCATION, "Start", "os", {}, session, "")
    except Refused as error:
        raise PlaceNotHad(
            f"The desktop did not tell Parley the place: allow it in the desktop's settings, or {_TYPE_IT}."
        ) from error
    return str(session)


def _read(message: Message, session: str) -> SystemPlace | None:
    path, member = path_and_member(message)
    if member == "Closed" and path == session:
        raise PlaceNotHad("The desktop tells Parley the place no more: your place is not followed.")
    if member != "LocationUpdated" or message.body[0] != session:
        return None
    told = message.body[1]
    north, east = float(told["Latitude"][1]), float(told["Longitude"][1])
    within = float(told["Accuracy"][1]) if "Accuracy" in told else 0.0
    if not (-90 <= north <= 90 and -180 <= east <= 180):  # also what is no number
        raise ValueError("no place on earth")
    return SystemPlace(north, east, within if 0 < within < 1e7 else None)
