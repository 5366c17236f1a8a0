"""The sockets of a session on each event loop that a system may have."""

from __future__ import annotations

import asyncio

import pytest

from app.ice.sockets import TurnConnection
from app.ice.stun import Message, MessageClass, Method


async def _ask_over_tcp() -> bytes:
    """Send one request over a connection to a server that sends it back; gives what came."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    connection = await TurnConnection.open(
        server.sockets[0].getsockname(),
        "127.0.0.1",
        None,
        lambda data, source: heard.put_nowait(data),
        lambda why: None,
    )
    assert connection.send(Message(Method.BINDING, MessageClass.REQUEST, b"t" * 12).encode(), connection.server)
    answer = await asyncio.wait_for(heard.get(), 5)
    connection.close()
    server.close()
    return answer


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_a_connection_to_a_turn_server_carries_messages(loops: str) -> None:
    runner = asyncio if loops == "asyncio" else pytest.importorskip("uvloop", reason="not on this system")
    assert Message.parse(runner.run(_ask_over_tcp())).transaction_id == b"t" * 12
