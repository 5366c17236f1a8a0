"""Ids: the published inputs, and what makes another channel of one."""

from __future__ import annotations

import pytest

from app.channels.ids import group_id, mission_id, parse_uuid
from tests.channels.missions import KEY

PLACE = ("234.42.42.1", 18000)
ALPHA = "95dad4a9-4f46-5daa-91aa-acd6322c81a5"


def test_the_published_vectors() -> None:
    assert group_id("Alpha", 1, None, PLACE, PLACE) == ALPHA
    assert group_id("Alpha", 1, KEY, PLACE, PLACE) == "07ce82ac-7a73-5691-bed9-18d4b354c817"


def test_every_fact_counts() -> None:
    other = ("234.42.42.2", 18000)
    made = {
        group_id("Alpha", 1, None, PLACE, PLACE),
        group_id("Bravo", 1, None, PLACE, PLACE),
        group_id("Alpha", 2, None, PLACE, PLACE),
        group_id("Alpha", 1, KEY, PLACE, PLACE),
        group_id("Alpha", 1, KEY.lower(), PLACE, PLACE),
        group_id("Alpha", 1, None, other, PLACE),
        group_id("Alpha", 1, None, PLACE, other),
        group_id("Alpha", 1, None, PLACE, PLACE, [("rp.example.org", 7443)]),
        group_id("Alpha", 1, None, PLACE, PLACE, [("rp.example.org", 7443), ("rp2.example.org", 7443)]),
    }
    assert len(made) == 9


def test_a_mission_is_its_name() -> None:
    assert mission_id("Relief") == mission_id("Relief") != mission_id("relief")


@pytest.mark.parametrize("text", [ALPHA, ALPHA.upper(), f"{{{ALPHA}}}"])
def test_a_uuid_has_one_spelling(text: str) -> None:
    assert parse_uuid(text) == ALPHA


@pytest.mark.parametrize("text", ["", "Alpha", ALPHA.replace("-", ""), f"{{{ALPHA}", f"urn:uuid:{ALPHA}", ALPHA + "0"])
def test_what_is_no_uuid(text: str) -> None:
    with pytest.raises(ValueError, match=r"UUID|hexadecimal"):
        parse_uuid(text)
