"""The order in which people look for names: A to Z whatever the case, and "Gate 2" before "Gate 10"."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"([0-9]{1,9})")


def place_of(name: str) -> list[tuple[int, str]]:
    """Give the key by which to sort a name."""
    parts = _DIGITS.split(name.casefold())  # words, and every second one digits
    return [(int(each), "") if number % 2 else (0, each) for number, each in enumerate(parts)]
