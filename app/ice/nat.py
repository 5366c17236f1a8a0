"""What the answers of several servers imply of the NAT in between (RFC 5780 section 4.3 in words). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.ice.stun import Address


@dataclass(frozen=True, slots=True)
class Observation:
    """One socket of ours as one server saw it."""

    local: Address
    server: Address
    mapped: Address


class Mapping(StrEnum):
    """How a NAT maps one socket toward several servers."""

    NONE = "none"  # no NAT: the address outside is our own
    ENDPOINT_INDEPENDENT = "endpoint-independent"
    DEPENDENT = "address-dependent"  # or on address and port: two servers do not tell them apart
    UNKNOWN = "unknown"  # one server only, or none


UDP_SILENT = "No server answers over UDP: it looks as if this network lets no UDP out."

_SENTENCES = {
    Mapping.NONE: "There is no NAT: the servers see the very address of this machine.",
    Mapping.ENDPOINT_INDEPENDENT: "A NAT stands in between that shows one and the same address to everybody; direct "
    "paths can be found through it.",
    Mapping.DEPENDENT: "A NAT stands in between that shows another address to each destination (symmetric); behind it "
    "a direct path is found only to peers that are less restricted, and a relay is needed for others.",
    Mapping.UNKNOWN: "A NAT stands in between; a single server's answer does not tell of which kind it is.",
}


def implied_mapping(observations: Iterable[Observation]) -> Mapping | None:
    """Judge by the worst socket, each family for itself; None when no server has told anything."""
    by_socket: dict[Address, list[Observation]] = {}
    for one in observations:
        by_socket.setdefault(one.local, []).append(one)
    found = {_of_socket(seen) for seen in by_socket.values()}
    order = (Mapping.DEPENDENT, Mapping.ENDPOINT_INDEPENDENT, Mapping.UNKNOWN, Mapping.NONE)
    return next((kind for kind in order if kind in found), None)


def _of_socket(seen: list[Observation]) -> Mapping:
    if len({one.mapped for one in seen}) > 1:
        return Mapping.DEPENDENT
    if seen[0].mapped == seen[0].local:
        return Mapping.NONE
    return Mapping.ENDPOINT_INDEPENDENT if len({one.server[0] for one in seen}) > 1 else Mapping.UNKNOWN


def implied_nat(observations: Iterable[Observation]) -> str | None:
    """Put it into one sentence; None when no server has told anything."""
    mapping = implied_mapping(observations)
    return None if mapping is None else _SENTENCES[mapping]
