"""What a channel of a mission is made of: addresses, how it sends, presence, rallypoints (docs/channels.md, Missions).

Each is a value object with the fields of its JSON object in snake_case, read by `read` and written by `to_json`.
`extra` holds the fields that Parley does not know. What may be secret is left out of `repr`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import IntEnum

from app.channels.encoders import ENCODERS, EncoderId
from app.channels.errors import MissionError
from app.channels.mission_fields import Extra, Fields, is_numeric, written
from app.channels.strict_json import Json

MOST_RALLYPOINTS = 32
MOST_CERTIFICATES = 32
MOST_LOGIN = 256  # characters of a name, a password or a token
MOST_CERTIFICATE = 32_768  # characters of PEM text
_DAY_S = 86_400


class TxPriority(IntEnum):
    """What a network is told of the packets, by their DSCP."""

    BEST_EFFORT = 0
    SIGNALLING = 1
    VIDEO = 2
    VOICE = 3


class PresenceFormat(IntEnum):
    """How presence is written: as descriptors in JSON, or as Cursor on Target."""

    UNKNOWN = 0
    DESCRIPTOR = 1
    CURSOR_ON_TARGET = 2


class ConnectionStrategy(IntEnum):
    """Which rallypoint of a cluster comes next: the next in turn, or the first of the list as soon as it is back."""

    ROUND_ROBIN = 0
    FAIL_BACK = 1


@dataclass(frozen=True, slots=True)
class Address:
    """Where datagrams go, or where a rallypoint listens; `str()` gives `address:port`, IPv6 in brackets."""

    address: str
    port: int
    extra: Extra = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> Address:
        """Read `address:port`, `[v6]:port` or, with a default, the address alone; MissionError says what is wrong."""
        host, port = text, str(default_port or "")
        if text.startswith("["):
            host, _, rest = text[1:].partition("]")
            port = rest.removeprefix(":") or port
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
        if not (port.isascii() and port.isdigit() and len(port) <= 5):
            raise MissionError("An address is written as 234.42.42.1:18000 or [ff15::1]:18000.")
        return cls.read_host(Fields({"address": host, "port": int(port)}, "address"))

    @classmethod
    def read(cls, fields: Fields) -> Address:
        """Read where packets come from or go to: a numeric address."""
        return cls(fields.numeric_address("address"), fields.whole("port", 1, 65_535), fields.extra())

    @classmethod
    def read_host(cls, fields: Fields) -> Address:
        """Read where a server listens: an address or a name."""
        return cls(fields.host("address"), fields.whole("port", 1, 65_535), fields.extra())

    def to_json(self) -> Json:
        return written(self)

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def is_multicast(self) -> bool:
        return is_numeric(self.address) and ipaddress.ip_address(self.address).is_multicast


@dataclass(frozen=True, slots=True)
class TxOptions:
    """How datagrams leave. A ttl of -1 is the system's."""

    priority: TxPriority = TxPriority.VOICE
    ttl: int = 1
    extra: Extra = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> TxOptions:
        priority = fields.one_of("priority", TxPriority, TxPriority.VOICE)
        return cls(priority, fields.whole("ttl", -1, 255, 1), fields.extra())

    def to_json(self) -> Json:
        return written(self, always=frozenset({"priority", "ttl"}))


_TCP_OPTIONS = TxOptions(ttl=-1)


