"""The sound of a channel on its own threads: a worker that encodes what the microphone hears, and a mix that is played.

Loads NumPy, PyAV and the codecs: imported in a thread. Impure: threads. Measured on 2 cores of 2026: encoding 20 ms of
Opus takes about 1 ms, which neither the microphone's thread nor the event loop has to spare; sealing 5 µs.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from app.channels.burst_record import LevelTrace
from app.channels.channel_codecs import BurstEncoder, make_decoder, make_encoder, receivable
from app.channels.mission_parts import TxAudio
from app.channels.receiving import FRAME, Receiving, Sound, VoiceFigures
from app.channels.voice_activity import BLOCK_SAMPLES, VoiceActivity
from app.media.errors import MediaError
from app.media.jitter import Playout
from app.media.levels import mean_square, to_dbfs
from app.media.plan import CodecPlan
from app.media.priority import for_sound
from app.media.worker import Worker, call_soon

logger = logging.getLogger(__name__)

MOST_BLOCKS = 100  # between the microphone and the encoder: a second
# 120 ms of what a voice said before it was known to be one. Such a burst stays so much later to its end: receivers
# would have to play it faster otherwise, which is heard.
HELD_BLOCKS = 12
MOST_COMMANDS = 4_000  # between the loop and a speaker that does not play
_STOP_S = 1.0


@functools.cache
def _can_decode(codec: CodecPlan) -> bool:
    try:
        make_decoder(codec)
    except MediaError as error:
        logger.info("%s", error)
        return False
    return True


def playable(encoder: int, custom_payload_type: int) -> dict[int, CodecPlan]:
    """Give every codec that a talker may use and that can be decoded here, by payload type; ChannelError as there."""
    return {number: codec for number, codec in receivable(encoder, custom_payload_type).items() if _can_decode(codec)}


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder gives. `is_last`: the burst's sound is over, and `levels` tell how loud it was."""

    burst: int
    payloads: list[bytes]
    level_dbfs: float | None
    is_last: bool = False
    levels: tuple[int, ...] = ()


class _Order(Enum):
    """What the worker is told between blocks of sound."""

    BEGIN = "begin a burst with silence"
    OPEN = "let the microphone's sound in"
    END = "end it"
    ARM = "listen for a voice"
    DISARM = "do so no more"
    CLOSE = "end"


class Speaking:
    """Encodes bursts, and listens for a voice while it is armed; both on a worker of its own.

    `make` makes an encoder. `deliver` gets what is encoded and `on_voice` whether a voice is heard, on the loop's
    thread and in order. `hear` is for the microphone's thread, everything else for the loop's.
    """

    def __init__(
        self,
        make: Callable[[], BurstEncoder],
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[Encoded], None],
        on_voice: Callable[[bool], None],
    ) -> None:
        self._make = make
        self._loop = loop
        self._deliver = deliver
        self._on_voice = on_voice
        self._ready: BurstEncoder | None = make()  # so that the first word does not wait for it
        self.timestamp_step = self._ready.timestamp_step
        self._queue: queue.SimpleQueue[Sound | tuple[_Order, int]] = queue.SimpleQueue()
        self._is_on_air = self._is_armed = False
        self._worker = Worker("channel-encoder", self._run)
        self._worker.start()

    def begin(self, burst: int) -> None:
        """Begin a burst with silence in place of what is heard."""
        self._queue.put((_Order.BEGIN, burst))
        self._is_on_air = True

    def open(self, burst: int) -> None:
        """Let the microphone's sound in; with what was just heard of the voice that began the burst."""
        self._queue.put((_Order.OPEN, burst))

    def end(self, burst: int) -> None:
        """End a burst with what has been heard by now."""
        self._is_on_air = False
        self._queue.put((_Order.END, burst))

    def arm(self, is_armed: bool) -> None:
        """Listen for a voice, or no more."""
        if is_armed != self._is_armed:
            self._is_armed = is_armed
            self._queue.put((_Order.ARM if is_armed else _Order.DISARM, 0))

    def hear(self, block: Sound) -> None:
        """Take 10 ms of what the microphone hears, or multiples: int16 at 48 kHz, mono. Copies, and returns."""
        if (self._is_on_air or self._is_armed) and self._queue.qsize() < MOST_BLOCKS:
            self._queue.put(block.copy())

    def close(self) -> None:
        """End the thread once all that waits is encoded; blocks for as long."""
        self._queue.put((_Order.CLOSE, 0))
        if not self._worker.join(_STOP_S):
            logger.warning("a channel's encoder did not end in time")

    def _run(self, stopping: threading.Event) -> None:
        for_sound()
        encoding: _Encoding | None = None
        voice: VoiceActivity | None = None
        held: deque[Sound] = deque(maxlen=HELD_BLOCKS)  # of a voice that has begun no burst yet
        while True:
            match self._queue.get():
                case (_Order.CLOSE, _):
                    return
                case (_Order.BEGIN, burst):
                    encoding, self._ready = _Encoding(int(burst), self._ready or self._make()), None
                case (_Order.OPEN, burst) if encoding is not None:
                    encoding.open(held)
                    held.clear()
                case (_Order.END, burst) if encoding is not None:
                    self._give(encoding.end())
                    encoding, self._ready = None, self._make()
                    held.clear()
                case (_Order.ARM, _):
                    voice = VoiceActivity()
                case (_Order.DISARM, _):
                    voice = None
                    held.clear()
                case np.ndarray() as block:
                    if voice is not None:
                        before = self._listen(voice, block)
                        held.extend(before if encoding is None else ())
                    if encoding is not None:
                        self._give(encoding.add(block))

    def _listen(self, voice: VoiceActivity, block: Sound) -> list[Sound]:
        """Tell whether the block is speech; gives what belongs to it, so far."""
        kept: list[Sound] = []
        for at in range(0, len(block), BLOCK_SAMPLES):
            heard = voice.hear(block[at : at + BLOCK_SAMPLES])
            kept += heard.blocks
            if heard.began or heard.ended:
                call_soon(self._loop, functools.partial(self._on_voice, heard.talking))
        return kept

    def _give(self, encoded: Encoded | None) -> None:
        if encoded is not None:
            call_soon(self._loop, functools.partial(self._deliver, encoded))


