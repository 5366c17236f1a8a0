"""A rallypoint for others, as `parley rallypoint` runs it: its folder, certificates, configuration and nats-server.

Needs no running engine. Everything is kept in the folder `rallypoint` of the profile, which one run at a time may use.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from app.engine.errors import EngineError
from app.ice.interfaces import system_addresses
from app.owned_tasks import OwnedTasks
from app.people.errors import PeopleError, in_words
from app.people.files import write_atomically
from app.people.profile import Profile, default_root
from app.satellites.authority import Authority, Signed, fingerprint
from app.satellites.errors import SatelliteError
from app.satellites.nats_server import find_server, version_of
from app.satellites.rallypoint_config import RallypointPlan, config_text
from app.satellites.server_log import LogLine
from app.satellites.supervisor import LOOK_EACH_S, ServerDied, ServerEvent, ServerHealth, ServerUp, Supervisor
from app.settings import HostPort

__all__ = [
    "LogLine",
    "MissionLine",
    "RallypointOptions",
    "RallypointServer",
    "ServerDied",
    "ServerEvent",
    "ServerHealth",
    "ServerUp",
]

CLUSTER_PORT = 6222
_DAY_S = 86_400.0
_LEAST_SECRET = 8


@dataclass(frozen=True, slots=True)
class RallypointOptions:
    """What a rallypoint serves, and to whom.

    `advertise`: where clients reach it, when that is not where it listens. Certificates are PEM files; without them it
    makes an authority of its own. Secrets are functions, since a reload reads them again. `peers`: cluster ports of
    the other nodes. `program`: the nats-server, None for the one that is found.
    """

    profile: Path | None = None
    listen: str = "0.0.0.0"
    port: int = 7443
    websocket_port: int | None = None
    cluster_port: int | None = None
    peers: tuple[HostPort, ...] = ()
    advertise: HostPort | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_authority: Path | None = None
    require_client_certificate: bool = False
    user: str = ""
    password: Callable[[], str] | None = field(default=None, repr=False)
    token: Callable[[], str] | None = field(default=None, repr=False)
    cluster_secret: Callable[[], str] | None = field(default=None, repr=False)
    max_connections: int = 2000
    monitor_port: int = 0
    health_each_s: float | None = 60.0
    program: Path | None = None


@dataclass(frozen=True, slots=True)
class MissionLine:
    """What a mission is told of this rallypoint.

    `fingerprint` is the SHA-256 of the authority where there is one, else of the certificate. Files are None where the
    mission needs none of them.
    """

    place: HostPort
    fingerprint: str
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class RallypointServer:
    """One rallypoint. Failures are EngineErrors of one sentence."""

    def __init__(self, options: RallypointOptions, on_event: Callable[[ServerEvent], None]) -> None:
        _check(options)
        self._options = options
        self._on_event = on_event
        root = options.profile if options.profile is not None else default_root()
        self._folder = Profile(root / "rallypoint")
        self._name = f"{socket.gethostname()[:32]}-{secrets.token_hex(4)}"
        self._supervisor: Supervisor | None = None
        self.version = ""

    @property
    def folder(self) -> Path:
        """Where it keeps its files."""
        return self._folder.root

    @property
    def restarts(self) -> int:
        """How often its nats-server was started again."""
        return 0 if self._supervisor is None else self._supervisor.restarts

    @property
    def is_open_to_all(self) -> bool:
        """Whether everybody who reaches it may use it."""
        options = self._options
        return not (options.user or options.token or options.require_client_certificate)

    def write_config(self, path: Path) -> MissionLine:
        """Write the configuration there, for its owner's eyes, and leave it at that."""
        if path.exists():
            raise EngineError(f"{path} is there already and was left as it is.")
        try:
            self._folder.acquire()
            plan, line = self._prepare()
            write_atomically(path, config_text(plan).encode())
        except (PeopleError, SatelliteError) as error:
            raise EngineError(str(error)) from error
        except OSError as error:
            raise EngineError(f"{path} cannot be written ({in_words(error)}).") from error
        finally:
            self._folder.release()
        return line

    async def run(self, stop: asyncio.Event, on_ready: Callable[[MissionLine], None]) -> None:
        """Serve until `stop`. `on_ready` is called once, before the server is started."""
        renewing = OwnedTasks("rallypoint certificate")
        try:
            program = find_server(self._options.program)
            self.version = await asyncio.to_thread(version_of, program)
            self._folder.acquire()
            plan, line = await asyncio.to_thread(self._prepare)
            write_atomically(self._config_path, config_text(plan).encode())
            self._supervisor = Supervisor(
                program,
                self._config_path,
                self.folder / "nats-server.pid",
                self._on_event,
                secrets=plan.secrets,
                look_each_s=min(LOOK_EACH_S, max(1.0, self._options.health_each_s or LOOK_EACH_S)),
                health_each_s=self._options.health_each_s,
            )
            on_ready(line)
            renewing.start(self._reload_daily(), "daily")
            await self._supervisor.run(stop)
        except (PeopleError, SatelliteError) as error:
            raise EngineError(str(error)) from error
        except OSError as error:
            raise EngineError(f"The folder {self.folder} cannot be used ({in_words(error)}).") from error
        finally:
            await renewing.close()
            self._folder.release()

    def reload(self) -> None:
        """Read secrets and certificates again and give them to the server; connections stand.

        When they cannot be read the server goes on with what it has, and a warning says why.
        """
        if self._supervisor is None:
            return
        try:
            plan, _ = self._prepare()
            write_atomically(self._config_path, config_text(plan).encode())
        except (EngineError, SatelliteError, OSError, ValueError) as error:
            self._on_event(LogLine("warning", f"nothing was reloaded: {error}"))
            return
        self._supervisor.reload(plan.secrets)

    async def _reload_daily(self) -> None:
        """A certificate of its own is renewed in time; one that somebody else renews is read again."""
        while True:
            await asyncio.sleep(_DAY_S)
            self.reload()

    @property
    def _config_path(self) -> Path:
        return self.folder / "nats-server.conf"

    def _prepare(self) -> tuple[RallypointPlan, MissionLine]:
        """Make what is missing, read what is there; gives the plan and what missions are told."""
        options = self._options
        cluster_port = options.cluster_port
        if cluster_port is None and options.peers:
            cluster_port = CLUSTER_PORT
        plan = RallypointPlan(
            name=self._name,
            host=options.listen,
            port=options.port,
            certificate=str(options.tls_certificate.absolute()) if options.tls_certificate else "",
            key=str(options.tls_key.absolute()) if options.tls_key else "",
            authority=str(options.tls_authority.absolute()) if options.tls_authority else "",
            require_client_certificate=options.require_client_certificate,
            user=options.user,
            password=_secret(options.password, "password"),
            token=_secret(options.token, "token"),
            websocket_port=options.websocket_port,
            cluster_port=cluster_port,
            cluster_secret=_secret(options.cluster_secret, "cluster's secret"),
            peers=tuple(str(peer) for peer in options.peers),
            max_connections=options.max_connections,
            monitor_port=options.monitor_port,
        )
        addresses = _own_addresses()
        place = options.advertise or HostPort(_reachable(options.listen, addresses), options.port)
        if options.tls_certificate is None:
            return self._with_own_certificates(plan, place, addresses)
        _check_pair(plan)
        shown = options.tls_authority or options.tls_certificate
        return plan, MissionLine(place, fingerprint(shown.read_bytes()), options.tls_authority)

    def _with_own_certificates(
        self, plan: RallypointPlan, place: HostPort, addresses: tuple[str, ...]
    ) -> tuple[RallypointPlan, MissionLine]:
        now = datetime.now(UTC)
        authority = self._own_authority(now)
        names = dict.fromkeys((place.host, *addresses, socket.gethostname(), "localhost", "127.0.0.1"))
        usable = [name for name in names if name.isascii()]
        certificate = self.folder / "node.pem"
        if not (self._has("node") and authority.is_good(certificate.read_bytes(), usable, now)):
            self._keep("node", authority.issue_server(usable, now))
        if not (self._has("member") and authority.has_signed((self.folder / "member.pem").read_bytes())):
            self._keep("member", authority.issue_member(now))
        shows = plan.require_client_certificate
        line = MissionLine(
            place,
            fingerprint(authority.pem.certificate),
            self.folder / "authority.pem",
            self.folder / "member.pem" if shows else None,
            self.folder / "member.key" if shows else None,
        )
        plan = replace(
            plan,
            certificate=str(certificate),
            key=str(certificate.with_suffix(".key")),
            authority=str(self.folder / "authority.pem"),
            cluster_secret=plan.cluster_secret or authority.cluster_secret,
        )
        return plan, line

    def _own_authority(self, now: datetime) -> Authority:
        if not self._has("authority"):
            self._keep("authority", Authority.generate(f"Rallypoint {socket.gethostname()}", now).pem)
        certificate = self.folder / "authority.pem"
        return Authority.load(certificate.read_bytes(), certificate.with_suffix(".key").read_bytes())

    def _has(self, name: str) -> bool:
        return (self.folder / f"{name}.pem").is_file() and (self.folder / f"{name}.key").is_file()

    def _keep(self, name: str, signed: Signed) -> None:
        write_atomically(self.folder / f"{name}.key", signed.key)
        write_atomically(self.folder / f"{name}.pem", signed.certificate)


