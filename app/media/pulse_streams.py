"""Microphones and speakers of a PulseAudio server, or of PipeWire in its place: streams through libpulse.

The thread that moves a stream's sound serves the connection too: it sleeps until the server has 20 ms or wants them,
and nothing else of the process wakes. libpulse calls nothing of ours: what came is looked up after each wake-up. What
is queued at the server is measured by what it asks for, so no question about time goes to and fro either.
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Callable

import numpy as np

from app.media.mixer import to_channels
from app.media.ports import SAMPLE_RATE_HZ
from app.media.pulse import BufferSizes, PulseClient, SampleSpec
from app.media.server_pace import STEP_UP_S, ServerPace
from app.media.sound_device import BLOCK_S, BLOCK_SAMPLES, AudioDevice, AudioDeviceError, BlockCallback, Kind
from app.media.worker import Bell

logger = logging.getLogger(__name__)

_OPEN_S = 3.0  # a device that sleeps wakes up first
_CLOSE_S = 0.5
_LOOK_S = 0.1  # for how long a device may stand still before whoever moves its sound is told
_HELD_S = 0.5  # between looks whether a device is still there that plays nothing
_CHANNELS: dict[Kind, int] = {"microphone": 1, "speaker": 2}
_BLOCK_BYTES = 2 * BLOCK_SAMPLES
_BYTES_PER_S: dict[Kind, int] = {kind: 2 * SAMPLE_RATE_HZ * count for kind, count in _CHANNELS.items()}
# The server's device takes sound in steps of what is left of the queue's length without two of what it asks for at a
# time. 20 ms at a time is one wake-up for each block, on both sides.
_SERVER_STEP_S = 0.010
_MOST_KEPT_S = 1.0  # at the server, of a microphone that nobody reads
_SERVER_S = 0.010  # what the device and the server add to a microphone's block, about
_S16LE = 3
_DONT_MOVE, _ADJUST_LATENCY = 0x0200, 0x2000
_DEFAULT = 0xFFFF_FFFF
_READY = 2
_RUNNING = 0
_SHORTER = BLOCK_SAMPLES - round(STEP_UP_S * SAMPLE_RATE_HZ)
_FADE = np.linspace(0, 1, _SHORTER, dtype=np.float32)[:, None]


class PulseStream:
    """Fulfils `app.media.sound_device.SoundStream`; made, used and closed by one thread. Raises AudioDeviceError."""

    def __init__(self, kind: Kind, device: AudioDevice) -> None:
        self._kind = kind
        self._bytes_per_s = _BYTES_PER_S[kind]
        self.delay_s = _SERVER_S if kind == "microphone" else 0.0
        self.behind_s = 0.0
        failed = AudioDeviceError(f"the {kind} {device.name[:60]!r} could not be opened")
        try:
            client = PulseClient.connected(b"Parley", _OPEN_S)
        except TimeoutError as error:
            raise AudioDeviceError(str(error)) from error
        if client is None:
            raise failed
        self._client = client
        self._quick = client.quick
        self._stream = self._open(device.server_name)
        if self._stream is None:
            client.close()
            raise failed
        self._sizes = client.library.pa_stream_get_buffer_attr(self._stream)
        # Of a microphone: what came of the next block.
        self._heard = b""
        self._place, self._size = ctypes.c_void_p(), ctypes.c_size_t()
        self._to_place, self._to_size = ctypes.byref(self._place), ctypes.byref(self._size)
        # Of a speaker.
        self._block = np.zeros(BLOCK_SAMPLES, np.int16)
        self._out = (ctypes.c_char * (2 * _BLOCK_BYTES))()
        self._wide = np.frombuffer(memoryview(self._out), np.int16).reshape(BLOCK_SAMPLES, 2)
        self._room_now = ctypes.c_uint32.from_address(ctypes.addressof(self._sizes[0]) + BufferSizes.tlength.offset)
        self._room = self._room_now.value
        self._pace = ServerPace(self._room / self._bytes_per_s, self._sizes[0].prebuf / self._bytes_per_s)
        self._most: float = self._room  # bytes: with more than this queued there is nothing to do
        self._ran_dry_at = -1  # in the stream, as the server said last
        self._begins = True

    def _open(self, name: str) -> int | None:
        library, client = self._client.library, self._client
        spec = SampleSpec(_S16LE, SAMPLE_RATE_HZ, _CHANNELS[self._kind])
        stream: int | None = library.pa_stream_new(client.context, b"Parley", ctypes.byref(spec), None)
        if stream is None:
            return None
        block = round(BLOCK_S * self._bytes_per_s)
        most = round(_MOST_KEPT_S * self._bytes_per_s)
        to = name.encode() or None
        # A server moves what plays on its default along with that, chosen by name or not. Nobody is asked: a stream at
        # a device of its own is to end with it, and whoever holds it opens another one.
        flags = _DONT_MOVE if name else 0
        if self._kind == "microphone":
            sizes = BufferSizes(most, _DEFAULT, _DEFAULT, _DEFAULT, block)
            begun = library.pa_stream_connect_record(stream, to, ctypes.byref(sizes), flags | _ADJUST_LATENCY)
        else:
            length = 2 * block + round(_SERVER_STEP_S * self._bytes_per_s)
            sizes = BufferSizes(_DEFAULT, length, block, block, _DEFAULT)
            begun = library.pa_stream_connect_playback(stream, to, ctypes.byref(sizes), flags, None, None)
        if begun >= 0:
            client.wait(lambda: library.pa_stream_get_state(stream) >= _READY, _OPEN_S)
        if library.pa_stream_get_state(stream) == _READY:
            return stream
        logger.info("opening the %s %s at the sound server failed", self._kind, name)
        library.pa_stream_unref(stream)
        return None

    @property
    def underruns(self) -> int:
        return self._pace.underruns

    def move(self, callback: BlockCallback) -> bool:
        return self._hear(callback) if self._kind == "microphone" else self._play(callback)

    def _hear(self, callback: BlockCallback) -> bool:
        if not self._wait(self._has_heard):
            return False
        heard = self._heard
        whole = len(heard) // _BLOCK_BYTES * _BLOCK_BYTES
        self._heard = heard[whole:]
        for start in range(0, whole, _BLOCK_BYTES):
            self.behind_s = (len(heard) - start - _BLOCK_BYTES) / self._bytes_per_s
            self.delay_s = _SERVER_S + self.behind_s
            callback(np.frombuffer(heard, np.int16, BLOCK_SAMPLES, start))
        self._flush()  # the server may use its memory again
        return True

    def _has_heard(self) -> bool:
        """Take what came; tell whether it is a block by now."""
        quick, stream = self._quick, self._stream
        while quick.pa_stream_readable_size(stream) > 0:
            if quick.pa_stream_peek(stream, self._to_place, self._to_size) < 0 or not self._size.value:
                break
            size = self._size.value
            sound = ctypes.string_at(self._place.value, size) if self._place.value else bytes(size)  # a hole
            self._heard = self._heard + sound if self._heard else sound
            quick.pa_stream_drop(stream)
        return len(self._heard) >= _BLOCK_BYTES

    def _play(self, callback: BlockCallback) -> bool:
        if not self._wait(self._is_due):
            return False
        asked_at = time.monotonic()
        self.delay_s = queued_s = self._queued_s()
        side = callback(self._block)
        if side is None:
            self._wide[:] = self._block[:, None]
        else:
            self._wide[:] = to_channels(self._block, side, 2).reshape(BLOCK_SAMPLES, 2)
        size = 2 * _BLOCK_BYTES
        if self._pace.shortens(asked_at):
            begin, end = self._wide[:_SHORTER].astype(np.float32), self._wide[-_SHORTER:]
            self._wide[:_SHORTER] = begin + (end - begin) * _FADE
            size = 4 * _SHORTER
        if self._begins:
            self._begins = False
            self._pace.began(asked_at)
            silence = 4 * round(self._pace.padding_s(queued_s) * SAMPLE_RATE_HZ)
            if silence:
                self._write(bytes(silence), silence)
        self._write(self._out, size)
        return True

    def _is_due(self) -> bool:
        room, quick, stream = self._room_now.value, self._quick, self._stream
        ran_dry_at = quick.pa_stream_get_underflow_index(stream)
        is_same = room == self._room and ran_dry_at == self._ran_dry_at
        if is_same and room - quick.pa_stream_writable_size(stream) > self._most:
            return False
        if room != self._room:  # the server moved the stream
            self._room = room
            self._pace.resize(room / self._bytes_per_s, self._sizes[0].prebuf / self._bytes_per_s)
        queued_s = self._queued_s()
        if ran_dry_at != self._ran_dry_at:
            self._ran_dry_at = ran_dry_at
            if not self._begins:
                self._begins = True
                self._pace.ran_dry(queued_s, time.monotonic())
        self._most = room if self._begins else self._pace.most_s * self._bytes_per_s
        return self._pace.is_due(queued_s, begins=self._begins)

    def _queued_s(self) -> float:
        wanted: int = self._quick.pa_stream_writable_size(self._stream)
        queued_s: float = max(0, self._room - wanted) / self._bytes_per_s
        return queued_s

    def _write(self, sound: object, size: int) -> None:
        if self._quick.pa_stream_write(self._stream, sound, size, None, 0, 0) < 0:
            raise AudioDeviceError(f"the {self._kind} was lost")
        self._flush()  # on its way

    def hold(self, woken: Bell) -> None:
        """Let a speaker run dry: the server goes on with silence, and takes what comes next at once."""
        self._begins, self._most = True, self._room
        self._flush()
        woken.wait(_HELD_S)
        while self._round(0.0):  # what the server said meanwhile
            pass

    def _wait(self, condition: Callable[[], bool]) -> bool:
        """Serve the connection until the condition holds; False where the device stands still."""
        end = None
        while not condition():
            now = time.monotonic()
            end = end or now + _LOOK_S
            if now >= end:
                return False
            self._round(end - now)
        return True

    def _round(self, timeout_s: float) -> bool:
        """Send what is to be sent, else wait for the server at most so long; tell whether there was anything."""
        done = self._client.round(timeout_s)
        if done < 0 or self._quick.pa_stream_get_state(self._stream) != _READY:
            raise AudioDeviceError(f"the {self._kind} was lost")
        return done > 0

    def _flush(self) -> None:
        if not self._client.flush():
            raise AudioDeviceError(f"the {self._kind} was lost")

    def close(self, *, lost: bool = False) -> None:
        library, client = self._client.library, self._client
        if not lost:
            if self._kind == "speaker" and not self._begins:
                self._drain()
            if library.pa_stream_disconnect(self._stream) >= 0:
                client.wait(lambda: library.pa_stream_get_state(self._stream) > _READY, _CLOSE_S)
        library.pa_stream_unref(self._stream)
        client.close()

    def _drain(self) -> None:
        library = self._client.library
        operation = library.pa_stream_drain(self._stream, None, None)
        if operation:
            self._client.wait(lambda: library.pa_operation_get_state(operation) != _RUNNING, _CLOSE_S)
            library.pa_operation_cancel(operation)
            library.pa_operation_unref(operation)
