"""Missions in the window, with a real engine: opened from a drop, a picture or text, given to others, edited."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication, QImage
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot
from qasync import QEventLoop

from app.cli.main import run
from app.engine import missions
from app.engine.facade import Engine
from app.engine.missions import ChannelWish, Mission, MissionWishes
from app.engine.options import EngineOptions, HomeMode
from app.mission_links import link_of
from app.settings import Settings
from tests.web import web_server
from ui.bridge import EngineBridge
from ui.context import Context
from ui.dialogs.mission_edit import EditMissionDialog
from ui.dialogs.mission_export import ExportMissionDialog
from ui.dialogs.mission_open import OpenMissionDialog
from ui.main_window import MainWindow
from ui.mission_sources import MissionSource
from ui.theme.manager import Theme

WORDS = "correct horse battery"
MADE = datetime(2026, 11, 20, tzinfo=UTC)


def alone(settings: Settings) -> Settings:
    """No device, loopback only."""
    media = replace(settings.media, audio_from="silence", audio_to="null", video_from="camera", video_to="null")
    media = replace(media, camera="no such camera")
    network = replace(settings.network, interfaces=("127.0.0.1",), sip_port=0, find_neighbours=False)
    return replace(settings, media=media, network=network)


def mission(name: str = "Relief", *channels: str, made: datetime = MADE, **wishes: Any) -> Mission:
    """A mission whose packets stay on this machine."""
    found = tuple(ChannelWish(each) for each in channels or ("Alpha",))
    fresh = missions.make(MissionWishes(name, found, **wishes), made)
    return replace(fresh, groups=tuple(replace(group, interface_name="lo") for group in fresh.groups)).checked()


@dataclass
class Desk:
    """The window and its engine, and what a test does with them."""

    window: MainWindow
    engine: Engine
    loop: QEventLoop
    qtbot: QtBot

    def do(self, work: Any) -> Any:
        task = self.loop.create_task(work)
        self.wait(task.done)
        return task.result()

    def wait(self, until: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(until, timeout=10_000)

    def drop(self, mime: QMimeData) -> None:
        """Let go of something over the window."""
        buttons, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        over = QDragEnterEvent(QPoint(400, 300), Qt.DropAction.CopyAction, mime, buttons, none)
        QApplication.sendEvent(self.window, over)
        assert over.isAccepted()
        event = QDropEvent(QPointF(400, 300), Qt.DropAction.CopyAction, mime, buttons, none)
        QApplication.sendEvent(self.window, event)

    @property
    def opening(self) -> OpenMissionDialog:
        return self.window.findChildren(OpenMissionDialog)[-1]

    def shown(self) -> str:
        """What is in the mission that was read, in the dialog's words."""
        self.wait(lambda: not self.opening.busy)
        assert self.opening.step == 2, self.opening.answer.text()
        return self.opening.preview.words

    def open(self) -> None:
        self.opening.go.click()
        self.wait(lambda: self.window.findChild(OpenMissionDialog) is None)

    def names(self) -> list[str]:
        return [info.name for info in self.do(self.engine.channels.list())]

    def put(self, made: Mission) -> str:
        return str(self.do(self.engine.channels.open_mission(str(made))).id)


@pytest.fixture
def desk(qt_loop: QEventLoop, theme: Theme, tmp_path: Path, qtbot: QtBot) -> Iterator[Desk]:
    bridge = EngineBridge()
    context = Context(theme, bridge)
    options = EngineOptions(
        profile=tmp_path / "profile",
        adjust=alone,
        home=HomeMode.ON_DEMAND,
        neighbours=False,
        watch_presence=False,
        ring=False,
    )
    engine = Engine(options, bridge.publish)
    context.attach(engine)
    window = MainWindow(context)
    qtbot.addWidget(window)
    window.show()
    engine.start()
    made = Desk(window, engine, qt_loop, qtbot)
    made.do(engine.opened())
    yield made
    window.close()
    made.do(context.tasks.close())
    made.do(engine.close())
    bridge.close()


def files(*paths: Path) -> QMimeData:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return mime


def texts(text: str) -> QMimeData:
    mime = QMimeData()
    mime.setText(text)
    return mime


