"""Pictures on their way between two media sessions in one process: what loss does to them, how old they are when
painted, and whether large ones keep their rate.

Which picture is shown is read from its stamp. The wire is one inside the process: it delays and loses datagrams.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import av
import pytest
from PySide6.QtWidgets import QApplication

from app.frames import FrameMailbox
from app.media.certificate import Certificate
from app.media.codecs import H264, VP8
from app.media.default_devices import SettingsDevices
from app.media.plan import CodecPlan, SecurityPlan, StreamPlan
from app.media.ports import VideoSink, VideoSource
from app.media.sending import RtpSender
from app.media.session import MediaSession
from app.media.sinks import MailboxSink
from app.media.stamp import read_stamp
from app.media.video_codecs import make_encoder, make_packetizer
from app.settings import MediaSettings
from tests.bench.pictures import FPS, PremadeSource, pictures
from tests.bench.table import Table
from tests.media.lossy_call import LossyWire, watch
from tests.media.wire import Path
from ui.widgets.video_view import VideoView

LOSS = "Video under random loss: the longest that a picture stood still, 640x480"
VIRTUAL = "The same on a virtual clock, VP8 of 1 Mbit/s, calls of 12 s"
PAINTED = "From the camera to the painted window, loopback"
LARGE = "1920x1080 received at 30 a second: pictures shown a second"
SIMULATED = 60
_RTX = 97


class _Devices(SettingsDevices):
    """A film made before goes out, and every picture that comes in is noted with its stamp and the time."""

    def __init__(self, ready: list[av.VideoFrame], sink: VideoSink | None) -> None:
        super().__init__()
        self._ready, self._sink = ready, sink
        self.sources: list[_NotedSource] = []

    def video_source(self, settings: MediaSettings) -> VideoSource:
        self.sources.append(_NotedSource(self._ready))
        return self.sources[-1]

    def video_sink(self, settings: MediaSettings, mailbox: FrameMailbox) -> VideoSink:
        return self._sink or MailboxSink(mailbox)


class _NotedSource(PremadeSource):
    """Remembers when each picture was captured."""

    def __init__(self, ready: list[av.VideoFrame]) -> None:
        super().__init__(ready)
        self.captured: dict[int, float] = {}

    def _give(self, frame: av.VideoFrame, captured_at: float) -> None:
        self.captured[next(i for i, one in enumerate(self._ready) if one is frame)] = captured_at
        super()._give(frame, captured_at)


class _Noting:
    """A sink that reads the stamps."""

    problem = None

    def __init__(self) -> None:
        self.shown: list[tuple[float, int | None]] = []

    def start(self) -> None:
        """There is nothing to open."""

    def write_frame(self, frame: av.VideoFrame, at: float) -> None:
        self.shown.append((at, read_stamp(frame)))

    def close(self) -> None:
        """There is nothing to close."""

    def gaps_s(self, since: float) -> list[float]:
        """How long each new picture had been waited for."""
        news = [at for (at, number), (_, before) in zip(self.shown[1:], self.shown, strict=False) if number != before]
        return [later - earlier for earlier, later in itertools.pairwise(at for at in news if at >= since)]


@asynccontextmanager
async def one_way(
    codec: CodecPlan, ready: list[av.VideoFrame], sink: VideoSink | None, delay_s: float, mailbox: FrameMailbox
) -> AsyncIterator[tuple[Path, Path, _Devices]]:
    """Send the film from one session to another; gives both directions of the wire and the sender's devices."""
    size = ready[0]
    settings = MediaSettings(audio_from="silence", audio_to="null", width=size.width, height=size.height, fps=FPS)
    devices = _Devices(ready, None), _Devices(ready, sink)
    sessions = [
        MediaSession(settings, Certificate.generate(), devices=each, remote_picture=mailbox) for each in devices
    ]
    paths = Path(delay_s=delay_s, seed=1), Path(delay_s=delay_s, seed=2)
    for here, there, path in zip(sessions, sessions[::-1], paths, strict=True):
        path.to = lambda data, there=there: there.receive("0", data)
        here.open_transport("0", path)
    plan = StreamPlan("video", "video", "0", True, False, (codec,), nack=True, pli=True, mid="1", mid_extension_id=1)
    plan = replace(plan, rtx=((_RTX, codec.payload_type),), transport_cc=True, transport_cc_id=2)
    try:
        for session, sends in zip(sessions, (True, False), strict=True):
            await session.secure("0", SecurityPlan("none"))
            session.configure([replace(plan, send=sends, receive=not sends)])
            session.start_sending()
        yield paths[0], paths[1], devices[0]
    finally:
        await asyncio.gather(*(session.close() for session in sessions))


@pytest.mark.parametrize(
    ("loss", "delay_s"),
    [
        (0.01, 0.020),
        pytest.param(0.05, 0.020, marks=pytest.mark.short),
        (0.10, 0.020),
        (0.01, 0.050),
        (0.05, 0.050),
        (0.10, 0.050),
    ],
)
@pytest.mark.parametrize("codec", [VP8, pytest.param(H264, id="H264")], ids=lambda codec: codec.name)
async def test_loss(table: Table, is_long: bool, codec: CodecPlan, loss: float, delay_s: float) -> None:
    if codec is H264 and not is_long:
        pytest.skip("one codec is enough for the short form")
    worst, over = [], 0
    for _ in range(2 if is_long else 1):
        sink = _Noting()
        async with one_way(codec, pictures(640, 480), sink, delay_s, FrameMailbox()) as (there, back, _):
            await asyncio.sleep(1.5)
            there.loss = back.loss = loss
            began = time.monotonic()
            await asyncio.sleep(12.0 if is_long else 2.0)
        gaps = sink.gaps_s(began)
        assert gaps, "no pictures came"
        worst.append(1_000 * max(gaps))
        over += sum(gap > 0.4 for gap in gaps)
    name = f"{codec.name}: {loss:.0%} lost, {1000 * delay_s:.0f} ms each way"
    table.add(LOSS, name, "ms", worst, note=f"{over} over 400 ms")
    assert not is_long or loss > 0.05 or not over


