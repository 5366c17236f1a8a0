"""Damaged datagrams into a channel: 5,000 of them, with the long profile of `make fuzz` a million of its own.

FUZZ_INPUTS chooses another number and FUZZ_SEED other inputs; a failure names seed and number, which bring it back.
"""

from __future__ import annotations

import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.channels.channel_codecs import make_decoder, receivable
from app.channels.codec_frames import amr_frames, g729_frames, gsm_frames, pack_amr, speex_frames
from app.channels.encoders import EncoderId
from app.media.errors import PacketError
from app.media.jitter import Playout
from tests.fuzz.channel_packets import ChannelTarget
from tests.fuzz.long_run import fuzz

_DEFAULT = 1_000_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 5_000
INPUTS = int(os.environ.get("FUZZ_INPUTS", _DEFAULT))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
CODECS = receivable(EncoderId.OPUS_24)


@pytest.mark.timeout(0)
def test_damaged_datagrams_neither_crash_a_channel_nor_make_it_grow(capsys: pytest.CaptureFixture[str]) -> None:
    figures = fuzz(ChannelTarget, INPUTS, SEED)
    with capsys.disabled():
        print(f"\n{figures}")


@given(st.binary(max_size=300))
def test_any_payload_is_cut_into_frames_or_refused(payload: bytes) -> None:
    for cut in (amr_frames, g729_frames, gsm_frames, speex_frames):
        with contextlib.suppress(PacketError):
            frames = cut(payload)
            assert 0 < len(frames) <= 12
            if cut is amr_frames:
                assert amr_frames(pack_amr(frames)) == frames


@given(
    st.lists(st.tuples(st.sampled_from(sorted(CODECS)), st.integers(0, 2**32 - 1), st.binary(max_size=80)), max_size=40)
)
def test_any_mix_of_codecs_makes_frames_of_20_ms(packets: list[tuple[int, int, bytes]]) -> None:
    playout = Playout(CODECS, decoder_for=make_decoder)
    for step, (payload_type, timestamp, payload) in enumerate(packets):
        payload = b"\xd0" + payload[:32].ljust(32, b"\0") if payload_type == 3 else payload
        playout.push(65_536 + step, timestamp, payload_type, payload, step * 0.02)
        assert playout.next_frame(step * 0.02).shape == (960,)
