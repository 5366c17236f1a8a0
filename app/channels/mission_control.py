"""Mission control: announces this node on the mission's control channel, and keeps the roster of the others.

A node announces itself every `interval_s`, at once when something about it changes, and soon after a newcomer asks
(`announceOnReceive`), but never more often than every `least_s`; an emergency does not wait. A node is gone
when what it promised has not come for one more interval. Texts and emergencies have no acknowledgement, as multicast
has none: they are said three times, and heard once. Pure: the time is passed in, chance, ids and the wall's clock too.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from app.channels.distance import Location
from app.channels.errors import ChannelError, PacketError
from app.channels.presence import (
    MOST_COMMENT_BYTES,
    MOST_EMERGENCY_BYTES,
    MOST_ID_BYTES,
    MOST_INTERVAL_S,
    MOST_NAME_BYTES,
    MOST_TEXT_BYTES,
    Connectivity,
    Emergency,
    GroupAlias,
    Identity,
    Power,
    Presence,
    Text,
    check_length,
    parse,
)
from app.natural_order import place_of

log = logging.getLogger(__name__)

REPEATS_AFTER_S: Final = (0.7, 2.5)  # a burst of loss is over by then, and a switch has learned of us
ANSWER_SPREAD_S = 1.0  # a newcomer is not answered by everybody at the same moment
LEAST_INTERVAL_S = 1.0  # a mission may say 0: as often as one likes
GRACE_S = 3.0  # beside one interval: what is lost is not missed before the next has had its time to come
MAX_OVERTAKEN_MS = 60_000  # by how much an announcement may be older than one that came before it
MOST_NODES = 500
MOST_TEXTS_KNOWN = 512
MOST_TEXTS_AT_ONCE = 8
MOST_TEXTS_HEARD, TEXTS_HEARD_A_S = 40, 4.0  # at once, and from then on: more than anybody can read


@dataclass(frozen=True, slots=True)
class Node:
    """One of the roster. `is_here` is False for one that is gone and whose emergency nobody has dismissed.

    `heard_at` is of the clock that is passed in, `heard_wall` a Unix time in seconds: they part while a machine sleeps.
    """

    presence: Presence
    heard_at: float
    heard_wall: float
    is_here: bool = True


@dataclass(frozen=True, slots=True)
class Send:
    """A datagram to seal and send on the control channel."""

    datagram: bytes


@dataclass(frozen=True, slots=True)
class NodeHere:
    """A node has come, or has said something new of itself."""

    node: Node
    is_new: bool


@dataclass(frozen=True, slots=True)
class NodeGone:
    """A node has said goodbye, or was not heard any more."""

    node: Node
    said_goodbye: bool


@dataclass(frozen=True, slots=True)
class EmergencyRaised:
    """Somebody is in an emergency."""

    identity: Identity
    emergency: Emergency


@dataclass(frozen=True, slots=True)
class EmergencyCleared:
    """They have said that it is over."""

    identity: Identity
    emergency: Emergency


@dataclass(frozen=True, slots=True)
class TextHeard:
    """A text message came."""

    text: Text


Output = Send | NodeHere | NodeGone | EmergencyRaised | EmergencyCleared | TextHeard


@dataclass(slots=True)
class _Repeat:
    due: list[float]
    datagram: bytes


@dataclass(frozen=True, slots=True)
class ControlPlan:
    """The mission's `presence` object, in seconds.

    A node that only listens is in nobody's roster, sends no text and raises no emergency.
    """

    interval_s: float = 30.0
    min_interval_s: float = 5.0
    listen_only: bool = False

    @property
    def least_s(self) -> float:
        """How long after an announcement the next may follow, unless it is of an emergency."""
        return max(self.min_interval_s, LEAST_INTERVAL_S)

    @property
    def every_s(self) -> float:
        """When the next announcement follows: as often as others believe in, and as seldom as the mission wants."""
        return min(MOST_INTERVAL_S, max(self.interval_s, self.least_s))

    @property
    def alarm_every_s(self) -> float:
        """The same while an emergency stands."""
        return min(MOST_INTERVAL_S, self.least_s)


@dataclass(slots=True)
class _Mine:
    comment: str = ""
    disposition: int = 0
    aliases: tuple[GroupAlias, ...] = ()
    location: Location | None = None
    connectivity: Connectivity | None = None
    power: Power | None = None
    emergency: Emergency | None = field(default=None)


class MissionControl:
    """One mission's control channel.

    `chance` gives numbers from 0 to 1, `new_id` ids that nobody else makes, `unix_s` the wall's clock. The time that is
    passed in, of a clock that never goes back, is for waiting only: it may stand still while the machine sleeps.
    """

    def __init__(
        self,
        me: Identity,
        plan: ControlPlan,
        chance: Callable[[], float],
        new_id: Callable[[], str],
        unix_s: Callable[[], float],
    ) -> None:
        check_length("A node's id", me.node_id, MOST_ID_BYTES)
        check_length("A name", me.display_name, MOST_NAME_BYTES)
        check_length("A user's id", me.user_id, MOST_NAME_BYTES)
        self._me = me
        self._plan = plan
        self._chance = chance
        self._new_id = new_id
        self._unix_s = unix_s
        self._mine = _Mine()
        self._roster: dict[str, Node] = {}
        self._texts: OrderedDict[str, None] = OrderedDict()
        self._repeats: list[_Repeat] = []
        self._takes_part = False
        self._asks = False
        self._last_sent = float("-inf")
        self._last_unix_ms = 0
        self._announce_at: float | None = None
        self._outputs: list[Output] = []
        self._texts_left = float(MOST_TEXTS_HEARD)
        self._texts_left_at = float("-inf")
        self.refused = 0  # nodes that found the roster full, and texts that were too many

    @property
    def roster(self) -> list[Node]:
        """Everybody known, those in an emergency first, then by name."""
        return sorted(
            self._roster.values(),
            key=lambda node: (node.presence.emergency is None, place_of(node.presence.identity.display_name)),
        )

    def count_here(self, group_id: str) -> int:
        """How many are here on a channel."""
        there = (node.presence.aliases for node in self._roster.values() if node.is_here)
        return sum(any(one.group_id == group_id for one in aliases) for aliases in there)

    @property
    def emergency(self) -> Emergency | None:
        """The emergency of this node, while it stands."""
        return self._mine.emergency

    def start(self, now: float) -> None:
        """Announce this node and ask the others to do so; again whenever the channel's link has come back."""
        self._takes_part = not self._plan.listen_only
        self._asks = True
        if self._takes_part and self._mine.emergency is not None:
            self._say_at_once(now)
        self._announce_soon(now, now)
        self.handle_timeout(now)

    def leave(self, now: float) -> None:
        """Say goodbye. Nothing is announced after this."""
        if self._takes_part:
            self._send(replace(self._presence(), interval_s=0.0))
        self._takes_part = False
        self._announce_at = None
        self._repeats.clear()

    def set_status(self, comment: str, disposition: int, now: float) -> None:
        """Say how this person is; PacketError when it is too long."""
        check_length("A comment", comment, MOST_COMMENT_BYTES)
        self._mine.comment, self._mine.disposition = comment, disposition
        self._changed(now)

    def set_location(self, location: Location | None, now: float) -> None:
        """Say where this person is, or say it no more."""
        self._mine.location = location
        self._changed(now)

    def set_aliases(self, aliases: tuple[GroupAlias, ...], now: float) -> None:
        """Say what this person is called on each channel."""
        for one in aliases:
            check_length("A name on a channel", one.alias, MOST_NAME_BYTES)
        self._mine.aliases = aliases
        self._changed(now)

    def set_machine(self, connectivity: Connectivity | None, power: Power | None, now: float) -> None:
        """Say how this machine is connected and fed; it goes along with the next announcement."""
        self._mine.connectivity, self._mine.power = connectivity, power

    def announce(self, now: float) -> None:
        """Say once more who is here, as soon as that may be."""
        self._changed(now)

    def raise_emergency(self, words: str, now: float) -> None:
        """Alert everybody, now; ChannelError where this node only listens."""
        self._refuse_listening("raise an emergency")
        check_length("The words of an emergency", words, MOST_EMERGENCY_BYTES)
        self._mine.emergency = Emergency(self._new_id(), self._unix_ms(), words)
        self._say_at_once(now)

    def clear_emergency(self, now: float) -> None:
        """Say that it is over; nothing happens when there is none."""
        if self._mine.emergency is not None:
            self._mine.emergency = None
            self._say_at_once(now)

    def dismiss(self, node_id: str) -> None:
        """Forget somebody who is gone with their emergency uncleared."""
        node = self._roster.get(node_id)
        if node is not None and not node.is_here:
            del self._roster[node_id]

    def say(self, words: str, group_id: str, now: float) -> Text:
        """Send a text to a channel, or to everybody; ChannelError when it is too long, or too many are under way."""
        self._refuse_listening("send messages")
        if not words.strip():
            raise ChannelError("There is nothing to send.")
        check_length("A message", words, MOST_TEXT_BYTES)
        if len(self._repeats) >= MOST_TEXTS_AT_ONCE:
            raise ChannelError("Too many messages at once: wait a moment.")
        text = Text(self._new_id(), self._me, self._unix_ms(), words, group_id)
        datagram = str(text).encode()
        self._know(text.id)  # multicast may bring it back
        self._outputs.append(Send(datagram))
        self._repeats.append(_Repeat([now + after_s for after_s in REPEATS_AFTER_S], datagram))
        return text

    def receive(self, data: bytes, now: float) -> None:
        """Take what came on the channel, opened already; PacketError when it is not what it should be."""
        message = parse(data)
        if isinstance(message, Text):
            if message.sender.node_id != self._me.node_id and message.id not in self._texts:
                self._take_text(message, now)
        elif message.identity.node_id != self._me.node_id:
            self._take_presence(message, now)

    def handle_timeout(self, now: float) -> None:
        """Do what has become due."""
        for node in list(self._roster.values()):
            if node.is_here and now >= _gone_at(node):
                self._remove(node, said_goodbye=False)
        for repeat in self._repeats:
            while repeat.due and now >= repeat.due[0]:
                repeat.due.pop(0)
                self._outputs.append(Send(repeat.datagram))
        self._repeats = [repeat for repeat in self._repeats if repeat.due]
        if self._announce_at is not None and now >= self._announce_at:
            self._announce(now)

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; None while nothing can become due."""
        times = [_gone_at(node) for node in self._roster.values() if node.is_here]
        times += [repeat.due[0] for repeat in self._repeats]
        if self._announce_at is not None:
            times.append(self._announce_at)
        return min(times, default=None)

    def take_outputs(self) -> list[Output]:
        """Take what is to be sent and what has happened, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def _refuse_listening(self, what: str) -> None:
        if self._plan.listen_only:
            raise ChannelError(f"This mission lets you listen only: you cannot {what} here.")

    def _unix_ms(self) -> int:
        return round(self._unix_s() * 1000)

    def _presence(self) -> Presence:
        """Give this node's announcement: newer than the one before, but for a clock that was set back by far."""
        unix_ms = self._unix_ms()
        is_set_back = self._last_unix_ms - unix_ms >= MAX_OVERTAKEN_MS  # which the others see as such too
        self._last_unix_ms = unix_ms if is_set_back else max(self._last_unix_ms + 1, unix_ms)
        mine = self._mine
        return Presence(
            self._me,
            self._last_unix_ms,
            self._plan.alarm_every_s if mine.emergency is not None else self._plan.every_s,
            mine.comment,
            mine.disposition,
            mine.aliases,
            mine.location,
            mine.connectivity,
            mine.power,
            mine.emergency,
            self._asks,
        )

    def _send(self, presence: Presence) -> None:
        try:
            self._outputs.append(Send(str(presence).encode()))
        except PacketError:  # each part fits, together they do not: who is here matters more than the remark
            self._outputs.append(Send(str(replace(presence, comment="")).encode()))

    def _announce(self, now: float) -> None:
        presence = self._presence()
        self._send(presence)
        self._asks = False
        self._last_sent = now
        self._announce_at = now + presence.interval_s

    def _announce_soon(self, at: float, now: float) -> None:
        if self._takes_part:
            at = max(at, self._last_sent + self._plan.least_s, now)
            self._announce_at = at if self._announce_at is None else min(self._announce_at, at)

    def _changed(self, now: float) -> None:
        if self._takes_part:
            self._announce_soon(now, now)
            self.handle_timeout(now)

    def _say_at_once(self, now: float) -> None:
        """Announce without waiting, and twice more: an alert, or its end."""
        self._announce(now)
        said = self._outputs[-1]
        assert isinstance(said, Send)
        self._repeats.append(_Repeat([now + after_s for after_s in REPEATS_AFTER_S], said.datagram))

    def _know(self, text_id: str) -> None:
        """Remember a text."""
        self._texts[text_id] = None
        if len(self._texts) > MOST_TEXTS_KNOWN:
            self._texts.popitem(last=False)

    def _take_text(self, text: Text, now: float) -> None:
        passed = min(now - self._texts_left_at, MOST_TEXTS_HEARD / TEXTS_HEARD_A_S)
        self._texts_left = min(MOST_TEXTS_HEARD, self._texts_left + passed * TEXTS_HEARD_A_S)
        self._texts_left_at = now
        if self._texts_left < 1:  # it is said again, when there may be room
            self.refused += 1
            return
        self._texts_left -= 1
        self._know(text.id)
        self._outputs.append(TextHeard(text))

    def _take_presence(self, said: Presence, now: float) -> None:
        known = self._roster.get(said.identity.node_id)
        # A repeat, or one that was overtaken. Much older ones are of a clock that was set back.
        if known is not None and 0 <= known.presence.unix_ms - said.unix_ms < MAX_OVERTAKEN_MS:
            return
        if said.is_goodbye:
            if known is not None:
                self._tell_emergency(known.presence, said)
                self._remove(replace(known, presence=said), said_goodbye=True)
            return
        if known is None and len(self._roster) >= MOST_NODES and not self._forget_gone():
            self.refused += 1
            log.debug("the roster is full: %s is left out", said.identity.node_id)
            return
        node = Node(said, now, self._unix_s())
        self._roster[said.identity.node_id] = node
        is_new = known is None or not known.is_here
        if is_new or (known is not None and _said(known.presence) != _said(said)):
            self._outputs.append(NodeHere(node, is_new))
        self._tell_emergency(None if known is None else known.presence, said)
        if said.announce_on_receive:
            self._announce_soon(now + self._chance() * ANSWER_SPREAD_S, now)

    def _forget_gone(self) -> bool:
        """Make room at the cost of who is gone for longest: who is here must not be kept out by them."""
        gone = [node for node in self._roster.values() if not node.is_here]
        if gone:
            del self._roster[min(gone, key=lambda node: node.heard_at).presence.identity.node_id]
        return bool(gone)

    def _tell_emergency(self, before: Presence | None, said: Presence) -> None:
        old = None if before is None else before.emergency
        new = said.emergency
        if old is not None and (new is None or new.id != old.id):
            self._outputs.append(EmergencyCleared(said.identity, old))
        if new is not None and (old is None or new.id != old.id):
            self._outputs.append(EmergencyRaised(said.identity, new))

    def _remove(self, node: Node, said_goodbye: bool) -> None:
        """Take a node out of the roster, unless it is in an emergency: that must not vanish because its radio did."""
        gone = replace(node, is_here=False)
        if gone.presence.emergency is not None:
            self._roster[gone.presence.identity.node_id] = gone
        else:
            del self._roster[gone.presence.identity.node_id]
        self._outputs.append(NodeGone(gone, said_goodbye))


def _gone_at(node: Node) -> float:
    """Give when a node counts as gone: what it promised did not come, nor what should have followed."""
    return node.heard_at + 2 * node.presence.interval_s + GRACE_S


def _said(presence: Presence) -> Presence:
    """Give what a person would notice of it."""
    return replace(presence, unix_ms=0, interval_s=0.0, announce_on_receive=False)
