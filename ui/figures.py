"""Every figure of a call in words, with what it means: the tables of the quality tab. Knows nothing of Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.events import AudioStats, CallFigures, Milestones, QualityInfo, TransportStats, VideoStats
from ui import words

NOTHING = "–"

_LIMITS = {
    "network": "the network",
    "cpu": "this computer",
    "camera": "the camera",
    "far window": "their window's size",
}
_ESTIMATES = {
    "transport-cc": "from each packet's arrival there",
    "remb": "told by the other side",
    "loss": "from its losses",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a table; `hint` says what the figure means."""

    name: str
    hint: str
    text: Callable[[CallFigures], str]


@dataclass(frozen=True, slots=True)
class Group:
    """One table; `is_there` tells whether this call has anything of it."""

    title: str
    figures: tuple[Figure, ...]
    is_there: Callable[[CallFigures], bool] = lambda figures: True


def _sound(name: str, hint: str, text: Callable[[AudioStats], str]) -> Figure:
    return Figure(name, hint, lambda figures: text(figures.audio) if figures.audio is not None else NOTHING)


def _picture(name: str, hint: str, text: Callable[[VideoStats], str]) -> Figure:
    return Figure(name, hint, lambda figures: text(figures.video) if figures.video is not None else NOTHING)


def _network(name: str, hint: str, text: Callable[[TransportStats], str]) -> Figure:
    return Figure(name, hint, lambda figures: text(figures.transport) if figures.transport is not None else NOTHING)


def _judged(name: str, hint: str, text: Callable[[AudioStats, QualityInfo], str]) -> Figure:
    def say(figures: CallFigures) -> str:
        return NOTHING if figures.audio is None else text(figures.audio, figures.quality or QualityInfo())

    return Figure(name, hint, say)


def _joined(*parts: str | None) -> str:
    return " · ".join(part for part in parts if part and part != NOTHING) or NOTHING


def _ms(value: float | None, digits: int = 0) -> str:
    return words.number(value, "ms", digits)


def _known(value: float | None, says: Callable[[float], str]) -> str | None:
    return None if value is None else says(value)


def _size(width: int | None, height: int | None) -> str:
    return f"{width} × {height}" if width and height else NOTHING


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _buffer(audio: AudioStats) -> str:
    target = _known(audio.buffer_target_ms, lambda ms: f"aims for {ms:.0f} ms")
    held = _known(audio.held_back_ms or None, lambda ms: f"{ms:.0f} ms of it for the picture")
    return _joined(_ms(audio.delay_ms), target, held)


def _encoder(audio: AudioStats) -> str:
    band = _known(audio.encoder_bandwidth_hz, lambda hz: f"up to {hz / 1000:g} kHz")
    packet = _known(audio.packet_ms, lambda ms: f"{ms:.0f} ms a packet")
    return _joined(words.rate(audio.encoder_bitrate_bps), band, packet)


def _echo(audio: AudioStats) -> str | None:
    return _known(audio.echo_return_loss_db, lambda db: f"echo {db:.0f} dB quieter")


def _cleaning(audio: AudioStats) -> str:
    switches = (
        ("echo", audio.echo_cancellation),
        ("noise", audio.noise_suppression),
        ("loudness", audio.gain_control),
    )
    known = [(name, on) for name, on in switches if on is not None]
    if not known:
        return NOTHING
    return _joined(", ".join(name for name, on in known if on) or "nothing, all switched off", _echo(audio))


def _rates(video: VideoStats) -> str:
    shown = _known(video.fps_shown, lambda fps: f"{fps:.0f} shown")
    return _joined(_known(video.fps_received, lambda fps: f"{fps:.0f} received"), shown)


def _sent_rates(video: VideoStats) -> str:
    captured = _known(video.fps_captured, lambda fps: f"{fps:.0f} captured")
    wanted = _known(video.fps_wanted, lambda fps: f"{fps:.0f} wanted")
    return _joined(_known(video.fps_sent, lambda fps: f"{fps:.0f} sent"), captured, wanted)


def _freezes(video: VideoStats) -> str:
    seconds = f"{video.freeze_s:.1f} s in all" if video.freeze_s else None
    return _joined(str(video.freezes), seconds)


def _lip_sync(video: VideoStats) -> str:
    offset = video.lip_sync_ms
    if offset is None:
        return NOTHING
    if abs(offset) < 1:
        return "together"
    return f"picture {abs(offset):.0f} ms {'later' if offset > 0 else 'earlier'} than sound"


def _sent_picture_rate(video: VideoStats) -> str:
    return _joined(
        words.rate(video.bitrate_bps), _known(video.target_bps, lambda bps: f"encoder told {words.rate(bps)}")
    )


def _limit(video: VideoStats) -> str:
    if video.is_paused:
        return "paused: the network has room for sound only"
    return "nothing" if video.limited_by is None else _LIMITS.get(video.limited_by, video.limited_by)


