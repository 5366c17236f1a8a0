"""Missions as JSON: read, written, made canonical, and refused in one sentence that names the field."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from app.channels.errors import MissionError
from app.channels.mission import Address, GroupType, Mission, TxAudio
from app.channels.mission_notices import notices
from app.channels.pin import PinDigest
from tests.channels.missions import CREATED, KEY, mission_json, missions, speech

CONTROL = {
    "type": 2,
    "name": "Mission Control",
    "rx": {"address": "234.42.42.99", "port": 19999},
    "tx": {"address": "234.42.42.99", "port": 19999},
    "presence": {"format": 1, "intervalSecs": 20},
}
SERVER = {"host": {"address": "rp.example.org", "port": 7443}}
OWN_ID = "0191c6a2-7a57-7c3e-9d5b-2f1f64a3c111"


def refusal(text: str) -> str:
    with pytest.raises(MissionError) as caught:
        Mission.parse(text)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 200
    assert caught.value.path == "" or sentence.startswith(caught.value.path)
    return sentence


def test_a_mission_is_read_into_its_parts() -> None:
    mission = Mission.parse(mission_json(CONTROL, speech(cryptoPassword=KEY, rallypoints=[SERVER]), speech("Bravo")))
    assert (mission.name, mission.description, mission.meta.created) == ("Relief", "Flood", CREATED)
    control, bravo, alpha = mission.groups
    assert control.type is GroupType.MISSION_CONTROL
    assert control.presence is not None
    assert (control.presence.interval_secs, control.presence.min_interval_secs) == (20, 5)
    assert bravo.tx_audio == TxAudio(25, framing_ms=60)
    assert bravo.crypto_password is None
    assert not bravo.is_encrypted
    assert mission.cluster_of(bravo) is None
    assert alpha.crypto_password == KEY
    assert alpha.rx == Address("234.42.42.1", 18000)
    assert alpha.rx.is_multicast
    cluster = mission.cluster_of(alpha)
    assert cluster is not None
    assert [str(each.host) for each in cluster.rallypoints] == ["rp.example.org:7443"]


def test_ids_are_made_anew_and_a_chosen_one_is_kept() -> None:
    stored = "11111111-2222-4333-8444-555555555555"
    mission = Mission.parse(
        mission_json(speech("Bravo", id="{" + OWN_ID.upper() + "}", idOverride=True), speech(id=stored), id=stored)
    )
    bravo, alpha = mission.groups
    assert alpha.id == "95dad4a9-4f46-5daa-91aa-acd6322c81a5"
    assert bravo.id == OWN_ID
    assert mission.id != stored
    renamed = replace(mission, name="Other", groups=(replace(alpha, name="Charlie"), bravo)).canonical()
    assert renamed.id != mission.id
    assert [group.name for group in renamed.groups] == ["Charlie", "Bravo"]
    assert renamed.groups[0].id != alpha.id


def test_a_rallypoint_of_the_mission_carries_channels_without_one() -> None:
    mission = Mission.parse(mission_json(speech(), rallypoint=SERVER))
    cluster = mission.cluster_of(mission.groups[0])
    assert cluster is not None
    assert cluster.rallypoints == (mission.rallypoint,)


@settings(max_examples=25)
@given(missions())
def test_what_is_written_is_read_back(mission: Mission) -> None:
    assert Mission.parse(str(mission)) == mission
    assert str(Mission.parse(str(mission))) == str(mission)
    assert mission.checked() == mission.canonical() == mission
    notices(mission)


def test_what_parley_does_not_know_is_kept() -> None:
    group = speech(blockAdvertising=True, audio={"inputId": [0, None, 1.5]}, txAudio={"encoder": 1, "future": "x"})
    text = mission_json(group, CONTROL, later={"a": 1})
    written = json.loads(str(Mission.parse(text)))
    assert written["later"] == {"a": 1}
    alpha = next(each for each in written["groups"] if each["name"] == "Alpha")
    assert (alpha["blockAdvertising"], alpha["audio"]) == (True, {"inputId": [0, None, 1.5]})
    assert alpha["txAudio"]["future"] == "x"


def test_what_others_leave_out_is_written() -> None:
    meta = {"version": 1, "created": "2026-02-07T18:44:43Z"}
    written = json.loads(str(Mission.parse(mission_json(speech(), meta=meta))))
    assert written["meta"] == {"type": "ICE-MISSION", "version": 1, "created": "2026-02-07T18:44:43.000Z"}
    alpha = written["groups"][0]
    assert (alpha["idOverride"], alpha["enableMulticastFailover"]) == (False, False)
    assert alpha["txAudio"] == {"encoder": 25, "framingMs": 60, "fdx": False, "noHdrExt": False, "maxTxSecs": 0}


def test_a_mission_ends() -> None:
    mission = Mission.parse(mission_json(speech(), parleyExpires="2026-12-31T18:00:00+02:00"))
    assert mission.expires == datetime(2026, 12, 31, 16, tzinfo=UTC)
    assert not mission.has_expired(mission.expires - timedelta(seconds=1))
    assert mission.has_expired(mission.expires)
    assert not Mission.parse(mission_json(speech())).has_expired(datetime(9999, 1, 1, tzinfo=UTC))


def test_keys_are_in_no_repr_and_no_message() -> None:
    server = {**SERVER, "certificateKey": "PRIVATE"}
    shown = repr(Mission.parse(mission_json(speech(cryptoPassword=KEY, rallypoints=[server]))))
    assert KEY not in shown
    assert "PRIVATE" not in shown
    server["certificateKey"] = "PRIVATE\0"
    assert "PRIVATE" not in refusal(mission_json(speech(rallypoints=[server])))
    assert KEY[:20] not in refusal(mission_json(speech(cryptoPassword=KEY + "F")))


BAD_GROUPS: list[tuple[dict[str, Any], str]] = [
    ({"cryptoPassword": ""}, "groups[1].cryptoPassword is empty; a clear channel leaves the field out."),
    ({"cryptoPassword": "12ab"}, "groups[1].cryptoPassword must be 64 hexadecimal digits (32 bytes), and it is not."),
    ({"cryptoPassword": "g" * 64}, "groups[1].cryptoPassword must be 64 hexadecimal digits (32 bytes), and it is not."),
    ({"cryptoPassword": 7}, "groups[1].cryptoPassword is a whole number, and it must be a text."),
    ({"txAudio": {"encoder": 99}}, "groups[1].txAudio.encoder is 99, and there is no codec of this number."),
    (
        {"txAudio": {"encoder": -1}},
        "groups[1].txAudio.encoderName is missing, and an encoder of -1 is known by its name.",
    ),
    ({"txAudio": {"framingMs": 5}}, "groups[1].txAudio.framingMs is 5, and it must be from 20 to 120."),
    ({"txAudio": {"fdx": 1}}, "groups[1].txAudio.fdx is a whole number, and it must be true or false."),
    ({"txAudio": None}, "groups[1].txAudio is missing."),
    ({"rx": {"address": "234.42.42.1", "port": 70000}}, "groups[1].rx.port is 70000, and it must be from 1 to 65535."),
    (
        {"rx": {"address": "234.42.42.1", "port": True}},
        "groups[1].rx.port is true or false, and it must be a whole number.",
    ),
    (
        {"rx": {"address": "radio", "port": 1}},
        "groups[1].rx.address is 'radio', and it must be an IPv4 or IPv6 address.",
    ),
    ({"tx": {"port": 1}}, "groups[1].tx.address is missing."),
    ({"tx": []}, "groups[1].tx is a list, and it must be an object."),
    ({"type": 9}, "groups[1].type is 9, and it must be one of 1 (audio), 2 (mission control), 3 (raw)."),
    ({"type": None}, "groups[1].type is missing."),
    ({"name": " "}, "groups[1].name is empty."),
    ({"name": "x" * 129}, "groups[1].name has 129 characters, and at most 128 are possible."),
    ({"name": "a\nb"}, "groups[1].name has a control character in it: 'a\\nb'."),
    ({"name": "a\x9b2J"}, "groups[1].name has a control character in it: 'a\\x9b2J'."),
    ({"idOverride": True, "id": "one"}, "groups[1].id is 'one', and it must be a UUID."),
    (
        {"multicastFailoverSecs": 1.5},
        "groups[1].multicastFailoverSecs is the number 1.5, and it must be a whole number.",
    ),
    ({"maxRxSecs": 10**30}, "groups[1].maxRxSecs is too large a number, and it must be from 0 to 86400."),
    ({"rallypoints": [SERVER] * 33}, "groups[1].rallypoints has 33 entries, and at most 32 are possible."),
    (
        {"rallypoints": [SERVER, {"host": {"address": "a b", "port": 1}}]},
        "groups[1].rallypoints[1].host.address is 'a b', and it must be an address or the name of a host.",
    ),
    (
        {"rallypoints": [{"host": {"address": "300.1.1.1", "port": 1}}]},
        "groups[1].rallypoints[0].host.address is '300.1.1.1', and it must be an address or the name of a host.",
    ),
    (
        {"rallypoints": [{**SERVER, "caCertificates": ["", 1]}]},
        "groups[1].rallypoints[0].caCertificates[1] is a whole number, and it must be a text.",
    ),
    (
        {"rallypointCluster": {"rallypoints": []}},
        "groups[1].rallypointCluster.rallypoints is empty, and a cluster has one rallypoint at least.",
    ),
    (
        {"id": OWN_ID, "name": "Bravo"},
        "groups[1].id is the same as that of groups[0], and each channel has one of its own.",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), BAD_GROUPS)
def test_a_channel_that_cannot_be_is_refused_by_its_field(changes: dict[str, Any], sentence: str) -> None:
    assert refusal(mission_json(speech("Bravo"), speech(**changes))) == sentence


def test_a_null_key_is_no_clear_channel() -> None:
    text = mission_json(speech(cryptoPassword="")).replace('"cryptoPassword": ""', '"cryptoPassword": null')
    assert refusal(text) == "groups[0].cryptoPassword is null; a clear channel leaves the field out."


BAD_MISSIONS: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "name is missing."),
    ({"groups": None}, "groups is missing."),
    ({"groups": {}}, "groups is an object, and it must be a list."),
    ({"groups": [1]}, "groups[0] is a whole number, and it must be an object."),
    ({"groups": [{}] * 257}, "groups has 257 entries, and at most 256 are possible."),
    (
        {"groups": [CONTROL, CONTROL | {"name": "Two"}]},
        "groups[1].type is 2 (mission control), and groups[0] is that already.",
    ),
    ({"description": "x" * 257}, "description has 257 characters, and at most 256 are possible."),
    ({"meta": {"version": 2, "created": "x"}}, "meta.version is 2, and Parley reads version 1."),
    ({"meta": {"type": "X", "version": 1}}, "meta.type is 'X', and it must be ICE-MISSION."),
    (
        {"meta": {"version": 1, "created": "yesterday"}},
        "meta.created is 'yesterday', and it must be a time such as 2026-02-07T18:44:43.511Z.",
    ),
    (
        {"meta": {"version": 1, "created": "2026-02-30T18:44:43Z"}},
        "meta.created is '2026-02-30T18:44:43Z', and there is no such time.",
    ),
    (
        {"meta": {"version": 1, "created": "0001-01-01T00:00:00+14:00"}},
        "meta.created is '0001-01-01T00:00:00+14:00', and there is no such time.",
    ),
    ({"parleyPinDigest": "1234"}, "parleyPinDigest is no digest of a PIN that Parley makes."),
    (
        {"parleyPinDigest": f"pbkdf2-sha256:1000001:{'00' * 16}:{'00' * 16}"},
        "parleyPinDigest is no digest of a PIN that Parley makes.",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), BAD_MISSIONS)
def test_a_mission_that_cannot_be_is_refused_by_its_field(changes: dict[str, Any], sentence: str) -> None:
    groups = changes.get("groups", [speech()])
    assert refusal(mission_json(**{"groups": groups, **changes})) == sentence


GOOD = mission_json(speech())
BAD_JSON = [
    ("", "The mission is no JSON: Expecting value at line 1, column 1."),
    ('{"name": }', "The mission is no JSON: Expecting value at line 1, column 10."),
    ("[]", "The mission is no JSON object in braces."),
    ('{"name": NaN}', "The mission is no JSON: NaN is no number."),
    ('{"a": 1e999}', "The mission has a number that is too large: '1e999'."),
    ('{"a": ' + "9" * 5000 + "}", "The mission has a number that is too long."),
    ('{"a": 1, "b": 2, "a": 3}', "The mission has the field 'a' twice in one object."),
    ('{"a": "\\ud800"}', "The mission has half of a character (a lone surrogate) in a text."),
    ('{"a": "\ud800"}', "The mission has half of a character (a lone surrogate) in a text."),
    ("[" * 17, "The mission is nested deeper than 16 levels."),
    ("[" * 500_000 + "]" * 500_000, "The mission is nested deeper than 16 levels."),
    ('{"a":' * 100_000, "The mission is nested deeper than 16 levels."),
    ('{"a": "' + "x" * (1 << 20) + '"}', "The mission is larger than 1,048,576 bytes."),
    ('{"a": "' + "é" * (1 << 19) + '"}', "The mission is larger than 1,048,576 bytes."),
    ('{"a": "[[[[[[[[[[[[[[[[[[[[[[["}', "meta is missing."),
]


@pytest.mark.parametrize(("text", "sentence"), BAD_JSON, ids=[sentence for _, sentence in BAD_JSON])
def test_json_that_is_none_or_too_much(text: str, sentence: str) -> None:
    assert refusal(text) == sentence


def test_an_object_within_itself_cannot_be_written() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    mission = replace(Mission.parse(GOOD), extra=loop)
    with pytest.raises(MissionError, match="cannot be written as JSON"):
        str(mission)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("234.42.42.1:18000", "234.42.42.1", 18000),
        ("[ff15::1]:5", "ff15::1", 5),
        ("rp.example.org", "rp.example.org", 7443),
    ],
)
def test_an_address_as_people_write_it(text: str, host: str, port: int) -> None:
    address = Address.parse(text, 7443)
    assert (address.address, address.port) == (host, port)
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["", "host", "host:0", "host:70000", "a b:1", "[::1", "host:١"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(MissionError):
        Address.parse(text)


def test_a_pin_is_known_by_its_digest_alone() -> None:
    digest = PinDigest.of("2580")
    assert PinDigest.parse(str(digest)) == digest
    assert "2580" not in str(digest)
    assert digest.matches("2580")
    assert not digest.matches("2581")
    for bad in ("123", "1" * 13, "12a4", "", "١٢٣٤"):
        with pytest.raises(MissionError, match="4 to 12 digits"):
            PinDigest.of(bad)


def test_what_its_author_may_not_have_meant_is_noted() -> None:
    server = {**SERVER, "verifyPeer": False}
    odd = {**SERVER, "tcpTxOptions": {"priority": 1}}
    words = "\n".join(
        notices(
            Mission.parse(
                mission_json(
                    speech("A name that is far too long", txAudio={"encoder": 45, "noHdrExt": True}),
                    speech("Bravo", tx={"address": "192.0.2.1", "port": 1}, rallypoints=[server]),
                    speech("Charlie", tx={"address": "192.0.2.1", "port": 1}, cryptoPassword=KEY),
                    speech("Delta", type=3, rx={"address": "234.42.42.9", "port": 1}),
                    speech("Echo", txAudio={"encoder": 25, "dtx": True, "enableSmoothing": False}, rallypoints=[odd]),
                    CONTROL | {"presence": {"format": 2, "reduceImmediacy": True}},
                )
            )
        )
    )
    for part in (
        "Echo sets what Parley does not use: txAudio.enableSmoothing, txAudio.dtx, tcpTxOptions of a rallypoint.",
        "does not use: presence.reduceImmediacy.",
        "wants presence as Cursor on Target",
        "may be cut short",
        "This channel cannot be talked on. None of Parley's libraries has Codec 2.",
        "receive at the same address",
        "Bravo is clear",
        "without a certificate",
        "Charlie has no rallypoint",
        "Delta carries other programs' datagrams",
        "sends no header extension",
    ):
        assert part in words
    assert "Charlie is clear" not in words
    assert notices(Mission.parse(mission_json(CONTROL | {"cryptoPassword": KEY}, speech(cryptoPassword=KEY)))) == ()
