"""What a call does about its path: legs, gathering, checks, forks, and what ICE and media tell.

The other half of `Call` beside sip_side.py; the table in states.py hears of everything through `Call.feed`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from app.calls.candidate_side import CandidateSide
from app.calls.errors import DescriptionError
from app.calls.legs import Leg
from app.calls.offer_answer import Agreement
from app.calls.reading import wants_rtcp_apart
from app.calls.recovery import Recovery
from app.calls.states import Input
from app.events import CallState, EndedBy, EndKind
from app.ice import events as ice_events
from app.ice.candidates import IceError, IceFailed
from app.ice.nat import UDP_SILENT
from app.media.errors import MediaError, SecurityError
from app.media.events import DeviceTrouble, FirstMedia, KeyPressed, MediaEvent, MutedSpeech, PeerClosed
from app.settings import IcePolicy

if TYPE_CHECKING:
    from app.calls.call import Call

log = logging.getLogger(__name__)

REFUSAL_GRACE_S = 2.0  # how long a caller whose checks failed waits for the callee to say why
BYE_GRACE_S = 2.0  # between the far end's farewell on the media path and its BYE
PLAIN_SILENCE_S = 8.0  # without consent checks: silence that counts as an interruption
_SEARCHING = (CallState.CONNECTING, CallState.ANSWERING, CallState.RINGING)


class PathSide:
    """The legs of one call, by the far end's To-tag; `leg` carries the call, or will most likely carry it."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.legs: dict[str, Leg] = {}
        self.leg: Leg | None = None
        self.recovery = Recovery(call)
        self._farewell = False  # the far end has closed its media
        self._watched_since: float | None = None
        self._left: list[Leg] = []  # given up, maybe not yet closed
        self._watching = False  # the search is under way
        self.candidates = CandidateSide(call, self)

    def begin(self, tag: str, *, controlling: bool) -> None:
        """Open the first leg and gather for it."""
        self.leg = self._new_leg(tag, controlling=controlling)
        self._call.tasks.start(self._gather(self.leg), "gather")

    def connect(self) -> None:
        """Look for the path of every leg that has an agreement and is not looking yet (R5)."""
        for leg in self.legs.values():
            if not leg.begun and leg.agreement is not None:
                leg.begun = True
                self._call.tasks.start(self._find(leg), "find the path")
                if not self._watching and leg.agreement.uses_ice:
                    self._watching = True
                    self._call.tasks.start(self._say_no_path_yet(), "watch the search")
        if self.leg is not None and self.leg.ready:
            self._call.feed(Input.PATH_READY)

    async def _gather(self, leg: Leg) -> None:
        """R1 for the caller, R3 for the callee."""
        if self.candidates.may_follow:
            await leg.ice.gather_hosts()
        else:
            await leg.ice.gather()
        if leg.ice.gathered and not self._has_candidates(leg):
            self._fail_without_candidates(leg)
            return
        if self._call.is_caller:
            self._call.feed(Input.GATHERED)
            return
        if self._call.late_offer:
            assert self._call.session is not None
            by_prack = self._call.session.peer_supports("100rel")
            self._call.wishes.offer_all()
            self._call.feed(Input.GATHERED if by_prack else Input.GATHERED_PLAIN)
            return
        try:
            agreement = self._call.negotiation.answer_first(leg, self._call.wishes.lines)
            leg.agree(agreement)
            self._learn_rtcp(agreement)
        except (DescriptionError, MediaError, IceError) as error:
            self._call.refuse_description(
                error if isinstance(error, DescriptionError) else DescriptionError(str(error), 488)
            )
            return
        self._call.note_poorer(*agreement.poorer)
        self._call.feed(Input.GATHERED if agreement.uses_ice else Input.GATHERED_PLAIN)

    async def _say_no_path_yet(self) -> None:
        """The search takes long: tell what was tried, long before it is given up (docs/call-flow.md)."""
        await asyncio.sleep(self._call.services.ice_config.timing.notice_s)
        sentence = self.why_no_path()
        if self._call.state in _SEARCHING and sentence is not None:
            self._call.say(sentence)
            self._call.services.on_problem(self._call, sentence, "call")

    def why_no_path(self) -> str | None:
        """Why there is no path so far, in a sentence for each way that streams take; None where there is one."""
        leg = self.leg
        reasons = leg.ice.progress() if leg is not None and not leg.ready else {}
        if leg is None or not reasons:
            return None
        network = (UDP_SILENT,) if leg.ice.snapshot().nat == UDP_SILENT else ()
        return " ".join(dict.fromkeys((*reasons.values(), *network)))

    def _has_candidates(self, leg: Leg) -> bool:
        names = leg.transports or tuple(wish.name for wish in self._call.wishes.all)
        return all(leg.ice.default_candidate(name) is not None for name in names)

    def _fail_without_candidates(self, leg: Leg) -> None:
        self._fail(EndKind.CHECKS_FAILED, " ".join(leg.ice.snapshot().problems) or "No network is up.")

    async def _find(self, leg: Leg) -> None:
        """R5: checks, nomination and keys; tells the table how it went."""
        try:
            await leg.connect()
        except SecurityError as error:
            await self._leg_failed(leg, EndKind.SECURITY_FAILED, str(error))
        except (IceFailed, IceError) as error:
            await self._leg_failed(leg, EndKind.CHECKS_FAILED, str(error))
        except MediaError as error:
            await self._leg_failed(leg, EndKind.NOTHING_IN_COMMON, str(error))
        else:
            if leg not in self.legs.values():
                return  # another far end was chosen meanwhile
            if leg is self.leg or (self._call.is_caller and self.leg is not None and not self.leg.ready):
                self._carry_over(leg)
                self._call.feed(Input.PATH_READY)
                if self._call.acknowledged and self._call.state is CallState.ANSWERING and not self._call.is_caller:
                    self._call.feed(Input.ACKNOWLEDGED)

    async def _leg_failed(self, leg: Leg, kind: EndKind, detail: str) -> None:
        if leg not in self.legs.values():
            return
        if len(self.legs) > 1 and self._call.state is not CallState.ANSWERING:
            log.info("%s: one of several far ends cannot be reached: %s", self._call.call_id, detail)
            self._give_up(leg)
            return
        if self._call.is_caller and self._call.state in (CallState.CONNECTING, CallState.RINGING):
            # The callee finds out at the same moment and its refusal says more; only silence is answered here.
            await asyncio.sleep(REFUSAL_GRACE_S)
        self._fail(kind, detail)

    def _fail(self, kind: EndKind, detail: str) -> None:
        self._call.set_end(EndedBy.FAILURE, kind, 480 if kind is EndKind.CHECKS_FAILED else 488, detail)
        self._call.feed(Input.PATH_FAILED)

    def _on_ice(self, leg: Leg, event: ice_events.IceEvent) -> None:
        session = self._call.session
        if isinstance(event, ice_events.BindingRequestSeen) and session is not None and not self._call.is_caller:
            session.stop_retransmitting()
        self._trickle(leg, event)
        if leg is not self.leg:
            return
        self.recovery.on_ice(leg, event)

    def _trickle(self, leg: Leg, event: ice_events.IceEvent) -> None:
        """Pass on what was found: forks share it, so every far end is told."""
        if isinstance(event, ice_events.CandidateGathered | ice_events.Gathered):
            for known in self.legs.values():
                known.trickle.news()
            if isinstance(event, ice_events.Gathered) and not leg.ready and not self._has_candidates(leg):
                self._fail_without_candidates(leg)  # the offer or the answer has left without any
        elif isinstance(event, ice_events.Connected | ice_events.Completed):
            leg.trickle.settle()

    def _on_media(self, leg: Leg, event: MediaEvent) -> None:
        if isinstance(event, FirstMedia):
            self._call.mark("first_audio" if event.kind == "audio" else "first_video")
        elif isinstance(event, DeviceTrouble):
            if event.about == "screen":
                self._call.stop_sharing()
            self._call.services.on_problem(self._call, event.sentence, "device")
        elif isinstance(event, KeyPressed) and leg is self.leg:
            self._call.keys.pressed(event.key)
        elif isinstance(event, MutedSpeech):
            if leg is self.leg and not self._call.wishes.held:
                self._call.services.on_problem(self._call, "You are muted: nobody hears what you say.", "muted")
        elif isinstance(event, PeerClosed) and leg is self.leg and not self._farewell:
            self._farewell = True
            self._call.tasks.start(self._wait_for_bye(), "wait for the BYE")

    async def _wait_for_bye(self) -> None:
        """The far end has closed its media (DTLS close_notify): its BYE follows, or it went away without one."""
        await asyncio.sleep(BYE_GRACE_S)
        self._call.set_end(EndedBy.REMOTE, EndKind.NETWORK_LOST, None, "The other side closed its media.")
        self._call.feed(Input.PATH_LOST)

    def describe(self, tag: str, body: bytes) -> None:
        """R4 at the caller: an answer in a provisional response, maybe of a further fork leg."""
        leg = self.legs.get(tag)
        if leg is not None and leg.agreement is not None:
            return  # the same answer again, in a later response
        try:
            self._agree(tag, body)
        except DescriptionError as error:
            if len(self.legs) > 1:
                log.info("%s: one of several far ends cannot be understood: %s", self._call.call_id, error)
                self._give_up(self.legs[tag])
            else:
                self._call.refuse_description(error)
        else:
            self._call.feed(Input.DESCRIBED)

    def take_answer(self, tag: str, body: bytes) -> bool:
        """Agree on the peer's answer; False when it cannot be used, and the call is ending for it."""
        try:
            self._agree(tag, body)
        except DescriptionError as error:
            self._call.refuse_description(error)
            return False
        return True

    def _agree(self, tag: str, body: bytes) -> None:
        leg = self._leg_for(tag)
        try:
            agreement = self._call.negotiation.read_answer(body, leg)
            leg.agree(agreement)
            self._learn_rtcp(agreement)
        except (MediaError, IceError) as error:
            raise DescriptionError(str(error), 488) from error
        self.candidates.described(tag, leg)
        self._call.note_poorer(*agreement.poorer)

    def _learn_rtcp(self, agreement: Agreement) -> None:
        apart = any(not plan.rtcp_mux for plan in agreement.streams)
        self._call.services.peers.learn_rtcp(self._call.remote_uri, apart=apart)

    def _leg_for(self, tag: str) -> Leg:
        """The leg of this To-tag: the first far end takes the one that gathered, others fork from it."""
        known = self.legs.get(tag)
        if known is not None:
            return known
        first = self.legs.pop("", None)
        if first is not None:
            self.legs[tag] = first
            return first
        origin = self.leg or next(iter(self.legs.values()))
        return self._new_leg(tag, controlling=True, fork_of=origin)

    def _new_leg(self, tag: str, *, controlling: bool, fork_of: Leg | None = None) -> Leg:
        services = self._call.services
        leg = Leg(
            self._call.wishes.all,
            ice_config=services.ice_config,
            controlling=controlling,
            media_settings=services.settings.media,
            certificate=services.certificate,
            echo=services.echo,
            on_ice=self._on_ice,
            on_media=self._on_media,
            remote_picture=self._call.remote_picture,
            own_picture=self._call.own_picture,
            trickles=self.candidates.are_trickled,
            on_candidates=self.candidates.tell,
            rtcp_apart=self._streams_with_rtcp_apart(),
            fork_of=fork_of,
        )
        self.legs[tag] = leg
        return leg

    def _streams_with_rtcp_apart(self) -> tuple[str, ...]:
        """The streams for which the peer asks for a path of RTCP's own, or, as far as is known, will ask."""
        offer = self._call.negotiation.remote
        if offer is None or self._call.is_caller:
            services = self._call.services
            if services.ice_config.policy is IcePolicy.OFF or services.peers.multiplexes(self._call.remote_uri):
                return ()
            return tuple(wish.name for wish in self._call.wishes.all)
        lines = self._call.wishes.lines.items()
        return tuple(wish.name for index, wish in lines if wants_rtcp_apart(offer, offer.media[index]))

    def tag_of(self, leg: Leg) -> str:
        return next(tag for tag, known in self.legs.items() if known is leg)

    def choose(self, chosen: Leg) -> None:
        """Keep the leg that was answered and close the other forks."""
        self._carry_over(chosen)
        chosen.ice.expect_forks(False)
        for leg in tuple(self.legs.values()):
            if leg is not chosen:
                self._give_up(leg)

    def _carry_over(self, leg: Leg) -> None:
        """Let this leg carry the call from now on."""
        if leg is not self.leg:
            self.leg = leg
            self.recovery.begin_anew()

    def _give_up(self, leg: Leg) -> None:
        """One of several far ends is not needed any more: free what it holds."""
        del self.legs[self.tag_of(leg)]
        self._left.append(leg)
        if leg is self.leg:
            self._carry_over(next(iter(self.legs.values())))
        self._call.tasks.start(leg.close(), "close leg")

    async def close(self) -> None:
        """Free everything, also what a cancelled task was freeing."""
        self.recovery.close()
        for leg in (*self.legs.values(), *self._left):
            await leg.close()

    def watch_silence(self) -> None:
        """Called a few times a second: tells a dead plain path, which has no consent checks, from a quiet one."""
        leg = self.leg
        if leg is None or leg.agreement is None or leg.agreement.uses_ice:
            return
        silent = leg.silent_for()
        if silent is None or not any(plan.send and plan.receive for plan in leg.agreement.streams):
            self._watched_since = None  # paused by one side: many a phone sends nothing then
            if self._call.state is CallState.INTERRUPTED:
                self._call.feed(Input.PATH_RECOVERED)  # as far as can be known: the pause was agreed on
            return
        now = self._call.services.clock()
        if self._watched_since is None:
            self._watched_since = now
        silent = min(silent, now - self._watched_since)
        patience_s = self._call.services.settings.reconnect_for_s
        if self._call.state is CallState.CONNECTED and silent > PLAIN_SILENCE_S:
            self._call.feed(Input.PATH_INTERRUPTED)
        elif self._call.state is CallState.INTERRUPTED and silent < PLAIN_SILENCE_S:
            self._call.feed(Input.PATH_RECOVERED)
        elif self._call.state is CallState.INTERRUPTED and silent > PLAIN_SILENCE_S + patience_s:
            self._call.set_end(EndedBy.FAILURE, EndKind.NETWORK_LOST)
            self._call.feed(Input.PATH_LOST)
