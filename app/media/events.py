"""What a media session tells its owner; delivered on the loop thread."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FirstMedia:
    """The first received audio or video frame was decoded; `at` is monotonic seconds."""

    kind: str  # "audio" or "video"
    at: float


@dataclass(frozen=True, slots=True)
class DeviceTrouble:
    """A source or sink is not what was asked for: one sentence for a person."""

    about: str  # "microphone", "speaker", "camera", "picture"; "screen": what was shared is gone
    sentence: str


@dataclass(frozen=True, slots=True)
class PeerClosed:
    """The peer ended the encrypted connection of this transport (DTLS close_notify)."""

    transport: str


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """The peer pressed a key of its telephone: one of 0-9, *, # and A-D (RFC 4733)."""

    key: str


@dataclass(frozen=True, slots=True)
class MutedSpeech:
    """Somebody speaks here although the microphone is muted; said once in several seconds."""


MediaEvent = FirstMedia | DeviceTrouble | PeerClosed | KeyPressed | MutedSpeech
