"""A mission: the channels that a team shares, as one JSON object (docs/channels.md, Missions).

`Mission.parse` reads and checks everything; a mission that it gives can be used as it is. Ids are made anew from what
a channel is, except where `idOverride` says that its author chose the id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum

from app.channels import ids, strict_json
from app.channels.errors import MissionError, cut
from app.channels.mission_fields import Extra, Fields, to_milliseconds, written
from app.channels.mission_parts import (
    MOST_RALLYPOINTS,
    Address,
    ConnectionStrategy,
    Presence,
    PresenceFormat,
    Rallypoint,
    RallypointCluster,
    TimelineOptions,
    TxAudio,
    TxOptions,
    TxPriority,
)
from app.channels.pin import MOST_TEXT as MOST_PIN_TEXT
from app.channels.pin import PinDigest
from app.channels.strict_json import Json
from app.natural_order import place_of

__all__ = [
    "Address",
    "ConnectionStrategy",
    "Group",
    "GroupType",
    "Meta",
    "Mission",
    "Presence",
    "PresenceFormat",
    "Rallypoint",
    "RallypointCluster",
    "TimelineOptions",
    "TxAudio",
    "TxOptions",
    "TxPriority",
]

META_TYPE = "ICE-MISSION"
META_VERSION = 1
MOST_GROUPS = 256
MOST_NAME = 128
GOOD_NAME = 16  # longer names may be cut short where they are shown
MOST_DESCRIPTION = 256
MOST_GROUP_DESCRIPTION = 1_024
_KEY = re.compile(r"[0-9A-Fa-f]{64}")
_DAY_S = 86_400
_TX_OPTIONS, _TIMELINE = TxOptions(), TimelineOptions()


class GroupType(IntEnum):
    """What a channel carries: speech, who is there and alerts, or datagrams of other programs."""

    AUDIO = 1
    MISSION_CONTROL = 2
    RAW = 3


@dataclass(frozen=True, slots=True)
class Meta:
    """What kind of file this is. `created` is in UTC."""

    created: datetime
    type: str = META_TYPE
    version: int = META_VERSION
    extra: Extra = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> Meta:
        kind = fields.text("type", META_TYPE, most=64)  # some writers leave it out
        if kind != META_TYPE:
            raise fields.error("type", f"is {cut(kind)}, and it must be {META_TYPE}")
        version = fields.whole("version", 0, 2**31)
        if version != META_VERSION:
            raise fields.error("version", f"is {version}, and Parley reads version {META_VERSION}")
        return cls(fields.instant("created"), extra=fields.extra())

    def to_json(self) -> Json:
        made = written(self, always=frozenset({"type", "version"}))
        assert isinstance(made, dict)
        return {"type": made.pop("type"), "version": made.pop("version"), **made}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One channel. `crypto_password` is its key material, 64 hex digits as they were written; None is a clear channel.

    `max_rx_secs` 0 means no limit; `interface_name` "" leaves the interface to the person.
    """

    type: GroupType
    id: str = ""
    id_override: bool = False
    name: str
    description: str = ""
    crypto_password: str | None = field(default=None, repr=False)
    rx: Address
    tx: Address
    tx_audio: TxAudio | None = None
    presence: Presence | None = None
    rallypoints: tuple[Rallypoint, ...] = ()
    rallypoint_cluster: RallypointCluster | None = None
    alias: str = ""
    interface_name: str = ""
    tx_options: TxOptions = _TX_OPTIONS
    timeline: TimelineOptions = _TIMELINE
    enable_multicast_failover: bool = False
    multicast_failover_secs: int = 10
    max_rx_secs: int = 0
    extra: Extra = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> Group:
        kind = fields.one_of("type", GroupType)
        is_own_id = fields.flag("idOverride", False)
        is_audio, is_control = kind is GroupType.AUDIO, kind is GroupType.MISSION_CONTROL
        group = cls(
            type=kind,
            id=_own_id(fields) if is_own_id else fields.text("id", "", most=64),
            id_override=is_own_id,
            name=fields.text("name", full=True, most=MOST_NAME),
            description=fields.text("description", "", most=MOST_GROUP_DESCRIPTION, lines=True),
            crypto_password=_key(fields),
            rx=fields.child("rx", Address.read),
            tx=fields.child("tx", Address.read),
            tx_audio=fields.child("txAudio", TxAudio.read)
            if is_audio
            else fields.child_or("txAudio", TxAudio.read, None),
            presence=fields.child_or("presence", Presence.read, Presence() if is_control else None),
            rallypoints=tuple(fields.children("rallypoints", Rallypoint.read, most=MOST_RALLYPOINTS, default=[])),
            rallypoint_cluster=fields.child_or("rallypointCluster", RallypointCluster.read, None),
            alias=fields.text("alias", "", most=64),
            interface_name=fields.text("interfaceName", "", most=64),
            tx_options=fields.child_or("txOptions", TxOptions.read, _TX_OPTIONS),
            timeline=fields.child_or("timeline", TimelineOptions.read, _TIMELINE),
            enable_multicast_failover=fields.flag("enableMulticastFailover", False),
            multicast_failover_secs=fields.whole("multicastFailoverSecs", 0, 3_600, 10),
            max_rx_secs=fields.whole("maxRxSecs", 0, _DAY_S, 0),
            extra=fields.extra(),
        )
        return group if group.id_override else replace(group, id=group.computed_id)

    def to_json(self) -> Json:
        # Writers of missions differ in what multicast failover is by default: it is always said.
        return written(self, always=frozenset({"id", "id_override", "enable_multicast_failover"}))

    @property
    def computed_id(self) -> str:
        """The id that follows from what the channel is."""
        servers = [*self.rallypoints, *(self.rallypoint_cluster.rallypoints if self.rallypoint_cluster else ())]
        return ids.group_id(
            self.name,
            self.type,
            self.crypto_password,
            (self.rx.address, self.rx.port),
            (self.tx.address, self.tx.port),
            [(server.host.address, server.host.port) for server in servers],
        )

    @property
    def is_encrypted(self) -> bool:
        return self.crypto_password is not None

    @property
    def cluster(self) -> RallypointCluster | None:
        """The rallypoints to use: those of the cluster, or those of the older list; None for a multicast channel."""
        if self.rallypoint_cluster is not None or not self.rallypoints:
            return self.rallypoint_cluster
        return RallypointCluster.of(self.rallypoints)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mission:
    """A mission and its channels, highest name first. `rallypoint` is one for every channel that names none itself."""

    meta: Meta
    id: str = ""
    name: str
    description: str = ""
    groups: tuple[Group, ...]
    rallypoint: Rallypoint | None = None
    pin_digest: PinDigest | None = None
    expires: datetime | None = None
    extra: Extra = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Mission:
        """Read the JSON text of a mission; MissionError names the first field that is wrong, and why."""
        fields = Fields(strict_json.read_object(text))
        meta = fields.child("meta", Meta.read)
        fields.text("id", "", most=64)  # made anew from the name
        mission = cls(
            meta=meta,
            name=fields.text("name", full=True, most=MOST_NAME),
            description=fields.text("description", "", most=MOST_DESCRIPTION, lines=True),
            groups=tuple(fields.children("groups", Group.read, most=MOST_GROUPS, default=None)),
            rallypoint=fields.child_or("rallypoint", Rallypoint.read, None),
            pin_digest=_pin_digest(fields),
            expires=fields.instant("parleyExpires") if fields.has("parleyExpires") else None,
            extra=fields.extra(),
        )
        _check_together(mission.groups)
        return mission.canonical()

    def canonical(self) -> Mission:
        """The mission as it is written: ids made anew unless chosen, channels in descending order of their names."""
        groups = [each if each.id_override else replace(each, id=each.computed_id) for each in self.groups]
        groups.sort(key=lambda each: (each.name, each.id), reverse=True)
        expires = None if self.expires is None else to_milliseconds(self.expires)
        meta = replace(self.meta, created=to_milliseconds(self.meta.created))
        return replace(self, meta=meta, id=ids.mission_id(self.name), groups=tuple(groups), expires=expires)

    @property
    def groups_by_name(self) -> tuple[Group, ...]:
        """The channels in the order in which people see them, wherever they do: A to Z, "Gate 2" before "Gate 10"."""
        return tuple(sorted(self.groups, key=lambda group: (place_of(group.name), group.id)))

    def to_json(self) -> Json:
        names = {"pin_digest": "parleyPinDigest", "expires": "parleyExpires"}
        return written(self, always=frozenset({"id"}), names=names)

    def __str__(self) -> str:
        """Write compact JSON; keys of channels are in it."""
        return strict_json.write(self.to_json())

    def checked(self) -> Mission:
        """The same mission after it went through all checks of reading: for one that was built or edited here."""
        return Mission.parse(str(self.canonical()))

    def has_expired(self, now: datetime) -> bool:
        return self.expires is not None and now >= self.expires

    def cluster_of(self, group: Group) -> RallypointCluster | None:
        """The rallypoints that carry a channel: its own, or else the mission's; None for a multicast channel."""
        if group.cluster is not None or self.rallypoint is None:
            return group.cluster
        return RallypointCluster.of((self.rallypoint,))


