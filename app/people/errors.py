"""The one exception of this package: what is kept could not be read, written or accepted."""

from __future__ import annotations


class PeopleError(Exception):
    """Something about a profile, a contact or what is kept; `str()` is one sentence for a person."""


def in_words(error: OSError) -> str:
    """What the operating system says of an error, as a clause: "no space left on device"."""
    return (error.strerror or str(error)).lower()
