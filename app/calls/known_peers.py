"""What is remembered of people's phones between calls: who takes candidates that come after the offer (RFC 8840).

Learned from their answers to OPTIONS, and from every call with them. An offer to somebody who is known to take them
leaves at once; to anybody else it leaves with every candidate (half trickle, RFC 8838 section 16).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.sip.errors import ParseError
from app.sip.uri import SipUri, parse_uri

MAX_PEERS = 500


class KnownPeers:
    """By address; the ones that were met longest ago are forgotten first. `on_learned` keeps what is new for good."""

    def __init__(self, known: Iterable[str] = (), on_learned: Callable[[str, bool], None] | None = None) -> None:
        self._trickling = dict.fromkeys(known)
        self._on_learned = on_learned

    def trickles(self, uri: str) -> bool:
        """Whether the phones at this address are known to take candidates later."""
        return _key(uri) in self._trickling

    def learn(self, uri: str, trickles: bool) -> None:
        """Note what a phone at this address has just shown."""
        key = _key(uri)
        before = key in self._trickling
        self._trickling.pop(key, None)
        if trickles:
            self._trickling[key] = None
            while len(self._trickling) > MAX_PEERS:
                del self._trickling[next(iter(self._trickling))]
        if before != trickles and self._on_learned is not None:
            self._on_learned(key, trickles)


def _key(uri: str) -> str:
    """User, host and port: what tells phones apart, without parameters and display names."""
    try:
        parsed = parse_uri(uri.strip())
    except ParseError:
        return uri.strip().casefold()
    if not isinstance(parsed, SipUri):
        return str(parsed)
    port = f":{parsed.port}" if parsed.port is not None else ""
    return f"{parsed.user or ''}@{parsed.host.lower()}{port}"
