"""What `parley doctor` examines besides the network: devices, names, registration.

Each check runs for real and ends in one finding: fine, or what is wrong and what to do. Nothing is assumed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from app.engine.network_report import Finding
from app.events import DeviceInfo, RegistrationChanged, RegistrationState
from app.settings import Account, Settings
from app.sip.errors import SipError
from app.sip.uri import SipUri, parse_uri

DNS_LIMIT_S = 5.0


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
