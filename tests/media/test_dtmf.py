"""Keys of a telephone: from what is dialled to packets, and from packets to keys whatever gets lost."""

from __future__ import annotations

import itertools
import random
import struct

import pytest

from app.digits import KEYS, MOST_KEYS, keys_of
from app.media.dtmf import EventPacket, KeyReceiver, KeySender


def dial(keys: str, clock_rate: int = 8_000) -> list[tuple[int, EventPacket]]:
    """Give every packet with the frame in which it leaves."""
    sender = KeySender()
    sender.press(keys)
    packets = []
    for frame in range(2_000):
        if sender.is_idle:
            return packets
        packets += [(frame, packet) for packet in sender.next_frame(clock_rate) or ()]
    raise AssertionError("the keys never ended")


def stamp(frame: int, packet: EventPacket, clock_rate: int = 8_000) -> int:
    """The timestamp a packet gets on a time line near its wrap."""
    return ((frame - packet.begun_frames) * clock_rate // 50 + 0xFFFF_FE00) & 0xFFFF_FFFF


@pytest.mark.parametrize("clock_rate", [8_000, 48_000])
def test_a_key_is_a_row_of_packets_that_ends_three_times(clock_rate: int) -> None:
    packets = [packet for _, packet in dial("5", clock_rate)]
    fields = [struct.unpack("!BBH", packet.payload) for packet in packets]
    assert {code for code, _, _ in fields} == {5}
    assert [packet.marker for packet in packets] == [True] + [False] * (len(packets) - 1)
    lengths = [duration for _, _, duration in fields]
    assert lengths == sorted(lengths)
    assert lengths[-1] == clock_rate * 160 // 1_000
    assert [bool(flags & 0x80) for _, flags, _ in fields] == [False] * (len(fields) - 3) + [True] * 3
    assert len(set(lengths[-3:])) == 1
    assert [packet.begun_frames for packet in packets] == list(range(len(packets)))


def test_all_keys_arrive_in_their_order() -> None:
    receiver = KeyReceiver()
    heard = [receiver.take(stamp(frame, packet), packet.payload, frame * 0.02) for frame, packet in dial(KEYS + "11")]
    assert "".join(key for key in heard if key) == KEYS + "11"


@pytest.mark.parametrize("seed", range(10))
def test_loss_duplicates_and_disorder_change_nothing_while_one_packet_of_each_comes(seed: int) -> None:
    rng, packets = random.Random(seed), dial("0042*#")
    arriving = []
    for _, group in itertools.groupby(packets, key=lambda pair: pair[0] - pair[1].begun_frames):
        of_key = list(group)
        kept = [pair for pair in of_key if rng.random() > 0.5] or [rng.choice(of_key)]
        arriving += [pair for pair in kept for _ in range(rng.choice((1, 1, 2)))]
    for index in range(0, len(arriving) - 1, 3):
        one, two = arriving[index : index + 2]
        if one[0] - one[1].begun_frames == two[0] - two[1].begun_frames:
            arriving[index : index + 2] = [two, one]
    receiver = KeyReceiver()
    heard = [receiver.take(stamp(frame, packet), packet.payload, frame * 0.02) for frame, packet in arriving]
    assert "".join(key for key in heard if key) == "0042*#"


def test_a_straggler_of_an_older_key_is_no_key() -> None:
    receiver = KeyReceiver()
    assert receiver.take(1_000, bytes((1, 10, 0, 160)), 0.0) == "1"
    assert receiver.take(3_000, bytes((2, 10, 0, 160)), 0.2) == "2"
    assert receiver.take(1_000, bytes((1, 0x8A, 0, 160)), 0.21) is None
    assert receiver.take(900, bytes((7, 0x8A, 0, 160)), 0.22) is None


def test_a_key_that_is_held_for_long_is_one_key() -> None:
    receiver = KeyReceiver()
    assert receiver.take(0, bytes((9, 10, 0xFF, 0xFF)), 0.0) == "9"
    assert receiver.take(0xFFFF, bytes((9, 10, 0x10, 0)), 8.0) is None
    assert receiver.take(0xFFFF, bytes((9, 0x8A, 0x20, 0)), 9.0) is None
    assert receiver.take(0x1_1FFF, bytes((9, 10, 0, 160)), 10.0) == "9"


def test_a_flood_of_keys_is_bounded() -> None:
    receiver = KeyReceiver()
    heard = [receiver.take(number * 80, bytes((1, 10, 0, 80)), number * 0.001) for number in range(1_000)]
    assert sum(key is not None for key in heard) <= 25


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x01\x0a\x00", b"\x10\x0a\x00\xa0", b"\xff\xff\xff\xff"])
def test_what_is_no_key_is_passed_over(payload: bytes) -> None:
    assert KeyReceiver().take(0, payload, 0.0) is None


def test_a_comma_lets_the_voice_go_for_two_seconds() -> None:
    sender = KeySender()
    sender.press("1,2")
    frames = [sender.next_frame(8_000) for _ in range(130)]
    voice = [index for index, packets in enumerate(frames) if packets is None]
    assert len(voice) >= 100
    assert voice[0] == 13
    assert frames[113] != ()
    assert sender.is_idle


@pytest.mark.parametrize(
    ("text", "named"), [("12x4", "'X'"), ("", "no key"), ("  ", "no key"), ("5" * 300, "300"), ("1;2", "';'")]
)
def test_what_cannot_be_dialled_is_named(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        keys_of(text)


def test_what_can_be_dialled() -> None:
    assert keys_of(" 12 34# ,*a ") == "1234#,*A"
    sender = KeySender()
    for _ in range(3):
        sender.press("1" * MOST_KEYS)
    assert not sender.is_idle
