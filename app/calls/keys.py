"""Keys of a telephone in one call: sent as events in the sound (RFC 4733), by INFO to a peer that has none, and heard.

Keys by INFO are `application/dtmf-relay`, the way of many gateways; no RFC describes it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from typing import TYPE_CHECKING

from app.calls.errors import CallError
from app.digits import KEYS, MOST_KEYS, PAUSE, keys_of
from app.events import CallState
from app.sip.errors import SipError
from app.sip.sessions import SessionError

if TYPE_CHECKING:
    from app.calls.call import Call

log = logging.getLogger(__name__)

RELAY = "application/dtmf-relay"
PLAIN = "application/dtmf"
KEY_MS = 160
KEY_EVERY_S = 0.25
PAUSE_S = 2.0
MOST_KEPT = 256  # received keys that the report tells
_SIGNAL = re.compile(rb"^\s*Signal\s*=\s*([0-9A-D*#]{1,2})\s*$", re.IGNORECASE | re.MULTILINE)


def relay_body(key: str) -> bytes:
    """Write the body of an INFO that says one key."""
    return f"Signal={key}\r\nDuration={KEY_MS}\r\n".encode()


def relayed_key(kind: str, body: bytes) -> str | None:
    """Read the key out of an INFO's body; None where it says none."""
    if kind == RELAY:
        match = _SIGNAL.search(body[:500])
        said = match[1].decode().upper() if match is not None else ""
    elif kind == PLAIN:
        said = body[:20].decode("ascii", "replace").strip().upper()
    else:
        return None
    if said.isdigit() and len(said) == 2:
        return KEYS[int(said)] if int(said) < len(KEYS) else None
    return said if len(said) == 1 and said in KEYS else None


class CallKeys:
    """`received` holds the first keys that the peer pressed."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._by_info: deque[str] = deque()
        self.received = ""

    def press(self, text: str) -> None:
        """Send keys; CallError says what cannot be sent."""
        try:
            keys = keys_of(text)
        except ValueError as error:
            raise CallError(str(error)) from error
        call = self._call
        if call.state is not CallState.CONNECTED or call.leg is None:
            raise CallError("Keys can be sent while the call is connected.")
        if call.info.held:
            raise CallError("Keys cannot be sent while the call is on hold.")
        if call.leg.media.press(keys):
            return
        is_sending = bool(self._by_info)
        self._by_info.extend(keys[: MOST_KEYS - len(self._by_info)])
        if not is_sending:
            call.tasks.start(self._send_infos(), "send keys by INFO")

    async def _send_infos(self) -> None:
        while self._by_info and self._call.session is not None:
            key = self._by_info[0]
            if key != PAUSE:
                try:
                    self._call.session.info(relay_body(key), content_type=RELAY)
                except (SessionError, SipError) as error:
                    log.info("%s: keys were not sent: %s", self._call.call_id, error)
                    break
            await asyncio.sleep(PAUSE_S if key == PAUSE else KEY_EVERY_S)
            self._by_info.popleft()
        self._by_info.clear()

    def take_info(self, kind: str, body: bytes) -> None:
        """An INFO of the old kind has come: maybe it says a key."""
        key = relayed_key(kind, body)
        if key is not None:
            self.pressed(key)

    def pressed(self, key: str) -> None:
        """The peer pressed a key."""
        self.received = (self.received + key)[:MOST_KEPT]
        self._call.services.on_key(self._call, key)
