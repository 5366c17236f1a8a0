"""What the bench asks of every phone: a call between two of its kind, begun, watched and ended."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from tests.lab.network import Host
from tests.media.pulse import Pulse

LIMIT_S = 40.0  # for a step that takes moments on an idle machine
_SHOWINGS = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """Where one end of a call stands: a host, its sound server, and a folder."""

    host: Host
    pulse: Pulse
    folder: Path

    def environment(self) -> dict[str, str]:
        """The variables with which a program finds this place's devices."""
        return {**os.environ, "PULSE_SERVER": self.pulse.env["PULSE_SERVER"]}

    def pids(self) -> list[int]:
        return [int(pid) for pid in self.host.run("ip", "netns", "pids", self.host.namespace).split()]

    def cpu_seconds(self) -> float:
        """Processor time of everything that runs on this host."""
        return sum(map(_cpu_seconds, self.pids()))

    def resident_bytes(self) -> int:
        """Memory of everything that runs on this host, shared pages counted with each who shares them."""
        return sum(map(_resident_bytes, self.pids()))

    def threads(self) -> int:
        return sum(map(_threads, self.pids()))


@dataclass(frozen=True, slots=True)
class Film:
    """The picture both ends show, again and again, and how it is to be sent.

    `path` is a file of raw pictures (YUV4MPEG2, yuv420p), which every phone reads at hardly any cost.
    """

    path: Path
    width: int
    height: int
    fps: int
    bps: int

    def listed(self, folder: Path) -> Path:
        """Give a list of itself for a phone that plays a file once: a still picture costs and needs nothing."""
        whole = folder / "film.ffconcat"
        (folder / "film.y4m").symlink_to(self.path)
        whole.write_text("ffconcat version 1.0\n" + "file film.y4m\n" * _SHOWINGS)
        return whole


@dataclass(frozen=True, slots=True)
class Seen:
    """How far an end's pictures have come: decoded pictures, and the size of the last; None is not known."""

    pictures: int | None
    width: int | None = None
    height: int | None = None


class PairCall(ABC):
    """One call between two of a kind, from `near` to `far`; use as a context.

    Sound comes from each place's microphone and goes to its speaker, without echo cancellation, noise suppression and
    gain control where the phone has them: the bench's rooms are silent. With a `film` both ends show it.
    """

    name: ClassVar[str]
    program: ClassVar[str | None] = None
    package: ClassVar[str | None] = None

    def __init__(self, near: Place, far: Place, film: Film | None = None) -> None:
        self.near, self.far, self.film = near, far, film
        for place in (near, far):
            place.folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def missing(cls) -> str | None:
        """Say what is to be installed for this phone; None where it is there."""
        if cls.program is None or shutil.which(cls.program) is not None:
            return None
        return f"{cls.program} is not installed (apt-get install {cls.package})"

    def __enter__(self) -> PairCall:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def start(self) -> None:
        """Start both ends and hold the call; returns when both are connected."""

    @abstractmethod
    def stop(self) -> None:
        """End everything, at whatever stage it is."""

    def seen(self) -> tuple[Seen, Seen]:
        """What near and far have seen so far of the other."""
        return Seen(None), Seen(None)

    @property
    def places(self) -> tuple[Place, Place]:
        return self.near, self.far


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_bytes(pid: int) -> int:
    return int(_status(pid).get("VmRSS", "0 kB").split()[0]) * 1024


def _threads(pid: int) -> int:
    return int(_status(pid).get("Threads", "0"))


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
