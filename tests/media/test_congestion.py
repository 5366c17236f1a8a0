"""Calls over narrow wires on a virtual clock: how much is sent, how long packets wait, who gets what."""

from __future__ import annotations

import pytest

from app.media.send_side import DEAF_S
from tests.media.narrow import Call, Clock, Wire, pair

NARROW, WIDE = 300_000, 2_000_000


def test_a_call_fills_a_wide_wire_within_a_second() -> None:
    clock, wire, back = pair(5_000_000)
    call = Call(clock, wire, back)
    clock.run(8)
    assert call.estimate(1) > 1_500_000
    assert call.rate(1, 8) > 1_500_000
    assert wire.longest_wait(0, 8) < 0.02
    assert call.picture.key_frames == 1


def test_a_wide_wire_is_calm_and_a_picture_goes_out_in_two_or_three_steps() -> None:
    clock, wire, back = pair(5_000_000)
    call = Call(clock, wire, back, picture_bps=900_000)
    clock.run(3)
    looked, calm = [3 + 0.0013 * step for step in range(1_500)], 0
    for at in looked:
        clock.run(at)
        calm += call.side.is_calm(at)
    assert calm > 0.6 * len(looked)
    steps = {at for at, _ in wire.waits if at > 3}
    seconds = looked[-1] - 3
    assert len(steps) < (50 + 3.1 * call.picture.fps) * seconds + 10
    wire.rate_bps = back.rate_bps = 200_000
    clock.run(looked[-1] + 0.3)
    assert not call.side.is_calm(clock.now)


def test_asking_whether_it_is_calm_changes_nothing() -> None:
    def run(*, asks: bool) -> list[float]:
        clock, wire, back = pair(5_000_000)
        call = Call(clock, wire, back, picture_bps=900_000)
        held_back = []
        for step in range(2_500):
            clock.run(step * 0.002)
            if step == 1_500:
                wire.rate_bps = 200_000
            if asks:
                call.side.is_calm(clock.now)
            held_back.append(call.side._held_back_at)
        return held_back

    assert run(asks=True) == run(asks=False)


@pytest.mark.parametrize("rate", [150_000, NARROW, 1_000_000])
def test_a_narrow_wire_is_used_well_and_no_queue_stands(rate: float) -> None:
    clock, wire, back = pair(rate)
    call = Call(clock, wire, back)
    clock.run(20)
    assert 0.85 * rate < call.rate(3, 20) < rate
    assert wire.longest_wait(3, 20) < 0.2
    assert call.worst_sound(3, 20) < 0.25
    assert call.rate(3, 20, pictures=False) > 0.75 * min(64_000, rate / 2)


def test_a_wire_that_is_squeezed_and_widened_is_followed_both_ways() -> None:
    clock, wire, back = pair(WIDE)
    call = Call(clock, wire, back, picture_bps=1_000_000)
    clock.run(8)
    wire.rate_bps = back.rate_bps = NARROW
    clock.run(16)
    wire.rate_bps = back.rate_bps = WIDE
    clock.run(28)
    assert call.rate(4, 8) > 0.9 * 1_000_000
    assert wire.longest_wait(8, 16) < 0.45  # what was on its way when it happened
    assert wire.longest_wait(8.7, 16) < 0.2
    assert call.rate(9, 16) > 0.8 * NARROW
    assert call.rate(22, 28) > 0.9 * 1_000_000
    assert not call.side.figures(clock.now).paused
    sound_lost = call.sound_sent - len(call.sound_delays)
    assert sound_lost <= 5  # none but those on their way now


def test_pictures_pause_where_there_is_room_for_sound_only_and_come_back_by_themselves() -> None:
    clock, wire, back = pair(NARROW)
    call = Call(clock, wire, back)
    clock.run(6)
    wire.rate_bps = back.rate_bps = 80_000
    clock.run(16)
    assert call.side.figures(clock.now).paused
    assert call.picture.bps == 0
    assert call.worst_sound(9, 16) < 0.3
    assert call.rate(9, 16, pictures=False) > 50_000
    wire.rate_bps = back.rate_bps = 400_000
    clock.run(26)
    assert call.rate(22, 26, pictures=True) > 200_000
    assert call.picture.key_frames == 2