def _check(options: RallypointOptions) -> None:
    """Refuse what does not go together."""
    if (options.tls_certificate is None) != (options.tls_key is None):
        raise EngineError("--tls-cert and --tls-key belong together.")
    if options.tls_authority is not None and options.tls_certificate is None:
        raise EngineError("--tls-ca needs --tls-cert and --tls-key; without them Parley makes an authority of its own.")
    if bool(options.user) != (options.password is not None):
        raise EngineError("--user and --password-from belong together.")
    if options.user and options.token is not None:
        raise EngineError("People log in with a user's password or with a token: give --user or --token-from.")
    if options.tls_certificate is not None:
        if options.tls_authority is None and options.require_client_certificate:
            raise EngineError("--require-client-cert needs --tls-ca, the authority that signs clients.")
        if options.cluster_port is not None or options.peers:
            if options.tls_authority is None:
                raise EngineError("A cluster needs --tls-ca, the authority that signs its nodes.")
            if options.cluster_secret is None:
                raise EngineError("A cluster with certificates of yours needs --cluster-secret-from.")
    ports = [options.port, options.websocket_port, options.cluster_port, options.monitor_port or None]
    given = [port for port in ports if port is not None]
    if len(given) != len(set(given)):
        raise EngineError("Each port can be used once.")


