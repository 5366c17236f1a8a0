"""Who we are and where we can be reached: From, Contact, the next hop for a target, what NATs taught us.

RFC 3261 sections 8.1.1 and 8.1.2, RFC 3581, RFC 3966 section 5 (tel: URIs over a SIP provider). Pure.
"""

from __future__ import annotations

import ipaddress

from app.settings import HostPort
from app.sip.config import SipConfig
from app.sip.errors import ParseError, SipError
from app.sip.headers import Via
from app.sip.hops import DEFAULT_PORTS, Hop
from app.sip.uri import NameAddr, SipUri, TelUri, Uri, parse_uri

_MAX_LEARNED = 64
_TRANSPORTS = ("udp", "tcp", "tls")


class Identity:
    """The endpoint's names and addresses, from its configuration."""

    def __init__(self, config: SipConfig) -> None:
        account = config.account
        self._account = account
        self._config = config
        self._learned: dict[tuple[str, HostPort], HostPort] = {}
        self.address: SipUri | None = None
        if account is not None:
            try:
                address = parse_uri(account.address)
            except ParseError as error:
                raise SipError(f"{account.address[:60]} is not a SIP address: {error}") from None
            if not isinstance(address, SipUri) or not address.user:
                raise SipError(f"{account.address[:60]} is not a SIP address like sip:name@server")
            transport = account.transport.value if account.transport is not None else address.param("transport")
            if transport is not None and transport.lower() not in _TRANSPORTS:
                raise SipError(f"The transport {transport} is not supported: use udp, tcp or tls")
            self._transport = transport.lower() if transport else None
            self.address = SipUri(address.scheme, address.user, None, address.host, address.port)
        self.user = (self.address.user if self.address is not None else config.user) or "parley"

    @property
    def auth_user(self) -> str:
        return (self._account.auth_user if self._account is not None else "") or self.user

    def own_name(self, hop: Hop | None) -> NameAddr:
        """From, without its tag. Without an account the address toward `hop` stands in for a domain."""
        if self.address is not None and self._account is not None:
            # The port of an account's address names its server, and stays in the address of record.
            return NameAddr(self._account.display_name or self._config.display_name, self.address)
        local = hop.local if hop is not None else None
        host = local.host if local is not None else "localhost"
        port = local.port if local is not None and local.port != 5060 else None
        return NameAddr(self._config.display_name, SipUri("sip", self.user, None, host, port))

    def target(self, target: str | Uri) -> SipUri:
        """What a person or a link names, as the Request-URI of a call; SipError with a sentence otherwise."""
        try:
            uri = parse_uri(target.strip()) if isinstance(target, str) else target
        except ParseError:
            raise SipError(f"{str(target)[:60]} is not an address that can be called: write sip:name@server") from None
        if isinstance(uri, TelUri):
            if self.address is None:
                raise SipError("A telephone number can only be called with an account")
            return SipUri("sip", uri.digits, None, self.address.host, self.address.port, (("user", "phone"),))
        if not isinstance(uri, SipUri):
            raise SipError(f"{uri.scheme}: addresses cannot be called: use sip: or tel:")
        return uri.without_headers()

    def is_account(self, uri: Uri) -> bool:
        """Whether a request to `uri` goes to the account's own server."""
        if self.address is None or self._account is None or not isinstance(uri, SipUri):
            return False
        if uri.host == self.address.host:
            return uri.port is None or uri.port in self._account_ports()
        # Another domain is reached through a server that was named expressly; an address literal directly.
        return self._account.registrar is not None and not _is_address(uri.host)

    def _account_ports(self) -> set[int]:
        registrar = self._account.registrar if self._account is not None else None
        named = self.address.port if self.address is not None else None
        return {registrar.port if registrar is not None else named or 5060, named or 5060}

    def next_hop(self, uri: SipUri) -> SipUri:
        """The URI that decides where a request to `uri` outside a dialog is sent."""
        return self.server if self.server is not None and self.is_account(uri) else uri

    @property
    def server(self) -> SipUri | None:
        """The account's registrar and outbound proxy; None without an account."""
        if self.address is None or self._account is None:
            return None
        registrar = self._account.registrar
        host, port = (registrar.host, registrar.port) if registrar else (self.address.host, self.address.port)
        params = (("transport", self._transport),) if self._transport else ()
        return SipUri(self.address.scheme, None, None, host.strip("[]").lower(), port, params)

    def contact(self, hop: Hop) -> str:
        """The Contact value for what goes over `hop`."""
        here = self._learned.get((hop.transport, hop.remote)) or hop.local or HostPort("0.0.0.0", 5060)
        params: tuple[tuple[str, str | None], ...] = ()
        if hop.transport != "udp":
            params = (("transport", hop.transport),)
        scheme = "sips" if self.address is not None and self.address.scheme == "sips" else "sip"
        port = None if here.port == DEFAULT_PORTS["udp"] and hop.transport != "tls" else here.port
        return f"<{SipUri(scheme, self.user, None, here.host, port, params)}>"

    def learn(self, via: Via, hop: Hop) -> bool:
        """Note how the far end of `hop` sees us; whether that is news.

        Over TCP the port that it sees is the connection's, not the one we listen at: it only counts when the address
        differs too, for then a NAT stands between and the connection is the only way back. Over TLS we do not listen,
        so that it always counts.
        """
        received, local = via.received, hop.local
        if local is None or received is None:
            return False
        seen = HostPort(received, via.rport or local.port)
        changed = seen.host != local.host or (hop.transport != "tcp" and seen.port != local.port)
        key = (hop.transport, hop.remote)
        before = self._learned.get(key)
        if not changed:
            self._learned.pop(key, None)
            return before is not None
        self._learned.pop(key, None)
        self._learned[key] = seen
        while len(self._learned) > _MAX_LEARNED:
            del self._learned[next(iter(self._learned))]
        return before != seen

    def forget_learned(self) -> None:
        """The network changed: what was learned is no longer true."""
        self._learned.clear()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
