"""A phone whose path and media are Chromium's, with SIP of the project's own endpoint, as a WebRTC gateway has it.

The page in chromium_page.html holds an RTCPeerConnection; its descriptions travel in SIP messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.calls.sdp import SessionDescription
from app.calls.sdpfrag import Fragment, StreamFragment
from app.ice.candidates import Candidate
from app.sip import events as sip_events
from app.sip.config import SipConfig
from app.sip.endpoint import SipEndpoint
from app.sip.info_packages import TRICKLE
from app.sip.sessions import InviteSession
from tests.browser import Browser
from tests.interop.strait import Strait

HERE = "127.0.0.1"
WAIT_S = 20.0
PAGE = (Path(__file__).parent / "chromium_page.html").read_text(encoding="utf-8")

Wish = dict[str, Any]


@dataclass
class Heard:
    """What the page hears: its two strongest frequencies, the level of all, and how much of it lies at the first."""

    hz: float
    second_hz: float
    level_db: float
    share: float


class ChromiumPhone:
    """One call, in either role; who calls it is answered at once. Use as an async context.

    `wish` is what the page's `open` takes. With `trickle` descriptions leave at once and candidates follow by INFO.
    `edit` changes what the page says on its way out, and what it is told.
    """

    def __init__(
        self,
        browser: Browser,
        wish: Wish,
        *,
        strait: Strait | None = None,
        trickle: bool = False,
        edit: Callable[[str], str] = str,
    ) -> None:
        self._browser = browser
        self._wish = {"tone_hz": 880, "microphone": True, "trickle": trickle, **wish}
        self._strait = strait
        self._trickle = trickle
        self.edit = edit
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: InviteSession | None = None
        self._agreed = False
        self._early: list[tuple[str, str]] = []  # candidates that came before the description they belong to
        self._answered = asyncio.Event()
        self._change: asyncio.Future[int] | None = None
        self.closed = asyncio.Event()
        self.offered: list[str] = []  # what the page wrote, in order
        self.answered: list[str] = []
        supported = ("100rel", "trickle-ice") if trickle else ()
        self.sip = SipEndpoint(
            SipConfig(sip_port=0, bind=(HERE,), user="chromium", supported=supported),
            on_event=self._on_sip,
            on_trace=_no_trace,
        )

    async def __aenter__(self) -> ChromiumPhone:
        await self.sip.start()
        await self.do("open", self._wish)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.sip.close()

    @property
    def uri(self) -> str:
        return f"sip:chromium@{HERE}:{self.sip.port}"

    async def do(self, function: str, *arguments: object) -> Any:
        """Call a function of the page, and give what it gives."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._browser.run, function, *arguments)

    # Calling ------------------------------------------------------------------------------------------------

    async def dial(self, uri: str) -> None:
        self._session = self.sip.invite(uri, body=await self._offer({}))
        self._follow_with_candidates()

    async def connected(self) -> None:
        async with asyncio.timeout(WAIT_S):
            await self.do("connected")

    async def change(self, **wish: object) -> None:
        """Offer anew inside the call (`restart=True`: with another path), and wait for the answer."""
        assert self._session is not None
        self._change = asyncio.get_running_loop().create_future()
        self._session.reinvite(await self._offer(wish))
        async with asyncio.timeout(WAIT_S):
            status = await self._change
        assert status == 200, f"the offer was refused with {status}"

    async def hang_up(self) -> None:
        assert self._session is not None
        self._session.bye()
        await self.closed.wait()

    async def _offer(self, wish: Wish) -> bytes:
        offer = await self.do("offer", {**self._wish, **wish})
        self.offered.append(offer)
        return self._sent(offer)

    def _sent(self, text: str) -> bytes:
        text = self.edit(text)
        return self._strait.rewritten(text.encode(), "browser") if self._strait is not None else text.encode()

    def _received(self, body: bytes) -> str:
        return self.edit(self._strait.rewritten(body, "parley").decode() if self._strait is not None else body.decode())

    # SIP ----------------------------------------------------------------------------------------------------

    def _on_sip(self, event: sip_events.SipEvent) -> None:
        match event:
            case sip_events.IncomingInvite():
                self._session = event.session
                self._run(self._answer(event.body, event.session.accept))
            case sip_events.OfferReceived():
                self._run(self._answer(event.body, event.session.answer_offer))
            case sip_events.Provisional(body=body) | sip_events.Answered(body=body) if body and not self._agreed:
                self._agreed = True  # the answer of the 183 is the answer of the 200
                self._run(self._accept(body))
            case sip_events.OfferAnswered():
                self._run(self._changed(event.status, event.body))
            case sip_events.InfoReceived(package=package) if package == TRICKLE:
                self._run(self._take(event.body))
            case sip_events.Bye() | sip_events.SessionClosed():
                self.closed.set()

    async def _answer(self, body: bytes, send: Callable[[bytes], None]) -> None:
        answer = await self.do("answer", self._wish, self._received(body))
        self.answered.append(answer)
        send(self._sent(answer))
        self._agreed = True
        self._answered.set()
        self._follow_with_candidates()

    async def _accept(self, body: bytes) -> None:
        await self.do("accept", self._received(body))
        self._answered.set()

    async def _changed(self, status: int, body: bytes) -> None:
        if status == 200:
            await self.do("accept", self._received(body))
        if self._change is not None and not self._change.done():
            self._change.set_result(status)

    # Candidates that come later -----------------------------------------------------------------------------

    def _follow_with_candidates(self) -> None:
        if self._trickle:
            self._run(self._send_candidates())

    async def _send_candidates(self) -> None:
        """Tell what the page has found, once the far end has a dialog for it (RFC 8840 section 4)."""
        found = await self.do("found")
        await self._answered.wait()
        assert self._session is not None
        description = SessionDescription.parse((self.offered or self.answered)[-1].encode())
        streams = tuple(
            StreamFragment(
                mid=media.mid or "",
                ufrag=media.attribute("ice-ufrag") or "",
                pwd=media.attribute("ice-pwd") or "",
                candidates=tuple(Candidate.parse(text.partition(":")[2]) for mid, text in found if mid == media.mid),
                ended=True,
            )
            for media in description.media
        )
        self._session.package_info(TRICKLE, bytes(Fragment(streams)))

    async def _take(self, body: bytes) -> None:
        await self._answered.wait()
        for stream in Fragment.parse(body).streams:
            for candidate in stream.candidates:
                await self.do("take", f"candidate:{candidate}", stream.mid)

    # What the page hears and sees ---------------------------------------------------------------------------

    async def heard(self) -> Heard | None:
        told = await self.do("hears")
        return None if told is None else Heard(**told)

    async def hears(self, hz: float) -> Heard:
        """Wait until this tone, and hardly anything else, is heard."""
        heard = None
        async with asyncio.timeout(WAIT_S):
            while True:
                heard = await self.heard()
                if heard is not None and abs(heard.hz - hz) < 5 and heard.share > 0.9 and heard.level_db > -60:
                    return heard
                await asyncio.sleep(0.1)

    async def seen(self) -> dict[str, Any]:
        """How many pictures were shown, their stamps in order, size and colour of the last, longest standstill."""
        return dict(await self.do("sees") or {"count": 0, "stamps": []})

    async def sees(self, pictures: int) -> dict[str, Any]:
        """Wait until so many more pictures were shown."""
        before = (await self.seen())["count"]
        return await self.until(self.seen, lambda seen: seen["count"] >= before + pictures)

    async def until(self, look: Callable[[], Awaitable[Any]], fits: Callable[[Any], object]) -> Any:
        """Look again and again, ten times a second, until what is found fits."""
        found = None
        try:
            async with asyncio.timeout(WAIT_S):
                while not fits(found := await look()):  # noqa: ASYNC110 - a browser tells nobody
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"found last: {found}") from None
        return found

    async def figures(self, type_: str, kind: str = "") -> dict[str, Any]:
        """What getStats says of the first entry of a type (and kind); empty where there is none."""
        for entry in await self.do("stats"):
            if entry["type"] == type_ and kind in ("", entry.get("kind")):
                return dict(entry)
        return {}

    async def path(self) -> dict[str, Any]:
        """The figures of the pair of candidates in use."""
        entries = {entry["id"]: entry for entry in await self.do("stats")}
        transport = next(entry for entry in entries.values() if entry["type"] == "transport")
        return dict(entries.get(transport.get("selectedCandidatePairId"), {}))

    async def codec(self, type_: str, kind: str) -> str:
        """The codec of the first stream of a type and kind."""
        entries = {entry["id"]: entry for entry in await self.do("stats")}
        stream = next(entry for entry in entries.values() if entry["type"] == type_ and entry.get("kind") == kind)
        return str(entries[stream["codecId"]]["mimeType"])

    def _run(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(_raise)


def _no_trace(*_: object) -> None:
    """This phone's messages are read at the other side."""


def _raise(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (failure := task.exception()) is not None:
        raise failure