def _estimate(transport: TransportStats) -> str:
    return _joined(words.rate(transport.estimate_bps), _ESTIMATES.get(transport.estimate_from or ""))


def _percent(value: float | None, digits: int = 1) -> str:
    return words.number(value, "%", digits)


_HEARD = (
    _sound("Codec", "The format of the sound.", lambda audio: audio.codec or NOTHING),
    _sound(
        "Received",
        "Packets of sound that came, and how much a second.",
        lambda audio: _joined(str(audio.packets_received), words.rate(audio.bitrate_in_bps)),
    ),
    _judged(
        "Lost",
        "Packets that never came since the call began, and their share of the last seconds, before recovery.",
        lambda audio, quality: _joined(str(audio.lost), _percent(quality.loss_percent)),
    ),
    _judged(
        "Lost for good",
        "Packets missing or late that nothing brought back, and their share of the last seconds.",
        lambda audio, quality: _joined(str(audio.lost_for_good), _percent(quality.loss_after_percent)),
    ),
    _sound(
        "Recovered",
        "Sound of lost packets that other packets carried once more.",
        lambda audio: words.seconds(audio.recovered_ms / 1000),
    ),
    _judged(
        "Concealed",
        "Sound that was invented where some was missing, and its share of the last seconds.",
        lambda audio, quality: _joined(words.seconds(audio.concealed_ms / 1000), _percent(quality.concealed_percent)),
    ),
    _sound("Too late", "Packets that came after their time to be played.", lambda audio: str(audio.dropped_late)),
    _sound("Jitter", "How unevenly packets arrive.", lambda audio: _ms(audio.jitter_ms, 1)),
    _sound("Buffer delay", "How long sound waits here so that late packets are still in time.", _buffer),
    _sound(
        "Stretched",
        "Sound added or cut out, unheard, so that the buffer's delay fits.",
        lambda audio: words.seconds(audio.stretched_ms / 1000),
    ),
    _sound(
        "Clock drift",
        "How much faster the other side's sound card runs than this one, in millionths.",
        lambda audio: words.number(audio.drift_ppm, "ppm"),
    ),
    _sound(
        "Level heard",
        "How loud the other side is over the call; 0 would be as loud as can be.",
        lambda audio: words.number(audio.level_dbfs, "dBFS", 1),
    ),
)

_SAID = (
    _sound(
        "Sent",
        "Packets of sound that left, and how much a second.",
        lambda audio: _joined(str(audio.packets_sent), words.rate(audio.bitrate_out_bps)),
    ),
    _sound("Encoder", "What the encoder was told: rate, highest frequency, length of a packet.", _encoder),
    _sound(
        "Lost on the way",
        "How much of your sound the other side said it missed lately.",
        lambda audio: _joined(
            _percent(audio.remote_loss_percent),
            _known(audio.expected_loss_percent, lambda percent: f"prepared for {percent:.0f} %"),
        ),
    ),
    _sound("Jitter there", "How unevenly your packets arrive there.", lambda audio: _ms(audio.remote_jitter_ms, 1)),
    _sound("Microphone", "How loud you are just now.", lambda audio: words.number(audio.input_level_dbfs, "dBFS", 1)),
    _sound("Cleaned of", "What is taken out of the microphone's sound before it leaves.", _cleaning),
)

_SEEN = (
    _picture("Size", "Of the last picture that came.", lambda video: _size(video.width, video.height)),
    _picture("Pictures a second", "Decoded, and shown in the window.", _rates),
    _picture("Received", "How much a second.", lambda video: words.rate(video.bitrate_in_bps)),
    _picture(
        "Lost",
        "Packets that did not come at first, and how many of them came when asked for again.",
        lambda video: _joined(str(video.lost), f"{video.repaired} repaired" if video.repaired else None),
    ),
    _picture("Freezes", "How often the picture stood still for longer than it should, and for how long.", _freezes),
    _picture(
        "Asked for",
        "Packets asked for again, and whole pictures asked for to start anew from.",
        lambda video: _joined(
            _count(video.nacks_sent, "packet", "packets"), _count(video.key_frames_asked, "key frame", "key frames")
        ),
    ),
    _picture(
        "Decoder",
        "What decodes, and how long a picture takes.",
        lambda video: _joined(video.decoder, _ms(video.decode_ms, 1)),
    ),
    _picture("Lip sync", "Whether sound and picture of one moment reach you together.", _lip_sync),
    _picture(
        "Held back",
        "How long pictures wait so that they do not come before their sound.",
        lambda video: _ms(video.held_back_ms),
    ),
)