def _secret(read: Callable[[], str] | None, what: str) -> str:
    if read is None:
        return ""
    try:
        secret = read()
    except ValueError as error:
        raise EngineError(f"The {what} cannot be read: {error}.") from error
    if not _LEAST_SECRET <= len(secret) <= 256 or not secret.isprintable():
        raise EngineError(f"The {what} must have {_LEAST_SECRET} to 256 letters, digits or signs.")
    return secret


def _check_pair(plan: RallypointPlan) -> None:
    """Refuse certificates that nats-server would refuse, in words of ours."""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(plan.certificate, plan.key, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise EngineError(f"The certificate {plan.certificate} does not fit its key, or is no PEM file.") from error
    if plan.authority:
        try:
            ssl.create_default_context(cafile=plan.authority)
        except (OSError, ValueError) as error:
            raise EngineError(f"{plan.authority} holds no certificate of an authority.") from error


def _own_addresses() -> tuple[str, ...]:
    """Addresses of this machine that stay, loopback and link-local ones left out."""
    found = [one for one in system_addresses() if not (one.is_loopback or one.is_link_local or one.temporary)]
    return tuple(one.address for one in sorted(found, key=lambda one: one.is_v6))


def _reachable(listen: str, addresses: tuple[str, ...]) -> str:
    try:
        is_any = ipaddress.ip_address(listen).is_unspecified
    except ValueError:
        is_any = False
    if not is_any:
        return listen
    return addresses[0] if addresses else socket.gethostname()
