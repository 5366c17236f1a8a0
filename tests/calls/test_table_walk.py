"""The table of a call, walked at random through everything that a session, a path and two people can really deliver.

`World` knows what may happen when: what a SIP session tells in which order (app/sip/events.py), what a path does, what
a person may press. Whatever comes, the table has a row for it, and nobody is left hanging at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from app.calls.states import Action, Input, next_step
from app.events import CallState

MAX_STEPS = 40
_GOODBYES = {Action.SEND_BYE, Action.SEND_CANCEL, Action.SEND_REFUSAL}
_LAST_WORDS = {Input.REFUSED, Input.BYE, Input.CANCELLED, Input.SIGNALLING_FAILED, Input.FINISHED}


@dataclass
class World:
    """One call and everything around it."""

    is_caller: bool
    state: CallState
    session: str = "none"  # "calling", "incoming", "accepting", "up", "leaving", "closed"
    told: bool = False  # a response with our tag, or the peer's, is out: there is an early dialog
    path: str = "none"  # "looking", "ready", "silent", "dead"
    gathered: bool = False
    picked_up: bool = False
    heard: list[Input] = field(default_factory=list)
    done: list[Action] = field(default_factory=list)

    @classmethod
    def begin(cls, is_caller: bool) -> World:
        if is_caller:
            return cls(True, CallState.GATHERING)
        return cls(False, CallState.PREPARING, session="incoming")

    def possible(self) -> list[Input]:
        return [*self._of_the_person(), *self._of_the_path(), *self._of_the_session()]

    def _of_the_person(self) -> list[Input]:
        waiting = (CallState.PREPARING, CallState.CONNECTING, CallState.RINGING)
        inputs = [Input.HUNG_UP]
        if not self.is_caller and self.state in waiting:
            inputs.append(Input.DECLINED)
        if not self.is_caller and self.state is CallState.RINGING:
            inputs.append(Input.PICKED_UP)
        return inputs

    def _of_the_path(self) -> list[Input]:
        if self.path == "none" and not self.gathered:
            gathered = [Input.GATHERED] if self.is_caller else [Input.GATHERED, Input.GATHERED_PLAIN]
            return [] if self.state is CallState.ENDED else [*gathered, Input.PATH_FAILED]
        return {
            "looking": [Input.PATH_READY, Input.PATH_FAILED],
            "ready": [Input.PATH_READY, Input.PATH_INTERRUPTED, Input.PATH_LOST],
            "silent": [Input.PATH_RECOVERED, Input.PATH_INTERRUPTED, Input.PATH_LOST],
        }.get(self.path, [])

    def _of_the_session(self) -> list[Input]:
        ready = self.path in ("ready", "silent")
        answered = Input.ANSWERED_READY if ready else Input.ANSWERED
        acknowledged = Input.ACKNOWLEDGED if ready else Input.ACKNOWLEDGED_EARLY
        early = [Input.BYE] if self.told else []
        return {
            "none": [],
            "calling": [Input.DESCRIBED, Input.ALERTED, answered, Input.REFUSED, Input.SIGNALLING_FAILED, *early],
            "incoming": [Input.CANCELLED, Input.SIGNALLING_FAILED, Input.FINISHED, *early],
            "accepting": [acknowledged, Input.CANCELLED, Input.SIGNALLING_FAILED, Input.FINISHED, Input.BYE],
            "up": [Input.BYE, Input.SIGNALLING_FAILED, Input.FINISHED],
            # What was on its way when this side said goodbye still arrives, in front of the last word.
            "leaving": [Input.DESCRIBED, Input.ALERTED, answered, Input.REFUSED, Input.BYE, Input.FINISHED],
            "over": [Input.FINISHED],
        }.get(self.session, [])

    def happens(self, given: Input) -> None:
        """Let one thing happen: the world changes by itself, the call by its table."""
        self.heard.append(given)
        self._change(given)
        row = next_step(self.is_caller, self.state, given)
        if row is None:
            return
        assert self.state is not CallState.ENDED, "an ended call does nothing any more"
        self.state = row[0]
        for action in row[1]:
            self._carry_out(action)

    def _change(self, given: Input) -> None:
        if given in (Input.GATHERED, Input.GATHERED_PLAIN):
            self.gathered = True
        elif given in (Input.PATH_READY, Input.PATH_RECOVERED):
            self.path = "ready"
        elif given is Input.PATH_INTERRUPTED:
            self.path = "silent"
        elif given in (Input.PATH_FAILED, Input.PATH_LOST):
            self.path, self.gathered = "dead", True
        elif given in (Input.DESCRIBED, Input.ALERTED):
            self.told = True
        elif given in (Input.ANSWERED, Input.ANSWERED_READY, Input.ACKNOWLEDGED, Input.ACKNOWLEDGED_EARLY):
            self.picked_up = True
            self.session = self.session if self.session == "leaving" else "up"
        elif given is Input.PICKED_UP:
            self.picked_up = True
        elif given is Input.FINISHED:
            self.session = "closed"
        elif given in _LAST_WORDS:
            self.session = "over"

    def _carry_out(self, action: Action) -> None:
        self.done.append(action)
        if action is Action.SEND_INVITE:
            self.session = "calling"
        elif action in (Action.SEND_PROGRESS, Action.ALERT):
            self.told = True
        elif action is Action.SEND_ACCEPT:
            self.session = "accepting"
        elif action in _GOODBYES and self.session != "over":
            self.session = "leaving"
        elif action is Action.CONNECT and self.path == "none":
            self.path = "looking"


@settings(max_examples=max(200, settings.default.max_examples))
@given(is_caller=st.booleans(), data=st.data())
def test_every_order_of_things_has_its_row_and_nobody_is_left_hanging(is_caller: bool, data: st.DataObject) -> None:
    world = World.begin(is_caller)
    for _ in range(MAX_STEPS):
        inputs = world.possible()
        if not inputs:
            break
        world.happens(data.draw(st.sampled_from(inputs)))
        story = [given.value for given in world.heard]
        assert Action.OPEN_GATE not in world.done or world.picked_up, story
        assert world.done.count(Action.FINISH) == (world.state is CallState.ENDED), story
        if world.session == "closed":
            assert world.state is CallState.ENDED, f"its session is closed, but the call is {world.state}: {story}"
        if world.state is CallState.ENDED and world.session != "none":
            assert world.session in ("leaving", "over", "closed"), f"the far end is left in the call: {story}"
