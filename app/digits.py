"""The keys of a telephone: which there are, and what may be dialled while a call goes on."""

from __future__ import annotations

KEYS = "0123456789*#ABCD"  # by event code, RFC 4733 section 3.2
PAUSE = ","  # two seconds
MOST_KEYS = 256  # at once


def keys_of(text: str) -> str:
    """Give what to dial in the characters of `KEYS` and `PAUSE`, without blanks. ValueError names what is wrong."""
    keys = "".join(text.split()).upper()
    wrong = sorted(set(keys) - set(KEYS) - {PAUSE})
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no key of a telephone: 0 to 9, *, #, A to D, and a comma for a pause.")
    if not keys:
        raise ValueError("There is no key to send.")
    if len(keys) > MOST_KEYS:
        raise ValueError(f"{len(keys)} keys are too many to send at once: {MOST_KEYS} at most.")
    return keys