def test_a_web_address_is_asked_for_nothing_before_the_person_says_so(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = missions.pack(mission("Harvest", "Alpha")).encode()
    with web_server(tmp_path / "web", {"/harvest.ice": packed, "/other": b"<html>"}) as web:
        monkeypatch.setenv("SSL_CERT_FILE", str(web.ca))
        desk.drop(texts(f"{web.url}/harvest.ice"))
        assert (desk.opening.step, desk.opening.web.text(), web.asked) == (4, f"{web.url}/harvest.ice", [])
        desk.opening.go.click()
        assert "Harvest" in desk.shown()
        assert web.asked == ["/harvest.ice"]
        desk.open()
        assert desk.names() == ["Harvest"]

        desk.drop(texts(f"{web.url}/gone.ice"))
        dialog = desk.opening
        dialog.go.click()
        desk.wait(lambda: not dialog.busy)
        assert dialog.answer.text() == "✕ 127.0.0.1 has no mission there: it answered 404 (Not Found)."
        dialog.choose()
        for typed, said in ((f"{web.url}/other", "mission"), ("http://127.0.0.1/harvest.ice", "by https alone")):
            dialog.choose()
            dialog.text.setPlainText(typed)
            dialog.go.click()
            assert dialog.step == 4
            dialog.go.click()
            desk.wait(lambda: not dialog.busy)
            assert said in dialog.answer.text()
        dialog.reject()


def test_a_dropped_file_is_shown_then_opened_and_a_newer_one_by_its_picture_replaces_it(
    desk: Desk, tmp_path: Path
) -> None:
    relief = mission("Relief", "Alpha", "Bravo", description="Flood in the valley", encrypted=False)
    file = tmp_path / "relief.ice"
    file.write_text(missions.pack(relief))
    desk.drop(files(file))
    shown = desk.shown()
    for words in ("Relief", "Flood in the valley", "Alpha", "Bravo", "clear", "Opus 24 kb/s, 20 ms", "Mission Control"):
        assert words in shown
    assert "Bravo is clear: whoever is on its way can listen and talk." in shown
    assert desk.names() == []
    desk.open()
    assert desk.names() == ["Relief"]
    assert "Relief is open: 2 channels." in desk.window.toasts.sentences
    assert desk.window.channels.shown

    desk.drop(texts(str(relief)))
    assert "You have this mission already." in desk.shown()
    newer = mission("Relief", "Alpha", made=MADE + timedelta(days=1))
    mime = QMimeData()
    mime.setImageData(QImage.fromData(missions.qr_picture(missions.pack(newer), "png")))
    desk.drop(mime)
    shown = desk.shown()
    assert "You have an older version of it" in shown
    assert "encrypted" in shown
    desk.open()
    assert [len(info.channels) for info in desk.do(desk.engine.channels.list())] == [1]


def filmed(picture: bytes, path: Path) -> Path:
    """A film of a picture that stands still, as a camera that looks at it gives it."""
    shown = QImage.fromData(picture).scaled(640, 640).convertToFormat(QImage.Format.Format_Grayscale8)
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (1280, 720))
    frame = np.full((720, 1280, 3), 255, np.uint8)
    frame[40:680, 320:960] = np.frombuffer(shown.constBits(), np.uint8).reshape(640, shown.bytesPerLine(), 1)[:, :640]
    for _ in range(10):
        film.write(frame)
    film.release()
    return path


def test_a_picture_before_the_camera_is_read_and_the_camera_released(desk: Desk, tmp_path: Path) -> None:
    film = filmed(missions.qr_picture(missions.pack(mission("Seen")), "png"), tmp_path / "seen.avi")
    settings = desk.do(desk.engine.settings.get())
    desk.window.open_mission()
    dialog = desk.opening
    dialog.scan.click()
    desk.wait(lambda: "No camera can be used here" in dialog.answer.text())
    assert dialog.step == 0
    media = replace(settings.media, video_from=str(film))
    desk.do(desk.engine.settings.change(replace(settings, media=media)))
    dialog.scan.click()
    desk.wait(lambda: dialog.step == 2 and not dialog.busy)
    assert "Seen" in dialog.preview.words
    dialog.scan.click()
    dialog.reject()
    desk.wait(lambda: not desk.window.context.tasks.busy)


