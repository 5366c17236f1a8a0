"""Asks now and then whether the kept contacts can be reached, by OPTIONS to their address (RFC 3261 section 11).

A registrar answers 480 for somebody who is not registered and passes the question on for somebody who is, so the answer
is the presence of a registration. One question at a time, so that a long list never bursts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.events import Presence
from app.sip.endpoint import OptionsAnswer, SipEndpoint
from app.sip.errors import SipError

ROUND_S = 60.0
GAP_S = 0.2
ANSWER_S = 3.0
MAX_WATCHED = 200

_OFFLINE = (404, 408, 410, 480, 604)


async def watch_presence(
    endpoint: SipEndpoint, watched: Callable[[], tuple[str, ...]], found: Callable[[str, OptionsAnswer], None]
) -> None:
    """Ask round after round until cancelled; `found` is given each answer."""
    while True:
        for uri in watched()[:MAX_WATCHED]:
            try:
                found(uri, await endpoint.options(uri, timeout_s=ANSWER_S))
            except SipError:
                continue  # an address that cannot be asked says nothing of anybody
            await asyncio.sleep(GAP_S)
        await asyncio.sleep(ROUND_S)


def presence_of(status: int | None) -> Presence:
    """What an answer to OPTIONS says about a person."""
    if status is None or status in _OFFLINE:
        return Presence.OFFLINE
    if status in (486, 600):
        return Presence.BUSY
    return Presence.ONLINE if 200 <= status < 300 else Presence.UNKNOWN
