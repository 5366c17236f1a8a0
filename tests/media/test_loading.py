"""What an INVITE does not wait for, and sessions that begin before their codecs are there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.media import loading
from tests.media.wire import audio, eventually, secure, two_ends, video

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "numpy",
    "av",
    "OpenSSL",
    "pylibsrtp",
    "aiortc",
    "aioice",
    "dns",
    "sounddevice",
    "livekit",
    "cv2",
    "keyring",
    "zeroconf",
)
_LOADED = f"""
import sys
import app.__main__, app.cli.main, app.cli.calling
from app.media.certificate import Certificate
Certificate.generate()
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_nothing_heavy_is_loaded_before_an_invite_can_leave() -> None:
    done = subprocess.run([sys.executable, "-c", _LOADED], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_what_was_loaded_is_not_searched_for_garbage_during_calls() -> None:
    program = "import gc; from app.media.loading import load; load(); load(); print(len(gc.get_objects()) < 5_000)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.stdout.strip(), done.stderr) == ("True", "")


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """As if nothing were loaded yet; loading ends when the event is set."""
    may_end = threading.Event()
    load = loading.load
    monkeypatch.setattr(loading, "_done", threading.Event())
    monkeypatch.setattr(loading, "load", lambda: (may_end.wait(10), load()))
    return may_end


async def test_streams_that_were_configured_before_begin_when_codecs_are_there(unloaded: threading.Event) -> None:
    async with two_ends() as (caller, callee):
        for end in (caller, callee):
            end.session.configure([audio(), video()])
            end.session.set_muted(True)
            end.session.start_sending()
            assert end.session.stats()[:2] == (None, None)
        securing = asyncio.ensure_future(secure(caller, callee))
        await asyncio.sleep(0.05)
        assert not securing.done()
        unloaded.set()
        await securing
        await eventually(lambda: caller.session.first_audio_at and caller.session.first_video_at)
        figures = callee.session.stats()[0]
        assert figures is not None
        assert figures.packets_sent > 0


async def test_a_session_closed_while_codecs_load_starts_nothing(unloaded: threading.Event) -> None:
    async with two_ends() as (caller, _):
        caller.session.configure([audio()])
        await caller.session.close()
        unloaded.set()
        await asyncio.sleep(0.05)
        assert caller.session.stats()[0] is None
