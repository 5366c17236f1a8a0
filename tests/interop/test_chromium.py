"""Calls between Parley and Chromium, as with a WebRTC gateway: each way, with sound and picture.

Chromium says 880 Hz and shows a numbered picture; Parley says 440 Hz and shows its test picture.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from app.calls.call import Call
from app.calls.restarts import NetworkChange
from app.events import CallState
from app.ice.config import IceConfig, Timing
from app.media.default_devices import SettingsDevices
from app.media.ports import CapturedFrame, VideoSource
from tests import browser
from tests.bench.test_squeeze import busy_film
from tests.browser import MAY_LISTEN, SHOWS_ADDRESSES, Browser
from tests.calls.parties import Party, on_the_phone, party
from tests.heard import read_wav
from tests.interop.chromium_phone import HERE, PAGE, ChromiumPhone, Wish
from tests.interop.ours import assert_tone
from tests.interop.strait import Strait, strait
from tests.lab.wire import Wire
from tests.seen import mailbox_stamp

OUR_HZ, THEIR_HZ = 440, 880
SMALL: Wish = {"width": 320, "height": 240, "fps": 15, "colour": "#c03020"}

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all calls; each begins anew."""
    lacking = browser.missing()
    if lacking:
        pytest.skip(lacking)
    folder = tmp_path_factory.mktemp("chromium") / "browser"
    flags = (
        *(MAY_LISTEN, "--use-fake-device-for-media-stream"),
        *(SHOWS_ADDRESSES, "--allow-loopback-in-peer-connection"),
    )
    with Browser(folder, PAGE, *flags) as opened:
        yield opened


@dataclass
class Talk:
    """A call that is up, and the numbers of the pictures that Parley was shown."""

    ada: Party
    call: Call
    phone: ChromiumPhone
    stamps: list[int] = field(default_factory=list)

    async def look(self) -> None:
        """Keep reading what Parley shows."""
        while True:
            stamp = mailbox_stamp(self.call.remote_picture)
            if stamp is not None and (not self.stamps or stamp != self.stamps[-1]):
                self.stamps.append(stamp)
            await asyncio.sleep(0.02)

    async def until(self, condition: object, what: str) -> None:
        await self.ada.until(condition, what)  # type: ignore[arg-type]

    async def goes_on(self) -> None:
        """Wait until both hear and see the other, from now on."""
        sound = self.sound.packets_received
        await self.phone.hears(OUR_HZ)
        await self.phone.sees(5)
        await self.shows(5)
        await self.until(lambda: self.sound.packets_received >= sound + 25, "sound comes in")

    async def shows(self, pictures: int) -> None:
        """Wait until Parley has shown so many more pictures of Chromium's."""
        wanted = len(self.stamps) + pictures
        await self.until(lambda: len(self.stamps) >= wanted, f"{pictures} pictures are shown")

    @property
    def sound(self):  # type: ignore[no-untyped-def]
        return self.call.figures().audio

    @property
    def picture(self):  # type: ignore[no-untyped-def]
        return self.call.figures().video

    @property
    def path(self):  # type: ignore[no-untyped-def]
        return self.call.figures().transport


@asynccontextmanager
async def talk(
    page: Browser,
    folder: Path,
    *,
    they_call: bool,
    wish: Wish | None = None,
    between: Strait | None = None,
    trickle: bool = False,
    edit: Callable[[str], str] = str,
    interfaces: tuple[str, ...] = (HERE,),
    **media: object,
) -> AsyncIterator[Talk]:
    """A call from click to voice; hung up at the end by Parley."""
    settings = {"video_to": "window", "audio_to": str(folder / "heard.wav"), "video_codecs": ("vp8", "h264"), **media}
    ice = IceConfig(interfaces=interfaces, timing=Timing(patience_s=10.0))
    ada = party("ada", tone_hz=OUR_HZ, ice=ice, **settings)  # type: ignore[arg-type]
    phone = ChromiumPhone(page, {"picture": SMALL, **(wish or {})}, strait=between, trickle=trickle, edit=edit)
    async with on_the_phone(ada), phone:
        if they_call:
            await phone.dial(ada.uri)
            call = await ada.reaches(CallState.RINGING)
            ada.manager.answer(call.call_id, video=True)
        else:
            call = ada.manager.place(phone.uri, "chromium", video=True)
        await ada.reaches(CallState.CONNECTED)
        held = Talk(ada, call, phone)
        looking = asyncio.ensure_future(held.look())
        try:
            yield held
        finally:
            looking.cancel()
        call.hang_up()
        await phone.closed.wait()


