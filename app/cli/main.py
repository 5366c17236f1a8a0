"""The parser of the command line and the way from its words to a command. The contract is docs/command-line.md."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from app import VERSION
from app.cli import channel_flags, flags, mission_flags, rallypoint_flags
from app.cli.console import Console
from app.engine.errors import EngineError
from app.mission_links import names_mission, whole

COMMANDS = ("window", "call", "listen", "home", "rallypoint", "doctor", "mission", "channel")

Command = Callable[[argparse.Namespace, Console, float], Coroutine[Any, Any, int]]


def run(arguments: list[str] | None, started_at: float) -> int:
    """Do what the command line says; gives 0 done, 1 failed with the cause on stderr, 2 wrong usage."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _name_the_window(arguments)
    parser = build_parser()
    args = parser.parse_args(arguments)
    _set_up_logging(args)
    if args.command in (None, "window"):
        return _window(args, started_at)
    console = Console(started_at, as_json=args.json)
    try:
        return asyncio.run(_command(args.command)(args, console, started_at))
    except EngineError as error:
        console.error(str(error))
        return 1
    except KeyboardInterrupt:
        return 1


def _name_the_window(arguments: list[str]) -> None:
    """A link or a mission that the desktop hands over, with or without flags before it, is for the window."""
    for index, argument in enumerate(arguments):
        if argument in COMMANDS:
            return
        if argument.lower().startswith(("sip:", "sips:", "tel:")) or _is_mission(arguments, index):
            arguments.insert(index, "window")
            return


def _is_mission(arguments: list[str], index: int) -> bool:
    """Whether an argument names a mission rather than the value of a flag before it, such as --log-to."""
    return names_mission(arguments[index]) and not (index and arguments[index - 1].startswith("--"))


def _command(name: str) -> Command:
    # Imported here: each command brings its own heavy parts, and `--help` needs none of them.
    if name == "home":
        from app.cli.serving import home

        return home
    if name == "rallypoint":
        from app.cli.rallypoint import rallypoint

        return rallypoint
    if name == "doctor":
        from app.cli.doctor import doctor

        return doctor
    if name == "mission":
        from app.cli.missions import mission

        return mission
    if name == "channel":
        return _channel
    if name == "listen":
        from app.cli.listening import listen

        return listen
    from app.cli.calling import call

    return call


async def _channel(args: argparse.Namespace, console: Console, started_at: float) -> int:
    if args.channel_command == "join":
        from app.cli.channel_join import join

        return await join(args, console, started_at)
    from app.cli.channel_talk import talk

    return await talk(args, console, started_at)


