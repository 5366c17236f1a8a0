"""Paths written into Record-Route, so that the rest of a dialog finds its way back through NATs and connections.

Each Record-Route value of this server carries, in its user part, the hop to which a request that arrives with it on
top goes next; RFC 5626 section 5.2 calls this a flow token. It is signed together with the Call-ID: whoever writes a
Route of his own, or takes one from another call, cannot make this server send anything anywhere. So no table of
dialogs is kept, and strangers can grow nothing.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import struct

from app.settings import HostPort
from app.sip.hops import Hop
from app.sip.uri import SipUri

_TRANSPORTS = ("udp", "tcp", "tls")
_MAC_BYTES = 9
_HEAD = struct.Struct("!BIHH")  # transport and family, connection, remote port, local port


class FlowTokens:
    """Writes and reads the Record-Route values of one server. `secret` never leaves the process."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def route(self, to: Hop, facing: Hop, call_id: str) -> str:
        """Write a Record-Route value: whoever is at `facing` reaches this server by it, and through it `to`."""
        here = facing.local
        if here is None:
            raise ValueError(f"{facing} has no local address")
        uri = SipUri("sip", self._encode(to, call_id), None, here.host, here.port)
        if facing.transport != "udp":
            uri = uri.with_param("transport", facing.transport)
        return f"<{uri.with_param('lr')}>"

    def read(self, uri: SipUri, call_id: str) -> Hop | None:
        """Give the hop that a Route value of ours names; None when it is not ours, or not for this call."""
        try:
            data = base64.urlsafe_b64decode((uri.user or "").encode("ascii"))
            payload, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
            if not hmac.compare_digest(self._mac(payload, call_id), mac):
                return None
            return _unpack(payload)
        except (ValueError, UnicodeEncodeError, binascii.Error, struct.error):
            return None

    def _encode(self, hop: Hop, call_id: str) -> str:
        payload = _pack(hop)
        return base64.urlsafe_b64encode(payload + self._mac(payload, call_id)).decode("ascii")

    def _mac(self, payload: bytes, call_id: str) -> bytes:
        return hmac.digest(self._secret, payload + call_id.encode("utf-8", "surrogateescape"), "sha256")[:_MAC_BYTES]


def _pack(hop: Hop) -> bytes:
    remote = ipaddress.ip_address(hop.remote.host)
    local = hop.local or HostPort("::" if remote.version == 6 else "0.0.0.0", 0)
    kind = _TRANSPORTS.index(hop.transport) | (0x80 if remote.version == 6 else 0)
    head = _HEAD.pack(kind, hop.connection or 0, hop.remote.port, local.port)
    addresses = remote.packed + ipaddress.ip_address(local.host).packed
    # A length that base64 needs no "=" for: that character would have to be escaped in places.
    return head + addresses + bytes(-(len(head) + len(addresses) + _MAC_BYTES) % 3)


def _unpack(payload: bytes) -> Hop:
    kind, connection, remote_port, local_port = _HEAD.unpack_from(payload)
    size = 16 if kind & 0x80 else 4
    at = _HEAD.size
    remote, local = payload[at : at + size], payload[at + size : at + 2 * size]
    return Hop(
        _TRANSPORTS[kind & 0x7F],
        HostPort(str(ipaddress.ip_address(remote)), remote_port),
        HostPort(str(ipaddress.ip_address(local)), local_port) if local_port else None,
        connection=connection or None,
    )
