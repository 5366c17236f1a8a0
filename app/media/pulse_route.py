"""Which device of a sound server a stream that is opened leads to: libpulse takes its name from the environment.

The value changes in place. setenv moves the table of variables, and whoever reads it at that moment in another thread
reads freed memory (glibc before 2.41); libpulse and ALSA read it in threads of their own. So a buffer that is never
freed becomes part of the table once (putenv), and only its letters change from then on.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from functools import lru_cache

_ROOM = 1024  # of a variable with its value; a server's names have at most 128 bytes
_HIDDEN = b"-"  # instead of its first letter: nobody looks for that name


class EnvironmentSlot:
    """One environment variable of this process. For one thread at a time; read by any."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._before = os.environ.get(name)
        libc = ctypes.CDLL(None)
        libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        libc.putenv.argtypes = [ctypes.c_void_p]
        place = libc.malloc(_ROOM)
        if not place:
            raise MemoryError
        self._place = int(place)
        self._first = ctypes.c_char.from_address(place)
        self._write(self._before)
        if libc.putenv(place) != 0:
            raise OSError(f"no room for {name} in the environment")

    @contextlib.contextmanager
    def holding(self, value: str) -> Iterator[None]:
        """Let it have a value meanwhile. Raises ValueError for one that has no room."""
        self._write(value)
        try:
            yield
        finally:
            self._write(self._before)

    def _write(self, value: str | None) -> None:
        whole = self._name + b"=" + os.fsencode(value or "") + b"\0"
        if len(whole) > _ROOM:
            raise ValueError("the name of a device is too long")
        self._first.value = _HIDDEN
        ctypes.memmove(self._place + 1, whole[1:], len(whole) - 1)
        if value is not None:
            self._first.value = whole[:1]


@lru_cache(maxsize=2)
def slot(variable: str) -> EnvironmentSlot | None:
    """Give the variable's slot; None on systems without PulseAudio. Make it before a sound library has threads."""
    return EnvironmentSlot(variable) if sys.platform.startswith("linux") else None
