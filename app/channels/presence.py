"""What is said on a mission's control channel: who is here, where, how they are, an emergency; and short texts.

One JSON object in one datagram, sealed as every datagram of a mission is: {"presence": {...}} with the names of
Engage's PresenceDescriptor, or {"text": {...}}. It fits one packet on any network, so what is too long is refused
where it is written. Layout and limits: docs/channels-links.md. Pure.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from app.channels.distance import Location
from app.channels.errors import PacketError

MOST_BYTES = 1200  # with its seal, IPv6, UDP and a tunnel's headers it still is one packet of 1,500 bytes
MOST_NAME_BYTES, MOST_ID_BYTES, MOST_COMMENT_BYTES, MOST_EMERGENCY_BYTES = 64, 36, 200, 120
MOST_TEXT_BYTES = 700
MOST_ALIASES = 32
MOST_INTERVAL_S = 3600.0
_MOST_NUMBER = 2**53  # what JSON's numbers hold exactly everywhere
_JOINER = "\u200d"  # holds the parts of one emoji together

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who: `node_id` is a machine's, as hexadecimal digits; the name is what its person calls themselves."""

    node_id: str
    display_name: str
    user_id: str = ""


@dataclass(frozen=True, slots=True)
class GroupAlias:
    """What somebody calls themselves on one channel, and how they are there (0 is nothing to tell)."""

    group_id: str
    alias: str
    status: int = 0


@dataclass(frozen=True, slots=True)
class Connectivity:
    """By which kind of network, how strong it is, and how good: numbers of the sender's."""

    type: int = 0
    strength: int = 0
    rating: int = 0


@dataclass(frozen=True, slots=True)
class Power:
    """What a machine runs on, and how much is left, in percent."""

    source: int = 0
    state: int = 0
    level: int = 0


@dataclass(frozen=True, slots=True)
class Emergency:
    """An alert that stands until its sender clears it. `id` tells it from their next one."""

    id: str
    since_unix_ms: int
    words: str = ""


@dataclass(frozen=True, slots=True)
class Presence:
    """What a node says of itself. `interval_s` is when the next one follows; 0 says goodbye."""

    identity: Identity
    unix_ms: int
    interval_s: float
    comment: str = ""
    disposition: int = 0
    aliases: tuple[GroupAlias, ...] = ()
    location: Location | None = None
    connectivity: Connectivity | None = None
    power: Power | None = None
    emergency: Emergency | None = None
    announce_on_receive: bool = False

    @property
    def is_goodbye(self) -> bool:
        return self.interval_s <= 0

    def __str__(self) -> str:
        """Give it as JSON, without the last aliases where not all fit; PacketError when the rest does not fit."""
        said: dict[str, Any] = {
            "ts": self.unix_ms,
            "nextUpdate": self.unix_ms + round(self.interval_s * 1000),
            "identity": _identity_fields(self.identity),
            "comment": clean(self.comment),
            "disposition": self.disposition,
            "announceOnReceive": self.announce_on_receive,
        }
        if self.location is not None:
            said["location"] = _location_fields(self.location)
        if self.connectivity is not None:
            one = self.connectivity
            said["connectivity"] = {"type": one.type, "strength": one.strength, "rating": one.rating}
        if self.power is not None:
            said["power"] = {"source": self.power.source, "state": self.power.state, "level": self.power.level}
        if self.emergency is not None:
            alert = self.emergency
            said["emergency"] = {"id": alert.id, "since": alert.since_unix_ms, "words": clean(alert.words)}
        for count in range(min(len(self.aliases), MOST_ALIASES), -1, -1):
            named = [
                {"groupId": one.group_id, "alias": clean(one.alias), "status": one.status}
                for one in self.aliases[:count]
            ]
            text = _write("presence", {**said, "groupAliases": named} if named else said)
            if len(text.encode()) <= MOST_BYTES:
                return text
        raise PacketError("What is said about you is too long for one packet: shorten the comment or the name.")


@dataclass(frozen=True, slots=True)
class Text:
    """A text message to a channel of the mission; to everybody where `group_id` is empty."""

    id: str
    sender: Identity
    unix_ms: int
    words: str
    group_id: str = ""

    def __str__(self) -> str:
        """Give it as JSON; PacketError when it is too long for one packet."""
        said = {
            "id": self.id,
            "identity": _identity_fields(self.sender),
            "ts": self.unix_ms,
            "words": clean(self.words),
        }
        text = _write("text", {**said, "groupId": self.group_id} if self.group_id else said)
        if len(text.encode()) > MOST_BYTES or len(self.words.encode()) > MOST_TEXT_BYTES:
            raise PacketError(f"A message may be {MOST_TEXT_BYTES} bytes long; this one is too long.")
        return text


def parse(data: bytes) -> Presence | Text:
    """Read what came on a control channel; PacketError names the field that is not as it must be."""
    if len(data) > MOST_BYTES:
        raise PacketError(f"a message of mission control of {len(data)} bytes is too long")
    try:
        message = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PacketError("a message of mission control is no JSON") from error
    top = _Fields(message, "")
    if "presence" in top.fields:
        return _parse_presence(top.inner("presence"))
    if "text" in top.fields:
        return _parse_text(top.inner("text"))
    raise PacketError("a message of mission control is neither presence nor text")


def clean(text: str) -> str:
    """Replace what cannot be printed, such as control characters and half characters, by spaces."""
    return "".join(one if one.isprintable() or one == _JOINER else " " for one in text)


