"""The words for what a session is and does, shared by its parts."""

from __future__ import annotations

from enum import StrEnum

from app.sip.errors import SipError

SDP = "application/sdp"


class SessionError(SipError):
    """The session is not in a state for what was asked."""


class Role(StrEnum):
    CALLER = "caller"  # UAC of the first INVITE
    CALLEE = "callee"


class SessionState(StrEnum):
    CALLING = "calling"  # caller: INVITE out, no final response
    CANCELLING = "cancelling"  # caller: gave up, the far end's last word awaited
    INCOMING = "incoming"  # callee: no final response sent
    ACCEPTED = "accepted"  # callee: 2xx sent (or queued behind a reliable 183), ACK awaited
    CONFIRMED = "confirmed"
    ENDING = "ending"  # BYE out, or a refusal awaiting its ACK
    ENDED = "ended"
