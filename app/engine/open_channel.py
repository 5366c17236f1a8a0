"""One channel of an open mission: joined or left, what its person set, and what its card shows."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from app.channels.channel_keys import channel_key
from app.channels.channel_session import ChannelSession
from app.channels.channel_state import Cue, Node, why_mute
from app.channels.encoders import encoder_info
from app.channels.errors import ChannelError
from app.channels.finished_burst import FinishedBurst
from app.channels.links import Link
from app.channels.mission import Group, Mission
from app.channels.mission_parts import TxAudio
from app.engine.channel_desk import ChannelDesk
from app.engine.errors import EngineError
from app.engine.mission_store import KeptChannel
from app.events import CallRule, Carrier, ChannelFigures, ChannelId, ChannelInfo, ChannelLink, LastTalker, TalkMode

log = logging.getLogger(__name__)

DUCKED = 0.2  # of the volume: words are followed, and the call stays in front


@dataclass(frozen=True, slots=True)
class ChannelHost:
    """Who runs channels: how a link is made, where their sound goes, who is told. `clock`: the engine's, for `at`."""

    make_link: Callable[[Mission, Group], Awaitable[Link]]
    desk: ChannelDesk
    changed: Callable[[ChannelId], None]
    talking: Callable[[ChannelId], None]
    burst: Callable[[FinishedBurst, Group], None]
    clock: Callable[[], float]


class OpenChannel:
    """Used on the engine's loop; joining and leaving one after the other."""

    def __init__(self, mission: Mission, group: Group, kept: KeptChannel, host: ChannelHost) -> None:
        self.id = ChannelId(mission.id, group.id)
        self.group = group
        self.kept = kept
        self.over = ""  # that the mission has ended, and when
        self._mission = mission
        self._host = host
        self._audio = group.tx_audio or TxAudio(enabled=False)
        self._session: ChannelSession | None = None
        self._link: Link | None = None
        self._problem = ""  # why it could not be joined
        self._held_back: CallRule | None = None
        self._last: LastTalker | None = None  # before it was left
        self._changing = asyncio.Lock()
        self._earlier_s = time.monotonic() - host.clock()  # from the session's clock to the engine's

    @property
    def is_active(self) -> bool:
        """Whether somebody talks, here or elsewhere."""
        if self._session is None:
            return False
        now = self._session.snapshot()
        return bool(now.talkers) or now.sending is not None

    async def start(self, node: Node) -> None:
        """Join; what hinders it is shown on the channel and stops nothing else."""
        async with self._changing:
            if self._session is not None:
                return
            self._problem = ""
            try:
                await self._start(node)
            except ChannelError as error:
                self._problem = str(error)
            except Exception as error:  # of libraries, such as a codec's: the other channels go on
                log.exception("the channel %s could not be joined", self.group.name)
                self._problem = f"{self.group.name} cannot be joined: {error}"
            if self._problem:
                await self._stop()
            self._host.changed(self.id)

    async def _start(self, node: Node) -> None:
        password = self.group.crypto_password
        key = None if password is None else await channel_key(password)
        desk = self._host.desk
        self._link = await self._host.make_link(self._mission, self.group)
        session = self._session = ChannelSession(
            *(self.group, self._mission, node, self._link, key),
            on_change=lambda: self._host.changed(self.id),
            on_burst=lambda burst: self._host.burst(burst, self.group),
            on_cue=self._cue,
            on_capture_wanted=desk.capture_wanted,
            on_sound=desk.sound,
        )
        session.set_ready(False)
        session.set_mode(self.kept.talk_mode)
        session.pan = self.kept.pan  # before the speaker is opened
        await desk.add(session)
        await session.start()
        self._apply()

    def _cue(self, cue: Cue) -> None:
        self._host.desk.cue(cue)
        if cue is Cue.PERMIT:
            self._host.talking(self.id)

    async def stop(self) -> None:
        """Leave; harmless where it is not joined."""
        async with self._changing:
            await self._stop()

    async def _stop(self) -> None:
        session, self._session, self._link = self._session, None, None
        if session is not None:
            try:
                await session.close()
            finally:
                self._last = session.snapshot().last or self._last
                await self._host.desk.remove(session)

    def network_changed(self) -> None:
        if self._link is not None:
            self._link.network_changed()

    def keep(self, **changes: object) -> None:
        """Take other settings of the person's."""
        self.kept = replace(self.kept, **changes)  # type: ignore[arg-type]
        self._apply()

    def hold_back(self, rule: CallRule | None) -> None:
        """Do what a call asks for; None: there is none."""
        if rule is not self._held_back:
            self._held_back = rule
            if rule is CallRule.PAUSE:
                self._fall_silent()
            self._apply()
            self._host.changed(self.id)

    def _fall_silent(self) -> None:
        """End a burst, and disarm the voice; an emergency goes on, also one that waits for a link."""
        session, mode = self._session, self.kept.talk_mode
        if session is not None and not session.has_emergency:
            session.set_mode(TalkMode.LATCH if mode is not TalkMode.LATCH else TalkMode.HOLD)  # ends what goes on
            session.set_mode(mode)

    def _apply(self) -> None:
        session, kept = self._session, self.kept
        if session is None:
            return
        session.set_volume(kept.volume)
        session.set_muted(kept.muted)
        session.pan = kept.pan
        session.set_mode(kept.talk_mode)
        session.set_ducking({CallRule.PAUSE: 0.0, CallRule.DUCK: DUCKED}.get(self._held_back or CallRule.MIX, 1.0))

    def press(self, *, emergency: bool) -> None:
        """The talk key goes down. What keeps a burst from beginning on the channel itself is told by its notice."""
        if self._session is None:
            raise EngineError(self.over or self._problem or f"{self.group.name} is not joined.")
        if self._held_back is CallRule.PAUSE and not emergency:
            raise EngineError(f"{self.group.name} is paused while you are in a call: end it, or let both be mixed.")
        self._session.press(emergency)

    def release(self) -> None:
        """The talk key goes up; harmless where nothing was begun."""
        if self._session is not None:
            self._session.release()

    def figures(self) -> ChannelFigures | None:
        return None if self._session is None else self._session.figures()

    def info(self, *, here: int | None, primary: bool) -> ChannelInfo:
        """What its card shows."""
        kept, session = self.kept, self._session
        words = "Not joined yet." if kept.joined else "You have left this channel."
        words = self.over or self._problem or words
        info = ChannelInfo(
            self.id,
            self.group.name,
            self.group.description,
            encrypted=self.group.is_encrypted,
            full_duplex=self._audio.fdx,
            codec=encoder_info(self._audio.encoder).name,
            why_mute=why_mute(self._audio),
            joined=kept.joined,
            link=ChannelLink(Carrier.NONE, up=False, limited=False, words=words),
            last=self._last,
            here=here,
            volume=kept.volume,
            muted=kept.muted,
            pan=kept.pan,
            primary=primary,
            talk_mode=kept.talk_mode,
            held_back=None if self._held_back is CallRule.MIX else self._held_back,
        )
        if session is None:
            return info
        now = session.snapshot()
        earlier_s = self._earlier_s
        failover_at = now.link.failover_at
        return replace(
            info,
            why_mute=now.why_mute,
            link=replace(now.link, failover_at=None if failover_at is None else failover_at - earlier_s),
            talkers=tuple(replace(one, since_at=one.since_at - earlier_s) for one in now.talkers),
            sending=None if now.sending is None else replace(now.sending, since_at=now.sending.since_at - earlier_s),
            armed=now.armed,
            waiting=now.waiting,
            notice=now.notice,
            last=now.last or self._last,
            grade=session.figures().grade,
        )
