"""Parley's channels: `parley channel join` at each end by multicast; the near one holds its talk key."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import ClassVar

from app.engine import missions
from app.engine.missions import ChannelWish, MissionWishes
from tests.bench.peers.base import LIMIT_S, Film, PairCall, Place
from tests.lab.parley import Parley

TALK_S = 600  # longer than anything that is measured
_PLAIN = ("--no-echo-cancellation", "--no-noise-suppression", "--no-gain-control")


class ParleyChannel(PairCall):
    """Encrypted, Opus at 24 kb/s in packets of 20 ms: what `parley mission new` makes."""

    name: ClassVar[str] = "parley"

    def __init__(self, near: Place, far: Place, film: Film | None = None) -> None:
        super().__init__(near, far, film)
        self._running = contextlib.ExitStack()

    def start(self) -> None:
        mission = missions.make(MissionWishes("Bench", (ChannelWish("Alpha"),)), datetime(2026, 11, 22, tzinfo=UTC))
        for place in self.places:
            (place.folder / "bench.ice").write_text(missions.pack(mission))
        self.far_end = self._running.enter_context(self._join(self.far))
        self.far_end.wait_for("link", up=True, limit_s=LIMIT_S)
        self.near_end = self._running.enter_context(self._join(self.near, "--talk", str(TALK_S)))
        self.near_end.wait_for("talking", limit_s=LIMIT_S)

    def stop(self) -> None:
        self._running.close()

    def hush(self) -> None:
        """Let nobody talk any more."""
        self.near_end.stop()
        self.near_end.finish()

    @property
    def listener_pid(self) -> int:
        """The process of the end that hears."""
        return self.far_end.pid

    def _join(self, place: Place, *arguments: str) -> Parley:
        media = ("--audio-from", "mic", "--audio-to", "speaker", *_PLAIN)
        command = ["channel", "join", str(place.folder / "bench.ice"), *arguments, *media]
        return Parley(place.host, place.folder / "parley", command, place.environment())
