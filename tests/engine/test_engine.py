"""The engine through its face: its own thread, its own sockets, a profile on disk, and a call to the echo contact."""

from __future__ import annotations

import asyncio
import gc
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
    Presence,
    Problem,
    RegistrationChanged,
    RegistrationState,
    SipSeen,
)
from app.settings import Account, NetworkSettings, Settings, SipTransport
from app.sip.config import SipConfig
from app.sip.endpoint import SipEndpoint
from app.sip.uri import SipUri

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


async def until(condition: Callable[[], object]) -> None:
    """Wait for what no event tells."""
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while not condition():
        await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() < deadline


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


async def test_who_cannot_be_called_leaves_the_usual_port_to_who_can(profile_dir: Path) -> None:
    """Else `parley call` and `parley listen` begun together, and whoever dials this machine reaches the wrong one."""

    def on_loopback(settings: Settings) -> Settings:
        return replace(settings, network=replace(settings.network, interfaces=("127.0.0.1",), sip_port=None))

    async with engine(profile_dir, adjust=on_loopback, take_calls=False, home=HomeMode.ON_DEMAND) as (_, watch):
        own = SipUri.parse((await watch.first(RegistrationChanged)).own_uri or "")
        assert own.port not in (None, 5060)


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


async def test_the_flags_of_a_run_are_not_kept_for_good(profile_dir: Path) -> None:
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, _):
        kept = await parley.settings.get()
        assert kept.media == Settings().media
        await parley.settings.change(replace(kept, display_name="Ada"))
    assert "tone:440" not in (profile_dir / "settings.json").read_text()


async def test_closing_twice_is_harmless_and_a_closed_engine_says_so(profile_dir: Path) -> None:
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, _):
        await parley.close()
        with pytest.raises(EngineError, match="not running"):
            await parley.calls.place("echo")
        await parley.close()


async def test_quitting_in_a_call_keeps_it_as_hung_up(profile_dir: Path) -> None:
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, watch):
        await parley.calls.place("echo", video=False)
        await watch.first(CallChanged, lambda event: event.call.state is CallState.CONNECTED)
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (_, watch):
        kept = await watch.first(HistoryChanged, lambda event: bool(event.entries))
        assert [entry.outcome for entry in kept.entries] == [EndKind.HUNG_UP]


async def test_a_call_that_is_over_leaves_nothing_behind_but_its_ladder(profile_dir: Path) -> None:
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, watch):
        call_id = await parley.calls.place("echo", video=False)
        await watch.first(CallChanged, lambda event: event.call.state is CallState.CONNECTED)
        await parley.calls.hang_up(call_id)
        await watch.first(CallChanged, lambda event: event.call.state is CallState.ENDED)
        calls = parley.core._calls
        assert calls is not None
        await until(lambda: not calls.manager.calls)
        assert not calls._sip_ids
        assert not calls._saved_connected
        ladder = [event.trace for event in watch.events if isinstance(event, SipSeen)]
        assert {trace.call_id for trace in ladder} == {call_id}
        assert ladder[-1].line.startswith("SIP/2.0 200")


async def test_settings_that_cannot_be_used_change_nothing(profile_dir: Path) -> None:
    """A port that somebody else has: the phone stays as it was, now and at the next start."""
    taken = SipEndpoint(SipConfig(sip_port=0, bind=("127.0.0.1",)), on_event=lambda event: None)
    await taken.start()
    try:
        async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, watch):
            before = await parley.settings.get()
            with pytest.raises(EngineError, match=str(taken.port)):
                await parley.settings.change(Settings(network=NetworkSettings(sip_port=taken.port)))
            assert await parley.settings.get() == before
            await parley.calls.place("echo", video=False)
            await watch.first(CallChanged, lambda event: event.call.state is CallState.CONNECTED)
        async with engine(profile_dir, home=HomeMode.ON_DEMAND):
            pass
    finally:
        await taken.close()


async def test_a_new_name_given_during_a_call_holds_once_it_is_over(profile_dir: Path) -> None:
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, watch):
        call_id = await parley.calls.place("echo", video=False)
        await watch.first(CallChanged, lambda event: event.call.state is CallState.CONNECTED)
        await parley.settings.change(Settings(display_name="Front desk"))
        before = parley.core._sip
        await parley.calls.hang_up(call_id)
        await watch.first(
            RegistrationChanged, lambda event: "frontdesk" in (event.own_uri or "") and parley.core._sip is not before
        )


