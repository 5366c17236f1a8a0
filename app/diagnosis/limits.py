"""Why a call is not as good as it could be: one sentence each, with what to do, from the figures alone.

A reason is told when it has held for a while and withdrawn when it has been gone for longer, each by its own threshold:
a figure at the edge makes nothing flicker. The numbers in a sentence that stands change every few seconds. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.events import AudioStats, CallFigures, QualityLimit, TransportStats, VideoStats

TOLD_AFTER_S = 2.0
GONE_AFTER_S = 6.0
REWORDED_AFTER_S = 3.0

_CABLE = "A cable, or a place nearer to the Wi-Fi, may help."


@dataclass(frozen=True, slots=True)
class Lately:
    """What changed over the last seconds; shares in per cent, None where nothing was to be counted."""

    loss_percent: float | None = None  # of the sound's packets
    loss_after_percent: float | None = None  # the same after recovery
    late_percent: float | None = None  # of the sound's packets, too late to be played
    concealed_percent: float | None = None  # of the time
    sent_loss_percent: float | None = None  # of our sound, as the peer says, before it recovers any
    sent_loss_after_percent: float | None = None  # what it can hardly recover of that
    video_loss_percent: float | None = None
    freezes: int = 0
    stalled_s: float = 0.0  # by how much the figures themselves came late, at most: this computer had no time


@dataclass(frozen=True, slots=True)
class _Situation:
    audio: AudioStats
    video: VideoStats
    transport: TransportStats
    lately: Lately
    relayed: bool


@dataclass(frozen=True, slots=True)
class _Rule:
    about: str
    cause: str
    is_theirs: bool
    words: Callable[[_Situation, bool], str | None]  # whether it is being told already -> the sentence
    is_mild: bool = False
    after_s: float = TOLD_AFTER_S
    gone_s: float = GONE_AFTER_S


class LimitWatch:
    """Follows one call."""

    def __init__(self) -> None:
        self._watches = [_Watch(rule) for rule in _RULES]

    def take(
        self, figures: CallFigures, lately: Lately, now: float, *, relayed: bool = False
    ) -> tuple[QualityLimit, ...]:
        """Give what limits the call at `now` (monotonic seconds), the worst first."""
        situation = _Situation(
            figures.audio or AudioStats(),
            figures.video or VideoStats(),
            figures.transport or TransportStats(),
            lately,
            relayed,
        )
        found = (watch.take(situation, now) for watch in self._watches)
        return tuple(limit for limit in found if limit is not None)


class _Watch:
    """One rule over time."""

    def __init__(self, rule: _Rule) -> None:
        self._rule = rule
        self._told: QualityLimit | None = None
        self._worded_at = 0.0
        self._changed_at: float | None = None  # since when it is otherwise than told

    def take(self, situation: _Situation, now: float) -> QualityLimit | None:
        rule, told = self._rule, self._told
        sentence = rule.words(situation, told is not None)
        if (sentence is not None) == (told is not None):
            self._changed_at = None
            if sentence is not None and told is not None and now - self._worded_at >= REWORDED_AFTER_S:
                self._tell(sentence, now)
            return self._told
        if self._changed_at is None:
            self._changed_at = now
        if now - self._changed_at >= (rule.after_s if sentence is not None else rule.gone_s):
            self._changed_at = None
            self._told = None
            if sentence is not None:
                self._tell(sentence, now)
        return self._told

    def _tell(self, sentence: str, now: float) -> None:
        rule = self._rule
        self._worded_at = now
        if self._told is None or self._told.sentence != sentence:
            self._told = QualityLimit(rule.about, rule.cause, rule.is_theirs, sentence, rule.is_mild)


# The rules --------------------------------------------------------------------------------------------------


def _over(value: float | None, told: bool, on: float, off: float) -> bool:
    return value is not None and value >= (off if told else on)


def _rate(bps: float | None) -> str | None:
    if bps is None:
        return None
    return f"{bps / 1e6:.1f} Mbit/s" if bps >= 1e6 else f"{bps / 1e3:.0f} kbit/s"


def _carries(transport: TransportStats) -> str:
    rate = _rate(transport.estimate_bps)
    return f"The network carries {rate}" if rate is not None else "The network is too slow just now"


def _size(width: int | None, height: int | None) -> str:
    return f"{width} × {height}" if width and height else "this picture"


def _loss_heard(now: _Situation, told: bool) -> str | None:
    lately = now.lately
    if not _over(lately.loss_after_percent, told, 2.0, 1.0):
        return None
    loss = max(lately.loss_percent or 0.0, lately.loss_after_percent or 0.0)
    return f"What you hear suffers: {loss:.0f} % of the other side's sound is lost on the way to you. {_CABLE}"


def _is_uneven(now: _Situation, told: bool) -> bool:
    late = _over(now.lately.late_percent, told, 2.0, 1.0)
    return late or _over(now.audio.buffer_target_ms, told, 140.0, 110.0)


def _busy(now: _Situation, told: bool) -> str | None:
    if not _is_uneven(now, told) or not _over(now.lately.stalled_s, told, 0.080, 0.040):
        return None
    return "What you hear suffers: this computer has too little time for it. Close other programs."


def _unsteady(now: _Situation, told: bool) -> str | None:
    if not _is_uneven(now, told) or now.lately.stalled_s >= 0.080:
        return None
    wait = now.audio.delay_ms
    waits = f", so voices wait {wait:.0f} ms" if wait is not None else ""
    loss, late = now.lately.loss_percent or 0.0, now.lately.late_percent or 0.0
    if loss >= 2.0 and loss > late:  # the buffer waits for what comes again
        return (
            f"What you hear comes late: {loss:.0f} % of it is lost on the way and has to be sent again{waits}. {_CABLE}"
        )
    if not _over(late, told, 2.0, 1.0):  # all of it is heard, but late: the score may be excellent
        return f"What you hear comes late: it arrives very unevenly{waits}. {_CABLE}"
    return f"What you hear suffers: sound arrives very unevenly{waits}. {_CABLE}"


def _loss_sent(now: _Situation, told: bool) -> str | None:
    lately = now.lately
    if not _over(lately.sent_loss_after_percent, told, 3.0, 1.5):
        return None
    loss = max(lately.sent_loss_percent or 0.0, lately.sent_loss_after_percent or 0.0)
    return (
        f"The other side hears you badly: {loss:.0f} % of your sound does not reach it. Its network or your upload is "
        "too weak: stop uploads, or use a cable."
    )


def _far_away(now: _Situation, told: bool) -> str | None:
    most = _longest_wait(now, told)
    if most is None or most == "device":
        return None
    relay = " and its relay; a network that lets direct ways through is quicker." if now.relayed else ". " + _CABLE
    why = {
        "network": "Most of it is the way through the network" + relay,
        "buffer": f"Most of it waits for sound that arrives unevenly. {_CABLE}",
    }[most]
    return f"Voices arrive {(now.audio.total_delay_ms or 0) / 1000:.1f} s late. {why}"


def _no_microphone(now: _Situation, told: bool) -> str | None:
    return now.audio.microphone_problem


def _no_speaker(now: _Situation, told: bool) -> str | None:
    return now.audio.speaker_problem


def _slow_devices(now: _Situation, told: bool) -> str | None:
    if _longest_wait(now, told) != "device":
        return None
    why = "Most of it is in the sound devices; wireless ones are slow, others may be quicker."
    return f"Voices arrive {(now.audio.total_delay_ms or 0) / 1000:.1f} s late. {why}"


def _longest_wait(now: _Situation, told: bool) -> str | None:
    """Give the largest part of a long delay: "network", "buffer" or "device"; None where it is short."""
    audio = now.audio
    if not _over(audio.total_delay_ms, told, 350.0, 300.0):
        return None
    parts = {
        "network": audio.network_delay_ms or 0.0,
        "buffer": audio.delay_ms or 0.0,
        "device": (audio.device_in_delay_ms or 0.0) + (audio.device_out_delay_ms or 0.0),
    }
    return max(parts, key=lambda name: parts[name])


def _thin_sound(now: _Situation, told: bool) -> str | None:
    rate = now.audio.encoder_bitrate_bps
    if now.audio.codec != "opus" or rate is None or rate > (18_000 if told else 16_000):
        return None
    return f"{_carries(now.transport)}: your voice is sent with less treble. Stop downloads and uploads."


def _telephone_sound(now: _Situation, told: bool) -> str | None:
    if now.audio.codec not in ("pcmu", "pcma") or not now.audio.packets_received:
        return None
    return "The other phone takes only the sound of old telephones (G.711): nothing above 3.4 kHz is heard."


def _paused(now: _Situation, told: bool) -> str | None:
    if not now.video.is_paused:
        return None
    return f"{_carries(now.transport)}: your picture is paused so that the sound stays clear. It comes back by itself."


def _narrow(now: _Situation, told: bool) -> str | None:
    video = now.video
    if video.limited_by != "network" or video.is_paused:
        return None
    size = _size(video.sent_width, video.sent_height)
    fps = f" at {video.fps_sent:.0f} pictures a second" if video.fps_sent is not None else ""
    return f"{_carries(now.transport)}: your picture is sent as {size}{fps}. {_CABLE}"


def _slow_encoder(now: _Situation, told: bool) -> str | None:
    if now.video.limited_by != "cpu":
        return None
    return (
        "This computer is too slow to send a larger picture: it is sent as "
        f"{_size(now.video.sent_width, now.video.sent_height)}. Close other programs, or choose a smaller picture in "
        "the settings."
    )


def _slow_decoder(now: _Situation, told: bool) -> str | None:
    video = now.video
    if video.decode_ms is None or video.fps_received is None:
        return None
    if not _over(video.decode_ms * video.fps_received, told, 900.0, 750.0):
        return None
    size = _size(video.width, video.height)
    return f"This computer is too slow to show {size} as fast as it comes. Close other programs."


def _slow_camera(now: _Situation, told: bool) -> str | None:
    video = now.video
    captured, wanted = video.fps_captured, video.fps_wanted
    if video.is_screen or captured is None or wanted is None or captured < 1:
        return None
    if now.lately.stalled_s >= 0.080:
        return None  # a computer without time asks the camera too seldom
    if video.limited_by != "camera" and not captured < wanted * (0.8 if told else 0.7):
        return None
    return (
        f"The camera gives {captured:.0f} pictures a second instead of {wanted:.0f}. More light often helps, or a "
        "smaller picture in the settings."
    )


def _frozen(now: _Situation, told: bool) -> str | None:
    if now.lately.freezes < (1 if told else 2) or now.lately.stalled_s >= 0.080:
        return None
    loss = now.lately.video_loss_percent
    why = f": {loss:.0f} % of it is lost on the way to you" if loss is not None and loss >= 1 else ""
    return f"The other side's picture stands still now and then{why}. {_CABLE}"


def _frozen_here(now: _Situation, told: bool) -> str | None:
    if now.lately.freezes < (1 if told else 2) or not _over(now.lately.stalled_s, told, 0.080, 0.040):
        return None
    return "The picture stands still now and then: this computer has too little time for it. Close other programs."


def _seen_small(now: _Situation, told: bool) -> str | None:
    if now.video.limited_by != "far window":
        return None
    size = _size(now.video.sent_width, now.video.sent_height)
    return f"The other side shows your picture small, so it is sent as {size}."


_RULES = (
    _Rule("sound", "device", True, _no_microphone, gone_s=1.0),
    _Rule("sound", "device", False, _no_speaker, gone_s=1.0),
    _Rule("sound", "network", False, _loss_heard),
    _Rule("sound", "cpu", False, _busy),
    _Rule("sound", "network", False, _unsteady),
    _Rule("sound", "network", True, _loss_sent),
    _Rule("sound", "network", False, _far_away),
    _Rule("sound", "device", False, _slow_devices),
    _Rule("picture", "network", True, _paused, after_s=0.5),
    _Rule("picture", "cpu", False, _slow_decoder),
    _Rule("picture", "cpu", False, _frozen_here),
    _Rule("picture", "cpu", True, _slow_encoder),
    _Rule("picture", "network", False, _frozen),
    _Rule("picture", "network", True, _narrow, after_s=12.0),  # a new path is found out step by step
    _Rule("picture", "camera", True, _slow_camera, after_s=5.0),
    _Rule("sound", "network", True, _thin_sound, is_mild=True),
    _Rule("sound", "peer", False, _telephone_sound, is_mild=True),
    _Rule("picture", "far window", True, _seen_small, is_mild=True),
)