ways = pytest.mark.parametrize("they_call", [False, True], ids=["we call", "they call"])


@ways
@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_sound_and_picture_go_both_ways(page: Browser, tmp_path: Path, they_call: bool, codec: str) -> None:
    wish = {"codecs": {"video": [codec, "rtx"]}} if they_call else {}
    ours = ("vp8", "h264") if they_call else (codec,)
    async with talk(page, tmp_path, they_call=they_call, wish=wish, video_codecs=ours) as held:
        await held.phone.connected()
        await held.phone.hears(OUR_HZ)
        seen = await held.phone.sees(20)
        await held.shows(20)
        assert (await held.phone.codec("outbound-rtp", "video")).lower() == f"video/{codec}"
        assert (await held.phone.codec("inbound-rtp", "video")).lower() == f"video/{codec}"
        assert held.picture.codec == codec
        assert seen["stamps"] == sorted(seen["stamps"])
        assert held.stamps == sorted(held.stamps)
        assert held.path.estimate_from == "transport-cc"
        # Chromium begins with 300 kbit/s; without feedback it would stay there.
        await held.phone.until(held.phone.path, lambda path: path["availableOutgoingBitrate"] > 400_000)
        await held.until(lambda: held.path.estimate_bps > 400_000, "our estimate rises by Chromium's feedback")
        await held.until(lambda: held.sound.packets_received > 150, "sound has come in")
    assert_tone(read_wav(tmp_path / "heard.wav"), THEIR_HZ)


@ways
async def test_losses_are_repaired_both_ways(page: Browser, tmp_path: Path, they_call: bool) -> None:
    wish = {"picture": {**SMALL, "grain": 1000}}
    async with (
        strait(Wire(delay_s=0.02, loss=0.05)) as between,
        talk(page, tmp_path, they_call=they_call, wish=wish, between=between) as held,
    ):
        await held.until(lambda: held.picture.repaired >= 10 and held.picture.repeated >= 10, "pictures are repaired")
        theirs = await held.phone.until(
            lambda: held.phone.figures("inbound-rtp", "video"), lambda told: told.get("nackCount", 0) >= 10
        )
        names = ("retransmittedPacketsReceived", "nackCount", "pliCount", "freezeCount", "framesDecoded")
        print({name: theirs.get(name) for name in names})
        print(held.picture)
        await held.goes_on()


async def test_a_whole_picture_is_asked_for_and_sent_both_ways(page: Browser, tmp_path: Path) -> None:
    async with (
        strait(Wire(delay_s=0.01)) as between,
        talk(page, tmp_path, they_call=False, between=between) as held,
    ):
        await held.goes_on()
        phone, leg = held.phone, held.call.leg
        before = await phone.figures("outbound-rtp", "video")
        assert leg is not None
        leg.media.ask_key_frame()
        after = await phone.until(
            lambda: phone.figures("outbound-rtp", "video"),
            lambda told: told["keyFramesEncoded"] > before["keyFramesEncoded"],
        )
        assert after["pliCount"] > before.get("pliCount", 0)
        sent, asked = held.picture.key_frames_sent, held.picture.plis_received
        pictures = {97, 98, 99, 100}  # and their repetitions
        between.lose("parley", pictures)
        await held.until(lambda: held.picture.plis_received > asked, "Chromium asks for a whole picture")
        between.lose("parley", ())
        await held.until(lambda: held.picture.key_frames_sent > sent, "one is sent")
        await held.goes_on()


