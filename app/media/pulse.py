"""What a PulseAudio server, or PipeWire in its place, says of its devices: through libpulse, beside PortAudio.

PortAudio sees such a server as one device and freezes even that list while a stream is open. Here a person's devices
have names, and what is plugged in during a call is seen at once. Everything here may block for a second and belongs
in a worker thread.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

logger = logging.getLogger(__name__)

READ_TIMEOUT_S = 1.0

_NO_AUTOSPAWN = 1
_READY, _FAILED = 4, 5
_SINKS, _SOURCES, _SERVER = 0x01, 0x02, 0x80
_STEP_US = 50_000
_MOST_DEVICES = 100


@dataclass(frozen=True, slots=True)
class PulseDevice:
    """A sink or source. `name` is the server's, `description` is unique and for a person.

    `plugged` is another one each time it was put in: by it one that was away for a moment is seen to have been.
    """

    name: str
    description: str
    is_default: bool
    plugged: int = 0


@dataclass(frozen=True, slots=True)
class PulseDevices:
    """What a server has."""

    microphones: tuple[PulseDevice, ...] = ()
    speakers: tuple[PulseDevice, ...] = ()


class _DeviceInfo(ctypes.Structure):
    """The beginning of pa_sink_info and pa_source_info."""

    _fields_ = (("name", ctypes.c_char_p), ("index", ctypes.c_uint32), ("description", ctypes.c_char_p))


class _ServerInfo(ctypes.Structure):
    """The beginning of pa_server_info."""

    _fields_ = (
        *((name, ctypes.c_char_p) for name in ("user", "host", "version", "server")),
        ("sample_spec", ctypes.c_uint32 * 3),
        ("default_sink", ctypes.c_char_p),
        ("default_source", ctypes.c_char_p),
    )


_ON_SERVER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_ServerInfo), ctypes.c_void_p)
_ON_DEVICE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_DeviceInfo), ctypes.c_int, ctypes.c_void_p)
_ON_EVENT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)


def read() -> PulseDevices | None:
    """Ask the server for its devices; None where there is no server, or where it does not answer within a second."""
    client = PulseClient.connected()
    if client is None:
        return None
    try:
        return client.devices()
    finally:
        client.close()


class PulseClient:
    """A connection to the server; used by one thread. Made by `connected`."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._loop = library.pa_mainloop_new()
        self._context = library.pa_context_new(library.pa_mainloop_get_api(self._loop), b"Parley (devices)")
        self._on_event: Any = None
        self._asked: list[Any] = []  # what the library may still call: it must outlive every question

    @classmethod
    def connected(cls) -> PulseClient | None:
        """Connect; None where that cannot be done."""
        library = _library()
        if library is None:
            return None
        client = cls(library)
        begun = library.pa_context_connect(client._context, None, _NO_AUTOSPAWN, None) >= 0
        if begun and client._wait(lambda: client._state >= _READY) and client.alive:
            return client
        client.close()
        return None

    @property
    def alive(self) -> bool:
        """Whether the server is there still."""
        return self._state == _READY

    @property
    def _state(self) -> int:
        return int(self._library.pa_context_get_state(self._context))

    def devices(self) -> PulseDevices | None:
        """Ask for everything; None when the server does not answer."""
        defaults: list[tuple[bytes, bytes]] = []
        found: dict[str, list[tuple[bytes, bytes, int]]] = {"sink": [], "source": []}
        ended: list[str] = []

        def take_server(context: int, info: Any, data: int) -> None:
            defaults.append((info[0].default_source or b"", info[0].default_sink or b"") if info else (b"", b""))

        def taker(kind: str) -> Any:
            def on_device(context: int, info: Any, end: int, data: int) -> None:
                if end:
                    ended.append(kind)
                elif len(found[kind]) < _MOST_DEVICES:
                    found[kind].append((info[0].name or b"", info[0].description or b"", info[0].index))

            return _ON_DEVICE(on_device)

        on_server = _ON_SERVER(take_server)
        on_sink, on_source = taker("sink"), taker("source")
        self._asked = [on_server, on_sink, on_source]
        library, context = self._library, self._context
        operations = [
            library.pa_context_get_server_info(context, on_server, None),
            library.pa_context_get_sink_info_list(context, on_sink, None),
            library.pa_context_get_source_info_list(context, on_source, None),
        ]
        answered = self._wait(lambda: (bool(defaults) and len(ended) == 2) or not self.alive) and self.alive
        for operation in operations:
            if operation:
                library.pa_operation_cancel(operation)  # one that is not answered yet would call back into nothing
                library.pa_operation_unref(operation)
        if not answered:
            return None
        source, sink = defaults[0]
        # What a sink plays is no microphone, unless somebody made it the one that everybody hears.
        microphones = [row for row in found["source"] if row[0] == source or not row[0].endswith(b".monitor")]
        return PulseDevices(_named(microphones, source), _named(found["sink"], sink))

    def watch(self, on_change: Callable[[], None]) -> None:
        """Have `on_change` called, from `step`, whenever a device or the default is another one."""
        self._on_event = _ON_EVENT(lambda context, event, index, data: on_change())
        self._library.pa_context_set_subscribe_callback(self._context, self._on_event, None)
        operation = self._library.pa_context_subscribe(self._context, _SINKS | _SOURCES | _SERVER, None, None)
        if operation:
            self._library.pa_operation_unref(operation)

    def step(self, timeout_s: float) -> bool:
        """Wait for the server to say something, at most so long; False when it is gone."""
        library = self._library
        if (
            library.pa_mainloop_prepare(self._loop, int(timeout_s * 1e6)) >= 0
            and library.pa_mainloop_poll(self._loop) >= 0
        ):
            return library.pa_mainloop_dispatch(self._loop) >= 0 and self.alive
        return False

    def close(self) -> None:
        """Hang up."""
        if self._loop is not None:
            self._library.pa_context_disconnect(self._context)
            self._library.pa_context_unref(self._context)
            self._library.pa_mainloop_free(self._loop)
            self._loop = None

    def _wait(self, condition: Callable[[], bool]) -> bool:
        """Let the connection work until the condition holds; False after a second."""
        library, end = self._library, time.monotonic() + READ_TIMEOUT_S
        while not condition():
            if time.monotonic() > end or library.pa_mainloop_prepare(self._loop, _STEP_US) < 0:
                return False
            if library.pa_mainloop_poll(self._loop) < 0 or library.pa_mainloop_dispatch(self._loop) < 0:
                return False
        return True


