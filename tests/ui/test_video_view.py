from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QRectF
from pytestqt.qtbot import QtBot

from app.frames import FrameMailbox
from tests.ui import scenes
from ui.widgets.video_view import VideoView, place


def shown(qtbot: QtBot, view: VideoView, mailbox: FrameMailbox, width: int = 320, height: int = 240) -> None:
    qtbot.addWidget(view)
    view.resize(width, height)
    view.show()
    view.show_mailbox(mailbox)


def test_paints_the_newest_picture(qtbot: QtBot) -> None:
    view, mailbox = VideoView("view", "Picture"), FrameMailbox()
    shown(qtbot, view, mailbox)
    mailbox.put(scenes.picture(64, 48, (0, 0, 240)))
    mailbox.put(scenes.picture(64, 48, (240, 0, 0)))
    qtbot.waitUntil(lambda: view.picture is not None)
    image = view.grab().toImage()
    assert image.pixelColor(300, 120).blue() == 240
    assert image.pixelColor(20, 120).blue() == 80
    assert mailbox.take() is None


def test_the_first_picture_is_told_of_though_painting_takes_it(qtbot: QtBot) -> None:
    view, mailbox = VideoView("view", "Picture"), FrameMailbox()
    shown(qtbot, view, mailbox)
    with qtbot.waitSignal(view.first_picture):
        mailbox.put(scenes.picture(64, 48))
        view.grab()  # painted for another reason, before the word that a picture came
        assert view.picture is not None


def test_ones_own_picture_is_mirrored(qtbot: QtBot) -> None:
    for radius in (0, 12):
        view, mailbox = VideoView("own", "Own", mirrored=True, fill=True, radius=radius), FrameMailbox()
        shown(qtbot, view, mailbox)
        mailbox.put(scenes.picture(64, 48, (240, 0, 0)))
        qtbot.waitUntil(lambda view=view: view.picture is not None)
        image = view.grab().toImage()
        assert image.pixelColor(20, 120).blue() > 200
        assert image.pixelColor(300, 120).blue() < 100


def test_words_in_a_picture_are_never_mirrored(qtbot: QtBot) -> None:
    for radius in (0, 12):
        view, mailbox = VideoView("own", "Own", mirrored=True, fill=True, radius=radius), FrameMailbox()
        shown(qtbot, view, mailbox)
        mailbox.put(replace(scenes.picture(64, 48, (240, 0, 0)), is_lettered=True))
        qtbot.waitUntil(lambda view=view: view.picture is not None)
        image = view.grab().toImage()
        assert image.pixelColor(20, 120).blue() < 100
        assert image.pixelColor(300, 120).blue() > 200


def test_a_rounded_view_shows_a_whole_picture_once(qtbot: QtBot) -> None:
    view, mailbox = VideoView("view", "Picture", radius=8), FrameMailbox()
    shown(qtbot, view, mailbox, width=480)
    mailbox.put(scenes.picture(64, 48, (240, 0, 0)))
    qtbot.waitUntil(lambda: view.picture is not None)
    image = view.grab().toImage()
    assert image.pixelColor(380, 120).blue() > 200  # its right side,
    assert image.pixelColor(60, 120).blue() < 100  # … and no more of it beside it
    assert image.pixelColor(470, 120) == image.pixelColor(10, 120)


def test_a_view_that_nobody_sees_is_not_woken_again(qtbot: QtBot) -> None:
    view, mailbox = VideoView("view", "Picture"), FrameMailbox()
    shown(qtbot, view, mailbox)
    mailbox.put(scenes.picture(64, 48))
    qtbot.waitUntil(lambda: view.picture is not None)
    view.hide()
    for _ in range(30):
        mailbox.put(scenes.picture(64, 48))
    qtbot.wait(30)
    assert view.painted <= 2
    assert mailbox.skipped >= 28


def test_another_mailbox_forgets_the_picture_before(qtbot: QtBot) -> None:
    view, mailbox, other = VideoView("view", "Picture"), FrameMailbox(), FrameMailbox()
    shown(qtbot, view, mailbox)
    mailbox.put(scenes.picture(64, 48))
    qtbot.waitUntil(lambda: view.picture is not None)
    view.show_mailbox(other)
    assert view.picture is None
    mailbox.put(scenes.picture(64, 48))
    qtbot.wait(20)
    assert view.picture is None


def test_where_a_picture_goes() -> None:
    area = QRectF(0, 0, 1000, 1000)
    assert place(1000, 500, area, fill=False) == QRectF(0, 250, 1000, 500)
    assert place(1000, 500, area, fill=True) == QRectF(-500, 0, 2000, 1000)
    assert place(1000, 950, area, fill=False).height() == 1000  # little is lost: no bars
    assert place(0, 0, area, fill=False) == area
