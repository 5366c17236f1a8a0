"""What `parley doctor` examines: devices, names, servers, registration, and a whole call to itself.

Each check runs for real and ends in one finding: fine, or what is wrong and what to do. Nothing is assumed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

from app.events import CandidateType, DeviceInfo, IceSnapshot, RegistrationChanged, RegistrationState
from app.ice.config import IceConfig
from app.ice.session import IceSession
from app.settings import Account, HostPort, Settings
from app.sip.errors import SipError
from app.sip.uri import SipUri, parse_uri

DNS_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `fine` None: there was nothing to check."""

    about: str  # "microphone", "dns", "stun", "turn", "registration", "call", …
    fine: bool | None
    sentence: str


def examine_devices(devices: tuple[DeviceInfo, ...], missing: tuple[str, ...]) -> list[Finding]:
    """One finding a kind of device. A missing one is a normal case, so it is not a failure."""
    findings = []
    for kind in ("microphone", "speaker", "camera"):
        names = [device.name for device in devices if device.kind == kind]
        if names:
            findings.append(Finding(kind, True, f"{len(names)} found, first {names[0]}."))
        else:
            words = next((sentence for sentence in missing if kind in sentence), f"No {kind} was found.")
            findings.append(Finding(kind, None, words))
    return findings


async def examine_names(settings: Settings, account: Account | None) -> list[Finding]:
    """Whether every configured server's name is known to the DNS."""
    places = [str(server.host) for server in settings.network.stun_servers]
    places += [server.server.host for server in settings.network.turn_servers]
    host = _account_host(account)
    if host is not None:
        places.append(host)
    names = sorted({place for place in places if not _is_numeric(place)})
    if not names:
        return [Finding("dns", None, "No server with a name is configured.")]
    return [await _examine_name(name) for name in names]


async def _examine_name(name: str) -> Finding:
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(name, None, type=socket.SOCK_STREAM), DNS_LIMIT_S)
    except (OSError, UnicodeError) as error:
        return Finding("dns", False, f"The name {name} is not known to the DNS ({error}): check how it is spelled.")
    return Finding("dns", True, f"{name} is {found[0][4][0]}.")


async def examine_servers(config: IceConfig) -> tuple[list[Finding], IceSnapshot]:
    """Whether each STUN server answers and each TURN server gives a relay; gathers once for real."""
    session = IceSession(config, True, ["0"], on_event=lambda event: None)
    try:
        await session.wait_servers()
        snapshot = session.snapshot()
    finally:
        await session.close()
    findings = [_examine_host(snapshot)]
    asked = [("stun", server) for server in config.stun_servers]
    asked += [("turn", turn.server) for turn in config.turn_servers]
    for kind, server in asked:
        findings.append(_examine_server(kind, server, snapshot))
    if not asked:
        findings.append(Finding("stun", None, "No STUN or TURN server is configured: calls work on this network only."))
    return findings, snapshot


def _examine_host(snapshot: IceSnapshot) -> Finding:
    hosts = sorted({candidate.address for candidate in snapshot.local if candidate.type is CandidateType.HOST})
    if hosts:
        return Finding("network", True, f"This machine can be reached at {', '.join(hosts)}.")
    return Finding("network", False, "No network is up: plug in a cable or join a wireless network.")


def _examine_server(kind: str, server: HostPort, snapshot: IceSnapshot) -> Finding:
    wanted = CandidateType.RELAY if kind == "turn" else CandidateType.SRFLX
    got = [candidate for candidate in snapshot.local if candidate.type is wanted and candidate.server == str(server)]
    if got:
        return Finding(kind, True, f"{server} answers: {got[0].address}:{got[0].port}.")
    about = [problem for problem in snapshot.problems if server.host in problem]
    if about:
        return Finding(kind, False, about[0])
    if kind == "stun" and any(candidate.type is CandidateType.HOST for candidate in snapshot.local):
        return Finding(kind, True, f"{server} sees the same address as this machine: there is no NAT between.")
    return Finding(kind, False, f"{server} gave no address: check the server and the password.")


def examine_registration(account: Account | None, registration: RegistrationChanged) -> Finding:
    """How the registration of the configured account went."""
    if account is None:
        return Finding(
            "registration", None, "No account is set up: calls to addresses and neighbours work without one."
        )
    if not account.register:
        return Finding("registration", None, "Registering is switched off.")
    fine = registration.state is RegistrationState.REGISTERED
    return Finding("registration", fine, registration.sentence or registration.state.value)


def _account_host(account: Account | None) -> str | None:
    if account is None:
        return None
    if account.registrar is not None:
        return account.registrar.host
    try:
        uri = parse_uri(account.address)
    except SipError:
        return None
    return uri.host if isinstance(uri, SipUri) else None


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
