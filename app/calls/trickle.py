"""Candidates that come after the descriptions, toward one far end and from it: RFC 8838, RFC 8840.

Each body repeats everything told so far of this ICE generation, in the same order (RFC 8840 section 4.4), so that a
lost or overtaken one harms nothing. What comes together goes together: a body is made COLLECT_S after its first news.
A body of another generation is passed over.

Neither side knows SIP here: the owner says when the dialog is there, and sends what `send` is given.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from app.calls.offer_answer import Agreement, LocalStream
from app.calls.sdpfrag import MAX_CANDIDATES, Fragment, StreamFragment
from app.ice.candidates import Candidate, IceDescription

log = logging.getLogger(__name__)

COLLECT_S = 0.02
MAX_BODIES = 32  # that one far end is sent; a machine has no more news than that
OPTION = "trickle"  # among a=ice-options


class Generation(Protocol):
    """The part of an IceSession that trickling needs."""

    @property
    def gathered(self) -> bool:
        """Whether no further candidate is waited for."""

    def local(self, stream: str) -> IceDescription:
        """What is to be signalled of a stream now."""

    def add_remote_candidate(self, stream: str, candidate: Candidate) -> None:
        """Take one more candidate of the peer's."""

    def end_of_remote_candidates(self, stream: str) -> None:
        """The peer has told all of them."""


@dataclass(slots=True)
class _Remote:
    """What the peer's description said of one stream, and what came after it."""

    stream: str
    ufrag: str
    pwd: str = field(repr=False)
    taken: set[str] = field(default_factory=set)
    ended: bool = False


class Trickle:
    """`speaks`: our descriptions say a=ice-options:trickle. `peer_takes`: the far end takes our bodies."""

    def __init__(self, send: Callable[[bytes], None], *, speaks: bool) -> None:
        self.speaks = speaks
        self.peer_takes = False
        self._send = send
        self._ours: Generation | None = None
        self._told: dict[str, list[Candidate]] = {}  # by stream, in the order in which it was told
        self._mids: dict[str, str] = {}
        self._ended = False
        self._again = False  # the last body was lost
        self._settled = False
        self._dialog = False
        self._bodies = 0
        self._timer: asyncio.TimerHandle | None = None
        self._theirs: Generation | None = None
        self._remotes: dict[str, _Remote] = {}  # by mid
        self._heard: Fragment | None = None

    def fork(self, send: Callable[[bytes], None]) -> Trickle:
        """The same for a further far end that answers our description."""
        other = Trickle(send, speaks=self.speaks)
        other._ours, other._ended, other._mids = self._ours, self._ended, dict(self._mids)
        other._told = {name: list(told) for name, told in self._told.items()}
        return other

    # Ours ----------------------------------------------------------------------------------------------------

    @property
    def is_agreed(self) -> bool:
        """Whether both sides do it: a later description may leave before all candidates are known too."""
        return self.speaks and self.peer_takes

    def describe(self, ours: Generation, streams: Collection[LocalStream], *, hold: bool = False) -> None:
        """Remember what a description of ours says: only what it lacks is told afterwards.

        `hold`: not before `open`, since the far end has yet to agree to this generation.
        """
        self._ours = ours
        self._dialog = self._dialog and not hold
        self._bodies = 0
        self._told = {one.name: list(one.ice.candidates) for one in streams if one.ice is not None}
        self._ended = all(one.ice.end_of_candidates for one in streams if one.ice is not None)
        self._settled = False
        self.news()

    def open(self) -> None:
        """The far end has the dialog: bodies may go."""
        if not self._dialog:
            self._dialog = True
            self.news()

    def answered(self, status: int) -> None:
        """The far end's word on a body: it may not take them after all, or this one has to be told again."""
        if status in (408, 491) or status >= 500:
            self._again = True
            self.news()
        elif status >= 300:
            self.peer_takes = False

    def settle(self) -> None:
        """The path is decided: further candidates would change nothing."""
        self._settled = True

    def news(self) -> None:
        """A candidate was found, or gathering has ended."""
        if self._timer is None and self._may_send:
            self._timer = asyncio.get_running_loop().call_later(COLLECT_S, self._tell)

    @property
    def _may_send(self) -> bool:
        able = self.is_agreed and self._dialog and self._bodies < MAX_BODIES and not self._settled
        return able and self._ours is not None and (self._again or not self._ended)

    def _tell(self) -> None:
        self._timer = None
        if self._ours is None or not self._may_send:
            return
        ended, news, self._again = self._ours.gathered, self._again, False
        parts = []
        for name, told in self._told.items():
            description = self._ours.local(name)
            fresh = [candidate for candidate in description.candidates if candidate not in told]
            told += fresh
            news = news or bool(fresh)
            mid = self._mids.get(name, name)
            parts.append(StreamFragment(mid, description.ufrag, description.pwd, tuple(told), ended))
        if parts and (news or (ended and not self._ended)):
            self._ended = ended
            self._bodies += 1
            self._send(bytes(Fragment(tuple(parts))))

    # Theirs --------------------------------------------------------------------------------------------------

    def agree(self, agreement: Agreement) -> None:
        """Learn which m-line is which stream, and which streams are not needed."""
        self._mids = {plan.name: plan.mid for plan in agreement.streams if plan.mid is not None}
        for name in agreement.unused:
            self._told.pop(name, None)

    def listen(self, theirs: Generation, agreement: Agreement) -> None:
        """The peer's description was given to `theirs`: take what comes after it, and what has come before it."""
        self._theirs = theirs
        self._remotes = {
            self._mids.get(transport.name, transport.name): _Remote(
                transport.name, transport.ice.ufrag, transport.ice.pwd
            )
            for transport in agreement.transports
            if transport.ice is not None
        }
        if self._heard is not None:
            self._apply(self._heard)

    def take(self, fragment: Fragment) -> None:
        """A body has come; the last one is kept, since it may have overtaken the description it belongs to."""
        self._heard = fragment
        self._apply(fragment)

    def _apply(self, fragment: Fragment) -> None:
        for part in fragment.streams:
            remote = self._remotes.get(part.mid)
            if remote is None or self._theirs is None:
                continue  # bundled behind another one, refused, or not described yet
            if (part.ufrag, part.pwd) != (remote.ufrag, remote.pwd):
                log.info("candidates of another ICE generation are passed over (stream %s)", remote.stream)
                continue
            self._add(self._theirs, remote, part)

    def _add(self, theirs: Generation, remote: _Remote, part: StreamFragment) -> None:
        for candidate in part.candidates:
            text = str(candidate)
            if text not in remote.taken and len(remote.taken) < MAX_CANDIDATES:
                remote.taken.add(text)
                theirs.add_remote_candidate(remote.stream, candidate)
        if part.ended and not remote.ended:
            remote.ended = True
            theirs.end_of_remote_candidates(remote.stream)

    def close(self) -> None:
        self.speaks = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
