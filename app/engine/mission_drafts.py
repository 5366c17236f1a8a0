"""Missions while they are edited: what a new channel begins with, what is wrong with a field, what a channel costs.

A draft is a Mission whose fields need not be right yet. What nobody changes stays as it was: unknown fields, chosen
ids, the older list of rallypoints. Ids follow when it is finished. Call `finished` and `with_pin` off an event loop.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.channels import strict_json
from app.channels.costs import IPV4_BYTES, IPV6_BYTES, channel_stream, relayed_stream
from app.channels.encoders import ENCODERS, FRAMINGS_MS, EncoderId, encoder_info
from app.channels.errors import MissionError
from app.channels.mission import (
    MOST_DESCRIPTION,
    MOST_GROUP_DESCRIPTION,
    MOST_GROUPS,
    MOST_NAME,
    Address,
    ConnectionStrategy,
    Group,
    GroupType,
    Mission,
    Presence,
    Rallypoint,
    RallypointCluster,
    TxAudio,
    TxPriority,
)
from app.channels.mission_fields import Fields
from app.channels.mission_notices import notices
from app.channels.mission_parts import MOST_LOGIN, MOST_RALLYPOINTS
from app.channels.new_mission import CONTROL_NAME, ChannelWish, MissionWishes, fresh_key, new_mission, own_address
from app.channels.packet import MOST_ALIAS_BYTES
from app.channels.pin import LEAST_DIGITS, MOST_DIGITS, PinDigest
from app.channels.strict_json import Json
from app.engine.missions import in_one_sentence

__all__ = [
    "FRAMINGS_MS",
    "LEAST_DIGITS",
    "MOST_DESCRIPTION",
    "MOST_DIGITS",
    "MOST_GROUPS",
    "MOST_GROUP_DESCRIPTION",
    "MOST_LOGIN",
    "MOST_NAME",
    "MOST_RALLYPOINTS",
    "Address",
    "ChannelCost",
    "ConnectionStrategy",
    "DraftCheck",
    "EncoderChoice",
    "FieldProblem",
    "Group",
    "GroupType",
    "Mission",
    "Rallypoint",
    "RallypointCluster",
    "TxPriority",
    "begun",
    "cost",
    "encoder_choices",
    "encoder_name",
    "finished",
    "fresh_key",
    "has_control",
    "new_channel",
    "new_rallypoint",
    "notices",
    "pin_is_right",
    "servers_of",
    "with_pin",
    "with_servers",
]

RALLYPOINT_PORT = 7443
_MOST_PROBLEMS = 16  # told of one channel
_GOOD: dict[str, Json] = {"name": "x", "description": "x", "address": "::", "cryptoPassword": "0" * 64}
_LONGEST_NAME_SENT = "m" * MOST_ALIAS_BYTES  # what a talker's name costs at most


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """An encoder that a channel can have; `why_not` says why it cannot be talked with from here, or is empty."""

    id: int
    name: str
    why_not: str


@dataclass(frozen=True, slots=True)
class ChannelCost:
    """kb/s on the wire for each who talks. `down_kbps`: from the rallypoint to each who listens; None by multicast."""

    up_kbps: float
    down_kbps: float | None = None


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field of a draft. `path` as in `groups[2].rx.port`, "" for the mission as a whole."""

    path: str
    why: str


def begun(created: datetime) -> Mission:
    """A draft to begin with: mission control and one channel, both encrypted, at addresses drawn by lot."""
    with in_one_sentence():
        made = new_mission(MissionWishes(secrets.token_hex(8), (ChannelWish("Alpha"),)), created)
    return replace(made, name="")


def new_channel(mission: Mission, kind: GroupType) -> Group:
    """A channel as `parley mission new` makes them, under a name and an address that no other of the draft has."""
    names = {group.name for group in mission.groups}
    if kind is GroupType.MISSION_CONTROL:
        name = CONTROL_NAME
    else:
        name = next(name for number in range(1, MOST_GROUPS + 2) if (name := f"Channel {number}") not in names)
    # The audio channels of one mission are alike, as a rule: a new one has the sound and the way of the last.
    like = next((group for group in reversed(mission.groups) if group.type is GroupType.AUDIO), None)
    sound = (
        like.tx_audio if like is not None and like.tx_audio is not None else TxAudio(EncoderId.OPUS_24, framing_ms=20)
    )
    address = _free_address(mission)
    return Group(
        type=kind,
        name=name,
        crypto_password=fresh_key() if like is None or like.is_encrypted else None,
        rx=address,
        tx=address,
        tx_audio=TxAudio(sound.encoder, framing_ms=sound.framing_ms) if kind is GroupType.AUDIO else None,
        presence=Presence() if kind is GroupType.MISSION_CONTROL else None,
        rallypoint_cluster=None if like is None else like.cluster,
        enable_multicast_failover=like is not None and like.enable_multicast_failover,
        multicast_failover_secs=10 if like is None else like.multicast_failover_secs,
    )


def _free_address(mission: Mission) -> Address:
    """An address beside those of the mission's other channels, where none of them is."""
    taken = {(group.rx.address, group.rx.port) for group in mission.groups}
    beside = next((group.rx.address for group in mission.groups if group.rx.address.startswith("239.")), None)
    for number in range(MOST_GROUPS - 2):
        address = own_address(mission.name, number)
        if beside is not None:
            address = Address(f"{beside.rpartition('.')[0]}.{number + 1}", address.port)
        if (address.address, address.port) not in taken:
            return address
    return own_address(mission.name, 0)


def new_rallypoint() -> Rallypoint:
    return Rallypoint(Address("", RALLYPOINT_PORT))


def has_control(mission: Mission) -> bool:
    return any(group.type is GroupType.MISSION_CONTROL for group in mission.groups)


