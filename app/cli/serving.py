"""`parley home`: a home server for others, until it is stopped."""

from __future__ import annotations

import argparse
import asyncio

from app.cli.calling import tell
from app.cli.console import Console
from app.cli.running import running
from app.engine.options import EngineOptions, HomeMode, HomeOptions
from app.events import HomeChanged


async def home(args: argparse.Namespace, console: Console, started_at: float) -> int:
    """Serve registrations, calls and relays, and the echo contact."""
    if (args.tls_cert is None) != (args.tls_key is None):
        console.error("--tls-cert and --tls-key belong together.")
        return 2
    options = EngineOptions(
        profile=args.profile,
        home=HomeMode.SERVE,
        keep_missions=False,
        home_options=HomeOptions(
            listen=args.listen,
            sip_port=args.sip_port,
            turn_port=args.turn_port,
            turn_tls_port=args.turn_tls_port,
            realm=args.realm,
            users=tuple(args.user),
            tls_certificate=args.tls_cert,
            tls_key=args.tls_key,
            allow_loopback_peers=args.allow_loopback_peers,
            md5_only=args.md5_only,
        ),
        neighbours=False,
        watch_presence=False,
        ring=False,
        take_calls=False,
        clock_zero=started_at,
        sip_trace_file=args.sip_trace,
        pcap_file=args.pcap,
    )
    async with running(options) as run:
        loop = asyncio.get_running_loop()
        deadline = None if args.for_seconds is None else loop.time() + args.for_seconds
        while (event := await run.next_event(deadline)) is not None:
            if isinstance(event, HomeChanged) and event.running:
                over_tls = f" (TLS at {event.turns_address})" if event.turns_address else ""
                words = f"serving SIP at {event.sip_address} and TURN at {event.turn_address}{over_tls}; Ctrl-C stops"
                console.event(
                    "serving",
                    words,
                    sip=event.sip_address,
                    turn=event.turn_address,
                    turns=event.turns_address,
                    users=len(args.user),
                )
            else:
                tell(console, event)
        console.report({"served_s": round(console.now, 3)}, "")
    return 0
