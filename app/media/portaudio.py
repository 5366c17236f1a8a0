"""The one door to PortAudio: its device list, and opening streams by name.

PortAudio reads the list of devices once, when it is initialised, and a new initialisation ends every stream. So the
streams of this program are counted here, and the list is read anew only while none is open. Opening can take seconds
(PulseAudio) or hang with its server; everything here may block and belongs in a worker thread.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.media.ports import SAMPLE_RATE_HZ
from app.media.speaker_pace import SpeakerPace

logger = logging.getLogger(__name__)

Kind = Literal["microphone", "speaker"]
Block = NDArray[np.int16]
BlockCallback = Callable[[Block], None]

BLOCK_SAMPLES = 480  # 10 ms for each callback
# What a device is asked to hold. PulseAudio moves sound in steps of 10 ms up to these, and of 20 ms and more above;
# a speaker's is only room: `SpeakerPace` decides how much of it is used.
_LATENCY_S: dict[Kind, float] = {"microphone": 0.02, "speaker": 0.03}
_MOST_WAITED_S = 0.1  # for room in a speaker: a device that stands still is left to PortAudio
_LOCK_TIMEOUT_S = 3.0
_INVALID_CHANNEL_COUNT = -9998  # paInvalidChannelCount

# Where a machine has several ways to the same device, the list shows the first of these.
_HOST_APIS = ("Windows WASAPI", "Core Audio", "PipeWire", "PulseAudio", "ALSA", "JACK Audio Connection Kit", "MME")
# ALSA's plug-ins: names that are no device to a person.
_PLUGINS = (
    "dmix",
    "dsnoop",
    "front",
    "rear",
    "center_lfe",
    "side",
    "surround",
    "iec958",
    "spdif",
    "modem",
    "phoneline",
)
_CONVERTERS = ("lavrate", "samplerate", "speexrate", "speex", "upmix", "vdownmix", "jack", "oss", "a52", "null")

_DIRECTIONS: dict[Kind, str] = {"microphone": "input", "speaker": "output"}


class AudioDeviceError(Exception):
    """A device could not be opened; the text is a clause for a person ("no microphone was found")."""


@dataclass(frozen=True, slots=True)
class AudioDevice:
    """One device in PortAudio's list. `index` is good until the list is read anew."""

    index: int
    name: str
    host_api: str
    channels: int
    is_default: bool


_lock = threading.RLock()
_open_streams = 0
_known: dict[Kind, tuple[AudioDevice, ...]] = {"microphone": (), "speaker": ()}


def devices(kind: Kind) -> tuple[AudioDevice, ...]:
    """Give all devices of a kind, of every host API; the list is as fresh as open streams allow."""
    if not _lock.acquire(timeout=_LOCK_TIMEOUT_S):
        return _known[kind]
    try:
        if _open_streams == 0:
            _read_list()
        return _known[kind]
    finally:
        _lock.release()


def choices(kind: Kind) -> tuple[AudioDevice, ...]:
    """Give the devices to show to a person: of the best host API, without ALSA's plug-ins."""
    found = devices(kind)
    for host_api in (*_HOST_APIS, None):
        shown = tuple(device for device in found if host_api in (None, device.host_api) and not _is_plugin(device))
        if shown:
            return shown
    return ()


def find(kind: Kind, wanted: str) -> AudioDevice | None:
    """Give the device that `wanted` names: "NAME, HOST API" or "NAME"; "" is the system's default."""
    found = devices(kind)
    if not wanted:
        return next((device for device in found if device.is_default), found[0] if found else None)
    exact = [device for device in found if f"{device.name}, {device.host_api}" == wanted]
    named = [device for device in found if device.name == wanted]
    named.sort(key=lambda device: _HOST_APIS.index(device.host_api) if device.host_api in _HOST_APIS else 99)
    return next(iter(exact + named), None)


class AudioStream:
    """One open stream, moved in blocks of 10 ms by the thread that calls `move`. Raises AudioDeviceError.

    PortAudio's own callback thread is not used: when a sound server dies, ALSA's spins in C without end, and the only
    way to stop it is to cancel the thread, which takes Python's lock with it when it is cancelled inside a callback.
    """

    def __init__(self, kind: Kind, device: AudioDevice) -> None:
        global _open_streams
        self._kind = kind
        with _lock:
            self._stream, channels = _open(kind, device)
            _open_streams += 1
        self.delay_s = 0.0  # how long sound waits in the device, as far as PortAudio knows
        self._capacity = self._stream.write_available if kind == "speaker" else 0
        self._pace = SpeakerPace(self._capacity / SAMPLE_RATE_HZ)
        self._block = np.zeros((BLOCK_SAMPLES, channels), np.int16)

    def move(self, callback: BlockCallback) -> None:
        """Wait for the next 10 ms: hand over what was heard, or have a block filled and play it.

        The callback gets shape (480,) and only copies. Raises AudioDeviceError when the device is lost.
        """
        sounddevice = _library()
        try:
            if self._kind == "microphone":
                data, _ = self._stream.read(BLOCK_SAMPLES)
                self.delay_s = self._stream.latency + self._stream.read_available / SAMPLE_RATE_HZ
                callback(np.frombuffer(data, np.int16).reshape(BLOCK_SAMPLES, -1)[:, 0])
            else:
                self.delay_s = queued_s = self._wait_for_room()
                callback(self._block[:, 0])
                self._block[:, 1:] = self._block[:, :1]
                self._pace.wrote(queued_s, ran_dry=bool(self._stream.write(self._block)))
        except sounddevice.PortAudioError as error:
            raise AudioDeviceError(f"the {self._kind} was lost") from error

    @property
    def underruns(self) -> int:
        """How often the speaker ran dry."""
        return self._pace.underruns

    def _wait_for_room(self) -> float:
        """Wait until the speaker needs the next block; give how many seconds of sound are left in it."""
        end = time.monotonic() + _MOST_WAITED_S
        while True:
            queued_s: float = max(0, self._capacity - self._stream.write_available) / SAMPLE_RATE_HZ
            wait_s = self._pace.wait_s(queued_s)
            if wait_s <= 0 or time.monotonic() > end:
                return queued_s
            time.sleep(max(wait_s, 0.001))

    def close(self, *, lost: bool = False) -> None:
        """Play what is queued and release the device, a lost one at once; may block while the sound server does."""
        global _open_streams
        sounddevice = _library()
        try:
            if lost:
                self._stream.abort()
            else:
                self._stream.stop()
        except sounddevice.PortAudioError as error:
            logger.info("stopping a lost audio device: %s", error)
        try:
            self._stream.close()
        except sounddevice.PortAudioError as error:
            logger.info("closing a lost audio device: %s", error)
        finally:
            with _lock:
                _open_streams -= 1


