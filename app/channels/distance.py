"""Where somebody is, and how far and in which direction from here.

On a sphere of the mean radius of the Earth (haversine): within 0.5 % of the ellipsoid, which is closer than a phone
knows where it is. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

EARTH_RADIUS_M = 6_371_008.8  # mean radius of WGS 84 (IUGG)
_HERE_M = 10.0  # no receiver tells apart what is closer
_WINDS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")


@dataclass(frozen=True, slots=True)
class Location:
    """A place by WGS 84: degrees north and east; metres above the ellipsoid; heading in degrees; metres a second.

    `unix_ms` is when it was taken. ValueError for what is no place on Earth.
    """

    latitude: float
    longitude: float
    altitude_m: float | None = None
    heading_deg: float | None = None
    speed_mps: float | None = None
    unix_ms: int | None = None

    def __post_init__(self) -> None:
        for value, most in ((self.latitude, 90.0), (self.longitude, 180.0)):
            if not -most <= value <= most:  # NaN is neither
                raise ValueError(f"{value} degrees are no place on Earth")


@dataclass(frozen=True, slots=True)
class Separation:
    """How far one place is from another, and in which direction: 0 is north, 90 east."""

    distance_m: float
    bearing_deg: float

    @classmethod
    def between(cls, here: Location, there: Location) -> Separation:
        """Give the way along the surface from here to there; heights do not count."""
        lat1, lat2 = math.radians(here.latitude), math.radians(there.latitude)
        east = math.radians(there.longitude - here.longitude)
        chord = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin(east / 2) ** 2
        distance_m = 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(chord)))
        bearing = math.atan2(
            math.sin(east) * math.cos(lat2),
            math.cos(lat1) * math.sin(lat2) - math.sin(lat1) * math.cos(lat2) * math.cos(east),
        )
        return cls(distance_m, math.degrees(bearing) % 360.0)

    def __str__(self) -> str:
        """Give words such as "1.2 km north-east"; "here" where nobody can tell the two apart."""
        if self.distance_m < _HERE_M:
            return "here"
        wind = _WINDS[round(self.bearing_deg / 45.0) % 8]
        if self.distance_m < 995.0:
            tens_m = round(self.distance_m / 10.0) * 10
            return f"{tens_m} m {wind}"
        km = self.distance_m / 1000.0
        return f"{km:.1f} km {wind}" if km < 9.95 else f"{km:.0f} km {wind}"