def _key(fields: Fields) -> str | None:
    """Key material. An empty or null one is no clear channel: somebody meant to protect it."""
    if fields.is_null("cryptoPassword"):
        raise fields.error("cryptoPassword", "is null; a clear channel leaves the field out")
    if not fields.has("cryptoPassword"):
        return None
    key = fields.text("cryptoPassword", most=strict_json.MOST_BYTES)
    if not key:
        raise fields.error("cryptoPassword", "is empty; a clear channel leaves the field out")
    if not _KEY.fullmatch(key):
        raise fields.error("cryptoPassword", "must be 64 hexadecimal digits (32 bytes), and it is not")
    return key


def _own_id(fields: Fields) -> str:
    text = fields.text("id", most=64)
    try:
        return ids.parse_uuid(text)
    except ValueError:
        raise fields.error("id", f"is {cut(text)}, and it must be a UUID") from None


def _pin_digest(fields: Fields) -> PinDigest | None:
    text = fields.text_or_none("parleyPinDigest", most=MOST_PIN_TEXT)
    try:
        return None if text is None else PinDigest.parse(text)
    except ValueError:
        raise fields.error("parleyPinDigest", "is no digest of a PIN that Parley makes") from None


def _check_together(groups: Iterable[Group]) -> None:
    """What no channel can say of itself: ids are unique, and there is one mission control."""
    places: dict[str, int] = {}
    control: int | None = None
    for index, group in enumerate(groups):
        if (first := places.setdefault(group.id, index)) != index:
            raise MissionError(
                f"is the same as that of groups[{first}], and each channel has one of its own", f"groups[{index}].id"
            )
        if group.type is GroupType.MISSION_CONTROL:
            if control is not None:
                raise MissionError(
                    f"is 2 (mission control), and groups[{control}] is that already", f"groups[{index}].type"
                )
            control = index
