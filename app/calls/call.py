"""One call, in either role: feeds the table in states.py with what happens and carries out what it says.

What the peer says comes in through `on_sip`, what the path does through the leg, what the person wants through the
commands; each becomes an input of the table. Everything runs on the engine's loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from app.calls.endings import NO_PATH_REASON, end_kind_of_refusal, refusal_of
from app.calls.errors import CallError, DescriptionError
from app.calls.legs import Leg, StreamWish
from app.calls.negotiation import Negotiation
from app.calls.offer_answer import Agreement, Terms
from app.calls.states import Action, Input, next_step
from app.events import (
    CallEnd,
    CallFigures,
    CallInfo,
    CallState,
    CallStep,
    Direction,
    EndedBy,
    EndKind,
    Milestones,
    SecurityInfo,
)
from app.frames import FrameMailbox
from app.ice import events as ice_events
from app.ice.candidates import IceError, IceFailed
from app.ice.config import IceConfig
from app.media.certificate import Certificate
from app.media.errors import MediaError, SecurityError
from app.media.events import DeviceTrouble, FirstMedia, MediaEvent
from app.media.plan import StreamPlan
from app.owned_tasks import OwnedTasks
from app.settings import Settings
from app.sip import events as sip_events
from app.sip.endpoint import SipEndpoint
from app.sip.errors import SipError
from app.sip.reasons import Reason
from app.sip.sessions import InviteSession

log = logging.getLogger(__name__)

ENDING_LIMIT_S = 3.0  # how long an ending call waits for the far end's last word before it is shown as ended
REFUSAL_GRACE_S = 2.0  # how long a caller whose checks failed waits for the callee to say why
PLAIN_SILENCE_S = 8.0  # without consent checks: silence that counts as an interruption
PLAIN_LOST_S = 40.0


class Explain(Protocol):
    """Puts the end of a call into one sentence for a person."""

    def __call__(
        self, kind: EndKind, status: int | None, detail: str | None, *, by: EndedBy | None, name: str
    ) -> str | None: ...


@dataclass(frozen=True, slots=True)
class CallServices:
    """What every call of an engine shares."""

    sip: SipEndpoint
    settings: Settings
    ice_config: IceConfig
    certificate: Certificate
    clock: Callable[[], float]  # seconds since the engine started
    explain: Explain
    on_change: Callable[[Call], None]
    on_problem: Callable[[Call, str], None]
    echo: bool = False


class Call:
    """See the module. Create with `outgoing` or `incoming`; `info` and `figures` tell everything about it."""

    def __init__(
        self, call_id: str, services: CallServices, *, is_caller: bool, remote_uri: str, remote_name: str, video: bool
    ) -> None:
        settings = services.settings
        self.services = services
        self.call_id = call_id
        self.is_caller = is_caller
        self.session: InviteSession | None = None
        self.legs: dict[str, Leg] = {}
        self.leg: Leg | None = None  # the one that carries, or will most likely carry, the call
        self.negotiation = Negotiation(
            Terms(
                settings.media.audio_codecs,
                settings.media.video_codecs,
                settings.media.encryption,
                " ".join(services.certificate.fingerprint),
            )
        )
        self.finished = asyncio.Event()
        self.remote_picture = FrameMailbox()
        self.own_picture = FrameMailbox()
        self._state = CallState.GATHERING if is_caller else CallState.PREPARING
        self._camera_on = video and settings.media.video_from != "none"
        self._muted = False
        self._volume = 1.0
        self._held_here = False
        self._offers_video = False
        self._late_offer = False
        self._acknowledged = False
        self._target = remote_uri
        self._remote_uri = remote_uri
        self._remote_name = remote_name
        self._started_wall = time.time()
        self._steps: list[CallStep] = [CallStep(self._state, services.clock())]
        self._milestones = Milestones()
        self._poorer: dict[str, None] = {}
        self._end: CallEnd | None = None
        self._wishes = self._first_wishes()
        self._lines: dict[int, StreamWish] = {}
        self._tasks = OwnedTasks(f"call {call_id}", self._task_failed)

    # What others see ------------------------------------------------------------------------------------------

    @property
    def state(self) -> CallState:
        return self._state

    @property
    def info(self) -> CallInfo:
        agreement = self.leg.agreement if self.leg else None
        audio = next((plan for plan in agreement.streams if plan.kind == "audio"), None) if agreement else None
        connected = next((step.at for step in self._steps if step.state is CallState.CONNECTED), None)
        return CallInfo(
            call_id=self.call_id,
            direction=Direction.OUTGOING if self.is_caller else Direction.INCOMING,
            remote_uri=self._remote_uri,
            remote_name=self._remote_name,
            state=self._state,
            steps=tuple(self._steps),
            started_wall=self._started_wall,
            connected_at=connected,
            has_video=bool(agreement and agreement.has_video),
            offers_video=self._offers_video,
            sending_video=self._sends_video(),
            muted=self._muted,
            held=self._held_here or bool(audio and not audio.send),
            poorer_steps=tuple(self._poorer),
            end=self._end,
        )

    def figures(self) -> CallFigures:
        """The figures of now. A plain path has no consent checks, so its silence is looked at here too."""
        leg = self.leg
        if leg is None:
            return CallFigures(self.call_id, None, SecurityInfo(), None, None, self._milestones)
        audio, video, security = leg.media.stats()
        if self.session is not None and self.session.transport == "tls":
            security = replace(security, signalling="tls")
        return CallFigures(self.call_id, leg.snapshot(), security, audio, video, self._milestones)

    def watch_silence(self) -> None:
        """Called a few times a second: tells a dead plain path, which has no consent checks, from a quiet one."""
        leg = self.leg
        if leg is None or leg.agreement is None or leg.agreement.uses_ice:
            return
        silent = leg.silent_for()
        if silent is None or not any(plan.receive for plan in leg.agreement.streams):
            return
        if self._state is CallState.CONNECTED and silent > PLAIN_SILENCE_S:
            self.feed(Input.PATH_INTERRUPTED)
        elif self._state is CallState.INTERRUPTED and silent < PLAIN_SILENCE_S:
            self.feed(Input.PATH_RECOVERED)
        elif self._state is CallState.INTERRUPTED and silent > PLAIN_LOST_S:
            self.set_end(EndedBy.FAILURE, EndKind.NETWORK_LOST)
            self.feed(Input.PATH_LOST)

    # Commands -------------------------------------------------------------------------------------------------

    def start_outgoing(self) -> None:
        self._lines = dict(enumerate(self._wishes))
        self.leg = self._new_leg("", controlling=True)
        self._tasks.start(self._gather(self.leg), "gather")

    def start_incoming(self, event: sip_events.IncomingInvite) -> None:
        """Read the offer and prepare the answer; nobody is alerted yet (R3)."""
        self.session = event.session
        self._late_offer = not event.body
        try:
            if not self._late_offer:
                offer = self.negotiation.read_offer(event.body)
                self._lines = self.negotiation.wishes_for(offer, self._wishes)
                if not self._lines:
                    raise DescriptionError("the offer has neither sound nor picture", 488)
                video = [media for media in offer.media if media.kind == "video" and media.port]
                self._offers_video = any(offer.direction_of(m) in ("sendrecv", "sendonly") for m in video)
                self._wishes = tuple(self._lines.values())
        except DescriptionError as error:
            self._refuse_description(error)
            return
        self.leg = self._new_leg(event.session.dialog_tag or "", controlling=self._late_offer)
        self._tasks.start(self._gather(self.leg), "gather")

    def pick_up(self, *, video: bool) -> None:
        if self._state is not CallState.RINGING or self.is_caller:
            raise CallError("This call is not ringing here any more.")
        self._camera_on = video and self.services.settings.media.video_from != "none"
        self.feed(Input.PICKED_UP)

    def decline(self, kind: EndKind = EndKind.DECLINED) -> None:
        by = EndedBy.LOCAL if kind is EndKind.DECLINED else EndedBy.FAILURE
        self.set_end(by, kind, refusal_of(kind)[0])
        self.feed(Input.DECLINED)

    def hang_up(self) -> None:
        if self._state in (CallState.CONNECTED, CallState.INTERRUPTED, CallState.ANSWERING):
            kind = EndKind.HUNG_UP
        else:
            kind = EndKind.CANCELLED if self.is_caller else EndKind.DECLINED
        self.set_end(EndedBy.LOCAL, kind)
        self.feed(Input.HUNG_UP)

    def set_muted(self, muted: bool) -> None:
        self._muted = muted
        for leg in self.legs.values():
            leg.media.set_muted(muted or self._held_here)
        self.services.on_change(self)

    def set_volume(self, volume: float) -> None:
        self._volume = volume
        for leg in self.legs.values():
            leg.media.set_volume(volume)

    def set_camera(self, on: bool) -> None:
        """Send the own picture or not; asks the far end where the agreement does not cover it yet."""
        self._camera_on = on
        for leg in self.legs.values():
            leg.media.set_camera(on and not self._held_here)
        plan = self._plan("video")
        if on and plan is not None and not plan.send and self._state is CallState.CONNECTED:
            self._set_wishes(video_send=True)
        self.services.on_change(self)

    def set_held(self, held: bool) -> None:
        """Pause the call for both sides, or go on; the far end is told by a re-INVITE (RFC 3264 section 8.4)."""
        if held == self._held_here or self._state is not CallState.CONNECTED or self.leg is None:
            return
        self._held_here = held
        self.leg.media.set_muted(held or self._muted)
        self.leg.media.set_camera(self._camera_on and not held)
        self.leg.media.set_volume(0.0 if held else self._volume)
        self._set_wishes()
        self.services.on_change(self)

    # What SIP says --------------------------------------------------------------------------------------------

    def on_sip(self, event: sip_events.SessionEvent) -> None:
        """Take one event of this call's session."""
        handler = _SIP_HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def _on_provisional(self, event: sip_events.Provisional) -> None:
        if event.body:
            self._describe(event.dialog_tag, event.body)
        if event.status == 180 and self._state is not CallState.ENDED:
            self._mark("ringing")
            self.feed(Input.ALERTED)

    def _on_answered(self, event: sip_events.Answered) -> None:
        self._mark("answered")
        leg = self.legs.get(event.dialog_tag)
        if self._state is not CallState.ENDING:
            if leg is None or leg.agreement is None:
                if not event.body:
                    self._refuse_description(DescriptionError("the answer has no session description"))
                    return
                if not self._take_answer(event.dialog_tag, event.body):
                    return
                leg = self.legs[event.dialog_tag]
            self.leg = leg
            self._close_other_legs(leg)
        self.feed(Input.ANSWERED_READY if leg is not None and leg.ready else Input.ANSWERED)

    def _on_refused(self, event: sip_events.Refused) -> None:
        if self._state is CallState.INVITING and event.status in (415, 488, 606) and self.negotiation.step_down():
            log.info("%s refuses %s; asking again with less", self._remote_uri, event.status)
            self._carry_out(Action.SEND_INVITE)
            return
        kind = end_kind_of_refusal(event.status, event.reasons, rang=self._has_been(CallState.RINGING))
        text = next((reason.text for reason in event.reasons if reason.text), None) or event.reason
        by = EndedBy.LOCAL if kind is EndKind.CANCELLED else EndedBy.REMOTE
        if kind in (EndKind.CHECKS_FAILED, EndKind.WRONG_PASSWORD):
            by = EndedBy.FAILURE
        self.set_end(by, kind, event.status, text)
        self.feed(Input.REFUSED)

    def _on_confirmed(self, event: sip_events.ProvisionalConfirmed) -> None:
        log.debug("%s: the 183 arrived (%s)", self.call_id, event.by)

    def _on_expired(self, event: sip_events.ProvisionalExpired) -> None:
        if event.ended:
            self.set_end(EndedBy.FAILURE, EndKind.SERVER_UNREACHABLE, 504, "The caller never confirmed the answer.")
            self.feed(Input.SIGNALLING_FAILED)

    def _on_ack(self, event: sip_events.AckReceived) -> None:
        self._acknowledged = True
        if event.body and self._late_offer and self.leg is not None and self.leg.agreement is None:
            if not self._take_answer(self.leg_tag(self.leg), event.body):
                return
            self._carry_out(Action.CONNECT)
        ready = self.leg is not None and self.leg.ready
        self.feed(Input.ACKNOWLEDGED if ready else Input.ACKNOWLEDGED_EARLY)

    def _on_cancelled(self, event: sip_events.Cancelled) -> None:
        elsewhere = any(reason.cause == 200 for reason in event.reasons)
        self.set_end(EndedBy.REMOTE, EndKind.ANSWERED_ELSEWHERE if elsewhere else EndKind.CANCELLED, 487)
        self.feed(Input.CANCELLED)

    def _on_bye(self, event: sip_events.Bye) -> None:
        self.set_end(EndedBy.REMOTE, EndKind.HUNG_UP, 200, next((r.text for r in event.reasons if r.text), None))
        self.feed(Input.BYE)

    def _on_offer(self, event: sip_events.OfferReceived) -> None:
        """A re-INVITE or UPDATE: directions may change, the path stays (B8)."""
        session, leg = event.session, self.leg
        if leg is None or leg.agreement is None:
            session.refuse_offer(491)
            return
        try:
            if not event.body:
                session.answer_offer(self.negotiation.reoffer(leg, self._current_wishes()))
                return
            agreement = self.negotiation.answer_again(event.body, leg, self._current_wishes())
            leg.agree(self._with_old_transports(leg, agreement))
        except (DescriptionError, MediaError) as error:
            log.info("%s: an offer inside the call is refused: %s", self.call_id, error)
            session.refuse_offer(error.status if isinstance(error, DescriptionError) else 488)
            return
        session.answer_offer(self.negotiation.answer)
        self.services.on_change(self)

    def _on_offer_answered(self, event: sip_events.OfferAnswered) -> None:
        leg = self.leg
        if leg is None:
            return
        if not 200 <= event.status < 300:
            log.info("%s: the far end refuses a change: %d", self.call_id, event.status)
            return
        if not event.body:
            return
        if leg.agreement is None:  # our offer went out in a reliable 183, this is the PRACK (B11)
            if self._take_answer(self.leg_tag(leg), event.body):
                self._carry_out(Action.CONNECT)
            return
        try:
            agreement = self.negotiation.read_answer(event.body, leg)
            leg.agree(self._with_old_transports(leg, agreement))
        except (DescriptionError, MediaError) as error:
            log.info("%s: the answer to a change cannot be used: %s", self.call_id, error)
            return
        self.services.on_change(self)

    def _on_timed_out(self, event: sip_events.SessionTimedOut) -> None:
        self.set_end(EndedBy.FAILURE, EndKind.SERVER_UNREACHABLE, 408, event.sentence)
        self.feed(Input.SIGNALLING_FAILED)

    def _on_transport_failed(self, event: sip_events.TransportFailed) -> None:
        self.set_end(EndedBy.FAILURE, EndKind.SERVER_UNREACHABLE, None, event.sentence)
        self.feed(Input.SIGNALLING_FAILED)

    def _on_closed(self, event: sip_events.SessionClosed) -> None:
        if event.session is self.session:
            self.feed(Input.FINISHED)

    # The table at work ----------------------------------------------------------------------------------------

    def feed(self, given: Input) -> None:
        """Give the table one input and do what it says."""
        row = next_step(self.is_caller, self._state, given)
        if row is None:
            return
        state, actions = row
        if state is not self._state:
            log.info("call %s: %s, %s -> %s", self.call_id, given, self._state, state)
            self._state = state
            self._steps.append(CallStep(state, self.services.clock()))
            if state is CallState.ENDING:
                asyncio.get_running_loop().call_later(ENDING_LIMIT_S, self.feed, Input.FINISHED)
            if state is CallState.ENDED and self._end is None:
                self.set_end(EndedBy.REMOTE, EndKind.HUNG_UP)
        for action in actions:
            self._carry_out(action)
        self.services.on_change(self)

    def _carry_out(self, action: Action) -> None:
        _ACTIONS[action](self)

    def _send_invite(self) -> None:
        assert self.leg is not None
        try:
            body = self.negotiation.offer(self.leg)
            self.session = self.services.sip.invite(self._target, body=body)
        except DescriptionError as error:
            self.set_end(EndedBy.FAILURE, EndKind.NOTHING_IN_COMMON, None, error.reason)
            self.feed(Input.SIGNALLING_FAILED)
            return
        except SipError as error:
            self.set_end(EndedBy.FAILURE, EndKind.NOT_FOUND, None, str(error))
            self.feed(Input.SIGNALLING_FAILED)
            return
        self._mark("invite_sent")

    def _send_progress(self) -> None:
        assert self.session is not None
        assert self.leg is not None
        body = self.negotiation.offer(self.leg) if self._late_offer else self.negotiation.answer
        self.session.provisional(183, body=body)
        if not self.session.peer_supports("100rel"):
            self._poorer["The other side cannot confirm the early answer, so it is repeated until the path works."] = (
                None
            )

    def _connect(self) -> None:
        leg = self.leg
        for other in self.legs.values():
            if not other.begun and other.agreement is not None:
                other.begun = True
                self._tasks.start(self._find_path(other), "connect")
        if leg is not None and leg.ready:
            self.feed(Input.PATH_READY)

    def _alert(self) -> None:
        assert self.session is not None
        self.session.provisional(180)
        self._mark("ringing")

    def _send_accept(self) -> None:
        assert self.session is not None
        assert self.leg is not None
        self._mark("answered")
        if self._late_offer and self.leg.agreement is not None:
            self.session.accept()
        elif self._late_offer:
            self.session.accept(self.negotiation.offer(self.leg))
        else:
            self.session.accept(self.negotiation.answer)

    def _open_gate(self) -> None:
        assert self.leg is not None
        media = self.leg.media
        media.set_muted(self._muted)
        media.set_camera(self._camera_on)
        media.set_volume(self._volume)
        media.start_sending()

    def _align(self) -> None:
        """R9: say the nominated addresses in m/c where they differ from what was said there."""
        leg, session = self.leg, self.session
        if leg is None or session is None or leg.agreement is None:
            return
        said = self.negotiation.m_and_c
        for name, (local, remote) in leg.selected_pairs().items():
            theirs = leg.agreement.remote_default.get(name)
            here = said.get(name)
            ours_differs = here is not None and (local.address, local.port) != (here.host, here.port)
            if ours_differs or (theirs is not None and (remote.address, remote.port) != (theirs.host, theirs.port)):
                session.reinvite(self.negotiation.reoffer(leg, self._current_wishes()))
                return

    def _send_cancel(self) -> None:
        if self.session is not None:
            reason = self._end_reason()
            self.session.cancel([reason] if reason else [])
        self._silence()

    def _send_bye(self) -> None:
        if self.session is not None:
            reason = self._end_reason()
            self.session.bye([reason] if reason else [])
        self._silence()

    def _send_refusal(self) -> None:
        if self.session is None:
            return
        end = self._end
        status, phrase = refusal_of(end.kind if end else EndKind.DECLINED, end.status if end else None)
        reason = self._end_reason()
        self.session.reject(status, phrase, reasons=[reason] if reason else [])

    def _finish(self) -> None:
        self._silence()
        self._tasks.cancel()
        self._tasks.start(self._free(), "free")

    def _silence(self) -> None:
        for leg in self.legs.values():
            leg.media.stop_sending()

    async def _free(self) -> None:
        for leg in tuple(self.legs.values()):
            await leg.close()
        self.finished.set()
        self.services.on_change(self)

    # Paths ----------------------------------------------------------------------------------------------------

    async def _gather(self, leg: Leg) -> None:
        """R1 for the caller, R3 for the callee."""
        await leg.ice.gather()
        if any(leg.ice.default_candidate(wish.name) is None for wish in self._wishes):
            self._fail_path(EndKind.CHECKS_FAILED, " ".join(leg.ice.snapshot().problems) or "No network is up.")
            return
        if self.is_caller:
            self.feed(Input.GATHERED)
            return
        if self._late_offer:
            assert self.session is not None
            by_prack = self.session.peer_supports("100rel")
            self._lines = dict(enumerate(self._wishes))
            self.feed(Input.GATHERED if by_prack else Input.GATHERED_PLAIN)
            return
        try:
            agreement = self.negotiation.answer_first(leg, self._lines)
            leg.agree(agreement)
        except (DescriptionError, MediaError, IceError) as error:
            self._refuse_description(
                error if isinstance(error, DescriptionError) else DescriptionError(str(error), 488)
            )
            return
        self._note_poorer(agreement)
        self.feed(Input.GATHERED if agreement.uses_ice else Input.GATHERED_PLAIN)

    async def _find_path(self, leg: Leg) -> None:
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
            if leg is self.leg or (self.is_caller and self.leg is not None and not self.leg.ready):
                self.leg = leg
                self.feed(Input.PATH_READY)
                if self._acknowledged and self._state is CallState.ANSWERING and not self.is_caller:
                    self.feed(Input.ACKNOWLEDGED)

    async def _leg_failed(self, leg: Leg, kind: EndKind, detail: str) -> None:
        if len(self.legs) > 1 and self._state is not CallState.ANSWERING:
            log.info("%s: one of several far ends cannot be reached: %s", self.call_id, detail)
            self.legs.pop(self.leg_tag(leg), None)
            if leg is self.leg:
                self.leg = next(iter(self.legs.values()))
            await leg.close()
            return
        if self.is_caller and self._state in (CallState.CONNECTING, CallState.RINGING):
            # The callee finds out at the same moment and its refusal says more; only silence is answered here.
            await asyncio.sleep(REFUSAL_GRACE_S)
        self._fail_path(kind, detail)

    def _fail_path(self, kind: EndKind, detail: str) -> None:
        self.set_end(EndedBy.FAILURE, kind, 480 if kind is EndKind.CHECKS_FAILED else 488, detail)
        self.feed(Input.PATH_FAILED)

    def _on_ice(self, leg: Leg, event: ice_events.IceEvent) -> None:
        if isinstance(event, ice_events.BindingRequestSeen) and self.session is not None and not self.is_caller:
            self.session.stop_retransmitting()
        if leg is not self.leg:
            return
        if isinstance(event, ice_events.Interrupted):
            self.feed(Input.PATH_INTERRUPTED)
        elif isinstance(event, ice_events.Recovered):
            self.feed(Input.PATH_RECOVERED)
        elif isinstance(event, ice_events.Failed) and leg.ready:
            self.set_end(EndedBy.FAILURE, EndKind.NETWORK_LOST, None, event.reason)
            self.feed(Input.PATH_LOST)

    def _on_media(self, leg: Leg, event: MediaEvent) -> None:
        if isinstance(event, FirstMedia):
            self._mark("first_audio" if event.kind == "audio" else "first_video")
        elif isinstance(event, DeviceTrouble):
            self.services.on_problem(self, event.sentence)

    def _describe(self, tag: str, body: bytes) -> None:
        """R4 at the caller: an answer in a provisional response, maybe of a further fork leg."""
        leg = self.legs.get(tag)
        if leg is not None and leg.agreement is not None:
            return  # the same answer again, in a later response
        if self._take_answer(tag, body):
            self.feed(Input.DESCRIBED)

    def _take_answer(self, tag: str, body: bytes) -> bool:
        leg = self._leg_for(tag)
        try:
            agreement = self.negotiation.read_answer(body, leg)
            leg.agree(agreement)
        except (DescriptionError, MediaError, IceError) as error:
            wrapped = error if isinstance(error, DescriptionError) else DescriptionError(str(error), 488)
            self._refuse_description(wrapped)
            return False
        self._note_poorer(agreement)
        return True

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
        services = self.services
        leg = Leg(
            self._wishes,
            ice_config=services.ice_config,
            controlling=controlling,
            media_settings=services.settings.media,
            certificate=services.certificate,
            echo=services.echo,
            on_ice=self._on_ice,
            on_media=self._on_media,
            remote_picture=self.remote_picture,
            own_picture=self.own_picture,
            fork_of=fork_of,
        )
        self.legs[tag] = leg
        return leg

    def leg_tag(self, leg: Leg) -> str:
        return next(tag for tag, known in self.legs.items() if known is leg)

    def _close_other_legs(self, chosen: Leg) -> None:
        for tag, leg in tuple(self.legs.items()):
            if leg is not chosen:
                del self.legs[tag]
                self._tasks.start(leg.close(), "close leg")

    def _with_old_transports(self, leg: Leg, agreement: Agreement) -> Agreement:
        """A later agreement changes streams only: paths and keys are those of the first one."""
        assert leg.agreement is not None
        return replace(agreement, transports=leg.agreement.transports)

    # Wishes ---------------------------------------------------------------------------------------------------

    def _first_wishes(self) -> tuple[StreamWish, ...]:
        wishes = [StreamWish("0", "audio")]
        if self.services.settings.media.video_codecs:
            # A callee's picture is agreed on although the camera may stay off: the answer must not change at pick-up.
            send = self._camera_on if self.is_caller else self.services.settings.media.video_from != "none"
            wishes.append(StreamWish("1", "video", send=send))
        return tuple(wishes)

    def _current_wishes(self) -> dict[int, StreamWish]:
        if not self._held_here:
            return self._lines
        return {index: replace(wish, receive=False) for index, wish in self._lines.items()}

    def _set_wishes(self, *, video_send: bool | None = None) -> None:
        if video_send is not None:
            self._wishes = tuple(
                replace(wish, send=video_send) if wish.kind == "video" else wish for wish in self._wishes
            )
            by_name = {wish.name: wish for wish in self._wishes}
            self._lines = {index: by_name[wish.name] for index, wish in self._lines.items()}
        if self.session is not None and self.leg is not None and self.leg.agreement is not None:
            self.session.reinvite(self.negotiation.reoffer(self.leg, self._current_wishes()))

    def _plan(self, kind: str) -> StreamPlan | None:
        agreement = self.leg.agreement if self.leg else None
        return next((plan for plan in agreement.streams if plan.kind == kind), None) if agreement else None

    def _sends_video(self) -> bool:
        plan = self._plan("video")
        return bool(plan and plan.send and self._camera_on and not self._held_here)

    # Notes ----------------------------------------------------------------------------------------------------

    def set_end(self, by: EndedBy, kind: EndKind, status: int | None = None, detail: str | None = None) -> None:
        """Remember why the call ends; the first cause counts."""
        if self._end is None:
            sentence = self.services.explain(kind, status, detail, by=by, name=self._remote_name)
            self._end = CallEnd(by, kind, status, sentence)

    def _end_reason(self) -> Reason | None:
        end = self._end
        if end is None or end.kind in (EndKind.HUNG_UP, EndKind.CANCELLED, EndKind.DECLINED, EndKind.BUSY):
            return None
        if end.kind is EndKind.CHECKS_FAILED:
            return Reason("SIP", 480, NO_PATH_REASON)
        return Reason("SIP", end.status or 500, end.sentence)

    def _refuse_description(self, error: DescriptionError) -> None:
        kind = EndKind.NOTHING_IN_COMMON if error.status == 488 else EndKind.BAD_DESCRIPTION
        log.info("%s: %s", self.call_id, error)
        self.set_end(EndedBy.FAILURE, kind, error.status, error.reason)
        if self.is_caller:
            self.feed(Input.PATH_FAILED)
        else:
            self.feed(Input.DECLINED)

    def _note_poorer(self, agreement: Agreement) -> None:
        self._poorer.update(dict.fromkeys(agreement.poorer))

    def _has_been(self, state: CallState) -> bool:
        return any(step.state is state for step in self._steps)

    def _mark(self, name: str) -> None:
        if getattr(self._milestones, name) is None:
            self._milestones = replace(self._milestones, **{name: self.services.clock()})

    def _task_failed(self, failure: BaseException) -> None:
        self.set_end(EndedBy.FAILURE, EndKind.INTERNAL, None, str(failure))
        self.hang_up()


