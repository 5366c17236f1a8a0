"""`parley channel talk [on|off]`: presses the talk key of the Parley that runs with a profile."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from app.cli.console import Console
from app.engine import trigger
from app.engine.errors import EngineError


async def talk(args: argparse.Namespace, console: Console, started_at: float) -> int:
    """Press, let go, or hold until the end; an EngineError says why not."""
    if args.key is None:
        return await _hold(args, console)
    words = await trigger.talk(args.profile, args.key == "on", args.channel)
    console.report({"talking": args.key == "on", "words": words}, words)
    return 0


async def _hold(args: argparse.Namespace, console: Console) -> int:
    stop = asyncio.Event()
    if sys.platform != "win32":
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with trigger.held(args.profile, args.channel) as (words, ended):
        console.event("talking", words, sentence=words)
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((stopped, ended), timeout=args.for_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        if ended.done():
            raise EngineError(ended.result())
    console.report({"talking": False, "words": "Let go."}, "Let go.")
    return 0
