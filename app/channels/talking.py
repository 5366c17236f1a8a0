"""When a channel's own burst begins and ends: the talk key, the voice, talk-over rule and time limit, as a table.

`Talking` is fed with what happens and gives actions; `Talkers` tells it who is in the way. What the key does is the
mode's: hold to talk, one press to begin and one to end, or a press that arms the voice. An emergency is talked by
holding the key in the voice's mode too. A burst is on the air from the key on: while the start tone is heard it carries
silence, so that the channel is taken and the tone is not sent. While there is no link, a press waits for one: a moment,
or, for an emergency, as long as the key is down. It waits for a microphone that is still being opened, too, so that
nobody talks into a closed one, and a burst whose microphone is lost ends and goes on when that is back; an emergency
stays on the air. Pure: times are seconds, handed in.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from app.channel_events import TalkMode
from app.channels.talkers import Rank, Talker

NOTICE_S = 6.0
NOBODY = "Not connected: nobody hears you."
OPENING = "Opening the microphone…"
DEAF = "The microphone does not answer: nobody hears you."
GONE = "The microphone is gone: your burst was ended."
LINK_WAIT_S = 1.0  # who hears nothing for longer takes the key for pressed in vain, and lets it go
MICROPHONE_WAIT_S = 4.0  # a sound server takes half of that at most
WARNING_S = 5.0  # before the time limit, where that is twice as long at least


class TalkState(Enum):
    """Whether we talk."""

    IDLE = "idle"
    ARMED = "armed"  # the voice begins a burst
    WAITING = "waiting for a link or the microphone"
    TONE = "start tone"  # on the air, with silence
    SENDING = "sending"
    BY_VOICE = "sending by voice"


class Input(Enum):
    """What can happen."""

    TALK = "a burst is wanted, and nobody is in the way"
    WAIT = "a burst is wanted, and there is no link, or no microphone yet"
    VOICE = "the voice is heard, and nobody is in the way"
    ARM = "the voice may begin bursts"
    DISARM = "it may no more"
    STOP = "the key or the voice ends the burst"
    TONE_OVER = "the start tone has been heard"
    TIME_OVER = "the burst is as long as it may be, or was waited for in vain"
    INTERRUPTED = "somebody goes first"
    LOST = "the microphone is gone, and no emergency is on the air"


class Action(Enum):
    """What the session does about it."""

    BEGIN = "begin a burst with silence"
    OPEN = "put the microphone's sound into it"
    RAISE = "make it an emergency"
    END = "end it"
    REFUSE = "say that there is none"
    WARN = "say that it will soon be as long as it may be"
    HEARD = "say that the microphone hears now, in a burst that was silent"
    TELL = "what is shown has changed"


S, I, A = TalkState, Input, Action  # noqa: E741
Row = tuple[TalkState, tuple[Action, ...]]

TABLE: dict[tuple[TalkState, Input], Row] = {
    (S.IDLE, I.TALK): (S.TONE, (A.BEGIN,)),
    (S.IDLE, I.ARM): (S.ARMED, ()),
    (S.IDLE, I.WAIT): (S.WAITING, ()),
    (S.WAITING, I.TALK): (S.TONE, (A.BEGIN,)),
    (S.WAITING, I.STOP): (S.IDLE, ()),
    (S.WAITING, I.TIME_OVER): (S.IDLE, (A.REFUSE,)),
    (S.ARMED, I.WAIT): (S.WAITING, ()),
    (S.ARMED, I.TALK): (S.TONE, (A.BEGIN,)),
    (S.ARMED, I.VOICE): (S.BY_VOICE, (A.BEGIN, A.OPEN)),
    (S.ARMED, I.DISARM): (S.IDLE, ()),
    (S.TONE, I.TONE_OVER): (S.SENDING, (A.OPEN,)),
    (S.TONE, I.TALK): (S.TONE, (A.RAISE,)),
    (S.TONE, I.STOP): (S.IDLE, (A.END,)),
    (S.TONE, I.TIME_OVER): (S.IDLE, (A.END,)),
    (S.TONE, I.INTERRUPTED): (S.IDLE, (A.END,)),
    (S.TONE, I.LOST): (S.WAITING, (A.END, A.REFUSE)),
    (S.SENDING, I.TALK): (S.SENDING, (A.RAISE,)),
    (S.SENDING, I.STOP): (S.IDLE, (A.END,)),
    (S.SENDING, I.TIME_OVER): (S.IDLE, (A.END,)),
    (S.SENDING, I.INTERRUPTED): (S.IDLE, (A.END,)),
    (S.SENDING, I.LOST): (S.WAITING, (A.END, A.REFUSE)),
    (S.BY_VOICE, I.TALK): (S.SENDING, (A.RAISE,)),
    (S.BY_VOICE, I.STOP): (S.ARMED, (A.END,)),
    (S.BY_VOICE, I.DISARM): (S.IDLE, (A.END,)),
    (S.BY_VOICE, I.TIME_OVER): (S.ARMED, (A.END,)),
    (S.BY_VOICE, I.INTERRUPTED): (S.ARMED, (A.END,)),
    (S.BY_VOICE, I.LOST): (S.ARMED, (A.END, A.REFUSE)),
}
ON_AIR = frozenset({S.TONE, S.SENDING, S.BY_VOICE})


class Floor(Protocol):
    """Who may talk; `app.channels.talkers.Talkers` is one."""

    def in_the_way(self, rank: Rank) -> Talker | None: ...

    def interrupter(self, rank: Rank) -> Talker | None: ...


class Talking:
    """One channel's own bursts. `limit_s` None: as long as one likes; `tone_s`: how long a start tone is heard.

    `since`: when the burst that is on the air, or waited for, began; `notice`: one sentence why there is none, or "".
    """

    def __init__(self, floor: Floor, *, priority: int = 0, limit_s: float | None = None, tone_s: float = 0.0) -> None:
        self._floor = floor
        self._priority = priority
        self.limit_s = limit_s
        self.tone_s = tone_s
        self.mode = TalkMode.HOLD
        self.state = TalkState.IDLE
        self.is_emergency = False
        self.since = 0.0
        self.notice = ""
        self.blocked = ""  # one sentence why nobody can talk here
        self._no_link = ""  # one sentence why nobody would hear it now
        self._is_deaf = False  # the microphone is not open
        self._notice_until = 0.0
        self._is_voice = False
        self._is_warned = False
        self._must_fall_silent = False  # a voice that was refused or ended begins nothing until it has paused
        self._actions: list[Action] = []

    @property
    def is_on_air(self) -> bool:
        return self.state in ON_AIR

    @property
    def is_waiting(self) -> bool:
        """Whether a burst begins as soon as there is a link, and the microphone is open."""
        return self.state is TalkState.WAITING

    @property
    def is_silent(self) -> bool:
        """Whether a burst is on the air for which there is no microphone: an emergency."""
        return self.is_on_air and self._is_deaf

    @property
    def has_emergency(self) -> bool:
        """Whether an emergency is on the air, or waits for a link."""
        return self.is_emergency and self._is_down

    @property
    def _is_down(self) -> bool:
        return self.is_on_air or self.is_waiting

    def press(self, now: float, *, emergency: bool = False) -> None:
        """The talk key goes down; pressed again while it is down it changes nothing."""
        self._handle_time(now)
        if emergency:
            if not (self._is_down and self.is_emergency):
                self._talk(now, emergency=True)
            elif self.mode is TalkMode.LATCH:
                self._stop(now)
        elif self.mode is TalkMode.VOICE:
            if not self.is_emergency or not self._is_down:
                self._put(Input.ARM if self.state is TalkState.IDLE else Input.DISARM)
                self._follow_voice(now)
        elif not self._is_down:
            self._talk(now, emergency=False)
        elif self.mode is TalkMode.LATCH:
            self._stop(now)

    def release(self, now: float) -> None:
        """The talk key goes up."""
        self._handle_time(now)
        if self.mode is not TalkMode.LATCH and self.state in (TalkState.TONE, TalkState.SENDING, TalkState.WAITING):
            self._stop(now)

    def link_changed(self, no_link: str, now: float) -> None:
        """The link has come up, or gone: one sentence why, or ""."""
        self._handle_time(now)
        came_up, self._no_link = bool(self._no_link) and not no_link, no_link
        if came_up and self.is_waiting:
            self._go_on_waiting(now)
        elif came_up:
            self._follow_voice(now)

    def microphone_changed(self, is_open: bool, now: float) -> None:
        """The microphone hears from now on, or has been closed, or unplugged."""
        self._handle_time(now)
        if self._is_deaf is not is_open:
            return
        was_silent, self._is_deaf = self.is_silent, not is_open
        if self.is_silent and self.is_emergency:
            self._actions += (Action.REFUSE, Action.TELL)
        elif self.is_silent:
            self.since = now
            self._say(GONE, now)
            self._put(Input.LOST)
        elif was_silent:
            self._actions += (Action.HEARD, Action.TELL)
        elif is_open and self.is_waiting and not self._no_link:
            self._go_on_waiting(now)
        elif is_open:
            self._follow_voice(now)

    def _go_on_waiting(self, now: float) -> None:
        """There is something that was waited for: begin, unless something else is missing, or somebody was quicker."""
        if self._is_deaf and not self.is_emergency:
            self._say(OPENING, now)
        elif self._is_free(self.is_emergency, now):
            self._begin_talk(self.is_emergency, now)
        else:
            self._put(Input.TIME_OVER)

    def voice(self, is_heard: bool, now: float) -> None:
        """The voice activation hears somebody speak, or no more."""
        self._handle_time(now)
        self._is_voice = is_heard
        if is_heard:
            self._follow_voice(now)
            return
        self._must_fall_silent = False
        if self.state is TalkState.BY_VOICE:
            self._put(Input.STOP)

    def set_mode(self, mode: TalkMode, now: float) -> None:
        """Give the key another meaning; a burst ends with it."""
        if mode is not self.mode:
            self.stop(now)
            self.mode = mode

    def stop(self, now: float) -> None:
        """End whatever goes on: the channel is left, or nobody may talk on it any more."""
        self._handle_time(now)
        self._stop(now)
        self._put(Input.DISARM)

    def floor_changed(self, now: float) -> None:
        """Somebody began or ended a burst."""
        self._handle_time(now)
        rank = self.is_emergency, self._priority
        other = self._floor.interrupter(rank) if self.is_on_air else None
        if other is not None:
            reason = "goes first" if other.rank > rank else "began at the same moment"
            urgent = " with an emergency" if other.is_emergency and not self.is_emergency else ""
            self._say(f"{_name(other)} {reason}{urgent}: your burst was ended.", now)
            self._must_fall_silent = self._is_voice
            self._put(Input.INTERRUPTED)

    def next_timeout(self) -> float | None:
        """Tell when `handle_timeout` has something to do."""
        due = [self._notice_until] if self.notice and not self.is_waiting else []
        if self.is_waiting and not self.is_emergency:
            due.append(self.since + self._patience_s)
        if self.state is TalkState.TONE:
            due.append(self.since + self.tone_s)
        if self.is_on_air and self.limit_s is not None:
            due.append(self.since + self.limit_s - (0.0 if self._is_warned else WARNING_S))
        return min(due, default=None)

    def handle_timeout(self, now: float) -> None:
        """Do what the time asks for."""
        self._handle_time(now)

    def take_actions(self) -> list[Action]:
        """Give what is to be done since the last time, in order."""
        actions, self._actions = self._actions, []
        return actions

    def _handle_time(self, now: float) -> None:
        if self.state is TalkState.TONE and now >= self.since + self.tone_s:
            self._put(Input.TONE_OVER)
        if self.is_on_air and self.limit_s is not None:
            self._handle_limit(self.since + self.limit_s - now, now)
        if self.is_waiting and not self.is_emergency and now >= self.since + self._patience_s:
            self._say(f"{NOBODY} {self._no_link}" if self._no_link else DEAF, now)
            self._put(Input.TIME_OVER)
        if self.notice and now >= self._notice_until and not self.is_waiting:
            self.notice = ""
            self._tell()

    @property
    def _patience_s(self) -> float:
        return LINK_WAIT_S if self._no_link else MICROPHONE_WAIT_S

    def _handle_limit(self, left_s: float, now: float) -> None:
        assert self.limit_s is not None
        if left_s <= 0:
            self._say(f"A burst on this channel may last {duration_words(self.limit_s)}: yours was ended.", now)
            self._must_fall_silent = self._is_voice
            self._put(Input.TIME_OVER)
        elif left_s <= WARNING_S and not self._is_warned:
            self._is_warned = True
            if self.limit_s >= 2 * WARNING_S:
                self._actions.append(Action.WARN)

    def _talk(self, now: float, *, emergency: bool) -> None:
        if self.is_on_air:  # the burst goes on as an emergency
            self.is_emergency = True
            self._put(Input.TALK)
        elif self._no_link and not self.blocked:
            self.since, self.is_emergency = now, emergency
            what = "Your emergency waits" if emergency else "Waiting"
            self._say(f"{what} for a connection. {self._no_link}", now)
            self._put(Input.WAIT)
        elif not self._is_free(emergency, now):
            self._actions.append(Action.REFUSE)
        elif self._is_deaf and not emergency:
            self.since, self.is_emergency = now, False
            self._say(OPENING, now)
            self._put(Input.WAIT)
        else:
            self._begin_talk(emergency, now)

    def _begin_talk(self, emergency: bool, now: float) -> None:
        self._begin(Input.TALK, emergency, now)
        if self.tone_s <= 0:
            self._put(Input.TONE_OVER)

    def _stop(self, now: float) -> None:
        """End a burst, or the waiting for one, of which nothing need be said any more but that one was cut."""
        if self.is_waiting and self.notice != GONE:
            self._notice_until = now
        self._put(Input.STOP)
        self._handle_time(now)

    def _follow_voice(self, now: float) -> None:
        if self.state is not TalkState.ARMED or not self._is_voice or self._must_fall_silent or self._is_deaf:
            return
        if self._no_link and not self.blocked:
            self._say(f"{NOBODY} {self._no_link}", now)
        elif self._is_free(False, now):
            self._begin(Input.VOICE, False, now)
        else:
            self._must_fall_silent = True  # it may be the other's own, out of our speaker

    def _begin(self, what: Input, emergency: bool, now: float) -> None:
        self.since, self.is_emergency, self.notice, self._is_warned = now, emergency, "", False
        self._put(what)

    def _is_free(self, emergency: bool, now: float) -> bool:
        if self.blocked:
            self._say(self.blocked, now)
            return False
        other = self._floor.in_the_way((emergency, self._priority))
        if other is None:
            return True
        what = "has an emergency" if other.is_emergency else "is talking"
        self._say(f"{_name(other)} {what}: wait until the channel is free.", now)
        return False

    def _say(self, words: str, now: float) -> None:
        self._notice_until = now + NOTICE_S
        if words != self.notice:
            self.notice = words
            self._tell()

    def _tell(self) -> None:
        self._actions.append(Action.TELL)

    def _put(self, what: Input) -> None:
        row = TABLE.get((self.state, what))
        if row is None:  # what asks for nothing here: a key that goes up after its burst was ended
            return
        self.state, actions = row
        self._actions += actions
        self._tell()


def duration_words(seconds: float) -> str:
    """Say how long that is: 5 minutes, 90 seconds."""
    number, unit = (seconds / 60, "minute") if seconds >= 120 and seconds % 60 == 0 else (seconds, "second")
    return f"{number:g} {unit}{'' if number == 1 else 's'}"


def _name(talker: Talker) -> str:
    return talker.alias or "Somebody"
