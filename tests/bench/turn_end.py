"""A TURN server of ours for the bench, without the limits of a household: PORT and perhaps HOST are its arguments."""

from __future__ import annotations

import asyncio
import sys

from app.home.accounts import HomeUser, Users
from app.home.turn_io import TurnLimits
from app.home.turn_service import TurnService

REALM, USER, PASSWORD = "bench", "alice", "secret"


async def serve(port: int, host: str) -> None:
    users = Users([HomeUser.from_password(USER, REALM, PASSWORD)])
    limits = TurnLimits(bytes_per_s=1e12)
    service = TurnService((host,), port, REALM, users.turn_key, limits=limits, allow_own_peers=True)
    await service.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"))
