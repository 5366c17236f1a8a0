"""Sharing a screen or a window of a real X server: what is listed, what is captured, and how it ends."""

from __future__ import annotations

import os
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from app.media import screens
from app.media.screen_source import ScreenSource
from app.media.screens import NotShared, desktop, inside, share_choices
from app.media.sources import open_video_source
from app.media.x11 import X11
from app.settings import MediaSettings
from app.x11_wire import Display, X11Error, _cookie
from tests.media.desktop import HEIGHT, WIDTH, Desk, a_desktop

GREEN, RED = 0x00FF00, 0xFF0000
LONG_S = 10.0

needs_x = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb (make setup-test)")


@pytest.fixture(scope="module")
def server() -> Iterator[Desk]:
    with a_desktop() as desk:
        yield desk


@pytest.fixture
def desk(server: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("DISPLAY", server.display)
    for name in ("WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    server.point(WIDTH - 1, HEIGHT - 1)
    yield server
    for number in tuple(server._shown):
        server.shut(number)


class Seen:
    """A running source and the newest of its pictures as RGB."""

    def __init__(self, video_from: str) -> None:
        self.source = ScreenSource(video_from, 30)
        self.count = 0
        self.rgb = np.zeros((0, 0, 3), np.uint8)
        self.source.start()

    def until(self, is_there: Callable[[Seen], bool]) -> Seen:
        """Take pictures until one is as wanted."""
        end = time.monotonic() + LONG_S
        while time.monotonic() < end:
            captured = self.source.read_frame(0.1)
            if captured is not None:
                self.count += 1
                self.rgb = captured.frame.to_ndarray(format="rgb24")
            if is_there(self):
                return self
        raise AssertionError(f"not seen: {self.rgb.shape}, {self.source.problem}")

    def is_all(self, colour: int) -> bool:
        wanted = np.array([colour >> 16, colour >> 8 & 255, colour & 255])
        return self.rgb.size > 0 and bool(np.all(np.abs(self.rgb.astype(int) - wanted) < 12))


@pytest.fixture
def share(desk: Desk) -> Iterator[Callable[[str], Seen]]:
    running: list[Seen] = []

    def begin(video_from: str) -> Seen:
        running.append(Seen(video_from))
        return running[-1]

    yield begin
    for seen in running:
        seen.source.close()


@needs_x
def test_screens_and_windows_are_listed_with_small_pictures(desk: Desk) -> None:
    number = desk.open("Notes – ä", GREEN, 100, 100, 300, 200)
    hidden = desk.open("Hidden", RED, 0, 0, 50, 50)
    desk.put_away(hidden)
    ours = desk.open("The dialog in which to choose", RED, 0, 0, 50, 50)
    desk._set(ours, "_NET_WM_PID", "CARDINAL", 32, struct.pack("<I", os.getpid()))
    screen, window = share_choices(with_pictures=True)
    assert (screen.kind, screen.video_from, screen.width, screen.height) == ("screen", "screen:screen", WIDTH, HEIGHT)
    assert (window.kind, window.video_from, window.name) == ("window", f"window:{number:#x}", "Notes – ä")
    assert window.picture is not None
    assert (window.picture.width, window.picture.height) == (240, 160)
    assert bytes(window.picture.data[:4])[:3] == b"\x00\xff\x00"


@needs_x
def test_a_screen_is_captured_with_the_pointer(desk: Desk, share: Callable[[str], Seen]) -> None:
    desk.open("All", GREEN, 0, 0, WIDTH, HEIGHT)
    seen = share("screen").until(lambda seen: seen.rgb.size > 0)
    assert seen.rgb.shape == (HEIGHT, WIDTH, 3)
    assert seen.source.is_screen
    assert seen.source.description == "screen screen"
    desk.point(300, 200)
    seen.until(lambda seen: not np.allclose(seen.rgb[195:225, 295:320], [0, 255, 0], atol=12))
    assert np.allclose(seen.rgb[:100, :100], [0, 255, 0], atol=12)


@needs_x
def test_a_window_is_followed_when_it_changes_moves_and_goes(desk: Desk, share: Callable[[str], Seen]) -> None:
    number = desk.open("A drawing", GREEN, 10, 20, 200, 100)
    seen = share(f"window:{number:#x}").until(lambda seen: seen.is_all(GREEN))
    assert seen.rgb.shape == (100, 200, 3)
    desk.move(number, 50, 60, 320, 240)
    seen.until(lambda seen: seen.rgb.shape == (240, 320, 3))
    desk.move(number, WIDTH - 100, 60, 320, 240)  # half outside: the part that is to be seen
    seen.until(lambda seen: seen.rgb.shape == (240, 100, 3))
    desk.move(number, 50, 60, 400, 8)
    seen.until(lambda seen: seen.rgb.shape == (32, 400, 3))
    desk.move(number, 0, 0, 320, 240)
    desk.fill(number, RED, 320, 240)
    seen.until(lambda seen: seen.rgb.shape == (240, 320, 3) and seen.is_all(RED))
    desk.shut(number)
    seen.until(lambda seen: seen.source.problem is not None)
    assert seen.source.problem == "The window 'A drawing' can no longer be seen: sharing has ended."


@needs_x
def test_a_window_is_seen_whole_though_others_cover_it(desk: Desk, share: Callable[[str], Seen]) -> None:
    """Nothing composes this desktop: without more ado the server gives black for what is covered."""
    number = desk.open("Letter", GREEN, 10, 20, 200, 100)
    desk.open("On top of it", RED, 0, 0, 400, 300)
    seen = share(f"window:{number:#x}").until(lambda seen: seen.rgb.size > 0)
    assert seen.is_all(GREEN)
    small = next(choice.picture for choice in share_choices(with_pictures=True) if choice.name == "Letter")
    assert small is not None
    assert bytes(small.data[:3]) == b"\x00\xff\x00"
    desk.own("_NET_WM_CM_S0", number)
    with X11(desk.display) as composed:
        assert not composed.keep_whole(number), "a compositor does that"


@needs_x
def test_a_window_that_is_put_away_is_waited_for(desk: Desk, share: Callable[[str], Seen]) -> None:
    number = desk.open("Editor", GREEN, 10, 20, 200, 100)
    seen = share("window:edit").until(lambda seen: seen.is_all(GREEN))
    desk.put_away(number)
    while seen.source.read_frame(0.5) is not None:
        pass
    desk.bring_back(number)
    desk.fill(number, RED, 200, 100)
    seen.until(lambda seen: seen.is_all(RED))
    assert seen.source.problem is None


@needs_x
def test_what_is_not_there_is_said(desk: Desk) -> None:
    desk.open("Report one", GREEN, 0, 0, 50, 50)
    desk.open("Report two", GREEN, 0, 0, 50, 50)
    for wanted, sentence in (
        ("screen:HDMI-9", "There is no screen 'HDMI-9'; there is screen."),
        ("window:nothing", "There is no window 'nothing'."),
        ("window:0x77", "The window is no longer there: choose another one to share."),
        ("window:report", "Several windows are called 'report': write more of the title."),
    ):
        with pytest.raises(NotShared) as found:
            desktop().find(wanted)
        assert str(found.value) == sentence
    target = desktop().find("window:report two")
    assert target.name == "window 'Report two'"
    target.close()
    with pytest.raises(X11Error):
        desk.window_area(99)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, "Wayland"),
        ({"DISPLAY": ""}, "without a desktop"),
        ({"DISPLAY": ":4711"}, "does not answer"),
        ({"DISPLAY": "elsewhere"}, "names no X server"),
    ],
)
def test_a_desktop_that_cannot_be_captured_is_said(
    variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WAYLAND_DISPLAY", "XDG_SESSION_TYPE", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    source, problem = open_video_source(MediaSettings(video_from="screen"))
    assert problem is None
    source.start()
    assert source.read_frame(0.3) is None
    source.close()
    assert words in str(source.problem)


def test_a_large_screen_is_scaled_down_and_a_small_one_never_up() -> None:
    assert inside(3840, 2160, screens.MOST_WIDTH, screens.MOST_HEIGHT) == (1920, 1080)
    assert inside(1281, 801, 1920, 1080) == (1280, 800)
    assert inside(800, 3000, 1920, 1080) == (288, 1080)


def test_the_name_of_a_display_and_the_secret_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Display.parse(":10.1") == Display("", 10, 1)
    assert Display.parse("unix:0") == Display("", 0, 0)
    assert Display.parse("host.example:2") == Display("host.example", 2, 0)
    file = tmp_path / "authority"
    monkeypatch.setenv("XAUTHORITY", str(file))
    assert _cookie(Display("", 3, 0)) == b""

    def entry(number: bytes, secret: bytes) -> bytes:
        fields = (b"here", number, b"MIT-MAGIC-COOKIE-1", secret)
        return struct.pack(">H", 65_535) + b"".join(struct.pack(">H", len(one)) + one for one in fields)

    file.write_bytes(entry(b"4", b"other") + entry(b"3", b"secret") + entry(b"3", b"cut off")[:-3][:20])
    assert _cookie(Display("", 3, 0)) == b"secret"


@needs_x
def test_a_server_that_ends_is_an_error_not_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_desktop() as desk:
        other = X11(desk.display)
    with pytest.raises(X11Error):
        other.monitors()
    other.close()
