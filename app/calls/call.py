"""One call, in either role: feeds the table in states.py with what happens and carries out what it says.

What the peer says comes in through sip_side.py, what the path does through path_side.py, what the person wants through
the commands here; each becomes an input of the table. Everything runs on the engine's loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from app.calls.changes import Changes
from app.calls.endings import NO_PATH_REASON, refusal_of
from app.calls.errors import CallError, DescriptionError
from app.calls.keys import CallKeys
from app.calls.legs import Leg
from app.calls.negotiation import Negotiation
from app.calls.offer_answer import Terms
from app.calls.path_side import PathSide
from app.calls.recording import CallRecording
from app.calls.services import CallServices
from app.calls.sip_side import SipSide
from app.calls.states import Action, Input, next_step
from app.calls.wishes import Wishes
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
from app.ice.hiding import as_default
from app.media.plan import StreamPlan
from app.owned_tasks import OwnedTasks
from app.settings import MediaSettings, is_shared
from app.sip import events as sip_events
from app.sip.errors import SipError
from app.sip.reasons import Reason
from app.sip.sessions import InviteSession, SessionError

log = logging.getLogger(__name__)

ENDING_LIMIT_S = 3.0  # how long an ending call waits for the far end's last word before it is shown as ended
LITE_TRANSMISSIONS = 4  # of an unreliable 183 to an ICE-lite peer
PREPARE_AFTER_S = 0.03  # codecs are loaded in a thread, but not against the INVITE that is on its way out

_TALKING = (CallState.CONNECTED, CallState.INTERRUPTED, CallState.ANSWERING)


class Call:
    """See the module. Begin it with `start_outgoing` or `start_incoming`; `info` and `figures` tell all about it."""

    def __init__(
        self, call_id: str, services: CallServices, *, is_caller: bool, remote_uri: str, remote_name: str, video: bool
    ) -> None:
        media = services.settings.media
        fingerprint = " ".join(services.certificate.fingerprint)
        self.services = services
        self.call_id = call_id
        self.is_caller = is_caller
        self.remote_uri = remote_uri
        self.session: InviteSession | None = None
        self.late_offer = False  # the INVITE had none: ours goes out in the 183 or the 200 (B11)
        self.acknowledged = False
        self.finished = asyncio.Event()
        self.remote_picture = FrameMailbox()
        self.own_picture = FrameMailbox()
        self.tasks = OwnedTasks(f"call {call_id}", self._task_failed)
        self.negotiation = Negotiation(
            Terms(media.audio_codecs, media.video_codecs, media.encryption, fingerprint, media.dtx)
        )
        self.path = PathSide(self)
        self.changes = Changes(self)
        self.keys = CallKeys(self)
        self.recording = CallRecording(self)
        self._sip_side = SipSide(self)
        self._state = CallState.GATHERING if is_caller else CallState.PREPARING
        shared = is_shared(media.video_from)
        self._sharing = media.video_from if shared and video else ""
        self._picture_from = "camera" if shared else media.video_from
        self._camera_on = video and media.video_from != "none" and not shared
        # A callee's picture is agreed on although the camera may stay off: the answer must not change at pick-up.
        send_video = self._sends_picture if is_caller else media.video_from != "none"
        self.wishes = Wishes(video=bool(media.video_codecs), send_video=send_video)
        self._muted = False
        self._volume = 1.0
        self._view_size: tuple[int, int] | None = None
        self._offers_video = False
        self._remote_name = remote_name
        self._started_wall = time.time()
        self._steps: list[CallStep] = [CallStep(self._state, services.clock())]
        self._milestones = Milestones()
        self._poorer: dict[str, None] = {}
        self._end: CallEnd | None = None
        self._notice: str | None = None

    # What others see ------------------------------------------------------------------------------------------

    @property
    def state(self) -> CallState:
        return self._state

    @property
    def leg(self) -> Leg | None:
        """The far end that carries the call, or will most likely carry it."""
        return self.path.leg

    @property
    def info(self) -> CallInfo:
        audio, video = self._plan("audio"), self._plan("video")
        connected = next((step.at for step in self._steps if step.state is CallState.CONNECTED), None)
        return CallInfo(
            call_id=self.call_id,
            direction=Direction.OUTGOING if self.is_caller else Direction.INCOMING,
            remote_uri=self.remote_uri,
            remote_name=self._remote_name,
            state=self._state,
            steps=tuple(self._steps),
            started_wall=self._started_wall,
            connected_at=connected,
            has_video=video is not None,
            offers_video=self._offers_video,
            sending_video=bool(video and video.send and self._sends_picture and not self.wishes.held),
            mirrors_own=self.services.settings.media.mirror_own and not self._sharing,
            sharing=self._sharing,
            recording=self.recording.info,
            muted=self._muted,
            held=self.wishes.held or bool(audio and not audio.send),
            poorer_steps=tuple(self._poorer),
            end=self._end,
            notice=self._notice,
        )

    def figures(self) -> CallFigures:
        """The figures of now."""
        leg = self.leg
        if leg is None:
            return CallFigures(self.call_id, None, SecurityInfo(), None, None, self._milestones)
        digits = self.keys.received
        audio, video, security = leg.media.stats()
        if self.session is not None and self.session.transport == "tls":
            security = replace(security, signalling="tls")
        transport = leg.media.transport_figures()
        return CallFigures(self.call_id, leg.snapshot(), security, audio, video, self._milestones, transport, digits)

    def has_been(self, state: CallState) -> bool:
        return any(step.state is state for step in self._steps)

    # Commands -------------------------------------------------------------------------------------------------

    def start_outgoing(self) -> None:
        """Gather, then invite (R1, R2)."""
        self.wishes.offer_all()
        self.path.begin("", controlling=True)

    def start_incoming(self, event: sip_events.IncomingInvite) -> None:
        """Read the offer and prepare the answer; nobody is alerted yet (R3)."""
        self.session = event.session
        self.late_offer = not event.body
        try:
            if not self.late_offer:
                self._read_first_offer(event.body)
        except DescriptionError as error:
            self.refuse_description(error)
            return
        self.path.begin(event.session.dialog_tag or "", controlling=self.late_offer)

    def _read_first_offer(self, body: bytes) -> None:
        offer = self.negotiation.read_offer(body)
        lines = self.negotiation.wishes_for(offer, self.wishes.all)
        if not lines:
            raise DescriptionError("the offer has neither sound nor picture", 488)
        video = [media for media in offer.media if media.kind == "video" and media.port]
        self._offers_video = any(offer.direction_of(media) in ("sendrecv", "sendonly") for media in video)
        self.wishes.take(lines)

    def pick_up(self, *, video: bool) -> None:
        if self._state is not CallState.RINGING or self.is_caller:
            raise CallError("This call is not ringing here any more.")
        self._camera_on = video and self._picture_from != "none" and not self._sharing
        self._sharing = self._sharing if video else ""
        self.feed(Input.PICKED_UP)

    def decline(self, kind: EndKind = EndKind.DECLINED) -> None:
        if self.is_caller or self._state in _TALKING:
            raise CallError("This call is not ringing here any more.")
        by = EndedBy.LOCAL if kind is EndKind.DECLINED else EndedBy.FAILURE
        self.set_end(by, kind, refusal_of(kind)[0])
        self.feed(Input.DECLINED)

    def hang_up(self) -> None:
        kind = EndKind.HUNG_UP
        if self._state not in _TALKING:
            kind = EndKind.CANCELLED if self.is_caller else EndKind.DECLINED
        self.set_end(EndedBy.LOCAL, kind)
        self.feed(Input.HUNG_UP)

    def set_muted(self, muted: bool) -> None:
        self._muted = muted
        self._tell_media()
        self.services.on_change(self)

    def set_volume(self, volume: float) -> None:
        self._volume = volume
        self._tell_media()

    def set_camera(self, on: bool) -> None:
        """Send the own picture or not; asks the far end where the agreement does not cover it yet."""
        self._camera_on = on
        self._picture_changed()

    def share(self, video_from: str) -> None:
        """Send a screen or a window ("screen:NAME", "window:ID") instead of the camera.

        CallError when it cannot be sent in this call.
        """
        if self._state is not CallState.CONNECTED:
            raise CallError("A screen can be shared while the call is going on: try again then.")
        if self._plan("video") is None:
            raise CallError("The other side takes no picture in this call, so nothing can be shared.")
        self._sharing = video_from
        self._picture_changed()

    def stop_sharing(self) -> None:
        """Send the camera's picture again, if it was on, instead of a screen or a window."""
        if self._sharing:
            self._sharing = ""
            self._picture_changed()

    @property
    def _sends_picture(self) -> bool:
        return self._camera_on or bool(self._sharing)

    def _picture_changed(self) -> None:
        self._tell_media()
        plan = self._plan("video")
        if self._sends_picture and plan is not None and not plan.send and self._state is CallState.CONNECTED:
            self.wishes.send_video()
            self.changes.wish()
        self.services.on_change(self)

    def use_devices(self, settings: MediaSettings) -> None:
        """Go on with the devices and the processing that other settings name."""
        for leg in self.path.legs.values():
            leg.media.use_devices(settings)

    def set_held(self, held: bool) -> None:
        """Pause the call for both sides, or go on; the far end is told by a re-INVITE (RFC 3264 section 8.4)."""
        if held == self.wishes.held or self._state not in (CallState.CONNECTED, CallState.INTERRUPTED):
            return
        self.wishes.held = held
        self._tell_media()
        self.changes.wish()
        self.services.on_change(self)

    def on_sip(self, event: sip_events.SessionEvent) -> None:
        """Take one event of this call's session."""
        self._sip_side.take(event)

    def set_view_size(self, width: int, height: int) -> None:
        """The far picture is shown at this size: a small one need not be sent large."""
        self._view_size = width, height
        self._tell_media()

    def media_changed(self) -> None:
        """Another listens to the sound and picture of the call, or no more."""
        self._tell_media()
        self.services.on_change(self)

    def _tell_media(self) -> None:
        held, taps = self.wishes.held, self.recording.taps
        for leg in self.path.legs.values():
            leg.media.set_muted(self._muted or held)
            leg.media.set_picture_source(self._sharing or self._picture_from)
            leg.media.set_camera(self._sends_picture and not held)
            if self._view_size is not None:
                leg.media.set_view_size(*self._view_size)
            leg.media.set_volume(0.0 if held else self._volume)
            leg.media.set_taps(taps)

    # The table at work ----------------------------------------------------------------------------------------

    def feed(self, given: Input) -> None:
        """Give the table one input and do what it says."""
        row = next_step(self.is_caller, self._state, given)
        if row is None:
            return
        state, actions = row
        if state is not self._state:
            self._notice = None
            log.info("call %s: %s, %s -> %s", self.call_id, given, self._state, state)
            self._state = state
            self._steps.append(CallStep(state, self.services.clock()))
            if state is CallState.ENDING:
                asyncio.get_running_loop().call_later(ENDING_LIMIT_S, self.feed, Input.FINISHED)
            if state is CallState.ENDED and self._end is None:
                self.set_end(EndedBy.REMOTE, EndKind.HUNG_UP)
        for action in actions:
            self.carry_out(action)
        self.services.on_change(self)

    def carry_out(self, action: Action) -> None:
        try:
            _ACTIONS[action](self)
        except SessionError as error:  # the far end has gone this moment; its last word is on the way to us
            log.debug("call %s: too late to %s: %s", self.call_id, action, error)

    def _send_invite(self) -> None:
        assert self.leg is not None
        try:
            body = self.negotiation.offer(self.leg)
            self.session = self.services.sip.invite(self.remote_uri, body=body)
        except DescriptionError as error:
            self.set_end(EndedBy.FAILURE, EndKind.NOTHING_IN_COMMON, None, error.reason)
            self.feed(Input.SIGNALLING_FAILED)
            return
        except SipError as error:
            self.set_end(EndedBy.FAILURE, EndKind.NOT_FOUND, None, str(error))
            self.feed(Input.SIGNALLING_FAILED)
            return
        self.mark("invite_sent")
        asyncio.get_running_loop().call_later(PREPARE_AFTER_S, self.leg.media.prepare)

    def _send_progress(self) -> None:
        assert self.session is not None
        assert self.leg is not None
        body = self.negotiation.offer(self.leg) if self.late_offer else self.negotiation.answer
        remote = self.negotiation.remote
        # No check of a lite peer's can stop the repetition, so it is short (RFC 8839 section 7.1.1).
        limit = LITE_TRANSMISSIONS if remote is not None and remote.has("ice-lite") else None
        self.session.provisional(183, body=body, transmissions=limit)
        if not self.session.peer_supports("100rel"):
            self.note_poorer("The other side cannot confirm the early answer, so it is repeated until the path works.")

    def _connect(self) -> None:
        self.path.connect()

    def _alert(self) -> None:
        assert self.session is not None
        self.session.provisional(180)
        self.mark("ringing")

    def _send_accept(self) -> None:
        assert self.session is not None
        assert self.leg is not None
        self.mark("answered")
        if self.late_offer and self.leg.agreement is not None:
            self.session.accept()
        elif self.late_offer:
            self.session.accept(self.negotiation.offer(self.leg))
        else:
            self.session.accept(self.negotiation.answer)

    def _open_gate(self) -> None:
        assert self.leg is not None
        self._tell_media()
        self.leg.media.start_sending()

    def align(self) -> None:
        """R9: say the nominated addresses in m/c where they differ from what was said there."""
        leg = self.leg
        if leg is None or leg.agreement is None:
            return
        said = self.negotiation.m_and_c
        for name, (local, remote) in leg.selected_pairs().items():
            here, there = said.get(name), leg.agreement.remote_default.get(name)
            ours_differs = here is not None and as_default(local).transport_address != (here.host, here.port)
            theirs_differs = there is not None and (remote.address, remote.port) != (there.host, there.port)
            if ours_differs or theirs_differs:
                self.changes.wish()
                return

    def _send_cancel(self) -> None:
        if self.session is not None:
            self.session.bye(self._end_reasons())  # CANCEL, or BYE where the 200 is there but cannot be used
        self._silence()

    def _send_bye(self) -> None:
        if self.session is not None:
            self.session.bye(self._end_reasons())
        self._silence()

    def _send_refusal(self) -> None:
        if self.session is not None:
            end = self._end
            status, phrase = refusal_of(end.kind if end else EndKind.DECLINED, end.status if end else None)
            self.session.reject(status, phrase, reasons=self._end_reasons())

    def _finish(self) -> None:
        self._silence()
        self.tasks.cancel()
        self.tasks.start(self._free(), "free")

    def _silence(self) -> None:
        self.recording.end()
        for leg in self.path.legs.values():
            leg.media.stop_sending()

    async def _free(self) -> None:
        try:
            await self.path.close()
            await self.recording.finished()
        finally:
            self.finished.set()
            self.services.on_change(self)

    # Notes ----------------------------------------------------------------------------------------------------

    def set_end(self, by: EndedBy, kind: EndKind, status: int | None = None, detail: str | None = None) -> None:
        """Remember why the call ends; the first cause counts."""
        if self._end is None:
            sentence = self.services.explain(kind, status, detail, by=by, name=self._remote_name)
            self._end = CallEnd(by, kind, status, sentence)

    def refuse_description(self, error: DescriptionError) -> None:
        """End the call over a description that cannot be used; the peer is told with the error's status."""
        kind = EndKind.NOTHING_IN_COMMON if error.status == 488 else EndKind.BAD_DESCRIPTION
        log.info("%s: %s", self.call_id, error)
        self.set_end(EndedBy.FAILURE, kind, error.status, error.reason)
        self.feed(Input.PATH_FAILED)

    def say(self, sentence: str) -> None:
        """Tell what keeps the call from going on; it is true until the state changes."""
        self._notice = sentence
        self.services.on_change(self)

    def note_poorer(self, *sentences: str) -> None:
        """Remember what this peer lacks, each sentence once."""
        self._poorer.update(dict.fromkeys(sentences))

    def mark(self, name: str) -> None:
        """Note the moment of a milestone, once."""
        if getattr(self._milestones, name) is None:
            self._milestones = replace(self._milestones, **{name: self.services.clock()})

    def _end_reasons(self) -> tuple[Reason, ...]:
        end = self._end
        if end is None or end.kind in (EndKind.HUNG_UP, EndKind.CANCELLED, EndKind.DECLINED, EndKind.BUSY):
            return ()
        if end.kind is EndKind.CHECKS_FAILED:
            return (Reason("SIP", 480, NO_PATH_REASON),)
        return (Reason("SIP", end.status or 500, end.sentence),)

    def _plan(self, kind: str) -> StreamPlan | None:
        agreement = self.leg.agreement if self.leg else None
        return next((plan for plan in agreement.streams if plan.kind == kind), None) if agreement else None

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
    Action.ALIGN: Call.align,
    Action.SEND_CANCEL: Call._send_cancel,
    Action.SEND_BYE: Call._send_bye,
    Action.SEND_REFUSAL: Call._send_refusal,
    Action.FINISH: Call._finish,
}