@dataclass(frozen=True, slots=True)
class TxAudio:
    """How a channel's sound is sent. `encoder` is an id of the codec table; `max_tx_secs` 0 means no limit."""

    encoder: int = EncoderId.OPUS_8
    encoder_name: str = ""
    framing_ms: int = 60
    block_count: int = 0
    fdx: bool = False
    no_hdr_ext: bool = False
    max_tx_secs: int = 0
    extension_send_interval: int = 10
    initial_header_burst: int = 5
    trailing_header_burst: int = 5
    start_tx_notifications: int = 5
    custom_rtp_payload_type: int = -1
    reset_rtp_on_tx: bool = True
    enable_smoothing: bool = True
    dtx: bool = False
    smoothed_hang_time_ms: int = 0
    enabled: bool = True
    extra: Extra = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> TxAudio:
        encoder = fields.whole("encoder", -(2**31), 2**31 - 1, EncoderId.OPUS_8)
        if encoder not in ENCODERS or encoder == EncoderId.UNKNOWN:
            raise fields.error("encoder", f"is {encoder}, and there is no codec of this number")
        name = fields.text("encoderName", "", most=64)
        if encoder == EncoderId.EXTERNAL and not name:
            raise fields.error("encoderName", f"is missing, and an encoder of {encoder} is known by its name")
        return cls(
            encoder,
            name,
            framing_ms=fields.whole("framingMs", 20, 120, 60),
            block_count=fields.whole("blockCount", 0, 1_000, 0),
            fdx=fields.flag("fdx", False),
            no_hdr_ext=fields.flag("noHdrExt", False),
            max_tx_secs=fields.whole("maxTxSecs", 0, _DAY_S, 0),
            extension_send_interval=fields.whole("extensionSendInterval", 0, 1_000, 10),
            initial_header_burst=fields.whole("initialHeaderBurst", 0, 100, 5),
            trailing_header_burst=fields.whole("trailingHeaderBurst", 0, 100, 5),
            start_tx_notifications=fields.whole("startTxNotifications", 0, 100, 5),
            custom_rtp_payload_type=fields.whole("customRtpPayloadType", -1, 127, -1),
            reset_rtp_on_tx=fields.flag("resetRtpOnTx", True),
            enable_smoothing=fields.flag("enableSmoothing", True),
            dtx=fields.flag("dtx", False),
            smoothed_hang_time_ms=fields.whole("smoothedHangTimeMs", 0, 60_000, 0),
            enabled=fields.flag("enabled", True),
            extra=fields.extra(),
        )

    def to_json(self) -> Json:
        return written(self, always=frozenset({"encoder", "framing_ms", "fdx", "no_hdr_ext", "max_tx_secs"}))


@dataclass(frozen=True, slots=True)
class Presence:
    """How often the mission control channel tells who is there."""

    format: PresenceFormat = PresenceFormat.DESCRIPTOR
    interval_secs: int = 30
    listen_only: bool = False
    min_interval_secs: int = 5
    reduce_immediacy: bool = False
    force_on_audio_transmit: bool = False
    extra: Extra = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> Presence:
        return cls(
            fields.one_of("format", PresenceFormat, PresenceFormat.DESCRIPTOR),
            interval_secs=fields.whole("intervalSecs", 1, _DAY_S, 30),
            listen_only=fields.flag("listenOnly", False),
            min_interval_secs=fields.whole("minIntervalSecs", 0, _DAY_S, 5),
            reduce_immediacy=fields.flag("reduceImmediacy", False),
            force_on_audio_transmit=fields.flag("forceOnAudioTransmit", False),
            extra=fields.extra(),
        )

    def to_json(self) -> Json:
        return written(self, always=frozenset({"format", "interval_secs"}))


@dataclass(frozen=True, slots=True)
class TimelineOptions:
    """What of a channel is kept for replay."""

    enabled: bool = True
    max_audio_time_ms: int = 30_000
    record_audio: bool = True
    extra: Extra = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> TimelineOptions:
        return cls(
            fields.flag("enabled", True),
            fields.whole("maxAudioTimeMs", 0, _DAY_S * 1_000, 30_000),
            fields.flag("recordAudio", True),
            fields.extra(),
        )

    def to_json(self) -> Json:
        return written(self, always=frozenset({"enabled"}))


