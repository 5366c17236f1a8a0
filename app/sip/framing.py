"""Messages out of a byte stream: TCP and TLS have no datagrams, so Content-Length is the frame.

RFC 3261 sections 7.5 and 18.3, RFC 5626 section 3.5.1 (CRLF keep-alive). Holds at most one message of the largest
size in memory; knows no socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from app.sip.errors import ParseError
from app.sip.message_types import Request, Response
from app.sip.parsing import MAX_MESSAGE, Head

_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """What one message of a stream may take, in bytes."""

    head_bytes: int = MAX_MESSAGE
    body_bytes: int = MAX_MESSAGE


class KeepAlive(Enum):
    """Line ends between messages. A ping is answered with one CRLF, a pong is that answer."""

    PING = "ping"  # CRLF CRLF
    PONG = "pong"  # CRLF


@dataclass(frozen=True, slots=True)
class FramingError:
    """A bad message in a stream.

    Answer `error` if it can be answered (`app.sip.message.refusal_of`). When `fatal`, nobody can tell where the next
    message begins: close the connection. Otherwise the stream goes on.
    """

    error: ParseError
    fatal: bool


Frame = Request | Response | KeepAlive | FramingError


class StreamFramer:
    """Collects the bytes of one connection into messages.

    A message without Content-Length is fatal, as a wrong one is: a stream has nothing else to end it by. After a fatal
    error everything further is thrown away.
    """

    def __init__(self, limits: FrameLimits | None = None) -> None:
        self._limits = limits or FrameLimits()
        self._buffer = bytearray()
        self._searched = 0  # up to here the buffer is known to hold no end of a head
        self._head: Head | None = None  # read, its body still on the way
        self._length = 0
        self._half_ping = False  # a lone CRLF was reported; one more makes it a ping
        self._closed = False

    @property
    def waiting(self) -> bool:
        """Whether a message has begun and is not complete: a connection should not stay so for long."""
        return not self._closed and (self._head is not None or bool(self._buffer))

    def feed(self, data: bytes) -> list[Frame]:
        """Take what was received; give what became complete, in order."""
        frames: list[Frame] = []
        if self._closed:
            return frames
        self._buffer += data
        try:
            while (frame := self._next()) is not None:
                frames.append(frame)
        except ParseError as error:
            self._closed = True
            self._buffer.clear()
            frames.append(FramingError(error, fatal=True))
        return frames

    def _next(self) -> Frame | None:
        """The next complete frame, or None when more bytes are needed; ParseError when the stream is lost."""
        if self._head is None:
            keep_alive = self._keep_alive()
            if keep_alive is not None:
                return keep_alive
            if not self._read_head():
                return None
        head = self._head
        if head is None or len(self._buffer) < self._length:
            return None
        body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        self._head = None
        try:
            return head.finish(body)
        except ParseError as error:
            return FramingError(error, fatal=False)

    def _keep_alive(self) -> KeepAlive | None:
        """Take line ends off the front of the buffer (at a message boundary)."""
        buffer = self._buffer
        if not buffer.startswith(b"\r\n"):
            if buffer and buffer != b"\r":
                self._half_ping = False
            return None
        if buffer.startswith(_END):
            del buffer[:4]
            self._half_ping = False
            return KeepAlive.PING
        if buffer == b"\r\n\r":
            return None  # the rest of a ping is on its way
        del buffer[:2]
        self._half_ping = not self._half_ping
        return KeepAlive.PONG if self._half_ping else KeepAlive.PING

    def _read_head(self) -> bool:
        """Take a complete head off the buffer; False while its end has not come."""
        buffer = self._buffer
        end = buffer.find(_END, max(0, self._searched - 3))
        if (len(buffer) if end < 0 else end) > self._limits.head_bytes:
            raise ParseError("Message Too Large", status=513)
        if end < 0:
            self._searched = len(buffer)
            return False
        head = Head(bytes(buffer[:end]))
        del buffer[: end + 4]
        self._searched = 0
        try:
            length = head.content_length()
            if length is None:
                raise ParseError("Missing Content-Length header")
            if length > self._limits.body_bytes:
                raise ParseError("Message Too Large", status=513)
        except ParseError as error:
            raise head.blamed(error) from None
        self._head, self._length = head, length
        return True
