"""Ids of missions and channels: the same facts give the same id on every machine (docs/channels.md, Ids).

UUIDs of version 5 (RFC 4122 section 4.3) in a namespace of their own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

NAMESPACE = uuid.UUID("d15fbc09-ad8b-4080-be3c-15ab56d08d00")


def mission_id(name: str) -> str:
    """The id of a mission: its name is all that it is made from."""
    return str(uuid.uuid5(NAMESPACE, name))


def group_id(
    name: str,
    group_type: int,
    crypto_password: str | None,
    rx: tuple[str, int],
    tx: tuple[str, int],
    rallypoints: Iterable[tuple[str, int]] = (),
) -> str:
    """The id of a channel: these facts one after another with nothing between, numbers in decimal.

    The key counts as it is written: the same key in other letters (a, A) makes another id.
    """
    facts = [name, str(int(group_type)), crypto_password or ""]
    for address, port in (rx, tx, *rallypoints):
        facts += [address, str(port)]
    return str(uuid.uuid5(NAMESPACE, "".join(facts)))


def parse_uuid(text: str) -> str:
    """Read a UUID, braces or not, in its one spelling: lower case, hyphens, no braces. ValueError when it is none."""
    bare = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    read = str(uuid.UUID(bare))
    if read != bare.lower():
        raise ValueError("not a UUID with hyphens")
    return read
