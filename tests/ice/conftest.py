"""A real coturn on loopback for the tests that need one."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.ice.stun import Message, MessageClass, Method
from app.settings import HostPort, TurnServer


@dataclass(frozen=True)
class Coturn:
    """Where it listens; user alice, password secret."""

    address: HostPort
    tls: HostPort
    ca_file: Path

    def turn(self, password: str = "secret", transport: str = "udp") -> TurnServer:
        return TurnServer(self.tls if transport == "tls" else self.address, transport, "alice", password)


def make_certificate(folder: Path, ends: datetime | None = None) -> tuple[Path, Path]:
    """Write a certificate for localhost, signed by itself, and its key; it holds until tomorrow unless told else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(ends or now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    )
    return cert_file, key_file


def free_port() -> int:
    """Find a port that nobody uses over UDP or TCP, outside the range from which the system hands out others."""
    while True:
        port = random.randrange(10000, 30000)
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port


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


@asynccontextmanager
async def running_coturn(folder: Path, port: int, *lines: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a coturn on loopback with these further lines in its configuration."""
    program = shutil.which("turnserver")
    assert program, "coturn is not installed: make setup installs it"
    config = folder / f"turnserver-{port}.conf"
    always = (
        f"listening-port={port}",
        "realm=lab",
        "fingerprint",
        "no-cli",
        "no-dtls",
        "allow-loopback-peers",
        "log-file=stdout",
        "simple-log",
        f"userdb={folder}/turndb-{port}",
        f"pidfile={folder}/turnserver-{port}.pid",
        "relay-threads=1",
    )
    config.write_text("\n".join((*always, *lines)) + "\n")
    process = await asyncio.create_subprocess_exec(
        program, "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            if await answers(port):
                break
            assert process.returncode is None, "coturn did not start"
            await asyncio.sleep(0.05)
        else:
            pytest.fail("coturn does not answer")
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


HERE = ("listening-ip=127.0.0.1", "relay-ip=127.0.0.1")
ALICE = ("lt-cred-mech", "user=alice:secret")


@pytest.fixture
async def coturn(tmp_path: Path) -> AsyncIterator[Coturn]:
    port, tls_port = free_port(), free_port()
    certificate, key = make_certificate(tmp_path)
    tls = (f"tls-listening-port={tls_port}", f"cert={certificate}", f"pkey={key}")
    async with running_coturn(tmp_path, port, *HERE, *ALICE, *tls):
        yield Coturn(HostPort("127.0.0.1", port), HostPort("localhost", tls_port), certificate)
