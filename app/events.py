"""Every frozen dataclass that crosses the seam between the engine thread and its users.

Plain data: no behaviour beyond formatting, no reference to anything that lives in the engine. Times named
`at` are seconds since the engine started, on its monotonic clock; times named `wall` are seconds since the
Unix epoch. Sizes are bytes, levels dBFS. A figure that is not known is None, never invented.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from app.channel_events import BurstInfo as BurstInfo
from app.channel_events import BurstKept as BurstKept
from app.channel_events import CallRule as CallRule
from app.channel_events import Carrier as Carrier
from app.channel_events import ChannelChanged as ChannelChanged
from app.channel_events import ChannelEvent as ChannelEvent
from app.channel_events import ChannelFigures as ChannelFigures
from app.channel_events import ChannelId as ChannelId
from app.channel_events import ChannelInfo as ChannelInfo
from app.channel_events import ChannelLink as ChannelLink
from app.channel_events import LastTalker as LastTalker
from app.channel_events import MissionInfo as MissionInfo
from app.channel_events import MissionsChanged as MissionsChanged
from app.channel_events import PersonHere as PersonHere
from app.channel_events import PlaybackChanged as PlaybackChanged
from app.channel_events import RosterChanged as RosterChanged
from app.channel_events import SendingInfo as SendingInfo
from app.channel_events import TalkerFigures as TalkerFigures
from app.channel_events import TalkerInfo as TalkerInfo
from app.channel_events import TalkMode as TalkMode
from app.channel_events import TextSeen as TextSeen
from app.media_events import AudioStats as AudioStats
from app.media_events import LimitedFor as LimitedFor
from app.media_events import QualityInfo as QualityInfo
from app.media_events import QualityLimit as QualityLimit
from app.media_events import TransportStats as TransportStats
from app.media_events import VideoStats as VideoStats
from app.path_events import CandidateInfo as CandidateInfo
from app.path_events import CandidateType as CandidateType
from app.path_events import ConsentInfo as ConsentInfo
from app.path_events import IceMoment as IceMoment
from app.path_events import IceSnapshot as IceSnapshot
from app.path_events import IceState as IceState
from app.path_events import MomentKind as MomentKind
from app.path_events import PairInfo as PairInfo
from app.path_events import PairState as PairState
from app.path_events import ServerInfo as ServerInfo
from app.path_events import ServerState as ServerState
from app.picture import VideoPicture


class Direction(StrEnum):
    """Who started it, seen from here."""

    OUTGOING = "outgoing"
    INCOMING = "incoming"


class CallState(StrEnum):
    """What a call is doing; the transitions stand in app/calls/states.py."""

    GATHERING = "gathering"  # caller: candidates are being gathered, nothing sent yet
    INVITING = "inviting"  # caller: the INVITE is out, no answer of any kind yet
    PREPARING = "preparing"  # callee: gathering and answering, nobody alerted yet
    CONNECTING = "connecting"  # both: offer and answer exchanged, checks and DTLS under way
    RINGING = "ringing"  # the callee is being alerted (both sides show this)
    ANSWERING = "answering"  # picked up; 200 on its way or ACK awaited
    CONNECTED = "connected"  # both sides may talk
    INTERRUPTED = "interrupted"  # connected, but the path is silent; may recover
    ENDING = "ending"  # BYE, CANCEL or a refusal is on its way
    ENDED = "ended"


class EndedBy(StrEnum):
    LOCAL = "local"
    REMOTE = "remote"
    FAILURE = "failure"


class EndKind(StrEnum):
    """Why a call ended, as a kind; `app.diagnosis.causes` puts it into a sentence."""

    HUNG_UP = "hung_up"
    CANCELLED = "cancelled"
    DECLINED = "declined"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    NOT_FOUND = "not_found"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"  # any other final response; see status
    WRONG_PASSWORD = "wrong_password"
    SERVER_UNREACHABLE = "server_unreachable"
    CHECKS_FAILED = "checks_failed"  # no candidate pair worked
    SECURITY_FAILED = "security_failed"  # DTLS failed or a fingerprint did not match
    NOTHING_IN_COMMON = "nothing_in_common"  # no codec, or no encryption both accept
    BAD_DESCRIPTION = "bad_description"  # the peer's SDP could not be understood
    NETWORK_LOST = "network_lost"  # media path silent for too long
    ANSWERED_ELSEWHERE = "answered_elsewhere"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call ended: by whom, why, with which SIP status, and one sentence that says what to do."""

    by: EndedBy
    kind: EndKind
    status: int | None
    sentence: str | None


