"""From audio packets to a steady row of 20 ms frames: the jitter buffer with its concealment.

Sound is placed by its media time, not by packet counts, so that loss, reordering, silence suppression and any packet
duration are one case: between what was played and the next packet there is a gap, or there is none.

- Nothing there: the gap is concealed and media time stands still, so the delay grows until packets come again.
- A gap before the next packet: concealed (from redundancy where there is some) and passed, or just skipped when we are
  later than the target, since what stood for it was already played.
- More delay than the target: periods are cut out; more than LONGEST_DELAY_S: packets are dropped down to the target.
- Less delay than the target: periods are repeated.

Pure: `now` comes in; one thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from app.media.delay import DelayTracker
from app.media.errors import PacketError
from app.media.plan import CodecPlan
from app.media.rtp import timestamp_difference
from app.media.speech import AudioDecoder, Sound, make_decoder
from app.media.stretch import lengthen, shorten

RATE = 48_000
FRAME = 960
LONGEST_DELAY_S = 0.200
TOO_LATE_S = 0.020  # over the target: play faster
TOO_EARLY_S = 0.010  # under it: play slower
FADE_AFTER_S = 0.060  # of invented sound
FADED_S = 0.200
MOST_START_DELAY_S = 0.060
IDLE_AFTER_S = 1.0  # without packets: wait for a new start
SKIP_OVER_S = 0.010  # over it: a gap was already concealed
LEAST_GAP = 48  # samples: less is a timestamp that was rounded
RESTART_GAP = 2 * RATE  # a jump in media time that is no gap any more
MOST_PACKETS = 100


@dataclass(frozen=True, slots=True)
class _Waiting:
    sequence: int
    media: int  # samples at 48 kHz
    samples: int
    payload: bytes
    decoder: AudioDecoder


class Playout:
    """The receiving half of one audio source (one SSRC; `reset` for another)."""

    def __init__(
        self, codecs: Mapping[int, CodecPlan], decoder_for: Callable[[CodecPlan], AudioDecoder] = make_decoder
    ) -> None:
        self._codecs = codecs
        self._decoder_for = decoder_for
        self.concealed_samples = 0
        self.dropped = 0  # packets too late, too many, or skipped to catch up
        self.damaged = 0
        self.first_decoded_at: float | None = None
        self.delay_s: float | None = None
        self.reset()

    def reset(self) -> None:
        """Forget the source: the next packet begins anew. Counters stay."""
        self._decoders: dict[int, tuple[CodecPlan, AudioDecoder]] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._tracker = DelayTracker()
        self._clock_rate = 0
        self._last_timestamp = 0
        self._last_media = 0
        self._next: int | None = None  # media time of the next sample to produce
        self._played_sequence = 0
        self._highest = 0
        self._decoder: AudioDecoder | None = None
        self._starved_since: float | None = None
        self._starved_samples = 0
        self._catching_up = False
        self._rest = np.zeros(0, dtype=np.int16)

    def push(self, sequence: int, timestamp: int, payload_type: int, payload: bytes, now: float) -> None:
        """Take one packet; `sequence` is extended (never wraps). Foreign or damaged ones are counted and dropped."""
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
        self._tracker.arrived(media / RATE, now)
        if self._next is not None and media + samples <= self._next:
            if sequence > self._highest or self._next - media > RESTART_GAP:
                self._start_over(media)  # the sender's time line jumped back
            else:
                self.dropped += 1
                return
        self._highest = max(self._highest, sequence)
        self._waiting[media] = _Waiting(sequence, media, samples, payload, decoder)
        if len(self._waiting) > MOST_PACKETS:
            self.dropped += 1
            del self._waiting[min(self._waiting)]

    def next_frame(self, now: float) -> Sound:
        """Give the next 20 ms to play; `now` is when it is due. Silence before the first packet and when idle."""
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
                self._next = None
                self._tracker = DelayTracker()
            self._clock_rate, self._last_timestamp, self._last_media = clock_rate, timestamp, RESTART_GAP
        step = timestamp_difference(timestamp, self._last_timestamp) * RATE // clock_rate
        self._last_timestamp = timestamp
        self._last_media += step
        return self._last_media

    def _start_over(self, media: int) -> None:
        self._waiting.clear()
        self._tracker = DelayTracker()
        self._next = media

    def _produce(self, now: float, ahead: int) -> Sound:
        """Make some more sound; `ahead` samples before it are made but not played."""
        due = now + ahead / RATE
        if self._next is None and not self._may_start(due):
            return np.zeros(FRAME, dtype=np.int16)
        assert self._next is not None
        delay = self._tracker.delay_of(self._next / RATE, due)
        if not self._waiting:
            return self._starve(due)
        self.delay_s = delay
        head = min(self._waiting)
        gap = head - self._next
        if self._starved_since is not None:
            self._fed_again(self._waiting[head], gap)
        excess = delay - self._tracker.target_s
        if gap > RESTART_GAP:
            self._next = head
        elif gap >= LEAST_GAP and excess <= SKIP_OVER_S:
            return self._fill(self._waiting[head], gap)
        elif gap >= LEAST_GAP:
            self._next += min(gap, max(LEAST_GAP, int(excess * RATE)))
            return self._produce(now, ahead)
        return self._play(self._waiting.pop(head), due, delay, excess)

    def _may_start(self, now: float) -> bool:
        """Begin at once the first time, so that no first word is late; else when a packet has waited for a while."""
        if not self._waiting:
            return False
        head = min(self._waiting)
        wanted = min(self._tracker.target_s, MOST_START_DELAY_S) - TOO_EARLY_S
        if self.first_decoded_at is not None and self._tracker.delay_of(head / RATE, now) < wanted:
            return False
        self._next = head
        self._played_sequence = self._waiting[head].sequence - 1
        return True

    def _starve(self, now: float) -> Sound:
        """Nothing has come: continue what was heard while media time stands still."""
        if self._starved_since is None:
            self._starved_since = now
        if now - self._starved_since > IDLE_AFTER_S or self._decoder is None:
            self._next, self._starved_since, self._starved_samples = None, None, 0
            return np.zeros(FRAME, dtype=np.int16)
        self._starved_samples += FRAME
        gain = min(1.0, max(0.0, (FADED_S - (now - self._starved_since)) / (FADED_S - FADE_AFTER_S)))
        if gain == 0.0:
            return np.zeros(FRAME, dtype=np.int16)
        sound = self._decoder.conceal(FRAME)
        return sound if gain == 1.0 else (sound * gain).astype(np.int16)

    def _fed_again(self, head: _Waiting, gap: int) -> None:
        """Packets come again: what was invented counts unless the sender had simply fallen silent."""
        if gap < FRAME or head.sequence != self._played_sequence + 1:
            self.concealed_samples += self._starved_samples
        self._starved_since = None
        self._starved_samples = 0

    def _fill(self, following: _Waiting, gap: int) -> Sound:
        """Fill up to 20 ms before the next packet, and pass them."""
        assert self._next is not None
        samples = min(FRAME, gap)
        self._next += samples
        decoder = self._decoder or following.decoder
        missing = following.sequence - self._played_sequence - 1
        if missing <= 0:
            return decoder.conceal(samples)  # the sender was silent: nothing is lost
        self.concealed_samples += samples
        if missing == 1 and samples == gap and decoder is following.decoder:
            try:
                recovered = decoder.recover(following.payload, samples)
            except PacketError:
                recovered = None
            if recovered is not None:
                return recovered
        return decoder.conceal(samples)

    def _play(self, packet: _Waiting, now: float, delay: float, excess: float) -> Sound:
        """Decode the next packet, and pull the delay towards the target."""
        self._next = packet.media + packet.samples
        self._played_sequence = packet.sequence
        self._catching_up = excess > 0 and (self._catching_up or delay > LONGEST_DELAY_S)
        if self._catching_up:
            self.dropped += 1
            return np.zeros(0, dtype=np.int16)
        try:
            sound = packet.decoder.decode(packet.payload)
        except PacketError:
            self.damaged += 1
            self.concealed_samples += packet.samples
            return packet.decoder.conceal(packet.samples)
        self._decoder = packet.decoder
        if self.first_decoded_at is None:
            self.first_decoded_at = now
        if len(sound) >= FRAME and excess > TOO_LATE_S:
            return shorten(sound)
        if len(sound) >= FRAME and excess < -TOO_EARLY_S:
            return lengthen(sound)
        return sound