def _window(args: argparse.Namespace, started_at: float) -> int:
    try:
        from ui.application import run as run_window
    except ImportError as error:
        print(f"parley: the window cannot be opened ({error}); `parley call echo` works without one.", file=sys.stderr)
        return 1
    mission = whole(args.target) if args.target is not None and names_mission(args.target) else None
    return run_window(
        target=args.target if mission is None else None,
        mission=mission,
        profile=args.profile,
        adjust=flags.settings_adjuster(args),
        passwords=flags.passwords_of(args),
        started_at=started_at,
    )


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parley",
        description="Video and voice calls that always connect and that show how they connected.",
        epilog="Without a command the window opens. Exit codes: 0 done, 1 failed (stderr says why), 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"parley {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parser.set_defaults(target=None)
    flags.add_always(parser)
    window = commands.add_parser(
        "window", help="open the window (the same as no command), e.g. parley window sip:ada@…"
    )
    window.add_argument("target", nargs="?", metavar="TARGET", help="dial sip:ada@example.org, or open relief.ice")
    flags.add_always(window, again=True)
    call = commands.add_parser("call", help="call somebody, e.g. parley call sip:ada@example.org --for 10")
    call.add_argument("target", metavar="TARGET", help="sip:…, sips:…, tel:…, or a contact's name; echo calls yourself")
    call.add_argument(
        "--digits", type=flags.digits, metavar="KEYS", help="press these keys once it is connected, e.g. 12,,34#"
    )
    call.add_argument(
        "--for", dest="for_seconds", type=flags.seconds, metavar="S", help="hang up S seconds after the call connected"
    )
    listen = commands.add_parser("listen", help="take calls, e.g. parley listen --calls 1 --audio-to heard.wav")
    answer = listen.add_mutually_exclusive_group()
    answer.add_argument(
        "--answer-after",
        type=flags.seconds,
        default=0.0,
        metavar="S",
        help="let it ring for S seconds first (default 0)",
    )
    answer.add_argument("--decline", action="store_true", help="decline every call")
    listen.add_argument("--calls", type=flags.count, metavar="N", help="stop after N calls")
    listen.add_argument(
        "--for", dest="for_seconds", type=flags.seconds, metavar="S", help="stop after S seconds, hanging up"
    )
    for command in (call, listen):
        flags.add_account(command)
        flags.add_network(command)
        flags.add_media(command)
        flags.add_always(command, again=True)
    home = commands.add_parser("home", help="serve others, e.g. parley home --listen 0.0.0.0 --user ada:secret")
    _home_flags(home)
    flags.add_always(home, again=True)
    rallypoint = commands.add_parser(
        "rallypoint", help="carry channels between networks, e.g. parley rallypoint --advertise rally.example.org:7443"
    )
    rallypoint_flags.add_flags(rallypoint)
    flags.add_always(rallypoint, again=True)
    doctor = commands.add_parser("doctor", help="check devices, network, servers and a call, and name what is wrong")
    flags.add_account(doctor)
    flags.add_network(doctor)
    flags.add_always(doctor, again=True)
    mission = commands.add_parser("mission", help="make, show, check and convert the files that channels come from")
    mission_flags.add_commands(mission)
    channel = commands.add_parser("channel", help="join a mission's channels; talk on those of the Parley that runs")
    channel_flags.add_commands(channel)
    return parser


def _home_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("home")
    group.add_argument("--listen", default="0.0.0.0", metavar="HOST", help="address to serve at, e.g. 192.168.1.2")
    group.add_argument("--sip-port", type=flags.port, default=5060, metavar="PORT", help="default: 5060")
    group.add_argument("--turn-port", type=flags.port, default=3478, metavar="PORT", help="default: 3478")
    group.add_argument(
        "--user", action="append", default=[], type=_user, metavar="NAME:PASSWORD", help="repeatable, e.g. ada:secret"
    )
    group.add_argument("--realm", default="parley", help="of the passwords, e.g. example.org (default: parley)")
    group.add_argument(
        "--md5-only", action="store_true", help="challenge with MD5 alone, for old phones that give up at SHA-256"
    )
    group.add_argument("--tls-cert", type=flags.existing_file, metavar="FILE", help="serve SIP and TURN over TLS too")
    group.add_argument("--tls-key", type=flags.existing_file, metavar="FILE", help="the key of --tls-cert")
    group.add_argument(
        "--turn-tls-port", type=flags.port, default=5349, metavar="PORT", help="of TURN over TLS (default: 5349)"
    )
    group.add_argument(
        "--allow-loopback-peers", action="store_true", help="let the relay reach this machine itself (tests only)"
    )
    group.add_argument("--for", dest="for_seconds", type=flags.seconds, metavar="S", help="stop after S seconds")


def _user(text: str) -> tuple[str, str]:
    name, colon, password = text.partition(":")
    if not name or not colon or not password:
        raise argparse.ArgumentTypeError("say NAME:PASSWORD")
    return name, password


def _set_up_logging(args: argparse.Namespace) -> None:
    level = getattr(logging, args.log_level.upper())
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    try:
        logging.basicConfig(level=level, format=form, filename=args.log_to)
    except OSError as error:
        raise SystemExit(f"parley: the log cannot be written: {error}") from error
