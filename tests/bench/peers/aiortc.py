"""Stock aiortc: an RTCPeerConnection at each end, on the sound devices."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import ClassVar

from tests.bench.peers.base import Film, PairCall, Place, Seen


class AiortcCall(PairCall):
    name: ClassVar[str] = "aiortc"

    def __init__(self, near: Place, far: Place, film: Film | None = None) -> None:
        super().__init__(near, far, film)
        self._ends: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        for place, role in ((self.near, "calls"), (self.far, "answers")):
            film = [str(self.film.path), str(self.film.bps)] if self.film else []
            with (place.folder / "aiortc.log").open("w") as log:
                self._ends.append(
                    place.host.popen(
                        *(sys.executable, "-m", "tests.bench.peers.aiortc_end", role, *film),
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        env=place.environment(),
                    )
                )
        near, far = self._ends
        self._tell(far, self._line(near))
        self._tell(near, self._line(far))
        for end in self._ends:
            assert json.loads(self._line(end)) == "connected"

    def stop(self) -> None:
        for end in self._ends:
            end.kill()
            end.wait(5)
            for pipe in (end.stdin, end.stdout):
                if pipe is not None:
                    pipe.close()

    def seen(self) -> tuple[Seen, Seen]:
        found = []
        for end in self._ends:
            self._tell(end, "seen\n")
            found.append(Seen(json.loads(self._line(end))))
        return found[0], found[1]

    def _line(self, end: subprocess.Popen[str]) -> str:
        assert end.stdout is not None
        line = end.stdout.readline()
        assert line, f"aiortc ended: {self.near.folder}"
        return line

    def _tell(self, end: subprocess.Popen[str], line: str) -> None:
        assert end.stdin is not None
        end.stdin.write(line)
        end.stdin.flush()
