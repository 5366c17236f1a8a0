"""The recording of a call: what the file has in it when it is decoded, whatever happened to call, disk and program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from app.media.call_picture import CallPicture
from app.media.call_recorder import CallRecorder, RecordingPlan
from app.media.call_sound import BEEP_HZ, RecordingTone, SoundLane
from app.media.pattern import Pattern
from app.media.ports import FRAME_SAMPLES, CapturedFrame
from app.media.recording_file import WavFile
from app.media.stamp import read_stamp
from app.settings import RecordedSound, TellOther
from tests.heard import frequency_hz, gaps_ms, level_dbfs, part, share_at, sounds, tone
from tests.seen import seen_frames

OWN_HZ, FAR_HZ = 500.0, 900.0
Samples = np.ndarray


class Studio:
    """A recorder whose time is what the test says, and two people who hum and show a test picture."""

    def __init__(self, path: Path, *, with_picture: bool = True, **plan: object) -> None:
        self.now = 1000.0
        self.ended: list[str | None] = []
        settings: dict[str, object] = {"sound": RecordedSound.STEREO, "caption": "Front desk", "tell": TellOther.NONE}
        made = RecordingPlan(path=path, with_picture=with_picture, **(settings | plan))  # type: ignore[arg-type]
        self.recorder = CallRecorder(made, self.ended.append, clock=lambda: self.now)
        self._own, self._far = tone(OWN_HZ, 30.0), tone(FAR_HZ, 30.0)
        self._sent = 0
        self.recorder.start()

    def talk(self, seconds: float, *, far: bool = True, own: bool = True, picture: Pattern | None = None) -> None:
        for number in range(round(seconds * 50)):
            at = slice(self._sent * FRAME_SAMPLES, (self._sent + 1) * FRAME_SAMPLES)
            self._sent += 1
            self.now += 0.02
            if own:
                self.recorder.taps.own_sound(self._own[at])  # type: ignore[misc]
            if far:
                self.recorder.taps.far_sound(self._far[at])  # type: ignore[misc]
            if picture is not None and number % 2 == 0:
                self._wait_for_room()
                frame = CapturedFrame(picture.draw(self._sent, 0.0), self.now)
                self.recorder.taps.far_picture(frame)  # type: ignore[misc]

    def end(self) -> None:
        self.recorder.stop()
        assert self.recorder.join(20)
        assert len(self.ended) == 1

    def _wait_for_room(self) -> None:
        """The thread takes pictures every tenth of a real second; time here goes faster."""
        while self.recorder._pictures.qsize() > 25:
            time.sleep(0.002)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".wav"])
def test_both_sides_are_heard_left_and_right(tmp_path: Path, suffix: str) -> None:
    studio = Studio(tmp_path / f"call{suffix}")
    studio.talk(2.0)
    studio.end()
    (both,) = sounds(tmp_path / f"call{suffix}")
    assert both.shape[1] == 2
    assert len(both) / 48_000 == pytest.approx(2.0, abs=0.05)
    for channel, hz in ((0, OWN_HZ), (1, FAR_HZ)):
        heard = part(both[:, channel], 0.2, 1.8)
        assert frequency_hz(heard) == pytest.approx(hz, abs=1)
        assert share_at(heard, OWN_HZ + FAR_HZ - hz) < 0.001
        assert not gaps_ms(heard)


@pytest.mark.parametrize(
    ("sound", "suffix", "shape"),
    [
        (RecordedSound.MIXED, ".mkv", [1]),
        (RecordedSound.MIXED, ".wav", [1]),
        (RecordedSound.TRACKS, ".mkv", [1, 1]),
        (RecordedSound.TRACKS, ".wav", [2]),
    ],
)
def test_mixed_or_apart(tmp_path: Path, sound: RecordedSound, suffix: str, shape: list[int]) -> None:
    path = tmp_path / f"call{suffix}"
    studio = Studio(path, sound=sound, with_picture=False)
    studio.talk(1.0)
    studio.end()
    tracks = sounds(path)
    assert [track.shape[1] for track in tracks] == shape
    heard = np.concatenate([part(track, 0.2, 0.8) for track in tracks], axis=1)
    shares = [[share_at(channel, hz) for hz in (OWN_HZ, FAR_HZ)] for channel in heard.T]
    if sound is RecordedSound.MIXED:
        assert min(shares[0]) > 0.4
    else:
        assert shares[0][0] > 0.99
        assert shares[1][1] > 0.99
    if suffix == ".mkv":
        with av.open(str(path)) as container:
            titles = [stream.metadata["title"] for stream in container.streams.audio]
        assert titles == (["Both sides"] if sound is RecordedSound.MIXED else ["You", "Front desk"])


def test_time_is_kept_over_silence_and_stands_still_on_hold(tmp_path: Path) -> None:
    path = tmp_path / "call.mkv"
    studio = Studio(path, with_picture=False)
    studio.talk(1.0)
    studio.talk(2.0, far=False)  # no packets for a while
    studio.talk(1.0)
    studio.recorder.paused = True
    studio.talk(5.0)
    studio.recorder.paused = False
    assert studio.recorder.seconds == pytest.approx(4.0, abs=0.01)
    studio.talk(1.0)
    studio.end()
    (both,) = sounds(path)
    assert len(both) / 48_000 == pytest.approx(5.0, abs=0.05)
    silent = gaps_ms(both[:, 1], at_least_ms=200)
    assert len(silent) == 1
    start, length = silent[0]
    assert (start, length) == (pytest.approx(1030, abs=40), pytest.approx(1980, abs=60))
    assert not gaps_ms(part(both[:, 0], 0.1, 4.9), at_least_ms=40)


def test_the_picture_survives_changes_of_its_size(tmp_path: Path) -> None:
    path = tmp_path / "call.mkv"
    studio = Studio(path)
    for width, height in ((640, 480), (320, 180), (1280, 720)):
        studio.talk(0.6, picture=Pattern(width, height, "Far"))
    studio.talk(4.0)  # the picture stops: the name takes its place
    studio.end()
    frames = seen_frames(path)
    assert {(frame.width, frame.height) for frame in frames} == {(1280, 720)}
    numbers = [frame.number for frame in frames if frame.number is not None]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 30
    first = next(frame for frame in frames if frame.number is not None)
    assert first.at_s == pytest.approx((first.number or 0) * 0.02, abs=0.03)
    assert frames[-1].number is None
    assert frames[-1].at_s > 5.0


def test_own_picture_small_in_the_corner_and_a_shared_screen_large() -> None:
    own, far = Pattern(640, 360, "Own"), Pattern(640, 360, "Far")
    film = CallPicture(1280, 720, "Front desk")
    assert read_stamp(film.draw(0.0)) is None
    film.own(own.draw(7, 0.0), 1.0)
    assert read_stamp(film.draw(1.0)) == 7  # alone it is large
    film.far(far.draw(9, 0.0), 1.0)
    drawn = film.draw(1.0)
    assert read_stamp(drawn) == 9
    inset = drawn.to_ndarray(format="gray")[24 : 24 + 180, 1280 - 24 - 320 : 1280 - 24]
    assert read_stamp(inset) == 7
    film.own_is_large = True
    assert read_stamp(film.draw(1.0)) == 7
    assert read_stamp(film.draw(4.5)) is None  # both have stopped


def test_the_tone_is_a_short_beep_every_fifteen_seconds() -> None:
    tone_ = RecordingTone()
    silence = np.zeros(FRAME_SAMPLES, np.int16)
    sent = np.concatenate([tone_.mix_in(silence) for _ in range(50 * 31)])
    beeps = [round(at / 48_000, 2) for at in np.flatnonzero(np.diff((np.abs(sent) > 0).astype(int)) == 1)]
    starts = [at for index, at in enumerate(beeps) if index == 0 or at - beeps[index - 1] > 1]
    assert starts == [0.0, 15.0, 30.0]
    assert frequency_hz(part(sent, 0.02, 0.18)) == pytest.approx(BEEP_HZ, abs=3)
    assert -35 < level_dbfs(part(sent, 0.02, 0.18)) < -20
    loud = np.full(FRAME_SAMPLES, 32_000, np.int16)
    assert RecordingTone().mix_in(loud).max() == 32_767  # cut, not wrapped around


def test_who_is_recorded_with_a_tone_hears_it_and_so_does_the_file(tmp_path: Path) -> None:
    studio = Studio(tmp_path / "call.wav", tell=TellOther.TONE, with_picture=False)
    mix_in = studio.recorder.taps.mix_in
    assert mix_in is not None
    assert np.any(mix_in(np.zeros(FRAME_SAMPLES, np.int16)))
    studio.recorder.paused = True
    assert not np.any(mix_in(np.zeros(FRAME_SAMPLES, np.int16)))
    studio.end()
    assert Studio(tmp_path / "quiet.wav", with_picture=False).recorder.taps.mix_in is None


def test_a_label_is_seen_and_a_tone_heard_only_where_no_picture_is_sent(tmp_path: Path) -> None:
    studio = Studio(tmp_path / "call.wav", tell=TellOther.LABEL, with_picture=False)
    mix_in, mark = studio.recorder.taps.mix_in, studio.recorder.taps.mark
    assert mix_in is not None
    assert mark is not None
    silence, grey = np.zeros(FRAME_SAMPLES, np.int16), np.full((360, 320), 128, np.uint8)
    frame = av.VideoFrame.from_ndarray(grey, format="yuv420p")
    assert np.any(mix_in(silence))
    studio.recorder.is_seen = True
    assert not np.any(mix_in(silence))
    marked = mark(frame).to_ndarray()[:240]
    assert marked[:40, :80].max() > 200
    assert np.all(marked[60:] == 128)
    assert np.array_equal(frame.to_ndarray(), grey)  # the source's own picture is left alone
    tiny = av.VideoFrame.from_ndarray(np.full((24, 16), 128, np.uint8), format="yuv420p")
    assert mark(tiny) is tiny
    studio.end()


def test_frames_that_come_in_bursts_stay_in_order() -> None:
    lane, sound = SoundLane(), tone(400, 1.0)
    for number in range(50):  # five at a time, each time a little off
        lane.add(sound[number * 960 : (number + 1) * 960], number // 5 * 5 * 960 + number % 3 * 100)
    heard = np.concatenate([lane.read(start, 480) for start in range(0, 48_000, 480)])
    assert np.array_equal(heard[2000:40_000], sound[2000 - 0 : 40_000])


_RECORD_FOR_EVER = """
    import sys, time
    from pathlib import Path
    from app.media.call_recorder import CallRecorder, RecordingPlan
    from app.media.pattern import Pattern
    from app.media.ports import CapturedFrame
    from app.media.sources import ToneSource
    from app.settings import RecordedSound, TellOther
    plans = [RecordingPlan(Path(name), RecordedSound.STEREO, True, "Far", TellOther.NONE) for name in sys.argv[1:]]
    now = 0.0
    recorders = [CallRecorder(plan, print, clock=lambda: now) for plan in plans]
    own, far, pattern = ToneSource(500), ToneSource(900), Pattern(320, 240, "Far")
    for recorder in recorders:
        recorder.start()
    for number in range(150):
        now += 0.02
        sounds = own.read_frame(), far.read_frame()
        for recorder in recorders:
            recorder.taps.own_sound(sounds[0])
            recorder.taps.far_sound(sounds[1])
            if number % 6 == 0:
                recorder.taps.far_picture(CapturedFrame(pattern.draw(number, 0.0), now))
    while any(recorder.written_s < 2.6 for recorder in recorders):
        time.sleep(0.01)
    print("enough", flush=True)
    time.sleep(60)
