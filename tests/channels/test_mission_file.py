"""Mission files: what others wrote, what comes back, and every way in which a file is none."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.channels import base91, mission_file
from app.channels.errors import ChannelError, MissionError, PassphraseNeeded
from app.channels.mission import GroupType, Mission
from app.channels.mission_file import DEFLECTION, MAGIC, QR_MOST_BYTES, fits_qr, is_encrypted, pack, unpack
from app.channels.new_mission import ChannelWish, MissionWishes, new_mission
from app.channels.qr import QrForm, qr_picture
from app.media.qr_reading import read_qr
from tests.channels.missions import KEY, mission_json, missions, speech

MISSION = Mission.parse(mission_json(speech(cryptoPassword=KEY), speech("Bravo")))
PASSPHRASE = "correct horse"
FEW = 1_000  # rounds: a test has no secrets

# Not written by Parley: the published steps one by one, with the id and key of the published vectors.
FOREIGN = (
    'af)AAAAAXLxtdXY]9)ai<_XI{vPcT@Lb}5twOg/nfGS$%W{y"_<OK~F61416I&WH5t3c?Xu@)~+];{]_}vT)"y>D%k"u]e&CyF"%@yQZT,S^Qo'
    'CK!y[i|(plg91a5g@&j)!hooL7#Iy0iO%jQz6NbKcVM0.<C8ySMbo08eVfYvV/ZT">,.Q]M5|rY_=^1W`;Vie6DsT_"v5Dhe6IAY%j?5;,pH_a'
    '9Z{a(uk6&~Lf>:F>+0"rXWtroK9r#`5Wkir{zJVMo;+xbye%xQYo[ue8n:"euuqX#krz`@jGfMqXPM{fn*sRlCD~VNVfc[9)RNH*F|8i=_>m,.'
    'jEXgBGu?r|%q~23]x,H7E;YzX@#Z(TCCBF}6EHR|db;{"6Wefx1x4#6#_d2R(#?Kn&zS`;?qf=<Q.oO6vQ1CAAA'
)


def refusal(data: bytes | str, passphrase: str | None = None) -> str:
    with pytest.raises(MissionError) as caught:
        unpack(data, passphrase)
    assert str(caught.value).endswith(".")
    return str(caught.value)


def packed_bytes(payload: bytes) -> str:
    return base91.encode(gzip.compress(payload, mtime=0))


def test_a_file_of_another_program() -> None:
    mission = unpack(FOREIGN)
    assert mission.name == "Sample"
    (alpha,) = mission.groups
    assert alpha.id == "07ce82ac-7a73-5691-bed9-18d4b354c817"
    assert unpack("https://example.org/join/??" + FOREIGN) == mission


def test_the_container_layer_by_layer() -> None:
    text = pack(MISSION)
    assert text.isascii()
    packed = base91.decode(text)
    assert packed[:10] == b"\x1f\x8b\x08\x00\0\0\0\0\x02\x03"
    payload = gzip.decompress(packed).decode()
    assert payload.startswith(MAGIC + "001{")
    assert payload[len(MAGIC) + 3 :] == str(MISSION)
    assert " " not in json.dumps(json.loads(payload[len(MAGIC) + 3 :]), separators=(",", ":"))
    assert pack(MISSION) == text


@settings(max_examples=10)
@given(missions(), st.booleans())
def test_what_was_packed_comes_back(mission: Mission, encrypted: bool) -> None:
    passphrase = PASSPHRASE if encrypted else None
    text = pack(mission, passphrase, rounds=FEW)
    assert DEFLECTION not in text
    assert is_encrypted(text) == encrypted
    assert unpack(text, passphrase) == mission
    with_url = pack(mission, passphrase, deflection_url="https://example.org/join/", rounds=FEW)
    assert with_url.startswith("https://example.org/join/??")
    assert unpack(with_url, passphrase) == mission


@pytest.mark.parametrize(
    "shape",
    [
        lambda text: text.encode(),
        lambda text: text.encode() + b"\n",
        lambda text: b"\xef\xbb\xbf" + text.encode() + b"\r\n",
        lambda text: text.encode("utf-16"),
        lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
        lambda text: "\ufeff  " + text,
    ],
)
@pytest.mark.parametrize("text", [pack(MISSION), str(MISSION), json.dumps(json.loads(str(MISSION)), indent=2)])
def test_files_as_editors_and_mail_leave_them(text: str, shape) -> None:
    assert unpack(shape(text)) == MISSION


def test_lines_that_were_wrapped() -> None:
    text = pack(MISSION)
    assert unpack("\n".join(text[at : at + 72] for at in range(0, len(text), 72))) == MISSION


def test_the_separator_is_never_within_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = pack(MISSION)
    chance = plain[100:103]  # as if the separator were what stands there
    monkeypatch.setattr(mission_file, "DEFLECTION", chance)
    text = pack(MISSION)
    assert chance not in text
    assert unpack(text) == MISSION
    assert unpack(plain) == MISSION  # how the text begins decides


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(20)) + bomb.flush()
    assert refusal(base91.encode(data)) == "The mission file unpacks to more than 1,048,576 bytes."


GZIPPED = gzip.compress((MAGIC + "001" + str(MISSION)).encode(), mtime=0)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "The mission file is empty."),
        (b"\n", "The mission file is empty."),
        (b"\xff\xfe\xff", "This is no mission file: it is not text."),
        (b"\x89PNG\r\n\x1a\n\0\0", "This is no mission file: it is not text."),
        ("x" * (2 << 20) + "x", "The mission file is larger than 2,097,152 bytes."),
        (
            "Dear all, see you",
            "This is no mission file, or one that another program encrypted in a way Parley cannot read.",
        ),
        (
            "https://example.org/??",
            "This is no mission file, or one that another program encrypted in a way Parley cannot read.",
        ),
        (base91.encode(GZIPPED[:-1]), "The mission file is damaged: its end is missing."),
        (base91.encode(GZIPPED[:40]), "The mission file is damaged: its end is missing."),
        (base91.encode(GZIPPED[:12] + b"\xff" * 40), "The mission file is damaged: it does not unpack."),
        (base91.encode(GZIPPED + b"more"), "The mission file is damaged: something follows its end."),
        (packed_bytes(b"{}"), "The file holds something else than a mission: the mark at its beginning is missing."),
        (packed_bytes(b"&*3$e1@E002{}"), "The mission file is of version '002', and Parley reads 001."),
        (packed_bytes(b"&*3$e1@E001{\xff}"), "The mission is not UTF-8 text."),
        (packed_bytes(b"&*3$e1@E001{}"), "meta is missing."),
    ],
)
def test_a_file_that_is_none(data: bytes | str, sentence: str) -> None:
    assert refusal(data) == sentence


@given(st.binary(max_size=60), st.integers(0, 1_000))
def test_damage_is_an_error_of_ours_or_none(noise: bytes, at: int) -> None:
    text = pack(MISSION).encode()
    at %= len(text)
    with contextlib.suppress(MissionError):
        assert isinstance(unpack(text[:at] + noise + text[at + len(noise) :]), Mission)


def test_encryption_hides_everything_and_finds_any_change() -> None:
    text = pack(MISSION, PASSPHRASE, rounds=FEW)
    sealed = base91.decode(text)
    assert sealed[:9] == b"PLYM\x01" + FEW.to_bytes(4, "big")
    assert pack(MISSION, PASSPHRASE, rounds=FEW) != text
    with pytest.raises(PassphraseNeeded, match="passphrase is needed"):
        unpack(text)
    wrong = "The passphrase is wrong, or the mission file is damaged."
    assert refusal(text, "correct hors") == wrong
    for at in (9, 24, 25, 36, 37, len(sealed) - 1):
        damaged = bytearray(sealed)
        damaged[at] ^= 1
        assert refusal(base91.encode(damaged), PASSPHRASE) == wrong
    assert refusal(base91.encode(sealed[:50]), PASSPHRASE) == "The mission file is damaged: its end is missing."
    late = base91.encode(b"PLYM\x02" + sealed[5:])
    assert refusal(late, PASSPHRASE) == "The mission is encrypted in version 2, and Parley reads version 1."
    costly = base91.encode(b"PLYM\x01\xff\xff\xff\xff" + sealed[9:])
    assert "senseless number of rounds" in refusal(costly, PASSPHRASE)


def test_a_passphrase_is_the_same_however_it_is_typed() -> None:
    text = pack(MISSION, "café au lait", rounds=FEW)
    assert unpack(text, "cafe\u0301 au lait") == MISSION


@pytest.mark.parametrize("passphrase", ["", "1234567", "x" * 1_025])
def test_a_passphrase_that_is_none(passphrase: str) -> None:
    with pytest.raises(MissionError, match="8 to 1,024 characters"):
        pack(MISSION, passphrase, rounds=FEW)


@pytest.mark.parametrize("url", ["example.org", "ftp://example.org", "https://a/??b", "https://a b", "https://é.org"])
def test_a_page_that_is_none(url: str) -> None:
    with pytest.raises(MissionError, match="ordinary cameras"):
        pack(MISSION, deflection_url=url)


# QR pictures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_a_picture_is_read_by_another_library(passphrase: str | None) -> None:
    picture = qr_picture(pack(MISSION, passphrase, rounds=FEW), QrForm.PNG)
    assert unpack(read_qr(picture), passphrase) == MISSION


def test_pictures_for_pages_and_terminals() -> None:
    text = pack(MISSION)
    assert b"<svg" in qr_picture(text, QrForm.SVG)
    assert len(qr_picture(text, QrForm.TEXT).decode().splitlines()) > 20


def test_too_much_for_a_picture_is_told_before_it_is_drawn() -> None:
    assert fits_qr("x" * QR_MOST_BYTES)
    assert qr_picture("x" * QR_MOST_BYTES, QrForm.PNG).startswith(b"\x89PNG")
    with pytest.raises(MissionError, match=r"takes 2,954 bytes, and a QR picture holds 2,953: give it as a file\."):
        qr_picture("x" * (QR_MOST_BYTES + 1), QrForm.PNG)


# New missions -------------------------------------------------------------------------------------------------


def test_a_new_mission_has_keys_and_addresses_of_its_own() -> None:
    wishes = MissionWishes("Relief", (ChannelWish("Alpha"), ChannelWish("Bravo")), pin="2580")
    created = datetime(2026, 11, 22, tzinfo=UTC)
    mission = new_mission(wishes, created)
    assert [group.name for group in mission.groups] == ["Mission Control", "Bravo", "Alpha"]
    assert mission.groups[0].type is GroupType.MISSION_CONTROL
    assert len({group.crypto_password for group in mission.groups}) == 3
    assert len({str(group.rx) for group in mission.groups}) == 3
    assert all(group.rx.is_multicast and group.rx.address.startswith("239.19") for group in mission.groups)
    again = new_mission(wishes, created)
    assert again.id == mission.id
    assert [group.rx for group in again.groups] == [group.rx for group in mission.groups]
    assert again.groups[1].crypto_password != mission.groups[1].crypto_password
    assert mission.pin_digest is not None
    assert mission.pin_digest.matches("2580")
    assert unpack(pack(mission)) == mission


def test_too_many_wishes() -> None:
    many = tuple(ChannelWish(f"C{number}") for number in range(254))
    with pytest.raises(MissionError, match="at most 254 channels"):
        new_mission(MissionWishes("Relief", many), datetime(2026, 11, 22, tzinfo=UTC))


def test_a_channel_that_nobody_could_talk_on_is_not_made() -> None:
    with pytest.raises(ChannelError, match="Codec 2"):
        new_mission(MissionWishes("Relief", (ChannelWish("Alpha"),), encoder=45), datetime(2026, 11, 22, tzinfo=UTC))
