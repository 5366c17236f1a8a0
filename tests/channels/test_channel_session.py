"""Channels that are joined: who presses the key is heard by everybody who has the key, and by nobody else."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from app.channel_events import Carrier, TalkMode
from app.channels.channel_codecs import make_decoder, receivable
from app.channels.channel_session import Cue
from app.channels.encoders import EncoderId
from app.channels.mission_parts import TimelineOptions
from app.channels.packet import BurstHeader, ChannelPacket
from app.channels.sealing import derive_key, protection
from tests.channels.radios import KEY, OPUS, Air, Radio, linux_only, on_the_air
from tests.heard import (
    Samples,
    delay_s,
    frequency_hz,
    gaps_ms,
    level_dbfs,
    part,
    recorded_speech,
    share_at,
    speech_score,
    tone,
)

pytestmark = linux_only
OTHER_KEY = "00" * 32


async def say(air: Air, radio: Radio, sound: Samples) -> None:
    """Press, say something, let go, and let everybody hear the rest of it."""
    radio.session.press()
    await air.talk({radio: sound})
    await air.release(radio)
    await air.pause(0.7)


async def test_who_presses_the_key_is_heard_by_name_by_everybody_else() -> None:
    async with on_the_air() as air:
        anna, ben, cleo = [await air.radio(name) for name in ("Anna", "Ben", "Cleo")]
        said = tone(440, 1.0, 0.25)
        anna.session.press()
        await air.talk({anna: said})
        assert anna.session.snapshot().sending is not None
        assert ben.talkers == cleo.talkers == ["Anna"]
        assert anna.talkers == []
        assert anna.cues == [Cue.PERMIT]
        await air.release(anna)
        await air.pause(0.7)
        assert anna.session.snapshot().sending is None
        assert anna.cues == [Cue.PERMIT, Cue.END]
        for one in (ben, cleo):
            middle = part(one.heard, 0.2, 0.9)
            assert abs(frequency_hz(middle) - 440) < 2
            assert abs(level_dbfs(middle) - level_dbfs(said)) < 1.5
            assert gaps_ms(part(one.heard, 0.0, 1.1)) == []
            last = one.session.snapshot().last
            assert last is not None
            assert (last.alias, last.own) == ("Anna", False)
            assert one.session.snapshot().link.carrier is Carrier.MULTICAST
        assert level_dbfs(anna.heard) == float("-inf")


async def test_speech_comes_through_whole_and_soon() -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna"), await air.radio("Ben")
        said = recorded_speech()[0][: 3 * 48_000]
        await say(air, anna, said)
        assert speech_score(said, ben.heard) > 3.75
        assert delay_s(said, ben.heard) < 0.1
        (talker,) = ben.session.figures().talkers
        assert (talker.alias, talker.lost, talker.concealed_ms, talker.codec) == ("Anna", 0, 0, "opus")
        assert talker.jitter_ms == pytest.approx(0, abs=0.5)
        assert ben.session.figures().grade == "Ideal."


async def test_the_first_burst_after_a_long_silence_is_whole_and_as_soon_as_those_that_follow() -> None:
    """The speaker rests after a while of silence: the channel is not asked for sound until it says that it has some."""
    async with on_the_air() as air:
        woken: list[float] = []
        anna, ben = await air.radio("Anna"), await air.radio("Ben", on_sound=lambda: woken.append(air.now))
        said, delays = tone(440, 0.6, 0.25), []
        for quiet_s in (2.0, 0.0, 30.0, 0.0):
            await air.pause(2.0)
            assert ben.session.is_quiet
            air.now += quiet_s
            ben.session.handle_timeout()
            woken.clear()
            ben.forget()
            began = air.now
            await say(air, anna, said)
            assert woken[0] == began
            assert gaps_ms(part(ben.heard, 0.1, 0.6)) == []
            loud = np.flatnonzero(np.abs(ben.heard) > 1_000)
            assert (loud[-1] - loud[0]) / 48_000 == pytest.approx(0.6, abs=0.02)
            delays.append(loud[0] / 48_000)
        assert max(delays) - min(delays) < 0.025
        assert max(delays) < 0.1


async def test_a_few_lost_packets_are_mended_and_counted() -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna"), await air.radio("Ben")
        chance = Random(7)
        ben.drops = frozenset(number for number in range(3, 145) if chance.random() < 0.05)
        said = recorded_speech()[0][: 3 * 48_000]
        await say(air, anna, said)
        assert speech_score(said, ben.heard) > 3.0
        (talker,) = ben.session.figures().talkers
        assert talker.lost == len(ben.drops)
        assert "loss" in ben.session.figures().grade


async def test_who_has_another_key_hears_nothing_and_learns_nothing() -> None:
    async with on_the_air() as air:
        anna, ben, dora = await air.radio("Anna"), await air.radio("Ben"), await air.radio("Dora", key=OTHER_KEY)
        eve = await air.radio("Eve", key=None)
        await say(air, anna, tone(440, 0.4))
        assert level_dbfs(part(ben.heard, 0.1, 0.3)) > -20
        for one in (dora, eve):
            assert level_dbfs(one.heard) == float("-inf")
            assert one.talkers == []
            assert one.bursts == []
            assert one.session.snapshot().last is None
            assert one.session.figures().refused == anna.sent.value
        everything = b"".join(anna.datagrams)
        assert b"Anna" not in everything
        assert bytes([1]) * 16 not in everything  # her node id
        assert len({len(datagram) for datagram in anna.datagrams[5:9]}) == 1


async def test_a_clear_channel_carries_plain_rtp() -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna", key=None), await air.radio("Ben", key=None)
        await say(air, anna, tone(440, 0.4))
        assert frequency_hz(part(ben.heard, 0.1, 0.35)) == pytest.approx(440, abs=5)
        assert not anna.session.snapshot().encrypted
        assert ChannelPacket.parse(anna.datagrams[0]).header == BurstHeader("Anna", b"\1" * 16)


@pytest.mark.parametrize(
    "audio",
    [
        replace(OPUS, encoder=EncoderId.OPUS_8, framing_ms=60),
        replace(OPUS, encoder=EncoderId.G711_ALAW, framing_ms=40, no_hdr_ext=True),
        replace(OPUS, encoder=EncoderId.AMR_12_2, framing_ms=120, custom_rtp_payload_type=100),
    ],
    ids=["Opus 8 in 60 ms", "plain G.711", "AMR in 120 ms under another number"],
)
async def test_every_codec_and_packet_length_is_heard(audio: object) -> None:
    async with on_the_air() as air:
        anna, ben = [await air.radio(name, audio) for name in ("Anna", "Ben")]  # type: ignore[arg-type]
        await say(air, anna, tone(440, 0.6, 0.25))
        start = np.flatnonzero(np.abs(ben.heard) > 1_000)[0]
        assert share_at(ben.heard[start + 4_800 : start + 19_200], 440, 30) > 0.9
        assert ben.talkers == []


async def test_talkers_are_mixed_on_a_full_duplex_channel_and_hear_each_other() -> None:
    async with on_the_air() as air:
        duplex = replace(OPUS, fdx=True)
        anna, ben, cleo = [await air.radio(name, duplex) for name in ("Anna", "Ben", "Cleo")]
        for one in (anna, ben):
            one.session.press()
        await air.talk({anna: tone(440, 0.8, 0.2), ben: tone(1_000, 0.8, 0.2)})
        assert sorted(cleo.talkers) == ["Anna", "Ben"]
        for one, heard in ((anna, {1_000}), (ben, {440}), (cleo, {440, 1_000})):
            middle = part(one.heard, 0.2, 0.75)
            for hz in (440, 1_000):
                assert (share_at(middle, hz) > 0.3) == (hz in heard), f"{one.name} {hz} Hz"


async def test_who_is_first_is_heard_and_who_is_second_waits() -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna"), await air.radio("Ben")
        anna.session.press()
        await air.talk({anna: tone(440, 0.2)})
        ben.session.press()
        assert ben.session.snapshot().sending is None
        assert ben.notice == "Anna is talking: wait until the channel is free."
        assert ben.cues == [Cue.REFUSED]
        await air.release(anna)
        ben.session.press()
        assert ben.session.snapshot().sending is not None


async def test_a_higher_priority_interrupts_and_an_emergency_interrupts_that() -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna", priority=1), await air.radio("Ben", priority=9)
        cleo = await air.radio("Cleo")
        anna.session.press()
        await air.talk({anna: tone(440, 0.3)})
        ben.session.press()
        await air.step({ben: tone(1_000, 0.02)})
        assert anna.session.snapshot().sending is None
        assert anna.notice == "Ben goes first: your burst was ended."
        await air.talk({ben: tone(1_000, 0.5)})
        assert cleo.talkers == ["Ben"]
        assert share_at(part(cleo.heard, 0.5, 0.8), 1_000) > 0.9
        cleo.forget()
        await anna.ended(15)
        anna.session.press(emergency=True)
        await air.step({anna: tone(440, 0.02)})
        assert ben.session.snapshot().sending is None
        assert ben.cues[-2:] == [Cue.EMERGENCY, Cue.END]
        assert cleo.session.snapshot().has_emergency
        await air.talk({anna: tone(440, 0.5)})
        assert share_at(part(cleo.heard, 0.25, 0.5), 440) > 0.9


async def test_a_key_that_jams_holds_a_channel_for_five_minutes_and_no_longer() -> None:
    async with on_the_air() as air:
        anna = await air.radio("Anna")
        anna.session.press()
        await air.talk({anna: tone(440, 0.1)})
        air.now += 298
        anna.session.handle_timeout()
        sending = anna.session.snapshot().sending
        assert sending is not None
        assert sending.limit_s == 300
        air.now += 2
        anna.session.handle_timeout()
        assert anna.session.snapshot().sending is None
        assert anna.notice == "A burst on this channel may last 5 minutes: yours was ended."


@pytest.mark.parametrize(("fdx", "limit_s"), [(False, 300.0), (True, 86_400.0)])
async def test_how_long_anybody_is_heard_lets_no_key_jam_for_longer(fdx: bool, limit_s: float) -> None:
    async with on_the_air() as air:
        anna = await air.radio("Anna", replace(OPUS, fdx=fdx), max_rx_secs=86_400)
        anna.session.press()
        await air.talk({anna: tone(440, 0.1)})
        sending = anna.session.snapshot().sending
        assert sending is not None
        assert sending.limit_s == limit_s


async def test_a_burst_ends_at_the_channels_limit() -> None:
    async with on_the_air() as air:
        anna, ben = [await air.radio(name, replace(OPUS, max_tx_secs=1)) for name in ("Anna", "Ben")]
        anna.session.press()
        await air.talk({anna: tone(440, 1.0)})
        await air.step()
        await anna.ended(50)
        await air.pause(0.7)
        assert anna.session.snapshot().sending is None
        assert "may last 1 second" in anna.notice
        assert ben.talkers == []


async def test_a_talker_who_vanishes_is_let_go() -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna"), await air.radio("Ben")
        anna.session.press()
        await air.talk({anna: tone(440, 0.3)})
        assert ben.talkers == ["Anna"]
        await air.pause(0.5)
        ben.session.press()  # the channel is free again
        assert ben.talkers == []
        assert ben.session.snapshot().sending is not None
        await air.pause(1.5)
        assert level_dbfs(part(ben.heard, 0.8, 1.0)) == float("-inf")
        assert ben.session._listening is not None
        assert len(ben.session._listening._receiving) == 0


@pytest.mark.parametrize("lost_s", [0.6, 1.2, 2.6])
async def test_a_burst_that_comes_again_after_a_lost_link_is_heard_to_its_end(lost_s: float) -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna"), await air.radio("Ben")
        said = tone(440, 3.0, 0.25)
        anna.session.press()
        await air.talk({anna: said[:14_400]})
        ben.drops = frozenset(range(ben.came.value, ben.came.value + round(lost_s * 50)))
        await air.talk({anna: tone(440, lost_s, 0.25)})
        ben.forget()
        await air.talk({anna: said})
        assert ben.talkers == ["Anna"]
        for from_s in (0.4, 1.4, 2.4):
            heard = part(ben.heard, from_s, from_s + 0.6)
            assert abs(level_dbfs(heard) - level_dbfs(said)) < 1.5
        assert gaps_ms(part(ben.heard, 0.4)) == []


async def test_who_talks_for_longer_than_the_mission_lets_anybody_be_heard_is_not_heard_any_more() -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna"), await air.radio("Ben", max_rx_secs=1)
        said = tone(440, 1.6, 0.25)
        anna.session.press()
        await air.talk({anna: said})
        assert ben.talkers == []
        assert ben.notice == "Anna talks on, and nobody is heard on this channel for more than 1 second."
        assert level_dbfs(part(ben.heard, 0.3, 0.9)) == pytest.approx(level_dbfs(said), abs=1.5)
        assert level_dbfs(part(ben.heard, 1.3)) == float("-inf")
        ben.session.press()  # who is not heard is in nobody's way
        await air.talk({ben: tone(660, 0.1, 0.25)})
        sending = ben.session.snapshot().sending
        assert sending is not None
        assert sending.limit_s == 1.0  # the others of the mission hear no more either
        await air.release(ben)
        await air.release(anna)
        assert ben.notice == ""
        (burst,) = [one for one in ben.bursts if not one.own]
        assert burst.seconds == pytest.approx(1.0, abs=0.03)


async def test_a_format_that_nobody_can_play_is_said_once_and_counted() -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna"), await air.radio("Ben")
        seal = protection(anna.session.id.group, derive_key(KEY)).seal
        header = BurstHeader("Olga", b"o" * 16)
        before = ben.changes
        for number in range(5):
            packet = ChannelPacket(number, number * 160, 77, number == 0, 99, b"sound", header if not number else None)
            anna.link.send(seal(packet.to_bytes(), anna.wall_s + air.now), air.now)
            await air.settle()
        assert ben.notice == "Olga talks in a format that Parley cannot play (payload type 99)."
        assert ben.changes == before + 2  # who talks, and that
        assert ben.session.figures().refused == 5
        assert ben.talkers == ["Olga"]
        await air.pause(1.0)
        ben.session.release()  # looks at the time: she is silent
        assert (ben.talkers, ben.notice) == ([], "")


async def test_what_was_recorded_before_somebody_came_is_not_played_to_them_again() -> None:
    async with on_the_air() as air:
        anna, eve = await air.radio("Anna"), await air.radio("Eve", key=None)
        await say(air, anna, tone(440, 0.3, 0.25))
        recorded = list(anna.datagrams)
        await air.pause(0.6)
        ben = await air.radio("Ben")
        ben.came.add(anna.sent.value)
        ben.wall_s += 3_600.0
        for datagram in recorded:
            eve.link.send(datagram, air.now)
            await air.step()
        assert ben.talkers == []
        assert level_dbfs(ben.heard) == float("-inf")
        assert ben.notice == "Anna is not heard: their clock is 60 minutes behind this machine's, or it is a recording."
        assert ben.session.figures().refused == len(recorded)
        await air.pause(6.1)
        assert ben.notice == ""
        anna.wall_s += 3_600.0  # of the same time again, they are heard
        ben.forget()
        await say(air, anna, tone(440, 0.3, 0.25))
        assert level_dbfs(part(ben.heard, 0.1, 0.25)) > -20


async def test_damaged_and_foreign_datagrams_are_counted_and_harm_nothing() -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna", key=None), await air.radio("Ben", key=None)
        for datagram in (b"\0", b"\x80", b"\1" + bytes(40), b"\x90" + bytes(11), bytes(4096)):
            anna.link.send(datagram, air.now)
        await air.settle()
        assert ben.session.figures().refused == 5
        await say(air, anna, tone(440, 0.3))
        assert level_dbfs(part(ben.heard, 0.1, 0.25)) > -20


async def test_a_burst_is_not_cut_into_crumbs_whatever_the_mission_wants() -> None:
    async with on_the_air() as air:
        crumbs = TimelineOptions(max_audio_time_ms=1)
        anna, ben = await air.radio("Anna", timeline=crumbs), await air.radio("Ben", timeline=crumbs)
        await say(air, anna, tone(440, 1.6, 0.25))
        for one in (anna, ben):
            assert [burst.seconds for burst in one.bursts] == [pytest.approx(1.0), pytest.approx(0.6)]


async def test_bursts_are_handed_over_as_they_came() -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna"), await air.radio("Ben")
        await say(air, anna, tone(440, 0.6, 0.25))
        for one, own in ((anna, True), (ben, False)):
            (burst,) = one.bursts
            assert (burst.alias, burst.own, burst.node_id) == ("Anna", own, b"\1" * 16)
            assert burst.channels == (one.session.id,)
            assert burst.seconds == pytest.approx(0.6)
            assert len(burst.packets) == 30
            assert burst.began_wall == pytest.approx(1_100.0, abs=0.05)
            assert 20 < len(burst.levels) <= 64
            assert max(burst.levels) > 150
            codecs = receivable(burst.encoder, burst.custom_payload_type)
            decoder = make_decoder(codecs[burst.packets[0].payload_type])
            sound = np.concatenate([decoder.decode(packet.payload) for packet in burst.packets])
            assert frequency_hz(part(sound, 0.1, 0.5)) == pytest.approx(440, abs=5)
        assert anna.bursts[0].packets == ben.bursts[0].packets


async def test_volume_mute_and_what_a_call_asks_for() -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna"), await air.radio("Ben")
        levels = []
        anna.session.press()
        for change in (
            lambda: None,
            lambda: ben.session.set_volume(0.5),
            lambda: ben.session.set_ducking(0.2),
            lambda: ben.session.set_muted(True),
        ):
            change()
            ben.forget()
            await air.talk({anna: tone(440, 0.3, 0.25)})
            levels.append(level_dbfs(part(ben.heard, 0.15, 0.3)))
        usual, half, ducked, muted = levels
        assert half - usual == pytest.approx(20 * math.log10(0.5), abs=1)
        assert ducked - usual == pytest.approx(20 * math.log10(0.1), abs=1)
        assert muted == float("-inf")
        ben.session.set_muted(False)
        ben.session.set_volume(1.0)
        anna.session.press(emergency=True)  # which is heard whatever a call asks for
        await air.talk({anna: tone(440, 0.3, 0.25)})
        ben.forget()
        await air.talk({anna: tone(440, 0.1, 0.25)})
        assert level_dbfs(ben.heard) == pytest.approx(usual, abs=1)


async def test_the_voice_begins_a_burst_with_what_it_said_first() -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna"), await air.radio("Ben")
        anna.session.set_mode(TalkMode.VOICE)
        anna.session.press()
        assert anna.session.snapshot().armed
        said = recorded_speech()[0][: 2 * 48_000]
        room = np.random.default_rng(1).normal(0, 8, 48_000).astype(np.int16)
        await air.listen(anna, room)
        assert anna.sent.value == 0
        await air.listen(anna, said)
        assert ben.talkers == ["Anna"]
        await air.listen(anna, room)
        (own,) = anna.bursts
        await anna.ended(len(own.packets))
        await air.pause(0.7)
        assert anna.session.snapshot().armed
        (burst,) = ben.bursts
        assert 2.3 < burst.seconds < 3.0  # a pause belongs to it
        assert speech_score(said, ben.heard) > 3.3


async def test_the_microphone_is_wanted_as_long_as_the_key_may_go_down() -> None:
    async with on_the_air() as air:
        anna = await air.radio("Anna")
        assert anna.wanted == [True]
        anna.session.set_ready(False)
        assert not anna.session.capturing
        anna.session.press()
        await air.talk({anna: tone(440, 0.1)})
        await air.release(anna)
        assert anna.wanted == [True, False, True, False]


async def test_a_channel_that_cannot_be_sent_on_is_heard_and_says_why_it_is_mute() -> None:
    async with on_the_air() as air:
        anna = await air.radio("Anna", replace(OPUS, encoder=EncoderId.GSM_FULL_RATE))
        assert anna.wanted == []
        anna.session.press()
        assert anna.session.snapshot().sending is None
        assert anna.notice == anna.session.why_mute
        assert "GSM full rate is heard, but not sent" in anna.notice


async def test_a_burst_is_ended_when_the_channel_is_left() -> None:
    async with on_the_air() as air:
        anna, ben = await air.radio("Anna"), await air.radio("Ben")
        anna.session.press()
        await air.talk({anna: tone(440, 0.2)})
        await anna.session.close()
        await ben.came.reach(anna.sent.value)
        assert ben.talkers == []
        assert [burst.own for burst in anna.bursts] == [True]
        assert anna.wanted == [True, False]
