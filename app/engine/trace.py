"""The SIP messages of this run, bounded, as the ladder and the report show them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from app.engine.capture import PacketCapture
from app.engine.file_writer import FileWriter
from app.events import SipTrace

MAX_MESSAGES = 2_000
MAX_TEXT = 16_384

# The keys that travel in descriptions: SDES master keys (RFC 4568) and ICE passwords (RFC 8839 section 5.4).
_SECRETS = re.compile(rb"(a=crypto:\S+ \S+ inline:|a=ice-pwd:)[^\s|]+")


class TraceLog:
    """Takes every message from the endpoints, in or out; secrets are masked before they get here."""

    def __init__(
        self,
        clock_zero: float,
        publish: Callable[[SipTrace], None],
        file: FileWriter | None = None,
        capture: PacketCapture | None = None,
    ) -> None:
        self._zero = clock_zero
        self._publish = publish
        self._kept: deque[SipTrace] = deque(maxlen=MAX_MESSAGES)
        self._file = file
        self._capture = capture

    def add(self, direction: str, transport: str, local: str, remote: str, data: bytes, at: float) -> None:
        size_bytes = len(data)
        data = _SECRETS.sub(rb"\1********", data)
        text = data[:MAX_TEXT].decode("utf-8", "replace")
        line, _, rest = text.partition("\r\n")
        trace = SipTrace(
            at=at - self._zero,
            direction=direction,
            transport=transport,
            local=local,
            remote=remote,
            line=line[:200],
            size_bytes=size_bytes,
            text=text,
            call_id_header=_call_id(rest),
        )
        self._kept.append(trace)
        if self._file is not None:
            head = f"--- {trace.at:.4f} {direction} {transport} {local} {remote}\n"
            self._file.write(head.encode() + data + b"\n")
        if self._capture is not None:
            self._capture.sip(direction, local, remote, data)
        self._publish(trace)

    def of_call(self, call_id_headers: set[str] | None) -> tuple[SipTrace, ...]:
        """The kept messages in order; all of them, or those of one call's dialogs."""
        return tuple(
            trace for trace in self._kept if call_id_headers is None or trace.call_id_header in call_id_headers
        )

    def close(self) -> None:
        """Write what is waiting to the files. Blocks."""
        for written in (self._file, self._capture):
            if written is not None:
                written.close()


def _call_id(head: str) -> str:
    for line in head.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon and name.strip().lower() in ("call-id", "i"):
            return value.strip()
        if not line:
            break
    return ""
