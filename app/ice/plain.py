"""A flow without ICE: sends to the address the peer named, and follows where its authentic packets really come from.

The peer may stand behind a NAT that the signalling did not see, so its packets may come from elsewhere ("latching",
RFC 7362 section 4). Whether a packet from elsewhere is the peer's is for whoever has the keys to say: a stranger's
moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from app.ice.stun import Address


class PlainPath:
    """The far end of one flow in plain mode."""

    def __init__(self, base: int, named: Address) -> None:
        self.base = base
        self.remote = named
        self.sent_bytes = 0
        self.received_bytes = 0

    def is_from_peer(self, base: int, source: Address) -> bool:
        """Tell whether a packet comes from where the peer is known to be."""
        return (base, source) == (self.base, self.remote)

    def follow(self, base: int, source: Address, take: Callable[[], bool]) -> bool:
        """Go on with `source` if its packet is the peer's: `take` uses the packet and tells so.

        What `take` sends meanwhile, such as the answer to a handshake, goes to `source` already.
        """
        if base != self.base:
            return False
        before, self.remote = self.remote, source
        if take():
            return True
        self.remote = before
        return False
