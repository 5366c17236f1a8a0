"""The path toward one far end across ICE restarts: session after session, the next made before the last is given up.

A restart (RFC 8445 section 9) is a whole new session with sockets, credentials and candidates of its own beside the
one that carries the call. Data goes over the old one until the new one is connected, and what still comes in on the old
one afterwards is taken for a while, since the far end may change over later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from app.events import IceSnapshot
from app.ice.candidates import Candidate, IceDescription, IceFailed
from app.ice.config import IceConfig
from app.ice.events import (
    Connected,
    ConsentExpired,
    Failed,
    IceEvent,
    Interrupted,
    Reachable,
    Recovered,
    RestartBegun,
    Restarted,
    RestartFailed,
    Silent,
)
from app.ice.flows import split_flow
from app.ice.session import IceSession
from app.owned_tasks import OwnedTasks

LINGER_S = 3.0  # how long a generation that was replaced still receives
_OF_A_PATH_IN_USE = (Silent, Interrupted, Recovered, ConsentExpired, Reachable)

OnEvent = Callable[[IceEvent], None]


class IcePath:
    """Has the face of an IceSession, and `restart` besides. Use it on one event loop only; close it always.

    `on_event` hears everything of the generation that carries the call; of the next one how it comes about (not that a
    flow of it is silent), and at its end `Restarted`, or `RestartFailed` after which everything is as before; of one
    that was replaced nothing.
    """

    def __init__(
        self,
        config: IceConfig,
        controlling: bool,
        flows: Sequence[str],
        *,
        on_event: OnEvent,
        _fork_of: IceSession | None = None,
    ) -> None:
        self.restarts = 0
        self.on_datagram: Callable[[str, bytes], None] = lambda flow, data: None
        self.arrived_at = 0.0  # as IceSession says
        self.on_stranger: Callable[[str, bytes, bool], bool] = lambda flow, data, named: False
        self._config = config
        self._flows = list(flows)
        self._on_event = on_event
        self._begun = 0  # generations after the first
        self._silent: set[str] = set()  # flows on which the current generation hears nothing
        self._next_silent: set[str] = set()  # the same of the next one, some of whose flows may be there before others
        self._next: IceSession | None = None
        self._outcome = asyncio.Event()
        self._failure: str | None = None  # why the current generation has no path and never had one
        self._closed = False
        self._replaced: dict[IceSession, asyncio.TimerHandle] = {}
        self._tasks = OwnedTasks("ICE generations")
        self._current = self._open(controlling, _fork_of)

    def _open(self, controlling: bool, fork_of: IceSession | None = None) -> IceSession:
        session: IceSession

        def told(event: IceEvent) -> None:
            self._told(session, event)

        if fork_of is not None:
            session = fork_of.fork(on_event=told)
        else:
            session = IceSession(self._config, controlling, self._flows, on_event=told)

        def taken(flow: str, data: bytes) -> None:
            self.arrived_at = session.arrived_at
            self.on_datagram(flow, data)

        session.on_datagram = taken
        session.on_stranger = lambda flow, data, named: self.on_stranger(flow, data, named)
        session.timeline.generation = self._begun
        return session

    def fork(self, *, on_event: OnEvent) -> IcePath:
        """Make the path toward a further far end of the same offer; see IceSession.fork."""
        return IcePath(self._config, True, self._flows, on_event=on_event, _fork_of=self._current)

    # Generations -----------------------------------------------------------------------------------------

    @property
    def current(self) -> IceSession:
        """The generation that carries the call."""
        return self._current

    @property
    def next(self) -> IceSession | None:
        """The generation that is being made; None between restarts."""
        return self._next

    def restart(self, controlling: bool, config: IceConfig | None = None) -> IceSession:
        """Begin the next generation, giving up one that is under way, and give it.

        The owner gathers for it, signals its descriptions, and starts its checks; it takes over by itself once it is
        connected. `config` is for this and all later ones. After `close` it is closed already.
        """
        self._drop_next()
        self._config = config or self._config
        self._begun += 1
        coming = self._open(controlling)
        if self._closed:
            self._tasks.start(coming.close(), "close what comes too late")
            return coming
        self._next = coming
        self._tell(RestartBegun())
        return coming

    def abandon(self) -> None:
        """Give up the next generation, if there is one: everything goes on over the current one."""
        self._drop_next()
        if self._failure is not None:
            self._outcome.set()

    def _drop_next(self) -> None:
        given_up, self._next = self._next, None
        self._next_silent.clear()
        if given_up is not None:
            self._current.timeline.absorb(given_up.timeline)
            self._tasks.start(given_up.close(), "close what was not needed")

    def adopt(self) -> None:
        """Let the next generation carry the call from now on: it is connected, or the peer has no ICE to check it."""
        if self._next is None:
            return
        old, self._current, self._next = self._current, self._next, None
        self._silent, self._next_silent = self._next_silent, set()
        self._failure = None
        self._outcome.set()
        self.restarts += 1
        loop = asyncio.get_running_loop()
        self._replaced[old] = loop.call_later(LINGER_S, self._retire, old)
        self._current.timeline.absorb(old.timeline)
        self._tell(Restarted())
        for flow in sorted(self._silent):
            self._on_event(Silent(flow))

    def _tell(self, event: IceEvent) -> None:
        """Say what no session says by itself."""
        self._current.timeline.take(event, time.monotonic())
        self._on_event(event)

    def _retire(self, session: IceSession) -> None:
        if self._replaced.pop(session, None) is not None:
            self._tasks.start(session.close(), "close what was replaced")

    def _told(self, session: IceSession, event: IceEvent) -> None:
        if session is self._current:
            _note(event, self._silent)
            if isinstance(event, Failed):
                self._failure = self._failure or event.reason
            if isinstance(event, Connected) or (isinstance(event, Failed) and self._next is None):
                self._outcome.set()
            self._on_event(event)
        elif session is not self._next:
            return
        elif isinstance(event, _OF_A_PATH_IN_USE):
            _note(event, self._next_silent)
        elif isinstance(event, Failed):
            self.abandon()
            self._tell(RestartFailed(event.reason))
        elif isinstance(event, Connected):
            self.adopt()
            self._on_event(event)
        else:
            self._on_event(event)

    def _living(self) -> list[IceSession]:
        return [self._current] if self._next is None else [self._current, self._next]

    # The face of a session ---------------------------------------------------------------------------------

    def expect_forks(self, expected: bool) -> None:
        """See IceSession.expect_forks."""
        self._current.expect_forks(expected)

    async def gather(self) -> None:
        """See IceSession.gather."""
        await self._current.gather()

    async def gather_hosts(self) -> None:
        """See IceSession.gather_hosts."""
        await self._current.gather_hosts()

    @property
    def gathered(self) -> bool:
        """Tell whether no more candidates of ours will come."""
        return self._current.gathered

    def local(self, stream: str) -> IceDescription:
        """Give what is to be signalled for this stream."""
        return self._current.local(stream)

    def default_candidate(self, flow: str) -> Candidate | None:
        """Give the candidate for the m= and c= lines."""
        return self._current.default_candidate(flow)

    def set_remote(self, stream: str, description: IceDescription) -> None:
        """Take the peer's description for the generation that carries the call."""
        self._current.set_remote(stream, description)

    def add_remote_candidate(self, stream: str, candidate: Candidate) -> None:
        """Take a candidate that came after the description, for the generation that carries the call."""
        self._current.add_remote_candidate(stream, candidate)

    def end_of_remote_candidates(self, stream: str) -> None:
        """Take note that the peer signals no more candidates for a stream."""
        self._current.end_of_remote_candidates(stream)

    def remove_stream(self, stream: str) -> None:
        """Forget a stream that was refused or bundled into another, also in later generations."""
        self._flows = [flow for flow in self._flows if split_flow(flow)[0] != stream]
        for session in self._living():
            session.remove_stream(stream)

    def remove_flow(self, flow: str) -> None:
        """Forget one component of a stream, also in later generations."""
        self._flows = [known for known in self._flows if known != flow]
        for session in self._living():
            session.remove_flow(flow)

    @property
    def flows(self) -> tuple[str, ...]:
        """The flows of the generation that carries the call."""
        return self._current.flows

    def start_checks(self) -> None:
        """Begin the connectivity checks."""
        self._current.start_checks()

    def peer_has_begun(self) -> None:
        """Say that the peer checks too."""
        self._current.peer_has_begun()

    async def wait_connected(self) -> None:
        """Return once every flow of a generation has its pair decided; raises IceFailed with a sentence.

        A restart that is under way when the first generation fails may still find the path.
        """
        await self._outcome.wait()
        if self._failure is not None:
            raise IceFailed(self._failure)

    def progress(self) -> dict[str, str]:
        """Say of each flow that has no path yet why not, one sentence each."""
        return self._current.progress()

    def send(self, flow: str, data: bytes) -> bool:
        """Send one datagram over the generation that carries the call.

        Where that hears nothing any more it also goes over the best way that the next one knows: sound is back before
        the new pair is agreed on, and of a datagram that arrives twice the second is dropped as a replay.
        """
        sent = self._current.send(flow, data)
        if self._next is not None and (not sent or flow in self._silent):
            return self._next.send(flow, data) or sent
        return sent

    def use_plain(self, flow: str, remote_host: str, remote_port: int) -> None:
        """Do without ICE; see IceSession.use_plain."""
        self._current.use_plain(flow, remote_host, remote_port)

    def selected(self, flow: str) -> tuple[Candidate, Candidate] | None:
        """Give the selected pair (local, remote)."""
        return self._current.selected(flow)

    def hosts(self) -> frozenset[str]:
        """Give the addresses of this machine that were gathered for the newest generation."""
        return self._living()[-1].hosts()

    def leaves_from(self) -> frozenset[str]:
        """Give the addresses of this machine that the data leaves from now."""
        return self._current.leaves_from()

    def snapshot(self) -> IceSnapshot:
        """Give everything that is known at this moment; a restart under way is part of it."""
        found = self._current.snapshot()
        if self._next is not None:
            moments, dropped = self._current.timeline.with_next(self._next.timeline)
            found = joined(found, self._next.snapshot())
            found = replace(found, timeline=moments, timeline_dropped=dropped)
        return replace(found, restarts=self.restarts)

    def counters(self) -> dict[str, int]:
        """Give how many datagrams were dropped and why, by reason."""
        return self._current.counters()

    def binding_request_seen(self, flow: str) -> bool:
        """Tell whether an authenticated check has come in for this flow."""
        return self._current.binding_request_seen(flow)

    async def close(self) -> None:
        """Release what every generation holds; safe to call twice, and to cancel: it is then done without being
        waited for."""
        self._closed = True
        for timer in self._replaced.values():
            timer.cancel()
        for session in (*self._living(), *self._replaced):
            self._tasks.start(session.close(), "close")
        self._next = None
        self._replaced.clear()
        if not self._outcome.is_set():
            self._failure = self._failure or "The call was ended."
            self._outcome.set()
        await self._tasks.finish()


def _note(event: IceEvent, silent: set[str]) -> None:
    """Keep in mind which flows of a generation are silent."""
    if isinstance(event, Silent):
        silent.add(event.flow)
    elif isinstance(event, Recovered):
        silent.discard(event.flow)


def joined(current: IceSnapshot, coming: IceSnapshot) -> IceSnapshot:
    """Put the candidates and pairs of a generation under way behind those of the current one.

    Nothing of it counts as selected: no data goes that way yet.
    """
    behind = (
        replace(pair, local=pair.local + len(current.local), remote=pair.remote + len(current.remote), selected=False)
        for pair in coming.pairs
    )
    return replace(
        current,
        local=current.local + coming.local,
        remote=current.remote + coming.remote,
        pairs=(*current.pairs, *behind),
        servers=current.servers + coming.servers,
        problems=tuple(dict.fromkeys(current.problems + coming.problems)),
    )
