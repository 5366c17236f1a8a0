"""The exception of this package."""

from __future__ import annotations


class SatelliteError(Exception):
    """Why a satellite cannot run, as one sentence a person can act on."""
