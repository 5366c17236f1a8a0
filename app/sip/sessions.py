"""One INVITE session, in either role: what `app.calls` drives.

All methods return at once; what follows comes as events (app/sip/events.py) on the endpoint's loop. A method called
at a moment where it makes no sense (accept() twice, bye() after the end) raises SessionError only where the caller
has to know; ending twice is harmless.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from app.sip.headers import NameAddr
from app.sip.message import Request
from app.sip.reasons import Reason

SDP = "application/sdp"


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


class InviteSession:
    """One call's signalling."""

    role: Role
    state: SessionState
    call_id: str
    request: Request  # the initial INVITE (the newest one sent, after challenges)

    @property
    def local(self) -> NameAddr:
        """Who this side is (From of the caller, To of the callee)."""

    @property
    def remote(self) -> NameAddr:
        """Who the far side is, with its display name."""

    @property
    def transport(self) -> str | None:
        """The transport the INVITE went or came over: "udp", "tcp" or "tls"."""

    @property
    def dialog_tag(self) -> str | None:
        """The far end's tag of the confirmed dialog (callee: of the only one)."""

    def peer_supports(self, option: str) -> bool:
        """Whether the far end named `option` in Supported or Require of its newest message."""

    @property
    def peer_agent(self) -> str | None:
        """User-Agent or Server of the far end."""

    # Caller ------------------------------------------------------------------------------------------------------

    def cancel(self, reasons: Iterable[Reason] = ()) -> None:
        """Give up before the answer. Ends in Refused(487), also when a 2xx was already on its way (ACK, then BYE)."""

    # Callee ------------------------------------------------------------------------------------------------------

    def provisional(
        self,
        status: int,
        reason: str | None = None,
        body: bytes = b"",
        *,
        reliable: bool | None = None,
        transmissions: int | None = None,
        content_type: str = SDP,
    ) -> None:
        """Send a 101–199 response, in the order of the calls.

        `reliable` None: with a body, or when the caller requires 100rel, it is sent reliably (PRACK) if the caller
        supports that, otherwise retransmitted with the same backoff until stop_retransmitting() or the final answer;
        without a body it is sent once. True: as with a body. False: once.
        `transmissions` limits the retransmitted form (4 toward an ICE-lite caller). While a reliable one awaits its
        PRACK, later provisionals and the 2xx wait behind it.
        """

    def stop_retransmitting(self) -> None:
        """A matching Binding request has come: the far end has our 183 (RFC 8839 section 7.1.1)."""

    def accept(self, body: bytes = b"", *, content_type: str = SDP) -> None:
        """Answer with 200; retransmitted until AckReceived. Waits for the PRACK of an SDP-bearing 183."""

    def reject(
        self,
        status: int,
        reason: str | None = None,
        *,
        reasons: Iterable[Reason] = (),
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Refuse with a 3xx–6xx; SessionClosed follows."""

    # Both, once there is a dialog ----------------------------------------------------------------------------------

    def bye(self, reasons: Iterable[Reason] = ()) -> None:
        """Hang up, whatever the state: BYE, CANCEL or 480 as the moment asks; SessionClosed follows."""

    def reinvite(self, body: bytes, *, content_type: str = SDP) -> None:
        """Offer a change after the answer; ends in OfferAnswered. 491 is retried as RFC 3261 section 14.1 says."""

    def update(self, body: bytes, *, content_type: str = SDP, dialog_tag: str | None = None) -> None:
        """Offer a change by UPDATE (RFC 3311), also before the answer; ends in OfferAnswered."""

    def info(self, body: bytes, *, content_type: str) -> None:
        """Send an INFO (no answer is reported)."""

    def answer_offer(self, body: bytes, *, content_type: str = SDP) -> None:
        """Accept the last OfferReceived with this answer (or offer, where the far end asked for one)."""

    def refuse_offer(self, status: int = 488, reason: str | None = None) -> None:
        """Refuse the last OfferReceived; the session stands as it was."""
