"""Loads what a call's media stands on, once, in a thread: NumPy, PyAV, libopus, OpenSSL's DTLS, libsrtp.

That takes some tenths of a second, and nothing of it is needed before a far end has answered: so the INVITE does not
wait for it, and no loop stands still while it is read.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import threading

_MODULES = (
    "app.media.aiortc_parts",
    "app.media.audio_stream",
    "app.media.call_recorder",
    "app.media.camera",
    "app.media.dtls",
    "app.media.echo",
    "app.media.microphone",
    "app.media.recorder",
    "app.media.rings",
    "app.media.sinks",
    "app.media.sources",
    "app.media.speaker",
    "app.media.srtp",
    "app.media.video_stream",
)
_done = threading.Event()


def is_loaded() -> bool:
    """Whether a stream can be made without reading anything first."""
    return _done.is_set()


def load() -> None:
    """Load all of it; blocks. Harmless when it is there, or when another thread does the same."""
    for name in _MODULES:
        importlib.import_module(name)
    from app.media.codecs import OPUS
    from app.media.speech import make_encoder

    make_encoder(OPUS)  # finds and opens libopus
    if not _done.is_set():
        # What is there by now stays to the end. Looking through it for garbage again and again would stop every thread
        # for 30 ms and more in the middle of a call, which is heard.
        gc.freeze()
    _done.set()


async def loaded() -> None:
    """Return when it is there."""
    if not _done.is_set():
        await asyncio.to_thread(load)
