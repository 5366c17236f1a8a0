"""`parley mission new|show|verify|pack|unpack`: the files that channels come from (docs/channels.md)."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from app.cli.console import Console
from app.cli.mission_flags import QR_FORMS
from app.engine import missions
from app.engine.missions import CONTROL_NAME, Address, ChannelWish, Mission, MissionWishes
from app.settings import HostPort

_STDIN = Path("-")


async def mission(args: argparse.Namespace, console: Console, started_at: float) -> int:
    """Do one of the five; a failure is an EngineError."""
    args.fetched = await fetched(args, getattr(args, "file", None))
    return _COMMANDS[args.mission_command](args, console)


def _new(args: argparse.Namespace, console: Console) -> int:
    wishes = MissionWishes(
        args.name,
        tuple(ChannelWish(name, _address(place)) for name, place in args.channel),
        control=None if args.no_control else ChannelWish(CONTROL_NAME, _address(args.control)),
        description=args.description,
        encrypted=not args.clear,
        encoder=args.encoder,
        framing_ms=args.framing_ms,
        full_duplex=args.full_duplex,
        rallypoints=tuple(Address(each.host, each.port) for each in args.rallypoint),
        rallypoint_ca=args.rallypoint_ca,
        rallypoint_certificate=args.rallypoint_cert,
        rallypoint_key=args.rallypoint_key,
        rallypoint_websocket=args.rallypoint_websocket,
        rallypoint_user=args.rallypoint_user,
        rallypoint_password=args.rallypoint_password_from or "",
        rallypoint_token=args.rallypoint_token_from or "",
        failover_after_s=args.failover_after,
        expires=args.expires,
        pin=args.pin_from,
    )
    return _give(args, console, missions.make(wishes, datetime.now(UTC)))


def _pack(args: argparse.Namespace, console: Console) -> int:
    return _give(args, console, _read(args, args.read_passphrase_from))


def _give(args: argparse.Namespace, console: Console, made: Mission) -> int:
    """Write the packed mission where it is wanted: a file, stdout, a picture."""
    packed = missions.pack(made, args.passphrase_from, args.page)
    pictures = [(path, missions.qr_picture(packed, QR_FORMS[path.suffix.lower()])) for path in args.qr]
    files = [*([(args.output, packed.encode() + b"\n")] if args.output is not None else []), *pictures]
    missions.write_files(files, replace=args.force)
    fits = missions.fits_qr(packed)
    report = {
        "id": made.id,
        "name": made.name,
        "file": _name_of(args.output),
        "qr": [str(path) for path, _ in pictures],
        "bytes": len(packed),
        "fits_qr": fits,
        "encrypted": args.passphrase_from is not None,
        "packed": packed if args.output is None else None,
    }
    words = f"{args.output}: {len(packed):,} bytes, {'fits' if fits else 'too large for'} a QR picture"
    console.report(report, packed if args.output is None else words)
    return 0


def _unpack(args: argparse.Namespace, console: Console) -> int:
    text = missions.as_json(_read(args, args.passphrase_from))
    if args.output is not None:
        missions.write_files([(args.output, text.encode())], replace=args.force)
    report = {"file": _name_of(args.output), "mission": json.loads(text) if args.output is None else None}
    console.report(report, f"{args.output}: {len(text.encode()):,} bytes" if args.output else text.rstrip("\n"))
    return 0


def _show(args: argparse.Namespace, console: Console) -> int:
    found = _read(args, args.passphrase_from)
    seen = missions.view(found, datetime.now(UTC))
    picture = missions.qr_picture(missions.pack(found), "text").decode() if args.qr else ""
    lines = [f"{seen.name} ({seen.id})", *([seen.description] if seen.description else [])]
    ending = f"; {'ended' if seen.has_expired else 'ends'} {seen.expires}" if seen.expires else ""
    lines.append(f"created {seen.created}{ending}{'; a PIN keeps it from being edited' if seen.has_pin else ''}")
    for channel in seen.channels:
        way = f"rallypoint {', '.join(channel.rallypoints)}" if channel.rallypoints else "multicast"
        if channel.failover_after_s is not None:
            way += f", multicast after {channel.failover_after_s} s without one"
        kind = channel.kind if channel.codec is None else f"{channel.codec}, {channel.framing_ms} ms"
        lock = "encrypted" if channel.encrypted else "clear"
        lines.append(f"  {channel.name:20} {channel.receives_at:22} {lock:9}  {kind}; {way}")
    lines += [f"note: {sentence}" for sentence in seen.notices]
    console.report(dataclasses.asdict(seen), "\n".join([*lines, picture] if picture else lines))
    return 0


def _verify(args: argparse.Namespace, console: Console) -> int:
    found = _read(args, args.passphrase_from)
    now = datetime.now(UTC)
    missions.check_usable(found, now)
    seen = missions.view(found, now)
    report = {"id": seen.id, "name": seen.name, "channels": len(seen.channels), "notices": list(seen.notices)}
    notes = [f"note: {sentence}" for sentence in seen.notices]
    count = f"{len(seen.channels)} channel{'' if len(seen.channels) == 1 else 's'}"
    console.report(report, "\n".join([f"{seen.name} can be used: {count}", *notes]))
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "new": _new,
    "show": _show,
    "verify": _verify,
    "pack": _pack,
    "unpack": _unpack,
}


async def fetched(args: argparse.Namespace, place: Path | str | None) -> bytes | None:
    """What stands at the web address that was given; None where a file was."""
    if not isinstance(place, str):
        return None
    from app.engine.mission_web import fetch

    return await fetch(place, None if args.ca_file is None else str(args.ca_file))


def _read(args: argparse.Namespace, passphrase: str | None) -> Mission:
    if args.fetched is not None:
        return missions.read(args.fetched, passphrase)
    if args.file == _STDIN:
        return missions.read(sys.stdin.buffer.read(missions.MOST_BYTES + 1), passphrase)
    return missions.read_file(args.file, passphrase)


def _name_of(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _address(place: HostPort | None) -> Address | None:
    return None if place is None else Address(place.host, place.port)
