"""A real coturn on loopback for the tests that need one."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
from collections.abc import AsyncIterator
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


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for localhost, signed by itself, and its key."""
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
        .not_valid_after(now + timedelta(days=1))
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


@pytest.fixture
async def coturn(tmp_path: Path) -> AsyncIterator[Coturn]:
    program = shutil.which("turnserver")
    assert program, "coturn is not installed: make setup installs it"
    port, tls_port = free_port(), free_port()
    certificate, key = make_certificate(tmp_path)
    config = tmp_path / "turnserver.conf"
    config.write_text(
        f"listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nlistening-port={port}\nlt-cred-mech\nuser=alice:secret\n"
        f"realm=lab\nfingerprint\nno-cli\nno-dtls\nallow-loopback-peers\nlog-file=stdout\nsimple-log\n"
        f"userdb={tmp_path}/turndb\npidfile={tmp_path}/turnserver.pid\nrelay-threads=1\n"
        f"tls-listening-port={tls_port}\ncert={certificate}\npkey={key}\n"
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
        else:
            pytest.fail("coturn does not answer")
        yield Coturn(HostPort("127.0.0.1", port), HostPort("localhost", tls_port), certificate)
    finally:
        process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
