"""Real nats-servers for tests, with certificates of an authority of their own."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.satellites.authority import key_usage

SERVER = shutil.which("nats-server")
MISSING = "nats-server is not installed (Debian: apt-get install nats-server)"


@dataclass(frozen=True)
class Authority:
    """Signs certificates for 127.0.0.1; each is a folder's `NAME.pem` and `NAME.key`."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, folder: Path) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of a test")])
        certificate = (
            _begin(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(key_usage(signs=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(folder, key, certificate)

    @property
    def pem(self) -> str:
        return (self.folder / "ca.pem").read_text()

    def issue(self, name: str, address: str = "127.0.0.1") -> Path:
        """Give the certificate's file; its key lies beside it."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        certificate = (
            _begin(subject, self.certificate.subject, key.public_key())
            .add_extension(alternative, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(key_usage(signs=False), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        file = self.folder / f"{name}.pem"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.with_suffix(".key").write_bytes(private)
        return file


def _begin(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
    )


def free_ports(count: int) -> list[int]:
    """Give ports of TCP that nobody has now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Rallypoint:
    """One nats-server on a port; `kill` and `run` as often as wanted. `within` is what its command line begins with."""

    def __init__(
        self, folder: Path, port: int, body: str, address: str = "127.0.0.1", within: tuple[str, ...] = ()
    ) -> None:
        self.port = port
        self._within = within
        self._config = folder / f"nats-{port}.conf"
        self._config.write_text(f"listen: {address}:{port}\n{body}\n")
        self._log = folder / f"nats-{port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    async def run(self) -> None:
        """Start it and wait until it takes connections."""
        process = self.begin()
        for _ in range(500):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except ConnectionRefusedError:
                assert process.poll() is None, self._log.read_text()
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
        raise AssertionError(self._log.read_text())

    def begin(self) -> subprocess.Popen[bytes]:
        """Start it and wait for nothing."""
        assert SERVER is not None
        with self._log.open("ab") as log:
            command = [*self._within, SERVER, "-c", str(self._config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        return self._process

    def stop_for_a_while(self) -> None:
        """Let it hang: its connections stand, and it does nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)  # each of its threads has stopped

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


def tls(certificate: Path, ca: Path | None = None) -> str:
    """Give the part of a configuration that asks for TLS, and for certificates of clients where `ca` signs them."""
    verify = f'ca_file: "{ca}", verify: true' if ca is not None else ""
    return f'tls {{ cert_file: "{certificate}", key_file: "{certificate.with_suffix(".key")}", {verify} }}'


def clusters(folder: Path, count: int, certificate: Path) -> list[Rallypoint]:
    """Make servers that are one mesh."""
    ports, routes = free_ports(2 * count)[:count], free_ports(count)
    peers = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
    return [
        Rallypoint(
            folder,
            port,
            f"{tls(certificate)}\ncluster {{ name: test, listen: 127.0.0.1:{route}, routes: [{peers}] }}",
        )
        for port, route in zip(ports, routes, strict=True)
    ]
