"""An agent of aioice as a process, to compare with: its candidates out, the other's in, then what it came to.

    python -m tests.lab.aioice_peer '{"controlling": true, "stun_server": ["203.0.113.10", 3478], …}'

prints one line of JSON when it has gathered, reads the other agent's from stdin, and prints how it went. The options
are those of aioice.Connection; `controlling` is ours. It ends when stdin does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import aioice

LIMIT_S = 12.0
LONGEST_TRY_S = LIMIT_S + 30.0  # with gathering, on a busy machine


async def run(options: dict[str, Any]) -> None:
    controlling = options.pop("controlling")
    servers = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    connection = aioice.Connection(ice_controlling=controlling, **servers)
    began_at = time.monotonic()
    await connection.gather_candidates()
    say(
        gathered_s=round(time.monotonic() - began_at, 4),
        candidates=[candidate.to_sdp() for candidate in connection.local_candidates],
        user=connection.local_username,
        password=connection.local_password,
    )
    other = json.loads(await read_line())
    for line in other["candidates"]:
        await connection.add_remote_candidate(aioice.Candidate.from_sdp(line))
    await connection.add_remote_candidate(None)
    connection.remote_username, connection.remote_password = other["user"], other["password"]
    began_at = time.monotonic()
    try:
        async with asyncio.timeout(LIMIT_S):
            await connection.connect()
            connected_s = time.monotonic() - began_at
            await connection.send(b"are you there?")
            await connection.recv()
    except TimeoutError:
        say(failed=f"nothing within {LIMIT_S:.0f} s")
    except ConnectionError as error:
        say(failed=str(error))
    else:
        pair = connection._nominated[1]
        say(connected_s=round(connected_s, 4), local=pair.local_candidate.type, remote=pair.remote_candidate.type)
    await read_line()
    await connection.close()


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


async def read_line() -> str:
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.argv[1])))
