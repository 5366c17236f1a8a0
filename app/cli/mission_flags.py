"""The flags of `parley mission`; apart from the commands, which bring what `--help` does not need."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, time
from pathlib import Path

from app.cli import flags
from app.settings import HostPort

QR_FORMS = {".png": "png", ".svg": "svg"}
RALLYPOINT_PORT = 7443
_MOST_PEM = 32_000
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the five commands of `parley mission`."""
    commands = parser.add_subparsers(dest="mission_command", metavar="COMMAND", required=True)
    new = commands.add_parser("new", help="make one, e.g. parley mission new Relief --channel Alpha -o relief.ice")
    _wish_flags(new)
    _output_flags(new)
    show = commands.add_parser("show", help="tell what is in it, keys left out, e.g. parley mission show relief.ice")
    show.add_argument("--qr", action="store_true", help="draw it as a QR picture in the terminal too, unencrypted")
    verify = commands.add_parser("verify", help="say whether it can be used, and what is odd in it")
    pack = commands.add_parser("pack", help="make a file from JSON, e.g. parley mission pack relief.json -o relief.ice")
    unpack = commands.add_parser("unpack", help="give its JSON, keys included, e.g. parley mission unpack relief.ice")
    for command in (show, verify, pack, unpack):
        command.add_argument(
            *("file",),
            type=flags.mission_place,
            metavar="FILE",
            help="an .ice file, JSON, a QR picture, or where it is: https://…; - reads stdin",
        )
        flags.add_ca_file(command)
    _output_flags(pack)
    pack.add_argument(
        "--read-passphrase-from", type=flags.password_from, metavar="WHERE", help="of FILE: env:NAME or file:PATH"
    )
    for command in (show, verify, unpack):
        command.add_argument(
            "--passphrase-from", type=flags.password_from, metavar="WHERE", help="env:NAME or file:PATH"
        )
    unpack.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it there, e.g. relief.json")
    unpack.add_argument("--force", action="store_true", help="replace a file that is there")
    for command in (new, show, verify, pack, unpack):
        flags.add_always(command, again=True)


def _wish_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the mission, at most 16 letters are best")
    group = parser.add_argument_group("mission")
    group.add_argument(
        "--channel",
        type=channel,
        action="append",
        required=True,
        metavar="NAME[=ADDRESS:PORT]",
        help="repeatable, e.g. Alpha or Bravo=239.192.7.2:18002; without an address one is chosen",
    )
    control = group.add_mutually_exclusive_group()
    control.add_argument("--control", type=flags.host_port(None), metavar="ADDRESS:PORT", help="of mission control")
    control.add_argument("--no-control", action="store_true", help="no presence, no alerts")
    group.add_argument("--description", default="", metavar="TEXT", help="at most 256 letters")
    group.add_argument("--clear", action="store_true", help="no encryption: whoever is on the way can listen")
    group.add_argument(
        "--encoder", type=int, default=29, metavar="ID", help="docs/channels-packets.md; default 29, Opus 24 kb/s"
    )
    group.add_argument("--framing-ms", type=int, default=20, metavar="MS", help="sound in a packet: default 20")
    group.add_argument("--full-duplex", action="store_true", help="everybody may talk at once, as in a call")
    group.add_argument(
        "--rallypoint",
        type=flags.host_port(RALLYPOINT_PORT),
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="repeatable, in the order of use; default port 7443",
    )
    group.add_argument(
        "--rallypoint-ca", type=pem_text, default="", metavar="PEM", help="who signs them, e.g. authority.pem"
    )
    group.add_argument(
        "--rallypoint-cert", type=pem_text, default="", metavar="PEM", help="what members show them, e.g. member.pem"
    )
    group.add_argument("--rallypoint-key", type=pem_text, default="", metavar="PEM", help="the key of it")
    group.add_argument("--rallypoint-websocket", action="store_true", help="by secure WebSocket: the ports are of that")
    group.add_argument("--rallypoint-user", default="", metavar="NAME", help="who members are there, e.g. relief")
    for flag, what in (("password", "of --rallypoint-user"), ("token", "instead of a user")):
        group.add_argument(
            f"--rallypoint-{flag}-from", type=flags.password_from, metavar="WHERE", help=f"{what}: env:NAME, file:PATH"
        )
    group.add_argument(
        "--failover-after", type=flags.count, metavar="S", help="multicast after S seconds without a rallypoint"
    )
    group.add_argument("--expires", type=moment, metavar="DATE", help="e.g. 2026-12-31 or 2026-12-31T18:00Z")
    group.add_argument(
        "--pin-from",
        type=flags.password_from,
        metavar="WHERE",
        help="digits that editing asks for: env:NAME, file:PATH",
    )


def _output_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output", type=Path, metavar="FILE", help="e.g. relief.ice; without it stdout")
    group.add_argument(
        "--qr", type=qr_file, action="append", default=[], metavar="FILE", help="a picture too: .png or .svg"
    )
    group.add_argument("--page", metavar="URL", help="a web page that ordinary cameras show instead of the mission")
    group.add_argument(
        "--passphrase-from", type=flags.password_from, metavar="WHERE", help="encrypt it: env:NAME or file:PATH"
    )
    group.add_argument("--force", action="store_true", help="replace files that are there")


def channel(text: str) -> tuple[str, HostPort | None]:
    name, equals, place = text.partition("=")
    if not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} names no channel: say NAME or NAME=ADDRESS:PORT")
    return name, flags.host_port(None)(place) if equals else None


def moment(text: str) -> datetime:
    """A day, which counts to its end, or a moment; without a zone it is UTC."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no date such as 2026-12-31") from error
    if _DAY.fullmatch(text):
        read = datetime.combine(read, time(23, 59, 59, 999_000))
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


def pem_text(text: str) -> str:
    """The PEM text of a file: a mission carries it along."""
    if not text:
        return ""
    try:
        with open(text, encoding="ascii") as file:
            read = file.read(_MOST_PEM + 1).strip()
    except (OSError, UnicodeError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be read: {error}") from error
    if not read.startswith("-----BEGIN ") or len(read) > _MOST_PEM:
        raise argparse.ArgumentTypeError(f"{text!r} is no PEM file of at most {_MOST_PEM} letters")
    return read + "\n"


def qr_file(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in QR_FORMS:
        raise argparse.ArgumentTypeError(f"{text!r} must end in .png or .svg")
    return path