def test_passphrase_and_pin_are_asked_for_and_a_wrong_one_is_said(desk: Desk) -> None:
    guarded = mission("Guarded", pin="4711")
    desk.drop(texts(link_of(missions.pack(guarded, WORDS))))
    dialog = desk.opening
    desk.wait(lambda: dialog.step == 1 and not dialog.busy)
    dialog.passphrase.setText("something else")
    dialog.go.click()
    desk.wait(lambda: "The passphrase is wrong" in dialog.answer.text())
    assert dialog.step == 1
    dialog.passphrase.setText(WORDS)
    dialog.go.click()
    desk.wait(lambda: dialog.step == 2 and not dialog.busy)
    dialog.go.click()
    desk.wait(lambda: "Type the PIN" in dialog.answer.text())
    for _ in range(5):
        dialog.pin.setText("1111")
        dialog.go.click()
        desk.wait(lambda: not dialog.busy)
        assert "The PIN is wrong: try again." in dialog.answer.text()
    dialog.pin.setText("4711")
    dialog.go.click()
    desk.wait(lambda: "The PIN was wrong 5 times: try again in " in dialog.answer.text())
    assert desk.names() == []
    desk.window.context.pins.right(guarded.id)  # a minute later
    desk.open()
    assert desk.names() == ["Guarded"]


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [
        (
            b"what is this",
            "This is no mission file, or one that another program encrypted in a way Parley cannot read.",
        ),
        (b"\x89PNG\r\n\x1a\n", "The picture is damaged, or too large."),
        (b'{"meta": {"version": 1}}', "meta.created is missing."),
    ],
)
def test_what_is_no_mission_is_told_in_one_sentence(
    contents: bytes, sentence: str, window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    file = tmp_path / "broken.ice"
    file.write_bytes(contents)
    window.open_mission(MissionSource(file.name, file))
    dialog = window.findChild(OpenMissionDialog)
    qtbot.waitUntil(lambda: sentence in dialog.answer.text())
    assert dialog.step == 0
    window.open_mission(MissionSource("gone.ice", tmp_path / "gone.ice"))
    qtbot.waitUntil(lambda: "cannot be read" in window.findChildren(OpenMissionDialog)[-1].answer.text())


def test_a_mission_whose_time_is_over_is_shown_and_not_opened(desk: Desk) -> None:
    desk.drop(texts(missions.pack(mission("Old", expires=MADE))))
    assert "The mission Old ended on 2026-11-20T00:00:00.000Z." in desk.shown()
    assert not desk.opening.go.isEnabled()


def test_a_mission_is_given_as_file_picture_and_link_and_nothing_is_replaced_unasked(
    desk: Desk, tmp_path: Path
) -> None:
    relief = mission("Relief")
    desk.window.export_mission(desk.put(relief))
    dialog = desk.window.findChild(ExportMissionDialog)
    desk.wait(lambda: bool(dialog.packed))
    assert missions.read(dialog.packed) == relief
    assert dialog.qr.isVisible()
    dialog.copy_link.click()
    assert missions.read(QGuiApplication.clipboard().text()) == relief
    dialog.write_picture(str(tmp_path / "relief"))
    picture = tmp_path / "relief.png"
    desk.wait(lambda: "Saved as relief.png." in dialog.answer.text())
    assert missions.read_file(picture) == relief

    dialog.packed = ""
    dialog.passphrase.setText("short")
    desk.wait(lambda: "A passphrase for a mission has 8 to 1,024 characters." in dialog.answer.text())
    assert dialog.qr.modules.isNull()  # never the one without a passphrase
    assert not dialog.copy_link.isEnabled()
    dialog.passphrase.setText(WORDS)
    desk.wait(lambda: bool(dialog.packed))
    file = tmp_path / "relief.ice"
    file.write_text("precious")
    dialog.write_file(str(tmp_path / "relief"))
    assert dialog.question.isVisible()
    assert file.read_text() == "precious"
    dialog.question.yes.click()
    desk.wait(lambda: "Saved as relief.ice." in dialog.answer.text())
    assert missions.read_file(file, WORDS) == relief


def test_what_is_too_large_for_a_picture_goes_as_a_file(desk: Desk) -> None:
    desk.window.export_mission(desk.put(mission("Large", *(f"Channel {number}" for number in range(40)))))
    dialog = desk.window.findChild(ExportMissionDialog)
    desk.wait(lambda: bool(dialog.packed))
    assert dialog.too_large.isVisible()
    assert "a QR picture holds 2,953: give it as a file." in dialog.too_large.text()
    assert not dialog.qr.isVisible()
    assert not dialog.save_qr.isEnabled()
    assert dialog.save_file.isEnabled()


def editor(desk: Desk, mission_id: str | None) -> EditMissionDialog:
    desk.window.edit_mission(mission_id)
    dialog = desk.window.findChild(EditMissionDialog)
    assert isinstance(dialog, EditMissionDialog)
    desk.wait(lambda: dialog.draft is not None and dialog.isEnabled())
    return dialog


def test_the_editor_makes_a_mission_that_others_can_use(desk: Desk, tmp_path: Path, capsys: Any) -> None:
    desk.window.open_mission()
    desk.opening.make.click()
    dialog = desk.window.findChildren(EditMissionDialog)[-1]
    page = dialog.page
    assert page is not None
    dialog.save.click()
    assert "Name is empty." in page.fields.words("name")
    desk.qtbot.keyClicks(page.name, "Harbour rescue")
    page.expires.setText("tomorrow")
    dialog.save.click()
    assert "Ends is no time such as 2026-12-31 18:00" in page.fields.words("parleyExpires")
    page.expires.setText("2099-12-31")
    page.pin.setText("4711")
    page.add.click()
    channel = dialog.channel
    assert channel is not None
    channel.name.setText("Boats")
    assert channel.cost.text() == "Costs 59 kb/s for each who talks."
    channel.framing.setCurrentIndex(2)
    assert channel.cost.text() == "Costs 36 kb/s for each who talks."
    row = [each.name for each in channel._encoders].index("GSM full rate")
    channel.encoder.setCurrentIndex(row)
    assert "GSM full rate is heard, but not sent" in channel.why_not.text()
    channel.encoder.setCurrentIndex(0)
    assert not channel.key.is_shown
    channel.rx.address.setText("300.1.1.1")
    channel.rallypoints.add.click()
    channel.rallypoints.rows[0].host.setText("no host")
    desk.wait(lambda: "'300.1.1.1'" in channel.fields.words("rx.address"))
    assert "Host is 'no host'" in channel.fields.words("rallypoint[0].host.address")
    channel.rx.address.setText("239.192.7.9")
    channel.rallypoints.rows[0].host.setText("rally.example.org")
    dialog.save.click()
    desk.wait(lambda: desk.window.findChild(EditMissionDialog) is None)

    (info,) = desk.do(desk.engine.channels.list())
    assert info.has_pin
    made = desk.do(desk.engine.channels.mission(info.id))
    assert {group.name for group in made.groups} == {"Mission Control", "Alpha", "Boats"}
    assert len({group.crypto_password for group in made.groups}) == 3
    boats = next(group for group in made.groups if group.name == "Boats")
    assert (str(boats.rx), str(boats.tx)) == (f"239.192.7.9:{boats.rx.port}",) * 2
    assert str(boats.cluster.rallypoints[0].host) == "rally.example.org:7443"
    file = tmp_path / "made.ice"
    file.write_text(missions.pack(made))
    with ThreadPoolExecutor(1) as beside:  # the command has a loop of its own
        assert beside.submit(run, ["mission", "verify", str(file)], 0.0).result() == 0
    assert "Harbour rescue can be used: 3 channels" in capsys.readouterr().out


def test_channels_stand_in_one_order_in_the_editor_in_a_preview_and_on_the_cards(desk: Desk) -> None:
    names = ["alpha", "Bravo", "Gate 2", "Gate 10", "Zulu"]
    made = mission("Order", *reversed(names), pin=None)
    mission_id = desk.put(made)
    (info,) = desk.do(desk.engine.channels.list())
    assert [channel.name for channel in info.channels] == names
    shown = [channel.name for channel in missions.view(made, datetime.now(UTC)).channels if channel.encoder is not None]
    assert shown == names
    dialog = editor(desk, mission_id)
    page = dialog.page
    assert page is not None
    listed = [page.channels.item(row).text().split("\n")[0] for row in range(page.channels.count())]
    assert [name for name in listed if name != "Mission Control"] == names
    assert "from A to Z" in " ".join(each.text() for each in page.findChildren(QLabel))
    page.channels.setCurrentRow(listed.index("Gate 2"))
    page.edit.click()
    assert dialog.channel is not None
    assert dialog.channel.group.name == "Gate 2"
    dialog.channel.name.setText("Aft gate")
    dialog.go_back()
    assert page.channels.currentItem().text().startswith("Aft gate")  # still the one that is chosen
    page.remove.click()
    assert dialog.draft is not None
    left = {group.name for group in dialog.draft.mission.groups}
    assert {"Aft gate", "Gate 2", *names} - left == {"Aft gate", "Gate 2"}
    dialog.draft = None
    dialog.close()


def test_what_nobody_touched_stays_as_it_was(desk: Desk) -> None:
    before = json.loads(str(mission("Mixed", "Alpha", "Bravo")))
    before["theirs"] = {"kept": [1, 2]}
    for group in before["groups"]:
        group["unknown"] = "stays"
        if group["name"] == "Alpha":
            group |= {"idOverride": True, "id": "11111111-2222-3333-4444-555555555555"}
            group["rx"]["theirs"] = True
            group["rallypoints"] = [{"host": {"address": "old.example.org", "port": 7000}, "mine": 1}]
    mission_id = desk.put(missions.read(json.dumps(before)))
    before = json.loads(str(desk.do(desk.engine.channels.mission(mission_id))))
    dialog = editor(desk, mission_id)
    assert dialog.page is not None
    dialog.page.name.setText("Mixed up")
    dialog.show_channel(next(row for row, group in enumerate(before["groups"]) if group["name"] == "Alpha"))
    assert dialog.channel is not None
    dialog.channel.rx.port.setValue(19_000)
    dialog.show_rallypoint(0)
    assert dialog.rallypoint is not None
    dialog.rallypoint.token.setText("secret")
    dialog.save.click()
    desk.wait(lambda: desk.window.findChild(EditMissionDialog) is None)

    (info,) = desk.do(desk.engine.channels.list())  # the one of the old name has gone
    after = json.loads(str(desk.do(desk.engine.channels.mission(info.id))))
    assert after.pop("id") == info.id != before.pop("id")
    assert after.pop("name") == "Mixed up"
    assert before.pop("name") == "Mixed"
    assert after["meta"].pop("created") > before["meta"].pop("created")
    alpha = next(group for group in before["groups"] if group["name"] == "Alpha")
    alpha["rx"]["port"] = alpha["tx"]["port"] = 19_000
    alpha["rallypoints"][0]["token"] = "secret"
    assert after == before


def test_an_editor_with_changes_asks_before_it_closes(desk: Desk) -> None:
    mission_id = desk.put(mission("Relief", pin=None))
    dialog = editor(desk, mission_id)
    assert dialog.page is not None
    desk.wait(dialog.page.name.hasFocus)  # whoever has only a keyboard begins to type at once
    dialog.page.description.setPlainText("Another")
    dialog.close()
    assert dialog.isVisible()
    assert dialog.question.words == "What you changed is not saved."
    assert dialog.question.no.hasFocus()
    assert (dialog.question.no.property("look"), dialog.question.yes.property("look")) == ("primary", None)
    desk.qtbot.keyClick(dialog.question.no, Qt.Key.Key_Escape)
    assert dialog.question.isHidden()
    assert dialog.isVisible()
    dialog.close()
    assert dialog.question.words == "What you changed is not saved."
    dialog.question.no.click()
    desk.window.edit_mission(None)
    assert desk.window.findChildren(EditMissionDialog) == [dialog]
    assert "Save this one first" in dialog.answer.text()
    dialog.close()
    dialog.question.yes.click()
    desk.wait(lambda: desk.window.findChild(EditMissionDialog) is None)
    assert desk.do(desk.engine.channels.mission(mission_id)).description == ""


def test_keys_stand_in_no_label(desk: Desk) -> None:
    relief = mission("Relief")
    dialog = editor(desk, desk.put(relief))
    dialog.show_channel(0)
    keys = [group.crypto_password for group in relief.groups]
    assert keys[0] == dialog.channel.key.text()  # type: ignore[union-attr]
    assert not any(key and key in each.text() for key in keys for each in dialog.findChildren(QLabel))
