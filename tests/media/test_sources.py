"""Sources without hardware: silence, tones, files, the test picture; and what settings choose."""

from __future__ import annotations

import struct
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from app.frames import FrameMailbox
from app.media import camera as camera_module
from app.media import files, opencv
from app.media.camera import CameraSource
from app.media.devices import find_camera
from app.media.files import FileAudioSource, FileVideoSource, decoded_video
from app.media.pattern import Pattern
from app.media.pictures import NoVideo
from app.media.ports import FRAME_SAMPLES, AudioSource, VideoSource
from app.media.rotation import orientation_of, upright
from app.media.sinks import MailboxSink
from app.media.sources import open_audio_source, open_video_source
from app.media.stamp import read_stamp
from app.settings import MediaSettings
from tests.heard import delay_s, first_sound_s, frequency_hz, level_dbfs, part, speak, speech_score, tone, write_wav
from tests.seen import make_video

QUIET = MediaSettings(audio_from="silence", video_from="none", width=320, height=240)


def hear(source: AudioSource, seconds: float) -> np.ndarray:
    """Read as fast as the decoder can follow, and wait for it: a call takes 20 ms for each frame."""
    assert isinstance(source, FileAudioSource)
    decoder = source._thread
    assert decoder is not None
    frames = []
    for _ in range(round(seconds * 50)):
        while source._frames.empty() and decoder.is_alive():
            time.sleep(0.001)
        frames.append(source.read_frame())
        assert frames[-1].shape == (FRAME_SAMPLES,)
    return np.concatenate(frames)


def see(source: VideoSource, seconds: float) -> list[tuple[float, int | None]]:
    """Give (seconds after the start, stamp) of all pictures of a while."""
    began, seen = time.monotonic(), []
    while time.monotonic() - began < seconds:
        captured = source.read_frame(0.1)
        if captured is not None:
            seen.append((captured.captured_at - began, read_stamp(captured.frame)))
    return seen


def test_silence_and_a_tone_without_a_seam() -> None:
    silence, problem = open_audio_source(QUIET)
    assert problem is None
    assert not np.any(silence.read_frame())
    source, problem = open_audio_source(replace(QUIET, audio_from="tone:443.7"))
    assert problem is None
    heard = np.concatenate([source.read_frame() for _ in range(100)])
    assert frequency_hz(heard) == pytest.approx(443.7, abs=0.2)
    assert np.abs(np.diff(heard.astype(int))).max() < 0.5 * 32768 * 2 * np.pi * 443.7 / 48000 * 1.05


@pytest.mark.parametrize(
    ("audio_from", "words"),
    [
        ("tone:loud", "not tone:HZ"),
        ("tone:nan", "not tone:HZ"),
        ("tone:99999", "not tone:HZ"),
        ("/no/such/file.wav", "There is no file"),
        (__file__, "cannot be read as sound or video"),
    ],
)
def test_what_cannot_be_heard_is_silence_with_a_sentence(audio_from: str, words: str) -> None:
    source, problem = open_audio_source(replace(QUIET, audio_from=audio_from))
    assert problem is not None
    assert words in problem
    assert problem.endswith("others hear silence.")
    assert source.problem == problem
    assert not np.any(source.read_frame())


def test_a_wav_file_is_played_once_from_its_first_sample(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "tone.wav", tone(700, 1.01))
    source, problem = open_audio_source(replace(QUIET, audio_from=str(path)))
    assert problem is None
    source.start()
    heard = hear(source, 1.3)
    source.close()
    source.close()
    assert first_sound_s(heard) == pytest.approx(0, abs=0.005)
    assert frequency_hz(part(heard, 0, 1)) == pytest.approx(700, abs=1)
    assert not np.any(part(heard, 1.02))


def test_speech_of_another_rate_keeps_its_words(tmp_path: Path) -> None:
    path = speak(tmp_path / "speech.wav")
    from tests.heard import RATE_HZ, read_wav, resampled

    spoken = read_wav(path)
    narrow = write_wav(tmp_path / "16k.wav", resampled(spoken, RATE_HZ, 16_000), 16_000)
    source = FileAudioSource(narrow)
    source.start()
    heard = hear(source, 4.0)
    source.close()
    assert abs(delay_s(part(spoken, 0, 4), heard)) < 0.005
    assert speech_score(part(spoken, 0, 4), heard) > 4.0


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm"])
def test_sound_and_picture_of_one_file(tmp_path: Path, suffix: str) -> None:
    path = make_video(tmp_path / f"film{suffix}", seconds=1.5, width=320, height=240, sound=tone(600, 1.5))
    video, problem = open_video_source(replace(QUIET, video_from=str(path)))
    assert problem is None
    video.start()
    seen = see(video, 1.2)
    video.close()
    numbers = [number for _, number in seen if number is not None]
    assert len(numbers) == len(seen)
    # What a busy machine holds up is late, or skipped: that is the odd picture, and not most of them.
    assert np.median(np.diff(numbers)) == 1, "too many pictures were skipped"
    late = [at - number / 30 for at, number in seen if number is not None]
    assert np.median(late) - min(late) < 0.15, "pictures did not come when they were due"
    audio = FileAudioSource(path)
    audio.start()
    heard = hear(audio, 1.3)
    audio.close()
    assert frequency_hz(part(heard, 0.2, 1.2)) == pytest.approx(600, abs=1)


