"""`parley channel join`: joins a mission's channels without a window, tells what happens on them, and reports.

Nothing of it is kept in the profile: the mission is left with the command, and each run is another node of the roster.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import deque
from dataclasses import asdict
from typing import Any

from app.cli.calling import engine_options, tell
from app.cli.console import Console
from app.cli.missions import fetched
from app.cli.running import Running, running
from app.engine import missions
from app.engine.errors import EngineError
from app.events import (
    BurstInfo,
    BurstKept,
    ChannelChanged,
    ChannelFigures,
    ChannelId,
    ChannelInfo,
    ChannelLink,
    Event,
    FiguresChanged,
    MissionInfo,
    PersonHere,
    RegistrationChanged,
    RosterChanged,
    TalkMode,
    TextSeen,
)

LINK_WAIT_S = 15.0  # until a channel can carry anything: a rallypoint that is far, or the failover of one that is gone
TALK_SHOWS_S = 6.0  # until a burst that was begun is seen, or why not: a microphone may take four
LAST_WORDS_S = 1.0  # for the end of our burst and its record
MOST_REPORTED = 10_000  # the last bursts, texts, and changes of a link: a run may last for months


async def join(args: argparse.Namespace, console: Console, started_at: float) -> int:
    """Join, talk if that was asked for, and stay until `--for`, Ctrl-C or a kill; gives the exit code."""
    data = await fetched(args, args.mission)
    text = await asyncio.to_thread(_read, args, data)
    async with running(engine_options(args, started_at)) as run:
        info = await run.engine.channels.open_mission(text, pin=args.pin_from)
        joined = _Joined(run, console, args, info)
        try:
            await joined.stay()
        finally:
            console.report(await joined.report(), "")
        return joined.exit_code


def _read(args: argparse.Namespace, data: bytes | None) -> str:
    passphrase = args.passphrase_from
    mission = missions.read_file(args.mission, passphrase) if data is None else missions.read(data, passphrase)
    named = args.interface[0] if args.interface and len(args.interface) == 1 else ""
    server = None if args.rallypoint is None else (args.rallypoint.host, args.rallypoint.port)
    return str(missions.for_this_run(mission, channel=args.channel, rallypoint=server, interface=named))


class _Joined:
    """One mission that is joined. Times are seconds since the command's start."""

    def __init__(self, run: Running, console: Console, args: argparse.Namespace, info: MissionInfo) -> None:
        self._run = run
        self._console = console
        self._args = args
        self._info = info
        self._loop = asyncio.get_running_loop()
        self._deadline = None if args.for_seconds is None else self._loop.time() + args.for_seconds
        self._channels = {channel.id: channel for channel in info.channels}
        self._links: dict[ChannelId, deque[tuple[float, ChannelLink]]] = {
            channel.id: deque(maxlen=MOST_REPORTED) for channel in info.channels
        }
        self._was_up = False
        self._bursts: deque[BurstInfo] = deque(maxlen=MOST_REPORTED)
        self._texts: deque[TextSeen] = deque(maxlen=MOST_REPORTED)
        self._people: tuple[PersonHere, ...] = ()
        self._talked = 0.0
        self._has_failed = False
        for channel in info.channels:
            self._tell_link(channel)

    @property
    def exit_code(self) -> int:
        """1 where nothing could be heard or said, or not all that was to be said."""
        return 0 if self._was_up and not self._has_failed else 1

    @property
    def _over(self) -> bool:
        return self._run.stop.is_set() or (self._deadline is not None and self._loop.time() >= self._deadline)

    async def stay(self) -> None:
        if not self._channels:
            raise EngineError(f"{self._info.name} has no channel to talk on.")
        if self._args.talk is not None:
            await self._talk(self._args.talk)
        while not self._over:
            await self._next(None)

    async def _talk(self, seconds: float) -> None:
        """Press the key, hold it, let it go."""
        channel = next((one.id for one in self._channels.values() if one.primary), next(iter(self._channels)))
        if not await self._until(lambda: self._channels[channel].link.up, LINK_WAIT_S):
            self._fail(f"Not connected: nobody hears you. {self._channels[channel].link.words}")
            return
        await self._run.engine.channels.set_talk_mode(channel, TalkMode.HOLD)  # on full duplex too
        await self._run.engine.channels.press(channel, emergency=self._args.emergency)
        await self._until(lambda: self._is_sending(channel) or self._is_refused(channel), TALK_SHOWS_S)
        if not self._is_sending(channel) and not self._over:
            self._fail_on(channel)
            return
        began = self._loop.time()
        self._console.event("talking", f"talking on {self._channels[channel].name}", **self._of(channel))
        if await self._until(lambda: not self._is_sending(channel), seconds) and not self._over:
            self._fail_on(channel)  # somebody went first, or it was as long as it may be
        self._talked = self._loop.time() - began
        await self._run.engine.channels.release(channel)
        await self._last_words()
        self._console.event(
            "talked", f"talked for {self._talked:.1f} s", **self._of(channel), seconds=round(self._talked, 2)
        )

    async def _last_words(self) -> None:
        """Wait for the end of our burst, also where the command is to stop."""
        end = self._loop.time() + LAST_WORDS_S
        while not any(burst.own for burst in self._bursts) and self._loop.time() < end:
            event = await self._run.next_event(end)
            if event is not None:
                self._take(event)
            else:
                await asyncio.sleep(0.02)  # told to stop: what comes now is still waited for

    def _is_sending(self, channel: ChannelId) -> bool:
        return self._channels[channel].sending is not None

    def _is_refused(self, channel: ChannelId) -> bool:
        now = self._channels[channel]
        return not now.waiting and bool(now.notice or now.why_mute)

    def _fail_on(self, channel: ChannelId) -> None:
        now = self._channels[channel]
        self._fail(now.notice or now.why_mute or "Nothing is sent any more.")

    def _fail(self, sentence: str) -> None:
        self._has_failed = True
        self._console.error(sentence)

    async def _until(self, done: Any, seconds: float) -> bool:
        """Take events until it is so; False when the time, or the command's, was over first."""
        end = self._loop.time() + seconds
        while not done():
            if self._loop.time() >= end or self._over:
                return False
            await self._next(end)
        return True

    async def _next(self, end: float | None) -> None:
        times = [one for one in (end, self._deadline) if one is not None]
        event = await self._run.next_event(min(times, default=None))
        if event is not None:
            self._take(event)

    # What happens -----------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case ChannelChanged(channel) if channel.id in self._channels:
                self._changed(channel)
            case BurstKept(burst):
                self._bursts.append(burst)
                who = "you" if burst.own else burst.alias or "somebody"
                words = f"{who} talked for {burst.seconds:.1f} s{' in an emergency' if burst.emergency else ''}"
                self._console.event("burst", words, **self._burst(burst))
            case RosterChanged(_, people):
                self._people = people
                names = ", ".join(one.name for one in people if not one.gone) or "nobody else"
                self._console.event("roster", f"here: {names}", people=[asdict(one) for one in people])
            case TextSeen():
                self._texts.append(event)
                self._console.event("text", f"{event.name}: {event.words}", **self._text(event))
            case RegistrationChanged() | FiguresChanged():
                pass  # of calls
            case _:
                tell(self._console, event)

    def _changed(self, channel: ChannelInfo) -> None:
        before, self._channels[channel.id] = self._channels[channel.id], channel
        if (channel.link.carrier, channel.link.up, channel.link.words) != (
            before.link.carrier,
            before.link.up,
            before.link.words,
        ):
            self._tell_link(channel)
        talked = {(one.node_id, one.alias, one.emergency) for one in before.talkers}
        for talker in channel.talkers:  # again once the name is known, where we came into a burst
            if (talker.node_id, talker.alias, talker.emergency) not in talked:
                words = f"{talker.alias or 'somebody'} talks on {channel.name}"
                self._console.event("talker", words, **self._of(channel.id), **asdict(talker))
        if channel.notice and channel.notice != before.notice:
            self._console.event("notice", channel.notice, **self._of(channel.id), sentence=channel.notice)

    def _tell_link(self, channel: ChannelInfo) -> None:
        link = channel.link
        self._was_up = self._was_up or link.up
        self._links[channel.id].append((self._console.now, link))
        words = f"{channel.name}: {link.words or ('connected' if link.up else 'not connected')}"
        self._console.event("link", words, **self._of(channel.id), **_link(link))

    # The report ---------------------------------------------------------------------------------------------------

    async def report(self) -> dict[str, Any]:
        figures = {one.id: one for one in await self._run.engine.channels.figures(self._info.id)}
        return {
            "mission": {"id": self._info.id, "name": self._info.name},
            "channels": [self._channel(one, figures.get(one.id)) for one in self._channels.values()],
            "bursts": {
                "sent": [self._burst(one) for one in self._bursts if one.own],
                "heard": [self._burst(one) for one in self._bursts if not one.own],
            },
            "talked": round(self._talked, 3),
            "people": [asdict(one) for one in self._people],
            "texts": [self._text(one) for one in self._texts],
        }

    def _channel(self, channel: ChannelInfo, figures: ChannelFigures | None) -> dict[str, Any]:
        talkers = () if figures is None else figures.talkers
        return {
            **self._of(channel.id),
            "encrypted": channel.encrypted,
            "codec": channel.codec,
            "link": _link(channel.link),
            "links": [{"at": round(at, 4), **_link(link)} for at, link in self._links[channel.id]],
            "packets_sent": None if figures is None else figures.packets_sent,
            "packets_received": None if figures is None else figures.packets_received,
            "refused": None if figures is None else figures.refused,
            "lost": None if figures is None else sum(one.lost for one in talkers),
            "cost_bps": None if figures is None else figures.cost_bps,
            "measured_bps": None if figures is None else figures.measured_bps,
            "grade": None if figures is None else figures.grade or None,
            "talkers": [asdict(one) for one in talkers],
        }

    def _burst(self, burst: BurstInfo) -> dict[str, Any]:
        return {
            **self._of(burst.channel),
            "alias": burst.alias,
            "own": burst.own,
            "emergency": burst.emergency,
            "began_wall": round(burst.began_wall, 3),
            "seconds": round(burst.seconds, 3),
            "loudest": max(burst.levels, default=None),
        }

    def _text(self, text: TextSeen) -> dict[str, Any]:
        channel = {"channel": None, "id": None} if text.channel is None else self._of(text.channel)
        return {**channel, "sender": text.name, "text": text.words, "own": text.own, "wall": round(text.wall, 3)}

    def _of(self, channel: ChannelId) -> dict[str, str]:
        """Which channel it is about."""
        return {"channel": self._channels[channel].name, "id": channel.group}


def _link(link: ChannelLink) -> dict[str, Any]:
    return {
        "carrier": link.carrier.value,
        "up": link.up,
        "limited": link.limited,
        "sentence": link.words,
        "rtt": link.rtt_s,
    }
