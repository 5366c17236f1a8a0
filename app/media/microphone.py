"""The microphone: the device's thread copies into a ring, the sender takes frames of 20 ms out of it."""

from __future__ import annotations

import numpy as np

from app.media.device_keeper import DeviceKeeper
from app.media.portaudio import BLOCK_SAMPLES
from app.media.ports import FRAME_SAMPLES, SAMPLE_RATE_HZ, AudioFrame
from app.media.sample_ring import SampleRing

_OPEN_TIMEOUT_S = 4.0
_LEAST_AHEAD = FRAME_SAMPLES + BLOCK_SAMPLES
_MOST_AHEAD = 3 * FRAME_SAMPLES

_SILENCE: AudioFrame = np.zeros(FRAME_SAMPLES, np.int16)
_SILENCE.flags.writeable = False


class MicrophoneSource:
    """Fulfils `app.media.ports.AudioSource`; `device` is a name from the device list, "" follows the system.

    After the ring ran dry, frames begin again only when a little more than one is there; that reserve grows with each
    dry run, since it means that this device delivers in larger portions.
    """

    def __init__(self, device: str = "") -> None:
        self.underruns = 0
        self.dropped_samples = 0
        self._ring = SampleRing(SAMPLE_RATE_HZ // 2)
        self._keeper = DeviceKeeper("microphone", device, self._ring.write)
        self._ahead = _LEAST_AHEAD
        self._flowing = False

    @property
    def description(self) -> str:
        return self._keeper.device_name or "no microphone"

    @property
    def problem(self) -> str | None:
        return self._keeper.problem

    @property
    def delay_s(self) -> float:
        """How long ago the first sample of the frame that was read last was heard, as far as the device tells."""
        return self._keeper.delay_s + (len(self._ring) + FRAME_SAMPLES) / SAMPLE_RATE_HZ

    def use(self, device: str) -> None:
        """Go on with another device, "" the system's; returns at once."""
        self._keeper.use(device)

    def start(self) -> None:
        self._keeper.start(_OPEN_TIMEOUT_S)
        self._ring.drop_to(self._ahead)

    def read_frame(self) -> AudioFrame:
        waiting = len(self._ring)
        if not self._flowing and waiting < self._ahead:
            return _SILENCE
        if waiting < FRAME_SAMPLES:
            if self._keeper.running:
                self.underruns += 1
                self._ahead = min(self._ahead + BLOCK_SAMPLES, _MOST_AHEAD)
            self._flowing = False
            return _SILENCE
        self._flowing = True
        if waiting > self._ahead + 2 * FRAME_SAMPLES:
            self.dropped_samples += self._ring.drop_to(self._ahead)
        frame = np.empty(FRAME_SAMPLES, np.int16)
        self._ring.read_into(frame)
        return frame

    def close(self) -> None:
        self._keeper.close()
