"""Threads that move sound run before others and take tiny numbers for nothing, where that can be had, and only they."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np
import pytest

from app.media.denormals import flush_denormals
from app.media.opus import OpusEncoder
from app.media.priority import before_others


@pytest.mark.skipif(sys.platform != "linux", reason="niceness of a thread is a thing of Linux")
def test_only_the_thread_that_asks_is_raised() -> None:
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    found: list[tuple[bool, int]] = []

    def run() -> None:
        allowed = before_others()
        found.append((allowed, os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    ((allowed, niceness),) = found
    assert niceness == (min(-11, mine) if allowed else mine)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == mine


def test_a_system_that_refuses_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "setpriority", refuse, raising=False)
    assert not before_others()


def encoded(sound: np.ndarray) -> list[bytes]:
    encoder = OpusEncoder()
    return [encoder.encode(frame) for frame in sound.reshape(-1, 960)]


def test_only_the_thread_that_asks_takes_tiny_numbers_for_nothing_and_nothing_is_heard_of_it() -> None:
    fading = np.sin(np.arange(48_000) / 20) * 2.0 ** (14 - np.arange(48_000) / 1_500)
    sound = np.concatenate([np.rint(fading), np.zeros(24_000)]).astype(np.int16)
    found: list[tuple[bool, float, list[bytes]]] = []

    def run() -> None:
        can = flush_denormals()
        found.append((can, tiny(), encoded(sound)))

    def tiny() -> float:
        return float(np.float32(1e-30) * np.float32(1e-10))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    ((can, there, packets),) = found
    assert (there == 0) == can
    assert tiny() > 0
    assert packets == encoded(sound)
