"""What a home server is told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.home.accounts import HomeUser
from app.home.sip_core import SipLimits
from app.home.turn_io import TurnLimits


@dataclass(frozen=True, slots=True)
class HomeConfig:
    """Everything a home server needs to know.

    `listen`: numeric addresses; "0.0.0.0" means all IPv4 ones, "::" all of both families. Port 0 means any free one.
    `realm`: what digests are made for, and a domain of this server; `names` are further ones.
    `relay_host`: the address at which to relay; None: the one at which the client reached this server.
    `allow_own_peers`: let relays reach loopback and this machine, for tests on one machine.
    `digests`: what challenges offer. Phones must skip what they do not know (RFC 8760), but some old ones, baresip 1.0
    among them, give up at the sight of SHA-256: for those, ("MD5",).
    `tls_cert`, `tls_key`: PEM files; both or none. `tls_port` 0 with a `sip_port` other than 0 means the next one.
    `ca_file`: a PEM file of authorities to trust, beside the system's, where a call goes on to another server over TLS.
    `turn_tls_port` 0 with a `turn_port` other than 0 means 5349.
    """

    listen: tuple[str, ...] = ("0.0.0.0",)
    sip_port: int = 5060
    turn_port: int = 3478
    users: tuple[HomeUser, ...] = ()
    realm: str = "parley.home"
    names: tuple[str, ...] = ()
    digests: tuple[str, ...] = ("SHA-256", "MD5")
    relay_host: str | None = None
    allow_own_peers: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_port: int = 0
    ca_file: str | None = None
    turn_tls_port: int = 0
    turn_limits: TurnLimits = field(default_factory=TurnLimits)
    sip_limits: SipLimits = field(default_factory=SipLimits)
    t1_s: float = 0.5
