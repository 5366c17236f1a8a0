"""The flags of `parley channel`; apart from the commands, which bring what `--help` does not need."""

from __future__ import annotations

import argparse

from app.cli import flags


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `parley channel`."""
    commands = parser.add_subparsers(dest="channel_command", metavar="COMMAND", required=True)
    talk = commands.add_parser(
        "talk", help="press the talk key of the Parley that runs, e.g. parley channel talk on --channel Alpha"
    )
    talk.add_argument(
        "key",
        nargs="?",
        choices=("on", "off"),
        help="on: begin to talk; off: stop; neither: talk until this command is ended (Ctrl+C)",
    )
    talk.add_argument("--channel", metavar="NAME", help="NAME, or MISSION/NAME; default: the primary channel")
    talk.add_argument(
        "--for", dest="for_seconds", type=flags.seconds, metavar="S", help="without on and off: stop after S seconds"
    )
    flags.add_always(talk, again=True)
