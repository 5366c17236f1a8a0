"""Missions for tests: one that has everything, and any that there may be."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from app.channels.encoders import ENCODERS, EncoderId
from app.channels.mission import (
    Address,
    ConnectionStrategy,
    Group,
    GroupType,
    Meta,
    Mission,
    Presence,
    PresenceFormat,
    Rallypoint,
    RallypointCluster,
    TimelineOptions,
    TxAudio,
    TxOptions,
    TxPriority,
)
from app.channels.pin import PinDigest

KEY = "84788DD4A5883EE1311E1A04F704BC650A2A2AA82805931A5EE4B0EA9C4B1DEF"
CREATED = datetime(2026, 2, 7, 18, 44, 43, 511_000, UTC)
PLACE = {"address": "234.42.42.1", "port": 18000}


def speech(name: str = "Alpha", **changes: Any) -> dict[str, Any]:
    """The JSON object of a speech channel; a change to None takes the field away."""
    made = {"type": 1, "id": "", "name": name, "rx": PLACE, "tx": PLACE, "txAudio": {"encoder": 25, "framingMs": 60}}
    return {key: value for key, value in {**made, **changes}.items() if value is not None}


def mission_json(*groups: dict[str, Any], **changes: Any) -> str:
    meta = {"type": "ICE-MISSION", "version": 1, "created": "2026-02-07T18:44:43.511Z"}
    made = {"meta": meta, "id": "", "name": "Relief", "description": "Flood", "groups": list(groups), **changes}
    return json.dumps({key: value for key, value in made.items() if value is not None})


_NAMES = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20).filter(str.strip)
_TEXTS = st.text(st.characters(exclude_categories=["C"]), max_size=40)
_ADDRESSES = st.builds(Address, st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str), st.integers(1, 65_535))
_HOSTS = st.builds(Address, st.sampled_from(["rp.example.org", "rp-2", "192.0.2.7", "2001:db8::7"]), st.just(7443))
_KEYS = st.binary(min_size=32, max_size=32).map(bytes.hex)
_TIMES = st.integers(0, 7_000_000_000_000).map(lambda ms: datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)
_EXTRA = st.dictionaries(_TEXTS.map("x-".__add__), _JSON, max_size=2)
_OPTIONS = st.builds(TxOptions, st.sampled_from(TxPriority), st.integers(-1, 255), _EXTRA)
_RALLYPOINTS = st.builds(
    Rallypoint,
    _HOSTS,
    certificate=_TEXTS,
    certificate_key=_TEXTS,
    verify_peer=st.booleans(),
    ca_certificates=st.lists(_TEXTS, max_size=2).map(tuple),
    transaction_timeout_ms=st.integers(0, 600_000),
    tcp_tx_options=_OPTIONS,
    extra=_EXTRA,
)
_CLUSTERS = st.builds(
    RallypointCluster,
    st.lists(_RALLYPOINTS, min_size=1, max_size=2).map(tuple),
    st.sampled_from(ConnectionStrategy),
    rollover_secs=st.integers(0, 3_600),
    extra=_EXTRA,
)
_AUDIO = st.builds(
    TxAudio,
    st.sampled_from(sorted(ENCODERS.keys() - {EncoderId.UNKNOWN})),
    st.just("external"),
    framing_ms=st.integers(20, 120),
    fdx=st.booleans(),
    no_hdr_ext=st.booleans(),
    max_tx_secs=st.integers(0, 86_400),
    dtx=st.booleans(),
    extra=_EXTRA,
)
_PRESENCE = st.builds(
    Presence, st.sampled_from(PresenceFormat), st.integers(1, 86_400), listen_only=st.booleans(), extra=_EXTRA
)


def _groups(kind: GroupType) -> st.SearchStrategy[Group]:
    return st.builds(
        Group,
        type=st.just(kind),
        name=_NAMES,
        description=_TEXTS,
        id=st.uuids().map(str),
        id_override=st.booleans(),
        crypto_password=st.none() | _KEYS,
        rx=_ADDRESSES,
        tx=_ADDRESSES,
        tx_audio=_AUDIO if kind is GroupType.AUDIO else st.none(),
        presence=_PRESENCE if kind is GroupType.MISSION_CONTROL else st.none(),
        rallypoints=st.lists(_RALLYPOINTS, max_size=2).map(tuple),
        rallypoint_cluster=st.none() | _CLUSTERS,
        alias=_TEXTS,
        tx_options=_OPTIONS,
        timeline=st.builds(TimelineOptions, st.booleans(), st.integers(0, 10**6), st.booleans(), _EXTRA),
        enable_multicast_failover=st.booleans(),
        multicast_failover_secs=st.integers(0, 3_600),
        extra=_EXTRA,
    )


@st.composite
def missions(draw: st.DrawFn) -> Mission:
    """Any mission that can be written."""
    groups = draw(st.lists(_groups(GroupType.AUDIO) | _groups(GroupType.RAW), max_size=3))
    groups += draw(st.lists(_groups(GroupType.MISSION_CONTROL), max_size=1))
    mission = Mission(
        meta=Meta(draw(_TIMES), extra=draw(_EXTRA)),
        name=draw(_NAMES),
        description=draw(_TEXTS),
        groups=tuple(groups),
        rallypoint=draw(st.none() | _RALLYPOINTS),
        pin_digest=draw(st.none() | st.just(PinDigest(1_000, bytes(16), bytes(range(16))))),
        expires=draw(st.none() | _TIMES),
        extra=draw(_EXTRA),
    ).canonical()
    unique = {group.id: group for group in mission.groups}
    return replace(mission, groups=tuple(unique.values()))
