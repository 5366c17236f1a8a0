"""How a call sounds, as one number, and the samples behind the curves. Knows nothing of Qt.

The number is the E-model of ITU-T G.107 with defaults, reduced to delay and loss, turned into a mean opinion score
from 1 to 4.5 by its Annex B. It is an estimate from the network's figures; nobody listened.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.events import AudioStats, CallFigures, VideoStats

# Equipment impairment and loss robustness of each codec (ITU-T G.113 appendix I; Opus with concealment like G.711's).
_CODECS = {"opus": (0.0, 20.0), "pcmu": (0.0, 25.1), "pcma": (0.0, 25.1), "g722": (13.0, 20.0)}
_MOST_SAMPLES = 240  # a minute at four a second


@dataclass(frozen=True, slots=True)
class Sample:
    """The figures of one moment; rates are over the time since the sample before. None: not known."""

    at: float
    rtt_ms: float | None
    loss_percent: float | None
    jitter_ms: float | None
    audio_in_bps: float | None
    video_in_bps: float | None
    out_bps: float | None
    fps_in: float | None
    fps_out: float | None


class Series:
    """The last minute of a call's figures."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._counts: list[tuple[float, int, int]] = []

    def add(self, figures: CallFigures, at: float) -> None:
        """Take the newest figures, published at `at` seconds on any steady clock."""
        audio, video = figures.audio, figures.video
        lost, received = _packets(audio, video)
        self._counts.append((at, lost, received))
        del self._counts[:-20]
        sample = Sample(
            at=at,
            rtt_ms=round_trip_ms(figures),
            loss_percent=self.loss_percent(),
            jitter_ms=audio.jitter_ms if audio else None,
            audio_in_bps=audio.bitrate_in_bps if audio else None,
            video_in_bps=video.bitrate_in_bps if video else None,
            out_bps=_sum(audio.bitrate_out_bps if audio else None, video.bitrate_bps if video else None),
            fps_in=video.fps_received if video else None,
            fps_out=video.fps_sent if video else None,
        )
        self.samples.append(sample)
        del self.samples[:-_MOST_SAMPLES]

    def loss_percent(self) -> float | None:
        """Give the loss of the last five seconds, in per cent of what was to be received."""
        if len(self._counts) < 2:
            return None
        (_, lost_before, received_before), (_, lost, received) = self._counts[0], self._counts[-1]
        lost, received = max(0, lost - lost_before), max(0, received - received_before)
        return 100.0 * lost / (lost + received) if lost + received else None


def _packets(audio: AudioStats | None, video: VideoStats | None) -> tuple[int, int]:
    parts = [part for part in (audio, video) if part is not None]
    return sum(part.lost for part in parts), sum(part.packets_received for part in parts)


def _sum(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def round_trip_ms(figures: CallFigures) -> float | None:
    """Give the round trip, by the selected pair's checks or else by RTCP."""
    pair = figures.ice.selected_pair() if figures.ice else None
    if pair is not None and pair.rtt_s is not None:
        return pair.rtt_s * 1000
    return figures.audio.rtt_ms if figures.audio else None


def opinion_score(figures: CallFigures, loss_percent: float | None) -> float | None:
    """Estimate how good the call sounds, 1 to 4.5; None before any sound came."""
    audio = figures.audio
    if audio is None or audio.packets_received == 0:
        return None
    rtt = round_trip_ms(figures) or 0.0
    delay = rtt / 2 + (audio.delay_ms if audio.delay_ms is not None else 60.0) + 25.0
    impairment, robustness = _CODECS.get((audio.codec or "").lower(), (5.0, 10.0))
    loss = loss_percent or 0.0
    late = 0.024 * delay + (0.11 * (delay - 177.3) if delay > 177.3 else 0.0)
    lossy = impairment + (95.0 - impairment) * loss / (loss + robustness)
    r = max(0.0, min(100.0, 93.2 - late - lossy))
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)
