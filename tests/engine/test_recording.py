"""Recordings and stills of real calls: two people on this machine, and what is in the files afterwards."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from app.calls.call import Call
from app.calls.errors import CallError
from app.engine.errors import EngineError
from app.engine.kept_files import new_file, usable
from app.engine.media_commands import CallMedia
from app.events import Event, FileKept
from app.frames import VideoPicture
from app.media.call_sound import BEEP_HZ
from app.settings import RecordedSound, RecordingSettings, TellOther
from tests.calls.parties import Party, connected, on_the_phone, party
from tests.heard import frequency_hz, part, read_wav, share_at, sounds
from tests.seen import stamps


class Recorded:
    """A call of Ada's to Bob, and her engine's commands about it."""

    def __init__(self, ada: Party, bob: Party, outgoing: Call, incoming: Call) -> None:
        self.ada, self.bob, self.outgoing, self.incoming = ada, bob, outgoing, incoming
        self.events: list[Event] = []
        self.media = CallMedia(lambda: ada.manager, self.events.append)
        self.call_id = outgoing.call_id

    async def kept(self) -> FileKept:
        await self.ada.until(lambda: self.events, "the file is whole")
        (event,) = self.events
        assert isinstance(event, FileKept)
        return event

    async def grown(self, seconds: float) -> None:
        await self.ada.until(
            lambda: (info := self.outgoing.info.recording) is not None and info.seconds > seconds, "it has grown"
        )


@asynccontextmanager
async def a_call(
    folder: Path, tell: TellOther = TellOther.NONE, *, own_picture: bool = True, **bob: object
) -> AsyncIterator[Recorded]:
    kept = RecordingSettings(str(folder / "kept"), str(folder / "stills"), RecordedSound.STEREO, tell)
    ada = party("ada", tone_hz=500, video_from="pattern" if own_picture else "none")
    ada.settings = replace(ada.settings, recording=kept)
    async with on_the_phone(ada, party("bob", tone_hz=900, **bob)) as (ada, bob_):  # type: ignore[arg-type]
        outgoing, incoming = await connected(ada, bob_)
        yield Recorded(ada, bob_, outgoing, incoming)


async def test_both_voices_and_the_far_picture_are_in_the_file(tmp_path: Path) -> None:
    async with a_call(tmp_path, own_picture=False) as here:  # or it is the large one until the far one comes
        await here.ada.until(lambda: here.outgoing.figures().video.frames_decoded > 5, "the picture arrives")  # type: ignore[union-attr]
        path = Path(await here.media.record(here.call_id, None))
        assert path.parent == tmp_path / "kept"
        assert path.name.endswith(" bob.mkv")
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        with pytest.raises(CallError, match="already"):
            await here.media.record(here.call_id, None)
        await here.grown(1.5)
        await here.media.stop_recording(here.call_id)
        assert here.outgoing.info.recording is None
        kept = await here.kept()
        assert (kept.path, kept.problem) == (str(path), None)
        assert kept.seconds > 1.5
        (both,) = sounds(path)
        assert len(both) / 48_000 == pytest.approx(kept.seconds, abs=0.1)
        assert frequency_hz(part(both[:, 0], 0.5, 1.3)) == pytest.approx(500, abs=2)
        assert frequency_hz(part(both[:, 1], 0.5, 1.3)) == pytest.approx(900, abs=2)
        numbers = stamps(path)
        assert len(set(numbers)) > 3
        assert numbers == sorted(numbers)


async def test_the_end_of_the_call_ends_the_recording(tmp_path: Path) -> None:
    async with a_call(tmp_path) as here:
        path = Path(await here.media.record(here.call_id, str(tmp_path / "talk.mkv")))
        await here.grown(0.8)
        here.incoming.hang_up()
        await here.ada.ends()
        await here.ada.until(here.outgoing.finished.is_set, "all is free")
        assert (await here.kept()).problem is None
        (both,) = sounds(path)
        assert len(both) / 48_000 > 0.7
        with pytest.raises(CallError):
            await here.media.record(here.call_id, None)


async def test_a_recording_pauses_while_the_call_is_held(tmp_path: Path) -> None:
    async with a_call(tmp_path) as here:
        await here.media.record(here.call_id, str(tmp_path / "talk.wav"))
        await here.grown(0.3)
        here.incoming.set_held(True)  # by the other side
        await here.ada.until(lambda: here.outgoing.info.held, "it is held")
        info = here.outgoing.info.recording
        assert info is not None
        assert info.paused
        await asyncio.sleep(0.05)
        assert here.outgoing.info.recording.seconds == info.seconds  # type: ignore[union-attr]
        here.incoming.set_held(False)
        await here.ada.until(lambda: not here.outgoing.info.held, "it goes on")
        assert not here.outgoing.info.recording.paused  # type: ignore[union-attr]


async def test_the_other_side_hears_that_it_is_recorded(tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    async with a_call(tmp_path, TellOther.TONE, audio_to=str(heard)) as here:
        here.outgoing.set_muted(True)
        await asyncio.sleep(0)
        await here.media.record(here.call_id, str(tmp_path / "talk.mkv"))
        await here.grown(0.8)
    sound = read_wav(heard)
    assert max(share_at(sound[at : at + 4800], BEEP_HZ) for at in range(0, sound.size - 4800, 2400)) > 0.8


async def test_nothing_is_overwritten_and_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    there = tmp_path / "there.mkv"
    there.write_bytes(b"mine")
    async with a_call(tmp_path) as here:
        for path, words in (
            (tmp_path / "none" / "x.mkv", "No such file"),
            (tmp_path / "x.avi", "recorded to .mkv"),
        ):
            with pytest.raises(EngineError, match=words):
                await here.media.record(here.call_id, str(path))
        assert await here.media.record(here.call_id, str(there)) == str(tmp_path / "there (2).mkv")
        await here.media.stop_recording(here.call_id)
        (tmp_path / "kept").write_bytes(b"a file where the folder would be")
        with pytest.raises(EngineError, match="Nothing can be kept in"):
            await here.media.record(here.call_id, None)
        assert here.outgoing.info.recording is None
    assert there.read_bytes() == b"mine"


async def test_a_still_is_a_png_of_what_was_seen(tmp_path: Path) -> None:
    rows = np.zeros((48, 64, 4), np.uint8)
    rows[:, :32] = (255, 10, 20, 255)  # blue, green, red
    picture = VideoPicture(64, 48, 256, rows.tobytes(), 0.0)
    async with a_call(tmp_path) as here:
        first = Path(await here.media.keep_still(here.call_id, picture, own=False))
        second = Path(await here.media.keep_still(here.call_id, picture, own=False))
        third = Path(await here.media.keep_still(here.call_id, picture, own=True))
    assert first.parent == second.parent == tmp_path / "stills"
    assert first != second
    assert third.name.endswith(" bob - own picture.png")
    with av.open(str(first)) as container:
        seen = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert seen.shape == (48, 64, 3)
    assert tuple(seen[0, 0]) == (20, 10, 255)
    assert tuple(seen[0, 40]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Front desk", "Front desk"),
        ("../../etc/passwd", "etc-passwd"),
        ('a<b>:"c"|?*\n', "a-b-c"),
        (" . ", ""),
        ("\N{GRINNING FACE}" * 100, "\N{GRINNING FACE}" * 45),  # 255 bytes are the most that a name has
        ("b\u202egpj.\udcff", "bgpj"),  # what turns writing round, and what is no letter at all
    ],
)
def test_a_strangers_name_is_only_a_name(tmp_path: Path, name: str, file: str) -> None:
    assert usable(name) == file
    path = new_file(tmp_path / "new" / "folder", name, ".mkv")
    assert path.parent == tmp_path / "new" / "folder"
    assert new_file(path.parent, name, ".mkv").stem == f"{path.stem} (2)"