def test_a_queue_of_few_packets_is_not_overrun() -> None:
    clock, wire, back = pair(1_000_000, queue_bytes=9_000)
    call = Call(clock, wire, back)
    clock.run(15)
    assert call.rate(3, 15) > 800_000
    assert wire.lost < 0.01 * len(call.received)


@pytest.mark.parametrize("loss", [0.05, 0.10])
def test_loss_that_is_not_of_our_making_does_not_starve_the_picture(loss: float) -> None:
    clock, wire, back = pair(WIDE, loss=loss)
    call = Call(clock, wire, back)
    clock.run(20)
    assert call.rate(5, 20) > 1_000_000


@pytest.mark.parametrize("burst", [1, 5])
@pytest.mark.parametrize("loss", [0.1, 0.2])
def test_loss_takes_nothing_from_sound_that_repairs_itself_by_repeats(loss: float, burst: int) -> None:
    clock, wire, back = pair(WIDE, loss=loss, burst=burst)
    call = Call(clock, wire, back, with_picture=False, sound_bps=154_000)
    clock.run(40)
    assert min(bps for _, bps in call.sound.told) > 140_000


def test_jitter_is_not_taken_for_a_queue() -> None:
    clock, wire, back = pair(WIDE, jitter_s=0.02)
    call = Call(clock, wire, back)
    clock.run(15)
    assert call.rate(3, 15) > 1_200_000


def test_jitter_both_ways_takes_little_from_a_call_that_fits() -> None:
    clock = Clock()
    wire, back = (Wire(clock, 5_000_000, jitter_s=0.02, seed=seed) for seed in (2, 7))
    call = Call(clock, wire, back, picture_bps=900_000, seed=2)
    clock.run(15)
    assert call.rate(3, 15) > 830_000


def test_a_calm_call_is_told_of_once_a_picture_and_often_when_the_wire_narrows() -> None:
    clock, wire, back = pair(5_000_000)
    call = Call(clock, wire, back, picture_bps=900_000)
    clock.run(4)
    before = call.told
    clock.run(8)
    assert 4 * (call.picture.fps - 2) < call.told - before < 4 * (call.picture.fps + 3)
    wire.rate_bps = 400_000
    before = call.told
    clock.run(8.4)
    assert call.told - before > 0.4 * call.picture.fps


def test_two_calls_share_a_wire() -> None:
    clock, wire, back = pair(1_000_000)
    calls = [Call(clock, wire, back, seed=number, begin=5 * number) for number in range(2)]
    clock.run(35)
    first, second = (call.rate(15, 35) for call in calls)
    assert 0.5 < first / second < 2
    assert first + second > 800_000
    assert sorted(wait for at, wait in wire.waits if at > 15)[int(-0.05 * len(wire.waits))] < 0.2


def test_other_traffic_is_given_way_to_and_its_place_is_taken_again() -> None:
    clock, wire, back = pair(WIDE)
    call = Call(clock, wire, back)
    until = 16.0

    def other() -> None:
        if 8 <= clock.now < until:
            wire.carry(1_200, lambda: None)

    clock.every(1_200 * 8 / 1_500_000, other)
    clock.run(30)
    assert 250_000 < call.rate(10, 16) < 600_000
    assert wire.longest_wait(10, 16) < 0.25
    assert call.rate(25, 30) > 1_500_000


def test_without_retransmissions_to_probe_with_the_rate_still_grows() -> None:
    clock, wire, back = pair(1_000_000)
    call = Call(clock, wire, back, with_rtx=False)
    clock.run(25)
    assert call.rate(18, 25) > 600_000


@pytest.mark.parametrize(("rate", "least"), [(1_000_000, 60_000), (40_000, 30_000)])
def test_a_voice_call_keeps_to_its_wire(rate: float, least: float) -> None:
    clock, wire, back = pair(rate)
    call = Call(clock, wire, back, with_picture=False)
    clock.run(20)
    assert call.rate(3, 20) > least
    assert call.worst_sound(6, 20) < 0.25


def test_sound_with_repeats_gives_way_to_a_wire_that_is_too_narrow_for_it() -> None:
    clock, wire, back = pair(80_000, queue_bytes=3_000)
    call = Call(clock, wire, back, with_picture=False, sound_bps=154_000)
    clock.run(20)
    assert wire.longest_wait(5, 20) < 0.25
    sound_lost = call.sound_sent - len(call.sound_delays)
    assert sound_lost < 0.05 * call.sound_sent


