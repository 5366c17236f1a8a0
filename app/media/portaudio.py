"""Which microphones and speakers there are; and the one door to PortAudio: its device list, and its streams.

Where a sound server runs that speaks PulseAudio's protocol, its devices are the ones there are (`pulse.py`), and
PortAudio is not even loaded. PortAudio reads the list of devices once, when it is initialised, and a new initialisation
ends every stream. So its streams in this program are counted here, and its list is read anew only while none is open.
Opening can take seconds or hang with a driver; everything here may block and belongs in a worker thread.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import astuple, replace
from typing import Any

import numpy as np

from app.media import alsa, pulse
from app.media.microphone_pace import MicrophonePace
from app.media.mixer import to_channels
from app.media.ports import SAMPLE_RATE_HZ
from app.media.rates import RateConverter
from app.media.sound_device import BLOCK_SAMPLES, AudioDevice, AudioDeviceError, Block, BlockCallback, Kind
from app.media.speaker_pace import SpeakerPace
from app.media.worker import Bell

logger = logging.getLogger(__name__)

_BLOCKS_PER_S = SAMPLE_RATE_HZ // BLOCK_SAMPLES
# What a device is asked to hold. A speaker's is only room: `SpeakerPace` decides how much of it is used.
_LATENCY_S: dict[Kind, float] = {"microphone": 0.02, "speaker": 0.03}
_MOST_WAITED_S = 0.1  # for room in a speaker: a device that stands still is left to PortAudio
_MOST_BEGUN_S = 3.0  # for the first sound of a microphone
# A speaker with nothing to play is given so much silence when so little is left: it stays as quick to sound as one that
# plays, which one that is stopped does not (and a sleeping amplifier eats a word).
_HELD_S, _HELD_LEAST_S = 0.040, 0.010
_LOOK_S = 0.005
_NO_SIDE: Block = np.zeros(BLOCK_SAMPLES, np.int16)
_LOCK_TIMEOUT_S = 3.0
_INVALID_CHANNEL_COUNT = -9998  # paInvalidChannelCount
_INVALID_SAMPLE_RATE = -9997  # paInvalidSampleRate
_MOST_CHANNELS = 32

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
_SERVER = "PulseAudio"


_lock = threading.RLock()  # around what PortAudio lists, opens and closes
_listeners_lock = threading.Lock()
_open_streams = 0
_known: dict[Kind, tuple[AudioDevice, ...]] = {"microphone": (), "speaker": ()}
_served: dict[Kind, tuple[AudioDevice, ...]] = {"microphone": (), "speaker": ()}  # by a server, when it said so last
_fresh: dict[Kind, tuple[AudioDevice, ...]] = {}  # as another process read it
_is_stale = False
_listeners: list[Callable[[], None]] = []


def devices(kind: Kind) -> tuple[AudioDevice, ...]:
    """Give all devices of a kind: of the sound server where one runs, else of every host API of PortAudio's.

    PortAudio's are as fresh as open streams allow; a server that does not answer has what it had last.
    """
    try:
        return _devices_now(kind)
    except AudioDeviceError:
        return _served[kind]


def _devices_now(kind: Kind) -> tuple[AudioDevice, ...]:
    """Give all devices of a kind; AudioDeviceError where a server does not answer."""
    global _is_stale
    try:
        listed = pulse.read()
    except TimeoutError as error:
        raise AudioDeviceError(str(error)) from error
    if listed is not None:
        _served[kind] = _of_server(listed.microphones if kind == "microphone" else listed.speakers)
        return _served[kind]
    if not _lock.acquire(timeout=_LOCK_TIMEOUT_S):
        return _known[kind]
    try:
        if _open_streams == 0:
            _read_list()
            _is_stale = False
        return _known[kind]
    finally:
        _lock.release()


def listen(on_change: Callable[[], None]) -> Callable[[], None]:
    """Have `on_change` called when devices came or went (`devices_changed`); gives what ends that."""
    with _listeners_lock:
        _listeners.append(on_change)

    def end() -> None:
        with _listeners_lock:
            _listeners.remove(on_change)

    return end


def devices_changed() -> None:
    """Tell whoever keeps a device open that there are other ones now; in the thread of whoever noticed."""
    with _listeners_lock:
        listeners = tuple(_listeners)
    for on_change in listeners:
        on_change()


def take_fresh_list(rows: dict[str, list[list[object]]]) -> None:
    """Take the list that another process read, as rows of `as_row`: streams in the way of reading it are to close."""
    global _is_stale
    with _lock:
        for kind in _DIRECTIONS:
            _fresh[kind] = tuple(AudioDevice(*row) for row in rows.get(kind, ()))  # type: ignore[arg-type]
        _is_stale = any(_facts(_fresh[kind]) != _facts(_known[kind]) for kind in _DIRECTIONS)


def as_row(device: AudioDevice) -> list[object]:
    """Give a device as plain values."""
    return list(astuple(device))


def should_reopen(kind: Kind, wanted: str, current: AudioDevice) -> bool | None:
    """Tell whether another device than the current one is the right one by now; None: a server does not answer."""
    try:
        listed = _fresh.get(kind) or _devices_now(kind)
    except AudioDeviceError:
        return None
    right = _choose(listed, wanted) or _choose(listed, "")
    if right is None:
        return current.is_server  # which moved the stream to what stands for a device where there is none
    return right.identity != current.identity


def is_stale() -> bool:
    """Tell whether the list can only be read after every stream has closed."""
    return _is_stale and _open_streams > 0


def _facts(listed: tuple[AudioDevice, ...]) -> set[tuple[tuple[str, str], bool]]:
    """What makes one list another one: the devices, and which of them are the system's."""
    return {(device.identity, device.is_default) for device in listed}