@dataclass(frozen=True, slots=True)
class CallStep:
    """One state a call went through."""

    state: CallState
    at: float


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """A recording that is being made: it was `seconds` long at `at`, and grows unless it is paused."""

    path: str
    seconds: float
    at: float
    paused: bool


@dataclass(frozen=True, slots=True)
class CallInfo:
    """What a list or a title needs to know of one call; published as a whole at each change."""

    call_id: str
    direction: Direction
    remote_uri: str
    remote_name: str
    state: CallState
    steps: tuple[CallStep, ...]
    started_wall: float
    connected_at: float | None = None
    has_video: bool = False  # a video stream is negotiated
    offers_video: bool = False  # incoming: the caller offered video
    sending_video: bool = False  # a picture of ours goes out: the camera's, or what is shared
    mirrors_own: bool = True  # our own picture is to be shown to us as in a mirror; never what is sent
    sharing: str = ""  # the screen or window that goes out instead of the camera, as MediaSettings.video_from names it
    recording: RecordingInfo | None = None
    muted: bool = False
    held: bool = False
    poorer_steps: tuple[str, ...] = ()  # what this peer lacks, one sentence each ("no ICE", "no encryption")
    end: CallEnd | None = None
    notice: str | None = None  # what keeps the call from going on just now, e.g. that no path was found so far


@dataclass(frozen=True, slots=True)
class ShareChoice:
    """A screen or a window that can be shown to others; `video_from` names it as MediaSettings.video_from does."""

    video_from: str
    kind: str  # "screen" or "window"
    name: str
    width: int
    height: int
    picture: VideoPicture | None = None  # a small one, where it could be taken


@dataclass(frozen=True, slots=True)
class SipTrace:
    """One SIP message as it went over the wire; secrets in `text` are masked."""

    at: float
    direction: str  # "out" or "in"
    transport: str  # "udp", "tcp", …
    local: str
    remote: str
    line: str  # the start line
    size_bytes: int
    text: str
    call_id_header: str
    call_id: str | None = None  # the call it belongs to, where it does


@dataclass(frozen=True, slots=True)
class SecurityInfo:
    media: str | None = None  # "dtls-srtp", "sdes-srtp", "none"
    cipher: str | None = None
    signalling: str = "plain"  # or "tls"
    fingerprint_local: str | None = None
    fingerprint_remote: str | None = None


@dataclass(frozen=True, slots=True)
class Milestones:
    """When the things a caller waits for happened, on the engine's clock; None while they have not."""

    invite_sent: float | None = None
    ringing: float | None = None
    answered: float | None = None
    first_audio: float | None = None  # first received audio frame decoded
    first_video: float | None = None


@dataclass(frozen=True, slots=True)
class CallFigures:
    """The figures of one call, published at most four times a second and once more at its end."""

    call_id: str
    ice: IceSnapshot | None
    security: SecurityInfo
    audio: AudioStats | None
    video: VideoStats | None
    milestones: Milestones
    transport: TransportStats | None = None
    digits: str = ""  # the first keys of a telephone that the peer pressed
    quality: QualityInfo | None = None  # judged by the engine; None before there is anything to judge


class RegistrationState(StrEnum):
    NONE = "none"  # no account, or --no-register
    REGISTERING = "registering"
    REGISTERED = "registered"
    FAILED = "failed"
    UNREGISTERED = "unregistered"


