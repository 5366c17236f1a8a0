"""The samples behind the curves of a call, and its round trip. Knows nothing of Qt."""

from __future__ import annotations

from dataclasses import dataclass

from app.events import AudioStats, CallFigures, VideoStats

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
    score: float | None = None
    total_ms: float | None = None
    concealed_percent: float | None = None
    estimate_bps: float | None = None


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
            score=figures.quality.score if figures.quality else None,
            total_ms=audio.total_delay_ms if audio else None,
            concealed_percent=figures.quality.concealed_percent if figures.quality else None,
            estimate_bps=figures.transport.estimate_bps if figures.transport else None,
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
