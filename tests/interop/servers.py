"""Real servers on loopback: Kamailio as registrar and proxy, coturn for STUN and TURN, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.programs import HERE, Program, answers, free_port, need

PASSWORDS = {"ada": "ada-secret", "bob": "bob-secret"}
REALM = "interop.test"
_BINDING_REQUEST = bytes.fromhex("000100002112a442") + b"interop-test"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running Kamailio; UDP and TCP at one port."""

    port: int
    program: Program

    @property
    def address(self) -> str:
        return f"{HERE}:{self.port}"

    def uri(self, user: str) -> str:
        return f"sip:{user}@{self.address}"


@dataclass(frozen=True, slots=True)
class Relay:
    """A running coturn; UDP and TCP at one port."""

    port: int
    program: Program

    @property
    def address(self) -> str:
        return f"{HERE}:{self.port}"


_KAMAILIO = """#!KAMAILIO
debug=2
log_stderror=yes
memdbg=5
memlog=5
children=2
tcp_children=2
dns=no
rev_dns=no
use_dns_cache=no
auto_aliases=no
listen=udp:{here}:{port}
listen=tcp:{here}:{port}
{modules}
modparam("usrloc", "db_mode", 0)
modparam("rr", "enable_double_rr", 1)
modparam("auth", "algorithm", "{algorithm}")

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    force_rport();
    if (is_method("OPTIONS") && $rU == $null) {{ sl_send_reply("200", "OK"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not here");
        exit;
    }}
    t_check_trans();
    $var(password) = "";
{passwords}
    if ($var(password) == "") {{ sl_send_reply("403", "Forbidden"); exit; }}
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("{realm}", "$var(password)", "0")) {{ www_challenge("{realm}", "0"); exit; }}
        save("location");
        exit;
    }}
    if (!pv_proxy_authenticate("{realm}", "$var(password)", "0")) {{ proxy_challenge("{realm}", "0"); exit; }}
    consume_credentials();
    record_route();
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    t_relay();
}}
"""

_MODULES = ("tm", "sl", "rr", "pv", "maxfwd", "textops", "siputils", "usrloc", "registrar", "auth")


@contextmanager
def kamailio(folder: Path, *, algorithm: str = "MD5") -> Iterator[Proxy]:
    """Run a registrar and proxy that wants the password of ada or bob for everything that begins something."""
    need("kamailio")
    folder.mkdir(parents=True)
    port = free_port()
    config = folder / "kamailio.cfg"
    config.write_text(
        _KAMAILIO.format(
            here=HERE,
            port=port,
            realm=REALM,
            algorithm=algorithm,
            modules="\n".join(f'loadmodule "{module}.so"' for module in _MODULES),
            passwords="\n".join(
                f'    if ($fU == "{user}") $var(password) = "{password}";' for user, password in PASSWORDS.items()
            ),
        ),
        encoding="ascii",
    )
    question = (
        f"OPTIONS sip:{HERE}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {HERE}:9;rport;branch=z9hG4bKready\r\n"
        f"From: <sip:ready@{HERE}>;tag=1\r\nTo: <sip:{HERE}>\r\nCall-ID: ready\r\nCSeq: 1 OPTIONS\r\n"
        "Max-Forwards: 9\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    run = ("kamailio", "-DD", "-E", "-f", str(config), "-Y", str(folder), "-w", str(folder), "-m", "16", "-M", "4")
    with Program("kamailio", folder, *run) as program:
        program.wait_until_ready(lambda: answers(port, question))
        yield Proxy(port, program)


@contextmanager
def coturn(folder: Path) -> Iterator[Relay]:
    """Run a TURN server with long-term credentials for ada and bob."""
    need("turnserver")
    folder.mkdir(parents=True)
    port = free_port()
    config = folder / "turnserver.conf"
    lines = [
        f"listening-ip={HERE}",
        f"relay-ip={HERE}",
        f"listening-port={port}",
        f"realm={REALM}",
        "lt-cred-mech",
        "fingerprint",
        "allow-loopback-peers",
        "no-cli",
        "no-tls",
        "no-dtls",
        "no-rfc5780",
        "verbose",
        "log-file=stdout",
        f"userdb={folder / 'turndb'}",
        f"pidfile={folder / 'turnserver.pid'}",
        *(f"user={user}:{password}" for user, password in PASSWORDS.items()),
    ]
    config.write_text("\n".join(lines) + "\n", encoding="ascii")
    with Program("turnserver", folder, "turnserver", "-c", str(config)) as program:
        program.wait_until_ready(lambda: answers(port, _BINDING_REQUEST))
        yield Relay(port, program)
