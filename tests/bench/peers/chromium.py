"""Chromium: a headless browser at each end with one page, told what to do over its DevTools pipe.

The two pages are introduced to each other by the bench: it carries the offer to the one and the answer to the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from tests.bench.peers.base import LIMIT_S, Film, PairCall, Place, Seen

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--remote-debugging-pipe",
)
# The browser's own page: a file, since only a trusted page may open a microphone.
_PAGE = """<!doctype html><title>bench</title><script>
let pc
async function prepare(film) {
  pc = new RTCPeerConnection({iceServers: []})
  pc.ontrack = event => {
    const shown = document.createElement(event.track.kind)
    shown.autoplay = true
    shown.srcObject = new MediaStream([event.track])
    document.body.append(shown)
  }
  const plain = {echoCancellation: false, noiseSuppression: false, autoGainControl: false}
  const video = film && {width: film.width, height: film.height, frameRate: film.fps}
  const stream = await navigator.mediaDevices.getUserMedia({audio: plain, video: video || false})
  for (const track of stream.getTracks()) pc.addTrack(track, stream)
}
async function described() {
  await pc.setLocalDescription()
  while (pc.iceGatheringState !== "complete")
    await new Promise(done => pc.addEventListener("icegatheringstatechange", done, {once: true}))
  return JSON.stringify(pc.localDescription)
}
function onlyVp8() {
  const vp8 = RTCRtpReceiver.getCapabilities("video").codecs.filter(one => /VP8|rtx/.test(one.mimeType))
  for (const one of pc.getTransceivers())
    if (one.receiver.track.kind === "video") one.setCodecPreferences(vp8)
}
async function limited(film) {
  for (const sender of pc.getSenders()) if (sender.track.kind === "video") {
    const wanted = sender.getParameters()
    wanted.encodings[0].maxBitrate = film.bps
    await sender.setParameters(wanted)
  }
}
async function offer(film) { await prepare(film); onlyVp8(); return described() }
async function answer(film, theirs) {
  await prepare(film)
  await pc.setRemoteDescription(JSON.parse(theirs))
  const said = await described()
  if (film) await limited(film)
  return said
}
async function accept(film, theirs) {
  await pc.setRemoteDescription(JSON.parse(theirs))
  if (film) await limited(film)
  while (pc.connectionState !== "connected")
    await new Promise(done => pc.addEventListener("connectionstatechange", done, {once: true}))
  return "connected"
}
async function stats() { return JSON.stringify([...(await pc.getStats()).values()]) }
</script><body></body>"""


class ChromiumCall(PairCall):
    name: ClassVar[str] = "Chromium"
    program: ClassVar[str | None] = "chromium"
    package: ClassVar[str | None] = "chromium"

    def __init__(self, near: Place, far: Place, film: Film | None = None) -> None:
        super().__init__(near, far, film)
        self._open = contextlib.ExitStack()

    def start(self) -> None:
        film = None
        if self.film is not None:
            film = {"width": self.film.width, "height": self.film.height, "fps": self.film.fps, "bps": self.film.bps}
        self.browsers = [self._open.enter_context(_Browser(place, self.film)) for place in self.places]
        near, far = self.browsers
        offered = near.run("offer", film)
        near.run("accept", film, far.run("answer", film, offered))

    def stop(self) -> None:
        self._open.close()

    def stats(self, end: int) -> list[dict[str, Any]]:
        """What getStats says at the near (0) or far end (1)."""
        return list(json.loads(self.browsers[end].run("stats")))

    def seen(self) -> tuple[Seen, Seen]:
        found = []
        for end in (0, 1):
            told = next((one for one in self.stats(end) if one["type"] == "inbound-rtp" and one["kind"] == "video"), {})
            found.append(Seen(told.get("framesDecoded"), told.get("frameWidth"), told.get("frameHeight")))
        return found[0], found[1]


class _Browser:
    """One browser; `run` calls a function of its page and waits for what it gives."""

    def __init__(self, place: Place, film: Film | None) -> None:
        folder = place.folder / "chromium"
        folder.mkdir(parents=True)
        page = folder / "page.html"
        page.write_text(_PAGE)
        camera = (
            [f"--use-file-for-fake-video-capture={film.path}", "--use-fake-device-for-media-stream"] if film else []
        )
        self._number, self._unread = 0, b""
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        command = ["chromium", *_FLAGS, *camera, f"--user-data-dir={folder / 'profile'}", page.as_uri()]
        # DevTools read from descriptor 3 and write to 4.
        plumb = f'exec 8<&{theirs_in} 9>&{theirs_out}; exec 3<&8 4>&9; exec "$@"'
        with (folder / "log.txt").open("w") as log:
            self._process = subprocess.Popen(
                place.host.command("bash", "-c", plumb, "bash", *command),
                pass_fds=(theirs_in, theirs_out),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**place.environment(), "HOME": str(folder)},
            )
        os.close(theirs_in)
        os.close(theirs_out)
        self._log = folder / "log.txt"

    def __enter__(self) -> _Browser:
        try:
            self._session = self._attach()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for pipe in (self._to, self._from):
            os.close(pipe)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    def run(self, function: str, *arguments: object) -> str:
        """Call a function of the page; AssertionError with its words when it fails."""
        told = self._command(
            "Runtime.evaluate",
            session=self._session,
            expression=f"{function}({', '.join(map(json.dumps, arguments))})",
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in told, f"{function}: {told}"
        return str(told["result"]["value"])

    def _attach(self) -> str:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            for target in self._command("Target.getTargets")["targetInfos"]:
                if target["type"] == "page" and target["title"] == "bench":
                    found = self._command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
                    return str(found["sessionId"])
            time.sleep(0.1)
        raise AssertionError(f"Chromium shows no page:\n{self._story()}")

    def _command(self, method: str, *, session: str | None = None, **parameters: object) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + LIMIT_S
        while True:
            told = self._read(deadline)
            if told.get("id") == self._number:
                assert "result" in told, f"{method}: {told}"
                return dict(told["result"])

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"Chromium is silent:\n{self._story()}"
            data = os.read(self._from, 65_536)
            assert data, f"Chromium ended:\n{self._story()}"
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\0")
        return dict(json.loads(line))

    def _story(self) -> str:
        return Path(self._log).read_text(errors="replace")[-3000:]
