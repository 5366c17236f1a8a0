"""The servers of a street: coturn for STUN and TURN, Parley's home for SIP, and what a phone behind each NAT is told.

coturn takes UDP and TCP at 3478, TLS at 5349 and 443, on two addresses as RFC 5780 wants it. Home takes UDP and TCP at
442 and TLS at 443, so that a network which lets out nothing but TCP to port 443 can be called and relayed too.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.interop.programs import Program, need, wait_until
from tests.lab.nat import House, Kind, Street
from tests.lab.network import Host
from tests.lab.parley import Parley

REALM = "lab.example"
PASSWORD = "one for all"
TURN_USER, TURN_PASSWORD = "alice", "secret"
SIP_PORT, SIP_TLS_PORT = 442, 443
STUN_PORT, TURN_TLS_PORT = 3478, 443
LINES = 30  # how many calls may be up at once: as many pairs of users
_BINDING_REQUEST = bytes.fromhex("000100002112a442") + b"are you up ?"


@dataclass(frozen=True, slots=True)
class Servers:
    """What phones are told of the servers: the addresses of coturn and of home, one of each family."""

    turn: tuple[str, ...]
    home: tuple[str, ...]
    ca_file: Path
    relay: Program

    def seen_from(self, house: House) -> Servers:
        """Give what a house can reach of it by the families of addresses it has."""
        families = {":" in address for address in (house.host.v4, house.host.v6) if address}
        turn, home = (
            tuple(one for one in addresses if (":" in one) in families) for addresses in (self.turn, self.home)
        )
        return replace(self, turn=turn, home=home)

    def account(self, user: str, kind: Kind) -> list[str]:
        """Give the flags of a user's account, over the transport that passes a NAT of this kind."""
        transport, port = {
            Kind.UDP_BLOCKED: (";transport=tcp", SIP_PORT),
            Kind.TCP_443_ONLY: (";transport=tls", SIP_TLS_PORT),
        }.get(kind, ("", SIP_PORT))
        flags = ["--account", f"sip:{user}@{REALM}{transport}", "--registrar", f"{in_uri(self.home[0])}:{port}"]
        return [*flags, "--password-from", "env:SIP_PASSWORD", "--ca-file", str(self.ca_file)]

    def stun_only(self) -> list[str]:
        return [word for one in self.turn for word in ("--stun", f"{in_uri(one)}:{STUN_PORT}")]

    def all_turn(self) -> list[str]:
        """Give the flags of the relay over UDP, TCP and TLS, whatever may pass."""
        hosts = [in_uri(one) for one in self.turn]
        ways = [way for host in hosts for way in (f"turn:{host}:{STUN_PORT}", f"turn:{host}:{STUN_PORT}?transport=tcp")]
        ways += [f"turns:{host}:{TURN_TLS_PORT}" for host in hosts]
        return [*(word for way in ways for word in ("--turn", way)), *self.turn_user()]

    def turn_user(self) -> list[str]:
        return ["--turn-user", TURN_USER, "--turn-password-from", "env:TURN_PASSWORD"]

    def target(self, user: str) -> str:
        return f"sip:{user}@{REALM}"


def in_uri(address: str) -> str:
    return f"[{address}]" if ":" in address else address


SECRETS = {"SIP_PASSWORD": PASSWORD, "TURN_PASSWORD": TURN_PASSWORD}


@contextmanager
def servers(street: Street, folder: Path) -> Iterator[Servers]:
    """Run coturn at the street's host "turn" and home at "home"."""
    need("turnserver")
    turn, home = street["turn"], street["home"]
    addresses = [address for host in (turn, home) for address in (host.v4, host.v6) if address]
    folder.mkdir(parents=True)
    certificate, key = make_certificate(folder, addresses)
    with ExitStack() as stack:
        relay = stack.enter_context(coturn(street, folder / "coturn", certificate, key))
        program = stack.enter_context(serve_sip(home, folder / "home", certificate, key))
        both = (tuple(one for one in (host.v4, host.v6) if one) for host in (turn, home))
        yield Servers(*both, certificate, relay)
        assert relay.running
        program.stop()
        assert program.finish().code == 0


@contextmanager
def coturn(street: Street, folder: Path, certificate: Path, key: Path) -> Iterator[Program]:
    folder.mkdir()
    host = street["turn"]
    own = [address for address in (host.v4, host.v6) if address]
    if host.v4:
        street.add_address("turn", second := str(street.network_v4[2]))
        own.append(second)
    lines = [
        *(f"listening-ip={address}\nrelay-ip={address}" for address in own),
        f"listening-port={STUN_PORT}",
        "tls-listening-port=5349",
        f"alt-tls-listening-port={TURN_TLS_PORT}",
        f"cert={certificate}",
        f"pkey={key}",
        f"realm={REALM}",
        "lt-cred-mech",
        f"user={TURN_USER}:{TURN_PASSWORD}",
        "fingerprint",
        "no-cli",
        "no-dtls",
        "verbose",
        "log-file=stdout",
        f"userdb={folder / 'turndb'}",
        f"pidfile={folder / 'turnserver.pid'}",
    ]
    config = folder / "turnserver.conf"
    config.write_text("\n".join(lines) + "\n", encoding="ascii")
    with Program("turnserver", folder, *host.command("turnserver", "-c", str(config))) as program:
        for address in own:
            wait_until(lambda address=address: _answers(host, address), "coturn")  # type: ignore[misc]
        yield program


def _answers(host: Host, address: str) -> bool:
    with host.open_socket(address=address) as asking:
        asking.settimeout(0.2)
        try:
            asking.sendto(_BINDING_REQUEST, (address, STUN_PORT))
            return bool(asking.recv(2000))
        except OSError:
            return False


@contextmanager
def serve_sip(host: Host, folder: Path, certificate: Path, key: Path) -> Iterator[Parley]:
    """Run home for `a0`, `b0`, `a1`, `b1` and so on."""
    users = [word for n in range(LINES) for side in "ab" for word in ("--user", f"{side}{n}:{PASSWORD}")]
    listen = "::" if host.v6 else host.address
    flags = ["--listen", listen, "--sip-port", str(SIP_PORT), "--realm", REALM]
    with Parley(host, folder, ["home", *flags, "--tls-cert", str(certificate), "--tls-key", str(key), *users]) as home:
        home.wait_for("serving")
        yield home


def make_certificate(folder: Path, addresses: Sequence[str]) -> tuple[Path, Path]:
    """Make a certificate for these addresses and the realm that vouches for itself; give it and its key as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, REALM)])
    now = datetime.datetime.now(datetime.UTC)
    known = [x509.DNSName(REALM), *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(known), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, key_pem = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, key_pem
