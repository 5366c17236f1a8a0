"""The same call between two plain RTCPeerConnections of aiortc: python -m tests.bench.aiortc_end …."""

from __future__ import annotations

import asyncio
import fractions
import sys
import time
from typing import Any

import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioFrame, MediaStreamError, VideoFrame
from av.video.frame import PictureType

from tests.bench.ends import Asked, measure, read_line, say
from tests.bench.pictures import COUNT, FPS, pictures, tone


class _Pictures(MediaStreamTrack):
    kind = "video"

    def __init__(self, width: int, height: int) -> None:
        super().__init__()
        self._ready = pictures(width, height)
        self._number = 0
        self._began = 0.0

    async def recv(self) -> VideoFrame:
        self._began = self._began or time.monotonic()
        await asyncio.sleep(self._began + self._number / FPS - time.monotonic())
        frame = self._ready[self._number % COUNT]
        frame.pts, frame.time_base = self._number * 90_000 // FPS, fractions.Fraction(1, 90_000)
        frame.pict_type = PictureType.NONE  # the encoder's wish for a key frame stays in the frame
        self._number += 1
        return frame


class _Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._samples = tone().reshape(1, -1)
        self._number = 0
        self._began = 0.0

    async def recv(self) -> AudioFrame:
        self._began = self._began or time.monotonic()
        await asyncio.sleep(self._began + self._number * 0.020 - time.monotonic())
        frame = av.AudioFrame.from_ndarray(self._samples, format="s16", layout="mono")
        frame.sample_rate, frame.time_base = 48_000, fractions.Fraction(1, 48_000)
        frame.pts = self._number * 960
        self._number += 1
        return frame


async def run(asked: Asked) -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    received = {"audio": 0, "video": 0}
    consumers: list[asyncio.Task[None]] = []

    async def consume(track: MediaStreamTrack) -> None:
        while True:
            try:
                await track.recv()
            except MediaStreamError:
                return
            received[track.kind] += 1

    connection.on("track", lambda track: consumers.append(asyncio.ensure_future(consume(track))))
    connection.addTrack(_Tone())
    connection.addTrack(_Pictures(asked.width, asked.height))
    if asked.calls:
        await connection.setLocalDescription(await connection.createOffer())
        _say_description(connection)
        await connection.setRemoteDescription(RTCSessionDescription(**await read_line()))
    else:
        await connection.setRemoteDescription(RTCSessionDescription(**await read_line()))
        await connection.setLocalDescription(await connection.createAnswer())
        _say_description(connection)
    video = next(sender for sender in connection.getSenders() if sender.kind == "video")
    began = time.monotonic()

    async def octets() -> int:
        report = await video.getStats()
        return next(entry.bytesSent for entry in report.values() if entry.type == "outbound-rtp")

    def count() -> dict[str, Any]:
        return {"sent": None, "received": received["video"], "audio": received["audio"], "bps": None}

    await measure(asked, count)
    say({"octets": await octets(), "seconds": time.monotonic() - began})
    await connection.close()
    await asyncio.gather(*consumers)


def _say_description(connection: RTCPeerConnection) -> None:
    local = connection.localDescription
    say({"type": local.type, "sdp": local.sdp})


if __name__ == "__main__":
    asyncio.run(run(Asked.parse(sys.argv[1:])))
