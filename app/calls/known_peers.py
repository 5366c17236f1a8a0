"""What is remembered of people's phones between calls: who takes candidates that come after the offer (RFC 8840).

Learned from their answers to OPTIONS, and from every call with them. An offer to somebody who is known to take them
leaves at once; to anybody else it leaves with every candidate (half trickle, RFC 8838 section 16). Besides, for as long
as this runs: who sends RTCP and RTP together (rtcp_apart.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from app.sip.errors import ParseError
from app.sip.uri import SipUri, parse_uri

MAX_PEERS = 500


class KnownPeers:
    """By address; the ones that were met longest ago are forgotten first."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._trickling = dict.fromkeys(known)
        self._news: dict[str, bool] = {}
        self._multiplexing: dict[str, bool] = {}

    def multiplexes(self, uri: str) -> bool:
        """Whether the phones at this address are known to send RTCP and RTP together.

        Who takes candidates later does so too: both came with WebRTC.
        """
        return self._multiplexing.get(_key(uri), self.trickles(uri))

    def learn_rtcp(self, uri: str, *, apart: bool) -> None:
        """Note how a phone at this address has just described its RTCP."""
        self._multiplexing.pop(_key(uri), None)
        self._multiplexing[_key(uri)] = not apart
        while len(self._multiplexing) > MAX_PEERS:
            del self._multiplexing[next(iter(self._multiplexing))]

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
        if before != trickles:
            self._news[key] = trickles
            while len(self._news) > MAX_PEERS:
                del self._news[next(iter(self._news))]

    def take_news(self) -> dict[str, bool]:
        """What was learned since this was last asked, by address as `__init__` takes it: to be kept for good."""
        news, self._news = self._news, {}
        return news


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