class Presence(StrEnum):
    UNKNOWN = "unknown"
    ONLINE = "online"
    OFFLINE = "offline"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody to call. `source` tells where it came from: kept by the person, seen on the network, built in."""

    contact_id: str
    name: str
    uri: str
    source: str = "kept"  # "kept", "network", "builtin"
    favourite: bool = False
    presence: Presence = Presence.UNKNOWN
    note: str = ""  # e.g. "found 2 minutes ago", "hear and see yourself"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One past call."""

    entry_id: int
    call_id: str
    direction: Direction
    remote_uri: str
    remote_name: str
    started_wall: float
    duration_s: float | None  # None when it never connected
    outcome: EndKind
    sentence: str
    with_video: bool
    steps: tuple[CallStep, ...] = ()
    path: str | None = None  # "direct", "relayed", "plain"; None when no path was found
    seen: bool = True  # False for a missed call nobody has looked at
    score: float | None = None  # mean opinion score of the call, see QualityInfo.score_average


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    kind: str  # "microphone", "speaker", "camera"
    name: str
    is_default: bool


# What the engine publishes -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EngineStarted:
    at: float
    profile: str


@dataclass(frozen=True, slots=True)
class RegistrationChanged:
    account: str
    state: RegistrationState
    status: int | None = None
    sentence: str | None = None  # the answer of the server in words, with what to do
    transport: str | None = None
    expires_s: float | None = None
    own_uri: str | None = None  # the address at which others reach this person


@dataclass(frozen=True, slots=True)
class HomeChanged:
    """The embedded home server started, stopped or failed."""

    running: bool
    sip_address: str | None = None
    turn_address: str | None = None  # over UDP and TCP
    sentence: str | None = None
    turns_address: str | None = None  # over TLS, where there is a certificate


@dataclass(frozen=True, slots=True)
class CallChanged:
    call: CallInfo


@dataclass(frozen=True, slots=True)
class DigitReceived:
    """The other side of a call pressed a key of its telephone: one of 0-9, *, # and A-D."""

    call_id: str
    digit: str


@dataclass(frozen=True, slots=True)
class FiguresChanged:
    figures: CallFigures


@dataclass(frozen=True, slots=True)
class SipSeen:
    trace: SipTrace


@dataclass(frozen=True, slots=True)
class PeopleChanged:
    """The whole list: kept contacts, neighbours on the network, and built-in ones, ready to show."""

    contacts: tuple[Contact, ...]


@dataclass(frozen=True, slots=True)
class HistoryChanged:
    entries: tuple[HistoryEntry, ...]  # newest first


@dataclass(frozen=True, slots=True)
class DevicesChanged:
    devices: tuple[DeviceInfo, ...]
    problems: tuple[str, ...] = field(default=())  # "No camera was found: others see a test picture."


@dataclass(frozen=True, slots=True)
class TrialChanged:
    """How the devices do that are tried out, ten times a second."""

    level_dbfs: float | None = None  # of the microphone in the last quarter second, as others would hear it
    raw_level_dbfs: float | None = None  # … before any processing
    microphone: str | None = None  # a sentence when it is not what was asked for
    speaker: str | None = None
    camera: str | None = None
    echo_test: str = ""  # "recording" or "playing" while there is one


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """The settings were saved; read them through the engine."""


@dataclass(frozen=True, slots=True)
class FileKept:
    """A recording is finished; `problem` says in a sentence why it ended before it was asked to."""

    call_id: str
    path: str
    seconds: float
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a person should know: one sentence with what to do. `about` names the part it concerns."""

    about: str  # "network", "device", "account", "call", "disk", "engine", "muted" (somebody speaks all the same)
    sentence: str
    call_id: str | None = None


Event = (
    EngineStarted
    | RegistrationChanged
    | HomeChanged
    | CallChanged
    | DigitReceived
    | FiguresChanged
    | SipSeen
    | PeopleChanged
    | HistoryChanged
    | DevicesChanged
    | TrialChanged
    | SettingsChanged
    | FileKept
    | Problem
    | ChannelEvent
)
