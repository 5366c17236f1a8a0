"""One whole call between two users of a home server, with what each side heard, saw, reported and sent."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.heard import RATE_HZ, Samples, delay_s, read_wav
from tests.lab import parley
from tests.lab.capture import Capture, Packet
from tests.lab.film import Seen, compare
from tests.lab.network import Lab
from tests.lab.parley import Outcome

_SPEAKING = 300  # root mean square of samples in which somebody speaks


@dataclass(frozen=True, slots=True)
class Side:
    """What one side says, shows and is."""

    user: str
    host: str
    speech: Path
    film: Path | str = "pattern"


@dataclass(frozen=True, slots=True)
class Talk:
    """A call that is over. Hosts are named a (caller), b (callee) and s (home)."""

    folder: Path
    caller: Outcome
    callee: Outcome
    home: Outcome
    packets: dict[str, list[Packet]]

    def heard(self, by: str) -> Samples:
        return read_wav(self.folder / f"{by}.wav")

    def seen(self, by: str, film: Path) -> Seen:
        return compare(film, self.folder / f"{by}.mkv")


def hold_talk(
    lab: Lab,
    folder: Path,
    caller: Side,
    callee: Side,
    *,
    seconds: float,
    rings_s: float = 0.5,
    flags: tuple[str, ...] = (),
    watched: str = "ab",
) -> Talk:
    """Let home, listen and call run to their ends; `flags` go to both phones."""
    server = lab["s"]
    with ExitStack() as stack:
        captures = {name: stack.enter_context(Capture(lab[name], folder / f"{name}.pcap")) for name in watched}
        home = stack.enter_context(parley.home(server, folder / "home"))
        answers = ("--calls", "1", "--answer-after", str(rings_s))
        listener = stack.enter_context(
            parley.listen(lab["b"], folder / "listen", callee.user, server, *_media(folder, callee), *answers, *flags)
        )
        target = f"sip:{callee.user}@{server.in_uri}"
        talks = (*_media(folder, caller), "--for", str(seconds))
        dialler = stack.enter_context(
            parley.call(lab["a"], folder / "call", caller.user, server, target, *talks, *flags)
        )
        called = dialler.finish(limit_s=seconds + 60)
        listened = listener.finish()
        home.stop()
        served = home.finish()
    return Talk(folder, called, listened, served, {name: one.packets() for name, one in captures.items()})


def _media(folder: Path, side: Side) -> tuple[str, ...]:
    sound = ("--audio-from", str(side.speech), "--audio-to", str(folder / f"{side.host}.wav"))
    return *sound, "--video-from", str(side.film), "--video-to", str(folder / f"{side.host}.mkv")


def likeness(said: Samples, heard: Samples) -> float:
    """Give how much of what was said is in what was heard, 0 to about 1: the median correlation of half seconds.

    Each half second is looked for within 0.3 s of where it should be, since a jitter buffer stretches time.
    """
    lag, size, reach = round(delay_s(said, heard) * RATE_HZ), RATE_HZ // 2, round(0.3 * RATE_HZ)
    found = []
    for at in range(0, said.size - size, size):
        piece = said[at : at + size].astype(np.float64)
        area = heard[max(0, at + lag - reach) : max(0, at + lag + size + reach)].astype(np.float64)
        if np.sqrt((piece**2).mean()) > _SPEAKING and area.size >= size:
            found.append(_best_correlation(piece, area))
    return float(np.median(found)) if found else 0.0


def _best_correlation(piece: NDArray[np.float64], area: NDArray[np.float64]) -> float:
    """Give the correlation at the place in `area` that fits best; silence fits nothing."""
    length = 1 << math.ceil(math.log2(area.size + piece.size))
    spectrum = np.fft.rfft(area, length) * np.conj(np.fft.rfft(piece, length))
    products = np.fft.irfft(spectrum, length)[: area.size - piece.size + 1]
    energies = np.concatenate([[0.0], np.cumsum(area**2)])
    there = np.maximum(energies[piece.size :] - energies[: -piece.size], 1e4)
    return float((products / np.sqrt(there * (piece**2).sum())).max())
