"""How far and in which direction, against known distances."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.channels.distance import EARTH_RADIUS_M, Location, Separation

places = st.builds(Location, st.floats(-90, 90), st.floats(-180, 180))


def test_paris_to_london() -> None:
    way = Separation.between(Location(48.8566, 2.3522), Location(51.5074, -0.1278))
    assert way.distance_m == pytest.approx(343_900, rel=0.005)
    assert way.bearing_deg == pytest.approx(330, abs=1)
    assert str(way) == "344 km north-west"


def test_across_the_date_line_is_near() -> None:
    assert Separation.between(Location(0, 179.9), Location(0, -179.9)).distance_m == pytest.approx(22_239, rel=0.01)


@pytest.mark.parametrize(
    ("distance_m", "bearing_deg", "words"),
    [
        (3, 90, "here"),
        (12, 0, "10 m north"),
        (348, 181, "350 m south"),
        (994, 90, "990 m east"),
        (996, 90, "1.0 km east"),
        (1_204, 44, "1.2 km north-east"),
        (9_949, 246, "9.9 km south-west"),
        (9_960, 270, "10 km west"),
        (123_456, 350, "123 km north"),
    ],
)
def test_words(distance_m: float, bearing_deg: float, words: str) -> None:
    assert str(Separation(distance_m, bearing_deg)) == words


@given(places, places)
def test_any_two_places_have_a_way_between_them(here: Location, there: Location) -> None:
    way, back = Separation.between(here, there), Separation.between(there, here)
    assert 0 <= way.distance_m <= math.pi * EARTH_RADIUS_M + 1
    assert way.distance_m == pytest.approx(back.distance_m, abs=0.1)
    assert 0 <= way.bearing_deg <= 360
    assert str(way)


@pytest.mark.parametrize(("latitude", "longitude"), [(90.1, 0), (0, -181), (math.nan, 0), (0, math.inf)])
def test_what_is_no_place_on_earth_is_refused(latitude: float, longitude: float) -> None:
    with pytest.raises(ValueError, match="no place on Earth"):
        Location(latitude, longitude)
