"""coturn's own load tool against the home server's TURN: every transport, channels and indications, nothing lost."""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.home.accounts import HomeUser, Users
from app.home.turn_io import TurnLimits
from app.home.turn_service import TurnService
from tests.home.test_server import make_certificate
from tests.ice.conftest import free_port

REALM = "home.test"
CLIENTS = 20
LIMITS = TurnLimits(  # a load tool is one user at one address, many times over
    allocations_per_user=20 * CLIENTS,
    allocations=20 * CLIENTS,
    unsigned_per_s=100 * CLIENTS,
    unsigned_total_per_s=100 * CLIENTS,
    unsigned_stream_per_s=100 * CLIENTS,
    unsigned_stream_total_per_s=100 * CLIENTS,
    connections_per_source=10 * CLIENTS,
)
pytestmark = pytest.mark.skipif(shutil.which("turnutils_uclient") is None, reason="coturn's client is not installed")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TurnService]:
    certificate, key = make_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    users = Users([HomeUser.from_password("ada", REALM, "secret")])
    service = TurnService(("127.0.0.1", "::1"), 0, REALM, users.turn_key, limits=LIMITS, allow_own_peers=True, tls=tls)
    await service.start()
    yield service
    service.close()


@pytest.fixture
async def peer() -> AsyncIterator[int]:
    """coturn's echo peer; gives its port."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "turnutils_peer", "-L", "127.0.0.1", "-p", str(port), stdout=asyncio.subprocess.DEVNULL
    )
    yield port
    process.terminate()
    await process.wait()


async def load(
    service: TurnService, *flags: str, over_tls: bool = False, host: str = "127.0.0.1", expect_success: bool = True
) -> str:
    port = service.tls_port if over_tls else service.port
    process = await asyncio.create_subprocess_exec(
        "turnutils_uclient", "-u", "ada", "-w", "secret", "-p", str(port), *flags, host,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output = (await asyncio.wait_for(process.communicate(), 60))[0].decode(errors="replace")
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, output[-2000:]
    return output


def nothing_lost(output: str, expected: int) -> None:
    totals = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", output)
    assert totals, output[-2000:]
    assert totals[-1] == (str(expected), str(expected)), output[-2000:]


@pytest.mark.parametrize(
    ("transport", "method"),
    [
        pytest.param((), (), id="udp-channels"),
        pytest.param((), ("-s",), id="udp-indications", marks=pytest.mark.short),
        pytest.param(("-t",), (), id="tcp-channels", marks=pytest.mark.short),
        pytest.param(("-t",), ("-s",), id="tcp-indications"),
        pytest.param(("-t", "-S"), (), id="tls-channels", marks=pytest.mark.short),
        pytest.param(("-t", "-S"), ("-s",), id="tls-indications"),
    ],
)
async def test_many_clients_lose_nothing(
    service: TurnService, peer: int, transport: tuple[str, ...], method: tuple[str, ...]
) -> None:
    flags = (*transport, *method, "-e", "127.0.0.1", "-r", str(peer), "-c", "-m", str(CLIENTS), "-n", "60", "-z", "5")
    nothing_lost(await load(service, *flags, "-l", "173", over_tls="-S" in transport), CLIENTS * 60)
    assert service.counters()["over_rate"] == service.counters()["stream_dropped"] == 0


@pytest.mark.parametrize("transport", [(), ("-t",), ("-t", "-S")], ids=["udp", "tcp", "tls"])
async def test_relays_that_send_to_each_other_lose_nothing(service: TurnService, transport: tuple[str, ...]) -> None:
    flags = (*transport, "-y", "-m", "10", "-n", "40", "-z", "5", "-l", "170", "-G", "-g")
    output = await load(service, *flags, over_tls="-S" in transport)
    sent, heard = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", output)[-1]
    assert sent == heard != "0", output[-2000:]


async def test_relays_at_ipv6_and_in_both_families_at_once(service: TurnService) -> None:
    flags = ("-y", "-c", "-m", "4", "-n", "20", "-z", "5")
    nothing_lost(await load(service, "-x", *flags, host="::1"), 4 * 20)
    nothing_lost(await load(service, "-Z", *flags), 4 * 20)