_SHOWN = (
    _picture("Codec", "The format of the picture.", lambda video: video.codec or NOTHING),
    _picture(
        "Size",
        "Of the picture that is sent; it follows what the network carries.",
        lambda video: _joined(_size(video.sent_width, video.sent_height), "screen" if video.is_screen else None),
    ),
    _picture("Pictures a second", "Sent, given by the camera, and asked of it.", _sent_rates),
    _picture(
        "Sent", "How much a second with headers and repetitions, and what the encoder was told.", _sent_picture_rate
    ),
    _picture(
        "Encoder",
        "What encodes, and how long a picture takes.",
        lambda video: _joined(video.encoder, _ms(video.encode_ms, 1)),
    ),
    _picture(
        "Asked for there",
        "What the other side missed: packets asked for again and those that were sent again, and whole pictures.",
        lambda video: _joined(
            _count(video.nacks_received, "packet", "packets"),
            f"{video.repeated} repeated",
            _count(video.plis_received, "key frame", "key frames"),
        ),
    ),
    _picture(
        "Lost on the way",
        "How much of your picture the other side said it missed lately.",
        lambda video: _percent(video.remote_loss_percent),
    ),
    _picture("Limited by", "What keeps the picture smaller or slower than it was asked to be.", _limit),
)

_WAY = (
    _network("Carries", "What the network is thought to carry from here to there, and how that is known.", _estimate),
    _network(
        "Carries to you",
        "What it is thought to carry from there to here.",
        lambda transport: words.rate(transport.estimate_in_bps),
    ),
    _network("Round trip", "To the other side and back.", lambda transport: _ms(transport.rtt_ms)),
    _network(
        "Queues",
        "How long packets wait on the way because it is full, and here to be sent.",
        lambda transport: _joined(
            _known(transport.queue_delay_ms, lambda ms: f"{ms:.0f} ms on the way"),
            _known(transport.pacer_ms, lambda ms: f"{ms:.0f} ms here"),
        ),
    ),
    _network("Lost", "Of all packets to the other side.", lambda transport: _percent(transport.loss_percent)),
)


def _wrapped(fingerprint: str | None) -> str:
    """Let a long fingerprint break into lines."""
    return NOTHING if not fingerprint else fingerprint.replace(":", ":\u200b")


_KEYS = (
    Figure("Media", "How sound and picture are encrypted.", lambda figures: figures.security.media or NOTHING),
    Figure("Cipher", "By which method.", lambda figures: figures.security.cipher or NOTHING),
    Figure(
        "Signalling",
        "Whether the messages that set the call up are protected.",
        lambda figures: {"tls": "protected (TLS)"}.get(figures.security.signalling, "not protected"),
    ),
    Figure(
        "Your fingerprint",
        "Of your key: read it to each other to be sure that nobody is in between.",
        lambda figures: _wrapped(figures.security.fingerprint_local),
    ),
    Figure("Their fingerprint", "Of their key.", lambda figures: _wrapped(figures.security.fingerprint_remote)),
)


def _mark(name: str, hint: str, when: Callable[[Milestones], float | None]) -> Figure:
    """Count from the INVITE on, or from the first thing known where this side did not send it."""

    def say(figures: CallFigures) -> str:
        marks = figures.milestones
        times = (marks.invite_sent, marks.ringing, marks.answered, marks.first_audio, marks.first_video)
        at, known = when(marks), [time for time in times if time is not None]
        return NOTHING if at is None else f"{(at - min(known)) * 1000:.0f} ms"

    return Figure(name, hint, say)


_SET_UP = (
    _mark("INVITE sent", "When the call was asked for.", lambda marks: marks.invite_sent),
    _mark("Ringing", "When it rang.", lambda marks: marks.ringing),
    _mark("Answered", "When it was picked up.", lambda marks: marks.answered),
    _mark("First sound", "When the first sound was heard here.", lambda marks: marks.first_audio),
    _mark("First picture", "When the first picture was seen here.", lambda marks: marks.first_video),
)


def _has_video(figures: CallFigures) -> bool:
    return figures.video is not None


GROUPS = (
    Group("Sound you hear", _HEARD),
    Group("Sound you send", _SAID),
    Group("Picture you see", _SEEN, _has_video),
    Group("Picture you send", _SHOWN, _has_video),
    Group("Network", _WAY),
    Group("Security", _KEYS),
    Group("Set-up", _SET_UP),
)


@dataclass(frozen=True, slots=True)
class DelayPart:
    """A part of the way from the other mouth to this ear."""

    name: str
    short: str  # where there is little room
    ms: float


def delay_parts(audio: AudioStats | None) -> tuple[DelayPart, ...]:
    """Take the whole delay apart; empty while it is not known."""
    if audio is None or audio.total_delay_ms is None:
        return ()
    network, buffer, speaker = (audio.network_delay_ms or 0.0, audio.delay_ms or 0.0, audio.device_out_delay_ms or 0.0)
    there = max(0.0, audio.total_delay_ms - network - buffer - speaker)
    return (
        DelayPart("Their side", "There", there),
        DelayPart("Network", "Net", network),
        DelayPart("Buffer", "Buf", buffer),
        DelayPart("Speaker", "Here", speaker),
    )