def test_a_file_is_scaled_thinned_and_its_last_picture_stays(tmp_path: Path) -> None:
    path = make_video(tmp_path / "film.mkv", seconds=0.5, width=640, height=480, fps=60)
    source = FileVideoSource(path, 640, 360, 15)
    source.start()
    seen = see(source, 1.2)
    captured = source.read_frame(0.5)
    source.close()
    assert captured is not None
    assert (captured.frame.width, captured.frame.height, captured.frame.format.name) == (640, 360, "yuv420p")
    assert 8 <= len(seen) <= 20
    assert all(number is not None for _, number in seen)
    assert seen[-1][1] == seen[-3][1]


def test_a_film_that_is_closed_lets_go_of_who_waits_for_its_next_picture(tmp_path: Path) -> None:
    source = FileVideoSource(make_video(tmp_path / "film.mkv", seconds=0.2, width=320, height=240), 320, 240, 0.01)
    assert source.read_frame(0.0) is None  # before it was started
    source.start()
    assert source.read_frame(5.0) is not None
    assert source.read_frame(0.0) is None  # the next one is due much later
    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(source.read_frame, 60.0)
        source.close()
        assert waiting.result(5.0) is None
    source.start()
    assert source.read_frame(60.0) is None


def test_a_film_that_is_gone_says_so_and_gives_no_picture(tmp_path: Path) -> None:
    path = make_video(tmp_path / "film.mkv", seconds=0.2, width=320, height=240)
    source = FileVideoSource(path, 320, 240, 30)
    path.unlink()
    source.start()
    assert source.read_frame(0.01) is None
    assert source.read_frame(0.01) is None
    source.close()
    assert "'film.mkv' cannot be read" in (source.problem or "")


def test_a_slow_reader_of_a_film_gets_what_is_due_and_not_what_it_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(files, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    source = FileVideoSource(make_video(tmp_path / "film.mkv", seconds=1.0, width=320, height=240), 320, 240, 30)
    source.start()
    numbers = []
    for clock[0] in (100.01, 100.05, 100.51, 100.54):
        captured = source.read_frame(5.0)
        assert captured is not None
        number = read_stamp(captured.frame) or 0
        assert captured.captured_at == pytest.approx(100.0 + number / 30, abs=0.001)
        numbers.append(number)
    source.close()
    assert numbers == [0, 1, 14, 15]


def test_a_film_is_looked_into_once_while_it_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that is switched on again in a call must not hold up the loop that carries its sound."""
    path = make_video(tmp_path / "film.mkv", seconds=0.2, width=320, height=240)
    opened: list[str] = []
    really_open = av.open

    def note(file: str) -> object:
        opened.append(file)
        return really_open(file)

    monkeypatch.setattr(av, "open", note)
    settings = replace(QUIET, video_from=str(path))
    for _ in range(3):
        assert open_video_source(settings)[1] is None
    assert len(opened) == 1
    path.write_bytes(b"another file")
    assert "cannot be read" in (open_video_source(settings)[1] or "")
    path.unlink()
    assert "There is no file" in (open_video_source(settings)[1] or "")


def test_the_test_picture_runs_at_its_rate_and_gives_only_the_newest() -> None:
    source, problem = open_video_source(replace(QUIET, video_from="pattern", fps=25))
    assert problem is None
    assert source.read_frame(0.05) is None, "nothing before the start"
    source.start()
    seen = see(source, 1.0)
    assert 20 <= len(seen) <= 27
    time.sleep(0.3)
    captured = source.read_frame(0.1)
    assert captured is not None
    assert time.monotonic() - captured.captured_at < 0.15
    source.close()
    assert source.read_frame(1.0) is None


def test_no_picture_by_choice_and_pictures_that_cannot_be_had() -> None:
    source, problem = open_video_source(QUIET)
    assert isinstance(source, NoVideo)
    assert problem is None
    assert source.read_frame(0.01) is None
    broken, problem = open_video_source(replace(QUIET, video_from="/no/such/film.mp4"))
    assert problem is not None
    assert problem.endswith("others see a test picture.")
    broken.start()
    captured = broken.read_frame(1.0)
    broken.close()
    assert captured is not None
    assert read_stamp(captured.frame) is not None


def test_a_file_stands_for_a_camera(tmp_path: Path) -> None:
    path = make_video(tmp_path / "film.mkv", seconds=0.5, width=320, height=240)
    camera = CameraSource(str(path), 320, 240, 30)
    camera.start()
    assert camera.problem is None
    seen = see(camera, 1.3)
    camera.close()
    numbers = [number for _, number in seen]
    assert None not in numbers
    assert len(numbers) > 25
    assert numbers.count(3) >= 2, "the file was not played over and over"


def test_a_camera_that_hangs_is_lost_after_seconds_not_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that hangs lets each read run into its time limit; only a few of them may pass."""

    class Hanging:
        def __init__(self, *_: object) -> None:
            self.reads = 0

        def isOpened(self) -> bool:
            return True

        def get(self, _: int) -> float:
            return 30.0

        def set(self, *_: object) -> bool:
            return True

        def read(self) -> tuple[bool, np.ndarray | None]:
            self.reads += 1
            if self.reads == 1:
                return True, np.zeros((240, 320, 3), np.uint8)
            time.sleep(0.1)
            return False, None

        def release(self) -> None:
            """There is no driver behind it."""

    monkeypatch.setattr(opencv, "load", lambda: SimpleNamespace(VideoCapture=Hanging, CAP_ANY=0))
    monkeypatch.setattr(camera_module, "_LOST_AFTER_S", 0.3)
    path = tmp_path / "webcam"
    path.touch()
    camera = CameraSource(str(path), 320, 240, 30)
    camera.start()
    assert camera.problem is None
    see(camera, 1.0)
    problem = camera.problem
    camera.close()
    assert problem == "The camera 'webcam' was lost: others see a test picture."


@pytest.mark.parametrize(
    ("opens", "words"),
    [(False, "cannot be opened, another program may be using it"), (True, "gives no picture, another program may be")],
)
def test_a_camera_that_another_program_holds_is_told_from_one_that_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opens: bool, words: str
) -> None:
    """Systems differ in when they refuse a second program: as it opens the camera, or as it asks for pictures."""
    held = SimpleNamespace(
        isOpened=lambda: opens,
        get=lambda _: 30.0,
        set=lambda *_: True,
        read=lambda: (False, None),
        release=lambda: None,
    )
    monkeypatch.setattr(opencv, "load", lambda: SimpleNamespace(VideoCapture=lambda *_: held, CAP_ANY=0))
    monkeypatch.setattr(camera_module, "_MOST_MISSES", 3)
    monkeypatch.setattr(camera_module, "RETRY_INTERVAL_S", 0.1)
    path = tmp_path / "webcam"
    path.touch()
    camera = CameraSource(str(path), 320, 240, 30)
    camera.start()
    told = set()
    for _ in range(12):  # two or three tries
        assert camera.read_frame(5.0) is not None
        told.add(camera.problem)
    camera.close()
    assert len(told) == 1, "one sentence, however often it is tried again"
    assert f"The camera 'webcam' {words}" in str(told.pop())


