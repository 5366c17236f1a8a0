"""The detector of doubled and lost words finds each of them in what Opus made of the sound, and nothing else."""

from __future__ import annotations

import random

import numpy as np
import pytest

from app.channels.channel_codecs import make_decoder, make_encoder, receivable
from app.channels.encoders import EncoderId
from app.media.stretch import HISTORY, lengthen
from tests.channels.words import NUMBERS, WORD_S, Band, Heard, doubled, longest_silence_s, missing, words_in
from tests.heard import RATE_HZ, Samples

BANDS = LOW, HIGH = Band(2_000.0), Band(3_900.0)
WORD = round(WORD_S * RATE_HZ)
FIRST = 330  # on the way numbers begin to sound like those of before
PACKET = 960


def by_opus(sound: Samples) -> list[bytes]:
    """Give the packets of 20 ms that a channel at 24 kb/s would send."""
    encoder = make_encoder(EncoderId.OPUS_24, 20, is_sealed=True)
    return [payload for at in range(0, sound.size, 480) for payload in encoder.add(sound[at : at + 480])]


def decoded(packets: list[bytes | None]) -> Samples:
    """Give what is heard of packets; None is one that was lost."""
    (codec,) = [one for one in receivable(EncoderId.OPUS_24, -1).values() if one.name.lower() == "opus"]
    decoder = make_decoder(codec)
    return np.concatenate([decoder.conceal(PACKET) if one is None else decoder.decode(one) for one in packets])


@pytest.fixture(scope="module")
def sent() -> dict[Band, list[bytes]]:
    """Twenty words of each of two people."""
    return {band: by_opus(band.words(range(FIRST, FIRST + 20))) for band in BANDS}


@pytest.fixture(scope="module")
def packets(sent: dict[Band, list[bytes]]) -> list[bytes]:
    """The lower one's."""
    return sent[LOW]


def numbers(words: list[Heard]) -> list[int]:
    return [word.number - FIRST for word in words]


def test_two_who_talk_at_once_are_both_heard_whole(sent: dict[Band, list[bytes]]) -> None:
    together = decoded([*sent[LOW]]) + decoded([*sent[HIGH]])
    for band in BANDS:
        words = words_in(together, band)
        assert numbers(words) == list(range(20))
        assert (doubled(words), missing(words)) == ([], [])
        assert longest_silence_s(words, 0.2, 3.8) < 0.05


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("count", [10, 20])  # packets: one word, two
@pytest.mark.parametrize("behind", [0, 5, 35])
def test_one_doubled_word_is_found_wherever_it_comes_again(
    sent: dict[Band, list[bytes]], band: Band, count: int, behind: int
) -> None:
    packets, end = sent[band], 40 + count
    words = words_in(decoded([*packets[: end + behind], *packets[40:end], *packets[end + behind :]]), band)
    assert doubled(words), numbers(words)


@pytest.mark.parametrize("at", range(40, 50))
def test_a_doubled_word_is_found_wherever_it_is_cut(packets: list[bytes], at: int) -> None:
    words = words_in(decoded([*packets[: at + 10], *packets[at:]]), LOW)
    assert doubled(words), numbers(words)


@pytest.mark.parametrize("at", range(40, 50))
def test_lost_words_are_named_and_nothing_is_called_doubled(packets: list[bytes], at: int) -> None:
    words = words_in(decoded([*packets[:at], *[None] * 20, *packets[at + 20 :]]), LOW)
    assert doubled(words) == []
    gone = [number - FIRST for number, _ in missing(words)]
    assert gone
    assert set(gone) <= {4, 5, 6}
    assert 0.25 < longest_silence_s(words, 0.2, 3.8) < 0.5
    cut = words_in(decoded([*packets[:40], *packets[60:]]), LOW)
    assert [number - FIRST for number, _ in missing(cut)] == [4, 5]


def test_lost_and_late_packets_double_nothing(packets: list[bytes]) -> None:
    rng = random.Random(5)
    for _ in range(5):
        received = [None if rng.random() < 0.1 else one for one in packets]
        assert doubled(words_in(decoded(received), LOW)) == []


def test_prolonged_sound_is_no_doubled_word(packets: list[bytes]) -> None:
    sound = decoded([*packets])
    heard = sound[:PACKET]
    for at in range(PACKET, sound.size, PACKET):
        longer = lengthen(heard[-HISTORY:], sound[at : at + PACKET], -1.0)
        heard = np.concatenate([heard, sound[at : at + PACKET] if longer is None else longer])
    assert heard.size > sound.size * 1.1
    words = words_in(heard, LOW)
    assert (doubled(words), missing(words)) == ([], [])


def test_numbers_go_on_after_those_that_sound_the_same() -> None:
    sound = np.concatenate([LOW.words([0, 1]), np.zeros(round(NUMBERS * WORD_S * RATE_HZ) - 2 * WORD, np.int16)])
    words = words_in(np.concatenate([sound, LOW.words([0, 1])]), LOW)
    assert [word.number for word in words] == [0, 1, NUMBERS, NUMBERS + 1]
    assert words_in(np.zeros(480, np.int16), LOW) == []
