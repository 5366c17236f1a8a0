"""One end of stock aiortc: python -m tests.bench.peers.aiortc_end calls|answers [FILM BPS].

What is aiortc's is as it comes: tracks, encoders, packets, its jitter buffer; only the most that its VP8 encoder goes
up to is BPS instead of 1.5 Mbit/s. Sound devices are PortAudio's, in blocks of 20 ms. Its description goes out as a
line of JSON, the other's comes in as one; then it says that it is connected, and to each further line how many pictures
it has received.
"""

from __future__ import annotations

import asyncio
import fractions
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import sounddevice
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs import vpx
from aiortc.mediastreams import AudioFrame, MediaStreamError, VideoFrame
from av.video.frame import PictureType

_SAMPLES = 960
_STREAM = {"samplerate": 48_000, "blocksize": _SAMPLES, "channels": 1, "dtype": "int16", "latency": 0.04}


class Microphone(MediaStreamTrack):
    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self._blocks: asyncio.Queue[bytes] = asyncio.Queue()
        self._number = 0

        def hear(data: Any, *about: object) -> None:
            loop.call_soon_threadsafe(self._blocks.put_nowait, bytes(data))

        self._stream = sounddevice.RawInputStream(callback=hear, **_STREAM)
        self._stream.start()

    async def recv(self) -> AudioFrame:
        samples = np.frombuffer(await self._blocks.get(), np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.time_base = 48_000, fractions.Fraction(1, 48_000)
        frame.pts = self._number * _SAMPLES
        self._number += 1
        return frame


class Speaker:
    """Plays what tracks gave; what waits for it stays late for good."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._stream = sounddevice.RawOutputStream(callback=self._fill, **_STREAM)
        self._stream.start()

    async def play(self, track: MediaStreamTrack) -> None:
        mono = av.AudioResampler(format="s16", layout="mono", rate=48_000, frame_size=_SAMPLES)
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self._waiting.extend(piece.to_ndarray().tobytes() for piece in mono.resample(frame))

    def _fill(self, out: Any, *about: object) -> None:
        out[:] = self._waiting.popleft() if self._waiting else bytes(len(out))


class FilmTrack(MediaStreamTrack):
    """Shows a film again and again, reading it as it goes, as every phone of the bench does."""

    kind = "video"

    def __init__(self, path: str) -> None:
        super().__init__()
        with av.open(path) as container:
            self._fps = int(container.streams.video[0].average_rate)
        self._pictures = _again_and_again(path)
        self._number = 0
        self._began = 0.0

    async def recv(self) -> VideoFrame:
        self._began = self._began or time.monotonic()
        await asyncio.sleep(self._began + self._number / self._fps - time.monotonic())
        frame = next(self._pictures)
        frame.pts, frame.time_base = self._number * 90_000 // self._fps, fractions.Fraction(1, 90_000)
        frame.pict_type = PictureType.NONE  # a raw picture says that it is whole, which asks for a key frame
        self._number += 1
        return frame


def _again_and_again(path: str) -> Iterator[VideoFrame]:
    while True:
        with av.open(path) as container:
            yield from container.decode(video=0)


async def read_line() -> str:
    return await asyncio.to_thread(sys.stdin.readline)


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


async def main(calls: bool, film: str | None) -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    speaker = Speaker()
    connected = asyncio.Event()
    seen = 0
    consumers: list[asyncio.Task[None]] = []

    async def watch(track: MediaStreamTrack) -> None:
        nonlocal seen
        while True:
            try:
                await track.recv()
            except MediaStreamError:
                return
            seen += 1

    @connection.on("track")
    def on_track(track: MediaStreamTrack) -> None:
        consumers.append(asyncio.ensure_future(speaker.play(track) if track.kind == "audio" else watch(track)))

    @connection.on("connectionstatechange")
    def on_state() -> None:
        if connection.connectionState == "connected":
            connected.set()

    connection.addTrack(Microphone())
    if film is not None:
        connection.addTrack(FilmTrack(film))
    if calls:
        await connection.setLocalDescription(await connection.createOffer())
    else:
        await connection.setRemoteDescription(RTCSessionDescription(**json.loads(await read_line())))
        await connection.setLocalDescription(await connection.createAnswer())
    local = connection.localDescription
    say({"type": local.type, "sdp": local.sdp})
    if calls:
        await connection.setRemoteDescription(RTCSessionDescription(**json.loads(await read_line())))
    await connected.wait()
    say("connected")
    while await read_line():
        say(seen)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        vpx.MAX_BITRATE = int(sys.argv[3])
    asyncio.run(main(sys.argv[1] == "calls", sys.argv[2] if len(sys.argv) > 2 else None))