def check_length(what: str, text: str, most_bytes: int) -> None:
    """Refuse a text that is longer than its field: PacketError."""
    size = len(clean(text).encode())
    if size > most_bytes:
        raise PacketError(f"{what} may be {most_bytes} bytes long, and has {size}.")


def _write(kind: str, fields: dict[str, Any]) -> str:
    used = {name: value for name, value in fields.items() if value not in ("", None, False)}
    return json.dumps({kind: used}, ensure_ascii=False, separators=(",", ":"))


def _identity_fields(identity: Identity) -> dict[str, str]:
    said = {"nodeId": identity.node_id, "displayName": clean(identity.display_name)}
    return {**said, "userId": clean(identity.user_id)} if identity.user_id else said


def _location_fields(place: Location) -> dict[str, float]:
    """Give degrees to a centimetre or so, and what is known beside them."""
    said = {
        "latitude": round(place.latitude, 7),
        "longitude": round(place.longitude, 7),
        "altitude": None if place.altitude_m is None else round(place.altitude_m, 1),
        "direction": None if place.heading_deg is None else round(place.heading_deg, 1),
        "speed": None if place.speed_mps is None else round(place.speed_mps, 2),
        "ts": place.unix_ms,
    }
    return {name: value for name, value in said.items() if value is not None}


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


class _Fields:
    """A JSON object of a stranger's, read field by field; each error names the path of the field."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise PacketError(f"{path or 'a message of mission control'} is no object")
        self.fields: dict[str, Any] = value
        self._path = path

    def _name(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def inner(self, name: str) -> _Fields:
        if name not in self.fields:
            raise PacketError(f"{self._name(name)} is missing")
        return _Fields(self.fields[name], self._name(name))

    def maybe(self, name: str) -> _Fields | None:
        return self.inner(name) if name in self.fields else None

    def text(self, name: str, most_bytes: int, *, needed: bool = False) -> str:
        value = self.fields.get(name, "")
        if not isinstance(value, str) or (needed and not value):
            raise PacketError(
                f"{self._name(name)} is no text" if name in self.fields else f"{self._name(name)} is missing"
            )
        cleaned = clean(value)
        if len(cleaned.encode()) > most_bytes:
            raise PacketError(f"{self._name(name)} is too long")
        return cleaned

    def number(self, name: str) -> float | None:
        value = self.fields.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise PacketError(f"{self._name(name)} is no number")
        if not math.isfinite(value) or abs(value) > _MOST_NUMBER:
            raise PacketError(f"{self._name(name)} is out of range")
        return value

    def whole(self, name: str, otherwise: int = 0) -> int:
        value = self.number(name)
        return otherwise if value is None else int(value)

    def flag(self, name: str) -> bool:
        value = self.fields.get(name, False)
        if not isinstance(value, bool):
            raise PacketError(f"{self._name(name)} is neither true nor false")
        return value

    def many(self, name: str, most: int) -> list[_Fields]:
        values = self.fields.get(name, [])
        if not isinstance(values, list) or len(values) > most:
            raise PacketError(f"{self._name(name)} is no list of at most {most}")
        return [_Fields(value, f"{self._name(name)}[{index}]") for index, value in enumerate(values)]


def _parse_identity(of: _Fields) -> Identity:
    node_id = of.text("nodeId", MOST_ID_BYTES, needed=True)
    return Identity(node_id, of.text("displayName", MOST_NAME_BYTES), of.text("userId", MOST_NAME_BYTES))


def _parse_location(of: _Fields) -> Location:
    latitude, longitude = of.number("latitude"), of.number("longitude")
    if latitude is None or longitude is None:
        raise PacketError("presence.location lacks a latitude or a longitude")
    unix_ms = of.number("ts")
    try:
        return Location(
            latitude,
            longitude,
            of.number("altitude"),
            of.number("direction"),
            of.number("speed"),
            None if unix_ms is None else int(unix_ms),
        )
    except ValueError as error:
        raise PacketError(f"presence.location: {error}") from error


def _parse_presence(of: _Fields) -> Presence:
    unix_ms = of.whole("ts")
    interval_s = (of.whole("nextUpdate", unix_ms) - unix_ms) / 1000
    place, link, power, alert = (of.maybe(name) for name in ("location", "connectivity", "power", "emergency"))
    return Presence(
        _parse_identity(of.inner("identity")),
        unix_ms,
        max(0.0, min(interval_s, MOST_INTERVAL_S)),
        of.text("comment", MOST_COMMENT_BYTES),
        of.whole("disposition"),
        tuple(
            GroupAlias(one.text("groupId", MOST_NAME_BYTES), one.text("alias", MOST_NAME_BYTES), one.whole("status"))
            for one in of.many("groupAliases", MOST_ALIASES)
        ),
        None if place is None else _parse_location(place),
        None if link is None else Connectivity(link.whole("type"), link.whole("strength"), link.whole("rating")),
        None if power is None else Power(power.whole("source"), power.whole("state"), power.whole("level")),
        None
        if alert is None
        else Emergency(
            alert.text("id", MOST_ID_BYTES, needed=True),
            alert.whole("since"),
            alert.text("words", MOST_EMERGENCY_BYTES),
        ),
        of.flag("announceOnReceive"),
    )


def _parse_text(of: _Fields) -> Text:
    return Text(
        of.text("id", MOST_ID_BYTES, needed=True),
        _parse_identity(of.inner("identity")),
        of.whole("ts"),
        of.text("words", MOST_TEXT_BYTES),
        of.text("groupId", MOST_NAME_BYTES),
    )