def _named(rows: list[tuple[bytes, bytes, int]], default: bytes) -> tuple[PulseDevice, ...]:
    """Give devices names that tell them apart."""
    words = [(name.decode("utf-8", "replace"), text.decode("utf-8", "replace")) for name, text, _ in rows]
    known = Counter(text for _, text in words)
    return tuple(
        PulseDevice(name, text if text and known[text] == 1 else f"{text} ({name})".strip(), row[0] == default, row[2])
        for row, (name, text) in zip(rows, words, strict=True)
    )


@lru_cache(maxsize=1)
def _library() -> Any:
    """Open libpulse; None where it is not installed."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libpulse.so.0")
    except OSError as error:
        logger.info("no libpulse: %s", error)
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int
    for name, result, arguments in (
        ("pa_mainloop_new", pointer, []),
        ("pa_mainloop_get_api", pointer, [pointer]),
        ("pa_mainloop_prepare", number, [pointer, number]),
        ("pa_mainloop_poll", number, [pointer]),
        ("pa_mainloop_dispatch", number, [pointer]),
        ("pa_mainloop_free", None, [pointer]),
        ("pa_context_new", pointer, [pointer, ctypes.c_char_p]),
        ("pa_context_connect", number, [pointer, ctypes.c_char_p, number, pointer]),
        ("pa_context_get_state", number, [pointer]),
        ("pa_context_disconnect", None, [pointer]),
        ("pa_context_unref", None, [pointer]),
        ("pa_context_get_server_info", pointer, [pointer, _ON_SERVER, pointer]),
        ("pa_context_get_sink_info_list", pointer, [pointer, _ON_DEVICE, pointer]),
        ("pa_context_get_source_info_list", pointer, [pointer, _ON_DEVICE, pointer]),
        ("pa_context_set_subscribe_callback", None, [pointer, _ON_EVENT, pointer]),
        ("pa_context_subscribe", pointer, [pointer, number, pointer, pointer]),
        ("pa_operation_cancel", None, [pointer]),
        ("pa_operation_unref", None, [pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
