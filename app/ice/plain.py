"""A stream without ICE: sends to the address the peer named, and follows where its packets really come from.

The peer may stand behind a NAT that the signalling did not see, so the first packet's source is taken as its
address ("latching"). A packet from the very address that was named settles it for good; a stranger who was
first loses the stream as soon as the real peer's packet comes. RFC 7362 section 4 describes the practice.
"""

from __future__ import annotations

from app.ice.stun import Address


class PlainPath:
    """The far end of one stream in plain mode."""

    def __init__(self, base: int, named: Address) -> None:
        self.base = base
        self.named = named
        self.remote = named
        self.latched = False
        self.sent_bytes = 0
        self.received_bytes = 0

    def accepts(self, base: int, source: Address) -> bool:
        """Tell whether a packet from there belongs to the stream, and latch on it if it is the first."""
        if base != self.base:
            return False
        if source == self.named or not self.latched:
            self.remote, self.latched = source, True
        return source == self.remote
