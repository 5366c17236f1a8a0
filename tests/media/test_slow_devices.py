"""Devices that hang: the rest of the call goes on, another device can be chosen, and its end waits little for them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.media import device_keeper, inputs, outputs, portaudio, worker
from app.media.microphone import MicrophoneSource
from app.media.speaker import SpeakerSink
from app.settings import MediaSettings
from tests.heard import frequency_hz, part, read_wav
from tests.media.hanging import FIRST, SECOND, Hanging, hanging
from tests.media.wire import QUIET, audio, eventually, secure, two_ends, video

__all__ = ["hanging"]

ON_DEVICES = replace(
    QUIET, audio_from="mic", audio_to="speaker", echo_cancellation=False, noise_suppression=False, gain_control=False
)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for a device, and is not waited for here."""
    monkeypatch.setattr(device_keeper, "_CLOSE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(worker, "JOIN_S", 0.5)


def settings(folder: Path) -> tuple[MediaSettings, MediaSettings]:
    return ON_DEVICES, replace(QUIET, audio_from="tone:880", audio_to=str(folder / "callee.wav"))


@pytest.mark.parametrize("end", [SpeakerSink, MicrophoneSource])
async def test_a_device_chosen_while_another_one_opens_is_used(
    hanging: Hanging, end: type[SpeakerSink | MicrophoneSource]
) -> None:
    hanging.opening = {0}
    device = end(FIRST)
    device.start()
    await eventually(hanging.has_hung.is_set, 20.0)
    device.use(SECOND)
    hanging.release.set()
    await eventually(lambda: device.description == SECOND, 20.0)
    await asyncio.to_thread(device.close)
    await eventually(lambda: portaudio._open_streams == 0, 20.0)
    device.use(FIRST)  # too late: it is closed, and nothing is left open


async def test_a_device_that_comes_back_while_another_one_opens_in_its_place_is_used(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = portaudio._known["microphone"]
    monkeypatch.setitem(portaudio._known, "microphone", both[:1])
    hanging.opening = {0}
    microphone = MicrophoneSource(SECOND)
    microphone.start()
    await eventually(hanging.has_hung.is_set, 20.0)
    portaudio._known["microphone"] = both
    portaudio.devices_changed()
    hanging.release.set()
    await eventually(lambda: microphone.description == SECOND, 20.0)
    await asyncio.to_thread(microphone.close)


async def test_a_microphone_is_opened_once_for_all_who_listen_and_closed_with_the_last(hanging: Hanging) -> None:
    in_call, on_channels = MicrophoneSource(FIRST), MicrophoneSource(FIRST)
    in_call.start()
    on_channels.start()
    await eventually(lambda: in_call.description == on_channels.description == FIRST, 20.0)
    assert portaudio._open_streams == len(inputs._inputs) == 1
    await asyncio.to_thread(in_call.close)
    assert (portaudio._open_streams, on_channels.description) == (1, FIRST)
    in_call.start()  # too late: it is closed
    on_channels.use(SECOND)
    await eventually(lambda: on_channels.description == SECOND and portaudio._open_streams == 1, 20.0)
    await asyncio.to_thread(on_channels.close)
    assert (portaudio._open_streams, inputs._inputs) == (0, {})


async def test_whoever_starts_an_output_at_the_same_moment_opens_it_once(hanging: Hanging) -> None:
    together, sinks = threading.Barrier(8), [SpeakerSink(FIRST) for _ in range(8)]

    def start(sink: SpeakerSink) -> None:
        together.wait()
        sink.start()

    threads = [threading.Thread(target=start, args=(sink,)) for sink in sinks]
    for thread in threads:
        thread.start()
    await eventually(lambda: hanging.played[0] > 10, 20.0)
    assert portaudio._open_streams == len(outputs._outputs) == 1
    for sink in sinks:
        await asyncio.to_thread(sink.close)


async def test_a_call_goes_on_and_ends_while_its_devices_hang_as_they_open(hanging: Hanging, tmp_path: Path) -> None:
    hanging.opening = {0}
    async with two_ends(settings(tmp_path)) as (caller, callee):
        await secure(caller, callee)
        for side in (caller, callee):
            side.session.configure([audio(), video()])
            side.session.start_sending()
        await eventually(hanging.has_hung.is_set, 20.0)

        def goes_on() -> bool:
            (sound, picture, _), (far, _, _) = caller.session.stats(), callee.session.stats()
            assert sound is not None
            assert picture is not None
            assert far is not None
            heard = sound.output_level_dbfs is not None and sound.output_level_dbfs > -20  # by a recording, say
            return heard and far.packets_received > 20 and picture.frames_decoded > 5

        await eventually(goes_on, 20.0)
        await caller.session.close()
        assert not hanging.release.is_set()


async def test_devices_that_stop_in_a_call_can_be_left_for_others(hanging: Hanging, tmp_path: Path) -> None:
    async with two_ends(settings(tmp_path)) as (caller, callee):
        await secure(caller, callee)
        for side in (caller, callee):
            side.session.configure([audio()])
            side.session.start_sending()

        def heard() -> float:
            figures = callee.session.stats()[0]
            return -99.0 if figures is None or figures.output_level_dbfs is None else figures.output_level_dbfs

        await eventually(lambda: heard() > -20, 20.0)
        hanging.moving = {0}
        await eventually(lambda: heard() < -50, 20.0)
        caller.session.use_devices(replace(ON_DEVICES, microphone=SECOND, speaker=SECOND))
        await eventually(lambda: heard() > -20 and hanging.played[1] > 20, 20.0)
        await callee.session.close()
        await caller.session.close()
        assert not hanging.release.is_set()
    whole = read_wav(tmp_path / "callee.wav")
    last = np.flatnonzero(np.abs(whole) > 5_000)[-1] / 48_000
    assert frequency_hz(part(whole, last - 0.12, last)) == pytest.approx(1_000, abs=20)


def test_another_system_device_is_followed_though_the_devices_are_the_same(hanging: Hanging) -> None:
    """The list is frozen while any stream is open, the default in it as well."""
    listed = portaudio._known["speaker"]
    now = [portaudio.as_row(replace(device, is_default=not device.is_default)) for device in listed]
    try:
        portaudio.take_fresh_list({"microphone": [portaudio.as_row(device) for device in listed], "speaker": now})
        assert portaudio._is_stale
        assert portaudio.should_reopen("speaker", "", listed[0])
        portaudio.take_fresh_list({kind: [portaudio.as_row(device) for device in listed] for kind in portaudio._known})
        assert not portaudio._is_stale
    finally:
        portaudio._fresh.clear()


def test_a_speaker_that_rests_stays_open_at_little_cost_and_plays_what_comes_next_from_its_beginning(
    hanging: Hanging,
) -> None:
    speaker = SpeakerSink(FIRST)
    told: list[np.ndarray] = []
    moved = threading.Event()

    def on_played(block: np.ndarray, delay_s: float) -> None:
        told.append(block.copy())
        moved.set()

    to_say, asked = [np.full(960, 5, np.int16)] * 3, 0

    def make(now: float) -> tuple[np.ndarray, None]:
        nonlocal asked
        asked += 1
        return (to_say.pop(0) if to_say else np.zeros(960, np.int16)), None

    speaker.draw_from(make)
    speaker.on_played = on_played
    speaker.start()
    try:
        assert moved.wait(20)
        _until(lambda: not to_say)
        speaker.rest()
        _until(lambda: speaker.rests)
        written = hanging.played[0]
        _until(lambda: hanging.played[0] > written + 3)
        told.clear()  # of what was there before it rested
        written, asked_before = hanging.played[0], asked
        _until(lambda: hanging.played[0] > written + 3)  # silence goes on
        assert (told, speaker.underruns, asked) == ([], 0, asked_before)
        said = [np.full(960, 1_000 + number, np.int16) for number in range(10)]
        to_say += said
        speaker.wake()
        _until(lambda: bool(told) and bool((told[-1] == 1_009).any()))
    finally:
        speaker.close()
    heard = np.concatenate(told)
    assert np.array_equal(heard[np.flatnonzero(heard)[0] :][96 : 9 * 960], np.concatenate(said)[97 : 9 * 960 + 1])


def test_a_channel_that_is_put_left_during_a_call_is_heard_there_at_once(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The speaker has both sides from its opening on: to open it anew takes a second, and the call would be cut."""
    (first, *others) = portaudio._known["speaker"]
    monkeypatch.setitem(portaudio._known, "speaker", (replace(first, channels=2), *others))
    middle, is_left = np.full(960, 1_000, np.int16), threading.Event()
    call, channel = SpeakerSink(FIRST), SpeakerSink(FIRST)
    call.draw_from(lambda now: (middle, None))
    channel.draw_from(lambda now: (middle, middle if is_left.is_set() else None))
    try:
        call.start()
        channel.start()
        _until(lambda: hanging.newest.shape == (960, 2) and bool((hanging.newest == 2_000).all()))
        is_left.set()
        _until(lambda: bool((hanging.newest == [3_000, 1_000]).all()))
        assert hanging.widths == [2]
    finally:
        call.close()
        channel.close()


def _until(is_so: Callable[[], bool]) -> None:
    """Wait, in a thread of no loop's, for what the device does."""
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)
