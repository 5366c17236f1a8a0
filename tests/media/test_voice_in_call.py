"""The microphone's sound seen from a call: switches while it runs, the meter, and the hint to who is muted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.media import cleaning
from app.media.events import MutedSpeech
from tests.heard import write_wav
from tests.media.wire import QUIET, audio, eventually, secure, two_ends

RATE_HZ = 48_000


def words(seconds: float) -> np.ndarray:
    """Noise that swells and fades as speech does."""
    moments = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    swell = np.abs(np.sin(2 * np.pi * 2 * moments))
    return (np.random.default_rng(1).normal(size=moments.size) * swell * 3000).astype(np.int16)


async def test_who_speaks_muted_is_told_sees_the_level_and_may_switch_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "webrtc_library", lambda: None)  # its wheel is missing: the call goes on
    said = write_wav(tmp_path / "said.wav", words(4))
    settings = replace(QUIET, audio_from=str(said), process_files=True)
    async with two_ends((settings, QUIET)) as (caller, callee):
        await secure(caller, callee)
        for end in (caller, callee):
            end.session.configure([audio()])
        caller.session.set_muted(True)
        for end in (caller, callee):
            end.session.start_sending()

        def figures() -> object:
            return caller.session.stats()[0]

        await eventually(lambda: any(isinstance(event, MutedSpeech) for event in caller.events))
        assert figures().raw_input_level_dbfs > -35
        heard = callee.session.stats()[0].output_level_dbfs
        assert heard is None or heard < -50
        assert (figures().echo_cancellation, figures().noise_suppression, figures().gain_control) == (True, True, True)
        for name in ("echo_cancellation", "noise_suppression", "gain_control"):
            settings = replace(settings, **{name: False})
            caller.session.use_devices(settings)
            assert getattr(figures(), name) is False
        sent = len(caller.path.media())
        caller.session.set_muted(False)
        await eventually(lambda: (callee.session.stats()[0].output_level_dbfs or -99) > -35)
        assert len(caller.path.media()) > sent
        assert len([event for event in caller.events if isinstance(event, MutedSpeech)]) == 1
