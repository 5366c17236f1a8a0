"""Connectivity checks as messages: the requests we send and what becomes of those we receive.

RFC 8445 section 7.1 to 7.3. Pure functions over a check list; the agent decides what follows from them.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.events import CandidateType
from app.ice.candidates import candidate_priority
from app.ice.checklist import CheckList, EarlyCheck, Pair
from app.ice.requests import Schedule
from app.ice.stun import Address, Attribute, Message, MessageClass, Method, StunError

_KNOWN = frozenset(
    {
        Attribute.USERNAME,
        Attribute.MESSAGE_INTEGRITY,
        Attribute.MESSAGE_INTEGRITY_SHA256,
        Attribute.PRIORITY,
        Attribute.USE_CANDIDATE,
    }
)


@dataclass(slots=True, eq=False)
class Check:
    """One Binding request under way. A cancelled one is not sent again, but its answer still counts."""

    checklist: CheckList
    pair: Pair
    transaction_id: bytes
    data: bytes
    schedule: Schedule
    controlling: bool
    use_candidate: bool
    cancelled: bool = False


@dataclass(slots=True)
class Verdict:
    """What to do with a Binding request: what to answer, what it tells, and whether we must switch roles.

    `why` names, for the log and the counters, what was wrong with a request that is not accepted.
    """

    reply: bytes | None = None
    accepted: EarlyCheck | None = None
    switch_role: bool = False
    why: str = ""


def reflexive_priority(pair: Pair) -> int:
    """Give the PRIORITY of a check: its local candidate's as if it were peer-reflexive (RFC 8445 section 7.1.1)."""
    mine = pair.local.candidate
    return candidate_priority(CandidateType.PRFLX, mine.priority >> 8 & 0xFFFF, mine.component, mine.protocol)


def request(
    checklist: CheckList, pair: Pair, transaction_id: bytes, *, controlling: bool, tiebreaker: int, use_candidate: bool
) -> bytes:
    """Write one authenticated Binding request to the peer of this list, whose description must be known."""
    if checklist.remote is None:
        raise ValueError(f"stream {checklist.name} has no remote description")
    message = Message(Method.BINDING, MessageClass.REQUEST, transaction_id)
    message.add_text(Attribute.USERNAME, f"{checklist.remote.ufrag}:{checklist.ufrag}")
    message.add_number(Attribute.PRIORITY, reflexive_priority(pair))
    message.add_number(Attribute.ICE_CONTROLLING if controlling else Attribute.ICE_CONTROLLED, tiebreaker, 8)
    if use_candidate:
        message.add(Attribute.USE_CANDIDATE)
    return message.encode(checklist.remote.pwd.encode(), fingerprint=True)


def judge_request(
    message: Message, checklist: CheckList, base: int, source: Address, *, controlling: bool, tiebreaker: int
) -> Verdict:
    """Authenticate a Binding request and settle a role conflict, RFC 8445 section 7.3.

    Nothing is ever sent to somebody who does not know the password: a stranger gets no answer at all, where
    RFC 8489 would have 400 or 401, so that nobody can make us send to an address of their choice.
    """
    try:
        username = message.text(Attribute.USERNAME) or ""
    except StunError:
        return Verdict(why="malformed")  # not the error's words: a stranger could make them endlessly many
    mine, _, theirs = username.partition(":")
    if mine != checklist.ufrag or not message.check_integrity(checklist.pwd.encode()):
        return Verdict(why="not authenticated")
    if checklist.remote is not None and theirs != checklist.remote.ufrag:
        return Verdict(why="from another peer than the one described")
    key = checklist.pwd.encode()
    unknown = message.unknown_required(_KNOWN)
    if unknown:
        failure = message.failure(420, "Unknown Attribute").add_unknown(unknown)
        return Verdict(failure.encode(key, fingerprint=True), why="unknown attributes")
    try:
        priority = message.number(Attribute.PRIORITY)
        as_controlling = message.number(Attribute.ICE_CONTROLLING, 8)
        as_controlled = message.number(Attribute.ICE_CONTROLLED, 8)
    except StunError:
        priority = None
    if message.method != Method.BINDING or priority is None or not 0 < priority < 2**31:
        return Verdict(message.failure(400, "Bad Request").encode(key, fingerprint=True), why="no priority")
    switch = False
    if controlling and as_controlling is not None:
        switch = tiebreaker < as_controlling
    elif not controlling and as_controlled is not None:
        switch = tiebreaker >= as_controlled
    conflict = (as_controlling is not None) if controlling else (as_controlled is not None)
    if conflict and not switch:
        return Verdict(message.failure(487, "Role Conflict").encode(key, fingerprint=True), why="role conflict")
    reply = message.success().add_address(Attribute.XOR_MAPPED_ADDRESS, source).encode(key, fingerprint=True)
    use_candidate = message.has(Attribute.USE_CANDIDATE)
    return Verdict(reply, EarlyCheck(base, source, theirs, priority, use_candidate), switch)
