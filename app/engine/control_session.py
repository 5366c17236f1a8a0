"""A mission's control channel at work: mission control over its link, sealed, with its timer.

Opened and decided elsewhere (`app.channels.sealing`, `app.channels.mission_control`); this brings them together on the
engine's loop. What cannot be opened or understood is a stranger's and is counted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from app.channels.channel_keys import channel_key
from app.channels.channel_notices import age_words
from app.channels.distance import Location, Separation
from app.channels.errors import AgeError, ChannelError
from app.channels.links import Link, LinkState
from app.channels.mission import Group
from app.channels.mission_control import ControlPlan, MissionControl, Node, Send, TextHeard
from app.channels.presence import Connectivity, GroupAlias, Identity, Power, Text, parse
from app.channels.sealing import Protection, protection
from app.engine.connectivity import connection_words
from app.events import PersonHere

log = logging.getLogger(__name__)

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

AGE_TOLD_EVERY_S = 600.0  # of each node
MOST_AGES_TOLD = 64  # nodes, and emergencies, remembered as told


class ControlSession:
    """One mission's. `on_change`: the roster has; `on_text` gets each text once; `on_trouble` a sentence now and then.

    What cannot be said is a ChannelError.
    """

    def __init__(
        self,
        mission_id: str,
        group: Group,
        me: Identity,
        link: Link,
        on_change: Callable[[], None],
        on_text: Callable[[Text], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        presence = group.presence
        self.refused = 0
        self._mission_id = mission_id
        self._group = group
        self._link = link
        self._on_change = on_change
        self._on_text = on_text
        self._on_trouble = on_trouble
        self._ages_told: OrderedDict[str, float] = OrderedDict()  # when, by node; the one told longest ago first
        self._emergencies_told: OrderedDict[tuple[str, str], None] = OrderedDict()  # by node and emergency
        plan = ControlPlan()
        if presence is not None:
            plan = ControlPlan(presence.interval_secs, presence.min_interval_secs, presence.listen_only)
        self._control = MissionControl(me, plan, random.random, lambda: str(uuid.uuid4()), time.time)
        self._protection: Protection | None = None
        self._place: Location | None = None
        self._was_up = False
        self._emergency_waits = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def link_state(self) -> LinkState:
        return self._link.state

    @property
    def own_emergency(self) -> str | None:
        """The words of this node's emergency, while it stands."""
        emergency = self._control.emergency
        return None if emergency is None else emergency.words

    @property
    def emergency_waits(self) -> bool:
        """Whether it stands and nobody can know of it yet: there has been no link since it was raised."""
        return self._emergency_waits and self._control.emergency is not None

    async def start(self) -> None:
        """Join the channel; ChannelError when its key cannot be used."""
        password = self._group.crypto_password
        key = None if password is None else await channel_key(password)
        self._protection = protection(self._group.id, key)
        self._link.on_datagram = self._take
        self._link.on_state = self._turned
        await self._link.start()
        self._turned(self._link.state)

    async def close(self) -> None:
        """Say goodbye and leave; a second time does nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._protection is not None:
            self._control.leave(time.monotonic())
            self._carry_out()
            self._protection = None
        await self._link.close()

    def network_changed(self) -> None:
        self._link.network_changed()

    def set_status(self, words: str) -> None:
        self._control.set_status(words, 0, time.monotonic())
        self._carry_out()

    def set_place(self, place: Location | None) -> None:
        self._place = place
        self._control.set_location(place, time.monotonic())
        self._carry_out()
        self._on_change()  # distances count from here

    def set_machine(self, connectivity: Connectivity | None, power: Power | None) -> None:
        """How the machine is connected and what it runs on; told with the next announcement."""
        self._control.set_machine(connectivity, power, time.monotonic())

    def talking(self) -> None:
        """A burst of ours begins: say who is here, where the mission wants that."""
        presence = self._group.presence
        if presence is not None and presence.force_on_audio_transmit:
            self._control.announce(time.monotonic())
            self._carry_out()

    def set_channels(self, aliases: tuple[GroupAlias, ...]) -> None:
        """Say on which channels this person is."""
        self._control.set_aliases(aliases, time.monotonic())
        self._carry_out()

    def say(self, words: str, group_id: str) -> Text:
        if not self._link.state.is_up:
            raise ChannelError(f"Not connected: nobody gets this message. {self._link.state.words}".strip())
        text = self._control.say(words, group_id, time.monotonic())
        self._carry_out()
        return text

    def raise_emergency(self, words: str) -> None:
        """Alert everybody, now or as soon as there is a link."""
        self._control.raise_emergency(words, time.monotonic())
        self._emergency_waits = not self._was_up
        self._carry_out()

    def clear_emergency(self) -> None:
        self._control.clear_emergency(time.monotonic())
        self._carry_out()

    def dismiss(self, node_id: str) -> None:
        self._control.dismiss(node_id)
        self._on_change()

    def people(self) -> tuple[PersonHere, ...]:
        """Everybody who is here, or is gone with an emergency that nobody has dismissed."""
        return tuple(self._person(node) for node in self._control.roster)

    def count_here(self, group_id: str) -> int:
        """How many of them are here on a channel."""
        return self._control.count_here(group_id)

    def _person(self, node: Node) -> PersonHere:
        said = node.presence
        place = ""
        if self._place is not None and said.location is not None:
            place = str(Separation.between(self._place, said.location))
        return PersonHere(
            self._mission_id,
            said.identity.node_id,
            said.identity.display_name or said.identity.node_id[:8],
            said.comment,
            place,
            None if said.power is None else max(0, min(100, said.power.level)),
            tuple(one.group_id for one in said.aliases),
            gone=not node.is_here,
            emergency=None if said.emergency is None else said.emergency.words,
            heard_wall=node.heard_wall,
            connection=connection_words(said.connectivity),
        )

    def _turned(self, state: LinkState) -> None:
        """Announce this node, and ask for the others, whenever the link has come up."""
        came_up, self._was_up = state.is_up and not self._was_up, state.is_up
        if came_up and self._protection is not None:
            self._control.start(time.monotonic())
            self._carry_out()
            if self._emergency_waits:
                self._emergency_waits = False
                self._on_change()

    def _take(self, datagram: bytes, source: str, now: float) -> None:
        if self._protection is None:
            return
        try:
            self._control.receive(self._protection.open(datagram, now, time.time()), now)
        except AgeError as error:
            self.refused += 1
            self._tell_age(error)
        except ChannelError as error:
            self.refused += 1
            log.debug("%s sent something for mission control that is not taken: %s", source, error)
        self._carry_out()

    def _tell_age(self, error: AgeError) -> None:
        """Say who is not seen because clocks differ, or because somebody plays what was recorded.

        Each node now and then, and each emergency at once.
        """
        try:
            said = parse(error.datagram)
        except ChannelError:
            return
        sender = said.sender if isinstance(said, Text) else said.identity
        emergency = None if isinstance(said, Text) or said.emergency is None else (sender.node_id, said.emergency.id)
        is_alarm = emergency is not None and emergency not in self._emergencies_told
        now = time.monotonic()
        if not is_alarm and now < self._ages_told.get(sender.node_id, float("-inf")) + AGE_TOLD_EVERY_S:
            return
        if emergency is not None:
            _remember(self._emergencies_told, emergency, None)
        _remember(self._ages_told, sender.node_id, now)
        name = sender.display_name or sender.node_id[:8]
        what = "has an emergency, and is otherwise not seen" if is_alarm else "is not seen"
        self._on_trouble(f"{name} {what}: {age_words(error)}.")

    def _time_is_up(self) -> None:
        self._control.handle_timeout(time.monotonic())
        self._carry_out()

    def _carry_out(self) -> None:
        has_changed = False
        for output in self._control.take_outputs():
            if isinstance(output, Send):
                if self._protection is not None:
                    self._link.send(self._protection.seal(output.datagram, time.time()), time.monotonic())
            elif isinstance(output, TextHeard):
                self._on_text(output.text)
            else:
                has_changed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._control.next_timeout()
        if due is not None and self._protection is not None:
            pause_s = max(0.0, due - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._time_is_up)
        if has_changed:
            self._on_change()


def _remember(told: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    told[key] = value
    told.move_to_end(key)
    if len(told) > MOST_AGES_TOLD:
        told.popitem(last=False)
