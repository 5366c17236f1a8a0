"""How a voice is sent over paths that lose, narrow, and widen again; and what peers say that they can take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.media.allocation import PACKET_OVERHEAD_BYTES
from app.media.audio_choice import (
    CLEAN_BPS,
    FINE_BPS,
    FULL_HZ,
    NARROW_HZ,
    REPEATED_BPS,
    SUPERWIDE_HZ,
    WIDE_HZ,
    AudioChooser,
    PeerLimits,
)
from app.media.codecs import OPUS, PCMU
from app.media.plan import CodecPlan

PLAIN = PeerLimits()
REPEATS = PeerLimits(takes_repeats=True)


def opus(*parameters: tuple[str, str]) -> CodecPlan:
    return replace(OPUS, fmtp=parameters)


def on_the_wire(chooser: AudioChooser) -> float:
    choice = chooser.choice
    return choice.bitrate_bps * (1 + choice.repeats) + PACKET_OVERHEAD_BYTES * 8_000 / choice.packet_ms


def test_a_good_path_gets_the_full_band() -> None:
    choice = AudioChooser(REPEATS).choice
    assert (choice.bitrate_bps, choice.bandwidth_hz, choice.packet_ms, choice.repeats) == (CLEAN_BPS, FULL_HZ, 20, 0)
    assert choice.loss_percent > 0


@pytest.mark.parametrize("room", [20_000, 30_000, 45_000, 60_000, 90_000, 150_000, 300_000])
@pytest.mark.parametrize("loss", [0, 5, 20])
def test_never_more_than_the_room_is_used(room: int, loss: int) -> None:
    chooser = AudioChooser(REPEATS)
    for _ in range(5):
        chooser.reported(loss)
    chooser.allot(room)
    assert on_the_wire(chooser) <= room


def test_packets_grow_where_headers_would_take_the_room_and_not_to_and_fro() -> None:
    chooser, lengths = AudioChooser(PLAIN), []
    for room in (300_000, 50_000, 40_000, 50_000, 45_000, 55_000, 60_000, 50_000):
        chooser.allot(room)
        lengths.append(chooser.choice.packet_ms)
    assert lengths == [20, 20, 60, 60, 60, 60, 20, 20]
    chooser.allot(30_000)
    assert chooser.choice.bandwidth_hz == WIDE_HZ


@pytest.mark.parametrize("most_bps", [6_000, 16_000, 20_000])
def test_a_peer_that_wants_a_low_rate_over_a_wide_path_waits_no_longer_for_it(most_bps: int) -> None:
    chooser = AudioChooser(PeerLimits(most_bps=most_bps))
    wish = chooser.wish()
    assert wish.least_bps <= wish.first_bps <= wish.most_bps
    chooser.allot(wish.most_bps)  # all that was asked for
    assert (chooser.choice.packet_ms, chooser.choice.bitrate_bps) == (20, most_bps)
    lengths = []
    for share in (0.97, 0.9, 0.97, 1.0):
        chooser.allot(int(wish.most_bps * share))
        lengths.append(chooser.choice.packet_ms)
    assert lengths == [20, 60, 60, 20]  # where the path is shorter than that, and not to and fro


def test_what_a_voice_needs_least_always_goes() -> None:
    chooser = AudioChooser(PLAIN)
    chooser.allot(1_000)
    assert chooser.choice.bitrate_bps >= 6_000


def test_loss_brings_repeats_and_they_stay_until_it_is_well_over() -> None:
    chooser, repeats = AudioChooser(REPEATS), []
    for loss in (0, 2, 0, 6, 6):
        chooser.reported(loss)
        repeats.append(chooser.choice.repeats)
    assert repeats == [0, 0, 0, 2, 2]
    assert chooser.choice.bitrate_bps == REPEATED_BPS
    for _ in range(4):
        chooser.reported(30)
    assert chooser.choice.repeats == 3
    for _ in range(4):
        chooser.reported(8)
    assert chooser.choice.repeats == 3
    for _ in range(60):
        chooser.reported(0)
    assert chooser.choice == AudioChooser(REPEATS).choice


def test_where_nothing_is_lost_and_there_is_room_a_voice_gets_finer() -> None:
    chooser = AudioChooser(replace(REPEATS, may_ask=True))
    chooser.allot(300_000)
    assert chooser.choice.bitrate_bps == CLEAN_BPS  # nobody has said yet that nothing is lost
    chooser.reported(0)
    assert (chooser.choice.bitrate_bps, chooser.choice.loss_percent) == (FINE_BPS, 0)
    assert chooser.wish().most_bps > 1.5 * chooser.wish().first_bps
    chooser.reported(4)
    assert chooser.choice.bitrate_bps <= CLEAN_BPS
    assert chooser.choice.loss_percent > 0
    assert chooser.wish().most_bps == chooser.wish().first_bps


def test_a_finer_voice_keeps_its_redundancy_where_nothing_else_brings_back_what_is_lost() -> None:
    chooser = AudioChooser(PLAIN)
    chooser.allot(300_000)
    chooser.reported(0)
    assert chooser.choice.bitrate_bps == FINE_BPS
    assert chooser.choice.loss_percent > 0


def test_who_asks_for_what_it_misses_gets_whole_packets_and_repeats_only_where_much_is_lost() -> None:
    chooser = AudioChooser(replace(REPEATS, may_ask=True))
    for _ in range(5):
        chooser.reported(9, is_asked=True)
    assert (chooser.choice.bitrate_bps, chooser.choice.repeats) == (CLEAN_BPS, 0)
    assert chooser.choice.bandwidth_hz == FULL_HZ
    for _ in range(5):
        chooser.reported(25, is_asked=True)
    assert chooser.choice.repeats == 3
    chooser = AudioChooser(replace(REPEATS, may_ask=True))
    for _ in range(5):
        chooser.reported(9)  # it agreed to ask, and does not
    assert chooser.choice.repeats > 0


def test_what_is_asked_for_again_needs_room_too() -> None:
    chooser = AudioChooser(PLAIN)
    for _ in range(20):
        chooser.reported(10, is_asked=True)
    chooser.allot(80_000)
    assert on_the_wire(chooser) * 1.2 <= 80_000
    assert chooser.wish().most_bps > AudioChooser(PLAIN).wish().most_bps


def test_repeats_ask_for_more_room_and_do_without_it() -> None:
    chooser = AudioChooser(REPEATS)
    before = chooser.wish().most_bps
    for _ in range(5):
        chooser.reported(15)
    assert chooser.wish().most_bps > before
    chooser.allot(72_000)
    assert chooser.choice.repeats == 1
    chooser.allot(62_000)
    assert chooser.choice.repeats == 0
    assert chooser.choice.loss_percent > 10


def test_without_repeats_loss_is_met_by_fec_in_the_band_of_the_voice() -> None:
    chooser = AudioChooser(PLAIN)
    for _ in range(5):
        chooser.reported(15)
    assert chooser.choice.repeats == 0
    assert chooser.choice.bandwidth_hz == WIDE_HZ
    assert 12 <= chooser.choice.loss_percent <= 15


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ((("maxaveragebitrate", "16000"),), {"most_bps": 16_000}),
        ((("maxaveragebitrate", "200"),), {"most_bps": 6_000}),
        ((("maxaveragebitrate", "many"),), {"most_bps": 510_000}),
        ((("maxplaybackrate", "8000"),), {"most_hz": NARROW_HZ}),
        ((("maxplaybackrate", "16000"),), {"most_hz": WIDE_HZ}),
        ((("maxplaybackrate", "24000"),), {"most_hz": SUPERWIDE_HZ}),
        ((("maxplaybackrate", "48000"),), {"most_hz": FULL_HZ}),
        ((("useinbandfec", "1"),), {"takes_fec": True}),
        ((("useinbandfec", "0"),), {"takes_fec": False}),
        ((), {"takes_fec": False, "most_bps": 510_000, "usual_ms": 20, "longest_ms": 120}),
    ],
)
def test_what_a_peer_says_of_its_opus_counts(parameters: tuple[tuple[str, str], ...], expected: dict[str, int]) -> None:
    limits = PeerLimits.of(opus(*parameters))
    assert {name: getattr(limits, name) for name in expected} == expected
    chooser = AudioChooser(limits)
    assert chooser.choice.bitrate_bps <= limits.most_bps
    assert chooser.choice.bandwidth_hz <= limits.most_hz


@pytest.mark.parametrize(
    ("ptime", "maxptime", "usual", "longest"),
    [
        *[(None, None, 20, 120), (30, None, 20, 120), (60, None, 60, 120), (10, None, 10, 120), (5, 5, 10, 10)],
        *[(None, 20, 20, 20), (None, 40, 20, 40), (120, 100, 60, 100)],
    ],
)
def test_packet_lengths_are_the_peers_wish_within_what_it_takes(
    ptime: int | None, maxptime: int | None, usual: int, longest: int
) -> None:
    limits = PeerLimits.of(PCMU, ptime_ms=ptime, maxptime_ms=maxptime)
    assert (limits.usual_ms, limits.longest_ms) == (usual, longest)
    assert AudioChooser(limits).choice.packet_ms == usual


def test_a_peer_that_takes_no_long_packets_gets_none() -> None:
    chooser = AudioChooser(PeerLimits(longest_ms=20))
    chooser.allot(30_000)
    assert chooser.choice.packet_ms == 20


def test_a_codec_of_one_rate_asks_for_just_that() -> None:
    chooser = AudioChooser(PeerLimits.of(PCMU))
    wish = chooser.wish()
    assert wish.least_bps == wish.most_bps == 64_000 + PACKET_OVERHEAD_BYTES * 400
    chooser.allot(30_000)
    assert chooser.choice.packet_ms == 20
