"""What a SIP endpoint is told at its start (plain data)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.settings import Account

ALLOWED_METHODS = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "PRACK", "UPDATE", "INFO")
SUPPORTED_EXTENSIONS = ("100rel", "ice", "trickle-ice")


def extensions(*, trickle: bool) -> tuple[str, ...]:
    """The option tags to announce, with or without that candidates may come later (RFC 8840)."""
    return tuple(tag for tag in SUPPORTED_EXTENSIONS if trickle or tag != "trickle-ice")


@dataclass(frozen=True, slots=True)
class SipConfig:
    """Everything an endpoint needs to know.

    `sip_port`: UDP and TCP listen on the same port; None means 5060 where it is free, otherwise any; 0 means any.
    `bind`: addresses of this machine to listen at; empty means all.
    `account`: None for an endpoint that only makes and takes direct calls.
    `password`: asked for each time a server challenges; returning None means there is none.
    `user` and `display_name` say who calls when there is no account.
    `supported`: option tags put in Supported and accepted in Require; with trickle-ice its Info package is taken.
    """

    sip_port: int | None = None
    bind: tuple[str, ...] = ()
    user_agent: str = "Parley"
    user: str = ""
    display_name: str = ""
    account: Account | None = None
    password: Callable[[], str | None] | None = field(default=None, repr=False)
    ca_file: str | None = None
    t1_s: float = 0.5
    supported: tuple[str, ...] = SUPPORTED_EXTENSIONS
    tcp_above_bytes: int = 1300  # RFC 3261 section 18.1.1
    keepalive_s: float = 25.0  # CRLF toward the registrar over UDP; TCP four times as rarely
    max_sessions: int = 100
    max_transactions: int = 1000
    max_connections: int = 64
    idle_connection_s: float = 300.0