"""


def test_kill_9_leaves_all_but_the_last_second(tmp_path: Path) -> None:
    files = [tmp_path / f"call{suffix}" for suffix in (".mkv", ".mp4", ".wav")]
    command = [sys.executable, "-c", textwrap.dedent(_RECORD_FOR_EVER), *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as recorder:
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == b"enough\n"
        os.kill(recorder.pid, signal.SIGKILL)
    for file in files:
        (both,) = sounds(file)
        assert len(both) / 48_000 > 2.0, f"{file.name} lost more than its last second"
        assert frequency_hz(part(both[:, 0], 0.3, 1.9)) == pytest.approx(500, abs=1)
        assert frequency_hz(part(both[:, 1], 0.3, 1.9)) == pytest.approx(900, abs=1)
    for file in files[:2]:
        frames = seen_frames(file)
        assert frames[-1].at_s > 2.0
        numbers = [frame.number for frame in frames if frame.number is not None]
        assert len(numbers) > 10
        assert numbers == sorted(numbers)


def _tiny_disk() -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


_FILL_THE_DISK = """
    import sys, threading, time
    from pathlib import Path
    import numpy as np
    from app.media.call_recorder import CallRecorder, RecordingPlan
    from app.settings import RecordedSound, TellOther
    ended = threading.Event()
    def tell(problem):
        print(problem, flush=True)
        ended.set()
    plan = RecordingPlan(Path(sys.argv[1]), RecordedSound.MIXED, False, "Far", TellOther.NONE)
    now = [0.0]
    recorder = CallRecorder(plan, tell, clock=lambda: now[0])
    recorder.start()
    noise = np.random.default_rng(1)
    while not ended.is_set():
        now[0] += 0.02
        recorder.taps.own_sound(noise.integers(-9000, 9000, 960).astype(np.int16))
        time.sleep(0.0005)
    recorder.stop()
    print(recorder.join(10))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a limit on the size of files")
