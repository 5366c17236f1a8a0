from __future__ import annotations

import threading

from pytestqt.qtbot import QtBot

from app.events import CallChanged, CallState, EngineStarted, PeopleChanged, Problem
from app.frames import FrameMailbox
from tests.ui import scenes
from ui.bridge import EngineBridge, FrameWaker


def test_events_of_another_thread_arrive_in_order_in_the_windows_thread(qtbot: QtBot) -> None:
    bridge = EngineBridge()
    seen: list[tuple[object, threading.Thread]] = []
    for signal in (bridge.started, bridge.problem, bridge.people):
        signal.connect(lambda event: seen.append((event, threading.current_thread())))
    sent = [EngineStarted(0.0, ""), Problem("disk", "Full."), PeopleChanged(()), Problem("disk", "Still full.")]
    worker = threading.Thread(target=lambda: [bridge.publish(event) for event in sent])
    worker.start()
    worker.join()
    assert bridge.waiting == 4
    assert not seen
    qtbot.waitUntil(lambda: len(seen) == 4)
    assert [event for event, _ in seen] == sent
    assert {thread for _, thread in seen} == {threading.current_thread()}


def test_a_blocked_window_is_woken_once_for_many_events(qtbot: QtBot) -> None:
    bridge = EngineBridge()
    wakes: list[int] = []
    bridge._wake.connect(lambda: wakes.append(1))
    for _ in range(500):
        bridge.publish(CallChanged(scenes.call(CallState.RINGING)))
    qtbot.waitUntil(lambda: bridge.waiting == 0)
    assert len(wakes) == 1


def test_nothing_arrives_after_closing(qtbot: QtBot) -> None:
    bridge = EngineBridge()
    seen: list[object] = []
    bridge.problem.connect(seen.append)
    bridge.publish(Problem("disk", "Full."))
    bridge.close()
    bridge.publish(Problem("disk", "Full."))
    qtbot.wait(20)
    assert seen == []


def test_a_picture_wakes_the_window_once_until_it_is_taken(qtbot: QtBot) -> None:
    mailbox = FrameMailbox()
    waker = FrameWaker(mailbox)
    wakes: list[int] = []
    waker.ready.connect(lambda: wakes.append(1))
    worker = threading.Thread(target=lambda: [mailbox.put(scenes.picture(4, 4)) for _ in range(20)])
    worker.start()
    worker.join()
    qtbot.waitUntil(lambda: bool(wakes))
    assert wakes == [1]
    assert mailbox.skipped == 19
    assert mailbox.take() is not None
    waker.close()
    mailbox.put(scenes.picture(4, 4))
    qtbot.wait(20)
    assert wakes == [1]
