"""One open microphone for all who listen to it: calls, channels and a trial of the devices share a device by its name.

The first listener opens it, and it is released when the last one is gone. Some systems let a microphone be opened once
only; and what is open once is one light, one entry in the system's list, and half the work.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from app.media.device_keeper import DeviceKeeper
from app.media.sound_device import Block

logger = logging.getLogger(__name__)

Listener = Callable[[Block, float], None]
"""Called on the device's thread with each 20 ms, which it may keep unchanged, and how many seconds of sound wait behind
them; may take a few milliseconds."""


class Input:
    """A microphone; made by `join`."""

    def __init__(self, device: str) -> None:
        self.keeper = DeviceKeeper("microphone", device, self._fill)
        self._device = device
        self._listeners: tuple[Listener, ...] = ()
        self._failed: tuple[Listener, ...] = ()  # of which that was said

    def leave(self, listener: Listener, *, wait: bool = True) -> None:
        """Listen no more. The last one releases the device: with `wait` now (may take seconds), else soon."""
        with _lock:
            self._listeners = tuple(one for one in self._listeners if one is not listener)
            self._failed = tuple(one for one in self._failed if one is not listener)
            if self._listeners:
                return
            if _inputs.get(self._device) is self:
                del _inputs[self._device]
        self.keeper.close(wait=wait)

    def _listen(self, listener: Listener) -> None:
        self._listeners = (*self._listeners, listener)

    def _fill(self, block: Block) -> None:
        """Runs in the device's thread."""
        behind_s = self.keeper.behind_s
        for listener in self._listeners:
            try:
                listener(block, behind_s)
            except Exception:  # others hear by this device, and its thread is to go on
                if listener not in self._failed:
                    self._failed = (*self._failed, listener)
                    logger.exception("one of those who hear a microphone failed: it misses what is heard then")


_lock = threading.Lock()
_inputs: dict[str, Input] = {}


def join(device: str, listener: Listener) -> Input:
    """Listen to a device ("" follows the system) as soon as it is open; returns at once."""
    with _lock:
        found = _inputs.get(device)
        if found is None:
            found = _inputs[device] = Input(device)
        found._listen(listener)
    found.keeper.start()
    return found