def _of_server(rows: tuple[pulse.PulseDevice, ...]) -> tuple[AudioDevice, ...]:
    """Give a sound server's devices, and itself first for who follows its default; none where it has none."""
    if not rows:
        return ()
    behind = (
        AudioDevice(
            index=-1,
            name=row.description,
            host_api=_SERVER,
            channels=2,
            is_default=row.is_default,
            server_name=row.name,
        )
        for row in rows
    )
    return (AudioDevice(-1, "default", _SERVER, 2, False, is_server=True), *behind)


def choices(kind: Kind) -> tuple[AudioDevice, ...]:
    """Give the devices to show to a person: of the best host API, without a server itself and ALSA's plug-ins."""
    found = _fresh.get(kind) if _open_streams else None
    if found is None:
        found = devices(kind)
    for host_api in (*_HOST_APIS, None):
        shown = tuple(device for device in found if host_api in (None, device.host_api) and not _is_hidden(device))
        if shown:
            return shown
    return ()


def find(kind: Kind, wanted: str) -> AudioDevice | None:
    """Give the device that `wanted` names: "NAME, HOST API" or "NAME"; "" is the system's default.

    Raises AudioDeviceError where a server does not answer.
    """
    return _choose(_devices_now(kind), wanted)


def _choose(found: tuple[AudioDevice, ...], wanted: str) -> AudioDevice | None:
    if not wanted:
        server = next((device for device in found if device.is_server), None)  # it moves who follows its default
        return server or next((device for device in found if device.is_default), found[0] if found else None)
    exact = [device for device in found if f"{device.name}, {device.host_api}" == wanted]
    named = [device for device in found if device.is_named(wanted)]
    named.sort(key=lambda device: _HOST_APIS.index(device.host_api) if device.host_api in _HOST_APIS else 99)
    return next(iter(exact + named), None)


