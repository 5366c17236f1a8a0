"""What is said of microphones and speakers, whichever library opens them. Plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from app.media.ports import SAMPLE_RATE_HZ
from app.media.worker import Bell

Kind = Literal["microphone", "speaker"]
Block = NDArray[np.int16]
BlockCallback = Callable[[Block], Block | None]  # of a speaker: gives the side (app.media.mixer), None is silence

BLOCK_SAMPLES = 960  # 20 ms for each callback: a call's frame, and each wake-up of a thread costs
BLOCK_S = BLOCK_SAMPLES / SAMPLE_RATE_HZ


class AudioDeviceError(Exception):
    """A device could not be opened; the text is a clause for a person ("no microphone was found")."""


@dataclass(frozen=True, slots=True)
class AudioDevice:
    """One device of a sound server's, or in PortAudio's list. `index` is good until that list is read anew."""

    index: int
    name: str
    host_api: str
    channels: int
    is_default: bool
    rate_hz: int = SAMPLE_RATE_HZ  # its own
    server_name: str = ""  # of a device behind a sound server
    is_server: bool = False  # a sound server itself, without a name: whichever device is its default

    @property
    def identity(self) -> tuple[str, str]:
        """What stays when the list is read anew, and when a twin makes a server say more than its name."""
        return self.server_name or self.name, self.host_api

    def is_named(self, wanted: str) -> bool:
        """Tell whether a name that was kept means this device: a twin may have been there then, or is now."""
        if wanted in (self.name, self.server_name):
            return True
        return bool(self.server_name) and wanted.endswith(f" ({self.server_name})")


class SoundStream(Protocol):
    """One open stream at 48 kHz, used by one thread; every call raises AudioDeviceError once the device is lost."""

    delay_s: float
    """How long sound waits in the device, as far as is known; told of each block of a microphone."""
    behind_s: float
    """How much of a microphone's sound waits behind the block that was handed over last."""

    @property
    def underruns(self) -> int:
        """How often the speaker ran dry."""

    def move(self, callback: BlockCallback) -> bool:
        """Wait for the next 20 ms of a microphone and hand them over, or have 20 ms filled and play them.

        The callback gets shape (960,), only for as long as it runs, and has some milliseconds. False: the device stood
        still for a while, and nothing was moved.
        """

    def hold(self, woken: Bell) -> None:
        """Keep a speaker open with nothing to play, for a while or until `woken`."""

    def close(self, *, lost: bool = False) -> None:
        """Play what is queued and release the device, a lost one at once; may block while a sound server does."""
