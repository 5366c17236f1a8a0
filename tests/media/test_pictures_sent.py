"""What pictures become on their way: smaller where bits are short, stopped and begun again, turned, recoded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import av
import numpy as np
import pytest

from app.events import VideoStats
from app.media.allocation import PACKET_OVERHEAD_BYTES
from app.media.assembly import EncodedFrame
from app.media.codecs import H264, VP8
from app.media.header_extensions import ExtensionBlock, ExtensionIds
from app.media.ladder import LEAST_BPS
from app.media.pattern import Pattern
from app.media.plan import CodecPlan
from app.media.ports import CapturedFrame
from app.media.rotation import orientation_of, upright
from app.media.rtp import RtpPacket
from app.media.sending import RtpSender
from app.media.stamp import read_stamp
from app.media.video_codecs import READERS, make_decoder
from app.media.video_receive import VideoPlayWorker
from app.media.video_send import KEY_INTERVAL_S, VideoSendWorker, on_the_wire, payload_of
from app.media.vp8 import Vp8Encoder
from tests.media.wire import QUIET, eventually, secure, two_ends, video
from tests.seen import mailbox_stamp


class Film:
    """A source that has its next picture at once, 30 a second by its own clock; `orientation` is theirs."""

    description, problem, is_screen = "film", None, False

    def __init__(self, width: int = 640, height: int = 480, orientation: int = 0) -> None:
        self._pattern = Pattern(width, height, "Test")
        self._number = 0
        self._born = time.monotonic()
        self.orientation = orientation
        self.left = threading.Semaphore(0)
        self.done = threading.Semaphore(0)

    def begins(self) -> None:
        self._born = time.monotonic()

    def start(self) -> None:
        """There is nothing to open."""

    def read_frame(self, timeout_s: float) -> CapturedFrame | None:
        if self._number:
            self.done.release()
        if not self.left.acquire(timeout=5.0):
            return None
        number, self._number = self._number, self._number + 1
        return CapturedFrame(self._pattern.draw(number, number / 30), self._born + number / 30, self.orientation)

    def close(self) -> None:
        self.left.release()


class Sending:
    """A worker that sends a film into a list; `show` lets so many pictures through."""

    def __init__(self, film: Film, codec: CodecPlan = VP8, *, turns: bool = False) -> None:
        self._film = film
        self._codec = codec
        ids = ExtensionIds(orientation=3)
        self._ids = ids
        self.packets: list[RtpPacket] = []
        sender = RtpSender(90_000, extensions=ExtensionBlock(ids if turns else ExtensionIds()))
        film.begins()  # no picture is older than the source that it is sent by
        self.worker = VideoSendWorker(film, None, codec, sender, self, 30, turns=turns)  # type: ignore[arg-type]
        self._decoder = make_decoder(codec)

    def put(self, packets: list[bytes]) -> None:
        self.packets += [RtpPacket.parse(packet, self._ids) for packet in packets]

    def show(self, count: int) -> list[av.VideoFrame]:
        """Send so many pictures of the film; gives what the far end sees of them."""
        self.packets = []
        self.worker.worker.start()
        for _ in range(count):
            self._film.left.release()
        for _ in range(count):
            assert self._film.done.acquire(timeout=20.0)
        pictures, data = [], b""
        for packet in self.packets:
            data += READERS[self._codec.name.lower()](packet.payload).data
            if packet.marker:
                pictures += self._decoder.decode(data)
                data = b""
        return pictures

    def stop(self) -> None:
        self.worker.worker.stop()
        self._film.close()
        assert self.worker.worker.join(5.0)


class Grain(Film):
    """A texture that moves under grain: at a large size the coarsest pictures take more bits than there are."""

    def __init__(self) -> None:
        super().__init__()
        dice = np.random.default_rng(1)
        texture = dice.integers(0, 256, (560, 720)).astype(np.float32)
        for axis in (0, 1):
            texture = np.mean([np.roll(texture, step, axis) for step in range(-4, 5)], axis=0)
        texture = (texture - 128) * 6 + 128
        self._pictures = []
        for number in range(15):
            turn = 2 * np.pi * number / 15
            x, y = round(40 + 10 * np.cos(turn)), round(40 + 10 * np.sin(turn))
            picture = np.full((720, 640), 128, np.uint8)
            picture[:480] = (texture[y : y + 480, x : x + 640] + dice.normal(0, 16, (480, 640))).clip(0, 255)
            self._pictures.append(av.VideoFrame.from_ndarray(picture, format="yuv420p"))
        self._pattern = self  # type: ignore[assignment]

    def draw(self, number: int, _at: float) -> av.VideoFrame:
        return self._pictures[number % len(self._pictures)]


@pytest.mark.parametrize("codec", [VP8, H264], ids=lambda codec: codec.name)
def test_a_small_share_of_the_path_makes_small_pictures_and_none_stops_them(codec: CodecPlan) -> None:
    sending = Sending(Film(), codec)
    assert {(picture.width, picture.height) for picture in sending.show(5)} == {(640, 480)}
    sending.worker.allot(on_the_wire(150_000, 30))
    small = sending.show(10)
    assert {picture.height for picture in small} <= {240, 180}
    assert read_stamp(small[-1]) == 14
    assert sending.worker.limited_by == "network"
    sending.worker.allot(0)
    assert sending.show(5) == []
    assert sending.worker.is_paused
    assert sending.worker.wish.least_bps < 100_000
    sending.worker.allot(on_the_wire(150_000, 30))
    begun = sending.show(3)
    assert sending.worker.key_frames_sent >= 3
    assert next(read_stamp(picture) for picture in begun) == 20
    sending.worker.allot(on_the_wire(1_000_000, 30))
    assert sending.show(20)[-1].height == small[-1].height  # up only after seconds of enough
    assert sending.show(160)[-1].height == 480
    assert sending.worker.limited_by is None
    sending.stop()


def test_no_step_to_a_larger_size_makes_pictures_stand_still() -> None:
    """Grain at a size that its bitrate does not carry would be left out for seconds."""
    sending = Sending(Grain())
    sending.worker.allot(on_the_wire(250_000, 30))
    sending.show(60)
    sending.worker.allot(on_the_wire(450_000, 30))
    for _ in range(7):
        assert len(sending.show(30)) >= 10
    assert sending.worker.sent_size == (426, 320)
    sending.stop()


def test_pictures_that_are_left_out_give_the_next_one_no_more_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[int] = []

    class Noted(Vp8Encoder):
        def encode(self, frame: av.VideoFrame, timestamp: int, *, key: bool) -> tuple[bytes, bool]:
            times.append(timestamp)
            return super().encode(frame, timestamp, key=key)

    monkeypatch.setattr("app.media.video_send.make_encoder", lambda codec, bps, fps, **how: Noted(bps, fps))
    sending = Sending(Film())
    sending.show(5)
    sending.worker.backlog_s = 1.0
    assert sending.show(30) == []
    sending.worker.backlog_s = 0.0
    assert len(sending.show(5)) == 5
    sending.stop()
    assert np.diff(times) == pytest.approx(3_000, abs=100)


@pytest.mark.parametrize("nack", [False, True])
async def test_only_a_peer_that_asks_for_what_is_lost_gets_pictures_that_need_all_before_them(
    monkeypatch: pytest.MonkeyPatch, nack: bool
) -> None:
    told: list[bool] = []

    class Noted(Vp8Encoder):
        def __init__(self, bps: int, fps: int, *, is_screen: bool, is_repaired: bool) -> None:
            told.append(is_repaired)
            super().__init__(bps, fps, is_screen=is_screen, is_repaired=is_repaired)

    monkeypatch.setattr("app.media.video_send.make_encoder", lambda codec, bps, fps, **how: Noted(bps, fps, **how))
    async with two_ends((replace(QUIET, width=320, height=240), QUIET)) as (caller, callee):
        await secure(caller, callee)
        for end in (caller, callee):
            end.session.configure([video(nack=nack)])
            end.session.start_sending()
        await eventually(lambda: bool(told))
        assert told[0] == nack


def test_a_peer_with_a_small_decoder_gets_small_pictures() -> None:
    cif = replace(H264, fmtp=(("packetization-mode", "1"), ("profile-level-id", "42e00c")))
    sending = Sending(Film(), cif)
    (picture, *_) = sending.show(3)
    assert -(-picture.width // 16) * -(-picture.height // 16) <= 396
    assert sending.worker.wish.most_bps < 500_000
    sending.stop()


def test_key_frames_come_no_faster_than_they_help_however_often_they_are_asked_for() -> None:
    sending, began = Sending(Film(320, 240)), time.monotonic()
    for _ in range(20):
        sending.worker.ask_key_frame()
        sending.show(1)
    assert 1 <= sending.worker.key_frames_sent <= 2 + (time.monotonic() - began) / KEY_INTERVAL_S
    sending.stop()


def test_a_turned_picture_is_told_or_turned() -> None:
    told = Sending(Film(320, 240, orientation=1), turns=True)
    (picture, *_) = told.show(4)
    assert (picture.width, picture.height) == (320, 240)
    marked = [packet.orientation for packet in told.packets if packet.marker]
    assert marked == [1, 1, 1, 1]  # libwebrtc takes pictures without it for upright ones
    assert all(packet.orientation is None for packet in told.packets if not packet.marker)
    told.stop()
    straight = Sending(Film(320, 240), turns=True)
    straight.show(3)
    assert [packet.orientation for packet in straight.packets if packet.marker] == [0, None, None]
    straight.worker.ask_key_frame()
    straight.show(1)
    assert straight.packets[-1].orientation == 0
    straight.stop()
    turned = Sending(Film(320, 240, orientation=1))
    (picture, *_) = turned.show(2)
    assert (picture.width, picture.height) == (240, 320)
    assert all(packet.orientation is None for packet in turned.packets)
    turned.stop()


@pytest.mark.parametrize(("width", "height"), [(135, 240), (240, 135), (1, 1)])
def test_pictures_of_odd_size_are_turned_too(width: int, height: int) -> None:
    frame = av.VideoFrame.from_ndarray(np.full((360, 320), 90, np.uint8), format="yuv420p").reformat(width, height)
    turned = upright(frame, 1)
    assert (turned.width, turned.height) == (max(2, height & ~1), max(2, width & ~1))
    assert np.all(turned.to_ndarray() == 90)


def test_pictures_are_turned_and_mirrored() -> None:
    picture = np.full((6, 4), 128, np.uint8)
    picture[:4] = np.arange(16, dtype=np.uint8).reshape(4, 4)
    frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
    assert upright(frame, 0) is frame
    quarter = upright(frame, orientation_of(90)).to_ndarray()[:4]
    assert quarter.tolist() == np.rot90(picture[:4], -1).tolist()
    assert upright(frame, orientation_of(270)).to_ndarray()[:4].tolist() == np.rot90(picture[:4]).tolist()
    mirrored = upright(frame, 4).to_ndarray()[:4]
    assert mirrored.tolist() == picture[:4, ::-1].tolist()
    assert upright(av.VideoFrame.from_ndarray(np.zeros((6, 8), np.uint8), format="yuv420p"), 1).width == 4


def test_wire_rates_and_payload_rates_belong_together() -> None:
    for payload_bps in (LEAST_BPS, 150_000, 1_000_000, 4_000_000):
        wire = on_the_wire(payload_bps, 30)
        assert wire > payload_bps + 30 * PACKET_OVERHEAD_BYTES * 8 - 1
        assert payload_of(wire, 30) == pytest.approx(payload_bps, abs=10)
    assert payload_of(1_000, 30) == 0


class Wall:
    """A sink that keeps what it is shown."""

    problem = None

    def __init__(self) -> None:
        self.shown: list[tuple[int, int]] = []
        self.news = threading.Semaphore(0)

    def start(self) -> None:
        """There is nothing to open."""

    def write_frame(self, frame: av.VideoFrame, at: float) -> None:
        self.shown.append((frame.width, frame.height))
        self.news.release()

    def close(self) -> None:
        """There is nothing to close."""


def test_a_received_picture_is_turned_until_another_turn_is_told() -> None:
    encoder, pattern, wall = Vp8Encoder(300_000, 30), Pattern(320, 240, "Test"), Wall()
    player = VideoPlayWorker(wall, lambda: None)
    player.delay_s = 0.01
    player.worker.start()
    for number, orientation in enumerate((1, None, 0)):
        data, is_key = encoder.encode(pattern.draw(number, 0), number * 3_000, key=False)
        player.push([EncodedFrame(data, number * 3_000, is_key, time.monotonic(), VP8, orientation)])
    for _ in range(3):
        assert wall.news.acquire(timeout=10.0)
    player.stop()
    assert player.worker.join(5.0)
    assert wall.shown == [(240, 320), (240, 320), (320, 240)]


async def test_a_small_view_makes_the_far_end_send_less() -> None:
    async with two_ends((replace(QUIET, width=640, height=480), QUIET)) as (caller, callee):
        await secure(caller, callee)
        callee.session.set_view_size(160, 120)
        for end in (caller, callee):
            end.session.configure([replace(video(), tmmbr=True)])
            end.session.start_sending()

        def is_small() -> bool:
            figures = callee.session.stats()[1]
            return figures is not None and figures.frames_decoded > 5 and (figures.width or 640) < 640

        await eventually(is_small)


async def test_the_codec_changes_in_the_middle_of_a_call() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee)
        plan = replace(video(), codecs=(VP8, H264))

        def seen(end: object, codec: str, frames: int) -> Callable[[], bool]:
            def check() -> bool:
                figures: VideoStats = end.session.stats()[1]  # type: ignore[attr-defined]
                return figures.decoder == codec and figures.frames_decoded >= frames

            return check

        for end in (caller, callee):
            end.session.configure([plan])
            end.session.start_sending()
        for end in (caller, callee):
            await eventually(seen(end, "vp8", 5))
        for end in (caller, callee):
            end.session.configure([replace(plan, codecs=(H264, VP8))])
        for end in (caller, callee):
            await eventually(seen(end, "h264", 15))
            assert end.session.dropped_datagrams == 0
        figures = caller.session.stats()[1]
        assert figures is not None
        assert figures.encoder == "libx264"
        assert mailbox_stamp(caller.remote_picture) is not None
