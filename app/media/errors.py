"""What the media package raises."""

from __future__ import annotations


class MediaError(Exception):
    """Something media needs was refused, malformed or failed; str() is one sentence for a person."""


class SecurityError(MediaError):
    """The keys could not be agreed: no handshake, or a certificate that is not the one that was announced."""


class PacketError(MediaError):
    """An RTP or RTCP packet, or a payload in one, is malformed."""