async def test_repeated_sound_both_ways(page: Browser, tmp_path: Path) -> None:
    """RFC 2198: Chromium sends it where it was told to prefer it to plain Opus, we do when packets get lost."""
    wish = {"codecs": {"audio": ["red", "opus", "telephone-event"]}, "picture": None}
    async with (
        strait(Wire(delay_s=0.02, loss=0.1)) as between,
        talk(page, tmp_path, they_call=True, wish=wish, between=between) as held,
    ):
        assert "red/48000/2" in held.phone.offered[0]
        await held.until(lambda: held.sound.recovered_ms > 200, "what Chromium repeats is used")
        before = await held.phone.figures("inbound-rtp", "audio")
        after = await held.phone.until(
            lambda: held.phone.figures("inbound-rtp", "audio"),
            lambda told: told["packetsLost"] - before["packetsLost"] >= 20,
        )
        lost, invented, all_of_it = (
            after[name] - before[name] for name in ("packetsLost", "concealedSamples", "totalSamplesReceived")
        )
        print(f"{lost} packets lost, {invented / 48:.0f} ms of {all_of_it / 48:.0f} concealed")
        assert invented / 960 < lost / 2
        await held.phone.hears(OUR_HZ)


async def test_pauses_are_left_out_both_ways(page: Browser, tmp_path: Path) -> None:
    def asks(text: str) -> str:
        return text.replace("useinbandfec=1", "useinbandfec=1;usedtx=1") if "usedtx" not in text else text

    async with talk(
        page, tmp_path, they_call=True, wish={"picture": None}, edit=asks, audio_from="silence", dtx=True
    ) as held:
        await held.until(lambda: held.sound.packets_received > 50, "sound comes in")
        await held.phone.do("quieten", True)
        await asyncio.sleep(1.0)
        before = held.sound
        await asyncio.sleep(3.0)
        after = held.sound
        print(after.packets_received - before.packets_received, after.packets_sent - before.packets_sent)
        assert after.packets_received - before.packets_received < 40  # of 150
        assert after.packets_sent - before.packets_sent < 40
        await held.phone.do("quieten", False)
        heard = held.sound.packets_received
        await held.until(lambda: held.sound.packets_received > heard + 50, "speech is sent again")


@ways
async def test_keys_of_the_telephone_go_both_ways(page: Browser, tmp_path: Path, they_call: bool) -> None:
    async with talk(page, tmp_path, they_call=they_call, wish={"picture": None}) as held:
        await held.phone.hears(OUR_HZ)
        await held.phone.do("press", "12#")
        await held.until(lambda: held.ada.keys == "12#", f"the keys have come: {held.ada.keys}")
        held.call.keys.press("5" * 8)
        tone = await held.phone.until(
            held.phone.heard, lambda heard: {round(heard.hz / 10), round(heard.second_hz / 10)} == {77, 134}
        )
        print(tone)
        await held.phone.hears(OUR_HZ)


@ways
async def test_either_side_pauses_and_goes_on(page: Browser, tmp_path: Path, they_call: bool) -> None:
    async with talk(page, tmp_path, they_call=they_call) as held:
        await held.goes_on()
        for hold, go_on in (("ours", "ours"), ("sendonly", "sendrecv"), ("inactive", "sendrecv")):
            sent = held.picture.packets_sent
            if hold == "ours":
                held.call.set_held(True)
                await held.phone.until(
                    lambda: held.phone.do("directions"), lambda found: found == ["recvonly", "recvonly"]
                )
                held.call.set_held(False)
            else:
                await held.phone.do("direct", hold)
                await held.phone.change()
                assert held.call.info.held
                await held.phone.do("direct", go_on)
                await held.phone.change()
            await held.goes_on()
            assert held.picture.packets_sent > sent
            assert not held.call.info.held