@dataclass(frozen=True, slots=True)
class Rallypoint:
    """A server that carries a channel. Certificates are PEM text, `@file`, or `@certstore://name`.

    `user` with `password`, or `token`: how members log in; `websocket`: by secure WebSocket. These four are Parley's.
    """

    host: Address
    certificate: str = ""
    certificate_key: str = field(default="", repr=False)
    verify_peer: bool = True
    allow_self_signed_certificate: bool = False
    ca_certificates: tuple[str, ...] = ()
    transaction_timeout_ms: int = 0
    connection_timeout_secs: int = 0
    disable_message_signing: bool = False
    tcp_tx_options: TxOptions = _TCP_OPTIONS
    sni: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    websocket: bool = False
    extra: Extra = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> Rallypoint:
        return cls(
            fields.child("host", Address.read_host),
            certificate=fields.text("certificate", "", most=MOST_CERTIFICATE, lines=True),
            certificate_key=fields.text("certificateKey", "", most=MOST_CERTIFICATE, lines=True),
            verify_peer=fields.flag("verifyPeer", True),
            allow_self_signed_certificate=fields.flag("allowSelfSignedCertificate", False),
            ca_certificates=fields.texts("caCertificates", most=MOST_CERTIFICATES, most_characters=MOST_CERTIFICATE),
            transaction_timeout_ms=fields.whole("transactionTimeoutMs", 0, 600_000, 0),
            connection_timeout_secs=fields.whole("connectionTimeoutSecs", 0, 600, 0),
            disable_message_signing=fields.flag("disableMessageSigning", False),
            tcp_tx_options=fields.child_or("tcpTxOptions", _read_tcp_options, _TCP_OPTIONS),
            sni=fields.text("sni", "", most=253),
            user=fields.text("user", "", most=MOST_LOGIN),
            password=fields.text("password", "", most=MOST_LOGIN),
            token=fields.text("token", "", most=MOST_LOGIN),
            websocket=fields.flag("websocket", False),
            extra=fields.extra(),
        )

    def to_json(self) -> Json:
        return written(self)


def _read_tcp_options(fields: Fields) -> TxOptions:
    priority = fields.one_of("priority", TxPriority, TxPriority.VOICE)
    return TxOptions(priority, fields.whole("ttl", -1, 255, -1), fields.extra())


@dataclass(frozen=True, slots=True)
class RallypointCluster:
    """Several servers that carry a channel, one at a time."""

    rallypoints: tuple[Rallypoint, ...]
    connection_strategy: ConnectionStrategy = ConnectionStrategy.ROUND_ROBIN
    rollover_secs: int = 10
    connection_timeout_secs: int = 5
    transaction_timeout_ms: int = 10_000
    extra: Extra = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> RallypointCluster:
        rallypoints = fields.children("rallypoints", Rallypoint.read, most=MOST_RALLYPOINTS, default=None)
        if not rallypoints:
            raise fields.error("rallypoints", "is empty, and a cluster has one rallypoint at least")
        return cls(
            tuple(rallypoints),
            fields.one_of("connectionStrategy", ConnectionStrategy, ConnectionStrategy.ROUND_ROBIN),
            rollover_secs=fields.whole("rolloverSecs", 0, 3_600, 10),
            connection_timeout_secs=fields.whole("connectionTimeoutSecs", 0, 600, 5),
            transaction_timeout_ms=fields.whole("transactionTimeoutMs", 0, 600_000, 10_000),
            extra=fields.extra(),
        )

    @classmethod
    def of(cls, rallypoints: tuple[Rallypoint, ...]) -> RallypointCluster:
        """Make one of rallypoints that are no cluster in the mission; the longest of their times counts for all."""
        return cls(
            rallypoints,
            connection_timeout_secs=max(one.connection_timeout_secs for one in rallypoints),
            transaction_timeout_ms=max(one.transaction_timeout_ms for one in rallypoints),
        )

    def to_json(self) -> Json:
        return written(self, always=frozenset({"connection_strategy"}))
