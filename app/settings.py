"""What a person or a command line can set: plain frozen data that any layer may import.

Reading and writing the file is `app.people.settings_file`; this module only says what there is and what each
value means. Secrets are never here: passwords live in the keyring (`app.people.secrets`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from app.channel_events import CallRule


class IcePolicy(StrEnum):
    """Which candidates may be used."""

    ALL = "all"
    RELAY = "relay"  # only relayed paths; no address of this machine is shown to the peer
    OFF = "off"  # no ICE: plain c=/m= addresses


class TrickleMode(StrEnum):
    """Whether a call's addresses may be told as they are found (RFC 8838, RFC 8840)."""

    AUTO = "auto"  # to whoever is known to understand it; everybody else gets all addresses in the offer
    ALWAYS = "always"  # the offer leaves at once, whoever is called
    OFF = "off"  # no word of it: offers and answers have all addresses


class Encryption(StrEnum):
    """What protects the media."""

    DTLS = "dtls"
    SDES = "sdes"
    NONE = "none"
    BEST = "best"  # offer DTLS, accept SDES or none from a peer that has no more, and say so


class SipTransport(StrEnum):
    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    WS = "ws"
    WSS = "wss"


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host name or address with a port; `str()` gives `host:port`, IPv6 in brackets.

    Port 0, where it is allowed, means that none was named: the DNS (SRV) or the default of the protocol tells it.
    """

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> HostPort:
        """Read `host`, `host:port`, `[v6]` or `[v6]:port`; ValueError names what is wrong."""
        text = text.strip()
        if text.startswith("["):
            host, bracket, rest = text[1:].partition("]")
            if not bracket or (rest and not rest.startswith(":")):
                raise ValueError(f"{text[:60]!r} is not [address]:port")
            port_text = rest[1:]
        elif text.count(":") > 1:
            host, port_text = text, ""
        else:
            host, _, port_text = text.partition(":")
        if not host:
            raise ValueError(f"{text[:60]!r} names no host")
        if not port_text:
            if default_port is None:
                raise ValueError(f"{text[:60]!r} needs a port: host:port")
            return cls(host, default_port)
        if not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text) < 65536):
            raise ValueError(f"{port_text[:20]!r} is not a port from 1 to 65535")
        return cls(host, int(port_text))

    @classmethod
    def parse_server(cls, text: str, default_port: int) -> HostPort:
        """Read a STUN or TURN server; without a port a name of the DNS gets 0 (SRV names it), others the default."""
        place = cls.parse(text, 0)
        is_name = "." in place.host and not place.host.replace(".", "").isdigit() and ":" not in place.host
        return place if place.port or is_name else cls(place.host, default_port)


@dataclass(frozen=True, slots=True)
class TurnServer:
    """A TURN server with the user that may allocate there; password or secret are in the keyring or passed beside.

    With a `secret` shared with the server, user name and password are made anew for each relay and end by themselves
    (the "REST" scheme of TURN servers); `username` may then be empty. `time_limited` says that what is kept is one.
    """

    server: HostPort
    transport: str = "udp"  # "udp", "tcp" or "tls"
    username: str = ""
    password: str = field(default="", repr=False)  # only in memory, never in the settings file
    secret: str = field(default="", repr=False)  # likewise
    time_limited: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """One SIP account. `address` is the address of record without scheme parameters, e.g. sip:ada@example.org."""

    address: str
    transport: SipTransport | None = None  # None: by the address and RFC 3263
    registrar: HostPort | None = None  # None: the domain of the address
    display_name: str = ""
    auth_user: str = ""  # "" means the user part of the address
    register: bool = True


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    stun_servers: tuple[HostPort, ...] = ()
    turn_servers: tuple[TurnServer, ...] = ()
    ice_policy: IcePolicy = IcePolicy.ALL
    interfaces: tuple[str, ...] = ()  # names or addresses; empty: all that are up, loopback only if alone
    sip_port: int | None = None  # None: 5060 where free, otherwise any
    ca_file: str | None = None
    proxy: str = field(
        default="", repr=False
    )  # URL of a proxy for TURN over TCP and TLS; "" means as the environment says
    hide_addresses: bool = False  # signal names of the local network instead of this machine's addresses
    ice_tcp: bool = True  # paths over TCP too, for peers whose UDP is shut
    find_neighbours: bool = True  # announce and look for other Parleys on the local network
    trickle: TrickleMode = TrickleMode.AUTO


def is_shared(video_from: str) -> bool:
    """Whether this names a screen or a window, not a camera or a file."""
    return video_from == "screen" or video_from.startswith(("screen:", "window:"))


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """Where sound and picture come from and go to.

    audio_from: "mic", "silence", "tone:HZ" or a file; audio_to: "speaker", "null" or a .wav file;
    video_from: "camera", "pattern", "none", "screen", "screen:NAME", "window:ID" or a file; video_to: "window", "null"
    or a file (.mkv, .mp4, .webm).
    Device names empty: follow the system. `ring_device` is the speaker on which a call rings.
    The three switches clean what the microphone hears; sound from files and tones only with `process_files`.
    """

    audio_from: str = "mic"
    audio_to: str = "speaker"
    video_from: str = "camera"
    video_to: str = "window"
    microphone: str = ""
    speaker: str = ""
    ring_device: str = ""
    camera: str = ""
    echo_cancellation: bool = True
    noise_suppression: bool = True
    gain_control: bool = True
    process_files: bool = False
    audio_codecs: tuple[str, ...] = ("opus", "g722", "pcmu", "pcma")
    dtx: bool = False  # send and ask for little while nobody speaks
    video_codecs: tuple[str, ...] = ("vp8", "h264")
    encryption: Encryption = Encryption.BEST
    width: int = 640
    height: int = 480
    fps: int = 30
    video_kbps: int | None = None  # the most that the own picture may take; None: what its size is worth
    mirror_own: bool = True  # show the own picture as in a mirror; others see it as it is


class RecordedSound(StrEnum):
    """How a recording keeps the two voices."""

    MIXED = "mixed"  # together, in one track
    STEREO = "stereo"  # this side left, the other side right
    TRACKS = "tracks"  # two tracks; in a WAV file, which has one, left and right


class TellOther(StrEnum):
    """How the other side learns that it is recorded."""

    TONE = "tone"  # a short beep every 15 seconds in what it hears
    LABEL = "label"  # "REC" in the picture that it sees; a tone while it sees none
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    folder: str = ""  # "" means the folder Parley in the platform's own for videos
    stills_folder: str = ""  # likewise for pictures
    sound: RecordedSound = RecordedSound.MIXED
    tell: TellOther = TellOther.TONE


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is kept. `accounts` holds at most one for now; a tuple so that more can come."""

    accounts: tuple[Account, ...] = ()
    network: NetworkSettings = NetworkSettings()
    media: MediaSettings = MediaSettings()
    recording: RecordingSettings = RecordingSettings()
    display_name: str = ""  # how neighbours and callees see this person; "" means the login name
    ring_volume: float = 0.8  # 0 to 1
    talk_key: str = ""  # talks on the primary channel wherever it is pressed, such as "F9" or "Ctrl+Alt+T"; "": none
    no_answer_after_s: float = 60.0  # an unanswered incoming call ends with 480 after this
    talk_priority: int = 0  # on all channels, 0 to 255: who has a lower one is interrupted, an emergency excepted
    call_rule: CallRule = CallRule.DUCK  # what becomes of channels while a call goes on
    reconnect_for_s: float = 60.0  # how long an interrupted call waits for a path before it ends


def without_user_info(url: str) -> str:
    """Cut user name and password out of a URL, such as a proxy's: they are secrets."""
    scheme, mark, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{mark}{place.rpartition('@')[2]}{slash}{path}" if mark else url.rpartition("@")[2]
