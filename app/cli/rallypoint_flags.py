"""The flags of `parley rallypoint`; apart from the command, which brings what `--help` does not need."""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path

from app.cli import flags
from app.settings import HostPort

CLUSTER_PORT = 6222
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")
_USER = re.compile(r"[A-Za-z0-9._@-]{1,64}\Z")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add all of them."""
    group = parser.add_argument_group("rallypoint")
    group.add_argument(
        "--listen", type=host, default="0.0.0.0", metavar="HOST", help="address to serve at, e.g. 192.168.1.2 or ::"
    )
    group.add_argument("--port", type=flags.port, default=7443, metavar="PORT", help="of TLS, default 7443")
    group.add_argument("--websocket-port", type=flags.port, metavar="PORT", help="of secure WebSocket too, e.g. 8443")
    group.add_argument(
        "--advertise",
        type=place(7443),
        metavar="HOST[:PORT]",
        help="where people reach it, when that is elsewhere, e.g. rally.example.org:443",
    )
    group.add_argument(
        "--max-connections", type=flags.count, default=2000, metavar="N", help="each channel of a person is one; 2000"
    )
    who = parser.add_argument_group("who may use it (without any of these: everybody who reaches it)")
    who.add_argument("--require-client-cert", action="store_true", help="who shows a certificate of the authority")
    who.add_argument("--user", type=user, metavar="NAME", help="who logs in so, e.g. relief")
    who.add_argument(
        "--password-from", type=secret_from, metavar="WHERE", help="of --user: env:NAME or file:PATH, e.g. file:secret"
    )
    who.add_argument("--token-from", type=secret_from, metavar="WHERE", help="who has this token: env:NAME, file:PATH")
    tls = parser.add_argument_group("certificates (without them it makes an authority of its own at its first start)")
    tls.add_argument("--tls-cert", type=flags.existing_file, metavar="PEM", help="with its chain, e.g. fullchain.pem")
    tls.add_argument("--tls-key", type=flags.existing_file, metavar="PEM", help="the key of --tls-cert")
    tls.add_argument("--tls-ca", type=flags.existing_file, metavar="PEM", help="signs clients and the other nodes")
    cluster = parser.add_argument_group("cluster")
    cluster.add_argument(
        "--cluster-port", type=flags.port, metavar="PORT", help=f"for the other nodes; with --peer {CLUSTER_PORT}"
    )
    cluster.add_argument(
        "--peer",
        type=place(CLUSTER_PORT),
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="cluster port of another node, repeatable, e.g. rally2.example.org",
    )
    cluster.add_argument(
        "--cluster-secret-from", type=secret_from, metavar="WHERE", help="with --tls-cert: env:NAME or file:PATH"
    )
    run = parser.add_argument_group("running")
    run.add_argument("--nats-server", type=Path, metavar="FILE", help="the program, e.g. /opt/nats/nats-server")
    run.add_argument("--monitor-port", type=flags.port, metavar="PORT", help="HTTP of nats-server, at 127.0.0.1 only")
    run.add_argument(
        "--health-each", type=flags.seconds, default=60.0, metavar="S", help="a line of figures, default 60; 0: none"
    )
    run.add_argument("--config-out", type=Path, metavar="FILE", help="write nats-server's configuration there, and end")
    run.add_argument("--for", dest="for_seconds", type=flags.seconds, metavar="S", help="stop after S seconds")


def host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        if _NAME.match(text):
            return text
    raise argparse.ArgumentTypeError(f"{text!r} is no address such as 192.168.1.2")


def place(default: int) -> Callable[[str], HostPort]:
    def parse(text: str) -> HostPort:
        found = flags.host_port(default)(text)
        return HostPort(host(found.host), found.port)

    return parse


def user(text: str) -> str:
    if not _USER.match(text):
        raise argparse.ArgumentTypeError(f"{text!r}: a name has 1 to 64 letters, digits and . _ @ -")
    return text


def secret_from(text: str) -> Callable[[], str]:
    """A secret that can be read again; once it is read here, so that a wrong place is told at once."""

    def read() -> str:
        try:
            return flags.password_from(text)
        except argparse.ArgumentTypeError as error:
            raise ValueError(str(error)) from error

    flags.password_from(text)
    return read