@pytest.mark.parametrize("suffix", [".mkv", ".wav"])
def test_a_full_disk_ends_the_recording_with_a_sentence(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"call{suffix}"
    command = [sys.executable, "-c", textwrap.dedent(_FILL_THE_DISK), str(path)]
    run = subprocess.run(
        command, cwd=Path(__file__).parents[2], preexec_fn=_tiny_disk, capture_output=True, text=True, timeout=50
    )
    sentence, joined = run.stdout.splitlines()
    assert sentence.startswith(f"The recording has ended: call{suffix} cannot be written (")
    assert "large" in sentence
    assert joined == "True"
    (heard,) = sounds(path)
    assert len(heard) / 48_000 > 0.3


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    studio = Studio(tmp_path / "none" / "call.mkv")
    studio.end()
    assert "No such file" in str(studio.ended[0])


def test_a_disk_that_hangs_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, let_go = threading.Event(), threading.Event()

    def hang(file: WavFile, tracks: object) -> None:
        hangs.set()
        let_go.wait(20)

    monkeypatch.setattr(WavFile, "sound", hang)
    studio = Studio(tmp_path / "call.wav", with_picture=False)
    studio.talk(1.0)
    assert hangs.wait(10)
    studio.talk(25.0)  # more than the queues hold
    assert studio.recorder._sounds.full()
    let_go.set()
    studio.end()
    assert studio.ended == [None]


@pytest.mark.parametrize("what", ["sound", "picture"])
def test_what_others_hand_over_at_the_same_moment_may_take_the_last_room(tmp_path: Path, what: str) -> None:
    """It is left out, and whoever hands it over goes on."""
    plan = RecordingPlan(tmp_path / "call.mkv", RecordedSound.STEREO, True, "Front desk", TellOther.NONE)
    looked_at: list[float] = []

    def clock() -> float:
        """Between the look for room and the handing over: another one hands over until there is no room."""
        if looked_at:
            waiting = recorder._sounds if what == "sound" else recorder._pictures
            while not waiting.full():
                waiting.put_nowait((False, None, 0.0))  # type: ignore[arg-type]
        looked_at.append(0.0)
        return 1000.0

    recorder = CallRecorder(plan, print, clock=clock)
    if what == "sound":
        recorder.taps.own_sound(np.zeros(FRAME_SAMPLES, np.int16))  # type: ignore[misc]
    else:
        recorder.taps.far_picture(CapturedFrame(Pattern(320, 240, "Far").draw(0, 0.0), 0.0))  # type: ignore[misc]
    assert (recorder._sounds.full(), recorder._pictures.full()) == (what == "sound", what == "picture")
