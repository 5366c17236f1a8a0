"""Parley: `parley call` and `parley listen`, on sound devices as people have them."""

from __future__ import annotations

import contextlib
from typing import ClassVar

from tests.bench.peers.base import LIMIT_S, Film, PairCall, Place, Seen
from tests.lab.parley import Outcome, Parley

_PLAIN = ("--no-echo-cancellation", "--no-noise-suppression", "--no-gain-control")


class ParleyCall(PairCall):
    name: ClassVar[str] = "parley"

    def __init__(self, near: Place, far: Place, film: Film | None = None) -> None:
        super().__init__(near, far, film)
        self._phones = contextlib.ExitStack()

    def start(self) -> None:
        listener = self._phones.enter_context(self._phone(self.far, "listen", "--calls", "1"))
        listener.wait_for("listening")
        caller = self._phones.enter_context(self._phone(self.near, "call", f"sip:bob@{self.far.host.in_uri}"))
        self.phones = (caller, listener)
        for phone in self.phones:
            phone.wait_for("call", state="connected", limit_s=LIMIT_S)

    def stop(self) -> None:
        self._phones.close()

    def finish(self) -> tuple[Outcome, Outcome]:
        """Hang up, and give how both ends fared."""
        caller, listener = self.phones
        caller.stop()
        return caller.finish(), listener.finish()

    def seen(self) -> tuple[Seen, Seen]:
        seen = []
        for phone in self.phones:
            figures = next((event for event in reversed(phone.events) if event["event"] == "figures"), {})
            seen.append(Seen(figures.get("frames_decoded"), figures.get("width"), figures.get("height")))
        return seen[0], seen[1]

    def _phone(self, place: Place, *arguments: str) -> Parley:
        media = ["--audio-from", "mic", "--audio-to", "speaker", *_PLAIN]
        if self.film is None:
            media += ["--video-from", "none"]
        else:
            film = self.film
            media += ["--video-from", str(film.listed(place.folder)), "--video-to", "null"]
            media += ["--size", f"{film.width}x{film.height}", "--fps", str(film.fps)]
            media += ["--video-codecs", "vp8", "--video-kbps", str(film.bps // 1000)]
        return Parley(place.host, place.folder / "parley", [*arguments, *media], place.environment())
