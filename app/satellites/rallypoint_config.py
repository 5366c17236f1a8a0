"""The configuration of a nats-server that is a rallypoint (docs/rallypoint.md). Pure: gives text, reads nothing.

TLS 1.3 is asked for by its cipher suites alone, which servers of any version know: nobody can agree on an older TLS
with them. Every value is written with all but harmless signs escaped, so that none can end its string.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from app.channels.links import MOST_BYTES, STREAM_SUBJECTS

CLUSTER_NAME = "parley"
CLUSTER_USER = "rallypoint"
MOST_PENDING = 512 * 1024  # bytes that wait for one who reads slowly: some seconds of several talkers
MOST_SUBSCRIPTIONS = 256  # of one connection
_OPEN_USER = "anybody"
_ALLOWED = f"{STREAM_SUBJECTS}*"
_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_PLAIN = re.compile(r"[A-Za-z0-9 ._~/:@+,=*\[\]-]")


@dataclass(frozen=True, slots=True)
class RallypointPlan:
    """Everything its nats-server is told.

    `host`: the address to listen at. `certificate`, `key`, `authority`: paths of PEM files; the last one signs
    clients and the other nodes, "" for none. `websocket_port`, `cluster_port`: None for none. `peers`: `host:port` of
    the other nodes' cluster ports. Who logs in: a user with a password, or a token, or nobody needs to.
    `monitor_port`: of HTTP at 127.0.0.1, 0 for any.
    """

    name: str
    host: str
    port: int
    certificate: str
    key: str
    authority: str = ""
    require_client_certificate: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    websocket_port: int | None = None
    cluster_port: int | None = None
    cluster_secret: str = field(default="", repr=False)
    peers: tuple[str, ...] = ()
    max_connections: int = 2000
    monitor_port: int = 0

    @property
    def secrets(self) -> tuple[str, ...]:
        """What may stand in no log."""
        return tuple(one for one in (self.password, self.token, self.cluster_secret) if one)


def config_text(plan: RallypointPlan) -> str:
    """Give the text of the configuration file. There are secrets in it."""
    verify = [f"ca_file: {_quoted(plan.authority)}", "verify: true"] if plan.require_client_certificate else []
    lines = [
        f"server_name: {_quoted(plan.name)}",
        f"listen: {_quoted(_place(plan.host, plan.port))}",
        f"http: {_quoted(_place('127.0.0.1', plan.monitor_port or -1))}",
        f"max_payload: {MOST_BYTES}",
        f"max_connections: {plan.max_connections}",
        f"max_subscriptions: {MOST_SUBSCRIPTIONS}",
        f"max_pending: {MOST_PENDING}",
        'write_deadline: "2s"',
        'ping_interval: "20s"',
        "ping_max: 2",
        *_block("tls", [*_certificate(plan), *verify, "timeout: 5"]),
        *_logins(plan),
    ]
    if plan.websocket_port is not None:
        listen = f"listen: {_quoted(_place(plan.host, plan.websocket_port))}"
        lines += _block(
            "websocket", [listen, 'handshake_timeout: "5s"', *_block("tls", [*_certificate(plan), *verify])]
        )
    if plan.cluster_port is not None:
        lines += _cluster(plan, plan.cluster_port)
    return "\n".join(lines) + "\n"


def _certificate(plan: RallypointPlan) -> list[str]:
    suites = ", ".join(_quoted(one) for one in _TLS13)
    return [f"cert_file: {_quoted(plan.certificate)}", f"key_file: {_quoted(plan.key)}", f"cipher_suites: [{suites}]"]


def _logins(plan: RallypointPlan) -> list[str]:
    if plan.token:  # nats-server knows no permissions for who has a token
        return _block("authorization", [f"token: {_quoted(plan.token)}", "timeout: 5"])
    user, password = (plan.user, plan.password) if plan.user else (_OPEN_USER, "")
    subjects = f"[{_quoted(_ALLOWED)}]"
    allowed = f"permissions: {{ publish: {subjects}, subscribe: {subjects} }}"
    users = f"users: [ {{ user: {_quoted(user)}, password: {_quoted(password)}, {allowed} }} ]"
    everybody = [] if plan.user else [f"no_auth_user: {_quoted(_OPEN_USER)}"]
    return [*_block("authorization", [users, "timeout: 5"]), *everybody]


def _cluster(plan: RallypointPlan, port: int) -> list[str]:
    login = f"{CLUSTER_USER}:{plan.cluster_secret}"
    routes = ", ".join(_quoted(f"nats://{login}@{peer}") for peer in plan.peers)
    tls = [*_certificate(plan), f"ca_file: {_quoted(plan.authority)}", "timeout: 5"]
    return _block(
        "cluster",
        [
            f"name: {_quoted(CLUSTER_NAME)}",
            f"listen: {_quoted(_place(plan.host, port))}",
            f"routes: [{routes}]",
            "no_advertise: true",  # clients have their nodes from the mission, and learn no others
            *_block(
                "authorization",
                [f"user: {_quoted(CLUSTER_USER)}", f"password: {_quoted(plan.cluster_secret)}", "timeout: 5"],
            ),
            *_block("tls", tls),
        ],
    )


def _block(name: str, lines: list[str]) -> list[str]:
    return [f"{name} {{", *(f"  {line}" for line in lines), "}"]


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _quoted(text: str) -> str:
    signs = (chr(byte) for byte in text.encode("utf-8", "surrogateescape"))
    return '"' + "".join(sign if _PLAIN.match(sign) else f"\\x{ord(sign):02x}" for sign in signs) + '"'
