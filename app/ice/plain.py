"""A flow without ICE: sends to the address the peer named, and follows where its authentic packets really come from.

The peer may stand behind a NAT that the signalling did not see, so its packets may come from elsewhere ("latching",
RFC 7362 section 4). Whether a packet from elsewhere is the peer's is for whoever has the keys to say: a stranger's
moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from app.ice.flows import flow_name, split_flow
from app.ice.stun import Address


class PlainPath:
    """The far end of one flow in plain mode."""

    def __init__(self, base: int, named: Address) -> None:
        self.base = base
        self.named = named
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


def may_belong(flow: str, data: bytes, plain: Container[str]) -> bool:
    """Tell whether a datagram from elsewhere can be of a flow among the `plain` ones.

    Where RTCP is a flow apart that shares the socket with RTP, its packet types are its own (RFC 5761 section 4):
    one flow does not follow what belongs to the other.
    """
    stream, component = split_flow(flow)
    is_media = len(data) > 1 and 128 <= data[0] <= 191
    is_rtcp = is_media and 192 <= data[1] <= 223
    if component != 1:
        return not is_media or is_rtcp
    return not (is_rtcp and flow_name(stream, 2) in plain)
