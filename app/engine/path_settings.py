"""What the paths of calls may use: the person's network settings with their passwords, as ICE wants them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.engine.kept import turn_secret_name
from app.ice.config import IceConfig, Tap, Timing
from app.settings import NetworkSettings, TurnServer


def ice_config(
    network: NetworkSettings,
    password: Callable[[str], str | None],
    *,
    patience_s: float | None,
    clock_zero: float,
    tap: Tap | None,
) -> IceConfig:
    """Put together what a session may use; `password` answers for the name under which a TURN password is kept."""
    servers = tuple(_with_secret(server, password) for server in network.turn_servers)
    return IceConfig(
        stun_servers=network.stun_servers,
        turn_servers=servers,
        policy=network.ice_policy,
        interfaces=network.interfaces,
        ca_file=network.ca_file,
        proxy=network.proxy,
        hide_addresses=network.hide_addresses,
        tcp=network.ice_tcp,
        clock_zero=clock_zero,
        tap=tap,
        timing=Timing() if patience_s is None else Timing(patience_s=patience_s),
    )


def _with_secret(server: TurnServer, password: Callable[[str], str | None]) -> TurnServer:
    """Add what is kept for a server: its password, or the secret shared with it."""
    if server.password or server.secret:
        return server
    kept = password(turn_secret_name(server)) or ""
    return replace(server, secret=kept) if server.time_limited else replace(server, password=kept)
