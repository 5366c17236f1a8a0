"""A window of a real X server, shown in a call that began with voice alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from app.calls.errors import CallError
from tests.calls.parties import connected, on_the_phone, party
from tests.media.desktop import Desk, a_desktop

pytestmark = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb (make setup-test)")

GREEN = 0x00FF00


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name in ("WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    with a_desktop() as desk:
        monkeypatch.setenv("DISPLAY", desk.display)
        yield desk


async def test_a_window_is_shown_in_a_voice_call_until_it_is_closed(desk: Desk) -> None:
    number = desk.open("Drawing", GREEN, 0, 0, 300, 200)
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        outgoing.share("window:Drawing")
        assert (outgoing.info.sharing, outgoing.info.sending_video) == ("window:Drawing", False)  # not agreed on yet
        await bob.until(lambda: (incoming.figures().video.width or 0) >= 300, "the window is seen")  # type: ignore[union-attr]
        assert outgoing.info.sending_video
        picture = incoming.remote_picture.take()
        desk.shut(number)
        await ada.until(lambda: not outgoing.info.sharing, "sharing has ended")
        assert ada.problems == [("device", "The window 'Drawing' can no longer be seen: sharing has ended.")]
        assert not outgoing.info.sending_video  # the camera was off before
        assert picture is None or (picture.width, picture.height) == (300, 200)


async def test_the_camera_comes_back_after_sharing(desk: Desk) -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        outgoing, incoming = await connected(ada, bob)
        await bob.until(lambda: incoming.figures().video.width == 320, "the camera is seen")  # type: ignore[union-attr]
        outgoing.share("screen")
        await bob.until(lambda: incoming.figures().video.width == 640, "the screen is seen")  # type: ignore[union-attr]
        outgoing.stop_sharing()
        await bob.until(lambda: incoming.figures().video.width == 320, "the camera is seen again")  # type: ignore[union-attr]
        assert outgoing.info.sending_video
        assert ada.lines("out").count("INVITE " + bob.uri) == 1  # nobody needed to agree to it


async def test_nothing_is_shared_with_whom_takes_no_picture(desk: Desk) -> None:
    async with on_the_phone(party("ada"), party("bob", video=False)) as (ada, bob):
        outgoing, _ = await connected(ada, bob)
        with pytest.raises(CallError, match="takes no picture"):
            outgoing.share("screen")
        assert outgoing.info.sharing == ""