class AudioStream:
    """Fulfils `app.media.sound_device.SoundStream` through PortAudio, at any rate and width. Raises AudioDeviceError.

    A speaker in stereo where the device has two channels, from the start: opening it anew for left and right would cut
    a call for a second. A microphone in mono where it can.

    PortAudio's own callback thread is not used: when a sound server dies, ALSA's spins in C without end, and the only
    way to stop it is to cancel the thread, which takes Python's lock with it when it is cancelled inside a callback.
    """

    def __init__(self, kind: Kind, device: AudioDevice) -> None:
        global _open_streams
        self._kind = kind
        with _lock:
            self._stream, channels, rate_hz = _open(kind, _as_listed_now(kind, device))
            _open_streams += 1
        self.delay_s = 0.0  # how long sound waits in the device, as far as PortAudio knows
        self.behind_s = 0.0
        self._rate_hz = rate_hz
        try:
            self._capacity = self._stream.write_available if kind == "speaker" else 0
        except _library().PortAudioError as error:
            self.close(lost=True)
            raise AudioDeviceError(f"the {kind} was lost") from error
        self._pace = SpeakerPace(self._capacity / rate_hz)
        held = min(self._capacity, round(_HELD_S * rate_hz))
        self._kept_free, self._hold_s = self._capacity - held, max(_LOOK_S, held / rate_hz - _HELD_LEAST_S)
        self._silence, self._is_held = memoryview(bytes(2 * channels * held)), False
        self._read_pace = MicrophonePace()
        self._latency_s = float(self._stream.latency)
        self._channels = channels
        self._block = np.zeros(BLOCK_SAMPLES, np.int16)
        self._rest = np.zeros(0, np.int16)  # of a microphone at another rate: less than a block
        self._has_begun = False  # to hear
        self._converter: RateConverter | None = None
        self._side_converter: RateConverter | None = None
        if rate_hz != SAMPLE_RATE_HZ:
            rates = (rate_hz, SAMPLE_RATE_HZ) if kind == "microphone" else (SAMPLE_RATE_HZ, rate_hz)
            self._converter = RateConverter(*rates)
            if kind == "speaker" and channels > 1:
                self._side_converter = RateConverter(*rates)

    def move(self, callback: BlockCallback) -> bool:
        sounddevice = _library()
        try:
            if self._kind == "microphone":
                self._hear(callback)
            else:
                self._play(callback)
        except sounddevice.PortAudioError as error:
            raise AudioDeviceError(f"the {self._kind} was lost") from error
        return True

    def _hear(self, callback: BlockCallback) -> None:
        if not self._has_begun:
            self._wait_for_sound()
        time.sleep(self._read_pace.wait_s(time.monotonic()))
        wanted = self._rate_hz // _BLOCKS_PER_S
        left = self._stream.read_available - wanted
        data, _ = self._stream.read(wanted)
        waited = left < 0
        if waited:
            left = self._stream.read_available
        self._read_pace.read(left / self._rate_hz, time.monotonic(), waited=waited)
        self.behind_s = max(0, left) / self._rate_hz
        self.delay_s = self._latency_s + self.behind_s
        heard = np.frombuffer(data, np.int16).reshape(-1, self._channels)[:, 0]
        if self._converter is not None:
            heard = self._converter.convert(heard)
        waiting = np.concatenate([self._rest, heard]) if self._rest.size else heard
        whole = waiting.size // BLOCK_SAMPLES * BLOCK_SAMPLES
        for start in range(0, whole, BLOCK_SAMPLES):
            callback(waiting[start : start + BLOCK_SAMPLES])
        self._rest = waiting[whole:]

    def _wait_for_sound(self) -> None:
        """Wait for the first block: behind an ALSA plug-in that may take seconds, and reading would use up a core."""
        end = time.monotonic() + _MOST_BEGUN_S
        while self._stream.read_available < self._rate_hz // _BLOCKS_PER_S and time.monotonic() < end:
            time.sleep(_LOOK_S)
        self._has_begun = True

    def _play(self, callback: BlockCallback) -> None:
        if self._is_held:
            self._is_held = False
            self._pace.rested()
        self.delay_s = queued_s = self._wait_for_room()
        asked_at = time.monotonic()
        side = callback(self._block)
        queued_s -= time.monotonic() - asked_at
        middle = self._block if self._converter is None else self._converter.convert(self._block)
        if self._side_converter is not None:  # always fed, so that it keeps step
            side = self._side_converter.convert(_NO_SIDE if side is None else side)
        samples = to_channels(middle, side, self._channels)
        self._pace.wrote(queued_s, ran_dry=bool(self._stream.write(np.ascontiguousarray(samples))))

    def hold(self, woken: Bell) -> None:
        try:
            missing = self._stream.write_available - self._kept_free
            if missing > 0:
                self._stream.write(self._silence[: 2 * self._channels * missing])
        except _library().PortAudioError as error:
            raise AudioDeviceError("the speaker was lost") from error
        self._is_held = True
        woken.wait(self._hold_s)

    @property
    def underruns(self) -> int:
        return self._pace.underruns

    def _wait_for_room(self) -> float:
        """Wait until the speaker needs the next block; give how many seconds of sound are left in it."""
        began = time.monotonic()
        end = began + _MOST_WAITED_S
        time.sleep(self._pace.asleep_s(began))
        while True:
            queued_s: float = max(0, self._capacity - self._stream.write_available) / self._rate_hz
            now = time.monotonic()
            wait_s = self._pace.wait_s(queued_s, now)
            if wait_s <= 0 or now > end:
                return queued_s
            time.sleep(wait_s)

    def close(self, *, lost: bool = False) -> None:
        global _open_streams
        sounddevice = _library()
        try:
            if lost:
                self._stream.abort()
            else:
                self._stream.stop()
        except sounddevice.PortAudioError as error:
            logger.info("stopping a lost audio device: %s", error)
        with _lock:  # PortAudio's own list of open streams has none
            try:
                self._stream.close()
            finally:
                _open_streams -= 1


