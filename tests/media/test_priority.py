"""Threads that move sound run before others where the system allows it, and only they."""

from __future__ import annotations

import os
import sys
import threading

import pytest

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
