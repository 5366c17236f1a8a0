"""Flows: one component of one stream each, which is what a check list finds a path for.

RFC 8445 section 4: component 1 is RTP (and RTCP, where both share it), component 2 is RTCP apart. The flow of
component 1 has the stream's own name, so that whoever multiplexes never meets the second one.
"""

from __future__ import annotations

from collections.abc import Iterable

_MARK = "/"


def flow_name(stream: str, component: int = 1) -> str:
    """Name one component of a stream: "0" is component 1 of stream "0", "0/2" its component 2."""
    return stream if component == 1 else f"{stream}{_MARK}{component}"


def split_flow(name: str) -> tuple[str, int]:
    """Give the stream and the component of a flow's name."""
    stream, mark, component = name.rpartition(_MARK)
    return (stream, int(component)) if mark and component.isdecimal() else (name, 1)


def flows_of(stream: str, names: Iterable[str]) -> list[str]:
    """Pick the flows of one stream."""
    return [name for name in names if split_flow(name)[0] == stream]
