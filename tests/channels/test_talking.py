"""When a burst begins and ends: key, voice, talk-over rule and time limit, on a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from app.channel_events import TalkMode
from app.channels.packet import BurstFlags
from app.channels.talkers import Rank, Talker
from app.channels.talking import (
    DEAF,
    GONE,
    MICROPHONE_WAIT_S,
    NOTICE_S,
    ON_AIR,
    OPENING,
    TABLE,
    Action,
    Input,
    Talking,
    TalkState,
)

BEGINS = [Action.BEGIN, Action.OPEN]


@dataclass
class Channel:
    """A floor on which one other may talk."""

    other: Talker | None = None
    talking: Talking = field(init=False)

    def __post_init__(self) -> None:
        self.talking = Talking(self, priority=5)

    def in_the_way(self, rank: Rank) -> Talker | None:
        return self.other if self.other is not None and self.other.rank >= rank else None

    def interrupter(self, rank: Rank) -> Talker | None:
        return self.other if self.other is not None and self.other.rank > rank else None

    def comes(self, priority: int, now: float, *, emergency: bool = False) -> None:
        flags = BurstFlags.EMERGENCY if emergency else BurstFlags.NONE
        self.other = Talker(7, now, b"o" * 16, "Olga", priority, flags)
        self.talking.floor_changed(now)

    def goes(self, now: float) -> None:
        self.other = None
        self.talking.floor_changed(now)

    def acts(self) -> list[Action]:
        return [action for action in self.talking.take_actions() if action is not Action.TELL]


def made(mode: TalkMode = TalkMode.HOLD, **options: float) -> tuple[Channel, Talking]:
    channel = Channel()
    channel.talking = Talking(channel, priority=5, **options)
    channel.talking.set_mode(mode, 0.0)
    return channel, channel.talking


def test_holding_the_key_talks_until_it_is_let_go() -> None:
    channel, talking = made()
    talking.press(1.0)
    assert channel.acts() == BEGINS
    assert talking.is_on_air
    talking.press(1.1)  # a key that repeats itself
    assert channel.acts() == []
    talking.release(2.0)
    assert channel.acts() == [Action.END]
    talking.release(2.1)
    assert channel.acts() == []
    assert talking.state is TalkState.IDLE


def test_latched_one_press_begins_and_the_next_one_ends() -> None:
    channel, talking = made(TalkMode.LATCH)
    talking.press(1.0)
    talking.release(1.1)
    assert channel.acts() == BEGINS
    talking.press(3.0)
    assert channel.acts() == [Action.END]


def test_armed_the_voice_begins_and_ends_bursts() -> None:
    channel, talking = made(TalkMode.VOICE)
    talking.voice(True, 0.5)
    assert channel.acts() == []
    talking.press(1.0)  # somebody already speaks
    talking.release(1.1)
    assert channel.acts() == BEGINS
    talking.voice(False, 2.0)
    assert channel.acts() == [Action.END]
    assert talking.state is TalkState.ARMED
    talking.voice(True, 3.0)
    assert channel.acts() == BEGINS
    talking.press(4.0)
    assert channel.acts() == [Action.END]
    assert talking.state is TalkState.IDLE


def test_while_a_start_tone_is_heard_the_burst_holds_the_channel_with_silence() -> None:
    channel, talking = made(tone_s=0.1)
    talking.press(1.0)
    assert channel.acts() == [Action.BEGIN]
    assert talking.next_timeout() == pytest.approx(1.1)
    talking.handle_timeout(1.1)
    assert channel.acts() == [Action.OPEN]
    talking.release(1.5)
    talking.press(2.0)
    talking.release(2.05)
    assert channel.acts() == [Action.END, Action.BEGIN, Action.END]


def test_a_burst_ends_at_the_time_limit_with_a_warning_before_it() -> None:
    channel, talking = made(limit_s=30.0)
    talking.press(1.0)
    channel.acts()
    assert talking.next_timeout() == 26.0
    talking.handle_timeout(26.0)
    assert channel.acts() == [Action.WARN]
    assert talking.next_timeout() == 31.0
    talking.handle_timeout(31.0)
    assert channel.acts() == [Action.END]
    assert talking.notice == "A burst on this channel may last 30 seconds: yours was ended."
    talking.release(31.5)
    assert channel.acts() == []
    talking.handle_timeout(31.0 + NOTICE_S)
    assert talking.notice == ""


def test_a_voice_that_goes_on_after_the_limit_begins_nothing_until_it_has_paused() -> None:
    channel, talking = made(TalkMode.VOICE, limit_s=1.0)
    talking.press(0.0)
    talking.voice(True, 0.0)
    talking.handle_timeout(1.0)
    assert channel.acts() == [*BEGINS, Action.END]
    talking.floor_changed(1.5)
    assert channel.acts() == []
    talking.voice(False, 2.0)
    talking.voice(True, 3.0)
    assert channel.acts() == BEGINS


@pytest.mark.parametrize("mode", [TalkMode.HOLD, TalkMode.LATCH])
def test_the_key_is_refused_while_somebody_as_urgent_talks(mode: TalkMode) -> None:
    channel, talking = made(mode)
    channel.comes(5, 0.5)
    talking.press(1.0)
    talking.release(1.2)
    assert channel.acts() == [Action.REFUSE]
    assert talking.notice == "Olga is talking: wait until the channel is free."
    channel.goes(2.0)
    assert channel.acts() == []  # a key that was refused has to be pressed again
    talking.press(3.0)
    assert channel.acts() == BEGINS
    assert talking.notice == ""


def test_a_voice_that_speaks_while_another_talks_begins_nothing_until_it_has_paused() -> None:
    channel, talking = made(TalkMode.VOICE)
    talking.press(0.0)
    channel.comes(5, 0.5)
    talking.voice(True, 1.0)  # it may be what our speaker plays
    assert talking.notice == "Olga is talking: wait until the channel is free."
    channel.goes(2.0)
    assert channel.acts() == []
    talking.voice(False, 3.0)
    talking.voice(True, 4.0)
    assert channel.acts() == BEGINS
    channel.comes(6, 5.0)
    channel.goes(6.0)
    assert channel.acts() == [Action.END]


def test_who_goes_first_ends_our_burst_and_an_emergency_goes_before_everybody() -> None:
    channel, talking = made()
    talking.press(1.0)
    channel.comes(4, 1.5)
    assert channel.acts() == BEGINS
    channel.comes(6, 2.0)
    assert channel.acts() == [Action.END]
    assert talking.notice == "Olga goes first: your burst was ended."
    talking.press(2.5, emergency=True)
    assert channel.acts() == BEGINS
    assert talking.is_emergency
    channel.comes(255, 3.0)
    assert channel.acts() == []
    channel.comes(255, 3.5, emergency=True)
    assert channel.acts() == [Action.END]
    talking.press(4.0)
    assert talking.notice == "Olga has an emergency: wait until the channel is free."


@pytest.mark.parametrize("mode", list(TalkMode))
def test_an_emergency_key_talks_in_every_mode(mode: TalkMode) -> None:
    channel, talking = made(mode)
    talking.press(1.0, emergency=True)
    assert channel.acts() == BEGINS
    if mode is TalkMode.LATCH:
        talking.press(2.0, emergency=True)
    else:
        talking.release(2.0)
    assert channel.acts() == [Action.END]
    assert talking.state is TalkState.IDLE


@pytest.mark.parametrize("mode", list(TalkMode))
def test_a_burst_becomes_an_emergency_without_a_break(mode: TalkMode) -> None:
    channel, talking = made(mode)
    talking.press(1.0)
    talking.voice(True, 1.0)
    assert channel.acts() == BEGINS
    talking.press(2.0, emergency=True)
    assert channel.acts() == [Action.RAISE]
    assert talking.is_emergency


def test_nobody_talks_where_something_stands_against_it() -> None:
    channel, talking = made()
    talking.blocked = "This channel cannot be talked on."
    talking.press(1.0, emergency=True)
    assert channel.acts() == [Action.REFUSE]
    assert talking.notice == "This channel cannot be talked on."


@pytest.mark.parametrize("mode", list(TalkMode))
def test_another_mode_or_leaving_ends_what_goes_on(mode: TalkMode) -> None:
    channel, talking = made(mode)
    talking.press(1.0)
    talking.voice(True, 1.0)
    talking.stop(2.0)
    assert channel.acts() == [*BEGINS, Action.END]
    assert talking.state is TalkState.IDLE


def test_the_table_leaves_no_way_to_stay_on_the_air() -> None:
    for state in ON_AIR:
        for what in (Input.STOP, Input.TIME_OVER, Input.INTERRUPTED):
            after, actions = TABLE[state, what]
            assert after not in ON_AIR
            assert Action.END in actions


NO_LINK = "There is no network."


def unlinked(mode: TalkMode = TalkMode.HOLD) -> tuple[Channel, Talking]:
    channel, talking = made(mode)
    talking.link_changed(NO_LINK, 0.5)
    return channel, talking


def test_a_press_is_taken_where_a_link_comes_up_within_a_moment() -> None:
    channel, talking = unlinked()
    talking.press(1.0)
    assert (channel.acts(), talking.state, talking.is_on_air) == ([], TalkState.WAITING, False)
    assert talking.notice == "Waiting for a connection. There is no network."
    assert talking.next_timeout() == 2.0
    talking.press(1.2)  # a key that repeats itself
    talking.link_changed("", 1.9)
    assert (channel.acts(), talking.notice, talking.since) == (BEGINS, "", 1.9)
    talking.release(3.0)
    assert channel.acts() == [Action.END]


@pytest.mark.parametrize("mode", [TalkMode.HOLD, TalkMode.LATCH])
def test_a_press_without_a_link_is_refused_after_a_moment(mode: TalkMode) -> None:
    channel, talking = unlinked(mode)
    talking.press(1.0)
    talking.handle_timeout(2.0)
    assert (channel.acts(), talking.state) == ([Action.REFUSE], TalkState.IDLE)
    assert talking.notice == "Not connected: nobody hears you. There is no network."
    talking.link_changed("", 2.1)
    assert (channel.acts(), talking.state) == ([], TalkState.IDLE)  # the key has to be pressed again


def test_a_key_let_go_before_there_is_a_link_begins_nothing() -> None:
    for mode, end in ((TalkMode.HOLD, Talking.release), (TalkMode.LATCH, Talking.press), (TalkMode.HOLD, Talking.stop)):
        channel, talking = unlinked(mode)
        talking.press(1.0)
        end(talking, 1.3)
        talking.link_changed("", 1.4)
        assert (channel.acts(), talking.state) == ([], TalkState.IDLE)


@pytest.mark.parametrize("mode", list(TalkMode))
def test_an_emergency_waits_for_a_link_as_long_as_the_key_is_down(mode: TalkMode) -> None:
    channel, talking = unlinked(mode)
    talking.press(1.0, emergency=True)
    talking.press(1.1, emergency=True) if mode is not TalkMode.LATCH else None
    talking.handle_timeout(60.0)
    assert (channel.acts(), talking.state) == ([], TalkState.WAITING)
    assert talking.notice == "Your emergency waits for a connection. There is no network."
    talking.link_changed("", 61.0)
    assert channel.acts() == BEGINS
    assert talking.is_emergency
    talking.stop(62.0)
    talking.link_changed(NO_LINK, 63.0)
    talking.press(64.0, emergency=True)
    (talking.press if mode is TalkMode.LATCH else talking.release)(
        65.0, **({"emergency": True} if mode is TalkMode.LATCH else {})
    )
    assert (talking.state, talking.notice) == (TalkState.IDLE, "")


def test_a_press_that_waits_becomes_an_emergency_with_its_key() -> None:
    channel, talking = unlinked()
    talking.press(1.0)
    talking.press(1.5, emergency=True)
    talking.handle_timeout(30.0)
    assert (channel.acts(), talking.state, talking.is_emergency) == ([], TalkState.WAITING, True)


def test_who_talks_when_the_link_comes_up_goes_first() -> None:
    channel, talking = unlinked()
    talking.press(1.0)
    channel.comes(9, 1.4)
    talking.link_changed("", 1.5)
    assert (channel.acts(), talking.state) == ([Action.REFUSE], TalkState.IDLE)
    assert talking.notice == "Olga is talking: wait until the channel is free."


def test_what_is_said_when_the_link_comes_up_begins_a_burst_of_the_voice() -> None:
    channel, talking = unlinked(TalkMode.VOICE)
    talking.press(1.0)
    talking.voice(True, 2.0)
    assert (channel.acts(), talking.state) == ([], TalkState.ARMED)
    assert talking.notice == "Not connected: nobody hears you. There is no network."
    talking.link_changed("", 2.5)
    assert (channel.acts(), talking.state) == (BEGINS, TalkState.BY_VOICE)


def test_a_burst_goes_on_while_its_link_is_lost() -> None:
    channel, talking = made()
    talking.press(1.0)
    talking.link_changed(NO_LINK, 2.0)
    talking.link_changed("", 4.0)
    assert (channel.acts(), talking.state) == (BEGINS, TalkState.SENDING)


def deaf(mode: TalkMode = TalkMode.HOLD) -> tuple[Channel, Talking]:
    """With a microphone that is closed."""
    channel, talking = made(mode)
    talking.microphone_changed(False, 0.5)
    return channel, talking


@pytest.mark.parametrize("mode", [TalkMode.HOLD, TalkMode.LATCH])
def test_nothing_is_sent_before_the_microphone_hears(mode: TalkMode) -> None:
    channel, talking = deaf(mode)
    talking.press(1.0)
    assert (channel.acts(), talking.state, talking.notice) == ([], TalkState.WAITING, OPENING)
    talking.microphone_changed(True, 1.4)
    assert (channel.acts(), talking.notice, talking.since) == (BEGINS, "", 1.4)
    talking.stop(2.0)
    assert channel.acts() == [Action.END]
    talking.press(3.0)  # it is open still
    assert channel.acts() == BEGINS


def test_a_key_let_go_before_the_microphone_hears_begins_nothing() -> None:
    channel, talking = deaf()
    talking.press(1.0)
    talking.release(1.2)
    talking.microphone_changed(True, 1.4)
    assert (channel.acts(), talking.state, talking.notice) == ([], TalkState.IDLE, "")


def test_a_microphone_that_does_not_answer_refuses_a_burst() -> None:
    channel, talking = deaf()
    talking.press(1.0)
    assert talking.next_timeout() == 1.0 + MICROPHONE_WAIT_S
    talking.handle_timeout(1.0 + MICROPHONE_WAIT_S)
    assert (channel.acts(), talking.state, talking.notice) == ([Action.REFUSE], TalkState.IDLE, DEAF)


def test_who_talks_when_the_microphone_opens_goes_first() -> None:
    channel, talking = deaf()
    talking.press(1.0)
    channel.comes(5, 1.1)
    talking.microphone_changed(True, 1.4)
    assert (channel.acts(), talking.state) == ([Action.REFUSE], TalkState.IDLE)
    assert "Olga is talking" in talking.notice


@pytest.mark.parametrize("link_first", [True, False])
def test_link_and_microphone_are_waited_for_in_any_order(link_first: bool) -> None:
    channel, talking = deaf()
    talking.link_changed("There is no link.", 0.6)
    talking.press(1.0)
    assert "There is no link." in talking.notice
    if link_first:
        talking.link_changed("", 1.2)
        assert talking.notice == OPENING
    else:
        talking.microphone_changed(True, 1.2)
    assert (channel.acts(), talking.state) == ([], TalkState.WAITING)
    if link_first:
        talking.microphone_changed(True, 1.3)
    else:
        talking.link_changed("", 1.3)
    assert channel.acts() == BEGINS


def test_an_emergency_does_not_wait_for_the_microphone() -> None:
    channel, talking = deaf()
    talking.press(1.0, emergency=True)
    assert channel.acts() == BEGINS
    channel, talking = deaf()
    talking.press(1.0)
    talking.press(1.2, emergency=True)
    assert (channel.acts(), talking.is_emergency) == (BEGINS, True)


CUT = [Action.END, Action.REFUSE]


@pytest.mark.parametrize("mode", [TalkMode.HOLD, TalkMode.LATCH])
def test_a_burst_whose_microphone_is_unplugged_ends_at_once_and_goes_on_when_it_is_back(mode: TalkMode) -> None:
    channel, talking = made(mode)
    talking.press(1.0)
    channel.acts()
    talking.microphone_changed(False, 2.0)
    assert (channel.acts(), talking.state, talking.notice) == (CUT, TalkState.WAITING, GONE)
    talking.microphone_changed(True, 3.0)
    assert (channel.acts(), talking.state, talking.notice, talking.since) == (BEGINS, TalkState.SENDING, "", 3.0)


def test_an_unplugged_microphone_is_waited_for_no_longer_than_one_that_is_opened() -> None:
    channel, talking = made()
    talking.press(1.0)
    talking.microphone_changed(False, 2.0)
    channel.acts()
    assert talking.next_timeout() == 2.0 + MICROPHONE_WAIT_S
    talking.handle_timeout(2.0 + MICROPHONE_WAIT_S)
    assert (channel.acts(), talking.state, talking.notice) == ([Action.REFUSE], TalkState.IDLE, DEAF)


def test_who_lets_go_of_the_key_of_a_burst_that_was_cut_still_reads_why() -> None:
    channel, talking = made()
    talking.press(1.0)
    talking.microphone_changed(False, 2.0)
    talking.release(2.5)
    assert (channel.acts(), talking.state, talking.notice) == ([*BEGINS, *CUT], TalkState.IDLE, GONE)
    talking.handle_timeout(2.0 + NOTICE_S)
    assert talking.notice == ""
    talking.microphone_changed(True, 9.0)
    assert channel.acts() == []


def test_a_burst_of_the_voice_whose_microphone_is_unplugged_ends_and_the_voice_begins_the_next() -> None:
    channel, talking = made(TalkMode.VOICE)
    talking.press(1.0)
    talking.voice(True, 1.5)
    channel.acts()
    talking.microphone_changed(False, 2.0)
    assert (channel.acts(), talking.state, talking.notice) == (CUT, TalkState.ARMED, GONE)
    talking.link_changed(NO_LINK, 2.1)
    talking.link_changed("", 2.2)
    assert channel.acts() == []  # what was heard of the voice last is of no worth
    talking.microphone_changed(True, 2.5)
    assert (channel.acts(), talking.state) == (BEGINS, TalkState.BY_VOICE)


def test_an_emergency_stays_on_the_air_without_its_microphone_and_the_talker_is_told() -> None:
    channel, talking = made()
    talking.press(1.0, emergency=True)
    assert (channel.acts(), talking.is_silent) == (BEGINS, False)
    talking.microphone_changed(False, 2.0)
    assert (channel.acts(), talking.state, talking.is_silent) == ([Action.REFUSE], TalkState.SENDING, True)
    talking.microphone_changed(True, 9.0)
    assert (channel.acts(), talking.state, talking.is_silent) == ([Action.HEARD], TalkState.SENDING, False)


def test_an_emergency_that_began_before_its_microphone_is_told_when_it_is_heard() -> None:
    channel, talking = deaf()
    talking.press(1.0, emergency=True)
    assert (channel.acts(), talking.is_silent) == (BEGINS, True)
    talking.microphone_changed(True, 1.5)
    assert (channel.acts(), talking.is_silent) == ([Action.HEARD], False)