def _open(kind: Kind, device: AudioDevice) -> tuple[Any, int]:
    """Open and start, mono where the device can, otherwise two channels; give the stream and its channels."""
    sounddevice = _library()
    stream_class = sounddevice.RawInputStream if kind == "microphone" else sounddevice.RawOutputStream
    settings = sounddevice.WasapiSettings(auto_convert=True) if device.host_api == "Windows WASAPI" else None
    last_error: Exception | None = None
    for channels in range(1, min(device.channels, 2) + 1):
        stream = None
        try:
            stream = stream_class(
                samplerate=SAMPLE_RATE_HZ,
                blocksize=BLOCK_SAMPLES,
                device=device.index,
                channels=channels,
                dtype="int16",
                latency=_LATENCY_S[kind],
                extra_settings=settings,
            )
            stream.start()
            return stream, channels
        except (sounddevice.PortAudioError, ValueError) as error:
            last_error = error
            if stream is not None:
                stream.close()
            if _INVALID_CHANNEL_COUNT not in error.args:
                break
    logger.info("opening the %s %s: %s", kind, device.name, last_error)
    raise AudioDeviceError(f"the {kind} {device.name[:60]!r} could not be opened")


def _library() -> Any:
    """Give the sounddevice module; AudioDeviceError where PortAudio is not installed."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise AudioDeviceError("the sound library PortAudio is not installed") from error
    if sys.platform.startswith("linux"):
        _quieten_alsa()
    return sounddevice


@lru_cache(maxsize=1)
def _quieten_alsa() -> object:
    """Move what ALSA's library writes to stderr about absent devices into the log; gives what must be kept alive."""
    handler_type = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)

    def handle(file: bytes, line: int, function: bytes, code: int, text: bytes) -> None:
        logger.debug(
            "ALSA %s: %s", (function or b"").decode("utf-8", "replace"), (text or b"").decode("utf-8", "replace")
        )

    handler = handler_type(handle)
    try:
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(handler)
    except (OSError, AttributeError) as error:
        logger.debug("ALSA's messages stay on stderr: %s", error)
    return handler


def _read_list() -> None:
    """Initialise PortAudio anew and remember its list; an empty list where there is no PortAudio."""
    just_read = "sounddevice" not in sys.modules  # the import itself initialises
    try:
        sounddevice = _library()
        if not just_read:
            sounddevice._terminate()
            sounddevice._initialize()
        host_apis = sounddevice.query_hostapis()
        rows = list(sounddevice.query_devices())
    except AudioDeviceError as error:
        logger.info("no sound devices: %s", error)
        return
    except Exception as error:
        logger.warning("the list of sound devices cannot be read: %s", error)
        rows, host_apis = [], ()
    for kind, direction in _DIRECTIONS.items():
        _known[kind] = tuple(_device(row, host_apis, direction) for row in rows if row[f"max_{direction}_channels"] > 0)


def _device(row: dict[str, Any], host_apis: Any, direction: str) -> AudioDevice:
    host_api = host_apis[row["hostapi"]]
    return AudioDevice(
        index=row["index"],
        name=str(row["name"]),
        host_api=str(host_api["name"]),
        channels=int(row[f"max_{direction}_channels"]),
        is_default=_default_index(host_apis, direction) == row["index"],
    )


def _default_index(host_apis: Any, direction: str) -> int:
    """Give PortAudio's default device: that of the first host API that has one; -1 where none has."""
    names = {str(api["name"]): int(api[f"default_{direction}_device"]) for api in host_apis}
    if sys.platform == "win32" and names.get("Windows WASAPI", -1) >= 0:
        return names["Windows WASAPI"]  # PortAudio itself would say MME
    return next((index for index in names.values() if index >= 0), -1)


def _is_plugin(device: AudioDevice) -> bool:
    return device.host_api == "ALSA" and (device.name in _CONVERTERS or device.name.startswith(_PLUGINS))