def servers_of(group: Group) -> tuple[Rallypoint, ...]:
    """The rallypoints that the channel itself names."""
    return group.cluster.rallypoints if group.cluster is not None else ()


def with_servers(group: Group, servers: tuple[Rallypoint, ...], strategy: ConnectionStrategy | None = None) -> Group:
    """The channel with other rallypoints, in the form that it had them in; the older list has no strategy."""
    cluster = group.rallypoint_cluster
    wanted = strategy if strategy is not None else (cluster.connection_strategy if cluster is not None else None)
    if not servers:
        return replace(group, rallypoint_cluster=None, rallypoints=())
    if cluster is None and group.rallypoints and wanted in (None, ConnectionStrategy.ROUND_ROBIN):
        return replace(group, rallypoints=servers)
    before = cluster if cluster is not None else RallypointCluster(servers)
    strategy = before.connection_strategy if wanted is None else wanted
    older = group.rallypoints if cluster is not None else ()
    return replace(
        group, rallypoints=older, rallypoint_cluster=replace(before, rallypoints=servers, connection_strategy=strategy)
    )


def encoder_choices(chosen: int) -> tuple[EncoderChoice, ...]:
    """All encoders with those first that can be talked with; `chosen` is among them, even if no table knows it."""
    known = [encoder_info(each) for each in ENCODERS if each not in (EncoderId.UNKNOWN, EncoderId.EXTERNAL)]
    if chosen not in {info.id for info in known}:
        known.append(encoder_info(chosen))
    known.sort(key=lambda info: not info.is_supported)
    return tuple(EncoderChoice(info.id, info.name, info.why_not) for info in known)


def encoder_name(encoder: int) -> str:
    return encoder_info(encoder).name


def cost(mission: Mission, group: Group) -> ChannelCost | None:
    """What one who talks there costs; None for a channel without sound, or with a codec that is not known."""
    audio = group.tx_audio
    if group.type is not GroupType.AUDIO or audio is None or audio.framing_ms not in FRAMINGS_MS:
        return None
    info = encoder_info(audio.encoder)
    if not info.frame_ms:
        return None
    alias = None if audio.no_hdr_ext else _LONGEST_NAME_SENT
    if mission.cluster_of(group) is not None:
        relayed = relayed_stream(info, audio.framing_ms, is_sealed=group.is_encrypted, alias=alias)
        return ChannelCost(relayed.up.kbps, relayed.down.kbps)
    ip_bytes = IPV6_BYTES if ":" in group.tx.address else IPV4_BYTES
    stream = channel_stream(info, audio.framing_ms, is_sealed=group.is_encrypted, alias=alias, ip_bytes=ip_bytes)
    return ChannelCost(stream.kbps)


class DraftCheck:
    """Says what is wrong with a draft. What was found of a channel is kept until that channel is another object."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Group, tuple[FieldProblem, ...]]] = {}

    def problems(self, mission: Mission) -> tuple[FieldProblem, ...]:
        """Every field that is wrong, by its path; the channels are numbered in the draft's own order."""
        known, self._known = self._known, {}
        for group in mission.groups:
            before = known.get(id(group))
            is_same = before is not None and before[0] is group
            self._known[id(group)] = before if is_same and before else (group, tuple(_problems_of_group(group)))
        return tuple(self._found(mission))

    def _found(self, mission: Mission) -> Iterator[FieldProblem]:
        try:
            Mission.parse(str(replace(mission, groups=())))
        except MissionError as error:
            yield FieldProblem(error.path, error.why)
        if not mission.groups:
            yield FieldProblem("groups", "is empty: add a channel")
        ids: set[str] = set()
        for index, group in enumerate(mission.groups):
            path = f"groups[{index}]"
            own_id = group.id if group.id_override else group.computed_id
            if own_id in ids:
                yield FieldProblem(f"{path}.name", "is there twice, with the same key and addresses")
            ids.add(own_id)
            for problem in self._known[id(group)][1]:
                yield FieldProblem(f"{path}.{problem.path}", problem.why)


def _problems_of_group(group: Group) -> Iterator[FieldProblem]:
    """Every field that is wrong: what was found is put right in a copy, and the rest looked through again."""
    try:
        written = strict_json.read_object(strict_json.write(group.to_json()))
    except MissionError as error:
        yield FieldProblem("name", error.why)
        return
    for _ in range(_MOST_PROBLEMS):
        try:
            Group.read(Fields(written))
        except MissionError as error:
            yield FieldProblem(error.path, error.why)
            if not _put_right(written, error.path):
                return
        else:
            return


def _put_right(written: dict[str, Json], field: str) -> bool:
    """Give a field that is wrong a value that is not; False for one whose value nobody here may invent."""
    *way, name = re.findall(r"\w+", field) or [""]
    if name not in _GOOD:
        return False
    place: Any = written
    try:
        for step in way:
            place = place[int(step) if step.isdigit() else step]
        place[name] = _GOOD[name]
    except (KeyError, IndexError, TypeError):
        return False
    return True


def finished(mission: Mission, now: datetime) -> Mission:
    """The draft as it is kept: checked, with the ids that follow from it, and of this moment."""
    with in_one_sentence():
        return replace(mission, meta=replace(mission.meta, created=now)).checked()


def with_pin(mission: Mission, pin: str | None) -> Mission:
    """The draft with another PIN, or None; EngineError for what is none."""
    with in_one_sentence():
        return replace(mission, pin_digest=None if pin is None else PinDigest.of(pin))


def pin_is_right(mission: Mission, pin: str) -> bool:
    """Whether this is the mission's PIN; every one is where it has none."""
    return mission.pin_digest is None or mission.pin_digest.matches(pin)
