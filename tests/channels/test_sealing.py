"""Sealed channels: vectors, what is refused, nonces that do not repeat, replays, and what may be remembered."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.channels import sealing
from app.channels.channel_keys import channel_key
from app.channels.errors import AgeError, ReplayError, SealError
from app.channels.packet import BurstHeader, ChannelPacket
from app.channels.sealing import (
    KEY_ROUNDS,
    KEY_SALT,
    MOST_BYTES,
    OVERHEAD_BYTES,
    TICKS_A_S,
    WINDOW,
    Opener,
    Sealer,
    derive_key,
    protection,
)

PASSWORD = "84788DD4A5883EE1311E1A04F704BC650A2A2AA82805931A5EE4B0EA9C4B1DEF"
GROUP = "{07ce82ac-7a73-5691-bed9-18d4b354c817}"
KEY = bytes(range(32))
# Of "sound" with prefix 1 and counter 0; docs/channels-packets.md has it too.
VECTOR = "010000000000000001000000004264111355a9adc4263dc22e269ad90b844fddc654"


def counting() -> Callable[[int], bytes]:
    """Random bytes that are 1, 2, 3 …"""
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size)


def sealed(count: int, size: int = 40) -> list[bytes]:
    sealer = Sealer(KEY, GROUP)
    return [sealer.seal(number.to_bytes(4) + bytes(size), number / TICKS_A_S) for number in range(count)]


def test_the_key_is_pbkdf2_over_the_text_as_written() -> None:
    block = hmac.digest(PASSWORD.encode(), KEY_SALT + b"\0\0\0\1", "sha256")
    total = int.from_bytes(block)
    for _ in range(KEY_ROUNDS - 1):
        block = hmac.digest(PASSWORD.encode(), block, "sha256")
        total ^= int.from_bytes(block)
    assert derive_key(PASSWORD) == total.to_bytes(32)
    assert derive_key(PASSWORD.lower()) != derive_key(PASSWORD)
    assert len(KEY_SALT) == 16


@pytest.mark.parametrize("password", ["", "x" * 1_025])
async def test_a_key_that_can_be_none_is_refused(password: str) -> None:
    with pytest.raises(SealError, match="1 to 1024 bytes"):
        await channel_key(password)


async def test_a_key_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    key = await channel_key("made once")
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", None)
    assert await channel_key("made once") == key


def test_the_layout() -> None:
    sealer = Sealer(KEY, GROUP, random_bytes=counting())
    first, second = sealer.seal(b"sound", 0.0), sealer.seal(b"sound", 0.0)
    assert first.hex() == VECTOR
    assert second[:13].hex() == "01 0000000000000001 00000001".replace(" ", "")
    assert len(first) == len(b"sound") + OVERHEAD_BYTES
    assert OVERHEAD_BYTES == 29


@given(st.binary(max_size=300))
def test_what_was_sealed_is_opened(datagram: bytes) -> None:
    data = Sealer(KEY, GROUP).seal(datagram, 0.0)
    assert Opener(KEY, GROUP.strip("{}").upper()).open(data, 0.0, 0.0) == datagram


def test_nothing_of_a_packet_is_to_be_seen() -> None:
    header = BurstHeader("Ann of the north", b"sixteen bytes id")
    # No zeros in the numbers: the count before the seal begins with them.
    numbers = 0x6D31, 0x7A1B5C9E, 0x93E2D4F7
    datagram = ChannelPacket(*numbers, True, 111, b"what was said here", header).to_bytes()
    data = Sealer(KEY, GROUP).seal(datagram, 0.0)
    assert not any(datagram[at : at + 4] in data for at in range(len(datagram) - 3))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_byte_is_opened(at: int, change: int) -> None:
    data = bytearray(Sealer(KEY, GROUP).seal(b"some sound", 0.0))
    data[at % len(data)] ^= change
    opener = Opener(KEY, GROUP)
    with pytest.raises(SealError):
        opener.open(bytes(data), 0.0, 0.0)
    assert len(opener) == 0


@given(st.binary(max_size=100))
def test_what_strangers_send_is_refused_and_nothing_is_kept_of_it(data: bytes) -> None:
    opener = Opener(KEY, GROUP)
    for each in (data, b"\x01" + data):
        with pytest.raises(SealError):
            opener.open(each, 0.0, 0.0)
    assert len(opener) == 0


@pytest.mark.parametrize(("key", "group"), [(bytes(32), GROUP), (KEY, "95dad4a9-4f46-5daa-91aa-acd6322c81a5")])
def test_another_key_or_another_channel_opens_nothing(key: bytes, group: str) -> None:
    with pytest.raises(SealError, match="another key or for another channel"):
        Opener(key, group).open(sealed(1)[0], 0.0, 0.0)


def test_sealed_and_clear_channels_refuse_each_other() -> None:
    datagram = ChannelPacket(1, 2, 3, True, 111, b"sound").to_bytes()
    with_key, without = protection(GROUP, KEY), protection(GROUP, None)
    assert (with_key.is_sealed, without.is_sealed) == (True, False)
    assert with_key.open(protection(GROUP, KEY).seal(datagram, 0.0), 0.0, 0.0) == datagram
    assert without.open(without.seal(datagram, 0.0), 0.0, 0.0) == datagram == without.seal(datagram, 0.0)
    with pytest.raises(SealError, match="is encrypted, and what came is not"):
        with_key.open(datagram, 0.0, 0.0)
    with pytest.raises(SealError, match="is not encrypted, and what came is"):
        without.open(with_key.seal(datagram, 0.0), 0.0, 0.0)


def test_a_nonce_is_never_used_twice_by_a_sealer() -> None:
    sealer = Sealer(KEY, GROUP, random_bytes=counting(), ticks_a_prefix=3)
    nonces = [sealer.seal(b"", 0.0)[1:13].hex() for _ in range(7)]
    assert nonces == [f"{prefix:016x}{counter:08x}" for prefix in (1, 2, 3) for counter in range(3)][:7]


@given(st.lists(st.sampled_from([-1e6, -40.0, -0.5, -0.02, 0.0, 0.001, 0.02, 60.0, 1e8]), min_size=2, max_size=200))
def test_a_nonce_is_never_used_twice_whatever_the_clock_does(steps: list[float]) -> None:
    sealer, unix_s, nonces = Sealer(KEY, GROUP, random_bytes=counting()), 1.7e9, []
    for step in steps:
        unix_s += step
        nonces.append(sealer.seal(b"", unix_s)[1:13])
    assert len(set(nonces)) == len(nonces)


def test_a_receiver_that_has_just_started_takes_nothing_that_was_sealed_long_ago() -> None:
    sealer, sealed_at = Sealer(KEY, GROUP), 1.7e9
    recorded = sealer.seal(b"fire", sealed_at)
    for after_s in (0.0, 299.0, -299.0):
        assert Opener(KEY, GROUP).open(recorded, 0.0, sealed_at + after_s) == b"fire"
    started = Opener(KEY, GROUP)
    for after_s in (301.0, 86_400.0, 365 * 86_400.0, -301.0):
        with pytest.raises(AgeError) as refused:
            started.open(recorded, 0.0, sealed_at + after_s)
        assert (refused.value.datagram, refused.value.behind_s) == (b"fire", pytest.approx(after_s, abs=0.02))
    assert len(started) == 0  # and remembers nothing of it
    with pytest.raises(SealError) as damaged:
        started.open(recorded[:-1] + bytes((recorded[-1] ^ 1,)), 0.0, sealed_at + 301.0)
    assert not isinstance(damaged.value, AgeError)


def test_a_sender_whose_clock_is_set_goes_on_to_be_heard() -> None:
    opener = Opener(KEY, GROUP)
    sealer, unix_s = Sealer(KEY, GROUP), 1.7e9
    for step_s in (0.02, 0.02, -1.0, 0.02, -200.0, 0.02, 280.0, 0.02, 0.0, 0.0, 2.0):
        unix_s += step_s
        assert opener.open(sealer.seal(b"on", unix_s), 0.0, 1.7e9) == b"on"


def test_the_time_in_a_nonce_goes_around_unheard() -> None:
    around = sealing._CYCLE / TICKS_A_S
    sealer, opener = Sealer(KEY, GROUP), Opener(KEY, GROUP)
    packets = [sealer.seal(bytes((number,)), 20 * around - 1 + number / TICKS_A_S) for number in range(100)]
    assert len({packet[1:9] for packet in packets}) == 1
    assert [opener.open(one, 0.0, 20 * around)[0] for one in packets] == list(range(100))
    with pytest.raises(ReplayError):
        opener.open(packets[99], 0.0, 20 * around)


def test_a_restart_and_another_channel_begin_with_another_prefix() -> None:
    prefixes = {Sealer(KEY, group).seal(b"", 0.0)[1:9] for group in (GROUP, "other") for _ in range(500)}
    assert len(prefixes) == 1_000


def test_a_new_prefix_at_the_wrap_is_taken_for_a_sender_like_any_other() -> None:
    sealer, opener = Sealer(KEY, GROUP, ticks_a_prefix=2), Opener(KEY, GROUP)
    assert [opener.open(sealer.seal(bytes((at,)), 0.0), 0.0, 0.0) for at in range(5)] == [
        bytes((at,)) for at in range(5)
    ]
    assert len(opener) == 3


def test_each_datagram_is_opened_once_in_whatever_order_they_come() -> None:
    packets, opener = sealed(50), Opener(KEY, GROUP)
    order = [*range(0, 50, 2), *range(49, 0, -2)]
    for number in order:
        assert opener.open(packets[number], 0.0, 0.0)[:4] == number.to_bytes(4)
    for packet in packets:
        with pytest.raises(ReplayError):
            opener.open(packet, 1.0, 0.0)


@given(st.lists(st.integers(0, 3 * WINDOW), max_size=60))
def test_whatever_comes_is_opened_at_most_once(numbers: list[int]) -> None:
    opened: set[int] = set()
    opener = Opener(KEY, GROUP)
    for number in numbers:
        may = number not in opened and number > max(opened, default=0) - WINDOW
        try:
            opener.open(_MANY[number], 0.0, 0.0)
        except ReplayError:
            assert not may
        else:
            assert may
            opened.add(number)


_MANY = sealed(3 * WINDOW + 1, 0)


def test_what_is_older_than_the_window_is_refused() -> None:
    opener = Opener(KEY, GROUP)
    opener.open(_MANY[WINDOW], 0.0, 0.0)
    opener.open(_MANY[1], 0.0, 0.0)
    with pytest.raises(ReplayError, match="far too late"):
        opener.open(_MANY[0], 0.0, 0.0)


def test_a_replay_with_a_changed_counter_does_not_move_the_window() -> None:
    opener, packet = Opener(KEY, GROUP), _MANY[0]
    with pytest.raises(SealError):
        opener.open(packet[:9] + b"\xff\xff\xff\xff" + packet[13:], 0.0, 0.0)
    assert opener.open(packet, 0.0, 0.0)


def test_senders_are_bounded_in_number_and_who_was_heard_longest_ago_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sealing, "MOST_PREFIXES", 3)
    senders, opener = [Sealer(KEY, GROUP) for _ in range(4)], Opener(KEY, GROUP)
    kept = [sender.seal(b"", 0.0) for sender in senders]
    for packet in kept[:3]:
        opener.open(packet, 0.0, 0.0)
    opener.open(senders[0].seal(b"", 0.0), 1.0, 0.0)
    opener.open(kept[3], 2.0, 0.0)
    assert len(opener) == 3
    for number in (0, 2, 3):
        with pytest.raises(ReplayError):
            opener.open(kept[number], 3.0, 0.0)
    opener.open(kept[1], 3.0, 0.0)  # forgotten


def test_senders_are_forgotten_with_age() -> None:
    opener = Opener(KEY, GROUP)
    opener.open(Sealer(KEY, GROUP).seal(b"", 0.0), 0.0, 0.0)
    opener.open(Sealer(KEY, GROUP).seal(b"", 0.0), sealing.FORGET_AFTER_S + 1, 0.0)
    assert len(opener) == 1


def test_what_is_too_long_is_refused_on_both_sides() -> None:
    sealer = Sealer(KEY, GROUP)
    assert Opener(KEY, GROUP).open(sealer.seal(bytes(MOST_BYTES), 0.0), 0.0, 0.0) == bytes(MOST_BYTES)
    with pytest.raises(SealError, match="4096 is the most"):
        sealer.seal(bytes(MOST_BYTES + 1), 0.0)
    with pytest.raises(SealError, match="too long"):
        Opener(KEY, GROUP).open(b"\x01" + bytes(10_000), 0.0, 0.0)


def test_a_key_of_another_size_is_refused() -> None:
    with pytest.raises(SealError, match="32 bytes, not 16"):
        Sealer(bytes(16), GROUP)
