"""What a call does about candidates that come after its descriptions: who is told how, and what is heard (RFC 8840).

Stands between the session of a call, which sends and receives INFO, and the trickle of each leg (trickle.py).
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from app.calls.errors import DescriptionError
from app.calls.legs import Leg
from app.calls.reading import trickles
from app.calls.sdpfrag import Fragment
from app.settings import IcePolicy, TrickleMode
from app.sip.info_packages import TRICKLE, takes
from app.sip.message import Request, Response
from app.sip.sessions import SessionError

if TYPE_CHECKING:
    from app.calls.call import Call
    from app.calls.path_side import PathSide

log = logging.getLogger(__name__)

MAX_EARLY = 8  # far ends whose candidates came before their answer


class CandidateSide:
    """One call's; used on the engine's loop only."""

    def __init__(self, call: Call, path: PathSide) -> None:
        self._call = call
        self._path = path
        self._early: dict[str, Fragment] = {}  # of far ends whose answer has not come yet

    @property
    def are_trickled(self) -> bool:
        """Whether our description says that candidates may follow it, ours or the peer's (RFC 8840)."""
        call, mode = self._call, self._call.services.settings.network.trickle
        if mode is TrickleMode.OFF:
            return False
        if call.is_caller:
            return True
        session = call.session
        takes_it = session is not None and takes(session.request, TRICKLE)
        remote = call.negotiation.remote
        return takes_it and (call.late_offer or (remote is not None and trickles(remote)))

    @property
    def may_follow(self) -> bool:
        """Whether our description may leave with the candidates of this machine alone (full trickle)."""
        if not self.are_trickled or self._call.services.ice_config.policy is IcePolicy.OFF:
            return False
        if not self._call.is_caller:
            return True  # who offers so takes it
        always = self._call.services.settings.network.trickle is TrickleMode.ALWAYS
        return always or self._call.services.peers.trickles(self._call.remote_uri)

    def tell(self, leg: Leg, body: bytes) -> None:
        """Send what one far end does not know yet."""
        session = self._call.session
        if session is not None and leg in self._path.legs.values():
            with suppress(SessionError):  # the far end has gone this moment
                session.package_info(TRICKLE, body, dialog_tag=self._path.tag_of(leg))

    def take(self, tag: str, body: bytes) -> None:
        """An INFO of a far end has come: more candidates of its, maybe before its answer was understood."""
        try:
            fragment = Fragment.parse(body)
        except DescriptionError as error:
            log.info("%s: candidates that cannot be understood: %s", self._call.call_id, error)
            return
        leg = self._path.legs.get(tag)
        if leg is None:
            if self._call.is_caller and len(self._early) < MAX_EARLY:
                self._early[tag] = fragment
            return
        leg.trickle.take(fragment)
        leg.trickle.open()

    def dialog_is_up(self, tag: str, message: Request | Response) -> None:
        """The far end of this dialog has it as well; `message` of it tells whether it takes candidates by INFO."""
        leg = self._path.legs.get(tag)
        if leg is None:
            return
        leg.trickle.peer_takes = takes(message, TRICKLE) and leg.remote is not None and trickles(leg.remote)
        leg.trickle.open()
        if self._call.is_caller and leg.trickle.speaks:
            self._call.services.peers.learn(self._call.remote_uri, leg.trickle.peer_takes)

    def was_taken(self) -> None:
        """The caller has our 200: its phone is what it said, and worth remembering for a call back."""
        if self._path.leg is not None and self._path.leg.trickle.is_agreed:
            self._call.services.peers.learn(self._call.remote_uri, True)

    def described(self, tag: str, leg: Leg) -> None:
        """The answer of this far end was understood: candidates that overtook it belong to it."""
        if tag in self._early:
            leg.trickle.take(self._early.pop(tag))
