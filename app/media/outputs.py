"""One open speaker for all that plays on it: calls, rings and tones are mixed, and join and leave without a click.

Outputs are shared by the name of their device. The first sound opens it, and it is released when the last one is gone.
"""

from __future__ import annotations

import threading
from typing import Protocol

import numpy as np

from app.media.device_keeper import DeviceKeeper
from app.media.mixer import Limiter, Volume, limited_halves
from app.media.sound_device import BLOCK_SAMPLES, Block
from app.media.worker import Worker

SERVER_S = 0.010  # what a sound server and a converter add to what is known of the device, about
LINGER_S = 0.5  # with nothing to play: a call that is answered begins where its ring ended
_NO_SIDE: Block = np.zeros(BLOCK_SAMPLES, np.int16)
_FADE_OUT_S = 0.1  # longer than a block takes to be asked for


class Playing(Protocol):
    """Something that plays on an output; both are called on the device's thread.

    Where it has an attribute `side`, that is the side (app.media.mixer) of the block that was pulled last. While all
    that play have an attribute `rests` that is true, none is asked for blocks: `Output.wake` when that has changed.
    """

    def pull(self, block: Block) -> None:
        """Fill the next 20 ms; may take a few milliseconds for it."""

    def played(self, block: Block, delay_s: float) -> None:
        """Hear what the device plays of all sounds together, and how much later it is heard, about."""


class _Seat:
    """One sound at its place in the mix."""

    def __init__(self, playing: Playing) -> None:
        self.playing = playing
        self.volume = Volume()
        self.leaves = False
        self.gone = threading.Event()

    @property
    def side(self) -> Block | None:
        side: Block | None = getattr(self.playing, "side", None)
        return side

    @property
    def rests(self) -> bool:
        return not self.leaves and getattr(self.playing, "rests", False)


class Output:
    """A speaker; made by `join`."""

    def __init__(self, device: str) -> None:
        self.keeper = DeviceKeeper("speaker", device, self._fill, self._rests)
        self._device = device
        self._seats: tuple[_Seat, ...] = ()
        self._limiter = Limiter()
        self._one: Block = np.zeros(BLOCK_SAMPLES, np.int16)

    @property
    def delay_s(self) -> float:
        """How long what is mixed now takes to be heard, about."""
        return self.keeper.delay_s + SERVER_S

    def wake(self) -> None:
        """Somebody who rested has something to play."""
        self.keeper.wake()

    def leave(self, playing: Playing, *, wait: bool = True) -> None:
        """Fade out within 10 ms. The last one releases the device: with `wait` now (may take seconds), else soon."""
        with _lock:
            seat = next((seat for seat in self._seats if seat.playing is playing and not seat.leaves), None)
            if seat is None:
                return
            seat.leaves = True
            is_last = all(other.leaves for other in self._seats)
            if not self.keeper.running:
                self._seats = tuple(other for other in self._seats if other is not seat)
                seat.gone.set()
        self.keeper.wake()
        if wait:
            seat.gone.wait(_FADE_OUT_S)
            if is_last:
                self._close_unless_used(wait=True)
        elif is_last:
            Worker("output-linger", self._linger).start()

    def _sit(self, playing: Playing) -> None:
        self._seats = (*self._seats, _Seat(playing))
        self.keeper.wake()

    def _rests(self) -> bool:
        return all(seat.rests for seat in self._seats)

    def _linger(self, stopping: threading.Event) -> None:
        stopping.wait(LINGER_S)
        self._close_unless_used(wait=False)

    def _close_unless_used(self, *, wait: bool) -> None:
        with _lock:
            if not all(seat.leaves for seat in self._seats):
                return
            if _outputs.get(self._device) is self:
                del _outputs[self._device]
        self.keeper.close(wait=wait)

    def _fill(self, block: Block) -> Block | None:
        """Runs in the device's thread."""
        seats, side = self._seats, None
        if len(seats) == 1 and not seats[0].leaves and not seats[0].volume.is_silent and self._limiter.is_idle:
            seats[0].playing.pull(block)
            side = seats[0].side
        elif seats:
            block[:], side = self._mixed(seats)
        else:
            block[:] = 0
        delay_s = self.delay_s
        for seat in seats:
            seat.playing.played(block, delay_s)
        return side

    def _mixed(self, seats: tuple[_Seat, ...]) -> tuple[Block, Block | None]:
        halves = np.zeros((BLOCK_SAMPLES, 2), np.float32)  # middle and side
        is_wide = False
        for seat in seats:
            seat.playing.pull(self._one)
            side = seat.side
            is_wide = is_wide or side is not None
            both = np.stack((self._one, _NO_SIDE if side is None else side), axis=1)
            halves += seat.volume.shape(both, 0.0 if seat.leaves else 1.0)
        if any(seat.leaves for seat in seats):
            with _lock:
                self._seats = tuple(seat for seat in self._seats if not seat.leaves or seat not in seats)
            for seat in seats:
                if seat.leaves:
                    seat.gone.set()
        if not is_wide:
            return self._limiter.apply(halves[:, 0]), None
        sides = np.stack((halves[:, 0] + halves[:, 1], halves[:, 0] - halves[:, 1]), axis=1)
        return limited_halves(sides, self._limiter)


_lock = threading.Lock()
_outputs: dict[str, Output] = {}


def join(device: str, playing: Playing) -> Output:
    """Play on a device ("" follows the system) as soon as it is open; returns at once."""
    with _lock:
        output = _outputs.get(device)
        if output is None:
            output = _outputs[device] = Output(device)
        output._sit(playing)
    output.keeper.start()
    return output
