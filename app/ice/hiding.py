"""Names instead of addresses: what the peer is told when the person wants the addresses of this machine hidden.

A host candidate names `<random>.local`, which only machines of the same network can look up (multicast DNS,
RFC 6762; the way browsers do it, draft-ietf-mmusic-mdns-ice-candidates). Pure.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import replace

from app.events import CandidateType
from app.ice.candidates import Candidate
from app.ice.requests import RandomBits

DISCARD_PORT = 9
_LOCAL_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.local", re.IGNORECASE)


def is_local_name(text: str) -> bool:
    """Tell whether a candidate's address is a name that may be looked up: one label and `.local`, nothing else."""
    return _LOCAL_NAME.fullmatch(text) is not None


class Hiding:
    """The names that stand for the addresses of one session. Each address has one, made at random."""

    def __init__(self, random_bits: RandomBits) -> None:
        self.names: dict[str, str] = {}
        """From address to name; somebody must answer for these on the local network."""
        self._random_bits = random_bits

    def name_of(self, address: str) -> str:
        if address not in self.names:
            self.names[address] = f"{uuid.UUID(int=self._random_bits(128), version=4)}.local"
        return self.names[address]

    def shown(self, candidate: Candidate) -> Candidate:
        """Give a candidate as the peer may see it: no address of an interface of this machine."""
        if candidate.type is CandidateType.HOST:
            return replace(candidate, address=self.name_of(candidate.address))
        nowhere = "::" if ":" in candidate.address else "0.0.0.0"  # RFC 8839 section 5.1, for rel-addr
        return replace(candidate, related_address=nowhere, related_port=DISCARD_PORT)


def as_default(candidate: Candidate) -> Candidate:
    """Give what stands in m= and c= for a candidate: a name cannot, so 0.0.0.0 and port 9 do (RFC 8838 section 4.3)."""
    if candidate.is_numeric:
        return candidate
    return replace(candidate, address="0.0.0.0", port=DISCARD_PORT)
