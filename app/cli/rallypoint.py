"""`parley rallypoint`: a nats-server that carries channels between networks, until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import signal
import sys
from typing import Any

from app.cli.console import Console
from app.engine.rallypoint import (
    LogLine,
    MissionLine,
    RallypointOptions,
    RallypointServer,
    ServerDied,
    ServerEvent,
    ServerHealth,
    ServerUp,
)


async def rallypoint(args: argparse.Namespace, console: Console, started_at: float) -> int:
    """Serve, or write the configuration alone; a failure is an EngineError."""
    server = RallypointServer(_options(args), lambda event: _tell(console, event))
    if args.config_out is not None:
        line = server.write_config(args.config_out)
        _tell_mission(console, server, line)
        console.report({"config": str(args.config_out)}, f"{args.config_out}: for nats-server -c; secrets may be in it")
        return 0
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        loop.add_signal_handler(signal.SIGHUP, server.reload)
    if args.for_seconds is not None:
        loop.call_later(args.for_seconds, stop.set)
    await server.run(stop, lambda line: _tell_mission(console, server, line))
    console.report({"served_s": round(console.now, 3), "restarts": server.restarts}, "")
    return 0


def _options(args: argparse.Namespace) -> RallypointOptions:
    return RallypointOptions(
        profile=args.profile,
        listen=args.listen,
        port=args.port,
        websocket_port=args.websocket_port,
        cluster_port=args.cluster_port,
        peers=tuple(args.peer),
        advertise=args.advertise,
        tls_certificate=args.tls_cert,
        tls_key=args.tls_key,
        tls_authority=args.tls_ca,
        require_client_certificate=args.require_client_cert,
        user=args.user or "",
        password=args.password_from,
        token=args.token_from,
        cluster_secret=args.cluster_secret_from,
        max_connections=args.max_connections,
        monitor_port=args.monitor_port or 0,
        health_each_s=args.health_each or None,
        program=args.nats_server,
    )


def _tell_mission(console: Console, server: RallypointServer, line: MissionLine) -> None:
    """Say what goes into a mission."""
    given = [f"--rallypoint {line.place}"]
    if line.authority is not None:
        given.append(f"--rallypoint-ca {line.authority}")
    if line.certificate is not None:
        given.append(f"--rallypoint-cert {line.certificate} --rallypoint-key {line.key}")
    of = "authority" if line.authority is not None else "certificate"
    facts: dict[str, Any] = {
        "host": line.place.host,
        "port": line.place.port,
        "fingerprint": line.fingerprint,
        "authority": None if line.authority is None else str(line.authority),
        "certificate": None if line.certificate is None else str(line.certificate),
        "key": None if line.key is None else str(line.key),
        "folder": str(server.folder),
    }
    words = f"for missions: {' '.join(given)} (SHA-256 of the {of}: {line.fingerprint})"
    console.event("mission-line", words, **facts)
    if server.is_open_to_all:
        console.event("open", "everybody who reaches it may use it; --require-client-cert or --user narrows that")


def _tell(console: Console, event: ServerEvent) -> None:
    match event:
        case ServerUp(pid):
            console.event("serving", f"nats-server takes connections (process {pid}); Ctrl-C stops", pid=pid)
        case ServerDied(why, again_in_s):
            words = f"nats-server ended: {why}; again in {again_in_s:.1f} s"
            console.event("died", words, why=why, again_in=round(again_in_s, 3))
        case ServerHealth():
            words = (
                f"{event.connections} connections, {event.routes} routes, {event.messages_in} packets in and "
                f"{event.messages_out} out, {event.slow} too slow, {event.cpu_percent:.0f} % of a core, "
                f"{event.memory_bytes / 1e6:.0f} MB"
            )
            console.event("health", words, **dataclasses.asdict(event))
        case LogLine(level, said):
            console.event("log", f"nats-server: {level}: {said}", level=level, line=said)
