"""Makes a mission from a few wishes: fresh keys, addresses of its own, and everything else as Parley recommends it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from app.channels.encoders import EncoderId, check_sending
from app.channels.errors import MissionError
from app.channels.mission import MOST_GROUPS, Group, GroupType, Meta, Mission
from app.channels.mission_parts import Address, Presence, Rallypoint, RallypointCluster, TxAudio
from app.channels.pin import PinDigest

CONTROL_NAME = "Mission Control"
FIRST_PORT = 18_000
_MOST_CHOSEN = 254
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class ChannelWish:
    """One channel to make; without an address it gets one of the mission's own."""

    name: str
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class MissionWishes:
    """What a new mission is to be like.

    control: where presence and alerts go, under whatever name; None for a mission without.
    rallypoints: servers that carry every channel, tried in this order; none for multicast alone.
    rallypoint_ca: the authority that signs them, as PEM text; "" for those that the system knows.
    rallypoint_certificate, rallypoint_key: what members show them, as PEM text; "" where they ask for nothing.
    rallypoint_user, rallypoint_password; rallypoint_token: how members log in there; "" where nobody must.
    rallypoint_websocket: their ports are those of secure WebSockets.
    failover_after_s: how long without a rallypoint until multicast takes over; None for never.
    """

    name: str
    channels: tuple[ChannelWish, ...]
    control: ChannelWish | None = ChannelWish(CONTROL_NAME)
    description: str = ""
    encrypted: bool = True
    encoder: int = EncoderId.OPUS_24
    framing_ms: int = 20
    full_duplex: bool = False
    rallypoints: tuple[Address, ...] = ()
    rallypoint_ca: str = ""
    rallypoint_certificate: str = ""
    rallypoint_key: str = field(default="", repr=False)
    rallypoint_user: str = ""
    rallypoint_password: str = field(default="", repr=False)
    rallypoint_token: str = field(default="", repr=False)
    rallypoint_websocket: bool = False
    failover_after_s: int | None = None
    expires: datetime | None = None
    pin: str | None = None


def new_mission(
    wishes: MissionWishes, created: datetime, *, random_bytes: Callable[[int], bytes] = os.urandom
) -> Mission:
    """Make the mission, checked as any that is read; ChannelError for wishes that make none, or none to talk on."""
    check_sending(wishes.encoder, wishes.framing_ms)
    if bool(wishes.rallypoint_certificate) != bool(wishes.rallypoint_key):
        raise MissionError("A certificate for rallypoints and its key belong together.")
    if bool(wishes.rallypoint_user) != bool(wishes.rallypoint_password):
        raise MissionError("A user of rallypoints and the password belong together.")
    if wishes.rallypoint_user and wishes.rallypoint_token:
        raise MissionError("Members log in at rallypoints as a user or with a token, not both.")
    wished = [(each, GroupType.AUDIO) for each in wishes.channels]
    if wishes.control is not None:
        wished.insert(0, (wishes.control, GroupType.MISSION_CONTROL))
    if len(wished) > min(_MOST_CHOSEN, MOST_GROUPS):
        raise MissionError(f"A new mission has at most {_MOST_CHOSEN} channels.")
    groups = tuple(
        _group(wishes, each, kind, own_address(wishes.name, number), random_bytes)
        for number, (each, kind) in enumerate(wished)
    )
    mission = Mission(
        meta=Meta(created),
        name=wishes.name,
        description=wishes.description,
        groups=groups,
        pin_digest=None if wishes.pin is None else PinDigest.of(wishes.pin, random_bytes=random_bytes),
        expires=wishes.expires,
    )
    return mission.checked()


def _group(
    wishes: MissionWishes,
    wish: ChannelWish,
    kind: GroupType,
    own_address: Address,
    random_bytes: Callable[[int], bytes],
) -> Group:
    address = wish.address or own_address
    audio = TxAudio(wishes.encoder, framing_ms=wishes.framing_ms, fdx=wishes.full_duplex)
    servers = tuple(
        Rallypoint(
            each,
            certificate=wishes.rallypoint_certificate,
            certificate_key=wishes.rallypoint_key,
            ca_certificates=(wishes.rallypoint_ca,) if wishes.rallypoint_ca else (),
            user=wishes.rallypoint_user,
            password=wishes.rallypoint_password,
            token=wishes.rallypoint_token,
            websocket=wishes.rallypoint_websocket,
        )
        for each in wishes.rallypoints
    )
    return Group(
        type=kind,
        name=wish.name,
        crypto_password=fresh_key(random_bytes) if wishes.encrypted else None,
        rx=address,
        tx=address,
        tx_audio=audio if kind is GroupType.AUDIO else None,
        presence=Presence() if kind is GroupType.MISSION_CONTROL else None,
        rallypoint_cluster=RallypointCluster(servers) if servers else None,
        enable_multicast_failover=bool(servers) and wishes.failover_after_s is not None,
        multicast_failover_secs=10 if wishes.failover_after_s is None else wishes.failover_after_s,
    )


def fresh_key(random_bytes: Callable[[int], bytes] = os.urandom) -> str:
    """Key material for a channel: 32 random bytes in hex."""
    return random_bytes(_KEY_BYTES).hex().upper()


def own_address(mission: str, number: int) -> Address:
    """An address in 239.192.0.0/14, the scope of an organisation (RFC 2365 section 6.2), that few others will have."""
    drawn = hashlib.sha256(mission.encode("utf-8", "replace")).digest()
    return Address(f"239.{192 + drawn[0] % 4}.{drawn[1]}.{number + 1}", FIRST_PORT + 2 * number)