@ways
async def test_either_side_looks_for_another_path(page: Browser, tmp_path: Path, they_call: bool) -> None:
    def restarts() -> int:
        ice = held.call.figures().ice
        assert ice is not None
        return ice.restarts

    async with talk(page, tmp_path, they_call=they_call) as held:
        await held.goes_on()
        before = held.call.leg.selected_pairs()  # type: ignore[union-attr]
        held.ada.manager.network_changed(NetworkChange(frozenset({"192.0.2.1"}), gone=frozenset({HERE})))
        await held.until(lambda: restarts() == 1, "our path is a new one")
        assert held.call.leg.selected_pairs() != before  # type: ignore[union-attr]
        await held.goes_on()
        await held.phone.change(restart=True)
        await held.until(lambda: restarts() == 2, "Chromium's path is a new one")
        await held.goes_on()
        assert held.call.state is CallState.CONNECTED


def apart(text: str) -> str:
    """Take away what puts all streams on one path."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("a=group:BUNDLE"))


@pytest.mark.parametrize(
    "wish",
    [{"policy": "max-bundle"}, {"data": True}, {"simulcast": True}],
    ids=["one path from the start", "a data channel too", "three sizes at once"],
)
async def test_other_offers(page: Browser, tmp_path: Path, wish: Wish) -> None:
    async with talk(page, tmp_path, they_call=True, wish=wish) as held:
        await held.goes_on()
        if not wish.get("simulcast"):  # which Chromium cannot offer again once it was not taken
            await held.phone.change()
            await held.goes_on()


@ways
async def test_a_path_for_each(page: Browser, tmp_path: Path, they_call: bool) -> None:
    """Two paths, since something on the way knows no bundles; a later offer of Chromium's puts all on one of them."""
    async with talk(page, tmp_path, they_call=they_call, wish={"policy": "max-compat"}, edit=apart) as held:
        await held.goes_on()
        assert len(held.call.leg.selected_pairs()) == 2  # type: ignore[union-attr]
        held.call.set_held(True)
        held.call.set_held(False)
        await held.goes_on()
        held.phone.edit = str
        await held.phone.change()
        await held.goes_on()
        await held.until(lambda: held.call.figures().ice.restarts == 0, "nothing was looked for anew")  # type: ignore[union-attr]


@ways
async def test_candidates_that_come_later(page: Browser, tmp_path: Path, they_call: bool) -> None:
    async with talk(page, tmp_path, they_call=they_call, trickle=True) as held:
        await held.goes_on()
        first = (held.phone.offered or held.phone.answered)[0]
        assert "a=candidate" not in first
        assert any(line.startswith("INFO") for line in held.ada.lines("in"))


@dataclass
class Course:
    """How a call fared on a wire, second by second: bits per second, and seconds of queue."""

    estimate: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    queue: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        def row(values: list[float], unit: float) -> str:
            return " ".join(f"{value / unit:.0f}" for value in values)

        return (
            f"estimate {row(self.estimate, 1e3)} kbit/s; sent {row(self.sent, 1e3)}; queue {row(self.queue, 1e-3)} ms"
        )


async def course(held: Talk, between: Strait, side: str, seconds: int) -> Course:
    """Watch what one side sends."""
    found, before = Course(), 0
    for _ in range(seconds):
        waits = []
        for _ in range(20):
            await asyncio.sleep(0.05)
            octets, queue_s = between.figures(side)
            waits.append(queue_s)
        found.queue.append(max(waits))
        found.sent.append((octets - before) * 8)
        before = octets
        if side == "browser":
            path = await held.phone.path()
            found.estimate.append(path.get("availableOutgoingBitrate", 0.0))
        else:
            found.estimate.append(held.path.estimate_bps)
    print(found)
    return found


