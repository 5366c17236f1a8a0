"""The descriptions of one call in order: what was last offered, what was answered, and which version is next.

Stands between a call, which knows when something must be said, and offer_answer.py, which knows what it must say.
"""

from __future__ import annotations

import random
from typing import Literal

from app.calls.errors import DescriptionError, PartialRestart
from app.calls.legs import Leg, StreamWish
from app.calls.offer_answer import Agreement, Line, LocalStream, Terms, answer_offer, make_offer, read_answer
from app.calls.reading import ice_of
from app.calls.sdp import MediaDescription, Origin, SessionDescription
from app.ice.session import IceSession
from app.settings import Encryption, HostPort

_LADDER = {
    Encryption.DTLS: ("dtls",),
    Encryption.SDES: ("sdes",),
    Encryption.NONE: ("none",),
    Encryption.BEST: ("dtls", "sdes", "none"),
}


class Negotiation:
    """Offers and answers of one call. Every method raises DescriptionError for what the peer got wrong."""

    def __init__(self, terms: Terms, chance: random.Random | None = None) -> None:
        self.terms = terms
        self._origin = Origin((chance or random.SystemRandom()).getrandbits(62), 0)
        self._steps = list(_LADDER[terms.encryption])
        self._offer: SessionDescription | None = None
        self._offered: tuple[Line, ...] = ()
        self._shape: tuple[MediaDescription, ...] = ()  # the m-lines of the session, which never become fewer
        self._answer: bytes = b""
        self.remote: SessionDescription | None = None

    @property
    def security(self) -> str:
        return self._steps[0]

    @property
    def answer(self) -> bytes:
        """The answer of this side, the same in the 183 and in the 200 (R7)."""
        return self._answer

    @property
    def m_and_c(self) -> dict[str, HostPort]:
        """Where this side last said, outside ICE, that it receives each stream."""
        return {line.name: line.address for line in self._offered if isinstance(line, LocalStream)}

    def step_down(self) -> bool:
        """Offer weaker protection next; False when there is nothing weaker to offer."""
        if len(self._steps) < 2:
            return False
        self._steps.pop(0)
        return True

    def offer(self, leg: Leg) -> bytes:
        """The first offer (R2)."""
        return self._say(leg.local_streams(), self.security)

    def reoffer(self, leg: Leg, wishes: dict[int, StreamWish], coming: IceSession | None = None) -> bytes:
        """An offer inside the call: the nominated addresses in m/c (R9), and what is wished now of each m-line.

        With a `coming` generation of the path it asks to restart: its credentials and all its candidates (RFC 8839
        section 4.4.1.1.1).
        """
        assert leg.agreement is not None
        lines: list[Line] = []
        for index, media in enumerate(self._shape):
            stream = leg.settled_stream(wishes[index], coming) if index in wishes else None
            lines.append(stream or media)
        if coming is not None:
            leg.trickle.describe(coming, [line for line in lines if isinstance(line, LocalStream)], hold=True)
        bundle = len(leg.agreement.transports) == 1
        return self._say(tuple(lines), leg.agreement.security, bundle=bundle)

    def _say(self, lines: tuple[Line, ...], security: str, *, bundle: bool = True) -> bytes:
        self._offered = lines
        self._offer = make_offer(self._next_origin(), lines, self.terms, security, bundle=bundle)
        self._shape = self._offer.media
        return bytes(self._offer)

    def _next_origin(self) -> Origin:
        self._origin = Origin(self._origin.session_id, self._origin.version + 1)
        return self._origin

    def read_answer(self, body: bytes, leg: Leg) -> Agreement:
        """Take the peer's answer to the last offer."""
        if self._offer is None:
            raise DescriptionError("an answer came although nothing was offered")
        answer = SessionDescription.parse(body)
        security = leg.agreement.security if leg.agreement is not None else self.security
        role = leg.agreement.transports[0].security.dtls_role if leg.agreement is not None else None
        again = leg.agreement is not None
        agreement = read_answer(self._offer, answer, self._offered, self.terms, security, dtls_role=role, again=again)
        leg.remote = answer
        return agreement

    def read_offer(self, body: bytes) -> SessionDescription:
        """Understand the peer's first offer before anything is gathered for it."""
        self.remote = SessionDescription.parse(body)
        if not self.remote.media:
            raise DescriptionError("the offer has no m= line", 488)
        return self.remote

    def wishes_for(self, offer: SessionDescription, wishes: tuple[StreamWish, ...]) -> dict[int, StreamWish]:
        """Which of this side's streams takes which m-line: one of each kind, the first that is not refused."""
        left = {wish.kind: wish for wish in wishes}
        taken: dict[int, StreamWish] = {}
        for index, media in enumerate(offer.media):
            if media.kind in left and (media.port != 0 or media.has("bundle-only")):
                taken[index] = left.pop(media.kind)
        return taken

    def answer_first(self, leg: Leg, wishes: dict[int, StreamWish]) -> Agreement:
        """Answer the peer's first offer (R4) from what was gathered."""
        assert self.remote is not None
        leg.remote = self.remote
        streams = dict(zip(wishes, leg.local_streams(tuple(wishes.values())), strict=True))
        return self._answer_with(self.remote, streams, None, again=False)

    def answer_again(
        self, body: bytes, leg: Leg, wishes: dict[int, StreamWish], coming: IceSession | None = None
    ) -> Agreement:
        """Answer an offer inside the call; the path and the keys stay, directions may change.

        A restart is answered with the `coming` generation of the path; the keys stay then too (RFC 8842 section 5.1).
        """
        assert leg.agreement is not None
        offer = SessionDescription.parse(body)
        if len(offer.media) < len(self._shape):
            raise DescriptionError("an offer inside the call has fewer m= lines than the call", 488)
        settled = {index: leg.settled_stream(wish, coming) for index, wish in wishes.items()}
        streams = {index: stream for index, stream in settled.items() if stream is not None}
        if coming is not None:
            leg.trickle.describe(coming, streams.values(), hold=True)
        role = leg.agreement.transports[0].security.dtls_role
        agreement = self._answer_with(offer, streams, role, again=True)
        leg.remote = offer
        return agreement

    def _answer_with(
        self,
        offer: SessionDescription,
        streams: dict[int, LocalStream],
        role: Literal["client", "server"] | None,
        *,
        again: bool,
    ) -> Agreement:
        answer, agreement = answer_offer(offer, self._next_origin(), streams, self.terms, dtls_role=role, again=again)
        self._offered = tuple(streams.values())
        self._shape = answer.media
        self._answer = bytes(answer)
        return agreement

    def asks_restart(self, body: bytes, leg: Leg, wishes: dict[int, StreamWish]) -> bool:
        """Whether an offer inside the call has other ICE credentials for a path than the peer's last description.

        Those of a stream that is put on another one's path are that one's (RFC 9143 section 7.1.3).

        PartialRestart where it restarts some paths of the call and not the others: a generation is of all.
        """
        assert leg.agreement is not None
        offer = SessionDescription.parse(body)
        known = {transport.name: transport.ice for transport in leg.agreement.transports if transport.ice is not None}
        renewed = [
            not known[wish.name].same_credentials(theirs)
            for index, wish in wishes.items()
            if wish.name in known
            and index < len(offer.media)
            and not offer.is_bundled_behind(offer.media[index])
            and (theirs := ice_of(offer, offer.media[index])) is not None
        ]
        if any(renewed) and not all(renewed):
            raise PartialRestart("an ICE restart of some streams alone is not supported", 488)
        return any(renewed)
