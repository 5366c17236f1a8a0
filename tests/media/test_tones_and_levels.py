"""The phone's own tones, the level meter, and the ring of samples between a device and its reader."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media import tones
from app.media.channel_tones import TALK_PERMIT_S, ChannelTone, channel_tone
from app.media.levels import LevelMeter
from app.media.sample_ring import SampleRing
from tests.heard import frequency_hz, level_dbfs, part, share_at


@pytest.mark.parametrize("sound", [tones.ring, tones.ringback, tones.busy, tones.call_ended])
def test_tones_begin_and_end_softly_and_never_clip(sound: object) -> None:
    samples = sound()  # type: ignore[operator]
    assert samples.dtype == np.int16
    assert abs(int(samples[0])) < 50
    assert abs(int(samples[-1])) < 50
    assert 1000 < np.abs(samples.astype(int)).max() < 20_000
    with pytest.raises(ValueError, match="read-only"):
        samples[0] = 1


def test_ringback_and_busy_have_their_frequency_and_rhythm() -> None:
    for samples, on_s, period_s in ((tones.ringback(), 1.0, 5.0), (tones.busy(), 0.5, 1.0)):
        assert samples.size == period_s * 48000
        assert frequency_hz(part(samples, 0.05, on_s - 0.05)) == pytest.approx(425, abs=1)
        assert not np.any(part(samples, on_s))


def test_the_meter_follows_the_last_quarter_second_and_the_whole() -> None:
    meter = LevelMeter()
    assert meter.recent_dbfs is None
    assert meter.overall_dbfs is None
    loud = tones.sine(1000, 0.02 * 20, peak=0.5).reshape(20, 960)
    for frame in loud:
        meter.add(frame)
    assert meter.recent_dbfs == pytest.approx(level_dbfs(loud.ravel()), abs=0.5)
    for _ in range(20):
        meter.add(np.zeros(960, np.int16))
    assert meter.recent_dbfs is None
    assert meter.overall_dbfs == pytest.approx(level_dbfs(loud.ravel()) - 3.01, abs=0.1)


@given(st.lists(st.tuples(st.sampled_from(["write", "read", "drop"]), st.integers(0, 70)), max_size=40))
def test_the_ring_is_a_bounded_queue(steps: list[tuple[str, int]]) -> None:
    ring, model, counter = SampleRing(50), [], 0
    for action, count in steps:
        if action == "write":
            samples = np.arange(counter, counter + count, dtype=np.int16)
            counter += count
            ring.write(samples)
            model = [*model, *samples.tolist()][-50:]
        elif action == "read":
            target = np.zeros(count, np.int16)
            got = ring.read_into(target)
            assert target[:got].tolist() == model[:count]
            model = model[got:]
        else:
            assert ring.drop_to(count) == max(0, len(model) - count)
            model = model[-count:] if count else []
        assert len(ring) == len(model)


@pytest.mark.parametrize(
    ("key", "low", "high"), [("1", 697, 1209), ("5", 770, 1336), ("#", 941, 1477), ("D", 941, 1633)]
)
def test_a_key_sounds_as_its_two_tones(key: str, low: float, high: float) -> None:
    sound = tones.key_tones(key)[: round(tones.KEY_S * 48_000)]
    assert share_at(sound, low, 40) == pytest.approx(0.5, abs=0.08)
    assert share_at(sound, high, 40) == pytest.approx(0.5, abs=0.08)


def test_keys_sound_one_after_the_other_and_a_comma_is_silent() -> None:
    assert tones.key_tones("1,2").size == 3 * tones.key_tones("1").size
    assert not tones.key_tones(",").any()
    assert tones.key_tones("").size == 0


@pytest.mark.parametrize("kind", ChannelTone)
def test_a_talk_key_tone_is_short_soft_and_shared(kind: ChannelTone) -> None:
    sound = channel_tone(kind)
    assert sound is channel_tone(kind)
    assert sound.dtype == np.int16
    assert not sound.flags.writeable
    assert abs(int(sound[0])) < 50
    assert abs(int(sound[-1])) < 50
    assert 3000 < np.abs(sound.astype(int)).max() < 16_000
    assert sound.size <= 0.7 * 48_000


def test_a_talk_key_may_be_told_by_ear() -> None:
    half = round(TALK_PERMIT_S / 2 * 48_000)
    permit, end = channel_tone(ChannelTone.PERMIT), channel_tone(ChannelTone.END)
    assert permit.size == round(TALK_PERMIT_S * 48_000) <= 4800
    assert _crossings(permit[:half]) < _crossings(permit[half:])
    assert _crossings(end[: end.size // 2]) > _crossings(end[end.size // 2 :])
    assert frequency_hz(channel_tone(ChannelTone.REFUSED)) < 300


def _crossings(samples: np.ndarray) -> int:
    return int(np.count_nonzero(np.diff(np.signbit(samples))))
