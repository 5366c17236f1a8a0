"""The engine through its face: its own thread, its own sockets, a profile on disk, and a call to the echo contact."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from app.engine.errors import EngineError
from app.engine.facade import Engine
from app.engine.options import EngineOptions, HomeMode
from app.events import (
    CallChanged,
    CallState,
    EndKind,
    EngineStarted,
    Event,
    FiguresChanged,
    HistoryChanged,
    HomeChanged,
    PeopleChanged,
    RegistrationChanged,
    RegistrationState,
    SipSeen,
)
from app.settings import Account, NetworkSettings, Settings, SipTransport

E = TypeVar("E")
WAIT_S = 20.0


def quiet(settings: Settings) -> Settings:
    """No device, no port that others want, loopback only."""
    media = replace(settings.media, audio_from="tone:440", audio_to="null", video_from="pattern", video_to="null")
    media = replace(media, width=320, height=240, fps=15)
    network = replace(settings.network, interfaces=("127.0.0.1",), sip_port=settings.network.sip_port or 0)
    return replace(settings, media=media, network=network)


class Watch:
    """Collects the events of an engine and waits for the one a test needs."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    def publish(self, event: Event) -> None:
        self._loop.call_soon_threadsafe(self._take, event)

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def first(self, kind: type[E], such_that: Callable[[E], bool] = lambda event: True) -> E:
        async with asyncio.timeout(WAIT_S):
            while True:
                for event in self.events:
                    if isinstance(event, kind) and such_that(event):
                        return event
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def engine(profile: Path, **options: object) -> AsyncIterator[tuple[Engine, Watch]]:
    watch = Watch()
    chosen = EngineOptions(profile=profile, adjust=quiet, neighbours=False, watch_presence=False, ring=False)
    running = Engine(replace(chosen, **options), watch.publish)  # type: ignore[arg-type]
    running.start()
    try:
        await running.opened()
        yield running, watch
    finally:
        await running.close()


async def test_it_tells_what_there_is_when_it_starts(profile_dir: Path) -> None:
    async with engine(profile_dir) as (_, watch):
        await watch.first(EngineStarted)
        assert (await watch.first(HomeChanged)).running
        people = await watch.first(PeopleChanged, lambda event: bool(event.contacts))
        assert [contact.name for contact in people.contacts] == ["Echo test"]
        assert (await watch.first(RegistrationChanged)).state is RegistrationState.NONE
        await watch.first(HistoryChanged)


async def test_a_call_to_echo_is_heard_and_seen_and_kept_in_history(profile_dir: Path) -> None:
    async with engine(profile_dir) as (parley, watch):
        call_id = await parley.calls.place("echo")
        await watch.first(CallChanged, lambda event: event.call.state is CallState.CONNECTED)
        figures = await watch.first(
            FiguresChanged, lambda event: bool(event.figures.video and event.figures.video.frames_decoded > 5)
        )
        assert figures.figures.audio is not None
        assert parley.calls.own_picture(call_id).take() is not None
        await parley.calls.hang_up(call_id)
        ended = await watch.first(CallChanged, lambda event: event.call.state is CallState.ENDED)
        assert ended.call.end is not None
        assert ended.call.end.kind is EndKind.HUNG_UP
        seen = await watch.first(SipSeen, lambda event: event.trace.line.startswith("BYE"))
        assert seen.trace.call_id == call_id
        trace = await parley.calls.sip_trace(call_id)
        assert trace[0].line.startswith("INVITE")
        kept = await watch.first(HistoryChanged, lambda event: bool(event.entries and event.entries[0].path))
        assert kept.entries[0].path == "direct"
        final = await parley.calls.figures(call_id)
        assert final is not None
        assert final.audio is not None
        assert final.audio.level_dbfs is not None
        assert final.audio.level_dbfs > -30


async def test_contacts_are_there_at_the_second_start(profile_dir: Path) -> None:
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, _):
        await parley.people.add("Ada", "sip:ada@example.org", favourite=True)
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (_, watch):
        people = await watch.first(PeopleChanged, lambda event: bool(event.contacts))
        assert [(c.name, c.uri, c.favourite) for c in people.contacts] == [("Ada", "sip:ada@example.org", True)]


async def test_a_bad_target_is_an_error_in_words(profile_dir: Path) -> None:
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, _):
        with pytest.raises(EngineError, match="Nobody in the list"):
            await parley.calls.place("somebody unknown")
        with pytest.raises(EngineError, match="already over"):
            await parley.calls.hang_up("no-such-call")


async def test_an_account_that_nobody_answers_for_says_so_and_is_kept(profile_dir: Path) -> None:
    async with engine(profile_dir) as (parley, watch):
        answer = await parley.accounts.set_account(Account("sip:me@127.0.0.1:9", SipTransport.TCP), "secret")
        assert answer.state is RegistrationState.FAILED
        assert answer.sentence
        assert not (await watch.first(HomeChanged, lambda event: not event.running)).running
    text = (profile_dir / "settings.json").read_text()
    assert "sip:me@127.0.0.1:9" in text
    assert "secret" not in text


async def test_settings_survive(profile_dir: Path) -> None:
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, _):
        await parley.settings.change(Settings(display_name="Front desk", network=NetworkSettings(sip_port=None)))
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, _):
        assert (await parley.settings.get()).display_name == "Front desk"


async def test_closing_twice_is_harmless_and_a_closed_engine_says_so(profile_dir: Path) -> None:
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, _):
        await parley.close()
        with pytest.raises(EngineError, match="not running"):
            await parley.calls.place("echo")
        await parley.close()