_ACTIONS: dict[Action, Callable[[Call], None]] = {
    Action.SEND_INVITE: Call._send_invite,
    Action.SEND_PROGRESS: Call._send_progress,
    Action.CONNECT: Call._connect,
    Action.ALERT: Call._alert,
    Action.SEND_ACCEPT: Call._send_accept,
    Action.OPEN_GATE: Call._open_gate,
    Action.ALIGN: Call._align,
    Action.SEND_CANCEL: Call._send_cancel,
    Action.SEND_BYE: Call._send_bye,
    Action.SEND_REFUSAL: Call._send_refusal,
    Action.FINISH: Call._finish,
}

_SIP_HANDLERS: dict[type, Callable[..., None]] = {
    sip_events.Provisional: Call._on_provisional,
    sip_events.Answered: Call._on_answered,
    sip_events.Refused: Call._on_refused,
    sip_events.ProvisionalConfirmed: Call._on_confirmed,
    sip_events.ProvisionalExpired: Call._on_expired,
    sip_events.AckReceived: Call._on_ack,
    sip_events.Cancelled: Call._on_cancelled,
    sip_events.Bye: Call._on_bye,
    sip_events.OfferReceived: Call._on_offer,
    sip_events.OfferAnswered: Call._on_offer_answered,
    sip_events.SessionTimedOut: Call._on_timed_out,
    sip_events.TransportFailed: Call._on_transport_failed,
    sip_events.SessionClosed: Call._on_closed,
}
