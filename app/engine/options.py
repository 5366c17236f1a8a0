"""How one run of the engine differs from what the profile says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from app.settings import Settings


class HomeMode(StrEnum):
    """Whether this run has an embedded home server."""

    AUTO = "auto"  # yes when no account is set up: the window
    ON_DEMAND = "on demand"  # only when somebody here calls `echo`: the command line
    SERVE = "serve"  # this run is a home server for others: `parley home`


@dataclass(frozen=True, slots=True)
class HomeOptions:
    """What `parley home` serves, and to whom. Passwords are turned into digests at once and not kept."""

    listen: str = "127.0.0.1"
    sip_port: int = 0
    turn_port: int = 0
    turn_tls_port: int = 0
    realm: str = "parley"
    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # (name, password)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    allow_loopback_peers: bool = False
    md5_only: bool = False


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """`profile` None is the person's own folder. `adjust` lays the flags of a command over the kept settings.

    `alone`: no other such run may use the profile at the same time (the window).
    `keep_missions`: channels of the missions in the profile are joined, and those that are opened are kept there.
    `passwords` answers for an account address or "turn USER" before the keyring is asked. `clock_zero` is the monotonic
    moment from which all times of events count; None means the start of the engine.
    """

    profile: Path | None = None
    alone: bool = False
    adjust: Callable[[Settings], Settings] = field(default=lambda settings: settings)
    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    home: HomeMode = HomeMode.AUTO
    home_options: HomeOptions = HomeOptions()
    neighbours: bool = True
    watch_presence: bool = True
    ring: bool = True
    take_calls: bool = True
    keep_missions: bool = True
    clock_zero: float | None = None
    sip_trace_file: Path | None = None
    pcap_file: Path | None = None
    ice_patience_s: float | None = None
