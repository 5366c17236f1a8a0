"""Keeps one microphone or speaker open: opens it, moves its sound, and opens it again after it was lost.

The keeper has a thread of its own, since opening, closing and a dying sound server can block for seconds. Whoever uses
it gets a callback for each 20 ms while there is a device, and a sentence in `problem` while there is none.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from app.media import portaudio
from app.media.portaudio import AudioStream, find
from app.media.priority import for_sound
from app.media.pulse_streams import PulseStream
from app.media.sound_device import AudioDevice, AudioDeviceError, BlockCallback, Kind, SoundStream
from app.media.worker import Bell

logger = logging.getLogger(__name__)

STUCK_AFTER_S = 2.0  # no block of 20 ms for this long
OPENING_S = 3.5  # a sound server takes half of that at most
RETRY_INTERVALS_S = (0.5, 1.0, 2.0, 3.0, 5.0)  # the last one again and again
_CLOSE_TIMEOUT_S = 2.0
# Where the server does not say in a second what devices there are: a stream that moves its sound is no reason to close
# it, since the machine may only be busy, and the server is asked again. One that rests moves twice a second.
_STILL_S = 0.75
_MOST_ASKED = 3
_RELEASE_S = 0.05  # between looks whether other streams let the list go
_MOST_RELEASES = 40

_MEANS = {"microphone": "others hear silence", "speaker": "you hear nothing"}


class DeviceKeeper:
    """One device kept open from `start` to `close`; `wanted` is its name, "" follows the system.

    A device that is not there is replaced by the system's default, and `problem` says so. A speaker for which `rests`
    says that there is nothing to play is kept open at little cost; `wake` when that has changed.
    """

    def __init__(
        self, kind: Kind, wanted: str, callback: BlockCallback, rests: Callable[[], bool] = lambda: False
    ) -> None:
        self.kind: Kind = kind
        self._problem: str | None = None
        self._moved_at = 0.0
        self._opening_since: float | None = None
        self.device_name: str | None = None
        self.underruns = 0  # how often a speaker ran dry
        self._wanted = wanted
        self._callback = callback
        self._rests = rests
        self._awake = Bell()
        self._stopping = threading.Event()
        self._device: AudioDevice | None = None
        self._stream: SoundStream | None = None
        self._changed = threading.Event()  # another device is the right one
        self._woken = threading.Event()  # … or the right one may be there now
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def devices_changed(self) -> None:
        """Look whether another device is the right one by now; may block as long as reading the list does."""
        device = self._device
        if device is None:
            self._woken.set()
        elif portaudio.is_stale() or self._should_reopen(device):
            self._changed.set()
            self._awake.ring()

    def _should_reopen(self, device: AudioDevice) -> bool:
        for _ in range(_MOST_ASKED):
            is_another = portaudio.should_reopen(self.kind, self._wanted, device)
            if is_another is not None:
                return is_another
            if time.monotonic() - self._moved_at > _STILL_S:
                return True
        return False

    @property
    def problem(self) -> str | None:
        """One sentence while there is no device, another one than asked for, or one that is stuck; None otherwise."""
        now, opening_since = time.monotonic(), self._opening_since
        is_stuck = self.device_name is not None and now - self._moved_at > STUCK_AFTER_S
        if is_stuck or (opening_since is not None and now - opening_since > OPENING_S):
            return f"The {self.kind} does not answer: {_MEANS[self.kind]}."
        return self._problem

    @property
    def delay_s(self) -> float:
        """How long what is moved now waits in the device, as far as is known."""
        stream = self._stream
        return stream.delay_s if stream is not None else 0.0

    @property
    def behind_s(self) -> float:
        """How much of a microphone's sound waits behind the block that is handed over now."""
        stream = self._stream
        return stream.behind_s if stream is not None else 0.0

    @property
    def running(self) -> bool:
        """True while a device is open."""
        return self.device_name is not None

    def wake(self) -> None:
        """A speaker that rests has something to play; from any thread."""
        self._awake.ring()

    def start(self) -> None:
        """Begin to open the device; returns at once. Whoever uses it may ask for this, once is done."""
        with self._starting:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name=f"{self.kind}-keeper", daemon=True)
                self._thread.start()

    def close(self, *, wait: bool = True) -> None:
        """Release the device; with `wait` at most two seconds, otherwise at once and in the keeper's thread."""
        self._stopping.set()
        self._changed.set()
        self._woken.set()
        self._awake.ring()
        if wait and self._thread is not None:
            self._thread.join(_CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        for_sound()
        unlisten = portaudio.listen(self.devices_changed)
        try:
            self._keep()
        except Exception:
            logger.exception("the keeper of the %s stopped", self.kind)
            self._problem = f"The {self.kind} stopped because of an error in Parley: {_MEANS[self.kind]}."
        finally:
            unlisten()
            self._opening_since = None

    def _keep(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._changed.clear()
            self._woken.clear()
            if self._stopping.is_set():
                return
            self._opening_since = time.monotonic()
            stream = self._open()
            self._opening_since = None
            if stream is None:
                self._woken.wait(RETRY_INTERVALS_S[min(failures, len(RETRY_INTERVALS_S) - 1)])
                failures += 1
                continue
            failures = 0
            self._stream = stream
            lost, underruns_before = False, self.underruns
            if self._woken.is_set():  # devices came or went while this one was opened
                self.devices_changed()
            try:
                while not self._changed.is_set():
                    self._awake.hush()
                    if self._rests():
                        stream.hold(self._awake)
                    elif stream.move(self._callback):
                        self.underruns = underruns_before + stream.underruns
                    else:
                        continue
                    self._moved_at = time.monotonic()
            except AudioDeviceError as error:
                lost = True
                self._problem = f"The {self.kind} was lost: {_MEANS[self.kind]} until it is back."
                logger.info("%s", error)
            finally:
                self._opening_since = time.monotonic()  # closing can hang as well
                self.device_name = self._device = self._stream = None
                stream.close(lost=lost)

    def _open(self) -> SoundStream | None:
        for _ in range(_MOST_RELEASES):
            if not portaudio.is_stale() or self._stopping.wait(_RELEASE_S):
                break
        problem = None
        try:
            device = find(self.kind, self._wanted)
            if device is None and self._wanted:
                device = find(self.kind, "")
                problem = f"The {self.kind} {self._wanted[:60]!r} is not there: the system's {self.kind} is used."
            if device is None:
                self._problem = f"No {self.kind} was found: {_MEANS[self.kind]}."
                return None
            stream = _opened(self.kind, device)
        except AudioDeviceError as error:
            self._problem = f"{str(error)[:1].upper()}{str(error)[1:]}: {_MEANS[self.kind]}."
            return None
        self._moved_at = time.monotonic()
        self.device_name = device.name
        self._device = device
        self._problem = problem
        logger.info("the %s is %s (%s)", self.kind, device.name, device.host_api)
        return stream


def _opened(kind: Kind, device: AudioDevice) -> SoundStream:
    if device.is_server or device.server_name:
        return PulseStream(kind, device)
    return AudioStream(kind, device)
