"""Messages out of a byte stream: STUN and ChannelData over TCP and TLS (RFC 8656 section 12.5), and the frames of
ICE over TCP (RFC 4571).
"""

from __future__ import annotations

from app.ice.stun import HEADER_SIZE, StunError


class StunFramer:
    """Cuts a byte stream into whole messages; ChannelData keeps its header and loses its padding later."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether a message has begun that is not whole yet."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes; gives the messages they complete. StunError when the stream is no STUN at all.

        The buffer is bounded by the longest message there can be, 65,555 bytes, plus what one read brings.
        """
        self._buffer += data
        messages = []
        while len(self._buffer) >= 4:
            first, length = self._buffer[0], int.from_bytes(self._buffer[2:4], "big")
            if first < 4:
                size = HEADER_SIZE + length
            elif 0x40 <= first <= 0x7F:  # RFC 5766 had channels beyond 0x4FFF, and a stream holds nothing else
                size = 4 + length + -length % 4
            else:
                raise StunError(f"no STUN message starts with {first:#04x}")
            if len(self._buffer) < size:
                break
            messages.append(bytes(self._buffer[:size]))
            del self._buffer[:size]
        return messages


def frame(data: bytes) -> bytes:
    """Put a datagram's length before it (RFC 4571 section 2); at most 65,535 bytes."""
    return len(data).to_bytes(2, "big") + data


class LengthFramer:
    """Cuts a byte stream into the datagrams that `frame` put in.

    The buffer is bounded by the longest frame there can be, 65,537 bytes, plus what one read brings.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes; gives the datagrams they complete. Any bytes are a valid stream."""
        self._buffer += data
        messages = []
        at = 0
        while len(self._buffer) >= at + 2:
            end = at + 2 + int.from_bytes(self._buffer[at : at + 2], "big")
            if len(self._buffer) < end:
                break
            messages.append(bytes(self._buffer[at + 2 : end]))
            at = end
        del self._buffer[:at]
        return messages

    @property
    def awaited(self) -> int:
        """How long the datagram is that has begun and is not complete; 0 when there is none."""
        return int.from_bytes(self._buffer[:2], "big") if len(self._buffer) >= 2 else 0
