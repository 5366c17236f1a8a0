"""A connection to a PulseAudio server, or to PipeWire in its place, through libpulse; and what it says of its devices.

PortAudio would see such a server as one device and freeze even that list while a stream is open. Here a person's
devices have names, and what is plugged in during a call is seen at once. Everything here may block for a second and
belongs in a worker thread.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
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
_READY = 4
_SINKS, _SOURCES, _SERVER = 0x01, 0x02, 0x80
_STEP_S = 0.05
_MOST_DEVICES = 100
_MONITOR = b".monitor"
_NO_SINK = b"auto_null"  # what plays into nothing while there is no speaker: "Dummy Output"
_NO_ANSWER = "the sound server does not answer"
_TOO_MANY_FILES = "too many files are open"
_FILES = 8  # that a connection takes, and more
# People set it for programs that stutter. libpulse puts it in the place of any length of queue that a stream asks for.
_LENGTH_OVERRIDE = "PULSE_LATENCY_MSEC"


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


class SampleSpec(ctypes.Structure):
    """pa_sample_spec."""

    _fields_ = (("format", ctypes.c_int), ("rate", ctypes.c_uint32), ("channels", ctypes.c_uint8))


class BufferSizes(ctypes.Structure):
    """pa_buffer_attr, in bytes."""

    _fields_ = tuple((name, ctypes.c_uint32) for name in ("maxlength", "tlength", "prebuf", "minreq", "fragsize"))


_ON_SERVER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_ServerInfo), ctypes.c_void_p)
_ON_DEVICE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_DeviceInfo), ctypes.c_int, ctypes.c_void_p)
_ON_EVENT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)


def read() -> PulseDevices | None:
    """Ask the server for its devices; None where there is no server. TimeoutError where it does not answer."""
    client = PulseClient.connected()
    if client is None:
        return None
    try:
        found = client.devices()
        if found is None and client.alive:
            raise TimeoutError(_NO_ANSWER)
        return found
    finally:
        client.close()


class PulseClient:
    """A connection to the server; used by one thread. Made by `connected`; OSError where the system gives no more.

    `library` is libpulse, and `quick` too: it keeps Python's lock while it is called, for what never waits.
    """

    def __init__(self, library: Any, quick: Any, name: bytes) -> None:
        self.library = library
        self.quick = quick
        self._loop = library.pa_mainloop_new()
        if self._loop is None:  # no file can be opened any more; the library would end the process
            raise OSError("no connection to a sound server can be made")
        self.context = library.pa_context_new(library.pa_mainloop_get_api(self._loop), name)
        if self.context is None:
            library.pa_mainloop_free(self._loop)
            raise OSError("no connection to a sound server can be made")
        self._on_event: Any = None
        self._asked: list[Any] = []  # what the library may still call: it must outlive every question

    @classmethod
    def connected(cls, name: bytes = b"Parley (devices)", timeout_s: float = READ_TIMEOUT_S) -> PulseClient | None:
        """Connect under a name for people; None where there is no server.

        TimeoutError where it does not answer, or cannot be asked: the text is a clause for a person.
        """
        library = _library()
        if library is None:
            return None
        os.environ.pop(_LENGTH_OVERRIDE, None)  # out of what the library sees too
        try:
            client = cls(library, _library(ctypes.PyDLL), name)
        except OSError as error:
            raise TimeoutError(_TOO_MANY_FILES if _files_run_out() else _NO_ANSWER) from error
        if library.pa_context_connect(client.context, None, _NO_AUTOSPAWN, None) >= 0:
            answered = client.wait(lambda: client._state >= _READY, timeout_s)
            if client.alive:
                return client
            if not answered and client._state < _READY:
                client.close()
                raise TimeoutError(_NO_ANSWER)
        client.close()
        if _files_run_out():  # the library says that there is no server
            raise TimeoutError(_TOO_MANY_FILES)
        return None

    @property
    def alive(self) -> bool:
        """Whether the server is there still."""
        return self._state == _READY

    @property
    def _state(self) -> int:
        return int(self.library.pa_context_get_state(self.context))

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
        library, context = self.library, self.context
        operations = [
            library.pa_context_get_server_info(context, on_server, None),
            library.pa_context_get_sink_info_list(context, on_sink, None),
            library.pa_context_get_source_info_list(context, on_source, None),
        ]
        answered = self.wait(lambda: (bool(defaults) and len(ended) == 2) or not self.alive) and self.alive
        for operation in operations:
            if operation:
                library.pa_operation_cancel(operation)  # one that is not answered yet would call back into nothing
                library.pa_operation_unref(operation)
        if not answered:
            return None
        source, sink = defaults[0]
        # What a sink plays is no microphone, unless somebody made it the one that everybody hears. Where there is no
        # other one nobody did: the server takes it, and the far end would hear itself.
        microphones = [row for row in found["source"] if not row[0].endswith(_MONITOR)]
        if microphones:
            microphones = [row for row in found["source"] if row in microphones or row[0] == source]
        speakers = [row for row in found["sink"] if row[0].partition(b".")[0] != _NO_SINK]
        return PulseDevices(_named(microphones, source), _named(speakers, sink))

    def watch(self, on_change: Callable[[], None]) -> None:
        """Have `on_change` called, from `step`, whenever a device or the default is another one."""
        self._on_event = _ON_EVENT(lambda context, event, index, data: on_change())
        self.library.pa_context_set_subscribe_callback(self.context, self._on_event, None)
        operation = self.library.pa_context_subscribe(self.context, _SINKS | _SOURCES | _SERVER, None, None)
        if operation:
            self.library.pa_operation_unref(operation)

    def step(self, timeout_s: float) -> bool:
        """Wait for the server to say something, at most so long; False when it is gone."""
        return self.round(timeout_s) >= 0 and self.alive

    def round(self, timeout_s: float) -> int:
        """Send what is to be sent, else wait at most so long; give how much there was, below 0 when the server is gone.

        Only the wait lets go of Python's lock: what follows it would have to queue for it several times.
        """
        quick, loop = self.quick, self._loop
        if quick.pa_mainloop_prepare(loop, int(timeout_s * 1e6)) < 0 or self.library.pa_mainloop_poll(loop) < 0:
            return -1
        done: int = quick.pa_mainloop_dispatch(loop)
        return done

    def flush(self) -> bool:
        """Send what is to be sent, without waiting; False when the server is gone."""
        return bool(self.quick.pa_mainloop_iterate(self._loop, 0, None) >= 0)

    def wait(self, condition: Callable[[], bool], timeout_s: float = READ_TIMEOUT_S) -> bool:
        """Let the connection work until the condition holds; False after a while, or where the server is gone."""
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end or self.round(_STEP_S) < 0:
                return False
        return True

    def close(self) -> None:
        """Hang up."""
        if self._loop is not None:
            self.library.pa_context_disconnect(self.context)
            self.library.pa_context_unref(self.context)
            self.library.pa_mainloop_free(self._loop)
            self._loop = None


def _named(rows: list[tuple[bytes, bytes, int]], default: bytes) -> tuple[PulseDevice, ...]:
    """Give devices names that tell them apart."""
    words = [(name.decode("utf-8", "replace"), text.decode("utf-8", "replace")) for name, text, _ in rows]
    known = Counter(text for _, text in words)
    return tuple(
        PulseDevice(name, text if text and known[text] == 1 else f"{text} ({name})".strip(), row[0] == default, row[2])
        for row, (name, text) in zip(rows, words, strict=True)
    )


def _files_run_out() -> bool:
    """Tell whether a connection may have failed because no more files can be opened."""
    opened: list[int] = []
    try:
        while len(opened) < _FILES:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    finally:
        for one in opened:
            os.close(one)
    return False


@lru_cache(maxsize=2)
def _library(way: Callable[[str], Any] = ctypes.CDLL) -> Any:
    """Open libpulse; None where it is not installed."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = way("libpulse.so.0")
    except OSError as error:
        logger.info("no libpulse: %s", error)
        return None
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    for name, result, arguments in (
        ("pa_mainloop_new", pointer, []),
        ("pa_mainloop_get_api", pointer, [pointer]),
        ("pa_mainloop_prepare", number, [pointer, number]),
        ("pa_mainloop_poll", number, [pointer]),
        ("pa_mainloop_dispatch", number, [pointer]),
        ("pa_mainloop_iterate", number, [pointer, number, pointer]),
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
        ("pa_stream_new", pointer, [pointer, ctypes.c_char_p, pointer, pointer]),
        ("pa_stream_connect_playback", number, [pointer, ctypes.c_char_p, pointer, number, pointer, pointer]),
        ("pa_stream_connect_record", number, [pointer, ctypes.c_char_p, pointer, number]),
        ("pa_stream_get_state", number, [pointer]),
        ("pa_stream_get_buffer_attr", ctypes.POINTER(BufferSizes), [pointer]),
        ("pa_stream_readable_size", size, [pointer]),
        ("pa_stream_peek", number, [pointer, pointer, pointer]),
        ("pa_stream_drop", number, [pointer]),
        ("pa_stream_writable_size", size, [pointer]),
        ("pa_stream_write", number, [pointer, pointer, size, pointer, ctypes.c_int64, number]),
        ("pa_stream_get_underflow_index", ctypes.c_int64, [pointer]),
        ("pa_stream_drain", pointer, [pointer, pointer, pointer]),
        ("pa_stream_disconnect", number, [pointer]),
        ("pa_stream_unref", None, [pointer]),
        ("pa_operation_get_state", number, [pointer]),
        ("pa_operation_cancel", None, [pointer]),
        ("pa_operation_unref", None, [pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
