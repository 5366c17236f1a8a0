"""A call both ways over a wire that is squeezed and widened, on a virtual clock: what each part of it does.

Both sides send sound and a film: the sending side with its pacer and estimate, the choice of how sound is encoded, the
ladder of picture sizes, and the jitter buffer at the far end are the real ones; frames of a film have made-up sizes, as
an encoder with a constant bitrate gives them. Feedback goes back over the squeezed wire, between the far end's media.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from app.media.allocation import BitrateWish
from app.media.audio_choice import AudioChooser, PeerLimits
from app.media.codecs import OPUS
from app.media.jitter import Playout
from app.media.ladder import LEAST_BPS, Ladder, Thinning, most_bitrate, rungs
from app.media.pacer import Outgoing, Urgency
from app.media.packetizing import Packetizer
from app.media.speech import Sound, make_encoder
from app.media.video_send import MOST_BACKLOG_S, on_the_wire, payload_of
from tests.media.narrow import Call, Clock, Source, Wire
from tests.media.playout_lab import HZ, PEAK, DrawingDecoder

WIDE, NARROW = 2_000_000, 300_000
KEY_BITS_PER_PIXEL = 0.35  # of a whole picture, at least: an encoder can make no less of it
FRAME_S = 0.020


class TonePayload(DrawingDecoder):
    """Reads packets of `VoiceSource` without speech: media time and length, then nothing up to their size."""

    def sample_count(self, payload: bytes) -> int:
        return super().sample_count(payload[:12])

    def decode(self, payload: bytes) -> Sound:
        return super().decode(payload[:12])

    def recover(self, following: bytes, samples: int) -> Sound | None:
        return super().recover(following[:12], samples)


@dataclass
class VoiceSource(Source):
    """Sound as AudioStream sends it, of recorded speech or of a made-up tone, and the far end's buffer."""

    speech: Sound | None = None
    heard: list[Sound] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    invented: list[int] = field(default_factory=list)  # samples so far, at each frame

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sender.clock_rate = 48_000
        self.chooser = AudioChooser(PeerLimits.of(OPUS))
        self._frame = 0
        self._waiting = 0
        self._packetizer = Packetizer(OPUS, make_encoder(OPUS)) if self.speech is not None else None
        decoder = TonePayload()
        self.playout = Playout({96: OPUS}) if self.speech is not None else Playout({96: OPUS}, lambda _: decoder)
        self._sequence = 70_000
        self._payloads: dict[int, tuple[int, bytes]] = {}

    def wish(self) -> BitrateWish:
        return self.chooser.wish()

    def allot(self, bps: int, now: float) -> None:
        super().allot(bps, now)
        self.chooser.allot(bps)

    def work(self) -> None:
        for media, payload in self._encoded():
            data = self.sender.packet(96, False, media, payload, self.call.clock.now)
            self._payloads[int.from_bytes(data[2:4])] = media, payload
            self.call.side.put([Outgoing(data, self.sender, Urgency.SOUND, self._left)], self.call.clock.now)

    def _encoded(self) -> Iterable[tuple[int, bytes]]:
        index, self._frame = self._frame, self._frame + 1
        choice = self.chooser.choice
        if self._packetizer is not None and self.speech is not None:
            frame = self.speech[index * 960 : index * 960 + 960]
            if len(frame) < 960:
                frame = np.zeros(960, np.int16)
            return [(made.media_time, made.payload) for made in self._packetizer.add(frame, index * 960, choice)]
        self._waiting += 1
        if self._waiting * 20 < choice.packet_ms:
            return []
        count, self._waiting = self._waiting, 0
        size = choice.bitrate_bps * choice.packet_ms // 8_000
        payload = struct.pack("!qi", (index + 1 - count) * 960, count * 960)
        return [((index + 1 - count) * 960, payload + bytes(max(0, size - len(payload))))]

    def arrived(self, data: bytes, now: float) -> None:
        media, payload = self._payloads.pop(int.from_bytes(data[2:4]))
        self._sequence += 1
        self.playout.push(self._sequence, media, 96, payload, now)

    def play(self) -> None:
        self.heard.append(self.playout.next_frame(self.call.clock.now))
        self.delays.append(self.playout.delay_s or 0.0)
        self.invented.append(self.playout.concealed_samples)

    def quiet_ms(self, since: float, until: float) -> float:
        """The longest time below half of the tone's level, in steps of 5 ms (a period)."""
        sound = np.concatenate(self.heard)[int(since * 48_000) : int(until * 48_000)]
        peaks = np.abs(sound[: len(sound) // 240 * 240].astype(np.int32)).reshape(-1, 240).max(axis=1)
        longest = now = 0
        for peak in peaks:
            now = now + 1 if peak < PEAK / 2 else 0
            longest = max(longest, now)
        return longest * 1000 / HZ

    def invented_ms(self, since: float, until: float) -> float:
        return (self.invented[int(until / FRAME_S) - 1] - self.invented[int(since / FRAME_S)]) / 48


@dataclass
class FilmSource(Source):
    """Pictures as VideoSendWorker sends them, of an encoder that keeps its bitrate in the mean."""

    size: tuple[int, int] = (640, 480)
    shown: list[float] = field(default_factory=list)  # when pictures were encoded

    def __post_init__(self) -> None:
        super().__post_init__()
        self._ladder = Ladder(rungs(*self.size, self.fps), 600_000)
        self._thinning = Thinning()
        self._encoded_size: tuple[int, int] | None = None

    def wish(self) -> BitrateWish:
        return BitrateWish(on_the_wire(LEAST_BPS, 8), on_the_wire(self._ladder.most_bps, self.fps))

    def work(self) -> None:
        now = self.call.clock.now
        if not self.bps:
            return
        rate = payload_of(self.bps, self._ladder.rung.fps)
        self._ladder.follow(rate, now)
        rung = self._ladder.rung
        if not self._thinning.wants(now, rung.fps):
            return
        if self.backlog_s > MOST_BACKLOG_S:
            self.skipped += 1
            return
        rate = min(rate, most_bitrate(rung.width, rung.height, rung.fps))
        bits = rate / rung.fps * self.call.dice.uniform(0.7, 1.3)
        if self._key or self._encoded_size != (rung.width, rung.height):
            self._key, self._encoded_size = False, (rung.width, rung.height)
            self.key_frames += 1
            bits = max(bits * 3, rung.width * rung.height * KEY_BITS_PER_PIXEL)
        self.shown.append(now)
        packets = max(1, -(-int(bits / 8) // 1_100))
        payload = max(10, int(bits / 8 / packets))
        built = [
            self.sender.packet(96, index == packets - 1, int(now * 90_000), bytes(payload), now)
            for index in range(packets)
        ]
        self.call.side.put([Outgoing(data, self.sender, Urgency.PICTURE, self._left) for data in built], now)


class Squeeze:
    """Two calls that cross: what one sends there competes with the feedback that the other sends."""

    def __init__(
        self,
        *,
        wide: float = WIDE,
        delay_s: float = 0.02,
        seed: int = 1,
        size: tuple[int, int] = (640, 480),
        speech: Sound | None = None,
        one_way: bool = False,
        begin: float = 0.0,
    ) -> None:
        clock = self.clock = Clock()
        self.there = Wire(clock, wide, delay_s=delay_s, seed=seed)
        self.back = Wire(clock, wide, delay_s=delay_s, seed=seed + 1)
        pairs = [(self.there, self.back)] if one_way else [(self.there, self.back), (self.back, self.there)]
        self.calls = [
            CallWithFilm(
                clock, wire, back, seed=seed * 7 + number, size=size, speech=speech, begin=begin + 0.013 * number
            )
            for number, (wire, back) in enumerate(pairs)
        ]
        self.call = self.calls[0]

    def change(self, rate_bps: float) -> None:
        self.there.rate_bps = self.back.rate_bps = rate_bps

    def run(self, until: float) -> None:
        self.clock.run(until)


class CallWithFilm(Call):
    """A call with a voice that is heard and a film."""

    def __init__(
        self,
        clock: Clock,
        wire: Wire,
        back: Wire,
        *,
        seed: int,
        size: tuple[int, int],
        speech: Sound | None,
        begin: float,
    ) -> None:
        super().__init__(clock, wire, back, seed=seed, begin=begin)
        self.sound = VoiceSource(self, True, 0, 0, speech=speech)
        self.picture = FilmSource(self, False, 0, 0, size=size)
        self.side.set_streams({"0": self.sound, "1": self.picture}, transport_cc=True)
        clock.every(FRAME_S, self.sound.play, first=begin + 0.011)

    def carried(self, data: bytes, is_sound: bool, now: float) -> None:
        if is_sound:
            self.sound.arrived(data, now)

    def goes_by_reports(self, every_s: float) -> None:
        """Let the far end give no transport-wide feedback, but reports at even distances."""
        self.side.set_streams({"0": self.sound, "1": self.picture}, transport_cc=False)
        self.feedback_works = False
        seen = [0, 0]

        def report() -> None:
            came, lost, at, waits_s = len(self.received), self.wire.lost, self.clock.now, self.wire.wait_s()
            share = (lost - seen[1]) / max(1, came - seen[0] + lost - seen[1])
            seen[:] = came, lost

            def hear() -> None:
                now = self.clock.now
                self.side.report("1", share, now - at + waits_s + self.wire.delay_s, now)

            self.back.carry(120, hear)

        self.clock.every(every_s, report, first=1.0)


@dataclass(frozen=True, slots=True)
class Fared:
    """How one direction of a squeezed call fared. Rates in bits per second, times in seconds."""

    before_bps: float
    narrow_bps: float  # from 2 s after the step on
    peak_s: float  # the longest that a packet stood in the queue
    later_s: float  # … of those that came a second after the step or later
    usual_s: float  # … what 95 of 100 of those did not exceed
    sound_pause_s: float  # the longest time in which no packet of sound came
    quiet_ms: float  # the longest that nothing was heard
    still_s: float  # the longest that no picture was encoded
    down_s: float
    up_s: float | None  # None where the wire stayed narrow
    up_peak_s: float


def squeezed(
    wide: float = WIDE,
    narrow: float = NARROW,
    *,
    delay_s: float = 0.02,
    seed: int = 1,
    size: tuple[int, int] = (640, 480),
    one_way: bool = False,
    before_s: float = 8.0,
    narrow_s: float = 4.0,
    after_s: float = 0.0,
) -> Fared:
    """Squeeze a call and measure the direction from the first side to the second."""
    lab = Squeeze(wide=wide, delay_s=delay_s, seed=seed, size=size, one_way=one_way)
    call, wire = lab.call, lab.there
    at = before_s + seed * 0.0137  # anywhere between two pictures
    wide_at = at + narrow_s
    end = wide_at + after_s
    for until, rate in ((at, narrow), (wide_at, wide), (end, wide)):
        lab.run(until)
        lab.change(rate)
    before = call.rate(at - 2, at)
    heard = sorted(when for when, _ in call.sound_delays if at - 0.1 < when < at + 2)
    shown = [when for when in call.picture.shown if at - 0.2 < when < wide_at]
    later = sorted(wait for when, wait in wire.waits if at + 1 <= when < wide_at)

    def first(since: float, until: float, least: float, most: float) -> float:
        tenths = range(int((until - since - 0.5) * 10) + 1)
        found = (step / 10 for step in tenths if least <= call.rate(since + step / 10, since + step / 10 + 0.5) <= most)
        return next(found, until - since)

    return Fared(
        before_bps=before,
        narrow_bps=call.rate(at + 2, wide_at),
        peak_s=wire.longest_wait(at, wide_at),
        later_s=later[-1],
        usual_s=later[int(0.95 * len(later))],
        sound_pause_s=max(second - one for one, second in itertools.pairwise(heard)),
        quiet_ms=call.sound.quiet_ms(at - 0.3, wide_at),
        still_s=max(second - one for one, second in itertools.pairwise(shown)),
        down_s=first(at, wide_at, 0, narrow * 1.1),
        up_s=first(wide_at, end, 0.8 * before, 1e9) if after_s else None,
        up_peak_s=wire.longest_wait(wide_at + 0.3, end),
    )
