"""The flags of `parley channel`; apart from the commands, which bring what `--help` does not need."""

from __future__ import annotations

import argparse

from app.cli import flags


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `parley channel`."""
    commands = parser.add_subparsers(dest="channel_command", metavar="COMMAND", required=True)
    join = commands.add_parser(
        "join", help="join a mission's channels, e.g. parley channel join relief.ice --channel Alpha --talk 5"
    )
    join.add_argument(
        *("mission",),
        type=flags.existing_mission,
        metavar="MISSION.ice",
        help="a mission's file or QR picture, or where it is: https://…",
    )
    flags.add_ca_file(join)
    join.add_argument("--channel", metavar="NAME", help="this one alone; default: all")
    join.add_argument(
        "--talk", type=flags.seconds, metavar="S", help="talk for S seconds as soon as the channel can carry it"
    )
    join.add_argument("--emergency", action="store_true", help="with --talk: as an emergency, over everybody")
    join.add_argument(
        "--priority", type=flags.talk_priority, metavar="N", help="0 to 255: who has a lower one is interrupted"
    )
    join.add_argument(
        "--rallypoint",
        type=flags.host_port(7443),
        metavar="HOST:PORT",
        help="in place of the mission's rallypoints, e.g. 192.168.1.2:7443",
    )
    join.add_argument(
        "--interface", action="append", metavar="NAME", help="repeatable: for multicast, e.g. eth0, lo or 192.168.1.10"
    )
    join.add_argument("--for", dest="for_seconds", type=flags.seconds, metavar="S", help="leave after S seconds")
    join.add_argument("--display-name", metavar="TEXT", help="how others see you")
    join.add_argument("--passphrase-from", type=flags.password_from, metavar="WHERE", help="env:NAME or file:PATH")
    join.add_argument("--pin-from", type=flags.password_from, metavar="WHERE", help="env:NAME or file:PATH")
    flags.add_media(join)
    flags.add_always(join, again=True)
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
