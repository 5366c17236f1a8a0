"""Offers of this side inside a running call: what is to be said next, and what the answer to it means.

Holding, a camera switched on, the nominated addresses (R9) and restarts of the path are all said by the same re-INVITE.
It is written only when its turn has come, so it always says what holds then, and an answer is never read against a
newer offer.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from app.calls.errors import DescriptionError
from app.ice.candidates import IceError
from app.ice.session import IceSession
from app.media.errors import MediaError
from app.sip import events as sip_events
from app.sip.sessions import SessionError, SessionState

if TYPE_CHECKING:
    from app.calls.call import Call

log = logging.getLogger(__name__)

_WILL_NOT = (403, 405, 406, 415, 420, 488, 501, 606)  # of a peer that understood, and does not do it


class Changes:
    """The open and the coming offer of one call."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._wished = False  # something is to be said that no offer has said yet
        self._said = False  # the offer under way says it
        self._generation: IceSession | None = None  # which the offer under way describes

    def wish(self) -> None:
        """Tell the far end what is wished of each stream now, and where we are."""
        self._wished = True
        self.send()

    def send(self) -> None:
        """Make an offer as soon as may be; nothing is sent if nothing is left to be said then."""
        session, leg = self._call.session, self._call.leg
        if session is None or leg is None or leg.agreement is None:
            return
        with suppress(SessionError):  # the far end has gone this moment; its last word is on the way to us
            if session.state is SessionState.CONFIRMED:
                session.reinvite(self._write)
            elif session.peer_allows("UPDATE"):  # not picked up yet: no re-INVITE may be sent
                session.update(self._write, dialog_tag=self._call.path.tag_of(leg))

    def _write(self) -> bytes:
        leg = self._call.leg
        generation = self._call.path.recovery.to_offer()
        if leg is None or not (self._wished or self._said or generation is not None):
            return b""
        return self.compose(generation)

    def compose(self, generation: IceSession | None) -> bytes:
        """Write the offer of now; with a next generation of the path it asks to restart."""
        leg = self._call.leg
        assert leg is not None
        self._said = self._said or self._wished
        self._wished = False
        self._generation = generation
        return self._call.negotiation.reoffer(leg, self._call.wishes.now(), generation)

    def take_answer(self, event: sip_events.OfferAnswered) -> None:
        """Do what the answer to our offer means; one that cannot be used leaves the call as it was."""
        leg, recovery = self._call.leg, self._call.path.recovery
        generation, self._generation = self._generation, None
        lost = not 200 <= event.status < 300 and event.status not in _WILL_NOT
        self._wished = self._wished or (lost and self._said)  # goes with the next offer
        self._said = False
        if leg is None:
            return
        if not 200 <= event.status < 300 or not event.body:
            log.info("%s: the far end does not take a change: %d", self._call.call_id, event.status)
            if generation is not None:
                recovery.not_agreed(generation, for_good=event.status in _WILL_NOT)
            return
        try:
            agreement = self._call.negotiation.read_answer(event.body, leg)
            if generation is None:
                leg.agree_again(agreement)
            elif generation is leg.ice.next and leg.is_renewed_by(agreement):
                leg.agree_again(agreement, generation)
                recovery.agreed()
            else:
                leg.agree_again(agreement)
                recovery.not_agreed(generation, for_good=True)
        except (DescriptionError, IceError, MediaError) as error:
            log.info("%s: the answer to a change cannot be used: %s", self._call.call_id, error)
            if generation is not None:
                recovery.not_agreed(generation, for_good=False)
            return
        self._call.services.on_change(self._call)
