"""STUN messages and ChannelData out of a byte stream: TURN over TCP and TLS (RFC 8656 section 12.5)."""

from __future__ import annotations

from app.ice.stun import HEADER_SIZE, StunError


class StunFramer:
    """Cuts a byte stream into whole messages; ChannelData keeps its header and loses its padding later."""

    def __init__(self) -> None:
        self._buffer = bytearray()

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
            elif 0x40 <= first <= 0x4F:
                size = 4 + length + -length % 4
            else:
                raise StunError(f"no STUN message starts with {first:#04x}")
            if len(self._buffer) < size:
                break
            messages.append(bytes(self._buffer[:size]))
            del self._buffer[:size]
        return messages
