"""Which proxy a connection to a TURN server takes, and what went wrong with it in words.

HTTP CONNECT (RFC 9110 section 9.3.6) and SOCKS; the environment's variables as most programs read them. User name
and password in a proxy's URL are secrets: only `shown` may be told.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from app.names import NAMES
from app.settings import HostPort, without_user_info

SCHEMES = ("http", "socks4", "socks5", "socks5h")
_WHO = "it asks for a user name and password, or does not accept those in its URL"
_REFUSALS = {
    400: "it does not understand the request",
    401: _WHO,
    403: "it does not allow connections to this server",
    405: "it does not let connections through (CONNECT is switched off)",
    407: _WHO,
    502: "it cannot reach the server",
    503: "it cannot reach the server",
    504: "the server does not answer it",
}


class ProxyError(Exception):
    """The proxy did not let the connection through; the message is a clause that says why."""


def shown(proxy: str) -> str:
    """Give a proxy's URL without the user information in it."""
    return without_user_info(proxy)


def proxy_for(host: str, setting: str, environment: Mapping[str, str]) -> str | None:
    """Pick the proxy toward a host: the setting, else https_proxy or all_proxy, unless no_proxy names the host.

    The setting "none" means no proxy at all.
    """
    if setting:
        return None if setting == "none" else setting
    if _is_excepted(host, _variable("no_proxy", environment)):
        return None
    return _variable("https_proxy", environment) or _variable("all_proxy", environment) or None


def _variable(name: str, environment: Mapping[str, str]) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _is_excepted(host: str, exceptions: str) -> bool:
    """Read no_proxy: names with their subdomains, addresses, networks, or * for everything."""
    host = host.lower().rstrip(".")
    for entry in (part.strip().lower() for part in exceptions.split(",")):
        if entry == "*":
            return True
        name = entry.removeprefix("*").lstrip(".")
        if name and (host == name or host.endswith(f".{name}")):
            return True
        if entry and _is_in_network(host, entry):
            return True
    return False


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


async def _by_address(proxy: str) -> str:
    """Give the URL with a numeric address: the library's own lookup would take a thread that others wait for."""
    url = urlsplit(proxy)
    if not url.hostname or not url.port:
        raise ValueError("no host or port")
    who, at, _ = url.netloc.rpartition("@")
    place = HostPort((await NAMES.addresses(url.hostname))[0], url.port)
    return f"{url.scheme.removesuffix('h')}://{who}{at}{place}"


async def _address(host: str) -> str:
    try:
        return next(address for address in await NAMES.addresses(host) if ":" not in address)
    except (OSError, StopIteration):
        raise ProxyError("it must be told an IPv4 address, and none was found for this name") from None


async def connect_through(proxy: str, host: str, port: int) -> socket.socket:
    """Open a connection to a host through a proxy; gives the connected socket. ProxyError says why not."""
    # Loaded here: nearly nobody has a proxy, and no INVITE waits for a library that it does not need.
    from python_socks import ProxyError as LibraryError
    from python_socks import ProxyTimeoutError
    from python_socks.async_.asyncio import Proxy

    scheme = urlsplit(proxy).scheme.lower()
    if scheme not in SCHEMES:
        raise ProxyError(f"a proxy's URL starts with one of {', '.join(f'{one}://' for one in SCHEMES)}")
    if scheme == "socks4":  # knows no names
        host = await _address(host)
    try:
        opened = Proxy.from_url(await _by_address(proxy), rdns=scheme != "socks4")
        connected: socket.socket = await opened.connect(host, port)
    except LibraryError as error:
        raise ProxyError(_REFUSALS.get(error.error_code or 0) or f"it refused ({str(error)[:60]})") from error
    except ProxyTimeoutError as error:
        raise ProxyError("it does not answer") from error
    except OSError as error:
        raise ProxyError("it cannot be reached: check its address and that it runs") from error
    except ValueError as error:
        raise ProxyError("its URL cannot be used") from error
    return connected
