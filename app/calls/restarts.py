"""When a call's path is looked for anew (ICE restart), and when it is given up: a table and a clock that is handed in.

Pure. What the path, the network and the signalling tell comes in as inputs; what is to be done about it comes out of
`take()`. docs/call-flow.md describes the rules, app/calls/recovery.py carries them out.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

TURN_S = 1.0  # the callee leaves the first second to the caller, so that two offers seldom cross
RETRY_S = 1.0  # after an offer that failed; doubles
LONGEST_RETRY_S = 4.0
LONGEST_CALM_RETRY_S = 60.0  # while the path works all the same: a better one may wait
CHECKS_S = 8.0  # a restart that was agreed and finds nothing for so long is begun again
SPACING_S = 0.25  # restarts begin no closer together, whatever happens
PEER_RESTARTS, PEER_WINDOW_S = 6, 4.0  # a peer may begin so many in such a time: each costs sockets and allocations


@dataclass(frozen=True, slots=True)
class NetworkChange:
    """What happened to this machine's addresses.

    present: those that calls may use now; gone, new: the difference to before; woke: the machine has slept; with
    nothing of these only something about links or routes is different.
    """

    present: frozenset[str]
    gone: frozenset[str] = frozenset()
    new: frozenset[str] = frozenset()
    woke: bool = False

    @property
    def offline(self) -> bool:
        """Whether nobody outside this machine can be reached."""
        return all(ipaddress.ip_address(address).is_loopback for address in self.present)


class Attempt(StrEnum):
    """How far the newest restart is."""

    IDLE = "idle"
    WAITING = "waiting"  # for our turn, or before the next try
    OFFERING = "offering"  # gathering, or our offer is under way
    CHECKING = "checking"  # agreed by offer and answer, the checks run


class Input(StrEnum):
    SILENCE_MINE = "silent, this side begins"
    SILENCE_THEIRS = "silent, the other side begins"
    MOVED = "other candidates than before"  # an address came or went, sleep, a relay was lost
    REMAPPED = "seen elsewhere by others"  # a NAT forgot us: what is gathered from now on is right
    HEARD = "something was heard again"
    STIRRED = "links or routes are different"
    RECOVERED = "the path answers again"
    OFFER_FAILED = "the offer came to nothing"
    REFUSED = "the peer does not restart"
    AGREED = "offer and answer are there"
    PEER = "the peer begins"
    CHECKS_FAILED = "no path was found"
    DONE = "restarted"
    DUE = "time is up"
    DUE_NEEDLESS = "time is up, all is well"


class Action(StrEnum):
    BEGIN = "gather anew and offer"
    HURRY = "send again what is unanswered"
    END = "end the call"
    # of the clock
    AWAIT_TURN = "wait for the other side to begin"
    AWAIT_RETRY = "wait before the next try"
    AWAIT_CHECKS = "limit the checks"
    REST = "stop the clock"
    REPEAT = "begin once more when this one is through"
    RESUME = "begin once more if that is due"


_S, _I, _A = Attempt, Input, Action

TABLE: dict[tuple[Attempt, Input], tuple[Attempt, tuple[Action, ...]]] = {
    (_S.IDLE, _I.SILENCE_MINE): (_S.OFFERING, (_A.BEGIN,)),
    (_S.IDLE, _I.SILENCE_THEIRS): (_S.WAITING, (_A.AWAIT_TURN,)),
    (_S.IDLE, _I.MOVED): (_S.OFFERING, (_A.BEGIN,)),
    (_S.IDLE, _I.REMAPPED): (_S.OFFERING, (_A.BEGIN,)),
    (_S.IDLE, _I.HEARD): (_S.OFFERING, (_A.HURRY, _A.BEGIN)),
    (_S.IDLE, _I.STIRRED): (_S.IDLE, (_A.HURRY,)),
    (_S.IDLE, _I.RECOVERED): (_S.IDLE, (_A.HURRY,)),
    (_S.IDLE, _I.PEER): (_S.CHECKING, (_A.AWAIT_CHECKS,)),
    (_S.WAITING, _I.MOVED): (_S.OFFERING, (_A.BEGIN,)),
    (_S.WAITING, _I.REMAPPED): (_S.OFFERING, (_A.BEGIN,)),
    (_S.WAITING, _I.HEARD): (_S.OFFERING, (_A.HURRY, _A.BEGIN)),
    (_S.WAITING, _I.STIRRED): (_S.OFFERING, (_A.HURRY, _A.BEGIN)),
    (_S.WAITING, _I.RECOVERED): (_S.WAITING, (_A.HURRY,)),
    (_S.WAITING, _I.DUE): (_S.OFFERING, (_A.BEGIN,)),
    (_S.WAITING, _I.DUE_NEEDLESS): (_S.IDLE, ()),
    (_S.WAITING, _I.PEER): (_S.CHECKING, (_A.AWAIT_CHECKS,)),
    # An offer that is out cannot be taken back: what it describes may be gone, but it reaches the peer all the same.
    (_S.OFFERING, _I.MOVED): (_S.OFFERING, (_A.HURRY, _A.REPEAT)),
    (_S.OFFERING, _I.REMAPPED): (_S.OFFERING, (_A.HURRY,)),
    (_S.OFFERING, _I.HEARD): (_S.OFFERING, (_A.HURRY,)),
    (_S.OFFERING, _I.STIRRED): (_S.OFFERING, (_A.HURRY,)),
    (_S.OFFERING, _I.RECOVERED): (_S.OFFERING, (_A.HURRY,)),
    (_S.OFFERING, _I.OFFER_FAILED): (_S.WAITING, (_A.AWAIT_RETRY, _A.RESUME)),
    (_S.OFFERING, _I.REFUSED): (_S.IDLE, (_A.RESUME,)),
    (_S.OFFERING, _I.AGREED): (_S.CHECKING, (_A.AWAIT_CHECKS, _A.RESUME)),
    (_S.OFFERING, _I.PEER): (_S.CHECKING, (_A.AWAIT_CHECKS,)),
    (_S.CHECKING, _I.MOVED): (_S.OFFERING, (_A.BEGIN,)),
    (_S.CHECKING, _I.REMAPPED): (_S.CHECKING, (_A.HURRY,)),
    (_S.CHECKING, _I.STIRRED): (_S.CHECKING, (_A.HURRY,)),
    (_S.CHECKING, _I.RECOVERED): (_S.CHECKING, (_A.HURRY,)),
    (_S.CHECKING, _I.PEER): (_S.CHECKING, (_A.AWAIT_CHECKS,)),
    (_S.CHECKING, _I.CHECKS_FAILED): (_S.WAITING, (_A.AWAIT_RETRY,)),
    (_S.CHECKING, _I.DONE): (_S.IDLE, (_A.REST, _A.HURRY)),
    (_S.CHECKING, _I.DUE): (_S.OFFERING, (_A.BEGIN,)),
    (_S.CHECKING, _I.DUE_NEEDLESS): (_S.IDLE, ()),
}
"""What does not stand here changes nothing: a silence while a restart is under way, a late answer, …"""


class Restarts:
    """The policy of one call. `patience_s`: how long an interrupted call is kept before it ends."""

    def __init__(self, *, is_caller: bool, patience_s: float) -> None:
        self.attempt = Attempt.IDLE
        self._is_caller = is_caller
        self._patience_s = patience_s
        self._actions: deque[Action] = deque()
        self._silent = False
        self._interrupted_since: float | None = None
        self._moved = False  # the candidates in use are no longer ours, whether or not that is felt yet
        self._refused = False  # the peer does not restart: silence alone is no reason to ask it again
        self._repeat = False
        self._bettered = False
        self._due_at: float | None = None
        self._begun_at = float("-inf")
        self._retry_s = RETRY_S
        self._peers: deque[float] = deque(maxlen=PEER_RESTARTS)  # when the peer began its last ones
        self._ended = False

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong with the path, as far as is known."""
        return not self._silent and not self._moved

    def take(self) -> list[Action]:
        """Drain what is to be done."""
        actions = list(self._actions)
        self._actions.clear()
        return actions

    # What the path tells ---------------------------------------------------------------------------------

    def silent(self, now: float) -> None:
        """Nothing comes any more: prepare quietly."""
        if not self._silent and self._due_at is not None and self.attempt is Attempt.WAITING:
            self._retry_s, self._due_at = RETRY_S, min(self._due_at, now + RETRY_S)  # no longer calm
        self._silent = True
        if not self._refused:
            self._feed(Input.SILENCE_MINE if self._is_caller else Input.SILENCE_THEIRS, now)

    def interrupted(self, now: float) -> None:
        """The same for so long that the person is told; from now on patience runs."""
        if self._interrupted_since is None:
            self._interrupted_since = now
        self.silent(now)

    def recovered(self, now: float) -> None:
        """The path answers again by itself."""
        self._silent, self._interrupted_since = False, None
        self._feed(Input.RECOVERED, now)

    def reachable(self, now: float) -> None:
        """A check was answered although consent has run out: a restart would succeed now."""
        self._retry_s = RETRY_S
        self._feed(Input.HEARD, now)

    def relay_lost(self, now: float) -> None:
        """The relay that the path goes through is no more."""
        self._feed_moved(now)

    def better(self, now: float) -> None:
        """A direct way was answered after a relay had been agreed on: change over, once in a call."""
        if not self._bettered:
            self._bettered = True
            self._feed(Input.MOVED, now)

    def wanted(self, now: float) -> None:
        """The peer wants one, and only an offer of ours can bring it about."""
        self._feed_moved(now)

    def remapped(self, now: float) -> None:
        """A NAT of ours has given the machine another place: it is for this side to tell, not for the other's turn.

        A restart under way has gathered behind that NAT since, and need not be made again.
        """
        self._moved = True
        self._retry_s = RETRY_S
        self._feed(Input.REMAPPED, now)

    def network(self, change: NetworkChange, used: frozenset[str], now: float, *, relayed: bool) -> None:
        """The machine's addresses changed; `used` are those that the path leaves from, `relayed` whether by a relay.

        A path that works and is direct is left alone when a further interface appears: what is new may be worse, and
        changing over would only put at risk what is good. A relayed one can only gain.
        """
        lost = bool(used - change.present)
        if lost or change.woke or (change.new and (relayed or not self.is_well)):
            self._feed_moved(now)
        elif not self.is_well:
            self._retry_s = RETRY_S
            self._feed(Input.STIRRED, now)

    def _feed_moved(self, now: float) -> None:
        self._moved = True
        self._retry_s = RETRY_S
        self._feed(Input.MOVED, now)

    # What becomes of a restart ---------------------------------------------------------------------------

    def offer_failed(self, now: float) -> None:
        """No answer, a passing refusal, or nothing to offer: tried again as long as it is needed."""
        self._feed(Input.OFFER_FAILED, now)

    def refused(self, now: float) -> None:
        """The peer does not restart; the path stays what it is."""
        self._refused, self._moved = True, False
        self._feed(Input.REFUSED, now)

    def agreed(self, now: float, *, first: bool = False) -> None:
        """The peer has answered our offer with new credentials.

        `first`: no path was found before, so nothing old is in use, and one search is enough for these addresses.
        """
        self._refused = False
        self._moved = self._moved and not first
        self._feed(Input.AGREED, now)

    def may_peer_begin(self, now: float) -> bool:
        """Whether a restart of the peer's is served, or has to wait: it must not be able to exhaust this machine."""
        if len(self._peers) == PEER_RESTARTS and now < self._peers[0] + PEER_WINDOW_S:
            return False
        self._peers.append(now)
        return True

    def peer_begins(self, now: float) -> None:
        """An offer of the peer's restarts; what we had begun ourselves is replaced by it."""
        self._refused = self._repeat = False
        self._feed(Input.PEER, now)

    def checks_failed(self, now: float) -> None:
        self._feed(Input.CHECKS_FAILED, now)

    def done(self, now: float) -> None:
        """The new path carries the call."""
        self._silent, self._interrupted_since = False, None
        self._moved = False
        self._retry_s = RETRY_S
        self._feed(Input.DONE, now)

    # Time ------------------------------------------------------------------------------------------------

    @property
    def gives_up_at(self) -> float | None:
        """When patience ends, if nothing is heard before."""
        return None if self._interrupted_since is None else self._interrupted_since + self._patience_s

    def next_timeout(self) -> float | None:
        times = (self._due_at, None if self._ended else self.gives_up_at)
        return min((at for at in times if at is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        gives_up_at = self.gives_up_at
        if gives_up_at is not None and now >= gives_up_at and not self._ended:
            self._ended = True
            self._due_at = None
            self._actions.append(Action.END)
        elif self._due_at is not None and now >= self._due_at:
            self._due_at = None
            self._feed(Input.DUE_NEEDLESS if self.is_well else Input.DUE, now)

    def _feed(self, given: Input, now: float) -> None:
        row = TABLE.get((self.attempt, given))
        if row is None or self._ended:
            return
        self.attempt, actions = row
        for action in actions:
            self._do(action, now)

    def _do(self, action: Action, now: float) -> None:
        match action:
            case Action.BEGIN if now < self._begun_at + SPACING_S:
                self.attempt, self._due_at = Attempt.WAITING, self._begun_at + SPACING_S
            case Action.BEGIN:
                self._begun_at, self._due_at, self._repeat = now, None, False
                self._actions.append(action)
            case Action.AWAIT_TURN:
                self._due_at = now + TURN_S
            case Action.AWAIT_RETRY:
                self._due_at = now + self._retry_s
                self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S if self._silent else LONGEST_CALM_RETRY_S)
            case Action.AWAIT_CHECKS:
                self._due_at = now + CHECKS_S
            case Action.REST:
                self._due_at = None
            case Action.REPEAT:
                self._repeat = True
            case Action.RESUME:
                if self._repeat:
                    self._repeat = False
                    self._feed_moved(now)
            case _:
                self._actions.append(action)
