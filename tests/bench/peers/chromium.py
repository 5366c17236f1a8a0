"""Chromium: a headless browser at each end with one page, told what to do over its DevTools pipe.

The two pages are introduced to each other by the bench: it carries the offer to the one and the answer to the other.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any, ClassVar

from tests.bench.peers.base import Film, PairCall, Place, Seen
from tests.browser import MAY_LISTEN, PROGRAM, SHOWS_ADDRESSES, Browser

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
    program: ClassVar[str | None] = PROGRAM
    package: ClassVar[str | None] = PROGRAM

    def __init__(self, near: Place, far: Place, film: Film | None = None) -> None:
        super().__init__(near, far, film)
        self._open = contextlib.ExitStack()

    def start(self) -> None:
        film = None
        if self.film is not None:
            film = {"width": self.film.width, "height": self.film.height, "fps": self.film.fps, "bps": self.film.bps}
        self.browsers = [self._open.enter_context(_browser(place, self.film)) for place in self.places]
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


def _browser(place: Place, film: Film | None) -> Browser:
    camera = [f"--use-file-for-fake-video-capture={film.path}", "--use-fake-device-for-media-stream"] if film else []
    folder, host = place.folder / "chromium", place.host
    return Browser(
        folder, _PAGE, MAY_LISTEN, SHOWS_ADDRESSES, *camera, within=host.command, environment=place.environment()
    )
