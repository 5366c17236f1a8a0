"""Events of made-up calls and people, for tests of single widgets and for pictures of the window.

Whole calls with real engines are in test_whole_call.py; what stands here only brings the window into a state.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import datetime

from app.diagnosis.reachability import NatKind, reachable
from app.engine.network_report import Examination, Finding, NatFacts, NetworkReport
from app.events import (
    AudioStats,
    CallEnd,
    CallFigures,
    CallInfo,
    CallState,
    CallStep,
    CandidateInfo,
    CandidateType,
    ConsentInfo,
    Contact,
    DeviceInfo,
    Direction,
    EndedBy,
    EndKind,
    HistoryEntry,
    IceMoment,
    IceSnapshot,
    IceState,
    Milestones,
    MomentKind,
    PairInfo,
    PairState,
    Presence,
    QualityInfo,
    QualityLimit,
    SecurityInfo,
    ServerInfo,
    ServerState,
    ShareChoice,
    SipTrace,
    TransportStats,
    VideoStats,
)
from app.frames import VideoPicture
from app.settings import HostPort, TurnServer

FRONT_DESK = Contact("1", "Front desk", "sip:desk@example.org", presence=Presence.BUSY)
WORKSHOP = Contact("2", "Workshop", "sip:workshop@example.org", favourite=True, presence=Presence.ONLINE)
HARBOUR = Contact("3", "Harbour office", "sip:harbour@example.org", favourite=True, presence=Presence.UNKNOWN)
BOAT = Contact(
    "4", "Boat two", "sip:boat@192.168.1.20", "network", presence=Presence.ONLINE, note="found 2 minutes ago"
)
ECHO = Contact(
    "5", "Echo test", "sip:echo@127.0.0.1", "builtin", presence=Presence.ONLINE, note="hear and see yourself"
)
NIGHT = Contact("6", "Night shift", "sip:night@example.org", presence=Presence.OFFLINE)
PEOPLE = (FRONT_DESK, WORKSHOP, HARBOUR, BOAT, ECHO, NIGHT)

DEVICES = (
    DeviceInfo("microphone", "Built-in microphone", True),
    DeviceInfo("microphone", "Headset", False),
    DeviceInfo("speaker", "Built-in speakers", True),
    DeviceInfo("camera", "Front camera", True),
)

_ORDER = (
    CallState.GATHERING,
    CallState.INVITING,
    CallState.CONNECTING,
    CallState.RINGING,
    CallState.ANSWERING,
    CallState.CONNECTED,
)


def call(state: CallState, **changes: object) -> CallInfo:
    """A call to the front desk that has come as far as `state`."""
    reached = _ORDER[: _ORDER.index(state) + 1] if state in _ORDER else (*_ORDER, state)
    steps = tuple(CallStep(one, 10.0 + 0.1 * number) for number, one in enumerate(reached))
    info = CallInfo(
        call_id="c1",
        direction=Direction.OUTGOING,
        remote_uri=FRONT_DESK.uri,
        remote_name=FRONT_DESK.name,
        state=state,
        steps=steps,
        started_wall=time.time(),
        connected_at=10.5 if CallState.CONNECTED in reached else None,
        has_video=True,
        sending_video=True,
    )
    return replace(info, **changes)  # type: ignore[arg-type]


def incoming(state: CallState = CallState.RINGING, **changes: object) -> CallInfo:
    """A call from the workshop that has come as far as ringing."""
    reached = (CallState.PREPARING, CallState.CONNECTING, CallState.RINGING)
    reached = reached[: reached.index(state) + 1] if state in reached else (*reached, state)
    info = CallInfo(
        call_id="in1",
        direction=Direction.INCOMING,
        remote_uri=WORKSHOP.uri,
        remote_name="workshop",
        state=state,
        steps=tuple(CallStep(one, 20.0 + 0.1 * number) for number, one in enumerate(reached)),
        started_wall=time.time(),
        offers_video=True,
    )
    return replace(info, **changes)  # type: ignore[arg-type]


def failed(kind: EndKind, sentence: str, status: int | None = None) -> CallInfo:
    """The call to the front desk, failed before anybody answered."""
    end = CallEnd(EndedBy.FAILURE, kind, status, sentence)
    return call(CallState.ENDED, connected_at=None, end=end, has_video=False, sending_video=False)


LOCAL = (
    CandidateInfo(CandidateType.HOST, "192.168.1.10", 40213, "udp", 2130706431, "1", interface="eth0"),
    CandidateInfo(
        CandidateType.SRFLX,
        "203.0.113.11",
        40213,
        "udp",
        1694498815,
        "2",
        base="192.168.1.10:40213",
        server="stun.home",
    ),
    CandidateInfo(CandidateType.RELAY, "203.0.113.1", 49160, "udp", 16777215, "3", server="turn.home (UDP)"),
)
REMOTE = (
    CandidateInfo(CandidateType.HOST, "192.168.2.10", 5113, "udp", 2130706431, "1"),
    CandidateInfo(CandidateType.SRFLX, "198.51.100.7", 5113, "udp", 1694498815, "2"),
    CandidateInfo(CandidateType.RELAY, "203.0.113.1", 49171, "udp", 16777215, "3"),
)


TURN = (
    TurnServer(HostPort("turn.example.org", 3478), "udp", "ada"),
    TurnServer(HostPort("turn2.example.org", 443), "tls", "", time_limited=True),
)
SERVERS = (
    ServerInfo("stun.home:3478", "stun", "udp", ServerState.ANSWERED, "203.0.113.11:40213", rtt_s=0.012),
    ServerInfo(
        "turn.home:3478", "turn", "udp", ServerState.ANSWERED, "203.0.113.11:40213", "203.0.113.1:49160", rtt_s=0.031
    ),
    ServerInfo(
        "old.example.org:5349",
        "turn",
        "tls",
        ServerState.REFUSED,
        problem="The TURN server old.example.org:5349 is not trusted: certificate has expired. Check its name and CA.",
    ),
)
EXAMINATION = Examination(
    (
        Finding("microphone", True, "1 found, first Built-in microphone."),
        Finding("camera", None, "No camera was found: others see a test picture."),
        Finding("network", True, "This machine can be reached at 192.168.1.10."),
        Finding("ipv6", None, "This network has no IPv6: calls use IPv4."),
        Finding("udp", True, "UDP passes: calls can take the best kind of path."),
        Finding("nat", True, "The NAT shows another address to each destination (symmetric)."),
        Finding("stun", True, "stun.home:3478 over UDP answers in 12 ms and sees this machine as 203.0.113.11:40213."),
        Finding("turn", False, SERVERS[2].problem or ""),
        Finding("reach", None, "Without a TURN server these cannot be reached: peers behind a symmetric NAT."),
    ),
    NetworkReport(
        udp=True,
        tcp=None,
        ipv4=("192.168.1.10",),
        ipv6=(),
        nat=NatFacts("symmetric", "address-and-port-dependent", "address-and-port-dependent", "203.0.113.11:40213", ""),
        servers=SERVERS,
        relay=False,
        reach=reachable(NatKind.SYMMETRIC, relay=False),
        proxy=None,
        mdns=True,
    ),
)
NAT = "This machine is behind a NAT that keeps one address for all servers: direct calls work with most peers."

_STORY: tuple[tuple[float, MomentKind, str, str | None, str | None, float | None], ...] = (
    (10.0, MomentKind.CANDIDATE, "An address of this machine was found", "host 192.168.1.10:40213", None, None),
    (10.012, MomentKind.CANDIDATE, "A server tells how it sees this machine", "srflx 203.0.113.11:40213", None, None),
    (10.031, MomentKind.CANDIDATE, "A server lends an address", "relay 203.0.113.1:49160", None, None),
    (10.032, MomentKind.GATHERED, "Every server has answered or had its time", None, None, None),
    (10.2, MomentKind.PAIR, "A way to try", "host 192.168.1.10:40213", "host 192.168.2.10:5113", None),
    (10.2, MomentKind.CHECK, "A check left", "host 192.168.1.10:40213", "host 192.168.2.10:5113", None),
    (10.22, MomentKind.CHECK, "A check left", "host 192.168.1.10:40213", "srflx 198.51.100.7:5113", None),
    (10.238, MomentKind.ANSWER, "It was answered", "host 192.168.1.10:40213", "srflx 198.51.100.7:5113", 0.018),
    (10.238, MomentKind.WORKS, "This way works", "host 192.168.1.10:40213", "srflx 198.51.100.7:5113", None),
    (10.24, MomentKind.CHECK, "A check left", "relay 203.0.113.1:49160", "srflx 198.51.100.7:5113", None),
    (10.242, MomentKind.CHECK, "The nominating check left", "host 192.168.1.10:40213", "srflx 198.51.100.7:5113", None),
    (10.26, MomentKind.NOMINATED, "This way is taken", "srflx 203.0.113.11:40213", "srflx 198.51.100.7:5113", None),
    (10.262, MomentKind.CONNECTED, "Sound and picture may flow both ways", None, None, None),
    (10.285, MomentKind.ANSWER, "It was answered", "relay 203.0.113.1:49160", "srflx 198.51.100.7:5113", 0.045),
    (
        10.29,
        MomentKind.FAILED_PAIR,
        "This way does not work: no answer",
        "host 192.168.1.10:40213",
        "host 192.168.2.10:5113",
        None,
    ),
)


def moments(generation: int = 0, after: float = 0.0) -> tuple[IceMoment, ...]:
    """How the selected pair of `snapshot` came about, once more `after` seconds later for each restart."""
    return tuple(
        IceMoment(at + after, kind, text, "0", local, remote, rtt_s, generation)
        for at, kind, text, local, remote, rtt_s in _STORY
    )


def restarted() -> IceSnapshot:
    """The path after a silence and a restart that brought it back."""
    between = (
        IceMoment(70.0, MomentKind.SILENT, "Nothing heard for a moment: another way is prepared", "0"),
        IceMoment(71.3, MomentKind.INTERRUPTED, "The other side is silent: the path is interrupted", "0"),
        IceMoment(71.4, MomentKind.RESTART, "Looking for a new way: this machine has another address", generation=1),
    )
    end = (IceMoment(71.9, MomentKind.RESTARTED, "The call goes on over the new way", generation=1),)
    line = moments() + between + moments(1, 61.4) + end
    found = snapshot()
    pairs = tuple(
        replace(
            pair,
            started_at=pair.started_at and pair.started_at + 61.4,
            finished_at=pair.finished_at and pair.finished_at + 61.4,
            generation=1,
        )
        for pair in found.pairs
    )
    return replace(found, pairs=pairs, generation=1, restarts=1, timeline=line)


def snapshot(state: IceState = IceState.COMPLETED, *, selected: int | None = 1) -> IceSnapshot:
    """Four pairs: one failed, one direct that is selected, a relayed one that works, one still waiting."""
    works, failed_, waits = PairState.SUCCEEDED, PairState.FAILED, PairState.WAITING
    pairs = (
        PairInfo(0, 0, failed_, False, False, 9151314442816847871, None, 0, 0, 7, None, 10.2, 10.29),
        PairInfo(1, 1, works, True, False, 7277816997797167103, 0.018, 41_000_000, 39_000_000, 3, None, 10.22, 10.26),
        PairInfo(2, 1, works, False, False, 72057594037927935, 0.046, 2100, 1800, 2, None, 10.24, 10.285),
        PairInfo(2, 2, waits, False, False, 72057589759737855, None, 0, 0),
    )
    chosen = tuple(replace(pair, selected=number == selected) for number, pair in enumerate(pairs))
    consent = (ConsentInfo("0", "interrupted" if state is IceState.INTERRUPTED else "fresh", 261.9, 260.3, 290.3),)
    return IceSnapshot(
        "controlling",
        state,
        LOCAL,
        REMOTE,
        chosen,
        0.03,
        0.041,
        timeline=moments() if selected is not None else moments()[:10],
        servers=SERVERS,
        nat=NAT,
        consent=consent if selected is not None else (),
    )


def figures(
    call_id: str = "c1", *, step: int = 40, ice: IceSnapshot | None = None, limits: tuple[QualityLimit, ...] = ()
) -> CallFigures:
    """Figures of a good call, `step` quarters of a second after it began."""
    wave = math.sin(step / 4)
    audio = AudioStats(
        codec="opus",
        packets_sent=step * 12,
        packets_received=step * 12,
        lost=step // 25,
        concealed_ms=step * 0.8,
        jitter_ms=3.0 + wave,
        delay_ms=40.0,
        rtt_ms=18.0,
        level_dbfs=-22.4,
        input_level_dbfs=-31.0,
        bitrate_in_bps=32_000.0,
        bitrate_out_bps=32_000.0,
        buffer_target_ms=40.0,
        device_in_delay_ms=38.0,
        device_out_delay_ms=31.0,
        network_delay_ms=9.0,
        total_delay_ms=118.0 + 3 * wave,
        lost_for_good=step // 50,
        recovered_ms=step * 1.2,
        stretched_ms=step * 0.6,
        drift_ppm=12.0,
        encoder_bitrate_bps=32_000.0,
        encoder_bandwidth_hz=20_000,
        packet_ms=20.0,
        expected_loss_percent=3.0,
        remote_loss_percent=0.4,
        remote_jitter_ms=2.1,
        echo_cancellation=True,
        noise_suppression=True,
        gain_control=False,
    )
    video = VideoStats(
        codec="vp8",
        width=1280,
        height=720,
        fps_sent=30.0,
        fps_received=29.0 + wave,
        frames_decoded=step * 7,
        key_frames_asked=1,
        packets_received=step * 40,
        lost=step // 10,
        bitrate_bps=1_350_000.0,
        bitrate_in_bps=1_370_000.0 + 90_000 * wave,
        fps_shown=29.0,
        decode_ms=2.9,
        decoder="vp8",
        freezes=1,
        freeze_s=0.4,
        nacks_sent=step // 10,
        repaired=step // 10,
        lip_sync_ms=-12.0,
        held_back_ms=35.0,
        sent_width=1280,
        sent_height=720,
        fps_captured=30.0,
        fps_wanted=30.0,
        encode_ms=11.8,
        encoder="libvpx",
        plis_received=2,
        target_bps=1_500_000.0,
        remote_loss_percent=0.1,
    )
    prints = ["sha-256 " + ":".join([byte] * 32) for byte in ("AB", "CD")]
    security = SecurityInfo("dtls-srtp", "AEAD_AES_128_GCM", "tls", *prints)
    transport = TransportStats(2_100_000.0 + 200_000 * wave, "transport-cc", None, 4.0, 2.0, 1200, 18.0, 0.2)
    quality = QualityInfo(4.38 + wave / 50, 4.33, 4.1, 4.3, 0.4, 0.2, 0.3, limits)
    marks = Milestones(10.1, 10.3, 10.5, 10.53, 10.6)
    return CallFigures(call_id, ice or snapshot(), security, audio, video, marks, transport, quality=quality)


LIMITS = (
    QualityLimit(
        "sound",
        "network",
        False,
        "What you hear suffers: 8 % of the other side's sound is lost on the way to you. A cable, or a place nearer to "
        "the Wi-Fi, may help.",
    ),
    QualityLimit(
        "picture",
        "network",
        True,
        "The network carries 280 kbit/s: your picture is paused so that the sound stays clear. It comes back by "
        "itself.",
    ),
    QualityLimit(
        "picture",
        "far window",
        True,
        "The other side shows your picture small, so it is sent as 320 × 180.",
        is_mild=True,
    ),
)


def no_figures(call_id: str = "c1", ice: IceSnapshot | None = None) -> CallFigures:
    """Figures of a call that is being set up."""
    return CallFigures(call_id, ice, SecurityInfo(), None, None, Milestones())


_LADDER = (
    ("out", "INVITE sip:desk@example.org SIP/2.0"),
    ("in", "SIP/2.0 100 Trying"),
    ("in", "SIP/2.0 183 Session Progress"),
    ("out", "PRACK sip:desk@198.51.100.7 SIP/2.0"),
    ("in", "SIP/2.0 200 OK"),
    ("in", "SIP/2.0 180 Ringing"),
    ("in", "SIP/2.0 200 OK"),
    ("out", "ACK sip:desk@198.51.100.7 SIP/2.0"),
)


def traces(call_id: str | None = "c1") -> list[SipTrace]:
    """The messages of a call from INVITE to ACK."""
    made = []
    for number, (direction, line) in enumerate(_LADDER):
        text = f"{line}\r\nVia: SIP/2.0/TLS 192.168.1.10:5061;branch=z9hG4bK{number}\r\nCall-ID: abc@host\r\n\r\n"
        ends = ("192.168.1.10:5061", "198.51.100.7:5061")
        at = 10.1 + 0.04 * number
        made.append(SipTrace(at, direction, "tls", *ends, line, len(text), text, "abc@host", call_id))
    return made


def history() -> tuple[HistoryEntry, ...]:
    """A missed call that nobody has seen yet and one more of today, and two of yesterday, at any time of the day."""
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    nobody = "Nobody is registered under this address."
    rows = (
        (Direction.INCOMING, WORKSHOP, EndKind.CANCELLED, None, "The caller gave up.", None, 2, False),
        (Direction.OUTGOING, FRONT_DESK, EndKind.HUNG_UP, 252.0, "", "direct", 1, True),
        (Direction.INCOMING, BOAT, EndKind.HUNG_UP, 31.0, "", "relayed", -7200, True),
        (Direction.OUTGOING, NIGHT, EndKind.NOT_FOUND, None, nobody, None, -9000, True),
    )
    return tuple(
        HistoryEntry(
            number,
            f"h{number}",
            way,
            who.uri,
            who.name,
            midnight + after,
            lasted,
            kind,
            said,
            True,
            path=path,
            seen=seen,
            score=None if lasted is None else 4.36,
        )
        for number, (way, who, kind, lasted, said, path, after, seen) in enumerate(rows)
    )


def picture(width: int = 640, height: int = 480, colour: tuple[int, int, int] = (145, 102, 43)) -> VideoPicture:
    """A picture whose left half is darker, so that mirroring shows; colours are blue, green, red."""
    blue, green, red = colour
    left = bytes((blue // 3, green // 3, red // 3, 255)) * (width // 2)
    right = bytes((blue, green, red, 255)) * (width - width // 2)
    return VideoPicture(width, height, width * 4, (left + right) * height, time.monotonic())


SHARE_CHOICES = (
    ShareChoice("screen:HDMI-1", "screen", "HDMI-1", 1920, 1080, picture(256, 144, (120, 90, 60))),
    ShareChoice("screen:eDP-1", "screen", "eDP-1", 2560, 1600, picture(256, 160)),
    ShareChoice("window:0x400007", "window", "Drawings of the new harbour – Viewer", 800, 900, picture(142, 160)),
    ShareChoice("window:0x600001", "window", "Notes", 500, 300),
)
NO_SHARING = (
    "This desktop runs on Wayland, where Parley cannot take the picture of a screen or a window: "
    "log in with an X11 (Xorg) session to share."
)
