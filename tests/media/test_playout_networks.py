"""The jitter buffer on made-up networks: loss, bursts, stalls, clocks that differ, packets of every length."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from app.media.jitter import LONGEST_DELAY_S
from tests.media.playout_lab import Heard, Sent, listen, packets

WIRE_S = 0.020
Network = Callable[[Sent], Iterable[float]]


def even(packet: Sent) -> list[float]:
    return [packet.at + WIRE_S]


def losing(share: float, seed: int = 1, from_s: float = 0.0, to_s: float = 1e9) -> Network:
    rng = random.Random(seed)
    return lambda packet: [] if from_s <= packet.at < to_s and rng.random() < share else even(packet)


def without(*numbers: int) -> Network:
    return lambda packet: [] if packet.number - 70_000 in numbers else even(packet)


def jittering(most_s: float, seed: int = 1, from_s: float = 0.0, to_s: float = 1e9) -> Network:
    rng = random.Random(seed)
    return lambda packet: [
        packet.at + WIRE_S + (rng.uniform(0, most_s) if from_s <= packet.at < to_s else rng.uniform(0, 0.001))
    ]


@pytest.mark.parametrize("packet_ms", [10, 20, 40, 60, 120])
def test_packets_of_any_length_are_played_whole(packet_ms: int) -> None:
    heard = listen(packets(10, packet_ms), even, seconds=10)
    assert heard.steepest() < 1.02
    assert heard.quiet_ms() == 0
    assert heard.playout.concealed_samples == 0
    assert heard.delay_ms(5, 9.5) < 35


@pytest.mark.parametrize("packet_ms", [10, 20, 40, 60])
def test_a_lost_packet_comes_back_from_the_next_one(packet_ms: int) -> None:
    lost = range(200, 200 + 30 * 25, 25)
    heard = listen(packets(1_000 * packet_ms / 1000, packet_ms), without(*lost), seconds=packet_ms)
    playout = heard.playout
    assert playout.loss_runs + playout.concealed_samples // (packet_ms * 48) >= 30
    assert playout.recovered_samples >= 28 * packet_ms * 48  # the first ones teach that it is worth waiting for
    assert playout.concealed_samples <= 2 * packet_ms * 48
    assert heard.steepest() < 1.5
    assert heard.delay_ms(0.9 * packet_ms - 1, 0.9 * packet_ms) < packet_ms + 35


@pytest.mark.parametrize("packet_ms", [20, 60])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_of_several_lost_packets_the_last_is_recovered_and_those_before_concealed(packet_ms: int, count: int) -> None:
    first = 150
    gone = (100, *range(first, first + count))
    heard = listen(packets(200 * packet_ms / 1000, packet_ms), without(*gone), seconds=200 * packet_ms / 1000)
    made = heard.decoder.made
    samples = packet_ms * 48
    last = max(index for index, (what, _) in enumerate(made) if what == "recover")
    assert made[last] == ("recover", samples)
    assert made[last + 1] == ("decode", samples)
    concealed = 0
    while made[last - 1][0] == "conceal":
        last, concealed = last - 1, concealed + made[last - 1][1]
    assert concealed == (count - 1) * samples
    assert heard.steepest(2) < 1.5
    assert heard.playout.unrecovered <= count


def test_without_redundancy_loss_adds_no_delay() -> None:
    heard = listen(packets(20), losing(0.1), seconds=20, redundancy=False)
    assert heard.delay_ms(10, 19) < 35
    assert heard.playout.recovered_samples == 0
    assert heard.steepest() < 2
    assert heard.quiet_ms() <= 60


@pytest.mark.parametrize("share", [0.05, 0.10, 0.20])
def test_random_loss_leaves_no_gap(share: float) -> None:
    heard = listen(packets(30), losing(share), seconds=30)
    assert heard.quiet_ms() <= 60
    assert heard.steepest() < 2
    assert heard.delay_ms(20, 29) < 60
    lost_ms = 30_000 * share
    assert heard.playout.recovered_samples / 48 > lost_ms * (1 - share) * 0.85
    assert heard.playout.concealed_samples / 48 < lost_ms * share * 1.3 + 160


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("packet_ms", [10, 20, 60])
def test_after_two_seconds_of_heavy_loss_the_delay_is_back_within_ten_seconds(seed: int, packet_ms: int) -> None:
    heard = listen(packets(26, packet_ms), losing(0.3, seed, 10, 12), seconds=26)
    before = heard.delay_ms(6, 10)
    assert heard.delay_ms(21.5, 22) < before + 20
    assert heard.delay_ms(24, 25.5) < before + 12
    assert max(heard.delays) < LONGEST_DELAY_S + 0.020


@pytest.mark.parametrize("stall_s", [0.1, 0.28, 0.6, 1.5])
def test_a_stall_is_worked_off(stall_s: float) -> None:
    def stalled(packet: Sent) -> list[float]:
        at = packet.at + WIRE_S
        return [max(at, 8 + stall_s) if at >= 8 else at]

    heard = listen(packets(26), stalled, seconds=26)
    before = heard.delay_ms(5, 8)
    assert heard.delay_ms(8 + stall_s + 2, 8 + stall_s + 3) < max(before, 1000 * min(stall_s, 0.160)) + 40
    assert heard.delay_ms(24, 25.5) < before + 12
    assert heard.steepest(8.5 + stall_s) < 2


def test_of_a_packet_that_is_far_too_late_no_more_is_played_once_a_newer_one_is_here() -> None:
    """The end of a stall brings 120 ms of old sound, and what follows it in time comes a moment later."""

    def stalled(packet: Sent) -> list[float]:
        number = packet.number - 70_000
        return even(packet) if number < 25 or number > 40 else [packet.at + 1.32] if number == 30 else []

    heard = listen(packets(12, 120), stalled, seconds=12)
    assert max(heard.delays) > 1.0
    assert max(heard.behind) < LONGEST_DELAY_S


@pytest.mark.parametrize("earlier_ms", [5, 6, 7, 8, 9])
def test_no_frame_is_kept_for_the_last_few_milliseconds_of_a_target(earlier_ms: int) -> None:
    """Frames and packets have 20 ms each: what is played slower for with the less is not kept after the more."""
    uneven = jittering(0.08, 3, 10, 12)
    heard = listen(packets(32), lambda packet: [at - earlier_ms / 1000 for at in uneven(packet)], seconds=32)
    assert heard.delay_ms(31, 31.5) < 30
    assert heard.delay_ms(9, 10) < 30
    assert heard.steepest(12) < 1.1
    assert heard.playout.expanded_samples / 48 < 250


def test_sound_without_any_period_comes_down_with_its_delay_as_well() -> None:
    """Of noise, or of music, no part is like another one."""
    noise = np.random.default_rng(1).normal(0, 3_000, 30 * 48_000).astype(np.int16)
    heard = listen(packets(28), jittering(0.08, 3, 8, 10), seconds=28, draw=lambda at, count: noise[at : at + count])
    assert heard.delay_ms(9, 10) > 70
    assert heard.delay_ms(24, 26) < 45


def test_a_call_that_begins_unevenly_is_soon_played_with_little_delay() -> None:
    heard = listen(packets(14), jittering(0.12, 3, 0, 1.5), seconds=14)
    assert heard.delay_ms(1, 1.5) > 60
    assert heard.delay_ms(5, 6) < 45
    assert heard.steepest(2) < 2


@pytest.mark.parametrize("at_once", [1, 2, 3])
@pytest.mark.parametrize("most_s", [0.005, 0.030, 0.080])
def test_uneven_packets_are_waited_for_and_no_more_than_that(most_s: float, at_once: int) -> None:
    heard = listen(packets(30), jittering(most_s), seconds=30, at_once=at_once)
    assert heard.playout.concealed_samples / 48 < 30_000 * 0.02
    assert heard.delay_ms(20, 29) < 1000 * most_s + 20 * at_once + 30
    assert heard.steepest(2) < 2


def test_after_uneven_packets_the_delay_comes_down_slowly_without_a_click() -> None:
    heard = listen(packets(30), jittering(0.08, 3, 0, 10), seconds=30)
    assert heard.delay_ms(8, 10) > 70
    assert heard.delay_ms(25, 29) < 40
    assert heard.steepest(12) < 1.1
    assert heard.quiet_ms(12) == 0


@pytest.mark.parametrize("ppm", [-300, 300])
@pytest.mark.parametrize("whose", ["sender", "card"])
def test_a_clock_that_is_not_ours_is_followed_for_as_long_as_it_takes(ppm: int, whose: str) -> None:
    """Three minutes at 300 ppm are 54 ms: what is not compensated is heard long before."""
    clock, minutes = 1 + ppm * 1e-6, 3
    sent = packets(minutes * 60, clock=clock if whose == "sender" else 1.0)
    heard = listen(sent, even, seconds=minutes * 60 - 1, card=1.0 if whose == "sender" else clock)
    assert max(heard.delays[50:]) < 0.050
    assert heard.playout.concealed_samples <= 960
    assert heard.steepest() < 1.1
    assert heard.quiet_ms() == 0
    if whose == "sender":
        assert heard.playout.drift_ppm == pytest.approx(ppm, abs=5)


def test_packets_that_come_twice_or_out_of_order_are_played_once_and_in_order() -> None:
    rng = random.Random(2)

    def shuffled(packet: Sent) -> list[float]:
        at = packet.at + WIRE_S + rng.choice([0.0, 0.0, 0.0, 0.025, 0.045])
        return [at, at + rng.choice([0.0, 0.01, 0.3])]

    heard = listen(packets(15), shuffled, seconds=15)
    assert heard.playout.concealed_samples / 48 < 400
    assert heard.steepest(3) < 1.5
    assert heard.quiet_ms(3) == 0
    assert heard.delay_ms(10, 14) < 90


def test_silence_of_the_sender_is_not_loss_and_costs_no_delay() -> None:
    """With DTX numbers go on where they were; one packet every 400 ms may come in between."""
    sent, number = [], 70_000
    for packet in packets(30):
        at = packet.at % 5
        if at < 3 or at % 0.4 < 0.02:
            sent.append(replace(packet, number=number))
            number += 1
    heard = listen(sent, even, seconds=30)
    assert heard.playout.unrecovered == heard.playout.recovered_samples == 0
    assert heard.playout.concealed_samples / 48 <= 40
    assert heard.delay_ms(26, 27.9) < 40


@pytest.mark.parametrize("jump_s", [-30.0, -1.0, 0.5, 30.0])
def test_a_time_line_that_jumps_costs_a_moment(jump_s: float) -> None:
    jump = int(jump_s * 48_000)
    sent = [
        packet if packet.at < 5 else replace(packet, timestamp=(packet.timestamp + jump) & 0xFFFF_FFFF)
        for packet in packets(15)
    ]
    heard = listen(sent, even, seconds=15)
    assert heard.quiet_ms(5.7, 14.5) == 0
    assert heard.delay_ms(12, 14.5) < 45
    assert heard.steepest(5.7, 14.5) < 1.5


def test_another_source_begins_without_a_click() -> None:
    heard = listen(packets(2), even, seconds=2)
    playout = heard.playout
    playout.reset()
    frames = [heard.sound]
    for packet in packets(2):
        now = 10 + packet.at
        playout.push(packet.number + 500, packet.timestamp + 12_345, 111, packet.payload, now)
        frames.append(playout.next_frame(now + 0.001))
    again = Heard(playout, heard.decoder, np.concatenate(frames))
    assert again.steepest(1.5) < 2
    assert again.quiet_ms(2.1) == 0


@pytest.mark.timeout(300)  # it computes, and waits for nothing: a busy machine only takes longer
@settings(max_examples=12, deadline=None, phases=(Phase.generate,))
@given(
    seed=st.integers(0, 2**32),
    packet_ms=st.sampled_from([10, 20, 40, 60, 120]),
    share=st.floats(0, 0.6),
    jitter_s=st.floats(0, 0.3),
    twice=st.floats(0, 0.3),
    stall_s=st.floats(0, 3),
    ppm=st.floats(-500, 500),
    at_once=st.sampled_from([1, 2, 5]),
)
def test_whatever_a_network_does_the_call_is_whole_again_soon_after_it(
    seed: int,
    packet_ms: int,
    share: float,
    jitter_s: float,
    twice: float,
    stall_s: float,
    ppm: float,
    at_once: int,
) -> None:
    """8 s of anything, then 14 s of peace: the delay is small again, and every sound is there."""
    rng = random.Random(seed)
    stall_at = rng.uniform(1, 5)

    def network(packet: Sent) -> list[float]:
        at = packet.at + WIRE_S
        if packet.at >= 8:
            return [at]
        if rng.random() < share:
            return []
        at += rng.uniform(0, jitter_s)
        if stall_at <= at < stall_at + stall_s:
            at = stall_at + stall_s
        return [at, at + 0.1] if rng.random() < twice else [at]

    heard = listen(packets(24, packet_ms, clock=1 + ppm * 1e-6), network, seconds=22, at_once=at_once)
    assert heard.sound.shape == (22 * 48_000,)
    # Older sound is played only where nothing newer has come.
    assert max(heard.behind) < LONGEST_DELAY_S + 0.02 * at_once
    # What came after its time again and again is remembered: 36 ms are kept for 20 s (MOST_TOO_LATE_S in delay.py).
    assert heard.delay_ms(21, 22) < 45 + 20 * at_once
    assert heard.quiet_ms(15, 22) == 0
    assert heard.steepest(15, 22) < 1.5


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(65_536, 65_600),
            st.one_of(st.integers(0, 0xFFFF_FFFF), st.integers(0, 100_000)),
            st.sampled_from([480, 960, 2_880, 5_760]),
            st.integers(0, 2),
        ),
        max_size=120,
    )
)
def test_no_row_of_packets_breaks_it(rows: list[tuple[int, int, int, int]]) -> None:
    heard = listen([], even, seconds=0.1)
    playout, now = heard.playout, 1.0
    for number, timestamp, samples, frames in rows:
        playout.push(number, timestamp, 111, struct.pack("!qi", timestamp, samples), now)
        for _ in range(frames):
            now += 0.020
            frame = playout.next_frame(now)
            assert frame.shape == (960,)
            assert frame.dtype == np.int16
