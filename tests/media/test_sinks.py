"""Sinks: WAV and video files that stay readable when the program is killed, and bad paths told in words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from app.frames import FrameMailbox
from app.media.pattern import Pattern
from app.media.recorder import VideoFileSink
from app.media.sinks import WavSink, open_audio_sink, open_video_sink
from app.settings import MediaSettings
from tests.heard import frequency_hz, read_wav, tone
from tests.seen import seen_frames, stamps


def test_a_wav_file_is_whole_after_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    sink, problem = open_audio_sink(MediaSettings(audio_to=str(path)))
    assert problem is None
    sink.start()
    assert read_wav(path).size == 0
    sound = tone(500, 1.0)
    for number in range(50):
        sink.write_frame(sound[number * 960 : (number + 1) * 960])
        assert read_wav(path).size == (number + 1) * 960
    sink.close()
    sink.close()
    sink.write_frame(sound[:960])
    assert np.array_equal(read_wav(path), sound)
    assert sink.problem is None


_RECORD_FOR_EVER = """
    import sys, time
    from pathlib import Path
    from app.media.sinks import WavSink
    from app.media.recorder import VideoFileSink
    from app.media.pattern import Pattern
    from app.media.sources import ToneSource
    wav, films = WavSink(Path(sys.argv[1])), [VideoFileSink(Path(name)) for name in sys.argv[2:]]
    pattern, sound = Pattern(320, 240, "Film"), ToneSource(500)
    for sink in (wav, *films):
        sink.start()
    number, is_told = 0, False
    while True:
        wav.write_frame(sound.read_frame())
        for film in films:
            film.write_frame(pattern.draw(number, 0.0), number / 30)
        number += 1
        if not is_told and number >= 150 and all(film.written >= 120 for film in films):
            is_told = True
            print("enough", flush=True)
        time.sleep(0.01)
"""


def test_kill_9_leaves_readable_files(tmp_path: Path) -> None:
    wav, films = tmp_path / "heard.wav", [tmp_path / f"seen{suffix}" for suffix in (".mkv", ".mp4", ".webm")]
    command = [sys.executable, "-c", textwrap.dedent(_RECORD_FOR_EVER), str(wav), *map(str, films)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as recorder:
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == b"enough\n"
        os.kill(recorder.pid, signal.SIGKILL)
    heard = read_wav(wav)
    assert heard.size >= 150 * 960
    assert frequency_hz(heard) == pytest.approx(500, abs=1)
    for film in films:
        numbers = stamps(film)
        assert len(numbers) >= 60, f"{film.name} lost more than its last seconds"
        assert numbers == sorted(numbers)


def test_a_film_that_begins_small_has_the_size_it_soon_grows_to(tmp_path: Path) -> None:
    path = tmp_path / "seen.mkv"
    sink = VideoFileSink(path)
    sink.start()
    small, large = Pattern(320, 240, "Film"), Pattern(640, 480, "Film")
    for number in range(25):
        sink.write_frame((small if number < 15 else large).draw(number, 0.0), number * 0.1)
    sink.close()
    frames = seen_frames(path)
    assert [frame.number for frame in frames] == list(range(25))
    assert {(frame.width, frame.height) for frame in frames} == {(640, 480)}


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm"])
def test_a_video_file_keeps_every_picture_and_its_time(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"seen{suffix}"
    sink, problem = open_video_sink(MediaSettings(video_to=str(path), fps=25), FrameMailbox())
    assert problem is None
    sink.start()
    pattern = Pattern(320, 240, "Film")
    for number in range(25):
        sink.write_frame(pattern.draw(number, 0.0), 100.0 + number * 0.04 + (0.5 if number > 12 else 0.0))
        time.sleep(0.004)
    sink.close()
    sink.close()
    assert sink.problem is None
    frames = seen_frames(path)
    assert [frame.number for frame in frames] == list(range(25))
    assert frames[13].at_s - frames[12].at_s == pytest.approx(0.54, abs=0.005)


def test_pictures_of_another_size_are_fitted_into_the_file(tmp_path: Path) -> None:
    path = tmp_path / "seen.mkv"
    sink = VideoFileSink(path)
    sink.start()
    for number, (width, height) in enumerate([(320, 240), (160, 120), (640, 360)]):
        sink.write_frame(Pattern(width, height, "Film").draw(number, 0.0), number * 2.5)
    sink.close()
    assert [(frame.width, frame.height, frame.number) for frame in seen_frames(path)] == [
        (320, 240, number) for number in range(3)
    ]


def test_a_queue_that_is_full_skips_and_never_blocks(tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / "seen.webm")
    frame = Pattern(640, 480, "Film").draw(0, 0.0)
    sink.start()
    began = time.monotonic()
    for number in range(120):
        sink.write_frame(frame, number / 30)
    assert time.monotonic() - began < 1.0
    sink.close()
    assert sink.skipped + sink.written == 120
    assert sink.skipped > 0


def test_files_that_cannot_be_written_are_said_and_swallow_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "folder.wav"
    folder.mkdir()
    wav = WavSink(folder)
    wav.start()
    assert wav.problem is not None
    assert wav.problem.endswith("the sound is not kept.")
    wav.write_frame(np.zeros(960, np.int16))
    wav.close()
    (tmp_path / "folder.mkv").mkdir()
    film = VideoFileSink(tmp_path / "folder.mkv")
    film.start()
    for number in range(5):
        film.write_frame(Pattern(320, 240, "Film").draw(number, 0.0), number / 30)
    film.close()
    assert film.problem is not None
    assert film.problem.endswith("the picture is not kept.")


@pytest.mark.parametrize(
    "settings",
    [
        MediaSettings(audio_to="heard.mp3"),
        MediaSettings(audio_to="/no/such/folder/heard.wav"),
        MediaSettings(video_to="seen.gif"),
        MediaSettings(video_to="/no/such/folder/seen.mkv"),
    ],
)
def test_wrong_names_are_told_before_anything_is_opened(settings: MediaSettings) -> None:
    audio, audio_problem = open_audio_sink(settings)
    video, video_problem = open_video_sink(settings, FrameMailbox())
    problem = audio_problem or video_problem
    assert problem is not None
    assert (audio.problem or video.problem) == problem
    assert problem.endswith("kept.")