@pytest.mark.short
@pytest.mark.timeout(900)
@pytest.mark.parametrize("loss", [0.01, 0.05, 0.10])
@pytest.mark.parametrize("delay_s", [0.010, 0.020, 0.050, 0.100])
def test_loss_without_a_machine(table: Table, is_long: bool, loss: float, delay_s: float) -> None:
    """The same on a virtual clock, without codecs: so many calls of 12 s that what happens seldom is seen."""
    calls = SIMULATED if is_long else 1
    if not is_long and (loss, delay_s) != (0.05, 0.050):
        pytest.skip("one wire is enough for the short form")
    longest = sorted(1_000 * watch(LossyWire(delay_s, loss), seed).longest_s for seed in range(calls))
    over = sum(one > 400 for one in longest)
    name = f"{loss:.0%} lost, {1000 * delay_s:.0f} ms each way"
    note = f"the longest {longest[-1]:.0f}, {over} of {calls} calls over 400 ms"
    table.add(VIRTUAL, name, "ms", longest, note=note)
    assert loss > 0.05 or delay_s > 0.05 or not over


class _Painted(VideoView):
    """Notes when each picture was painted."""

    def __init__(self) -> None:
        super().__init__("view", "what the bench looks at")
        self.noted: list[tuple[float, int | None]] = []

    def paintEvent(self, event: object) -> None:
        before = self.painted
        super().paintEvent(event)  # type: ignore[arg-type]
        now = time.monotonic()
        if self.painted != before and self.picture is not None:
            self.noted.append((now, read_stamp(self.picture)))


def _on_a_loop(work: object) -> threading.Thread:
    thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)  # type: ignore[operator]
    thread.start()
    return thread


@pytest.mark.short
@pytest.mark.parametrize(("width", "height"), [(640, 480), pytest.param(1280, 720)])
def test_captured_to_painted(table: Table, is_long: bool, qapp: QApplication, width: int, height: int) -> None:
    seconds = 10.0 if is_long else 1.5
    if not is_long and width > 640:
        pytest.skip("one size is enough for the short form")
    mailbox, view = FrameMailbox(), _Painted()
    view.resize(width, height)
    view.show()
    view.show_mailbox(mailbox)
    captured: dict[int, float] = {}
    ages: list[float] = []

    async def call() -> None:
        async with one_way(VP8, pictures(width, height), None, 0.0, mailbox) as (_, _, devices):
            await asyncio.sleep(1.0 + seconds)
            for source in devices.sources:
                captured.update(source.captured)

    thread = _on_a_loop(call)
    while thread.is_alive():
        qapp.processEvents()
        time.sleep(0.001)
    view.show_mailbox(None)
    view.close()
    # Stamps come again every two seconds; the last time each was captured is known.
    ages = [at - captured[number] for at, number in view.noted if number in captured and 0 <= at - captured[number] < 1]
    assert len(ages) > 10
    ordered = sorted(1_000 * age for age in ages)
    table.add(PAINTED, f"{width}x{height}: median", "ms", [statistics.median(ordered)])
    table.add(PAINTED, f"{width}x{height}: 95 in 100", "ms", [ordered[int(len(ordered) * 0.95)]])


@pytest.mark.parametrize("codec", [VP8, pytest.param(H264, id="H264")], ids=lambda codec: codec.name)
async def test_large_pictures(table: Table, codec: CodecPlan) -> None:
    """Packets made before come in at 30 pictures a second; each picture is decoded and turned for a window."""
    film, mailbox = _encoded(codec), FrameMailbox()
    mailbox.listen(mailbox.take)
    settings = MediaSettings(audio_from="silence", audio_to="null")
    session, sender = MediaSession(settings, Certificate.generate(), remote_picture=mailbox), RtpSender(90_000)
    session.open_transport("0", Path())
    await session.secure("0", SecurityPlan("none"))
    session.configure([StreamPlan("video", "video", "0", False, True, (codec,))])
    try:
        began = time.monotonic()
        cpu, count = time.process_time(), 8 * FPS
        for number in range(count):
            await asyncio.sleep(began + number / FPS - time.monotonic())
            payloads = film[number % len(film)]
            for index, payload in enumerate(payloads):
                is_last = index == len(payloads) - 1
                session.receive("0", sender.packet(codec.payload_type, is_last, number * 3_000, payload, began))
        # A picture stands for its share of a second after the last one too: what is late then did not keep up.
        await asyncio.sleep(began + count / FPS - time.monotonic())
        took, used = time.monotonic() - began, time.process_time() - cpu
        figures = session.stats()[1]
        assert figures is not None
        shown = figures.frames_decoded
    finally:
        await session.close()
    table.add(
        LARGE, codec.name, "1/s", [shown / took], note=f"{shown} of {count}; {used / took:.2f} processor seconds/s"
    )
    assert shown == count


def _encoded(codec: CodecPlan) -> list[list[bytes]]:
    """The payloads of two seconds of film at 4 Mbit/s."""
    encoder, packetizer = make_encoder(codec, 4_000_000, FPS), make_packetizer(codec)
    ready = pictures(1920, 1080)
    return [
        packetizer.packetize(encoder.encode(frame, number * 3_000, key=False)[0]) for number, frame in enumerate(ready)
    ]
