"""The exception of the home server: bad configuration, or a port that cannot be had."""

from __future__ import annotations


class HomeError(Exception):
    """What is wrong, as one sentence a person can act on."""