@pytest.mark.parametrize("side", ["browser", "parley"], ids=["Chromium sends", "Parley sends"])
async def test_a_narrow_wire_is_found_and_kept_to(page: Browser, tmp_path: Path, side: str) -> None:
    """500 kbit/s each way: the sender's estimate settles near it thanks to the other's feedback."""
    film = {"width": 480, "height": 360, "fps": 20, "colour": "#c03020", "grain": 6000}
    still = {"width": 64, "height": 48, "fps": 2}
    wish = {"picture": film if side == "browser" else still}
    own = {"video_from": str(busy_film(tmp_path).path) if side == "parley" else "pattern", "width": 640, "height": 480}
    async with (
        strait(Wire(delay_s=0.02, rate_bps=500_000, queue=200)) as between,
        talk(
            page, tmp_path, they_call=True, wish=wish, between=between, fps=20 if side == "parley" else 2, **own
        ) as held,
    ):
        found = await course(held, between, side, 25)
    settled = found.estimate[12:]
    assert 300_000 < statistics.median(settled) < 600_000
    assert statistics.median(found.queue[12:]) < 0.3


async def test_a_small_window_is_asked_for_and_given_up_again(page: Browser, tmp_path: Path) -> None:
    """Chromium knows no TMMBR: REMB tells it how much a small window is worth, and that a large one wants all again."""
    wish = {"picture": {"width": 640, "height": 480, "fps": 15, "grain": 6000}}
    async with talk(page, tmp_path, they_call=True, wish=wish) as held:
        await held.goes_on()
        await held.phone.until(held.phone.path, lambda path: path["availableOutgoingBitrate"] > 340_000)
        held.call.set_view_size(160, 120)  # 220 kbit/s, and the voice
        path = await held.phone.until(held.phone.path, lambda path: path["availableOutgoingBitrate"] <= 320_000)
        print(path["availableOutgoingBitrate"])
        held.call.set_view_size(1920, 1080)
        path = await held.phone.until(held.phone.path, lambda path: path["availableOutgoingBitrate"] > 340_000)
        print(path["availableOutgoingBitrate"])


class _Turned:
    """A camera that lies on its side."""

    def __init__(self, source: VideoSource) -> None:
        self._source = source

    def __getattr__(self, name: str) -> object:
        return getattr(self._source, name)

    def read_frame(self, timeout_s: float) -> CapturedFrame | None:
        captured = self._source.read_frame(timeout_s)
        return None if captured is None else replace(captured, orientation=1)


@pytest.mark.parametrize(
    "they_call", [False, pytest.param(True, marks=pytest.mark.short)], ids=["we call", "they call"]
)
async def test_a_turned_picture_is_shown_upright(
    page: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, they_call: bool
) -> None:
    """The picture goes as it is, and the header extension of 3GPP TS 26.114 tells Chromium how to turn it."""
    straight = SettingsDevices.video_source
    monkeypatch.setattr(SettingsDevices, "video_source", lambda *given: _Turned(straight(*given)))
    async with talk(page, tmp_path, they_call=they_call) as held:
        for _ in range(3):
            seen = await held.phone.sees(3)
            assert (seen["width"], seen["height"]) == (240, 320)
        assert held.picture.sent_width > held.picture.sent_height
        await held.goes_on()


async def test_names_in_place_of_addresses(tmp_path: Path) -> None:
    """Without a microphone Chromium shows names of the local network, which are looked up by multicast."""
    lacking = browser.missing()
    if lacking:
        pytest.skip(lacking)
    with Browser(tmp_path / "browser", PAGE) as hidden:
        wish = {"microphone": False, "picture": None}
        async with talk(hidden, tmp_path, they_call=True, wish=wish, interfaces=()) as held:
            await held.phone.hears(OUR_HZ)
            await held.until(lambda: held.sound.packets_received > 50, "sound comes in")
            assert ".local " in held.phone.offered[0]
            assert held.call.state is CallState.CONNECTED
            print(held.call.leg.selected_pairs())