def test_opencv_leaves_the_environment_of_qt_as_it_was() -> None:
    code = """
        import os
        os.environ["QT_QPA_FONTDIR"] = "mine"
        os.environ.pop("QT_QPA_PLATFORM_PLUGIN_PATH", None)
        from app.media import files, opencv
        assert opencv.load() is not None
        print(os.environ.get("QT_QPA_FONTDIR"), os.environ.get("QT_QPA_PLATFORM_PLUGIN_PATH"))
    """
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "mine None", done.stderr


def test_without_a_camera_others_see_a_labelled_test_picture() -> None:
    if find_camera("") is not None:
        pytest.skip("this machine has a camera")
    for wanted, words in (("", "No camera was found"), ("Old webcam", "The camera 'Old webcam' is not there")):
        camera = CameraSource(wanted, 320, 240, 30)
        camera.start()
        assert camera.problem == f"{words}: others see a test picture."
        captured = camera.read_frame(1.0)
        camera.close()
        assert captured is not None
        assert read_stamp(captured.frame) is not None
        mailbox = FrameMailbox()
        MailboxSink(mailbox).show(captured)
        shown = mailbox.take()
        assert shown is not None
        assert shown.is_lettered  # its words are for the person as well, who would see a camera as in a mirror


def test_the_level_of_a_tone_is_what_was_asked_for() -> None:
    source, _ = open_audio_source(replace(QUIET, audio_from="tone:1000"))
    assert level_dbfs(np.concatenate([source.read_frame() for _ in range(50)])) == pytest.approx(-9.03, abs=0.05)


def test_a_film_taken_sideways_is_shown_upright(tmp_path: Path) -> None:
    path, pattern = tmp_path / "sideways.mp4", Pattern(320, 240, "Test")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 240, 320, "yuv420p"
        for number in range(5):
            turned = upright(pattern.draw(number, 0.0), orientation_of(270))
            container.mux(stream.encode(turned))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    plain = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    quarter = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)  # clockwise
    at = data.index(plain, data.index(b"tkhd"))
    data[at : at + len(plain)] = quarter
    path.write_bytes(data)
    numbers = [read_stamp(frame) for _, frame in decoded_video(path)]
    assert numbers == [0, 1, 2, 3, 4]
