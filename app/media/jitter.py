"""From audio packets to a steady row of 20 ms frames: the jitter buffer with its concealment.

Sound is placed by its media time, not by packet counts, so that loss, reordering, silence suppression and any packet
duration are one case: between what was played and the next packet there is a gap, or there is none.

- Nothing there: the sound is continued and media time stands still, so the delay grows until packets come again.
- A gap before the next packet: as much of it as was already played in its place is passed; the rest is concealed, its
  last packet recovered from redundancy where the next one carries some.
- More delay than the target: periods are cut out; more than LONGEST_DELAY_S: packets are dropped down to the target.
- Less delay than the target: periods are repeated.

Pure: `now` comes in; one thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from app.media import stretch
from app.media.delay import DelayTracker, LowWater
from app.media.errors import PacketError
from app.media.plan import CodecPlan
from app.media.rtp import timestamp_difference
from app.media.speech import AudioDecoder, Sound, make_decoder

RATE = 48_000
FRAME = 960
LONGEST_DELAY_S = 0.260
TOO_MUCH = 480  # samples more than needed: play faster, in a pause from half of it on
TOO_EARLY_S = 0.004  # under the target: play slower
URGENT_S = 0.040  # off by that much a worse seam is taken …
PRESSING_S = 0.080  # … and by that much any
LIKENESS, URGENT_LIKENESS, ANY_LIKENESS = 0.9, 0.6, -1.0
IMPATIENCE = 1.0  # a second without a seam, of likeness: music and noise may have none
QUIET_SHARE = 0.01  # of the power of the loudest speech lately (-20 dB): a seam there is not heard
LOUDEST_FADES = 0.998  # a frame: -20 dB in 45 s
FADE_AFTER_S = 0.060  # of invented sound that stands for speech
FADED_S = 0.200
MOST_START_DELAY_S = 0.060
IDLE_AFTER_S = 1.0  # without packets: wait for a new start …
PAUSE_AFTER_S = 30.0  # … and where the sender said that it pauses: its background goes on so long
SKIPPED_UNASKED_S = 0.060  # over the target: a gap is passed though nothing stood for it
LEAST_GAP = 48  # samples: less is a timestamp that was rounded
SHORTEST_TO_JOIN = 480
RESTART_GAP = 2 * RATE  # a jump in media time that is no gap any more
GONE_BACK_S = 1.0  # so long nothing but what is older comes: the sender began anew, and none of it is only late
MOST_PACKETS = 100
MOST_SEEN = 500  # sequence numbers that are known, so that none is played or measured twice

_SILENCE: Sound = np.zeros(FRAME, dtype=np.int16)
_SILENCE.flags.writeable = False
_NOTHING: Sound = np.zeros(0, dtype=np.int16)


@dataclass(frozen=True, slots=True)
class _Waiting:
    sequence: int
    media: int  # samples at 48 kHz
    samples: int
    payload: bytes
    decoder: AudioDecoder


class Playout:
    """The receiving half of one audio source (one SSRC; `reset` for another).

    `starts_at_once`: the first packet is played when it is there, and the delay grows while sound is heard; else it
    waits for the delay that is aimed for, which is heard as nothing.

    Figures, all since the beginning and in samples at 48 kHz unless named otherwise: `concealed_samples` invented in
    place of lost or late ones, `recovered_samples` from redundancy, `accelerated_samples` cut out and
    `expanded_samples` repeated; packets: `late` came after their time, `dropped` were not played (late, too many, or
    skipped to catch up), `damaged` not understood, `unrecovered` concealed; `loss_runs` gaps of one or more lost ones.
    """

    def __init__(
        self,
        codecs: Mapping[int, CodecPlan],
        decoder_for: Callable[[CodecPlan], AudioDecoder] = make_decoder,
        *,
        starts_at_once: bool = True,
    ) -> None:
        self._codecs = codecs
        self._starts_at_once = starts_at_once
        self._decoder_for = decoder_for
        self.concealed_samples = 0
        self.recovered_samples = 0
        self.accelerated_samples = 0
        self.expanded_samples = 0
        self.late = 0
        self.dropped = 0
        self.damaged = 0
        self.unrecovered = 0
        self.loss_runs = 0
        self.first_decoded_at: float | None = None
        self._held_back_s = 0.0
        self.delay_s: float | None = None  # of what was made last, when it is played
        self._history: Sound = np.zeros(stretch.HISTORY, dtype=np.int16)
        self.reset()

    @property
    def target_s(self) -> float:
        """The delay that is aimed for."""
        return self._tracker.target_s

    @property
    def drift_ppm(self) -> float | None:
        """How much faster than ours the sender's clock runs; None until it is known."""
        return self._tracker.drift_ppm

    @property
    def is_empty(self) -> bool:
        """Whether everything that came has been given to be played."""
        return not self._waiting and not len(self._decoded)

    def hold_back(self, seconds: float) -> None:
        """Keep so much more delay than the packets need, for sound that has to wait for its picture; any thread."""
        self._held_back_s = self._tracker.held_back_s = seconds

    def reset(self) -> None:
        """Forget the source: the next packet begins anew. Counters stay."""
        self._decoders: dict[int, tuple[CodecPlan, AudioDecoder]] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._new_tracker()
        self._clock_rate = 0
        self._last_timestamp = 0
        self._last_media = 0
        self._next: int | None = None  # media time of the next sample to produce
        self._seen: dict[int, None] = {}
        self._played_sequence = 0
        self._highest = 0
        self._behind_since: float | None = None  # from then on nothing came but what is far older than what was played
        self._decoder: AudioDecoder | None = None
        self._starved_since: float | None = None
        self._starved_samples = 0
        self._counted_gap = -1
        self._catching_up = False
        self._joins = True  # what is decoded next does not continue what was played
        self._loudest = 0.0  # power
        self._off_since: float | None = None  # from then on there was no seam, and one was looked for
        self._decoded = _NOTHING  # from _next on
        self._rest = _NOTHING  # made, not yet given

    def push(
        self,
        sequence: int,
        timestamp: int,
        payload_type: int,
        payload: bytes,
        now: float,
        *,
        is_repaired: bool = False,
    ) -> None:
        """Take one packet; `sequence` is extended (never wraps). Foreign or damaged ones are counted and dropped.

        `is_repaired`: it was lost and came again, so that it says nothing of the path's own delay.
        """
        codec = self._codecs.get(payload_type)
        if codec is None or not payload:
            self.damaged += 1
            return
        decoder = self._decoder_of(payload_type, codec)
        try:
            samples = decoder.sample_count(payload)
        except PacketError:
            self.damaged += 1
            return
        media = self._media_time(timestamp, codec.clock_rate)
        if sequence in self._seen:
            return
        self._seen[sequence] = None
        if len(self._seen) > MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        self._tracker.arrived(media / RATE, now, is_repaired=is_repaired)
        if self._next is not None:
            end = self._next + len(self._decoded)
            if media + samples <= end:
                if sequence <= self._highest and not (end - media > RESTART_GAP and self._has_gone_back(now)):
                    self.late += 1
                    self.dropped += 1
                    return
                self._start_over(media)  # the sender's time line jumped back
                self._highest, self._behind_since = sequence, None
        if sequence > self._highest:
            self._highest, self._behind_since = sequence, None
        self.recovered_samples += samples if is_repaired else 0
        self._waiting[media] = _Waiting(sequence, media, samples, payload, decoder)
        if len(self._waiting) > MOST_PACKETS:
            self.dropped += 1
            del self._waiting[min(self._waiting)]

    def next_frame(self, now: float) -> Sound:
        """Give the next 20 ms to play. Silence before the first packet and when idle.

        `now` is when they are asked for: how much must be there then is what the delay has to cover.
        """
        sound = self._rest
        while len(sound) < FRAME:
            more = self._produce(now, len(sound))
            sound = more if not len(sound) else np.concatenate((sound, more))
        self._rest = sound[FRAME:]
        return sound[:FRAME]

    def played_at(self) -> tuple[int, float] | None:
        """Give an RTP timestamp and when its sound leaves for the sink, as the delay is now; None before any sound."""
        if self._tracker.base is None or self.delay_s is None or not self._clock_rate:
            return None
        return self._last_timestamp, self._last_media / RATE + self._tracker.base + self.delay_s

    def _new_tracker(self) -> None:
        self._tracker = DelayTracker()
        self._tracker.held_back_s = self._held_back_s
        self._low_water = LowWater()

    def _decoder_of(self, payload_type: int, codec: CodecPlan) -> AudioDecoder:
        """Give the decoder of a payload type; a new one when an offer has given the number to another codec."""
        known = self._decoders.get(payload_type)
        if known is None or known[0].name.lower() != codec.name.lower():
            known = self._decoders[payload_type] = codec, self._decoder_for(codec)
        return known[1]

    def _media_time(self, timestamp: int, clock_rate: int) -> int:
        if clock_rate != self._clock_rate:
            if self._clock_rate:
                self._waiting.clear()
                self._forget_time_line(None)
            self._clock_rate, self._last_timestamp, self._last_media = clock_rate, timestamp, RESTART_GAP
        step = timestamp_difference(timestamp, self._last_timestamp) * RATE // clock_rate
        self._last_timestamp = timestamp
        self._last_media += step
        return self._last_media

    def _has_gone_back(self, now: float) -> bool:
        if self._behind_since is None:
            self._behind_since = now
        return now - self._behind_since >= GONE_BACK_S

    def _start_over(self, media: int) -> None:
        self._waiting.clear()
        self._forget_time_line(media)

    def _forget_time_line(self, media: int | None) -> None:
        self._next = media
        self._decoded = _NOTHING
        self._joins = True
        self._new_tracker()

    def _produce(self, now: float, ahead: int) -> Sound:
        """Make some more sound; `ahead` samples before it are made but not played."""
        if self._next is None and not self._may_start(now):
            return self._made(_SILENCE)
        self._leave_behind(now)
        while not len(self._decoded):
            invented = self._fetch(now)
            if invented is not None:
                return self._made(invented)
        return self._made(self._paced(now, ahead))

    def _leave_behind(self, now: float) -> None:
        """Break off in a packet that is far too late, where what it began with was the newest and now is not."""
        assert self._next is not None
        if not len(self._decoded) or not self._waiting:
            return
        if self._tracker.delay_of(self._next / RATE, now) > LONGEST_DELAY_S + self._held_back_s:
            self._next += len(self._decoded)
            self._decoded = _NOTHING
            self._joins = True
            self._low_water.clear()

    def _made(self, sound: Sound) -> Sound:
        """Remember what was made, for the seams to come."""
        if len(sound) >= stretch.HISTORY:
            self._history = sound[-stretch.HISTORY :]
        else:
            self._history = np.concatenate((self._history[len(sound) :], sound))
        return sound

    def _may_start(self, now: float) -> bool:
        """Begin at once the first time, where that is wished; else when a packet has waited for a while."""
        if not self._waiting:
            return False
        head = min(self._waiting)
        wanted = min(self._tracker.target_s, MOST_START_DELAY_S) - TOO_EARLY_S
        may_now = self._starts_at_once and self.first_decoded_at is None
        if not may_now and self._tracker.delay_of(head / RATE, now) < wanted:
            return False
        self._next = head
        self._joins = True
        self._played_sequence = self._waiting[head].sequence - 1
        return True

    def _fetch(self, now: float) -> Sound | None:
        """Decode what comes next into `_decoded`, or give sound that stands for what is not there."""
        assert self._next is not None
        delay = self._tracker.delay_of(self._next / RATE, now)
        if not self._waiting:
            return self._starve(now)
        head = self._waiting[min(self._waiting)]
        gap = head.media - self._next
        excess = delay - self._tracker.target_s
        starved = self._starved_samples
        if self._starved_since is not None:
            self._fed_again(head, gap)
        if gap > RESTART_GAP:
            self._next, self._joins = head.media, True
        elif gap >= LEAST_GAP:
            skipped = self._skippable(head, gap, starved, excess)
            self._next += skipped
            if skipped < gap:
                return self._fill(head, gap - skipped)
        elif starved:
            self._joins = True  # late, but here
        self._decode(head, now)
        return None

    def _skippable(self, head: _Waiting, gap: int, starved: int, excess: float) -> int:
        """Tell how much of a gap need not be filled: what was already invented for it, and what is far too late."""
        most = gap if excess > SKIPPED_UNASKED_S else min(gap, starved)
        if most < LEAST_GAP or excess <= 0:
            return 0
        if head.sequence == self._played_sequence + 1:
            return min(most, max(LEAST_GAP, int(excess * RATE)))
        filled = max(0, round((gap - excess * RATE) / head.samples)) * head.samples
        return max(0, min(most, gap - filled))

    def _starve(self, now: float) -> Sound:
        """Nothing has come: continue what was heard while media time stands still."""
        if self._starved_since is None:
            self._starved_since = now
        since = now - self._starved_since
        pauses = self._decoder is not None and self._decoder.is_paused
        if self._decoder is None or since > (PAUSE_AFTER_S if pauses else IDLE_AFTER_S):
            self._next, self._starved_since, self._starved_samples = None, None, 0
            self._low_water.clear()
            return _SILENCE
        self._starved_samples += FRAME
        self._low_water.clear()
        self._off_since = None
        sound = self._decoder.conceal(FRAME)
        return sound if pauses else _faded(sound, since)

    def _fed_again(self, head: _Waiting, gap: int) -> None:
        """Packets come again: what was invented counts unless the sender had simply fallen silent."""
        if gap < FRAME or head.sequence != self._played_sequence + 1:
            self.concealed_samples += self._starved_samples
        self._starved_since = None
        self._starved_samples = 0

    def _fill(self, following: _Waiting, gap: int) -> Sound | None:
        """Fill some of the gap before the next packet: with recovered sound in `_decoded`, else with what is given."""
        assert self._next is not None
        decoder = self._decoder or following.decoder
        missing = following.sequence - self._played_sequence - 1
        if missing <= 0:
            samples = min(FRAME, gap)
            self._next += samples
            return decoder.conceal(samples)  # the sender was silent: nothing is lost
        if self._counted_gap != following.sequence:
            self._counted_gap = following.sequence
            self.loss_runs += 1
            self.unrecovered += missing
        if decoder is following.decoder and gap < following.samples + LEAST_GAP:
            recovered = self._recovered(following, gap)
            if recovered is not None:
                self.unrecovered -= 1
                self.recovered_samples += len(recovered)
                self._decoded = recovered
                return None
        before_last = gap - following.samples
        samples = min(FRAME, before_last if before_last >= LEAST_GAP else gap)
        self._next += samples
        self.concealed_samples += samples
        return decoder.conceal(samples)

    def _recovered(self, following: _Waiting, gap: int) -> Sound | None:
        try:
            return following.decoder.recover(following.payload, gap)
        except PacketError:
            return None

    def _decode(self, packet: _Waiting, now: float) -> None:
        """Put the next packet's sound into `_decoded`, or skip it when everything is far too late."""
        del self._waiting[packet.media]
        self._next = packet.media
        missing = packet.sequence - self._played_sequence - 1
        self._played_sequence = packet.sequence
        if missing > 0 and packet.decoder.has_redundancy(packet.payload):
            self._tracker.lost(packet.samples / RATE, now)
        delay = self._tracker.delay_of(packet.media / RATE, now)
        over = self._catching_up or delay > LONGEST_DELAY_S + self._held_back_s
        self._catching_up = over and delay > self._tracker.target_s and len(self._waiting) > 0
        if self._catching_up:
            self.dropped += 1
            self._next += packet.samples
            self._joins = True
            self._low_water.clear()
            return
        try:
            sound = packet.decoder.decode(packet.payload)
        except PacketError:
            self.damaged += 1
            self.concealed_samples += packet.samples
            sound = packet.decoder.conceal(packet.samples)
        self._decoder = packet.decoder
        if self.first_decoded_at is None:
            self.first_decoded_at = now
        if self._joins and len(sound) >= SHORTEST_TO_JOIN:
            self._next += len(sound)
            sound = stretch.join(self._history, sound)
            self._next -= len(sound)
        self._joins = False
        self._decoded = sound

    def _paced(self, now: float, ahead: int) -> Sound:
        """Give up to 20 ms of what is decoded, a period more or less where the delay is not what it should be."""
        assert self._next is not None
        delay = self._tracker.delay_of(self._next / RATE, now)
        self.delay_s = delay + ahead / RATE
        spare = self._low_water.add(delay) - self._tracker.target_s
        step = min(FRAME, len(self._decoded))
        left = ahead + step - FRAME
        # Whole steps can go as far as the delay then left covers what is needed. What is left over of a frame can
        # always go: packets are waited for when a frame is asked for, and not before.
        # A step that is all but too much goes where it has been so for long: it would not be asked for again at once.
        over = spare
        if not self._tracker.covers_losses:
            over = max(spare, self._low_water.least_for_long + TOO_EARLY_S - self._tracker.target_s)
        surplus = left + step * int(over * RATE // step) if left >= 0 and over >= 0 else 0
        if surplus > TOO_MUCH // 2 and step < stretch.LEAST_SOUND:
            self._decode_more(now)
        sound, self._decoded = self._decoded[:FRAME], self._decoded[FRAME:]
        self._next += len(sound)
        as_float = sound.astype(np.float32)
        power = float(np.dot(as_float, as_float)) / len(sound)
        self._loudest = max(power, self._loudest * LOUDEST_FADES)
        if left < 0:
            return sound  # more is needed for this frame
        is_quiet = power < QUIET_SHARE * self._loudest
        is_late = surplus > (TOO_MUCH // 2 if is_quiet else TOO_MUCH)
        if not is_late and spare >= -TOO_EARLY_S:
            self._off_since = None
            return sound
        self._off_since = now if self._off_since is None else self._off_since
        least = _least_likeness(is_quiet, surplus / RATE if is_late else -spare, now - self._off_since)
        changed = None
        if is_late and len(sound) >= stretch.LEAST_SOUND:
            changed = stretch.shorten(self._history, sound, least, surplus)
        elif not is_late and len(sound) >= SHORTEST_TO_JOIN:
            changed = stretch.lengthen(self._history, sound, least)
        if changed is None:
            return sound
        self._off_since = None
        more = len(changed) - len(sound)
        self.accelerated_samples += max(0, -more)
        self.expanded_samples += max(0, more)
        self._low_water.shift((left + more) // step * step / RATE)
        return changed

    def _decode_more(self, now: float) -> None:
        """Add the packet that follows without a gap, where there is one: short ones have no room for a seam."""
        assert self._next is not None
        sound = self._decoded
        following = self._waiting.get(self._next + len(sound))
        if following is None or following.sequence != self._played_sequence + 1:
            return
        start = self._next
        self._decode(following, now)
        self._decoded = np.concatenate((sound, self._decoded))
        self._next = start


def _faded(sound: Sound, since_s: float) -> Sound:
    """Let invented sound die away, beginning `since_s` after the last real one."""
    positions = since_s + np.arange(len(sound), dtype=np.float32) / RATE
    gain = np.clip((FADED_S - positions) / (FADED_S - FADE_AFTER_S), 0.0, 1.0)
    if gain[-1] == 1.0:
        return sound
    faded: Sound = (sound * gain).astype(np.int16)
    return faded


def _least_likeness(is_quiet: bool, off_s: float, waited_s: float) -> float:
    """Tell how good a seam must be: anything will do in a pause, and the less the more and the longer delay is off."""
    if is_quiet or off_s > PRESSING_S:
        return ANY_LIKENESS
    return (LIKENESS if off_s < URGENT_S else URGENT_LIKENESS) - IMPATIENCE * waited_s
