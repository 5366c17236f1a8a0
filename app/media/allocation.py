"""How much each stream of a transport may send: what streams ask for, and how an estimate is shared out among them.

All rates are bits per second on the wire, with RTP, SRTP, UDP and IP (`PACKET_OVERHEAD_BYTES` a packet), since that is
what a narrow path counts. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

# IPv4 20 (IPv6 20 more), UDP 8, RTP 12, header extensions with MID and transport sequence number 12, SRTP tag 10 to 16
PACKET_OVERHEAD_BYTES = 64


@dataclass(frozen=True, slots=True)
class BitrateWish:
    """What a stream can use: below `least_bps` it is better silent, above `most_bps` nothing gets better."""

    least_bps: int
    most_bps: int