def _as_listed_now(kind: Kind, device: AudioDevice) -> AudioDevice:
    """Give the device with its present index: the list may have been read anew since it was chosen."""
    same = (known for known in _known[kind] if (known.name, known.host_api) == (device.name, device.host_api))
    index = {known.index for known in same}
    return device if device.index in index or not index else replace(device, index=min(index))


def _open(kind: Kind, device: AudioDevice) -> tuple[Any, int, int]:
    """Open and start, at 48 kHz and as wide as it should be where the device can; give stream, channels and rate."""
    widths = tuple(count for count in ((2, 1) if kind == "speaker" else (1, 2)) if count <= device.channels)
    last_error: Exception | None = None
    for rate_hz in dict.fromkeys((SAMPLE_RATE_HZ, device.rate_hz)):
        for channels in dict.fromkeys((*widths, min(device.channels, _MOST_CHANNELS))):
            try:
                return _open_as(kind, device, channels, rate_hz), channels, rate_hz
            except (_library().PortAudioError, ValueError) as error:
                last_error = error
                if _INVALID_CHANNEL_COUNT not in error.args:
                    break
        if last_error is None or _INVALID_SAMPLE_RATE not in last_error.args:
            break
    logger.info("opening the %s %s: %s", kind, device.name, last_error)
    raise AudioDeviceError(f"the {kind} {device.name[:60]!r} could not be opened")


def _open_as(kind: Kind, device: AudioDevice, channels: int, rate_hz: int) -> Any:
    sounddevice = _library()
    stream_class = sounddevice.RawInputStream if kind == "microphone" else sounddevice.RawOutputStream
    settings = sounddevice.WasapiSettings(auto_convert=True) if device.host_api == "Windows WASAPI" else None
    stream = None
    try:
        stream = stream_class(
            samplerate=rate_hz,
            blocksize=rate_hz // 100,
            device=device.index,
            channels=channels,
            dtype="int16",
            latency=_LATENCY_S[kind],
            extra_settings=settings,
        )
        stream.start()
        return stream
    except (sounddevice.PortAudioError, ValueError):
        if stream is not None:
            stream.close()
        raise


def _library() -> Any:
    """Give the sounddevice module; AudioDeviceError where PortAudio is not installed."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise AudioDeviceError("the sound library PortAudio is not installed") from error
    if sys.platform.startswith("linux"):
        alsa.quieten()
    return sounddevice


def _read_list() -> None:
    """Initialise PortAudio anew and remember its list; an empty list where there is no PortAudio."""
    just_read = "sounddevice" not in sys.modules  # the import itself initialises
    try:
        sounddevice = _library()
        if just_read:
            atexit.unregister(sounddevice._exit_handler)
            atexit.register(_end, sounddevice)
        else:
            if sounddevice._initialized:  # not after an attempt that failed
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


def _end(sounddevice: Any) -> None:
    """Leave PortAudio as the program ends, unless a thread is still inside: what it uses would be freed under it."""
    if not _lock.acquire(blocking=False):
        return
    try:
        if _open_streams == 0 and sounddevice._initialized:
            with contextlib.suppress(sounddevice.PortAudioError):
                sounddevice._terminate()
    finally:
        _lock.release()


def _device(row: dict[str, Any], host_apis: Any, direction: str) -> AudioDevice:
    host_api = host_apis[row["hostapi"]]
    return AudioDevice(
        index=row["index"],
        name=str(row["name"]),
        host_api=str(host_api["name"]),
        channels=int(row[f"max_{direction}_channels"]),
        is_default=_default_index(host_apis, direction) == row["index"],
        rate_hz=round(row["default_samplerate"]),
    )


def _default_index(host_apis: Any, direction: str) -> int:
    """Give PortAudio's default device: that of the first host API that has one; -1 where none has."""
    names = {str(api["name"]): int(api[f"default_{direction}_device"]) for api in host_apis}
    if sys.platform == "win32" and names.get("Windows WASAPI", -1) >= 0:
        return names["Windows WASAPI"]  # PortAudio itself would say MME
    return next((index for index in names.values() if index >= 0), -1)


def _is_hidden(device: AudioDevice) -> bool:
    return device.is_server or (
        device.host_api == "ALSA" and (device.name in _CONVERTERS or device.name.startswith(_PLUGINS))
    )
