"""Where a SIP message goes to or came from: one resolved transport address (RFC 3261 section 18, RFC 3263).

Plain data shared by the pure cores and the sockets beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.settings import HostPort

DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


@dataclass(frozen=True, slots=True)
class Hop:
    """One end of a path: transport ("udp", "tcp" or "tls"), the far address, and ours as seen from there.

    `local` is what Via and Contact say: this machine's address toward `remote`, with the port we listen on.
    `connection` names an open stream connection; a hop with a closed one is reached by a new connection.
    `server_name` is the name a TLS certificate must carry.
    """

    transport: str
    remote: HostPort
    local: HostPort | None = None
    connection: int | None = None
    server_name: str | None = None

    @property
    def reliable(self) -> bool:
        """Whether the transport delivers by itself, so that no timer needs to retransmit."""
        return self.transport != "udp"

    def __str__(self) -> str:
        return f"{self.transport}:{self.remote}"
