"""The figures of a call's sound, picture and transport. `app.events` hands these on to everybody.

Plain data with the same conventions as there. Counts and sums run from the beginning of the call; what is named a
delay, a rate or a share is of now. Figures without a direction in their name are of what is received. What is not known
or not measured by this codec or device is None, never invented.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AudioStats:
    """Sound, both ways."""

    codec: str | None = None  # of what is sent, in lower case
    packets_sent: int = 0
    packets_received: int = 0
    lost: int = 0  # packets of the peer that never came, before any recovery (RFC 3550 section 6.4.1)
    concealed_ms: float = 0.0  # invented sound that stood for lost or late packets
    jitter_ms: float | None = None  # of arrival, RFC 3550 section 6.4.1
    delay_ms: float | None = None  # what sound waits in the jitter buffer
    rtt_ms: float | None = None  # by RTCP
    level_dbfs: float | None = None  # of what was received and played, over the whole call
    input_level_dbfs: float | None = None  # what the microphone heard in the last quarter second
    output_level_dbfs: float | None = None  # what was played in the last quarter second
    bitrate_out_bps: float | None = None  # RTP payload and headers, repeats included
    bitrate_in_bps: float | None = None  # RTP payload
    # Delay of what is heard here, from the other mouth to this ear
    buffer_target_ms: float | None = None  # the delay that the jitter buffer aims for
    device_in_delay_ms: float | None = None  # from this microphone to the encoder: device, processing, packet filling
    device_out_delay_ms: float | None = None  # from the jitter buffer to this ear: mixing, queue, device
    network_delay_ms: float | None = None  # one way: half the round trip
    held_back_ms: float | None = None  # added to the buffer's delay so that sound does not come before the picture
    total_delay_ms: float | None = None  # mouth to ear: sum of the parts, the far end's device taken to be as ours
    # What became of losses
    lost_for_good: int = 0  # of the lost and late packets, those that nothing brought back: they were concealed
    loss_runs: int = 0  # in how many unbroken rows packets were missing: tells bursts from single losses
    recovered_ms: float = 0.0  # of sound brought back from redundancy (in-band FEC) in another packet
    dropped_late: int = 0  # packets that came too late to be played
    stretched_ms: float = 0.0  # of sound added or cut out so that the buffer's delay fits
    drift_ppm: float | None = None  # how much faster than ours the peer's sound card runs
    # Sending
    encoder_bitrate_bps: float | None = None  # what the encoder was told
    encoder_bandwidth_hz: int | None = None  # highest frequency that is sent: 4000, 7000, 8000, 12000, 20000
    packet_ms: float | None = None  # of sound in a packet that is sent
    expected_loss_percent: float | None = None  # for which redundancy is sent
    remote_loss_percent: float | None = None  # what the peer said it lost of ours lately (RTCP)
    remote_jitter_ms: float | None = None  # what the peer said of ours (RTCP)
    # Processing of the microphone; None: this source has none
    echo_cancellation: bool | None = None
    noise_suppression: bool | None = None
    gain_control: bool | None = None
    raw_input_level_dbfs: float | None = None  # of the last quarter second, before any processing
    echo_return_loss_db: float | None = None  # by how much processing made the echo quieter; None: there was none
    playback_underruns: int | None = None  # how often the speaker found nothing to play; None: nothing is played yet
    capture_underruns: int | None = None  # frames of 20 ms for which a device that runs had nothing
    capture_dropped_ms: float | None = None  # of sound that a device gave and nobody had use for
    microphone_problem: str | None = None  # one sentence while nothing comes from where sound is to come from
    speaker_problem: str | None = None  # the same of where it is to be played


@dataclass(frozen=True, slots=True)
class VideoStats:
    """Pictures, both ways."""

    codec: str | None = None  # of what is sent, in lower case
    width: int | None = None  # of the last received picture
    height: int | None = None
    fps_sent: float | None = None
    fps_received: float | None = None  # decoded
    frames_sent: int = 0
    frames_decoded: int = 0
    freezes: int = 0  # see docs/media.md
    key_frames_asked: int = 0  # PLI and FIR sent
    packets_sent: int = 0
    packets_received: int = 0
    lost: int = 0  # packets that never came, before retransmission
    bitrate_bps: float | None = None  # sent
    bitrate_in_bps: float | None = None
    # Receiving
    fps_shown: float | None = None  # taken by whoever shows them
    decode_ms: float | None = None  # per picture
    decoder: str | None = None  # the library's name of it: "vp8", "h264"
    jitter_ms: float | None = None  # of arrival, RFC 3550 section 6.4.1
    freeze_s: float = 0.0  # how long pictures stood still in all freezes
    key_frames_received: int = 0
    nacks_sent: int = 0  # packets asked for again
    repaired: int = 0  # packets that came by retransmission and were of use
    is_paused_by_peer: bool = False  # the peer has sent no pictures for a while
    held_back_ms: float | None = None  # pictures wait so long so that they do not come before the sound
    lip_sync_ms: float | None = None  # how much later than its sound a picture is shown; negative: earlier
    # Sending
    sent_width: int | None = None
    sent_height: int | None = None
    fps_captured: float | None = None  # what camera, screen or file gives
    fps_wanted: float | None = None  # what the settings ask of it
    encode_ms: float | None = None  # per picture, converting and scaling included
    encoder: str | None = None  # the library's name of it: "libvpx", "libx264", "h264_nvenc"
    key_frames_sent: int = 0
    plis_received: int = 0  # PLI and FIR
    nacks_received: int = 0  # packets the peer asked for again
    repeated: int = 0  # packets sent again
    target_bps: float | None = None  # what the encoder was told
    remote_loss_percent: float | None = None  # what the peer said it lost of ours lately (RTCP)
    is_screen: bool = False  # a screen or window is sent, not a camera
    is_paused: bool = False  # no pictures are sent: the path has room for sound only
    limited_by: str | None = None  # what keeps the sent picture below what was asked: "network", "cpu", "camera",
    # "far window"; None: nothing


@dataclass(frozen=True, slots=True)
class TransportStats:
    """The path that sound and picture share."""

    estimate_bps: float | None = None  # what it is thought to carry from here to the peer
    estimate_from: str | None = None  # "transport-cc", "remb", "loss"
    estimate_in_bps: float | None = None  # what it is thought to carry to here, where we estimate for the peer
    queue_delay_ms: float | None = None  # that packets of ours wait on the way, above the least that was seen
    pacer_ms: float | None = None  # that the oldest packet waits here to be sent
    pacer_bytes: int | None = None
    rtt_ms: float | None = None  # by RTCP or transport feedback
    loss_percent: float | None = None  # of all packets to the peer, by its feedback


@dataclass(frozen=True, slots=True)
class QualityLimit:
    """One reason why a call is not as good as it could be."""

    about: str  # "sound" or "picture"
    cause: str  # "network", "cpu", "camera", "far window", "peer", "device"
    is_theirs: bool  # it spoils what the other side hears or sees of us; otherwise what is heard or seen here
    sentence: str  # for a person, with what to do
    is_mild: bool = False  # worth a line among the figures, no notice in a call


@dataclass(frozen=True, slots=True)
class LimitedFor:
    """A reason that held at some time of the call, for so long in all."""

    limit: QualityLimit  # as it was worded last
    seconds: float


@dataclass(frozen=True, slots=True)
class QualityInfo:
    """How good a call is, estimated from its figures.

    Scores are mean opinion scores from 1 to 4.5 (ITU-T G.107 Annex B); None before there is anything to judge.
    """

    score: float | None = None  # of what is heard here, over the last seconds
    score_average: float | None = None  # over the call
    score_worst: float | None = None  # of any five seconds of the call
    score_sent: float | None = None  # of what the other side hears, by its reports
    loss_percent: float | None = None  # of the sound received over the last seconds, before recovery
    loss_after_percent: float | None = None  # the same after recovery
    concealed_percent: float | None = None  # of the sound of the last seconds, invented
    limits: tuple[QualityLimit, ...] = ()  # of now, the worst first
    limited: tuple[LimitedFor, ...] = ()  # over the whole call, in the order in which they came up
