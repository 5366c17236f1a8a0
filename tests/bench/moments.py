"""When what happened in one call, read from the packets at both of its machines (one clock serves both)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.capture import Packet

_ACCEPTED = re.compile(rb"SIP/2\.0 200 [^\r]*\r\n(?:[^\r\n]+\r\n)*?CSeq: *\d+ +INVITE", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Moments:
    """Seconds of the epoch, each where it happened: `caller_…` at the caller's machine, `callee_…` at the callee's."""

    caller_invite: float
    caller_180: float | None
    callee_200: float
    callee_first_rtp: float
    caller_200: float
    caller_first_rtp: float
    caller_rtp_at_callee: float


def moments(caller: list[Packet], callee: list[Packet], caller_address: str, callee_address: str) -> Moments:
    """Read them from what was captured at the two machines; an assertion names what never happened."""

    def first(packets: list[Packet], source: str, fits: Callable[[bytes], bool], what: str) -> float:
        found = next((one.at for one in packets if one.source == source and fits(one.payload)), None)
        assert found is not None, f"{what} was not seen"
        return found

    def rtp(packets: list[Packet], source: str, what: str) -> float:
        found = next((one.at for one in packets if one.source == source and one.kind == "rtp"), None)
        assert found is not None, f"{what} was not seen"
        return found

    def accepted(data: bytes) -> bool:
        return _ACCEPTED.search(data) is not None

    ringing = [one.at for one in caller if one.source == callee_address and b"SIP/2.0 180" in one.payload]
    return Moments(
        caller_invite=first(caller, caller_address, lambda data: data.startswith(b"INVITE "), "the INVITE"),
        caller_180=min(ringing, default=None),
        callee_200=first(callee, callee_address, accepted, "the 200 at the callee"),
        callee_first_rtp=rtp(callee, callee_address, "the callee's first packet"),
        caller_200=first(caller, callee_address, accepted, "the 200 at the caller"),
        caller_first_rtp=rtp(caller, caller_address, "the caller's first packet"),
        caller_rtp_at_callee=rtp(callee, caller_address, "the caller's first packet at the callee"),
    )