def open_speaking(
    audio: TxAudio,
    is_sealed: bool,
    loop: asyncio.AbstractEventLoop,
    deliver: Callable[[Encoded], None],
    on_voice: Callable[[bool], None],
) -> Speaking:
    """Open what encodes a channel's own bursts; ChannelError where its codec cannot be used."""
    return Speaking(lambda: make_encoder(audio.encoder, audio.framing_ms, is_sealed=is_sealed), loop, deliver, on_voice)


class _Encoding:
    """One burst in the worker."""

    def __init__(self, burst: int, encoder: BurstEncoder) -> None:
        self._burst = burst
        self._encoder = encoder
        self._levels = LevelTrace()
        self._is_open = False
        self._held: deque[Sound] = deque()

    def open(self, held: Iterable[Sound]) -> None:
        """Let sound in, beginning with what was held back: the rest of the burst follows that much later."""
        self._is_open = True
        self._held.extend(held)

    def add(self, block: Sound) -> Encoded | None:
        """Take a block; silence takes its place before the burst is open."""
        sound = block if self._is_open else np.zeros_like(block)
        if self._held:
            self._held.append(sound)
            sound = self._held.popleft()
        square = mean_square(sound)
        self._levels.add(square)
        payloads = self._encoder.add(sound)
        return Encoded(self._burst, payloads, to_dbfs(square)) if payloads else None

    def end(self) -> Encoded:
        rest = self._encoder.finish()
        return Encoded(self._burst, [] if rest is None else [rest], None, True, self._levels.levels())


class Listening:
    """Plays a channel. `play` on one thread; everything else on the loop's, and carried out when the next is played."""

    def __init__(self, codecs: dict[int, CodecPlan], clock: Callable[[], float]) -> None:
        self.codecs = codecs
        self._clock = clock
        self._receiving = Receiving(lambda: Playout(codecs, decoder_for=make_decoder, starts_at_once=False))
        self._commands: deque[Callable[[], None]] = deque(maxlen=MOST_COMMANDS)
        self._rest: Sound | None = None

    def push(self, ssrc: int, sequence: int, timestamp: int, payload_type: int, payload: bytes, now: float) -> None:
        """Take a packet with sound; `sequence` is extended."""
        self._commands.append(
            functools.partial(self._receiving.push, ssrc, sequence, timestamp, payload_type, payload, now)
        )

    def set_gain(self, ssrc: int, gain: float) -> None:
        """Let a talker be as loud as this."""
        self._commands.append(functools.partial(self._receiving.set_gain, ssrc, gain))

    def begin(self, ssrc: int) -> None:
        """A burst begins, or goes on after a silence that was taken for its end."""
        self._commands.append(functools.partial(self._receiving.begin, ssrc))

    def end(self, ssrc: int, now: float) -> None:
        """A burst is over."""
        self._commands.append(functools.partial(self._receiving.end, ssrc, now))

    def take_levels(self, ssrc: int) -> tuple[int, ...]:
        """Give how loud a burst was since this was asked last, as far as it has been played."""
        return self._receiving.take_levels(ssrc)

    def figures(self, ssrc: int) -> VoiceFigures | None:
        """Tell how a burst is played."""
        return self._receiving.figures(ssrc)

    @property
    def is_quiet(self) -> bool:
        """Whether `play` gives nothing until the next `push`; for the thread that plays."""
        return not self._commands and not len(self._receiving) and self._rest is None

    def play(self, samples: int) -> Sound | None:
        """Give what is heard in the next `samples` at 48 kHz, mono; None: nobody."""
        if self._rest is None and samples == FRAME:
            return self._frame()
        parts = [] if self._rest is None else [self._rest]
        missing = samples - sum(len(part) for part in parts)
        is_heard = self._rest is not None
        while missing > 0:
            frame = self._frame()
            is_heard = is_heard or frame is not None
            parts.append(np.zeros(FRAME, np.int16) if frame is None else frame)
            missing -= FRAME
        sound: Sound = np.concatenate(parts)
        self._rest = sound[samples:] if is_heard and len(sound) > samples else None
        return sound[:samples] if is_heard else None

    def _frame(self) -> Sound | None:
        while self._commands:
            self._commands.popleft()()
        return self._receiving.frame(self._clock())


def open_listening(audio: TxAudio, clock: Callable[[], float]) -> Listening:
    """Open what plays a channel; ChannelError where its codec cannot be used."""
    return Listening(playable(audio.encoder, audio.custom_rtp_payload_type), clock)
