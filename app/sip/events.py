"""What a SIP endpoint tells its owner: frozen dataclasses, delivered on the loop that drives the endpoint.

`session` is always the InviteSession the event is about. Bodies are the bytes of the message body, empty when there
was none; `dialog_tag` is the far end's tag, which tells the legs of a forked call apart (RFC 3261 section 12.1).

The life of an outgoing call: any number of Provisional, then exactly one of Answered, Refused, SessionTimedOut,
TransportFailed, or Bye from a far end that ends an early dialog; after Answered exactly one of Bye, SessionTimedOut,
TransportFailed unless this side hangs up.
An incoming one: IncomingInvite; ProvisionalConfirmed or ProvisionalExpired for what was sent reliably; Cancelled, Bye,
SessionTimedOut or TransportFailed unless this side ends it; AckReceived once after accept().
SessionClosed is always the last event of a session, once, whoever ended it: nothing of it is on the wire any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.events import RegistrationState
from app.sip.reasons import Reason

if TYPE_CHECKING:
    from app.sip.message import Request, Response
    from app.sip.sessions import InviteSession


@dataclass(frozen=True, slots=True)
class IncomingInvite:
    """Somebody calls. Nothing but 100 has been sent; the owner answers through the session."""

    session: InviteSession
    body: bytes  # the offer; empty: the caller wants ours (call-flow B11)
    content_type: str
    request: Request


@dataclass(frozen=True, slots=True)
class Provisional:
    """A 101–199 response arrived (each once, in order; retransmissions are absorbed). A reliable one is PRACKed."""

    session: InviteSession
    status: int
    reason: str
    body: bytes
    dialog_tag: str
    reliable: bool
    response: Response


@dataclass(frozen=True, slots=True)
class Answered:
    """The first 2xx arrived and was acknowledged. Other forks are ended by the session itself."""

    session: InviteSession
    response: Response
    body: bytes
    dialog_tag: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The call was not answered: a final 3xx–6xx, or 487 of our own after cancel().

    `response` is None when the status is ours (cancelled, and the far end never said the last word).
    `reasons` are the Reason header values of the response (RFC 3326), which may say more than the status.
    """

    session: InviteSession
    status: int
    reason: str
    response: Response | None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class ProvisionalConfirmed:
    """Our reliable (or retransmitted) provisional response has arrived; `by` is "prack", "binding" or "final"."""

    session: InviteSession
    by: str


@dataclass(frozen=True, slots=True)
class ProvisionalExpired:
    """Nobody confirmed our provisional response for 64*T1.

    `ended`: the peer speaks 100rel, so the INVITE was refused with 504 (RFC 3262 section 3). Otherwise the session
    goes on (RFC 8839 section 7.1.1).
    """

    session: InviteSession
    ended: bool


@dataclass(frozen=True, slots=True)
class AckReceived:
    """The ACK of our 2xx to the first INVITE. `body` is the answer if our 2xx carried the offer."""

    session: InviteSession
    body: bytes


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller gave up before an answer; 487 has been sent. `reasons` may say "answered elsewhere" (cause 200)."""

    session: InviteSession
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Bye:
    """The far end hung up; 200 has been sent."""

    session: InviteSession
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class OfferReceived:
    """The far end wants to change the session: answer with answer_offer() or refuse_offer().

    `method` is "INVITE" (re-INVITE), "UPDATE", or "PRACK". An empty body in a re-INVITE asks for an offer of ours in
    the answer; the far end's answer to it then comes in OfferAnswered with method "ACK". `dialog_tag` tells a caller
    which of several early dialogs it came in.
    """

    session: InviteSession
    body: bytes
    method: str
    dialog_tag: str = ""


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """The far end's word on an offer of ours made by reinvite(), update() or in a provisional or final response.

    `status` 2xx: `body` is the answer. Otherwise the session stands as it was (RFC 3261 section 14.1); 491 only comes
    here after the retries are spent.
    `method` is the request that carried it: "INVITE", "UPDATE"; "PRACK" or "ACK" when the offer was in our response.
    """

    session: InviteSession
    status: int
    body: bytes
    method: str


@dataclass(frozen=True, slots=True)
class InfoReceived:
    """An INFO arrived inside a dialog, maybe an early one; 200 has been sent.

    `package` is None for one of the old kind; one of a package that is not taken has been refused, and is not told.
    """

    session: InviteSession
    content_type: str
    body: bytes
    package: str | None = None
    dialog_tag: str = ""


@dataclass(frozen=True, slots=True)
class InfoAnswered:
    """The far end's word on an INFO made by package_info(): 469 means that it does not take the package.

    408 and 503 may be our own: nothing came back, or it could not be sent.
    """

    session: InviteSession
    package: str
    status: int
    dialog_tag: str


@dataclass(frozen=True, slots=True)
class SessionTimedOut:
    """The far end did not answer in time: no response to the INVITE, no ACK for our 2xx, or a dead dialog (481)."""

    session: InviteSession
    sentence: str
    status: int = 408


@dataclass(frozen=True, slots=True)
class TransportFailed:
    """Nothing could be sent: no address for the name, connection refused, TLS not verified, network down."""

    session: InviteSession
    sentence: str


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The last event of a session."""

    session: InviteSession


@dataclass(frozen=True, slots=True)
class RegistrationChanged:
    """The state of the account's registration; also sent after each successful refresh.

    `status` is the registrar's last answer (None: none came), `reason` its phrase or what failed, in words.
    `contact` is the address bound; `expires_s` what the registrar granted.
    """

    state: RegistrationState
    status: int | None = None
    reason: str | None = None
    transport: str | None = None
    expires_s: float | None = None
    contact: str | None = None


SessionEvent = (
    IncomingInvite
    | Provisional
    | Answered
    | Refused
    | ProvisionalConfirmed
    | ProvisionalExpired
    | AckReceived
    | Cancelled
    | Bye
    | OfferReceived
    | OfferAnswered
    | InfoReceived
    | InfoAnswered
    | SessionTimedOut
    | TransportFailed
    | SessionClosed
)

SipEvent = SessionEvent | RegistrationChanged
