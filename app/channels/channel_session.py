"""One channel that is joined: what the microphone hears goes out by its link, and what comes in is heard.

    microphone -> encoder (a worker) -> packet -> seal, once -> link
    link -> open -> packet -> talkers -> a jitter buffer each -> mix -> speaker

Everything here runs on the event loop but for `hear`, which is the microphone's thread's, and `play`, the speaker's.
The sound itself is in `channel_sound.py`, loaded by `start` in a thread. Impure: the loop's timers and those threads.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from app.channel_events import ChannelFigures, ChannelId, ChannelLink, LastTalker, TalkMode
from app.channels.burst_keeping import BurstKeeping
from app.channels.channel_notices import ChannelNotices
from app.channels.channel_state import (
    Cue,
    Node,
    Snapshot,
    Wire,
    channel_link,
    cost_bps,
    make_figures,
    sending_info,
    talker_info,
    why_mute,
)
from app.channels.encoders import encoder_info
from app.channels.errors import AgeError, ChannelError, ReplayError
from app.channels.finished_burst import FinishedBurst, piece_s
from app.channels.heard_bursts import HeardBurst, HeardBursts
from app.channels.links import Link
from app.channels.mission import Group, Mission
from app.channels.mission_parts import TxAudio
from app.channels.own_bursts import OwnBurst
from app.channels.packet import BurstFlags, BurstHeader, ChannelPacket, fit_alias
from app.channels.sealing import protection
from app.channels.talkers import BurstBegan, BurstEnded, Talkers
from app.channels.talking import Action, Talking, TalkState

if TYPE_CHECKING:
    from app.channels.channel_sound import Encoded, Listening, Speaking
    from app.media.speech import Sound

logger = logging.getLogger(__name__)

_CUES = {Action.REFUSE: Cue.REFUSED, Action.WARN: Cue.LIMIT, Action.HEARD: Cue.PERMIT}
STUCK_KEY_S = 300.0  # where the mission sets no limit: a key that jams must not take a channel from everybody else


class ChannelSession:
    """One channel of a mission; `key` as `channel_keys.channel_key` gives it, None for a clear channel.

    `on_change`: `snapshot` gives something new. `on_burst`: a burst is over, or a piece of a long one. `on_cue`: what
    the person at the key is to hear. `on_capture_wanted`: whether blocks of the microphone are wanted from now on.
    `on_sound`: there is something to `play`. All are called on the loop. `clock` never goes back; times of the snapshot
    are its own. `tone_s`: how long a burst begins with silence, because a start tone is heard.
    """

    def __init__(
        self,
        group: Group,
        mission: Mission,
        node: Node,
        link: Link,
        key: bytes | None,
        *,
        on_change: Callable[[], None],
        on_burst: Callable[[FinishedBurst], None] = lambda burst: None,
        on_cue: Callable[[Cue], None] = lambda cue: None,
        on_capture_wanted: Callable[[bool], None] = lambda is_wanted: None,
        on_sound: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        tone_s: float = 0.0,
        random: Random | None = None,
    ) -> None:
        self.id = ChannelId(mission.id, group.id)
        self._group = group
        self._audio = group.tx_audio or TxAudio(enabled=False)
        self._node = replace(node, alias=fit_alias(node.alias or group.alias))
        self._link = link
        self._protection = protection(group.id, key)
        self._on_change, self._on_cue = on_change, on_cue
        self._keeping = BurstKeeping(self.id, self._audio, on_burst)
        self._on_capture_wanted, self._on_sound = on_capture_wanted, on_sound
        self._clock, self._wall = clock, wall
        self._random = random or Random()
        longest_heard_s = float(group.max_rx_secs) or None
        self._talkers = Talkers(node.node_id, is_full_duplex=self._audio.fdx, longest_s=longest_heard_s)
        self._notices = ChannelNotices(longest_heard_s)
        # Who goes on for longer than anybody is heard would talk to nobody.
        limits = [float(each) for each in (self._audio.max_tx_secs, group.max_rx_secs) if each]
        if not self._audio.max_tx_secs and not self._audio.fdx:
            limits.append(STUCK_KEY_S)
        limit_s = min(limits, default=None)
        self._talking = Talking(self._talkers, priority=node.priority, limit_s=limit_s, tone_s=tone_s)
        self._keeps = group.timeline.enabled and group.timeline.record_audio
        self._longest_s = piece_s(group.timeline.max_audio_time_ms)
        self._heard = HeardBursts(self._keeps)
        self._own: dict[int, OwnBurst] = {}  # by number, until their end packets are sent
        self._current: OwnBurst | None = None  # the one that is on the air
        self._last: LastTalker | None = None
        self._listening: Listening | None = None
        self._speaking: Speaking | None = None
        self._ends: set[asyncio.TimerHandle] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0  # when it wakes us
        self._is_ready, self._is_closed, self._was_wanted = True, False, False
        self._volume, self._is_muted, self._ducking = 1.0, False, 1.0
        self._began = self._packets_sent = self._packets_received = self._refused = 0
        self._wire = Wire()
        self.pan = 0.0
        self.why_mute = why_mute(self._audio)

    # What the person does

    @property
    def capturing(self) -> bool:
        """Whether blocks of the microphone are wanted: while the key is ready, armed or down."""
        return self._speaking is not None and (self._is_ready or self._talking.state is not TalkState.IDLE)

    @property
    def has_emergency(self) -> bool:
        """Whether an emergency of ours is on the air, or waits for a link."""
        return self._talking.has_emergency

    def set_ready(self, is_ready: bool) -> None:
        """Let the microphone be open before the key goes down, or only from then on: opening one takes a second."""
        self._is_ready = is_ready
        self._tell_capture()

    def set_hearing(self, is_hearing: bool) -> None:
        """The microphone hears from now on, or has been closed; one that nobody has told of counts as open."""
        self._talking.microphone_changed(is_hearing, self._clock())
        self.handle_timeout()

    def press(self, emergency: bool = False) -> None:
        """The talk key goes down."""
        self.handle_timeout()  # who was silent for too long is nobody's reason to wait
        self._look_at_link()
        self._talking.press(self._clock(), emergency=emergency)
        self.handle_timeout()

    def release(self) -> None:
        """The talk key goes up."""
        self._talking.release(self._clock())
        self.handle_timeout()

    def set_mode(self, mode: TalkMode) -> None:
        """Give the key another meaning; ends a burst."""
        self._talking.set_mode(mode, self._clock())
        self.handle_timeout()

    def set_volume(self, volume: float) -> None:
        """0 to 1.5; 1 leaves the sound alone."""
        self._volume = max(0.0, min(1.5, volume))
        self._set_gains()

    def set_muted(self, is_muted: bool) -> None:
        """Be silent here, emergencies too."""
        self._is_muted = is_muted
        self._set_gains()

    def set_ducking(self, gain: float) -> None:
        """Be as much quieter, 0 to 1, as a call asks for; an emergency is not."""
        self._ducking = max(0.0, min(1.0, gain))
        self._set_gains()

    # The threads of sound

    def hear(self, block: Sound) -> None:
        """Take 10 ms of the microphone, or multiples: int16 at 48 kHz, mono. Any one thread; copies, and returns."""
        if self._speaking is not None:
            self._speaking.hear(block)

    def play(self, samples: int) -> Sound | None:
        """Give what is heard in the next `samples` at 48 kHz, mono int16; None: nobody. Any one thread.

        `pan` says where of left (-1) and right (1) it belongs.
        """
        return None if self._listening is None else self._listening.play(samples)

    @property
    def is_quiet(self) -> bool:
        """Whether `play` gives nothing until `on_sound` is called; for the thread that plays."""
        return self._listening is None or self._listening.is_quiet

    # Its life

    async def start(self) -> None:
        """Load what sound needs, and join."""
        loop = asyncio.get_running_loop()
        self._listening, speaking = await asyncio.to_thread(self._load, loop)
        if self._is_closed:  # meanwhile
            if speaking is not None:
                await asyncio.to_thread(speaking.close)
            return
        self._speaking = speaking
        self._link.on_datagram = lambda datagram, source, now: self._received(datagram)
        self._link.on_state = lambda state: self._link_changed()
        await self._link.start()
        self._tell_capture()
        self._link_changed()

    def _load(self, loop: asyncio.AbstractEventLoop) -> tuple[Listening, Speaking | None]:
        from app.channels.channel_sound import open_listening, open_speaking

        listening, speaking = open_listening(self._audio, self._clock), None
        if not self.why_mute:
            try:
                is_sealed = self._protection.is_sealed
                speaking = open_speaking(self._audio, is_sealed, loop, self._encoded, self._voice)
            except ChannelError as error:
                self.why_mute = str(error)
        return listening, speaking

    async def close(self) -> None:
        """End a burst that goes on, and leave."""
        if self._is_closed:
            return
        self._talking.stop(self._clock())
        self.handle_timeout()
        self._is_closed = True
        speaking, self._speaking = self._speaking, None
        if speaking is not None:
            await asyncio.to_thread(speaking.close)
            await asyncio.sleep(0)  # what it gave last has been handed on
        if self._timer is not None:
            self._timer.cancel()
        for ending in self._ends:
            ending.cancel()
        await self._link.close()
        for ssrc, burst in self._heard.items():
            self._finish_heard(ssrc, burst)
        self._tell_capture()

    # Sending

    def _look_at_link(self) -> None:
        """Learn whether a burst would be heard by anybody."""
        self._talking.blocked = self.why_mute
        no_link = "" if self._link.state.is_up else self._link.state.words or "There is no link yet."
        if self._speaking is None:
            no_link = "This channel is not joined yet."
        self._talking.link_changed(no_link, self._clock())

    def _link_changed(self) -> None:
        self._look_at_link()
        self.handle_timeout()
        self._on_change()

    def _voice(self, is_heard: bool) -> None:
        self._look_at_link()
        self._talking.voice(is_heard, self._clock())
        self.handle_timeout()

    def _begin(self) -> None:
        assert self._speaking is not None
        flags = BurstFlags.EMERGENCY if self._talking.is_emergency else BurstFlags.NONE
        node = self._node
        header = None if self._audio.no_hdr_ext else BurstHeader(node.alias, node.node_id, node.priority, flags)
        codec = encoder_info(self._audio.encoder).codec
        assert codec is not None
        custom = self._audio.custom_rtp_payload_type
        self._began += 1
        burst = OwnBurst(
            *(self._began, self._audio, header, codec.payload_type if custom < 0 else custom, codec.clock_rate),
            *(self._speaking.timestamp_step, self._random),
            began_wall=self._wall(),
            keeps=self._keeps,
        )
        self._own[burst.number] = self._current = burst
        self._talkers.sending(burst.ssrc)
        self._speaking.begin(burst.number)
        self._on_cue(Cue.PERMIT)

    def _encoded(self, encoded: Encoded) -> None:
        burst = self._own.get(encoded.burst)
        if burst is None:
            return
        burst.level_dbfs = encoded.level_dbfs
        now = self._clock()
        for payload in encoded.payloads:
            self._send(burst.next(payload), now)
        if encoded.is_last:
            if burst.packets_sent:
                self._last = LastTalker(self._node.alias, self._wall(), True)
            self._send_end(burst, list(burst.end()) if burst.packets_sent else [])
            self._keeping.own(burst, self._node, encoded.levels)
            self._on_change()
        elif burst.record.seconds >= self._longest_s:
            self._keeping.own(burst, self._node, ())

    def _send(self, packet: ChannelPacket, now: float) -> None:
        datagram = self._protection.seal(packet.to_bytes(), self._wall())
        self._packets_sent += 1
        self._wire.count(len(datagram), now)
        self._link.send(datagram, now)

    def _send_end(self, burst: OwnBurst, packets: list[ChannelPacket]) -> None:
        """Send the first of them now and the others a packet's time apart; all at once where the channel is left."""
        while packets:
            self._send(packets.pop(0), self._clock())
            if packets and not self._is_closed:
                self._later(self._audio.framing_ms / 1_000, lambda: self._send_end(burst, packets))
                return
        del self._own[burst.number]

    def _later(self, delay_s: float, what: Callable[[], None]) -> None:
        def run() -> None:
            self._ends.discard(handle)
            what()

        handle = asyncio.get_running_loop().call_later(delay_s, run)
        self._ends.add(handle)

    # Receiving

    def _received(self, datagram: bytes) -> None:
        now = self._clock()
        self._wire.count(len(datagram), now)
        try:
            packet = ChannelPacket.parse(self._protection.open(datagram, now, self._wall()))
        except ReplayError:
            self._refused += 1
            return
        except AgeError as error:
            self._refused += 1
            if self._notices.aged(error, now):
                self._on_change()
            self.handle_timeout()
            return
        except ChannelError as error:
            self._refused += 1
            logger.debug("a datagram on %s: %s", self._group.name, error)
            return
        talker = self._talkers.receive(packet, now)
        listening = self._listening
        if talker is not None and listening is not None:
            self._packets_received += 1
            burst = self._heard.of(talker, now, self._wall())
            was_unknown = burst.unknown
            sequence = burst.take(packet, listening.codecs, now)
            if sequence is not None:
                listening.push(talker.ssrc, sequence, packet.timestamp, packet.payload_type, packet.payload, now)
                self._on_sound()
                if burst.record.seconds >= self._longest_s:
                    self._keep_heard(talker.ssrc, burst)
            elif burst.unknown is not None:
                self._refused += 1
                if was_unknown is None:
                    self._on_change()
        if talker is None or self._talkers.has_events or now >= self._due:
            self.handle_timeout()  # else in time: a packet of a burst that goes on only postpones what it would do

    def _finish_heard(self, ssrc: int, burst: HeardBurst) -> None:
        self._look(ssrc, burst)
        self._keep_heard(ssrc, burst)

    def _keep_heard(self, ssrc: int, burst: HeardBurst) -> None:
        assert self._listening is not None
        self._keeping.heard(burst, self._listening.take_levels(ssrc))

    # What follows from all that

    def handle_timeout(self) -> None:
        """Do what talkers, the key and the time ask for, and see to it that it is called again in time."""
        now = self._clock()
        self._talkers.handle_timeout(now)
        self._talking.handle_timeout(now)
        if self._notices.look(self._talkers.overlong, now):
            self._on_change()
        events = self._talkers.take_events()
        for event in events:
            burst = self._heard.get(event.talker.ssrc)
            if burst is not None and burst.alarms(event.talker):
                self._on_cue(Cue.EMERGENCY)
            if isinstance(event, BurstBegan):
                if burst is not None and self._listening is not None:
                    burst.ended_at = None  # after a silence that was taken for its end it goes on
                    self._listening.begin(event.talker.ssrc)
            elif isinstance(event, BurstEnded):
                self._last = LastTalker(event.talker.alias, self._wall(), False)
                if burst is not None and self._listening is not None:
                    burst.ended_at = now
                    self._listening.end(event.talker.ssrc, now)
        if events:
            self._talking.floor_changed(now)
        actions = self._talking.take_actions()
        for action in actions:
            self._act(action)
        if events or actions:
            self._set_gains()
            self._tell_capture()
            self._on_change()
        for ssrc, finished in self._heard.take_finished(now):
            self._finish_heard(ssrc, finished)
        self._wake_later(now)

    def _act(self, action: Action) -> None:
        speaking, burst = self._speaking, self._current
        match action:
            case Action.BEGIN:
                self._begin()
            case Action.OPEN if speaking is not None and burst is not None:
                speaking.open(burst.number)
            case Action.RAISE if burst is not None:
                burst.raise_emergency()
            case Action.END if speaking is not None and burst is not None:
                speaking.end(burst.number)
                self._current = None
                self._on_cue(Cue.END)
            case _ if action in _CUES:
                self._on_cue(_CUES[action])
        if speaking is not None:
            speaking.arm(self._talking.state in (TalkState.ARMED, TalkState.BY_VOICE))

    def _wake_later(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        clocked = (self._talkers, self._talking, self._heard, self._notices)
        due = min((each for one in clocked if (each := one.next_timeout()) is not None), default=None)
        self._due = math.inf if due is None else due
        if due is not None and not self._is_closed:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self.handle_timeout)

    def _set_gains(self) -> None:
        if self._listening is None:
            return
        is_deaf = self._talking.is_on_air and not self._audio.fdx
        talking = {one.ssrc for one in self._talkers.talking}
        heard = {one.ssrc for one in self._talkers.heard}
        for ssrc, burst in self._heard.items():
            if ssrc in talking:
                burst.is_heard = ssrc in heard
            is_heard = burst.is_heard and not is_deaf and not self._is_muted
            ducking = 1.0 if burst.talker.is_emergency else self._ducking
            self._listening.set_gain(ssrc, self._volume * ducking if is_heard else 0.0)

    def _tell_capture(self) -> None:
        if self.capturing != self._was_wanted:
            self._was_wanted = self.capturing
            self._on_capture_wanted(self._was_wanted)

    # What is shown

    def snapshot(self) -> Snapshot:
        """Tell how the channel is now."""
        talkers = tuple(talker_info(one) for one in self._talkers.talking)
        talking, sending = self._talking, sending_info(self._talking, self._current)
        return Snapshot(
            self._channel_link(),
            talkers,
            sending,
            talking.state is TalkState.ARMED,
            talking.is_waiting,
            talking.notice or self._notices.words or self._heard.trouble,
            self._last,
            self._protection.is_sealed,
            self._audio.fdx,
            encoder_info(self._audio.encoder).name,
            self.why_mute,
            any(one.emergency for one in talkers) or (sending is not None and sending.emergency),
        )

    def figures(self) -> ChannelFigures:
        """Tell what the channel costs and how good it is; talkers of now, and the last burst of the others."""
        for ssrc, burst in self._heard.items():
            self._look(ssrc, burst)
        is_sealed, carrier = self._protection.is_sealed, self._channel_link().carrier
        return make_figures(
            self.id,
            self._heard.remembered(),
            cost_bps=cost_bps(self._audio, is_sealed=is_sealed, alias=self._node.alias, carrier=carrier),
            measured_bps=self._wire.bps(self._clock()),
            rtt_s=self._link.state.rtt_s,
            packets_sent=self._packets_sent,
            packets_received=self._packets_received,
            refused=self._refused,
        )

    def _channel_link(self) -> ChannelLink:
        return channel_link(self._link.state, self._clock() - time.monotonic())

    def _look(self, ssrc: int, burst: HeardBurst) -> None:
        played = None if self._listening is None else self._listening.figures(ssrc)
        if played is not None:
            burst.concealed_ms, burst.delay_s = played.concealed_ms, played.delay_s