def test_a_peer_that_tells_nothing_is_sent_to_by_its_reports() -> None:
    clock, wire, back = pair(WIDE)
    call = Call(clock, wire, back)
    call.feedback_works = False
    clock.every(1.0, lambda: call.side.report("1", 0.0, 0.05, clock.now), 1.0)
    clock.run(DEAF_S - 0.1)
    assert call.side.figures(clock.now).source == "transport-cc"
    clock.run(10)
    assert call.side.figures(clock.now).source == "loss"
    assert call.rate(6, 10) > 1_400_000
    call.side.remb(500_000, clock.now)
    clock.run(15)
    assert call.side.figures(clock.now).source == "remb"
    assert 400_000 < call.rate(11, 15) < 550_000


def test_silence_of_the_peer_lets_the_picture_rest_and_sound_go_on() -> None:
    clock, wire, back = pair(WIDE)
    call = Call(clock, wire, back)
    clock.run(6)
    call.feedback_works = False
    clock.run(11)
    assert call.rate(8, 11, pictures=False) > 20_000
    assert call.rate(8, 11, pictures=True) < 100_000
    call.feedback_works = True
    clock.run(22)
    assert call.rate(18, 22) > 1_000_000


def test_another_path_is_learned_anew() -> None:
    clock, wire, back = pair(WIDE)
    call = Call(clock, wire, back)
    clock.run(6)
    wire.rate_bps = back.rate_bps = 500_000
    wire.delay_s = back.delay_s = 0.15
    call.side.moved(clock.now)
    clock.run(15)
    assert call.rate(10, 15) > 400_000
    assert wire.longest_wait(8, 15) < 0.25


def test_a_limit_that_the_peer_asks_for_is_kept() -> None:
    clock, wire, back = pair(WIDE)
    call = Call(clock, wire, back)
    clock.run(4)
    call.side.limit("1", 200_000, clock.now)
    clock.run(8)
    assert call.rate(5, 8, pictures=True) < 250_000
    call.side.limit("1", None, clock.now)
    clock.run(12)
    assert call.rate(9, 12, pictures=True) > 1_000_000


def test_a_limit_of_a_large_window_is_not_to_blame_for_a_narrow_wire() -> None:
    clock, wire, back = pair(400_000)
    call = Call(clock, wire, back)
    call.side.limit("1", 2_000_000, clock.now)
    clock.run(4)
    assert not call.picture.held_by_peer
    call.side.limit("1", 100_000, clock.now)
    assert call.picture.held_by_peer
    call.side.limit("1", None, clock.now)
    assert not call.picture.held_by_peer


def test_the_beginning_on_a_wire_for_little_more_than_sound_lets_no_voice_wait_for_long() -> None:
    clock, wire, back = pair(100_000)
    call = Call(clock, wire, back)
    clock.run(10)
    assert call.worst_sound(0, 1) < 0.6  # what left before anything was known
    assert call.worst_sound(1, 2) < 0.4
    assert call.worst_sound(2, 10) < 0.2


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_loss_from_the_first_packet_on_does_not_hide_how_wide_the_wire_is(seed: int) -> None:
    clock, wire, back = pair(5_000_000, loss=0.10, seed=seed)
    call = Call(clock, wire, back, seed=seed)
    clock.run(12)
    assert call.rate(7, 12) > 1_000_000


def test_pictures_that_another_call_has_driven_out_come_back_beside_it() -> None:
    clock, wire, back = pair(400_000)
    calls = [Call(clock, wire, back, seed=40 + number, begin=5 * number) for number in range(2)]
    clock.run(30)
    pictures = [call.rate(25, 30, pictures=True) for call in calls]
    assert min(pictures) > 0.4 * max(pictures)


@pytest.mark.parametrize("seed", [3, 4])
def test_two_calls_on_one_wire_do_not_drive_each_others_pictures_out(seed: int) -> None:
    clock = Clock()
    wire, back = Wire(clock, 400_000, seed=seed), Wire(clock, 400_000, seed=seed + 1)
    calls = [Call(clock, wire, back, seed=7 * seed + number, begin=5 * number) for number in range(2)]
    clock.run(30)
    pictures = [call.rate(15, 30, pictures=True) for call in calls]
    assert min(pictures) > 0.5 * max(pictures)
    assert max(call.worst_sound(8, 30) for call in calls) < 0.2