async def test_a_port_chosen_during_a_call_that_cannot_be_had_is_given_up(profile_dir: Path) -> None:
    taken = SipEndpoint(SipConfig(sip_port=0, bind=("127.0.0.1",)), on_event=lambda event: None)
    await taken.start()
    try:
        async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, watch):
            call_id = await parley.calls.place("echo", video=False)
            await watch.first(CallChanged, lambda event: event.call.state is CallState.CONNECTED)
            changed = Settings(ring_volume=0.5, network=NetworkSettings(sip_port=taken.port))
            await parley.settings.change(changed)
            await parley.calls.hang_up(call_id)
            assert str(taken.port) in (await watch.first(Problem, lambda event: event.about == "network")).sentence
            await until(lambda: parley.core._sip is not None and parley.core._sip.local_addresses)
            kept = await parley.settings.get()
            assert (kept.ring_volume, kept.network.sip_port) == (0.5, None)
    finally:
        await taken.close()


async def test_an_account_that_cannot_be_used_leaves_the_phone_as_it_was(profile_dir: Path) -> None:
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, _):
        with pytest.raises(EngineError, match="ws is not supported"):
            await parley.accounts.set_account(Account("sip:me@example.org", SipTransport.WS), "")
        assert not (await parley.settings.get()).accounts
        assert parley.core._sip is not None
        assert parley.core._sip.local_addresses


async def test_presence_is_asked_from_the_phone_that_is_there(profile_dir: Path) -> None:
    """After another name or account the questions must not go to an endpoint that is closed."""
    asked: list[str] = []
    bob = SipEndpoint(
        SipConfig(sip_port=0, bind=("127.0.0.1",)),
        on_event=lambda event: None,
        on_trace=lambda direction, transport, local, remote, data, at: asked.append(data.decode()),
    )
    await bob.start()
    try:
        async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, _):
            await parley.people.add("Bob", bob.own_uri())
        async with engine(profile_dir, home=HomeMode.ON_DEMAND, watch_presence=True) as (parley, watch):
            await watch.first(PeopleChanged, lambda event: any(c.presence is Presence.ONLINE for c in event.contacts))
            assert any("Recv-Info: trickle-ice" in message for message in asked)
            assert parley._core._people.peers.trickles(bob.own_uri())
            asked.clear()
            await parley.settings.change(Settings(display_name="Front desk"))
            await until(lambda: any("frontdesk" in message for message in asked))
    finally:
        await bob.close()


async def test_a_new_ring_volume_holds_for_the_next_ring(profile_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volumes: list[float] = []

    class Ring:
        def __init__(self, volume: float, device: str, *, sound: object, repeat: bool = True) -> None:
            volumes.append(volume)

        def start(self) -> None: ...

        def stop(self) -> None: ...

    monkeypatch.setattr("app.media.rings.RingPlayer", Ring)

    def heard(settings: Settings) -> Settings:
        settings = quiet(settings)
        return replace(settings, media=replace(settings.media, audio_to="speaker"))

    async with engine(profile_dir, home=HomeMode.ON_DEMAND, ring=True, adjust=heard) as (parley, watch):
        await parley.settings.change(Settings(ring_volume=0.5))
        await parley.calls.place("echo", video=False)
        await watch.first(CallChanged, lambda event: event.call.state is CallState.RINGING)
        await until(lambda: volumes)
        assert volumes == [0.5 * 0.4]


def open_phones() -> list[SipEndpoint]:
    gc.collect()  # an endpoint that refused its settings may hang half made in the traceback of that
    return [sip for sip in gc.get_objects() if isinstance(sip, SipEndpoint) and sip.local_addresses]


async def test_changes_at_the_same_moment_leave_one_phone(profile_dir: Path) -> None:
    async with engine(profile_dir, home=HomeMode.ON_DEMAND) as (parley, _):
        await asyncio.gather(*(parley.settings.change(Settings(display_name=name)) for name in ("one", "two", "three")))
        assert len(open_phones()) == 1


@pytest.mark.logs_error("could not be started")
async def test_an_engine_that_cannot_be_opened_says_so(profile_dir: Path) -> None:
    def fail(settings: Settings) -> Settings:
        raise ZeroDivisionError("a defect")

    watch = Watch()
    running = Engine(EngineOptions(profile=profile_dir, adjust=fail, neighbours=False), watch.publish)
    running.start()
    try:
        assert "a defect" in (await watch.first(Problem)).sentence
        with pytest.raises(EngineError):
            await running.opened()
    finally:
        await running.close()


@pytest.mark.parametrize("turns", [0, 1, 5, 50])
async def test_closing_while_it_opens_leaves_nothing_open(profile_dir: Path, turns: int) -> None:
    watch = Watch()
    running = Engine(EngineOptions(profile=profile_dir, adjust=quiet, neighbours=False, ring=False), watch.publish)
    running.start()
    await asyncio.sleep(0.002 * turns)
    await running.close()
    assert not open_phones()
