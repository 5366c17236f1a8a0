"""A real coturn on loopback for the tests that need one."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.ice.stun import Message, MessageClass, Method
from app.settings import HostPort, TurnServer


@dataclass(frozen=True)
class Coturn:
    """Where it listens; user alice, password secret."""

    address: HostPort

    def turn(self, password: str = "secret", transport: str = "udp") -> TurnServer:
        return TurnServer(self.address, transport, "alice", password)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def answers(port: int) -> bool:
    """Tell whether something answers STUN there within a tenth of a second."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        probe.connect(("127.0.0.1", port))
        request = Message(Method.BINDING, MessageClass.REQUEST, bytes(12)).encode()
        try:
            await loop.sock_sendall(probe, request)
            async with asyncio.timeout(0.1):
                await loop.sock_recv(probe, 2000)
        except (OSError, TimeoutError):
            return False
        return True


@pytest.fixture
async def coturn(tmp_path: Path) -> AsyncIterator[Coturn]:
    program = shutil.which("turnserver")
    assert program, "coturn is not installed: make setup installs it"
    port = free_port()
    config = tmp_path / "turnserver.conf"
    config.write_text(
        f"listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nlistening-port={port}\nlt-cred-mech\nuser=alice:secret\n"
        f"realm=lab\nfingerprint\nno-cli\nno-tls\nno-dtls\nallow-loopback-peers\nlog-file=stdout\nsimple-log\n"
        f"userdb={tmp_path}/turndb\npidfile={tmp_path}/turnserver.pid\nrelay-threads=1\n"
    )
    process = await asyncio.create_subprocess_exec(
        program, "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            if await answers(port):
                break
            assert process.returncode is None, "coturn did not start"
            await asyncio.sleep(0.05)
        yield Coturn(HostPort("127.0.0.1", port))
    finally:
        process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
