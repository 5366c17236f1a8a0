"""User names and passwords that end by themselves, made from a secret shared with the TURN server. Pure.

The scheme that TURN servers call REST (draft-uberti-behave-turn-rest): the user name starts with the Unix time at
which it ends, the password is base64(HMAC-SHA1(secret, user name)).
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import replace

from app.settings import TurnServer

LASTS_S = 4 * 3600  # longer than nearly every call; one that is longer restarts over a new relay
_ENDS_AT = re.compile(r"(\d{10})(?::|$)")


def fresh_credentials(turn: TurnServer, wall_s: float) -> tuple[TurnServer, float | None]:
    """Give the server with the user name and password to use now, and for how many seconds they are good.

    None: they do not end. A user name that somebody else made by the same scheme tells its end too.
    """
    if turn.secret:
        ends_at = int(wall_s) + LASTS_S
        username = f"{ends_at}:{turn.username}" if turn.username else str(ends_at)
        password = base64.b64encode(hmac.digest(turn.secret.encode(), username.encode(), "sha1")).decode()
        return replace(turn, username=username, password=password, secret=""), float(LASTS_S)
    match = _ENDS_AT.match(turn.username)
    return turn, max(0.0, int(match[1]) - wall_s) if match else None
